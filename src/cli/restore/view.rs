//! Plans and verifications as people read them.

use serde::{Serializer as _, ser::SerializeMap as _};

use super::super::{
    Failure,
    output::{plural, table},
};
use crate::{
    model::Presence,
    provider::{ImportFormat, Imports},
    restore::{self, Outcome, Plan, Reference, Rehearsal, SecretPlan, Summary, Unchanged, Verification},
};

/// Secrets and lines shown; `--json` shows all.
const MOST_LINES: usize = 200;

/// The plan as people read it: what happens to each secret, what cannot come back, what is referred to and not there.
pub(in super::super) fn describe(plan: &Plan, summary: &Summary, rate_share: f64) -> Result<String, Failure> {
    let (mut rows, mut lines) = (Vec::new(), Vec::new());
    for secret in plan.secrets.walk()? {
        let secret = secret?;
        if rows.len() < MOST_LINES {
            rows.push(row(&secret));
        }
        if lines.len() < MOST_LINES {
            lines.extend(remarks(&secret));
        }
    }
    let mut text = format!(
        "Plan: snapshot {} of {} → {}\n{}",
        plan.snapshot.short(),
        plan.source,
        plan.target,
        table(&["secret", "versions", "writes", "what"], rows)
    );
    if let Some(more) = plan.secrets.count().checked_sub(MOST_LINES as u64).filter(|more| *more > 0) {
        text.push_str(&format!("\n… and {more} more (--json shows all)"));
    }
    for line in lines.into_iter().chain(plan.references.iter().filter_map(refers)).take(MOST_LINES) {
        text.push_str(&format!("\n{line}"));
    }
    let counts: Vec<String> =
        summary.counts.iter().map(|(what, count)| format!("{count} {}", what.replace('_', " "))).collect();
    let estimate = summary.estimate(rate_share);
    text.push_str(&format!("\n{}; {}", counts.join(", "), plural(estimate.writes, "write")));
    if let Some(quotas) = summary.quotas {
        text.push_str(&format!(
            "; at {} quotas {} until everything is current, {} in all",
            quotas.whose,
            duration(estimate.current_seconds),
            duration(estimate.total_seconds),
        ));
    }
    Ok(text)
}

fn row(secret: &SecretPlan) -> Vec<String> {
    let what = match &secret.outcome {
        Outcome::Create => "create".to_owned(),
        Outcome::Complete => "complete".to_owned(),
        Outcome::Present => "identical".to_owned(),
        Outcome::NewVersion => "new version".to_owned(),
        Outcome::Replace => "REPLACE".to_owned(),
        Outcome::Recreate => "DESTROY and create".to_owned(),
        Outcome::Conflict(reason) => format!("CONFLICT: {reason}"),
        Outcome::LeftOut(reason) => format!("left out: {reason}"),
        Outcome::Impossible(reason) => format!("CANNOT: {reason}"),
    };
    let name = match &secret.desired {
        desired if desired.name == desired.source_name => desired.name.clone(),
        desired => format!("{} (was {})", desired.name, desired.source_name),
    };
    vec![name, secret.desired.versions.len().to_string(), secret.writes().count().to_string(), what]
}

fn remarks(secret: &SecretPlan) -> Vec<String> {
    let name = &secret.desired.name;
    let mut lines: Vec<String> =
        secret.lost.iter().map(|lost| format!("not restorable: {name} {}: {}", lost.what, lost.reason)).collect();
    lines.extend(secret.unusable.iter().map(|why| format!("NOT USABLE: {name}: {why} (or --accept-unusable)")));
    lines.extend(secret.notes.iter().map(|note| format!("note: {name}: {note}")));
    if !secret.kept.is_empty() && matches!(secret.outcome, Outcome::Replace | Outcome::NewVersion) {
        let kept = plural(secret.kept.len() as u64, "version");
        lines.push(format!("note: {name}: {kept} not in the snapshot remain: AWS cannot remove a version"));
    }
    lines
}

