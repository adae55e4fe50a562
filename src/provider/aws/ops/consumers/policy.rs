//! Whom policies let read, and what they fix.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{super::super::rules::readers, reference};
use crate::{
    model::Secret,
    provider::{Consumer, Fixes, Follows},
};

/// Conditions that name a network, which is another one in another region.
const NETWORKS: [&str; 4] = ["aws:sourcevpce", "aws:sourcevpc", "aws:vpcsourceip", "aws:sourceip"];

/// The principals of the captured policy of a secret.
pub(super) fn of_secret(secret: &Secret) -> Vec<Consumer> {
    let Some(policy) = &secret.facets.policy else { return Vec::new() };
    let Ok(json) = serde_json::from_str::<Json>(policy) else { return Vec::new() };
    let mut fixes = BTreeSet::new();
    for statement in statements(&json) {
        texts(&statement["Resource"]).for_each(|resource| fixes.extend(reference::fixes(resource)));
        if conditions(statement).any(|(key, _)| NETWORKS.contains(&key.as_str())) {
            fixes.insert(Fixes::Network);
        }
    }
    let one = |id: String| Consumer {
        kind: "resource policy".into(),
        id,
        at: String::new(),
        reference: secret.id.clone(),
        fixes: fixes.clone(),
        follows: Follows::Right,
    };
    readers(policy).into_iter().map(one).collect()
}

/// The principals of a key's policy that may use it through Secrets Manager, and whether the region is fixed.
pub(super) fn of_key(policy: &str) -> Vec<(String, BTreeSet<Fixes>)> {
    let Ok(json) = serde_json::from_str::<Json>(policy) else { return Vec::new() };
    let mut found = Vec::new();
    for statement in statements(&json).filter(|statement| statement["Effect"] == "Allow") {
        let via: Vec<String> = conditions(statement)
            .filter(|(key, _)| key == "kms:viaservice")
            .flat_map(|(_, values)| texts(values).map(str::to_owned).collect::<Vec<_>>())
            .filter(|service| service.starts_with("secretsmanager."))
            .collect();
        if via.is_empty() {
            continue;
        }
        let mut fixes = BTreeSet::new();
        if via.iter().all(|service| !service.contains(['*', '?'])) {
            fixes.insert(Fixes::Region);
        }
        let principals = match &statement["Principal"] {
            Json::Object(kinds) => {
                kinds.values().flat_map(|all| texts(all).map(str::to_owned).collect::<Vec<_>>()).collect()
            }
            all => texts(all).map(str::to_owned).collect::<Vec<_>>(),
        };
        found.extend(principals.into_iter().map(|principal| (principal, fixes.clone())));
    }
    found
}

fn statements(policy: &Json) -> impl Iterator<Item = &Json> {
    let all = &policy["Statement"];
    all.as_array().map_or_else(|| std::slice::from_ref(all), Vec::as_slice).iter()
}

/// Every condition: its key in small letters, its values.
fn conditions(statement: &Json) -> impl Iterator<Item = (String, &Json)> {
    let operators = statement["Condition"].as_object().into_iter().flat_map(|all| all.values());
    let keys = operators.filter_map(Json::as_object).flatten();
    keys.map(|(key, values)| (key.to_ascii_lowercase(), values))
}

/// One text or a list of them.
fn texts(value: &Json) -> impl Iterator<Item = &str> {
    let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    list.iter().filter_map(Json::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_policy_names_who_reads_through_the_service() {
        let policy = r#"{"Statement":[
            {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"kms:*","Resource":"*"},
            {"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::1:role/a"]},"Action":"kms:Decrypt","Resource":"*",
             "Condition":{"StringEquals":{"kms:ViaService":"secretsmanager.eu-central-1.amazonaws.com"}}},
            {"Effect":"Allow","Principal":"*","Action":"kms:Decrypt",
             "Condition":{"StringLike":{"KMS:viaservice":["secretsmanager.*.amazonaws.com"]}}},
            {"Effect":"Deny","Principal":"*","Condition":{"StringEquals":{"kms:ViaService":"secretsmanager.x"}}}]}"#;
        let region = BTreeSet::from([Fixes::Region]);
        assert_eq!(of_key(policy), [("arn:aws:iam::1:role/a".into(), region), ("*".into(), BTreeSet::new())]);
        for nothing in ["", "[]", "7", r#"{"Statement":7}"#, r#"{"Statement":[null]}"#] {
            assert!(of_key(nothing).is_empty(), "{nothing}");
        }
    }
}
