//! From a record of any kind to the secret that it is to be.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{
    GLOBAL, LARGEST, SCHEME,
    metadata::{DESTRUCTION, OWN, SETTINGS, STATE, annotation_of},
    names, policy,
    rules::{ALIASES, DESTROY_TTL, EXPIRE_TIME, REPLICAS, TOPICS, fits, is_called},
};
use crate::{
    model::{
        Codec, DRILL_TAG, DesiredVersion, Facets, Policies, Record, Tag, ValueKind, ValueRef, ValueState, Version,
        VersionNumbers, Withheld, WithheldVersion,
    },
    provider::{Carried, Context, Wish, decoded, numbered::BEGUN, settings},
};

/// Numbers that are written one by one to have them again; beyond, versions are numbered from 1.
const MOST_NUMBERS: u64 = 200;
/// Labels of a secret, aliases, and the bytes of all annotations together (Secret Manager: quotas and limits).
const MOST_LABELS: usize = 64;
const MOST_ALIASES: usize = 50;
const ANNOTATIONS: usize = 16 * 1024 - 1;
/// The longest piece of what is carried, and how many of them.
const PIECE: usize = 2_000;
const PIECES: usize = 7;
/// What of other kinds is kept beside a secret and [`settings`] knows.
const KNOWN_OTHERS: [&str; 6] = ["keep", "check_and_set", "file", "engine", "azure", SETTINGS];
/// What the service says of a secret and this version understands.
const KNOWN_FIELDS: [&str; 15] = [
    "name",
    "createTime",
    "etag",
    "labels",
    "annotations",
    "versionAliases",
    "topics",
    "rotation",
    "expireTime",
    "versionDestroyTtl",
    "replication",
    "customerManagedEncryption",
    "secretType",
    "policyMember",
    "ttl",
];

/// One version and the number it gets.
struct Row<'a> {
    number: u64,
    version: Option<&'a Version>,
    source: String,
    how: Option<Withheld>,
    labels: Vec<String>,
}

/// The secret that a record is to be.
pub(super) fn wish(record: &Record, context: &Context<'_>, untouched: bool) -> Wish {
    let mut wish = Wish::new(record, context);
    wish.desired.block_public = context.options.policies != Policies::All;
    for part in &record.secret.unreadable {
        wish.lose(&part.operation, &part.reason);
    }
    let before = Carried::read(&record.secret.facets.tags).0.filter(|carried| carried.from == SCHEME);
    let before = before.filter(|_| !context.is_same_kind());
    let rows = rows(&mut wish, record, before.as_ref(), context);
    if context.is_same_kind() {
        own(&mut wish, record, context, untouched);
        versions(&mut wish, &record.secret.facets, rows, None, false);
    } else {
        let mut carried = Carried { from: context.source.provider.clone(), ..Carried::default() };
        let is_way_back = before.is_some();
        versions(&mut wish, &record.secret.facets, rows, Some(&mut carried), is_way_back);
        foreign(&mut wish, record, context, before, (!is_way_back).then_some(carried));
    }
    newest_is_said(&mut wish);
    wish
}

/// The state of a version that nobody can read the value of, as the record or the service says it.
pub(super) fn state_of(version: &Version) -> Option<Withheld> {
    let told = version.facets.other.get(STATE).and_then(|state| serde_json::from_value(state.clone()).ok());
    match (&version.value, told) {
        (_, Some(how)) => Some(how),
        (ValueState::Withheld { reason }, None) => Some(*reason),
        _ => None,
    }
    // What can be had back is disabled here.
    .map(|how| if how == Withheld::Destroyed { how } else { Withheld::Disabled })
}

/// How a value of a kind is written: bytes are all that there is. Of fields that came from here, what they were made of.
pub(super) fn codec_of(kind: ValueKind, is_way_back: bool) -> Codec {
    match kind {
        ValueKind::Bytes => Codec::AsIs,
        ValueKind::Fields if is_way_back => Codec::UnwrappedBytes,
        ValueKind::Text | ValueKind::Fields => Codec::Bytes,
    }
}

