//! What a report says, as texts: the page and the print show the same.

use jiff::Timestamp;
use serde::Serialize;

use super::duration;
use crate::{
    drill::{Check, Past, Record, State, Trigger, Verdict},
    text::plural,
};

/// Records of the same plan that the trend shows, this one included.
const TREND: usize = 12;

/// A report in texts.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Content {
    pub(super) title: String,
    pub(super) scenario: String,
    /// `good` or `bad`.
    pub(super) tone: &'static str,
    pub(super) verdict: String,
    pub(super) sentence: String,
    pub(super) objectives: Vec<Objective>,
    pub(super) trend: Vec<Point>,
    /// Seconds.
    pub(super) rto_objective: Option<f64>,
    pub(super) failures: Vec<Row>,
    pub(super) sections: Vec<Section>,
    pub(super) controls: Vec<Row>,
    pub(super) review: Vec<&'static str>,
    pub(super) footer: String,
}

/// RTO or RPO against its objective.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Objective {
    pub(super) name: &'static str,
    pub(super) meaning: &'static str,
    pub(super) measured: String,
    pub(super) against: String,
    pub(super) met: Option<bool>,
    /// The measured time as a share of the objective, at most 1.
    pub(super) share: Option<f64>,
}

/// One drill of the trend.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Point {
    pub(super) label: String,
    pub(super) seconds: Option<f64>,
    pub(super) text: String,
    pub(super) passed: bool,
    pub(super) verdict: &'static str,
}

/// A heading with rows.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) rows: Vec<Row>,
}

/// A label, its text, and how it came out.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) label: String,
    pub(super) text: String,
    /// `passed`, `failed`, `not run`, `not applicable`, or nothing.
    pub(super) state: &'static str,
}

fn row(label: impl Into<String>, text: impl Into<String>) -> Row {
    Row { label: label.into(), text: text.into(), state: "" }
}

fn stated(label: impl Into<String>, text: impl Into<String>, state: State) -> Row {
    Row { label: label.into(), text: text.into(), state: state.as_str() }
}

impl Content {
    pub(super) fn new(record: &Record, past: &[Past]) -> Self {
        let name = if record.plan.name.is_empty() { "by hand" } else { &record.plan.name };
        Self {
            title: format!("Restore drill: {name}"),
            scenario: record.plan.scenario.clone(),
            tone: if record.result == Verdict::Passed { "good" } else { "bad" },
            verdict: record.result.as_str().to_owned(),
            sentence: sentence(record),
            objectives: objectives(record),
            trend: trend(record, past),
            rto_objective: record.objectives.rto_seconds,
            failures: failures(record),
            sections: sections(record),
            controls: record
                .controls
                .iter()
                .map(|control| row(format!("{} {}", control.framework, control.control), control.asks.clone()))
                .collect(),
            review: vec!["Reviewed by", "Date", "Signature"],
            footer: format!(
                "Drill {} of repository {}, {}",
                record.drill,
                record.repository,
                // Without the head of the audit trail.
                record.tool.split(" (").next().unwrap_or_default()
            ),
        }
    }
}

fn sentence(record: &Record) -> String {
    let when = record.started.strftime("%d %B %Y, %H:%M UTC");
    let values = equal(record, "values") + equal(record, "binary");
    let secrets = record.sample.restored;
    match record.result {
        Verdict::Passed => format!(
            "On {when}, {secrets} of {} with {} came back in {}; everything is the same, byte by byte.",
            plural(record.sample.population, "secret"),
            plural(values, "value"),
            record.target
        ),
        Verdict::Void => format!("The drill of {when} proves nothing: a planted fault was not caught."),
        Verdict::Aborted => format!("The drill of {when} was interrupted. Its secrets were removed."),
        Verdict::TimedOut => format!("The drill of {when} was stopped at its time limit and cleaned up."),
        Verdict::Failed | Verdict::Partial => {
            format!(
                "The drill of {when} found {}.",
                counted(record.deviations.len() as u64, "deviation from the plan", "deviations from the plan")
            )
        }
    }
}

