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
        reading: SignedDuration::from_hours(30 * 24),
        drift: SignedDuration::from_hours(26),
    }
}

fn home() -> Whose {
    Whose { account: Some("1".into()), region: "eu-west-1".into() }
}

fn good() -> Facts {
    let counts = Counts { listed: 3, captured: 3, ..Counts::default() };
    Facts {
        repository: RepositoryId::from_bytes([1; 16]),
        address: "/srv".into(),
        snapshot: Some(Newest {
            snapshot: SnapshotId::from_bytes([2; 16]),
            sequence: 4,
            time: ago(2),
            counts,
            loss: None,
            pass: ago(2),
            oldest_reading: Some(ago(700)),
        }),
        sources: Vec::new(),
        born: ago(2_000),
        drilled: vec![Drilled { source: home(), since: ago(1_900), last_passed: Some(ago(300)) }],
        canaries: Some(Canaries { last_passed: Some(ago(300)) }),
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
            in_clear: None,
            error: None,
            fault: None,
        }],
        drill: Some(Drill {
            name: "d".into(),
            time: ago(300),
            passed: true,
            rto_seconds: Some(1.5),
            last_passed: Some(ago(300)),
        }),
        missed_drills: Vec::new(),
        sheets: 5,
        due: Vec::new(),
        next_proof: None,
        drifts: vec![drifted(2, 3, 0)],
        running: false,
    }
}

fn drifted(hours: i64, compared: u64, lacking: u64) -> Drifted {
    let source = Place { provider: "aws".into(), account: "1".into(), region: "eu-west-1".into() };
    Drifted { to: "aws:eu-central-1".into(), source, time: ago(hours), compared, lacking }
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
    let changes: [(&str, Change); 21] = [
        ("60 of 70 secrets are listed", |facts| {
            let snapshot = facts.snapshot.as_mut().unwrap();
            snapshot.counts = Counts { listed: 60, captured: 60, ..Counts::default() };
            snapshot.loss = Some(Accepted { listed: 70, labelled: 0, lost: true });
        }),
        ("last read 30 days ago", |facts| facts.snapshot.as_mut().unwrap().oldest_reading = Some(ago(721))),
        ("no drill of 1:eu-west-1 has passed yet", |facts| facts.drilled[0].last_passed = None),
        ("no drill with canaries has passed yet", |facts| facts.canaries = Some(Canaries { last_passed: None })),
        ("with canaries that passed is 36 days old", |facts| {
            facts.canaries = Some(Canaries { last_passed: Some(ago(36 * 24)) });
        }),
        ("there is no snapshot", |facts| facts.snapshot = None),
        ("27 h old", |facts| facts.snapshot.as_mut().unwrap().time = ago(27)),
        ("since then events alone", |facts| facts.snapshot.as_mut().unwrap().pass = ago(27)),
        ("a clock is wrong", |facts| facts.snapshot.as_mut().unwrap().time = ago(-1)),
        ("1 of 3 secrets", |facts| facts.snapshot.as_mut().unwrap().counts.unreadable = 1),
        ("0 of 3 secrets", |facts| facts.snapshot.as_mut().unwrap().counts.values_unreadable = 1),
        ("timed out", |facts| facts.copies[0].error = Some("timed out".into())),
        ("has no snapshot", |facts| facts.copies[0].newest = None),
        ("is 2 snapshots behind", |facts| {
            (facts.copies[0].behind, facts.copies[0].newest) = (2, Some(CopyHead { sequence: 2, time: ago(27) }));
        }),
        ("no drill was run yet", |facts| facts.drill = None),
        ("failed", |facts| facts.drill.as_mut().unwrap().passed = false),
        ("1:eu-west-1 that passed is 36 days old", |facts| facts.drilled[0].last_passed = Some(ago(36 * 24))),
        ("lacks 1 of 3 secrets", |facts| facts.drifts[0].lacking = 1),
        ("nothing of", |facts| facts.drifts[0].compared = 0),
        ("was last compared with", |facts| facts.drifts[0].time = ago(27)),
        ("Ana, Bo", |facts| facts.due = vec!["Ana".into(), "Bo".into()]),
    ];
    for (says, change) in changes {
        let findings = found(change);
        assert_eq!(findings.len(), 1, "{says}: {findings:?}");
        assert!(findings[0].0 == Severity::Attention && findings[0].1.contains(says), "{says}: {findings:?}");
    }
}

#[test]
fn what_is_not_due_yet_informs_and_says_until_when() {
    let due = |change: fn(&mut Facts)| {
        let mut facts = good();
        change(&mut facts);
        let findings = judge(&facts, &limits(), now());
        assert_eq!(findings.len(), 1, "{findings:?}");
        (findings[0].is_due(now()), findings[0].text.clone())
    };
    let (is_due, text) = due(|facts| (facts.snapshot, facts.born) = (None, ago(25)));
    assert!(!is_due && text == "there is no snapshot yet, due by 2026-11-24 13:00 UTC", "{text}");
    assert!(due(|facts| (facts.snapshot, facts.born) = (None, ago(26))).0);
    let never = |facts: &mut Facts, since: i64| {
        facts.drill = None;
        facts.drilled[0].since = ago(since);
    };
    let (is_due, text) = due(|facts| {
        facts.drill = None;
        facts.drilled[0].since = ago(24);
    });
    assert!(!is_due && text == "no drill was run yet, due by 2026-12-28 12:00 UTC", "{text}");
    let mut facts = good();
    never(&mut facts, 35 * 24);
    assert!(judge(&facts, &limits(), now())[0].is_due(now()));
    // A second source that was never drilled.
    let second = |since: i64| {
        let mut facts = good();
        let source = Whose { account: Some("2".into()), region: "eu-west-1".into() };
        facts.drilled.push(Drilled { source, since: ago(since), last_passed: None });
        judge(&facts, &limits(), now())
    };
    assert!(second(24)[0].text.contains("2:eu-west-1") && !second(24)[0].is_due(now()));
    assert!(second(36 * 24)[0].is_due(now()));
    let mut facts = good();
    (facts.canaries, facts.born) = (Some(Canaries { last_passed: None }), ago(24));
    assert!(!judge(&facts, &limits(), now())[0].is_due(now()));
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
