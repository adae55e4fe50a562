//! `lifeboat restore`

mod after;
mod args;
mod view;

use std::{collections::BTreeMap, time::Instant};

use serde::Serialize;

use self::after::After;
pub use self::args::{Args, MapArgs};
pub(super) use self::view::{describe, differences, verified_table};
use super::{
    Context, Exit, Failure,
    history::{self, About, Reach},
    hooks,
    output::plural,
    quorum::{self, Opened},
    show::{self, Trusted},
    terminal, trail,
    watch::Watch,
};
use crate::{
    app::{self, Host},
    clock::{Clock, SystemClock},
    config::PolicySection,
    fsutil::{self, Access, Existing},
    hooks::{Hook, Journal, Outcome, Report},
    model::{Place, SnapshotId},
    provider::{self, Address, Connected, Purpose, Target, rules},
    repo::{Chosen, Halt, Judgement, NoChoice, Repository},
    restore::{
        self, Estimate, Execution, FailedStep, OnConflict, Options, Plan, PlanFile, Rehearsal, Summary, Values,
        Verification,
    },
    storage::Storage,
};

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let approved = args.plan_file().map(|path| read_plan(&args, path)).transpose()?;
    let to = address(context, &args, approved.as_ref()).await?;
    import_writer(&args, &to)?;
    let opened = open(context, &args).await?;
    let repository = opened.repository();
    // Before something is written, everything is looked at.
    let is_newest = args.only_plans() && args.at.is_none() && approved.is_none();
    let reach = if is_newest { Reach::of(&args.snapshot) } else { Reach::Whole };
    let judgement = history::judge(context, repository, opened.trust(), &args.compare, reach).await?;
    judgement.refuse_halted(Halt::Restore)?;
    let (manifest, options) = match &approved {
        Some(file) => (approved_snapshot(repository, &judgement, file)?, file.options.clone()),
        None => (wanted(&judgement, &args)?, args.options(&configured_first(context)?)?),
    };
    let manifest = manifest.with_leaked(options.leaked);
    history::tell(context, &manifest);
    let after = After::of(context, &args, opened.trust(), approved.as_ref())?;
    let wanted = Wanted { approved: approved.as_ref(), manifest: &manifest, options, after: &after };
    let restored = restore_chosen(context, &args, (&opened, &to), wanted).await;
    match restored {
        Err(failure) => Err(history::or_forgotten(repository, opened.trust(), &manifest, failure).await),
        exit => exit,
    }
}

/// What is to be restored, and what comes after it.
struct Wanted<'a> {
    approved: Option<&'a PlanFile>,
    manifest: &'a Chosen,
    options: Options,
    after: &'a After,
}

async fn restore_chosen(
    context: &Context,
    args: &Args,
    (opened, to): (&Trusted, &Address),
    Wanted { approved, manifest, options, after }: Wanted<'_>,
) -> Result<Exit, Failure> {
    let repository = opened.repository();
    let target = app::connect_target(to, args.rate_share, None, || opened.version_key(context)).await?;
    let is_elsewhere = judge_account(context, args, approved.is_some(), &*target.target, manifest).await?;
    let (records, scratch) = (repository.record_stream(manifest, opened.opener(manifest)?), context.scratch());
    let found = restore::look(&*target.target, manifest, records, &options, Some(&scratch)).await?;
    let plan = restore::make(manifest, &found, &options)?;
    drop(found);
    if let Some(file) = approved {
        file.agree(&plan)?;
    }
    let values = match opened {
        Trusted::Quorum(_, quorum) => Some(Values::new(repository, manifest, &quorum.key)),
        Trusted::Host(..) => None,
    };
    let rehearsal = restore::rehearse(&plan, &options, values.as_ref()).await?;
    let mut summary = plan.summary()?;
    summary.complete &= rehearsal.is_complete();
    let hooks = after.hooks(&plan.target)?;
    let planned = Planned { plan: &plan, summary: &summary, rehearsal: &rehearsal, chosen: manifest, hooks: &hooks };
    trail::snapshot(plan.snapshot);
    trail::target(&plan.target);
    if args.only_plans() {
        trail::plan();
        return show_plan(context, args, repository, (options, after), &planned);
    }
    let Some(values) = values else { return Err(Failure::usage("a restore needs a quorum")) };
    allow_replicas(context, &summary)?;
    context.output.note(&planned.describe(args.rate_share)?);
    refuse_conflicts(&summary, options.on_conflict)?;
    if summary.nothing().is_some() {
        // What an earlier run noted before it ended is not needed any more.
        target.target.finish().await?;
        let (execution, verification) = (Execution::default(), Verification::default());
        let not_run = |hook: &Hook| Report::without_a_run(hook, Outcome::NotRun, "nothing was restored");
        let reports: Vec<Report> = hooks.iter().map(not_run).collect();
        return print(context, &planned, (&execution, &verification, &reports), 0.0);
    }
    let question = format!("Restore into {}?", plan.target);
    if is_elsewhere && args.account.is_none() && approved.is_none() {
        quorum::confirm_account(&question, &plan.target.account).await?;
    } else {
        quorum::confirm(&question, args.yes).await?;
    }
    // Somebody may have taken a while to say yes.
    if !args.yes && !restore::is_unchanged(&*target.target, &plan).await? {
        return Err(restore::StalePlan::TargetChanged("while the plan waited for confirmation".into()).into());
    }
    let begun = after.begin(repository.id(), &options, &planned)?;
    carry_out(context, args, &planned, (&values, target), begun).await
}

