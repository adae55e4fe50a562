//! A record in which everything is as it should be, for tests to spoil.

use std::sync::LazyLock;

use jiff::Timestamp;

use super::record::{
    Approval, Check, CleanUp, History, Inventory, IsolationFacts, NegativeControl, ObjectiveFacts, OpeningFacts,
    PlanFacts, RECORD_VERSION, Record, RecoveryPoint, Sample, State, Verdict, controls,
};
use crate::{
    crypto::{PublicKey, Signer},
    model::{Digest, Place, RepositoryId, SnapshotId},
    restore::{Aspect, Count},
};

/// Made once: thousands of records are judged.
static SIGNER: LazyLock<PublicKey> = LazyLock::new(|| Signer::generate().public());

/// A check with these numbers, chosen.
pub(super) fn check(name: Aspect, count: Count, state: State) -> Check {
    let Count { expected, compared, equal, missing, unexpected } = count;
    Check { name, method: String::new(), chosen: true, expected, compared, equal, missing, unexpected, state }
}

/// A fault that was caught, or was not.
pub(super) fn control(planted: &str, state: State) -> NegativeControl {
    NegativeControl { planted: planted.into(), expected: String::new(), found: String::new(), state }
}

/// Two values compared, one fault caught.
pub(super) fn record() -> Record {
    let start = Timestamp::UNIX_EPOCH;
    let place = |account: &str| Place { provider: "aws".into(), account: account.into(), region: "r".into() };
    let two = Count { expected: 2, compared: 2, equal: 2, missing: 0, unexpected: 0 };
    Record {
        version: RECORD_VERSION,
        drill: SnapshotId::from_bytes([1; 16]),
        repository: RepositoryId::from_bytes([2; 16]),
        tool: String::new(),
        tool_sha256: None,
        config_sha256: None,
        plan: plan(),
        approval: Approval { operator: "ana".into(), ..Approval::default() },
        controls: controls(),
        signer: SIGNER.clone(),
        previous: None,
        started: start,
        ended: start,
        phases: Vec::new(),
        source: place("1"),
        target: place("2"),
        isolation: IsolationFacts::default(),
        snapshot: SnapshotId::from_bytes([3; 16]),
        manifest: Digest::of(b""),
        sequence: 1,
        recovery_point: recovery_point(start),
        opening: OpeningFacts {
            by: "quorum".into(),
            recipient: String::new(),
            sheets: 2,
            threshold: 2,
            custodians: Vec::new(),
        },
        inventory: Inventory::default(),
        sample: Sample { planned: 2, restored: 2, ..Sample::default() },
        left_out: Vec::new(),
        not_restored: Vec::new(),
        checks: vec![check(Aspect::Values, two, State::Passed)],
        negative_controls: vec![control("a fault", State::Passed)],
        probes: Vec::new(),
        differences: Vec::new(),
        redacted: false,
        rto_seconds: Some(10.0),
        served: None,
        rpo_seconds: 20.0,
        objectives: ObjectiveFacts::default(),
        result: Verdict::Aborted,
        deviations: Vec::new(),
        clean_up: CleanUp::default(),
        history: History::default(),
        reviews: Vec::new(),
    }
}

fn plan() -> PlanFacts {
    PlanFacts {
        name: "monthly".into(),
        version: None,
        sha256: None,
        scenario: "a test".into(),
        every_days: None,
        owner: Some("the owner".into()),
        reviewer: None,
        runbook_sha256: None,
        retention: None,
    }
}

fn recovery_point(time: Timestamp) -> RecoveryPoint {
    RecoveryPoint {
        pass: None,
        time,
        oldest_reading: None,
        selected: String::new(),
        signer: String::new(),
        epoch: 1,
        storage: String::new(),
        is_copy: false,
        files: 0,
        accepted: Vec::new(),
    }
}
