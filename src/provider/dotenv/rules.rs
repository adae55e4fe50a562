//! The rules of files: a file has its bytes and its mode, and nothing else that a secret can have.

use std::collections::BTreeMap;

use super::{SCHEME, book};
use crate::{
    model::{
        Codec, DRILL_TAG, DesiredVersion, Existing, Facets, Place, Planned, Record, State, Step, ValueRef, ValueState,
        Version,
    },
    provider::{Carried, Context, Goal, Relation, Rules, Wish, Writes, settings},
};

/// The rules of `.env` files.
#[derive(Clone, Copy, Debug)]
pub struct DotenvRules;

/// The longest path below the folder, and the longest part of it, in bytes (Linux: PATH_MAX, NAME_MAX; room for a temporary
/// name beside it).
const LONGEST: usize = 2_048;
const LONGEST_PART: usize = 200;
/// The setting of the permission bits, as four octal digits.
pub(super) const MODE: &str = "mode";
/// What of other kinds is kept beside a secret and [`settings`] knows.
const KNOWN_OTHERS: [&str; 6] = ["keep", "check_and_set", "file", "kv", "settings", "azure"];

impl Rules for DotenvRules {
    fn has_text(&self) -> bool {
        false
    }

    fn name_fault(&self, _source: &Place, wanted: &str, name: &str) -> Option<String> {
        let wrong = fault(name)?;
        Some(format!("no file can have the name of {wanted}: {wrong} (--name-map, --name-prefix)"))
    }

    fn refusal(&self, record: &Record, context: &Context<'_>) -> Option<String> {
        let Some(version) = chosen(record, context) else {
            return Some("no version is the current one (use --version to restore one of them)".into());
        };
        if let Some(how) = version.withheld_since().filter(|_| context.options.version.is_none()) {
            return Some(format!("its current version is {how} in the source (use --version to restore one of them)"));
        }
        match &version.value {
            ValueState::Stored { size, .. } if *size as usize > super::file::LARGEST => {
                Some(format!("its value has {size} bytes; a file of secrets takes at most {}", super::file::LARGEST))
            }
            ValueState::Stored { .. } => None,
            ValueState::None => Some("the version has no value".into()),
            ValueState::Withheld { reason } => Some(format!("the value cannot be read: {reason}")),
            ValueState::Unreadable { reason } => Some(format!("the value could not be read: {reason}")),
        }
    }

    fn wish(&self, record: &Record, context: &Context<'_>, _untouched: bool) -> Wish {
        wish(record, context)
    }

    fn state(&self, existing: &Existing, _place: &Place) -> State {
        let current = existing.versions.iter().find(|version| version.current).map(|version| version.id.clone());
        State {
            there: true,
            id: Some(existing.secret.id.clone()),
            versions: current.iter().cloned().collect(),
            current,
            settings: mode_of(&existing.secret.facets),
            hidden: existing.secret.unreadable.iter().map(|part| part.operation.clone()).collect(),
            ..State::default()
        }
    }

    fn relate(&self, desired: &crate::model::Desired, state: &State) -> Relation {
        let wanted = desired.versions.iter().find(|version| version.current).map(|version| &version.id);
        let mut differences = Vec::new();
        if state.current.as_ref() != wanted {
            differences.push("its bytes".to_owned());
        }
        // A mode that is narrower than it was is nobody's loss, and is never widened.
        if let (Some(wanted), Some(there)) = (octal(&desired.settings), octal(&state.settings))
            && there & !wanted != 0
        {
            differences.push("its mode".to_owned());
        }
        if differences.is_empty() { Relation::Same } else { Relation::Other(differences) }
    }

