//! One secret as it was read back, against its plan. Each comparison is counted where it is made.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    aspect::{Aspect, Count, scope},
    execute::ExecuteError,
    plan::{Outcome, SecretPlan},
    values::Values,
    verify::{Difference, LeadingBack, NewId, Verification, VersionState},
};
use crate::{
    model::{DesiredVersion, Moved, Part, Place, Replica, Rotation, Secret, Tag, Withheld, edited},
    provider::{ErrorKind, Fetched, FetchedValue, FetchedVersion, ProviderError, Rules, codec, settings},
    repo::{RepoError, Spool},
};

/// What DescribeSecret answers.
const METADATA: [Aspect; 5] = [Aspect::Tags, Aspect::Descriptions, Aspect::Key, Aspect::Rotation, Aspect::Replicas];

/// What tells whether something leads back to the old place.
pub(super) struct Left<'a> {
    /// Those of the source: it knows what leads to it, wherever the secrets are now.
    pub(super) rules: Option<&'static dyn Rules>,
    pub(super) source: &'a Place,
    pub(super) target: &'a Place,
    pub(super) moved: &'a Moved,
}

/// One secret under comparison.
pub(super) struct Comparing<'a, 'v> {
    pub(super) secret: &'a SecretPlan,
    pub(super) values: &'a Values<'a>,
    pub(super) rules: &'static dyn Rules,
    pub(super) left: &'a Left<'a>,
    pub(super) verification: &'v mut Verification,
    pub(super) states: &'v mut Spool<VersionState>,
    pub(super) new_ids: &'v mut Spool<NewId>,
}

