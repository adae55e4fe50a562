//! `lifeboat restore`

use std::time::Instant;

use serde_json::json;

use super::{
    Context, Exit, Failure,
    output::{plural, table},
    quorum::{self, ShareArgs},
    show,
    watch::Watch,
};
use crate::{
    config::ProviderAddress,
    crypto::Opener,
    provider::{
        Target,
        aws::{Aws, AwsSettings},
    },
    repo::Repository,
    restore::{self, Execution, Options, Outcome, Plan, Values, Verification},
    storage::Storage,
};

/// Restore into a region: plan, confirm, execute, verify
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat restore --repo /mnt/west/lifeboat --to aws:eu-west-1 --share ana.txt --share cy.txt --share eli.txt
  lifeboat restore --repo /mnt/west/lifeboat --to aws:eu-west-1 --share sheets/ --plan
  lifeboat restore --to aws:eu-west-1 --name 'orrange-p2p/*' --share sheets/ --yes

Needs no configuration file. Interrupted or failed, it is run again: what is there already is not written twice.")]
pub struct Args {
    /// Where to restore to
    #[arg(long, value_name = "aws:REGION")]
    to: ProviderAddress,
    /// `latest` or the beginning of a snapshot's id
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
    /// Only names that match, with `*` and `?` (repeat)
    #[arg(long = "name", value_name = "PATTERN")]
    names: Vec<String>,
    /// A key of the source and the target's key instead of it (repeat)
    #[arg(long = "kms-map", value_name = "OLD=NEW", value_parser = pair)]
    kms: Vec<(String, String)>,
    /// Allow the very account and region the secrets came from
    #[arg(long)]
    into_source: bool,
    /// Restore the rest although secrets of some names are there already
    #[arg(long)]
    skip_conflicts: bool,
    /// Show the plan and stop
    #[arg(long)]
    plan: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    shares: ShareArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let address = match &context.global.repo {
        Some(address) => address.clone(),
        None => context.host()?.config.repository.url,
    };
    let repository = Repository::open(Storage::open(&address)?).await?;
    let opened = quorum::open(context, &repository, &args.shares).await?;
    let manifest = show::find(&repository, &opened.trust, &args.snapshot).await?;
    let records = restore::records(&repository, &manifest, Opener::Recovery(&opened.key)).await?;
    let target = Aws::connect(AwsSettings::region(&args.to.region)).await?;
    let place = Target::place(&target).await?;
    let names = records.iter().map(|record| record.secret.name.clone()).collect();
    let existing = target.inventory(&names).await?;
    let options = Options { names: args.names, kms: args.kms.into_iter().collect(), allow_source: args.into_source };
    let plan = restore::make(&manifest, &records, &place, &existing, &options)?;
    if args.plan {
        context.output.result(&plan, || describe(&plan));
        return Ok(if plan.is_complete() { Exit::Complete } else { Exit::Incomplete });
    }
    context.output.note(&describe(&plan));
    refuse_conflicts(&plan, args.skip_conflicts)?;
    quorum::confirm(context, &format!("Restore into {}?", plan.target), args.yes)?;

    let started = Instant::now();
    let watch = Watch::new(context.output.json);
    let values = Values::new(&repository, &opened.key);
    let execution = restore::execute(&plan, &values, &target, &watch).await;
    let verification = match &execution {
        Ok(_) => restore::verify(&plan, &values, &target, &watch).await,
        Err(_) => Ok(Verification::default()),
    };
    watch.done();
    let (execution, verification) = (execution?, verification?);
    Ok(print(context, &plan, &execution, &verification, started.elapsed().as_secs_f64()))
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err("expected OLD=NEW".into()),
    }
}

fn refuse_conflicts(plan: &Plan, skip: bool) -> Result<(), Failure> {
    let conflicts: Vec<String> = plan
        .secrets
        .iter()
        .filter_map(|secret| match &secret.outcome {
            Outcome::Conflict(reason) => Some(format!("{}: {reason}", secret.desired.name)),
            _ => None,
        })
        .collect();
    if skip || conflicts.is_empty() {
        return Ok(());
    }
    let count = plural(conflicts.len() as u64, "conflict");
    Err(Failure::new(Exit::Refused, format!("{count} in the target, nothing was written: {}", conflicts.join("; ")))
        .hint("--skip-conflicts restores the rest"))
}

