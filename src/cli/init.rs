//! `lifeboat init`

use std::{
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};

use serde_json::json;

use super::{
    Context, Exit, Failure,
    handover::{Delivered, HandoverArgs},
    made::Made,
    output::plural,
    quorum,
    runbook::address_for_others,
    trail,
};
use crate::{
    app,
    clock::{Clock, SystemClock, to_seconds},
    config::{Config, CopySection, CustodySection, KeysSection, SourceSection, Sources, TrustSection},
    crypto::{IndexKey, Signer, VersionKey},
    custody::{self, Ceremony, CeremonyRequest, Contact, Held},
    fsutil::{self, Access},
    model::RepositoryId,
    provider::{Address, FORMS, Purpose},
    repo::{AllowedSigner, RepoError, Repository},
    storage::Storage,
};

/// A ceremony cannot be taken up again: its key is gone. Nothing was backed up with it either.
const INTERRUPTED: &str = "after an init that did not end: destroy its sheets, remove the repository, `keys` and the \
                           configuration it left, and begin again";

/// How long a person waits before being told what for.
const SILENCE: Duration = Duration::from_secs(1);

/// Make a repository: key ceremony, sheets for the custodians, host keys, configuration
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat init --repo /srv/lifeboat --source aws:eu-central-1 --threshold 3 \\
      --custodian Ana --custodian Bo --custodian Cy --custodian Dee --custodian Eli \\
      --sheets ./sheets --copy /mnt/west/lifeboat --yes

  lifeboat init --repo /srv/lifeboat --source aws:eu-central-1 --threshold 2 --paper letter \\
      --custodian Ana --custodian Bo --custodian Cy --print 'lp -d vault -o sides=one-sided' --yes

  lifeboat init --repo /srv/lifeboat --source aws:eu-central-1 --threshold 2 --sheets ./sheets \\
      --custodian Ana --custodian Bo --custodian Cy --seal-to Bo=bo.pub --seal-to Cy=age1…

Print the sheets, hand each custodian one, then destroy the folder: until then it is the key.
With --print nothing of a sheet is written to a file, with --seal-to nothing that anybody but the custodian can open.
ceremony.txt beside the configuration says what to do next.")]
pub struct Args {
    /// Where the secrets live
    #[arg(long, value_name = FORMS, env = "LIFEBOAT_SOURCE")]
    source: Address,
    /// How many sheets open the backup
    #[arg(long, value_name = "K")]
    threshold: u8,
    /// A custodian's name, as printed on the sheet (repeat)
    #[arg(long = "custodian", value_name = "NAME", required = true)]
    custodians: Vec<String>,
    #[command(flatten)]
    handover: HandoverArgs,
    /// A storage to keep a copy in (repeat)
    #[arg(long = "copy", value_name = "URL")]
    copies: Vec<String>,
    /// Whose backup it is: printed on the sheets
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// Whom to call: a name and a telephone number, printed on the sheets and in the runbook
    #[arg(long, value_name = "WHO")]
    call: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let config_path = &context.global.config;
    let Some(address) = context.global.repo.clone() else {
        return Err(Failure::usage("no repository is named").hint("use --repo URL"));
    };
    let source = args.source.settle(Purpose::Source).await?;
    let storage = Storage::open(&address)?;
    let script = beside(config_path, "ceremony.txt");
    let custody = CustodySection { organisation: args.organisation, call: args.call };
    let copies: Vec<CopySection> = args.copies.iter().map(|url| CopySection::new(absolute(url))).collect();
    let contact = contact(&custody, &copies);
    let handover = args.handover.prepare(&args.custodians, &contact)?;
    check_nothing_there(&storage, config_path, &script).await?;
    if let Some(advice) = custody::advice(args.threshold, args.custodians.len()) {
        context.output.warn(&advice);
    }
    let count = args.custodians.len();
    let question = format!("Make a key for {address}, split among {count} custodians, {} needed?", args.threshold);
    quorum::confirm(&question, args.yes).await?;
    // Before there are sheets, which could not be taken back.
    fsutil::check_folder(&beside(config_path, "keys"))?;

    let account = account(context, &source).await;
    let (signer, index_key) = (Signer::generate(), IndexKey::generate());
    let ceremony = custody::hold(&CeremonyRequest {
        repository: RepositoryId::random(),
        threshold: args.threshold,
        custodians: args.custodians,
        signers: vec![AllowedSigner { name: "backup host".into(), key: signer.public() }],
        created: to_seconds(SystemClock.now()),
        paper: handover.paper,
        contact,
    })?;
    let mut made = Made::default();
    let delivered = handover.deliver(&ceremony, &mut made)?;
    let keys = write_keys(config_path, &signer, &index_key, &ceremony.versions, &mut made)?;
    let trust = TrustSection { root: ceremony.epoch.root.to_string(), recipient: ceremony.epoch.recipient.to_string() };
    let sources = Sources::One(SourceSection::new(source, account));
    let mut config = Config::new(absolute(&address), sources, trust, keys);
    (config.copies, config.custody) = (copies, custody);
    let left =
        |failure: Failure| failure.also(format!("begin again after you remove what this init left at {address}"));
    let created = Repository::create(storage, &ceremony.epoch, &ceremony.root).await;
    let repository = created.map_err(|error| left(error.into()))?;
    made.write(config_path, config.to_text().as_bytes(), Access::Public).map_err(left)?;
    let held = Held { kind: None, folder: delivered.clear_folder(), sealed: delivered.sealed() };
    let text = custody::script(&ceremony.epoch, held);
    made.write(&script, text.as_bytes(), Access::Public).map_err(left)?;
    made.keep();
    // As the host will know it from now on.
    let (own, trust) = context.host()?.repository().await?;
    trail::begin(context, &own, &trust);
    trail::count("sheets", ceremony.epoch.total.into());
    print(context, &repository, &ceremony, &delivered, &script);
    Ok(Exit::Complete)
}

