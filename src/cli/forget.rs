//! `lifeboat forget`

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Context, Exit, Failure,
    history::{self, AcceptArgs},
    list,
    output::{plural, table},
    quorum, survey, trail,
};
use crate::{
    app::Host,
    clock::{Clock, SystemClock, to_seconds},
    config::RetentionSection,
    model::Place,
    repo::{
        self, Fate, Going, Judgement, Orders, Repository, Retention, RetentionPlan, Sweep, SweepReport, Trust,
        VerifiedForget,
    },
    snapshot,
};

/// Forget old snapshots by rule: show the plan, mark the snapshots (can be undone), later remove the files
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat forget --plan
  lifeboat forget --keep-last 7 --keep-weekly 8 --keep-monthly 24 --yes
  lifeboat forget --undo

Rules on the command line replace those of [retention]. A forgotten snapshot stays whole until
the undo window (undo_days) has passed and a newer snapshot exists. Then the next `forget`
removes it, here and in the copies. A capture by an event goes at once when the complete snapshot
after it holds every value that it holds, for an hour or longer. This command needs no recovery
key. A file that a retention lock holds is reported and tried again next time.")]
pub struct Args {
    /// Keep the newest N snapshots
    #[arg(long, value_name = "N")]
    keep_last: Option<u32>,
    /// Keep the newest of each of the last N days that have one
    #[arg(long, value_name = "N")]
    keep_daily: Option<u32>,
    /// The same for weeks (ISO)
    #[arg(long, value_name = "N")]
    keep_weekly: Option<u32>,
    /// The same for months
    #[arg(long, value_name = "N")]
    keep_monthly: Option<u32>,
    /// The same for years
    #[arg(long, value_name = "N")]
    keep_yearly: Option<u32>,
    /// Keep every snapshot that is at most DAYS days older than the newest
    #[arg(long, value_name = "DAYS")]
    keep_within_days: Option<u32>,
    /// Days in which the forgetting can be undone (default: undo_days of the configuration)
    #[arg(long, value_name = "DAYS")]
    undo_days: Option<u32>,
    /// Only show what would be forgotten
    #[arg(long)]
    plan: bool,
    /// Undo a forgetting: `latest`, or the beginning of a record's name
    #[arg(long, value_name = "RECORD", num_args = 0..=1, default_missing_value = "latest", conflicts_with = "plan")]
    undo: Option<String>,
    #[command(flatten)]
    accept: AcceptArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let _lock = host.lock(repository.id())?;
    trail::begin(context, &repository, &trust);
    let now = to_seconds(SystemClock.now());
    if let Some(wanted) = &args.undo {
        return undo(context, &host, &repository, &trust, wanted, now).await;
    }
    let section = &host.config.retention;
    let retention = rules(&args, section);
    if retention.is_empty() {
        return Err(Failure::usage("no rule sets what to keep")
            .hint("set [retention], or use --keep-last N or another --keep rule"));
    }
    let judgement = repository.judge(&trust, &history::of_host(context, &repository)?).await?;
    let judgement = judgement.accepting(&args.accept.accepted);
    let chain = judgement.sound()?;
    let mut seen = host.see_forgotten(repository.id(), &chain.records, now)?;
    let here: Vec<_> = chain.manifests.iter().filter(|found| chain.forgotten(found).is_none()).collect();
    let plan = repo::plan(&here, &retention, now);
    let signer = host.signer();
    let all = || Going { later: plan.forgets().map(|fate| fate.name.clone()).collect(), ..Going::default() };
    let going = signer.as_ref().map_or_else(|_| all(), |signer| plan.going(now, &signer.public()));
    if args.plan {
        trail::plan();
        print(context, (&plan, &going), &Orders::default(), &[]);
        return Ok(Exit::Complete);
    }
    for (each, count) in chain.pending() {
        context.output.note(&list::pending(&trust, each, count));
    }
    let (undo_days, signer) = (args.undo_days.unwrap_or(section.undo_days), signer?);
    let unfinished = snapshot::packs_of_unfinished_runs(&host.journal_path(repository.id())).into_iter().collect();
    let mut made = Orders::default();
    let names = going.count();
    if names > 0 {
        context.output.note(&text(&plan, &going));
        quorum::confirm(&format!("Forget {}?", plural(names, "snapshot")), args.yes).await?;
        made = repository.forget_by(&judgement, &trust, &going, (now, days(undo_days)), &retention, &signer).await?;
        note_made(context, &made, names);
    }
    let judgement = if made.iter().next().is_none() {
        judgement
    } else {
        let again = repository.judge(&trust, &history::of_host(context, &repository)?).await?;
        let again = again.accepting(&args.accept.accepted);
        seen = host.see_forgotten(repository.id(), &again.sound()?.records, now)?;
        again
    };
    let sweep = Sweep {
        now,
        rules: configured(section),
        window: days(section.undo_days),
        signer: signer.public(),
        seen: &seen,
        keep: &unfinished,
        but: made.later.as_ref().map(|each| each.digest),
    };
    let swept = sweep_all(context, &host, (&repository, &judgement), &sweep, &args.accept).await?;
    for report in swept.iter().filter_map(|(_, outcome)| outcome.as_ref().ok()) {
        trail::count("snapshots_removed", report.snapshots);
        trail::count("files_removed", report.files);
    }
    print(context, (&plan, &going), &made, &swept);
    Ok(exit(&swept))
}

