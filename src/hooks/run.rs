//! Hooks, one after the other: each within its time, each with its report, and the next one whatever became of it.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, future::Shared};
use tokio::time::Instant;

use super::{
    Given, Hook, Journal, Outcome, Report, Standing,
    files::Files,
    kubernetes::{self, Synced},
    process::{self, Ended},
};
use crate::{
    clock::{Clock, to_seconds},
    config::{AfterSection, HookKind},
    model::SnapshotId,
    provider::{Connection, Redeployment},
    text::{self, plural},
};

/// What every process gets, where it is set: where programs and files are, and how text is written. Nothing of it is a secret.
const PLAIN: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"];
/// What kubectl and the programs that sign it in look for: names of files, of profiles and of hosts.
const FOR_KUBECTL: [&str; 14] = [
    "KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "XDG_CONFIG_HOME",
    "XDG_CACHE_HOME",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NO_PROXY",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "CLOUDSDK_CONFIG",
    "AZURE_CONFIG_DIR",
];
/// How long until an ExternalSecret is asked about again.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// Characters of what kubectl complains about.
const MOST_COMPLAINT: usize = 200;

/// Why a hook did not end well.
struct Fault {
    outcome: Outcome,
    what: String,
}

/// Runs the hooks that are due, in their order. One that fails keeps none of the others from running; `stop` ends the one that
/// runs and those after it. `tell` is called with each report as soon as it is there.
pub async fn run(
    hooks: &[Hook],
    given: &Given<'_>,
    journal: &mut Journal,
    clock: &dyn Clock,
    stop: impl Future<Output = ()>,
    tell: &(dyn Fn(&Report) + Sync),
) -> Vec<Report> {
    let stop = stop.shared();
    let mut reports: Vec<Report> = Vec::new();
    for hook in hooks {
        let report = match journal.standing(&hook.section.name) {
            Standing::Ran(time) => {
                Report::without_a_run(hook, Outcome::AlreadyRan, format!("it already ran for this plan, at {time}"))
            }
            Standing::Idle => Report::without_a_run(hook, Outcome::NotNeeded, "no secret that it names was written"),
            Standing::Due if reports.iter().any(|report| report.outcome == Outcome::Interrupted) => {
                Report::without_a_run(hook, Outcome::NotRun, "the run was interrupted before it")
            }
            Standing::Due => match (given.waits)(hook) {
                Some(why) => Report::without_a_run(hook, Outcome::NotRun, why),
                None => one(hook, given, journal, clock, stop.clone()).await,
            },
        };
        tell(&report);
        reports.push(report);
    }
    reports
}

async fn one(
    hook: &Hook,
    given: &Given<'_>,
    journal: &mut Journal,
    clock: &dyn Clock,
    stop: Shared<impl Future<Output = ()>>,
) -> Report {
    let begun = Instant::now();
    let mut done = within(hook, given, stop).await;
    if done.is_ok()
        && let Err(error) = journal.done(&hook.section.name, to_seconds(clock.now()))
    {
        // It would run again.
        let what = format!("it ended well, and that cannot be noted: {error}");
        done = Err(Fault { outcome: Outcome::Failed, what });
    }
    let (outcome, what) = match done {
        Ok(what) => (Outcome::Done, what),
        Err(fault) => (fault.outcome, fault.what),
    };
    let what = text::sentence(&what).into_owned();
    Report { seconds: begun.elapsed().as_secs_f64(), ..Report::without_a_run(hook, outcome, what) }
}

/// Why a hook came to no end of its own.
enum Stopped {
    /// It failed.
    Failed(String),
    /// It was ended; how far it was.
    Over(String),
}

/// Runs one hook until it ends, its time is over, or somebody asks for the end.
async fn within(hook: &Hook, given: &Given<'_>, stop: Shared<impl Future<Output = ()>>) -> Result<String, Fault> {
    let limit = Duration::try_from(hook.section.timeout).unwrap_or_default();
    let asked = stop.clone();
    let over = async move {
        let _ = tokio::time::timeout(limit, asked).await;
    };
    let ended = match hook.section.kind {
        HookKind::Ecs | HookKind::Lambda => redeploy(hook, given, over).await,
        HookKind::Kubernetes => kubectl(&hook.section, given, over).await,
        HookKind::Command => command(&hook.section, &hook.section.command, given, over).await,
    };
    ended.map_err(|stopped| match stopped {
        Stopped::Failed(what) => Fault { outcome: Outcome::Failed, what },
        Stopped::Over(state) if stop.peek().is_some() => {
            Fault { outcome: Outcome::Interrupted, what: format!("ended because the run was interrupted{state}") }
        }
        Stopped::Over(state) => {
            let limit = plural(limit.as_secs(), "second");
            Fault { outcome: Outcome::TimedOut, what: format!("ended because it took longer than {limit}{state}") }
        }
    })
}

async fn redeploy(hook: &Hook, given: &Given<'_>, over: impl Future<Output = ()>) -> Result<String, Stopped> {
    let (redeployer, workload, address) =
        hook.redeployer().ok_or_else(|| Stopped::Failed("this build cannot deploy there".into()))?;
    let seen = Mutex::new(String::new());
    let tell = |state: String| *seen.lock().unwrap_or_else(PoisonError::into_inner) = state;
    let connection = Connection::plain();
    let (account, moves) = (given.account, given.moves);
    let wanted = Redeployment { address, connection: &connection, account, workload, moves, tell: &tell };
    let ended = tokio::select! {
        done = redeployer.redeploy(&wanted) => Some(done),
        () = over => None,
    };
    if let Some(done) = ended {
        return done.map_err(|error| Stopped::Failed(error.to_string()));
    }
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let seen = if seen.is_empty() { String::new() } else { format!(" ({seen})") };
    Err(Stopped::Over(format!("; what the provider was asked for goes on there{seen}")))
}