fn equal(record: &Record, name: &str) -> u64 {
    record.checks.iter().find(|check| check.name.as_str() == name).map_or(0, |check| check.equal)
}

fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn objectives(record: &Record) -> Vec<Objective> {
    let one = |name, meaning, measured: Option<f64>, against: Option<f64>, met| Objective {
        name,
        meaning,
        measured: measured.map_or_else(|| "not measured".into(), duration),
        against: against
            .map_or_else(|| "no objective set".into(), |seconds| format!("objective {}", duration(seconds))),
        met,
        share: measured
            .zip(against)
            .filter(|(_, against)| *against > 0.0)
            .map(|(found, against)| (found / against).min(1.0)),
    };
    let set = &record.objectives;
    let mut all = vec![
        one("RTO", "from the start to everything verified", record.rto_seconds, set.rto_seconds, set.rto_met),
        one("RPO", "age of the backup at the start", Some(record.rpo_seconds), set.rpo_seconds, set.rpo_met),
    ];
    if let Some(served) = &record.served {
        let (found, objective) = (served.first_secret_seconds, set.first_secret_seconds);
        all.push(one("First secret", "from the opening to the first answer", found, objective, set.first_secret_met));
    }
    all
}

fn trend(record: &Record, past: &[Past]) -> Vec<Point> {
    let label = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
    let point = |time, seconds: Option<f64>, result: Verdict| Point {
        label: label(time),
        seconds,
        text: seconds.map_or_else(|| "–".into(), duration),
        passed: result == Verdict::Passed,
        verdict: result.as_str(),
    };
    let same = past.iter().filter_map(Past::verified).filter(|facts| facts.plan() == record.plan.name);
    let earlier =
        same.filter_map(|facts| facts.started().filter(|time| *time < record.started).map(|time| (time, facts)));
    let mut points: Vec<Point> = earlier.map(|(time, facts)| point(time, facts.rto_seconds, facts.result)).collect();
    points.push(point(record.started, record.rto_seconds, record.result));
    points.split_off(points.len().saturating_sub(TREND))
}

fn failures(record: &Record) -> Vec<Row> {
    let deviation = |found: &crate::drill::Deviation| {
        let owner = found.owner.as_ref().map(|owner| format!("owner: {owner}"));
        let ticket = found.ticket.as_ref().map(|ticket| format!("ticket: {ticket}"));
        let retest = found.retest.map(|time| format!("retest by {}", time.strftime("%Y-%m-%d")));
        let after: Vec<String> = owner.into_iter().chain(ticket).chain(retest).collect();
        let after = if after.is_empty() { String::new() } else { format!(" ({})", after.join(", ")) };
        Row { label: found.what.clone(), text: format!("{}{after}", found.cause), state: "failed" }
    };
    let difference = |found: &crate::drill::RecordedDifference| {
        let version = found.version.as_ref().map_or(String::new(), |version| format!(", version {version}"));
        let detail = if found.detail.is_empty() { String::new() } else { format!(": {}", found.detail) };
        Row { label: format!("{}{version}", found.name), text: format!("{}{detail}", found.what), state: "failed" }
    };
    record.deviations.iter().map(deviation).chain(record.differences.iter().map(difference)).collect()
}

