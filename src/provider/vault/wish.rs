//! From a record of any kind to the key that it is to be.

use super::{
    SCHEME,
    rules::{DEFAULT_MOST, ENGINE},
};
use crate::{
    model::{
        Codec, DRILL_TAG, DesiredVersion, Facets, Policies, Presence, Record, Tag, ValueRef, ValueState, Version,
        VersionNumbers, Withheld, WithheldVersion,
    },
    provider::{Carried, Context, Rules, Wish, numbered::BEGUN, rules, rules::keys_note, settings},
};

/// Numbers that are written one by one to have them again; beyond, versions are numbered from 1.
const MOST_NUMBERS: u64 = 200;
/// Custom metadata: pairs, and bytes of a key and of a value (KV version 2: custom_metadata).
const MOST_TAGS: usize = 64;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 512;

/// What of other kinds is kept beside a secret and [`settings`] knows.
const KNOWN_OTHERS: [&str; 6] = ["keep", "check_and_set", "file", "engine", "settings", "azure"];

/// The key that a record is to be.
pub(super) fn wish(record: &Record, context: &Context<'_>) -> Wish {
    let mut wish = Wish::new(record, context);
    for part in &record.secret.unreadable {
        wish.lose(&part.operation, &part.reason);
    }
    let plan = Numbering::of(record, context);
    if plan.is_shortened {
        wish.note(format!(
            "its versions are numbered from 1: to keep number {} would take as many writes (at most {MOST_NUMBERS})",
            plan.rows.last().map_or(0, |row| row.number)
        ));
    }
    for version in &plan.left_out {
        match (&version.value, version.withheld()) {
            (ValueState::Unreadable { .. } | ValueState::Withheld { reason: Withheld::ScheduledForDeletion }, _) => {
                wish.lose(&version.id, &version.loss().unwrap_or_default());
            }
            (_, Some(how)) => wish.note(format!("version {} is {how} and is not made again", version.id)),
            _ => wish.note(format!("version {} has no value and is not created again", version.id)),
        }
    }
    if context.is_same_kind() {
        own(&mut wish, record, context);
    } else {
        foreign(&mut wish, record, context, &plan);
    }
    versions(&mut wish, plan);
    match context.presence(ENGINE) {
        // A key can shorten this and not switch it off, and the engine's own setting is everybody's.
        Presence::Unusable(after) => wish.note(format!("the engine deletes each version {after} after it was written")),
        Presence::Unknown(reason) => {
            wish.note(format!("cannot check whether the engine deletes versions by itself: {reason}"));
        }
        Presence::There | Presence::Missing => {}
    }
    wish
}

/// The state of a version that nobody can read the value of.
pub(super) fn state_of(version: &Version) -> Option<Withheld> {
    // What can be had back is deleted here.
    version.withheld().map(|how| if how == Withheld::Disabled { Withheld::Deleted } else { how })
}

/// One version and the number it gets.
struct Row<'a> {
    number: u64,
    version: Option<&'a Version>,
    source: String,
    how: Option<Withheld>,
}

/// Which versions get which numbers.
struct Numbering<'a> {
    rows: Vec<Row<'a>>,
    codec: Codec,
    is_shortened: bool,
    /// Versions without a value that get no number.
    left_out: Vec<&'a Version>,
}

impl<'a> Numbering<'a> {
    fn of(record: &'a Record, context: &Context<'_>) -> Self {
        let carried = Carried::read(&record.secret.facets.tags).0.filter(|carried| carried.from == SCHEME);
        let is_way_back = !context.is_same_kind() && carried.is_some();
        // Of a kind that knows bytes alone they may be text.
        let has_text = rules(&context.source.provider).is_ok_and(Rules::has_text);
        let codec = match (context.is_same_kind(), context.keys(), is_way_back, has_text) {
            (true, ..) => Codec::AsIs,
            (false, Some(dialect), ..) => Codec::Keys(dialect.to_owned()),
            (false, None, true, true) => Codec::Object,
            (false, None, true, false) => Codec::ObjectOfText,
            (false, None, false, true) => Codec::Fields,
            (false, None, false, false) if context.is_of_files() => Codec::FieldsOfFile,
            (false, None, false, false) => Codec::FieldsOfText,
        };
        let number_of = |version: &Version| number_before(version, carried.as_ref().filter(|_| is_way_back));
        let mut ordered: Vec<&Version> = record.versions.iter().collect();
        // The current one is the newest, whatever its age.
        ordered.sort_by_key(|version| (version.is_current(), number_of(version), version.created, version.id.clone()));
        if let Some(wanted) = &context.options.version {
            ordered.retain(|version| version.id == *wanted || version.has(wanted));
            ordered.truncate(1);
        }
        let row = |version: &'a Version, number: u64| Row {
            number,
            source: version.id.clone(),
            how: state_of(version),
            version: Some(version),
        };
        let mut numbered: Vec<Row<'a>> = Vec::new();
        if context.options.version.is_none() && (context.is_same_kind() || is_way_back) {
            let known = ordered.iter().filter_map(|version| Some(row(version, number_of(version)?)));
            numbered = known.collect();
            if numbered.len() < ordered.len() && !context.is_same_kind() {
                // Made there since: they come behind.
                let newest = numbered.iter().map(|row| row.number).max().unwrap_or(0);
                let made_since = ordered.iter().filter(|version| number_of(version).is_none());
                numbered.extend((newest + 1..).zip(made_since).map(|(number, version)| row(version, number)));
            }
            let withheld = carried.iter().flat_map(|carried| &carried.withheld);
            for (id, how) in withheld.filter(|_| is_way_back) {
                if let Ok(number) = id.parse() {
                    numbered.push(Row { number, version: None, source: id.clone(), how: Some(*how) });
                }
            }
            fill(&mut numbered);
        }
        let highest = numbered.last().map_or(0, |row| row.number);
        let is_whole = !numbered.is_empty() && numbered.len() >= ordered.len();
        let is_kept = context.options.version_numbers == VersionNumbers::Keep && highest <= MOST_NUMBERS;
        if is_whole && is_kept {
            return Self { rows: numbered, codec, is_shortened: false, left_out: Vec::new() };
        }
        let newest = ordered.len().saturating_sub(1);
        let stays = |(at, version): &(usize, &&Version)| ValueRef::of(version).is_some() || *at == newest;
        let (kept, left_out): (Vec<_>, Vec<_>) = ordered.iter().enumerate().partition(stays);
        let rows = (1..).zip(kept).map(|(number, (_, version))| row(version, number)).collect();
        let left_out = left_out.into_iter().map(|(_, version)| *version).collect();
        let is_shortened = is_whole && context.options.version_numbers == VersionNumbers::Keep;
        Self { rows, codec, is_shortened, left_out }
    }
}

