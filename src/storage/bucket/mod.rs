//! Buckets: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob.

mod credentials;
mod listing;
mod retention;

use std::{sync::Arc, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, profile::ProfileFileCredentialsProvider};
use aws_types::service_config::ServiceConfigKey;
use jiff::Timestamp;
use object_store::{
    ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3Builder, Checksum, S3ConditionalPut},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    path::Path,
    prefix::PrefixStore,
};
use tokio::sync::Mutex;

use super::address::{Bucket, Service};
use crate::isolation::Isolation;
use credentials::SdkCredentials;
use retention::{Observer, Seen};

/// A bucket, connected.
pub(super) struct Connected {
    /// Names are relative to the prefix.
    pub(super) store: Arc<dyn ObjectStore>,
    /// The store below it, whose answers tell the retention (S3 only).
    seen: Seen,
    /// The account that the credentials belong to (S3 only), asked on demand.
    pub(super) sdk: Option<SdkConfig>,
    /// Whether its address says that nobody else writes to it, so that it need not refuse to replace a file.
    pub(super) is_single_writer: bool,
    /// Whether it was seen to refuse to replace a file.
    pub(super) is_exclusive: Mutex<bool>,
}

impl Connected {
    /// Until when S3 keeps an object from being removed; `None` when it does not say.
    pub(super) async fn locked_until(&self, name: &str) -> object_store::Result<Option<Timestamp>> {
        self.seen.forget();
        self.store.head(&Path::parse(name)?).await?;
        Ok(self.seen.locked_until())
    }
}

/// Prepares the connection by the provider's own tools' settings. Nothing of the bucket is touched yet.
pub(super) async fn connect(bucket: &Bucket, isolation: Option<Arc<Isolation>>) -> object_store::Result<Connected> {
    let seen = Seen::guarded(isolation);
    let (store, sdk): (Arc<dyn ObjectStore>, _) = match bucket.service {
        Service::S3 => {
            let sdk = sdk_config(bucket).await;
            (Arc::new(prefixed(s3(bucket, &sdk, &seen)?, bucket)), Some(sdk))
        }
        Service::Gcs => (Arc::new(prefixed(gcs(bucket, &seen)?, bucket)), None),
        Service::Azure => (Arc::new(prefixed(azure(bucket, &seen)?, bucket)), None),
    };
    let is_single_writer = bucket.option("single_writer") == Some("true");
    Ok(Connected { store, seen, sdk, is_single_writer, is_exclusive: Mutex::new(false) })
}

/// An attempt ends after 30 seconds without an answer, and after 45 seconds none begins: a service that says nothing is given up after
/// about a minute.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(45), ..RetryConfig::default() }
}

fn prefixed<T: ObjectStore>(store: T, bucket: &Bucket) -> PrefixStore<T> {
    PrefixStore::new(store, Path::from(bucket.prefix.as_str()))
}

async fn sdk_config(bucket: &Bucket) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest());
    if let Some(profile) = bucket.option("profile") {
        // Named here, it wins over credentials in the environment, which are the source's.
        let credentials = ProfileFileCredentialsProvider::builder().profile_name(profile).build();
        loader = loader.profile_name(profile).credentials_provider(credentials);
    }
    if let Some(region) = bucket.option("region") {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}

/// Conditional puts, SHA-256 checked by the service before it stores, the SDK's own credentials, region and endpoint.
fn s3(bucket: &Bucket, sdk: &SdkConfig, seen: &Seen) -> object_store::Result<object_store::aws::AmazonS3> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&bucket.name)
        .with_credentials(Arc::new(SdkCredentials::new(sdk)))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_http_connector(Observer::new(seen))
        .with_retry(retry());
    if let Some(region) = sdk.region() {
        builder = builder.with_region(region.as_ref());
    }
    if let Some(endpoint) = bucket.option("endpoint").map(str::to_owned).or_else(|| endpoint(sdk)) {
        builder = builder.with_allow_http(endpoint.starts_with("http://")).with_endpoint(endpoint);
    }
    builder = match (bucket.option("sse"), bucket.option("kms")) {
        (_, Some(key)) => builder.with_sse_kms_encryption(key).with_bucket_key(true),
        // The crate's own name of `x-amz-server-side-encryption`: AES256, aws:kms, …
        (Some(other), None) => builder.with_config("aws_server_side_encryption".parse()?, other),
        (None, None) => builder,
    };
    builder.build()
}

/// `AWS_ENDPOINT_URL_S3`, a profile's `services` section, or `AWS_ENDPOINT_URL`, as every AWS tool reads them.
fn endpoint(sdk: &SdkConfig) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("s3").profile("endpoint_url").env("AWS_ENDPOINT_URL").build();
    let own = sdk.service_config().zip(key.ok()).and_then(|(config, key)| config.load_config(key));
    own.or_else(|| sdk.endpoint_url().map(str::to_owned))
}

fn gcs(bucket: &Bucket, seen: &Seen) -> object_store::Result<object_store::gcp::GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&bucket.name)
        .with_http_connector(Observer::new(seen))
        .with_retry(retry());
    if let Some(endpoint) = bucket.option("endpoint") {
        let options = object_store::ClientOptions::new().with_allow_http(endpoint.starts_with("http://"));
        builder = builder.with_base_url(endpoint).with_bearer_token("none").with_client_options(options);
    }
    builder.build()
}

fn azure(bucket: &Bucket, seen: &Seen) -> object_store::Result<object_store::azure::MicrosoftAzure> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_account(&bucket.account)
        .with_container_name(&bucket.name)
        .with_http_connector(Observer::new(seen))
        .with_retry(retry());
    if let Some(endpoint) = bucket.option("endpoint") {
        builder = builder.with_endpoint(endpoint.to_owned()).with_allow_http(endpoint.starts_with("http://"));
    }
    builder.build()
}
