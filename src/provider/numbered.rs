//! What the rules of kinds have alike whose current version is the newest: what is there, what a restore has begun, and the
//! writes that come one behind the other.

use std::collections::BTreeMap;

#[cfg(any(feature = "vault", feature = "gcp"))]
use crate::model::{Codec, Desired, Digest, Planned, Step, ValueRef};
use crate::model::{DRILL_TAG, Existing, State, Tag, Version, Withheld};

/// The tag that a restore gives a secret before its versions, and takes away after them: it tells what it began from what is
/// another's.
#[cfg(any(feature = "vault", feature = "gcp"))]
pub(super) const BEGUN: &str = "lifeboat.restore";

/// A number for what a restore is to make of a secret.
#[cfg(any(feature = "vault", feature = "gcp"))]
pub(super) fn mark_of(desired: &Desired) -> String {
    let what = (&desired.source_id, &desired.versions, &desired.withheld);
    let digest = Digest::of(&serde_json::to_vec(&what).expect("plain data"));
    digest.to_string()[..32].to_owned()
}

/// Tags as they are compared: a drill's own is nobody's.
pub(super) fn tag_map(tags: &[Tag]) -> BTreeMap<String, String> {
    let pairs = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone()));
    pairs.filter(|(key, _)| key != DRILL_TAG).collect()
}

/// Puts the versions that are there into a state; `how` tells which of them cannot be read.
pub(super) fn note_versions(state: &mut State, existing: &Existing, how: impl Fn(&Version) -> Option<Withheld>) {
    for version in &existing.versions {
        state.versions.insert(version.id.clone());
        if version.current {
            state.current = Some(version.id.clone());
        }
        if let Some(how) = how(version) {
            state.withheld.insert(version.id.clone(), how);
        }
    }
}

/// The write of the version that comes behind another: its value; the known value of one that is `how` afterwards, by `codec`;
/// or a placeholder.
#[cfg(any(feature = "vault", feature = "gcp"))]
pub(super) fn append(
    desired: &Desired,
    (id, behind): (&str, u64),
    how: Withheld,
    codec: impl FnOnce(ValueRef) -> Codec,
) -> Planned {
    let (name, version, behind) = (desired.name.clone(), id.to_owned(), behind.to_string());
    if let Some(found) = desired.versions.iter().find(|version| version.id == id) {
        return Planned::of(Step::Append { name, version, behind, placeholder: false }, found);
    }
    let known = desired.withheld.iter().find(|version| version.id == id && version.how == how);
    match known.and_then(|version| Some((version, version.value?))) {
        Some((known, value)) => Planned {
            write: Step::Append { name, version, behind, placeholder: false },
            value: Some(value),
            source: Some(known.source.clone()),
            codec: codec(value),
        },
        None => Planned::plain(Step::Append { name, version, behind, placeholder: true }),
    }
}
