//! `lifeboat drill run`

use std::{
    io::IsTerminal,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::json;

use super::{
    super::{
        Context, Exit, Failure, asked_to_stop,
        history::CompareArgs,
        output::plural,
        quorum::{self, ShareArgs},
        show::SourceArg,
        trail,
        watch::Watch,
    },
    hooks, place,
};
use crate::{
    app::Host,
    clock::{Clock, SystemClock},
    drill::{
        self, Approval, Digests, DrillFile, On, OpenedBy, Opening, Past, Record, Request, State, Trigger, Verdict,
        report,
    },
    fsutil::{self, Access, Existing},
    isolation::Isolation,
    model::Digest,
    provider::Address,
    repo::StoredDrill,
};

/// Restore into a sandbox, compare everything, test it, clean up, and write a signed record
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat drill run monthly                                   with drills/monthly.toml
  lifeboat drill run outage --target sandbox --share sheets/   in the embedded sandbox
  lifeboat drill run monthly --source 111111111111:eu-central-1
  AWS_PROFILE=sandbox lifeboat drill run --to aws:eu-west-1 --share sheets/

The embedded sandbox needs no account and costs nothing. Exit codes: 0 passed, 3 failed,
partial, out of time, or void because a planted fault was not caught, 4 the target is not a
sandbox, 130 interrupted and cleaned up.")]
pub(super) struct Args {
    /// The drill file, drills/NAME.toml beside the configuration
    #[arg(value_name = "NAME", required_unless_present_any = ["to", "target"])]
    name: Option<String>,
    /// Without a drill file: any region of an account that is not the source's, or another mount of a Vault
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["name", "target"])]
    to: Option<Address>,
    /// Use the embedded sandbox, or a break-glass server of this process, instead of the target in the drill file
    #[arg(long, value_enum, value_name = "WHERE")]
    target: Option<Where>,
    /// `latest` or the beginning of a snapshot's id, instead of the snapshot in the drill file
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    shares: ShareArgs,
    /// Who holds the drill, for the record (default: the user of this process)
    #[arg(long, value_name = "NAME", env = "LIFEBOAT_OPERATOR")]
    operator: Option<String>,
    /// Who approved the drill, not its operator, for the record (default: `approver` of the drill file)
    #[arg(long, value_name = "NAME", env = "LIFEBOAT_APPROVER")]
    approver: Option<String>,
    /// The ticket that tracks the drill and its findings, for the record (default: `ticket` of the drill file)
    #[arg(long, value_name = "TEXT")]
    ticket: Option<String>,
    /// A timer started the drill, for the record; the files of `drill schedule` set this
    #[arg(long)]
    scheduled: bool,
    /// Approve without a question
    #[arg(long)]
    yes: bool,
    /// Leave names of secrets out of the record and of every report
    #[arg(long)]
    redact_names: bool,
    /// Also write the report as one page that needs no network
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Also write the report as a PDF to print
    #[arg(long, value_name = "FILE")]
    pdf: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Where {
    /// A Secrets Manager of this process
    Sandbox,
    /// Nothing is restored: secrets are served, and a client reads them
    BreakGlass,
}

/// Opened keys, held while the drill lasts.
enum Opened {
    Quorum(quorum::Opened),
    DrillKey(crate::crypto::DrillKey, crate::crypto::IndexKey),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (file, digest) = described(&host, &args)?;
    let isolation = Arc::new(Isolation::new(host.lost(&file)?));
    Box::pin(prepare_and_hold(context, &host, &args, &file, digest, &isolation)).await
}

