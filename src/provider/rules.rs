//! What a kind of provider does with what it is given: pure, one set of rules for each kind.
//!
//! A restore takes the target's. The planner, the provider in memory and the controls of a drill all go by the same ones.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::ProviderError;
use crate::model::{
    Desired, Existing, Lost, Maps, Moved, Options, Place, Planned, PolicyVerdict, Presence, Record, Secret, State,
    Step, Tag,
};

/// The scheme of files.
const FILES: &str = "env";

/// What every decision about a secret depends on beside the secret.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Where the secrets came from.
    pub source: &'a Place,
    /// Where they go.
    pub target: &'a Place,
    /// What a person chose.
    pub options: &'a Options,
    /// The recovery point.
    pub time: Timestamp,
    /// Keys and other things outside a secret, and whether the target has them.
    pub presence: &'a BTreeMap<String, Presence>,
    /// Policies, and what the target thinks of them.
    pub policies: &'a BTreeMap<String, PolicyVerdict>,
    /// Identifiers of the snapshot that nothing in the target will have.
    pub moved: &'a Moved,
}

/// What a secret is to be, and what of it cannot be.
pub struct Wish {
    /// The state it is to have.
    pub desired: Desired,
    /// What cannot come back, and why.
    pub lost: Vec<Lost>,
    /// Why nobody could use it at the target as it is.
    pub unusable: Vec<String>,
    /// What the operator should know.
    pub notes: Vec<String>,
    /// Why nothing of it can come back.
    pub refusal: Option<String>,
}

/// How what is there relates to what is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Relation {
    /// There is nothing to do.
    Same,
    /// An earlier run of this restore began it; nothing that is there is in the way.
    Begun,
    /// It is another secret, in these respects.
    Other(Vec<String>),
}

/// What is to be done with a secret that can be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// It is not there, or its beginning is: make it.
    Make,
    /// Another secret has the name: add the current value alone.
    AddCurrent,
    /// Another secret has the name: make it what the snapshot says, as far as that goes.
    Replace,
    /// Destroy what has the name, and make it.
    Remake,
}

/// The writes of one secret, by the pass that they belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// Those that bring the current value back: done for every secret before anything else is.
    pub first: Vec<Planned>,
    /// What has time.
    pub then: Vec<Planned>,
    /// What may shut the door or start a clock.
    pub last: Vec<Planned>,
}

/// What a target has to be asked before a secret can be planned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Questions {
    /// Keys and other things outside a secret.
    pub references: BTreeSet<String>,
    /// Policies that may do harm.
    pub policies: BTreeSet<String>,
}

/// The rules of a kind, as those of a target. None of them connects to anything.
pub trait Rules: Send + Sync {
    /// Why the target would refuse a name. One that the same kind gave, and that no map changed, is not judged.
    fn name_fault(&self, source: &Place, wanted: &str, name: &str) -> Option<String>;

    /// The name that a secret gets here, by a person's map. What kinds with fewer characters made of a name is undone; a kind that
    /// has fewer itself writes the others differently.
    fn name(&self, secret: &Secret, source: &Place, maps: &Maps) -> String {
        let _ = source;
        let is_mapped = maps.name(&secret.name) != format!("{}{}", maps.name_prefix, secret.name);
        let original = original_name(secret).filter(|_| !is_mapped);
        maps.name(original.as_deref().unwrap_or(&secret.name))
    }

    /// Whether a value can be text here: where it cannot, bytes may be text.
    fn has_text(&self) -> bool {
        true
    }

    /// Whether a setting that is there only says how the target wrote a value, which nobody knew before it was written.
    fn is_of_value(&self, desired: &Desired, setting: &str, value: &str) -> bool {
        let _ = (desired, setting, value);
        false
    }

    /// Whether two names that differ by case alone are one.
    fn folds_case(&self) -> bool {
        false
    }

    /// Whether it is the credentials that decide which account an address leads to.
    fn is_by_credentials(&self) -> bool {
        false
    }

    /// What the target has to be asked about a secret.
    fn questions(&self, secret: &Secret, context: &Context<'_>) -> Questions {
        let _ = (secret, context);
        Questions::default()
    }

