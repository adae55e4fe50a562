//! The hooks of a capture: consumers take a new value as soon as it is in the backup.

use std::path::PathBuf;

use serde_json::json;

use super::{
    owed::{self, Note, Owed},
    watch::Capture,
};
use crate::{
    app::Host,
    cli::{Context, Failure, hooks},
    clock::{Clock as _, SystemClock, to_seconds},
    config::Occasion,
    fsutil,
    hooks::{Given, Hook, Journal, Outcome, Report, Standing, region_of},
    model::{Place, RepositoryId},
};

/// The hooks that are about one of these secrets.
fn due(host: &Host, place: &Place, names: &[String]) -> Result<Vec<Hook>, Failure> {
    let sections = hooks::configured(host, Occasion::Event);
    let hooks = Hook::all(&sections, Occasion::Event, region_of(place))?;
    Ok(hooks.into_iter().filter(|hook| names.iter().any(|name| hook.is_about(name))).collect())
}

fn folder(host: &Host, repository: RepositoryId) -> PathBuf {
    host.hooks_path(repository).with_extension("owed")
}

/// Notes what is owed to the consumers of these secrets before they are captured; nothing where no hook is about them.
pub(super) fn owe(
    host: &Host,
    repository: RepositoryId,
    place: &Place,
    names: Vec<String>,
) -> Result<Option<Note>, Failure> {
    if due(host, place, &names)?.is_empty() {
        return Ok(None);
    }
    let owed = Owed { time: SystemClock.now(), place: place.clone(), names };
    Ok(Some(Note::put(&folder(host, repository), &owed)?))
}

/// Of the secrets that were captured or found as they were, those of which an earlier capture told that it failed. Its snapshot may
/// be there all the same, so they are owed their hooks.
pub(super) fn take_over(
    host: &Host,
    (repository, place): (RepositoryId, &Place),
    own: &Note,
    names: &[String],
) -> Result<Vec<String>, Failure> {
    Ok(owed::take_over(&folder(host, repository), (own, place), names)?)
}

/// Leaves what a capture that failed owes.
pub(super) fn leave(host: &Host, (repository, place): (RepositoryId, &Place)) -> Result<(), Failure> {
    Ok(owed::join(&folder(host, repository), place)?)
}

/// What runs that were killed before their hooks left of these sources.
pub(super) fn left(host: &Host, repository: RepositoryId, places: &[&Place]) -> Result<Vec<Capture>, Failure> {
    let all = owed::left(&folder(host, repository))?;
    let own = all.into_iter().filter(|(_, owed)| places.contains(&&owed.place));
    let capture = |(note, Owed { place, names, .. })| Capture {
        repository,
        snapshot: None,
        place,
        changed: names,
        note: Some(note),
    };
    Ok(own.map(capture).collect())
}

/// Runs the hooks of a capture, each once. When they ran, what is noted of it is gone.
pub(super) async fn run(context: &Context, host: &Host, capture: &Capture) -> Result<Vec<Report>, Failure> {
    let Some(note) = &capture.note else { return Ok(Vec::new()) };
    let hooks = due(host, &capture.place, &capture.changed)?;
    if hooks.is_empty() {
        note.settle()?;
        return Ok(Vec::new());
    }
    let now = to_seconds(SystemClock.now());
    let path = host.hooks_path(capture.repository).with_extension("event");
    let mut journal = Journal::open(&path, note.identity)?;
    for hook in &hooks {
        // What a run that was killed had done is not due again.
        if journal.standing(&hook.section.name) == Standing::Idle {
            journal.due(&hook.section.name, now)?;
        }
    }
    let names = |take: &mut dyn FnMut(&str)| -> Result<(), String> {
        capture.changed.iter().for_each(|name| take(name));
        Ok(())
    };
    let variables = hooks::variables();
    let given = Given {
        occasion: Occasion::Event.as_str(),
        time: now,
        about: json!({ "occasion": Occasion::Event, "snapshot": capture.snapshot, "source": capture.place }),
        names: &names,
        // Nothing got another identifier.
        moves: &|_| Ok(()),
        waits: &|_| None,
        account: region_of(&capture.place).map(|_| capture.place.account.as_str()),
        variables: &variables,
        scratch: &host.scratch(),
    };
    let reports = hooks::run(context, &hooks, &given, &mut journal).await;
    // One that failed is told, and tried again by nobody; one that was not reached is owed.
    if !reports.iter().any(|report| matches!(report.outcome, Outcome::Interrupted | Outcome::NotRun)) {
        note.settle()?;
        fsutil::remove(&path)?;
    }
    hooks::warn(context, &reports, "the change is captured");
    Ok(reports)
}
