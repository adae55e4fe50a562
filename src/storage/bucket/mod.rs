//! Buckets: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob.

mod credentials;
mod listing;
mod owner;
mod retention;

use std::{sync::Arc, time::Duration};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig,
};
use jiff::Timestamp;
use object_store::{
    ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3Builder, Checksum, S3ConditionalPut},
    azure::MicrosoftAzureBuilder,
    gcp::GoogleCloudStorageBuilder,
    path::Path,
    prefix::PrefixStore,
};
use tokio::sync::OnceCell;

use super::address::{Bucket, Service};
use crate::{
    isolation::Isolation,
    outward::{self, BadSetting, Endpoint, Outward},
};
use credentials::SdkCredentials;
pub use owner::Owner;
use retention::{Observer, Seen};

/// Marks an error that a setting of the environment or of the AWS configuration makes.
pub(super) const SETTING: &str = "setting";
/// Where nothing names a region, as the storage crate has it.
const DEFAULT_REGION: &str = "us-east-1";

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
    /// Set when it was tried whether it refuses to replace a file. A new copy has nothing to try it with, nor to lose.
    pub(super) tried: OnceCell<()>,
    /// Where its requests go, unless that is the provider's own choice.
    pub(super) endpoint: Option<Endpoint>,
    outward: Arc<Outward>,
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
    let outward = Outward::of_process().map_err(bad_setting)?;
    let mut endpoint = bucket.option("endpoint").map(Endpoint::parse).transpose().map_err(bad_setting)?;
    let mut settings = None;
    let seen = Seen::guarded(isolation.clone());
    let observer = Observer::new(&seen, &outward);
    let store: Arc<dyn ObjectStore> = match bucket.service {
        Service::S3 => {
            let sdk = settings.insert(sdk_config(bucket, &outward, isolation.as_ref()).await);
            let at = s3_endpoint(endpoint.take(), sdk).map_err(bad_setting)?;
            let at = endpoint.insert(at);
            Arc::new(prefixed(s3(bucket, sdk, at, observer)?, bucket))
        }
        Service::Gcs => Arc::new(prefixed(gcs(bucket, endpoint.as_ref(), observer)?, bucket)),
        Service::Azure => Arc::new(prefixed(azure(bucket, endpoint.as_ref(), observer)?, bucket)),
    };
    let is_single_writer = bucket.option("single_writer") == Some("true");
    Ok(Connected { store, seen, sdk: settings, is_single_writer, tried: OnceCell::new(), endpoint, outward })
}

/// An attempt ends after 30 seconds without an answer, and after 45 seconds none begins: a service that says nothing is given up after
/// about a minute.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(45), ..RetryConfig::default() }
}

fn bad_setting(bad: BadSetting) -> object_store::Error {
    object_store::Error::Generic { store: SETTING, source: Box::new(bad) }
}

fn prefixed<T: ObjectStore>(store: T, bucket: &Bucket) -> PrefixStore<T> {
    PrefixStore::new(store, Path::from(bucket.prefix.as_str()))
}

async fn sdk_config(bucket: &Bucket, outward: &Arc<Outward>, isolation: Option<&Arc<Isolation>>) -> SdkConfig {
    let client = outward.sdk_client(isolation);
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(client.clone());
    if let Some(profile) = bucket.option("profile") {
        // Named here, it wins over credentials in the environment, which are the source's.
        let mut provider = ProviderConfig::with_default_region().await.with_http_client(client);
        if let Some(region) = bucket.option("region") {
            // Where its role is taken.
            provider = provider.with_region(Some(Region::new(region.to_owned())));
        }
        let credentials = ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(profile).build();
        // The SDK panics at a number of attempts in the profile that is none; what asks for credentials needs no other.
        let retry = aws_config::retry::RetryConfig::standard();
        loader = loader.profile_name(profile).credentials_provider(credentials).retry_config(retry);
    }
    if let Some(region) = bucket.option("region") {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}

/// Conditional puts, SHA-256 checked by the service before it stores, the SDK's own credentials, region and endpoint.
fn s3(
    bucket: &Bucket,
    sdk: &SdkConfig,
    endpoint: &Endpoint,
    observer: Observer,
) -> object_store::Result<object_store::aws::AmazonS3> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&bucket.name)
        .with_credentials(Arc::new(SdkCredentials::new(sdk)))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        .with_checksum_algorithm(Checksum::SHA256)
        .with_region(region(sdk))
        .with_allow_http(endpoint.is_plain())
        .with_endpoint(endpoint.to_string())
        .with_http_connector(observer)
        .with_retry(retry());
    builder = match (bucket.option("sse"), bucket.option("kms")) {
        (_, Some(key)) => builder.with_sse_kms_encryption(key).with_bucket_key(true),
        // The crate's own name of `x-amz-server-side-encryption`: AES256, aws:kms, …
        (Some(other), None) => builder.with_config("aws_server_side_encryption".parse()?, other),
        (None, None) => builder,
    };
    builder.build()
}

fn region(sdk: &SdkConfig) -> &str {
    sdk.region().map_or(DEFAULT_REGION, AsRef::as_ref)
}

/// The endpoint of the address, of the AWS settings, or AWS's own in the region's partition. The storage crate knows the
/// hosts of one partition only, and none of FIPS and dual-stack.
fn s3_endpoint(own: Option<Endpoint>, sdk: &SdkConfig) -> Result<Endpoint, BadSetting> {
    if let Some(own) = own {
        return Ok(own);
    }
    let fips = outward::is_set(sdk, "AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint")?;
    let dual_stack = outward::is_set(sdk, "AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")?;
    match outward::endpoint_of(sdk, "S3")? {
        Some(named) if fips || dual_stack => Err(BadSetting::new(format!(
            "FIPS or dual-stack endpoints and the endpoint {named} exclude each other: give the endpoint in the address"
        ))),
        Some(named) => Ok(named),
        None => Endpoint::parse(&format!("https://{}", outward::s3_host(region(sdk), fips, dual_stack)?)),
    }
}

fn gcs(
    bucket: &Bucket,
    endpoint: Option<&Endpoint>,
    observer: Observer,
) -> object_store::Result<object_store::gcp::GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&bucket.name)
        .with_http_connector(observer)
        .with_retry(retry());
    if let Some(endpoint) = endpoint {
        let options = object_store::ClientOptions::new().with_allow_http(endpoint.is_plain());
        builder = builder.with_base_url(&endpoint.to_string()).with_bearer_token("none").with_client_options(options);
    }
    builder.build()
}

fn azure(
    bucket: &Bucket,
    endpoint: Option<&Endpoint>,
    observer: Observer,
) -> object_store::Result<object_store::azure::MicrosoftAzure> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_account(&bucket.account)
        .with_container_name(&bucket.name)
        .with_http_connector(observer)
        .with_retry(retry());
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.to_string()).with_allow_http(endpoint.is_plain());
    }
    builder.build()
}
