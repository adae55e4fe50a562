//! A script for a POSIX shell and the `aws` command. Every command of it may run twice.

use std::fmt::Write as _;

use serde_json::json;

use super::{Alarm, Plan, TRAIL, Watched, When};
use crate::text;

/// The script.
pub(super) fn script(plan: &Plan, watched: &Watched) -> String {
    let mut script = String::from(
        "#!/bin/sh\n# Alarms on secrets and on their backup (lifeboat alarms --format cli). It may run twice.\nset -eu\n\n",
    );
    let _ = writeln!(script, "log_group=${{1:-{}}}", text::shell(&watched.log_group));
    match &watched.topic {
        Some(arn) => {
            let _ = writeln!(script, "topic={}\n", text::shell(arn));
        }
        None => script.push_str(TOPIC),
    }
    for filter in &plan.filters {
        let transformation = json!([{
            "metricNamespace": TRAIL, "metricName": filter.name, "metricValue": "1", "defaultValue": 0,
        }]);
        let _ = writeln!(
            script,
            "aws logs put-metric-filter --log-group-name \"$log_group\" --filter-name {} --filter-pattern {} \
             --metric-transformations {}",
            text::shell(&format!("lifeboat-{}", filter.name)),
            text::shell(&filter.pattern),
            text::shell(&transformation.to_string()),
        );
    }
    script.push('\n');
    plan.alarms.iter().for_each(|made| alarm(&mut script, made));
    script.push('\n');
    for rule in &plan.rules {
        let name = format!("lifeboat-{}", rule.name);
        let name = text::shell(&name);
        let _ = writeln!(
            script,
            "aws events put-rule --name {name} --description {} --event-pattern {} > /dev/null\n\
             aws events put-targets --rule {name} --targets \"Id=topic,Arn=$topic\" > /dev/null",
            text::shell(rule.description),
            text::shell(&rule.pattern.to_string()),
        );
    }
    for query in &plan.queries {
        // A definition without an id is another one each time.
        let _ = writeln!(
            script,
            "aws logs describe-query-definitions --query-definition-name-prefix {name} --output text \
             --query 'queryDefinitions[0].queryDefinitionId' | grep -q '^[^N]' || \\\n  \
             aws logs put-query-definition --name {name} --log-group-names \"$log_group\" --query-string {} > /dev/null",
            text::shell(query.text),
            name = text::shell(query.name),
        );
    }
    script
}

/// EventBridge publishes to a topic only if its policy says so; alarms lose their own right as soon as there is a policy.
const TOPIC: &str = r#"account=$(aws sts get-caller-identity --query Account --output text)
topic=$(aws sns create-topic --name lifeboat-alarms --query TopicArn --output text)
aws sns set-topic-attributes --topic-arn "$topic" --attribute-name Policy --attribute-value '{
  "Version": "2012-10-17",
  "Statement": [
    { "Effect": "Allow", "Principal": { "Service": "cloudwatch.amazonaws.com" }, "Action": "sns:Publish",
      "Resource": "'"$topic"'", "Condition": { "StringEquals": { "aws:SourceAccount": "'"$account"'" } } },
    { "Effect": "Allow", "Principal": { "Service": "events.amazonaws.com" }, "Action": "sns:Publish",
      "Resource": "'"$topic"'" }
  ]
}'

"#;

fn alarm(script: &mut String, alarm: &Alarm) {
    let _ = write!(
        script,
        "aws cloudwatch put-metric-alarm --alarm-name {} --alarm-description {} --evaluation-periods 1 \
         --treat-missing-data {} --alarm-actions \"$topic\"",
        text::shell(&format!("lifeboat-{}", alarm.name)),
        text::shell(&alarm.description),
        if alarm.is_silence_bad { "breaching" } else { "notBreaching" },
    );
    let (namespace, metric) = (text::shell(alarm.namespace), text::shell(&alarm.metric));
    let _ = match alarm.when {
        When::AtLeast(limit) => {
            let dimensions = alarm
                .dimension
                .as_ref()
                .map(|(name, value)| format!(" --dimensions {}", text::shell(&format!("Name={name},Value={value}"))));
            writeln!(
                script,
                " --namespace {namespace} --metric-name {metric} --statistic {} --period {} --threshold {limit} \
                 --comparison-operator GreaterThanOrEqualToThreshold{}",
                alarm.statistic,
                alarm.period,
                dimensions.unwrap_or_default(),
            )
        }
        When::Unusual(deviations) => {
            let metrics = json!([
                { "Id": "found", "ReturnData": true, "MetricStat": {
                    "Metric": { "Namespace": alarm.namespace, "MetricName": alarm.metric },
                    "Period": alarm.period, "Stat": alarm.statistic } },
                { "Id": "band", "ReturnData": true, "Expression": format!("ANOMALY_DETECTION_BAND(found, {deviations})") },
            ]);
            writeln!(
                script,
                " --comparison-operator LessThanLowerOrGreaterThanUpperThreshold --threshold-metric-id band --metrics {}",
                text::shell(&metrics.to_string()),
            )
        }
    };
}