async fn prepare_and_hold(
    context: &Context,
    host: &Host,
    args: &Args,
    file: &DrillFile,
    digest: Option<Digest>,
    isolation: &Arc<Isolation>,
) -> Result<Exit, Failure> {
    place::prove(isolation).await?;
    let from = place::from(context, host, file, isolation).await?;
    let to = place::to(host, file, isolation).await?;
    let _lock = host.drill_lock(from.repository.id())?;
    trail::begin(context, &from.repository, &from.trust);
    let (signer, journal) = (host.signer()?, host.drill_journal(from.repository.id()));
    let watch = Watch::new(context.output.json);
    let remembered = place::remembered(context, host, &from, (&args.compare.compare, isolation)).await?;
    let request = Request {
        name: args.name.as_deref().unwrap_or_default(),
        file,
        digests: digests(context, host, file, digest),
        repository: &from.repository,
        is_copy: from.is_copy,
        trust: &from.trust,
        remembered: &remembered,
        expected: args.compare.expect_number,
        accepted: &args.compare.accept.accepted,
        target: Arc::clone(&to.connected.target),
        readback: Arc::clone(&to.connected.readback),
        allowed_accounts: &host.config.drill.accounts,
        canaries: &host.config.drill.canaries,
        isolation,
        signer: &signer,
        past: &from.past,
        plants: &drill::PLANTS,
        journal: Some(&journal),
        clock: &SystemClock,
        progress: &watch,
        before_verify: &|| {},
    };
    let ready = drill::preflight(&request).await?;
    ready.refuse_others()?;
    for sentence in ready.sentences() {
        context.output.note(&format!("  {}", crate::text::line(&sentence)));
    }
    let approval = approve(args, file).await?;
    let opened = open(context, host, args, &request).await?;
    tell(context, file, On::Start, &begins(&request)).await;
    let opening = opening(&opened);
    let outcome = Box::pin(drill::hold(&request, ready, approval, &opening, asked_to_stop())).await;
    watch.done();
    drop(opened);
    let outcome = outcome?;
    note(&outcome.record, &outcome.stored);
    let undelivered = place::deliver(&from).await;
    let file_faults = reports(host, args, file, &outcome.record, &outcome.stored, &from.past);
    if let Some(sandbox) = to.sandbox {
        sandbox.shutdown().await;
    }
    let exit = exit(&outcome.record);
    announce(context, &outcome.record, &outcome.stored);
    let event = if exit == Exit::Complete { On::Success } else { On::Failure };
    let message = json!({ "event": event, "text": summary(&outcome.record, &outcome.stored), "record": outcome.stored.name,
        "drill": outcome.record.plan.name, "result": outcome.record.result, "rto_seconds": outcome.record.rto_seconds });
    let unheard = tell(context, file, event, &message).await;
    let found = hooks::look(context, host, (&from, &remembered), &outcome.record).await;
    let faults: Vec<String> = undelivered.into_iter().chain(file_faults).chain(unheard).chain(found.faults()).collect();
    for fault in &faults {
        context.output.warn(fault);
    }
    let mut value =
        json!({ "record": outcome.record, "file": format!("drills/{}.json", outcome.stored.name), "faults": faults });
    if !found.is_empty() {
        value["hooks"] = json!(found);
    }
    if let Some(error) = outcome.error {
        context.output.note(&summary(&outcome.record, &outcome.stored));
        return Err(error.into());
    }
    context.output.result(&value, || summary(&outcome.record, &outcome.stored));
    Ok(if exit == Exit::Complete && !faults.is_empty() { Exit::Incomplete } else { exit })
}

/// The drill file, or one made of the command line; with what the command line says otherwise.
fn described(host: &Host, args: &Args) -> Result<(DrillFile, Option<Digest>), Failure> {
    let (mut file, digest) = match &args.name {
        Some(name) => {
            let known = host.drill_names();
            if !known.contains(name) {
                let failure = Failure::usage(format!(
                    "there is no drill file {}",
                    host.path(format!("drills/{name}.toml")).display()
                ));
                let hint = if known.is_empty() {
                    "docs/examples/drills has three examples".to_owned()
                } else {
                    format!("there are: {}", known.join(", "))
                };
                return Err(failure.hint(hint));
            }
            let (file, digest) = host.drill_file(name)?;
            (file, Some(digest))
        }
        None => (
            DrillFile::parse("scenario = \"everything is restored into a sandbox\"\n[target]\nsandbox = true")
                .expect("the text is a constant that parses"),
            None,
        ),
    };
    if let Some(to) = &args.to {
        file.target.sandbox = false;
        match to.region() {
            Some(region) => file.target.region = Some(region.to_owned()),
            None => file.target.url = Some(to.to_string()),
        }
    }
    if args.target == Some(Where::Sandbox) {
        let prefix = std::mem::take(&mut file.target.prefix);
        file.target = drill::TargetSection { sandbox: true, prefix, ..drill::TargetSection::default() };
    }
    if args.target == Some(Where::BreakGlass) {
        file.target = drill::TargetSection { kind: drill::TargetKind::BreakGlass, ..drill::TargetSection::default() };
    }
    match args.snapshot.as_deref() {
        None => {}
        Some("latest") => {
            let (from, source) = (file.snapshot.from.take(), file.snapshot.source.take());
            file.snapshot = drill::SnapshotSection { source, from, ..Default::default() };
        }
        Some(id) => {
            let (select, id, from) = (drill::Select::Id, Some(id.to_owned()), file.snapshot.from.take());
            file.snapshot = drill::SnapshotSection { select, id, from, ..Default::default() };
        }
    }
    if let Some(source) = &args.source.source {
        file.snapshot.source = Some(source.clone());
    }
    file.report.redact_names |= args.redact_names;
    Ok((file, digest))
}

