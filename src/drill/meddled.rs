//! A restored target that is meddled with before it is compared: each tampering against every subset of the checks. No
//! drill passes whose checks have what was tampered with in scope, and no number is false.

use std::collections::BTreeMap;

use super::{
    checks,
    controls::{Kept, Throwaway},
    plain,
    record::{Check, State, Verdict},
    verdict,
};
use crate::{
    model::{Facets, Replica, Rotation, Secret, SecretValue, Tag},
    provider::memory::{CURRENT, HeldVersion, Memory, PREVIOUS},
    restore::{
        Aspect::{self, Binary, Completeness, Descriptions, Ids, Key, Labels, Policies, Replicas, Tags, Values},
        Count, Verification,
    },
};

const FULL: &str = "app/full";
const PLAIN: &str = "app/plain";
const EMPTY: &str = "app/empty";

/// What a tampering changes in the numbers of one check: compared, equal, missing, unexpected.
type Change = (Aspect, i64, i64, i64, i64);

struct Tampering {
    name: &'static str,
    meddle: fn(&Memory),
    changes: &'static [Change],
}

const fn tampering(name: &'static str, meddle: fn(&Memory), changes: &'static [Change]) -> Tampering {
    Tampering { name, meddle, changes }
}

/// Three secrets: one with something of every kind, one with a value and nothing else, one with a description alone.
fn estate() -> Vec<Kept> {
    let named =
        |name: &str, facets| Secret { name: name.into(), id: format!("arn:{name}"), facets, ..Secret::default() };
    let tag = |key: &str, value: &str| Tag { key: key.into(), value: value.into() };
    let replica = |region: &str| Replica { region: region.into(), key: None, status: None };
    let facets = Facets {
        description: Some("all there is".into()),
        key: Some("alias/app".into()),
        tags: vec![tag("team", "core"), tag("Team", "")],
        policy: Some("{\"Version\":\"2012-10-17\",\"Statement\":[]}".into()),
        rotation: Some(Rotation {
            enabled: true,
            lambda: Some("arn:aws:lambda:a:control-a:function:rotate".into()),
            schedule: Some("cron(0 8 * * ? *)".into()),
            window: None,
            after_days: None,
        }),
        replicas: vec![replica("c"), replica("d")],
        ..Facets::default()
    };
    let described = Facets { description: Some("no value".into()), ..Facets::default() };
    let versions = vec![
        HeldVersion::text("v0", &[], "zero"),
        HeldVersion::text("v1", &[PREVIOUS], "one"),
        HeldVersion::text("v2", &[CURRENT, "BLUE"], "two"),
        HeldVersion { value: Some(SecretValue::bytes(vec![0, 0xff])), ..HeldVersion::text("v3", &["KEYS"], "") },
    ];
    vec![
        (named(FULL, facets), versions),
        (named(PLAIN, Facets::default()), vec![HeldVersion::text("p0", &[CURRENT], "plain")]),
        (named(EMPTY, described), Vec::new()),
    ]
}

/// What the plan puts in scope: secrets and versions in the index; versions; texts; bytes; labels; and so on.
const SCOPE: [(Aspect, u64); 11] = [
    (Completeness, 8),
    (Ids, 5),
    (Values, 4),
    (Binary, 1),
    (Labels, 5),
    (Tags, 2),
    (Descriptions, 2),
    (Policies, 1),
    (Key, 1),
    (Aspect::Rotation, 1),
    (Replicas, 2),
];

fn version(place: &Memory, id: &str, change: impl FnOnce(&mut HeldVersion)) {
    place.edit_versions(FULL, |held| change(held.iter_mut().find(|held| held.id == id).unwrap()));
}

fn put(place: &Memory, id: &str, value: SecretValue) {
    version(place, id, |held| held.value = Some(value));
}

fn facets(place: &Memory, name: &str, change: impl FnOnce(&mut Facets)) {
    place.edit(name, |secret| change(&mut secret.facets));
}

