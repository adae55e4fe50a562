//! `lifeboat compromise run`

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use serde_json::{Value as Json, json};

use super::{
    super::{Context, Exit, Failure, hooks, output::plural, quorum, terminal, trail},
    Rotators, after, read_plan, view,
};
use crate::{
    clock::{Clock, SystemClock, to_seconds},
    compromise::{Fate, Item, Journal, Plan, Progressed, carry_out},
    provider::{Way, incident},
    repo::Repository,
    storage::Storage,
};

/// Carry a plan out, secret by secret: rotate at once what can be rotated, name what a person has to do
///
/// Run it again after an interruption: what is done is not done twice. No other command rotates a secret.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat compromise run plan.json --policy > compromise-role.json
  lifeboat compromise run plan.json
  lifeboat compromise run plan.json --only orrange-p2p/api --yes

Use credentials of a role of its own: --policy prints the least it needs, and forbids it to read a
value. A secret that comes after another one waits until that one is done. The journal is beside
the plan.")]
pub struct Args {
    /// The plan, as `compromise plan --out` wrote it
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Only this secret (repeat)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Seconds to wait for each rotation or command
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    wait: u64,
    /// Print the least policy of the role that runs this plan, and stop
    #[arg(long)]
    policy: bool,
    /// Run no hook of the plan
    #[arg(long)]
    no_hooks: bool,
    /// Do not ask before each secret
    #[arg(long)]
    yes: bool,
}

pub(in super::super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let repository = Repository::open(Storage::open(&context.address()?)?).await?;
    let plan = read_plan(&args.plan, repository.id())?;
    if args.policy {
        return policy(context, &plan);
    }
    if let Some(other) = args.only.iter().find(|name| !plan.secrets.iter().any(|item| item.name == **name)) {
        return Err(Failure::usage(format!("the plan has no secret {other}")).hint("`--json` lists its names"));
    }
    let hooks_host = if args.no_hooks { None } else { after::host(context, &plan)? };
    if context.global.config.exists() {
        let host = context.host()?;
        trail::begin(context, &repository, &repository.trust(&host.anchor()?).await?);
    } else {
        context.output.note("this run leaves no audit entry: only a configured host signs one");
    }
    let mut journal = Journal::beside(&args.plan, plan.digest())?;
    let mut rotators = Rotators::default();
    let mut progressed: Vec<Progressed> = Vec::new();
    let meant = |item: &&Item| args.only.is_empty() || args.only.contains(&item.name);
    for item in plan.secrets.iter().filter(meant) {
        let fate = match journal.find(&item.id) {
            Some(done) => Fate::Already { version: done.version.clone().unwrap_or_default() },
            None => step(&args, (&plan, item), &mut rotators, &journal).await?,
        };
        if let Fate::Rotated { version } | Fate::Already { version } = &fate
            && journal.find(&item.id).is_none()
        {
            journal.note(&item.id, Some(version.clone()), to_seconds(SystemClock.now()))?;
        }
        let one = Progressed { name: item.name.clone(), fate };
        context.output.note(&view::step(&one));
        progressed.push(one);
    }
    let count = |is: fn(&Fate) -> bool| progressed.iter().filter(|one| is(&one.fate)).count() as u64;
    let waiting = count(|fate| matches!(fate, Fate::Waits { .. }));
    let failed = count(|fate| matches!(fate, Fate::Failed { .. }));
    let done = progressed.len() as u64 - waiting - failed;
    for (what, many) in [("rotated", done), ("waiting", waiting), ("failed", failed)] {
        trail::count(what, many);
    }
    let reports = match &hooks_host {
        Some(host) => after::run(context, (host, &plan), &journal).await?,
        None => Vec::new(),
    };
    hooks::warn(context, &reports, &format!("{} rotated", plural(done, "secret")));
    let mut value = json!({
        "plan": plan.digest(), "secrets": progressed, "done": done, "waiting": waiting, "failed": failed,
        "complete": waiting + failed == 0,
    });
    if let Some(ended) = hooks::ended(&reports) {
        value["after"] = json!(ended);
    }
    context.output.result(&value, || {
        let counts = format!("{} done, {waiting} waiting for a person, {failed} failed", plural(done, "secret"));
        hooks::rows(&reports) + &counts
    });
    if hooks::are_interrupted(&reports) {
        return Err(terminal::interrupted());
    }
    let verify = context.command(&["compromise", "verify", &args.plan.to_string_lossy()]);
    context.output.note(&format!("then prove it: {verify}"));
    let complete = waiting + failed == 0 && hooks::is_complete(&reports);
    Ok(if complete { Exit::Complete } else { Exit::Incomplete })
}

async fn step(
    args: &Args,
    (plan, item): (&Plan, &Item),
    rotators: &mut Rotators,
    journal: &Journal,
) -> Result<Fate, Failure> {
    let is_done = |name: &String| {
        let mut named = plan.secrets.iter().filter(|other| other.name == *name && other.place == item.place);
        named.all(|other| journal.find(&other.id).is_some() || other.id == item.id)
    };
    if let Some(first) = item.after.iter().find(|name| !is_done(name)) {
        return Ok(Fate::Waits { what: format!("{first} comes before it and is not done") });
    }
    let Some(rotator) = rotators.of(&item.place).await? else {
        return Ok(Fate::Waits { what: "this build cannot look at secrets of its kind: do it by hand".into() });
    };
    if matches!(item.way, Way::Rotatable(_) | Way::Scripted(_)) {
        quorum::confirm(&format!("Give {} of {} a new value now?", item.name, item.place), args.yes).await?;
    }
    Ok(carry_out(plan, item, &*rotator, Duration::from_secs(args.wait)).await?)
}

/// The least policy, one document for each place.
fn policy(context: &Context, plan: &Plan) -> Result<Exit, Failure> {
    let mut items: BTreeMap<_, Vec<(&str, &Way)>> = BTreeMap::new();
    for item in &plan.secrets {
        items.entry(&item.place).or_default().push((&item.id, &item.way));
    }
    let places: BTreeSet<String> = items.keys().map(ToString::to_string).collect();
    let documents: Vec<Json> =
        items.iter().filter_map(|(place, items)| incident(&place.provider).policy(place, items)).collect();
    let [document] = documents.as_slice() else {
        let several = places.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Failure::usage(format!("a policy is for one account and region; the plan is for {several}"))
            .hint("make a plan for each with --source"));
    };
    let text = serde_json::to_string_pretty(document).expect("a document is plain data");
    context.output.artefact(&format!("{text}\n"));
    Ok(Exit::Complete)
}
