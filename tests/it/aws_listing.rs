//! A long listing in parts: whatever the names are, whatever the provider makes of filters, and whoever writes meanwhile.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use lifeboat::{
    emulator::{Control, Sandbox, SandboxOptions},
    provider::{
        Source as _,
        aws::{Aws, AwsSettings, StaticCredentials},
    },
};
use serde_json::{Value as Json, json};

use crate::{
    servers::Moto,
    stub::{Reply, Stub},
};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";

async fn connect(endpoint: &str) -> Aws {
    let credentials = StaticCredentials { access_key: ACCOUNT.into(), secret_key: "secret".to_owned().into() };
    let endpoint = Some(endpoint.to_owned());
    let settings =
        AwsSettings { endpoint, credentials: Some(credentials), rate_share: 1.0, ..AwsSettings::region(REGION) };
    Aws::connect(settings).await.unwrap()
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(ACCOUNT, "secret", None, None, "test"));
    Client::from_conf(config.build())
}

async fn sandbox(names: &BTreeSet<String>) -> Sandbox {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    for name in names {
        plant(&sandbox.control(), name);
    }
    sandbox
}

fn plant(control: &Control, name: &str) {
    control.seed_raw(ACCOUNT, REGION, &json!({ "Name": name })).unwrap();
}

/// What the provider lists, each name with how often.
async fn listed(endpoint: &str) -> BTreeMap<String, u32> {
    let aws = connect(endpoint).await;
    let mut found = BTreeMap::new();
    let mut listing = aws.list();
    while let Some(listed) = listing.try_next().await.unwrap() {
        *found.entry(listed.name).or_default() += 1;
    }
    found
}

fn once(names: &BTreeSet<String>) -> BTreeMap<String, u32> {
    names.iter().map(|name| (name.clone(), 1)).collect()
}

/// A number that looks random, a different one for each seed.
fn scramble(seed: u64) -> u64 {
    let mut state = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state ^ (state >> 27)
}

/// Text of these characters.
fn word(seed: u64, alphabet: &str, length: u64) -> String {
    let characters: Vec<char> = alphabet.chars().collect();
    let pick = |at| usize::try_from(scramble(seed.wrapping_mul(64) + at)).unwrap() % characters.len();
    (0..length).map(|at| characters[pick(at)]).collect()
}

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