/// The number that a version had here, of one that came from here.
fn number_of(version: &Version, before: Option<&Carried>) -> Option<u64> {
    match before {
        None => version.id.parse().ok(),
        Some(before) => match before.versions.get(&version.id) {
            Some((id, _)) => id.parse().ok(),
            None => version.id.strip_prefix("gcp-")?.get(..8)?.parse().ok(),
        },
    }
}

/// Which versions get which numbers.
fn rows<'a>(wish: &mut Wish, record: &'a Record, before: Option<&Carried>, context: &Context<'_>) -> Vec<Row<'a>> {
    let mut ordered: Vec<&Version> = record.versions.iter().collect();
    // The current one is the newest, whatever its age.
    ordered.sort_by_key(|version| {
        let age = (number_of(version, before), version.id.parse::<u64>().ok(), version.created, version.id.clone());
        (!context.is_same_kind() && version.is_current(), age)
    });
    if let Some(wanted) = &context.options.version {
        ordered.retain(|version| is_called(version, wanted));
        ordered.truncate(1);
        wish.note(format!("only version {wanted} is restored; the other versions stay in the backup"));
    }
    let labels = |version: &Version| match before.and_then(|before| before.versions.get(&version.id)) {
        Some((_, labels)) => labels.clone(),
        None if before.is_some() => version.labels.iter().filter(|label| !label.starts_with("AWS")).cloned().collect(),
        None => version.labels.clone(),
    };
    let row = |version: &'a Version, number: u64| Row {
        number,
        source: version.id.clone(),
        how: state_of(version).filter(|_| context.options.version.is_none()),
        labels: labels(version),
        version: Some(version),
    };
    let is_known = context.options.version.is_none() && (context.is_same_kind() || before.is_some());
    let mut numbered: Vec<Row<'a>> = Vec::new();
    if is_known {
        let known = |version: &&'a Version| Some(row(version, number_of(version, before)?));
        numbered.extend(ordered.iter().filter_map(known));
        let newest = numbered.iter().map(|row| row.number).max().unwrap_or(0);
        // Made there since: they come behind.
        let made_since = ordered.iter().filter(|version| number_of(version, before).is_none());
        numbered.extend((newest + 1..).zip(made_since).map(|(number, version)| row(version, number)));
        for (id, how) in before.iter().flat_map(|before| &before.withheld) {
            if let Ok(number) = id.parse() {
                numbered.push(Row { number, version: None, source: id.clone(), how: Some(*how), labels: Vec::new() });
            }
        }
        numbered.sort_by_key(|row| row.number);
        numbered.dedup_by_key(|row| row.number);
    }
    let highest = numbered.last().map_or(0, |row| row.number);
    let wants_numbers = context.options.version_numbers == VersionNumbers::Keep;
    if !numbered.is_empty() && numbered.len() >= ordered.len() && wants_numbers && highest <= MOST_NUMBERS {
        fill(&mut numbered, highest);
        return numbered;
    }
    if is_known && wants_numbers && highest > MOST_NUMBERS {
        wish.note(format!(
            "its versions are numbered from 1: to keep number {highest} would take as many writes (at most {MOST_NUMBERS})"
        ));
    }
    let newest = ordered.len().saturating_sub(1);
    // States are kept as long as that is not too much.
    let keeps_states = wants_numbers && ordered.len() as u64 <= MOST_NUMBERS;
    let stays = |(at, version): &(usize, &&Version)| {
        ValueRef::of(version).is_some() || *at == newest || (keeps_states && state_of(version).is_some())
    };
    let (kept, left_out): (Vec<_>, Vec<_>) = ordered.iter().enumerate().partition(stays);
    for (_, version) in left_out {
        match (&version.value, state_of(version)) {
            (ValueState::Unreadable { .. } | ValueState::Withheld { reason: Withheld::ScheduledForDeletion }, _) => {
                wish.lose(&version.id, &version.loss().unwrap_or_default());
            }
            (_, Some(how)) => wish.note(format!("version {} is {how} and is not made again", version.id)),
            _ => wish.note(format!("version {} has no value and is not created again", version.id)),
        }
    }
    (1..).zip(kept).map(|(number, (_, version))| row(version, number)).collect()
}

