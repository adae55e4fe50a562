//! The rules of Secret Manager: what a secret is to be, and which writes make it so.
//!
//! The service numbers versions from 1 and never gives a number twice. So numbers come back by writing as many versions; those
//! that were destroyed are a byte that is destroyed again. <https://docs.cloud.google.com/secret-manager/docs/reference/rest>.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{SCHEME, metadata::ANNOTATION, names, pace, wish};
use crate::{
    model::{Desired, Existing, Maps, Place, Planned, Record, Secret, State, Step, Tag, Version, Withheld},
    provider::{
        Context, Goal, Quotas, Relation, Rules, Wish, Writes,
        numbered::{self, BEGUN, mark_of, tag_map},
        rules::original_name,
        settings,
    },
};

/// The rules of Google Cloud Secret Manager.
#[derive(Clone, Copy, Debug)]
pub struct GcpRules;

/// The settings by their names: aliases of versions that cannot be read, and aliases of all versions in a step.
pub(super) const ALIASES: &str = "aliases";
pub(super) const DESTROY_TTL: &str = "version_destroy_ttl";
pub(super) const TOPICS: &str = "topics";
pub(super) const REPLICAS: &str = "replicas";
pub(super) const EXPIRE_TIME: &str = "expire_time";
/// The quotas of writes and of reads.
const WRITES: &str = "write";

impl Rules for GcpRules {
    fn name(&self, secret: &Secret, source: &Place, maps: &Maps) -> String {
        let original = original_name(secret);
        let base =
            if source.provider == SCHEME { secret.name.as_str() } else { original.as_deref().unwrap_or(&secret.name) };
        let mapped = maps.name(base);
        let is_given = mapped != format!("{}{base}", maps.name_prefix);
        let is_own = source.provider == SCHEME && names::is_id(&mapped);
        if is_given || is_own { mapped } else { names::escaped(&mapped) }
    }

    fn has_text(&self) -> bool {
        false
    }

    fn name_fault(&self, _source: &Place, wanted: &str, name: &str) -> Option<String> {
        (!names::is_id(name)).then(|| {
            format!(
                "Secret Manager would refuse the name of {wanted}: it takes 1 to 255 letters, digits, - and _ \
                 (--name-map, --name-prefix)"
            )
        })
    }

    fn refusal(&self, record: &Record, context: &Context<'_>) -> Option<String> {
        if context.options.version.is_some() || context.is_same_kind() {
            return None;
        }
        let has_value = record.versions.iter().any(|version| version.unavailable("").is_none());
        match record.versions.iter().find(|version| version.is_current()) {
            Some(current) => current.unavailable("current"),
            None if has_value => Some("no version is the current one (use --version to restore one of them)".into()),
            None => None,
        }
    }

    fn wish(&self, record: &Record, context: &Context<'_>, untouched: bool) -> Wish {
        wish::wish(record, context, untouched)
    }

    fn state(&self, existing: &Existing, _place: &Place) -> State {
        let secret = &existing.secret;
        let facets = &secret.facets;
        let mut state = State {
            there: true,
            id: Some(secret.id.clone()),
            tags: tag_map(&facets.tags),
            settings: settings(facets),
            policy: facets.policy.clone(),
            kms_key: facets.key.clone(),
            secret_type: facets.r#type.clone(),
            rotates: facets.rotation.as_ref().is_some_and(|rotation| rotation.enabled),
            hidden: secret.unreadable.iter().map(|part| part.operation.clone()).collect(),
            ..State::default()
        };
        numbered::note_versions(&mut state, existing, wish::state_of);
        for version in existing.versions.iter().filter(|version| wish::state_of(version).is_none()) {
            state.labels.extend(version.labels.iter().map(|label| (label.clone(), version.id.clone())));
        }
        state
    }

    fn relate(&self, desired: &Desired, state: &State) -> Relation {
        match state.tags.get(BEGUN) {
            Some(mark) if *mark == mark_of(desired) => return Relation::Begun,
            Some(_) => return Relation::Other(vec!["another restore of it has begun and not ended".into()]),
            None => {}
        }
        let wanted: BTreeSet<String> = ids(desired).cloned().collect();
        let withheld: BTreeMap<String, Withheld> =
            desired.withheld.iter().map(|version| (version.id.clone(), version.how)).collect();
        let labels: BTreeMap<String, String> = aliases(desired);
        let is_policy_hidden = state.hidden.contains("secrets.getIamPolicy");
        let mut differences = Vec::new();
        if state.versions != wanted {
            differences.push(format!("its version numbers ({} there, {} wanted)", state.versions.len(), wanted.len()));
        }
        for (is_other, what) in [
            (state.withheld != withheld, "which versions are disabled or destroyed"),
            (state.labels != labels, "aliases"),
            (state.tags != tag_map(&desired.tags), "labels or annotations"),
            (state.settings != desired.settings, "settings"),
            (state.secret_type != desired.secret_type, "type"),
            (!is_policy_hidden && state.policy != desired.policy, "policy"),
        ] {
            if is_other {
                differences.push(what.to_owned());
            }
        }
        if differences.is_empty() { Relation::Same } else { Relation::Other(differences) }
    }

