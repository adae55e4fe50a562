//! A key vault with the secrets of the demo.

use serde_json::{Value as Json, json};

use super::{StageError, estate::random};
use crate::emulator::{AzureControl, AzureControlError};

/// The vault that is filled.
pub(in crate::emulator) const KEY_VAULT: &str = "orrange";

/// Secrets with a history, in every state that a version can be in.
pub(in crate::emulator) fn fill(control: &AzureControl) -> Result<(), StageError> {
    let failed = |error: AzureControlError| {
        StageError::Refused(format!("the sandbox could not be filled with secrets: {error}"))
    };
    let send = |method: &str, path: &str, body: &Json| control.request(KEY_VAULT, method, path, body).map_err(failed);
    let password = |user: &str| json!({ "username": user, "password": hex::encode(random(16)) }).to_string();
    for number in 1..=7 {
        let tags = json!({ "team": "platform", "rotation": number.to_string() });
        let body = json!({ "value": password("orders"), "contentType": "application/json", "tags": tags });
        send("PUT", "secrets/orrange-p2p-database", &body)?;
    }
    let old = send("PUT", "secrets/orrange-p2p-api-keys", &json!({ "value": hex::encode(random(24)) }))?;
    send("PUT", "secrets/orrange-p2p-api-keys", &json!({ "value": hex::encode(random(24)) }))?;
    let id = old["id"].as_str().and_then(|id| id.rsplit_once('/')).map_or("", |(_, id)| id);
    let disabled = json!({ "attributes": { "enabled": false } });
    send("PATCH", &format!("secrets/orrange-p2p-api-keys/{id}"), &disabled)?;
    let expires = json!({ "value": hex::encode(random(24)), "attributes": { "exp": 1_893_456_000 } });
    send("PUT", "secrets/orrange-p2p-token", &expires)?;
    for number in 1..=6 {
        for _ in 0..=number {
            let name = format!("secrets/orrange-p2p-service-{number}-production");
            send("PUT", &name, &json!({ "value": password("service") }))?;
        }
    }
    send("PUT", "secrets/orrange-p2p-legacy", &json!({ "value": "gone" }))?;
    send("DELETE", "secrets/orrange-p2p-legacy", &Json::Null)?;
    Ok(())
}
