//! From the counts of a comparison to the checks of a record. Pure; adds nothing to what was counted.

use super::record::{Check, RecordedDifference, State};
use crate::{
    model::Record,
    repo::Manifest,
    restore::{Aspect, Count, Verification},
};

/// What the signed manifest says there is, against what its index holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Completeness {
    stated_secrets: u64,
    stated_versions: u64,
    found_secrets: u64,
    found_versions: u64,
}

impl Completeness {
    pub(super) fn of(manifest: &Manifest, records: &[Record]) -> Self {
        Self {
            stated_secrets: manifest.counts.captured + manifest.counts.unreadable,
            stated_versions: manifest.counts.versions,
            found_secrets: records.len() as u64,
            found_versions: records.iter().map(|record| record.versions.len() as u64).sum(),
        }
    }

    /// The same, of a manifest that states one secret more.
    pub(super) fn stating_one_more(self) -> Self {
        Self { stated_secrets: self.stated_secrets + 1, ..self }
    }

    fn count(self) -> Count {
        let pairs = [(self.stated_secrets, self.found_secrets), (self.stated_versions, self.found_versions)];
        let mut count = Count::default();
        for (stated, found) in pairs {
            count.expected += stated;
            count.compared += stated.min(found);
            count.equal += stated.min(found);
            count.missing += stated.saturating_sub(found);
            count.unexpected += found.saturating_sub(stated);
        }
        count
    }
}

/// One check for each aspect.
pub(super) fn all(verification: &Verification, completeness: Completeness, run: &[Aspect]) -> Vec<Check> {
    let count = |aspect| match aspect {
        Aspect::Completeness => completeness.count(),
        other => verification.checks.of(other),
    };
    Aspect::ALL.map(|aspect| one(aspect, count(aspect), run.contains(&aspect))).into()
}

fn one(name: Aspect, found: Count, chosen: bool) -> Check {
    let state = if chosen { judge(found) } else { State::NotRun };
    let counted = if chosen { found } else { Count { expected: found.expected, ..Count::default() } };
    let Count { expected, compared, equal, missing, unexpected } = counted;
    Check { name, method: method(name).into(), chosen, expected, compared, equal, missing, unexpected, state }
}

/// What is there and should not be makes a check fail even where nothing is in scope.
fn judge(count: Count) -> State {
    if count.differs() {
        State::Failed
    } else if count.expected == 0 {
        State::NotApplicable
    } else if count.uncompared() > 0 {
        State::NotRun
    } else {
        State::Passed
    }
}

fn method(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Completeness => "secrets and versions in the index compared with the signed counts of the manifest",
        Aspect::Ids => "version ids read back, none missing and none extra",
        Aspect::Values => "text read back and compared byte by byte with the sealed value",
        Aspect::Binary => "bytes read back and compared with the sealed value",
        Aspect::Labels => "staging labels of each version, as sets",
        Aspect::Tags => "tags as sets, the drill's own included",
        Aspect::Descriptions => "description, type, and whether it is scheduled for deletion",
        Aspect::Policies => "resource policy, character by character",
        Aspect::Key => "KMS key by its alias or id; no key where there was none",
        Aspect::Rotation => "function and schedule; off where the plan leaves it off",
        Aspect::Replicas => "regions, state and key; none where the plan makes none",
    }
}

