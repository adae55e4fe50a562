//! `lifeboat break-glass serve`

use std::{net::SocketAddr, path::PathBuf, pin::pin, sync::Arc, time::Instant};

use jiff::SignedDuration;
use serde::Serialize;

use super::{
    LISTEN,
    keep::{self, Keeper},
    overdue::{self, Pass},
    parse_duration, socket,
};
use crate::{
    cli::{
        Context, Exit, Failure, asked_to_stop, envelope,
        history::{self, CompareArgs, Reach},
        output::plural,
        quorum::{self, ShareArgs},
        show::{SourceArg, Trusted},
        streams, trail,
    },
    clock::{Clock, SystemClock, to_seconds},
    crypto::{self, Signer},
    glass::{self, Moment},
    repo::{Chosen, Judgement, OpenIndex, Repository, Trust},
    serve::{self, Certificate, Estate, Options, Packs, Served, Server, StartError},
    status::span,
    storage::Storage,
};

/// Bytes that index files may take which were asked for, packed as they are: about a gigabyte of records.
const INDEX_ROOM: usize = 96 << 20;

/// Answer as AWS Secrets Manager, from the newest snapshot of every source, until ^C
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat break-glass serve --repo 's3://copies/lifeboat?region=eu-west-1' \\
      --share ana.txt --share cy.txt --share eli.txt
  lifeboat break-glass serve --repo /mnt/west/lifeboat --max-staleness 48h

In another terminal, for each application:
  lifeboat break-glass grant web --secrets 'app/*' --for 4h

It only reads, and answers nobody without a grant. Every request is in the audit log before it is
answered: when that log cannot be written, it stops. At the end the log is stored in the repository,
sealed, and so are logs that a crash left on this machine.")]
pub(super) struct Args {
    /// `latest`, of every source, or the beginning of a snapshot's id, which is then served alone
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
    #[command(flatten)]
    source: SourceArg,
    /// The address; other than loopback it needs --tls-cert and --tls-key; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = LISTEN)]
    listen: SocketAddr,
    /// The certificate of the server and those above it, PEM
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// A name that clients use for this server, beside the address (repeat)
    #[arg(long = "host", value_name = "NAME")]
    hosts: Vec<String>,
    /// Refuse snapshots older than this, at the start and later, such as 48h
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_staleness: Option<SignedDuration>,
    /// The socket for `break-glass grant` (default: $XDG_RUNTIME_DIR/lifeboat/break-glass.sock)
    #[arg(long, value_name = "FILE")]
    socket: Option<PathBuf>,
    /// The new file of the audit log (default: below $XDG_STATE_HOME/lifeboat/break-glass)
    #[arg(long, value_name = "FILE")]
    audit: Option<PathBuf>,
    /// Counts for Prometheus at http://ADDRESS/metrics, on loopback
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<SocketAddr>,
    /// Connections that may be open at the same time
    #[arg(long, value_name = "NUMBER", default_value_t = 1_000)]
    max_connections: usize,
    #[command(flatten)]
    compare: CompareArgs,
    #[command(flatten)]
    shares: ShareArgs,
}

