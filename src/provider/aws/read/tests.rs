use aws_sdk_secretsmanager::primitives::Blob;
use serde_json::json;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::FutureExt as _;

use super::{
    super::scripted::{arn, refused, scripted},
    *,
};
use crate::{model::Replica, provider::held::Budget};

const ARN: &str = "arn:app";
const ASKED: Asked<'static> = Asked { name: "app", id: ARN };

fn failure(kind: ErrorKind, code: &str) -> Failure {
    Failure::own(kind, Operation::DescribeSecret, "app", code, "")
}

fn code<T>(answer: Result<T, Failure>) -> Option<String> {
    answer.err().map(|failure| failure.error.code)
}

#[test]
fn pages_end_with_no_token_and_a_token_that_was_used_is_an_error() {
    let mut pages = Pages::default();
    let turn = |pages: &mut Pages, next| code(pages.turn(Operation::ListSecrets, None, next));
    assert_eq!(turn(&mut pages, Some("one")), None);
    assert_eq!((pages.token.as_deref(), pages.ended), (Some("one"), false));
    assert_eq!(turn(&mut pages, Some("two")), None);
    assert_eq!(turn(&mut pages, Some("one")).as_deref(), Some("RepeatedToken"));
    assert!(pages.ended);
    for none in [None, Some("")] {
        let mut pages = Pages::default();
        assert_eq!(turn(&mut pages, none), None);
        assert_eq!((pages.token, pages.ended), (None, true));
    }
}

#[test]
fn a_thousand_pages_in_a_row_that_bring_nothing_new_are_an_error() {
    let mut pages = Pages::default();
    let mut number = 0;
    let mut turn = |pages: &mut Pages| {
        number += 1;
        code(pages.turn(Operation::ListSecrets, None, Some(&number.to_string())))
    };
    let idle = |pages: &mut Pages, times| (0..times).for_each(|_| pages.note(0, 5, 5));
    idle(&mut pages, 999);
    assert_eq!(turn(&mut pages), None);
    pages.note(1, 5, 5);
    idle(&mut pages, 999);
    assert_eq!(turn(&mut pages), None);
    pages.note(3, 6, 5);
    assert_eq!(turn(&mut pages).as_deref(), Some("EndlessPages"), "what is new beyond the most does not count");
    assert!(pages.ended);
}

#[test]
fn a_list_has_as_many_entries_as_were_understood() {
    let answer = || json!({ "List": [{ "a": 1 }, null], "None": {} });
    assert_eq!(raw_entries(answer(), "List", 2), Ok(vec![json!({ "a": 1 }), Json::Null]));
    assert_eq!(raw_entries(answer(), "List", 1), Err("an entry of the list cannot be read"));
    for field in ["None", "Missing"] {
        assert_eq!(raw_entries(answer(), field, 0), Err("the answer has no list"));
    }
    assert_eq!(raw_entries(json!({ "List": [] }), "List", 0), Ok(vec![]));
}

#[test]
fn a_value_is_one_of_this_secret_and_version_and_could_be_written() {
    let answer = || GetSecretValueOutput::builder().name("app").arn(ARN).version_id("v1");
    let of = |answer: GetSecretValueOutput| value_of(ASKED, "v1", answer).map(|value| value.expose().to_vec());
    let refused = |answer| code(of(answer));
    assert_eq!(of(answer().secret_string("text").build()).unwrap(), b"text");
    assert_eq!(of(answer().secret_binary(Blob::new(vec![0, 255])).build()).unwrap(), [0, 255]);
    let large = |size| answer().secret_string("x".repeat(size)).build();
    assert_eq!((of(large(65_536)).unwrap().len(), refused(large(65_537))), (65_536, Some("TooLarge".into())));
    assert_eq!(refused(answer().build()).as_deref(), Some("BadAnswer"));
    let both = answer().secret_string("").secret_binary(Blob::new(Vec::new()));
    assert_eq!(refused(both.build()).as_deref(), Some("BadAnswer"));
    for other in [answer().name("other"), answer().arn("arn:other"), answer().version_id("v2")] {
        assert_eq!(refused(other.secret_string("text").build()).as_deref(), Some("OtherAnswer"));
    }
}

#[test]
fn what_concerns_the_run_or_the_whole_secret_is_no_part() {
    assert_eq!(part(Ok(1)).unwrap(), Ok(1));
    assert_eq!(part::<()>(Err(failure(ErrorKind::Denied, "no"))).unwrap(), Err("no".to_owned()));
    for kind in [ErrorKind::NotFound, ErrorKind::Credentials] {
        assert_eq!(part::<()>(Err(failure(kind, "gone"))).unwrap_err().kind, kind);
    }
}

