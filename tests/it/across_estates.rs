//! Estates of AWS and of Vault as strategies, and the judgement of a stay in the other kind: what came back equal plus what was
//! named lost or changed must be everything.

use std::collections::{BTreeMap, BTreeSet};

use lifeboat::{
    model::{Digest, Facets, Lost, Record, Replica, Rotation, Secret, SecretValue, Tag, ValueState, Version, Withheld},
    provider::{Fetched, FetchedValue, settings},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{json, value::RawValue};

/// A value, or why there is none.
#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    Text(String),
    Bytes(Vec<u8>),
    Fields(String),
    Nothing,
    Withheld(Withheld),
    Unreadable,
}

/// One version.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    pub id: String,
    pub current: bool,
    pub labels: Vec<String>,
    pub created: Option<i64>,
    pub value: Plain,
    /// Deleted or destroyed since its value was captured.
    pub since: Option<Withheld>,
}

/// One secret.
#[derive(Clone, Debug, PartialEq)]
pub struct One {
    pub name: String,
    pub facets: Facets,
    pub versions: Vec<Item>,
}

/// What a plan says of a secret beside its writes.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub lost: Vec<Lost>,
    pub notes: Vec<String>,
    pub refused: Option<String>,
    /// The versions of the stay, and what they were before.
    pub stay: BTreeMap<String, String>,
}

impl Told {
    fn loses(&self, what: &str) -> bool {
        self.lost.iter().any(|lost| lost.what == what)
    }

    fn notes(&self, words: &str) -> bool {
        self.notes.iter().any(|note| note.contains(words))
    }
}

impl Plain {
    pub fn of(value: &SecretValue) -> Self {
        let text = || String::from_utf8(value.expose().to_vec()).unwrap();
        match value {
            SecretValue::Text(_) => Self::Text(text()),
            SecretValue::Bytes(_) => Self::Bytes(value.expose().to_vec()),
            SecretValue::Fields(_) => Self::Fields(text()),
        }
    }

    pub fn value(&self) -> Option<SecretValue> {
        match self {
            Self::Text(text) => Some(SecretValue::text(text.clone())),
            Self::Bytes(bytes) => Some(SecretValue::bytes(bytes.clone())),
            Self::Fields(text) => Some(SecretValue::fields(text.clone())),
            Self::Nothing | Self::Withheld(_) | Self::Unreadable => None,
        }
    }

    /// The same value; the spelling of an object may be another one, which every plan of a restore across kinds says by its
    /// way of writing, but no digit of a number.
    fn is_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) | (Self::Fields(one), Self::Fields(other)) => {
                one == other || (is_object(one) && is_same_json(one, other))
            }
            _ => self == other,
        }
    }
}

impl One {
    /// As it was read.
    pub fn of(fetched: &Fetched) -> Self {
        let item = |version: &lifeboat::provider::FetchedVersion| Item {
            id: version.id.clone(),
            current: version.current,
            labels: version.labels.clone(),
            created: version.created.map(jiff::Timestamp::as_second),
            value: match &version.value {
                FetchedValue::Value(value) => Plain::of(value),
                FetchedValue::Withheld(how) => Plain::Withheld(*how),
                FetchedValue::None | FetchedValue::Known => Plain::Nothing,
                FetchedValue::Unreadable(_) => Plain::Unreadable,
            },
            since: None,
        };
        let secret = &fetched.secret;
        Self {
            name: secret.name.clone(),
            facets: secret.facets.clone(),
            versions: fetched.versions.iter().map(item).collect(),
        }
    }

