//! A realistic estate: what a small platform's production account holds, written through the ordinary API.

use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    error::DisplayErrorContext,
    primitives::Blob,
    types::Tag,
};
use zeroize::Zeroizing;

use crate::cli::{Exit, Failure};

/// The secret that the second day rotates, and the one that `--break value` spoils.
pub(super) const DATABASE: &str = "orrange-p2p/database/production";
pub(super) const BLOCKCHAIN: &str = "orrange-p2p/blockchain/production";
pub(super) const API_KEYS: &str = "orrange-p2p/api-keys/production";
pub(super) const LEGACY: &str = "orrange-p2p/legacy-gateway/production";

/// An account of the sandbox, seen by an ordinary client.
pub(in crate::cli) struct Estate {
    client: Client,
}

impl Estate {
    pub(in crate::cli) fn new(endpoint: &str, account: &str, region: &str) -> Self {
        let credentials = Credentials::new(account, "sandbox", None, None, "lifeboat-demo");
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .credentials_provider(credentials)
            .endpoint_url(endpoint)
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// The first day: secrets with a history.
    pub(in crate::cli) async fn seed(&self) -> Result<(), Failure> {
        self.create(DATABASE, "PostgreSQL of the matching engine", &[("team", "platform"), ("tier", "1")]).await?;
        self.rotate(DATABASE, 4).await?;
        self.label(DATABASE, "BLUE").await?;
        self.rotate(DATABASE, 2).await?;
        self.policy(DATABASE).await?;
        self.create(BLOCKCHAIN, "Hot wallet signer and node credentials", &[("team", "chain"), ("empty", "")]).await?;
        self.rotate(BLOCKCHAIN, 3).await?;
        self.create(API_KEYS, "Payment, KYC and SMS providers — çğıöşü", &[("team", "integrations")]).await?;
        self.rotate(API_KEYS, 5).await?;
        self.label(API_KEYS, "VENDOR-APPROVED").await?;
        self.rotate(API_KEYS, 1).await?;
        self.create(LEGACY, "To be switched off", &[]).await?;
        self.rotate(LEGACY, 1).await?;
        self.binary("orrange-p2p/tls/keystore", 2).await?;
        self.empty("orrange-p2p/reserved/next-quarter").await?;
        for number in 1..=6 {
            let name = format!("orrange-p2p/service-{number}/production");
            self.create(&name, "A service's own credentials", &[("team", "platform")]).await?;
            self.rotate(&name, number).await?;
        }
        Ok(())
    }

    /// The second day: a rotation, and a secret on its way out.
    pub(super) async fn second_day(&self) -> Result<(), Failure> {
        self.rotate(DATABASE, 1).await?;
        let delete = self.client.delete_secret().secret_id(LEGACY).recovery_window_in_days(7);
        delete.send().await.map_err(|error| failed(&error))?;
        Ok(())
    }

    async fn create(&self, name: &str, description: &str, tags: &[(&str, &str)]) -> Result<(), Failure> {
        let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build());
        let create = self.client.create_secret().name(name).description(description);
        let create = create.set_tags(Some(tags.collect())).secret_string(credential(name).as_str());
        create.send().await.map_err(|error| failed(&error))?;
        Ok(())
    }

    async fn rotate(&self, name: &str, times: usize) -> Result<(), Failure> {
        for _ in 0..times {
            let put = self.client.put_secret_value().secret_id(name).secret_string(credential(name).as_str());
            put.send().await.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    async fn label(&self, name: &str, label: &str) -> Result<(), Failure> {
        let secret = self.client.get_secret_value().secret_id(name).send().await.map_err(|error| failed(&error))?;
        let request = self.client.update_secret_version_stage().secret_id(name).version_stage(label);
        request.set_move_to_version_id(secret.version_id).send().await.map_err(|error| failed(&error))?;
        Ok(())
    }

    async fn policy(&self, name: &str) -> Result<(), Failure> {
        let policy = r#"{ "Version": "2012-10-17", "Statement": [ { "Effect": "Allow",
  "Principal": { "AWS": "arn:aws:iam::111111111111:role/matching-engine" },
  "Action": "secretsmanager:GetSecretValue", "Resource": "*" } ] }"#;
        let put = self.client.put_resource_policy().secret_id(name).resource_policy(policy);
        put.send().await.map_err(|error| failed(&error))?;
        Ok(())
    }

    async fn binary(&self, name: &str, versions: usize) -> Result<(), Failure> {
        let create = self.client.create_secret().name(name).description("PKCS#12, binary");
        create.secret_binary(Blob::new(random(1800))).send().await.map_err(|error| failed(&error))?;
        for _ in 1..versions {
            let put = self.client.put_secret_value().secret_id(name).secret_binary(Blob::new(random(1800)));
            put.send().await.map_err(|error| failed(&error))?;
        }
        Ok(())
    }

    async fn empty(&self, name: &str) -> Result<(), Failure> {
        let create = self.client.create_secret().name(name).description("Reserved, no value yet");
        create.send().await.map_err(|error| failed(&error))?;
        Ok(())
    }
}

/// A made-up credential: random, so that nothing in the demo is anybody's secret.
fn credential(name: &str) -> Zeroizing<String> {
    let user = name.split('/').nth(1).unwrap_or(name);
    Zeroizing::new(format!(r#"{{"username":"{user}","password":"{}","port":5432}}"#, hex::encode(random(16))))
}

pub(in crate::cli) fn random(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

fn failed<E: std::error::Error + 'static>(error: &E) -> Failure {
    Failure::new(Exit::Failed, format!("the sandbox could not be filled with secrets: {}", DisplayErrorContext(error)))
}