const TAMPERINGS: [Tampering; 37] = [
    tampering("a value changed", |to| put(to, "v2", SecretValue::text("another".into())), &[(Values, 0, -1, 0, 0)]),
    tampering("one byte of a text", |to| put(to, "v0", SecretValue::text("zerO".into())), &[(Values, 0, -1, 0, 0)]),
    tampering("one bit of bytes", |to| put(to, "v3", SecretValue::bytes(vec![1, 0xff])), &[(Binary, 0, -1, 0, 0)]),
    tampering("an empty text", |to| put(to, "v1", SecretValue::text(String::new())), &[(Values, 0, -1, 0, 0)]),
    tampering("no bytes", |to| put(to, "v3", SecretValue::bytes(Vec::new())), &[(Binary, 0, -1, 0, 0)]),
    tampering("text made bytes", |to| put(to, "v2", SecretValue::bytes(b"two".to_vec())), &[(Values, 0, -1, 0, 0)]),
    tampering("bytes made text", |to| put(to, "v3", SecretValue::text("\0".into())), &[(Binary, 0, -1, 0, 0)]),
    tampering("no value", |to| version(to, "v1", |held| held.value = None), &[(Values, -1, -1, 1, 0)]),
    tampering(
        "another secret's value",
        |to| put(to, "v2", SecretValue::text("plain".into())),
        &[(Values, 0, -1, 0, 0)],
    ),
    tampering(
        "an unlabelled version missing",
        |to| to.edit_versions(FULL, |held| held.retain(|held| held.id != "v0")),
        &[(Ids, -1, -1, 1, 0), (Values, -1, -1, 1, 0)],
    ),
    tampering(
        "a binary version missing",
        |to| to.edit_versions(FULL, |held| held.retain(|held| held.id != "v3")),
        &[(Ids, -1, -1, 1, 0), (Binary, -1, -1, 1, 0), (Labels, -1, -1, 1, 0)],
    ),
    tampering(
        "a whole secret missing",
        |to| to.remove(FULL),
        &[
            (Ids, -4, -4, 4, 0),
            (Values, -3, -3, 3, 0),
            (Binary, -1, -1, 1, 0),
            (Labels, -4, -4, 4, 0),
            (Tags, -2, -2, 2, 0),
            (Descriptions, -1, -1, 1, 0),
            (Policies, -1, -1, 1, 0),
            (Key, -1, -1, 1, 0),
            (Aspect::Rotation, -1, -1, 1, 0),
            (Replicas, -2, -2, 2, 0),
        ],
    ),
    tampering(
        "a secret without settings missing",
        |to| to.remove(PLAIN),
        &[(Ids, -1, -1, 1, 0), (Values, -1, -1, 1, 0), (Labels, -1, -1, 1, 0)],
    ),
    tampering("a secret without a value missing", |to| to.remove(EMPTY), &[(Descriptions, -1, -1, 1, 0)]),
    tampering(
        "a version more",
        |to| to.edit_versions(FULL, |held| held.push(HeldVersion::text("x", &[], "x"))),
        &[(Ids, 0, 0, 0, 1)],
    ),
    tampering(
        "a labelled version more",
        |to| to.edit_versions(EMPTY, |held| held.push(HeldVersion::text("x", &["X", "Y"], "x"))),
        &[(Ids, 0, 0, 0, 1), (Labels, 0, 0, 0, 2)],
    ),
    tampering(
        "a label moved",
        |to| {
            version(to, "v2", |held| held.labels = vec![CURRENT.into()]);
            version(to, "v1", |held| held.labels.push("BLUE".into()));
        },
        &[(Labels, 0, -1, 0, 1)],
    ),
    tampering(
        "AWSCURRENT and AWSPREVIOUS changed places",
        |to| {
            version(to, "v2", |held| held.labels = vec![PREVIOUS.into(), "BLUE".into()]);
            version(to, "v1", |held| held.labels = vec![CURRENT.into()]);
        },
        &[(Labels, 0, -2, 0, 2)],
    ),
    tampering("a label added", |to| version(to, "v0", |held| held.labels.push("NEW".into())), &[(Labels, 0, 0, 0, 1)]),
    tampering("a label removed", |to| version(to, "v3", |held| held.labels.clear()), &[(Labels, 0, -1, 0, 0)]),
    tampering("a tag changed", |to| facets(to, FULL, |it| it.tags[1].value.push('x')), &[(Tags, 0, -1, 0, 0)]),
    tampering("a tag removed", |to| facets(to, FULL, |it| drop(it.tags.remove(0))), &[(Tags, 0, -1, 0, 0)]),
    tampering(
        "a tag added where there was none",
        |to| facets(to, PLAIN, |it| it.tags.push(Tag { key: "x".into(), value: String::new() })),
        &[(Tags, 0, 0, 0, 1)],
    ),
    tampering(
        "a description changed",
        |to| facets(to, FULL, |it| it.description = Some("x".into())),
        &[(Descriptions, 0, -1, 0, 0)],
    ),
    tampering(
        "a description removed",
        |to| facets(to, EMPTY, |it| it.description = None),
        &[(Descriptions, 0, -1, 0, 0)],
    ),
    tampering(
        "a description added",
        |to| facets(to, PLAIN, |it| it.description = Some("x".into())),
        &[(Descriptions, 0, 0, 0, 1)],
    ),
    tampering(
        "a policy changed",
        |to| facets(to, FULL, |it| it.policy = Some("{}".into())),
        &[(Policies, 0, -1, 0, 0)],
    ),
    tampering("a policy removed", |to| facets(to, FULL, |it| it.policy = None), &[(Policies, 0, -1, 0, 0)]),
    tampering("a policy added", |to| facets(to, PLAIN, |it| it.policy = Some("{}".into())), &[(Policies, 0, 0, 0, 1)]),
    tampering("another key", |to| facets(to, FULL, |it| it.key = Some("alias/other".into())), &[(Key, 0, -1, 0, 0)]),
    tampering("the default key", |to| facets(to, FULL, |it| it.key = None), &[(Key, 0, -1, 0, 0)]),
    tampering("a key added", |to| facets(to, PLAIN, |it| it.key = Some("alias/other".into())), &[(Key, 0, 0, 0, 1)]),
    tampering(
        "another schedule",
        |to| facets(to, FULL, |it| it.rotation.as_mut().unwrap().schedule = Some("rate(1 day)".into())),
        &[(Aspect::Rotation, 0, -1, 0, 0)],
    ),
    tampering(
        "rotation off",
        |to| facets(to, FULL, |it| it.rotation.as_mut().unwrap().enabled = false),
        &[(Aspect::Rotation, 0, -1, 0, 0)],
    ),
    tampering(
        "rotation on",
        |to| {
            let on = Rotation { enabled: true, lambda: None, schedule: None, window: None, after_days: None };
            facets(to, PLAIN, |it| it.rotation = Some(on));
        },
        &[(Aspect::Rotation, 0, 0, 0, 1)],
    ),
    tampering("a replica removed", |to| facets(to, FULL, |it| drop(it.replicas.remove(0))), &[(Replicas, 0, -1, 0, 0)]),
    tampering(
        "a replica added, and one that has failed",
        |to| {
            facets(to, FULL, |it| it.replicas[0].status = Some("Failed".into()));
            let more = Replica { region: "e".into(), key: None, status: None };
            facets(to, PLAIN, |it| it.replicas.push(more));
        },
        &[(Replicas, 0, -1, 0, 1)],
    ),
];

