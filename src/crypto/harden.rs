//! Keeps key material out of core dumps and away from other processes.

/// What [`harden_process`] achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hardening {
    /// No core file is written when the process crashes (`RLIMIT_CORE` is 0).
    pub core_dumps_off: bool,
    /// Other processes of the same user can neither attach nor read its memory (`PR_SET_DUMPABLE` is 0; Linux only).
    pub tracing_off: bool,
}

impl Hardening {
    /// Whether everything this system offers is in force.
    pub fn is_complete(self) -> bool {
        self.core_dumps_off && self.tracing_off
    }
}

/// Forbids core dumps and ptrace for the rest of the process's life, as far as the system allows.
///
/// Never fails: a recovery at 03:00 goes on where the system refuses, and the caller says so. Elsewhere than on
/// Unix it does nothing.
pub fn harden_process() -> Hardening {
    Hardening { core_dumps_off: forbid_core_dumps(), tracing_off: forbid_tracing() }
}

/// Keeps all memory of this process out of the swap space from now on, where the system sets no limit to that: with a limit,
/// a later allocation would fail instead. Linux only.
pub fn lock_memory() -> bool {
    lock_all()
}

#[cfg(target_os = "linux")]
fn lock_all() -> bool {
    use rustix::{
        mm::{MlockAllFlags, mlockall},
        process::{Resource, getrlimit},
    };
    let is_unlimited = getrlimit(Resource::Memlock).current.is_none();
    is_unlimited && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn lock_all() -> bool {
    false
}

#[cfg(unix)]
fn forbid_core_dumps() -> bool {
    use rustix::process::{Resource, Rlimit, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).is_ok()
}

#[cfg(not(unix))]
fn forbid_core_dumps() -> bool {
    false
}

#[cfg(target_os = "linux")]
fn forbid_tracing() -> bool {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn forbid_tracing() -> bool {
    false
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn the_kernel_confirms_what_is_reported() {
        assert!(harden_process().is_complete());
        let core = getrlimit(Resource::Core);
        assert_eq!((core.current, core.maximum), (Some(0), Some(0)));
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert!(harden_process().is_complete(), "twice is as good as once");
    }
}
