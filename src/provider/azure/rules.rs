//! The rules of Azure Key Vault: what a secret is to be, and which writes make it so.
//!
//! The newest version is the current one and nothing moves that, so versions are written from the oldest to the newest. What a
//! vault keeps beside a value belongs to the version: here it is settings by the version's id, `ID.content_type`,
//! `ID.not_before`, `ID.expires`, `ID.tag.KEY`, and `ID.after` of one that is disabled: the version before it. The tags of the
//! current version are the secret's.

use std::collections::BTreeMap;

use super::{SCHEME, names, wish};
use crate::{
    model::{
        Codec, DRILL_TAG, Desired, DesiredVersion, Existing, Maps, Place, Planned, Record, Secret, State, Step, Tag,
        Withheld, WithheldVersion,
    },
    provider::{
        Carried, Context, Goal, Quotas, Relation, Rules, Wish, Writes,
        numbered::{self, tag_map},
        rules::original_name,
        settings,
    },
};

/// The rules of Azure Key Vault.
#[derive(Clone, Copy, Debug)]
pub struct AzureRules;

/// The setting of a configuration that says which version it is about.
pub(super) const OF: &str = "version";
/// Between the id of a version and the number of its writing, where the id is taken.
const AGAIN: char = '~';

impl Rules for AzureRules {
    fn name_fault(&self, source: &Place, wanted: &str, name: &str) -> Option<String> {
        let given = source.provider == SCHEME && wanted == name;
        (!given && !names::is_name(name)).then(|| {
            let words = "a vault takes 1 to 127 letters, digits and hyphens";
            format!("Azure would refuse the name of {wanted}: {words} (--name-map, --name-prefix)")
        })
    }

    fn name(&self, secret: &Secret, source: &Place, maps: &Maps) -> String {
        let original = original_name(secret).filter(|_| source.provider != SCHEME);
        let base = original.as_deref().unwrap_or(&secret.name);
        let mapped = maps.name(base);
        let is_given = mapped != format!("{}{base}", maps.name_prefix);
        let is_own = source.provider == SCHEME && names::is_name(&mapped);
        if is_given || is_own { mapped } else { names::escaped(&mapped) }
    }

    fn is_of_value(&self, desired: &Desired, setting: &str, value: &str) -> bool {
        wish::is_of_write(desired, setting, value)
    }

    fn folds_case(&self) -> bool {
        true
    }

    fn refusal(&self, record: &Record, context: &Context<'_>) -> Option<String> {
        if let Some(service) = record.secret.facets.managed.as_ref().filter(|_| context.is_same_kind())
            && self.name(&record.secret, context.source, &context.options.maps) == record.secret.name
        {
            return Some(format!(
                "{service} manages it: import the certificate, or restore its value under another name (--name-map)"
            ));
        }
        if context.options.version.is_some() {
            return None;
        }
        let current = record.versions.iter().find(|version| version.is_current());
        match current {
            Some(current) if wish::is_disabled(current) && context.is_same_kind() => None,
            Some(current) => current.unavailable("current"),
            None if record.versions.iter().any(|version| version.unavailable("").is_none()) => {
                Some("no version is the current one (use --version to restore one of them)".into())
            }
            None => Some("it has no version, and a vault keeps no secret without one".into()),
        }
    }

    fn wish(&self, record: &Record, context: &Context<'_>, _untouched: bool) -> Wish {
        wish::wish(record, context)
    }

    fn state(&self, existing: &Existing, _place: &Place) -> State {
        let secret = &existing.secret;
        let mut state = State {
            there: true,
            id: Some(secret.id.clone()),
            scheduled: secret.deleted.is_some(),
            tags: tag_map(&secret.facets.tags),
            settings: settings(&secret.facets),
            hidden: secret.unreadable.iter().map(|part| part.operation.clone()).collect(),
            ..State::default()
        };
        numbered::note_versions(&mut state, existing, |it| wish::is_disabled(it).then_some(Withheld::Disabled));
        state
    }

    fn relate(&self, desired: &Desired, state: &State) -> Relation {
        relate(desired, state)
    }

