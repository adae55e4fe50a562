//! What a source hides of a deleted secret, and an earlier snapshot has.

use super::Known;
use crate::{
    model::{Part, Record, Secret, ValueState, Version, Withheld},
    provider::{Fetched, FetchedValue, FetchedVersion},
};

/// A policy that cannot be read while its secret is scheduled for deletion is the one that was read before.
pub(super) fn keep_policy(secret: &mut Secret, known: &Known) {
    let before = known.record().filter(|record| record.secret.id == secret.id);
    if secret.deleted.is_some() && secret.raw.get("GetResourcePolicy").is_none() && secret.facets.policy.is_none() {
        secret.facets.policy = before.and_then(|record| record.secret.facets.policy.clone());
    }
}

/// Where a kind shows nothing of a deleted secret but its current version (Azure), everything else is as it was read before: a
/// deleted secret does not change. Only of the same incarnation, which that version tells.
pub(super) fn keep_versions(fetched: &mut Fetched, known: &Known) {
    let hides = fetched.secret.unreadable.iter().any(|it| {
        it.part == Part::Versions
            && it.reason == Withheld::ScheduledForDeletion.code()
            && fetched.secret.deleted.is_some()
    });
    let is_same = |record: &&Record| {
        let is_there =
            |wanted: &FetchedVersion| record.versions.iter().any(|found| found.id == wanted.id && found.current);
        !fetched.versions.is_empty() && fetched.versions.iter().all(is_there)
    };
    let Some(before) = known.record().filter(|_| hides).filter(is_same) else { return };
    fetched.versions = before.versions.iter().map(again).collect();
    fetched.secret = Secret { deleted: fetched.secret.deleted, ..before.secret.clone() };
}

fn again(version: &Version) -> FetchedVersion {
    let value = match &version.value {
        ValueState::Stored { .. } => FetchedValue::Known,
        ValueState::None => FetchedValue::None,
        ValueState::Withheld { reason } => FetchedValue::Withheld(*reason),
        ValueState::Unreadable { reason } => FetchedValue::Unreadable(reason.clone()),
    };
    FetchedVersion::of(version.clone(), value)
}
