//! The same estate in Google's Secret Manager: secrets with a history, global and at one location.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};

use super::{super::GcpControl, StageError, estate::random};

/// The project that is filled.
pub(in super::super) const PROJECT: &str = "lifeboat-demo";
/// The location that has secrets of its own.
const LOCATION: &str = "europe-west3";

/// A sandbox of that kind.
pub(in super::super) struct GcpEstate {
    control: GcpControl,
}

impl GcpEstate {
    pub(in super::super) fn new(control: GcpControl) -> Self {
        Self { control }
    }

    /// Secrets in every state that a version can be in.
    pub(in super::super) fn seed(&self) -> Result<(), StageError> {
        let automatic = json!({ "automatic": {} });
        let global = format!("projects/{PROJECT}");
        let labels = json!({ "team": "platform", "tier": "1" });
        let database =
            self.make(&global, "database-production", &json!({ "replication": automatic, "labels": labels }))?;
        self.rotate(&database, 5)?;
        self.send(
            "PATCH",
            &format!("{database}?updateMask=versionAliases"),
            &json!({ "versionAliases": { "stable": "4" } }),
        )?;
        let member = format!("serviceAccount:app@{PROJECT}.iam.gserviceaccount.com");
        let binding = json!({ "role": "roles/secretmanager.secretAccessor", "members": [member] });
        self.send("POST", &format!("{database}:setIamPolicy"), &json!({ "policy": { "bindings": [binding] } }))?;
        let notes = json!({ "note": "Payment, KYC and SMS providers — çğıöşü" });
        let keys = self.make(&global, "api-keys", &json!({ "replication": automatic, "annotations": notes }))?;
        self.rotate(&keys, 4)?;
        self.turn(&keys, 1, "destroy")?;
        self.turn(&keys, 2, "disable")?;
        let keystore = self.make(&global, "tls-keystore", &json!({ "replication": automatic }))?;
        self.add(&keystore, &random(1800))?;
        self.make(&global, "reserved-next-quarter", &json!({ "replication": automatic }))?;
        for number in 1..=4 {
            let name = self.make(&global, &format!("service-{number}"), &json!({ "replication": automatic }))?;
            self.rotate(&name, number)?;
        }
        let bound = self.make(&format!("{global}/locations/{LOCATION}"), "resident-data", &json!({}))?;
        self.rotate(&bound, 2)
    }

    fn make(&self, parent: &str, id: &str, body: &Json) -> Result<String, StageError> {
        self.send("POST", &format!("{parent}/secrets?secretId={id}"), body)?;
        Ok(format!("{parent}/secrets/{id}"))
    }

    fn rotate(&self, name: &str, times: usize) -> Result<(), StageError> {
        for _ in 0..times {
            let value = json!({ "username": "app", "password": hex::encode(random(16)), "port": 5432 });
            self.add(name, value.to_string().as_bytes())?;
        }
        Ok(())
    }

    fn add(&self, name: &str, value: &[u8]) -> Result<(), StageError> {
        self.send("POST", &format!("{name}:addVersion"), &json!({ "payload": { "data": STANDARD.encode(value) } }))
    }

    fn turn(&self, name: &str, version: u32, verb: &str) -> Result<(), StageError> {
        self.send("POST", &format!("{name}/versions/{version}:{verb}"), &json!({}))
    }

    fn send(&self, method: &str, path: &str, body: &Json) -> Result<(), StageError> {
        let sent = self.control.request(method, &format!("/v1/{path}"), body);
        sent.map(drop)
            .map_err(|error| StageError::Refused(format!("the sandbox could not be filled with secrets: {error}")))
    }
}
