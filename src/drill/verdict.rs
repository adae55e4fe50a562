//! What a drill comes to: its verdict, and everything that speaks against it. Pure.

use super::{
    Request,
    hold::tally,
    ready,
    record::{Deviation, Reason, Record, State, Verdict},
};
use crate::restore::{Execution, Outcome, SecretPlan};

/// Decides, unless the drill did not come to its end (`ended`). Everything that is wrong becomes a deviation.
pub(super) fn decide(request: &Request<'_>, draft: &mut Record, history_faults: &[String], ended: Option<Verdict>) {
    for fault in history_faults {
        deviate(request, draft, "the history of the repository has a fault", fault);
    }
    objectives(draft);
    let found = failures(draft);
    for (what, cause) in &found {
        deviate(request, draft, what, cause);
    }
    let uncaught: Vec<String> = draft
        .negative_controls
        .iter()
        .filter(|control| !control.caught)
        .map(|control| control.planted.clone())
        .collect();
    for planted in &uncaught {
        deviate(request, draft, "a planted fault was not caught", planted);
    }
    let partial: Vec<Reason> = draft.not_restored.clone();
    for Reason { reason, count } in &partial {
        deviate(request, draft, &format!("{count} not restored"), reason);
    }
    draft.result = match ended {
        Some(Verdict::Aborted) => Verdict::Aborted,
        Some(Verdict::TimedOut) => Verdict::TimedOut,
        _ if !uncaught.is_empty() => Verdict::Void,
        Some(other) => other,
        None if draft.negative_controls.is_empty() => Verdict::Void,
        None if !found.is_empty() || !history_faults.is_empty() => Verdict::Failed,
        None if !partial.is_empty() => Verdict::Partial,
        None => Verdict::Passed,
    };
}

/// Adds a deviation.
pub(super) fn deviate(request: &Request<'_>, draft: &mut Record, what: &str, cause: &str) {
    draft.deviations.push(Deviation {
        what: what.to_owned(),
        cause: cause.to_owned(),
        owner: request.file.owner.clone(),
        ticket: None,
        retest: ready::retest(request.file.every_days, request.clock),
    });
}

fn objectives(draft: &mut Record) {
    let objectives = &mut draft.objectives;
    objectives.rto_met = objectives.rto_seconds.map(|target| draft.rto_seconds.is_some_and(|found| found <= target));
    objectives.rpo_met = objectives.rpo_seconds.map(|target| draft.rpo_seconds <= target);
}

/// Everything for which a drill fails, as what and why.
fn failures(draft: &Record) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for check in draft.checks.iter().filter(|check| check.state == State::Failed) {
        let missing = check.expected.saturating_sub(check.equal);
        let cause = if missing > 0 {
            format!("{missing} of {} are not as in the snapshot", check.expected)
        } else {
            format!("there are more than the {} in the snapshot", check.expected)
        };
        found.push((format!("check {:?} failed", check.name.as_str()), cause));
    }
    // A check that ran proves something only when it looked at something.
    if !draft.checks.iter().any(|check| check.state == State::Passed && check.equal > 0 && compares(check)) {
        found.push(("nothing was compared".into(), "nothing was restored, or no check was to be run".into()));
    }
    for probe in draft.probes.iter().filter(|probe| probe.state != State::Passed) {
        found.push((format!("probe {:?} did not pass", probe.name), probe.detail.clone()));
    }
    let of = |seconds: Option<f64>| super::report::duration(seconds.unwrap_or_default());
    if draft.objectives.rto_met == Some(false) {
        let cause = format!("{} against {}", of(draft.rto_seconds), of(draft.objectives.rto_seconds));
        found.push(("the RTO was missed".into(), cause));
    }
    if draft.objectives.rpo_met == Some(false) {
        let cause = format!("{} against {}", of(Some(draft.rpo_seconds)), of(draft.objectives.rpo_seconds));
        found.push(("the RPO was missed".into(), cause));
    }
    for name in &draft.clean_up.left_over {
        found.push(("something is left over in the sandbox".into(), name.clone()));
    }
    found
}

/// Whether a check looks at what was restored, not at the index.
fn compares(check: &super::record::Check) -> bool {
    matches!(check.name, super::Aspect::Values | super::Aspect::Binary | super::Aspect::Ids | super::Aspect::Labels)
}

/// What the plan leaves out by rule.
pub(super) fn left_out(plan: &[SecretPlan]) -> Vec<Reason> {
    tally(plan.iter().filter_map(|secret| match &secret.outcome {
        Outcome::LeftOut(reason) => Some(reason.clone()),
        _ => None,
    }))
}

/// What was asked for and did not come back.
pub(super) fn not_restored(plan: &[SecretPlan], execution: &Execution) -> Vec<Reason> {
    let refused = plan.iter().filter_map(|secret| match &secret.outcome {
        Outcome::Conflict(reason) | Outcome::Impossible(reason) => Some(reason.clone()),
        _ => None,
    });
    let lost = plan.iter().flat_map(|secret| secret.lost.iter().map(|lost| lost.reason.clone()));
    let failed = execution.failed.iter().map(|step| step.reason.clone());
    tally(refused.chain(lost).chain(failed))
}
