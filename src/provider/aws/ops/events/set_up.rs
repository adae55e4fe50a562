//! The rule, the queue and the rights that bring changes to `lifeboat watch`, as a template of CloudFormation.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-reference.html>

use serde_json::{Map, Value as Json, json};

use crate::provider::FeedPlan;

/// Messages wait as long as SQS keeps any: a host that is down for two weeks loses none, and its next complete pass has everything.
const RETENTION: u32 = 1_209_600;
/// A message that nobody could use so often goes to the queue for dead letters. One that waits for a long snapshot is given again
/// meanwhile.
const GIVEN: u32 = 100;
/// Changes that only a trail shows.
const CALLS: [&str; 16] = [
    "CreateSecret",
    "UpdateSecret",
    "DeleteSecret",
    "RestoreSecret",
    "PutSecretValue",
    "UpdateSecretVersionStage",
    "PutResourcePolicy",
    "DeleteResourcePolicy",
    "TagResource",
    "UntagResource",
    "RotateSecret",
    "CancelRotateSecret",
    "ReplicateSecretToRegions",
    "RemoveRegionsFromReplication",
    "StopReplicationToReplica",
    "RotationSucceeded",
];

/// The template, with a line break at its end.
pub(super) fn print(plan: &FeedPlan<'_>) -> String {
    let mut resources = Map::new();
    resources.insert("DeadLetters".into(), queue(&format!("{}-dead", plan.queue), None));
    let redrive = json!({ "deadLetterTargetArn": arn("DeadLetters"), "maxReceiveCount": GIVEN });
    resources.insert("Queue".into(), queue(plan.queue, Some(redrive)));
    let mut rules = vec![("LabelRule", labels())];
    if plan.by_trail {
        rules.push(("CallRule", calls()));
    }
    let sources: Vec<Json> = rules.iter().map(|(name, _)| arn(name)).collect();
    for (name, pattern) in rules {
        let made = json!({
            "Type": "AWS::Events::Rule",
            "Properties": {
                "Description": "Changes of secrets, for lifeboat watch",
                "EventPattern": pattern,
                "State": "ENABLED",
                "Targets": [{ "Id": "queue", "Arn": arn("Queue") }],
            },
        });
        resources.insert(name.into(), made);
    }
    resources.insert(
        "QueuePolicy".into(),
        json!({
            "Type": "AWS::SQS::QueuePolicy",
            "Properties": {
                "Queues": [{ "Ref": "Queue" }],
                "PolicyDocument": {
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Effect": "Allow",
                        "Principal": { "Service": "events.amazonaws.com" },
                        "Action": "sqs:SendMessage",
                        "Resource": arn("Queue"),
                        "Condition": { "ArnEquals": { "aws:SourceArn": sources } },
                    }],
                },
            },
        }),
    );
    resources.insert("ReaderPolicy".into(), reader(plan));
    let template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Changes of secrets for lifeboat watch (lifeboat schedule events)",
        "Resources": resources,
        "Outputs": { "Queue": { "Description": "queue = of the source in lifeboat.toml", "Value": plan.queue } },
    });
    format!("{}\n", serde_json::to_string_pretty(&template).expect("plain data"))
}

fn arn(of: &str) -> Json {
    json!({ "Fn::GetAtt": [of, "Arn"] })
}

fn queue(name: &str, redrive: Option<Json>) -> Json {
    let mut properties = json!({
        "QueueName": name, "SqsManagedSseEnabled": true, "MessageRetentionPeriod": RETENTION,
    });
    if let Some(redrive) = redrive {
        properties["RedrivePolicy"] = redrive;
    }
    json!({ "Type": "AWS::SQS::Queue", "Properties": properties })
}

fn labels() -> Json {
    json!({ "source": ["aws.secretsmanager"], "detail-type": ["Secret Label Updated"] })
}

fn calls() -> Json {
    json!({
        "source": ["aws.secretsmanager"],
        "detail-type": ["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"],
        "detail": { "eventSource": ["secretsmanager.amazonaws.com"], "eventName": CALLS },
    })
}

/// What the host needs beside the policy of a backup. It never sends.
fn reader(plan: &FeedPlan<'_>) -> Json {
    let mut properties = json!({
        "ManagedPolicyName": format!("{}-reader", plan.queue),
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [{
                "Sid": "ReadTheQueue",
                "Effect": "Allow",
                "Action": ["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage"],
                "Resource": arn("Queue"),
            }],
        },
    });
    // A policy is attached to a role by its name, without its path.
    if let Some(role) = plan.reader.and_then(|arn| arn.rsplit('/').next()).filter(|name| !name.is_empty()) {
        properties["Roles"] = json!([role]);
    }
    json!({ "Type": "AWS::IAM::ManagedPolicy", "Properties": properties })
}
