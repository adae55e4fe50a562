//! What a resource policy would do, as far as its text alone tells: let everyone in, or lock the restorer out.

use serde_json::Value as Json;

/// The actions whose denial nobody inside the account can take back.
const KEYS_TO_THE_DOOR: [&str; 2] = ["secretsmanager:PutResourcePolicy", "secretsmanager:DeleteResourcePolicy"];

/// What is certainly wrong with a policy. An empty answer is no proof that it is harmless.
pub(super) fn faults(text: &str, account: &str) -> Vec<String> {
    let Ok(policy) = serde_json::from_str::<Json>(text) else { return vec!["it is not JSON".into()] };
    let mut faults = Vec::new();
    for statement in statements(&policy) {
        if statement.get("Condition").is_some() {
            continue;
        }
        if statement["Effect"] == "Allow" && principals(statement).contains(&"*") {
            faults.push("it allows access for everyone".to_owned());
        }
        if statement["Effect"] == "Deny" && meets(statement, account) {
            let denied = KEYS_TO_THE_DOOR.iter().filter(|action| covers(statement, action)).count();
            if denied == KEYS_TO_THE_DOOR.len() {
                faults.push("it would deny access to the account of the restore".to_owned());
            }
        }
    }
    faults.dedup();
    faults
}

/// Whether it is worth asking the provider: only what denies, or opens to everyone, can do harm.
pub(super) fn is_risky(text: &str) -> bool {
    serde_json::from_str::<Json>(text).map_or(true, |policy| {
        statements(&policy)
            .iter()
            .any(|it| it["Effect"] != "Allow" || it.get("NotPrincipal").is_some() || principals(it).contains(&"*"))
    })
}

/// Whether the statement means everyone in the account.
fn meets(statement: &Json, account: &str) -> bool {
    // Whatever the partition.
    let root = format!(":iam::{account}:root");
    principals(statement)
        .iter()
        .any(|who| *who == "*" || *who == account || (who.starts_with("arn:") && who.ends_with(&root)))
}

/// Whether the statement means an action.
fn covers(statement: &Json, action: &str) -> bool {
    let fits =
        |pattern: &&str| wildmatch::WildMatch::new(&pattern.to_ascii_lowercase()).matches(&action.to_ascii_lowercase());
    match statement.get("NotAction") {
        Some(spared) => !texts(spared).iter().any(fits),
        None => texts(&statement["Action"]).iter().any(fits),
    }
}

/// Whom a policy lets read a secret, sorted; nobody, where it is no policy.
pub(in crate::provider::aws) fn readers(text: &str) -> Vec<String> {
    let policy: Json = serde_json::from_str(text).unwrap_or_default();
    let reading = ["secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue"];
    let allows = |it: &&Json| it["Effect"] == "Allow" && reading.iter().any(|action| covers(it, action));
    let allowed = statements(&policy).into_iter().filter(allows);
    let mut readers: Vec<String> = allowed.flat_map(principals).map(str::to_owned).collect();
    readers.sort();
    readers.dedup();
    readers
}

/// The statements of a policy, of which one alone needs no list.
pub(super) fn statements(policy: &Json) -> Vec<&Json> {
    match &policy["Statement"] {
        Json::Array(list) => list.iter().collect(),
        one @ Json::Object(_) => vec![one],
        _ => Vec::new(),
    }
}

/// Whom a statement means.
pub(super) fn principals(statement: &Json) -> Vec<&str> {
    match &statement["Principal"] {
        Json::Object(kinds) => kinds.values().flat_map(texts).collect(),
        plain => texts(plain),
    }
}

pub(super) fn texts(value: &Json) -> Vec<&str> {
    match value {
        Json::String(text) => vec![text],
        Json::Array(list) => list.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(statement: &str) -> Vec<String> {
        faults(&format!(r#"{{"Statement":[{statement}]}}"#), "111111111111")
    }

    #[test]
    fn lock_outs_and_public_access_are_told() {
        for statement in [
            r#"{"Effect":"Deny","Principal":"*","Action":"*","Resource":"*"}"#,
            r#"{"Effect":"Deny","Principal":{"AWS":"111111111111"},"Action":"secretsmanager:*","Resource":"*"}"#,
            r#"{"Effect":"Deny","Principal":{"AWS":"arn:aws-cn:iam::111111111111:root"},"Action":"*","Resource":"*"}"#,
            r#"{"Effect":"Deny","Principal":{"AWS":["x","*"]},"Action":["secretsmanager:*Policy"],"Resource":"*"}"#,
            r#"{"Effect":"Deny","Principal":"*","NotAction":"secretsmanager:GetSecretValue","Resource":"*"}"#,
        ] {
            assert_eq!(one(statement), ["it would deny access to the account of the restore"], "{statement}");
        }
        assert_eq!(
            one(r#"{"Effect":"Allow","Principal":{"AWS":"*"},"Action":"*","Resource":"*"}"#),
            ["it allows access for everyone"]
        );
        assert_eq!(faults("{", "1").len(), 1);
    }

    #[test]
    fn ordinary_policies_are_not_suspected() {
        for statement in [
            r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111111111111:root"},"Action":"*","Resource":"*"}"#,
            r#"{"Effect":"Deny","Principal":"*","Action":"secretsmanager:DeleteSecret","Resource":"*"}"#,
            r#"{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::1:role/x"},"Action":"*","Resource":"*"}"#,
            r#"{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*","Condition":{"StringEquals":{}}}"#,
            r#"{"Effect":"Deny","Principal":"*","NotAction":"secretsmanager:*","Resource":"*"}"#,
        ] {
            assert!(one(statement).is_empty(), "{statement}");
        }
    }
}
