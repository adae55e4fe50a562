//! `lifeboat drift`

use serde_json::json;

use super::{
    Context, Exit, Failure,
    history::{self, CompareArgs, Reach},
    output::{plural, table},
    quorum::ShareArgs,
    restore::MapArgs,
    show::{self, Trusted},
    watch::Watch,
};
use crate::{
    app::{self, DriftSeen},
    clock::{Clock, SystemClock, to_seconds},
    model::OnReplica,
    provider::{Address, Connected, Purpose},
    repo::{Chosen, Halt},
    restore::{self, Drift, Options, Plan, Values},
};

/// Findings shown; `--json` shows more.
const MOST_LINES: usize = 200;

/// Compare a standby region with the newest backup: what a fail-over would miss right now
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat drift --to aws:eu-west-1
  lifeboat drift --to aws:eu-west-1 --map west.toml --json
  lifeboat drift --to aws:eu-west-1 --share sheets/          also compares the values
  lifeboat drift --to aws:eu-west-1 --forget

Writes nothing. Without sheets no value is opened on either side: the id of a version stands for its value.
`status` shows the newest comparison, and when it is too old; one of some names alone does not count.

Exit codes: 0 everything that was compared is there, 3 something is missing or different, or nothing was compared,
4 the target is the source, or another account than --account.")]
pub struct Args {
    /// The standby place: `aws:REGION`, `vault:https://HOST/MOUNT`, `gcp:PROJECT`, `azure:VAULT` or `env:FOLDER`
    #[arg(long, value_name = "ADDRESS")]
    to: Address,
    /// The account of the standby place; any other one is refused
    #[arg(long, value_name = "NUMBER", value_parser = super::environment::parse_account)]
    account: Option<String>,
    /// `latest` or the beginning of a snapshot's id
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
    #[command(flatten)]
    source: show::SourceArg,
    #[command(flatten)]
    compare: CompareArgs,
    /// Compare only names that match, with `*` and `?` (repeat)
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Leave out names that match (repeat)
    #[arg(long, value_name = "PATTERN")]
    exclude: Vec<String>,
    /// Count on rotation that is on where it was on
    #[arg(long)]
    rotation: bool,
    /// Count on replicas where there were some
    #[arg(long)]
    replication: bool,
    /// Do not count policies that let nobody in at the target
    #[arg(long)]
    accept_unusable: bool,
    #[command(flatten)]
    maps: MapArgs,
    /// The share of the target's request quotas to use
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    rate_share: f64,
    /// Forget earlier comparisons with this place, and ask nobody: it is no standby place any more
    #[arg(long)]
    forget: bool,
    #[command(flatten)]
    shares: ShareArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let to = args.to.settle(Purpose::Target).await?;
    if let Some(region) = to.region().filter(|_| context.global.config.exists()) {
        app::allowed(&context.host()?.config.policy, region)?;
    }
    let options = options(&args)?;
    let trusted = show::trusted(context, &args.shares).await?;
    let repository = trusted.repository();
    if args.forget {
        let count = context.host()?.forget_drift(repository.id(), &to.to_string())?;
        let value = json!({ "to": to.to_string(), "forgotten": count });
        context.output.result(&value, || format!("{} forgotten", plural(count as u64, "comparison")));
        return Ok(Exit::Complete);
    }
    let reach = Reach::of(&args.snapshot);
    let judgement = history::judge(context, repository, trusted.trust(), &args.compare, reach).await?;
    judgement.refuse_halted(Halt::Restore)?;
    let chosen = history::find(&judgement, &args.snapshot, args.source.source.as_ref())?.with_leaked(options.leaked);
    history::tell(context, &chosen);
    let target = app::connect_target(&to, args.rate_share, None, || trusted.version_key(context)).await?;
    super::restore::refuse_account(args.account.as_ref(), &target.target.place().await?.account)?;
    let (records, scratch) = (repository.record_stream(&chosen, trusted.opener(&chosen)?), context.scratch());
    let found = restore::look(&*target.target, &chosen, records, &options, Some(&scratch)).await?;
    let plan = restore::make(&chosen, &found, &options)?;
    drop(found);
    let drift = compare(context, &trusted, (&plan, &chosen), &target).await?;
    let is_whole = args.include.is_empty() && args.exclude.is_empty() && args.snapshot == "latest";
    if is_whole && context.global.config.exists() {
        let seen = DriftSeen {
            to: to.to_string(),
            source: plan.source.clone(),
            snapshot: plan.snapshot,
            time: to_seconds(SystemClock.now()),
            compared: drift.compared,
            lacking: drift.lacking(),
        };
        context.host()?.remember_drift(repository.id(), seen)?;
    }
    let value = json!({
        "source": plan.source,
        "target": plan.target,
        "snapshot": plan.snapshot,
        "snapshot_time": chosen.manifest().time,
        "accepted": chosen.accepted(),
        "in_step": drift.is_in_step(),
        "drift": drift,
    });
    context.output.result(&value, || describe(&plan, &drift));
    Ok(if drift.is_in_step() { Exit::Complete } else { Exit::Incomplete })
}

/// The choices of the restore that would be done.
fn options(args: &Args) -> Result<Options, Failure> {
    Ok(Options {
        names: args.include.clone(),
        exclude: args.exclude.clone(),
        // A replica that is in step is what a fail-over takes.
        on_replica: OnReplica::Promote,
        compares: true,
        maps: args.maps.maps()?,
        rotation: args.rotation,
        replication: args.replication,
        accept_unusable: args.accept_unusable,
        ..Options::default()
    })
}

/// Without sheets by what the plan says, with sheets also by the values.
async fn compare(
    context: &Context,
    trusted: &Trusted,
    (plan, chosen): (&Plan, &Chosen),
    target: &Connected,
) -> Result<Drift, Failure> {
    let Trusted::Quorum(repository, opened) = trusted else { return Ok(restore::drift(plan, None)?) };
    let values = Values::new(repository, chosen, &opened.key);
    let watch = Watch::new(context.output.json);
    let read = restore::verify(plan, &values, &target.readback, &watch).await;
    watch.done();
    Ok(restore::drift(plan, Some(&read?))?)
}

fn describe(plan: &Plan, drift: &Drift) -> String {
    let rows = drift.lacks.iter().take(MOST_LINES);
    let rows: Vec<Vec<String>> =
        rows.map(|lack| vec![lack.name.clone(), lack.what.to_owned(), lack.detail.clone()]).collect();
    let more = drift.more + drift.lacks.len().saturating_sub(MOST_LINES) as u64;
    let mut text = if rows.is_empty() { String::new() } else { table(&["secret", "what", "detail"], rows) + "\n" };
    if more > 0 {
        text.push_str(&format!("… and {more} more\n"));
    }
    let values = match drift.values {
        0 => "no value was opened: ids of versions stand for them".to_owned(),
        count => format!("{} compared", plural(count, "value")),
    };
    let promoted = match drift.replicas {
        0 => String::new(),
        count => format!(" (with {} to promote)", plural(count, "replica")),
    };
    text.push_str(&format!(
        "{} → {}: {} of {} in step{promoted}, {} not; {values}",
        plan.source,
        plan.target,
        drift.in_step,
        plural(drift.compared, "secret"),
        drift.lacking(),
    ));
    if drift.compared == 0 {
        text.push_str("\nnothing was compared: the snapshot has no secret to restore");
    }
    text
}