/// Everything that would be overwritten or mixed up is refused before there is a key.
async fn check_nothing_there(storage: &Storage, config: &Path, script: &Path) -> Result<(), Failure> {
    match Repository::open(storage.clone()).await {
        Ok(_) => {
            let hint = format!("choose another place for a new repository; {INTERRUPTED}");
            return Err(Failure::from(RepoError::Exists(storage.address().to_owned())).hint(hint));
        }
        Err(RepoError::NotARepository(_)) => {}
        Err(error) => return Err(error.into()),
    }
    if !storage.list("epochs").await?.is_empty() {
        let message = format!("an init that did not end left a key epoch at {}", storage.address());
        return Err(Failure::new(Exit::Refused, message).hint(INTERRUPTED));
    }
    let keys = ["keys/signer", "keys/index.age", "keys/versions"].map(|key| beside(config, key));
    let files = [(config, "a configuration"), (script, "the script of a ceremony")];
    for (file, kind) in files.into_iter().chain(keys.iter().map(|key| (key.as_path(), "a key of this host"))) {
        if file.symlink_metadata().is_ok() {
            let message = format!("there is {kind} at {} already", file.display());
            let hint = format!("use --config FILE for another one, in another folder; {INTERRUPTED}");
            return Err(Failure::new(Exit::Refused, message).hint(hint));
        }
    }
    Ok(())
}

/// What sheets say of whom to ask. An address is for others: it goes without what only this host has.
pub(super) fn contact(section: &CustodySection, copies: &[CopySection]) -> Contact {
    let copy = custody::copy_to_show(copies.iter().map(|copy| address_for_others(&copy.url)).collect());
    Contact { organisation: section.organisation.clone(), call: section.call.clone(), copy }
}

/// The account to pin, so that a later run with other credentials is refused.
async fn account(context: &Context, source: &Address) -> Option<String> {
    let mut asked = pin!(source.account());
    let answer = if let Ok(answer) = tokio::time::timeout(SILENCE, &mut asked).await {
        answer
    } else {
        context.output.note(&format!("waiting for {source} to say whose account it is"));
        asked.await
    };
    match answer {
        Ok(account) => Some(account),
        Err(error) => {
            context.output.warn(&format!("the source account is not pinned ({error}); set [source] account yourself"));
            None
        }
    }
}

/// Writes the host's keys beside the configuration and gives their paths relative to it.
pub(super) fn write_keys(
    config: &Path,
    signer: &Signer,
    index_key: &IndexKey,
    versions: &VersionKey,
    made: &mut Made,
) -> Result<KeysSection, Failure> {
    let folder = beside(config, "keys");
    made.folder(&folder, Access::Private)?;
    let section = own_keys();
    made.write(&folder.join("signer"), signer.to_file().as_bytes(), Access::Private)?;
    made.write(&folder.join("index.age"), index_key.to_file().as_bytes(), Access::Private)?;
    made.write(&folder.join(app::VERSION_KEY), versions.to_file().as_bytes(), Access::Private)?;
    Ok(section)
}

/// Where a host's keys lie, beside the configuration.
pub(super) fn own_keys() -> KeysSection {
    KeysSection { signer: "keys/signer".into(), index: "keys/index.age".into() }
}

/// A name in the folder of the configuration.
pub(super) fn beside(config: &Path, name: &str) -> PathBuf {
    config.parent().unwrap_or(Path::new("")).join(name)
}

/// A plain path means the same from every working directory.
pub(super) fn absolute(address: &str) -> String {
    if address.contains("://") {
        return address.to_owned();
    }
    std::path::absolute(address).map_or_else(|_| address.to_owned(), |path| path.to_string_lossy().into_owned())
}

fn print(context: &Context, repository: &Repository, ceremony: &Ceremony, delivered: &Delivered, script: &Path) {
    let epoch = &ceremony.epoch;
    let mut value = json!({
        "repository": repository.id(), "address": repository.storage().address(), "config": context.global.config,
        "recipient": epoch.recipient, "root": epoch.root, "threshold": epoch.threshold, "script": script,
    });
    delivered.add_to(&mut value);
    context.output.result(&value, || {
        format!(
            "repository {} at {}\nconfiguration {}\nscript of the ceremony {}\n{}, any {} of them open the backup:\n{}",
            repository.id(),
            repository.storage().address(),
            context.global.config.display(),
            script.display(),
            plural(u64::from(epoch.total), "sheet"),
            epoch.threshold,
            delivered.lines(),
        )
    });
    let remains = delivered.remains();
    context.output.note(&format!("\n{remains}\n\nThe key itself is gone; only the sheets bring it back."));
}