/// What cannot be read, or not be compared when it is read: nothing is wrong with it, and nothing is proved.
const UNKNOWNS: [Tampering; 5] = [
    tampering("values refused", |to| refuse(to, "GetSecretValue"), &[(Values, -3, -3, 0, 0), (Binary, -1, -1, 0, 0)]),
    tampering("policies refused", |to| refuse(to, "GetResourcePolicy"), &[(Policies, -1, -1, 0, 0)]),
    tampering(
        "the list of versions refused",
        |to| refuse(to, "ListSecretVersionIds"),
        &[(Ids, -1, -1, 0, 0), (Values, -1, -1, 0, 0)],
    ),
    tampering(
        "metadata refused",
        |to| refuse(to, "DescribeSecret"),
        &[
            (Tags, -2, -2, 0, 0),
            (Descriptions, -1, -1, 0, 0),
            (Key, -1, -1, 0, 0),
            (Aspect::Rotation, -1, -1, 0, 0),
            (Replicas, -2, -2, 0, 0),
        ],
    ),
    tampering(
        "a key by its id where an alias is expected",
        |to| facets(to, FULL, |it| it.key = Some("1234abcd".into())),
        &[(Key, -1, -1, 0, 0)],
    ),
];

fn refuse(place: &Memory, operation: &str) {
    place.refuse(FULL, operation, "AccessDeniedException");
}