/// The same, where what was carried says which version it was.
fn number_before(version: &Version, carried: Option<&Carried>) -> Option<u64> {
    match carried.filter(|carried| !carried.versions.is_empty()) {
        Some(carried) => carried.versions.get(&version.id)?.0.parse().ok(),
        None => number_of(version),
    }
}

/// By number, each once; between the lowest and the highest none may be missing, since what is written in its place must not
/// stay there as a version with nothing in it.
fn fill(rows: &mut Vec<Row<'_>>) {
    rows.sort_by_key(|row| row.number);
    rows.dedup_by_key(|row| row.number);
    let there: std::collections::BTreeSet<u64> = rows.iter().map(|row| row.number).collect();
    let (Some(lowest), Some(highest)) = (there.first(), there.last()) else { return };
    // Beyond so many they are numbered anew in any case.
    let missing = (*lowest..=(*highest).min(lowest + MOST_NUMBERS)).filter(|number| !there.contains(number));
    let row = |number: u64| Row { number, version: None, source: number.to_string(), how: Some(Withheld::Destroyed) };
    rows.extend(missing.map(row));
    rows.sort_by_key(|row| row.number);
}

/// The number that a version had in a Vault; other kinds have none, unless they were restored from there.
pub(super) fn number_of(version: &Version) -> Option<u64> {
    version.id.parse().ok().or_else(|| version.id.strip_prefix("vault-")?.get(..8)?.parse().ok())
}

fn versions(wish: &mut Wish, plan: Numbering<'_>) {
    let newest = plan.rows.last().map_or(0, |row| row.number);
    for Row { number, version, source, how } in plan.rows {
        let id = number.to_string();
        let value = version.and_then(ValueRef::of);
        match (how, value) {
            (Some(Withheld::Deleted), value) => {
                if value.is_none() {
                    wish.note(format!(
                        "version {id} was deleted before it was captured: an undelete here would give an empty object"
                    ));
                }
                wish.desired.withheld.push(WithheldVersion { id, source, how: Withheld::Deleted, value });
            }
            (Some(Withheld::Destroyed), _) => {
                wish.desired.withheld.push(WithheldVersion { id, source, how: Withheld::Destroyed, value: None });
            }
            (_, Some(value)) => wish.desired.versions.push(DesiredVersion {
                id,
                source,
                current: number == newest,
                labels: Vec::new(),
                value,
                codec: plan.codec.clone(),
            }),
            (_, None) => {
                let reason = version.and_then(Version::loss);
                wish.lose(&source, reason.as_deref().unwrap_or("it has no value"));
                wish.desired.withheld.push(WithheldVersion { id, source, how: Withheld::Destroyed, value: None });
            }
        }
    }
}

/// A key of the same kind: everything as it was, and no mark of ours.
fn own(wish: &mut Wish, record: &Record, context: &Context<'_>) {
    let facets = &record.secret.facets;
    wish.desired.tags.clone_from(&facets.tags);
    wish.desired.tags.retain(|tag| tag.key != BEGUN && (tag.key != DRILL_TAG || context.options.marks));
    wish.desired.settings = settings(facets);
    wish.desired.settings.remove("mode");
    for name in facets.other.keys().filter(|name| !KNOWN_OTHERS.contains(&name.as_str())) {
        wish.lose(name, "this version does not know how to set it");
    }
    for version in &record.versions {
        if let Some(until) = version.until().filter(|_| version.withheld().is_none()) {
            wish.note(format!("version {} was to be deleted on {until}: that is not set again", version.id));
        }
    }
}

