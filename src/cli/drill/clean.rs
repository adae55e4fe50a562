//! `lifeboat drill clean`

use std::sync::Arc;

use serde_json::json;

use super::{
    super::{Context, Exit, Failure, history::CompareArgs, output::plural, show::SourceArg, trail, watch::Watch},
    place,
};
use crate::{
    app::Host,
    clock::SystemClock,
    crypto::Opener,
    drill::{self, Digests, DrillFile, Request},
    isolation::Isolation,
};

/// Remove what drills of this host left in a sandbox, and name what has no proof of its drill
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat drill clean monthly

A drill does the same before it begins. It destroys only what a drill created. The proof is the
identifier in the journal, or a mark that only this host's signer can make, with the time of
creation and the ids of the versions.

Exit code 4: a secret has a drill's tag or name, but no proof that a drill of this host made it.
Lifeboat does not change it.")]
pub(super) struct Args {
    /// The drill file, drills/NAME.toml beside the configuration; its target is cleaned
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    source: SourceArg,
    #[command(flatten)]
    compare: CompareArgs,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    let host = context.host()?;
    let (mut file, _) = host.drill_plan(&args.name)?;
    if let Some(source) = &args.source.source {
        file.snapshot.source = Some(source.clone());
    }
    if file.target.sandbox {
        return Err(Failure::usage("the embedded sandbox ends with its drill, so there is nothing to clean"));
    }
    let isolation = Arc::new(Isolation::new(host.lost(&file)?));
    Box::pin(clean(context, &host, &args, &file, &isolation)).await
}

async fn clean(
    context: &Context,
    host: &Host,
    args: &Args,
    file: &DrillFile,
    isolation: &Arc<Isolation>,
) -> Result<Exit, Failure> {
    place::prove(isolation).await?;
    let from = place::from(context, host, file, isolation).await?;
    let to = place::to(host, file, isolation).await?;
    let _lock = host.drill_lock(from.repository.id())?;
    trail::begin(context, &from.repository, &from.trust);
    let (signer, journal, index) = (host.signer()?, host.drill_journal(from.repository.id()), host.index_key()?);
    let watch = Watch::new(context.output.json);
    let remembered = place::remembered(context, host, &from, (&args.compare.compare, isolation)).await?;
    let request = Request {
        name: &args.name,
        file,
        digests: Digests::default(),
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
        plants: &[],
        journal: Some(&journal),
        clock: &SystemClock,
        progress: &watch,
        before_verify: &|| {},
    };
    let ready = drill::preflight(&request).await?;
    let cleaned = Box::pin(drill::clean(&request, ready, Opener::Index(&index))).await;
    watch.done();
    let cleaned = cleaned?;
    trail::count("destroyed", cleaned.removed);
    let undelivered = place::deliver(&from).await;
    for fault in &undelivered {
        context.output.warn(fault);
    }
    for (name, why) in &cleaned.left_alone {
        context.output.warn(&format!("{name} is left alone: {why}"));
    }
    let aborted = cleaned.aborted.as_ref().map(|stored| &stored.name);
    let value = json!({ "removed": cleaned.removed, "left_alone": cleaned.left_alone, "aborted": aborted });
    context.output.result(&value, || format!("{} removed", plural(cleaned.removed, "secret")));
    Ok(match (cleaned.left_alone.is_empty(), undelivered.is_empty()) {
        (false, _) => Exit::Refused,
        (true, false) => Exit::Incomplete,
        (true, true) => Exit::Complete,
    })
}