    /// An id that is taken gets a number, and what the secret has besides is what it is to keep.
    fn settle(&self, desired: &mut Desired, state: &State, goal: Goal) {
        if !matches!(goal, Goal::AddCurrent | Goal::Replace) {
            return;
        }
        if goal == Goal::AddCurrent {
            desired.versions.retain(|version| version.current);
            let ids: Vec<String> = desired.versions.iter().map(|version| version.id.clone()).collect();
            desired.settings.retain(|name, _| ids.iter().any(|id| setting_of(id, name).is_some()));
            desired.withheld.clear();
        }
        let mut all: Vec<&mut String> = desired.versions.iter_mut().map(|version| &mut version.id).collect();
        all.extend(desired.withheld.iter_mut().map(|version| &mut version.id));
        for id in all {
            let new =
                (2..=u64::MAX).map(|number| format!("{id}{AGAIN}{number}")).find(|new| !state.versions.contains(new));
            if let Some(new) = new.filter(|_| state.versions.contains(id)) {
                rename(&mut desired.settings, id, &new);
                *id = new;
            }
        }
        if goal == Goal::Replace {
            let mut kept = state.settings.clone();
            retire(&mut kept, state.current.as_deref(), &state.tags);
            for (name, value) in kept {
                desired.settings.entry(name).or_insert(value);
            }
        }
    }

    fn is_identifier(&self, id: &str, name: &str, _place: &Place) -> bool {
        super::versions::split(id).is_some_and(|(found, _)| found == name)
    }

    fn may_become(&self, record: &Record, version: &str) -> bool {
        let id = version.rsplit_once(AGAIN).filter(|(_, number)| number.parse::<u64>().is_ok()).map(|(id, _)| id);
        let before = Carried::read(&record.secret.facets.tags).0.filter(|carried| carried.from == SCHEME);
        let had = before.iter().flat_map(|carried| carried.versions.values()).map(|(id, _)| id);
        record
            .versions
            .iter()
            .map(|known| &known.id)
            .chain(had)
            .any(|known| known == version || Some(known.as_str()) == id)
    }

    fn writes(&self, desired: &Desired, state: &State, goal: Goal) -> Writes {
        writes(desired, state, goal)
    }

    fn after(&self, state: &mut State, step: &Step) {
        after(state, step);
    }

    /// Per vault and region, not adjustable: <https://learn.microsoft.com/azure/key-vault/general/service-limits>.
    fn quotas(&self) -> Option<Quotas> {
        Some(Quotas { whose: "Azure's", calls: super::pace::QUOTA, values: super::pace::QUOTA })
    }

    fn quota(&self, _step: &Step) -> Option<&'static str> {
        Some("transaction")
    }
}

/// What of a setting's name is behind the id of a version.
fn setting_of<'a>(id: &str, name: &'a str) -> Option<&'a str> {
    name.strip_prefix(id)?.strip_prefix('.')
}

fn rename(settings: &mut BTreeMap<String, String>, old: &str, new: &str) {
    let names: Vec<String> = settings.keys().filter(|name| setting_of(old, name).is_some()).cloned().collect();
    for name in names {
        let value = settings.remove(&name).unwrap_or_default();
        settings.insert(format!("{new}{}", &name[old.len()..]), value);
    }
    for (_, value) in settings.iter_mut().filter(|(name, value)| wish::is_behind(name) && *value == old) {
        new.clone_into(value);
    }
}

/// The tags of the version that was the current one are settings of it from now on.
fn retire(settings: &mut BTreeMap<String, String>, current: Option<&str>, tags: &BTreeMap<String, String>) {
    if let Some(current) = current {
        settings.extend(tags.iter().map(|(key, value)| (format!("{current}.tag.{key}"), value.clone())));
    }
}

/// A version to be written.
#[derive(Clone, Copy)]
enum Entry<'a> {
    Value(&'a DesiredVersion),
    Withheld(&'a WithheldVersion),
}

impl Entry<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Value(version) => &version.id,
            Self::Withheld(version) => &version.id,
        }
    }
}

