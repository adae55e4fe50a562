//! From a comparison to the checks of a record. Pure.

use std::collections::BTreeMap;

use super::{
    file::Aspect,
    record::{Check, RecordedDifference, State},
};
use crate::{
    model::ValueKind,
    restore::{Desired, Difference, SecretPlan, Verification},
};

/// What the signed manifest says there is, against what its index holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completeness {
    pub(super) stated_secrets: u64,
    pub(super) stated_versions: u64,
    pub(super) found_secrets: u64,
    pub(super) found_versions: u64,
}

/// One check for each aspect; those not in `run` are recorded as not run.
pub(super) fn all(
    plan: &[SecretPlan],
    verification: &Verification,
    completeness: Completeness,
    run: &[Aspect],
) -> Vec<Check> {
    let mut differing: BTreeMap<Aspect, u64> = BTreeMap::new();
    for difference in &verification.differences {
        *differing.entry(aspect_of(difference, plan)).or_default() += 1;
    }
    let differing = |aspect: Aspect| differing.get(&aspect).copied().unwrap_or_default();
    let compared = verification.secrets > 0;
    Aspect::ALL
        .map(|aspect| one(aspect, plan, (differing(aspect), compared), completeness, run.contains(&aspect)))
        .into()
}

fn one(
    aspect: Aspect,
    plan: &[SecretPlan],
    (differing, compared): (u64, bool),
    completeness: Completeness,
    wanted: bool,
) -> Check {
    let Completeness { stated_secrets, stated_versions, found_secrets, found_versions } = completeness;
    let expected = match aspect {
        Aspect::Completeness => stated_secrets + stated_versions,
        other => plan.iter().filter(|secret| secret.is_verified()).map(|secret| count(other, &secret.desired)).sum(),
    };
    let equal = match aspect {
        Aspect::Completeness => found_secrets.min(stated_secrets) + found_versions.min(stated_versions),
        _ => expected.saturating_sub(differing),
    };
    let exact = found_secrets == stated_secrets && found_versions == stated_versions;
    let failed = if aspect == Aspect::Completeness { !exact } else { differing > 0 };
    // A check of nothing is none, and a comparison that did not take place proves nothing.
    let nothing = expected == 0 || (aspect != Aspect::Completeness && !compared);
    let state = match (wanted, failed) {
        (false, _) => State::NotRun,
        (true, true) => State::Failed,
        (true, false) if nothing => State::NotRun,
        (true, false) => State::Passed,
    };
    let equal = if nothing { 0 } else { equal };
    Check { name: aspect, method: method(aspect).into(), expected, equal, state }
}

fn count(aspect: Aspect, desired: &Desired) -> u64 {
    let count = match aspect {
        Aspect::Ids => desired.versions.len(),
        Aspect::Values => desired.versions.iter().filter(|version| !is_binary(version.value.kind)).count(),
        Aspect::Binary => desired.versions.iter().filter(|version| is_binary(version.value.kind)).count(),
        Aspect::Labels => desired.versions.iter().map(|version| version.labels.len()).sum(),
        Aspect::Tags => desired.tags.len(),
        Aspect::Descriptions => usize::from(desired.description.is_some()),
        Aspect::Policies => usize::from(desired.policy.is_some()),
        Aspect::Completeness => 0,
    };
    count as u64
}

/// Which of the two checks of values a kind belongs to.
fn is_binary(kind: ValueKind) -> bool {
    match kind {
        ValueKind::Text | ValueKind::Fields => false,
        ValueKind::Bytes => true,
    }
}

/// Which check a difference belongs to.
fn aspect_of(difference: &Difference, plan: &[SecretPlan]) -> Aspect {
    let of_binary = || {
        // A plan is sorted by name.
        let at = plan.binary_search_by(|secret| secret.desired.name.as_str().cmp(&difference.name));
        let mut versions = at.ok().into_iter().flat_map(|at| &plan[at].desired.versions);
        versions.any(|it| Some(&it.id) == difference.version.as_ref() && is_binary(it.value.kind))
    };
    match difference.what {
        "missing" | "extra" => Aspect::Ids,
        "labels" => Aspect::Labels,
        "tags" => Aspect::Tags,
        "policy" => Aspect::Policies,
        "description" | "type" | "key" | "rotation" | "replicas" | "deletion" => Aspect::Descriptions,
        _ if of_binary() => Aspect::Binary,
        _ => Aspect::Values,
    }
}

fn method(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Completeness => "secrets and versions in the index against the signed counts of the manifest",
        Aspect::Ids => "version ids read back, none missing and none more",
        Aspect::Values => "text read back and compared byte by byte with the sealed value",
        Aspect::Binary => "bytes read back and compared with the sealed value",
        Aspect::Labels => "staging labels of each version, as sets",
        Aspect::Tags => "tags as sets, the drill's own included",
        Aspect::Descriptions => "description, type, key, rotation and replicas",
        Aspect::Policies => "resource policy, character by character",
    }
}

/// The differences of checks that count, as recorded.
pub(super) fn differences(plan: &[SecretPlan], found: &Verification, run: &[Aspect]) -> Vec<RecordedDifference> {
    let counted = found.differences.iter().filter(|difference| run.contains(&aspect_of(difference, plan)));
    let recorded = counted.map(|difference| RecordedDifference {
        name: difference.name.clone(),
        version: difference.version.clone(),
        what: difference.what.into(),
        detail: difference.detail.clone(),
    });
    recorded.collect()
}