fn digests(context: &Context, host: &Host, file: &DrillFile, digest: Option<Digest>) -> Digests {
    let of = |path: &Path| fsutil::read(path).ok().map(|bytes| Digest::of(&bytes));
    Digests {
        tool: std::env::current_exe().ok().and_then(|path| of(&path)),
        config: of(&context.global.config),
        file: digest,
        runbook: file.runbook.as_ref().and_then(|path| of(&host.path(path))),
    }
}

/// Asks whoever is at the terminal. Without a terminal the schedule that started the drill is its approval.
async fn approve(args: &Args, file: &DrillFile) -> Result<Approval, Failure> {
    let how = if args.yes {
        "--yes"
    } else if std::io::stdin().is_terminal() {
        quorum::confirm("This drill will be held.", false).await?;
        "prompt"
    } else {
        "unattended"
    };
    Ok(Approval {
        operator: operator(args),
        approver: args.approver.clone().or_else(|| file.approver.clone()),
        how: how.into(),
        trigger: if args.scheduled { Trigger::Scheduled } else { Trigger::ByHand },
        ticket: args.ticket.clone().or_else(|| file.ticket.clone()),
        time: SystemClock.now(),
    })
}

#[expect(clippy::disallowed_methods, reason = "the command line is where the environment is read")]
fn operator(args: &Args) -> String {
    let user = || std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).ok().filter(|user| !user.is_empty());
    args.operator.clone().or_else(user).unwrap_or_else(|| "the schedule".into())
}

async fn open(context: &Context, host: &Host, args: &Args, request: &Request<'_>) -> Result<Opened, Failure> {
    if request.file.open.by == OpenedBy::Quorum {
        return Ok(Opened::Quorum(quorum::open(context, request.repository, &args.shares).await?));
    }
    let key = host.drill_key()?.ok_or_else(|| {
        Failure::usage("this drill needs the drill key, but [drill] key is not set in the configuration")
            .hint("make one with `lifeboat drill key`, or set [open] by = \"quorum\"")
    })?;
    Ok(Opened::DrillKey(key, host.index_key()?))
}

fn opening(opened: &Opened) -> Opening<'_> {
    match opened {
        Opened::Quorum(opened) => Opening::Quorum { key: &opened.key, custodians: opened.present.clone() },
        Opened::DrillKey(key, index) => Opening::DrillKey { key, index },
    }
}

async fn tell(context: &Context, file: &DrillFile, on: On, summary: &serde_json::Value) -> Vec<String> {
    let faults = drill::tell(&file.notifiers, on, summary).await;
    if on == On::Start {
        for fault in &faults {
            context.output.warn(fault);
        }
    }
    faults
}

fn begins(request: &Request<'_>) -> serde_json::Value {
    json!({ "event": On::Start, "drill": request.name, "text": format!("restore drill {} begins", request.name) })
}

fn announce(context: &Context, record: &Record, stored: &StoredDrill) {
    for difference in &record.differences {
        let version = difference.version.as_deref().unwrap_or_default();
        context.output.warn(&format!("{} {version}: {} differs", difference.name, difference.what));
    }
    for reason in &record.not_restored {
        context.output.warn(&format!("not restored: {} ({})", reason.reason, reason.count));
    }
    for deviation in &record.deviations {
        context.output.warn(&format!("{}: {}", deviation.what, deviation.cause));
    }
    if record.result == Verdict::Void {
        context.output.note(&format!("drill {} proves nothing: a planted fault was not caught", stored.name));
    }
}