/// The differences that count, as recorded: those of the checks that run, and every secret that is not there or cannot be
/// read.
pub(super) fn differences(found: &Verification, run: &[Aspect]) -> Vec<RecordedDifference> {
    let counts = |aspects: &[Aspect]| aspects.is_empty() || aspects.iter().any(|aspect| run.contains(aspect));
    let counted = found.differences.iter().filter(|difference| counts(&difference.aspects));
    let recorded = counted.map(|difference| RecordedDifference {
        name: difference.name.clone(),
        version: difference.version.clone(),
        what: difference.what.into(),
        detail: difference.detail.clone(),
    });
    recorded.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::restore::Difference;

    fn count(expected: u64, compared: u64, equal: u64, missing: u64, unexpected: u64) -> Count {
        Count { expected, compared, equal, missing, unexpected }
    }

    #[test]
    fn a_check_passes_only_when_all_that_is_in_scope_was_compared_and_equal() {
        for (found, state) in [
            (count(0, 0, 0, 0, 0), State::NotApplicable),
            (count(0, 0, 0, 0, 1), State::Failed),
            (count(1, 1, 1, 0, 0), State::Passed),
            (count(24, 24, 24, 0, 0), State::Passed),
            (count(24, 23, 23, 0, 0), State::NotRun),
            (count(24, 0, 0, 0, 0), State::NotRun),
            (count(24, 23, 23, 1, 0), State::Failed),
            (count(24, 24, 23, 0, 0), State::Failed),
            (count(24, 24, 24, 0, 1), State::Failed),
            (count(24, 5, 4, 0, 0), State::Failed),
        ] {
            assert_eq!(judge(found), state, "{found:?}");
        }
    }

    #[test]
    fn what_is_not_asked_for_is_not_run_and_counts_for_nothing() {
        let check = one(Aspect::Tags, count(5, 4, 3, 1, 2), false);
        let expected = Check {
            name: Aspect::Tags,
            method: method(Aspect::Tags).into(),
            chosen: false,
            expected: 5,
            compared: 0,
            equal: 0,
            missing: 0,
            unexpected: 0,
            state: State::NotRun,
        };
        assert_eq!(check, expected);
        let asked = one(Aspect::Tags, count(5, 4, 3, 1, 2), true);
        let counted = Check { chosen: true, compared: 4, equal: 3, missing: 1, unexpected: 2, ..expected };
        assert_eq!(asked, Check { state: State::Failed, ..counted });
    }

    #[test]
    fn completeness_counts_secrets_and_versions_apart() {
        let counted = |stated: (u64, u64), found: (u64, u64)| {
            let completeness = Completeness {
                stated_secrets: stated.0,
                stated_versions: stated.1,
                found_secrets: found.0,
                found_versions: found.1,
            };
            completeness.count()
        };
        assert_eq!(counted((3, 7), (3, 7)), count(10, 10, 10, 0, 0));
        assert_eq!(counted((3, 7), (2, 5)), count(10, 7, 7, 3, 0));
        // One too few of the one and one too many of the other do not make up for each other.
        assert_eq!(counted((3, 7), (2, 8)), count(10, 9, 9, 1, 1));
        assert_eq!(counted((0, 0), (0, 0)), count(0, 0, 0, 0, 0));
        let exact = Completeness { stated_secrets: 3, stated_versions: 7, found_secrets: 3, found_versions: 7 };
        assert_eq!(exact.stating_one_more().count(), count(11, 10, 10, 1, 0));
    }

    #[test]
    fn each_aspect_has_one_check_and_its_own_method() {
        let completeness = Completeness { stated_secrets: 1, stated_versions: 2, found_secrets: 1, found_versions: 2 };
        let checks = all(&Verification::default(), completeness, &[Aspect::Completeness, Aspect::Key]);
        assert_eq!(checks.iter().map(|check| check.name).collect::<Vec<_>>(), Aspect::ALL);
        let methods: std::collections::BTreeSet<&str> = checks.iter().map(|check| check.method.as_str()).collect();
        assert_eq!(methods.len(), Aspect::ALL.len());
        for check in &checks {
            let (chosen, expected, state) = match check.name {
                Aspect::Completeness => (true, 3, State::Passed),
                Aspect::Key => (true, 0, State::NotApplicable),
                _ => (false, 0, State::NotRun),
            };
            assert_eq!((check.chosen, check.expected, check.state), (chosen, expected, state), "{check:?}");
        }
    }

    #[test]
    fn differences_are_recorded_when_a_check_that_runs_has_them_or_the_whole_secret_is_wrong() {
        let difference = |what, aspects: &[Aspect]| Difference {
            name: "app/one".into(),
            version: None,
            what,
            detail: "more".into(),
            aspects: aspects.into(),
        };
        let found = Verification {
            differences: vec![
                difference("missing", &[]),
                difference("tags", &[Aspect::Tags]),
                difference("extra", &[Aspect::Ids, Aspect::Labels]),
            ],
            ..Verification::default()
        };
        let recorded = |run: &[Aspect]| differences(&found, run).into_iter().map(|it| it.what).collect::<Vec<_>>();
        assert_eq!(recorded(&[]), ["missing"]);
        assert_eq!(recorded(&[Aspect::Labels]), ["missing", "extra"]);
        assert_eq!(recorded(&[Aspect::Tags, Aspect::Values]), ["missing", "tags"]);
        let one = &differences(&found, &[])[0];
        assert_eq!((one.name.as_str(), one.version.as_ref(), one.detail.as_str()), ("app/one", None, "more"));
    }
}
