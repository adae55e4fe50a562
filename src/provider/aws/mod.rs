//! AWS Secrets Manager as source and target.
//!
//! The SDK's own profile, role and endpoint settings (`AWS_PROFILE`, `AWS_ENDPOINT_URL`, …) apply, so that it connects as every
//! other AWS tool does.

mod answers;
mod ask;
mod call;
mod direct;
mod failure;
mod inventory;
mod kind;
mod limiter;
mod listing;
pub mod ops;
mod organization;
mod parts;
mod proven;
mod read;
mod request;
mod rules;
#[cfg(test)]
mod scripted;
mod write;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig, stalled_stream_protection::StalledStreamProtectionConfig,
    sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_sdk_secretsmanager::config::{Credentials, IdentityCache, SharedCredentialsProvider};
use futures::{StreamExt as _, TryStreamExt as _, stream::BoxStream};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use self::{
    call::{Bounded, Operation},
    direct::{Direct, KMS},
    failure::Failure,
    limiter::{Bucket, Limiter},
};
pub use self::{kind::AwsKind, rules::AwsRules};
use super::{
    Applied, ErrorKind, Fetched, Known, Listed, Pace, ProviderError, Source, Target, held::Budget, ops::BAD_SETTING,
};
use crate::{
    isolation::{Isolation, region_name},
    model::{Existing, Place, PolicyVerdict, Presence, Secret, SecretValue, Step},
    outward::{self, BadSetting, Endpoint, Outward},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The scheme of its addresses and places.
pub(super) const SCHEME: &str = "aws";
/// To get credentials and to prove them, retries included.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_mins(1);
/// The services that values, credentials or names of a provider go to, as the SDK calls them.
const SERVICES: [&str; 10] =
    ["Secrets Manager", "STS", "KMS", "Organizations", "CloudTrail", "ECS", "Lambda", "SQS", "SSO", "SSO OIDC"];
/// The highest rate share where AWS's quotas do not hold.
const MOST_RATE: f64 = 10_000.0;
/// Requests in flight for one secret, or for one inventory.
const AT_ONCE: usize = 8;
/// Bytes of values in memory at once, in flight and waiting to be sealed. A value is at most 64 KiB, so several hundred are
/// on their way at any time, and memory is a small multiple of this whatever the secrets are.
const VALUES_IN_FLIGHT: u32 = 32 << 20;

/// How to reach Secrets Manager; what is not given here comes from the SDK's own settings.
pub struct AwsSettings {
    /// The region.
    pub region: String,
    /// The endpoint of Secrets Manager and STS, instead of AWS's own.
    pub endpoint: Option<String>,
    /// The profile of the AWS configuration.
    pub profile: Option<String>,
    /// The ARN of a role to assume.
    pub role: Option<String>,
    /// The external id that the role asks for.
    pub role_external_id: Option<String>,
    /// Fixed credentials, for a sandbox. All others may change, and are proven before each use of new ones.
    pub credentials: Option<StaticCredentials>,
    /// The share of every AWS quota to use, above 0; above 1 only where the endpoint is not AWS's own and knows no quota.
    pub rate_share: f64,
    /// What every connection has to pass.
    pub isolation: Option<Arc<Isolation>>,
}

/// Fixed credentials of a sandbox.
pub struct StaticCredentials {
    /// The access key id.
    pub access_key: String,
    /// The secret access key.
    pub secret_key: Zeroizing<String>,
}

impl AwsSettings {
    /// The SDK's settings in `region`, written as AWS does, at 90 % of the quotas.
    pub fn region(region: &str) -> Self {
        Self {
            region: region_name(region),
            endpoint: None,
            profile: None,
            role: None,
            role_external_id: None,
            credentials: None,
            rate_share: 0.9,
            isolation: None,
        }
    }
}

/// A connection to Secrets Manager in one account and region. Clones share its pacing.
#[derive(Clone)]
pub struct Aws {
    client: aws_sdk_secretsmanager::Client,
    describe_key: Direct,
    sts: aws_sdk_sts::Client,
    region: String,
    limiter: Arc<Limiter>,
    budget: Budget,
    account: Arc<OnceCell<String>>,
}

impl Aws {
    /// Prepares the connection. Nothing is sent to Secrets Manager yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a rate share that makes no sense, and with the code [`BAD_SETTING`] for a proxy, a bundle of
    /// certificates or an endpoint that cannot be used.
    pub async fn connect(settings: AwsSettings) -> Result<Self, ProviderError> {
        let config = sdk_config(&settings).await?;
        let most = if is_awss_own(config.endpoint_url()) { 1.0 } else { MOST_RATE };
        if !(settings.rate_share > 0.0 && settings.rate_share <= most) {
            return Err(ProviderError {
                provider: SCHEME,
                kind: ErrorKind::Invalid,
                operation: "connect",
                secret: None,
                code: "BadRateShare".into(),
                message: format!("the rate share must be above 0 and at most {most} at this endpoint"),
            });
        }
        let secrets = aws_sdk_secretsmanager::config::Builder::from(&config).retry_config(RetryConfig::disabled());
        let sts = aws_sdk_sts::config::Builder::from(&config).retry_config(RetryConfig::disabled());
        Ok(Self {
            describe_key: Direct::new(&config, settings.endpoint.as_deref(), KMS, Operation::DescribeKey)?,
            client: aws_sdk_secretsmanager::Client::from_conf(secrets.interceptor(Bounded).build()),
            sts: aws_sdk_sts::Client::from_conf(sts.interceptor(Bounded).build()),
            limiter: Arc::new(Limiter::new(settings.rate_share, Instant::now())),
            budget: Budget::new(VALUES_IN_FLIGHT),
            account: Arc::new(OnceCell::new()),
            region: settings.region,
        })
    }

    async fn whereabouts(&self) -> Result<Place, ProviderError> {
        let account = self.account.get_or_try_init(|| self.ask_account()).await?;
        Ok(Place { provider: SCHEME.into(), account: account.clone(), region: self.region.clone() })
    }

    async fn ask_account(&self) -> Result<String, Failure> {
        let operation = Operation::GetCallerIdentity;
        let answer = self.call(operation, None, || self.sts.get_caller_identity().send()).await?;
        let account = answer.account().filter(|account| !account.is_empty());
        account.map(str::to_owned).ok_or_else(|| {
            Failure::own(ErrorKind::Unavailable, operation, &self.region, "BadAnswer", "the answer names no account")
        })
    }
}

#[async_trait]
impl Source for Aws {
    async fn place(&self) -> Result<Place, ProviderError> {
        self.whereabouts().await
    }

    fn list(&self) -> BoxStream<'_, Result<Listed, ProviderError>> {
        self.listing()
    }

    fn pace(&self) -> Option<Pace> {
        // A secret takes one of each, and two DescribeSecret.
        let rate = |bucket| self.limiter.rate(bucket);
        let read = rate(Bucket::VersionIds).min(rate(Bucket::Policy)).min(rate(Bucket::Describe) / 2.0);
        Some(Pace { listed: rate(Bucket::List) * f64::from(read::PAGE), read })
    }

    async fn fetch(&self, listed: &Listed, known: &Known<'_>) -> Result<Fetched, ProviderError> {
        self.read_secret(listed, known).await
    }
}

