//! Whose a bucket is. S3 answers a request that carries `x-amz-expected-bucket-owner` only if that account owns the bucket.
//! <https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html>
//!
//! Asked is for a listing of the prefix, and not for the bucket's head: the permissions that a copy needs (docs/iam.md) allow
//! `s3:ListBucket` for the prefix alone.
//!
//! The storage crate signs no header of ours, and one that is not signed is refused: so these requests are signed here.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::{Credentials, provider::ProvideCredentials as _};
use aws_sigv4::{
    http_request::{
        PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings,
        UriPathNormalizationMode, sign,
    },
    sign::v4,
};
use futures::{StreamExt as _, stream};
use hyper::{
    HeaderMap, Method, StatusCode, Uri,
    header::{HeaderName, HeaderValue},
};
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector as _, HttpRequest, HttpRequestBody},
    path::Path,
};

use super::{Bucket, Connected, Observer, s3::region};

const OWNER: &str = "x-amz-expected-bucket-owner";
const KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
/// An account that nobody has.
const NOBODY: &str = "000000000000";
/// Requests in flight.
const AT_ONCE: usize = 8;

/// Whose a bucket is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This account's: the service answered as it does to its owner's number only.
    Account(String),
    /// None of the accounts that were asked about, and somebody's.
    Another,
    /// It cannot be proven, for this reason.
    Unknown(String),
}

/// Asks about a bucket with credentials that are at hand.
struct Asker<'a> {
    client: HttpClient,
    credentials: Credentials,
    region: &'a str,
    /// The bucket's URL.
    url: String,
    /// What is asked of it about its owner: a listing of one key.
    listing: String,
}

impl Connected {
    /// Whose the bucket is, among `accounts`; `None` for what is not S3.
    pub(in crate::storage) async fn owner(&self, bucket: &Bucket, accounts: &[String]) -> Option<Owner> {
        let sdk = self.sdk.as_ref()?;
        let owner = match self.asker(sdk, bucket).await {
            Ok(asker) => asker.owner(accounts).await,
            Err(reason) => Err(reason),
        };
        Some(owner.unwrap_or_else(Owner::Unknown))
    }

    /// The KMS key under which an object is kept; `None` where the service does not say.
    pub(in crate::storage) async fn encryption_key(&self, bucket: &Bucket, key: &str) -> Option<String> {
        let asker = self.asker(self.sdk.as_ref()?, bucket).await.ok()?;
        let (status, headers) = asker.ask(Method::HEAD, &format!("/{}", encoded(key, "/")), None).await.ok()?;
        let key = headers.get(KEY).filter(|_| status.is_success())?;
        key.to_str().ok().map(str::to_owned)
    }

    async fn asker<'a>(&self, sdk: &'a SdkConfig, bucket: &Bucket) -> Result<Asker<'a>, String> {
        let endpoint = self.endpoint.as_ref().ok_or("no endpoint is known")?;
        let provider = sdk.credentials_provider().ok_or("no credentials are configured")?;
        let credentials = provider.provide_credentials().await.map_err(|_| "there are no usable credentials")?;
        let options = ClientOptions::new().with_allow_http(endpoint.is_plain());
        let client = Observer::new(&self.seen, &self.outward).connect(&options).map_err(|error| error.to_string())?;
        let prefix = Path::from(bucket.prefix.as_str());
        let prefix = if prefix.as_ref().is_empty() { String::new() } else { format!("{prefix}/") };
        let listing = format!("?list-type=2&max-keys=1&prefix={}", encoded(&prefix, ""));
        let url = format!("{endpoint}/{}", encoded(&bucket.name, ""));
        Ok(Asker { client, credentials, region: region(sdk), url, listing })
    }
}

impl Asker<'_> {
    async fn owner(&self, accounts: &[String]) -> Result<Owner, String> {
        // First of all: a service that does not know the header takes every account for the owner.
        let nobody = self.list(Some(NOBODY)).await?;
        if nobody.is_success() {
            return Err("the service does not check who owns a bucket".into());
        }
        if nobody != StatusCode::FORBIDDEN {
            return Err(answered(nobody));
        }
        let asks = stream::iter(accounts).map(async |account| (account, self.list(Some(account)).await));
        let mut answers = asks.buffered(AT_ONCE);
        let mut unsure = None;
        while let Some((account, answer)) = answers.next().await {
            match answer {
                Ok(status) if status.is_success() => return Ok(Owner::Account(account.clone())),
                Ok(StatusCode::FORBIDDEN) => {}
                Ok(status) => unsure = Some(answered(status)),
                Err(reason) => unsure = Some(reason),
            }
        }
        if let Some(reason) = unsure {
            return Err(reason);
        }
        // A refusal says nothing where the credentials may not ask at all.
        match self.list(None).await? {
            status if status.is_success() => Ok(Owner::Another),
            status => Err(answered(status)),
        }
    }

    async fn list(&self, owner: Option<&str>) -> Result<StatusCode, String> {
        Ok(self.ask(Method::GET, &self.listing, owner).await?.0)
    }

    /// The answer to a signed request for the bucket, or for what is below it.
    async fn ask(&self, method: Method, below: &str, owner: Option<&str>) -> Result<(StatusCode, HeaderMap), String> {
        let url = format!("{}{below}", self.url);
        let request = self.signed(method, &url, owner).ok_or("the request cannot be signed")?;
        // Its text would repeat the URL.
        let answer = self.client.execute(request).await.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            format!("there is no answer: {}", cause.unwrap_or_default())
        })?;
        Ok((answer.status(), answer.headers().clone()))
    }

    fn signed(&self, method: Method, url: &str, owner: Option<&str>) -> Option<HttpRequest> {
        let mut settings = SigningSettings::default();
        // As S3 signs: paths as they are, and the digest of the body in a header.
        settings.percent_encoding_mode = PercentEncodingMode::Single;
        settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
        settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
        let identity = self.credentials.clone().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name("s3")
            .time(SystemTime::now())
            .settings(settings)
            .build()
            .ok()?
            .into();
        let own = owner.map(|owner| (OWNER, owner));
        let signable = SignableRequest::new(method.as_str(), url, own.into_iter(), SignableBody::Bytes(&[])).ok()?;
        let (instructions, _) = sign(signable, &params).ok()?.into_parts();
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = method;
        *request.uri_mut() = url.parse::<Uri>().ok()?;
        for (name, value) in instructions.headers().chain(own) {
            let (name, value) = (HeaderName::from_bytes(name.as_bytes()).ok()?, HeaderValue::from_str(value).ok()?);
            request.headers_mut().insert(name, value);
        }
        Some(request)
    }
}

fn answered(status: StatusCode) -> String {
    match status {
        StatusCode::FORBIDDEN => "the credentials have no permission for this (s3:ListBucket)".into(),
        StatusCode::NOT_FOUND => "there is no such bucket".into(),
        StatusCode::MOVED_PERMANENTLY => "the bucket is in another region".into(),
        other => format!("the service answered {}", other.as_u16()),
    }
}

/// A text as S3 signs it: everything is escaped but unreserved characters and those of `kept`.
fn encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.as_bytes().contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
