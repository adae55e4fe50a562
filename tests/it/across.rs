//! From one kind into another and back, by the rules alone: any secret of AWS over Vault, any key of Vault over AWS. What comes
//! back equal plus what was named is everything, and every write is one that the other side takes.
#![cfg(feature = "vault")]

use std::collections::BTreeMap;

use lifeboat::{
    model::{Desired, Facets, Moved, Options, Place, Planned, SecretValue, State, Step, Tag, Withheld},
    provider::{Context, Goal, Listed, Relation, Source as _, Target as _, codec, memory::Memory, rules},
};
use proptest::prelude::*;
use serde_json::value::RawValue;

use crate::across_estates::{Item, One, Plain, Told, aws, plants, unaccounted, vault};

const CLUSTER: &str = "c0d46f59-821f-71e1-8d8b-04cb47d2dca2";
const MOUNT: &str = "kv@fe5eb294-cdb7-eb7b-5ab2-20db29d5bf61";

fn place(provider: &str, account: &str, region: &str) -> Place {
    Place { provider: provider.into(), account: account.into(), region: region.into() }
}

/// Every write of a record with its value, as a restore would send them; what the plan says goes into `told`.
fn writes(
    one: &One,
    (from, to): (&Place, &Place),
    told: &mut Told,
) -> Option<(Desired, Vec<(Planned, Option<SecretValue>)>)> {
    let rules = rules(&to.provider).unwrap();
    let (record, values) = one.record();
    let (presence, policies, moved) = (BTreeMap::new(), BTreeMap::new(), Moved::default());
    let (options, time) = (Options::default(), "2026-01-02T00:00:00Z".parse().unwrap());
    let context = Context {
        source: from,
        target: to,
        options: &options,
        time,
        presence: &presence,
        policies: &policies,
        moved: &moved,
    };
    let fault = rules.name_fault(from, &one.name, &one.name).or_else(|| rules.refusal(&record, &context));
    let wish = rules.wish(&record, &context, false);
    told.refused = told.refused.take().or(fault).or(wish.refusal);
    if told.refused.is_some() {
        return None;
    }
    told.lost.extend(wish.lost);
    told.notes.extend(wish.notes);
    let writes = rules.writes(&wish.desired, &State::default(), Goal::Make);
    let mut imagined = State::default();
    let mut sent = Vec::new();
    for planned in writes.first.into_iter().chain(writes.then).chain(writes.last) {
        rules.after(&mut imagined, &planned.write);
        let value = planned.source.as_ref().map(|id| {
            let value = &values[id];
            codec::encode(&planned.codec, value).unwrap().unwrap_or_else(|| Plain::of(value).value().unwrap())
        });
        sent.push((planned, value));
    }
    assert_eq!(rules.relate(&wish.desired, &imagined), Relation::Same, "the writes lead to what is wanted");
    Some((wish.desired, sent))
}

/// A secret that goes into AWS, as it is there; what AWS would not take is a fault of the plan.
async fn into_aws(one: &One, from: &Place, told: &mut Told) -> Option<(Desired, One)> {
    let to = place("aws", "111111111111", "us-west-2");
    let memory = Memory::new(&to.account, &to.region);
    let (desired, writes) = writes(one, (from, &to), told)?;
    for (planned, value) in &writes {
        if let Some(value) = value {
            assert!((0..=65_536).contains(&value.size()), "AWS takes at most 64 KiB");
            assert!(!matches!(value, SecretValue::Fields(_)), "AWS has texts and bytes");
        }
        if let Some(id) = planned.write.writes_version() {
            assert!((32..=64).contains(&id.len()), "AWS takes no id {id}");
        }
        if let Step::Create { tags, .. } | Step::Tag { tags, .. } = &planned.write {
            assert_takes_tags(tags);
        }
        memory.apply(&planned.write, None, value.as_ref()).await.unwrap();
    }
    let fetched = memory.fetch(&Listed::named(&one.name), &|_, _| false).await.unwrap();
    let labels: usize = fetched.versions.iter().map(|version| version.labels.len()).sum();
    assert!(labels <= 20 && fetched.versions.len() <= 98);
    Some((desired, One::of(&fetched)))
}

fn assert_takes_tags(tags: &[Tag]) {
    let is_taken = |tag: &Tag| {
        let (key, value) = (tag.key.chars().count(), tag.value.chars().count());
        let is_character = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
        (1..=128).contains(&key) && value <= 256 && tag.key.chars().chain(tag.value.chars()).all(is_character)
    };
    let keys: std::collections::BTreeSet<&String> = tags.iter().map(|tag| &tag.key).collect();
    assert_eq!(keys.len(), tags.len(), "a key is there twice");
    assert!(tags.len() <= 50 && tags.iter().all(is_taken), "AWS would refuse a tag");
    assert!(!tags.iter().any(|tag| tag.key.to_ascii_lowercase().starts_with("aws:")), "a tag of AWS's own");
}

