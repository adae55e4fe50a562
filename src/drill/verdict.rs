//! What a drill comes to: its verdict, and everything that speaks against it. Pure.

use jiff::Timestamp;

use super::{
    Request,
    hold::tally,
    ready,
    record::{Approval, Check, Deviation, Reason, Record, State, Verdict},
};
use crate::restore::{Aspect, Execution, Outcome, SecretPlan};

/// Decides, unless the drill did not come to its end (`ended`). Everything that is wrong becomes a deviation.
pub(super) fn decide(request: &Request<'_>, draft: &mut Record, history_faults: &[String], ended: Option<Verdict>) {
    judge(draft, history_faults, ended, ready::retest(request.file.every_days, request.clock));
}

/// Adds a deviation.
pub(super) fn deviate(request: &Request<'_>, draft: &mut Record, what: &str, cause: &str) {
    add(draft, what, cause, ready::retest(request.file.every_days, request.clock));
}

/// The decision, by the record alone.
pub(super) fn judge(draft: &mut Record, history_faults: &[String], ended: Option<Verdict>, retest: Option<Timestamp>) {
    for fault in history_faults {
        add(draft, "the history of the repository has a fault", fault, retest);
    }
    if let Some(approver) = approver_is_operator(&draft.approval) {
        add(draft, "the approver is the operator", &approver, retest);
    }
    objectives(draft);
    let found = failures(draft);
    for (what, cause) in &found {
        add(draft, what, cause, retest);
    }
    let missed = |state| !matches!(state, State::Passed | State::NotApplicable);
    let controls = draft.negative_controls.iter();
    let uncaught: Vec<String> =
        controls.filter(|control| missed(control.state)).map(|control| control.planted.clone()).collect();
    for planted in &uncaught {
        add(draft, "a planted fault was not caught", planted, retest);
    }
    let caught = draft.negative_controls.iter().any(|control| control.state == State::Passed);
    let partial: Vec<Reason> = draft.not_restored.clone();
    for Reason { reason, count } in &partial {
        add(draft, &format!("{count} not restored"), reason, retest);
    }
    draft.result = match ended {
        Some(Verdict::Aborted) => Verdict::Aborted,
        Some(Verdict::TimedOut) => Verdict::TimedOut,
        _ if !uncaught.is_empty() => Verdict::Void,
        Some(other) => other,
        None if !caught => Verdict::Void,
        None if !found.is_empty() || !history_faults.is_empty() => Verdict::Failed,
        None if !partial.is_empty() => Verdict::Partial,
        None => Verdict::Passed,
    };
}

fn add(draft: &mut Record, what: &str, cause: &str, retest: Option<Timestamp>) {
    draft.deviations.push(Deviation {
        what: what.to_owned(),
        cause: cause.to_owned(),
        owner: draft.plan.owner.clone(),
        ticket: draft.approval.ticket.clone(),
        retest,
    });
}

/// The approver, where that is the operator: then nobody else allowed the drill.
fn approver_is_operator(approval: &Approval) -> Option<String> {
    approval.approver.clone().filter(|approver| is_same_person(approver, &approval.operator))
}