/// The numbers of every check, the changes taken into account.
fn counts(changes: &[Change]) -> BTreeMap<Aspect, Count> {
    let changed = |(aspect, expected): (Aspect, u64)| {
        let honest = Count { expected, compared: expected, equal: expected, missing: 0, unexpected: 0 };
        let add = |number: u64, change: i64| number.checked_add_signed(change).unwrap();
        let count = changes.iter().filter(|change| change.0 == aspect).fold(honest, |count, change| Count {
            expected,
            compared: add(count.compared, change.1),
            equal: add(count.equal, change.2),
            missing: add(count.missing, change.3),
            unexpected: add(count.unexpected, change.4),
        });
        (aspect, count)
    };
    SCOPE.into_iter().map(changed).collect()
}

fn subsets() -> impl Iterator<Item = Vec<Aspect>> {
    let chosen = |set: u32| {
        let is_in = move |(place, aspect): (usize, Aspect)| (set & (1 << place) != 0).then_some(aspect);
        Aspect::ALL.into_iter().enumerate().filter_map(is_in).collect()
    };
    (0..1 << Aspect::ALL.len()).map(chosen)
}

/// What a drill with the checks `run` comes to.
fn drilled(made: &Throwaway, found: &Verification, run: &[Aspect]) -> (Verdict, Vec<Check>) {
    let mut record = plain::record();
    (record.sample.planned, record.sample.restored) = (found.planned, found.secrets);
    record.checks = checks::all(found, made.completeness, run);
    verdict::judge(&mut record, &[], None, None);
    assert_eq!(record.result == Verdict::Passed, record.deviations.is_empty());
    (record.result, record.checks)
}

/// Every number of every check is the one expected, and what is not asked for counts for nothing.
#[track_caller]
fn assert_numbers(name: &str, checks: &[Check], counts: &BTreeMap<Aspect, Count>, run: &[Aspect]) {
    assert_eq!(checks.len(), Aspect::ALL.len());
    for check in checks {
        let counted = Count {
            expected: check.expected,
            compared: check.compared,
            equal: check.equal,
            missing: check.missing,
            unexpected: check.unexpected,
        };
        let full = counts[&check.name];
        let count =
            if run.contains(&check.name) { full } else { Count { expected: full.expected, ..Count::default() } };
        assert_eq!(counted, count, "{name}: {:?} of {run:?}", check.name);
        assert_eq!(check.chosen, run.contains(&check.name));
    }
}

/// Whether these checks can pass an honest target: settings alone prove nothing about values.
fn proves(run: &[Aspect]) -> bool {
    run.iter().any(|aspect| matches!(aspect, Ids | Values | Binary | Labels))
}

