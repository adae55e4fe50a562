//! `lifeboat init`

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Context, Exit, Failure, output::plural, quorum};
use crate::{
    clock::{Clock, SystemClock, to_seconds},
    config::{Config, CopySection, KeysSection, ProviderAddress, RepositorySection, SourceSection, TrustSection},
    crypto::{IndexKey, Signer},
    custody::{self, Ceremony, CeremonyRequest},
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

Print the sheets, hand each custodian one, then destroy the folder: until then it is the key.")]
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
    /// The folder the sheets are written to
    #[arg(long, value_name = "DIR")]
    sheets: PathBuf,
    /// A storage to keep a copy in (repeat)
    #[arg(long = "copy", value_name = "URL")]
    copies: Vec<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let config_path = &context.global.config;
    let Some(address) = context.global.repo.clone() else {
        return Err(Failure::usage("no repository given").hint("say --repo URL"));
    };
    let storage = Storage::open(&address)?;
    check_nothing_there(&storage, config_path, &args.sheets).await?;
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
    })?;
    let sheets = write_sheets(&args.sheets, &ceremony)?;
    let keys = write_keys(config_path, &signer, &index_key)?;
    let config = Config {
        repository: RepositorySection { url: absolute(&address) },
        source: SourceSection { url: args.source, account, exclude: Vec::new(), rate_share: 0.9 },
        trust: TrustSection { root: ceremony.epoch.root.to_string(), recipient: ceremony.epoch.recipient.to_string() },
        keys,
        copies: args.copies.iter().map(|url| CopySection { url: absolute(url), region: None }).collect(),
    };
    let repository = Repository::create(storage, &ceremony.epoch, &ceremony.root).await?;
    fsutil::write(config_path, config.to_text().as_bytes(), Access::Public, Existing::Keep)?;
    print(context, &repository, &ceremony, &sheets);
    Ok(Exit::Complete)
}

/// Everything that would be overwritten or mixed up is refused before there is a key.
async fn check_nothing_there(storage: &Storage, config: &Path, sheets: &Path) -> Result<(), Failure> {
    match Repository::open(storage.clone()).await {
        Ok(_) => return Err(RepoError::Exists(storage.address().to_owned()).into()),
        Err(RepoError::NotARepository(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if config.exists() {
        let message = format!("there is a configuration at {} already", config.display());
        return Err(Failure::new(Exit::Refused, message).hint("say --config FILE for another one"));
    }
    if sheets.is_dir() && std::fs::read_dir(sheets)?.next().is_some() {
        let message = format!("the folder {} is not empty", sheets.display());
        return Err(Failure::new(Exit::Refused, message).hint("give an empty folder, so that sheets are not mixed up"));
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

/// Writes one text sheet a custodian and gives the paths.
pub(super) fn write_sheets(folder: &Path, ceremony: &Ceremony) -> Result<Vec<PathBuf>, Failure> {
    fsutil::create_folder(folder, Access::Private)?;
    let mut paths = Vec::new();
    for sheet in &ceremony.sheets {
        let path = folder.join(format!("{:02}-{}.txt", sheet.index, file_name(&sheet.custodian)));
        fsutil::write(&path, sheet.text.as_bytes(), Access::Private, Existing::Keep)?;
        paths.push(path);
    }
    Ok(paths)
}

/// Writes the host's keys beside the configuration and gives their paths relative to it.
pub(super) fn write_keys(config: &Path, signer: &Signer, index_key: &IndexKey) -> Result<KeysSection, Failure> {
    let folder = config.parent().unwrap_or(Path::new(".")).join("keys");
    fsutil::create_folder(&folder, Access::Private)?;
    let section = KeysSection { signer: "keys/signer".into(), index: "keys/index.age".into() };
    fsutil::write(&folder.join("signer"), signer.to_file().as_bytes(), Access::Private, Existing::Keep)?;
    fsutil::write(&folder.join("index.age"), index_key.to_file().as_bytes(), Access::Private, Existing::Keep)?;
    Ok(section)
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

fn print(context: &Context, repository: &Repository, ceremony: &Ceremony, sheets: &[PathBuf]) {
    let epoch = &ceremony.epoch;
    let value = json!({
        "repository": repository.id(), "address": repository.storage().address(), "config": context.global.config,
        "recipient": epoch.recipient, "root": epoch.root, "threshold": epoch.threshold, "sheets": sheets,
    });
    context.output.result(&value, || {
        let sheets: Vec<String> = sheets.iter().map(|path| format!("  {}", path.display())).collect();
        format!(
            "repository {} at {}\nconfiguration {}\n{}, any {} of them open the backup:\n{}",
            repository.id(),
            repository.storage().address(),
            context.global.config.display(),
            plural(u64::from(epoch.total), "sheet"),
            epoch.threshold,
            sheets.join("\n"),
        )
    });
    context.output.note(
        "\nPrint each sheet, hand it over in person, have it read back, then destroy the folder (shred -u):\n\
         whoever has the files has the key. The key itself is gone; only the sheets bring it back.",
    );
}
