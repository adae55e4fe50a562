//! A template of CloudFormation.
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-reference.html>

use serde_json::{Map, Value as Json, json};

use super::{Alarm, Plan, TRAIL, Watched, When};

/// The template, with a line break at its end.
pub(super) fn template(plan: &Plan, watched: &Watched) -> String {
    let mut resources = Map::new();
    let topic = if let Some(arn) = &watched.topic {
        json!(arn)
    } else {
        resources.insert("Topic".into(), json!({ "Type": "AWS::SNS::Topic" }));
        resources.insert("TopicPolicy".into(), topic_policy());
        json!({ "Ref": "Topic" })
    };
    for filter in &plan.filters {
        let made = json!({
            "Type": "AWS::Logs::MetricFilter",
            "Properties": {
                "FilterName": format!("lifeboat-{}", filter.name),
                "LogGroupName": { "Ref": "TrailLogGroup" },
                "FilterPattern": filter.pattern,
                "MetricTransformations": [{
                    "MetricNamespace": TRAIL, "MetricName": filter.name, "MetricValue": "1", "DefaultValue": 0,
                }],
            },
        });
        resources.insert(format!("{}Filter", camel(&filter.name)), made);
    }
    for alarm in &plan.alarms {
        let made = json!({ "Type": "AWS::CloudWatch::Alarm", "Properties": properties(alarm, &topic) });
        resources.insert(format!("{}Alarm", camel(&alarm.name)), made);
    }
    for rule in &plan.rules {
        let made = json!({
            "Type": "AWS::Events::Rule",
            "Properties": {
                "Description": rule.description,
                "EventPattern": rule.pattern,
                "State": "ENABLED",
                "Targets": [{ "Id": "topic", "Arn": topic }],
            },
        });
        resources.insert(format!("{}Rule", camel(rule.name)), made);
    }
    for query in &plan.queries {
        let made = json!({
            "Type": "AWS::Logs::QueryDefinition",
            "Properties": {
                "Name": query.name, "QueryString": query.text, "LogGroupNames": [{ "Ref": "TrailLogGroup" }],
            },
        });
        resources.insert(format!("{}Query", camel(query.name)), made);
    }
    let template = json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Alarms on secrets and on their backup (lifeboat alarms)",
        "Parameters": {
            "TrailLogGroup": {
                "Type": "String",
                "Default": watched.log_group,
                "Description": "The log group that the CloudTrail trail writes to",
            },
        },
        "Resources": resources,
    });
    format!("{}\n", serde_json::to_string_pretty(&template).expect("plain data"))
}

fn properties(alarm: &Alarm, topic: &Json) -> Json {
    let mut made = json!({
        "AlarmName": format!("lifeboat-{}", alarm.name),
        "AlarmDescription": alarm.description,
        "EvaluationPeriods": 1,
        "TreatMissingData": if alarm.is_silence_bad { "breaching" } else { "notBreaching" },
        "AlarmActions": [topic],
    });
    let dimensions: Vec<Json> =
        alarm.dimension.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
    let more = match alarm.when {
        When::AtLeast(limit) => json!({
            "Namespace": alarm.namespace,
            "MetricName": alarm.metric,
            "Dimensions": dimensions,
            "Statistic": alarm.statistic,
            "Period": alarm.period,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "Threshold": limit,
        }),
        When::Unusual(deviations) => json!({
            "ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold",
            "ThresholdMetricId": "band",
            "Metrics": [
                {
                    "Id": "found",
                    "ReturnData": true,
                    "MetricStat": {
                        "Metric": { "Namespace": alarm.namespace, "MetricName": alarm.metric, "Dimensions": dimensions },
                        "Period": alarm.period,
                        "Stat": alarm.statistic,
                    },
                },
                { "Id": "band", "ReturnData": true, "Expression": format!("ANOMALY_DETECTION_BAND(found, {deviations})") },
            ],
        }),
    };
    let (Json::Object(made_fields), Json::Object(more)) = (&mut made, more) else { unreachable!("both are objects") };
    made_fields.extend(more.into_iter().filter(|(_, value)| *value != json!([])));
    made
}

/// EventBridge publishes to a topic only if its policy says so; alarms need no word, but lose theirs as soon as there is a
/// policy.
fn topic_policy() -> Json {
    let account = json!({ "StringEquals": { "aws:SourceAccount": { "Ref": "AWS::AccountId" } } });
    let allow = |service: &str| {
        json!({
            "Effect": "Allow",
            "Principal": { "Service": service },
            "Action": "sns:Publish",
            "Resource": { "Ref": "Topic" },
            "Condition": account,
        })
    };
    // A rule of EventBridge sends no source account.
    let mut events = allow("events.amazonaws.com");
    events.as_object_mut().expect("an object").remove("Condition");
    json!({
        "Type": "AWS::SNS::TopicPolicy",
        "Properties": {
            "Topics": [{ "Ref": "Topic" }],
            "PolicyDocument": { "Version": "2012-10-17", "Statement": [allow("cloudwatch.amazonaws.com"), events] },
        },
    })
}

/// A logical name: letters and digits alone.
fn camel(name: &str) -> String {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.flat_map(|part| [part[..1].to_ascii_uppercase(), part[1..].to_owned()]).collect()
}
