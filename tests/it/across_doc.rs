//! What docs/across.md says of each part of a secret in each kind is what the rules decide: the tables are made from them.
#![cfg(all(feature = "azure", feature = "gcp", feature = "vault", feature = "dotenv"))]

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use lifeboat::{
    model::{Desired, Facets, Moved, Options, Place, Replica, Rotation, Tag, Withheld},
    provider::{Context, Wish, rules},
};
use serde_json::json;

use crate::across_estates::{Item, One, Plain};

const BEGIN: &str = "<!-- made from the rules by across_doc: what is below is written by a test -->";
const TARGETS: [(&str, &str, &str); 5] = [
    ("aws", "AWS Secrets Manager", "HashiCorp Vault"),
    ("vault", "HashiCorp Vault, OpenBao", "AWS Secrets Manager"),
    ("gcp", "Google Cloud Secret Manager", "AWS Secrets Manager"),
    ("azure", "Azure Key Vault", "AWS Secrets Manager"),
    ("env", "`.env` files", "AWS Secrets Manager"),
];

fn place(kind: &str) -> Place {
    let (account, region) = match kind {
        "aws" => ("111111111111", "eu-central-1"),
        "vault" => ("c0d46f59-821f-71e1-8d8b-04cb47d2dca2", "kv@fe5eb294-cdb7-eb7b-5ab2-20db29d5bf61"),
        "gcp" => ("482314458001", "global"),
        "azure" => ("copy.vault.azure.net", "vault"),
        _ => ("files", "/srv/env"),
    };
    Place { provider: kind.into(), account: account.into(), region: region.into() }
}

fn item(id: u64, value: Plain) -> Item {
    Item {
        id: id.to_string(),
        current: true,
        labels: vec!["AWSCURRENT".into()],
        created: Some(1_700_000_000 + i64::try_from(id).unwrap()),
        value,
        since: None,
    }
}

fn text(text: &str) -> Plain {
    Plain::Text(text.into())
}

/// A secret with one plain text.
fn plain() -> One {
    One { name: "app".into(), facets: Facets::default(), versions: vec![item(9, text("v"))] }
}

/// An older version of another kind.
fn older(label: Option<&str>, value: Plain, since: Option<Withheld>) -> One {
    let labels = label.into_iter().map(str::to_owned).collect();
    let mut one = plain();
    one.versions.insert(0, Item { current: false, labels, since, ..item(8, value) });
    one
}

fn with(change: impl FnOnce(&mut Facets)) -> One {
    let mut one = plain();
    change(&mut one.facets);
    one
}

fn named(name: &str) -> One {
    One { name: name.into(), ..plain() }
}

fn value(value: Plain) -> One {
    One { versions: vec![item(9, value)], ..plain() }
}

fn tag(key: &str, value: &str) -> Tag {
    Tag { key: key.into(), value: value.into() }
}

