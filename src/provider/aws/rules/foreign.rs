//! A record of another kind of provider as a secret of AWS.

use sha2::{Digest as _, Sha256};

use super::{desire::MOST_VERSIONS, names, state::is_system};
use crate::{
    model::{
        AWSCURRENT, AWSPREVIOUS, Codec, DRILL_TAG, DesiredVersion, Facets, Policies, Record, Tag, ValueKind, ValueRef,
        ValueState, Version,
    },
    provider::{Carried, Context, Wish, rules::keys_note},
};

/// AWS's limit of a value, in bytes (AWS: CreateSecret).
const LARGEST: u32 = 65_536;
/// Tags of a secret, and the lengths of their keys and values in characters (AWS: Tag).
const MOST_TAGS: usize = 50;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;
/// The longest description, in characters (AWS: CreateSecret).
const LONGEST_DESCRIPTION: usize = 2_048;
/// Labels of a version beside AWS's own, and their longest (AWS: quotas of Secrets Manager).
const MOST_LABELS: usize = 17;
const LONGEST_LABEL: usize = 256;
/// What an id of AWS's has at least and at most, in characters (AWS: CreateSecret).
const ID: std::ops::RangeInclusive<usize> = 32..=64;

/// The secret that a record of another kind is to be.
pub(super) fn wish(record: &Record, context: &Context<'_>) -> Wish {
    let secret = &record.secret;
    let mut wish = Wish::new(record, context);
    wish.desired.block_public = context.options.policies != Policies::All;
    for part in &secret.unreadable {
        wish.lose(&part.operation, &part.reason);
    }
    let (before, tags) = Carried::read(&secret.facets.tags);
    let before = before.filter(|carried| carried.from == context.target.provider);
    let mut carried = Carried { from: context.source.provider.clone(), ..Carried::default() };
    facets(&mut wish, &secret.facets, context);
    versions(&mut wish, record, before.as_ref(), context);
    for version in &record.versions {
        if version.facets.other.get("state").is_some_and(|state| state == "disabled") && ValueRef::of(version).is_some()
        {
            wish.note(format!("version {} was disabled in the source: here it can be read", version.id));
        }
        if let Some(how) = version.withheld() {
            carried.withheld.insert(version.id.clone(), how);
        }
    }
    settings(&mut wish, secret, &mut carried);
    carried.r#type.clone_from(&secret.facets.r#type);
    let mut tags = if before.is_some() { tags } else { secret.facets.tags.clone() };
    if !context.options.marks {
        tags.retain(|tag| tag.key != DRILL_TAG);
    }
    if let Some(before) = before {
        // On the way back what was AWS's own is AWS's own again.
        wish.desired.description = before.description;
        wish.desired.secret_type = before.r#type;
        tags.extend(before.tags.into_iter().map(|(key, value)| Tag { key, value }));
        carry(&mut wish, tags, None);
    } else {
        carry(&mut wish, tags, Some(carried));
    }
    if let Some(dialect) = context.keys() {
        wish.note(keys_note(dialect));
    }
    for version in &record.versions {
        if let Some(until) = version.until() {
            wish.note(format!("version {} was to be deleted on {until}: AWS deletes none by itself", version.id));
        }
    }
    if let Some(wanted) = &context.options.version {
        wish.note(format!("only version {wanted} is restored, as AWSCURRENT; the other versions stay in the backup"));
    }
    wish
}

