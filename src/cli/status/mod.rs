//! `lifeboat status`

mod sources;

use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{
    Context, Exit, Failure, envelope, list,
    output::{plural, table},
    survey::{self, CopyView},
};
use crate::{
    app::{DriftSeen, Host},
    clock::{Clock, SystemClock, to_seconds},
    config::StatusSection,
    custody,
    drill::{self, Past, Verdict},
    fsutil::{self, Access, Existing},
    model::RepositoryId,
    repo::{Chain, Fault, History, Repository, StoredDrill, Trust},
    status::{self, Canaries, Copy, CopyHead, Drifted, Drill, Facts, Finding, Limits, Newest, OfSource, span},
};

/// Show the state of the backup: newest snapshot, history, copies, drills, sheets
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat status
  lifeboat status --json
  lifeboat status --prometheus /var/lib/node_exporter/lifeboat.prom
  lifeboat status --emf
  lifeboat status --metric-data | aws cloudwatch put-metric-data --cli-input-json file:///dev/stdin

Needs no secret key. Exit codes: 0 all is well, 3 something is late, incomplete or due,
4 the history was tampered with, 6 files are damaged. The [status] section of the configuration
sets the limits for age.")]
pub struct Args {
    /// Also write a file for Prometheus' text file collector, replaced in one step
    #[arg(long, value_name = "FILE")]
    prometheus: Option<PathBuf>,
    /// Print one line of CloudWatch's embedded metric format and nothing else on standard output
    #[arg(long, conflicts_with = "json")]
    emf: bool,
    /// Print the input of CloudWatch's PutMetricData and nothing else on standard output
    #[arg(long, conflicts_with_all = ["json", "emf"])]
    metric_data: bool,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let now = to_seconds(SystemClock.now());
    let facts = match gather(context, now).await {
        Ok(facts) => facts,
        Err(failure) => {
            // Whoever watches the file must see that nothing is known.
            write(args.prometheus.as_deref(), &status::unknown(failure.exit as u8, now))?;
            return Err(failure);
        }
    };
    let limits = limits(&context.host()?.config.status);
    let findings = status::judge(&facts, &limits, now);
    let exit = exit(&findings, now);
    write(args.prometheus.as_deref(), &status::metrics(&facts, exit as u8, now))?;
    if context.output.json {
        for found in &findings {
            envelope::finding(json!(found));
        }
    }
    if args.emf {
        context.output.artefact(&format!("{}\n", status::emf(&facts, now)));
        return Ok(exit);
    }
    if args.metric_data {
        context.output.artefact(&format!("{}\n", status::metric_data(&facts, now)));
        return Ok(exit);
    }
    let value = json!({ "time": now, "facts": facts });
    context.output.result(&value, || screen(&facts, &findings, now));
    Ok(exit)
}

fn limits(section: &StatusSection) -> Limits {
    Limits {
        snapshot: SignedDuration::from_hours(section.snapshot_hours.into()),
        copy: SignedDuration::from_hours(section.copy_hours.into()),
        drill: SignedDuration::from_hours(24 * i64::from(section.drill_days)),
        reading: SignedDuration::from_hours(24 * i64::from(section.reading_days)),
        drift: SignedDuration::from_hours(section.drift_hours.into()),
    }
}

/// What is not due yet informs.
fn exit(findings: &[Finding], now: Timestamp) -> Exit {
    Exit::of(findings.iter().filter(|found| found.is_due(now)).map(|found| found.severity).max())
}

fn write(path: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = path else { return Ok(()) };
    Ok(fsutil::write(path, text.as_bytes(), Access::Public, Existing::Replace)?)
}