impl<'a> Comparing<'a, '_> {
    pub(super) async fn all(mut self, fetched: Result<Fetched, ProviderError>) -> Result<(), ExecuteError> {
        let scope = scope(self.secret, self.rules);
        self.verification.planned += 1;
        for (aspect, count) in &scope {
            self.count(*aspect).expected += count;
        }
        match fetched {
            Ok(fetched) => self.found(&fetched).await,
            Err(error) if error.kind == ErrorKind::NotFound => {
                for (aspect, count) in &scope {
                    self.count(*aspect).missing += count;
                }
                self.differ(&[], None, "missing", String::new());
                for version in self.secret.due_versions() {
                    self.state(version, "missing")?;
                }
                Ok(())
            }
            Err(error) => {
                self.differ(&[], None, "unreadable", error.to_string());
                Ok(())
            }
        }
    }

    async fn found(&mut self, fetched: &Fetched) -> Result<(), ExecuteError> {
        self.verification.secrets += 1;
        let old = self.secret.desired.source_id.clone();
        self.new_ids.push(NewId { old, new: fetched.secret.id.clone() })?;
        if self.secret.outcome != Outcome::NewVersion {
            self.metadata(&fetched.secret);
        }
        self.versions(fetched).await
    }

    async fn versions(&mut self, fetched: &Fetched) -> Result<(), ExecuteError> {
        let secret = self.secret;
        let mut there: BTreeMap<&str, &FetchedVersion> =
            fetched.versions.iter().map(|version| (version.id.as_str(), version)).collect();
        for version in secret.due_versions() {
            if let Some(found) = there.remove(version.id.as_str()) {
                self.version(version, found).await?;
            } else if is_unreadable(&fetched.secret, Part::Versions) {
                self.state(version, "unread")?;
            } else {
                self.missing(version)?;
            }
        }
        for version in &secret.desired.withheld {
            let found = there.remove(version.id.as_str());
            let is =
                found.is_some_and(|found| matches!(found.value, FetchedValue::Withheld(how) if how == version.how));
            self.count(Aspect::Ids).tally(Some(is));
            if !is {
                let detail = format!("it is to be {}", version.how);
                self.differ(&[Aspect::Ids], Some(&version.id), "state", detail);
            }
        }
        self.current(fetched);
        // What another secret of this name had stays, and must have lost its labels.
        let is_replaced = secret.outcome == Outcome::Replace;
        let stays = |id: &str, extra: &FetchedVersion| {
            secret.kept.iter().any(|kept| kept == id) && (!is_replaced || extra.labels.is_empty())
        };
        for (id, extra) in there {
            if secret.outcome != Outcome::NewVersion && !stays(id, extra) {
                self.count(Aspect::Ids).unexpected += 1;
                self.count(Aspect::Labels).unexpected += extra.labels.len() as u64;
                let labelled = [Aspect::Ids, Aspect::Labels];
                let aspects = if extra.labels.is_empty() { &labelled[..1] } else { &labelled };
                self.differ(aspects, Some(id), "extra", "this version is not in the snapshot".into());
            }
        }
        Ok(())
    }

    /// Which version an application gets, where that is no label.
    fn current(&mut self, fetched: &Fetched) {
        let wanted = self.secret.due_versions().find(|version| version.current && version.labels.is_empty());
        let Some(wanted) = wanted else { return };
        let found = fetched.versions.iter().find(|version| version.current).map(|version| version.id.as_str());
        if found != Some(&wanted.id) {
            let detail = format!("the current version is {}", found.unwrap_or("none"));
            self.differ(&[Aspect::Labels], Some(&wanted.id), "current", detail);
        }
    }

    /// A version that is not there; with it its value and its labels are missing.
    fn missing(&mut self, version: &DesiredVersion) -> Result<(), RepoError> {
        let kind = Aspect::of_kind(version.value.kind);
        let labels = self.secret.due_labels(version, self.rules).count() as u64;
        self.count(Aspect::Ids).missing += 1;
        self.count(kind).missing += 1;
        self.count(Aspect::Labels).missing += labels;
        let all = [Aspect::Ids, kind, Aspect::Labels];
        let aspects = if labels == 0 { &all[..2] } else { &all };
        self.differ(aspects, Some(&version.id), "missing", String::new());
        self.state(version, "missing")
    }

    /// Everything but versions. What could not be read is not compared.
    fn metadata(&mut self, found: &Secret) {
        for part in &found.unreadable {
            let aspects: &[Aspect] = match part.part {
                Part::Metadata => &METADATA,
                Part::Versions => &[Aspect::Ids],
                Part::Value => &[Aspect::Values, Aspect::Binary],
                Part::Policy => &[Aspect::Policies],
            };
            self.differ(aspects, None, "unreadable", format!("{}: {}", part.operation, part.reason));
            // That there is none cannot be told either.
            if part.part == Part::Policy && self.secret.desired.policy.is_none() {
                self.count(Aspect::Policies).expected += 1;
            }
        }
        let desired = &self.secret.desired;
        if !is_unreadable(found, Part::Metadata) {
            self.tags(&found.facets.tags);
            let described = found.facets.description.as_deref().filter(|text| !text.is_empty());
            self.setting(Aspect::Descriptions, "description", desired.description.as_deref(), described);
            let found_type = found.facets.r#type.as_deref();
            self.setting(Aspect::Descriptions, "type", desired.secret_type.as_deref(), found_type);
            let scheduled = |is: bool| is.then_some("scheduled");
            let (wanted, is) = (scheduled(desired.deletion_days.is_some()), scheduled(found.deleted.is_some()));
            self.setting(Aspect::Descriptions, "deletion", wanted, is);
            self.settings(&settings(&found.facets));
            self.key(found.facets.key.as_deref());
            self.rotation(found.facets.rotation.as_ref());
            self.replicas(&found.facets.replicas);
        }
        // A policy is not shown while its secret is scheduled for deletion.
        let unshown = found.deleted.is_some() && desired.deletion_days.is_some();
        if !unshown && !is_unreadable(found, Part::Policy) {
            self.setting(Aspect::Policies, "policy", desired.policy.as_deref(), found.facets.policy.as_deref());
        }
        if let Some(policy) = &desired.policy {
            self.leading_back(None, policy.as_bytes());
        }
    }

    /// One setting that a secret has or has not.
    fn setting(&mut self, aspect: Aspect, what: &'static str, wanted: Option<&str>, found: Option<&str>) {
        let count = self.count(aspect);
        count.compared += u64::from(wanted.is_some());
        count.equal += u64::from(wanted.is_some() && wanted == found);
        count.unexpected += u64::from(wanted.is_none() && found.is_some());
        if wanted != found {
            self.differ(&[aspect], None, what, String::new());
        }
    }

    /// What the kind calls settings, one by one.
    fn settings(&mut self, found: &BTreeMap<String, String>) {
        let wanted = &self.secret.desired.settings;
        let is_asked = |(name, value): &(&String, &String)| {
            wanted.contains_key(*name) || !self.rules.is_of_value(&self.secret.desired, name, value)
        };
        let found: BTreeMap<&String, &String> = found.iter().filter(is_asked).collect();
        let names: BTreeSet<&String> = wanted.keys().chain(found.keys().copied()).collect();
        for name in names {
            let (wanted, found) = (wanted.get(name).map(String::as_str), found.get(name).map(|value| value.as_str()));
            let count = self.count(Aspect::Descriptions);
            count.compared += u64::from(wanted.is_some());
            count.equal += u64::from(wanted.is_some() && wanted == found);
            count.unexpected += u64::from(wanted.is_none() && found.is_some());
            if wanted != found {
                let word = |value: Option<&str>| value.unwrap_or("unset").to_owned();
                let detail = format!("{name}: expected {}, found {}", word(wanted), word(found));
                self.differ(&[Aspect::Descriptions], None, "settings", detail);
            }
        }
    }

    fn tags(&mut self, found: &[Tag]) {
        let by_key = |tag: &'a Tag| (tag.key.as_str(), tag.value.as_str());
        let wanted: BTreeMap<&str, &str> = self.secret.desired.tags.iter().map(by_key).collect();
        let own = found.iter().filter(|tag| !self.rules.is_system_tag(tag));
        let found: BTreeMap<&str, &str> = own.map(|tag| (tag.key.as_str(), tag.value.as_str())).collect();
        let count = self.count(Aspect::Tags);
        count.compared += wanted.len() as u64;
        count.equal += wanted.iter().filter(|(key, value)| found.get(*key) == Some(value)).count() as u64;
        count.unexpected += found.keys().filter(|key| !wanted.contains_key(*key)).count() as u64;
        if wanted != found {
            let detail = format!("{} expected, {} found", wanted.len(), found.len());
            self.differ(&[Aspect::Tags], None, "tags", detail);
        }
    }

    fn key(&mut self, found: Option<&str>) {
        let wanted = self.secret.desired.key();
        let (wanted_name, found_name) = (self.rules.key_name(wanted), self.rules.key_name(found));
        let same = wanted_name.map_or(Some(found_name.is_none()), |wanted| same_keys(wanted, found_name));
        let count = self.count(Aspect::Key);
        match wanted_name {
            Some(_) => count.tally(same),
            None => count.unexpected += u64::from(found_name.is_some()),
        }
        if same == Some(false) {
            let name = |key: Option<&str>| key.unwrap_or("the default key").to_owned();
            let detail = format!("expected {}, found {}", name(wanted), name(found));
            self.differ(&[Aspect::Key], None, "key", detail);
        }
    }

    fn rotation(&mut self, found: Option<&Rotation>) {
        let found = found.filter(|found| found.enabled);
        let is_new = self.is_new();
        let wanted = self.secret.desired.rotation.as_ref();
        let same = wanted.map(|wanted| {
            found.is_some_and(|found| found.lambda == wanted.lambda && found.schedule == wanted.schedule)
        });
        let count = self.count(Aspect::Rotation);
        let unexpected = same.is_none() && is_new && found.is_some();
        count.unexpected += u64::from(unexpected);
        if same.is_some() {
            count.tally(same);
        }
        if unexpected || same == Some(false) {
            let detail = if unexpected { "it is on" } else { "" };
            self.differ(&[Aspect::Rotation], None, "rotation", detail.into());
        }
    }

    fn replicas(&mut self, found: &[Replica]) {
        for wanted in &self.secret.desired.replicas {
            let there = found.iter().find(|found| found.region == wanted.region);
            let wrong = there.map_or(Some("is missing"), |found| wrong_replica(wanted, found, self.rules));
            self.count(Aspect::Replicas).tally(Some(wrong.is_none()));
            if let Some(wrong) = wrong {
                self.differ(&[Aspect::Replicas], None, "replicas", format!("{} {wrong}", wanted.region));
            }
        }
        let (secret, is_new) = (self.secret, self.is_new());
        let wanted = |region: &str| secret.desired.replicas.iter().any(|wanted| wanted.region == region);
        for more in found.iter().filter(|found| is_new && !wanted(&found.region)) {
            self.count(Aspect::Replicas).unexpected += 1;
            self.differ(&[Aspect::Replicas], None, "replicas", format!("{} is not in the plan", more.region));
        }
    }

    /// Whether this restore made the secret, so that nothing of it can be older.
    fn is_new(&self) -> bool {
        matches!(self.secret.outcome, Outcome::Create | Outcome::Recreate)
    }

    async fn version(&mut self, version: &DesiredVersion, found: &FetchedVersion) -> Result<(), ExecuteError> {
        let before = self.verification.differences.len();
        self.count(Aspect::Ids).tally(Some(true));
        self.labels(version, found);
        let read = self.value(version, found).await?;
        let written = self.secret.writes().any(|planned| planned.write.writes_version() == Some(version.id.as_str()));
        let state = match (self.verification.differences.len() > before, read, written) {
            (true, ..) => "different",
            (false, false, _) => "unread",
            (false, true, true) => "restored",
            (false, true, false) => "identical",
        };
        Ok(self.state(version, state)?)
    }

    fn labels(&mut self, version: &DesiredVersion, found: &FetchedVersion) {
        let expected: BTreeSet<&str> = self.secret.due_labels(version, self.rules).collect();
        let mut labels: BTreeSet<&str> = found.labels.iter().map(String::as_str).collect();
        if self.secret.outcome == Outcome::NewVersion {
            labels.retain(|label| expected.contains(label));
        }
        let count = self.count(Aspect::Labels);
        count.compared += expected.len() as u64;
        count.equal += expected.intersection(&labels).count() as u64;
        count.unexpected += labels.difference(&expected).count() as u64;
        if expected != labels {
            let list = |labels: &BTreeSet<&str>| labels.iter().copied().collect::<Vec<_>>().join(", ");
            let detail = format!("expected [{}], found [{}]", list(&expected), list(&labels));
            self.differ(&[Aspect::Labels], Some(&version.id), "labels", detail);
        }
    }

    /// Compares the value; tells whether it could be read at all.
    async fn value(&mut self, version: &DesiredVersion, found: &FetchedVersion) -> Result<bool, ExecuteError> {
        let desired = &self.secret.desired;
        let aspect = Aspect::of_kind(version.value.kind);
        match &found.value {
            FetchedValue::Value(value) => {
                let expected = self.values.get(&version.value, &desired.source_id, &version.source).await?;
                // A rule that changed a value on the way changed what is to be there.
                let expected = edited(&desired.edits, &expected).map_or(expected, Arc::new);
                let written = codec::encode(&version.codec, &expected);
                let same = written.is_ok_and(|written| codec::is_same(written.as_ref().unwrap_or(&expected), value));
                self.count(aspect).tally(Some(same));
                if !same {
                    let detail = "the bytes differ from the snapshot".into();
                    self.differ(&[aspect], Some(&version.id), "value", detail);
                }
                self.leading_back(Some(&version.id), expected.expose());
            }
            FetchedValue::Withheld(Withheld::ScheduledForDeletion) if desired.deletion_days.is_some() => {
                return Ok(false);
            }
            FetchedValue::Unreadable(reason) => {
                self.differ(&[aspect], Some(&version.id), "unreadable", reason.clone());
            }
            FetchedValue::Withheld(reason) => {
                self.differ(&[aspect], Some(&version.id), "unreadable", format!("cannot be read: {reason}"));
            }
            FetchedValue::None | FetchedValue::Known => {
                self.count(aspect).missing += 1;
                self.differ(&[aspect], Some(&version.id), "value", "the version has no value".into());
            }
        }
        Ok(true)
    }

    fn leading_back(&mut self, version: Option<&str>, text: &[u8]) {
        let Left { rules, source, target, moved } = *self.left;
        let found = rules.map(|rules| rules.left_behind(text, source, target, moved)).unwrap_or_default();
        if !found.is_empty() {
            // What a value says is never told.
            let references = if version.is_some() { Vec::new() } else { found.into_iter().collect() };
            let name = self.secret.desired.name.clone();
            let version = version.map(Into::into);
            self.verification.leading_back.push(LeadingBack { name, version, references });
        }
    }

    fn count(&mut self, aspect: Aspect) -> &mut Count {
        self.verification.checks.at(aspect)
    }

    fn differ(&mut self, aspects: &[Aspect], version: Option<&str>, what: &'static str, detail: String) {
        let (name, version) = (self.secret.desired.name.clone(), version.map(Into::into));
        self.verification.differences.push(Difference { name, version, what, detail, aspects: aspects.into() });
    }

    fn state(&mut self, version: &DesiredVersion, state: &'static str) -> Result<(), RepoError> {
        *self.verification.version_counts.entry(state).or_default() += 1;
        let (name, version) = (self.secret.desired.name.clone(), version.id.clone());
        self.states.push(VersionState { name, version, state: state.into() })
    }
}

