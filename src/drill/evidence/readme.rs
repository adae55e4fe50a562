//! The front page of an evidence archive, as Markdown.

use jiff::Timestamp;

use super::{DrillSummary, PlanSummary, Summary};
use crate::{drill::report::duration, text::plural};

const HOW: &str = "\
`sh verify.sh` checks this archive offline, with only `sha256sum` and `ssh-keygen`. Compare the line `root` of \
`allowed_signers` with the root key on record outside this archive: every check depends on it. `SHA256SUMS` lists every file, each \
drill record too, and the backup host signed it. If a record is removed, the newest one too, the check fails. The same \
by hand:

```sh
ssh-keygen -Y verify -f allowed_signers -I host -n lifeboat-evidence -s SHA256SUMS.sig < SHA256SUMS
sha256sum --check SHA256SUMS
```
";

/// The front page.
pub(super) fn page(summary: &Summary) -> String {
    let mut text = format!(
        "# Restore drills from {} until {}\n\n{}, {} passed{}. {}.\n\n{}\n{HOW}",
        summary.from,
        summary.to,
        plural(summary.drills, "record"),
        summary.passed,
        summary.pass_rate.map_or(String::new(), |rate| format!(" ({:.0} %)", rate * 100.0)),
        plural(summary.attestations, "custody attestation"),
        bounds(summary),
    );
    drills(summary, &mut text);
    summary.plans.iter().for_each(|each| plan(each, &mut text));
    if !summary.faults.is_empty() {
        text.push_str("\n## Records that do not verify\n\n");
        summary.faults.iter().for_each(|fault| text.push_str(&format!("- {}\n", cell(fault))));
    }
    text.push_str("\n## Controls\n\n| framework | control | asks |\n|---|---|---|\n");
    for control in &summary.controls {
        text.push_str(&format!("| {} | {} | {} |\n", control.framework, control.control, control.asks));
    }
    text
}

/// Which turns were due.
fn bounds(summary: &Summary) -> String {
    format!(
        "The repository was made on {}: no drill was due before. A turn counts in the period in which it ends, if it was over \
         on {}. The archive also has the drills of a turn that began earlier.\n",
        summary.born, summary.until
    )
}

fn drills(summary: &Summary, text: &mut String) {
    text.push_str("\n## Drills\n\n");
    if summary.records.is_empty() {
        text.push_str("There is no record.\n");
        return;
    }
    text.push_str(
        "| date | plan | snapshot | result | RTO | RPO | operator | report |\n|---|---|---|---|---|---|---|---|\n",
    );
    for drill in &summary.records {
        text.push_str(&format!("| {} |\n", row(drill).join(" | ")));
    }
}

fn row(drill: &DrillSummary) -> [String; 8] {
    let none = || "–".to_owned();
    let snapshot = match (&drill.snapshot, drill.number) {
        (Some(id), Some(number)) => format!("{id}, number {number}"),
        (None, Some(number)) => format!("number {number}"),
        (_, None) => none(),
    };
    let report = match &drill.report {
        Some(report) => format!("[{}]({report})", drill.record),
        None => format!("none; drills/{}.json", drill.record),
    };
    [
        drill.started.map_or_else(none, date),
        plan_name(&drill.plan),
        snapshot,
        drill.result.map_or("DOES NOT VERIFY", |result| result.as_str()).to_owned(),
        drill.rto_seconds.map_or_else(none, duration),
        drill.rpo_seconds.map_or_else(none, duration),
        drill.operator.as_deref().map_or_else(none, cell),
        report,
    ]
}

fn date(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn plan_name(name: &str) -> String {
    if name.is_empty() { "by hand".into() } else { cell(name) }
}

fn plan(plan: &PlanSummary, text: &mut String) {
    text.push_str(&format!("\n## {}\n\n", plan_name(&plan.name)));
    if let Some(every) = plan.every_days {
        let since = plan.since.map_or_else(|| "the repository was made".to_owned(), |day| day.to_string());
        text.push_str(&format!("Every {} since {since}.\n\n", plural(every.into(), "day")));
    }
    if !plan.turns.is_empty() {
        text.push_str("| turn | drill | result | reviewed |\n|---|---|---|---|\n");
    }
    for turn in &plan.turns {
        for (record, verdict) in &turn.held {
            let reviewed = plan.reviews.iter().filter(|review| review.record == *record);
            let reviewed: Vec<String> = reviewed.map(|it| format!("{}, {}", cell(&it.reviewer), it.date)).collect();
            let reviewed = if reviewed.is_empty() { "–".to_owned() } else { reviewed.join("; ") };
            text.push_str(&format!("| {} | {record} | {} | {reviewed} |\n", turn.turn, verdict.as_str()));
        }
        if turn.held.is_empty() {
            let why = turn.explained.as_ref();
            let why = why.map_or("NOT HELD, not explained".into(), |why| format!("not held: {}", cell(why)));
            text.push_str(&format!("| {} | – | {why} | |\n", turn.turn));
        }
    }
    let trend: Vec<String> = plan.rto_seconds.iter().map(|(_, rto)| rto.map_or_else(|| "–".into(), duration)).collect();
    if !trend.is_empty() {
        text.push_str(&format!("\nRTO in order: {}\n", trend.join(", ")));
    }
}

/// Text that somebody else wrote, so that it cannot become another cell, another line or markup.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if c.is_control() => safe.push(' '),
            '|' | '<' | '>' | '[' | ']' | '`' | '\\' => safe.extend(['\\', c]),
            c => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_else_wrote_stays_in_its_cell() {
        assert_eq!(cell("a | b\n## c <x> [y](z)"), "a \\| b ## c \\<x\\> \\[y\\](z)");
    }
}
