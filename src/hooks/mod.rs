//! Hooks: what makes the consumers of secrets take what a restore or a rotation left. Each runs once for each plan, within a time
//! limit, in the order of the configuration; none depends on another. A process gets names and identifiers in files, and no value.

mod files;
mod journal;
mod kubernetes;
mod process;
mod run;

use std::ffi::OsString;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value as Json;

pub use self::{
    journal::{Journal, Standing},
    run::{dry, run},
};
use crate::{
    config::{AfterSection, HookKind, Occasion},
    model::name_matches,
    provider::{self, Address, Moves, NoAddress, Redeployer, Workload, of_region},
    text,
};

/// Walks through the names of the secrets that are there now. A sentence says why it cannot.
pub type Names<'a> = dyn Fn(&mut dyn FnMut(&str)) -> Result<(), String> + Sync + 'a;

/// What keeps a hook from running, in a sentence.
pub type Waits<'a> = dyn Fn(&Hook) -> Option<String> + Sync + 'a;

/// A hook, and where it acts.
#[derive(Clone, Debug)]
pub struct Hook {
    /// As the configuration has it.
    pub section: AfterSection,
    /// What is deployed again, and where; `None` for what runs a process.
    pub workload: Option<(Workload, Address)>,
}

/// What hooks are given. It holds no value of a secret.
pub struct Given<'a> {
    /// What they come after.
    pub occasion: &'static str,
    /// When.
    pub time: Timestamp,
    /// The plan, for the file LIFEBOAT_PLAN.
    pub about: Json,
    /// The names of the secrets.
    pub names: &'a Names<'a>,
    /// The identifiers that changed.
    pub moves: &'a Moves<'a>,
    /// What keeps a hook from running now, in a sentence.
    pub waits: &'a Waits<'a>,
    /// The account of the target, where hooks use the same credentials.
    pub account: Option<&'a str>,
    /// Every variable of this process; a hook gets those that its kind needs and those that it names.
    pub variables: &'a [(OsString, OsString)],
    /// The folder in which a hook's own folder is made.
    pub scratch: &'a std::path::Path,
}

/// What became of a hook.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: HookKind,
    /// What became of it.
    pub outcome: Outcome,
    /// A sentence without a value.
    pub what: String,
    /// How long it ran.
    pub seconds: f64,
}

/// What became of a hook, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran and ended well.
    Done,
    /// It ran for this plan before, and ended well.
    AlreadyRan,
    /// No secret that it names was written.
    NotNeeded,
    /// Something before it has to be well first.
    NotRun,
    /// It failed.
    Failed,
    /// It did not end in time; it was ended.
    TimedOut,
    /// Somebody asked for the end of the run; it was ended.
    Interrupted,
}

/// A hook that can lead nowhere.
#[derive(Debug, thiserror::Error)]
pub enum NoHook {
    /// Nothing says in which region.
    #[error("the hook {0} needs region: the target has none")]
    Region(String),
    /// The region is none.
    #[error("the hook {name}: {error}")]
    Address {
        /// The hook.
        name: String,
        /// Why.
        error: NoAddress,
    },
}

impl Outcome {
    /// Whether the hook left something undone.
    pub fn is_fault(self) -> bool {
        !matches!(self, Self::Done | Self::AlreadyRan | Self::NotNeeded)
    }

    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::AlreadyRan => "already ran",
            Self::NotNeeded => "not needed",
            Self::NotRun => "NOT RUN",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED OUT",
            Self::Interrupted => "INTERRUPTED",
        }
    }
}

impl Report {
    /// One of a hook that did not run.
    pub fn without_a_run(hook: &Hook, outcome: Outcome, what: impl Into<String>) -> Self {
        let AfterSection { name, kind, .. } = &hook.section;
        Self { name: name.clone(), kind: *kind, outcome, what: what.into(), seconds: 0.0 }
    }
}

impl Hook {
    /// Decides where a hook acts. `region` is the target's, where the target has regions. Nothing is connected.
    ///
    /// # Errors
    /// See [`NoHook`].
    pub fn new(section: AfterSection, region: Option<&str>) -> Result<Self, NoHook> {
        let text = |key: &Option<String>| key.clone().unwrap_or_default();
        let workload = match section.kind {
            HookKind::Ecs => Workload::EcsService { cluster: text(&section.cluster), service: text(&section.service) },
            HookKind::Lambda => Workload::LambdaFunction { function: text(&section.function) },
            HookKind::Kubernetes | HookKind::Command => return Ok(Self { section, workload: None }),
        };
        let region = section.region.as_deref().or(region).ok_or_else(|| NoHook::Region(section.name.clone()))?;
        let address = of_region(region).map_err(|error| NoHook::Address { name: section.name.clone(), error })?;
        Ok(Self { section, workload: Some((workload, address)) })
    }

    /// The hooks of an occasion, in their order.
    ///
    /// # Errors
    /// See [`NoHook`].
    pub fn all(sections: &[AfterSection], on: Occasion, region: Option<&str>) -> Result<Vec<Self>, NoHook> {
        let wanted = sections.iter().filter(|section| section.on.contains(&on));
        wanted.map(|section| Self::new(section.clone(), region)).collect()
    }

    /// Whether it is about a secret of this name.
    pub fn is_about(&self, name: &str) -> bool {
        self.section.secrets.is_empty() || self.section.secrets.iter().any(|pattern| name_matches(pattern, name))
    }

    /// What it does, as people read it before they approve it: one line, whatever the configuration holds.
    pub fn describe(&self) -> String {
        let AfterSection { timeout, secrets, .. } = &self.section;
        let what = match &self.workload {
            Some((Workload::EcsService { cluster, service }, address)) => {
                format!("new deployment of the ECS service {service} in cluster {cluster}, {address}")
            }
            Some((Workload::LambdaFunction { function }, address)) => {
                format!("update of the Lambda function {function}, {address}")
            }
            None if self.section.kind == HookKind::Kubernetes => {
                let steps = kubernetes::changes(&self.section).into_iter().map(|step| command(&step));
                steps.collect::<Vec<_>>().join("; ")
            }
            None => format!("command {}", command(&self.section.command)),
        };
        let mut line = format!("{} ({}): {what}; at most {timeout:#}", self.section.name, self.section.kind.as_str());
        if !secrets.is_empty() {
            line.push_str(&format!("; only for {}", secrets.join(", ")));
        }
        text::line(&line).into_owned()
    }

    fn redeployer(&self) -> Option<(&'static dyn Redeployer, &Workload, &Address)> {
        let (workload, address) = self.workload.as_ref()?;
        Some((address.kind().ops().redeployer()?, workload, address))
    }
}

fn command(argv: &[String]) -> String {
    text::command(argv.iter().map(String::as_str))
}

/// The region of a place for hooks that name none; `None` where the place's kind knows no workloads.
pub fn region_of(place: &crate::model::Place) -> Option<&str> {
    let kind = provider::kind(&place.provider).ok()?;
    kind.ops().redeployer().map(|_| place.region.as_str())
}