    /// As an index keeps it, and its values by version.
    pub fn record(&self) -> (Record, BTreeMap<String, SecretValue>) {
        let version = |(line, item): (u32, &Item)| {
            let value = item.value.value();
            let mut version = Version {
                id: item.id.clone(),
                current: item.current,
                labels: item.labels.clone(),
                created: item.created.map(|second| jiff::Timestamp::from_second(second).unwrap()),
                facets: lifeboat::model::VersionFacets::default(),
                value: match (&value, &item.value) {
                    (Some(value), _) => ValueState::Stored {
                        pack: Digest::of(self.name.as_bytes()),
                        line,
                        kind: value.kind(),
                        size: value.size(),
                    },
                    (None, Plain::Withheld(reason)) => ValueState::Withheld { reason: *reason },
                    (None, Plain::Unreadable) => ValueState::Unreadable { reason: "AccessDenied".into() },
                    (None, _) => ValueState::None,
                },
            };
            let state = match &item.value {
                Plain::Withheld(how @ (Withheld::Deleted | Withheld::Destroyed)) => Some(*how),
                _ => item.since,
            };
            if let Some(state) = state {
                version.facets.other.insert("state".into(), json!(state));
            }
            version
        };
        let secret = Secret {
            name: self.name.clone(),
            id: format!("{}@2026-01-01T00:00:00Z", self.name),
            facets: self.facets.clone(),
            ..Secret::default()
        };
        let versions = (0..).zip(&self.versions).map(version).collect();
        let read = "2026-01-02T00:00:00Z".parse().unwrap();
        let values = self.versions.iter().filter_map(|item| Some((item.id.clone(), item.value.value()?))).collect();
        (Record { secret, versions, read, listing: None }, values)
    }
}

fn is_object(text: &str) -> bool {
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok() || text == "null"
}

/// Whether two texts say the same, digit by digit.
fn is_same_json(one: &str, other: &str) -> bool {
    let (one, other) = (one.trim(), other.trim());
    if [one, other] == ["null", "{}"] || [one, other] == ["{}", "null"] {
        return true;
    }
    match (one.as_bytes().first(), other.as_bytes().first()) {
        (Some(b'{'), Some(b'{')) => {
            let parse = |text| serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(text).unwrap();
            let (one, other) = (parse(one), parse(other));
            one.len() == other.len()
                && one.iter().all(|(key, value)| {
                    other
                        .get(key)
                        .is_some_and(|other| value.get() == other.get() || is_same_json(value.get(), other.get()))
                })
        }
        (Some(b'['), Some(b'[')) => {
            let parse = |text| serde_json::from_str::<Vec<Box<RawValue>>>(text).unwrap();
            let (one, other) = (parse(one), parse(other));
            one.len() == other.len() && one.iter().zip(&other).all(|(one, other)| is_same_json(one.get(), other.get()))
        }
        (Some(b'"'), Some(b'"')) => {
            let parse = |text| serde_json::from_str::<String>(text).unwrap();
            parse(one) == parse(other)
        }
        (Some(b'-' | b'0'..=b'9'), Some(b'-' | b'0'..=b'9')) => decimal(one) == decimal(other),
        _ => one == other,
    }
}

/// A number as its sign, its digits and the power of ten of the last one.
fn decimal(text: &str) -> (bool, String, i64) {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (is_negative, mantissa) = mantissa.strip_prefix('-').map_or((false, mantissa), |rest| (true, rest));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{part}");
    let trimmed = digits.trim_end_matches('0');
    let exponent: i64 = exponent.trim_start_matches('+').parse().unwrap();
    let zeros = i64::try_from(digits.len() - trimmed.len()).unwrap();
    let digits = trimmed.trim_start_matches('0').to_owned();
    if digits.is_empty() {
        return (is_negative, digits, 0);
    }
    (is_negative, digits, exponent - i64::try_from(part.len()).unwrap() + zeros)
}

/// What of a secret neither came back nor was named.
pub fn unaccounted(before: &One, after: Option<&One>, told: &Told) -> Vec<String> {
    let Some(after) = after else {
        return if told.refused.is_some() { Vec::new() } else { vec!["the secret".into()] };
    };
    let mut found = facets(&before.facets, &after.facets, told);
    found.extend(versions(before, after, told));
    found
}

