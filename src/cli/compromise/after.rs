//! The hooks of an answer to a compromise: consumers take the new values before the old ones are revoked.

use std::collections::BTreeSet;

use serde_json::json;

use super::super::{Context, Exit, Failure, hooks, output::plural};
use crate::{
    app::Host,
    clock::{Clock, SystemClock, to_seconds},
    compromise::{Item, Journal as Rotated, Plan},
    config::Occasion,
    hooks::{Given, Hook, Journal, Report, Standing, region_of},
};

/// Where the hooks of a plan act. The region of its secrets counts where there is one.
pub(super) fn hooks(plan: &Plan) -> Result<Vec<Hook>, Failure> {
    let places: BTreeSet<_> = plan.secrets.iter().map(|item| &item.place).collect();
    let only = places.first().filter(|_| places.len() == 1);
    Ok(Hook::all(&plan.after, Occasion::Compromise, only.and_then(|place| region_of(place)))?)
}

/// The host whose hooks they are: those of the plan are the ones that were approved, and a file changed by hand starts nothing.
pub(super) fn host(context: &Context, plan: &Plan) -> Result<Option<Host>, Failure> {
    if plan.after.is_empty() {
        return Ok(None);
    }
    let host = if context.global.config.exists() { Some(context.host()?) } else { None };
    match host.filter(|host| hooks::configured(host, Occasion::Compromise) == plan.after) {
        Some(host) => Ok(Some(host)),
        None => Err(Failure::new(Exit::Refused, "the hooks in the plan are not those of the configuration")
            .hint("make a new plan with `lifeboat compromise plan`, or use --no-hooks")),
    }
}

/// Runs each hook of which every secret is rotated; the others wait for them.
pub(super) async fn run(
    context: &Context,
    (host, plan): (&Host, &Plan),
    rotated: &Rotated,
) -> Result<Vec<Report>, Failure> {
    let hooks = hooks(plan)?;
    let mut journal = Journal::open(&host.hooks_path(plan.repository), plan.digest())?;
    let now = to_seconds(SystemClock.now());
    for hook in &hooks {
        let name = &hook.section.name;
        if journal.standing(name) == Standing::Idle && plan.secrets.iter().any(|item| hook.is_about(&item.name)) {
            journal.due(name, now)?;
        }
    }
    let is_left = |item: &&Item| rotated.find(&item.id).is_none();
    let waits = |hook: &Hook| {
        let left = plan.secrets.iter().filter(|item| hook.is_about(&item.name)).filter(is_left).count();
        (left > 0).then(|| format!("{} that it is about: not rotated yet", plural(left as u64, "secret")))
    };
    let names = |take: &mut dyn FnMut(&str)| -> Result<(), String> {
        plan.secrets.iter().filter(|item| rotated.find(&item.id).is_some()).for_each(|item| take(&item.name));
        Ok(())
    };
    // A rotation gives no secret another identifier.
    let moves = |_: &mut dyn FnMut(&str, &str)| -> Result<(), String> { Ok(()) };
    let places: BTreeSet<_> = plan.secrets.iter().map(|item| &item.place).collect();
    let accounts: BTreeSet<_> = places.iter().map(|place| &place.account).collect();
    let variables = hooks::variables();
    let given = Given {
        occasion: Occasion::Compromise.as_str(),
        time: now,
        about: json!({ "occasion": Occasion::Compromise, "plan": plan.digest(), "places": places }),
        names: &names,
        moves: &moves,
        waits: &waits,
        account: accounts.first().filter(|_| accounts.len() == 1).map(|account| account.as_str()),
        variables: &variables,
        scratch: &host.scratch(),
    };
    Ok(hooks::run(context, &hooks, &given, &mut journal).await)
}