async fn gather(context: &Context, now: Timestamp) -> Result<Facts, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let (history, copies) = futures::join!(repository.recent_history(&trust), survey::copies(&host, repository.id()));
    let (History { chain, drills: mut stored }, copies) = (history?, copies?);
    if context.global.repo.is_none() {
        stored.extend(drills_of(context, &copies));
    }
    let drills = drill::as_of(drill::judge(stored, &trust), now);
    let remembered = survey::remembered(host.witness(repository.id())?, &copies, &drills);
    host.see_forgotten(repository.id(), &chain.records, now)?;
    let judgement = repository.judge_chain(&trust, chain, &remembered).await?;
    let chain = judgement.chain();
    let (newest, sources) = sources::newest(&host.config.sources, chain);
    let (sheets, sheet_faults) = sheets(&repository, &trust, now).await?;
    let cut = cut_trail(context, &host, &repository).await?;
    Ok(Facts {
        repository: repository.id(),
        address: repository.storage().address().to_owned(),
        snapshot: newest,
        drilled: sources::drilled(&host.config.sources, chain, &drills),
        sources,
        born: trust.born(),
        canaries: canaries(&host, &drills),
        snapshots: chain.count(),
        history: judgement.faults().iter().filter(|fault| fault.severity().is_some()).cloned().chain(cut).collect(),
        drill_faults: drills.iter().filter_map(Past::as_fault).collect(),
        sheet_faults,
        pending: chain.pending().into_iter().map(|(each, count)| list::pending(&trust, each, count)).collect(),
        witnesses: remembered.len() as u64,
        copies: copies.iter().map(|copy| of_copy(copy, chain)).collect(),
        drill: newest_drill(&drills),
        missed_drills: missed_drills(&host, &drills, trust.born(), now)?,
        sheets: sheets.0,
        due: sheets.1,
        next_proof: sheets.2,
        drifts: drifts(&host, repository.id())?,
        running: running(&host, &repository)?,
    })
}

/// The records that copies hold; a copy that does not answer is said and left out.
fn drills_of(context: &Context, copies: &[CopyView]) -> Vec<StoredDrill> {
    for copy in copies {
        if let Err(error) = &copy.chain {
            context.output.note(&format!("the copy at {} was not read: {error}", copy.section.url));
        }
    }
    copies.iter().flat_map(|copy| copy.drills.clone()).collect()
}

/// Whether the newest entry of this host's audit trail is gone: one request. `lifeboat audit verify` judges the whole trail.
async fn cut_trail(context: &Context, host: &Host, repository: &Repository) -> Result<Option<Fault>, Failure> {
    match host.audit_head(repository.id())? {
        Some((chain, head, _)) if context.global.repo.is_none() => Ok(repository.cut_note(&chain, &head).await?),
        _ => Ok(None),
    }
}

/// What this host found when it last compared each standby place.
fn drifts(host: &Host, repository: RepositoryId) -> Result<Vec<Drifted>, Failure> {
    let seen = host.drifts(repository)?.into_iter();
    let of = |DriftSeen { to, source, time, compared, lacking, .. }| Drifted { to, source, time, compared, lacking };
    Ok(seen.map(of).collect())
}

fn running(host: &Host, repository: &Repository) -> Result<bool, Failure> {
    Ok(host.is_running(repository.id())?)
}

/// How many sheets are in force, whose are due, and when the next one will be.
async fn sheets(
    repository: &Repository,
    trust: &Trust,
    now: Timestamp,
) -> Result<((u64, Vec<String>, Option<Timestamp>), Vec<Fault>), Failure> {
    let attestations = repository.attestations(trust).await?.as_of(now);
    let entries = custody::entries(trust.epochs(), &attestations.verified, now);
    let current: Vec<_> = entries.iter().filter(|entry| entry.current).collect();
    let due = current.iter().filter(|entry| entry.is_due).map(|entry| entry.custodian.clone()).collect();
    let next = current.iter().filter(|entry| !entry.is_due).filter_map(|entry| entry.due).min();
    Ok(((current.len() as u64, due, next), attestations.faults))
}

