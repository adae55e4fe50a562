//! Hooks as the commands run and show them.

use std::{
    ffi::OsString,
    sync::atomic::{AtomicBool, Ordering},
};

use serde::Serialize;

use super::{Context, Failure, asked_to_stop, output::table, trail};
use crate::{
    app::Host,
    clock::SystemClock,
    config::{AfterSection, Occasion},
    hooks::{self, Given, Hook, Journal, NoHook, Outcome, Report},
    text,
};

/// Whether hooks run now: they end by themselves when somebody asks for the end, and say so.
static RUNNING: AtomicBool = AtomicBool::new(false);

/// Whether hooks run now.
pub(super) fn are_running() -> bool {
    RUNNING.load(Ordering::Relaxed)
}

struct Running;

impl Running {
    fn begin() -> Self {
        RUNNING.store(true, Ordering::Relaxed);
        Self
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.store(false, Ordering::Relaxed);
    }
}

/// The configured hooks of an occasion.
pub(super) fn configured(host: &Host, on: Occasion) -> Vec<AfterSection> {
    host.config.hooks.iter().filter(|hook| hook.on.contains(&on)).cloned().collect()
}

/// Hooks in a plan, as `--json` shows them.
#[derive(Serialize)]
pub(super) struct Shown<'a> {
    #[serde(flatten)]
    section: &'a AfterSection,
    /// What it does.
    does: String,
}

/// The same for all of a plan.
pub(super) fn shown(hooks: &[Hook]) -> Vec<Shown<'_>> {
    hooks.iter().map(|hook| Shown { section: &hook.section, does: hook.describe() }).collect()
}

/// Hooks in a plan, as people read them.
pub(super) fn describe(hooks: &[Hook], when: &str) -> String {
    if hooks.is_empty() {
        return String::new();
    }
    let lines = (1..).zip(hooks).map(|(at, hook)| format!("\n  {at}. {}", hook.describe()));
    format!("\nHooks, {when}, in this order; none depends on another:{}", lines.collect::<String>())
}

/// What became of hooks, as `--json` shows it.
#[derive(Serialize)]
pub(super) struct Ended<'a> {
    hooks: &'a [Report],
    /// Whether none left something undone.
    complete: bool,
}

/// The same; `None` where there are no hooks.
pub(super) fn ended(reports: &[Report]) -> Option<Ended<'_>> {
    (!reports.is_empty()).then(|| Ended { hooks: reports, complete: is_complete(reports) })
}

/// Whether none left something undone.
pub(super) fn is_complete(reports: &[Report]) -> bool {
    !reports.iter().any(|report| report.outcome.is_fault())
}

/// Whether somebody asked for the end while one ran.
pub(super) fn are_interrupted(reports: &[Report]) -> bool {
    reports.iter().any(|report| report.outcome == Outcome::Interrupted)
}

/// What became of hooks, as people read it.
pub(super) fn rows(reports: &[Report]) -> String {
    if reports.is_empty() {
        return String::new();
    }
    let row = |report: &Report| {
        let seconds = format!("{:.1}", report.seconds);
        vec![report.name.clone(), report.outcome.as_str().to_owned(), seconds, report.what.clone()]
    };
    format!("{}\n", table(&["hook", "outcome", "seconds", ""], reports.iter().map(row).collect()))
}

/// Says of each hook that left something undone what it is; `before` is what is well all the same.
pub(super) fn warn(context: &Context, reports: &[Report], before: &str) {
    for report in reports.iter().filter(|report| report.outcome.is_fault()) {
        let (name, what) = (text::line(&report.name), text::line(&report.what));
        let did = if report.outcome == Outcome::NotRun { "did not run" } else { "failed" };
        context.output.warn(&format!("{before}; the hook {name} {did}: {what}"));
    }
}

/// Every variable of this process.
pub(super) fn variables() -> Vec<(OsString, OsString)> {
    std::env::vars_os().collect()
}

/// Runs the hooks that are due; each is told of as it ends.
pub(super) async fn run(context: &Context, hooks: &[Hook], given: &Given<'_>, journal: &mut Journal) -> Vec<Report> {
    let _running = Running::begin();
    let tell = |report: &Report| {
        let (name, what) = (text::line(&report.name), text::line(&report.what));
        let word = report.outcome.as_str();
        context.output.note(&format!("hook {name}: {word} in {:.1} s: {what}", report.seconds));
    };
    let reports = hooks::run(hooks, given, journal, &SystemClock, asked_to_stop(), &tell).await;
    let count = |outcome| reports.iter().filter(|report| report.outcome == outcome).count() as u64;
    trail::count("hooks", count(Outcome::Done));
    let faults = reports.iter().filter(|report| report.outcome.is_fault()).count() as u64;
    trail::count("hooks_failed", faults);
    reports
}

/// Runs dry commands, as a drill may.
pub(super) async fn dry(hooks: &[Hook], given: &Given<'_>) -> Vec<Report> {
    hooks::dry(hooks, given, asked_to_stop()).await
}

impl From<NoHook> for Failure {
    fn from(error: NoHook) -> Self {
        Self::usage(error.to_string()).hint("set region in the [[after]] section, or use --no-hooks")
    }
}