fn facets(before: &Facets, after: &Facets, told: &Told) -> Vec<String> {
    let Facets { description, key, tags, policy, rotation, replicas, primary_region: _, r#type, managed, other } =
        before;
    let is_cut = told.loses("metadata");
    let mut found = Vec::new();
    let mut part = |what: &str, is_same: bool, is_told: bool| {
        if !is_same && !is_told {
            found.push(what.to_owned());
        }
    };
    let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    part("description", filled(description) == filled(&after.description), told.loses("description") || is_cut);
    part("type", *r#type == after.r#type, told.loses("type") || is_cut);
    part("key", *key == after.key, told.notes("its key"));
    part("policy", *policy == after.policy, told.loses("policy"));
    part("rotation", *rotation == after.rotation, told.notes("rotation") || told.loses("rotation"));
    part("replicas", *replicas == after.replicas, told.notes("replicas") || told.loses("replicas"));
    part("managed", *managed == after.managed, told.notes("manages"));
    let map = |tags: &[Tag]| tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect::<BTreeMap<_, _>>();
    let (tags, back) = (map(tags), map(&after.tags));
    part("tags are there twice", back.len() == after.tags.len(), false);
    for key in tags.keys().chain(back.keys()).collect::<BTreeSet<_>>() {
        let is_told = told.loses(&format!("tag {key}")) || is_cut || (is_system(key) && told.notes(key));
        part(&format!("tag {key}"), tags.get(key) == back.get(key), is_told);
    }
    let (set, back) = (settings(before), settings(after));
    for name in set.keys().chain(back.keys()).collect::<BTreeSet<_>>() {
        part(name, set.get(name) == back.get(name), told.loses(name) || told.notes(name));
    }
    for name in other.keys().filter(|name| !["keep", "check_and_set"].contains(&name.as_str())) {
        part(name, after.other.get(name) == other.get(name), told.loses(name));
    }
    found
}

/// A tag that AWS gives itself; nobody else may.
fn is_system(key: &str) -> bool {
    key.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"))
}

fn versions(before: &One, after: &One, told: &Told) -> Vec<String> {
    let is_cut = told.loses("metadata");
    let mut found = Vec::new();
    for item in &before.versions {
        let is_told = told.loses(&item.id) || told.notes(&format!("version {}", item.id));
        let back = after.versions.iter().find(|back| back.id == item.id);
        let state = match &item.value {
            Plain::Withheld(how) => Some(*how),
            _ => item.since,
        };
        match (state, back, item.value.value()) {
            _ if is_told => {}
            (Some(how), Some(back), _) if back.value == Plain::Withheld(how) => {}
            (None, Some(back), Some(_)) if back.value.is_like(&item.value) => {
                if back.labels != item.labels && !is_cut {
                    found.push(format!("the labels of version {}", item.id));
                }
                if back.current != item.current {
                    found.push(format!("whether version {} is the current one", item.id));
                }
            }
            // What says which id it had is lost by name; its value is not.
            (None, None, Some(_)) if is_cut && after.versions.iter().any(|it| it.value.is_like(&item.value)) => {}
            _ => found.push(format!("version {}", item.id)),
        }
    }
    let is_known = |item: &&Item| before.versions.iter().any(|known| known.id == item.id);
    found.extend(after.versions.iter().filter(|item| !is_known(item) && !is_cut).map(|it| format!("new {}", it.id)));
    found
}

fn words(words: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    select(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

/// JSON as people and programs write it: odd numbers, keys that are there twice, spaces.
fn object() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => "[ -~äß🔑]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        2 => any::<i32>().prop_map(|number| number.to_string()),
        1 => words(&["1.0", "-2.5e3", "0.1", "1e3", "1.10", "-0", "9007199254740993", "0.12345678901234567", "1E-7", "123456789012345", "2E+2"]),
        1 => words(&["null", "true", "[]", "{}", "[1, 2.0,\"x\"]", "{\"deep\": {\"a\":1.50}}"]),
    ];
    let key = prop_oneof![4 => "[a-z]{1,6}", 1 => words(&["value", "base64", "Ü", "", "a\\nb"])];
    vec((key, leaf), 0..6).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
        format!("{{{}}}", fields.join(", "))
    })
}

