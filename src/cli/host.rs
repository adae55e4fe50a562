//! `lifeboat host`: a new backup host in the place of one that is gone.

use std::path::Path;

use super::{
    Context, Exit, Failure,
    custody::signer,
    history::{self, CompareArgs, Reach},
    init,
    made::Made,
    quorum::{self, ShareArgs},
};
use crate::{
    config::{Config, SourceSection, Sources, TrustSection},
    crypto::{IndexKey, Opener, Signer},
    fsutil::{self, Access},
    model::PlaceFilter,
    provider::{Address, FORMS, Purpose},
    repo::{AllowedSigner, Chosen, Repository, Trust},
    storage::Storage,
};

/// Set up a backup host
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Join(JoinArgs),
}

/// Make this machine a backup host of a repository: configuration, keys, and the right to sign, from a copy and a quorum
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat host join --repo /srv/lifeboat --name backup-2 --share sheets/
  lifeboat host join --repo 's3://lifeboat-west/prod?region=eu-west-1' --name backup-2 --source aws:eu-central-1

The repository may be the old one or a copy of it: this host writes its snapshots there. The configuration is the one that the
newest snapshot keeps, with new keys; look at it before the next snapshot. The old host may still sign: when it was stolen,
`lifeboat custody signer remove` ends that. The first snapshot reads every value again, since the old index key is gone.")]
struct JoinArgs {
    /// What to call this host in the list of signers
    #[arg(long, value_name = "NAME")]
    name: String,
    /// The source, where the newest snapshot has no configuration, or another one is wanted
    #[arg(long, value_name = FORMS)]
    source: Option<Address>,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    shares: ShareArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Join(args) => join(context, args).await,
    }
}

async fn join(context: &Context, mut args: JoinArgs) -> Result<Exit, Failure> {
    let config_path = &context.global.config;
    let Some(address) = &context.global.repo else {
        return Err(
            Failure::usage("no repository is named").hint("use --repo URL: the old repository, or a copy of it")
        );
    };
    refuse_a_host(config_path)?;
    if let Some(source) = &mut args.source {
        *source = source.settle(Purpose::Source).await?;
    }
    let repository = Repository::open(Storage::open(address)?).await?;
    let opened = quorum::open(context, &repository, &args.shares).await?;
    let current = opened.trust.current();
    if current.signers.iter().any(|signer| signer.name == args.name) {
        return Err(Failure::usage(format!("there is already a signer with the name {:?}", args.name))
            .hint("use another --name"));
    }
    let judgement = history::judge(context, &repository, &opened.trust, &args.compare, Reach::Whole).await?;
    // Of whichever source: they all keep the configuration.
    let place = judgement.chain().head().map(|head| head.manifest().source.clone());
    let newest = match place {
        Some(place) => {
            Some(judgement.newest(Some(&PlaceFilter { account: place.account, region: Some(place.region) }))?)
        }
        None => None,
    };
    if let Some(newest) = &newest {
        history::tell(context, newest);
    }
    let kept = kept_configuration(&repository, newest.as_ref(), &opened).await?;
    let config = configuration(kept, &args, address, &opened.trust)?;
    context.output.note(&format!("The configuration of this host will be:\n\n{}", config.to_text()));
    let question = format!("Let this machine write to {} and sign as {}?", repository.storage().address(), args.name);
    quorum::confirm(&question, args.yes).await?;
    fsutil::check_folder(&init::beside(config_path, "keys"))?;

    let (own, index_key, mut made) = (Signer::generate(), IndexKey::generate(), Made::default());
    init::write_keys(config_path, &own, &index_key, &opened.key.version_key(), &mut made)?;
    made.write(config_path, config.to_text().as_bytes(), Access::Public)?;
    let this = AllowedSigner { name: args.name, key: own.public() };
    let joined = signer::join(context, &opened.key, this, made).await?;
    let host = context.host()?;
    if let Some(newest) = &newest {
        host.remember(newest.verified())?;
    }
    context.output.note(&format!("Next: {}", context.command(&["doctor"])));
    context.output.note(&format!("then: {}", context.command(&["snapshot"])));
    Ok(joined)
}

fn refuse_a_host(config: &Path) -> Result<(), Failure> {
    let keys = ["keys/signer", "keys/index.age", "keys/versions"].map(|key| init::beside(config, key));
    for path in keys.iter().map(std::path::PathBuf::as_path).chain([config]) {
        if path.symlink_metadata().is_ok() {
            let message = format!("{} is there already: this machine is a backup host", path.display());
            return Err(Failure::new(Exit::Refused, message).hint("use --config FILE in another, empty folder"));
        }
    }
    Ok(())
}

/// The configuration that the newest snapshot keeps, if it keeps one.
async fn kept_configuration(
    repository: &Repository,
    newest: Option<&Chosen>,
    opened: &quorum::Opened,
) -> Result<Option<Config>, Failure> {
    let Some(file) = newest.and_then(|newest| newest.manifest().config) else { return Ok(None) };
    let bytes = repository.config(&file, Opener::Recovery(&opened.key)).await?;
    let parsed = Config::parse(&String::from_utf8_lossy(&bytes));
    parsed.map(Some).map_err(|error| Failure::usage(format!("the configuration in the newest snapshot: {error}")))
}

/// With this host's repository, trust and keys; a copy that is now the repository is no copy of itself.
fn configuration(kept: Option<Config>, args: &JoinArgs, address: &str, trust: &Trust) -> Result<Config, Failure> {
    let asked = args.source.as_ref().map(|source| Sources::One(SourceSection::new(source.clone(), None)));
    let Some(sources) = asked.or_else(|| kept.as_ref().map(|kept| kept.sources.clone())) else {
        return Err(Failure::usage("the newest snapshot has no configuration").hint("use --source aws:REGION"));
    };
    let epoch = trust.current();
    let pinned = TrustSection { root: epoch.root.to_string(), recipient: epoch.recipient.to_string() };
    let own = Config::new(init::absolute(address), sources, pinned, init::own_keys());
    let mut config = match kept {
        Some(kept) => {
            Config { repository: own.repository, sources: own.sources, trust: own.trust, keys: own.keys, ..kept }
        }
        None => own,
    };
    config.copies.retain(|copy| init::absolute(&copy.url) != config.repository.url);
    Ok(config)
}