#[async_trait]
impl Target for Aws {
    async fn place(&self) -> Result<Place, ProviderError> {
        self.whereabouts().await
    }

    fn write_pace(&self) -> Option<f64> {
        Some(self.limiter.rate(Bucket::Write).min(self.limiter.rate(Bucket::Create)))
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        self.listing().map_ok(|listed| listed.name).boxed()
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        Ok(self.existing(name).await?)
    }

    async fn presence(&self, reference: &str) -> Result<Presence, ProviderError> {
        self.ask_presence(reference).await
    }

    async fn judge_policy(&self, policy: &str) -> Result<PolicyVerdict, ProviderError> {
        self.ask_policy(policy).await
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        match Self::describe(self, id, id).await {
            Ok(described) => Ok(Some(described.secret)),
            Err(failure) if failure.kind() == ErrorKind::NotFound => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn apply(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        Ok(Applied { created: self.write(step, at, value).await? })
    }
}

/// Whether an endpoint is AWS's, also by a private link: its quotas cannot be raised.
fn is_awss_own(endpoint: Option<&str>) -> bool {
    let Some(endpoint) = endpoint else { return true };
    Endpoint::parse(endpoint).is_ok_and(|endpoint| outward::is_awss_own(endpoint.host()))
}

/// A setting that cannot be used, as the contract's error.
fn bad_setting(bad: &BadSetting) -> ProviderError {
    ProviderError {
        provider: SCHEME,
        kind: ErrorKind::Invalid,
        operation: "connect",
        secret: None,
        code: BAD_SETTING.into(),
        message: bad.to_string(),
    }
}

/// Refuses endpoints to which values or credentials would go in clear, and what the SDK would pass over or end at.
fn check(config: &SdkConfig, own: Option<&str>) -> Result<(), BadSetting> {
    let switches =
        [("AWS_USE_FIPS_ENDPOINT", "use_fips_endpoint"), ("AWS_USE_DUALSTACK_ENDPOINT", "use_dualstack_endpoint")];
    for service in SERVICES {
        let endpoint = match own {
            Some(own) => Some(Endpoint::parse(own)?),
            None => outward::endpoint_of(config, service)?,
        };
        let Some(endpoint) = endpoint else { continue };
        if endpoint.is_in_clear() {
            let what = "would carry secrets in clear: use https, or an endpoint on this machine";
            return Err(BadSetting::new(format!("the endpoint {endpoint} of {service} {what}")));
        }
        for (variable, key) in switches.into_iter().filter(|_| own.is_none()) {
            if outward::is_set(config, variable, key)? {
                let what = "exclude each other: an endpoint that is named is used as it is";
                return Err(BadSetting::new(format!("{variable} and the endpoint {endpoint} of {service} {what}")));
            }
        }
    }
    for (variable, key) in switches {
        outward::is_set(config, variable, key)?;
    }
    Ok(())
}

async fn sdk_config(settings: &AwsSettings) -> Result<SdkConfig, ProviderError> {
    let outward = Outward::of_process().map_err(|bad| bad_setting(&bad))?;
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(settings.region.clone()))
        // Answers are small and every attempt has a time limit.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(outward.sdk_client(settings.isolation.as_ref()))
        .timeout_config(timeouts)
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_TIMEOUT).build());
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint).use_fips(false).use_dual_stack(false);
    }
    if let Some(profile) = &settings.profile {
        // The SDK panics at a number of attempts in the profile that is none; what asks for credentials needs no other.
        loader = loader.profile_name(profile).retry_config(RetryConfig::standard());
    }
    if let Some(fixed) = &settings.credentials {
        let credentials = Credentials::new(&fixed.access_key, fixed.secret_key.as_str(), None, None, "lifeboat");
        loader = loader.credentials_provider(credentials);
    }
    let config = loader.load().await;
    check(&config, settings.endpoint.as_deref()).map_err(|bad| bad_setting(&bad))?;
    let Some(role) = &settings.role else {
        // Fixed ones cannot change.
        let Some(given) = config.credentials_provider().filter(|_| settings.credentials.is_none()) else {
            return Ok(config);
        };
        let proven = proven::Proven::wrap(given, &config);
        return Ok(config.into_builder().credentials_provider(proven).build());
    };
    let mut assumed = AssumeRoleProvider::builder(role).session_name("lifeboat").configure(&config);
    if let Some(id) = &settings.role_external_id {
        assumed = assumed.external_id(id);
    }
    let assumed = SharedCredentialsProvider::new(assumed.build().await);
    let proven = proven::Proven::wrap(assumed, &config);
    Ok(config.into_builder().credentials_provider(proven).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise the source's own region, written in capitals, would pass for another place.
    #[test]
    fn a_region_is_written_as_aws_does() {
        assert_eq!(AwsSettings::region(" EU-Central-1").region, "eu-central-1");
    }

    #[test]
    fn quotas_hold_wherever_aws_answers() {
        for own in [
            None,
            Some("https://secretsmanager.eu-central-1.amazonaws.com"),
            Some("https://vpce-0a1b.secretsmanager.eu-central-1.vpce.amazonaws.com:443/"),
            Some("https://SECRETSMANAGER.cn-north-1.amazonaws.com.cn."),
            Some("https://secretsmanager.eu-central-1.api.aws"),
        ] {
            assert!(is_awss_own(own), "{own:?}");
        }
        for other in ["http://127.0.0.1:4566", "https://localstack.example/amazonaws.com", "http://[::1]:1"] {
            assert!(!is_awss_own(Some(other)), "{other}");
        }
    }
}
