//! The shape of a CloudTrail log file: <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>

use serde_json::{Value as Json, json};

use super::{Kind, Row};

/// A log file of these entries.
pub fn cloudtrail(rows: &[Row<'_>]) -> Json {
    json!({ "Records": rows.iter().map(record).collect::<Vec<_>>() })
}

fn record(row: &Row<'_>) -> Json {
    let (entry, run) = (&row.found.entry, &row.found.entry.run);
    let mut record = json!({
        "eventVersion": "1.09",
        "userIdentity": { "type": "Unknown", "principalId": entry.signer.fingerprint(), "userName": row.chain.by },
        "eventTime": run.ended.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "eventSource": "lifeboat",
        "eventName": name(&run.action),
        "awsRegion": run.target.as_ref().filter(|target| target.provider == "aws").map(|target| &target.region),
        "sourceIPAddress": row.chain.by,
        "userAgent": entry.tool,
        "requestParameters": {
            "repository": entry.repository, "target": run.target, "snapshots": run.snapshots, "quorum": run.quorum,
            "plan": run.plan,
        },
        "responseElements": { "exit": run.exit, "outcome": run.outcome, "counts": run.counts, "files": run.files },
        "additionalEventData": {
            "chain": row.chain.id, "number": entry.number, "entry": row.found.digest, "previous": entry.previous,
            "started": run.started, "epoch": entry.epoch,
        },
        "eventID": id(&row.found.digest.to_string()),
        "readOnly": row.kind() == Kind::Read,
        "eventType": "AwsServiceEvent",
        "managementEvent": true,
        "eventCategory": "Management",
    });
    if !row.is_complete() {
        record["errorCode"] = run.outcome.clone().into();
    }
    record
}

/// `drill run` as `DrillRun`
fn name(action: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    action.split([' ', '-']).map(word).collect()
}

/// The first half of a digest in the form of a UUID, version 8.
fn id(digest: &str) -> String {
    let hex = &digest[..32];
    format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_word_and_ids_are_uuids() {
        assert_eq!(name("break-glass serve"), "BreakGlassServe");
        assert_eq!(id(&"ab".repeat(32)), "abababab-abab-8bab-8bab-abababababab");
    }
}
