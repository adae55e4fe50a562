//! `lifeboat init`

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::json;

use super::{Context, Exit, Failure, output::plural, quorum};
use crate::{
    clock::{Clock, SystemClock, to_seconds},
    config::{
        Config, CopySection, KeysSection, ProviderAddress, RepositorySection, RestoreSection, SourceSection,
        TrustSection,
    },
    crypto::{IndexKey, Signer},
    custody::{self, Ceremony, CeremonyRequest, Paper},
    fsutil::{self, Access, Existing},
    model::RepositoryId,
    provider::{
        Source,
        aws::{Aws, AwsSettings},
    },
    repo::{AllowedSigner, RepoError, Repository},
    storage::Storage,
};

/// Make a repository: key ceremony, sheets for the custodians, host keys, configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat init --repo /srv/lifeboat --source aws:eu-central-1 --threshold 3 \\
      --custodian Ana --custodian Bo --custodian Cy --custodian Dee --custodian Eli \\
      --sheets ./sheets --copy /mnt/west/lifeboat --yes

  lifeboat init --repo /srv/lifeboat --source aws:eu-central-1 --threshold 2 --paper letter \\
      --custodian Ana --custodian Bo --custodian Cy --print 'lp -d vault -o sides=one-sided' --yes

Print the sheets, hand each custodian one, then destroy the folder: until then it is the key.
With --print nothing of a sheet is written to a file; ceremony.txt beside the configuration says what to do next.")]
pub struct Args {
    /// Where the secrets live
    #[arg(long, value_name = "aws:REGION", env = "LIFEBOAT_SOURCE")]
    source: ProviderAddress,
    /// How many sheets open the backup
    #[arg(long, value_name = "K")]
    threshold: u8,
    /// A custodian's name, as printed on the sheet (repeat)
    #[arg(long = "custodian", value_name = "NAME", required = true)]
    custodians: Vec<String>,
    /// The folder the sheets are written to, each as NN-name.pdf and NN-name.txt
    #[arg(long, value_name = "DIR", required_unless_present = "print", conflicts_with = "print")]
    sheets: Option<PathBuf>,
    /// Instead of a folder: a command that prints a PDF from its stdin, run once a sheet (split at spaces; no shell)
    #[arg(long, value_name = "COMMAND")]
    print: Option<String>,
    /// The paper of the sheets
    #[arg(long, value_enum, value_name = "SIZE", default_value = "a4")]
    paper: PaperSize,
    /// A storage to keep a copy in (repeat)
    #[arg(long = "copy", value_name = "URL")]
    copies: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum PaperSize {
    /// 210 × 297 mm
    A4,
    /// 8.5 × 11 in
    Letter,
}

/// The two files of one sheet.
#[derive(serde::Serialize)]
pub(super) struct SheetFiles {
    /// The page to print.
    pub(super) pdf: PathBuf,
    /// The same as text.
    pub(super) text: PathBuf,
}

/// Where the sheets went.
enum Delivered {
    Folder(PathBuf, Vec<SheetFiles>),
    Printer(usize),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let config_path = &context.global.config;
    let Some(address) = context.global.repo.clone() else {
        return Err(Failure::usage("no repository given").hint("say --repo URL"));
    };
    let storage = Storage::open(&address)?;
    let script = beside(config_path, "ceremony.txt");
    check_nothing_there(&storage, [config_path, &script], args.sheets.as_deref()).await?;
    if let Some(advice) = custody::advice(args.threshold, args.custodians.len()) {
        context.output.warn(&advice);
    }
    let count = args.custodians.len();
    let question = format!("Make a key for {address}, split among {count} custodians, {} needed?", args.threshold);
    quorum::confirm(context, &question, args.yes)?;