fn aws_value() -> impl Strategy<Value = Plain> {
    prop_oneof![
        3 => object().prop_map(Plain::Text),
        3 => ".{1,40}".prop_map(Plain::Text),
        1 => words(&["{\"value\":\"x\"}", "{\"base64\":\"aGk=\"}", "[1]", "null", "\"text\"", "{\"a\":1,\"a\":2}", "line\r\nline\u{0}", "{}"])
            .prop_map(Plain::Text),
        1 => (1_usize..=65_536).prop_map(|size| Plain::Text("x".repeat(size))),
        2 => vec(any::<u8>(), 1..40).prop_map(Plain::Bytes),
        1 => "[a-zé]{1,9}".prop_map(|text| Plain::Bytes(text.into_bytes())),
    ]
}

fn aws_tags() -> impl Strategy<Value = Vec<Tag>> {
    let key = prop_oneof![
        4 => "[a-zA-Z]{1,8}",
        1 => words(&["a b", "größe", "owner@x", "lifeboat.x", "lifeboat.0", "aws:cloudformation:stack-name"]),
        1 => Just("k".repeat(128)),
    ];
    let value = prop_oneof![4 => "[a-z0-9 _.:/=+@-]{0,12}", 1 => Just(String::new()), 1 => Just("ü".repeat(256))];
    let tags = |most: usize| {
        let (key, value) = (key.clone(), value.clone());
        proptest::collection::btree_map(key, value, 0..=most)
            .prop_map(|tags| tags.into_iter().map(|(key, value)| Tag { key, value }).collect::<Vec<_>>())
    };
    prop_oneof![6 => tags(5), 1 => tags(50)]
}

fn aws_facets(api: bool) -> impl Strategy<Value = Facets> {
    let maybe = |text: &'static str| prop_oneof![3 => Just(None), 1 => Just(Some(text.to_owned()))];
    let description =
        prop_oneof![2 => Just(None), 2 => "[ -~ß🔑]{0,40}".prop_map(Some), 1 => Just(Some("d".repeat(2_048)))];
    let rotation = prop_oneof![
        4 => Just(None),
        1 => any::<bool>().prop_map(|enabled| Some(Rotation {
            enabled,
            lambda: Some("arn:aws:lambda:eu-central-1:111111111111:function:rotate".into()),
            schedule: Some("rate(10 days)".into()),
            ..Rotation::default()
        })),
    ];
    let replica = Replica { region: "us-east-1".into(), key: None, status: Some("InSync".into()) };
    let replicas = prop_oneof![5 => Just(Vec::new()), u32::from(!api) => Just(vec![replica])];
    let key = maybe("arn:aws:kms:eu-central-1:111111111111:key/00000000-0000-4000-8000-000000000000");
    let policy = maybe("{\"Version\":\"2012-10-17\",\"Statement\":[]}");
    let other = prop_oneof![9 => Just(BTreeMap::new()), u32::from(!api) => Just(BTreeMap::from([("annotations".to_owned(), json!({"a": 1}))]))];
    (description, key, aws_tags(), policy, rotation, replicas, maybe("SalesforceClientSecret"), other).prop_map(
        |(description, key, tags, policy, rotation, replicas, r#type, other)| Facets {
            description,
            key,
            tags,
            policy,
            rotation,
            replicas,
            r#type,
            managed: None,
            primary_region: None,
            other,
        },
    )
}