    fn writes(&self, desired: &crate::model::Desired, state: &State, goal: Goal) -> Writes {
        let name = || desired.name.clone();
        let mut writes = Writes::default();
        let is_there = state.there && goal != Goal::Remake;
        if state.there && goal == Goal::Remake {
            writes.first.push(Planned::plain(Step::Destroy { name: name() }));
        }
        let Some(version) = desired.versions.iter().find(|version| version.current) else { return writes };
        if !is_there {
            let create = Step::Create {
                name: name(),
                version: Some(version.id.clone()),
                description: None,
                kms_key: None,
                tags: desired.tags.clone(),
                secret_type: None,
                settings: desired.settings.clone(),
            };
            writes.first.push(Planned::of(create, version));
            return writes;
        }
        if state.current.as_ref() != Some(&version.id) {
            let behind = state.current.clone().unwrap_or_default();
            let append = Step::Append { name: name(), version: version.id.clone(), behind, placeholder: false };
            writes.first.push(Planned::of(append, version));
        }
        if goal == Goal::Replace && octal(&desired.settings) != octal(&state.settings) {
            let settings = desired.settings.clone();
            writes.last.push(Planned::plain(Step::Configure { name: name(), settings, tags: Vec::new() }));
        }
        writes
    }

    fn after(&self, state: &mut State, step: &Step) {
        match step {
            Step::Create { version, settings, .. } => {
                *state = State { there: true, settings: settings.clone(), ..State::default() };
                state.versions.extend(version.clone());
                state.current.clone_from(version);
            }
            Step::Append { version, .. } => {
                state.versions = std::iter::once(version.clone()).collect();
                state.current = Some(version.clone());
            }
            Step::Configure { settings, .. } => narrow(state, settings),
            Step::Destroy { .. } => *state = State::default(),
            _ => {}
        }
    }

    /// By their paths, whatever the machine is called: a name is an option of the address, and one of another machine may be the
    /// same folder.
    fn overlaps(&self, one: &Place, other: &Place) -> bool {
        let path = |place: &Place| std::path::PathBuf::from(&place.region);
        let is_files = |place: &Place| place.provider == SCHEME;
        let (a, b) = (path(one), path(other));
        is_files(one) && is_files(other) && (a.starts_with(&b) || b.starts_with(&a))
    }

    fn is_identifier(&self, id: &str, name: &str, _place: &Place) -> bool {
        let rest = id.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix('@').is_some_and(book::is_identity))
    }

    fn may_become(&self, record: &Record, version: &str) -> bool {
        record.versions.iter().any(|known| known.id == version)
    }
}

/// What is wrong with a name; `None`: it is a path that stays in the folder.
pub(super) fn fault(name: &str) -> Option<&'static str> {
    let mut parts = name.split('/');
    if parts.clone().any(str::is_empty) {
        Some("it is empty, begins or ends with a slash, or has two beside each other")
    } else if parts.clone().any(|part| part == "." || part == "..") {
        Some("it has a part . or ..")
    } else if name.chars().any(char::is_control) {
        Some("it has a control character")
    } else if name == book::FILE {
        Some("the notes of a restore have it")
    } else if name.len() > LONGEST || parts.any(|part| part.len() > LONGEST_PART) {
        Some("it is too long")
    } else {
        None
    }
}

/// The permission bits that a setting names.
pub(super) fn octal(settings: &BTreeMap<String, String>) -> Option<u32> {
    u32::from_str_radix(settings.get(MODE)?, 8).ok().filter(|mode| *mode <= 0o7777)
}

fn narrow(state: &mut State, settings: &BTreeMap<String, String>) {
    if let (Some(wanted), Some(there)) = (octal(settings), octal(&state.settings)) {
        state.settings.insert(MODE.into(), format!("{:04o}", wanted & there));
    }
}

fn mode_of(facets: &Facets) -> BTreeMap<String, String> {
    settings(facets).into_iter().filter(|(name, _)| name == MODE).collect()
}

/// The one version that a file can be.
fn chosen<'a>(record: &'a Record, context: &Context<'_>) -> Option<&'a Version> {
    match &context.options.version {
        Some(wanted) => record.versions.iter().find(|version| version.id == *wanted || version.has(wanted)),
        None => record.versions.iter().find(|version| version.is_current()),
    }
}

