//! The audit trail in the words of other tools: OCSF, CloudTrail, syslog. Pure: an entry in, a text out.

mod cloudtrail;
mod ocsf;
mod syslog;

use crate::repo::{AuditChain, VerifiedEntry};

pub use cloudtrail::cloudtrail;
pub use ocsf::ocsf;
pub use syslog::syslog;

/// An entry and whose chain it is in.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The chain.
    pub chain: &'a AuditChain,
    /// The entry.
    pub found: &'a VerifiedEntry,
}

/// What the run of an action does to data, in the four words that every log knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Create,
    Read,
    Update,
    Delete,
}

impl Row<'_> {
    /// Every entry of every chain in the order of time.
    pub fn all(chains: &[AuditChain]) -> Vec<Row<'_>> {
        let of = |chain| move |found| Row { chain, found };
        let mut rows: Vec<Row<'_>> = chains.iter().flat_map(|chain| chain.entries.iter().map(of(chain))).collect();
        rows.sort_by_key(|row| (row.found.entry.run.ended, row.chain.id.clone(), row.found.entry.number));
        rows
    }

    fn kind(&self) -> Kind {
        let run = &self.found.entry.run;
        if run.plan {
            return Kind::Read;
        }
        match run.action.as_str() {
            "init" | "snapshot" | "host join" => Kind::Create,
            "forget" | "drill clean" => Kind::Delete,
            "copy" | "restore" | "drill run" => Kind::Update,
            action if action.starts_with("custody") || action.starts_with("compromise") => Kind::Update,
            _ => Kind::Read,
        }
    }

    /// Whether it did what was asked, all of it.
    fn is_complete(&self) -> bool {
        self.found.entry.run.exit == Some(0)
    }
}