/// A secret of AWS. With `api`, only what its own calls can make.
pub fn aws(api: bool) -> impl Strategy<Value = One> {
    let count = prop_oneof![1 => Just(0_usize), 8 => 1..7_usize, 2 => 8..30_usize, 1 => 97..112_usize];
    let name = prop_oneof![
        6 => "[a-zA-Z0-9_+=.@-]{1,8}(/[a-zA-Z0-9_+=@-]{1,8}){0,3}",
        1 => words(&["a//b", "/a", "a/", "a/../b", "./a", "x+y=z@w._-"]),
        1 => Just("n".repeat(512)),
    ];
    (name, aws_facets(api), count, any::<u64>()).prop_flat_map(move |(name, facets, count, seed)| {
        let values = vec((aws_value(), 0..12_u8, any::<bool>()), count);
        values.prop_map(move |values| {
            let count = values.len();
            let at = |shift: u32| usize::try_from(seed >> shift).unwrap_or(usize::MAX) % count.max(1);
            let (current, previous) = (at(3), at(9));
            let item = |(number, (value, odd, has_time)): (usize, (Plain, u8, bool))| {
                let mut labels = Vec::new();
                if number == current {
                    labels.push("AWSCURRENT".to_owned());
                } else if number == previous {
                    labels.push("AWSPREVIOUS".to_owned());
                }
                if number == at(17) {
                    labels.extend(["BLUE".to_owned(), "GREEN and more".to_owned()]);
                }
                if number == at(21) && number != current {
                    labels.push("AWSPENDING".to_owned());
                }
                labels.sort();
                let id = match seed % 3 {
                    0 => format!("{number:08}-0000-4000-8000-{:012}", seed % 1_000_000),
                    1 => format!("{:032}", seed % 1_000 + number as u64),
                    _ => format!("{number:03}-{}", "r".repeat(60)),
                };
                let is_current = number == current;
                let value = match odd {
                    0 if !is_current && !api => Plain::Unreadable,
                    1 if !is_current => Plain::Nothing,
                    _ => value,
                };
                let time = 1_700_000_000 + i64::try_from(number / 2).unwrap();
                let created = (api || has_time).then_some(time);
                Item { id, current: is_current, labels, created, value, since: None }
            };
            let versions = values.into_iter().enumerate().map(item).collect();
            One { name: name.clone(), facets: facets.clone(), versions }
        })
    })
}

/// A value as the engine gives it: keys sorted, numbers as floats.
fn vault_value() -> impl Strategy<Value = String> {
    prop_oneof![
        5 => object().prop_map(|text| crate::across::engines(&text).expect("numbers are floats")),
        1 => words(&["null", "{}", "{\"value\":\"text\"}", "{\"base64\":\"aGk=\"}", "{\"n\":1e+21}", "{\"n\":9007199254740992}"]),
        1 => (60_000_usize..70_000).prop_map(|size| format!("{{\"v\":\"{}\"}}", "x".repeat(size))),
    ]
}

fn vault_tags() -> impl Strategy<Value = Vec<Tag>> {
    let key = prop_oneof![
        4 => "[a-zA-Z]{1,8}",
        1 => words(&["a*b", "größe🔑", "aws:x", "lifeboat.0", "lifeboat.7", "lifeboat.x", "lifeboat:mine"]),
        1 => Just("k".repeat(128)),
    ];
    let value = prop_oneof![4 => "[ -~]{1,12}", 1 => Just("ü".repeat(256)), 1 => Just("v".repeat(512))];
    let tags = |most: usize| {
        let (key, value) = (key.clone(), value.clone());
        proptest::collection::btree_map(key, value, 0..=most)
            .prop_map(|tags| tags.into_iter().map(|(key, value)| Tag { key, value }).collect::<Vec<_>>())
    };
    prop_oneof![6 => tags(5), 1 => tags(64)]
}