#[tokio::test]
async fn the_untouched_target_passes_every_subset_that_looks_at_values() {
    let made = Throwaway::new(estate()).await.unwrap();
    let found = made.compared(|_| {}).await.unwrap();
    assert_eq!(found.differences, []);
    assert_eq!((found.planned, found.secrets, found.versions, found.values), (3, 3, 5, 5));
    assert_eq!((found.labels, found.tags, found.descriptions, found.policies), (5, 2, 2, 1));
    for run in subsets() {
        let (verdict, checks) = drilled(&made, &found, &run);
        let expected = if proves(&run) { Verdict::Passed } else { Verdict::Failed };
        assert_eq!(verdict, expected, "{run:?}");
        assert_numbers("untouched", &checks, &counts(&[]), &run);
        let wrong = checks.iter().find(|check| (check.state == State::Passed) != check.chosen);
        assert_eq!(wrong, None, "{run:?}");
    }
}

#[tokio::test]
async fn no_tampering_passes_a_drill_that_looks_at_it() {
    let made = Throwaway::new(estate()).await.unwrap();
    for Tampering { name, meddle, changes } in TAMPERINGS {
        let found = made.compared(meddle).await.unwrap();
        let (all, is_missing) = (counts(changes), found.secrets < found.planned);
        assert!(!found.differences.is_empty() && !found.passed(), "{name}");
        for run in subsets() {
            let (verdict, checks) = drilled(&made, &found, &run);
            let looks = changes.iter().any(|change| run.contains(&change.0));
            let passes = proves(&run) && !looks && !is_missing;
            assert_eq!(verdict == Verdict::Passed, passes, "{name}: {run:?}");
            assert_numbers(name, &checks, &all, &run);
            let failed: Vec<Aspect> =
                checks.iter().filter(|check| check.state == State::Failed).map(|check| check.name).collect();
            let expected: Vec<Aspect> =
                changes.iter().map(|change| change.0).filter(|aspect| run.contains(aspect)).collect();
            assert_eq!(failed, expected, "{name}: {run:?}");
            assert_eq!(checks::differences(&found, &run).is_empty(), !looks && !is_missing, "{name}: {run:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_run_and_no_drill_passes_that_looks_at_it() {
    let made = Throwaway::new(estate()).await.unwrap();
    for Tampering { name, meddle, changes } in UNKNOWNS {
        let found = made.compared(meddle).await.unwrap();
        let all = counts(changes);
        for run in subsets() {
            let (verdict, checks) = drilled(&made, &found, &run);
            let looks = changes.iter().any(|change| run.contains(&change.0));
            assert_eq!(verdict == Verdict::Passed, proves(&run) && !looks, "{name}: {run:?}");
            assert_numbers(name, &checks, &all, &run);
            for check in checks.iter().filter(|check| check.chosen) {
                let is_cut = changes.iter().any(|change| change.0 == check.name);
                let state = if is_cut { State::NotRun } else { State::Passed };
                assert_eq!(check.state, state, "{name}: {check:?}");
            }
        }
    }
}

/// A kind that no secret has is no check that passed; what is there nevertheless is one that failed.
#[tokio::test]
async fn a_kind_that_the_inventory_does_not_have_is_not_applicable() {
    let made = Throwaway::new(estate().into_iter().filter(|(secret, _)| secret.name == PLAIN).collect()).await.unwrap();
    let states = |checks: Vec<Check>| checks.into_iter().map(|check| check.state).collect::<Vec<_>>();
    let found = made.compared(|_| {}).await.unwrap();
    let (verdict, checks) = drilled(&made, &found, &Aspect::ALL);
    let (yes, none) = (State::Passed, State::NotApplicable);
    assert_eq!(states(checks), [yes, yes, yes, none, yes, none, none, none, none, none, none]);
    assert_eq!(verdict, Verdict::Passed);
    let found = made.compared(|to| facets(to, PLAIN, |it| it.policy = Some("{}".into()))).await.unwrap();
    let (verdict, checks) = drilled(&made, &found, &[Values, Policies]);
    assert_eq!((verdict, checks[7].state, checks[7].unexpected), (Verdict::Failed, State::Failed, 1));
}