/// Every version, oldest first: each that is disabled behind the one that its setting names.
fn ordered(desired: &Desired) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = desired.versions.iter().map(Entry::Value).collect();
    for version in &desired.withheld {
        let after = desired.settings.get(&format!("{}.after", version.id)).map_or("", String::as_str);
        let at = entries.iter().position(|entry| entry.id() == after).map_or(0, |at| at + 1);
        entries.insert(at, Entry::Withheld(version));
    }
    entries
}

/// What is set of a version beside its value, and its tags.
fn beside(desired: &Desired, id: &str, is_last: bool) -> (BTreeMap<String, String>, Vec<Tag>) {
    let (mut plain, mut tags) = (BTreeMap::new(), Vec::new());
    for (name, value) in &desired.settings {
        match setting_of(id, name) {
            Some("after") | None => {}
            Some(rest) => match rest.strip_prefix("tag.") {
                Some(key) => tags.push(Tag { key: key.to_owned(), value: value.clone() }),
                None => drop(plain.insert(name.clone(), value.clone())),
            },
        }
    }
    if is_last {
        tags.clone_from(&desired.tags);
    } else {
        // Whatever a drill made is known as that from its first version on.
        tags.extend(desired.tags.iter().filter(|tag| tag.key == DRILL_TAG).cloned());
    }
    (plain, tags)
}

/// The settings that are there, but for those that only say how a value was written.
fn asked<'a>(desired: &Desired, state: &'a State) -> BTreeMap<&'a String, &'a String> {
    let is_asked = |(name, value): &(&String, &String)| {
        desired.settings.contains_key(*name) || !wish::is_of_write(desired, name, value)
    };
    state.settings.iter().filter(is_asked).collect()
}

fn relate(desired: &Desired, state: &State) -> Relation {
    if state.hidden.iter().any(|operation| operation == "secrets/versions") {
        return Relation::Other(vec!["its versions, which a vault does not show of a deleted secret".into()]);
    }
    let entries = ordered(desired);
    let there = entries.iter().take_while(|entry| state.versions.contains(entry.id())).count();
    if there == 0 || there != state.versions.len() {
        let words = format!("its versions ({} there, {} wanted)", state.versions.len(), entries.len());
        return Relation::Other(vec![words]);
    }
    let last = entries[there - 1];
    let (plain, tags) = beside(desired, last.id(), there == entries.len());
    let settings = asked(desired, state);
    let has = |wanted: &BTreeMap<String, String>| wanted.iter().all(|(name, value)| settings.get(name) == Some(&value));
    let is_bare = state.tags.is_empty()
        && !settings.keys().any(|name| matches!(setting_of(last.id(), name), Some(rest) if rest != "after"));
    let is_set = state.tags == tag_map(&tags) && has(&plain);
    let missing = |version: &&WithheldVersion| !state.withheld.contains_key(&version.id);
    let due = desired.withheld.iter().filter(|version| state.versions.contains(&version.id)).filter(missing);
    let is_due = due.clone().count() > 0;
    let mut differences = Vec::new();
    if state.withheld.keys().any(|id| desired.withheld.iter().all(|version| version.id != *id)) {
        differences.push("which versions are disabled".to_owned());
    }
    if !is_set && !is_bare {
        differences.push("tags, content type or dates".to_owned());
    }
    if !differences.is_empty() {
        return Relation::Other(differences);
    }
    if there < entries.len() || !is_set || is_due {
        return Relation::Begun;
    }
    if settings == desired.settings.iter().collect() {
        Relation::Same
    } else {
        Relation::Other(vec!["tags, content type or dates of earlier versions".into()])
    }
}

