//! The rules of KV version 2: what a key is to be, and which writes make it so.
//!
//! The engine numbers versions itself and takes no number from outside, but a write with `cas` lands behind a version or
//! nowhere. So numbers come back by writing as many versions, the missing ones empty.
//! <https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2>.

use std::collections::BTreeMap;

use super::{SCHEME, wish};
use crate::{
    model::{Desired, Existing, Place, Planned, Record, State, Step, Tag, Version, Withheld},
    provider::{
        Context, Goal, Questions, Relation, Rules, Wish, Writes,
        numbered::{self, BEGUN, mark_of, tag_map},
        settings,
    },
};

/// The rules of Vault and OpenBao, KV version 2.
#[derive(Clone, Copy, Debug)]
pub struct VaultRules;

/// What the target is asked about the engine itself: whether it deletes versions of its own accord.
pub(super) const ENGINE: &str = "delete_version_after of the engine";
/// Versions that the engine keeps where nothing is set.
pub(super) const DEFAULT_MOST: u64 = 10;
/// What nothing set means, setting by setting.
const UNSET: [(&str, &str); 3] = [("cas_required", "false"), ("delete_version_after", "0s"), ("max_versions", "0")];

impl Rules for VaultRules {
    fn name_fault(&self, source: &Place, wanted: &str, name: &str) -> Option<String> {
        let wrong = if name.is_empty() || name.split('/').any(str::is_empty) {
            "it begins or ends with a slash, or has two beside each other"
        } else if name.split('/').any(|segment| segment == "." || segment == "..") {
            "it has a segment . or .."
        } else if name.chars().any(char::is_control) {
            "it has a control character"
        } else {
            return None;
        };
        let given = source.provider == SCHEME && wanted == name;
        (!given).then(|| format!("Vault would refuse the name of {wanted}: {wrong} (--name-map, --name-prefix)"))
    }

    fn questions(&self, _secret: &crate::model::Secret, _context: &Context<'_>) -> Questions {
        Questions { references: [ENGINE.to_owned()].into(), ..Questions::default() }
    }

    fn refusal(&self, record: &Record, context: &Context<'_>) -> Option<String> {
        let has_current = record.versions.iter().any(Version::is_current);
        let has_value = record.versions.iter().any(|version| version.unavailable("").is_none());
        if context.options.version.is_some() || context.is_same_kind() || has_current || !has_value {
            let current = record.versions.iter().find(|version| version.is_current());
            // What was deleted or destroyed there is so here; what no kind can read is nothing to put in its place.
            return current
                .filter(|_| context.options.version.is_none() && !context.is_same_kind())
                .and_then(|current| current.unavailable("current"));
        }
        Some("no version is the current one (use --version to restore one of them)".into())
    }

    fn wish(&self, record: &Record, context: &Context<'_>, _untouched: bool) -> Wish {
        wish::wish(record, context)
    }

    fn state(&self, existing: &Existing, _place: &Place) -> State {
        let secret = &existing.secret;
        let mut state = State {
            there: true,
            id: Some(secret.id.clone()),
            tags: tag_map(&secret.facets.tags),
            settings: settings(&secret.facets),
            hidden: secret.unreadable.iter().map(|part| part.operation.clone()).collect(),
            ..State::default()
        };
        numbered::note_versions(&mut state, existing, wish::state_of);
        state
    }

    fn relate(&self, desired: &Desired, state: &State) -> Relation {
        match state.tags.get(BEGUN) {
            Some(mark) if *mark == mark_of(desired) => return Relation::Begun,
            Some(_) => return Relation::Other(vec!["another restore of it has begun and not ended".into()]),
            None => {}
        }
        let mut differences = Vec::new();
        let numbers = |ids: &mut dyn Iterator<Item = &String>| ids.cloned().collect::<std::collections::BTreeSet<_>>();
        let wanted =
            numbers(&mut desired.versions.iter().map(|it| &it.id).chain(desired.withheld.iter().map(|it| &it.id)));
        if state.versions != wanted {
            differences.push(format!("its version numbers ({} there, {} wanted)", state.versions.len(), wanted.len()));
        }
        let withheld: BTreeMap<String, Withheld> =
            desired.withheld.iter().map(|version| (version.id.clone(), version.how)).collect();
        if state.withheld != withheld {
            differences.push("which versions are deleted or destroyed".into());
        }
        if state.tags != tag_map(&desired.tags) {
            differences.push("custom metadata".into());
        }
        if state.settings != desired.settings {
            differences.push("settings".into());
        }
        if differences.is_empty() { Relation::Same } else { Relation::Other(differences) }
    }

    /// Behind another secret's versions they get the numbers that come next.
    fn settle(&self, desired: &mut Desired, state: &State, goal: Goal) {
        if !matches!(goal, Goal::AddCurrent | Goal::Replace) {
            return;
        }
        let mut next = number(state.current.as_deref());
        let mut shift = |id: &mut String| {
            next += 1;
            *id = next.to_string();
        };
        if goal == Goal::AddCurrent {
            // The others stay in the backup, and their numbers are other versions' here.
            desired.versions.retain(|version| version.current);
            desired.withheld.clear();
            desired.versions.iter_mut().for_each(|version| shift(&mut version.id));
            return;
        }
        let mut ids: Vec<(u64, &mut String)> = desired
            .versions
            .iter_mut()
            .map(|version| (number(Some(&version.id)), &mut version.id))
            .chain(desired.withheld.iter_mut().map(|version| (number(Some(&version.id)), &mut version.id)))
            .collect();
        ids.sort_by_key(|(number, _)| *number);
        for (_, id) in ids {
            shift(id);
        }
    }

