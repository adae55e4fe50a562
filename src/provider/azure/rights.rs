//! Who may do what with the secrets of a vault: its role assignments and access policies, as the Resource Manager of the cloud tells
//! them.
//!
//! Rights belong to the vault and not to a secret. A snapshot keeps with each secret those that reach it; no restore grants them,
//! and the plan names them. <https://learn.microsoft.com/rest/api/authorization/role-assignments/list-for-scope>,
//! <https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/get>.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::{
    AzureAddress,
    client::{About, Client},
    credentials::Token,
    listing::of_server,
};
use crate::{
    model::{Part, Secret, Unreadable},
    provider::{BAD_SETTING, ErrorKind, Finding, ProviderError, ops::State},
};

/// The versions of the interfaces that are spoken.
const VAULTS: &str = "2023-07-01";
const ASSIGNMENTS: &str = "2022-04-01";
/// Pages of one listing: far more than assignments that Azure allows.
const MOST_PAGES: usize = 1_000;
/// Whom the plan names one by one.
const NAMED: usize = 5;

/// A vault as the Resource Manager knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    manager: Url,
    /// `/subscriptions/…/vaults/NAME`, as it was written.
    id: String,
}

/// What was found, or why it could not be read.
pub(super) enum Rights {
    Known(Found),
    Unread(Unreadable),
}

/// The rights of one vault.
pub(super) struct Found {
    /// In small letters.
    id: String,
    policies: Vec<Policy>,
    /// With the scope in small letters.
    assignments: Vec<(String, Assignment)>,
}

/// What is kept with a secret.
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kept {
    access_policies: Vec<Policy>,
    role_assignments: Vec<Assignment>,
}

/// An access policy of the vault, where it has these and not roles.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct Policy {
    object_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    application_id: Option<String>,
    #[serde(default)]
    permissions: Permissions,
}

#[derive(Clone, Default, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(default)]
struct Permissions {
    secrets: Vec<String>,
}

/// A role of somebody at the vault, at a secret, or above.
#[derive(Clone, Serialize, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "camelCase")]
struct Assignment {
    scope: String,
    principal_id: String,
    #[serde(default)]
    principal_type: String,
    role_definition_id: String,
    /// The role's own name; it is not in the answer.
    #[serde(default)]
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    value: Vec<Properties<Assignment>>,
    #[serde(default)]
    next_link: Option<String>,
}

