//! The same facts as figures for CloudWatch: a line in its embedded metric format, which its agent, Lambda and Fargate pick
//! up from standard output, or the input of PutMetricData.
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html>

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::Facts;

/// The namespace of the metrics.
pub const NAMESPACE: &str = "Lifeboat";
/// Their only dimension.
pub const DIMENSION: &str = "Repository";

/// A figure, its unit as CloudWatch names it. No figure says what is unknown: a metric that is missing is an alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Its name, a contract.
    pub name: &'static str,
    /// `Seconds` or `Count`.
    pub unit: &'static str,
    /// How much.
    pub value: f64,
}

/// Everything that is known, at a time.
#[expect(clippy::cast_precision_loss, reason = "counts and seconds are far below 2^53")]
pub fn figures(facts: &Facts, now: Timestamp) -> Vec<Figure> {
    let age = |time: Timestamp| now.duration_since(time).as_secs().max(0) as f64;
    let newest: Vec<_> = if facts.sources.is_empty() {
        vec![facts.snapshot.as_ref()]
    } else {
        facts.sources.iter().map(|of| of.newest.as_ref()).collect()
    };
    // A source that was never captured is as old as the repository; the worst source counts.
    let oldest = newest.iter().map(|newest| age(newest.map_or(facts.born, |it| it.pass))).fold(0.0, f64::max);
    let sum = |count: &dyn Fn(&super::Newest) -> u64| newest.iter().flatten().map(|it| count(it)).sum::<u64>() as f64;
    let is_behind = |copy: &&super::Copy| copy.error.is_some() || copy.behind > 0;
    let mut figures = vec![
        seconds("SnapshotAgeSeconds", oldest),
        count("SecretsCaptured", sum(&|it| it.counts.captured)),
        count("SecretsIncomplete", sum(&|it| it.counts.unreadable + it.counts.vanished)),
        count("SourcesShort", newest.iter().flatten().filter(|it| it.loss.is_some()).count() as f64),
        count("HistoryFaults", facts.history.len() as f64),
        count("CopiesBehind", facts.copies.iter().filter(is_behind).count() as f64),
        count("SheetsDue", facts.due.len() as f64),
        count("DrillsMissed", facts.missed_drills.len() as f64),
    ];
    let passed = facts.drill.as_ref().and_then(|drill| drill.last_passed);
    figures.push(seconds("DrillAgeSeconds", age(passed.unwrap_or(facts.born))));
    if let Some(drill) = &facts.drill {
        figures.push(count("DrillPassed", f64::from(u8::from(drill.passed))));
        figures.extend(drill.rto_seconds.map(|rto| seconds("RtoSeconds", rto)));
    }
    figures
}

/// One line of JSON.
pub fn emf(facts: &Facts, now: Timestamp) -> String {
    let figures = figures(facts, now);
    let metrics: Vec<Json> = figures.iter().map(|it| json!({ "Name": it.name, "Unit": it.unit })).collect();
    let mut line = Map::new();
    let about = json!({
        "Timestamp": now.as_millisecond(),
        "CloudWatchMetrics": [{ "Namespace": NAMESPACE, "Dimensions": [[DIMENSION]], "Metrics": metrics }],
    });
    line.insert("_aws".into(), about);
    line.insert(DIMENSION.into(), json!(facts.repository.to_string()));
    line.extend(figures.iter().map(|it| (it.name.to_owned(), json!(it.value))));
    Json::Object(line).to_string()
}

/// The input of PutMetricData, as `aws cloudwatch put-metric-data --cli-input-json` takes it.
pub fn metric_data(facts: &Facts, now: Timestamp) -> Json {
    let repository = facts.repository.to_string();
    let datum = |it: Figure| {
        json!({
            "MetricName": it.name, "Timestamp": now.to_string(), "Unit": it.unit, "Value": it.value,
            "Dimensions": [{ "Name": DIMENSION, "Value": repository }],
        })
    };
    json!({ "Namespace": NAMESPACE, "MetricData": figures(facts, now).into_iter().map(datum).collect::<Vec<_>>() })
}

fn seconds(name: &'static str, value: f64) -> Figure {
    Figure { name, unit: "Seconds", value }
}

fn count(name: &'static str, value: f64) -> Figure {
    Figure { name, unit: "Count", value }
}
