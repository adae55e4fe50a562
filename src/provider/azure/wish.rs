//! From a record of any kind to the secret that it is to be.

use std::collections::BTreeMap;

use super::{
    SCHEME, rights,
    versions::{MARK, OWN, STATE},
};
use crate::{
    model::{
        Codec, DRILL_TAG, Desired, DesiredVersion, Facets, Record, Tag, ValueKind, ValueRef, ValueState, Version,
        Withheld, WithheldVersion,
    },
    provider::{BASE64, Carried, Context, Rules, Wish, rules, settings},
};

/// The longest value, in bytes: 25 KB. <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets>.
const LARGEST: u64 = 25 * 1024;
/// Tags of a version, and the characters of a name and of a value.
const MOST_TAGS: usize = 15;
const LONGEST_TAG: usize = 512;
/// Those that a restore leaves to the secret: one is the mark.
const ROOM: usize = MOST_TAGS - 1;
/// The content type of what was fields in the source.
const JSON: &str = "application/json";
/// What of other kinds is kept beside a secret and [`settings`] knows.
const KNOWN_OTHERS: [&str; 5] = ["keep", "check_and_set", "file", "engine", OWN];

/// The secret that a record is to be.
pub(super) fn wish(record: &Record, context: &Context<'_>) -> Wish {
    let mut wish = Wish::new(record, context);
    for part in &record.secret.unreadable {
        wish.lose(&part.operation, &part.reason);
    }
    if record.secret.deleted.is_some() {
        wish.lose(
            "deletion",
            "a vault shows no versions of a deleted secret, so it could not be compared: it is in use",
        );
    }
    let before = Carried::read(&record.secret.facets.tags).0;
    let before = before.filter(|carried| carried.from == SCHEME && !context.is_same_kind());
    versions(&mut wish, record, before.as_ref(), context);
    if context.is_same_kind() {
        own(&mut wish, record, context);
    } else {
        foreign(&mut wish, record, before, context);
    }
    if let Some(wanted) = &context.options.version {
        wish.note(format!("only version {wanted} is restored; the other versions stay in the backup"));
    }
    wish
}

/// Whether a version is disabled, whatever is known of its value.
pub(super) fn is_disabled(version: &Version) -> bool {
    state_of(version) == Some(Withheld::Disabled)
}

/// The state of a version that keeps readers from its value.
fn state_of(version: &Version) -> Option<Withheld> {
    let told = version.facets.other.get(STATE).and_then(|state| serde_json::from_value(state.clone()).ok());
    match (&version.value, told) {
        (_, Some(how)) => Some(how),
        (ValueState::Withheld { reason }, None) => Some(*reason),
        _ => None,
    }
}

/// Why a vault takes no value of this size. `Ok` with a sentence where only the value itself tells.
fn too_large(version: &Version, codec: &Codec) -> Result<Option<String>, String> {
    let ValueState::Stored { size, kind, .. } = version.value else { return Ok(None) };
    let size = u64::from(size);
    let encoded = if kind == ValueKind::Bytes { size.div_ceil(3) * 4 } else { size };
    let may_be_text = matches!(codec, Codec::TextOrBase64 | Codec::Text);
    let (here, how) = if kind == ValueKind::Bytes && !may_be_text { (encoded, " as base64") } else { (size, "") };
    if here > LARGEST {
        return Err(format!(
            "its value has {here} bytes{how}; a key vault takes at most {LARGEST} (keep it in a storage, and its address here)"
        ));
    }
    Ok((encoded > LARGEST && *codec == Codec::TextOrBase64).then(|| {
        format!(
            "version {}: its value fits as text; if it is none, its base64 is too long and Azure refuses it",
            version.id
        )
    }))
}

/// How a value is written. A kind of bytes alone does not say which of them are text, but every value that was here once is.
fn codec_of(version: &Version, before: Option<&Carried>, context: &Context<'_>) -> Codec {
    let kind = ValueRef::of(version).map(|value| value.kind);
    let known = before.and_then(|carried| Some((carried, &carried.versions.get(&version.id)?.0)));
    let is_base64 = |(carried, id): (&Carried, &String)| {
        carried.settings.get(&format!("{id}.content_type")).is_some_and(|text| text == BASE64)
    };
    match (kind, known) {
        _ if context.is_same_kind() => Codec::AsIs,
        (Some(ValueKind::Fields), _) if before.is_some() => Codec::UnwrappedText,
        (Some(ValueKind::Bytes), _) if has_text(context) => Codec::Plain,
        (Some(ValueKind::Bytes), Some(known)) if is_base64(known) => Codec::Plain,
        (Some(ValueKind::Bytes), Some(_)) => Codec::Text,
        (Some(ValueKind::Bytes), None) => Codec::TextOrBase64,
        _ => Codec::Plain,
    }
}