/// The file that a record is to be. Every facet is carried, changed (a note) or lost; one that is new does not compile.
fn wish(record: &Record, context: &Context<'_>) -> Wish {
    let mut wish = Wish::new(record, context);
    for part in &record.secret.unreadable {
        wish.lose(&part.operation, &part.reason);
    }
    let version = chosen(record, context);
    let is_same = context.is_same_kind();
    let (before, rest) = Carried::read(&record.secret.facets.tags);
    let before = before.filter(|carried| carried.from == SCHEME && !is_same);
    if let Some((version, value)) = version.and_then(|version| Some((version, ValueRef::of(version)?))) {
        let plain = if before.is_some() { Codec::Contents } else { Codec::Bytes };
        let codec = match context.keys() {
            _ if is_same => Codec::AsIs,
            Some(dialect) => Codec::Lines(dialect.to_owned()),
            None => crate::provider::decoded(&record.secret.facets, version).unwrap_or(plain),
        };
        // On the way back it has the id that it had.
        let carried = before.as_ref().and_then(|carried| carried.versions.get(&version.id));
        wish.desired.versions.push(DesiredVersion {
            id: carried.map_or_else(|| version.id.clone(), |(id, _)| id.clone()),
            source: version.id.clone(),
            current: true,
            labels: Vec::new(),
            value,
            codec,
        });
    }
    let others = record.versions.iter().filter(|other| version.is_none_or(|version| version.id != other.id));
    match others.count() {
        0 => {}
        count if context.options.version.is_some() => {
            wish.note(format!("the other {count} versions stay in the backup: a file is one version"));
        }
        count => wish.lose("versions", &format!("{count} are not the current one: a file is one version")),
    }
    let Facets { description, key, tags, policy, rotation, replicas, primary_region: _, r#type, managed, other } =
        &record.secret.facets;
    let mut tags = if before.is_some() { rest } else { tags.clone() };
    wish.leave_system_tags(&mut tags, context);
    if context.options.marks {
        wish.desired.tags.extend(tags.iter().filter(|tag| tag.key == DRILL_TAG).cloned());
    }
    let lost = [
        ("description", description.as_ref().is_some_and(|text| !text.is_empty())),
        ("tags", tags.iter().any(|tag| tag.key != DRILL_TAG)),
        ("policy", policy.is_some()),
        ("rotation", rotation.as_ref().is_some_and(|rotation| rotation.enabled)),
        ("replicas", !replicas.is_empty()),
        ("type", r#type.is_some()),
    ];
    for (what, _) in lost.into_iter().filter(|(_, is_there)| *is_there) {
        wish.lose(what, "a file has no such thing");
    }
    if let Some(dialect) = context.keys() {
        wish.note(format!("its fields are written as lines for {dialect}: every value of a .env file is text"));
    }
    if let Some(key) = key {
        wish.note(format!("its key {key} stays behind: a file is in the clear"));
    }
    if let Some(service) = managed {
        wish.note(format!("{service} manages it in the source; here nobody does"));
    }
    for name in other.keys().filter(|name| !KNOWN_OTHERS.contains(&name.as_str())) {
        wish.lose(name, "this version does not know what it is in a file");
    }
    wish.desired.settings = mode_of(&record.secret.facets);
    if let Some(mode) = before.as_ref().and_then(|carried| carried.settings.get(MODE)) {
        wish.desired.settings.insert(MODE.into(), mode.clone());
    }
    wish.desired.settings.entry(MODE.into()).or_insert_with(|| "0600".into());
    match octal(&wish.desired.settings) {
        Some(mode) if mode & 0o077 != 0 => {
            wish.note(format!("its mode is {mode:04o}, as it was: other users can read or change it"));
        }
        _ => {}
    }
    let file = other.get("file");
    if let Some(link) = file.and_then(|file| file["link"].as_str()) {
        let link = crate::text::line(link).into_owned();
        wish.note(format!("it was a link to {link}; it comes back as a file of its own"));
    }
    if let Some(kind) = file.and_then(|file| file["encrypted"].as_str()) {
        let kind = crate::text::line(kind).into_owned();
        wish.note(format!("{kind} encrypted it: its key is not in the backup"));
    }
    wish
}
