//! The Resource Manager, as far as rights go: a vault with its access policies, the role assignments that reach it, and the
//! definitions of a few roles.

use serde_json::{Value as Json, json};

use super::{
    answer::Answer,
    route::Raw,
    state::{State, World},
};

/// Where every vault of a sandbox is.
const GROUP: &str = "/subscriptions/00000000-0000-4000-8000-000000000001/resourceGroups/sandbox";
/// Assignments of one page, so that few make several.
const PAGE: usize = 2;
/// Roles by the id of their definition.
/// <https://learn.microsoft.com/azure/role-based-access-control/built-in-roles/security>.
const ROLES: [(&str, &str); 4] = [
    ("4633458b-17de-408a-b874-0445c86b69e6", "Key Vault Secrets User"),
    ("b86a8fe4-44ce-4948-aee5-eccb2c155cd7", "Key Vault Secrets Officer"),
    ("00482a5a-887f-4fb3-b363-3b7fe8e74483", "Key Vault Administrator"),
    ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", "Owner"),
];

/// The rights of a vault.
#[derive(Default)]
pub(super) struct Rights {
    /// Where there are any, they count and not roles.
    pub(super) policies: Vec<Json>,
    /// Scope, principal and the name of a role.
    pub(super) assignments: Vec<[String; 3]>,
}

/// The id of a vault's resource.
pub(super) fn resource(vault: &str) -> String {
    format!("{GROUP}/providers/Microsoft.KeyVault/vaults/{vault}")
}

/// Answers a request below `/subscriptions/`.
pub(super) fn answer(world: &World, raw: &Raw<'_>) -> Answer {
    let (mut state, now) = (world.state(), world.now());
    let is_for_managers = state.tokens.get(raw.token).is_some_and(|token| token.for_manager && token.ends > now);
    if !is_for_managers {
        return Answer::error(401, "InvalidAuthenticationToken", "The access token is invalid.");
    }
    if !raw.query.contains("api-version=") {
        return Answer::error(400, "MissingApiVersionParameter", "The api-version query parameter is required.");
    }
    *state.calls.entry(format!("{} rights", raw.method)).or_default() += 1;
    if raw.method != "GET" {
        return Answer::error(405, "MethodNotAllowed", "only reading is played here");
    }
    let path = raw.path.trim_end_matches('/');
    if let Some(id) = path.split_once("/providers/Microsoft.Authorization/roleDefinitions/").map(|(_, id)| id) {
        return role(path, id);
    }
    let (vault, rest) = match path.strip_prefix(&resource("")) {
        Some(rest) => rest.split_once('/').unwrap_or((rest, "")),
        None => return missing(path),
    };
    let skip = raw.query.split('&').find_map(|pair| pair.strip_prefix("$skiptoken=")?.parse().ok()).unwrap_or_default();
    match rest {
        "" => shown(world, &state, vault),
        "providers/Microsoft.Authorization/roleAssignments" => assignments(world, &state, (vault, path), skip),
        _ => missing(path),
    }
}

fn missing(path: &str) -> Answer {
    Answer::error(404, "ResourceNotFound", &format!("The Resource '{path}' was not found."))
}

fn shown(world: &World, state: &State, vault: &str) -> Answer {
    let Some(found) = state.vaults.get(vault) else { return missing(vault) };
    let policies = &found.rights.policies;
    Answer::json(
        200,
        &json!({
            "id": resource(vault), "name": vault, "type": "Microsoft.KeyVault/vaults", "location": "westeurope", "tags": {},
            "properties": {
                "sku": { "family": "A", "name": "standard" }, "tenantId": found.tenant,
                "vaultUri": format!("{}/", world.vault(vault)), "enableRbacAuthorization": policies.is_empty(),
                "accessPolicies": policies, "enableSoftDelete": true
            }
        }),
    )
}

fn assignments(world: &World, state: &State, (vault, path): (&str, &str), skip: usize) -> Answer {
    let all = state.vaults.get(vault).map(|found| found.rights.assignments.as_slice()).unwrap_or_default();
    let one = |(at, [scope, principal, role]): (usize, &[String; 3])| {
        let role = ROLES.iter().find(|(_, name)| name == role).map_or(role.as_str(), |(id, _)| *id);
        let name = format!("00000000-0000-4000-9000-{at:012}");
        json!({
            "id": format!("{scope}/providers/Microsoft.Authorization/roleAssignments/{name}"), "name": name,
            "type": "Microsoft.Authorization/roleAssignments",
            "properties": {
                "roleDefinitionId": format!("{GROUP}/providers/Microsoft.Authorization/roleDefinitions/{role}")
                    .replace("/resourceGroups/sandbox", ""),
                "principalId": principal, "principalType": "ServicePrincipal", "scope": scope,
                "createdOn": "2026-01-01T00:00:00.0000000Z", "updatedOn": "2026-01-01T00:00:00.0000000Z"
            }
        })
    };
    let page: Vec<Json> = all.iter().enumerate().skip(skip).take(PAGE).map(one).collect();
    let mut body = json!({ "value": page });
    if skip + PAGE < all.len() {
        let next = skip + PAGE;
        let base = world.manager();
        body["nextLink"] = json!(format!("{base}{path}?api-version=2022-04-01&$skiptoken={next}"));
    }
    Answer::json(200, &body)
}

fn role(path: &str, id: &str) -> Answer {
    let Some((_, name)) = ROLES.iter().find(|(known, _)| *known == id) else { return missing(path) };
    let properties = json!({ "roleName": name, "type": "BuiltInRole", "permissions": [], "assignableScopes": ["/"] });
    let of =
        json!({ "id": path, "name": id, "type": "Microsoft.Authorization/roleDefinitions", "properties": properties });
    Answer::json(200, &of)
}
