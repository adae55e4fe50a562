//! The least IAM policy for each of the three things Lifeboat does with Secrets Manager.
//!
//! ListSecrets takes no resource; the source's policy denies every write, the target's every destruction:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awssecretsmanager.html>.

use serde_json::{Value as Json, json};

use crate::{outward, provider::Role};

/// Where, and with what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grant {
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
    /// Names begin with this; empty for all.
    pub name_prefix: String,
    /// Keys by ARN; empty for every key of the account, through Secrets Manager only.
    pub keys: Vec<String>,
    /// Whether a restore may switch rotation on.
    pub rotation: bool,
    /// Whether a restore may make replicas.
    pub replication: bool,
    /// Whether a restore may make secrets of replicas.
    pub promotion: bool,
    /// Whether a restore may change and take back secrets that are there.
    pub replace: bool,
}

/// What reads the source.
const READS: [&str; 4] = ["DescribeSecret", "ListSecretVersionIds", "GetSecretValue", "GetResourcePolicy"];
/// What a restore writes with, wherever nothing was before.
const WRITES: [&str; 6] = [
    "CreateSecret",
    "TagResource",
    "PutSecretValue",
    "UpdateSecretVersionStage",
    "ValidateResourcePolicy",
    "PutResourcePolicy",
];
/// What changes a secret that was there before.
const CHANGES: [&str; 4] = ["UpdateSecret", "UntagResource", "DeleteResourcePolicy", "RestoreSecret"];
/// Everything that is not reading.
const ALL_WRITES: [&str; 14] = [
    "Create*",
    "Put*",
    "Update*",
    "Delete*",
    "Restore*",
    "Rotate*",
    "CancelRotateSecret",
    "Tag*",
    "Untag*",
    "Replicate*",
    "RemoveRegionsFromReplication",
    "StopReplicationToReplica",
    "AssociateCrossAccountReplica",
    "DisassociateCrossAccountReplica",
];

