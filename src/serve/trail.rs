//! The log in the shape of CloudTrail, so that the rules of a SIEM that exist already work on it.

use std::io::BufRead;

use serde_json::{Value as Json, json};

use super::{
    audit::{Asked, Touched},
    ops::READS,
    report::{LogFault, requests},
};
use crate::outward;

/// The requests of a log as `{"Records": […]}`, verified first.
///
/// # Errors
/// See [`LogFault`].
pub fn cloud_trail(log: impl BufRead) -> Result<Json, LogFault> {
    let records: Vec<Json> = requests(log)?.iter().flat_map(records).collect();
    Ok(json!({ "Records": records }))
}

/// One record for each secret, as the service itself writes them for a batch.
fn records(asked: &Asked) -> Vec<Json> {
    let secrets: Vec<Option<&Touched>> =
        if asked.secrets.is_empty() { vec![None] } else { asked.secrets.iter().map(Some).collect() };
    secrets.into_iter().enumerate().map(|(number, touched)| record(asked, number, touched)).collect()
}

fn record(asked: &Asked, number: usize, touched: Option<&Touched>) -> Json {
    let account = touched.and_then(|touched| touched.arn.split(':').nth(4)).unwrap_or("000000000000");
    let consumer = asked.consumer.as_deref().unwrap_or("unknown");
    let partition = outward::partition_name(asked.region.as_deref().unwrap_or_default());
    let is_sts = asked.operation == "GetCallerIdentity";
    let source = if is_sts { "sts" } else { "secretsmanager" };
    let mut record = json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": format!("AROALIFEBOAT:{consumer}"),
            "arn": format!("arn:{partition}:sts::{account}:assumed-role/lifeboat-break-glass/{consumer}"),
            "accountId": account,
            "accessKeyId": asked.key,
        },
        "eventTime": crate::clock::to_seconds(asked.time).to_string(),
        "eventSource": format!("{source}.amazonaws.com"),
        "eventName": if asked.operation == "BatchGetSecretValue" { "GetSecretValue" } else { &asked.operation },
        "awsRegion": asked.region,
        "sourceIPAddress": asked.from.rsplit_once(':').map_or(asked.from.as_str(), |(address, _)| address),
        "userAgent": asked.agent,
        "requestParameters": touched.map(|touched| json!({
            "secretId": if touched.arn.is_empty() { &touched.name } else { &touched.arn },
            "versionId": touched.version,
        })),
        "responseElements": null,
        "additionalEventData": { "lifeboat": "break-glass", "snapshot": touched.and_then(|touched| touched.snapshot.clone()) },
        "requestID": asked.id,
        "eventID": format!("{}-{number}", asked.id),
        "readOnly": READS.contains(&asked.operation.as_str()) || is_sts,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": account,
        "eventCategory": "Management",
    });
    if asked.result != "ok" {
        record["errorCode"] = json!(asked.result.trim_end_matches("Exception"));
    }
    record
}
