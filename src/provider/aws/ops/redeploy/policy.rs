//! The least IAM policy of hooks.
//!
//! DescribeTaskDefinition and RegisterTaskDefinition take no resource:
//! <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerservice.html>.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::super::policy::condition;
use crate::{outward::partition_name, provider::Workload};

pub(super) fn policy(account: &str, workloads: &[(String, Workload)], conditions: (bool, &[String])) -> Json {
    let (mut services, mut functions, mut regions) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut roles = BTreeSet::new();
    let mut definitions = BTreeSet::new();
    for (region, workload) in workloads {
        let partition = partition_name(region);
        match workload {
            Workload::EcsService { cluster, service } => {
                services.push(format!("arn:{partition}:ecs:{region}:{account}:service/{cluster}/{service}"));
                definitions.insert(format!("arn:{partition}:ecs:{region}:{account}:task-definition/*:*"));
                roles.insert(format!("arn:{partition}:iam::{account}:role/*"));
                regions.insert(region);
            }
            Workload::LambdaFunction { function } => {
                functions.push(format!("arn:{partition}:lambda:{region}:{account}:function:{function}"));
            }
        }
    }
    let mut statements = Vec::new();
    if !services.is_empty() {
        statements.extend([
            json!({ "Sid": "DeployServices", "Effect": "Allow", "Action": ["ecs:DescribeServices", "ecs:UpdateService"],
                "Resource": services }),
            json!({ "Sid": "ChangeReferences", "Effect": "Allow",
                "Action": ["ecs:DescribeTaskDefinition", "ecs:RegisterTaskDefinition"], "Resource": "*",
                "Condition": { "StringEquals": { "aws:RequestedRegion": regions } } }),
            json!({ "Sid": "KeepTags", "Effect": "Allow", "Action": "ecs:TagResource", "Resource": definitions,
                "Condition": { "StringEquals": { "ecs:CreateAction": "RegisterTaskDefinition" } } }),
            json!({ "Sid": "RolesOfTasks", "Effect": "Allow", "Action": "iam:PassRole", "Resource": roles,
                "Condition": { "StringEquals": { "iam:PassedToService": "ecs-tasks.amazonaws.com" } } }),
        ]);
    }
    if !functions.is_empty() {
        statements.push(json!({ "Sid": "UpdateFunctions", "Effect": "Allow",
            "Action": ["lambda:GetFunctionConfiguration", "lambda:UpdateFunctionConfiguration"], "Resource": functions }));
    }
    let mut policy = json!({ "Version": "2012-10-17", "Statement": statements });
    let (mfa, vpc_endpoints) = conditions;
    condition(&mut policy, mfa, vpc_endpoints);
    policy
}
