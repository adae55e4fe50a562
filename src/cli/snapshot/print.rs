//! What a run tells: warnings, the table, the JSON.

use serde_json::{Value as Json, json};

use super::{
    super::{
        Context, Exit, Failure,
        copying::{self, Copied},
        output::{plural, table},
    },
    Captured, exit, is_complete,
};
use crate::{provider::LeftOut, repo::Accepted, snapshot::Report};

pub(super) fn print(context: &Context, captured: &[Captured], left_out: &[LeftOut], copies: &[Copied], alone: bool) {
    warn(context, captured);
    copying::warn(context, copies);
    let sources: Vec<Json> = captured.iter().map(Captured::json).collect();
    let mut value = json!({});
    if let (true, [Captured { outcome: Ok(report), .. }]) = (alone, captured) {
        value = json(report);
    } else {
        value["left_out"] = json!(left_out);
    }
    value["sources"] = json!(sources);
    value["copies"] = copies.iter().map(Copied::json).collect();
    value["complete"] = (exit(captured, copies) == Exit::Complete).into();
    context.output.result(&value, || match captured {
        [Captured { outcome: Ok(report), .. }] if alone => summary(report, copies),
        _ => overview(captured, copies),
    });
}

fn json(report: &Report) -> Json {
    let manifest = report.manifest.manifest();
    json!({
        "snapshot": manifest.snapshot, "sequence": manifest.sequence, "time": manifest.time,
        "manifest": report.manifest.digest(), "source": manifest.source, "counts": manifest.counts, "readings": manifest.readings,
        "unreadable": report.unreadable, "vanished": report.vanished, "replicas": report.replicas, "loss": report.loss,
        "history": report.history, "complete": is_complete(report),
    })
}

impl Captured {
    fn json(&self) -> Json {
        let mut value = match &self.outcome {
            Ok(report) => json(report),
            Err(failure) => json!({
                "error": failure.message, "hint": failure.hint, "exit": failure.exit as u8, "complete": false,
            }),
        };
        value["name"] = self.name.clone().into();
        value
    }

    fn row(&self) -> Vec<String> {
        let failed = |failure: &Failure| {
            let mut row = vec![self.name.clone()];
            row.resize(6, String::new());
            row.push(format!("NOT CAPTURED: {}", failure.message));
            row
        };
        let report = match &self.outcome {
            Ok(report) => report,
            Err(failure) => return failed(failure),
        };
        let manifest = report.manifest.manifest();
        let counts = &manifest.counts;
        let state = match report.loss {
            _ if !counts.is_complete() => format!("{} not readable", counts.unreadable),
            Some(had) => had.word().into(),
            None => "complete".into(),
        };
        vec![
            self.name.clone(),
            manifest.sequence.to_string(),
            manifest.snapshot.short(),
            counts.captured.to_string(),
            counts.versions.to_string(),
            counts.values_read.to_string(),
            state,
        ]
    }
}

fn overview(captured: &[Captured], copies: &[Copied]) -> String {
    let headings = ["source", "no", "id", "secrets", "versions", "read now", "state"];
    let written = captured.iter().filter(|one| one.outcome.is_ok()).count() as u64;
    let rows = captured.iter().map(Captured::row).collect();
    format!("{} written\n{}\n{}", plural(written, "snapshot"), table(&headings, rows), copied(copies))
}

fn copied(copies: &[Copied]) -> String {
    let written = copies.iter().filter(|copied| copied.is_up_to_date()).count() as u64;
    format!("{} up to date", plural(written, "copy"))
}

fn summary(report: &Report, copies: &[Copied]) -> String {
    let manifest = report.manifest.manifest();
    let counts = &manifest.counts;
    let rows = [
        ("secrets listed", counts.listed),
        ("captured", counts.captured),
        ("not readable", counts.unreadable),
        ("left out by rule", counts.excluded),
        ("versions", counts.versions),
        ("values read now", counts.values_read),
        ("values kept from before", counts.values_carried),
        ("secrets read again", manifest.readings.now),
    ];
    let rows = rows.iter().map(|(what, count)| vec![(*what).to_owned(), count.to_string()]).collect();
    format!(
        "snapshot {} (number {}) of {}\n{}\n{}",
        manifest.snapshot.short(),
        manifest.sequence,
        manifest.source,
        table(&["what", "how many"], rows),
        copied(copies),
    )
}

fn warn(context: &Context, captured: &[Captured]) {
    let several = captured.len() > 1;
    let mut faults: Vec<&crate::repo::Fault> = Vec::new();
    for Captured { name, outcome } in captured {
        let of = if several { format!("{name}: ") } else { String::new() };
        match outcome {
            Err(failure) => {
                context.output.warn(&format!("{name} was not captured: {}", failure.message));
                if let Some(hint) = &failure.hint {
                    context.output.note(&format!("  {hint}"));
                }
            }
            Ok(report) => {
                for item in &report.unreadable {
                    let version =
                        item.version.as_ref().map(|version| format!(" version {version}")).unwrap_or_default();
                    let (secret, operation, reason) = (&item.name, &item.operation, &item.reason);
                    context.output.warn(&format!("{of}{secret}{version} was not captured: {operation}: {reason}"));
                }
                for name in &report.vanished {
                    context.output.note(&format!("{of}{name} was listed and deleted before it was read"));
                }
                for name in &report.replicas {
                    context
                        .output
                        .note(&format!("{of}{name} is left out: it is a replica, captured where its primary is"));
                }
                if let Some(loss) = &report.loss {
                    warn_of_loss(context, &of, report, loss);
                }
                faults.extend(report.history.iter().filter(|fault| !faults.contains(fault)).collect::<Vec<_>>());
            }
        }
    }
    for fault in faults {
        context.output.warn(&format!("history: {fault}"));
    }
}

/// The source has much less than it had. What is to be run when that is meant is printed.
fn warn_of_loss(context: &Context, of: &str, report: &Report, had: &Accepted) {
    let manifest = report.manifest.manifest();
    let (counts, source) = (manifest.counts, &manifest.source);
    let drop = format!("{}:{}={}", source.account, source.region, counts.listed);
    let accept = context.command(&["snapshot", "--accept-drop", &drop]);
    if had.never_had_any() {
        context
            .output
            .warn(&format!("{of}{source} lists no secret; check its region, its account and the permissions"));
        return context.output.note(&format!("  if it has none, accept that once:\n  {accept}"));
    }
    context.output.warn(&format!(
        "{of}the source lost more than is allowed: {} of {} secrets are listed, {} of {} labelled versions are there",
        counts.listed, had.listed, counts.labelled, had.labelled
    ));
    context.output.note(&format!("  the snapshot is kept and replaces no other; to accept the loss:\n  {accept}"));
}