/// Numbers that nothing is known of were something once.
fn fill(rows: &mut Vec<Row<'_>>, highest: u64) {
    for number in 1..=highest {
        if !rows.iter().any(|row| row.number == number) {
            let (source, how) = (number.to_string(), Some(Withheld::Destroyed));
            rows.push(Row { number, version: None, source, how, labels: Vec::new() });
        }
    }
    rows.sort_by_key(|row| row.number);
}

fn versions(
    wish: &mut Wish,
    facets: &Facets,
    rows: Vec<Row<'_>>,
    mut carried: Option<&mut Carried>,
    is_way_back: bool,
) {
    let newest = rows.last().map_or(0, |row| row.number);
    let mut aliases = 0;
    let mut withheld_aliases: BTreeMap<String, u64> = BTreeMap::new();
    for Row { number, version, source, how, labels } in rows {
        let id = number.to_string();
        let value = version.and_then(ValueRef::of);
        let size = match version.map(|version| &version.value) {
            Some(ValueState::Stored { size, .. }) => *size,
            _ => 0,
        };
        if let Some(carried) = carried.as_deref_mut() {
            carry_version(carried, (&id, &source), version, value.map(|value| (value.kind, size)));
        }
        let (fitting, odd): (Vec<String>, Vec<String>) = labels.into_iter().partition(|label| names::is_alias(label));
        for label in odd {
            wish.note(format!("its label {label} of version {id} is no alias here, and is kept for the way back"));
        }
        aliases += fitting.len();
        if aliases > MOST_ALIASES {
            wish.lose("aliases", &format!("a secret takes at most {MOST_ALIASES} of them"));
        }
        let labels = if aliases > MOST_ALIASES { Vec::new() } else { fitting };
        if value.is_some() && size > LARGEST {
            let reason = format!("its value has {size} bytes; Secret Manager takes at most {LARGEST}");
            wish.lose(&source, &reason);
            if number == newest {
                wish.refusal = Some(format!("its current version cannot be restored: {reason}"));
            }
            let (how, value) = (Withheld::Destroyed, None);
            wish.desired.withheld.push(WithheldVersion { id, source, how, value });
            continue;
        }
        match (how, value) {
            (None, Some(value)) => wish.desired.versions.push(DesiredVersion {
                id,
                source,
                current: number == newest,
                labels,
                value,
                codec: match version.and_then(|version| decoded(facets, version)) {
                    _ if size == 0 => Codec::Stand,
                    Some(codec) => codec,
                    None => codec_of(value.kind, is_way_back),
                },
            }),
            (Some(how), value) if how != Withheld::Destroyed => {
                if value.is_none() {
                    let words = "it was disabled and its value never captured: a placeholder is written, and disabled";
                    wish.lose(&source, words);
                }
                withheld_aliases.extend(labels.into_iter().map(|label| (label, number)));
                // An empty value is as good as its placeholder.
                let value = value.filter(|_| size > 0);
                wish.desired.withheld.push(WithheldVersion { id, source, how: Withheld::Disabled, value });
            }
            (how, _) => {
                if how.is_none() {
                    let reason = version.and_then(Version::loss);
                    wish.lose(&source, reason.as_deref().unwrap_or("it has no value"));
                }
                withheld_aliases.extend(labels.into_iter().map(|label| (label, number)));
                let how = Withheld::Destroyed;
                wish.desired.withheld.push(WithheldVersion { id, source, how, value: None });
            }
        }
    }
    if !withheld_aliases.is_empty() {
        wish.desired.settings.insert(ALIASES.into(), json!(withheld_aliases).to_string());
    }
}

