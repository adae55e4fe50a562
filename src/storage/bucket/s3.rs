//! S3 and what speaks its protocol.

use std::sync::Arc;

use aws_config::{
    BehaviorVersion, Region, SdkConfig, profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig,
};
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum, S3ConditionalPut};

use super::{Bucket, credentials::SdkCredentials, retention::Observer, retry};
use crate::{
    isolation::Isolation,
    outward::{self, BadSetting, Endpoint, Outward},
};

/// Where nothing names a region, as the storage crate has it.
const DEFAULT_REGION: &str = "us-east-1";

/// The settings that every AWS tool reads, and those of the address.
pub(super) async fn sdk_config(
    bucket: &Bucket,
    outward: &Arc<Outward>,
    isolation: Option<&Arc<Isolation>>,
) -> SdkConfig {
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
pub(super) fn connect(
    bucket: &Bucket,
    sdk: &SdkConfig,
    endpoint: &Endpoint,
    observer: Observer,
) -> object_store::Result<AmazonS3> {
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&bucket.name)
        .with_credentials(Arc::new(SdkCredentials::new(sdk, bucket.option("profile"))))
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

pub(super) fn region(sdk: &SdkConfig) -> &str {
    sdk.region().map_or(DEFAULT_REGION, AsRef::as_ref)
}

/// The endpoint of the address, of the AWS settings, or AWS's own in the region's partition. The storage crate knows the
/// hosts of one partition only, and none of FIPS and dual-stack.
pub(super) fn endpoint(own: Option<Endpoint>, sdk: &SdkConfig) -> Result<Endpoint, BadSetting> {
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