/// What an engine of KV version 2 makes of a key, by its documentation.
#[derive(Default)]
struct Engine {
    tags: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
    rows: BTreeMap<u64, Result<String, Withheld>>,
    newest: u64,
}

impl Engine {
    fn apply(&mut self, step: &Step, value: Option<&SecretValue>) {
        match step {
            Step::Create { tags, settings, .. } | Step::Configure { tags, settings, .. } => {
                let is_taken = |text: &str, longest: usize| {
                    (1..=longest).contains(&text.len()) && !text.chars().any(char::is_control)
                };
                assert!(tags.len() <= 64, "{} pairs", tags.len());
                assert!(
                    tags.iter().all(|tag| is_taken(&tag.key, 128) && is_taken(&tag.value, 512)),
                    "a pair is refused"
                );
                self.tags = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
                assert_eq!(self.tags.len(), tags.len(), "a key is there twice");
                self.settings.extend(settings.clone());
            }
            Step::Append { version, behind, placeholder, .. } => {
                assert_eq!((behind.parse(), version.parse()), (Ok(self.newest), Ok(self.newest + 1)));
                self.newest += 1;
                let text = match value {
                    Some(SecretValue::Fields(text)) => text.to_string(),
                    None if *placeholder => "{}".into(),
                    _ => panic!("a version is an object"),
                };
                self.rows.insert(self.newest, Ok(engines(&text).expect("the engine takes it")));
                let most = match self.settings.get("max_versions").map_or(0, |most| most.parse().unwrap()) {
                    0 => 10,
                    most => most,
                };
                self.rows.retain(|number, _| number + most > self.newest);
            }
            Step::Withhold { version, how, .. } => {
                *self.rows.get_mut(&version.parse().unwrap()).expect("there is such a version") = Err(*how);
            }
            other => panic!("no step of a Vault: {other:?}"),
        }
    }

    fn read(&self, name: &str) -> One {
        let item = |(number, row): (&u64, &Result<String, Withheld>)| Item {
            id: number.to_string(),
            current: *number == self.newest,
            labels: Vec::new(),
            created: Some(1_800_000_000 + i64::try_from(*number).unwrap()),
            value: row.clone().map_or_else(Plain::Withheld, Plain::Fields),
            since: None,
        };
        let tags = self.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
        let mut facets = Facets { tags, ..Facets::default() };
        let setting = |name: &str| self.settings.get(name).cloned().unwrap_or_default();
        let most: u64 = setting("max_versions").parse().unwrap_or(0);
        let after = setting("delete_version_after");
        if most > 0 || !["", "0s"].contains(&after.as_str()) {
            facets.other.insert("keep".into(), serde_json::json!({ "most_versions": most, "delete_after": after }));
        }
        if setting("cas_required") == "true" {
            facets.other.insert("check_and_set".into(), serde_json::json!(true));
        }
        One { name: name.into(), facets, versions: self.rows.iter().map(item).collect() }
    }
}

/// A text of an object as the engine gives it back: keys sorted, the last of two, every number a float of Go.
pub fn engines(text: &str) -> Option<String> {
    let text = text.trim();
    Some(match text.as_bytes().first()? {
        b'{' => {
            let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).ok()?;
            let field = |(key, value): (String, Box<RawValue>)| {
                Some(format!("{}:{}", serde_json::to_string(&key).unwrap(), engines(value.get())?))
            };
            format!("{{{}}}", fields.into_iter().map(field).collect::<Option<Vec<_>>>()?.join(","))
        }
        b'[' => {
            let items: Vec<Box<RawValue>> = serde_json::from_str(text).ok()?;
            format!("[{}]", items.iter().map(|item| engines(item.get())).collect::<Option<Vec<_>>>()?.join(","))
        }
        b'"' => serde_json::to_string(&serde_json::from_str::<String>(text).ok()?).unwrap(),
        b'-' | b'0'..=b'9' => {
            let number: f64 = text.parse().ok().filter(|number: &f64| number.is_finite())?;
            let size = number.abs();
            if size != 0.0 && !(1e-6..1e21).contains(&size) {
                let text = format!("{number:e}");
                if text.contains("e-") { text } else { text.replace('e', "e+") }
            } else {
                number.to_string()
            }
        }
        _ => text.to_owned(),
    })
}