/// What the rules of the map file do to values: by place, never by value.
pub(super) fn rewrites(rehearsal: &Rehearsal) -> Vec<String> {
    let mut lines = Vec::new();
    for rule in &rehearsal.rules {
        let name = format!("rule [value.{:?}] {:?}", rule.pattern, rule.pointer);
        if rehearsal.opened {
            let (changed, versions) = (rule.changed, plural(rule.changed_versions, "version"));
            let current = plural(rule.secrets, "current value");
            lines.push(format!("{name}: changes {changed} of {current} ({versions} in all)"));
        } else {
            let secrets = plural(rule.secrets, "secret");
            lines.push(format!("{name}: about {secrets}; what it changes needs a quorum (--share)"));
        }
        for (why, Unchanged { secrets, more }) in &rule.unchanged {
            let more = if *more > 0 { format!(" and {more} more") } else { String::new() };
            lines.push(format!("{name}: not changed, {why}: {}{more}", secrets.join(", ")));
        }
        lines.extend(rule.loss.map(|loss| format!("NOT DONE: {name}: {loss}")));
    }
    lines
}

fn refers(reference: &Reference) -> Option<String> {
    let state = match &reference.presence {
        Presence::There => return None,
        Presence::Missing => "is not in the target".to_owned(),
        Presence::Unusable(state) => format!("is {state} in the target"),
        Presence::Unknown(reason) => format!("may not be in the target: {reason}"),
    };
    let more = if reference.more > 0 { format!(" and {} more", reference.more) } else { String::new() };
    Some(format!("reference: {} {state} ({}{more})", reference.reference, reference.secrets.join(", ")))
}

fn duration(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

/// Values and policies that still name the old place.
pub(super) fn leading_back(verification: &Verification) -> Vec<String> {
    let line = |old: &restore::LeadingBack| match &old.version {
        Some(version) => format!("{} version {version}: its value contains an ARN of the old place", old.name),
        None => format!("{}: its policy names {}", old.name, old.references.join(", ")),
    };
    verification.leading_back.iter().map(line).collect()
}

/// The old identifiers and the new ones, as one JSON object.
pub(super) fn moved(verification: &Verification, output: &mut dyn std::io::Write) -> std::io::Result<()> {
    let mut output = serde_json::Serializer::pretty(output);
    let mut map = output.serialize_map(None)?;
    for id in verification.moved.walk().map_err(std::io::Error::other)? {
        let id = id.map_err(std::io::Error::other)?;
        map.serialize_entry(&id.old, &id.new)?;
    }
    Ok(map.end()?)
}

/// What makes a tool take over the secrets that were read back.
pub(super) fn imports(
    verification: &Verification,
    (imports, format): (&dyn Imports, ImportFormat),
    output: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    let walk = verification.moved.walk().map_err(std::io::Error::other)?;
    let mut ids = walk.map(|id| id.map(|id| id.new).map_err(std::io::Error::other));
    imports.write(format, &mut ids, output).map(drop)
}

/// How many versions are restored, identical, different, missing.
pub(super) fn versions(verification: &Verification) -> String {
    let counts = &verification.version_counts;
    let count = |state: &str| format!("{} {state}", counts.get(state).unwrap_or(&0));
    let mut states: Vec<String> = ["restored", "identical", "different", "missing"].map(count).into();
    states.extend(counts.contains_key("unread").then(|| count("unread")));
    format!("versions: {}", states.join(", "))
}

/// One line for each thing that is not as it was.
pub(in super::super) fn differences(verification: &Verification) -> Vec<String> {
    let line = |difference: &restore::Difference| {
        let version = difference.version.as_ref().map(|id| format!(" version {id}")).unwrap_or_default();
        format!("{}{version}: {} differs: {}", difference.name, difference.what, difference.detail)
            .replace("missing differs: ", "is missing")
            .trim_end_matches(": ")
            .to_owned()
    };
    verification.differences.iter().map(line).collect()
}

/// What, how many, verified.
pub(in super::super) fn verified_table(verification: &Verification) -> String {
    let wrong = |what: &[&str]| {
        verification.differences.iter().filter(|difference| what.contains(&difference.what)).count() as u64
    };
    let rows = [
        ("secrets", verification.secrets, wrong(&["missing", "unreadable"])),
        ("version ids", verification.versions, wrong(&["missing", "extra"])),
        ("values", verification.values, wrong(&["value"])),
        ("labels", verification.labels, wrong(&["labels"])),
        ("tags", verification.tags, wrong(&["tags"])),
        ("descriptions", verification.descriptions, wrong(&["description"])),
        ("policies", verification.policies, wrong(&["policy"])),
    ];
    let row = |(what, count, wrong): &(&str, u64, u64)| {
        let state = if *wrong == 0 { "all equal".to_owned() } else { format!("{wrong} DIFFER") };
        vec![(*what).to_owned(), count.to_string(), state]
    };
    table(&["what", "how many", "verified"], rows.iter().map(row).collect())
}