#[derive(Deserialize)]
struct Properties<T> {
    properties: T,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VaultProperties {
    vault_uri: String,
    #[serde(default)]
    enable_rbac_authorization: bool,
    #[serde(default)]
    access_policies: Vec<Policy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RoleProperties {
    role_name: String,
}

impl Resource {
    /// Understands the id of a vault's resource, behind the address of a Resource Manager where the cloud is none of Microsoft's.
    pub(super) fn parse(text: &str, address: &AzureAddress) -> Result<Self, &'static str> {
        let (manager, id) = match text.strip_prefix("https://").and_then(|rest| rest.find('/')) {
            Some(slash) => {
                let (manager, id) = text.split_at("https://".len() + slash);
                (Url::parse(manager).map_err(|_| "it has no address of a Resource Manager")?, id)
            }
            None => (
                address.manager().ok_or("it needs the address of the Resource Manager in front: https://HOST/…")?,
                text,
            ),
        };
        let segments: Vec<&str> = id.split('/').collect();
        let is = |at: usize, word: &str| segments[at].eq_ignore_ascii_case(word);
        let is_vault = segments.len() == 9
            && segments[0].is_empty()
            && is(1, "subscriptions")
            && is(3, "resourceGroups")
            && is(5, "providers")
            && is(6, "Microsoft.KeyVault")
            && is(7, "vaults")
            && [2, 4, 8].iter().all(|at| is_word(segments[*at]));
        if !is_vault {
            return Err("it is not /subscriptions/…/resourceGroups/…/providers/Microsoft.KeyVault/vaults/NAME");
        }
        Ok(Self { manager, id: id.to_owned() })
    }

    /// Reads the rights. What is refused is told with each secret, as any part of it that cannot be read.
    ///
    /// # Errors
    /// The resource is another vault's.
    pub(super) async fn rights(&self, client: &Client) -> Result<Rights, ProviderError> {
        match self.read(client).await {
            Ok(found) => Ok(Rights::Known(found)),
            Err(error) if error.kind == ErrorKind::Invalid && error.code == BAD_SETTING => Err(error),
            Err(error) => Ok(Rights::Unread(Unreadable {
                part: Part::Policy,
                operation: error.operation.to_owned(),
                reason: error.code,
            })),
        }
    }

    async fn read(&self, client: &Client) -> Result<Found, ProviderError> {
        let about = About { operation: "vaults/get", secret: None };
        let scope = format!("{}.default", self.manager);
        let token = client.token_for(scope).await?;
        let vault: Properties<VaultProperties> =
            client.get_of(about, &self.url(&self.id, VAULTS), &token).await?.json(about)?;
        let VaultProperties { vault_uri, enable_rbac_authorization, mut access_policies } = vault.properties;
        let is_this = Url::parse(&vault_uri).is_ok_and(|uri| uri.origin() == client.server.origin());
        if !is_this {
            let words = format!("the `resource` of the configuration is the vault {vault_uri}");
            return Err(about.failed(ErrorKind::Invalid, BAD_SETTING, &words));
        }
        // What a vault with roles still has of them has no effect.
        access_policies.retain(|_| !enable_rbac_authorization);
        access_policies.sort_unstable();
        let mut assignments = self.assignments(client, &token).await?;
        self.name_roles(client, &token, &mut assignments).await?;
        assignments.sort_unstable();
        let with_scope = |assignment: Assignment| (assignment.scope.trim_end_matches('/').to_lowercase(), assignment);
        let assignments = assignments.into_iter().map(with_scope).collect();
        Ok(Found { id: self.id.to_lowercase(), policies: access_policies, assignments })
    }

    async fn assignments(&self, client: &Client, token: &Token) -> Result<Vec<Assignment>, ProviderError> {
        let about = About { operation: "roleAssignments/list", secret: None };
        let path = format!("{}/providers/Microsoft.Authorization/roleAssignments", self.id);
        let first = self.url(&path, ASSIGNMENTS);
        let (mut next, mut seen, mut found) = (Some(first.clone()), BTreeSet::new(), Vec::new());
        while let Some(url) = next.take() {
            if !seen.insert(url.to_string()) || seen.len() > MOST_PAGES {
                return Err(about.bad("the pages of the role assignments do not end"));
            }
            let page: Page = client.get_of(about, &url, token).await?.json(about)?;
            found.extend(page.value.into_iter().map(|each| each.properties));
            next = page
                .next_link
                .filter(|link| !link.is_empty())
                .map(|link| of_server(&link, &self.manager, about))
                .transpose()?;
        }
        Ok(found)
    }

    async fn name_roles(&self, client: &Client, token: &Token, of: &mut [Assignment]) -> Result<(), ProviderError> {
        let about = About { operation: "roleDefinitions/get", secret: None };
        let mut names: BTreeMap<String, String> = BTreeMap::new();
        for assignment in of {
            let id = assignment.role_definition_id.clone();
            if !id.starts_with('/') || !id.split('/').skip(1).all(is_word) {
                return Err(about.bad("a role has no id"));
            }
            if !names.contains_key(&id) {
                let role: Properties<RoleProperties> =
                    client.get_of(about, &self.url(&id, ASSIGNMENTS), token).await?.json(about)?;
                names.insert(id.clone(), role.properties.role_name);
            }
            assignment.role.clone_from(&names[&id]);
        }
        Ok(())
    }

    fn url(&self, path: &str, version: &str) -> Url {
        let mut url = self.manager.clone();
        url.set_path(path);
        url.query_pairs_mut().append_pair("api-version", version);
        url
    }
}

impl Rights {
    /// What `doctor` says of them.
    pub(super) fn finding(&self) -> Finding {
        match self {
            Self::Known(Found { policies, assignments, .. }) => {
                let words = format!("{} role assignments, {} access policies", assignments.len(), policies.len());
                Finding::new("rights", State::Well, words)
            }
            Self::Unread(Unreadable { operation, reason, .. }) => {
                let words = format!(
                    "{operation}: {reason}: each snapshot would be incomplete (docs/azure.md, Who may read it)"
                );
                Finding::new("rights", State::Wrong, words)
            }
        }
    }

