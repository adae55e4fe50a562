//! From library errors to one sentence, an exit code and a hint.

use super::Exit;
use crate::{
    app::{Elsewhere, EstateError, HostError, Known, TooClose},
    config::ConfigError,
    custody::{CeremonyError, PendingError, ResealError},
    drill::DrillError,
    emulator::StageError,
    fsutil::Exposed,
    model::Place,
    provider::{
        BAD_SETTING, BadAddress, ErrorKind, Kind, NO_OPS, NoAddress, NoPolicy, NoSuchRegion, Ops, ProviderError, kind,
    },
    repo::{AcceptedFault, ForgetError, NoChoice, Refusal, RepoError},
    restore::{ExecuteError, LookError, PlanError, StalePlan},
    serve::{AskError, StartError},
    share::{NoQuorum, Rejection, SplitError},
    snapshot::SnapshotError,
    storage::{Cause, StorageError},
    text,
};

/// A command that did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What happened: one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    pub(super) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// A folder in which other users could exchange keys.
    fn exposed(error: &std::io::Error) -> Option<Self> {
        let exposed = error.get_ref()?.downcast_ref::<Exposed>()?;
        Some(Self::new(Exit::Refused, exposed.to_string()).hint(format!("{}, then run again", exposed.remedy())))
    }

    /// One more thing to do, after those that are known.
    pub(super) fn also(self, more: impl std::fmt::Display) -> Self {
        let hint = self.hint.as_ref().map_or_else(|| more.to_string(), |known| format!("{known}; {more}"));
        self.hint(hint)
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::exposed(&error).unwrap_or_else(|| Self::new(Exit::Failed, error.to_string()))
    }
}

