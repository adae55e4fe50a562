//! The side of the sandbox that answers as a key vault does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use serde_json::{Value as Json, json};

use super::unusable;
use crate::{
    cli::{Exit, Failure, demo::estate::random},
    clock::SystemClock,
    emulator::{AzureControl, AzureSandbox, AzureSandboxOptions},
    fsutil,
};

/// The vault that is filled.
const VAULT: &str = "orrange";

/// It, and the file of its certificate.
pub(super) struct Side {
    sandbox: AzureSandbox,
    folder: tempfile::TempDir,
}

impl Side {
    pub(super) async fn start(
        bind: SocketAddr,
        latency: Duration,
        quotas: bool,
        (switches, seed): (&str, bool),
    ) -> Result<Self, Failure> {
        let switches = Some(switches.to_owned());
        let options = AzureSandboxOptions { bind, clock: Arc::new(SystemClock), quotas, latency, switches };
        let sandbox = AzureSandbox::start(options).await.map_err(|error| unusable(bind, &error))?;
        let unwritten = |error: std::io::Error| {
            Failure::new(Exit::Failed, format!("cannot write the certificate of the sandbox: {error}"))
        };
        let folder = tempfile::tempdir().map_err(unwritten)?;
        let file = folder.path().join("sandbox.pem");
        let (access, existing) = (fsutil::Access::Private, fsutil::Existing::Keep);
        fsutil::write(&file, sandbox.certificate().as_bytes(), access, existing).map_err(unwritten)?;
        if seed {
            fill(&sandbox.control())?;
        }
        Ok(Self { sandbox, folder })
    }

    fn certificate(&self) -> String {
        self.folder.path().join("sandbox.pem").display().to_string()
    }

    pub(super) fn json(&self) -> Json {
        json!({
            "authority": self.sandbox.authority(), "tenant": self.sandbox.tenant(), "client": "sandbox",
            "secret": self.sandbox.client_secret(), "certificate": self.certificate(),
            "vault": self.sandbox.vault(VAULT), "source": self.sandbox.source(VAULT),
        })
    }

    pub(super) fn lines(&self) -> String {
        let (authority, tenant) = (self.sandbox.authority(), self.sandbox.tenant());
        let (secret, certificate, source) =
            (self.sandbox.client_secret(), self.certificate(), self.sandbox.source(VAULT));
        format!(
            "export AZURE_AUTHORITY_HOST={authority} AZURE_TENANT_ID={tenant} AZURE_CLIENT_ID=sandbox\n\
             export AZURE_CLIENT_SECRET={secret}\n\
             export AWS_CA_BUNDLE={certificate} REQUESTS_CA_BUNDLE={certificate} NODE_EXTRA_CA_CERTS={certificate}\n\
             # lifeboat init --source {source}"
        )
    }

    pub(super) async fn stop(self) {
        self.sandbox.shutdown().await;
    }
}

/// Secrets with a history, in every state that a version can be in.
fn fill(control: &AzureControl) -> Result<(), Failure> {
    let failed = |error: crate::emulator::AzureControlError| {
        Failure::new(Exit::Failed, format!("the sandbox could not be filled with secrets: {error}"))
    };
    let send = |method: &str, path: &str, body: &Json| control.request(VAULT, method, path, body).map_err(failed);
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