    /// Behind another secret's versions they get the numbers that come next.
    fn settle(&self, desired: &mut Desired, state: &State, goal: Goal) {
        if !matches!(goal, Goal::AddCurrent | Goal::Replace) {
            return;
        }
        let mut next = newest(state);
        if goal == Goal::AddCurrent {
            // The others stay in the backup, and their numbers are other versions' here.
            desired.versions.retain(|version| version.current);
            desired.withheld.clear();
            for version in &mut desired.versions {
                next += 1;
                (version.id, version.labels) = (next.to_string(), Vec::new());
            }
            return;
        }
        let mut ids: Vec<(u64, &mut String)> = desired
            .versions
            .iter_mut()
            .map(|version| (number(&version.id), &mut version.id))
            .chain(desired.withheld.iter_mut().map(|version| (number(&version.id), &mut version.id)))
            .collect();
        ids.sort_by_key(|(number, _)| *number);
        for (_, id) in ids {
            next += 1;
            *id = next.to_string();
        }
        // They are of versions whose numbers are other ones now.
        desired.settings.remove(ALIASES);
    }

    fn is_identifier(&self, id: &str, name: &str, _place: &Place) -> bool {
        let made = id.strip_prefix(name).and_then(|rest| rest.strip_prefix('@'));
        made.is_some_and(|made| made.parse::<jiff::Timestamp>().is_ok())
    }

    /// The service numbers from 1, and a restore makes no more versions than numbers that it keeps.
    fn may_become(&self, record: &Record, version: &str) -> bool {
        let highest = record.versions.iter().filter_map(|it| it.id.parse().ok()).max().unwrap_or(0);
        (1..=highest.max(record.versions.len() as u64)).contains(&number(version))
    }

    fn writes(&self, desired: &Desired, state: &State, goal: Goal) -> Writes {
        writes(desired, state, goal)
    }

    fn after(&self, state: &mut State, step: &Step) {
        after(state, step);
    }

    fn quotas(&self) -> Option<Quotas> {
        Some(Quotas { whose: "Google", calls: pace::WRITE, values: pace::ACCESS })
    }

    fn quota(&self, _step: &Step) -> Option<&'static str> {
        Some(WRITES)
    }
}

fn ids(desired: &Desired) -> impl Iterator<Item = &String> {
    desired.versions.iter().map(|it| &it.id).chain(desired.withheld.iter().map(|it| &it.id))
}

/// The aliases of versions that can be read.
fn aliases(desired: &Desired) -> BTreeMap<String, String> {
    let of = |version: &crate::model::DesiredVersion| {
        let id = version.id.clone();
        version.labels.clone().into_iter().map(move |label| (label, id.clone()))
    };
    desired.versions.iter().flat_map(of).collect()
}

/// The number of a version; 0 is before the first.
fn number(id: &str) -> u64 {
    id.parse().unwrap_or(0)
}

fn newest(state: &State) -> u64 {
    state.versions.iter().map(|id| number(id)).max().unwrap_or(0)
}

fn writes(desired: &Desired, state: &State, goal: Goal) -> Writes {
    let name = || desired.name.clone();
    let mut writes = Writes::default();
    let mut behind = newest(state);
    if goal == Goal::AddCurrent {
        let current = desired.versions.iter().filter(|version| version.current);
        writes.first.extend(current.map(|version| append(desired, &version.id, &mut behind)));
        return writes;
    }
    let mut is_there = state.there;
    if goal == Goal::Remake {
        writes.first.push(Planned::plain(Step::Destroy { name: name() }));
        (is_there, behind) = (false, 0);
    }
    if !is_there {
        let mark = Tag { key: BEGUN.into(), value: mark_of(desired) };
        let tags = desired.tags.iter().cloned().chain([mark]).collect();
        let at_once = |(name, _): &(&String, &String)| [REPLICAS, TOPICS].contains(&name.as_str());
        let at_once = desired.settings.iter().filter(at_once).map(|(name, text)| (name.clone(), text.clone()));
        writes.first.push(Planned::plain(Step::Create {
            name: name(),
            version: None,
            description: None,
            kms_key: desired.kms_key.clone(),
            tags,
            secret_type: desired.secret_type.clone(),
            settings: at_once.collect(),
        }));
    } else if state.settings.contains_key(DESTROY_TTL) {
        // Until it is set again what is destroyed is destroyed at once.
        let tags = state.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
        let settings = [(DESTROY_TTL.to_owned(), String::new())].into();
        writes.first.push(Planned::plain(Step::Configure { name: name(), settings, tags }));
    }
    let highest = ids(desired).map(|id| number(id)).max().unwrap_or(0);
    while behind < highest {
        let next = (behind + 1).to_string();
        writes.first.push(append(desired, &next, &mut behind));
    }
    for version in &desired.withheld {
        let is_so = is_there && state.withheld.get(&version.id) == Some(&version.how);
        if !is_so {
            let (version, how) = (version.id.clone(), version.how);
            writes.then.push(Planned::plain(Step::Withhold { name: name(), version, how }));
        }
    }
    let is_policy_there = is_there && state.policy == desired.policy;
    match &desired.policy {
        Some(policy) if !is_policy_there => {
            let (policy, block_public) = (policy.clone(), desired.block_public);
            writes.last.push(Planned::plain(Step::PutPolicy { name: name(), policy, block_public }));
        }
        None if is_there && state.policy.is_some() && goal == Goal::Replace => {
            writes.last.push(Planned::plain(Step::DeletePolicy { name: name() }));
        }
        _ => {}
    }
    // Taking the mark away is the last of all: until then it is known as begun.
    let settings = last_settings(desired);
    writes.last.push(Planned::plain(Step::Configure { name: name(), settings, tags: desired.tags.clone() }));
    if let Some(rotation) = desired.rotation.clone() {
        writes.last.insert(writes.last.len() - 1, Planned::plain(Step::Rotate { name: name(), rotation }));
    }
    writes
}