fn of_copy(view: &CopyView, chain: &Chain) -> Copy {
    let newest = view.head();
    let faults = view.faults();
    let error = match &view.chain {
        Err(error) => Some(error.clone()),
        Ok(_) => faults.first().map(ToString::to_string),
    };
    let held = newest.map_or(0, |newest| newest.head.sequence);
    Copy {
        url: view.section.url.clone(),
        region: view.section.region.clone(),
        newest: newest.map(|newest| CopyHead { sequence: newest.head.sequence, time: newest.time }),
        behind: chain.newer_than(held),
        locked_until: view.locked_until,
        in_clear: view.in_clear.clone(),
        error,
        fault: faults.iter().map(|fault| fault.kind).max_by_key(|kind| kind.severity()),
    }
}

/// Drills that the drill key opened, where canaries are configured.
fn canaries(host: &Host, drills: &[Past]) -> Option<Canaries> {
    let section = &host.config.drill;
    let configured = section.recipient.is_some() && (section.full || !section.canaries.is_empty());
    let passed =
        |past: &&Past| past.verified().is_some_and(|facts| facts.result == Verdict::Passed && facts.needs_nobody());
    let last = drills.iter().rev().find(passed).and_then(|past| past.verified()?.started());
    configured.then(|| Canaries { last_passed: last.map(to_seconds) })
}

/// Turns without a drill, for each drill file, since its first day; what the file explains does not count.
fn missed_drills(host: &Host, drills: &[Past], born: Timestamp, now: Timestamp) -> Result<Vec<String>, Failure> {
    let mut missed = Vec::new();
    for name in host.drill_names() {
        let (file, _) = host.drill_plan(&name)?;
        let own = drills.iter().filter_map(Past::verified).filter(|facts| facts.plan() == name);
        let held: Vec<Timestamp> = own.filter_map(drill::Facts::started).collect();
        let Some(rhythm) = drill::Rhythm::of(&file, born) else { continue };
        let turns = drill::missed(rhythm, now, &held);
        let unexplained = turns.into_iter().filter(|turn| !file.missed.contains_key(&turn.name));
        missed.extend(unexplained.map(|turn| format!("{name} in {}", turn.name)));
    }
    Ok(missed)
}

/// The newest record that verifies; one that does not proves nothing.
fn newest_drill(drills: &[Past]) -> Option<Drill> {
    let verified: Vec<_> = drills.iter().filter_map(|past| Some((&past.stored.name, past.verified()?))).collect();
    let passed = |facts: &drill::Facts| facts.result == Verdict::Passed;
    let began = |facts: &drill::Facts| facts.started().map(to_seconds);
    let (name, newest) = verified.last()?;
    Some(Drill {
        name: (*name).clone(),
        time: began(newest)?,
        passed: passed(newest),
        rto_seconds: newest.rto_seconds,
        last_passed: verified.iter().rev().find(|(_, facts)| passed(facts)).and_then(|(_, facts)| began(facts)),
    })
}

fn screen(facts: &Facts, findings: &[Finding], now: Timestamp) -> String {
    let mut rows = vec![vec!["repository".into(), format!("{} at {}", facts.repository.short(), facts.address)]];
    if facts.sources.is_empty() {
        rows.push(vec!["snapshot".into(), snapshot_line(facts.snapshot.as_ref(), now)]);
    }
    for OfSource { source, newest } in &facts.sources {
        rows.push(vec![format!("snapshot of {source}"), snapshot_line(newest.as_ref(), now)]);
    }
    rows.push(vec!["history".into(), history_line(facts)]);
    rows.extend(facts.copies.iter().map(|copy| vec!["copy".into(), copy_line(copy, now)]));
    rows.push(vec!["drill".into(), drill_line(facts.drill.as_ref(), now)]);
    rows.extend(facts.drifts.iter().map(|drifted| vec!["standby".into(), drift_line(drifted, now)]));
    rows.push(vec!["sheets".into(), sheets_line(facts)]);
    rows.push(vec!["run".into(), if facts.running { "in progress now" } else { "none in progress" }.into()]);
    let mut text = table(&["what", "state"], rows);
    let (due, later): (Vec<&Finding>, Vec<&Finding>) = findings.iter().partition(|found| found.is_due(now));
    match due.len() as u64 {
        0 if later.is_empty() => text.push_str("\n\nall is well"),
        0 => text.push_str("\n\nnothing is late"),
        count => text.push_str(&format!("\n\n{} to check:", plural(count, "thing"))),
    }
    for found in due {
        text.push_str(&format!("\n  {}: {}", found.subject, found.text));
    }
    for found in later {
        text.push_str(&format!("\n  later: {}: {}", found.subject, found.text));
    }
    for words in &facts.pending {
        text.push_str(&format!("\n  removal: {words}"));
    }
    text
}