    let account = account(context, &args.source).await;
    let (signer, index_key) = (Signer::generate(), IndexKey::generate());
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the operating system gives randomness");
    let ceremony = custody::hold(&CeremonyRequest {
        repository: RepositoryId::from_bytes(id),
        threshold: args.threshold,
        custodians: args.custodians,
        signers: vec![AllowedSigner { name: "backup host".into(), key: signer.public() }],
        created: to_seconds(SystemClock.now()),
        paper: args.paper.into(),
    })?;
    let delivered = deliver(args.sheets, args.print.as_deref(), &ceremony)?;
    let keys = write_keys(config_path, &signer, &index_key)?;
    let config = Config {
        repository: RepositorySection { url: absolute(&address) },
        source: SourceSection { url: args.source, account, exclude: Vec::new(), rate_share: 0.9 },
        trust: TrustSection { root: ceremony.epoch.root.to_string(), recipient: ceremony.epoch.recipient.to_string() },
        keys,
        restore: RestoreSection::default(),
        copies: args.copies.iter().map(|url| CopySection { url: absolute(url), region: None }).collect(),
    };
    let repository = Repository::create(storage, &ceremony.epoch, &ceremony.root).await?;
    fsutil::write(config_path, config.to_text().as_bytes(), Access::Public, Existing::Keep)?;
    let epoch = repository.epochs().await?.into_iter().next().ok_or(RepoError::NotARepository(address))?;
    let text = custody::script(&epoch, delivered.folder());
    fsutil::write(&script, text.as_bytes(), Access::Public, Existing::Keep)?;
    print(context, &repository, &ceremony, &delivered, &script);
    Ok(Exit::Complete)
}

/// Everything that would be overwritten or mixed up is refused before there is a key.
async fn check_nothing_there(storage: &Storage, files: [&Path; 2], sheets: Option<&Path>) -> Result<(), Failure> {
    match Repository::open(storage.clone()).await {
        Ok(_) => return Err(RepoError::Exists(storage.address().to_owned()).into()),
        Err(RepoError::NotARepository(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some(sheets) = sheets
        && sheets.is_dir()
        && std::fs::read_dir(sheets)?.next().is_some()
    {
        let message = format!("the folder {} is not empty", sheets.display());
        return Err(Failure::new(Exit::Refused, message).hint("give an empty folder, so that sheets are not mixed up"));
    }
    for (file, kind) in files.into_iter().zip(["a configuration", "the script of a ceremony"]) {
        if file.exists() {
            let message = format!("there is {kind} at {} already", file.display());
            return Err(
                Failure::new(Exit::Refused, message).hint("say --config FILE for another one, in another folder")
            );
        }
    }
    Ok(())
}

/// The account to pin, so that a later run with other credentials is refused.
async fn account(context: &Context, source: &ProviderAddress) -> Option<String> {
    let place = async { Aws::connect(AwsSettings::region(&source.region)).await?.place().await };
    match place.await {
        Ok(place) => Some(place.account),
        Err(error) => {
            context.output.warn(&format!("the source account is not pinned ({error}); set [source] account yourself"));
            None
        }
    }
}

impl From<PaperSize> for Paper {
    fn from(size: PaperSize) -> Self {
        match size {
            PaperSize::A4 => Self::A4,
            PaperSize::Letter => Self::Letter,
        }
    }
}

impl Delivered {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder, _) => Some(folder),
            Self::Printer(_) => None,
        }
    }
}

fn deliver(folder: Option<PathBuf>, command: Option<&str>, ceremony: &Ceremony) -> Result<Delivered, Failure> {
    match (folder, command) {
        (Some(folder), _) => {
            let files = write_sheets(&folder, ceremony)?;
            Ok(Delivered::Folder(folder, files))
        }
        (None, Some(command)) => print_sheets(command, ceremony).map(Delivered::Printer),
        (None, None) => Err(Failure::usage("neither --sheets nor --print given")),
    }
}

/// Writes each sheet as PDF and as text, for the owner's eyes only.
pub(super) fn write_sheets(folder: &Path, ceremony: &Ceremony) -> Result<Vec<SheetFiles>, Failure> {
    fsutil::create_folder(folder, Access::Private)?;
    let mut written = Vec::new();
    for sheet in &ceremony.sheets {
        let name = format!("{:02}-{}", sheet.index, file_name(&sheet.custodian));
        let files = SheetFiles { pdf: folder.join(format!("{name}.pdf")), text: folder.join(format!("{name}.txt")) };
        fsutil::write(&files.pdf, &sheet.pdf, Access::Private, Existing::Keep)?;
        fsutil::write(&files.text, sheet.text.as_bytes(), Access::Private, Existing::Keep)?;
        written.push(files);
    }
    Ok(written)
}

/// Gives each page to a command. What it prints goes to stderr, since stdout is the result's.
fn print_sheets(command: &str, ceremony: &Ceremony) -> Result<usize, Failure> {
    let mut words = command.split_whitespace();
    let program = words.next().ok_or_else(|| Failure::usage("--print names no command"))?;
    let arguments: Vec<&str> = words.collect();
    for sheet in &ceremony.sheets {
        let failed = |reason: String| {
            Failure::new(Exit::Failed, format!("sheet {} was not printed: {program}: {reason}", sheet.index))
                .hint("nothing was kept; destroy the sheets printed so far and run init again")
        };
        let mut child = Command::new(program)
            .args(&arguments)
            .stdin(Stdio::piped())
            .stdout(io::stderr())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        let given = child.stdin.take().map_or(Ok(()), |mut input| input.write_all(&sheet.pdf));
        let status = child.wait().map_err(|error| failed(error.to_string()))?;
        if !status.success() {
            return Err(failed(status.to_string()));
        }
        given.map_err(|error| failed(error.to_string()))?;
    }
    Ok(ceremony.sheets.len())
}

/// Writes the host's keys beside the configuration and gives their paths relative to it.
pub(super) fn write_keys(config: &Path, signer: &Signer, index_key: &IndexKey) -> Result<KeysSection, Failure> {
    let folder = beside(config, "keys");
    fsutil::create_folder(&folder, Access::Private)?;
    let section = KeysSection { signer: "keys/signer".into(), index: "keys/index.age".into() };
    fsutil::write(&folder.join("signer"), signer.to_file().as_bytes(), Access::Private, Existing::Keep)?;
    fsutil::write(&folder.join("index.age"), index_key.to_file().as_bytes(), Access::Private, Existing::Keep)?;
    Ok(section)
}

/// A name in the folder of the configuration.
fn beside(config: &Path, name: &str) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(name)
}

