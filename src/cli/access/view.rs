//! The report for a person.

use super::super::{
    Context,
    output::{plural, table},
};
use crate::{
    access::{Coverage, Covered, Month, Report, Row, Standing, Unusual},
    text,
};

/// Rows of one table; `--json` has all.
const TABLE_ROWS: usize = 5_000;

pub(super) fn describe(month: Month, reports: &[Report], all: bool) -> String {
    let mut out = String::new();
    for report in reports {
        out.push_str(&one(month, report, all));
        out.push('\n');
    }
    out
}

fn one(month: Month, report: &Report, all: bool) -> String {
    let mut out = format!("{} in {month}\n", text::line(&report.source.short()));
    for coverage in &report.coverage {
        out.push_str(&format!("  {}\n", covered(coverage)));
    }
    let shown = |row: &&Row| all || row.is_finding();
    let total = report.readers.iter().filter(shown).count();
    let rows: Vec<Vec<String>> = report.readers.iter().filter(shown).take(TABLE_ROWS).map(cells).collect();
    if !rows.is_empty() {
        out.push_str(&table(&["secret", "reader", "reads", "before", "last", "what"], rows));
        out.push('\n');
    }
    if total > TABLE_ROWS {
        out.push_str(&format!("{} more: --json has all\n", total - TABLE_ROWS));
    }
    let count = |wanted: fn(&Row) -> bool| report.readers.iter().filter(|row| wanted(row)).count();
    let unread = match report.unread {
        Some(count) => format!("{} that nobody read", plural(count, "secret")),
        None => "secrets that nobody read: unknown".into(),
    };
    out.push_str(&format!(
        "{} new, {} perhaps new, {} vanished, {} unusual; {unread}\n",
        count(|row| row.standing == Standing::New),
        count(|row| row.standing == Standing::Unsure),
        count(|row| row.standing == Standing::Vanished),
        count(|row| !row.unusual.is_empty()),
    ));
    out
}

/// `2026-10: known in full, 1204 events, …`
fn covered(coverage: &Coverage) -> String {
    let Coverage { month, events, readings, .. } = coverage;
    let how = match coverage.covered {
        Covered::Whole => "known in full",
        Covered::Part => "known in part",
        Covered::Unknown => "readers unknown",
    };
    let mut line = format!("{month}: {how}, {}, {}", plural(*events, "event"), plural(*readings, "reading"));
    if let (Some(first), Some(last)) = (coverage.first, coverage.last) {
        line.push_str(&format!(", from {first} to {last}"));
    }
    for reason in &coverage.reasons {
        line.push_str(&format!("\n    {}", text::sentence(reason)));
    }
    line
}

fn cells(row: &Row) -> Vec<String> {
    let or = |text: &str, nothing: &str| if text.is_empty() { nothing.to_owned() } else { text.to_owned() };
    let mut secret = or(&row.secret, "(not named)");
    if !row.in_backup && !row.secret.is_empty() {
        secret.push_str(" (not in the backup)");
    }
    let last = row.last.map(|last| last.to_string()).unwrap_or_default();
    vec![secret, or(&row.reader, "(not named)"), row.reads.to_string(), row.reads_before.to_string(), last, what(row)]
}

fn what(row: &Row) -> String {
    let standing = match row.standing {
        Standing::Known => "known",
        Standing::Seen => "as before",
        Standing::New => "NEW",
        Standing::Unsure => "perhaps new",
        Standing::Vanished => "VANISHED",
        Standing::NotSeen => "not seen",
    };
    let mut words = vec![standing.to_owned()];
    words.extend(row.unusual.iter().map(|unusual| match unusual {
        Unusual::User => "a user with keys of its own".to_owned(),
        Unusual::Root => "the root of the account".to_owned(),
        Unusual::WithoutMfa => "console without MFA".to_owned(),
        Unusual::Outside => "not through the VPC endpoint".to_owned(),
        Unusual::Hours => "outside of the hours".to_owned(),
        Unusual::Refused => {
            let codes: Vec<&str> = row.codes.iter().map(String::as_str).collect();
            format!("{} refused ({})", row.refused, codes.join(", "))
        }
        Unusual::Many => "many more than before".to_owned(),
        Unusual::Nobody => "the trail does not say who".to_owned(),
    }));
    words.join("; ")
}

/// What the table does not show.
pub(super) fn tell(context: &Context, reports: &[Report], (unclear, strangers): (u64, u64)) {
    for report in reports {
        let source = report.source.short();
        for coverage in report.coverage.iter().filter(|coverage| coverage.covered != Covered::Whole) {
            let how = if coverage.covered == Covered::Part { "known in part" } else { "unknown" };
            let reasons = coverage.reasons.join("; ");
            context.output.warn(&format!(
                "{source}: the readers of {} are {how}: {}",
                coverage.month,
                text::sentence(&reasons)
            ));
        }
        if report.beyond > 0 {
            let beyond = plural(report.beyond, "reading");
            context.output.warn(&format!("{source}: {beyond} are in no row, because there are too many rows"));
        }
        if report.other_time > 0 {
            context.output.note(&format!("{source}: {} of other months left out", plural(report.other_time, "event")));
        }
        if report.foreign > 0 {
            let foreign = plural(report.foreign, "reading");
            context.output.note(&format!("{source}: {foreign} of secrets of other accounts or regions left out"));
        }
    }
    if unclear > 0 {
        context.output.warn(&format!("{} of the trail cannot be understood", plural(unclear, "entry")));
    }
    if strangers > 0 {
        let strangers = plural(strangers, "event");
        context.output.note(&format!("{strangers} of accounts and regions that are no source left out"));
    }
}