fn snapshot_line(newest: Option<&Newest>, now: Timestamp) -> String {
    let Some(newest) = newest else { return "none yet".into() };
    let counts = &newest.counts;
    let state = if newest.is_complete() { "complete" } else { "INCOMPLETE" };
    let oldest =
        newest.oldest_reading.map(|oldest| format!("; oldest reading {} ago", span(now.duration_since(oldest))));
    let pass = if newest.pass == newest.time {
        String::new()
    } else {
        format!(" (complete pass {} ago)", span(now.duration_since(newest.pass)))
    };
    format!(
        "number {}, {} old{pass}, {state}: {} of {}, {}{}",
        newest.sequence,
        span(now.duration_since(newest.time)),
        counts.captured,
        plural(counts.listed - counts.excluded.min(counts.listed), "secret"),
        plural(counts.versions, "version"),
        oldest.unwrap_or_default(),
    )
}

fn history_line(facts: &Facts) -> String {
    let snapshots = plural(facts.snapshots, "snapshot");
    match facts.history.len() as u64 {
        0 => format!("{snapshots}, whole; agrees with {} kept outside", plural(facts.witnesses, "head")),
        count => format!("{snapshots}, {} WRONG", plural(count, "thing")),
    }
}

fn copy_line(copy: &Copy, now: Timestamp) -> String {
    let region = copy.region.as_ref().map(|region| format!(" ({region})")).unwrap_or_default();
    let age = |newest: CopyHead| span(now.duration_since(newest.time));
    let state = match (copy.error.is_some(), copy.newest, copy.behind) {
        (true, Some(newest), _) => format!("UNREACHABLE, last seen at number {}", newest.sequence),
        (true, None, _) => "UNREACHABLE".into(),
        (false, None, _) => "empty".into(),
        (false, Some(_), 0) => "up to date".into(),
        (false, Some(newest), behind) => format!("{} behind, {} old", plural(behind, "snapshot"), age(newest)),
    };
    format!("{state}: {}{region}", copy.url)
}

fn drill_line(drill: Option<&Drill>, now: Timestamp) -> String {
    let Some(drill) = drill else { return "none yet".into() };
    let verdict = if drill.passed { "passed" } else { "FAILED" };
    let rto = drill.rto_seconds.map_or("no RTO was measured".to_owned(), |rto| format!("measured RTO {rto:.1} s"));
    format!("{verdict} {} ago, {rto}", span(now.duration_since(drill.time)))
}

fn drift_line(drifted: &Drifted, now: Timestamp) -> String {
    let Drifted { to, source, time, compared, lacking } = drifted;
    let in_step = compared.saturating_sub(*lacking);
    let age = span(now.duration_since(*time));
    format!("{to}: {in_step} of {} of {source} in step, {age} ago", plural(*compared, "secret"))
}

fn sheets_line(facts: &Facts) -> String {
    let next = facts.next_proof.map(|time| format!(", the next on {}", time.strftime("%Y-%m-%d")));
    format!("{} in force, {} due{}", facts.sheets, facts.due.len(), next.unwrap_or_default())
}