/// What it did, for the audit trail.
fn note(record: &Record, stored: &StoredDrill) {
    trail::snapshot(record.snapshot);
    trail::target(&record.target);
    trail::file(&format!("drills/{}.json", stored.name));
    trail::count("secrets_restored", record.sample.restored);
    trail::count("created", record.clean_up.created);
    trail::count("destroyed", record.clean_up.destroyed);
}

fn exit(record: &Record) -> Exit {
    if !record.clean_up.left_alone.is_empty() {
        return Exit::Refused;
    }
    match record.result {
        Verdict::Passed => Exit::Complete,
        Verdict::Failed | Verdict::Partial | Verdict::TimedOut | Verdict::Void => Exit::Incomplete,
        Verdict::Aborted => Exit::Interrupted,
    }
}

/// What a drill found, in a few lines.
pub(in crate::cli) fn summary(record: &Record, stored: &StoredDrill) -> String {
    let verdict = match record.result {
        Verdict::Passed => "passed".to_owned(),
        other => other.as_str().to_uppercase(),
    };
    let equal = |aspect| record.checks.iter().find(|check| check.name == aspect).map_or(0, |check| check.equal);
    let planted = |state| record.negative_controls.iter().filter(|control| control.state == state).count();
    let probes = record.probes.iter().filter(|probe| probe.state == State::Passed).count();
    let rto = match record.rto_seconds {
        Some(seconds) => format!("measured RTO {}", report::duration(seconds)),
        None => "no RTO was measured".to_owned(),
    };
    let served = record.served.as_ref().map_or_else(String::new, |served| {
        let first = served.first_secret_seconds.map_or_else(
            || "no secret was served".into(),
            |seconds| format!("the first secret after {}", report::duration(seconds)),
        );
        format!("\n{first}, all after {}", report::duration(served.all_seconds))
    });
    format!(
        "drill {verdict}: {}, {}, {} compared in {}; {} created and {} destroyed\n\
         {} of {} caught; {probes} of {} passed\n\
         {rto}, RPO {}{served}\nrecord drills/{}.json, signed",
        plural(record.sample.restored, "secret"),
        plural(equal(drill::Aspect::Ids), "version"),
        plural(equal(drill::Aspect::Values) + equal(drill::Aspect::Binary), "value"),
        record.target,
        record.clean_up.created,
        record.clean_up.destroyed,
        planted(State::Passed),
        plural((record.negative_controls.len() - planted(State::NotApplicable)) as u64, "planted fault"),
        plural(record.probes.len() as u64, "probe"),
        report::duration(record.rpo_seconds),
        stored.name,
    )
}

/// Writes the reports that drill file and command line ask for; what could not be written, in sentences.
fn reports(
    host: &Host,
    args: &Args,
    file: &DrillFile,
    record: &Record,
    stored: &StoredDrill,
    past: &[Past],
) -> Vec<String> {
    let named =
        |pattern: &Option<String>| pattern.as_ref().map(|text| host.path(text.replace("{drill}", &stored.name)));
    let wanted = [(named(&file.report.html), named(&file.report.pdf)), (args.html.clone(), args.pdf.clone())];
    let write = |(html, pdf): &(Option<PathBuf>, Option<PathBuf>)| {
        write_reports(record, past, html.as_deref(), pdf.as_deref()).err().map(|failure| failure.message)
    };
    wanted.iter().filter_map(write).collect()
}

/// Writes a report in the asked-for forms; folders are made.
pub(super) fn write_reports(
    record: &Record,
    past: &[Past],
    html: Option<&Path>,
    pdf: Option<&Path>,
) -> Result<(), Failure> {
    let write = |path: &Path, bytes: &[u8]| {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fsutil::create_folder(folder, Access::Public)?;
        }
        fsutil::write(path, bytes, Access::Public, Existing::Replace)
    };
    if let Some(path) = html {
        write(path, report::html(record, past).as_bytes())?;
    }
    if let Some(path) = pdf {
        let bytes = report::pdf(record, past).map_err(|error| Failure::new(Exit::Failed, error))?;
        write(path, &bytes)?;
    }
    Ok(())
}
