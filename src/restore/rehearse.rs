//! What the rules of a map file do to the values of a plan, found out before anything is written. Says where, never what.

use std::collections::BTreeMap;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;

use super::{
    plan::{Plan, SecretPlan},
    values::Values,
    verify::by_pack,
};
use crate::{
    model::{Effect, Maps, Options, effect},
    repo::RepoError,
};

/// Secrets named for one rule; the others are counted.
const MOST_NAMES: usize = 20;
const AT_ONCE: usize = 4;

/// What every rule does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// Each rule of the map file.
    pub rules: Vec<RuleReport>,
    /// Whether the values were opened: without a quorum nothing is known but which secrets a rule is about.
    pub opened: bool,
}

/// What one rule does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RuleReport {
    /// The pattern of names.
    pub pattern: String,
    /// The place in the value.
    pub pointer: String,
    /// Secrets that it is about.
    pub secrets: u64,
    /// Current values that it changes.
    pub changed: u64,
    /// Versions that it changes, current ones included.
    pub changed_versions: u64,
    /// Current values that it does not change, by the reason.
    pub unchanged: BTreeMap<&'static str, Unchanged>,
    /// Why the rule does not do what somebody wrote it for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<&'static str>,
}

/// Secrets whose current value stays as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Unchanged {
    /// Their names in the source: the first few.
    pub secrets: Vec<String>,
    /// How many more there are.
    pub more: u64,
}

impl Rehearsal {
    /// Whether every rule does something, as far as it is known.
    pub fn is_complete(&self) -> bool {
        self.rules.is_empty() || (self.opened && self.rules.iter().all(|rule| rule.loss.is_none()))
    }
}

/// Goes through the values that a rule is about; without `values` through the names alone.
///
/// # Errors
/// A damaged or missing pack.
pub async fn rehearse(plan: &Plan, options: &Options, values: Option<&Values<'_>>) -> Result<Rehearsal, RepoError> {
    let maps = &options.maps;
    let mut reports: BTreeMap<(String, String), RuleReport> = BTreeMap::new();
    for (pattern, edits) in &maps.value {
        for pointer in edits.keys() {
            let report = RuleReport { pattern: pattern.clone(), pointer: pointer.clone(), ..RuleReport::default() };
            reports.insert((pattern.clone(), pointer.clone()), report);
        }
    }
    // A pack is opened once: those of one pack stand beside each other.
    let is_due = |secret: &SecretPlan| secret.is_verified() && !secret.desired.edits.is_empty();
    let due = plan.secrets.reordered(by_pack, |secret| is_due(&secret).then_some(secret))?;
    let mut found =
        stream::iter(due.walk()?).map(|secret| async { of_secret(&secret?, maps, values).await }).buffered(AT_ONCE);
    while let Some(effects) = found.try_next().await? {
        for Found { pattern, pointer, name, current, effect } in effects {
            if let Some(report) = reports.get_mut(&(pattern, pointer)) {
                report.add(&name, current, effect);
            }
        }
    }
    let is_part = !(options.names.is_empty() && options.exclude.is_empty());
    let mut rules: Vec<RuleReport> = reports.into_values().collect();
    for rule in &mut rules {
        rule.unchanged.values_mut().for_each(|unchanged| unchanged.secrets.sort());
        rule.loss = rule.judge(is_part, values.is_some());
    }
    Ok(Rehearsal { rules, opened: values.is_some() })
}

/// What one rule does to one version; `effect` is unknown where the value was not opened.
struct Found {
    pattern: String,
    pointer: String,
    name: String,
    current: bool,
    effect: Option<Effect>,
}

async fn of_secret(secret: &SecretPlan, maps: &Maps, values: Option<&Values<'_>>) -> Result<Vec<Found>, RepoError> {
    let desired = &secret.desired;
    let mut found = Vec::new();
    for version in secret.due_versions() {
        let value = match values {
            Some(values) => Some(values.get(&version.value, &desired.source_id, &version.source).await?),
            None => None,
        };
        for (pointer, (pattern, replacements)) in maps.value_rules(&desired.source_name) {
            found.push(Found {
                pattern: pattern.to_owned(),
                pointer: pointer.to_owned(),
                name: desired.source_name.clone(),
                current: version.current,
                effect: value.as_ref().map(|value| effect(pointer, replacements, value)),
            });
        }
    }
    Ok(found)
}

impl RuleReport {
    fn add(&mut self, name: &str, current: bool, effect: Option<Effect>) {
        self.secrets += u64::from(current);
        let Some(effect) = effect else { return };
        self.changed_versions += u64::from(effect == Effect::Changed);
        if !current {
            return;
        }
        if effect == Effect::Changed {
            self.changed += 1;
            return;
        }
        let unchanged = self.unchanged.entry(effect.as_str()).or_default();
        if unchanged.secrets.len() < MOST_NAMES {
            unchanged.secrets.push(name.to_owned());
        } else {
            unchanged.more += 1;
        }
    }

    /// A pattern may well cover secrets that have no such place; a name was written for one secret.
    fn judge(&self, is_part: bool, is_opened: bool) -> Option<&'static str> {
        if self.secrets == 0 {
            // Where only some secrets are restored, the others' rules are not needed.
            return (!is_part).then_some("no secret has such a name");
        }
        if !is_opened {
            return None;
        }
        let is_name = !self.pattern.contains(['*', '?']);
        if self.unchanged.contains_key(Effect::Ambiguous.as_str()) {
            Some("it cannot tell which of two equal keys is meant")
        } else if self.changed == 0 {
            Some("it changes no current value")
        } else if is_name && !self.unchanged.is_empty() {
            Some("it does not change the value that it names")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(pattern: &str, effects: &[Option<Effect>], is_part: bool) -> Option<&'static str> {
        let mut report = RuleReport { pattern: pattern.into(), ..RuleReport::default() };
        for effect in effects {
            report.add("a", true, *effect);
        }
        report.judge(is_part, !effects.contains(&None))
    }

    #[test]
    fn a_rule_has_to_change_something() {
        use Effect::{Ambiguous, Changed, NoJson, NoText, NotThere, Unchanged};
        assert_eq!(judged("a*", &[], false), Some("no secret has such a name"));
        assert_eq!(judged("a*", &[], true), None);
        assert_eq!(judged("a*", &[None, None], false), None, "what was not opened is not judged");
        for effect in [NoJson, NoText, NotThere, Unchanged] {
            assert!(judged("a*", &[Some(effect)], false).is_some(), "{effect:?}");
            assert_eq!(judged("a*", &[Some(effect), Some(Changed)], false), None, "{effect:?}");
            assert!(judged("a", &[Some(effect)], true).is_some(), "{effect:?}");
        }
        assert_eq!(judged("a", &[Some(Changed)], false), None);
        assert!(judged("a*", &[Some(Changed), Some(Ambiguous)], false).is_some());
    }

    #[test]
    fn rules_that_were_not_tried_are_not_complete() {
        let rule = RuleReport::default();
        assert!(Rehearsal::default().is_complete());
        assert!(!Rehearsal { rules: vec![rule.clone()], opened: false }.is_complete());
        assert!(Rehearsal { rules: vec![rule.clone()], opened: true }.is_complete());
        let lost = RuleReport { loss: Some("x"), ..rule };
        assert!(!Rehearsal { rules: vec![lost], opened: true }.is_complete());
    }
}