/// Whether bytes of the source are bytes, and no text.
fn has_text(context: &Context<'_>) -> bool {
    rules(&context.source.provider).is_ok_and(Rules::has_text)
}

/// Oldest first, the current one last. What came from here has the ids that it had.
fn versions(wish: &mut Wish, record: &Record, before: Option<&Carried>, context: &Context<'_>) {
    let mut ordered: Vec<&Version> = record.versions.iter().collect();
    if !context.is_same_kind() {
        ordered.sort_by_key(|version| (version.is_current(), version.created, version.id.parse::<u64>().ok()));
    }
    if let Some(wanted) = &context.options.version {
        ordered.retain(|version| version.id == *wanted || version.has(wanted));
        ordered.truncate(1);
    }
    let (is_one, last) = (context.options.version.is_some(), ordered.len().saturating_sub(1));
    let mut behind = String::new();
    for (at, version) in ordered.into_iter().enumerate() {
        let codec = codec_of(version, before, context);
        match too_large(version, &codec) {
            Ok(note) => wish.notes.extend(note),
            Err(reason) => {
                if version.is_current() || is_one {
                    wish.refusal = Some(format!("its current version cannot be restored: {reason}"));
                }
                wish.lose(&version.id, &reason);
                continue;
            }
        }
        let source = version.id.clone();
        let id = before.and_then(|carried| carried.versions.get(&source)).map_or(&source, |(id, _)| id).clone();
        match (state_of(version), ValueRef::of(version)) {
            (Some(Withheld::Destroyed), _) => wish.lose(&source, "it was destroyed in the source"),
            (Some(how @ (Withheld::Disabled | Withheld::Deleted)), value) if !is_one => {
                if value.is_none() {
                    wish.lose(
                        &source,
                        &format!("its value is not in the backup ({how}): a disabled version stands for it"),
                    );
                } else if how == Withheld::Deleted {
                    wish.note(format!("version {source} was deleted and can be undeleted there: here it is disabled"));
                }
                wish.desired.settings.insert(format!("{id}.after"), std::mem::replace(&mut behind, id.clone()));
                wish.desired.withheld.push(WithheldVersion { id, source, how: Withheld::Disabled, value });
            }
            (_, Some(value)) => {
                let labels = Vec::new();
                let current = at == last;
                behind.clone_from(&id);
                wish.desired.versions.push(DesiredVersion { id, source, current, labels, value, codec });
            }
            (_, None) => wish.lose(&source, version.loss().as_deref().unwrap_or("it has no value")),
        }
    }
}

/// The ids of everything that is written, and the last of them.
fn written(wish: &Wish) -> (Vec<String>, Option<String>) {
    let versions = wish.desired.versions.iter().map(|version| version.id.clone());
    let ids: Vec<String> = versions.chain(wish.desired.withheld.iter().map(|version| version.id.clone())).collect();
    let behind: Vec<&String> =
        wish.desired.settings.iter().filter(|(name, _)| is_behind(name)).map(|(_, id)| id).collect();
    let last = wish.desired.versions.iter().rev().find(|version| version.current).map(|version| version.id.clone());
    let last = last.or_else(|| ids.iter().rev().find(|id| !behind.contains(id)).cloned());
    (ids, last)
}

/// Takes the settings of versions that are written; the tags of the last of them are the secret's.
fn take(wish: &mut Wish, from: BTreeMap<String, String>) -> Option<Vec<Tag>> {
    let (ids, last) = written(wish);
    let mut tags = Vec::new();
    for (name, value) in from {
        let id = ids.iter().find(|id| name.strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with('.')));
        let Some(id) = id else { continue };
        let rest = &name[id.len() + 1..];
        match rest.strip_prefix("tag.") {
            Some(key) if Some(id) == last.as_ref() => tags.push(Tag { key: key.to_owned(), value }),
            _ if rest == "after" => {}
            _ => drop(wish.desired.settings.insert(name, value)),
        }
    }
    (!tags.is_empty()).then_some(tags)
}