fn sections(record: &Record) -> Vec<Section> {
    let checks = record.checks.iter().map(|check| stated(check.name.as_str(), compared(check), check.state));
    let probes = record.probes.iter().map(|probe| {
        stated(
            format!("probe: {}", probe.name),
            format!("{} after {}", probe.detail, duration(probe.seconds)),
            probe.state,
        )
    });
    let planted = record.negative_controls.iter().map(|control| {
        let text = match control.state {
            State::Passed => format!("caught: {}", control.found),
            State::NotApplicable => "not planted: no check of this drill covers it".into(),
            State::Failed | State::NotRun => "not caught".into(),
        };
        stated(control.planted.clone(), text, control.state)
    });
    let all = vec![
        Section { title: "What was compared", rows: checks.chain(probes).collect() },
        Section { title: "Planted faults, and whether they were caught", rows: planted.collect() },
        Section { title: "What was restored", rows: restored(record) },
        Section { title: "Where, and what kept it there", rows: isolation(record) },
        Section { title: "How long", rows: phases(record) },
        Section { title: "Clean-up", rows: clean_up(record) },
        Section { title: "Plan, approval and earlier drills", rows: plan(record) },
    ];
    let told = |mut section: Section| {
        section.rows.retain(|row| !row.text.is_empty() && row.text != "–");
        section
    };
    all.into_iter().map(told).filter(|section| !section.rows.is_empty()).collect()
}

/// How many of what, and what is wrong with the others.
fn compared(check: &Check) -> String {
    if !check.chosen {
        return format!("left out by the drill file: {}", check.method);
    }
    let others = [(check.missing, "missing"), (check.unexpected, "more than expected")];
    let others = others.into_iter().filter(|(count, _)| *count > 0).map(|(count, words)| format!(", {count} {words}"));
    let Check { equal, compared, expected, method, .. } = check;
    format!("{equal} equal of {compared} compared of {expected} expected{}: {method}", others.collect::<String>())
}

fn restored(record: &Record) -> Vec<Row> {
    let (point, sample, inventory) = (&record.recovery_point, &record.sample, &record.inventory);
    let seed = sample.seed.map_or(String::new(), |seed| format!(", seed {seed}"));
    let mut rows = vec![
        row("recovery point", format!("{}, snapshot {} ({})", point.time, record.snapshot.short(), point.selected)),
        row("complete pass behind it", point.pass.map_or("itself".into(), |pass| pass.to_string())),
        row("oldest reading behind it", point.oldest_reading.map_or("not known".into(), |oldest| oldest.to_string())),
        row("manifest", format!("number {}, SHA-256 {}", record.sequence, record.manifest)),
        row("signature", format!("reaches the root of key epoch {}; signer {}", point.epoch, point.signer)),
        row(
            "fetched from",
            format!(
                "{} ({}), {} compared with their digests",
                point.storage,
                if point.is_copy { "a copy" } else { "the repository" },
                plural(point.files, "file")
            ),
        ),
        row(
            "inventory",
            format!(
                "{} listed, {} captured, {} left out by rule, {} unreadable, {} vanished; {}",
                inventory.listed,
                inventory.captured,
                total(&inventory.excluded),
                total(&inventory.unreadable),
                inventory.vanished,
                plural(inventory.versions, "version")
            ),
        ),
        row(
            "sample",
            format!(
                "{} of {}, by {}{seed}; {} planned, {} read back",
                sample.chosen,
                plural(sample.population, "secret"),
                sample.method,
                sample.planned,
                sample.restored
            ),
        ),
        row("opened by", opened_by(record)),
    ];
    for reason in inventory.excluded.iter().chain(&record.left_out) {
        rows.push(row("left out", format!("{}: {}", reason.count, reason.reason)));
    }
    for reason in inventory.unreadable.iter().chain(&record.not_restored) {
        rows.push(Row {
            label: "missing".into(),
            text: format!("{}: {}", reason.count, reason.reason),
            state: "failed",
        });
    }
    rows
}

fn total(reasons: &[crate::drill::Reason]) -> u64 {
    reasons.iter().map(|reason| reason.count).sum()
}

fn opened_by(record: &Record) -> String {
    let opening = &record.opening;
    match opening.by.as_str() {
        "quorum" => {
            format!("a quorum of {} ({} needed): {}", opening.sheets, opening.threshold, opening.custodians.join(", "))
        }
        "drill-key" => format!("the drill key, which opens every value, {}", opening.recipient),
        _ => format!("the drill key, which opens only canaries, {}", opening.recipient),
    }
}