impl Count {
    /// Counts one comparison; `None` could not be made.
    fn tally(&mut self, same: Option<bool>) {
        self.compared += u64::from(same.is_some());
        self.equal += u64::from(same == Some(true));
    }
}

fn is_unreadable(secret: &Secret, part: Part) -> bool {
    secret.unreadable.iter().any(|unreadable| unreadable.part == part)
}

/// Compares the names of two keys. An alias and an id cannot be compared: nothing here knows what the alias leads to.
pub(super) fn same_keys(wanted: &str, found: Option<&str>) -> Option<bool> {
    let Some(found) = found else { return Some(false) };
    let is_alias = |key: &str| key.starts_with("alias/");
    if wanted == found {
        Some(true)
    } else if is_alias(wanted) == is_alias(found) {
        Some(false)
    } else {
        None
    }
}

/// What is wrong with a replica that is there.
fn wrong_replica(wanted: &Replica, found: &Replica, rules: &dyn Rules) -> Option<&'static str> {
    let (wanted_key, found_key) = (rules.key_name(wanted.key.as_deref()), rules.key_name(found.key.as_deref()));
    let same = wanted_key.map_or(Some(found_key.is_none()), |wanted| same_keys(wanted, found_key));
    if found.status.as_deref() == Some("Failed") {
        Some("has failed")
    } else if same == Some(false) {
        Some("has another key")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::aws::AwsRules;

    #[test]
    fn keys_of_one_form_are_compared_and_of_two_forms_are_not() {
        for (wanted, found, same) in [
            ("id-1", Some("id-1"), Some(true)),
            ("id-1", Some("id-2"), Some(false)),
            ("alias/a", Some("alias/a"), Some(true)),
            ("alias/a", Some("alias/b"), Some(false)),
            ("alias/a", Some("id-1"), None),
            ("id-1", Some("alias/a"), None),
            ("id-1", None, Some(false)),
        ] {
            assert_eq!(same_keys(wanted, found), same, "{wanted} {found:?}");
        }
    }

    #[test]
    fn one_comparison_counts_once() {
        let mut count = Count::default();
        count.tally(Some(true));
        count.tally(Some(true));
        count.tally(Some(false));
        count.tally(None);
        assert_eq!((count.compared, count.equal), (3, 2));
    }

    #[test]
    fn a_replica_is_wrong_when_it_failed_or_has_another_key() {
        let replica = |key: Option<&str>, status: Option<&str>| Replica {
            region: "r".into(),
            key: key.map(Into::into),
            status: status.map(Into::into),
        };
        let wanted = replica(Some("alias/a"), None);
        assert_eq!(wrong_replica(&wanted, &replica(Some("alias/a"), Some("InProgress")), &AwsRules), None);
        assert_eq!(wrong_replica(&wanted, &replica(Some("id-1"), Some("InSync")), &AwsRules), None);
        assert_eq!(wrong_replica(&wanted, &replica(Some("alias/a"), Some("Failed")), &AwsRules), Some("has failed"));
        assert_eq!(wrong_replica(&wanted, &replica(Some("alias/b"), None), &AwsRules), Some("has another key"));
        assert_eq!(wrong_replica(&wanted, &replica(None, None), &AwsRules), Some("has another key"));
        let default = replica(None, None);
        assert_eq!(wrong_replica(&default, &replica(Some("alias/aws/secretsmanager"), None), &AwsRules), None);
        assert_eq!(wrong_replica(&default, &replica(Some("alias/a"), None), &AwsRules), Some("has another key"));
    }
}