/// Every part that a secret of any kind can have, in words.
fn parts() -> Vec<(&'static str, One)> {
    let tags = |count: usize| (0..count).map(|n| tag(&format!("key-{n:02}"), "v")).collect::<Vec<_>>();
    vec![
        ("a name with slashes", named("app/db/main")),
        ("a name with other characters", named("app_db.main@eu")),
        ("a name with a space", named("app db")),
        ("a name of 300 characters", named(&"n".repeat(300))),
        ("a text that is a JSON object", value(text(r#"{"user":"a","port":5432}"#))),
        ("a JSON object whose number would lose digits", value(text(r#"{"id":12345678901234567890}"#))),
        ("a text", value(text("plain"))),
        ("fields", value(Plain::Fields(r#"{"user":"a"}"#.into()))),
        ("bytes", value(Plain::Bytes(vec![0, 255, 7]))),
        ("an empty text", value(text(""))),
        ("a text of 30,000 bytes", value(text(&"x".repeat(30_000)))),
        ("a text of 70,000 bytes", value(text(&"x".repeat(70_000)))),
        ("no value", value(Plain::Nothing)),
        ("an older version with its label", older(Some("AWSPREVIOUS"), text("old"), None)),
        ("a label of a person", older(Some("blue"), text("old"), None)),
        ("a version without a label", older(None, text("old"), None)),
        ("a disabled version", older(None, Plain::Withheld(Withheld::Disabled), None)),
        ("a deleted version", older(None, Plain::Withheld(Withheld::Deleted), None)),
        ("a version deleted since its value was captured", older(None, text("old"), Some(Withheld::Deleted))),
        ("a destroyed version", older(None, Plain::Withheld(Withheld::Destroyed), None)),
        ("a version that could not be read", older(None, Plain::Unreadable, None)),
        ("a description", with(|it| it.description = Some("the database".into()))),
        ("tags", with(|it| it.tags = vec![tag("team", "core")])),
        ("a tag with capitals and a slash", with(|it| it.tags = vec![tag("Cost/Center", "A 1")])),
        ("a tag of 300 characters", with(|it| it.tags = vec![tag("note", &"n".repeat(300))])),
        ("70 tags", with(|it| it.tags = tags(70))),
        ("a tag of AWS's own", with(|it| it.tags = vec![tag("aws:cloudformation:stack-name", "s")])),
        ("a key", with(|it| it.key = Some("arn:aws:kms:eu-central-1:111111111111:key/k".into()))),
        ("a resource policy", with(|it| it.policy = Some(POLICY.into()))),
        ("rotation", with(|it| it.rotation = Some(rotation()))),
        ("a replica", with(|it| it.replicas = vec![replica()])),
        ("a type", with(|it| it.r#type = Some("MongoDBAtlasDatabaseUser".into()))),
        ("a limit of kept versions", with(|it| drop(it.other.insert("keep".into(), keep())))),
        ("a facet that nobody knows", with(|it| drop(it.other.insert("future".into(), json!({ "a": 1 }))))),
    ]
}

const POLICY: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:role/app"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;

fn rotation() -> Rotation {
    let lambda = Some("arn:aws:lambda:eu-central-1:111111111111:function:rotate".into());
    Rotation { enabled: true, lambda, schedule: None, window: None, after_days: Some(30) }
}

fn replica() -> Replica {
    Replica { region: "us-east-1".into(), key: None, status: None }
}

fn keep() -> serde_json::Value {
    json!({ "most_versions": 5, "delete_after": "0s" })
}

fn wish(one: &One, source: &str, target: &str) -> Wish {
    let (from, to) = (place(source), place(target));
    let rules = rules(target).unwrap();
    let (record, _) = one.record();
    let (presence, policies, moved) = (BTreeMap::new(), BTreeMap::new(), Moved::default());
    let (options, time) = (Options::default(), "2026-01-02T00:00:00Z".parse().unwrap());
    let context = Context {
        source: &from,
        target: &to,
        options: &options,
        time,
        presence: &presence,
        policies: &policies,
        moved: &moved,
    };
    let name = rules.name(&record.secret, &from, &options.maps);
    let fault = rules.name_fault(&from, &name, &name).or_else(|| rules.refusal(&record, &context));
    let mut wish = rules.wish(&record, &context, false);
    wish.refusal = fault.or(wish.refusal);
    wish
}

/// What the rules decide, and what the plan says.
fn outcome(one: &One, source: &str, target: &str) -> (&'static str, String) {
    let (before, after) = (wish(&plain(), source, target), wish(one, source, target));
    if let Some(reason) = after.refusal {
        return ("refused", reason);
    }
    let lost: Vec<_> =
        after.lost.into_iter().filter(|lost| !before.lost.contains(lost)).map(|lost| lost.reason).collect();
    let notes: Vec<_> = after.notes.into_iter().filter(|note| !before.notes.contains(note)).collect();
    let mut said: Vec<String> = Vec::new();
    for one in lost.iter().chain(&notes) {
        if !said.contains(one) {
            said.push(one.clone());
        }
    }
    let said = said.join("; ");
    let kind = match (lost.is_empty(), notes.is_empty()) {
        (false, _) => "lost",
        (true, false) => "noted",
        (true, true) if is_for_the_way_back(&before.desired, &after.desired) => "for the way back",
        (true, true) if codecs(&after.desired) != codecs(&before.desired) => "translated",
        (true, true) => "carried",
    };
    let name = &after.desired.name;
    let renamed = if *name == one.name || name.len() > 60 { String::new() } else { format!("as `{name}`") };
    (kind, [renamed, said].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; "))
}

fn codecs(desired: &Desired) -> Vec<String> {
    desired.versions.iter().map(|version| format!("{:?}", version.codec)).collect()
}

/// Whether nothing but Lifeboat's own tags tells the two apart.
fn is_for_the_way_back(before: &Desired, after: &Desired) -> bool {
    let without = |desired: &Desired| {
        let mut desired = desired.clone();
        desired.tags.retain(|tag| !tag.key.starts_with("lifeboat."));
        desired.settings.retain(|key, _| !key.contains("lifeboat."));
        desired
    };
    before != after && without(before) == without(after)
}

fn tables() -> String {
    let mut tables = String::new();
    for (target, title, from) in TARGETS {
        let source = if target == "aws" { "vault" } else { "aws" };
        let _ = write!(
            tables,
            "\n### Into {title}\n\nFrom {from}, without any map.\n\n| part | | what the plan says |\n|---|---|---|\n"
        );
        for (part, one) in parts() {
            let (kind, said) = outcome(&one, source, target);
            let said = said.replace('|', "\\|").replace(&"n".repeat(60), "n…n");
            let _ = writeln!(tables, "| {part} | {kind} | {said} |");
        }
    }
    tables
}

#[test]
fn the_tables_are_what_the_rules_decide() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/across.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (words, _) = text.split_once(BEGIN).expect("the page has a place for the tables");
    let made = format!("{words}{BEGIN}\n{}", tables());
    if made != text {
        std::fs::write(&path, made).unwrap();
        panic!("docs/across.md was out of date and has been written anew: look at it and commit it");
    }
}

/// A part that no table could say anything about would be carried without a word, or dropped without one.
#[test]
fn every_part_is_in_what_is_wanted_or_in_what_is_said() {
    let blind: Vec<_> = TARGETS
        .into_iter()
        .flat_map(|(target, _, _)| parts().into_iter().map(move |(part, one)| (target, part, one)))
        // A text is where its value is, and a file's kind has no limit that a secret of AWS could have had.
        .filter(|(_, part, _)| !part.contains("text") && !part.starts_with("a JSON"))
        .filter(|(target, part, _)| !(*target == "env" && part.contains("limit")))
        .filter(|(target, _, one)| {
            let source = if *target == "aws" { "vault" } else { "aws" };
            let (before, after) = (wish(&plain(), source, target), wish(one, source, target));
            let without_name = |desired: &Desired| Desired {
                name: String::new(),
                source_name: String::new(),
                source_id: String::new(),
                ..desired.clone()
            };
            after.refusal.is_none()
                && after.lost == before.lost
                && after.notes == before.notes
                && without_name(&before.desired) == without_name(&after.desired)
                && before.desired.name == after.desired.name
        })
        .map(|(target, part, _)| format!("{target}: {part}"))
        .collect();
    assert_eq!(blind, Vec::<String>::new());
}
