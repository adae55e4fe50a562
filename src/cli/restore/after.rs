//! The hooks of a restore: which belong to its plan, which are due, and what they are given.

use jiff::Timestamp;
use serde_json::json;

use super::{
    super::{Context, Exit, Failure, hooks},
    Args, Planned,
};
use crate::{
    app::Host,
    clock::{Clock, SystemClock, to_seconds},
    config::{AfterSection, Occasion},
    hooks::{Given, Hook, Journal, Report, Standing, region_of},
    model::{Digest, Options, RepositoryId},
    repo::Trust,
    restore::{Execution, Plan, PlanFile, StalePlan, Verification},
};

/// The hooks of one restore, and the host whose they are.
#[derive(Default)]
pub(super) struct After {
    sections: Vec<AfterSection>,
    host: Option<Host>,
}

impl After {
    /// Those of the configuration. Of an approved plan they must be the ones that were approved: a plan file changed by hand
    /// starts nothing. A repository that is none of this host's has none.
    pub(super) fn of(
        context: &Context,
        args: &Args,
        trust: &Trust,
        approved: Option<&PlanFile>,
    ) -> Result<Self, Failure> {
        let wanted = approved.map(|file| file.after.as_ref());
        if args.no_hooks || wanted == Some(None) && !context.global.config.exists() {
            return Ok(Self::default());
        }
        let (mut host, mut sections) = (None, Vec::new());
        if context.global.config.exists() {
            let found = context.host()?;
            sections = hooks::configured(&found, Occasion::Restore);
            host = Some(found);
        }
        let root = host.as_ref().map(Host::anchor).transpose()?.map(|anchor| anchor.root.to_string());
        let is_its_own = trust.epochs().iter().any(|epoch| Some(epoch.root.to_string()) == root);
        if !sections.is_empty() && !is_its_own {
            context.output.note("the hooks of the configuration do not run: this repository is another host's");
            sections.clear();
        }
        match wanted {
            Some(None) if !sections.is_empty() => {
                context.output.note("the hooks of the configuration do not run: the plan has none");
                Ok(Self::default())
            }
            Some(Some(wanted)) if *wanted != sections => Err(StalePlan::OtherHooks.into()),
            _ => Ok(Self { sections, host }),
        }
    }

    /// As a plan file has them.
    pub(super) fn for_file(&self) -> Option<Vec<AfterSection>> {
        (!self.sections.is_empty()).then(|| self.sections.clone())
    }

    /// Where they act, decided for this plan.
    pub(super) fn hooks(&self, target: &crate::model::Place) -> Result<Vec<Hook>, Failure> {
        Ok(Hook::all(&self.sections, Occasion::Restore, region_of(target))?)
    }

    /// Notes which hooks are to run, before anything is written: a run that is killed must not forget them.
    pub(super) fn begin(
        &self,
        repository: RepositoryId,
        options: &Options,
        planned: &Planned<'_>,
    ) -> Result<Option<(&Host, Journal)>, Failure> {
        let Some(host) = self.host.as_ref().filter(|_| !planned.hooks.is_empty()) else { return Ok(None) };
        let mut journal =
            Journal::open(&host.hooks_path(repository), identity(repository, options, &self.sections, planned.plan))?;
        let mut written = vec![false; planned.hooks.len()];
        for secret in planned.plan.secrets.walk()? {
            let secret = secret?;
            if secret.writes().next().is_none() {
                continue;
            }
            let names = [&secret.desired.name, &secret.desired.source_name];
            for (written, hook) in written.iter_mut().zip(planned.hooks) {
                *written |= names.into_iter().any(|name| hook.is_about(name));
            }
        }
        for (hook, written) in planned.hooks.iter().zip(written) {
            let AfterSection { name, secrets, .. } = &hook.section;
            // Without a pattern it runs once for the plan, also where everything was there before.
            if written || secrets.is_empty() && journal.standing(name) == Standing::Idle {
                journal.due(name, now())?;
            }
        }
        Ok(Some((host, journal)))
    }
}

/// Runs the hooks. Where the restore was not verified, none runs.
pub(super) async fn run(
    context: &Context,
    planned: &Planned<'_>,
    (host, journal): (&Host, &mut Journal),
    execution: &Execution,
    verification: &Verification,
) -> Vec<Report> {
    let plan = planned.plan;
    let is_verified = execution.failed.is_empty() && verification.passed();
    if is_verified {
        context.output.note("restored and verified; the hooks run now");
    }
    let names = |take: &mut dyn FnMut(&str)| -> Result<(), String> {
        for secret in plan.secrets.walk().map_err(|error| error.to_string())? {
            let secret = secret.map_err(|error| error.to_string())?;
            if secret.is_verified() {
                take(&secret.desired.name);
            }
        }
        Ok(())
    };
    let moves = |take: &mut dyn FnMut(&str, &str)| -> Result<(), String> {
        for id in verification.moved.walk().map_err(|error| error.to_string())? {
            let id = id.map_err(|error| error.to_string())?;
            take(&id.old, &id.new);
        }
        Ok(())
    };
    let waits = |_: &Hook| (!is_verified).then(|| "the restore is not complete and verified".to_owned());
    let about = json!({ "occasion": Occasion::Restore, "snapshot": plan.snapshot, "source": plan.source,
        "target": plan.target, "counts": planned.summary.counts, "writes": execution.done });
    let variables = hooks::variables();
    let given = Given {
        occasion: Occasion::Restore.as_str(),
        time: now(),
        about,
        names: &names,
        moves: &moves,
        waits: &waits,
        // Of a target of another kind the credentials say nothing.
        account: region_of(&plan.target).map(|_| plan.target.account.as_str()),
        variables: &variables,
        scratch: &host.scratch(),
    };
    hooks::run(context, planned.hooks, &given, journal).await
}

/// What a plan is the same by, in every run of it: what is in the target changes while it is carried out.
fn identity(repository: RepositoryId, options: &Options, sections: &[AfterSection], plan: &Plan) -> Digest {
    let whole = json!({ "repository": repository, "snapshot": plan.snapshot, "manifest": plan.manifest,
        "target": plan.target, "options": options, "after": sections });
    Digest::of(whole.to_string().as_bytes())
}

fn now() -> Timestamp {
    to_seconds(SystemClock.now())
}

/// The exit code of a restore with its hooks.
pub(super) fn exit(restored: Exit, reports: &[Report]) -> Exit {
    if restored == Exit::Complete && !hooks::is_complete(reports) { Exit::Incomplete } else { restored }
}