/// What is served, as `--json` shows it.
#[derive(Serialize)]
struct Started<'a> {
    endpoint: String,
    metrics: Option<String>,
    socket: String,
    audit: String,
    secrets: u64,
    snapshots: &'a [Served],
    seconds: f64,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    // What arrives from here on counts: nobody can be left with a server that cannot be stopped.
    let stop = asked_to_stop();
    let mut stop = pin!(stop);
    let ready = async {
        let options = options(&args)?;
        let (socket, audit) = (options.socket.clone().unwrap_or_default(), options.audit.clone());
        let (server, keeper, began) = start(context, &args, options).await?;
        Ok::<_, Failure>((server, keeper, socket, audit, began))
    };
    let (server, keeper, socket, audit, began) = tokio::select! {
        ready = ready => ready?,
        () = &mut stop => return Err(crate::cli::terminal::interrupted()),
    };
    show(context, &server, (&socket, &audit), began);
    if streams::is_lost() {
        let _ = server.stop().await;
        keeper.keep(context, &audit).await;
        return Ok(Exit::Complete);
    }
    let mut pass = Pass::begin(Arc::clone(server.estate()))?;
    let mut is_readable = true;
    let look = async {
        let found = pass.found().await;
        is_readable = found.is_ok();
        overdue::tell(context, &found);
        std::future::pending::<()>().await;
    };
    let failed = tokio::select! {
        reason = server.failed() => Some(reason),
        () = &mut stop => None,
        () = look => None,
    };
    pass.stop().await;
    let ended = server.stop().await;
    let reason = match (failed, ended) {
        (None, Ok(lines)) => {
            let lines = plural(lines, "line");
            context.output.note(&format!("stopped; the audit log has {lines}: {}", audit.display()));
            let (stored, is_whole) = keeper.keep(context, &audit).await;
            note(&audit, stored.as_deref());
            return Ok(if is_whole && is_readable { Exit::Complete } else { Exit::Incomplete });
        }
        (Some(reason), _) => reason,
        (None, Err(error)) => error.to_string(),
    };
    Err(Failure::new(Exit::Failed, format!("the audit log cannot be written, so nothing is served: {reason}"))
        .hint("make room or use --audit FILE on another disk, start again, and give the grants again"))
}

/// What was served, for the audit trail: the log itself names applications and secrets, and is sealed.
fn note(audit: &std::path::Path, stored: Option<&str>) {
    stored.into_iter().for_each(trail::file);
    if let Ok(report) = keep::read(audit) {
        trail::count("applications", report.consumers.len() as u64);
        trail::count("secrets_served", report.rotate.len() as u64);
    }
}

/// What can be refused before anybody looks for a sheet.
fn options(args: &Args) -> Result<Options, Failure> {
    let tls = args.tls_cert.clone().zip(args.tls_key.clone());
    if tls.is_none() && !args.listen.ip().is_loopback() {
        return Err(StartError::NeedsTls(args.listen).into());
    }
    let audit = match &args.audit {
        Some(file) if file.exists() => {
            let message = format!("{} is there already; an audit log is never overwritten", file.display());
            return Err(Failure::new(Exit::Refused, message).hint("use --audit with the name of a new file"));
        }
        Some(file) => file.clone(),
        None => default_audit()?,
    };
    Ok(Options {
        listen: args.listen,
        names: args.hosts.clone(),
        tls,
        metrics: args.metrics,
        socket: Some(socket(args.socket.clone())?),
        audit,
        most_stale: args.max_staleness,
        most_connections: args.max_connections.max(1),
        clock: Arc::new(SystemClock),
    })
}

/// A new file for this start. It outlives the session of the user, which the folder of the socket does not.
fn default_audit() -> Result<PathBuf, Failure> {
    let folder = keep::folder().ok_or_else(|| {
        Failure::usage("neither XDG_STATE_HOME nor HOME is set, so there is no folder for the audit log")
            .hint("use --audit FILE")
    })?;
    crate::fsutil::create_folder(&folder, crate::fsutil::Access::Private)?;
    let time = to_seconds(SystemClock.now()).to_string().replace(':', "");
    Ok(folder.join(format!("{time}-{}.jsonl", std::process::id())))
}

