//! What is done about one secret: whether it can come back at all, and what becomes of a secret that has its name.

use super::plan::Outcome;
use crate::{
    model::{Desired, Existing, OnConflict, OnReplica, OnScheduled, Record, State},
    provider::{Context, Relation, Rules},
    text::plural,
};

/// What is done about a secret of this name that is there.
pub(super) fn decide(
    desired: &Desired,
    existing: &Existing,
    state: &State,
    (rules, context): (&dyn Rules, &Context<'_>),
    notes: &mut Vec<String>,
) -> Outcome {
    if let Some(service) = &existing.secret.facets.managed {
        return Outcome::Impossible(format!("a secret with this name exists and {service} manages it"));
    }
    // Nothing is decided about what was not seen. What is scheduled for deletion hides these parts from everyone.
    if let Some(part) = existing.secret.unreadable.first().filter(|_| !state.scheduled) {
        let (operation, reason) = (&part.operation, &part.reason);
        return Outcome::Impossible(format!("a secret with this name exists and {operation} is refused: {reason}"));
    }
    if let Some(primary) = &state.primary {
        return replica(primary, desired, state, (rules, context), notes);
    }
    if !state.scheduled {
        return resolve(rules.relate(desired, state), desired, state, context.options.on_conflict);
    }
    if desired.deletion_days.is_some()
        && matches!(rules.relate(desired, &state.assuming(desired.policy.as_ref())), Relation::Same)
    {
        return Outcome::Present;
    }
    match context.options.on_scheduled {
        OnScheduled::Fail => Outcome::Conflict(SCHEDULED.into()),
        OnScheduled::ForceReplace => {
            notes.push(format!(
                "the secret with this name, scheduled for deletion, is destroyed permanently: {}",
                plural(state.versions.len() as u64, "version")
            ));
            Outcome::Recreate
        }
        OnScheduled::Undelete => {
            if !state.hidden.is_empty() {
                let hidden: Vec<&str> = state.hidden.iter().map(String::as_str).collect();
                notes.push(format!(
                    "the target does not show these parts while it is scheduled for deletion: {}",
                    hidden.join(", ")
                ));
            }
            let live = State { scheduled: false, ..state.clone() };
            match resolve(rules.relate(desired, &live), desired, &live, context.options.on_conflict) {
                // Taking it back is a write.
                Outcome::Present => Outcome::Complete,
                other => other,
            }
        }
    }
}

/// AWS's own copy of the secret in this region, kept in step with its primary for as long as it is a replica.
fn replica(
    primary: &str,
    desired: &Desired,
    state: &State,
    (rules, context): (&dyn Rules, &Context<'_>),
    notes: &mut Vec<String>,
) -> Outcome {
    if context.options.on_replica == OnReplica::Fail {
        let reason = format!("a replica of {primary} has this name: --on-replica promote makes it a secret of its own");
        return Outcome::Impossible(reason);
    }
    let alone = State { primary: None, ..state.clone() };
    match resolve(rules.relate(desired, &alone), desired, &alone, context.options.on_conflict) {
        Outcome::Conflict(reason) => Outcome::Conflict(format!("{reason}; it stays a replica of {primary}")),
        impossible @ Outcome::Impossible(_) => impossible,
        // To promote is a write, whatever else is to be done.
        outcome => {
            notes.push(format!("the replica is promoted: it no longer follows its primary in {primary}"));
            if outcome == Outcome::Present { Outcome::Complete } else { outcome }
        }
    }
}

const SCHEDULED: &str = "a secret with this name is scheduled for deletion in the target";

/// Whether what is there is the very secret of the record, and is as it was: nothing of it has to be restored, so what
/// cannot or shall not be restored does not matter.
pub(super) fn is_untouched(record: &Record, existing: &Existing, rules: &dyn Rules, context: &Context<'_>) -> bool {
    if context.options.version.is_some() || !context.is_same_kind() {
        return false;
    }
    let as_it_was = Existing { secret: record.secret.clone(), versions: record.versions.clone() };
    let was = rules.state(&as_it_was, context.source);
    let is = rules.state(existing, context.target);
    was.id == is.id
        && was.secret_type == is.secret_type
        && was.hidden.is_empty()
        && is.hidden.is_empty()
        && was.is_like(&is)
}

fn resolve(relation: Relation, desired: &Desired, state: &State, on_conflict: OnConflict) -> Outcome {
    let differences = match relation {
        Relation::Same => return Outcome::Present,
        Relation::Begun => return Outcome::Complete,
        Relation::Other(differences) => differences,
    };
    let reason = format!("another secret with this name exists: {}", differences.join(", "));
    let has_value = desired.versions.iter().any(|version| version.current);
    // What AWSCURRENT is on cannot lose it, so only a value can replace a value.
    let needs_value = on_conflict == OnConflict::NewVersion || !state.versions.is_empty();
    match on_conflict {
        // One secret's trouble: the others are not refused for it.
        OnConflict::NewVersion | OnConflict::Replace if needs_value && !has_value => {
            Outcome::Impossible(format!("{reason}; the snapshot has no value to write"))
        }
        OnConflict::NewVersion => Outcome::NewVersion,
        OnConflict::Replace => Outcome::Replace,
        OnConflict::Fail | OnConflict::Skip => Outcome::Conflict(reason),
    }
}

/// Why a record is not restored, whatever the target holds.
pub(super) fn refuse(record: &Record, rules: &dyn Rules, context: &Context<'_>) -> Option<Outcome> {
    let (secret, options) = (&record.secret, context.options);
    if secret.deleted.is_some() && !options.deletion {
        return Some(Outcome::LeftOut("scheduled for deletion in the source".into()));
    }
    let name = rules.name(secret, context.source, &options.maps);
    if let Some(fault) = rules.name_fault(context.source, &secret.name, &name) {
        return Some(Outcome::Impossible(fault));
    }
    if record.versions.is_empty() && !secret.unreadable.is_empty() {
        return Some(Outcome::Impossible(format!("it could not be read: {}", secret.unreadable[0].reason)));
    }
    if let Some(wanted) = &options.version {
        match record.versions.iter().find(|version| version.id == *wanted || version.has(wanted)) {
            None => return Some(Outcome::LeftOut(format!("it has no version {wanted}"))),
            Some(version) => {
                if let Some(reason) = version.unavailable(wanted) {
                    return Some(Outcome::Impossible(reason));
                }
            }
        }
    }
    if options.version.is_none() {
        let current = record.versions.iter().find(|version| version.is_current());
        if let Some(leaked) = current.and_then(|version| version.value.leaked()) {
            let hint = "--leaked older takes the newest version that is not marked";
            return Some(Outcome::Impossible(format!("its current version is {leaked}; {hint}")));
        }
    }
    rules.refusal(record, context).map(Outcome::Impossible)
}
