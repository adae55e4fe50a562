//! Staging labels: where they are and how they move.

use std::collections::BTreeMap;

use super::{limits, refusal::Refusal};

pub(super) const CURRENT: &str = "AWSCURRENT";
pub(super) const PREVIOUS: &str = "AWSPREVIOUS";
pub(super) const PENDING: &str = "AWSPENDING";

/// Label → version id: a label is on one version at most, by construction.
#[derive(Clone, Default)]
pub(super) struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The version that carries a label.
    pub fn version(&self, label: &str) -> Option<&str> {
        self.0.get(label).map(String::as_str)
    }

    /// The labels of a version, sorted.
    pub fn of<'a>(&'a self, version: &'a str) -> impl Iterator<Item = &'a str> + 'a {
        self.0.iter().filter(move |(_, holder)| *holder == version).map(|(label, _)| label.as_str())
    }

    /// Whether a version carries any label.
    pub fn on(&self, version: &str) -> bool {
        self.0.values().any(|holder| holder == version)
    }

    /// Attaches a label without any rule; for seeding.
    pub fn attach(&mut self, label: &str, version: &str) {
        self.0.insert(label.to_owned(), version.to_owned());
    }

    /// Detaches a label without any rule; for rotation and seeding.
    pub fn detach(&mut self, label: &str) {
        self.0.remove(label);
    }

    /// Labels a new version: the given stages, or `AWSCURRENT`. The first version always gets `AWSCURRENT`.
    ///
    /// `AWSCURRENT` leaves `AWSPREVIOUS` behind, and takes `AWSPENDING` off the version it leaves (recorded in
    /// `test_update_secret_version_stages_current_pending`).
    pub fn put(&mut self, version: &str, stages: Option<&[String]>) -> Result<(), Refusal> {
        let mut next = self.clone();
        for stage in stages.unwrap_or_default() {
            if stage != CURRENT {
                next.attach(stage, version);
            }
        }
        let asked = stages.is_none_or(|stages| stages.iter().any(|stage| stage == CURRENT));
        match next.version(CURRENT).map(str::to_owned) {
            None => next.attach(CURRENT, version),
            Some(old) if asked => {
                if next.version(PENDING) == Some(&old) {
                    next.detach(PENDING);
                }
                next.make_current(&old, version);
            }
            Some(_) => {}
        }
        if next.0.len() > limits::LABELS {
            return Err(Refusal::limit(
                "You've exceeded the maximum number of staging labels (20) that all versions of the secret can have.",
            ));
        }
        *self = next;
        Ok(())
    }

    /// `UpdateSecretVersionStage`. The versions must exist.
    pub fn update(&mut self, label: &str, from: Option<&str>, to: Option<&str>) -> Result<(), Refusal> {
        if from.is_none() && to.is_none() {
            return Err(Refusal::invalid_parameter("You must provide MoveToVersionId, RemoveFromVersionId, or both."));
        }
        let holder = self.version(label).map(str::to_owned);
        if from.is_none() && to.is_some() && holder.as_deref() == to {
            return Ok(());
        }
        match (&holder, from) {
            (Some(holder), None) => Err(Refusal::invalid_parameter(format!(
                "The parameter RemoveFromVersionId can't be empty. Staging label {label} is currently attached to \
                 version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
            ))),
            (_, Some(from)) if holder.as_deref() != Some(from) => Err(Refusal::invalid_parameter(format!(
                "Staging label {label} is not attached to version {from}, which RemoveFromVersionId references."
            ))),
            _ => self.relabel(label, holder.as_deref(), to),
        }
    }

    fn relabel(&mut self, label: &str, from: Option<&str>, to: Option<&str>) -> Result<(), Refusal> {
        let Some(to) = to else {
            if label == CURRENT {
                return Err(Refusal::invalid_parameter(
                    "You can only move staging label AWSCURRENT to a different secret version. It can't be completely \
                     removed.",
                ));
            }
            self.detach(label);
            return Ok(());
        };
        if from.is_none() && self.0.len() >= limits::LABELS {
            return Err(Refusal::limit(
                "You've exceeded the maximum number of staging labels (20) that all versions of the secret can have.",
            ));
        }
        match from {
            Some(from) if label == CURRENT => self.make_current(from, to),
            _ => self.attach(label, to),
        }
        Ok(())
    }

    fn make_current(&mut self, old: &str, new: &str) {
        self.attach(CURRENT, new);
        if old != new {
            self.attach(PREVIOUS, old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        let mut labels = Labels::default();
        for (label, version) in pairs {
            labels.attach(label, version);
        }
        labels
    }

    fn on(labels: &Labels, version: &str) -> Vec<String> {
        labels.of(version).map(str::to_owned).collect()
    }

    fn stages(stages: &[&str]) -> Vec<String> {
        stages.iter().map(ToString::to_string).collect()
    }

    fn code(result: Result<(), Refusal>) -> String {
        result.err().map_or_else(String::new, |refusal| refusal.code.into_owned())
    }

    #[test]
    fn the_first_version_is_current_whatever_was_asked() {
        let mut it = Labels::default();
        assert!(it.put("a", Some(&stages(&["X"]))).is_ok());
        assert_eq!(on(&it, "a"), ["AWSCURRENT", "X"]);
    }

    #[test]
    fn a_plain_put_moves_current_and_previous_and_orphans_the_oldest() {
        let mut it = labels(&[(CURRENT, "b"), (PREVIOUS, "a")]);
        assert!(it.put("c", None).is_ok());
        assert_eq!(on(&it, "c"), [CURRENT]);
        assert_eq!(on(&it, "b"), [PREVIOUS]);
        assert!(!it.on("a"));
    }

    #[test]
    fn explicit_stages_leave_current_alone_and_are_stolen() {
        let mut it = labels(&[(CURRENT, "a"), ("one", "b"), ("three", "b")]);
        assert!(it.put("c", Some(&stages(&["one", "four"]))).is_ok());
        assert_eq!(on(&it, "a"), [CURRENT]);
        assert_eq!(on(&it, "b"), ["three"]);
        assert_eq!(on(&it, "c"), ["four", "one"]);
    }

    #[test]
    fn putting_previous_explicitly_makes_no_current() {
        let mut it = labels(&[(CURRENT, "a")]);
        assert!(it.put("b", Some(&stages(&[PREVIOUS]))).is_ok());
        assert_eq!((on(&it, "a"), on(&it, "b")), (stages(&[CURRENT]), stages(&[PREVIOUS])));
    }

    #[test]
    fn rolling_back_swaps_current_and_previous() {
        let mut it = labels(&[(CURRENT, "b"), (PREVIOUS, "a")]);
        assert!(it.update(CURRENT, Some("b"), Some("a")).is_ok());
        assert_eq!((on(&it, "a"), on(&it, "b")), (stages(&[CURRENT]), stages(&[PREVIOUS])));
    }

    #[test]
    fn current_moves_on_to_a_deprecated_version_too() {
        let mut it = labels(&[(CURRENT, "c"), (PREVIOUS, "b")]);
        assert!(it.update(CURRENT, Some("c"), Some("a")).is_ok());
        assert_eq!((on(&it, "a"), on(&it, "c")), (stages(&[CURRENT]), stages(&[PREVIOUS])));
        assert!(!it.on("b"));
    }

    #[test]
    fn moving_current_by_label_keeps_pending_where_it_is() {
        let mut it = labels(&[(CURRENT, "a"), (PENDING, "b")]);
        assert!(it.update(CURRENT, Some("a"), Some("b")).is_ok());
        assert_eq!(on(&it, "b"), [CURRENT, PENDING]);
        assert!(it.put("c", None).is_ok());
        assert_eq!(on(&it, "b"), [PREVIOUS]);
    }

    #[test]
    fn refusals_change_nothing() {
        let mut it = labels(&[(CURRENT, "a"), ("X", "b")]);
        assert_eq!(code(it.update("X", None, Some("a"))), "InvalidParameterException");
        assert_eq!(code(it.update("X", Some("a"), Some("c"))), "InvalidParameterException");
        assert_eq!(code(it.update("X", Some("a"), Some("b"))), "InvalidParameterException");
        assert_eq!(code(it.update("Y", Some("a"), None)), "InvalidParameterException");
        assert_eq!(code(it.update(CURRENT, Some("a"), None)), "InvalidParameterException");
        assert_eq!(code(it.update(CURRENT, None, None)), "InvalidParameterException");
        assert_eq!((on(&it, "a"), on(&it, "b")), (stages(&[CURRENT]), stages(&["X"])));
    }

    #[test]
    fn the_twenty_first_label_is_refused_and_no_other_is_moved() {
        let mut it = labels(&[(CURRENT, "a")]);
        for n in 0..19 {
            it.attach(&format!("L{n:02}"), "a");
        }
        assert_eq!(code(it.put("b", Some(&stages(&["L00", "extra"])))), "LimitExceededException");
        assert_eq!(code(it.put("b", None)), "LimitExceededException");
        assert_eq!(code(it.update("extra", None, Some("b"))), "LimitExceededException");
        assert_eq!(it.version("L00"), Some("a"));
        assert!(it.put("b", Some(&stages(&["L00"]))).is_ok());
        assert_eq!(it.version("L00"), Some("b"));
    }
}