/// The policy document.
pub fn policy(role: Role, grant: &Grant) -> Json {
    let mut statements = vec![json!({
        "Sid": "Enumerate", "Effect": "Allow", "Action": "secretsmanager:ListSecrets", "Resource": "*",
    })];
    if matches!(role, Role::Access | Role::Consumers) {
        statements = access(grant);
    }
    match role {
        Role::Backup => statements.extend(backup(grant)),
        Role::Restore => statements.extend(restore(grant)),
        Role::Drill => statements.extend(drill(grant)),
        Role::Access => {}
        Role::Consumers => statements.extend(consumers(grant)),
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// What a host needs beside the roles it takes: to take them, and to ask an organization for its accounts.
pub fn sources_policy(roles: &[String], organization: bool) -> Json {
    let mut statements = vec![json!({
        "Sid": "TakeRoles", "Effect": "Allow", "Action": "sts:AssumeRole", "Resource": roles,
    })];
    if organization {
        statements.push(json!({
            "Sid": "Accounts", "Effect": "Allow", "Action": "organizations:ListAccounts", "Resource": "*",
        }));
    }
    json!({ "Version": "2012-10-17", "Statement": statements })
}

/// The trail alone. LookupEvents takes no resource, and gives the events of the region that is asked:
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/list_awscloudtrail.html>.
fn access(grant: &Grant) -> Vec<Json> {
    vec![
        json!({ "Sid": "ReadTheTrail", "Effect": "Allow", "Action": "cloudtrail:LookupEvents", "Resource": "*",
            "Condition": { "StringEquals": { "aws:RequestedRegion": grant.region } } }),
        json!({ "Sid": "NeverChangeTheTrail", "Effect": "Deny", "Resource": "*",
            "Action": ["cloudtrail:Delete*", "cloudtrail:Stop*", "cloudtrail:Update*", "cloudtrail:Put*"] }),
    ]
}

/// What finds consumers: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html>.
/// Lists take no resource. ListFunctions gives the environments too: who has this right sees what is in them.
fn consumers(grant: &Grant) -> Vec<Json> {
    vec![
        json!({ "Sid": "FindConsumers", "Effect": "Allow", "Resource": "*",
            "Action": ["ecs:ListTaskDefinitionFamilies", "ecs:DescribeTaskDefinition", "ecs:ListClusters", "ecs:ListServices",
                "ecs:DescribeServices", "lambda:ListFunctions"],
            "Condition": { "StringEquals": { "aws:RequestedRegion": grant.region } } }),
        json!({ "Sid": "WhoMayUseTheKeys", "Effect": "Allow", "Action": "kms:GetKeyPolicy", "Resource": grant.key_resources() }),
    ]
}

/// Adds what every session must have. What other services do on behalf of the caller (keys, functions) does not come through the
/// caller's network, so that its statements stay as they are.
pub fn condition(policy: &mut Json, mfa: bool, vpc_endpoints: &[String]) {
    let statements = policy["Statement"].as_array_mut().into_iter().flatten();
    for statement in statements.filter(|it| it["Effect"] == "Allow" && is_called_directly(&it["Action"])) {
        if mfa {
            statement["Condition"]["Bool"]["aws:MultiFactorAuthPresent"] = "true".into();
        }
        if !vpc_endpoints.is_empty() {
            statement["Condition"]["StringEquals"]["aws:SourceVpce"] = json!(vpc_endpoints);
        }
    }
}

fn is_called_directly(actions: &Json) -> bool {
    let is_direct = |action: &Json| {
        action.as_str().is_some_and(|action| {
            [
                "secretsmanager:",
                "cloudtrail:",
                "ecs:",
                "lambda:List",
                "lambda:Get",
                "lambda:Update",
                "kms:Get",
                "kms:Describe",
            ]
            .iter()
            .any(|it| action.starts_with(it))
        })
    };
    match actions {
        Json::Array(actions) => actions.iter().all(is_direct),
        action => is_direct(action),
    }
}

fn backup(grant: &Grant) -> Vec<Json> {
    vec![
        json!({ "Sid": "Read", "Effect": "Allow", "Action": actions(&READS), "Resource": grant.secrets() }),
        keys("DecryptOnlyThroughSecretsManager", &json!("kms:Decrypt"), grant),
        json!({ "Sid": "NeverWrite", "Effect": "Deny", "Action": actions(&ALL_WRITES), "Resource": "*" }),
    ]
}

fn restore(grant: &Grant) -> Vec<Json> {
    let mut wanted: Vec<&str> = READS.iter().chain(&WRITES).copied().collect();
    if grant.replace {
        wanted.extend(CHANGES);
    }
    let mut statements = vec![
        json!({ "Sid": "Restore", "Effect": "Allow", "Action": actions(&wanted), "Resource": grant.secrets() }),
        keys("KeysThroughSecretsManager", &json!(["kms:GenerateDataKey", "kms:Decrypt"]), grant),
        json!({ "Sid": "LookAtKeys", "Effect": "Allow", "Action": "kms:DescribeKey", "Resource": grant.key_resources() }),
    ];
    if grant.replication {
        statements.push(json!({ "Sid": "Replicas", "Effect": "Allow",
            "Action": "secretsmanager:ReplicateSecretToRegions", "Resource": grant.secrets() }));
    }
    if grant.promotion {
        statements.push(json!({ "Sid": "Promotion", "Effect": "Allow",
            "Action": "secretsmanager:StopReplicationToReplica", "Resource": grant.secrets() }));
    }
    if grant.rotation {
        statements.push(
            json!({ "Sid": "RotationNeverAtOnce", "Effect": "Allow", "Action": "secretsmanager:RotateSecret",
            "Resource": grant.secrets(),
            "Condition": { "Bool": { "secretsmanager:RotateImmediately": "false" } } }),
        );
        let functions = format!("arn:{}:lambda:{}:{}:function:*", grant.partition(), grant.region, grant.account);
        statements.push(json!({ "Sid": "RotationFunctions", "Effect": "Allow", "Action": "lambda:InvokeFunction",
            "Resource": functions }));
    }
    let mut never = vec!["DeleteSecret"];
    if !grant.replace {
        never.push("UpdateSecret");
    }
    if !grant.rotation {
        never.push("RotateSecret");
    }
    statements.push(json!({ "Sid": "NoDestruction", "Effect": "Deny", "Action": actions(&never), "Resource": "*" }));
    statements
}

fn drill(grant: &Grant) -> Vec<Json> {
    let wanted: Vec<&str> = READS.iter().chain(&WRITES).copied().collect();
    vec![
        json!({ "Sid": "Restore", "Effect": "Allow", "Action": actions(&wanted), "Resource": grant.secrets() }),
        json!({ "Sid": "CleanUp", "Effect": "Allow", "Action": "secretsmanager:DeleteSecret", "Resource": grant.secrets(),
            "Condition": { "Bool": { "secretsmanager:ForceDeleteWithoutRecovery": "true" } } }),
        keys("KeysThroughSecretsManager", &json!(["kms:GenerateDataKey", "kms:Decrypt"]), grant),
        json!({ "Sid": "NeverBeyondTheSandbox", "Effect": "Deny",
            "Action": actions(&["RotateSecret", "ReplicateSecretToRegions", "StopReplicationToReplica"]), "Resource": "*" }),
    ]
}

fn actions(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| format!("secretsmanager:{name}")).collect()
}

fn keys(sid: &str, action: &Json, grant: &Grant) -> Json {
    let via = format!("secretsmanager.{}.amazonaws.com", grant.region);
    json!({ "Sid": sid, "Effect": "Allow", "Action": action, "Resource": grant.key_resources(),
        "Condition": { "StringEquals": { "kms:ViaService": via } } })
}

impl Grant {
    fn secrets(&self) -> String {
        let (partition, prefix) = (self.partition(), &self.name_prefix);
        format!("arn:{partition}:secretsmanager:{}:{}:secret:{prefix}*", self.region, self.account)
    }

    fn key_resources(&self) -> Json {
        if self.keys.is_empty() {
            json!(format!("arn:{}:kms:{}:{}:key/*", self.partition(), self.region, self.account))
        } else {
            json!(self.keys)
        }
    }

    fn partition(&self) -> &'static str {
        outward::partition_name(&self.region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant { region: "eu-west-1".into(), account: "111111111111".into(), ..Grant::default() }
    }

    fn allowed(policy: &Json) -> String {
        let allows = policy["Statement"].as_array().unwrap().iter().filter(|it| it["Effect"] == "Allow");
        allows.map(|it| it["Action"].to_string()).collect()
    }

    #[test]
    fn a_backup_may_not_write_and_a_restore_may_not_destroy() {
        let backup = allowed(&policy(Role::Backup, &grant()));
        for write in WRITES.iter().chain(&CHANGES).chain(&["DeleteSecret", "RotateSecret"]) {
            assert!(!backup.contains(&format!("\"secretsmanager:{write}\"")), "{write}");
        }
        let restore = allowed(&policy(Role::Restore, &grant()));
        for never in CHANGES.iter().chain(&[
            "DeleteSecret",
            "RotateSecret",
            "ReplicateSecretToRegions",
            "StopReplicationToReplica",
        ]) {
            assert!(!restore.contains(&format!("\"secretsmanager:{never}\"")), "{never}");
        }
    }

    #[test]
    fn conditions_are_on_what_the_caller_calls_itself() {
        let mut backup = policy(Role::Backup, &grant());
        condition(&mut backup, true, &["vpce-1".into()]);
        for statement in backup["Statement"].as_array().unwrap() {
            let is_direct = statement["Effect"] == "Allow" && statement["Action"] != "kms:Decrypt";
            let found = &statement["Condition"];
            assert_eq!(found["Bool"]["aws:MultiFactorAuthPresent"] == "true", is_direct, "{statement}");
            assert_eq!(found["StringEquals"]["aws:SourceVpce"] == json!(["vpce-1"]), is_direct, "{statement}");
        }
        let mut access = policy(Role::Consumers, &grant());
        condition(&mut access, true, &[]);
        let allows = access["Statement"].as_array().unwrap().iter().filter(|it| it["Effect"] == "Allow");
        assert!(allows.clone().count() == 3);
        for statement in allows {
            assert_eq!(statement["Condition"]["Bool"]["aws:MultiFactorAuthPresent"], "true", "{statement}");
        }
        let text = access.to_string();
        assert!(!text.contains("GetSecretValue") && !text.contains("kms:Decrypt"), "{text}");
    }

    #[test]
    fn rotation_is_allowed_only_if_it_is_not_at_once() {
        let policy = policy(Role::Restore, &Grant { rotation: true, ..grant() });
        let statements = policy["Statement"].as_array().unwrap();
        let rotates = statements.iter().find(|it| it["Action"] == "secretsmanager:RotateSecret").unwrap();
        assert_eq!(rotates["Condition"]["Bool"]["secretsmanager:RotateImmediately"], "false");
    }

    #[test]
    fn a_drill_is_held_to_its_names_and_destroys_only_there() {
        let policy = policy(Role::Drill, &Grant { name_prefix: "drill/".into(), ..grant() });
        for statement in policy["Statement"].as_array().unwrap().iter().filter(|it| it["Effect"] == "Allow") {
            let resource = statement["Resource"].as_str().unwrap();
            let held = resource.ends_with(":secret:drill/*") || resource.contains(":kms:");
            assert!(held || statement["Sid"] == "Enumerate", "{statement}");
        }
        let china = Grant { region: "cn-north-1".into(), ..grant() };
        assert!(super::policy(Role::Backup, &china).to_string().contains("arn:aws-cn:secretsmanager"));
    }
}
