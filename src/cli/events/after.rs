//! The hooks of a capture: consumers take a new value as soon as it is in the backup.

use serde_json::json;

use super::watch::Capture;
use crate::{
    app::Host,
    cli::{Context, Failure, hooks},
    clock::{Clock as _, SystemClock, to_seconds},
    config::Occasion,
    fsutil,
    hooks::{Given, Hook, Journal, Report, region_of},
    model::Digest,
};

/// The hooks that are about a secret that changed.
fn due(host: &Host, capture: &Capture) -> Result<Vec<Hook>, Failure> {
    let sections = hooks::configured(host, Occasion::Event);
    let hooks = Hook::all(&sections, Occasion::Event, region_of(&capture.place))?;
    Ok(hooks.into_iter().filter(|hook| capture.changed.iter().any(|name| hook.is_about(name))).collect())
}

/// Runs the hooks of a capture, each once: a capture has no second run, so what is noted of it is gone afterwards.
pub(super) async fn run(context: &Context, host: &Host, capture: &Capture) -> Result<Vec<Report>, Failure> {
    let hooks = due(host, capture)?;
    if hooks.is_empty() {
        return Ok(Vec::new());
    }
    let now = to_seconds(SystemClock.now());
    let path = host.hooks_path(capture.repository).with_extension("event");
    let mut journal = Journal::open(&path, Digest::of(capture.snapshot.to_string().as_bytes()))?;
    for hook in &hooks {
        journal.due(&hook.section.name, now)?;
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
    fsutil::remove(&path)?;
    hooks::warn(context, &reports, "the change is captured");
    Ok(reports)
}