#[test]
fn values_that_are_read_stay_and_the_others_are_wanted_or_have_a_state() {
    let versions = ["read", "refused", "known", "new"].map(|id| ListedVersion::bare(id, &[]));
    let known = |id: &str| id == "known";
    let states = |scheduled| {
        let mut values = HashMap::from([
            ("read".to_owned(), FetchedValue::Value(SecretValue::text("x".into()))),
            ("refused".to_owned(), FetchedValue::Unreadable("no".into())),
            ("gone".to_owned(), FetchedValue::Known),
        ]);
        let wanted = values_to_read(&versions, scheduled, &known, &mut values);
        let state = |(id, value): (String, FetchedValue)| {
            let state = match value {
                FetchedValue::Value(_) => "value",
                FetchedValue::Known => "known",
                FetchedValue::Withheld(Withheld::ScheduledForDeletion) => "scheduled",
                _ => "else",
            };
            (id, state)
        };
        (wanted, values.into_iter().map(state).collect::<BTreeMap<_, _>>())
    };
    let (wanted, values) = states(false);
    assert_eq!(wanted, ["refused", "new"]);
    assert_eq!(values, [("known".to_owned(), "known"), ("read".to_owned(), "value")].into());
    let (wanted, values) = states(true);
    assert_eq!(wanted, [""; 0]);
    let all = [("known", "known"), ("new", "scheduled"), ("read", "value"), ("refused", "scheduled")];
    assert_eq!(values, all.map(|(id, state)| (id.to_owned(), state)).into());
}

/// An entry of the listing, and what DescribeSecret says: the same.
fn pair() -> (Listed, Described) {
    let secret = Secret {
        name: "app".into(),
        id: ARN.into(),
        raw: json!({ "ListSecrets": { "SecretVersionsToStages": { "v1": ["AWSCURRENT"] } } }),
        ..Secret::default()
    };
    let listed = Listed { name: "app".into(), id: ARN.into(), secret: secret.clone(), fingerprint: None };
    let stages = [("v1".to_owned(), vec!["AWSCURRENT".to_owned()]), ("v0".to_owned(), vec![])].into();
    let raw = json!({ "DescribeSecret": 1 });
    (listed, Described { secret: Secret { raw, ..secret }, stages })
}

#[test]
fn an_entry_agrees_when_it_says_all_that_was_read_but_replicas_and_policy() {
    let after = |change: fn(&mut Described)| {
        let (listed, mut described) = pair();
        change(&mut described);
        agrees(&listed, &described)
    };
    assert!(after(|_| {}), "versions without labels are not listed");
    assert!(after(|described| {
        described.secret.facets.policy = Some("{}".into());
        described.secret.facets.replicas = vec![Replica { region: "r".into(), key: None, status: None }];
    }));
    assert!(!after(|described| described.secret.facets.description = Some(String::new())));
    assert!(!after(|described| described.secret.deleted = Some(jiff::Timestamp::UNIX_EPOCH)));
    assert!(!after(|described| drop(described.stages.insert("v0".into(), vec!["AWSPREVIOUS".into()]))));
    assert!(!after(|described| described.stages.clear()));
}

/// Whether so many bytes are free.
fn has(budget: &Budget, bytes: usize) -> bool {
    budget.reserve(bytes).now_or_never().is_some()
}

/// A healthy answer about a secret with these versions, the last one current.
fn healthy(operation: &str, body: &Json, versions: &[&str]) -> (u16, Json) {
    let mut answer = json!({ "Name": "app", "ARN": arn("app") });
    match operation {
        "DescribeSecret" => {
            let last = versions[versions.len() - 1];
            answer["VersionIdsToStages"] = json!({ last: ["AWSCURRENT"] });
        }
        "ListSecretVersionIds" => {
            answer["Versions"] = versions.iter().map(|id| json!({ "VersionId": id })).collect();
        }
        "GetSecretValue" => {
            answer["VersionId"] = body["VersionId"].clone();
            answer["SecretString"] = json!("12345");
        }
        _ => {}
    }
    (200, answer)
}

fn app() -> Listed {
    let secret = Secret { name: "app".into(), id: arn("app"), ..Secret::default() };
    Listed { name: "app".into(), id: arn("app"), secret, fingerprint: None }
}

