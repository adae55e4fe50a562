//! What others remember of a repository: this host, its copies, and the drills.

use futures::future::join_all;
use jiff::Timestamp;

use super::Failure;
use crate::{
    app::{CopySeen, Host},
    config::CopySection,
    drill::Past,
    model::RepositoryId,
    repo::{Chain, Fault, History, Remembered, RepoError, StoredDrill, Witness},
    storage::Storage,
};

/// One configured copy, asked just now.
pub(super) struct CopyView {
    /// The configuration's entry.
    pub(super) section: CopySection,
    /// Its history, or why it could not be asked.
    pub(super) chain: Result<Chain, String>,
    /// Its drill records, none of them believed.
    pub(super) drills: Vec<StoredDrill>,
    /// What this host saw there before.
    pub(super) seen: Option<CopySeen>,
    /// Until when its newest snapshot cannot be removed, where the storage says so.
    pub(super) locked_until: Option<Timestamp>,
    /// The endpoint to which its connection is not encrypted.
    pub(super) in_clear: Option<String>,
}

impl CopyView {
    /// Its head now; as last seen when it could not be asked.
    pub(super) fn head(&self) -> Option<CopySeen> {
        match &self.chain {
            Ok(chain) => chain.head().map(|head| CopySeen { head: head.witness(), time: head.manifest().time }),
            Err(_) => self.seen,
        }
    }

    /// What is wrong with its history, by itself and by what this host saw there.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let Ok(chain) = &self.chain else { return Vec::new() };
        let mut faults = chain.faults.clone();
        let seen =
            self.seen.map(|seen| Remembered { by: "this host".into(), head: seen.head, holds: false, outside: true });
        faults.extend(chain.compare(seen.as_slice()));
        faults.retain(|fault| fault.severity().is_some());
        faults
    }
}

/// Asks every configured copy at the same time. None of them being reachable is an answer too.
pub(super) async fn copies(host: &Host, repository: RepositoryId) -> Result<Vec<CopyView>, Failure> {
    let seen = host.copies_seen(repository)?;
    let views = host.config.copies.iter().map(|section| async {
        let asked = async {
            let (copy, trust) = host.repository_at(&section.url).await?;
            if copy.id() != repository {
                return Err(
                    RepoError::Exists(format!("{} (another repository, {})", section.url, copy.id().short())).into()
                );
            }
            let History { chain, drills } = copy.recent_history(&trust).await?;
            let locked_until = match chain.head() {
                Some(head) => copy.locked_until(head).await?,
                None => None,
            };
            Ok::<_, Failure>((chain, drills, locked_until))
        };
        let (chain, drills, locked_until) = match asked.await {
            Ok((chain, drills, locked_until)) => (Ok(chain), drills, locked_until),
            Err(failure) => (Err(failure.message), Vec::new(), None),
        };
        let in_clear = async { Storage::open(&section.url)?.in_clear().await };
        let in_clear = in_clear.await.ok().flatten();
        let seen = seen.get(&section.url).copied();
        CopyView { section: section.clone(), chain, drills, seen, locked_until, in_clear }
    });
    Ok(join_all(views).await)
}

/// Every head that somebody outside the repository remembers.
pub(super) fn remembered(host: Option<Witness>, copies: &[CopyView], drills: &[Past]) -> Vec<Remembered> {
    let own = host.map(|head| Remembered { by: "this host".into(), head, holds: false, outside: true });
    let copied = copies.iter().filter_map(|copy| {
        let head = copy.chain.as_ref().ok()?.witness()?;
        Some(Remembered { by: format!("the copy at {}", copy.section.url), head, holds: true, outside: true })
    });
    own.into_iter().chain(copied).chain(drills.iter().filter_map(of_drill)).collect()
}

fn of_drill(past: &Past) -> Option<Remembered> {
    let facts = past.verified()?;
    let head = Witness { sequence: facts.sequence, manifest: facts.manifest };
    Some(Remembered { by: format!("drill {}", past.stored.name), head, holds: false, outside: false })
}