/// Estates by how their names are made.
fn estates() -> Vec<(&'static str, BTreeSet<String>)> {
    let many = |make: &dyn Fn(u64) -> String| (0..3_000).map(make).collect::<BTreeSet<String>>();
    let environments = ["prod", "prod-eu", "staging", "dev"];
    vec![
        ("numbered", many(&|n| format!("bench/{n:07}"))),
        ("hexadecimal", many(&|n| format!("{:016x}", scramble(n)))),
        ("random letters", many(&|n| word(n, LETTERS, 10))),
        ("odd characters", many(&|n| word(n, "/_+=.@-!a", 9))),
        ("managed", many(&|n| format!("rds!cluster-{:08x}", scramble(n)))),
        ("an exclamation mark in front", many(&|n| format!("!{}{n}", word(n, "!a/", 3)))),
        ("no ASCII", many(&|n| format!("ü{}{n}", word(n, "éa ", 3)))),
        (
            "one is the beginning of the next",
            (1..=2_400).map(|n| "a".repeat(n % 500 + 1) + &"b/".repeat(n / 500)).collect(),
        ),
        ("a huge common prefix", many(&|n| format!("{}{n}", "x".repeat(500)))),
        (
            "by application",
            many(&|n| {
                let weight = usize::try_from(scramble(n) % 20).unwrap();
                format!("{}/app-{}/{}", environments[weight.saturating_sub(16)], scramble(n) % 90, word(n, LETTERS, 6))
            }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_secret_is_listed_once_whatever_its_name_is() {
    for (what, names) in estates() {
        let sandbox = sandbox(&names).await;
        sandbox.control().set_latency(Duration::from_millis(4));
        let begun = Instant::now();
        let found = listed(&sandbox.endpoint()).await;
        let (took, calls) = (begun.elapsed(), sandbox.control().calls()["ListSecrets"]);
        println!("{what}: {} in {calls} calls, {took:.2?}", names.len());
        assert_eq!(found, once(&names), "{what}");
        assert!(calls < 250, "{what}: {calls} calls for {} secrets", names.len());
        sandbox.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_listing_costs_its_pages_and_nothing_more() {
    for count in [0, 1, 99, 100, 101, 1_600] {
        let names: BTreeSet<String> = (0..count).map(|n| word(n, LETTERS, 12)).collect();
        let sandbox = sandbox(&names).await;
        assert_eq!(listed(&sandbox.endpoint()).await, once(&names));
        assert_eq!(sandbox.control().calls()["ListSecrets"], count.div_ceil(100).max(1), "{count} secrets");
        sandbox.shutdown().await;
    }
    let sandbox = sandbox(&(0..2_200).map(|n| word(n, LETTERS, 12)).collect()).await;
    sandbox.control().set_empty_first_page(true);
    assert_eq!(listed(&sandbox.endpoint()).await.len(), 2_200, "an empty page is not the end of any part");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_exists_all_the_time_is_listed_while_others_come_and_go() {
    for (round, (what, names)) in estates().into_iter().enumerate().filter(|(at, _)| [0, 2, 3, 9].contains(at)) {
        let sandbox = sandbox(&names).await;
        let (control, client) = (sandbox.control(), client(&sandbox.endpoint()));
        let passing: Vec<String> = names.iter().step_by(3).cloned().collect();
        let steady: BTreeSet<String> =
            names.iter().filter(|name| passing.binary_search(name).is_err()).cloned().collect();
        control.set_latency(Duration::from_millis(15));
        let ended = AtomicBool::new(false);
        let write = async {
            let mut changes = 0_u64;
            while !ended.load(Ordering::Relaxed) {
                let batch = (0..16).map(|at| scramble(changes * 16 + at + round as u64));
                stream::iter(batch)
                    .for_each_concurrent(16, |seed| {
                        let (control, client, passing) = (&control, &client, &passing);
                        async move {
                            let one = &passing[usize::try_from(seed).unwrap() % passing.len()];
                            plant(control, &format!("{one}{}", seed % 1_000));
                            plant(control, &word(seed, LETTERS, 8));
                            let delete = client.delete_secret().secret_id(one).force_delete_without_recovery(true);
                            delete.send().await.unwrap();
                            plant(control, one);
                        }
                    })
                    .await;
                changes += 1;
            }
            changes * 16
        };
        let list = async {
            let found = listed(&sandbox.endpoint()).await;
            ended.store(true, Ordering::Relaxed);
            found
        };
        let (found, changes) = tokio::join!(list, write);
        let missing: Vec<_> = steady.iter().filter(|name| found.get(*name) != Some(&1)).collect();
        println!("{what}: {} listed, {changes} made and deleted meanwhile", found.len());
        assert!(missing.is_empty(), "{what}: {missing:?}");
        assert!(changes > 50, "{what}: only {changes} changes");
        sandbox.shutdown().await;
    }
}

/// What a provider makes of filters.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Filters {
    /// As AWS says.
    Kept,
    /// Refused.
    Refused,
    /// Not looked at.
    Ignored,
    /// An exclamation mark is one like any other character.
    NoExclusion,
    /// A name passes when one of several exclusions lets it.
    AnyExclusion,
    /// Only the first filter counts.
    FirstAlone,
}

impl Filters {
    fn pass(self, filters: &Json, name: &str) -> bool {
        let filters = filters.as_array().map(Vec::as_slice).unwrap_or_default();
        let values = |filter: &Json| -> Vec<String> { serde_json::from_value(filter["Values"].clone()).unwrap() };
        let passes = |filter: &Json| {
            let values = values(filter);
            let (not, plain): (Vec<&String>, Vec<&String>) =
                values.iter().partition(|value| self != Self::NoExclusion && value.starts_with('!'));
            let excluded = |value: &&String| name.starts_with(&value[1..]);
            let plain = plain.is_empty() || plain.iter().any(|value| name.starts_with(*value));
            let not = if self == Self::AnyExclusion {
                !not.is_empty() && not.iter().all(excluded)
            } else {
                not.iter().any(excluded)
            };
            plain && !not
        };
        match self {
            Self::Ignored | Self::Refused => true,
            Self::FirstAlone => filters.first().is_none_or(passes),
            _ => filters.iter().all(passes),
        }
    }

    fn page(self, names: &BTreeSet<String>, body: &Json) -> Reply {
        if self == Self::Refused && !body["Filters"].is_null() {
            return Reply::Error("InvalidParameterException", "filters are not supported");
        }
        let mut names: Vec<&String> = names.iter().filter(|name| self.pass(&body["Filters"], name)).collect();
        if body["SortOrder"] == "desc" {
            names.reverse();
        }
        let start: usize = body["NextToken"].as_str().map_or(0, |token| token.parse().unwrap());
        let page: Vec<Json> = names
            .iter()
            .skip(start)
            .take(100)
            .map(|name| json!({ "ARN": format!("arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{name}-AbCdEf"), "Name": name }))
            .collect();
        let next = if start + 100 < names.len() { json!((start + 100).to_string()) } else { Json::Null };
        Reply::Ok(json!({ "SecretList": page, "NextToken": next }))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_takes_filters_otherwise_is_listed_whole_all_the_same() {
    use Filters::{AnyExclusion, FirstAlone, Ignored, Kept, NoExclusion, Refused};
    for (what, names) in estates().into_iter().filter(|(what, _)| ["random letters", "by application"].contains(what)) {
        for filters in [Kept, Refused, Ignored, NoExclusion, AnyExclusion, FirstAlone] {
            let all = names.clone();
            let stub = Stub::start(move |_, body| filters.page(&all, body)).await;
            let found = listed(&stub.endpoint).await;
            let calls = stub.count("ListSecrets");
            println!("{what}, filters {filters:?}: {calls} calls");
            assert_eq!(found, once(&names), "{what}, filters {filters:?}");
            assert!(calls < 400, "{what}, filters {filters:?}: {calls} calls");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn moto_lists_everything_too() {
    let moto = Moto::start();
    let client = client(&moto.endpoint);
    let names: BTreeSet<String> =
        (0..1_800).map(|n| format!("{}/{}", word(n, "abcdefghijkl", 1), word(n, LETTERS, 8))).collect();
    stream::iter(&names)
        .for_each_concurrent(8, |name| {
            let client = &client;
            async move { drop(client.create_secret().name(name).send().await.unwrap()) }
        })
        .await;
    assert_eq!(listed(&moto.endpoint).await, once(&names));
}