/// A secret of another kind. Every facet is carried, changed (a note) or lost; one that is new does not compile.
fn foreign(wish: &mut Wish, record: &Record, context: &Context<'_>, plan: &Numbering<'_>) {
    let Facets { description, key, tags, policy, rotation, replicas, primary_region: _, r#type, managed, other } =
        &record.secret.facets;
    let (before, rest) = Carried::read(tags);
    let before = before.filter(|carried| carried.from == SCHEME);
    let mut carried = Carried {
        from: context.source.provider.clone(),
        description: description.clone().filter(|text| !text.is_empty()),
        r#type: r#type.clone(),
        settings: settings(&record.secret.facets),
        ..Carried::default()
    };
    for row in &plan.rows {
        let labels = row.version.map(|version| version.labels.clone()).unwrap_or_default();
        carried.versions.insert(row.number.to_string(), (row.source.clone(), labels));
    }
    if let Some(dialect) = context.keys() {
        wish.note(keys_note(dialect));
    }
    if let Some(key) = key {
        wish.note(format!("its key {key} stays behind: a Vault encrypts everything under its own"));
    }
    match rotation {
        Some(rotation) if rotation.enabled => wish.note("rotation was on: a KV engine rotates nothing"),
        Some(_) => wish.note("rotation was off; its settings stay in the backup"),
        None => {}
    }
    if !replicas.is_empty() {
        wish.note("its replicas are not created: replication is the cluster's");
    }
    if policy.is_some() {
        let reason = if context.options.policies == Policies::None {
            "left out because of --policies none"
        } else {
            "a Vault's policies belong to paths, not to secrets"
        };
        wish.lose("policy", reason);
    }
    if let Some(service) = managed {
        wish.note(format!("{service} manages it in the source; here nobody does"));
    }
    for name in other.keys().filter(|name| !KNOWN_OTHERS.contains(&name.as_str())) {
        wish.lose(name, "this version does not know what it is in a Vault");
    }
    let is_way_back = before.is_some();
    let mut tags = if is_way_back { rest } else { tags.clone() };
    if !is_way_back {
        wish.leave_system_tags(&mut tags, context);
    }
    tags.retain(|tag| tag.key != DRILL_TAG || context.options.marks);
    if let Some(before) = before {
        tags.extend(before.tags.into_iter().map(|(key, value)| Tag { key, value }));
        wish.desired.settings = before.settings;
    }
    let rows = plan.rows.len() as u64;
    if rows > DEFAULT_MOST && !wish.desired.settings.contains_key("max_versions") {
        wish.desired.settings.insert("max_versions".into(), rows.to_string());
        wish.note(format!("max_versions is set to {rows}, so that no version is pruned"));
    }
    carry(wish, tags, (!is_way_back).then_some(carried));
}

/// Tags as custom metadata where the engine takes them, the rest with what has no place here in pieces beside them.
fn carry(wish: &mut Wish, tags: Vec<Tag>, carried: Option<Carried>) {
    let printable = |text: &str| !text.chars().any(char::is_control);
    let fits = |tag: &Tag| {
        (1..=LONGEST_KEY).contains(&tag.key.len())
            && (1..=LONGEST_VALUE).contains(&tag.value.len())
            && printable(&tag.key)
            && printable(&tag.value)
    };
    // A person's own tag may have the name that a piece would get.
    let is_apart = |tag: &Tag| carried.is_none() || !Carried::is_piece(&tag.key);
    let (mut fitting, odd): (Vec<Tag>, Vec<Tag>) = tags.into_iter().partition(|tag| fits(tag) && is_apart(tag));
    // What tells a drill's own from another's is kept before all else.
    fitting.sort_by_key(|tag| tag.key != DRILL_TAG);
    let mut pieces = Vec::new();
    match carried {
        Some(mut carried) => {
            let keys: Vec<String> = odd.iter().map(|tag| tag.key.clone()).collect();
            carried.tags = odd.into_iter().map(|tag| (tag.key, tag.value)).collect();
            let (tags, lost) = carried.squeezed(MOST_TAGS / 2, LONGEST_VALUE);
            pieces = tags;
            for what in &lost {
                wish.lose(what, "what a Vault has no place for does not fit into custom metadata");
            }
            let is_kept = |key: &&str| !lost.contains(&format!("tag {key}")) && !pieces.is_empty();
            let keys: Vec<&str> = keys.iter().map(String::as_str).filter(is_kept).collect();
            if !keys.is_empty() {
                wish.note(format!("tags that are no custom metadata are kept in lifeboat.*: {}", keys.join(", ")));
            }
        }
        None => odd.iter().for_each(|tag| wish.lose(&format!("tag {}", tag.key), "it is no custom metadata")),
    }
    for tag in fitting.split_off((MOST_TAGS - 1 - pieces.len()).min(fitting.len())) {
        wish.lose(&format!("tag {}", tag.key), &format!("a key takes at most {MOST_TAGS} pairs of custom metadata"));
    }
    fitting.extend(pieces);
    wish.desired.tags = fitting;
}
