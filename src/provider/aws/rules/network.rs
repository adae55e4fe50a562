//! Whom a restored policy would let in: conditions that name networks of the old place, and accounts that the key keeps out.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::policy::{principals, statements, texts};
use crate::provider::Context;

/// Condition keys whose values are networks, in small letters: AWS does not tell case in them
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html>).
const KEYS: [&str; 4] = ["aws:sourcevpce", "aws:sourcevpc", "aws:sourceip", "aws:vpcsourceip"];
/// Networks that are everywhere.
const EVERYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];
const DIGITS_OF_ACCOUNT: usize = 12;

/// Why nobody, or not everybody that it means, could use a secret with this policy and this key.
pub(super) fn unusable(policy: &str, key: Option<&str>, context: &Context<'_>) -> Vec<String> {
    let (source, target) = (context.source, context.target);
    if source == target {
        return Vec::new();
    }
    let Ok(policy) = serde_json::from_str::<Json>(policy) else { return Vec::new() };
    let mut why = Vec::new();
    let known: BTreeSet<&str> = context.options.maps.network.values().map(String::as_str).collect();
    let strange: Vec<&str> = networks(&policy).into_iter().filter(|network| !known.contains(network)).collect();
    if !strange.is_empty() {
        why.push(format!(
            "its policy opens to these networks alone, and nothing says that {target} has them: {} ([network] in the map file)",
            strange.join(", ")
        ));
    }
    let others = accounts(&policy, &target.account);
    if key.is_none() && !others.is_empty() {
        let others: Vec<&str> = others.into_iter().collect();
        why.push(format!(
            "its policy lets other accounts in ({}), but no other account can use the default key (--kms-map)",
            others.join(", ")
        ));
    }
    why
}

/// The networks without which a request is not let in: what an Allow asks for, and what a Deny spares.
fn networks(policy: &Json) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    for statement in statements(policy) {
        let Some(conditions) = statement["Condition"].as_object() else { continue };
        let spares = statement["Effect"] == "Deny";
        for (operator, keys) in conditions {
            let operator = operator.rsplit(':').next().unwrap_or(operator).to_ascii_lowercase();
            // Null asks whether there is one, and names none.
            if operator == "null" || operator.contains("not") != spares {
                continue;
            }
            let of_network = |(key, _): &(&String, &Json)| KEYS.contains(&key.to_ascii_lowercase().as_str());
            let named = keys.as_object().into_iter().flatten().filter(of_network);
            found.extend(named.flat_map(|(_, values)| texts(values)));
        }
    }
    found.retain(|network| !EVERYWHERE.contains(network));
    found
}

/// Accounts other than this one that a policy lets in.
fn accounts<'p>(policy: &'p Json, own: &str) -> BTreeSet<&'p str> {
    let allows = statements(policy).into_iter().filter(|statement| statement["Effect"] == "Allow");
    let account = |who: &'p str| if who.starts_with("arn:") { who.split(':').nth(4) } else { Some(who) };
    let is_account = |text: &&str| text.len() == DIGITS_OF_ACCOUNT && text.bytes().all(|byte| byte.is_ascii_digit());
    allows.flat_map(principals).filter_map(account).filter(is_account).filter(|account| *account != own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(statement: &str) -> Vec<String> {
        let policy: Json = serde_json::from_str(&format!(r#"{{"Statement":{statement}}}"#)).unwrap();
        networks(&policy).into_iter().map(str::to_owned).collect()
    }

    fn one(effect: &str, operator: &str, key: &str, value: &str) -> Vec<String> {
        let condition = format!(r#""Condition":{{"{operator}":{{"{key}":{value}}}}}"#);
        found(&format!(r#"[{{"Effect":"{effect}","Principal":"*","Action":"*","Resource":"*",{condition}}}]"#))
    }

    #[test]
    fn networks_that_open_the_door_are_named() {
        for (effect, operator, key) in [
            ("Allow", "StringEquals", "aws:SourceVpce"),
            ("Allow", "StringLike", "AWS:sourcevpc"),
            ("Allow", "IpAddress", "aws:VpcSourceIp"),
            ("Allow", "ForAnyValue:StringEqualsIfExists", "aws:SourceVpc"),
            ("Deny", "StringNotEquals", "aws:SourceVpce"),
            ("Deny", "NotIpAddress", "aws:SourceIp"),
            ("Deny", "ForAllValues:StringNotLike", "aws:SourceVpc"),
        ] {
            assert_eq!(one(effect, operator, key, "\"net-1\""), ["net-1"], "{effect} {operator} {key}");
            assert_eq!(one(effect, operator, key, r#"["b","a"]"#), ["a", "b"]);
        }
    }

    #[test]
    fn what_shuts_out_a_network_or_names_none_is_no_trouble() {
        for (effect, operator, key, value) in [
            ("Deny", "StringEquals", "aws:SourceVpce", "\"x\""),
            ("Deny", "IpAddress", "aws:SourceIp", "\"10.0.0.0/8\""),
            ("Allow", "StringNotEquals", "aws:SourceVpc", "\"x\""),
            ("Allow", "Null", "aws:SourceVpce", "\"false\""),
            ("Deny", "Null", "aws:SourceVpce", "\"true\""),
            ("Allow", "IpAddress", "aws:SourceIp", "[\"0.0.0.0/0\",\"::/0\"]"),
            ("Allow", "StringEquals", "aws:PrincipalOrgID", "\"o-1\""),
            ("Allow", "StringEquals", "aws:SourceVpce", "7"),
        ] {
            assert!(one(effect, operator, key, value).is_empty(), "{effect} {operator} {key} {value}");
        }
        for odd in
            ["[]", "{}", "7", r#"[{"Effect":"Allow","Condition":7}]"#, r#"[{"Effect":"Allow","Condition":{"a":7}}]"#]
        {
            assert!(found(odd).is_empty(), "{odd}");
        }
    }

    #[test]
    fn accounts_are_those_of_principals_that_are_let_in() {
        let policy = serde_json::json!({"Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam::222222222222:root", "333333333333", "*", "111111111111"]}},
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}},
            {"Effect": "Deny", "Principal": {"AWS": "444444444444"}},
            {"Effect": "Allow", "Principal": {"AWS": "AIDAEXAMPLE"}},
        ]});
        let found: Vec<&str> = accounts(&policy, "111111111111").into_iter().collect();
        assert_eq!(found, ["222222222222", "333333333333"]);
    }
}