/// Values are read again before workloads start with them.
async fn kubectl(section: &AfterSection, given: &Given<'_>, over: impl Future<Output = ()>) -> Result<String, Stopped> {
    let names = PLAIN.into_iter().chain(FOR_KUBECTL).chain(section.environment.iter().map(String::as_str));
    let variables = process::chosen(given.variables, &names.collect::<Vec<_>>());
    let over = over.shared();
    let run = async |step: Vec<String>| shown(&step, process::run(&step, &variables, true, over.clone()).await);
    // The same mark twice is no change, so nothing would be read again.
    let mark = format!("{}-{}", given.time.as_second(), SnapshotId::random());
    let mut before = Vec::new();
    for name in &section.external_secrets {
        before.push((name, Synced::read(&run(kubernetes::state(section, name)).await?)));
        run(kubernetes::annotate(section, name, &mark)).await?;
    }
    for (name, before) in &before {
        let unread = |state: &Synced| Stopped::Over(format!("; externalsecret/{name} was not read again ({state})"));
        let mut state = before.clone();
        while !state.follows(before) {
            state = match run(kubernetes::state(section, name)).await {
                Ok(printed) => Synced::read(&printed),
                Err(Stopped::Over(_)) => return Err(unread(&state)),
                Err(failed) => return Err(failed),
            };
            if !state.follows(before) && tokio::time::timeout(ASK_AGAIN, over.clone()).await.is_ok() {
                return Err(unread(&state));
            }
        }
    }
    for step in kubernetes::rollouts(section) {
        run(step).await?;
    }
    let (workloads, objects) = (section.restart.len() as u64, section.external_secrets.len() as u64);
    Ok(format!("{} rolled out, {} read again", plural(workloads, "workload"), plural(objects, "ExternalSecret")))
}

/// What a command of kubectl printed, where that shows that it did something.
fn shown(step: &[String], ran: process::Ran) -> Result<String, Stopped> {
    let words = text::command(step.iter().skip(3).map(String::as_str));
    let fault = match ran.ended {
        Ended::Code(0) if kubernetes::is_shown(step, &ran.out) => return Ok(ran.out),
        Ended::Code(0) => "ended with 0, and its answer does not show that it did anything".to_owned(),
        Ended::Stopped => return Err(Stopped::Over(format!("; kubectl {words} was ended"))),
        ended => word(&ended),
    };
    let complaint: String = ran.err.lines().next_back().unwrap_or_default().chars().take(MOST_COMPLAINT).collect();
    let complaint = if complaint.is_empty() { String::new() } else { format!(": {complaint}") };
    Err(Stopped::Failed(format!("kubectl {words} {fault}{complaint}")))
}

async fn command(
    section: &AfterSection,
    argv: &[String],
    given: &Given<'_>,
    over: impl Future<Output = ()>,
) -> Result<String, Stopped> {
    let files =
        Files::write(given).map_err(|error| Stopped::Failed(format!("its files cannot be written: {error}")))?;
    let names = PLAIN.into_iter().chain(section.environment.iter().map(String::as_str));
    let mut variables = process::chosen(given.variables, &names.collect::<Vec<_>>());
    variables.extend(files.variables.iter().cloned());
    variables.push(("LIFEBOAT_OCCASION".into(), given.occasion.into()));
    let ran = process::run(argv, &variables, false, over).await;
    match ran.ended {
        Ended::Code(0) if !section.counted => Ok("the command ended with 0".into()),
        Ended::Code(0) => match files.done() {
            Some(done) if done > 0 => Ok(format!("the command ended with 0; it counted {done}")),
            Some(_) => Err(Stopped::Failed("the command ended with 0, and it counted nothing".into())),
            None => Err(Stopped::Failed("the command ended with 0, and it wrote no count into LIFEBOAT_DONE".into())),
        },
        Ended::Stopped => Err(Stopped::Over("; the command was ended, and what it had started".into())),
        ended => Err(Stopped::Failed(format!("the command {}", word(&ended)))),
    }
}

fn word(ended: &Ended) -> String {
    match ended {
        Ended::Code(code) => format!("ended with {code}"),
        Ended::Signal => "was ended by a signal".into(),
        Ended::NotStarted(why) => format!("could not be started: {why}"),
        Ended::Stopped => "was ended".into(),
    }
}

/// Runs the dry command of each hook that has one, as a drill may; nothing else is started and nothing is connected to.
pub async fn dry(hooks: &[Hook], given: &Given<'_>, stop: impl Future<Output = ()>) -> Vec<Report> {
    let stop = stop.shared();
    let mut reports = Vec::new();
    for hook in hooks.iter().filter(|hook| !hook.section.dry_command.is_empty()) {
        let section =
            AfterSection { counted: false, command: hook.section.dry_command.clone(), ..hook.section.clone() };
        let hook = Hook { section, workload: None };
        let begun = Instant::now();
        let (outcome, what) = match within(&hook, given, stop.clone()).await {
            Ok(what) => (Outcome::Done, what),
            Err(fault) => (fault.outcome, fault.what),
        };
        let what = text::sentence(&what).into_owned();
        reports.push(Report { seconds: begun.elapsed().as_secs_f64(), ..Report::without_a_run(&hook, outcome, what) });
    }
    reports
}
