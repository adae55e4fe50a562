//! The AWS SDK's own credentials for the S3 client: profiles, roles, SSO, instance metadata, processes.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use aws_config::SdkConfig;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use object_store::{CredentialProvider, aws::AwsCredential};
use tokio::sync::Mutex;

use crate::text;

/// How long before they expire credentials are asked for again.
const EARLY: Duration = Duration::from_mins(5);

/// Asks the SDK once, and again when what it gave is about to expire.
pub(super) struct SdkCredentials {
    provider: Option<SharedCredentialsProvider>,
    /// The profile that the address names.
    profile: Option<String>,
    held: Mutex<Option<(Arc<AwsCredential>, Option<SystemTime>)>>,
}

impl SdkCredentials {
    pub(super) fn new(sdk: &SdkConfig, profile: Option<&str>) -> Self {
        Self { provider: sdk.credentials_provider(), profile: profile.map(str::to_owned), held: Mutex::new(None) }
    }
}

impl fmt::Debug for SdkCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SdkCredentials")
    }
}

#[async_trait]
impl CredentialProvider for SdkCredentials {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        if let Some((credential, expiry)) = &*held
            && expiry.is_none_or(|expiry| expiry > SystemTime::now() + EARLY)
        {
            return Ok(Arc::clone(credential));
        }
        let provider = self.provider.as_ref().ok_or_else(|| failed("no credentials are configured"))?;
        let given = provider.provide_credentials().await.map_err(|error| match &self.profile {
            // All that the SDK says of a profile that nobody defined is that a provider "was not enabled".
            Some(profile) => failed(format!(
                "the AWS profile {} is not defined here or gives no credentials: {error}",
                text::line(profile)
            )),
            None => failed(error),
        })?;
        let credential = Arc::new(AwsCredential {
            key_id: given.access_key_id().to_owned(),
            secret_key: given.secret_access_key().to_owned(),
            token: given.session_token().map(str::to_owned),
        });
        *held = Some((Arc::clone(&credential), given.expiry()));
        Ok(credential)
    }
}

fn failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source: source.into() }
}
