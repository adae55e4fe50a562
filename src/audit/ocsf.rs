//! OCSF, class API Activity (6003), version 1.3.0: <https://schema.ocsf.io/1.3.0/classes/api_activity>

use serde_json::{Value as Json, json};

use super::{Kind, Row};

const CLASS: u64 = 6003;

/// One event.
pub fn ocsf(row: &Row<'_>) -> Json {
    let (entry, run) = (&row.found.entry, &row.found.entry.run);
    let (activity, activity_name) = match row.kind() {
        Kind::Create => (1, "Create"),
        Kind::Read => (2, "Read"),
        Kind::Update => (3, "Update"),
        Kind::Delete => (4, "Delete"),
    };
    let (status, status_name) = if row.is_complete() { (1, "Success") } else { (2, "Failure") };
    let (severity, severity_name) = if row.is_complete() { (1, "Informational") } else { (3, "Medium") };
    let millis = |time: jiff::Timestamp| time.as_millisecond();
    let mut resources = vec![json!({ "type": "Repository", "uid": entry.repository })];
    resources.extend(run.snapshots.iter().map(|id| json!({ "type": "Snapshot", "uid": id })));
    resources.extend(run.files.iter().map(|file| json!({ "type": "Record", "name": file })));
    if let Some(target) = &run.target {
        resources.push(json!({ "type": "Target", "name": target.to_string() }));
    }
    json!({
        "class_uid": CLASS, "class_name": "API Activity", "category_uid": 6, "category_name": "Application Activity",
        "activity_id": activity, "activity_name": activity_name, "type_uid": CLASS * 100 + activity,
        "time": millis(run.ended), "start_time": millis(run.started), "end_time": millis(run.ended),
        "severity_id": severity, "severity": severity_name, "status_id": status, "status": status_name,
        "status_code": run.exit.map_or_else(|| run.outcome.clone(), |exit| exit.to_string()), "status_detail": run.outcome,
        "metadata": {
            "version": "1.3.0", "uid": row.found.digest, "sequence": entry.number, "log_name": row.chain.id,
            "product": { "name": "Lifeboat", "vendor_name": "Lifeboat", "version": entry.tool.trim_start_matches("lifeboat ") },
        },
        "actor": { "user": { "name": row.chain.by, "uid": entry.signer.fingerprint(), "type_id": 3, "type": "System" } },
        "api": { "operation": run.action, "service": { "name": "lifeboat" } },
        "src_endpoint": { "name": row.chain.by },
        "resources": resources,
        "unmapped": {
            "previous": entry.previous, "epoch": entry.epoch, "quorum": run.quorum, "counts": run.counts, "plan": run.plan,
            "head": run.head,
        },
    })
}