async fn start(context: &Context, args: &Args, options: Options) -> Result<(Server, Keeper, Instant), Failure> {
    let repository = Repository::open(Storage::open(&context.address()?)?).await?;
    let opened = quorum::open(context, &repository, &args.shares).await?;
    let began = Instant::now();
    if !crypto::lock_memory() {
        context
            .output
            .warn("the memory for values could not be locked (ulimit -l): it may be written to the swap space");
    }
    let trusted = Trusted::Quorum(repository, Box::new(opened));
    let is_newest = Reach::of(&args.snapshot);
    let judgement = history::judge(context, trusted.repository(), trusted.trust(), &args.compare, is_newest).await?;
    let chosen = choose(context, &judgement, trusted.trust(), args)?;
    for each in &chosen {
        history::tell(context, each);
        refuse_stale(args, each)?;
        trusted.opener(each)?;
    }
    let Trusted::Quorum(repository, opened) = trusted else {
        return Err(Failure::usage("break-glass needs a quorum"));
    };
    let (session, present) = (Signer::generate(), (SystemClock.now(), opened.present.clone()));
    let certificate = Certificate::issue(&opened.key, repository.id(), &session, present);
    let keeper = Keeper::with_root(context, &repository, &opened.key, &opened.trust);
    let key = Arc::new(opened.key);
    let index = Arc::new(OpenIndex::new(repository.clone(), Arc::clone(&key), INDEX_ROOM));
    let mut estate = Estate::default();
    for each in &chosen {
        match index.snapshot(each).await {
            Ok(snapshot) => estate.look_up(snapshot),
            Err(error) => return Err(history::or_forgotten(&repository, &opened.trust, each, error.into()).await),
        }
    }
    let values = Packs::new(repository, key);
    let server = Server::start(options, estate, Box::new(values), (session, certificate)).await?;
    Ok((server, keeper, began))
}

/// The newest snapshot of every source that is meant, or the one that is named. What other sheets open is named and left out.
fn choose(context: &Context, judgement: &Judgement, trust: &Trust, args: &Args) -> Result<Vec<Chosen>, Failure> {
    let is_latest = args.snapshot == "latest";
    let moment = if is_latest { Moment::Newest } else { Moment::Snapshot(args.snapshot.clone()) };
    let chosen = glass::Estate::choose(judgement, trust, &moment, args.source.source.as_ref())?;
    for closed in chosen.closed() {
        context.output.warn(&format!(
            "{} is not served: its snapshot number {} is sealed to the key of epoch {}, which other sheets hold",
            closed.place, closed.number, closed.epoch
        ));
    }
    if chosen.snapshots().is_empty() {
        return Err(Failure::new(Exit::NoQuorum, "these sheets open no snapshot that is asked for")
            .hint("use the sheets of the epoch that the warnings name"));
    }
    Ok(chosen.snapshots().to_vec())
}

fn refuse_stale(args: &Args, chosen: &Chosen) -> Result<(), Failure> {
    let manifest = chosen.manifest();
    let age = SystemClock.now().duration_since(manifest.time);
    match args.max_staleness {
        Some(most) if age > most => {
            let (id, source, age, most) = (manifest.snapshot.short(), &manifest.source, span(age), span(most));
            let message = format!("snapshot {id} of {source} is {age} old, more than --max-staleness {most} allows");
            Err(Failure::new(Exit::Refused, message)
                .hint("a copy may have a newer one (--repo); without --max-staleness any age is served"))
        }
        _ => Ok(()),
    }
}

fn show(context: &Context, server: &Server, (socket, audit): (&PathBuf, &PathBuf), began: Instant) {
    let estate = server.estate();
    let (snapshots, seconds) = (serve::served(estate), began.elapsed().as_secs_f64());
    let metrics = server.metrics().map(|address| format!("http://{address}/metrics"));
    let started = Started {
        endpoint: server.endpoint().to_owned(),
        metrics: metrics.clone(),
        socket: socket.display().to_string(),
        audit: audit.display().to_string(),
        secrets: estate.count(),
        snapshots: &snapshots,
        seconds,
    };
    context.output.result(&started, || {
        let mut text =
            format!("endpoint  {}\nsocket    {}\naudit     {}", started.endpoint, started.socket, started.audit);
        if let Some(metrics) = &metrics {
            text.push_str(&format!("\nmetrics   {metrics}"));
        }
        text
    });
    if context.output.json {
        envelope::send();
    }
    let what = format!("{} of {}", plural(estate.count(), "secret"), plural(snapshots.len() as u64, "snapshot"));
    context.output.note(&format!(
        "serving {what}, {seconds:.3} s after the last sheet; nobody can read anything until `lifeboat break-glass grant`; ^C stops it"
    ));
}