    fn is_identifier(&self, id: &str, name: &str, _place: &Place) -> bool {
        let made = id.strip_prefix(name).and_then(|rest| rest.strip_prefix('@'));
        made.is_some_and(|made| made.parse::<jiff::Timestamp>().is_ok())
    }

    /// The engine numbers from 1, and a restore makes no more versions than numbers that it keeps.
    fn may_become(&self, record: &Record, version: &str) -> bool {
        let highest = record.versions.iter().filter_map(wish::number_of).max().unwrap_or(0);
        (1..=highest.max(record.versions.len() as u64)).contains(&number(Some(version)))
    }

    fn writes(&self, desired: &Desired, state: &State, goal: Goal) -> Writes {
        writes(desired, state, goal)
    }

    fn after(&self, state: &mut State, step: &Step) {
        after(state, step);
    }
}

/// The number of a version; 0 is before the first.
fn number(id: Option<&str>) -> u64 {
    id.and_then(|id| id.parse().ok()).unwrap_or(0)
}

fn writes(desired: &Desired, state: &State, goal: Goal) -> Writes {
    let name = || desired.name.clone();
    let mut writes = Writes::default();
    let mut newest = number(state.current.as_deref());
    if goal == Goal::AddCurrent {
        let current = desired.versions.iter().filter(|version| version.current);
        writes.first.extend(current.map(|version| append(desired, &version.id, &mut newest)));
        return writes;
    }
    let mut is_there = state.there;
    if goal == Goal::Remake {
        writes.first.push(Planned::plain(Step::Destroy { name: name() }));
        (is_there, newest) = (false, 0);
    }
    let ids = desired.versions.iter().map(|it| &it.id).chain(desired.withheld.iter().map(|it| &it.id));
    let numbers: std::collections::BTreeSet<u64> = ids.map(|id| number(Some(id))).collect();
    let (lowest, highest) = (numbers.first().copied().unwrap_or(0), numbers.last().copied().unwrap_or(0));
    // So many rows are kept that no version of the restore is pruned, and no placeholder before the oldest stays.
    let rows =
        if goal == Goal::Replace { state.versions.len() as u64 + highest - newest } else { highest + 1 - lowest };
    let working = BTreeMap::from([("max_versions".to_owned(), rows.max(1).to_string())]);
    if !is_there {
        let mark = Tag { key: BEGUN.into(), value: mark_of(desired) };
        let tags = desired.tags.iter().cloned().chain([mark]).collect();
        writes.first.push(Planned::plain(Step::Create {
            name: name(),
            version: None,
            description: None,
            kms_key: None,
            tags,
            secret_type: None,
            settings: working,
        }));
    } else if goal == Goal::Replace {
        let tags = state.tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect();
        writes.first.push(Planned::plain(Step::Configure { name: name(), settings: working, tags }));
    }
    while newest < highest {
        let next = (newest + 1).to_string();
        writes.first.push(append(desired, &next, &mut newest));
    }
    for version in &desired.withheld {
        let is_so = is_there && state.withheld.get(&version.id) == Some(&version.how);
        if !is_so {
            let (version, how) = (version.id.clone(), version.how);
            writes.then.push(Planned::plain(Step::Withhold { name: name(), version, how }));
        }
    }
    let mut settings: BTreeMap<String, String> =
        UNSET.iter().map(|(name, unset)| ((*name).to_owned(), (*unset).to_owned())).collect();
    settings.extend(desired.settings.clone());
    writes.last.push(Planned::plain(Step::Configure { name: name(), settings, tags: desired.tags.clone() }));
    writes
}

/// The write of the version that comes next: its value, or nothing.
fn append(desired: &Desired, id: &str, newest: &mut u64) -> Planned {
    let behind = std::mem::replace(newest, number(Some(id)));
    // As it is, if it is fields.
    numbered::append(desired, (id, behind), Withheld::Deleted, |_| crate::model::Codec::Fields)
}

fn after(state: &mut State, step: &Step) {
    match step {
        Step::Create { tags, settings, .. } if !state.there => {
            *state = State { there: true, ..State::default() };
            state.tags = tag_map(tags);
            set(state, settings);
        }
        Step::Append { version, .. } => {
            state.versions.insert(version.clone());
            state.current = Some(version.clone());
            let most = match number(state.settings.get("max_versions").map(String::as_str)) {
                0 => DEFAULT_MOST,
                most => most,
            };
            let newest = number(Some(version));
            state.versions.retain(|id| number(Some(id)) + most > newest);
        }
        Step::Withhold { version, how, .. } => {
            state.withheld.insert(version.clone(), *how);
        }
        Step::Configure { settings, tags, .. } => {
            state.tags = tag_map(tags);
            set(state, settings);
        }
        Step::Destroy { .. } => *state = State::default(),
        _ => {}
    }
}

/// What is unset is not there.
fn set(state: &mut State, settings: &BTreeMap<String, String>) {
    state.settings.extend(settings.clone());
    state.settings.retain(|name, value| !UNSET.contains(&(name.as_str(), value.as_str())));
}
