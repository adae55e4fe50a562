//! A source that suddenly has less: emptied, or listed by halves.
//!
//! Each snapshot carries the counts that its source is held against: the most it had since somebody last accepted a loss. Not those
//! of the snapshot before, or a tenth a day would never show, and a second empty run would be as expected. Pure.

use serde::{Deserialize, Serialize};

use super::Counts;

/// How much a source may lose before somebody has to say that it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LossGuard {
    /// Percent of what it had.
    pub share: u32,
    /// And at least so many; a source that has nothing left is always too little.
    pub least: u64,
    /// Whether a source that never listed a secret is too little, too: one that somebody named, so that a wrong region or a
    /// missing right does not look like a backup. Accounts of an organization may well have none.
    pub expects_some: bool,
}

/// What a snapshot's source is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accepted {
    /// Secrets listed.
    pub listed: u64,
    /// Versions with a label or current. The provider prunes the others by itself.
    pub labelled: u64,
    /// Whether this snapshot has lost more than it may, and nobody accepted that: it takes no other one's place.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lost: bool,
}

impl Default for LossGuard {
    fn default() -> Self {
        Self { share: 10, least: 5, expects_some: false }
    }
}

impl Accepted {
    /// Whether the source has not listed a secret so far, and nobody accepted that.
    pub fn never_had_any(&self) -> bool {
        self.lost && self.listed == 0
    }

    /// What a table calls a snapshot with such a loss.
    pub fn word(&self) -> &'static str {
        if self.never_had_any() { "NO SECRETS" } else { "LOST SECRETS" }
    }
}

impl LossGuard {
    /// Holds counts against those of the snapshot before, if there is one. `down_to`: a person accepts that the source lists no
    /// more than so many.
    pub fn judge(&self, before: Option<&Accepted>, counts: &Counts, down_to: Option<u64>) -> Accepted {
        let now = Accepted { listed: counts.listed, labelled: counts.labelled, lost: false };
        if down_to.is_some_and(|down_to| counts.listed >= down_to) {
            return now;
        }
        let nothing = self.expects_some && now.listed == 0;
        let Some(before) = before else { return Accepted { lost: nothing, ..now } };
        let lost = (nothing && before.never_had_any())
            || self.is_loss(before.listed, now.listed)
            || self.is_loss(before.labelled, now.labelled);
        Accepted { listed: before.listed.max(now.listed), labelled: before.labelled.max(now.labelled), lost }
    }

    fn is_loss(&self, before: u64, now: u64) -> bool {
        let lost = before.saturating_sub(now);
        let much = u128::from(lost) * 100 >= u128::from(before) * u128::from(self.share) && lost >= self.least;
        lost > 0 && (now == 0 || much)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUARD: LossGuard = LossGuard { share: 10, least: 5, expects_some: false };

    fn counts(listed: u64, labelled: u64) -> Counts {
        Counts { listed, labelled, ..Counts::default() }
    }

    fn accepted(listed: u64, labelled: u64) -> Accepted {
        Accepted { listed, labelled, lost: false }
    }

    #[test]
    fn a_tenth_at_least_five_or_everything_is_a_loss() {
        for (before, now, lost) in [
            (100, 91, false),
            (100, 90, true),
            (101, 91, false),
            (49, 45, false),
            (50, 45, true),
            (20, 16, false),
            (20, 15, true),
            (4, 1, false),
            (4, 0, true),
            (1, 0, true),
            (0, 0, false),
            (0, 9, false),
            (u64::MAX, u64::MAX - 1, false),
        ] {
            assert_eq!(GUARD.judge(Some(&accepted(before, 0)), &counts(now, 0), None).lost, lost, "{before} to {now}");
            assert_eq!(GUARD.judge(Some(&accepted(0, before)), &counts(0, now), None).lost, lost, "{before} to {now}");
        }
    }

    #[test]
    fn the_first_snapshot_of_an_empty_source_is_what_it_is() {
        assert_eq!(GUARD.judge(None, &counts(0, 0), None), accepted(0, 0));
    }

    #[test]
    fn a_source_that_somebody_named_and_that_lists_nothing_is_a_loss_until_it_has_some_or_that_is_accepted() {
        let guard = LossGuard { expects_some: true, ..GUARD };
        let first = guard.judge(None, &counts(0, 0), None);
        assert!(first.never_had_any());
        assert!(guard.judge(Some(&first), &counts(0, 0), None).never_had_any(), "the second run is no better");
        assert_eq!(guard.judge(Some(&first), &counts(3, 4), None), accepted(3, 4));
        let meant = guard.judge(None, &counts(0, 0), Some(0));
        assert_eq!(meant, accepted(0, 0));
        assert_eq!(guard.judge(Some(&meant), &counts(0, 0), None), accepted(0, 0), "accepted once");
        assert_eq!(guard.judge(None, &counts(1, 0), None), accepted(1, 0));
    }

    #[test]
    fn nine_in_a_hundred_a_day_shows_on_the_second_day() {
        let first = GUARD.judge(Some(&accepted(100, 200)), &counts(91, 182), None);
        assert_eq!(first, accepted(100, 200));
        let second = GUARD.judge(Some(&first), &counts(83, 166), None);
        assert!(second.lost && second.listed == 100);
    }

    #[test]
    fn nothing_after_nothing_stays_a_loss_until_it_is_back_or_accepted() {
        let gone = GUARD.judge(Some(&accepted(100, 100)), &counts(0, 0), None);
        let still = GUARD.judge(Some(&gone), &counts(0, 0), None);
        assert!(gone.lost && still.lost && still.listed == 100);
        assert_eq!(GUARD.judge(Some(&still), &counts(100, 101), None), accepted(100, 101), "back again");
        assert_eq!(GUARD.judge(Some(&still), &counts(0, 0), Some(0)), accepted(0, 0), "accepted");
    }

    #[test]
    fn an_accepted_loss_goes_down_to_what_was_said_and_no_further() {
        let before = accepted(100, 300);
        assert_eq!(GUARD.judge(Some(&before), &counts(60, 180), Some(60)), accepted(60, 180));
        assert!(GUARD.judge(Some(&before), &counts(59, 180), Some(60)).lost);
        assert_eq!(GUARD.judge(Some(&before), &counts(61, 1), Some(60)), accepted(61, 1));
    }

    #[test]
    fn another_share_and_another_least() {
        let guard = LossGuard { share: 50, least: 1, expects_some: false };
        assert!(!guard.judge(Some(&accepted(10, 0)), &counts(6, 0), None).lost);
        assert!(guard.judge(Some(&accepted(10, 0)), &counts(5, 0), None).lost);
        let every = LossGuard { share: 0, least: 0, expects_some: false };
        assert!(every.judge(Some(&accepted(10, 0)), &counts(9, 0), None).lost);
        assert!(!every.judge(Some(&accepted(10, 0)), &counts(10, 0), None).lost);
    }
}