fn into_vault(one: &One, from: &Place, told: &mut Told) -> Option<(Desired, One)> {
    let to = place("vault", CLUSTER, MOUNT);
    let (desired, writes) = writes(one, (from, &to), told)?;
    let mut engine = Engine::default();
    for (planned, value) in &writes {
        engine.apply(&planned.write, value.as_ref());
    }
    Some((desired, engine.read(&one.name)))
}

/// What the way back names by the ids of the stay, by those of the beginning.
fn translated(told: &mut Told, stay: &Desired, from: usize) {
    for lost in &mut told.lost[from..] {
        let version = stay.versions.iter().find(|version| version.id == lost.what);
        if let Some(version) = version {
            lost.what.clone_from(&version.source);
        }
    }
}

pub async fn over_vault(one: &One) -> (Option<One>, Told) {
    let mut told = Told::default();
    let Some((desired, there)) = into_vault(one, &place("aws", "111111111111", "eu-central-1"), &mut told) else {
        return (None, told);
    };
    let named = told.lost.len();
    let back = into_aws(&there, &place("vault", CLUSTER, MOUNT), &mut told).await;
    translated(&mut told, &desired, named);
    (back.map(|(_, back)| back), told)
}

pub async fn over_aws(one: &One) -> (Option<One>, Told) {
    let mut told = Told::default();
    let Some((desired, there)) = into_aws(one, &place("vault", CLUSTER, MOUNT), &mut told).await else {
        return (None, told);
    };
    let named = told.lost.len();
    let back = into_vault(&there, &place("aws", "111111111111", "us-west-2"), &mut told);
    translated(&mut told, &desired, named);
    (back.map(|(_, back)| back), told)
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 300, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn any_secret_of_aws_comes_back_from_a_vault_or_is_named(one in aws(false)) {
        let (back, told) = block_on(over_vault(&one));
        let missing = unaccounted(&one, back.as_ref(), &told);
        prop_assert!(missing.is_empty(), "{missing:?}\nback: {back:?}\ntold: {told:?}");
    }

    #[test]
    fn any_key_of_a_vault_comes_back_from_aws_or_is_named(one in vault(false)) {
        let (back, told) = block_on(over_aws(&one));
        let missing = unaccounted(&one, back.as_ref(), &told);
        prop_assert!(missing.is_empty(), "{missing:?}\nback: {back:?}\ntold: {told:?}");
    }
}

/// The judgement itself can fail: whatever is taken away, changed or made up on the way is found.
#[test]
fn a_part_that_is_dropped_without_a_word_is_found() {
    let version = |number: u32, labels: &[&str], value: Plain| Item {
        id: format!("{number:08}-0000-4000-8000-000000000000"),
        current: labels.contains(&"AWSCURRENT"),
        labels: labels.iter().map(|label| (*label).to_owned()).collect(),
        created: Some(1_700_000_000 + i64::from(number)),
        value,
        since: None,
    };
    let one = One {
        name: "app/db".into(),
        facets: Facets {
            description: Some("of the app".into()),
            tags: vec![
                Tag { key: "team".into(), value: "a".into() },
                Tag { key: "empty".into(), value: String::new() },
            ],
            r#type: Some("SalesforceClientSecret".into()),
            ..Facets::default()
        },
        versions: vec![
            version(1, &["AWSCURRENT", "BLUE"], Plain::Text("{\"n\": 1.0}".into())),
            version(2, &["AWSPREVIOUS"], Plain::Bytes(vec![0, 255])),
            version(3, &[], Plain::Text("plain".into())),
        ],
    };
    let (back, told) = block_on(over_vault(&one));
    let mut back = back.unwrap();
    back.versions.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(unaccounted(&one, Some(&back), &told), Vec::<String>::new());
    assert_eq!(unaccounted(&one, None, &told), ["the secret"]);
    for (what, plant) in plants() {
        let mut changed = back.clone();
        plant(&mut changed);
        let found = unaccounted(&one, Some(&changed), &told);
        assert!(found.iter().any(|found| found.contains(what)), "{what}: {found:?}");
    }
    // And so is what a plan keeps to itself.
    let key = Facets { key: Some("alias/app".into()), policy: Some("{}".into()), ..one.facets.clone() };
    let one = One { facets: key, ..one };
    let (back, mut told) = block_on(over_vault(&one));
    assert_eq!(unaccounted(&one, back.as_ref(), &told), Vec::<String>::new());
    told.notes.clear();
    told.lost.clear();
    assert_eq!(unaccounted(&one, back.as_ref(), &told), ["key", "policy"]);
}