#[tokio::test]
async fn memory_for_every_value_is_reserved_before_it_is_read_and_what_is_too_much_given_back() {
    let budget = Budget::new(u32::try_from(2 * LARGEST + 7).unwrap());
    let (shared, seen) = (budget.clone(), Arc::new(Mutex::new(Vec::new())));
    let noted = Arc::clone(&seen);
    let mut aws = scripted(move |operation, body| {
        if operation == "GetSecretValue" {
            noted.lock().unwrap().push((has(&shared, 7), has(&shared, 8)));
        }
        healthy(operation, body, &["v1", "v2"])
    })
    .await;
    aws.budget = budget.clone();
    let fetched = aws.read_secret(&app(), &|_, _| false).await.unwrap();
    assert_eq!(*seen.lock().unwrap(), [(true, false), (true, false)]);
    assert!(fetched.held.is_some() && has(&budget, 2 * LARGEST - 3) && !has(&budget, 2 * LARGEST - 2));
    drop(fetched);
    assert!(aws.read_secret(&app(), &|_, _| true).await.unwrap().held.is_none(), "no value is read");
}

#[tokio::test]
async fn a_secret_that_is_read_again_does_not_wait_for_memory_that_it_holds() {
    let mut rotated = false;
    let mut aws = scripted(move |operation, body| {
        rotated |= operation == "GetSecretValue";
        healthy(operation, body, if rotated { &["v1", "v2"][..] } else { &["v1"] })
    })
    .await;
    aws.budget = Budget::new(u32::try_from(LARGEST).unwrap());
    let read = tokio::time::timeout(Duration::from_secs(10), aws.read_secret(&app(), &|_, _| false)).await;
    let versions: Vec<String> = read.unwrap().unwrap().versions.into_iter().map(|version| version.id).collect();
    assert_eq!(versions, ["v1", "v2"]);
}

#[tokio::test]
async fn credentials_that_expire_while_values_are_read_end_the_run() {
    let aws = scripted(|operation, body| match operation {
        "GetSecretValue" => refused("ExpiredTokenException"),
        _ => healthy(operation, body, &["v1"]),
    })
    .await;
    assert_eq!(aws.read_secret(&app(), &|_, _| false).await.err().unwrap().kind, ErrorKind::Credentials);
}

#[tokio::test]
async fn an_answer_from_another_account_is_none_once_the_account_is_known() {
    for (account, expected) in [(None, None), (Some("111111111111"), None), (Some("222222222222"), Some("OtherAnswer"))]
    {
        let aws = scripted(|operation, body| healthy(operation, body, &["v1"])).await;
        if let Some(account) = account {
            aws.account.set(account.to_owned()).unwrap();
        }
        assert_eq!(code(aws.describe("app", &arn("app")).await).as_deref(), expected, "{account:?}");
    }
}

#[tokio::test]
async fn versions_are_listed_once_each_and_one_without_an_id_is_refused() {
    let pages = |second: Json| async move {
        let mut count = 0;
        let aws = scripted(move |_, _| {
            count += 1;
            let versions =
                if count == 1 { json!([{ "VersionId": "v1" }, { "VersionId": "v2" }]) } else { second.clone() };
            let next = (count == 1).then_some("2");
            (200, json!({ "Name": "app", "ARN": arn("app"), "Versions": versions, "NextToken": next }))
        })
        .await;
        let found = aws.version_ids("app", &arn("app")).await.map_err(|failure| failure.error.message)?;
        assert_eq!(found.incomplete, None);
        let ids: Vec<String> = found.entries.into_iter().map(|entry| entry.id).collect();
        let raw: Vec<Json> = ids.iter().map(|id| json!({ "VersionId": id })).collect();
        assert_eq!(found.raw, Json::Array(raw));
        Ok::<_, String>(ids)
    };
    assert_eq!(pages(json!([{ "VersionId": "v2" }, { "VersionId": "v3" }])).await.unwrap(), ["v1", "v2", "v3"]);
    assert_eq!(pages(json!([])).await.unwrap(), ["v1", "v2"]);
    assert_eq!(pages(json!([{ "VersionId": "v3" }, {}])).await.unwrap_err(), "a version without an id");
}

#[tokio::test]
async fn versions_whose_pages_repeat_or_bring_nothing_new_are_incomplete() {
    let incomplete = |token: fn(usize) -> String| async move {
        let mut count = 0;
        let aws = scripted(move |operation, body| {
            count += 1;
            let (status, mut answer) = healthy(operation, body, &["v1"]);
            answer["NextToken"] = token(count).into();
            (status, answer)
        })
        .await;
        let found = aws.version_ids("app", &arn("app")).await.map_err(|failure| failure.error).unwrap();
        (found.entries.len(), found.incomplete)
    };
    assert_eq!(incomplete(|_| "again".into()).await, (1, Some("RepeatedToken".into())));
    assert_eq!(incomplete(|count| count.to_string()).await, (1, Some("EndlessPages".into())));
}