/// Opens the repository: to plan, the host's index key is enough; to restore, a quorum is needed.
async fn open(context: &Context, args: &Args) -> Result<Trusted, Failure> {
    if args.only_plans() && args.shares.shares.is_empty() && context.global.config.exists() {
        return show::trusted(context, &args.shares).await;
    }
    let repository = Repository::open(Storage::open(&context.address()?)?).await?;
    let opened: Opened = quorum::open(context, &repository, &args.shares).await?;
    Ok(Trusted::Quorum(repository, Box::new(opened)))
}

/// Where to restore to. An address that leads nowhere is refused before anybody types a sheet.
async fn address(context: &Context, args: &Args, approved: Option<&PlanFile>) -> Result<Address, Failure> {
    let to = match (&args.to, approved) {
        (_, Some(PlanFile { to: Some(address), .. })) => address.parse()?,
        (_, Some(file)) => format!("{}:{}", file.plan.target.provider, file.plan.target.region).parse()?,
        (Some(to), None) => to.clone(),
        (None, None) => {
            let hint = "use --to aws:REGION, vault:https://HOST/MOUNT, gcp:PROJECT, azure:VAULT or env:FOLDER";
            return Err(Failure::usage("the restore target is missing").hint(hint));
        }
    };
    if let Some(region) = to.region() {
        app::allowed(&policy(context)?, region)?;
    }
    Ok(to.settle(Purpose::Target).await?)
}

/// Refuses a file that the target's kind has not, before anybody types a sheet.
fn import_writer(args: &Args, to: &Address) -> Result<(), Failure> {
    if args.import_blocks()?.is_some() && to.kind().ops().imports().is_none() {
        let message = format!("secrets of {} have no import blocks", to.kind().scheme());
        return Err(Failure::usage(message).hint("leave --import-blocks out"));
    }
    Ok(())
}

/// The account that a person named is the one that the credentials lead to.
pub(super) fn refuse_account(wanted: Option<&String>, account: &str) -> Result<(), Failure> {
    match wanted {
        Some(wanted) if wanted != account => {
            let message = format!("the credentials belong to account {account}, not to account {wanted}");
            Err(Failure::new(Exit::Refused, message).hint("use credentials of the account that you named"))
        }
        _ => Ok(()),
    }
}

/// Whether the target is another account than the source's. Credentials of the wrong account are found out before anything
/// is planned: by the number that was given, or by a person who types it.
async fn judge_account(
    context: &Context,
    args: &Args,
    is_approved: bool,
    target: &dyn Target,
    chosen: &Chosen,
) -> Result<bool, Failure> {
    let (place, source) = (target.place().await?, &chosen.manifest().source);
    if rules(&place.provider).is_ok_and(|rules| !rules.is_by_credentials()) {
        // The address itself says where this is, and a person wrote it.
        return Ok(false);
    }
    if source.provider != place.provider {
        context.output.note(&format!("the target is {place}; the secrets came from {source}"));
    }
    let (account, source) = (place.account, &source.account);
    refuse_account(args.account.as_ref(), &account)?;
    let is_elsewhere = account != *source;
    if is_elsewhere {
        context.output.note(&format!("the target is account {account}; the secrets came from account {source}"));
    }
    if is_elsewhere && args.yes && args.account.is_none() && !is_approved && !args.only_plans() {
        let message = format!("--yes does not restore into account {account}, which is not the source's ({source})");
        return Err(
            Failure::new(Exit::Refused, message).hint(format!("if this is the account you mean: --account {account}"))
        );
    }
    Ok(is_elsewhere)
}