fn writes(desired: &Desired, state: &State, goal: Goal) -> Writes {
    let name = || desired.name.clone();
    let mut writes = Writes::default();
    let first = &mut writes.first;
    let (mut is_there, mut newest) = (state.there, state.current.clone());
    if goal == Goal::Remake {
        first.push(Planned::plain(Step::Destroy { name: name() }));
        (is_there, newest) = (false, None);
    } else if state.scheduled {
        first.push(Planned::plain(Step::Undelete { name: name() }));
    }
    let entries = ordered(desired);
    let count = entries.len();
    for (at, entry) in entries.into_iter().enumerate() {
        let id = entry.id();
        let (mut plain, mut tags) = beside(desired, id, at + 1 == count);
        if goal == Goal::AddCurrent {
            // What the secret has is kept, and here it belongs to the version.
            tags = state.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
        }
        let is_old = goal == Goal::Make && state.versions.contains(id);
        if is_old && state.current.as_deref() != Some(id) {
            continue;
        }
        if let Entry::Withheld(WithheldVersion { value: Some(_), .. }) = entry {
            plain.insert(format!("{id}.after"), newest.clone().unwrap_or_default());
        }
        let is_bare = plain.is_empty() && tags.is_empty();
        if !is_old {
            let behind = newest.clone().unwrap_or_default();
            let version = id.to_owned();
            match entry {
                Entry::Value(value) if !is_there => {
                    let (tags, settings) = (std::mem::take(&mut tags), std::mem::take(&mut plain));
                    first.push(written(create(name(), version, tags, settings), value));
                }
                Entry::Value(value) => {
                    let step = Step::Append { name: name(), version, behind, placeholder: false };
                    first.push(written(step, value));
                }
                Entry::Withheld(withheld) => {
                    let content_type = desired.settings.get(&format!("{id}.content_type")).map(String::as_str);
                    first.push(hidden(name(), behind, withheld, content_type));
                }
            }
        }
        let is_made = !is_old && !is_there && matches!(entry, Entry::Value(_));
        if !is_bare && !is_made {
            plain.insert(OF.into(), id.to_owned());
            first.push(Planned::plain(Step::Configure { name: name(), settings: plain, tags }));
        }
        if let Entry::Withheld(withheld) = entry
            && (withheld.value.is_some() || is_old)
            && !(is_old && state.withheld.contains_key(id))
        {
            let (version, how) = (id.to_owned(), Withheld::Disabled);
            first.push(Planned::plain(Step::Withhold { name: name(), version, how }));
        }
        (is_there, newest) = (true, Some(id.to_owned()));
    }
    writes
}

fn create(name: String, version: String, tags: Vec<Tag>, settings: BTreeMap<String, String>) -> Step {
    Step::Create { name, version: Some(version), description: None, kms_key: None, tags, secret_type: None, settings }
}

/// A version that is to be disabled: its value where it is known, else one that is not there.
fn hidden(name: String, behind: String, withheld: &WithheldVersion, content_type: Option<&str>) -> Planned {
    let placeholder = withheld.value.is_none();
    let write = Step::Append { name, version: withheld.id.clone(), behind, placeholder };
    let source = withheld.value.map(|_| withheld.source.clone());
    let codec = withheld.value.map_or(Codec::Plain, |value| wish::hidden_codec(value.kind, content_type));
    Planned { write, value: withheld.value, source, codec }
}

fn written(step: Step, version: &DesiredVersion) -> Planned {
    Planned { codec: wish::writing_codec(&version.codec), ..Planned::of(step, version) }
}

fn after(state: &mut State, step: &Step) {
    match step {
        Step::Create { version: Some(version), tags, settings, .. } if !state.there => {
            *state = State { there: true, current: Some(version.clone()), tags: tag_map(tags), ..State::default() };
            state.versions.insert(version.clone());
            state.settings.clone_from(settings);
        }
        Step::Append { version, behind, placeholder, .. } => {
            retire(&mut state.settings, state.current.as_deref(), &state.tags);
            state.there = true;
            state.tags.clear();
            state.versions.insert(version.clone());
            state.current = Some(version.clone());
            if *placeholder {
                state.withheld.insert(version.clone(), Withheld::Disabled);
                state.settings.insert(format!("{version}.after"), behind.clone());
            }
            state.labels.clear();
        }
        Step::Withhold { version, how, .. } => {
            state.withheld.insert(version.clone(), *how);
        }
        Step::Configure { settings, tags, .. } => {
            state.tags = tag_map(tags);
            state.settings.extend(settings.iter().filter(|(name, _)| *name != OF).map(|(n, v)| (n.clone(), v.clone())));
        }
        Step::ScheduleDeletion { .. } => state.scheduled = true,
        Step::Undelete { .. } => state.scheduled = false,
        Step::Destroy { .. } => *state = State::default(),
        _ => {}
    }
}