/// A secret of the same kind: everything as it was, and no mark but that of each version.
fn own(wish: &mut Wish, record: &Record, context: &Context<'_>) {
    let facets = &record.secret.facets;
    let of_last = take(wish, settings(facets));
    let (_, last) = written(wish);
    let current = record.versions.iter().find(|version| version.is_current()).map(|version| version.id.clone());
    let mut tags = if last == current { facets.tags.clone() } else { of_last.unwrap_or_default() };
    tags.retain(|tag| tag.key != MARK && (tag.key != DRILL_TAG || context.options.marks));
    surplus(wish, &mut tags);
    wish.desired.tags = tags;
    if let Some(text) = &facets.policy {
        wish.lose("policy", &rights::named(text));
    }
    if facets.managed.is_some() {
        wish.note("a certificate managed it: here it is a secret like any other");
    }
    for name in facets.other.keys().filter(|name| *name != OWN) {
        wish.lose(name, "this version does not know how to set it");
    }
    let ids = written(wish).0;
    for id in ids {
        let count = wish.desired.settings.keys().filter(|name| name.starts_with(&format!("{id}.tag."))).count();
        for _ in ROOM..count.max(ROOM) {
            let name = wish.desired.settings.keys().rfind(|name| name.starts_with(&format!("{id}.tag."))).cloned();
            let Some(name) = name else { break };
            wish.desired.settings.remove(&name);
            wish.lose(&name, "a version takes at most 15 tags, and one of them tells which version it is");
        }
    }
}

