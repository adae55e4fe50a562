//! What people see of plans, runs and proofs.

use super::super::output::{plural, table};
use crate::{
    compromise::{Fate, Finding, Item, KeyAnswer, Plan, Progressed, Proof},
    provider::{Advice, Way},
};

/// One word for a way.
fn word(way: &Way) -> &'static str {
    match way {
        Way::Rotatable(_) => "rotatable",
        Way::Managed(_) => "managed",
        Way::Scripted(_) => "scripted",
        Way::Manual => "manual",
        Way::Never(_) => "never",
    }
}

pub(super) fn plan(plan: &Plan) -> String {
    let mut text = String::from("1. Contain\n");
    text.push_str(&advice(&plan.contain));
    text.push_str("\n2. Rotate, in this order\n");
    let row = |(at, item): (usize, &Item)| {
        let consumers = if item.consumers.is_empty() { "unknown".to_owned() } else { item.consumers.join("\n") };
        vec![(at + 1).to_string(), item.name.clone(), word(&item.way).to_owned(), item.after.join("\n"), consumers]
    };
    let rows = plan.secrets.iter().enumerate().map(row).collect();
    text.push_str(&table(&["", "secret", "how", "after", "consumers"], rows));
    for (at, item) in plan.secrets.iter().enumerate() {
        text.push_str(&format!("\n\n   {}. {}\n{}", at + 1, item.name, details(item)));
    }
    text.push_str("\n\n3. Look back\n");
    text.push_str(&advice(&plan.look_back));
    text.push_str("\n4. Prove\n");
    for line in &plan.proof {
        text.push_str(&format!("   {line}\n"));
    }
    text
}

fn details(item: &Item) -> String {
    let mut lines = Vec::new();
    match &item.way {
        Way::Rotatable(function) => lines.push(format!("rotated by {function}")),
        Way::Managed(service) => lines.push(format!("managed and rotated by {service}")),
        Way::Scripted(command) => lines.push(format!("rotated by the command {}", command.join(" "))),
        Way::Manual => lines.push("a person gives it a new value".to_owned()),
        Way::Never(instead) => lines.push(format!("never rotated: {instead}")),
    }
    lines.extend(item.rotation.clone());
    if !item.owner.is_empty() || !item.runbook.is_empty() {
        lines.push(format!("{} {}", item.owner, item.runbook).trim().to_owned());
    }
    lines.extend(item.notes.iter().map(|note| format!("note: {note}")));
    lines.extend(item.revoke.iter().map(|one| format!("{}:\n        {}", one.what, one.command)));
    let probe = if item.probe.is_empty() { "no probe is configured".to_owned() } else { item.probe.join(" ") };
    lines.push(format!("probe: {probe}"));
    lines.iter().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
}

fn advice(all: &[Advice]) -> String {
    let one = |advice: &Advice| {
        let command = advice.command.replace('\n', "\n      ");
        format!("   {}:\n      {command}\n", advice.what)
    };
    all.iter().map(one).collect()
}

pub(super) fn key(answer: &KeyAnswer) -> String {
    let list = |heading: &str, lines: &[String]| format!("{heading}\n   {}\n", lines.join("\n   "));
    let mut text = list("It can read", &answer.reads);
    text.push_str(&list("It can forge", &answer.forges));
    text.push_str(&list("It cannot read or forge", &answer.cannot));
    text.push_str("What follows\n");
    text.push_str(&advice(&answer.follows));
    text
}

pub(super) fn step(one: &Progressed) -> String {
    let name = &one.name;
    match &one.fate {
        Fate::Rotated { version } => format!("{name}: new version {version}"),
        Fate::Already { version } => format!("{name}: done before, version {version}"),
        Fate::Waits { what } => format!("{name}: waits: {what}"),
        Fate::Failed { why } => format!("{name}: FAILED: {why}"),
    }
}

pub(super) fn proof(proof: &Proof, file: &str) -> String {
    let found = |finding: &Finding| match finding {
        Finding::Proven => "proven".to_owned(),
        Finding::NotProbed => "NOT PROVEN: new version, but no probe is configured".to_owned(),
        Finding::StillWorks => "NOT PROVEN: the old value still works".to_owned(),
        Finding::ProbeFailed(why) => format!("NOT PROVEN: the probe failed: {why}"),
        Finding::NotRotated => "NOT PROVEN: no newer current version".to_owned(),
        Finding::Gone => "NOT PROVEN: it is not there any more".to_owned(),
        Finding::OtherSecret => "NOT PROVEN: another secret has its name".to_owned(),
    };
    let row = |one: &crate::compromise::Proven| {
        let created = one.created.map(|time| time.to_string()).unwrap_or_default();
        vec![one.name.clone(), one.version.clone().unwrap_or_default(), created, found(&one.result)]
    };
    let rows = proof.secrets.iter().map(row).collect();
    let proven = proof.secrets.iter().filter(|one| one.result == Finding::Proven).count() as u64;
    let all = plural(proof.secrets.len() as u64, "secret");
    let table = table(&["secret", "version", "made", "result"], rows);
    format!("{table}\n{proven} of {all} proven; the signed report is {file}")
}
