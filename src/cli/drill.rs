//! `lifeboat drill`

use serde_json::json;

use super::{
    Context, Exit, Failure,
    output::table,
    quorum::{self, ShareArgs},
    show,
    watch::Watch,
};
use crate::{
    clock::SystemClock,
    config::ProviderAddress,
    crypto::{self, Namespace},
    drill::{self, Record, Request, Verdict},
    model::Digest,
    provider::aws::{Aws, AwsSettings},
    repo::{Repository, StoredDrill, Trust},
};

/// Restore drills: into a sandbox account, compared, cleaned up, signed
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Run(RunArgs),
    List(ListArgs),
    Show(ShowArgs),
    Verify(VerifyArgs),
}

/// Restore into another account, compare everything, clean up, and leave a signed record
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  AWS_PROFILE=sandbox lifeboat drill run --to aws:eu-west-1 --share sheets/")]
struct RunArgs {
    /// The sandbox: any region of an account that is not the source's
    #[arg(long, value_name = "aws:REGION")]
    to: ProviderAddress,
    /// `latest` or the beginning of a snapshot's id
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
    #[command(flatten)]
    shares: ShareArgs,
}

/// List the drill records
#[derive(Debug, clap::Args)]
struct ListArgs {}

/// Print one drill record
#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// `latest` or the beginning of a record's name
    #[arg(default_value = "latest")]
    drill: String,
}

/// Check the signature and the chain of every drill record
#[derive(Debug, clap::Args)]
struct VerifyArgs {}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Run(args) => drill(context, args).await,
        Action::List(_) | Action::Verify(_) => list(context).await,
        Action::Show(args) => show_one(context, &args.drill).await,
    }
}

async fn drill(context: &Context, args: RunArgs) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (repository, _) = context.repository(&host).await?;
    let signer = host.signer()?;
    let opened = quorum::open(context, &repository, &args.shares).await?;
    let manifest = show::find(&repository, &opened.trust, &args.snapshot).await?;
    let target = Aws::connect(AwsSettings::region(&args.to.region)).await?;
    let watch = Watch::new(context.output.json);
    let outcome = drill::run(&Request {
        repository: &repository,
        manifest: &manifest,
        key: &opened.key,
        sheets: opened.sheets,
        target: &target,
        readback: &target,
        signer: &signer,
        clock: &SystemClock,
        progress: &watch,
        before_verify: &|| {},
    })
    .await;
    watch.done();
    let (record, stored) = outcome?;
    for difference in &record.differences {
        context.output.warn(&format!(
            "{} {}: {} differs",
            difference.name,
            difference.version.as_deref().unwrap_or_default(),
            difference.what
        ));
    }
    for reason in &record.not_restored {
        context.output.warn(&format!("not restored: {} ({})", reason.reason, reason.secrets));
    }
    context.output.result(&json!({ "record": record, "file": format!("drills/{}.json", stored.name) }), || {
        summary(&record, &stored)
    });
    Ok(if record.result == Verdict::Passed { Exit::Complete } else { Exit::Incomplete })
}

/// What a drill found, in a few lines.
pub(super) fn summary(record: &Record, stored: &StoredDrill) -> String {
    let verdict = if record.result == Verdict::Passed { "passed" } else { "FAILED" };
    format!(
        "drill {verdict}: {} secrets, {} versions, {} values compared in {}; {} created and {} destroyed\n\
         measured RTO {:.1} s, RPO {:.0} s\nrecord drills/{}.json, signed",
        record.compared.secrets,
        record.compared.versions,
        record.compared.values,
        record.target,
        record.clean_up.created,
        record.clean_up.destroyed,
        record.rto_seconds,
        record.rpo_seconds,
        stored.name,
    )
}

/// One record: what it says, and what is wrong with its signature or its place in the chain.
pub(super) struct Judged {
    pub(super) stored: StoredDrill,
    pub(super) record: Option<Record>,
    pub(super) fault: Option<String>,
}

async fn judged(context: &Context) -> Result<Vec<Judged>, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    judged_in(&repository, &trust).await
}

/// Every drill record of one storage, oldest first.
pub(super) async fn judged_in(repository: &Repository, trust: &Trust) -> Result<Vec<Judged>, Failure> {
    let mut previous = None;
    let mut all = Vec::new();
    for stored in repository.drills().await? {
        let record: Option<Record> = serde_json::from_slice(&stored.bytes).ok();
        let fault = fault(&stored, record.as_ref(), previous, trust);
        previous = Some(Digest::of(&stored.bytes));
        all.push(Judged { stored, record, fault });
    }
    Ok(all)
}

fn fault(stored: &StoredDrill, record: Option<&Record>, previous: Option<Digest>, trust: &Trust) -> Option<String> {
    let Some(record) = record else { return Some("not a drill record".into()) };
    if !trust.epochs().iter().any(|epoch| trust.allows(epoch.number, &record.signer)) {
        return Some("signed by a key that may not sign".into());
    }
    if let Err(error) = crypto::verify(&record.signer, Namespace::Drill, &stored.bytes, &stored.signature) {
        return Some(error.to_string());
    }
    (record.previous != previous).then(|| "the record before it was removed or replaced".into())
}

async fn list(context: &Context) -> Result<Exit, Failure> {
    let drills = judged(context).await?;
    let value = json!({ "drills": drills.iter().map(|judged| json!({
        "name": judged.stored.name, "record": judged.record, "fault": judged.fault,
    })).collect::<Vec<_>>() });
    context.output.result(&value, || {
        let row = |judged: &Judged| {
            let mut row = vec![judged.stored.name.clone()];
            row.extend(judged.record.as_ref().map_or_else(Vec::new, |record| {
                vec![
                    format!("{:?}", record.result).to_lowercase(),
                    record.compared.values.to_string(),
                    format!("{:.1} s", record.rto_seconds),
                ]
            }));
            row.resize(4, String::new());
            row.push(judged.fault.clone().unwrap_or_else(|| "verified".into()));
            row
        };
        table(&["drill", "result", "values", "RTO", "signature"], drills.iter().map(row).collect())
    });
    let good = drills.iter().all(|judged| judged.fault.is_none());
    Ok(if good { Exit::Complete } else { Exit::Refused })
}

async fn show_one(context: &Context, wanted: &str) -> Result<Exit, Failure> {
    let drills = judged(context).await?;
    let found = match wanted {
        "latest" => drills.last(),
        name => drills.iter().find(|judged| judged.stored.name.starts_with(name)),
    };
    let Some(judged) = found else {
        return Err(Failure::usage(format!("there is no drill {wanted}")).hint("`lifeboat drill list` shows them"));
    };
    if let Some(fault) = &judged.fault {
        context.output.warn(&format!("{}: {fault}", judged.stored.name));
    }
    context.output.raw(&judged.stored.bytes);
    Ok(if judged.fault.is_none() { Exit::Complete } else { Exit::Refused })
}
