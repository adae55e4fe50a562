//! Hooks in a drill: printed from the configuration and the stored map of consumers. Nothing is connected to for them, and nothing
//! is started but a dry command that the configuration asks for.

use serde::Serialize;
use serde_json::json;

use super::{
    super::{Context, hooks, output::plural},
    place::From,
};
use crate::{
    access::{Line, Used},
    app::Host,
    clock::{Clock, SystemClock, to_seconds},
    config::{DrillHooks, Occasion},
    crypto::Opener,
    drill::Record,
    hooks::{Given, Hook, Report, region_of},
    provider::Follows,
    repo::Remembered,
    text,
};

/// Consumers without a hook that are named.
const NAMED: usize = 10;

/// What a drill found out about hooks.
#[derive(Default, Serialize)]
pub(super) struct Found {
    /// What each would do.
    would: Vec<String>,
    /// What became of dry commands.
    dry: Vec<Report>,
}

impl Found {
    pub(super) fn is_empty(&self) -> bool {
        self.would.is_empty()
    }

    /// Dry commands that failed, in sentences.
    pub(super) fn faults(&self) -> Vec<String> {
        let faults = self.dry.iter().filter(|report| report.outcome.is_fault());
        faults.map(|report| format!("the dry command of the hook {} failed: {}", report.name, report.what)).collect()
    }
}

/// Prints the hooks of a restore, and runs the dry commands if the configuration asks for it.
pub(super) async fn look(
    context: &Context,
    host: &Host,
    (from, remembered): (&From, &[Remembered]),
    record: &Record,
) -> Found {
    let sections = hooks::configured(host, Occasion::Restore);
    if sections.is_empty() {
        return Found::default();
    }
    let uses = uses(host, from, remembered).await;
    let mut found = Found::default();
    let mut known = Vec::new();
    for section in sections {
        match Hook::new(section, region_of(&record.target)) {
            Ok(hook) => {
                found.would.push(format!("{}{}", hook.describe(), references(&hook, uses.as_deref())));
                known.push(hook);
            }
            Err(error) => found.would.push(text::line(&error.to_string()).into_owned()),
        }
    }
    found.would.extend(uses.as_deref().and_then(|uses| without_a_hook(&known, uses)));
    context.output.note("hooks that a restore would run; this drill ran none of them:");
    found.would.iter().for_each(|line| context.output.note(&format!("  {line}")));
    if host.config.drill.hooks == DrillHooks::Dry {
        found.dry = dry(host, &known, record).await;
        for report in &found.dry {
            let (name, what) = (text::line(&report.name), text::line(&report.what));
            context.output.note(&format!("dry command of {name}: {}: {what}", report.outcome.as_str()));
        }
    }
    found
}

/// The stored map of consumers, where this host can open it.
async fn uses(host: &Host, from: &From, remembered: &[Remembered]) -> Option<Vec<Used>> {
    let judgement = from.repository.judge(&from.trust, remembered).await.ok()?;
    let index = host.index_key().ok()?;
    let lines: Vec<Line> = judgement.consumer_map()?.open(Opener::Index(&index)).ok()?;
    Some(lines.into_iter().filter_map(|line| if let Line::Used(used) = line { Some(used) } else { None }).collect())
}

fn references(hook: &Hook, uses: Option<&[Used]>) -> String {
    let Some((workload, _)) = &hook.workload else { return String::new() };
    let Some(uses) = uses else { return "; no map of consumers is stored (lifeboat consumers)".into() };
    let count = uses.iter().filter(|used| workload.is(&used.consumer)).count() as u64;
    format!("; {} in the map of consumers", plural(count, "reference"))
}

/// Consumers that need a deployment and that no hook deploys.
fn without_a_hook(hooks: &[Hook], uses: &[Used]) -> Option<String> {
    let has_hook = |used: &Used| {
        let mut workloads = hooks.iter().filter_map(|hook| hook.workload.as_ref());
        workloads.any(|(workload, _)| workload.is(&used.consumer))
    };
    let needs = |used: &&Used| used.consumer.follows == Follows::Deployment && !has_hook(used);
    let mut left: Vec<String> = uses.iter().filter(needs).map(|used| used.consumer.id.clone()).collect();
    left.sort();
    left.dedup();
    let named = left.iter().take(NAMED).map(|id| text::line(id)).collect::<Vec<_>>().join(", ");
    (!left.is_empty()).then(|| format!("without a hook: {}: {named}", plural(left.len() as u64, "consumer")))
}

async fn dry(host: &Host, hooks: &[Hook], record: &Record) -> Vec<Report> {
    // A drill moves nothing that anybody uses, and its names stay in its record.
    let variables = hooks::variables();
    let given = Given {
        occasion: "drill",
        time: to_seconds(SystemClock.now()),
        about: json!({ "occasion": "drill", "snapshot": record.snapshot, "target": record.target }),
        names: &|_| Ok(()),
        moves: &|_| Ok(()),
        waits: &|_| None,
        account: None,
        variables: &variables,
        scratch: &host.scratch(),
    };
    hooks::dry(hooks, &given).await
}