/// What a version was, for the way back.
fn carry_version(
    carried: &mut Carried,
    (id, source): (&str, &str),
    version: Option<&Version>,
    value: Option<(ValueKind, u32)>,
) {
    let labels = version.map(|version| version.labels.clone()).unwrap_or_default();
    carried.versions.insert(id.to_owned(), (source.to_owned(), labels));
    if let Some((kind, size)) = value {
        if kind == ValueKind::Bytes {
            carried.bytes.insert(id.to_owned());
        }
        if size == 0 {
            carried.empty.insert(id.to_owned());
        }
    }
}

/// A secret of the same kind: everything as it was, and no mark of ours.
fn own(wish: &mut Wish, record: &Record, context: &Context<'_>, untouched: bool) {
    let facets = &record.secret.facets;
    wish.desired.tags.clone_from(&facets.tags);
    wish.desired.tags.retain(|tag| tag.key != BEGUN && (tag.key != DRILL_TAG || context.options.marks));
    wish.desired.secret_type.clone_from(&facets.r#type);
    wish.desired.settings.extend(settings(facets));
    wish.desired.settings.remove(ALIASES);
    if untouched {
        wish.desired.policy.clone_from(&facets.policy);
        wish.desired.kms_key.clone_from(&facets.key);
        return;
    }
    key(wish, facets.key.as_deref(), context);
    replication(wish, context);
    rotation(wish, facets, context);
    iam(wish, facets.policy.as_deref(), context);
    if let Some(until) = wish.desired.settings.remove(EXPIRE_TIME) {
        wish.note(format!("it was to expire at {until}, with all its versions: that is not set again"));
    }
    for version in &record.versions {
        if let Some(at) = version.facets.other.get(DESTRUCTION).and_then(Json::as_str) {
            wish.note(format!("version {} was to be destroyed at {at}: here it stays disabled", version.id));
        }
    }
    for name in facets.other.keys().filter(|name| !KNOWN_OTHERS.contains(&name.as_str())) {
        wish.lose(name, "this version does not know how to set it");
    }
    let unknown = record.secret.raw["secret"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let unknown: Vec<&str> = unknown.filter(|name| !KNOWN_FIELDS.contains(name)).collect();
    if !unknown.is_empty() {
        wish.note(format!("these settings stay in the backup and are not restored: {}", unknown.join(", ")));
    }
}

/// A key of one project and location encrypts in no other.
fn key(wish: &mut Wish, key: Option<&str>, context: &Context<'_>) {
    let Some(key) = key else { return };
    wish.desired.kms_key = match context.options.maps.kms.get(key) {
        Some(mapped) => Some(mapped.clone()).filter(|mapped| mapped != "default"),
        None if context.source == context.target => Some(key.to_owned()),
        None => {
            wish.note(format!(
                "its key {key} belongs to {}; the default encryption is used (use --kms-map to change this)",
                context.source
            ));
            None
        }
    };
}

/// Where the values of a global secret lie, which cannot be changed later.
fn replication(wish: &mut Wish, context: &Context<'_>) {
    let Some(text) = wish.desired.settings.remove(REPLICAS) else { return };
    if context.target.region != GLOBAL {
        wish.note("its replication is left out: here its values lie at one location");
        return;
    }
    let mut replicas: Json = serde_json::from_str(&text).unwrap_or_default();
    let maps = &context.options.maps;
    let mut left = Vec::new();
    for replica in replicas.as_array_mut().into_iter().flatten() {
        if let Some(to) = replica["location"].as_str().and_then(|location| maps.region.get(location)) {
            replica["location"] = json!(to);
        }
        let key = replica["customerManagedEncryption"]["kmsKeyName"].as_str().map(str::to_owned);
        let Some(key) = key else { continue };
        match maps.kms.get(&key).cloned().or_else(|| (context.source == context.target).then(|| key.clone())) {
            Some(to) if to != "default" => replica["customerManagedEncryption"]["kmsKeyName"] = json!(to),
            mapped => {
                if let Some(fields) = replica.as_object_mut() {
                    fields.remove("customerManagedEncryption");
                }
                if mapped.is_none() {
                    left.push(key);
                }
            }
        }
    }
    if !left.is_empty() {
        wish.note(format!("keys of its replicas are left out (use --kms-map to change this): {}", left.join(", ")));
    }
    wish.desired.settings.insert(REPLICAS.into(), replicas.to_string());
}

/// Rotation only sends messages; but whoever gets them may rotate what is in use.
fn rotation(wish: &mut Wish, facets: &Facets, context: &Context<'_>) {
    if !context.options.rotation
        && let Some(topics) = wish.desired.settings.remove(TOPICS)
    {
        wish.note(format!("its topics are left out (use --rotation to set them): {topics}"));
    }
    let Some(rotation) = facets.rotation.as_ref().filter(|rotation| rotation.enabled) else { return };
    if !context.options.rotation {
        wish.note("rotation was on; it stays off so that nothing in use is rotated (use --rotation to switch it on)");
    } else if rotation.schedule.is_none() {
        wish.lose("rotation", "it was to happen once, and has no period to begin again with");
    } else {
        wish.desired.rotation = Some(rotation.clone());
    }
}

fn iam(wish: &mut Wish, text: Option<&str>, context: &Context<'_>) {
    let Some(text) = text else { return };
    if context.options.policies == Policies::None {
        return wish.lose("policy", "left out because of --policies none");
    }
    let text = policy::mapped(text, &context.options.maps.account);
    let faults = policy::faults(&text);
    if !faults.is_empty() {
        if context.options.policies != Policies::All {
            return wish.lose("policy", &format!("{} (use --policies all to restore it)", faults.join("; ")));
        }
        wish.note(format!("its policy is restored because of --policies all: {}", faults.join("; ")));
    }
    if context.source.account != context.target.account {
        for account in policy::accounts(&text) {
            wish.note(format!("its policy names {account}: Google refuses it where there is no such account"));
        }
    }
    wish.desired.policy = Some(text);
}

/// A secret of another kind. Every facet is carried, changed (a note) or lost; one that is new does not compile.
fn foreign(wish: &mut Wish, record: &Record, context: &Context<'_>, before: Option<Carried>, carried: Option<Carried>) {
    let Facets { description, key, tags, policy, rotation, replicas, primary_region: _, r#type, managed, other } =
        &record.secret.facets;
    if let Some(key) = key {
        wish.note(format!("its key {key} stays behind: Google encrypts under its own"));
    }
    if rotation.as_ref().is_some_and(|rotation| rotation.enabled) {
        wish.note("rotation was on: Secret Manager rotates nothing, it only sends messages");
    }
    if !replicas.is_empty() {
        wish.note("its replicas are not created: a global secret is replicated by Google");
    }
    if policy.is_some() {
        let reason = if context.options.policies == Policies::None {
            "left out because of --policies none"
        } else {
            "it means nothing to Google's IAM"
        };
        wish.lose("policy", reason);
    }
    if let Some(service) = managed {
        wish.note(format!("{service} manages it in the source; here nobody does"));
    }
    for name in other.keys().filter(|name| !KNOWN_OTHERS.contains(&name.as_str())) {
        wish.lose(name, "this version does not know what it is in Secret Manager");
    }
    let (found, rest) = Carried::read(tags);
    // What somebody else's way back needs is kept as a whole.
    let is_others = found.is_some() && before.is_none();
    let mut tags = if before.is_some() { rest } else { tags.clone() };
    wish.leave_system_tags(&mut tags, context);
    tags.retain(|tag| tag.key != DRILL_TAG || context.options.marks);
    if let Some(before) = before {
        wish.desired.secret_type = before.r#type;
        tags.extend(before.tags.into_iter().map(|(key, value)| Tag { key, value }));
        wish.desired.settings.extend(before.settings);
        for name in [TOPICS, EXPIRE_TIME] {
            if let Some(value) = wish.desired.settings.remove(name) {
                wish.note(format!("{name} is not set again: {value}"));
            }
        }
        if context.target.region != GLOBAL {
            wish.desired.settings.remove(REPLICAS);
        }
        wish.desired.settings.retain(|name, _| [DESTROY_TTL, REPLICAS, ALIASES].contains(&name.as_str()));
        carry(wish, tags, None, false);
        return;
    }
    let Some(mut carried) = carried else { return };
    carried.description = description.clone().filter(|text| !text.is_empty());
    carried.r#type.clone_from(r#type);
    carried.settings = settings(&record.secret.facets);
    carried.name = (wish.desired.name != record.secret.name).then(|| record.secret.name.clone());
    carry(wish, tags, Some(carried), is_others);
}

/// Tags as labels and annotations where the service takes them, the rest with what has no place here in pieces beside them.
fn carry(wish: &mut Wish, tags: Vec<Tag>, carried: Option<Carried>, is_others: bool) {
    let is_piece = |tag: &Tag| tag.key.strip_prefix(OWN).is_some_and(|rest| rest.parse::<usize>().is_ok());
    let (mut fitting, odd): (Vec<Tag>, Vec<Tag>) =
        tags.into_iter().partition(|tag| fits(tag) && !(is_others && is_piece(tag)));
    // What tells a drill's own from another's is kept before all else.
    fitting.sort_by_key(|tag| tag.key != DRILL_TAG);
    let size = |tag: &Tag| annotation_of(&tag.key).map_or(0, |key| key.len() + tag.value.len());
    let mut room = ANNOTATIONS.saturating_sub(BEGUN.len() + 32);
    let (mut labels, mut kept) = (0, Vec::new());
    for tag in fitting {
        labels += usize::from(annotation_of(&tag.key).is_none());
        if labels > MOST_LABELS && annotation_of(&tag.key).is_none() {
            wish.lose(&format!("tag {}", tag.key), &format!("a secret takes at most {MOST_LABELS} labels"));
        } else if size(&tag) > room {
            wish.lose(&format!("tag {}", tag.key), "a secret takes less than 16 KiB of annotations");
        } else {
            room -= size(&tag);
            kept.push(tag);
        }
    }
    match carried {
        Some(mut carried) => {
            if !odd.is_empty() {
                let keys: Vec<&str> = odd.iter().map(|tag| tag.key.as_str()).collect();
                wish.note(format!("tags that are no labels are kept in annotations lifeboat.*: {}", keys.join(", ")));
                carried.tags = odd.into_iter().map(|tag| (tag.key, tag.value)).collect();
            }
            let pieces = PIECES.min(room / (PIECE + OWN.len() + 1));
            match carried.tags(pieces, PIECE) {
                Some(tags) => kept.extend(tags),
                None => wish.lose("metadata", "what Secret Manager has no place for does not fit into annotations"),
            }
        }
        None => odd.iter().for_each(|tag| wish.lose(&format!("tag {}", tag.key), "it is no label and no annotation")),
    }
    wish.desired.tags = kept;
}

/// `latest` is the highest number, whatever its state.
fn newest_is_said(wish: &mut Wish) {
    let numbers = |id: &String| id.parse::<u64>().unwrap_or(0);
    let readable = wish.desired.versions.iter().map(|version| numbers(&version.id)).max().unwrap_or(0);
    let last = wish.desired.withheld.iter().max_by_key(|version| numbers(&version.id));
    let last = last.filter(|version| numbers(&version.id) > readable).map(|version| version.how);
    if let Some(how) = last {
        wish.note(format!("its newest version is {how}, so whoever asks for `latest` gets none, as in the source"));
    }
}
