//! From a request to its answer: faults, token, quota, method.

use serde_json::{Value as Json, json};

use super::{
    answer::{Refusal, numbered},
    faults::Verdict,
    iam,
    quotas::Bucket,
    request::{At, Raw, Request, Scope},
    secrets,
    state::{LOCATIONS, State, World, name},
    update, versions,
};

/// What becomes of a request.
pub(super) enum Outcome {
    Answered(u16, Json),
    /// The connection closes without an answer.
    Dropped,
}

/// Answers one request.
pub(super) fn answer(world: &World, raw: &Raw<'_>) -> Outcome {
    let verdict = world.faults.judge(raw.path);
    match &verdict {
        Verdict::Drop => return Outcome::Dropped,
        Verdict::Refuse(refusal) => return Outcome::Answered(refusal.code, refusal.body()),
        _ => {}
    }
    let (status, body) = match carried_out(world, raw) {
        Ok(body) => (200, body),
        Err(refusal) => (refusal.code, refusal.body()),
    };
    if matches!(verdict, Verdict::DropAfter) { Outcome::Dropped } else { Outcome::Answered(status, body) }
}

fn carried_out(world: &World, raw: &Raw<'_>) -> Result<Json, Refusal> {
    let request = Request::read(raw)?;
    let mut state = world.state();
    let now = world.now();
    state.tick(now);
    if state.token.as_ref().is_some_and(|token| token != raw.token) {
        return Err(Refusal::unauthenticated());
    }
    let (bucket, named) = counted(&request);
    *state.calls.entry(named.to_owned()).or_default() += 1;
    let mut body = dispatch(&mut state, &request, bucket, now)?;
    if request.wants_numbers() {
        numbered(&mut body);
    }
    Ok(body)
}

fn dispatch(state: &mut State, request: &Request, bucket: Bucket, now: jiff::Timestamp) -> Result<Json, Refusal> {
    let scope = match &request.at {
        At::Project(project) => return Ok(project_of(state, project)),
        At::Locations(project) => return locations(state, project, request),
        At::Location(project, location) => {
            let number = state.number(project);
            return match LOCATIONS.iter().find(|known| *known == location) {
                Some(known) => Ok(location_of(&number, known)),
                None => Err(Refusal::missing("Location", &format!("projects/{number}/locations/{location}"))),
            };
        }
        At::Secrets(scope) | At::Secret(scope, _) | At::Versions(scope, _) | At::Version(scope, ..) => {
            state.settled(scope)?
        }
    };
    count(state, &scope, request, bucket, now)?;
    match (&request.at, request.method.as_str(), request.verb.as_deref()) {
        (At::Secrets(_), "GET", None) => secrets::list(state, &scope, request),
        (At::Secrets(_), "POST", None) => secrets::create(state, &scope, request, now),
        (At::Secret(_, id), "GET", None) => Ok(state.secret(&scope, id)?.json(&scope, id)),
        (At::Secret(_, id), "PATCH", None) => update::patch(state, &scope, id, request, now),
        (At::Secret(_, id), "DELETE", None) => secrets::delete(state, &scope, id, request),
        (At::Secret(_, id), "POST", Some("addVersion")) => versions::add(state, &scope, id, request, now),
        (At::Secret(_, id), "GET", Some("getIamPolicy")) => iam::get(state, &scope, id, request),
        (At::Secret(_, id), "POST", Some("setIamPolicy")) => iam::set(state, &scope, id, request),
        (At::Secret(_, id), "POST", Some("testIamPermissions")) => iam::test(state, &scope, id, request),
        (At::Secret(..), "POST", Some("enableManagedRotation" | "rotateSecret")) => Err(Refusal::unimplemented()),
        (At::Versions(_, id), "GET", None) => versions::list(state, &scope, id, request),
        (At::Version(_, id, version), "GET", None) => versions::get(state, &scope, (id, version)),
        (At::Version(_, id, version), "GET", Some("access")) => versions::access(state, &scope, (id, version)),
        (At::Version(_, id, version), "POST", Some(verb @ ("enable" | "disable" | "destroy"))) => {
            versions::turn(state, &scope, (id, version, verb), request, now)
        }
        _ => Err(Refusal::unknown()),
    }
}

fn count(
    state: &mut State,
    scope: &Scope,
    request: &Request,
    bucket: Bucket,
    now: jiff::Timestamp,
) -> Result<(), Refusal> {
    let changed = match &request.at {
        At::Secret(_, id) | At::Version(_, id, _) if bucket == Bucket::Write && scope.location.is_none() => {
            Some(name(scope, id))
        }
        _ => None,
    };
    state.quotas.take(&scope.project, bucket, changed.as_deref(), now)
}

/// The quota that a request counts against, and what it is counted as.
fn counted(request: &Request) -> (Bucket, &'static str) {
    match (&request.at, request.method.as_str(), request.verb.as_deref()) {
        (At::Project(_), ..) => (Bucket::Free, "project"),
        (At::Locations(_) | At::Location(..), ..) => (Bucket::Read, "locations"),
        (At::Secrets(_), "GET", _) => (Bucket::Read, "secrets.list"),
        (At::Secrets(_), ..) => (Bucket::Write, "secrets.create"),
        (At::Secret(..), "GET", Some(_)) => (Bucket::Read, "secrets.getIamPolicy"),
        (At::Secret(..), "GET", None) => (Bucket::Read, "secrets.get"),
        (At::Secret(..), "PATCH", _) => (Bucket::Write, "secrets.patch"),
        (At::Secret(..), "DELETE", _) => (Bucket::Write, "secrets.delete"),
        (At::Secret(..), _, Some("addVersion")) => (Bucket::Write, "secrets.addVersion"),
        (At::Secret(..), _, Some("setIamPolicy")) => (Bucket::Write, "secrets.setIamPolicy"),
        (At::Secret(..), ..) => (Bucket::Read, "secrets.testIamPermissions"),
        (At::Versions(..), ..) => (Bucket::Read, "versions.list"),
        (At::Version(..), "GET", Some(_)) => (Bucket::Access, "versions.access"),
        (At::Version(..), "GET", None) => (Bucket::Read, "versions.get"),
        (At::Version(..), _, Some("enable")) => (Bucket::Write, "versions.enable"),
        (At::Version(..), _, Some("disable")) => (Bucket::Write, "versions.disable"),
        (At::Version(..), ..) => (Bucket::Write, "versions.destroy"),
    }
}

fn project_of(state: &mut State, project: &str) -> Json {
    let number = state.number(project);
    let id = state.projects.get(&number).cloned().unwrap_or_else(|| format!("project-{number}"));
    json!({ "name": format!("projects/{number}"), "projectId": id, "displayName": id, "state": "ACTIVE" })
}

fn locations(state: &mut State, project: &str, request: &Request) -> Result<Json, Refusal> {
    let number = state.number(project);
    let named = (1..).zip(LOCATIONS.iter().rev()).map(|(order, location)| (order, location_of(&number, location)));
    let mut found: Vec<(u64, Json)> = named.collect();
    found.reverse();
    let mut answer = secrets::page("locations", found, request, false)?;
    if let Some(answer) = answer.as_object_mut() {
        answer.remove("totalSize");
    }
    Ok(answer)
}

fn location_of(number: &str, location: &str) -> Json {
    json!({ "name": format!("projects/{number}/locations/{location}"), "locationId": location })
}