/// Every setting that can be changed, also those that are to be unset.
fn last_settings(desired: &Desired) -> BTreeMap<String, String> {
    let mut all: BTreeMap<String, u64> =
        desired.settings.get(ALIASES).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    all.extend(aliases(desired).into_iter().map(|(alias, id)| (alias, number(&id))));
    let mut settings: BTreeMap<String, String> = [(ALIASES.to_owned(), json!(all).to_string())].into();
    settings.insert(DESTROY_TTL.into(), desired.settings.get(DESTROY_TTL).cloned().unwrap_or_default());
    settings
}

/// The write of the version that comes next: its value, or a byte.
fn append(desired: &Desired, id: &str, newest: &mut u64) -> Planned {
    let behind = std::mem::replace(newest, number(id));
    numbered::append(desired, (id, behind), Withheld::Disabled, |value| wish::codec_of(value.kind, false))
}

fn after(state: &mut State, step: &Step) {
    match step {
        Step::Create { tags, settings, kms_key, secret_type, .. } if !state.there => {
            *state = State { there: true, ..State::default() };
            state.tags = tag_map(tags);
            state.settings.clone_from(settings);
            state.kms_key.clone_from(kms_key);
            state.secret_type.clone_from(secret_type);
        }
        Step::Append { version, .. } => {
            state.versions.insert(version.clone());
            state.current = Some(version.clone());
        }
        Step::Withhold { version, how, .. } => {
            state.withheld.insert(version.clone(), *how);
            state.labels.retain(|_, of| of != version);
        }
        Step::Configure { settings, tags, .. } => {
            state.tags = tag_map(tags);
            configured(state, settings);
        }
        Step::PutPolicy { policy, .. } => state.policy = Some(policy.clone()),
        Step::DeletePolicy { .. } => state.policy = None,
        Step::Rotate { .. } => state.rotates = true,
        Step::Destroy { .. } => *state = State::default(),
        _ => {}
    }
}

fn configured(state: &mut State, settings: &BTreeMap<String, String>) {
    for (name, value) in settings {
        if name == ALIASES {
            let all: BTreeMap<String, u64> = serde_json::from_str(value).unwrap_or_default();
            let is_withheld = |number: &u64| state.withheld.contains_key(&number.to_string());
            let (hidden, shown): (BTreeMap<_, _>, BTreeMap<_, _>) =
                all.into_iter().partition(|(_, number)| is_withheld(number));
            state.labels = shown.into_iter().map(|(alias, number)| (alias, number.to_string())).collect();
            state.settings.remove(ALIASES);
            if !hidden.is_empty() {
                state.settings.insert(ALIASES.into(), json!(hidden).to_string());
            }
        } else if value.is_empty() {
            state.settings.remove(name);
        } else {
            state.settings.insert(name.clone(), value.clone());
        }
    }
}

/// Whether a tag can stand at a secret here, as a label or as an annotation.
pub(super) fn fits(tag: &Tag) -> bool {
    match super::metadata::annotation_of(&tag.key) {
        Some(key) => names::is_annotation(key),
        None => !tag.key.starts_with(ANNOTATION) && names::is_label(&tag.key, &tag.value),
    }
}

/// Whether a version is one that a person calls by this id or label.
pub(super) fn is_called(version: &Version, wanted: &str) -> bool {
    version.id == wanted || version.has(wanted)
}