fn isolation(record: &Record) -> Vec<Row> {
    let facts = &record.isolation;
    let mut rows = vec![row("source", record.source.to_string()), row("target", record.target.to_string())];
    rows.extend(facts.made_sure.iter().map(|words| row("made sure", words.clone())));
    let empty = facts.looked_up.map(|count| {
        counted(
            count,
            "name of the plan was checked before the first write, and it did not exist",
            "names of the plan were checked before the first write, and none existed",
        )
    });
    rows.extend(empty.map(|words| row("target empty", words)));
    if !facts.lost.is_empty() {
        rows.push(row("counted as lost", facts.lost.to_string()));
        rows.push(row(
            "refused",
            counted(facts.refused, "connection to it was refused", "connections to it were refused"),
        ));
    }
    rows.push(row("contacted", facts.contacted.join(", ")));
    if facts.leftovers_removed > 0 {
        rows.push(row(
            "before it",
            format!("{} of an earlier drill removed", plural(facts.leftovers_removed, "secret")),
        ));
    }
    rows
}

fn phases(record: &Record) -> Vec<Row> {
    let phase = |phase: &crate::drill::Phase| {
        let took = phase.end.duration_since(phase.start).as_secs_f64();
        row(phase.name.clone(), format!("{} from {}", duration(took), phase.start.strftime("%H:%M:%S")))
    };
    record.phases.iter().map(phase).collect()
}

fn clean_up(record: &Record) -> Vec<Row> {
    let clean_up = &record.clean_up;
    let mut rows = vec![row(
        "sandbox",
        format!(
            "{} created, {} destroyed, {} left over",
            clean_up.created,
            clean_up.destroyed,
            clean_up.left_over.len()
        ),
    )];
    rows.extend(clean_up.left_over.iter().map(|name| Row {
        label: "left over".into(),
        text: name.clone(),
        state: "failed",
    }));
    rows
}

fn plan(record: &Record) -> Vec<Row> {
    let (plan, approval, history) = (&record.plan, &record.approval, &record.history);
    let digest = |digest: Option<crate::model::Digest>| digest.map_or_else(|| "–".into(), |digest| digest.to_string());
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "–".into());
    let mut rows = vec![
        row("plan", format!("version {}, SHA-256 {}", text(&plan.version), digest(plan.sha256))),
        row(
            "rhythm",
            plan.every_days.map_or_else(|| "–".into(), |days| format!("every {}", plural(days.into(), "day"))),
        ),
        row(
            "held by",
            format!(
                "{} ({}) at {}, {}",
                approval.operator,
                approval.how,
                approval.time.strftime("%Y-%m-%d %H:%M:%S UTC"),
                match approval.trigger {
                    Trigger::ByHand => "started by hand",
                    Trigger::Scheduled => "started by a timer",
                }
            ),
        ),
        row("approved by", approval.approver.clone().unwrap_or_else(|| "only the operator".into())),
        row("ticket", text(&approval.ticket)),
        row("owner, reviewer", format!("{}, {}", text(&plan.owner), text(&plan.reviewer))),
        row("runbook", digest(plan.runbook_sha256)),
        row("program", digest(record.tool_sha256)),
        row("configuration", digest(record.config_sha256)),
        row("record before", digest(record.previous)),
        row("earlier drills", format!("{} of the last {} passed", history.passed, history.drills)),
        row("kept", text(&plan.retention)),
        row("names of secrets", if record.redacted { "left out" } else { "only for faults" }),
    ];
    rows.extend(record.reviews.iter().map(|review| {
        let note = review.note.as_ref().map_or(String::new(), |note| format!(": {note}"));
        row("reviewed", format!("{} by {} on {}{note}", review.record, review.reviewer, review.date))
    }));
    rows
}
