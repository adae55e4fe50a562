//! Exit codes: part of the contract (docs/exit-codes.md).

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
    /// Interrupted; run again to resume.
    Interrupted = 130,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