/// Replicas are values in another region.
fn allow_replicas(context: &Context, summary: &Summary) -> Result<(), Failure> {
    let policy = policy(context)?;
    summary.replica_regions.iter().try_for_each(|region| Ok(app::allowed(&policy, region)?))
}

/// Where the configuration lets targets be; without one, everywhere.
fn policy(context: &Context) -> Result<PolicySection, Failure> {
    if !context.global.config.exists() {
        return Ok(PolicySection::default());
    }
    Ok(context.host()?.config.policy)
}

/// The priority of the configuration, where there is one.
fn configured_first(context: &Context) -> Result<Vec<String>, Failure> {
    if !context.global.config.exists() {
        return Ok(Vec::new());
    }
    Ok(context.host()?.config.restore.first)
}

fn wanted(judgement: &Judgement, args: &Args) -> Result<Chosen, Failure> {
    let source = args.source.source.as_ref();
    match args.at {
        Some(at) => Ok(judgement.at(source, at, SystemClock.now())?),
        None => history::find(judgement, &args.snapshot, source),
    }
}

fn read_plan(args: &Args, path: &std::path::Path) -> Result<PlanFile, Failure> {
    if args.options(&[])? != Options::default() || args.to.is_some() || args.at.is_some() || args.snapshot != "latest" {
        return Err(
            Failure::usage("a plan file already sets what is restored and where").hint("leave the other options out")
        );
    }
    Ok(PlanFile::parse(&fsutil::read(path)?)?)
}

fn approved_snapshot(repository: &Repository, judgement: &Judgement, file: &PlanFile) -> Result<Chosen, Failure> {
    if file.repository != repository.id() {
        return Err(restore::StalePlan::OtherRepository(file.repository).into());
    }
    let found = judgement.by_id(&file.plan.snapshot.to_string(), None);
    let manifest = match found {
        Err(NoChoice::Forgotten(gone)) => return Err(restore::StalePlan::Forgotten(gone).into()),
        other => other?,
    };
    if manifest.digest() == file.plan.manifest { Ok(manifest) } else { Err(restore::StalePlan::OtherSnapshot.into()) }
}

fn show_plan(
    context: &Context,
    args: &Args,
    repository: &Repository,
    (options, after): (Options, &After),
    planned: &Planned<'_>,
) -> Result<Exit, Failure> {
    let Planned { plan, summary, rehearsal, chosen, hooks } = *planned;
    allow_replicas(context, summary)?;
    if let Some(path) = &args.plan_out {
        let to = args.to.as_ref().filter(|to| to.region().is_none()).map(ToString::to_string);
        let file = PlanFile::new(repository.id(), SystemClock.now(), options, plan.clone(), to);
        let file = file.with_hooks(after.for_file());
        fsutil::write_with(path, Access::Private, Existing::Keep, |output| file.write(output))?;
        let command = context.command(&["restore", "--plan", &path.to_string_lossy()]);
        context.output.note(&format!("the plan is in {}:\n  {command}", path.display()));
    }
    let shown = ShownPlan {
        plan,
        chosen: About::new(chosen),
        counts: &summary.counts,
        estimate: summary.estimate(args.rate_share),
        rewrites: Some(rehearsal).filter(|it| !it.rules.is_empty()),
        hooks: hooks::shown(hooks),
        complete: summary.complete,
    };
    context.output.large_result(&shown, || planned.describe(args.rate_share))?;
    if let Some(why) = summary.nothing() {
        context.output.warn(&format!("this plan restores nothing: {why}"));
    }
    Ok(if summary.complete { Exit::Complete } else { Exit::Incomplete })
}

/// A plan as `--json` shows it.
#[derive(Serialize)]
struct ShownPlan<'a> {
    #[serde(flatten)]
    plan: &'a Plan,
    chosen: About<'a>,
    counts: &'a BTreeMap<&'static str, u64>,
    estimate: Estimate,
    #[serde(skip_serializing_if = "Option::is_none")]
    rewrites: Option<&'a Rehearsal>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hooks: Vec<hooks::Shown<'a>>,
    complete: bool,
}

/// A plan and what is known of it.
#[derive(Clone, Copy)]
struct Planned<'a> {
    plan: &'a Plan,
    summary: &'a Summary,
    rehearsal: &'a Rehearsal,
    chosen: &'a Chosen,
    hooks: &'a [Hook],
}

impl Planned<'_> {
    /// As people read it.
    fn describe(&self, rate_share: f64) -> Result<String, Failure> {
        let rules = view::rewrites(self.rehearsal).into_iter().map(|line| format!("\n{line}"));
        let plan = describe(self.plan, self.summary, rate_share)?;
        Ok(plan + &rules.collect::<String>() + &hooks::describe(self.hooks, "once everything is verified"))
    }
}