#[tokio::test]
async fn an_answer_about_another_secret_is_none_whatever_is_asked() {
    let aws = scripted(|operation, body| {
        let (status, mut answer) = healthy(operation, body, &["v1"]);
        answer["Name"] = "other".into();
        (status, answer)
    })
    .await;
    let id = arn("app");
    let codes = [
        code(aws.describe("app", &id).await),
        code(aws.version_ids("app", &id).await),
        code(aws.policy("app", &id).await),
        code(aws.value("app", &id, "v1").await),
    ];
    assert!(codes.iter().all(|code| code.as_deref() == Some("OtherAnswer")), "{codes:?}");
}

fn parts(versions: &[ListedVersion]) -> Parts {
    Parts {
        versions: versions.to_vec(),
        raw_versions: json!("versions"),
        refused: None,
        policy: Ok((Some("{}".into()), json!("policy"))),
        version_vanished: false,
    }
}

#[tokio::test]
async fn what_was_read_is_one_secret_with_the_labels_of_the_last_look() {
    let (listed, described) = pair();
    let versions = ["v1", "v2"].map(|id| ListedVersion::bare(id, &["OLD".to_owned()]));
    let budget = Budget::new(100);
    let held = budget.reserve(100).await;
    let values = HashMap::from([("v1".to_owned(), FetchedValue::Value(SecretValue::text("12345".into())))]);
    let fetched = assemble(&listed, Ok(described), parts(&versions), (values, Some(held)), None);
    let found: Vec<_> = fetched.versions.iter().map(|it| (it.id.as_str(), it.current, it.labels.clone())).collect();
    assert_eq!(found, [("v1", true, vec!["AWSCURRENT".to_owned()]), ("v2", false, vec![])]);
    assert!(matches!(&fetched.versions[0].value, FetchedValue::Value(value) if value.expose() == b"12345"));
    assert!(matches!(fetched.versions[1].value, FetchedValue::None));
    assert!(fetched.agrees && fetched.secret.unreadable.is_empty());
    assert_eq!(fetched.secret.facets.policy.as_deref(), Some("{}"));
    let raw = json!({
        "DescribeSecret": 1,
        "GetResourcePolicy": "policy",
        "ListSecretVersionIds": "versions",
        "ListSecrets": listed.secret.raw["ListSecrets"],
    });
    assert_eq!(fetched.secret.raw, raw);
    assert!(has(&budget, 95) && !has(&budget, 96), "what its five bytes do not take is free");
}

#[test]
fn what_was_refused_is_named_but_for_what_a_scheduled_deletion_explains() {
    let no = |code: &str| code.to_owned();
    let refused = |described: Answer<Described>, code: &str, unsettled: Option<String>| {
        let parts = Parts { refused: Some(no(code)), policy: Err(no(code)), raw_versions: Json::Null, ..parts(&[]) };
        let fetched = assemble(&pair().0, described, parts, (HashMap::new(), None), unsettled);
        let named = fetched.secret.unreadable.iter().map(|it| format!("{} {}", it.operation, it.reason));
        (fetched.agrees, named.collect::<Vec<_>>(), fetched.secret.raw)
    };
    let described = || Ok(pair().1);
    let (listed, mut other) = pair();
    other.secret.facets.description = Some("another".into());
    assert!(!assemble(&listed, Ok(other), parts(&[]), (HashMap::new(), None), None).agrees, "it says something else");
    let (agrees, named, raw) = refused(described(), "InvalidRequestException", None);
    let both = ["ListSecretVersionIds InvalidRequestException", "GetResourcePolicy InvalidRequestException"];
    assert_eq!((agrees, named), (true, both.map(no).to_vec()));
    assert_eq!(raw.as_object().unwrap().keys().collect::<Vec<_>>(), ["DescribeSecret", "ListSecrets"]);
    let (agrees, named, _) = refused(described(), "x", Some(no(CHANGED)));
    let all = ["DescribeSecret ChangedWhileReading", "ListSecretVersionIds x", "GetResourcePolicy x"];
    assert_eq!((agrees, named), (false, all.map(no).to_vec()));
    let (agrees, named, _) = refused(Err(no("y")), "x", None);
    let all = ["DescribeSecret y", "ListSecretVersionIds x", "GetResourcePolicy x"];
    assert_eq!((agrees, named), (false, all.map(no).to_vec()));
    let scheduled = || {
        let (_, described) = pair();
        let deleted = Some(jiff::Timestamp::UNIX_EPOCH);
        Ok(Described { secret: Secret { deleted, ..described.secret }, ..described })
    };
    assert_eq!(refused(scheduled(), "InvalidRequestException", None).1, [""; 0]);
    assert_eq!(refused(scheduled(), "x", None).1.len(), 2);
}