fn file_name(custodian: &str) -> String {
    custodian.chars().map(|c| if c.is_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// A plain path means the same from every working directory.
fn absolute(address: &str) -> String {
    if address.contains("://") {
        return address.to_owned();
    }
    std::path::absolute(address).map_or_else(|_| address.to_owned(), |path| path.to_string_lossy().into_owned())
}

fn print(context: &Context, repository: &Repository, ceremony: &Ceremony, delivered: &Delivered, script: &Path) {
    let epoch = &ceremony.epoch;
    let files: &[SheetFiles] = match delivered {
        Delivered::Folder(_, files) => files,
        Delivered::Printer(_) => &[],
    };
    let (pdfs, texts): (Vec<&Path>, Vec<&Path>) = files.iter().map(|file| (&*file.pdf, &*file.text)).unzip();
    let value = json!({
        "repository": repository.id(), "address": repository.storage().address(), "config": context.global.config,
        "recipient": epoch.recipient, "root": epoch.root, "threshold": epoch.threshold, "sheets": texts, "pdfs": pdfs,
        "printed": if let Delivered::Printer(count) = delivered { *count } else { 0 }, "script": script,
    });
    context.output.result(&value, || {
        let sheets = match delivered {
            Delivered::Folder(..) => pdfs.iter().map(|path| format!("  {}", path.display())).collect::<Vec<_>>().join("\n"),
            Delivered::Printer(count) => format!("  {count} printed"),
        };
        format!(
            "repository {} at {}\nconfiguration {}\nscript of the ceremony {}\n{}, any {} of them open the backup:\n{sheets}",
            repository.id(),
            repository.storage().address(),
            context.global.config.display(),
            script.display(),
            plural(u64::from(epoch.total), "sheet"),
            epoch.threshold,
        )
    });
    let remains = match delivered.folder() {
        Some(folder) => format!(
            "Print each PDF, hand it over in person, have it read back, then destroy the folder:\n\
             \n  shred -u {folder}/* && rmdir {folder}\n\n\
             Whoever has the files has the key.",
            folder = folder.display()
        ),
        None => "Hand each sheet over in person and have it read back. A printer and its queue may keep what they\n\
                 printed: clear both."
            .to_owned(),
    };
    context.output.note(&format!("\n{remains} The key itself is gone; only the sheets bring it back."));
}
