//! `lifeboat audit`: what was done with this backup, by whom and when.

mod export;
mod show;
mod verify;

use super::{
    Context, Exit, Failure,
    quorum::ShareArgs,
    show::{Trusted, trusted},
};
use crate::{
    app::Host,
    crypto::PublicKey,
    repo::{AuditAnchor, AuditTrail, Repository, Trust, VerifiedManifest, audit_anchors, chain_of},
    storage::Storage,
};

/// What was done with this backup, when and by which host: hash-chained, signed entries without names or values of secrets
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Show(show::Args),
    Verify(verify::Args),
    Export(export::Args),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Show(args) => show::run(context, args).await,
        Action::Verify(args) => verify::run(context, args).await,
        Action::Export(args) => export::run(context, args).await,
    }
}

/// The trail, compared with everything that knows something of it.
struct Seen {
    trail: AuditTrail,
    /// Snapshots that no entry knows, though their host leaves entries.
    uncovered: Vec<VerifiedManifest>,
}

async fn see(context: &Context, shares: &ShareArgs) -> Result<Seen, Failure> {
    let trusted = trusted(context, shares).await?;
    let (repository, trust) = (trusted.repository(), trusted.trust());
    let mut trail = repository.audit_trail(trust, true).await?;
    let host = matches!(trusted, Trusted::Host(..)).then(|| context.host()).transpose()?;
    let is_main = host.as_ref().is_some_and(|host| is_of(host, repository));
    let history = repository.history(trust).await?;
    let mut anchors = audit_anchors(&history.chain, &history.drills, trust, !is_main);
    if let Some(host) = host.filter(|_| is_main) {
        anchors.extend(own(&host, repository, trust)?);
    }
    trail.compare(&anchors);
    let uncovered = trail.uncovered(&history.chain, !is_main).into_iter().cloned().collect();
    Ok(Seen { trail, uncovered })
}

/// Whether a repository is the configured one, not a copy of it.
pub(super) fn is_of(host: &Host, repository: &Repository) -> bool {
    Storage::open(&host.config.repository.url).is_ok_and(|storage| storage.address() == repository.storage().address())
}

/// What this host remembers of its own chain.
fn own(host: &Host, repository: &Repository, trust: &Trust) -> Result<Option<AuditAnchor>, Failure> {
    let Some((chain, head, _)) = host.audit_head(repository.id())? else { return Ok(None) };
    let mut signers = trust.epochs().iter().flat_map(|epoch| &epoch.signers).map(|signer| &signer.key);
    let signer: Option<&PublicKey> = signers.find(|key| chain_of(key) == chain);
    Ok(signer.map(|signer| AuditAnchor { by: "this host".into(), signer: signer.clone(), head }))
}
