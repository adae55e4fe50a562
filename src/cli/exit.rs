//! Exit codes: part of the contract (docs/exit-codes.md).

use crate::repo::Severity;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything asked for is done and verified.
    Complete = 0,
    /// Environment, network, permission, bug.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Done and stored, but something named was not captured, copied, restored or verified.
    Incomplete = 3,
    /// Refused for safety.
    Refused = 4,
    /// Sheets are missing, bad, foreign or retired.
    NoQuorum = 5,
    /// The repository is damaged.
    Damaged = 6,
    /// Another run holds the lock.
    Locked = 7,
    /// `exec`: the command was not started.
    NotStarted = 125,
    /// `exec`: the command cannot be run, as shells say it.
    NotRunnable = 126,
    /// `exec`: there is no such command, as shells say it.
    NotThere = 127,
    /// Interrupted; run again to resume.
    Interrupted = 130,
    /// Complete, but nobody read the output to its end: what a shell gives for a program that SIGPIPE ended.
    NoReader = 141,
}

impl Exit {
    /// That of the worst fault: the one table is [`FaultKind::severity`](crate::repo::FaultKind::severity).
    pub fn of(worst: Option<Severity>) -> Self {
        match worst {
            None => Self::Complete,
            Some(Severity::Attention) => Self::Incomplete,
            Some(Severity::Refused) => Self::Refused,
            Some(Severity::Damaged) => Self::Damaged,
        }
    }

    /// The word for it in `--json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Incomplete => "incomplete",
            Self::Refused => "refused",
            Self::NoQuorum => "no_quorum",
            Self::Damaged => "damaged",
            Self::Locked => "locked",
            Self::NotStarted => "not_started",
            Self::NotRunnable => "not_runnable",
            Self::NotThere => "not_there",
            Self::Interrupted => "interrupted",
            Self::NoReader => "no_reader",
        }
    }

    /// What `exec` ends with where its command did not start.
    pub(super) fn of_exec(self) -> Self {
        match self {
            Self::NotRunnable | Self::NotThere | Self::Interrupted => self,
            _ => Self::NotStarted,
        }
    }

    /// The worse of two ways in which something that was done is not well.
    pub(super) fn and(self, other: Self) -> Self {
        let rank = |exit| match exit {
            Self::Complete => 0,
            Self::Incomplete => 1,
            Self::Refused => 2,
            _ => 3,
        };
        if rank(other) > rank(self) { other } else { self }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