/// Says what the records hold that were made of so many snapshots.
fn note_made(context: &Context, made: &Orders, wanted: u64) {
    let forgotten: u64 = made.iter().map(|each| each.record.snapshots.len() as u64).sum();
    made.iter().for_each(|each| trail::file(&format!("forgotten/{}.json", each.name)));
    trail::count("snapshots_forgotten", forgotten);
    if forgotten < wanted {
        let left = plural(wanted - forgotten, "snapshot");
        context.output.note(&format!("one record holds no more: run it again for {left} that are newer"));
    }
}

/// What was not agreed to was refused for safety; what failed is not done.
fn exit(swept: &[Swept]) -> Exit {
    let of = |(_, outcome): &Swept| match outcome {
        Ok(report) if !report.disagreed.is_empty() => Exit::Refused,
        Ok(_) => Exit::Complete,
        Err(failure) if failure.exit == Exit::Refused => Exit::Refused,
        Err(_) => Exit::Incomplete,
    };
    swept.iter().map(of).fold(Exit::Complete, Exit::and)
}

fn days(days: u32) -> SignedDuration {
    SignedDuration::from_hours(24 * i64::from(days))
}

/// Flags count when there are any; the configuration's rules otherwise.
fn rules(args: &Args, section: &RetentionSection) -> Retention {
    let given = Retention {
        keep_last: args.keep_last.unwrap_or_default(),
        keep_daily: args.keep_daily.unwrap_or_default(),
        keep_weekly: args.keep_weekly.unwrap_or_default(),
        keep_monthly: args.keep_monthly.unwrap_or_default(),
        keep_yearly: args.keep_yearly.unwrap_or_default(),
        keep_within: args.keep_within_days.map(days),
    };
    if given.is_empty() { configured(section) } else { given }
}

/// The rules of `[retention]`.
fn configured(section: &RetentionSection) -> Retention {
    Retention {
        keep_last: section.keep_last,
        keep_daily: section.keep_daily,
        keep_weekly: section.keep_weekly,
        keep_monthly: section.keep_monthly,
        keep_yearly: section.keep_yearly,
        keep_within: section.keep_within_days.map(days),
    }
}

type Swept = (String, Result<SweepReport, Failure>);

/// Removes what is due here, and then in the copies: not there while a lock holds it here, or the next copy would bring it back.
async fn sweep_all(
    context: &Context,
    host: &Host,
    (repository, judgement): (&Repository, &Judgement),
    sweep: &Sweep<'_>,
    accept: &AcceptArgs,
) -> Result<Vec<Swept>, Failure> {
    let own = repository.sweep(judgement, sweep).await?;
    let refused = !own.refused.is_empty();
    let mut swept = vec![(repository.storage().address().to_owned(), Ok(own))];
    for copy in host.config.copies.iter().filter(|_| !refused && context.global.repo.is_none()) {
        let outcome = async {
            let (far, trust) = host.repository_at(&copy.url).await.map_err(Failure::from)?;
            let seen = host.copies_seen(far.id())?.get(&copy.url).map(|seen| seen.head);
            let judgement = far.judge(&trust, &survey::remembered(seen, &[], &[])).await?.accepting(&accept.accepted);
            far.sweep_copy(&judgement, sweep, repository).await.map_err(Failure::from)
        };
        swept.push((copy.url.clone(), outcome.await));
    }
    for (url, outcome) in &swept {
        match outcome {
            Err(failure) => context.output.warn(&format!("nothing was removed at {url}: {}", failure.message)),
            Ok(report) if !report.disagreed.is_empty() => {
                let files = report.disagreed.join(", ");
                context
                    .output
                    .warn(&format!("{url}: a record of another host removes snapshots that the rules keep: {files}"));
            }
            Ok(report) if !report.refused.is_empty() => {
                let files = plural(report.refused.len() as u64, "file");
                context
                    .output
                    .warn(&format!("{url} does not allow the removal of {files}, such as {}", report.refused[0]));
            }
            Ok(_) => {}
        }
    }
    Ok(swept)
}