/// The plan as people read it: what happens to each secret, then what cannot come back, then notes.
pub(super) fn describe(plan: &Plan) -> String {
    let row = |secret: &restore::SecretPlan| {
        let what = match &secret.outcome {
            Outcome::Create => "create".to_owned(),
            Outcome::Complete => "complete".to_owned(),
            Outcome::Present => "there already".to_owned(),
            Outcome::Conflict(reason) => format!("CONFLICT: {reason}"),
            Outcome::LeftOut(reason) => format!("left out: {reason}"),
            Outcome::Impossible(reason) => format!("CANNOT: {reason}"),
        };
        let writes = secret.first.len() + secret.then.len();
        vec![secret.desired.name.clone(), secret.desired.versions.len().to_string(), writes.to_string(), what]
    };
    let mut text = format!(
        "Plan: snapshot {} of {} → {}\n{}",
        plan.snapshot.short(),
        plan.source,
        plan.target,
        table(&["secret", "versions", "writes", "what"], plan.secrets.iter().map(row).collect())
    );
    for secret in &plan.secrets {
        let name = &secret.desired.name;
        for lost in &secret.lost {
            text.push_str(&format!("\nnot restorable: {name} {}: {}", lost.what, lost.reason));
        }
        for note in &secret.notes {
            text.push_str(&format!("\nnote: {name}: {note}"));
        }
    }
    text
}

fn print(context: &Context, plan: &Plan, execution: &Execution, verification: &Verification, seconds: f64) -> Exit {
    for failed in &execution.failed {
        context.output.warn(&format!("{} is not whole: {}", failed.name, failed.reason));
    }
    for line in differences(verification) {
        context.output.warn(&line);
    }
    let complete = execution.failed.is_empty() && verification.passed() && plan.is_complete();
    let value = json!({
        "snapshot": plan.snapshot, "target": plan.target, "writes": execution.done, "failed": execution.failed,
        "verification": verification, "seconds": seconds, "complete": complete,
    });
    context.output.result(&value, || {
        let state = if complete { "restored and verified" } else { "INCOMPLETE" };
        format!("{}\n{state} in {seconds:.1} s", verified_table(verification))
    });
    if complete { Exit::Complete } else { Exit::Incomplete }
}

/// One line for each thing that is not as it was.
pub(super) fn differences(verification: &Verification) -> Vec<String> {
    let line = |difference: &restore::Difference| {
        let version = difference.version.as_ref().map(|id| format!(" version {id}")).unwrap_or_default();
        format!("{}{version}: {} differs: {}", difference.name, difference.what, difference.detail)
            .replace("missing differs: ", "is missing")
            .trim_end_matches(": ")
            .to_owned()
    };
    verification.differences.iter().map(line).collect()
}

/// What, how many, verified.
pub(super) fn verified_table(verification: &Verification) -> String {
    let wrong = |what: &[&str]| {
        verification.differences.iter().filter(|difference| what.contains(&difference.what)).count() as u64
    };
    let rows = [
        ("secrets", verification.secrets, wrong(&["missing", "unreadable"])),
        ("version ids", verification.versions, wrong(&["missing", "extra"])),
        ("values", verification.values, wrong(&["value"])),
        ("labels", verification.labels, wrong(&["labels"])),
        ("tags", verification.tags, wrong(&["tags"])),
        ("descriptions", verification.descriptions, wrong(&["description"])),
        ("policies", verification.policies, wrong(&["policy"])),
    ];
    let row = |(what, count, wrong): &(&str, u64, u64)| {
        let state = if *wrong == 0 { "all equal".to_owned() } else { format!("{wrong} DIFFER") };
        vec![(*what).to_owned(), count.to_string(), state]
    };
    table(&["what", "how many", "verified"], rows.iter().map(row).collect())
}
