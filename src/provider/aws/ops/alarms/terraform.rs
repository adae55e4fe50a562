//! A file of Terraform or OpenTofu, for the provider `hashicorp/aws`.
//! <https://developer.hashicorp.com/terraform/language/syntax/configuration>

use std::fmt::Write as _;

use super::{Alarm, Plan, TRAIL, Watched, When};

/// The file.
pub(super) fn file(plan: &Plan, watched: &Watched) -> String {
    let mut file = String::from("# Alarms on secrets and on their backup (lifeboat alarms --format terraform)\n\n");
    let default = quoted(&watched.log_group);
    let _ = write!(
        file,
        "variable \"trail_log_group\" {{\n  description = \"The log group that the CloudTrail trail writes to\"\n  \
         type        = string\n  default     = {default}\n}}\n\n"
    );
    let topic = if let Some(arn) = &watched.topic {
        let _ = write!(file, "locals {{\n  lifeboat_topic = {}\n}}\n\n", quoted(arn));
        "local.lifeboat_topic"
    } else {
        file.push_str(TOPIC);
        "aws_sns_topic.lifeboat.arn"
    };
    for filter in &plan.filters {
        let (id, name) = (snake(&filter.name), quoted(&filter.name));
        let _ = write!(
            file,
            "resource \"aws_cloudwatch_log_metric_filter\" \"lifeboat_{id}\" {{\n  name           = {}\n  \
             log_group_name = var.trail_log_group\n  pattern        = {}\n\n  metric_transformation {{\n    \
             namespace     = {}\n    name          = {name}\n    value         = \"1\"\n    default_value = \"0\"\n  \
             }}\n}}\n\n",
            quoted(&format!("lifeboat-{}", filter.name)),
            quoted(&filter.pattern),
            quoted(TRAIL),
        );
    }
    plan.alarms.iter().for_each(|made| alarm(&mut file, made, topic));
    for rule in &plan.rules {
        let id = snake(rule.name);
        let _ = write!(
            file,
            "resource \"aws_cloudwatch_event_rule\" \"lifeboat_{id}\" {{\n  name          = {}\n  description   = {}\n  \
             event_pattern = {}\n}}\n\nresource \"aws_cloudwatch_event_target\" \"lifeboat_{id}\" {{\n  \
             rule = aws_cloudwatch_event_rule.lifeboat_{id}.name\n  arn  = {topic}\n}}\n\n",
            quoted(&format!("lifeboat-{}", rule.name)),
            quoted(rule.description),
            quoted(&rule.pattern.to_string()),
        );
    }
    for query in &plan.queries {
        let _ = write!(
            file,
            "resource \"aws_cloudwatch_query_definition\" \"{}\" {{\n  name            = {}\n  \
             log_group_names = [var.trail_log_group]\n  query_string    = {}\n}}\n\n",
            snake(query.name),
            quoted(query.name),
            quoted(query.text),
        );
    }
    format!("{}\n", file.trim_end())
}

/// EventBridge publishes to a topic only if its policy says so; alarms lose their own right as soon as there is a policy.
const TOPIC: &str = r#"resource "aws_sns_topic" "lifeboat" {
  name = "lifeboat-alarms"
}

data "aws_caller_identity" "current" {}

data "aws_iam_policy_document" "lifeboat_topic" {
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.lifeboat.arn]
    principals {
      type        = "Service"
      identifiers = ["cloudwatch.amazonaws.com"]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [data.aws_caller_identity.current.account_id]
    }
  }
  statement {
    actions   = ["sns:Publish"]
    resources = [aws_sns_topic.lifeboat.arn]
    principals {
      type        = "Service"
      identifiers = ["events.amazonaws.com"]
    }
  }
}

resource "aws_sns_topic_policy" "lifeboat" {
  arn    = aws_sns_topic.lifeboat.arn
  policy = data.aws_iam_policy_document.lifeboat_topic.json
}

"#;

fn alarm(file: &mut String, alarm: &Alarm, topic: &str) {
    let _ = write!(
        file,
        "resource \"aws_cloudwatch_metric_alarm\" \"lifeboat_{}\" {{\n  alarm_name          = {}\n  \
         alarm_description   = {}\n  evaluation_periods  = 1\n  treat_missing_data  = {}\n  \
         alarm_actions       = [{topic}]\n",
        snake(&alarm.name),
        quoted(&format!("lifeboat-{}", alarm.name)),
        quoted(&alarm.description),
        quoted(if alarm.is_silence_bad { "breaching" } else { "notBreaching" }),
    );
    let dimensions = match &alarm.dimension {
        Some((name, value)) => format!("dimensions = {{ {name} = {} }}\n", quoted(value)),
        None => String::new(),
    };
    let (namespace, metric) = (quoted(alarm.namespace), quoted(&alarm.metric));
    let (statistic, period) = (quoted(alarm.statistic), alarm.period);
    let _ = match alarm.when {
        When::AtLeast(limit) => write!(
            file,
            "  comparison_operator = \"GreaterThanOrEqualToThreshold\"\n  threshold           = {limit}\n  \
             namespace           = {namespace}\n  metric_name         = {metric}\n  statistic           = {statistic}\n  \
             period              = {period}\n{}}}\n\n",
            if dimensions.is_empty() { String::new() } else { format!("  {dimensions}") },
        ),
        When::Unusual(deviations) => write!(
            file,
            "  comparison_operator = \"LessThanLowerOrGreaterThanUpperThreshold\"\n  threshold_metric_id = \"band\"\n\n  \
             metric_query {{\n    id          = \"found\"\n    return_data = true\n    metric {{\n      \
             namespace   = {namespace}\n      metric_name = {metric}\n      period      = {period}\n      \
             stat        = {statistic}\n      {dimensions}    }}\n  }}\n\n  metric_query {{\n    id          = \"band\"\n    \
             return_data = true\n    expression  = \"ANOMALY_DETECTION_BAND(found, {deviations})\"\n  }}\n}}\n\n",
        ),
    };
}

/// A string literal: JSON's escapes, and no template begins in it.
pub(in super::super) fn quoted(text: &str) -> String {
    let json = serde_json::to_string(text).expect("a text");
    json.replace("${", "$${").replace("%{", "%%{")
}

fn snake(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
