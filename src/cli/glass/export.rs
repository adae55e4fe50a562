//! `lifeboat export`

use std::path::{Path, PathBuf};

use clap::{ValueEnum, builder::PossibleValuesParser};
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    super::{Context, Exit, Failure, output::plural},
    CaseArg, FromArgs, doors, pairs_of,
};
use crate::{
    dialect::Dialect,
    fsutil::{self, Access},
    glass::{
        Given,
        write::{self, File, Refused, Written},
    },
    text,
};

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Lines for one reader of .env files (--dialect)
    Env,
    /// One JSON object; numbers and nested objects stay what they are
    Json,
    /// A Secret of Kubernetes, for `kubectl apply -f`
    K8s,
    /// A folder with one file for each name, as /run/secrets
    DockerSecrets,
    /// The input of `aws secretsmanager create-secret --cli-input-json file://…`, one for each secret
    AwsCli,
}

/// Export secrets to files that applications read, with sheets alone
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat export --format env --dialect compose --secret app/db --share sheets/ --output .env
  lifeboat export --format json --secret app/db --share sheets/ --output app.json
  lifeboat export --format k8s --name app-secrets --secret app/db --case upper \\
      --share sheets/ | kubectl apply -f -
  lifeboat export --format docker-secrets --secret tls.key=app/tls --output run/secrets \\
      --share sheets/

Everything written is read back before it counts. What would not come back equal is not written:
it is named, and the exit code is 3. Files have the mode 0600. Keep them no longer than needed.")]
pub struct Args {
    /// How to write
    #[arg(long, value_enum)]
    format: Format,
    /// Which reader the lines are for
    #[arg(long, value_name = "DIALECT", default_value = "dotenv",
        value_parser = PossibleValuesParser::new(Dialect::ALL.map(Dialect::as_str)))]
    dialect: String,
    /// A secret whose JSON keys become names; VARIABLE=NAME for the whole value, or VARIABLE=NAME#/POINTER for one field
    /// (repeat)
    #[arg(long = "secret", value_name = "[VARIABLE=]NAME", required = true)]
    secrets: Vec<Given>,
    #[command(flatten)]
    case: CaseArg,
    /// The name of the Secret of Kubernetes
    #[arg(long, value_name = "NAME", default_value = "lifeboat-export")]
    name: String,
    /// Write to a file, or for docker-secrets to a folder, that only you can read
    #[arg(long, short, value_name = "PATH")]
    output: Option<PathBuf>,
    #[command(flatten)]
    from: FromArgs,
}

pub(in super::super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    check(&args)?;
    let glass = args.from.open(context).await?;
    let read = glass.read(context, &args.secrets).await?;
    let written = if args.format == Format::AwsCli {
        write::aws_cli(read.iter().map(|(found, value)| (&found.record.secret, value)))
    } else {
        let pairs = pairs_of(context, &read, &args.secrets, &args.case)?;
        match args.format {
            Format::Env => write::env(&pairs, args.dialect.parse().unwrap_or_default()),
            Format::Json => write::json(&pairs),
            Format::K8s => write::kubernetes(&args.name, &pairs),
            Format::DockerSecrets | Format::AwsCli => write::files(&pairs),
        }
    };
    drop((read, glass));
    for refused in &written.refused {
        context.output.warn(&format!("not exported: {refused}"));
    }
    if written.count == 0 {
        return Err(Failure::new(Exit::Incomplete, "nothing was exported").hint("the warnings above name each reason"));
    }
    hand_over(context, &args, &written)?;
    Ok(if written.refused.is_empty() { Exit::Complete } else { Exit::Incomplete })
}

/// What cannot work, before anybody types a sheet for it.
fn check(args: &Args) -> Result<(), Failure> {
    if args.format == Format::DockerSecrets && args.output.is_none() {
        return Err(Failure::usage("docker-secrets are files").hint("use --output FOLDER"));
    }
    if args.format == Format::AwsCli && args.secrets.len() > 1 && args.output.is_none() {
        return Err(Failure::usage("the aws CLI takes one secret from a file").hint("use --output FOLDER"));
    }
    if args.format == Format::AwsCli && args.secrets.iter().any(|given| given.variable.is_some()) {
        return Err(Failure::usage("with aws-cli a secret keeps its name").hint("use --secret NAME"));
    }
    if args.format == Format::K8s && !write::is_object_name(&args.name) {
        let message = format!("{} is no name for an object of Kubernetes", text::line(&args.name));
        return Err(Failure::usage(message).hint("use small letters, digits, - and . (--name)"));
    }
    match &args.output {
        Some(path) if !is_folder(args) => doors::refuse_odd(path),
        _ => Ok(()),
    }
}

/// Whether the output is a folder of files.
fn is_folder(args: &Args) -> bool {
    args.format == Format::DockerSecrets || (args.format == Format::AwsCli && args.secrets.len() > 1)
}

fn hand_over(context: &Context, args: &Args, written: &Written) -> Result<(), Failure> {
    let refused: Vec<&str> = written.refused.iter().map(|Refused { name, .. }| name.as_str()).collect();
    let Some(path) = &args.output else {
        let bytes: Zeroizing<Vec<u8>> =
            Zeroizing::new(written.files.iter().flat_map(|file| file.bytes.iter().copied()).collect());
        if !context.output.json {
            return doors::EXPORT.to_stdout(&bytes);
        }
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        context.output.result(&json!({ "text": text, "exported": written.count, "refused": refused }), String::new);
        return Ok(());
    };
    let mut names = Vec::new();
    if is_folder(args) {
        fsutil::create_folder(path, Access::Private)?;
        for File { name, bytes } in &written.files {
            names.push(save(&path.join(name), bytes)?);
        }
    } else if let Some(file) = written.files.first() {
        names.push(save(path, &file.bytes)?);
    }
    context.output.note(&format!(
        "{} exported to {}; only you can read it",
        plural(written.count, "name"),
        text::line(&path.to_string_lossy())
    ));
    if context.output.json {
        context.output.result(&json!({ "files": names, "exported": written.count, "refused": refused }), String::new);
    }
    Ok(())
}

fn save(path: &Path, bytes: &[u8]) -> Result<String, Failure> {
    doors::EXPORT.to_file(path, bytes)?;
    Ok(path.to_string_lossy().into_owned())
}