/// Whether two names mean one person, however they are written.
pub(super) fn is_same_person(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

fn objectives(draft: &mut Record) {
    let objectives = &mut draft.objectives;
    objectives.rto_met = objectives.rto_seconds.map(|target| draft.rto_seconds.is_some_and(|found| found <= target));
    let first = draft.served.as_ref().and_then(|served| served.first_secret_seconds);
    objectives.first_secret_met =
        objectives.first_secret_seconds.map(|target| first.is_some_and(|found| found <= target));
    objectives.rpo_met = objectives.rpo_seconds.map(|target| draft.rpo_seconds <= target);
}

/// Everything for which a drill fails, as what and why.
fn failures(draft: &Record) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = draft.checks.iter().filter_map(failure).collect();
    let unread = draft.sample.planned.saturating_sub(draft.sample.restored);
    if unread > 0 {
        let cause = format!("{unread} of {} are missing or cannot be read", draft.sample.planned);
        found.push(("not every restored secret was read back".into(), cause));
    }
    // A check that ran proves something about values only when it looked at what they hang on.
    if !draft.checks.iter().any(|check| check.state == State::Passed && check.equal > 0 && compares(check)) {
        let cause = "nothing was restored, or no check of values, ids or labels passed";
        found.push(("no compared value, id or label was equal".into(), cause.into()));
    }
    for probe in draft.probes.iter().filter(|probe| probe.state != State::Passed) {
        found.push((format!("probe {:?} did not pass", probe.name), probe.detail.clone()));
    }
    let of = |seconds: Option<f64>| seconds.map_or_else(|| "not measured".into(), super::report::duration);
    if draft.objectives.rto_met == Some(false) {
        let cause = format!("{} against {}", of(draft.rto_seconds), of(draft.objectives.rto_seconds));
        found.push(("the RTO was missed".into(), cause));
    }
    if draft.objectives.first_secret_met == Some(false) {
        let first = draft.served.as_ref().and_then(|served| served.first_secret_seconds);
        let cause = format!("{} against {}", of(first), of(draft.objectives.first_secret_seconds));
        found.push(("the first secret came too late".into(), cause));
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

/// Why a check that the drill was to run did not pass. One that compared less than what is in scope is a failure as well:
/// nobody knows whether the rest came back.
fn failure(check: &Check) -> Option<(String, String)> {
    let name = check.name.as_str();
    let what = match (check.chosen, check.state) {
        (false, _) | (true, State::Passed | State::NotApplicable) => return None,
        (true, State::Failed) => format!("check {name:?} failed"),
        (true, State::NotRun) => format!("check {name:?} did not run to its end"),
    };
    let of = check.expected;
    let numbers = [
        (check.compared.saturating_sub(check.equal), format!("of {of} differ from the snapshot")),
        (check.missing, format!("of {of} are missing")),
        (check.unexpected, "more than in the snapshot".into()),
        (of.saturating_sub(check.compared.saturating_add(check.missing)), format!("of {of} could not be compared")),
    ];
    let numbers = numbers.into_iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!("{count} {words}"));
    Some((what, numbers.collect::<Vec<_>>().join("; ")))
}

/// Whether a check looks at values or at what they hang on, not at the index or at settings alone.
fn compares(check: &Check) -> bool {
    matches!(check.name, Aspect::Values | Aspect::Binary | Aspect::Ids | Aspect::Labels)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        drill::{
            controls::Throwaway,
            plain::{self, check, control},
            record::{
                ProbeResult,
                Verdict::{Aborted, Failed, Partial, Passed, TimedOut, Void},
            },
        },
        model::Secret,
        restore::{Count, FailedStep, Lost},
    };

    fn count(expected: u64, compared: u64, equal: u64, missing: u64, unexpected: u64) -> Count {
        Count { expected, compared, equal, missing, unexpected }
    }

    /// The verdict and what speaks against it.
    fn judged(mut record: Record, ended: Option<Verdict>) -> (Verdict, Vec<(String, String)>) {
        judge(&mut record, &[], ended, None);
        (record.result, record.deviations.into_iter().map(|it| (it.what, it.cause)).collect())
    }

    fn spoiled(spoil: impl FnOnce(&mut Record)) -> (Verdict, Vec<(String, String)>) {
        let mut record = plain::record();
        spoil(&mut record);
        judged(record, None)
    }

    fn why(what: &str, cause: &str) -> Vec<(String, String)> {
        vec![(what.into(), cause.into())]
    }

    #[test]
    fn a_record_in_which_all_is_right_passes() {
        assert_eq!(judged(plain::record(), None), (Passed, vec![]));
    }

    #[test]
    fn each_number_of_a_check_has_its_words() {
        for (found, state, what, cause) in [
            (count(24, 24, 21, 0, 0), State::Failed, "failed", "3 of 24 differ from the snapshot"),
            (count(24, 22, 22, 2, 0), State::Failed, "failed", "2 of 24 are missing"),
            (count(24, 24, 24, 0, 1), State::Failed, "failed", "1 more than in the snapshot"),
            (count(24, 19, 19, 0, 0), State::NotRun, "did not run to its end", "5 of 24 could not be compared"),
            (
                count(24, 20, 19, 1, 2),
                State::Failed,
                "failed",
                "1 of 24 differ from the snapshot; 1 of 24 are missing; 2 more than in the snapshot; \
                 3 of 24 could not be compared",
            ),
        ] {
            let found = spoiled(|record| record.checks.push(check(Aspect::Tags, found, state)));
            assert_eq!(found, (Failed, why(&format!("check \"tags\" {what}"), cause)));
        }
    }

    #[test]
    fn a_check_that_is_not_asked_for_or_has_nothing_to_look_at_speaks_against_nothing() {
        let unasked = Check { chosen: false, ..check(Aspect::Tags, count(3, 0, 0, 0, 0), State::NotRun) };
        let nothing = check(Aspect::Key, count(0, 0, 0, 0, 0), State::NotApplicable);
        assert_eq!(spoiled(|record| record.checks.extend([unasked, nothing])), (Passed, vec![]));
    }

    #[test]
    fn something_of_a_value_must_have_been_compared_and_equal() {
        let words = "no compared value, id or label was equal";
        let cause = "nothing was restored, or no check of values, ids or labels passed";
        let only = |aspect, count, state| spoiled(|record| record.checks = vec![check(aspect, count, state)]);
        for aspect in Aspect::ALL {
            let found = only(aspect, count(1, 1, 1, 0, 0), State::Passed);
            let enough = matches!(aspect, Aspect::Ids | Aspect::Values | Aspect::Binary | Aspect::Labels);
            let expected = if enough { (Passed, vec![]) } else { (Failed, why(words, cause)) };
            assert_eq!(found, expected, "{aspect:?}");
        }
        assert_eq!(only(Aspect::Values, count(0, 0, 0, 0, 0), State::Passed), (Failed, why(words, cause)));
        assert_eq!(only(Aspect::Values, count(0, 0, 0, 0, 0), State::NotApplicable), (Failed, why(words, cause)));
        assert_eq!(spoiled(|record| record.checks.clear()), (Failed, why(words, cause)));
        let (verdict, against) = only(Aspect::Values, count(3, 3, 2, 0, 0), State::Failed);
        assert_eq!((verdict, against.len()), (Failed, 2), "what is equal in a check that failed is not enough");
    }

    #[test]
    fn a_secret_that_was_not_read_back_fails_whatever_is_checked() {
        let found = spoiled(|record| (record.sample.planned, record.sample.restored) = (24, 23));
        let words = "not every restored secret was read back";
        assert_eq!(found, (Failed, why(words, "1 of 24 are missing or cannot be read")));
        assert_eq!(spoiled(|record| record.sample.restored = 3).0, Passed);
    }

    #[test]
    fn probes_objectives_and_leftovers() {
        let named = |name: &str, state| ProbeResult { name: name.into(), state, detail: "late".into(), seconds: 1.0 };
        for state in [State::Failed, State::NotRun, State::NotApplicable] {
            let found = spoiled(|record| record.probes = vec![named("ready", State::Passed), named("login", state)]);
            assert_eq!(found, (Failed, why("probe \"login\" did not pass", "late")));
        }
        let rto = |seconds| spoiled(|record| record.objectives.rto_seconds = Some(seconds));
        assert_eq!(rto(10.0), (Passed, vec![]));
        assert_eq!(rto(9.0), (Failed, why("the RTO was missed", "10.0 s against 9.0 s")));
        let rpo = |seconds| spoiled(|record| record.objectives.rpo_seconds = Some(seconds));
        assert_eq!(rpo(20.0), (Passed, vec![]));
        assert_eq!(rpo(19.0), (Failed, why("the RPO was missed", "20.0 s against 19.0 s")));
        let unmeasured = spoiled(|record| {
            (record.objectives.rto_seconds, record.rto_seconds) = (Some(9.0), None);
        });
        assert_eq!(unmeasured, (Failed, why("the RTO was missed", "not measured against 9.0 s")));
        let left = spoiled(|record| record.clean_up.left_over = vec!["app/one".into()]);
        assert_eq!(left, (Failed, why("something is left over in the sandbox", "app/one")));
    }

    #[test]
    fn a_fault_that_was_not_caught_makes_it_void_and_one_that_does_not_apply_does_not() {
        let with = |states: &[State]| {
            spoiled(|record| record.negative_controls = states.iter().map(|state| control("a fault", *state)).collect())
        };
        assert_eq!(with(&[State::Passed, State::NotApplicable]), (Passed, vec![]));
        let uncaught = why("a planted fault was not caught", "a fault");
        assert_eq!(with(&[State::Passed, State::Failed]), (Void, uncaught.clone()));
        assert_eq!(with(&[State::Passed, State::NotRun]), (Void, uncaught));
        assert_eq!(with(&[State::NotApplicable]), (Void, vec![]), "nothing was planted");
        assert_eq!(with(&[]), (Void, vec![]));
    }

    #[test]
    fn how_it_ended_comes_first_and_a_missed_fault_before_a_failure() {
        let ended = |ended, state| {
            let mut record = plain::record();
            record.negative_controls = vec![control("a fault", state)];
            judged(record, Some(ended)).0
        };
        for (how, caught, missed) in
            [(Aborted, Aborted, Aborted), (TimedOut, TimedOut, TimedOut), (Failed, Failed, Void)]
        {
            assert_eq!((ended(how, State::Passed), ended(how, State::Failed)), (caught, missed));
        }
        let mut early = plain::record();
        early.negative_controls.clear();
        assert_eq!(judged(early, Some(Failed)).0, Failed, "it failed before anything could be planted");
    }

    #[test]
    fn a_fault_of_the_history_fails_and_what_is_not_restored_makes_it_partial() {
        let mut record = plain::record();
        judge(&mut record, &["a gap".into()], None, None);
        assert_eq!((record.result, record.deviations[0].cause.as_str()), (Failed, "a gap"));
        let reason = Reason { reason: "denied".into(), count: 2 };
        let partial = spoiled(|record| record.not_restored = vec![reason.clone()]);
        assert_eq!(partial, (Partial, why("2 not restored", "denied")));
        let worse = spoiled(|record| {
            record.not_restored = vec![reason];
            record.clean_up.left_over = vec!["app/one".into()];
        });
        assert_eq!((worse.0, worse.1.len()), (Failed, 2));
    }

    #[test]
    fn an_approver_who_is_the_operator_is_named_and_changes_nothing_else() {
        let by = |approver: Option<&str>| spoiled(|record| record.approval.approver = approver.map(Into::into));
        assert_eq!(by(Some(" Ana")), (Passed, why("the approver is the operator", " Ana")));
        assert_eq!(by(Some("Bo")), (Passed, vec![]));
        assert_eq!(by(None), (Passed, vec![]));
    }

    #[test]
    fn a_deviation_has_its_owner_ticket_and_retest() {
        let mut record = plain::record();
        record.approval.ticket = Some("OPS-1".into());
        record.clean_up.left_over = vec!["app/one".into()];
        let retest = Some(Timestamp::UNIX_EPOCH);
        judge(&mut record, &[], None, retest);
        let expected = Deviation {
            what: "something is left over in the sandbox".into(),
            cause: "app/one".into(),
            owner: Some("the owner".into()),
            ticket: Some("OPS-1".into()),
            retest,
        };
        assert_eq!(record.deviations, [expected]);
    }

    #[tokio::test]
    async fn what_is_left_out_and_what_did_not_come_back_are_told_apart() {
        let kept = ["a", "b", "c", "d"].map(|name| {
            let secret = Secret { name: name.into(), id: format!("arn:{name}"), ..Secret::default() };
            (secret, Vec::new())
        });
        let made = Throwaway::new(kept.into()).await.unwrap();
        let mut plan = made.plan.secrets.to_vec().unwrap();
        plan[0].outcome = Outcome::LeftOut("by rule".into());
        plan[1].outcome = Outcome::Conflict("taken".into());
        plan[2].outcome = Outcome::Impossible("taken".into());
        plan[3].lost = vec![Lost { what: "policy".into(), reason: "unsafe".into() }];
        let failed = vec![FailedStep { name: "d".into(), reason: "denied".into() }];
        let reason = |reason: &str, count| Reason { reason: reason.into(), count };
        assert_eq!(left_out(&plan), [reason("by rule", 1)]);
        let execution = Execution { done: 0, failed };
        assert_eq!(not_restored(&plan, &execution), [reason("denied", 1), reason("taken", 2), reason("unsafe", 1)]);
    }
}
