//! `lifeboat compromise`

mod after;
mod mark;
mod plan;
mod run;
mod verify;
mod view;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use super::{Context, Exit, Failure};
use crate::{
    compromise::{NoPlan, Plan},
    crypto::{IndexKey, Recipient},
    fsutil,
    model::{Place, RepositoryId},
    provider::{self, Rotator},
    repo::{Judgement, Trust},
};

/// Answer a compromise: mark leaked versions, plan, rotate, prove
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Mark(mark::Args),
    Plan(Box<plan::Args>),
    Run(run::Args),
    Verify(verify::Args),
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    match args.action {
        Action::Mark(args) => Box::pin(mark::run(context, args)).await,
        Action::Plan(args) => Box::pin(plan::run(context, *args)).await,
        Action::Run(args) => Box::pin(run::run(context, args)).await,
        Action::Verify(args) => Box::pin(verify::run(context, args)).await,
    }
}

/// Names that a scope means: `*` and `?`; a trailing `/` means everything below.
fn patterns(scope: &[String]) -> Vec<String> {
    scope.iter().map(|one| if one.ends_with('/') { format!("{one}*") } else { one.clone() }).collect()
}

/// Everybody who may ever read names that a record keeps sealed: all recovery keys, this host, and the keys of drills.
pub(super) fn readers(trust: &Trust, judgement: &Judgement, index: &IndexKey) -> Vec<Recipient> {
    let recovery = trust.epochs().iter().rev().map(|epoch| epoch.recipient.clone());
    let newest = judgement.chain().newest().into_values();
    let seals = newest.flat_map(|found| &found.manifest().seals).map(|seal| seal.recipient.clone());
    let mut readers: Vec<Recipient> = Vec::new();
    for reader in recovery.chain([index.recipient()]).chain(seals) {
        if !readers.contains(&reader) {
            readers.push(reader);
        }
    }
    readers
}

/// A plan file of this repository.
fn read_plan(path: &Path, repository: RepositoryId) -> Result<Plan, Failure> {
    Plan::parse(&fsutil::read(path)?, repository).map_err(Failure::from)
}

impl From<NoPlan> for Failure {
    fn from(error: NoPlan) -> Self {
        let message = error.to_string();
        match error {
            NoPlan::NothingMatches(_) => Self::usage(message).hint("`lifeboat show` lists the names"),
            NoPlan::Unreadable(_) => Self::usage(message).hint("make it with `lifeboat compromise plan --out FILE`"),
            NoPlan::OtherRepository(_) => {
                Self::new(Exit::Refused, message).hint("use the configuration of that repository")
            }
        }
    }
}

/// Connections to the places of a plan, each proven to be the place that the plan names.
#[derive(Default)]
struct Rotators {
    known: BTreeMap<Place, Option<Arc<dyn Rotator>>>,
}

impl Rotators {
    /// What rotates and looks at a place; `None` where its kind has no such call.
    async fn of(&mut self, place: &Place) -> Result<Option<Arc<dyn Rotator>>, Failure> {
        if let Some(known) = self.known.get(place) {
            return Ok(known.clone());
        }
        let rotator = provider::rotator(place).await?;
        if let Some(rotator) = &rotator {
            let found = rotator.place().await?;
            if found != *place {
                let message = format!("the plan is for {place}, the credentials are for {found}");
                return Err(Failure::new(Exit::Refused, message).hint("use the credentials of that account"));
            }
        }
        self.known.insert(place.clone(), rotator.clone());
        Ok(rotator)
    }
}