/// A key of a Vault. With `api`, only what its own calls can make.
pub fn vault(api: bool) -> impl Strategy<Value = One> {
    let count = prop_oneof![1 => Just(0_usize), 8 => 1..7_usize, 2 => 8..30_usize];
    let name = prop_oneof![
        6 => "[a-zA-Z0-9_+=.@-]{2,8}(/[a-zA-Z0-9_+=@-]{1,8}){0,3}",
        1 => words(&["odd name", "ü/ö", "a%2Fb", "a?b", "a#b", "a*b+c", "p\\q"]),
        1 => Just(format!("long/{}", "n".repeat(600))),
    ];
    let oldest = prop_oneof![3 => Just(1_u64), 1 => 2..60_u64];
    let settings = (any::<bool>(), any::<bool>(), any::<bool>());
    (name, vault_tags(), count, oldest, settings).prop_flat_map(move |(name, tags, count, oldest, settings)| {
        let values = vec((vault_value(), 0..10_u8), count);
        values.prop_map(move |values| {
            let count = values.len();
            let (has_most, checks, ends) = settings;
            let mut facets = Facets { tags: tags.clone(), ..Facets::default() };
            // Rows below the oldest are gone because no more were kept, so what is kept is exactly so many.
            let rows = u64::try_from(count.max(1)).unwrap();
            let most = match (oldest, has_most) {
                (1, false) if count <= 10 => 0,
                (1, _) => rows + 3,
                _ => rows,
            };
            let after = if ends { "2400h0m0s" } else { "0s" };
            if most > 0 || ends {
                facets.other.insert("keep".into(), json!({ "most_versions": most, "delete_after": after }));
            }
            if checks {
                facets.other.insert("check_and_set".into(), json!(true));
            }
            let oldest = if count == 0 { 1 } else { oldest };
            let item = |(at, (value, odd)): (usize, (String, u8))| {
                let (value, since) = match odd {
                    0 => (Plain::Withheld(Withheld::Deleted), None),
                    1 => (Plain::Withheld(Withheld::Destroyed), None),
                    2 if !api => (Plain::Fields(value), Some(Withheld::Deleted)),
                    3 if !api => (Plain::Fields(value), Some(Withheld::Destroyed)),
                    _ => (Plain::Fields(value), None),
                };
                let number = oldest + u64::try_from(at).unwrap();
                Item {
                    id: number.to_string(),
                    current: at + 1 == count,
                    labels: Vec::new(),
                    created: Some(1_700_000_000 + i64::try_from(number).unwrap()),
                    value,
                    since,
                }
            };
            let versions = values.into_iter().enumerate().map(item).collect();
            One { name: name.clone(), facets, versions }
        })
    })
}

/// The ways in which a part can go missing or be made up without a word.
pub fn plants() -> Vec<(&'static str, fn(&mut One))> {
    vec![
        ("tag team", |one| one.facets.tags.retain(|tag| tag.key != "team")),
        ("tag team", |one| one.facets.tags.iter_mut().for_each(|tag| tag.value.push('x'))),
        ("tag more", |one| one.facets.tags.push(Tag { key: "more".into(), value: String::new() })),
        ("description", |one| one.facets.description = None),
        ("type", |one| one.facets.r#type = None),
        ("policy", |one| one.facets.policy = Some("{}".into())),
        ("max_versions", |one| drop(one.facets.other.insert("keep".into(), json!({ "most_versions": 77 })))),
        ("the labels of version", |one| drop(one.versions[0].labels.pop())),
        ("the labels of version", |one| one.versions[1].labels.push("made up".into())),
        ("version", |one| drop(one.versions.remove(0))),
        ("version", |one| one.versions[0].value = Plain::Text("another".into())),
        ("version", |one| one.versions[0].value = Plain::Withheld(Withheld::Deleted)),
        ("version", |one| one.versions[0].id.push('x')),
        ("new", |one| {
            let item = Item { id: "9".repeat(32), labels: Vec::new(), current: false, ..one.versions[0].clone() };
            one.versions.push(item);
        }),
        ("current", |one| one.versions.iter_mut().for_each(|item| item.current = !item.current)),
    ]
}