/// What came of a restore, as `--json` shows it.
#[derive(Serialize)]
struct Restored<'a> {
    snapshot: SnapshotId,
    chosen: About<'a>,
    target: &'a Place,
    writes: u64,
    failed: &'a [FailedStep],
    counts: &'a BTreeMap<&'static str, u64>,
    versions: &'a BTreeMap<&'static str, u64>,
    verification: &'a Verification,
    #[serde(skip_serializing_if = "Option::is_none")]
    rewrites: Option<&'a Rehearsal>,
    seconds: f64,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<hooks::Ended<'a>>,
}

fn refuse_conflicts(summary: &Summary, on_conflict: OnConflict) -> Result<(), Failure> {
    let conflicts = &summary.conflicts;
    if on_conflict == OnConflict::Skip || conflicts.is_empty() {
        return Ok(());
    }
    let count = plural(conflicts.len() as u64, "conflict");
    Err(Failure::new(Exit::Refused, format!("{count} in the target, nothing was written: {}", conflicts.join("; ")))
        .hint("use --on-conflict skip|new-version|replace; for names scheduled for deletion, --on-scheduled undelete"))
}

async fn carry_out(
    context: &Context,
    args: &Args,
    planned: &Planned<'_>,
    (values, target): (&Values<'_>, Connected),
    begun: Option<(&Host, Journal)>,
) -> Result<Exit, Failure> {
    let Connected { target, readback } = target;
    let plan = planned.plan;
    let started = Instant::now();
    let watch = Watch::new(context.output.json);
    let execution = restore::execute(plan, values, &target, &watch).await;
    let verification = match &execution {
        Ok(_) => restore::verify(plan, values, &readback, &watch).await,
        Err(_) => Ok(Verification::default()),
    };
    watch.done();
    if let Ok(execution) = &execution {
        trail::count("writes", execution.done);
        trail::count("failed", execution.failed.len() as u64);
    }
    let (execution, verification) = (execution?, verification?);
    if let Some(path) = &args.arn_map {
        fsutil::write_with(path, Access::Private, Existing::Replace, |output| view::moved(&verification, output))?;
    }
    let imports = provider::kind(&plan.target.provider).ok().and_then(|kind| kind.ops().imports());
    if let Some(((format, path), imports)) = args.import_blocks()?.zip(imports) {
        fsutil::write_with(path, Access::Private, Existing::Replace, |output| {
            view::imports(&verification, (imports, format), output)
        })?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let reports = match begun {
        Some((host, mut journal)) => {
            after::run(context, planned, (host, &mut journal), &execution, &verification).await
        }
        None => Vec::new(),
    };
    print(context, planned, (&execution, &verification, &reports), seconds)
}

fn print(
    context: &Context,
    planned: &Planned<'_>,
    (execution, verification, reports): (&Execution, &Verification, &[Report]),
    seconds: f64,
) -> Result<Exit, Failure> {
    let Planned { plan, summary, rehearsal, chosen, .. } = *planned;
    for failed in &execution.failed {
        context.output.warn(&format!("{} is not complete: {}", failed.name, failed.reason));
    }
    for line in differences(verification).iter().chain(&view::leading_back(verification)) {
        context.output.warn(line);
    }
    let complete = execution.failed.is_empty() && summary.complete && verification.passed();
    let before = if complete { "the restore itself is complete and verified" } else { "the restore is not complete" };
    hooks::warn(context, reports, before);
    let value = Restored {
        snapshot: plan.snapshot,
        chosen: About::new(chosen),
        target: &plan.target,
        writes: execution.done,
        failed: &execution.failed,
        counts: &summary.counts,
        versions: &verification.version_counts,
        verification,
        rewrites: Some(rehearsal).filter(|it| !it.rules.is_empty()),
        seconds,
        complete,
        after: hooks::ended(reports),
    };
    context.output.large_result(&value, || {
        if let Some(why) = summary.nothing() {
            return Ok(format!("nothing was restored: {why}"));
        }
        let state = if complete { "restored and verified" } else { "INCOMPLETE" };
        let (table, hooks) = (verified_table(verification), hooks::rows(reports));
        Ok(format!("{table}\n{}\n{hooks}{state} in {seconds:.1} s", view::versions(verification)))
    })?;
    if hooks::are_interrupted(reports) {
        return Err(terminal::interrupted());
    }
    Ok(after::exit(if complete { Exit::Complete } else { Exit::Incomplete }, reports))
}
