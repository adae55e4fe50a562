//! Heads remembered outside a repository, and how its history stands to them.
//!
//! From inside, a history whose newest snapshots were removed looks whole. The host, every copy and every drill
//! record remember a head, and comparing them shows it.

use serde::{Deserialize, Serialize};

use super::{Chain, Fault, FaultKind, VerifiedManifest, layout};
use crate::model::Digest;

/// The head of a chain, as remembered outside the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The sequence number.
    pub sequence: u64,
    /// SHA-256 of the manifest.
    pub manifest: Digest,
}

/// A head and who remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// For people: `this host`, `the copy at …`, `drill …`.
    pub by: String,
    /// The head.
    pub head: Witness,
    /// Whether the snapshot itself can be had there: so that the good head can be named.
    pub holds: bool,
    /// Whether it is kept outside the repository: what is inside can be rolled back along with it.
    pub outside: bool,
}

/// How a history stands to a remembered head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Standing {
    /// It is there.
    Contained {
        /// Snapshots after it.
        newer: u64,
    },
    /// The history ends before it.
    RolledBack {
        /// The newest number there is; 0 for none.
        newest: u64,
    },
    /// The history goes on after it, without it.
    Removed,
    /// Another genuine snapshot has its number.
    Forked,
}

impl Chain {
    /// The newest verified snapshot as a witness.
    pub fn witness(&self) -> Option<Witness> {
        self.head().map(VerifiedManifest::witness)
    }

    /// How this history stands to a head somebody remembers.
    pub fn standing(&self, head: &Witness) -> Standing {
        let newest = self.last_number();
        if self.holds(head) {
            return Standing::Contained { newer: newest.saturating_sub(head.sequence) };
        }
        let is_taken = self.manifests.iter().any(|found| found.manifest().sequence == head.sequence);
        if is_taken || self.base.digest(head.sequence).is_some() {
            return Standing::Forked;
        }
        if newest < head.sequence { Standing::RolledBack { newest } } else { Standing::Removed }
    }

    /// What is wrong with this history by what others remember, each fault once; and who holds the good head.
    pub fn compare(&self, remembered: &[Remembered]) -> Vec<Fault> {
        let mut faults = Vec::new();
        let good = remembered.iter().filter(|other| other.holds && !self.holds(&other.head));
        let good = good.max_by_key(|other| other.head.sequence);
        let good = good.map_or_else(
            || "no copy that was compared has it".to_owned(),
            |other| format!("the good head, number {}, is in {}", other.head.sequence, other.by),
        );
        for (head, by) in by_head(remembered) {
            let number = head.sequence;
            let (kind, what) = match self.standing(&head) {
                Standing::Contained { .. } => continue,
                Standing::RolledBack { newest: 0 } => {
                    (FaultKind::RolledBack, format!("rolled back: nothing is left, number {number} is known to {by}"))
                }
                Standing::RolledBack { newest } => (
                    FaultKind::RolledBack,
                    format!("rolled back: the newest snapshot is number {newest}, number {number} is known to {by}"),
                ),
                Standing::Removed => (FaultKind::Gap, format!("snapshot number {number}, known to {by}, was removed")),
                Standing::Forked => {
                    (FaultKind::Fork, format!("forked: number {number} is another snapshot than the one {by} knows"))
                }
            };
            faults.push(Fault::new(layout::SNAPSHOTS, kind, format!("{what}; {good}")).about(number));
        }
        faults
    }

    fn holds(&self, head: &Witness) -> bool {
        self.base.holds(head) || self.knows(&head.manifest)
    }
}

/// The same head remembered by several is one fault.
fn by_head(remembered: &[Remembered]) -> Vec<(Witness, String)> {
    let mut heads: Vec<(Witness, String)> = Vec::new();
    for Remembered { by, head, .. } in remembered {
        match heads.iter_mut().find(|(known, _)| known == head) {
            Some((_, names)) => *names = format!("{names} and {by}"),
            None => heads.push((*head, by.clone())),
        }
    }
    heads
}