impl From<ForgetError> for Failure {
    fn from(error: ForgetError) -> Self {
        let message = error.to_string();
        match error {
            ForgetError::Repository(error) => error.into(),
            ForgetError::Refused(refusal) => refusal.into(),
            ForgetError::Newest | ForgetError::NotASigner(_) | ForgetError::Gone(_) => {
                Self::new(Exit::Refused, message)
            }
            ForgetError::NoRecord(_) => Self::usage(message),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let mut hint = "`lifeboat check` lists everything that is wrong; a copy may be intact (--repo)".to_owned();
        if !refusal.holders.is_empty() {
            hint.push_str(&format!("; the newest snapshot is known to {}", refusal.holders.join(" and ")));
        }
        if refusal.is_acceptable {
            let flags: Vec<String> = refusal.flags().iter().map(AcceptedFault::quoted).collect();
            let flags = flags.iter().map(|flag| format!("--accept-fault {flag}")).collect::<Vec<_>>().join(" ");
            hint.push_str(&format!("; to continue despite the faults: {flags}; or name a snapshot by its id"));
        }
        Self::new(Exit::of(Some(refusal.severity())), refusal.to_string()).hint(hint)
    }
}

impl From<NoChoice> for Failure {
    fn from(error: NoChoice) -> Self {
        let message = error.to_string();
        let names = |places: &[Place]| places.iter().map(Place::short).collect::<Vec<_>>().join(", ");
        match error {
            NoChoice::Refused(refusal) => refusal.into(),
            NoChoice::Superseded { .. } => Self::new(Exit::Refused, message)
                .hint("use the sheets of the newer key, or name an older snapshot by its id (--snapshot ID)"),
            NoChoice::Ambiguous(_) => Self::new(Exit::Refused, message).hint("name one by its id (--snapshot ID)"),
            NoChoice::None(_) | NoChoice::NoneAt(_) => Self::usage(message).hint("`lifeboat list` shows them"),
            NoChoice::Forgotten(_) => Self::usage(message)
                .hint("`lifeboat list` shows what there is; a locked copy may still have this one (--repo)"),
            NoChoice::SeveralSources(places) => {
                Self::usage(message).hint(format!("use --source with one of: {}", names(&places)))
            }
            NoChoice::NoSuchSource { there, .. } => Self::usage(message).hint(format!("there are: {}", names(&there))),
            NoChoice::OtherSource { .. } => Self::usage(message),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let message = error.to_string();
        match error {
            StartError::NeedsTls(_) => {
                Self::usage(message).hint("listen on 127.0.0.1, or use --tls-cert FILE and --tls-key FILE")
            }
            StartError::Tls(_) => Self::usage(message)
                .hint("use PEM files: the certificate with those above it, and its private key without a passphrase"),
            StartError::Listen(..) => {
                Self::new(Exit::Failed, message).hint("use --listen or --metrics with another port of this machine")
            }
            StartError::Io(error) => error.into(),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let message = error.to_string();
        match error {
            AskError::Nobody(_) => Self::new(Exit::Failed, message)
                .hint("start `lifeboat break-glass serve` as this user, or use --socket FILE where it has another"),
            AskError::OtherUser(_) => Self::new(Exit::Refused, message).hint("use --socket FILE of your own server"),
            AskError::Refused(_) => Self::usage(message),
            AskError::Failed(error) => error.into(),
        }
    }
}

impl From<TooClose> for Failure {
    fn from(error: TooClose) -> Self {
        let hint = match error {
            TooClose::Region { .. } => {
                "keep the copy in another region, or set allow_same_region = true in its [[copy]]"
            }
            TooClose::Account { known: Known::Credentials, .. } => {
                "use a bucket and credentials of another account; if the bucket is another account's, set [[copy]] account; \
                 or set allow_same_account = true in its [[copy]]"
            }
            TooClose::Account { .. } => {
                "use a bucket of another account, or set allow_same_account = true in its [[copy]]"
            }
            TooClose::OtherOwner { .. } => "check the name of the bucket and [[copy]] account",
            TooClose::Elsewhere { .. } => "choose another place, or change [policy] regions",
        };
        Self::new(Exit::Refused, error.to_string()).hint(hint)
    }
}

impl From<Elsewhere> for Failure {
    fn from(error: Elsewhere) -> Self {
        Self::new(Exit::Refused, error.to_string()).hint("choose another region, or change [policy] regions")
    }
}

impl From<EstateError> for Failure {
    fn from(error: EstateError) -> Self {
        let message = error.to_string();
        match error {
            EstateError::Provider(error) if error.kind == ErrorKind::Denied => Self::new(Exit::Failed, message)
                .hint("only the management account or a delegated administrator can list accounts (docs/iam.md)"),
            EstateError::Provider(error) => error.into(),
            EstateError::Address(bad) => Self::usage(message).hint(bad.remedy()),
            EstateError::Empty => Self::usage(message).hint("check [source] accounts and exclude_accounts"),
            EstateError::Twice(_) => Self::new(Exit::Refused, message).hint("remove one of them"),
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<StorageError> for Failure {
    fn from(error: StorageError) -> Self {
        let exit = match error {
            StorageError::Address { .. } | StorageError::Setting { .. } => Exit::Usage,
            StorageError::Lost(_) | StorageError::Refused { .. } => Exit::Refused,
            StorageError::NotExclusive { .. } => {
                return Self::new(Exit::Refused, error.to_string()).hint(
                    "two hosts could destroy each other's snapshots there: use another storage, or add single_writer=true to its \
                     address if only one host ever writes to it (docs/storages.md)",
                );
            }
            _ => Exit::Failed,
        };
        let failure = Self::new(exit, error.to_string());
        match error {
            StorageError::Unavailable { reason, .. } => match Cause::of(&reason) {
                Some(cause) => failure.hint(cause.remedy()),
                None => failure,
            },
            _ => failure,
        }
    }
}

impl From<RepoError> for Failure {
    fn from(error: RepoError) -> Self {
        let message = error.to_string();
        match error {
            RepoError::Storage(error) => error.into(),
            RepoError::Spool(error) => Self::exposed(&error).unwrap_or_else(|| {
                Self::new(Exit::Failed, message).hint("check that the disk with the state of lifeboat has free space")
            }),
            RepoError::NotARepository(_) => {
                Self::new(Exit::Failed, message).hint("check the address: a repository's folder holds lifeboat.json")
            }
            RepoError::Exists(_) => Self::new(Exit::Refused, message).hint("choose another place for a new repository"),
            RepoError::Newer { .. } => Self::new(Exit::Failed, message).hint("use a newer lifeboat"),
            RepoError::Damaged { .. } => Self::new(Exit::Damaged, message)
                .hint("`lifeboat check` lists everything that is wrong; a copy may be intact (--repo)"),
            RepoError::Untrusted { .. } => Self::new(Exit::Refused, message)
                .hint("lifeboat uses only files whose signatures reach the root; check a copy (--repo)"),
            RepoError::TombstoneClosed { .. } => Self::new(Exit::Refused, message).hint(
                "a host with its index key makes it readable: `lifeboat compromise mark --reseal`; to restore all the same: --leaked include",
            ),
            RepoError::WrongKey { .. } => {
                Self::new(Exit::Failed, message).hint("check that this is the key of this repository")
            }
        }
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let message = error.to_string();
        match error {
            HostError::Repository(error) => error.into(),
            HostError::Storage(error) => error.into(),
            HostError::Io(error) => error.into(),
            HostError::Locked(_) => Self::new(Exit::Locked, message)
                .hint("wait until it ends; the lock ends with the process that holds it"),
            _ => Self::usage(message),
        }
    }
}

impl From<NoSuchRegion> for Failure {
    fn from(error: NoSuchRegion) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<StageError> for Failure {
    fn from(error: StageError) -> Self {
        let message = error.to_string();
        match error {
            StageError::NotInThisBuild { .. } => Self::usage(message),
            StageError::Provider(error) => error.into(),
            StageError::Io(error) => error.into(),
            StageError::Refused(_) => Self::new(Exit::Failed, message),
        }
    }
}

impl From<BadAddress> for Failure {
    fn from(error: BadAddress) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<NoAddress> for Failure {
    fn from(error: NoAddress) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<NoPolicy> for Failure {
    fn from(error: NoPolicy) -> Self {
        match error {
            NoPolicy::Address(bad) => bad.into(),
            NoPolicy::Provider(error) => error.into(),
            NoPolicy::None { sentence, remedy } => Self::usage(sentence).hint(remedy),
        }
    }
}

impl From<ProviderError> for Failure {
    fn from(error: ProviderError) -> Self {
        if error.code == "Lost" {
            return Self::new(Exit::Refused, error.to_string())
                .hint("[lost] of the drill file names what a drill must not reach; it includes this target");
        }
        if error.code == BAD_SETTING {
            return Self::usage(error.message);
        }
        if error.code == "OtherAccount" {
            return Self::new(Exit::Refused, error.to_string())
                .hint("no request was sent with these credentials; use credentials of one account only");
        }
        let cause = Cause::of(&format!("{} {}", error.code, error.message));
        let hint = match (error.kind, cause) {
            (ErrorKind::Credentials, Some(cause @ (Cause::Expired | Cause::Refused | Cause::Clock))) => cause.remedy(),
            (_, Some(Cause::Clock)) => Cause::Clock.remedy(),
            _ => {
                let remedy = kind(error.provider).map_or(&NO_OPS as &dyn Ops, Kind::ops).remedy(&error);
                let failure = Self::new(Exit::Failed, error.to_string());
                return match remedy {
                    Some(remedy) => failure.hint(remedy),
                    None => failure,
                };
            }
        };
        Self::new(Exit::Failed, error.to_string()).hint(hint)
    }
}

impl From<SnapshotError> for Failure {
    fn from(error: SnapshotError) -> Self {
        let message = error.to_string();
        match error {
            SnapshotError::Provider(error) => error.into(),
            SnapshotError::Repository(error) => error.into(),
            SnapshotError::WrongAccount { .. } => {
                Self::new(Exit::Refused, message).hint("check AWS_PROFILE and the role, or [source] account")
            }
            SnapshotError::Choice(error) => error.into(),
            SnapshotError::NoPass(..) => Self::new(Exit::Failed, message)
                .hint("`lifeboat snapshot` takes a complete one; what was told stays in the queue until then"),
            SnapshotError::Gone(_) => {
                Self::new(Exit::Failed, message).hint("run it again: it reads the removed value again")
            }
            SnapshotError::NotASigner(_) => {
                Self::new(Exit::Refused, message).hint("use the signer that init made, or add this one in a ceremony")
            }
        }
    }
}

impl From<CeremonyError> for Failure {
    fn from(error: CeremonyError) -> Self {
        let exit = if matches!(error, CeremonyError::OtherKey(_)) {
            Exit::Refused
        } else if matches!(error, CeremonyError::Proof(_) | CeremonyError::Split(SplitError::NotProven)) {
            Exit::Failed
        } else {
            Exit::Usage
        };
        Self::new(exit, error.to_string())
    }
}

impl From<PendingError> for Failure {
    fn from(error: PendingError) -> Self {
        let failure = Self::new(Exit::Failed, error.to_string());
        match error {
            PendingError::Io(error) => Self::exposed(&error).unwrap_or(failure),
            PendingError::Damaged { .. } => {
                failure.hint("the old sheets are in force; abandon the new ones with --abort and destroy them")
            }
        }
    }
}

impl From<ResealError> for Failure {
    fn from(error: ResealError) -> Self {
        let message = error.to_string();
        match error {
            ResealError::Repository(error) => error.into(),
            ResealError::CurrentKey => Self::new(Exit::NoQuorum, message)
                .hint("use a quorum of the sheets that were in force before the rotation"),
            ResealError::OtherKey { epoch, .. } => {
                Self::new(Exit::NoQuorum, message).hint(format!("use a quorum of the sheets of epoch {epoch}"))
            }
            ResealError::NotASigner(_) => Self::new(Exit::Refused, message).hint("use the signer that init made"),
            ResealError::Choice(error) => error.into(),
        }
    }
}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::new(Exit::NoQuorum, rejection.to_string())
    }
}

impl From<NoQuorum> for Failure {
    fn from(error: NoQuorum) -> Self {
        Self::new(Exit::NoQuorum, error.to_string())
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        if let PlanError::Spool(error) = error {
            return error.into();
        }
        let exit = if matches!(error, PlanError::TargetIsSource(_)) { Exit::Refused } else { Exit::Usage };
        let failure = Self::new(exit, error.to_string());
        match exit {
            Exit::Refused => failure.hint("restore to another region or account, or use --into-source"),
            _ => failure,
        }
    }
}

impl From<StalePlan> for Failure {
    fn from(error: StalePlan) -> Self {
        if let StalePlan::Spool(error) = error {
            return error.into();
        }
        let exit = if matches!(error, StalePlan::Unreadable(_)) { Exit::Usage } else { Exit::Refused };
        let message = format!("the plan is not executed: {error}");
        Self::new(exit, message).hint("make a new plan with --plan-out and check it")
    }
}

impl From<LookError> for Failure {
    fn from(error: LookError) -> Self {
        match error {
            LookError::UnknownKind(_) => Self::usage(error.to_string())
                .hint("`lifeboat --version` lists what this build has; `recover.py` in the copy writes out values"),
            LookError::Provider(error) => error.into(),
            LookError::Repository(error) => error.into(),
        }
    }
}

impl From<ExecuteError> for Failure {
    fn from(error: ExecuteError) -> Self {
        let message = error.to_string();
        match error {
            ExecuteError::Provider(error) => error.into(),
            ExecuteError::Repository(error) => error.into(),
            ExecuteError::OtherTarget { .. } => Self::new(Exit::Refused, message),
        }
    }
}

impl From<DrillError> for Failure {
    fn from(error: DrillError) -> Self {
        let message = error.to_string();
        match error {
            DrillError::Provider(error) => error.into(),
            DrillError::Repository(error) => error.into(),
            DrillError::Execute(error) => (*error).into(),
            DrillError::Plan(error) => error.into(),
            DrillError::Look(error) => error.into(),
            DrillError::NotASandbox(_) => {
                Self::new(Exit::Refused, message).hint("use the credentials and the region of a sandbox account")
            }
            DrillError::Choice(error @ NoChoice::SeveralSources(_)) => {
                Self::from(error).also("or set [snapshot] source in the drill file")
            }
            DrillError::Choice(error) => error.into(),
            DrillError::NotSealed(_) => Self::new(Exit::Failed, message)
                .hint("run `lifeboat snapshot`, then the drill again; see docs/drills.md"),
            DrillError::NoSnapshot(_) => Self::new(Exit::Failed, message).hint("`lifeboat list` shows them"),
            DrillError::Control(_) => {
                Self::new(Exit::Refused, message).hint("nothing was restored; please report this")
            }
            DrillError::Io(error) => error.into(),
            DrillError::Glass(_) => Self::new(Exit::Failed, message),
            DrillError::NotOurs(_) => Self::new(Exit::Refused, message)
                .hint("check them, then delete them or remove the tag lifeboat:drill; lifeboat does not change them"),
            DrillError::Elsewhere { drill, .. } => Self::new(Exit::Refused, message)
                .hint(format!("`{}` removes them", text::command(["lifeboat", "drill", "clean", &drill]))),
            DrillError::NotEmpty(_) => Self::new(Exit::Refused, message).hint("empty the sandbox, then run again"),
        }
    }
}