    /// Why a record cannot be restored here, whatever is there. Which versions were asked for has been looked at.
    fn refusal(&self, record: &Record, context: &Context<'_>) -> Option<String>;

    /// The state a record is to have. Every version and facet of the record is in the answer: kept, changed (a note) or lost
    /// (a reason). Of one that is there untouched nothing is left out.
    fn wish(&self, record: &Record, context: &Context<'_>, untouched: bool) -> Wish;

    /// What is there, as far as a plan may change it.
    fn state(&self, existing: &Existing, place: &Place) -> State;

    /// Compares without values.
    fn relate(&self, desired: &Desired, state: &State) -> Relation;

    /// The last word on the ids that versions will have, once it is known what they are put into.
    fn settle(&self, desired: &mut Desired, state: &State, goal: Goal) {
        let _ = (desired, state, goal);
    }

    /// The writes from what is there to what is to be.
    fn writes(&self, desired: &Desired, state: &State, goal: Goal) -> Writes;

    /// What a secret is after a step.
    fn after(&self, state: &mut State, step: &Step);

    /// What outside a secret it needs or lets in.
    fn references(&self, desired: &Desired) -> BTreeSet<String> {
        let _ = desired;
        BTreeSet::new()
    }

    /// Whether a label marks the current version: the one that an addition to another secret gets.
    fn marks_current(&self, label: &str) -> bool {
        let _ = label;
        false
    }

    /// Whether an error says that no secret may be made here, and so that none of the others may be.
    fn denies_creation(&self, error: &ProviderError) -> bool {
        let _ = error;
        false
    }

    /// As the rules of a source: what in a text leads back to it, from wherever the text is now.
    fn left_behind(&self, text: &[u8], source: &Place, target: &Place, moved: &Moved) -> BTreeSet<String> {
        let _ = (text, source, target, moved);
        BTreeSet::new()
    }

    /// The name in the name of a key; `None` is the provider's default key. Two names of one form mean the same key exactly if
    /// they are equal.
    fn key_name<'a>(&self, key: Option<&'a str>) -> Option<&'a str> {
        key
    }

    /// Whether a tag is the provider's own doing.
    fn is_system_tag(&self, tag: &Tag) -> bool {
        let _ = tag;
        false
    }

    /// Whether what is written to one place would also be in the other.
    fn overlaps(&self, one: &Place, other: &Place) -> bool {
        one == other
    }

    /// Whether an identifier is one that a secret of this name can have in this place.
    fn is_identifier(&self, id: &str, name: &str, place: &Place) -> bool;

    /// Whether a restore of a record can make a version of this id.
    fn may_become(&self, record: &Record, version: &str) -> bool;

    /// The request quotas that everybody has; `None` where a server is as fast as it is.
    fn quotas(&self) -> Option<Quotas> {
        None
    }

    /// The quota that a write counts against; `None` where there are none.
    fn quota(&self, step: &Step) -> Option<&'static str> {
        let _ = step;
        None
    }
}

/// What a person should know of a file that is taken for its keys.
pub(super) fn keys_note(dialect: &str) -> String {
    format!("its keys are those that {dialect} reads; its comments and the order of its lines stay in the backup")
}

/// Request quotas that nobody can raise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quotas {
    /// Whose they are.
    pub whose: &'static str,
    /// Calls a second of each group of operations that are counted together, but the reading of values.
    pub calls: f64,
    /// Values read a second.
    pub values: f64,
}

impl Context<'_> {
    /// What is known of a key or another thing outside.
    pub fn presence(&self, reference: &str) -> Presence {
        let unasked = || Presence::Unknown("it was not checked".into());
        self.presence.get(reference).cloned().unwrap_or_else(unasked)
    }

    /// The dialect in which files are taken for keys, where one side is files and a person asked for that.
    pub fn keys(&self) -> Option<&str> {
        self.options.keys.as_deref().filter(|_| self.is_of_files() != (self.target.provider == FILES))
    }

    /// Whether the secrets are files.
    pub fn is_of_files(&self) -> bool {
        self.source.provider == FILES
    }

    /// Whether source and target are of one kind.
    pub fn is_same_kind(&self) -> bool {
        self.source.provider == self.target.provider
    }
}

impl Wish {
    /// A wish for a secret without versions and settings.
    pub fn new(record: &Record, context: &Context<'_>) -> Self {
        let (secret, maps) = (&record.secret, &context.options.maps);
        let by_kind = super::rules(&context.target.provider).map(|rules| rules.name(secret, context.source, maps));
        let desired = Desired {
            name: by_kind.unwrap_or_else(|_| maps.name(&secret.name)),
            source_name: secret.name.clone(),
            source_id: secret.id.clone(),
            edits: maps.edits(&secret.name),
            ..Desired::default()
        };
        Self { desired, lost: Vec::new(), unusable: Vec::new(), notes: Vec::new(), refusal: None }
    }

    /// Names a part that cannot come back.
    pub fn lose(&mut self, what: &str, reason: &str) {
        self.lost.push(Lost { what: what.to_owned(), reason: reason.to_owned() });
    }

    /// What the source's service says of its own accord is nobody's to bring back.
    pub fn leave_system_tags(&mut self, tags: &mut Vec<Tag>, context: &Context<'_>) {
        let Ok(source) = super::rules(&context.source.provider) else { return };
        let (system, own): (Vec<Tag>, Vec<Tag>) =
            std::mem::take(tags).into_iter().partition(|it| source.is_system_tag(it));
        if !system.is_empty() {
            let keys: Vec<&str> = system.iter().map(|tag| tag.key.as_str()).collect();
            self.note(format!("system tags are left out, because the source's services set them: {}", keys.join(", ")));
        }
        *tags = own;
    }

    /// Says something that the operator should know.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }
}

/// The name that a secret had before a kind with fewer characters had it.
pub(super) fn original_name(secret: &Secret) -> Option<String> {
    super::Carried::read(&secret.facets.tags).0?.name
}