    /// Adds to a secret the rights that reach it.
    pub(super) fn add_to(&self, secret: &mut Secret) {
        match self {
            Self::Unread(unread) => secret.unreadable.push(unread.clone()),
            Self::Known(found) => secret.facets.policy = Some(found.text_of(&secret.name)),
        }
    }
}

impl Found {
    fn text_of(&self, name: &str) -> String {
        let own = format!("{}/secrets/{}", self.id, name.to_lowercase());
        let below = format!("{}/", self.id);
        let reaches = |(scope, _): &&(String, Assignment)| *scope == own || !scope.starts_with(&below);
        let kept = Kept {
            access_policies: self.policies.clone(),
            role_assignments: self.assignments.iter().filter(reaches).map(|(_, each)| each.clone()).collect(),
        };
        serde_json::to_string(&kept).expect("it is plain data")
    }
}

/// What a plan says of rights that a restore does not grant.
pub(super) fn named(text: &str) -> String {
    let kept: Kept = serde_json::from_str(text).unwrap_or_default();
    let by_policy = kept
        .access_policies
        .iter()
        .map(|policy| format!("{} by an access policy ({})", policy.object_id, policy.permissions.secrets.join(", ")));
    let by_role =
        kept.role_assignments.iter().map(|it| format!("{} {} as {}", it.principal_type, it.principal_id, it.role));
    let all: BTreeSet<String> = by_policy.chain(by_role).map(|who| who.trim().to_owned()).collect();
    let more = all.len().saturating_sub(NAMED);
    let mut who: Vec<String> = all.into_iter().take(NAMED).collect();
    if more > 0 {
        who.push(format!("{more} more"));
    }
    let who = if who.is_empty() { "nobody was named".to_owned() } else { who.join("; ") };
    format!("rights belong to the vault, and a restore grants none: {who}")
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text != ".."
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.()".contains(&byte))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    const ID: &str = "/subscriptions/s-1/resourceGroups/g/providers/Microsoft.KeyVault/vaults/prod";

    #[test]
    fn a_resource_is_a_vault_of_the_cloud_or_behind_an_address() {
        let parse = |address: &str, text: &str| Resource::parse(text, &address.parse().unwrap());
        for (address, text, manager) in [
            ("azure:prod", ID.to_owned(), "https://management.azure.com/"),
            ("azure:prod.vault.azure.cn", ID.to_lowercase(), "https://management.chinacloudapi.cn/"),
            ("azure:prod.vault.usgovcloudapi.net", ID.to_owned(), "https://management.usgovcloudapi.net/"),
            ("azure:https://a.vault.localhost:9", format!("https://localhost:9{ID}"), "https://localhost:9/"),
        ] {
            assert_eq!(parse(address, &text).unwrap().manager.as_str(), manager);
        }
        assert!(parse("azure:https://a.vault.localhost:9", ID).unwrap_err().contains("in front"));
        for text in [
            String::new(),
            "prod".into(),
            format!("{ID}/secrets/x"),
            ID.replace("/vaults/", "/managedHSMs/"),
            ID.replace("/s-1/", "//"),
            ID.replace("/s-1/", "/../"),
            ID.replace("s-1", "s?x=1"),
            format!("http://localhost{ID}"),
            format!("https://user@host:9x{ID}"),
        ] {
            assert!(parse("azure:prod", &text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_token_goes_to_the_manager_alone() {
        let resource = Resource::parse(ID, &"azure:prod".parse().unwrap()).unwrap();
        let about = About { operation: "test", secret: None };
        let own = |link: &str| of_server(link, &resource.manager, about).is_ok();
        assert!(own(&format!("https://management.azure.com{ID}/next?$skipToken=1")));
        for link in [
            "",
            "/next",
            "https://evil.example/subscriptions",
            "http://management.azure.com/x",
            "https://management.azure.com:444/x",
            "https://management.azure.com@evil.example/x",
            "https://me@management.azure.com/x",
        ] {
            assert!(!own(link), "{link}");
        }
    }

    #[test]
    fn a_secret_has_the_rights_above_it_and_its_own() {
        let assignment = |scope: &str, who: &str| {
            let of: Assignment = serde_json::from_value(json!({
                "scope": scope, "principalId": who, "principalType": "User", "roleDefinitionId": "/r", "role": "Reader",
                "createdOn": "2026-01-01T00:00:00Z"
            }))
            .unwrap();
            (scope.trim_end_matches('/').to_lowercase(), of)
        };
        let assignments = vec![
            assignment("/", "everywhere"),
            assignment("/subscriptions/s-1", "above"),
            assignment(ID, "at it"),
            assignment(&format!("{ID}/secrets/App-DB"), "own"),
            assignment(&format!("{ID}/secrets/App"), "beside"),
            assignment(&format!("{ID}/keys/app-db"), "a key's"),
        ];
        let found = Found { id: ID.to_lowercase(), policies: Vec::new(), assignments };
        let text = found.text_of("app-db");
        let kept: Json = serde_json::from_str(&text).unwrap();
        let who: Vec<&str> =
            kept["roleAssignments"].as_array().unwrap().iter().map(|it| it["principalId"].as_str().unwrap()).collect();
        assert_eq!(who, ["everywhere", "above", "at it", "own"]);
        let words = named(&text);
        assert!(
            words
                .ends_with("User above as Reader; User at it as Reader; User everywhere as Reader; User own as Reader"),
            "{words}"
        );
        assert!(named("no JSON").ends_with("nobody was named"));
    }

    #[test]
    fn a_plan_names_five_and_counts_the_others() {
        let policy =
            |number: u32| json!({ "objectId": format!("o-{number}"), "permissions": { "secrets": ["get", "list"] } });
        let text = json!({ "accessPolicies": (0..7).map(policy).collect::<Vec<_>>() }).to_string();
        let words = named(&text);
        assert!(words.contains("o-0 by an access policy (get, list); o-1 "), "{words}");
        assert!(words.ends_with("; o-4 by an access policy (get, list); 2 more"), "{words}");
    }
}