async fn undo(
    context: &Context,
    host: &Host,
    repository: &Repository,
    trust: &Trust,
    wanted: &str,
    now: Timestamp,
) -> Result<Exit, Failure> {
    let undone = repository.undo_forget(trust, wanted, now, &host.signer()?).await?;
    let snapshots = undone.record.snapshots.len() as u64;
    context.output.result(&json!({ "undone": undone.name, "snapshots": snapshots }), || {
        format!("{} of record {} are no longer forgotten", plural(snapshots, "snapshot"), undone.name)
    });
    Ok(Exit::Complete)
}

fn print(context: &Context, (plan, going): (&RetentionPlan, &Going), made: &Orders, swept: &[Swept]) {
    let sweep = |(url, outcome): &Swept| match outcome {
        Ok(report) => json!({ "url": url, "ok": true, "report": report }),
        Err(failure) => json!({ "url": url, "ok": false, "error": failure.message }),
    };
    let shown = |each: &VerifiedForget| json!({ "name": each.name, "after": each.record.after, "snapshots": each.record.snapshots });
    let Orders { at_once: removed, later } = made;
    let value = json!({
        "plan": plan, "forgets": going.count(), "record": later.as_ref().map(shown), "at_once": removed.as_ref().map(shown),
        "swept": swept.iter().map(sweep).collect::<Vec<_>>(),
    });
    context.output.result(&value, || {
        let mut lines = Vec::new();
        if made.iter().next().is_none() {
            lines.push(text(plan, going));
        }
        if let Some(each) = removed {
            let count = plural(each.record.snapshots.len() as u64, "snapshot");
            lines.push(format!("{count} by events forgotten at once: later ones hold all their values"));
        }
        for (url, outcome) in swept {
            if let Ok(report) = outcome {
                let snapshots = plural(report.snapshots, "snapshot");
                lines.push(format!("{url}: {snapshots} and {} removed", plural(report.files, "file")));
            }
        }
        if let Some(each) = later {
            let (count, after) = (plural(each.record.snapshots.len() as u64, "snapshot"), each.record.after);
            lines.push(format!(
                "{count} forgotten; removed after {after}, until then `lifeboat forget --undo {}`",
                each.name
            ));
        }
        lines.join("\n")
    });
}

/// A table, or one for each source where there are several.
fn text(plan: &RetentionPlan, Going { at_once, later }: &Going) -> String {
    let row = |fate: &&Fate| {
        let (what, why) = if fate.is_kept() {
            ("keep", fate.reasons.join(", "))
        } else if at_once.contains(&fate.name) {
            ("FORGET at once", String::new())
        } else if later.contains(&fate.name) {
            ("FORGET", String::new())
        } else {
            ("keep", "held by a later one for less than an hour".into())
        };
        let state = if fate.complete { "complete" } else { "incomplete" };
        let state = if fate.pass { state.to_owned() } else { format!("{state}; by an event") };
        vec![fate.sequence.to_string(), fate.time.to_string(), state, what.into(), why]
    };
    let table = |fates: &[&Fate]| table(&["no", "time", "state", "", "why"], fates.iter().map(row).collect());
    let by_source = plan.by_source();
    if by_source.len() < 2 {
        return table(&plan.snapshots.iter().collect::<Vec<_>>());
    }
    let of = |(source, fates): (&Place, &Vec<&Fate>)| format!("source {}\n{}", source.short(), table(fates));
    by_source.iter().map(|(source, fates)| of((source, fates))).collect::<Vec<_>>().join("\n\n")
}
