//! IAM policies of secrets: compared without what moves by itself, and rewritten for another project.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

/// Members that are everybody.
const EVERYBODY: [&str; 2] = ["allUsers", "allAuthenticatedUsers"];

/// The text of a policy, whatever the order of its bindings and members; `None`: nobody is bound.
pub(super) fn normal(policy: &Json) -> Option<String> {
    let mut bindings: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for binding in policy["bindings"].as_array().into_iter().flatten() {
        let role = binding["role"].as_str().unwrap_or_default().to_owned();
        let condition = binding.get("condition").map(Json::to_string).unwrap_or_default();
        let members = binding["members"].as_array().into_iter().flatten().filter_map(Json::as_str);
        bindings.entry((role, condition)).or_default().extend(members.map(str::to_owned));
    }
    bindings.retain(|_, members| !members.is_empty());
    let is_conditional = bindings.keys().any(|(_, condition)| !condition.is_empty());
    let row = |((role, condition), members): (&(String, String), &BTreeSet<String>)| {
        let mut row = json!({ "members": members, "role": role });
        if let Ok(condition) = serde_json::from_str::<Json>(condition) {
            row["condition"] = condition;
        }
        row
    };
    let rows: Vec<Json> = bindings.iter().map(row).collect();
    let mut text = json!({ "bindings": rows, "version": if is_conditional { 3 } else { 1 } });
    if let Some(audit) = policy["auditConfigs"].as_array().filter(|list| !list.is_empty()) {
        text["auditConfigs"] = json!(audit);
    }
    let is_empty = rows.is_empty() && text.get("auditConfigs").is_none();
    (!is_empty).then(|| text.to_string())
}

/// The text for another project: ids and numbers of projects in members and conditions, by the map.
pub(super) fn mapped(text: &str, projects: &BTreeMap<String, String>) -> String {
    let Ok(mut policy) = serde_json::from_str::<Json>(text) else { return text.to_owned() };
    for binding in policy["bindings"].as_array_mut().into_iter().flatten() {
        for member in binding["members"].as_array_mut().into_iter().flatten() {
            if let Some(text) = member.as_str() {
                *member = json!(member_for(text, projects));
            }
        }
    }
    normal(&policy).unwrap_or_default()
}

/// `serviceAccount:NAME@PROJECT.iam.gserviceaccount.com`, `…/projects/NUMBER/…` and `projectOwner:PROJECT`.
fn member_for(member: &str, projects: &BTreeMap<String, String>) -> String {
    for (from, to) in projects {
        for (before, after) in [("@", ".iam.gserviceaccount.com"), ("projects/", "/"), ("serviceAccount:", "-compute@")]
        {
            let old = format!("{before}{from}{after}");
            if member.contains(&old) {
                return member.replace(&old, &format!("{before}{to}{after}"));
            }
        }
        if let Some(kind) = member.strip_suffix(&format!(":{from}"))
            && kind.starts_with("project")
        {
            return format!("{kind}:{to}");
        }
    }
    member.to_owned()
}

/// What speaks against a policy.
pub(super) fn faults(text: &str) -> Vec<String> {
    members(text)
        .into_iter()
        .filter(|it| EVERYBODY.contains(&it.as_str()))
        .map(|it| format!("it lets {it} in"))
        .collect()
}

/// Service accounts of projects: whoever reads a plan must know that they may be gone.
pub(super) fn accounts(text: &str) -> BTreeSet<String> {
    members(text).into_iter().filter(|member| member.contains("gserviceaccount.com")).collect()
}

fn members(text: &str) -> BTreeSet<String> {
    let policy: Json = serde_json::from_str(text).unwrap_or_default();
    let bindings = policy["bindings"].as_array().into_iter().flatten();
    let members = bindings.flat_map(|binding| binding["members"].as_array().into_iter().flatten());
    members.filter_map(Json::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_etags_do_not_count_and_conditions_do() {
        let one = json!({ "etag": "a", "version": 1, "bindings": [
            { "role": "r/b", "members": ["user:b", "user:a"] }, { "role": "r/a", "members": ["user:a"] },
        ]});
        let other = json!({ "etag": "b", "bindings": [
            { "role": "r/a", "members": ["user:a"] }, { "role": "r/b", "members": ["user:a"] }, { "role": "r/b", "members": ["user:b"] },
        ]});
        assert_eq!(normal(&one), normal(&other));
        let mut with = one.clone();
        with["bindings"][0]["condition"] = json!({ "expression": "x" });
        assert_ne!(normal(&one), normal(&with));
        assert!(normal(&with).unwrap().ends_with("\"version\":3}"));
        assert_eq!(normal(&json!({ "etag": "ACAB" })), None);
    }

    #[test]
    fn members_of_a_project_are_mapped() {
        let map = [("old".to_owned(), "new".to_owned()), ("123".into(), "456".into())].into();
        for (member, expected) in [
            ("serviceAccount:x@old.iam.gserviceaccount.com", "serviceAccount:x@new.iam.gserviceaccount.com"),
            (
                "serviceAccount:123-compute@developer.gserviceaccount.com",
                "serviceAccount:456-compute@developer.gserviceaccount.com",
            ),
            ("projectOwner:old", "projectOwner:new"),
            ("user:old@example.com", "user:old@example.com"),
            ("serviceAccount:x@older.iam.gserviceaccount.com", "serviceAccount:x@older.iam.gserviceaccount.com"),
        ] {
            assert_eq!(member_for(member, &map), expected);
        }
        let public = normal(&json!({ "bindings": [{ "role": "r", "members": ["allUsers"] }] })).unwrap();
        assert_eq!(faults(&public), ["it lets allUsers in"]);
    }
}
