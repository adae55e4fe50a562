//! `lifeboat compromise verify`

use std::{path::PathBuf, time::Duration};

use serde_json::json;

use super::{
    super::{
        Context, Exit, Failure,
        history::{self, AcceptArgs},
        trail,
    },
    Rotators, read_plan, readers, view,
};
use crate::{
    clock::{Clock, SystemClock, to_seconds},
    compromise::{Finding, Proof, Proven, prove},
};

/// Prove that a compromise is over: every secret of the plan has a newer version, and the old value no longer works
///
/// The report is signed, its names are sealed, and it is stored in the repository beside the drills.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat compromise verify plan.json
  lifeboat compromise verify plan.json --json

A probe is a command of the playbook that tries the old value: it ends with 0 if that no longer
works and with 1 if it still does. Without a probe a secret is not proven.

Exit codes: 0 everything is proven, 3 something is not.")]
pub struct Args {
    /// The plan, as `compromise plan --out` wrote it
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Seconds that a probe may take
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    timeout: u64,
    #[command(flatten)]
    accept: AcceptArgs,
}

pub(in super::super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let plan = read_plan(&args.plan, repository.id())?;
    trail::begin(context, &repository, &trust);
    let judgement = repository.judge(&trust, &history::of_host(context, &repository)?).await?;
    let judgement = judgement.accepting(&args.accept.accepted);
    judgement.for_copying()?;
    let (index, signer) = (host.index_key()?, host.signer()?);
    let mut rotators = Rotators::default();
    let mut secrets = Vec::new();
    for item in &plan.secrets {
        let proven = match rotators.of(&item.place).await? {
            Some(rotator) => prove(&plan, item, &*rotator, Duration::from_secs(args.timeout)).await?,
            None => Proven {
                place: item.place.clone(),
                name: item.name.clone(),
                id: item.id.clone(),
                version: None,
                created: None,
                result: Finding::ProbeFailed("this build cannot look at secrets of its kind".into()),
            },
        };
        secrets.push(proven);
    }
    let proof = Proof { plan: plan.digest(), scope: plan.asked.scope.clone(), since: plan.asked.since, secrets };
    let proven = proof.secrets.iter().filter(|one| one.result == Finding::Proven).count() as u64;
    let counts = (proof.plan, proof.secrets.len() as u64, proven);
    let report = serde_json::to_vec(&proof).expect("a report is plain data");
    let (readers, now) = (readers(&trust, &judgement, &index), to_seconds(SystemClock.now()));
    let file = repository.put_response(&trust, counts, &report, &readers, (now, &signer)).await?;
    trail::file(&file);
    trail::count("secrets", proof.secrets.len() as u64);
    trail::count("proven", proven);
    let value = json!({ "record": file, "passed": proof.passed(), "proof": proof });
    context.output.result(&value, || view::proof(&proof, &file));
    Ok(if proof.passed() { Exit::Complete } else { Exit::Incomplete })
}
