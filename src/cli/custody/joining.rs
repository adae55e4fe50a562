//! A new host among those that may sign, by a quorum that is already there.

use super::{finish, renew::Desk};
use crate::{
    cli::{Context, Exit, Failure},
    clock::{Clock, SystemClock, to_seconds},
    crypto::{PublicKey, RecoveryKey},
    custody::{self, Kind, Pending},
    repo::AllowedSigner,
};

/// Stores an epoch in which `name` may sign too. The configuration and the keys of this host are in place.
pub(in crate::cli) async fn join(
    context: &Context,
    key: &RecoveryKey,
    name: &str,
    signer: PublicKey,
) -> Result<Exit, Failure> {
    let desk = Desk::open(context).await?;
    let mut signers = desk.trust.current().signers.clone();
    signers.push(AllowedSigner { name: name.to_owned(), key: signer });
    let ceremony = custody::change_signers(key, &signers, None, to_seconds(SystemClock.now()), &desk.trust)?;
    let pending = Pending::new(Kind::Signers, &ceremony);
    drop(ceremony);
    pending.save(&desk.pending_path)?;
    finish::switch(context, &desk, &pending, None).await
}
