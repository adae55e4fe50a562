//! `lifeboat get`

use std::path::PathBuf;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    super::{
        Context, Exit, Failure,
        history::{self, About},
        trail,
    },
    FromArgs, doors, no_field,
};
use crate::{
    glass::{self, Found, Name},
    model::{SecretValue, Version},
    text,
};

/// Get the value of one secret, with sheets alone
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat get orrange-p2p/database/production --repo /mnt/west/lifeboat \\
      --share ana.txt --share cy.txt --share eli.txt
  lifeboat get app/db --field /password --share sheets/ | psql-login
  lifeboat get app/db --version AWSPREVIOUS --at 'yesterday 03:00' --output db.json
  lifeboat get arn:aws:secretsmanager:eu-central-1:111111111111:secret:app/db-a1B2c3

Needs no configuration, no region and no provider. Without --share the sheets are typed.
The value is printed exactly; a line end is added only on a terminal.")]
pub struct Args {
    /// The secret: its name, or its ARN
    #[arg(value_name = "NAME")]
    name: String,
    /// Another version than the current one, by label or id
    #[arg(long, value_name = "LABEL|ID")]
    version: Option<String>,
    /// One field of a value that is JSON, such as /password (RFC 6901); a string is given without its quotes
    #[arg(long, value_name = "POINTER")]
    field: Option<String>,
    /// Write the value to a file that only you can read
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    from: FromArgs,
}

pub(in super::super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    if let Some(path) = &args.output {
        doors::refuse_odd(path)?;
    }
    let glass = args.from.open(context).await?;
    let name = Name::new(&args.name);
    let found = glass.find(context, &[&name]).await?.pop().expect("one is found for each name, or none is");
    let version = match &args.version {
        Some(wanted) => glass::version(&found.record, wanted)?,
        None => glass::current(&found.record)?,
    };
    let value = match glass.secrets().value(&found.record, version).await {
        Ok(value) => value,
        Err(error) => {
            let (repository, trust) = (&glass.repository, &glass.opened.trust);
            return Err(history::or_forgotten(repository, trust, &found.snapshot, error.into()).await);
        }
    };
    trail::count("secrets_opened", 1);
    let field = match &args.field {
        Some(pointer) => Some(
            glass::field(value.expose(), pointer)
                .map_err(|error| no_field(&found.record.secret.name, pointer, &error))?,
        ),
        None => None,
    };
    let bytes = field.as_ref().map_or_else(|| value.expose(), |field| field.text().as_bytes());
    match &args.output {
        Some(path) => {
            doors::GET.to_file(path, bytes)?;
            context
                .output
                .note(&format!("{} is written, and only you can read it", text::line(&path.to_string_lossy())));
            print(context, &args, (&found, version), None);
        }
        None if context.output.json => {
            let is_text = field.is_some() || !matches!(value, SecretValue::Bytes(_));
            print(context, &args, (&found, version), Some((bytes, is_text)));
        }
        None => doors::GET.to_stdout(bytes)?,
    }
    Ok(Exit::Complete)
}

/// What `--json` shows; `value` or `base64` where no file has it.
fn print(context: &Context, args: &Args, (found, version): (&Found, &Version), value: Option<(&[u8], bool)>) {
    if !context.output.json {
        return;
    }
    let (text, base64) = match value {
        Some((bytes, true)) => (std::str::from_utf8(bytes).ok(), None),
        Some((bytes, false)) => (None, Some(Zeroizing::new(BASE64_STANDARD.encode(bytes)))),
        None => (None, None),
    };
    let shown = json!({
        "name": found.record.secret.name, "id": found.record.secret.id, "source": found.place(),
        "snapshot": found.snapshot.manifest().snapshot, "chosen": About::new(&found.snapshot),
        "version": version.id, "labels": version.labels, "field": args.field,
        "output": args.output, "value": text, "base64": base64.as_deref(),
    });
    context.output.result(&shown, String::new);
}