/// A secret of another kind. Every facet is carried, changed (a note) or lost; one that is new does not compile.
fn foreign(wish: &mut Wish, record: &Record, before: Option<Carried>, context: &Context<'_>) {
    let Facets { description, key, tags, policy, rotation, replicas, primary_region: _, r#type, managed, other } =
        &record.secret.facets;
    let (_, rest) = Carried::read(tags);
    let mut carried = Carried {
        from: context.source.provider.clone(),
        name: Some(record.secret.name.clone()).filter(|name| *name != wish.desired.name),
        description: description.clone().filter(|text| !text.is_empty()),
        r#type: r#type.clone(),
        settings: settings(&record.secret.facets),
        ..Carried::default()
    };
    for version in record.versions.iter().filter(|version| !version.labels.is_empty()) {
        carried.versions.insert(version.id.clone(), (version.id.clone(), version.labels.clone()));
    }
    for version in &record.versions {
        if let Some(how) = state_of(version) {
            carried.withheld.insert(version.id.clone(), how);
        }
    }
    if let Some(name) = &carried.name {
        wish.note(format!(
            "it is called {} here: a key vault takes letters, digits and hyphens ({name})",
            wish.desired.name
        ));
    }
    if let Some(key) = key {
        wish.note(format!("its key {key} stays behind: a key vault encrypts everything under its own"));
    }
    if rotation.as_ref().is_some_and(|rotation| rotation.enabled) {
        wish.note("rotation was on: a key vault rotates no secret");
    }
    if !replicas.is_empty() {
        wish.note("its replicas are not created: a key vault replicates itself");
    }
    if policy.is_some() {
        wish.lose("policy", "rights belong to the vault, not to a secret");
    }
    if let Some(service) = managed {
        wish.note(format!("{service} manages it in the source; here nobody does"));
    }
    for name in other.keys().filter(|name| !KNOWN_OTHERS.contains(&name.as_str())) {
        wish.lose(name, "this version does not know what it is in a key vault");
    }
    let is_way_back = before.is_some();
    kinds(wish, is_way_back, has_text(context));
    let mut tags = if is_way_back { rest } else { tags.clone() };
    wish.leave_system_tags(&mut tags, context);
    tags.retain(|tag| tag.key != DRILL_TAG || context.options.marks);
    if let Some(before) = before {
        tags.extend(before.tags.into_iter().map(|(key, value)| Tag { key, value }));
        take(wish, before.settings);
    }
    carry(wish, tags, (!is_way_back).then_some(carried));
}

/// What a value was that is text here. What was here before has the content type that it had, and which bytes of a kind of bytes
/// alone are text is known when they are written.
fn kinds(wish: &mut Wish, is_way_back: bool, has_text: bool) {
    let versions = wish.desired.versions.iter().map(|version| (&version.id, version.value.kind));
    let withheld = wish.desired.withheld.iter().filter_map(|it| Some((&it.id, it.value?.kind)));
    let types: Vec<(String, &str)> = versions
        .chain(withheld)
        .filter_map(|(id, kind)| match kind {
            ValueKind::Fields if !is_way_back => Some((format!("{id}.content_type"), JSON)),
            ValueKind::Bytes if has_text => Some((format!("{id}.content_type"), BASE64)),
            _ => None,
        })
        .collect();
    wish.desired.settings.extend(types.into_iter().map(|(name, text)| (name, text.to_owned())));
}

/// Tags where a version takes them, the rest with what has no place here in pieces beside them.
fn carry(wish: &mut Wish, tags: Vec<Tag>, carried: Option<Carried>) {
    let fits = |tag: &Tag| {
        (1..=LONGEST_TAG).contains(&tag.key.chars().count())
            && tag.value.chars().count() <= LONGEST_TAG
            && tag.key != MARK
    };
    let (mut fitting, odd): (Vec<Tag>, Vec<Tag>) = tags.into_iter().partition(fits);
    // What tells a drill's own from another's is kept before all else.
    fitting.sort_by_key(|tag| tag.key != DRILL_TAG);
    let Some(mut carried) = carried else {
        for tag in &odd {
            wish.lose(&format!("tag {}", tag.key), "a key vault takes no such tag");
        }
        surplus(wish, &mut fitting);
        wish.desired.tags = fitting;
        return;
    };
    carried.tags = odd.into_iter().map(|tag| (tag.key, tag.value)).collect();
    for kept in (0..=fitting.len().min(ROOM)).rev() {
        let mut all = carried.clone();
        all.tags.extend(fitting[kept..].iter().map(|tag| (tag.key.clone(), tag.value.clone())));
        let Some(pieces) = all.tags(ROOM - kept, LONGEST_TAG) else { continue };
        if !all.tags.is_empty() {
            let keys: Vec<&str> = all.tags.keys().map(String::as_str).collect();
            let words = "a version takes 15 tags; these are kept in the tags lifeboat.* for the way back";
            wish.note(format!("{words}: {}", keys.join(", ")));
        }
        fitting.truncate(kept);
        fitting.extend(pieces);
        wish.desired.tags = fitting;
        return;
    }
    wish.lose("metadata", "what a key vault has no place for does not fit into its tags");
    carried.tags.keys().for_each(|key| wish.lose(&format!("tag {key}"), "a key vault takes no such tag"));
    surplus(wish, &mut fitting);
    wish.desired.tags = fitting;
}

fn surplus(wish: &mut Wish, tags: &mut Vec<Tag>) {
    tags.sort_by_key(|tag| tag.key != DRILL_TAG);
    for tag in tags.split_off(ROOM.min(tags.len())) {
        let reason = "a version takes at most 15 tags, and one of them tells which version it is";
        wish.lose(&format!("tag {}", tag.key), reason);
    }
}

/// How the value of a version that is disabled later is written; a write of bytes says itself that it is base64.
pub(super) fn hidden_codec(kind: ValueKind, content_type: Option<&str>) -> Codec {
    match (kind, content_type) {
        (ValueKind::Text, _) | (ValueKind::Bytes, Some(BASE64)) | (ValueKind::Fields, Some(JSON)) => Codec::Plain,
        (ValueKind::Bytes, _) => Codec::TextOrBytes,
        (ValueKind::Fields, _) => Codec::Unwrapped,
    }
}

/// How a version is written that is compared by another codec: bytes stay bytes until they are sent.
pub(super) fn writing_codec(codec: &Codec) -> Codec {
    match codec {
        Codec::TextOrBase64 => Codec::TextOrBytes,
        Codec::UnwrappedText => Codec::Unwrapped,
        codec => codec.clone(),
    }
}

/// Whether a setting is the content type of bytes that a write gave it.
pub(super) fn is_of_write(desired: &Desired, setting: &str, value: &str) -> bool {
    let Some(id) = setting.strip_suffix(".content_type").filter(|_| value == BASE64) else { return false };
    let versions = desired.versions.iter().map(|version| (&version.id, version.value.kind));
    let withheld = desired.withheld.iter().filter_map(|version| Some((&version.id, version.value?.kind)));
    versions.chain(withheld).any(|(known, kind)| known == id && kind != ValueKind::Text)
}

/// Whether a setting says which version a disabled one comes after.
pub(super) fn is_behind(setting: &str) -> bool {
    setting.strip_suffix(".after").is_some()
}
