use super::*;

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

fn limits() -> Limits {
    Limits {
        snapshot: SignedDuration::from_hours(26),
        copy: SignedDuration::from_hours(26),
        drill: SignedDuration::from_hours(35 * 24),
    }
}

fn good() -> Facts {
    let counts = Counts { listed: 3, captured: 3, ..Counts::default() };
    Facts {
        repository: RepositoryId::from_bytes([1; 16]),
        address: "/srv".into(),
        snapshot: Some(Newest { snapshot: SnapshotId::from_bytes([2; 16]), sequence: 4, time: ago(2), counts }),
        sources: Vec::new(),
        snapshots: 4,
        history: Vec::new(),
        drill_faults: Vec::new(),
        sheet_faults: Vec::new(),
        pending: Vec::new(),
        witnesses: 2,
        copies: vec![Copy {
            url: "/mnt/\"west\"".into(),
            region: None,
            newest: Some(CopyHead { sequence: 4, time: ago(2) }),
            behind: 0,
            locked_until: None,
            error: None,
            fault: None,
        }],
        drill: Some(Drill {
            name: "d".into(),
            time: ago(300),
            passed: true,
            rto_seconds: 1.5,
            last_passed: Some(ago(300)),
        }),
        missed_drills: Vec::new(),
        sheets: 5,
        due: Vec::new(),
        next_proof: None,
        running: false,
    }
}

fn found(change: impl FnOnce(&mut Facts)) -> Vec<(Severity, String)> {
    let mut facts = good();
    change(&mut facts);
    judge(&facts, &limits(), now()).into_iter().map(|found| (found.severity, found.text)).collect()
}

#[test]
fn all_is_well_when_nothing_is_late() {
    assert_eq!(found(|_| {}), []);
    assert_eq!(found(|facts| facts.running = true), [], "a run at work is no finding");
    let fresh = |facts: &mut Facts| {
        (facts.copies[0].behind, facts.copies[0].newest) = (1, Some(CopyHead { sequence: 3, time: ago(25) }));
    };
    assert_eq!(found(fresh), [], "a copy may lag for as long as a snapshot may be old");
}

#[test]
fn each_thing_that_is_late_incomplete_or_due_is_one_finding() {
    type Change = fn(&mut Facts);
    let changes: [(&str, Change); 12] = [
        ("there is no snapshot", |facts| facts.snapshot = None),
        ("27 h old", |facts| facts.snapshot.as_mut().unwrap().time = ago(27)),
        ("a clock is wrong", |facts| facts.snapshot.as_mut().unwrap().time = ago(-1)),
        ("1 of 3 secrets", |facts| facts.snapshot.as_mut().unwrap().counts.unreadable = 1),
        ("0 of 3 secrets", |facts| facts.snapshot.as_mut().unwrap().counts.values_unreadable = 1),
        ("timed out", |facts| facts.copies[0].error = Some("timed out".into())),
        ("holds no snapshot", |facts| facts.copies[0].newest = None),
        ("lacks the newest 2", |facts| {
            (facts.copies[0].behind, facts.copies[0].newest) = (2, Some(CopyHead { sequence: 2, time: ago(27) }));
        }),
        ("no drill was ever run", |facts| facts.drill = None),
        ("failed", |facts| facts.drill.as_mut().unwrap().passed = false),
        ("the newest drill is 36 days old", |facts| facts.drill.as_mut().unwrap().last_passed = Some(ago(36 * 24))),
        ("Ana, Bo", |facts| facts.due = vec!["Ana".into(), "Bo".into()]),
    ];
    for (says, change) in changes {
        let findings = found(change);
        assert_eq!(findings.len(), 1, "{says}: {findings:?}");
        assert!(findings[0].0 == Severity::Attention && findings[0].1.contains(says), "{says}: {findings:?}");
    }
}

#[test]
fn tampering_and_damage_come_first() {
    let fault = |kind| Fault::new("snapshots", kind, format!("{kind:?}"));
    let findings = found(|facts| {
        facts.due = vec!["Ana".into()];
        facts.history = vec![fault(FaultKind::RolledBack), fault(FaultKind::Damaged)];
    });
    let order: Vec<Severity> = findings.iter().map(|(severity, _)| *severity).collect();
    assert_eq!(order, [Severity::Damaged, Severity::Refused, Severity::Attention]);
    let forked = found(|facts| {
        facts.copies[0].error = Some("forked".into());
        facts.copies[0].fault = Some(FaultKind::Fork);
    });
    assert_eq!(forked, [(Severity::Refused, "/mnt/\"west\": forked".into())]);
}

#[test]
fn metrics_are_lines_prometheus_reads() {
    let text = metrics(&good(), 3, now());
    for line in [
        "lifeboat_status_exit_code 3",
        "lifeboat_snapshot_sequence 4",
        "lifeboat_snapshot_secrets{state=\"captured\"} 3",
        "lifeboat_copy_snapshots_behind{url=\"/mnt/\\\"west\\\"\"} 0",
        "lifeboat_drill_rto_seconds 1.5",
        "lifeboat_sheets_due 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    let mut heads = std::collections::BTreeSet::new();
    for line in text.lines().filter(|line| line.starts_with("# TYPE")) {
        assert!(heads.insert(line.to_owned()), "{line} twice");
    }
    let shape = |line: &str| {
        line.starts_with('#')
            || line
                .split_once(' ')
                .is_some_and(|(name, value)| name.starts_with("lifeboat_") && value.parse::<f64>().is_ok())
    };
    assert!(text.lines().all(shape) && text.ends_with('\n'), "{text}");
    assert_eq!(unknown(1, now()).lines().filter(|line| !line.starts_with('#')).count(), 2);
}

#[test]
fn ages_are_said_in_one_unit() {
    let said = [5, 119, 120, 7_199, 7_200, 259_199, 259_200].map(|seconds| span(SignedDuration::from_secs(seconds)));
    assert_eq!(said, ["5 s", "119 s", "2 min", "119 min", "2 h", "71 h", "3 days"]);
}
