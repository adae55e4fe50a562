//! IAM policies of secrets: stored, and told in the version that is asked for.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::{
    answer::Refusal,
    request::{Request, Scope},
    state::State,
};

/// The etag of a policy that nobody has set.
const NONE: &str = "ACAB";

pub(super) fn get(state: &mut State, scope: &Scope, id: &str, request: &Request) -> Result<Json, Refusal> {
    let version = match request.text("options.requestedPolicyVersion") {
        None | Some("0" | "1") => 1,
        Some("3") => 3,
        Some(_) => return Err(Refusal::invalid("The requested policy version must be 0, 1 or 3.")),
    };
    let policy = state.secret(scope, id)?.policy.clone();
    let Some(mut policy) = policy else { return Ok(json!({ "etag": NONE })) };
    if version == 1 {
        for binding in policy["bindings"].as_array_mut().into_iter().flatten() {
            if let Some(condition) = binding.as_object_mut().and_then(|binding| binding.remove("condition")) {
                // Whoever does not ask for conditions must not take a binding for one without.
                let digest = hex::encode(Sha256::digest(condition.to_string()));
                let role = binding["role"].as_str().unwrap_or_default().to_owned();
                binding["role"] = format!("{role}_withcond_{}", &digest[..20]).into();
            }
        }
        policy["version"] = 1.into();
    }
    Ok(policy)
}

pub(super) fn set(state: &mut State, scope: &Scope, id: &str, request: &Request) -> Result<Json, Refusal> {
    let change = state.change();
    let secret = state.secret(scope, id)?;
    let mut policy =
        request.body.get("policy").cloned().ok_or_else(|| Refusal::invalid("Field [policy] is required."))?;
    let is = secret.policy.as_ref().and_then(|policy| policy["etag"].as_str()).unwrap_or(NONE);
    if policy["etag"].as_str().is_some_and(|given| !given.is_empty() && given != is) {
        let words =
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.";
        return Err(Refusal::aborted(words));
    }
    let bindings = policy["bindings"].as_array().cloned().unwrap_or_default();
    for binding in &bindings {
        let members = binding["members"].as_array();
        if !binding["role"].as_str().is_some_and(|role| role.contains("roles/"))
            || !members.is_some_and(|list| list.iter().all(is_member))
        {
            return Err(Refusal::invalid("A binding has no role, or a member of unknown type."));
        }
    }
    let is_conditional = bindings.iter().any(|binding| binding["condition"].is_object());
    if is_conditional && policy["version"] != json!(3) {
        return Err(Refusal::invalid("A policy with conditions needs the version 3."));
    }
    policy["version"] = if is_conditional { 3.into() } else { 1.into() };
    policy["etag"] = STANDARD.encode(change.to_be_bytes()).into();
    if bindings.is_empty() {
        secret.policy = None;
        return Ok(json!({ "etag": NONE }));
    }
    secret.policy = Some(policy.clone());
    Ok(policy)
}

fn is_member(member: &Json) -> bool {
    const KINDS: [&str; 8] =
        ["user", "group", "serviceAccount", "domain", "principal", "principalSet", "deleted", "projectOwner"];
    let text = member.as_str().unwrap_or_default();
    let kind = text.split(':').next().unwrap_or_default();
    matches!(text, "allUsers" | "allAuthenticatedUsers") || (KINDS.contains(&kind) && text.contains(':'))
}

/// Everybody may do everything here.
pub(super) fn test(state: &mut State, scope: &Scope, id: &str, request: &Request) -> Result<Json, Refusal> {
    state.secret(scope, id)?;
    Ok(json!({ "permissions": request.body.get("permissions").cloned().unwrap_or_else(|| json!([])) }))
}