/// Every facet that a record can have, so that one that is new does not compile.
fn facets(wish: &mut Wish, facets: &Facets, context: &Context<'_>) {
    let Facets { description, key, tags: _, policy, rotation, replicas, primary_region: _, r#type, managed, other } =
        facets;
    let kind = &context.source.provider;
    match description.as_ref().filter(|text| !text.is_empty()) {
        Some(text) if text.chars().count() <= LONGEST_DESCRIPTION => wish.desired.description = Some(text.clone()),
        Some(_) => wish.lose("description", &format!("AWS takes at most {LONGEST_DESCRIPTION} characters")),
        None => {}
    }
    let foreign = [
        ("key", key.is_some()),
        ("policy", policy.is_some()),
        ("rotation", rotation.is_some()),
        ("replicas", !replicas.is_empty()),
        ("type", r#type.is_some()),
    ];
    for (what, _) in foreign.into_iter().filter(|(_, is_there)| *is_there) {
        wish.lose(what, &format!("that of {kind} means nothing to AWS"));
    }
    if let Some(service) = managed {
        wish.note(format!("{service} manages it in the source; here nobody does"));
    }
    for name in other.keys().filter(|name| !KNOWN_OTHERS.contains(&name.as_str())) {
        wish.lose(name, "this version does not know what it is in AWS");
    }
}

/// What other kinds keep beside a secret, and [`settings`] carries.
const KNOWN_OTHERS: [&str; 6] = ["keep", "check_and_set", "file", "engine", "settings", "azure"];

/// Settings of another kind stand beside the secret for the way back; here they do nothing.
fn settings(wish: &mut Wish, secret: &crate::model::Secret, carried: &mut Carried) {
    carried.settings = crate::provider::settings(&secret.facets);
    for name in carried.settings.keys() {
        let reason = "AWS has no such setting: it is kept in the tags for the way back";
        wish.lost.push(crate::model::Lost { what: name.clone(), reason: reason.into() });
    }
}

/// Versions by age: the current one is AWSCURRENT, the newest before it AWSPREVIOUS.
fn versions(wish: &mut Wish, record: &Record, before: Option<&Carried>, context: &Context<'_>) {
    let mut kept: Vec<DesiredVersion> = Vec::new();
    let is_wanted = |version: &&Version| match &context.options.version {
        Some(wanted) => version.id == *wanted || version.has(wanted),
        None => true,
    };
    for version in record.versions.iter().filter(is_wanted) {
        // A value that was captured before its version was deleted is not given to applications again unless a person asks.
        let since = version.withheld_since().filter(|_| context.options.version.is_none());
        let lost = match (&version.value, ValueRef::of(version)) {
            _ if since.is_some() => since.map(|how| format!("it is {how} in the source")),
            (ValueState::Stored { size, .. }, _) if *size > LARGEST => {
                Some(format!("its value has {size} bytes; AWS takes at most {LARGEST}"))
            }
            (_, Some(value)) => {
                let (id, labels) = match before.and_then(|carried| carried.versions.get(&version.id)) {
                    Some((id, labels)) if ID.contains(&id.len()) => (id.clone(), labels.clone()),
                    _ => (new_id(&record.secret.name, version, &context.source.provider), own_labels(version)),
                };
                let (source, current) = (version.id.clone(), version.is_current() || context.options.version.is_some());
                let codec = match (crate::provider::decoded(&record.secret.facets, version), context.keys()) {
                    (Some(codec), _) => codec,
                    (None, Some(dialect)) => Codec::KeysText(dialect.to_owned()),
                    (None, None) => codec_of(&version.id, value.kind, before),
                };
                kept.push(DesiredVersion { id, source, current, labels, value, codec });
                None
            }
            (_, None) => version.loss(),
        };
        if let Some(reason) = lost {
            let is_current = version.is_current();
            if is_current && wish.refusal.is_none() && matches!(version.value, ValueState::Stored { .. }) {
                wish.refusal = Some(format!("its current version cannot be restored: {reason}"));
            }
            wish.lose(&version.id, &reason);
        }
    }
    let surplus = kept.len().saturating_sub(MOST_VERSIONS);
    // The newest are kept; the current one always is.
    let mut seen = 0;
    kept.retain(|version| {
        let drop = seen < surplus && !version.current;
        if drop {
            seen += 1;
            wish.lose(&version.source, &format!("a restore writes at most {MOST_VERSIONS} versions to a secret"));
        }
        !drop
    });
    label(&mut kept, before.is_some());
    wish.desired.versions = kept;
}

/// How a value is written: on the way back as what it was.
fn codec_of(id: &str, kind: ValueKind, before: Option<&Carried>) -> Codec {
    let Some(before) = before else { return Codec::TextOrBytes };
    match (kind, before.empty.contains(id), before.bytes.contains(id)) {
        (ValueKind::Bytes, true, true) => Codec::EmptyBytes,
        (ValueKind::Bytes, true, false) => Codec::EmptyText,
        (ValueKind::Bytes, false, true) => Codec::AsIs,
        (ValueKind::Bytes, false, false) => Codec::Text,
        _ => Codec::Unwrapped,
    }
}

/// Labels of another kind, where they are not AWS's own words.
fn own_labels(version: &Version) -> Vec<String> {
    let fits = |label: &&String| !label.starts_with("AWS") && (1..=LONGEST_LABEL).contains(&label.chars().count());
    version.labels.iter().filter(fits).take(MOST_LABELS).cloned().collect()
}

/// AWSCURRENT to the current version, AWSPREVIOUS to the one before it, and nothing that contradicts them.
fn label(versions: &mut [DesiredVersion], is_way_back: bool) {
    let Some(current) = versions.iter().position(|version| version.current) else { return };
    let carried = versions[current].labels.iter().any(|label| label == AWSCURRENT);
    if is_way_back && carried {
        return;
    }
    for version in versions.iter_mut() {
        version.labels.retain(|label| label != AWSCURRENT && label != AWSPREVIOUS);
    }
    versions[current].labels.push(AWSCURRENT.into());
    if let Some(previous) = current.checked_sub(1) {
        versions[previous].labels.push(AWSPREVIOUS.into());
    }
    for version in versions.iter_mut() {
        version.labels.sort();
    }
}

/// An id that says which version it was: the kind, the number where there is one, and a part of the path's digest, since AWS
/// asks for 32 characters.
fn new_id(name: &str, version: &Version, kind: &str) -> String {
    if let Ok(number) = version.id.parse::<u64>() {
        return format!("{kind}-{number:08}-{}", &hex::encode(Sha256::digest(name))[..32]);
    }
    // The ids of a key vault, and those that it stands for, are ids here.
    let id = if kind == "azure" { version.id.clone() } else { format!("{kind}-{}", version.id) };
    let is_id = ID.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_id { id } else { hex::encode(Sha256::digest(format!("{name}\0{}", version.id))) }
}

/// Whether an id is what [`new_id`] makes of a version, of whatever kind.
pub(super) fn is_id_of(name: &str, version: &Version, id: &str) -> bool {
    let kind = id.split('-').next().unwrap_or_default();
    new_id(name, version, kind) == id
}

/// Tags that AWS takes, and the rest with what has no place here in pieces beside them.
fn carry(wish: &mut Wish, tags: Vec<Tag>, carried: Option<Carried>) {
    let fits = |tag: &Tag| {
        let (key, value) = (tag.key.chars().count(), tag.value.chars().count());
        (1..=LONGEST_KEY).contains(&key)
            && value <= LONGEST_VALUE
            && !is_system(tag)
            && [&tag.key, &tag.value].iter().all(|text| text.chars().all(names::is_tag_character))
    };
    // A person's own tag may have the name that a piece would get.
    let is_apart = |tag: &Tag| carried.is_none() || !Carried::is_piece(&tag.key);
    let (mut fitting, odd): (Vec<Tag>, Vec<Tag>) = tags.into_iter().partition(|tag| fits(tag) && is_apart(tag));
    let Some(mut carried) = carried else {
        for tag in &odd {
            wish.lose(&format!("tag {}", tag.key), "AWS takes no such tag");
        }
        surplus(wish, &mut fitting, MOST_TAGS);
        wish.desired.tags = fitting;
        return;
    };
    let keys: Vec<String> = odd.iter().map(|tag| tag.key.clone()).collect();
    carried.tags = odd.into_iter().map(|tag| (tag.key, tag.value)).collect();
    let room = MOST_TAGS.saturating_sub(fitting.len()).max(MOST_TAGS / 2);
    let (pieces, lost) = carried.squeezed(room, LONGEST_VALUE);
    for what in &lost {
        wish.lose(what, "what AWS has no place for does not fit into its tags");
    }
    let is_kept = |key: &&str| !lost.contains(&format!("tag {key}")) && !pieces.is_empty();
    let keys: Vec<&str> = keys.iter().map(String::as_str).filter(is_kept).collect();
    if !keys.is_empty() {
        wish.note(format!("metadata that AWS takes as no tag is kept in the tags lifeboat.*: {}", keys.join(", ")));
    }
    surplus(wish, &mut fitting, MOST_TAGS - pieces.len());
    fitting.extend(pieces);
    wish.desired.tags = fitting;
}

fn surplus(wish: &mut Wish, tags: &mut Vec<Tag>, most: usize) {
    for tag in tags.split_off(most.min(tags.len())) {
        wish.lose(&format!("tag {}", tag.key), &format!("AWS takes at most {MOST_TAGS} tags"));
    }
}
