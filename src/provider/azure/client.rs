//! Requests: signed in, paced, tried again, and held to a size.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode, Url, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value as Json;
use tokio::sync::RwLock;
use zeroize::Zeroizing;

use super::{
    AzureAddress, challenge,
    credentials::{Credentials, Token, Wanted},
    pace::Limiter,
};
use crate::{
    clock::{Clock as _, SystemClock},
    isolation::Isolation,
    outward::{self, AzureSettings, Outward},
    provider::{
        BAD_SETTING, ErrorKind, ProviderError,
        exchange::{self, Received, exchange},
        pace::pause,
    },
};

/// The version of the service's interface that is spoken.
const API: &str = "2025-07-01";
/// The longest answer, in MiB: 25 entries with fifteen tags, or a value of 25 KB.
const LARGEST: usize = 4;
/// How often a request without a usable answer is sent again.
pub(super) const RETRIES: u32 = 5;
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// How long a request waits for its quota.
const LONGEST_BLOCK: Duration = Duration::from_mins(10);
/// Seconds before its end at which a token is no longer used.
const BEFORE_THE_END: i64 = 120;

/// The operation that writes a value: what the server says about one is not repeated.
pub(super) const SET: &str = "secrets/set";
/// The inner code of a version that is disabled.
pub(super) const DISABLED: &str = "SecretDisabled";
/// The inner code of the vault's firewall.
const FIREWALL: &str = "ForbiddenByFirewall";

/// One vault, signed in at the first request.
pub(super) struct Client {
    http: reqwest::Client,
    pub(super) server: Url,
    credentials: Credentials,
    signed: RwLock<Option<(Wanted, Arc<Token>)>>,
    isolation: Option<Arc<Isolation>>,
    pub(super) limiter: Limiter,
}

/// What a request is about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    /// The operation, as reports name it.
    pub operation: &'static str,
    /// The secret.
    pub secret: Option<&'a str>,
}

/// An answer to this request: a status and, wiped when it is dropped, its body.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Zeroizing<Vec<u8>>,
    challenge: Option<String>,
    retry_after: Option<Duration>,
}

/// An error as the service tells it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    error: ToldError,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToldError {
    code: String,
    message: String,
    innererror: Inner,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Inner {
    code: String,
}

impl Client {
    pub(super) fn new(
        address: &AzureAddress,
        settings: AzureSettings,
        rate_share: f64,
        isolation: Option<Arc<Isolation>>,
    ) -> Result<Self, ProviderError> {
        let about = About { operation: "connect", secret: None };
        let setting = |error: outward::BadSetting| about.failed(ErrorKind::Invalid, BAD_SETTING, &error.to_string());
        let outward = Outward::of_process().map_err(setting)?;
        let host = address.server.host_str().unwrap_or_default();
        let http = outward.azure_client(host, &settings).map_err(setting)?;
        let credentials = Credentials::new(settings, address.authority(), http.clone(), isolation.clone());
        let limiter = Limiter::new(rate_share, Instant::now());
        let server = address.server.clone();
        Ok(Self { http, server, credentials, signed: RwLock::default(), isolation, limiter })
    }

    /// Reads what is at a path.
    pub(super) async fn get(
        &self,
        about: About<'_>,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, ProviderError> {
        self.get_at(about, self.url(path, query)).await
    }

    /// The same at an address that the vault told.
    pub(super) async fn get_at(&self, about: About<'_>, url: Url) -> Result<Answer, ProviderError> {
        self.tried(about, Method::GET, &url, None).await
    }

    /// Sends what may be sent twice.
    pub(super) async fn change(
        &self,
        about: About<'_>,
        method: Method,
        path: &[&str],
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Answer, ProviderError> {
        self.tried(about, method, &self.url(path, &[]), body.as_deref().map(Vec::as_slice)).await
    }

    /// Sends once what must not be done twice: of an answer that is lost nobody knows whether it was done.
    pub(super) async fn put(
        &self,
        about: About<'_>,
        path: &[&str],
        body: &Zeroizing<Vec<u8>>,
    ) -> Result<Answer, ProviderError> {
        self.send(about, Method::PUT, &self.url(path, &[]), Some(body)).await
    }

    /// Sends until there is an answer that another attempt would not change.
    async fn tried(
        &self,
        about: About<'_>,
        method: Method,
        url: &Url,
        body: Option<&[u8]>,
    ) -> Result<Answer, ProviderError> {
        let mut failures = 0;
        loop {
            let failure = match self.send(about, method.clone(), url, body).await {
                Err(failure) if failure.kind == ErrorKind::Unavailable && failure.code != BAD_ANSWER => failure,
                other => return other,
            };
            if failures == RETRIES {
                return Err(failure);
            }
            failures += 1;
            tokio::time::sleep(pause(failures)).await;
        }
    }

    /// One request, which waits for its turn and signs in where it must. What the service refused, it did not do.
    async fn send(
        &self,
        about: About<'_>,
        method: Method,
        url: &Url,
        body: Option<&[u8]>,
    ) -> Result<Answer, ProviderError> {
        let begun = Instant::now();
        let (mut refusals, mut challenges) = (0, 0);
        loop {
            let token = self.token().await?;
            // Without a token there is nothing that a stranger should see.
            let body = body.filter(|_| token.is_some());
            self.limiter.acquire().await;
            let answer = self.once(about, method.clone(), url, body, token.as_deref()).await?;
            match answer.status.as_u16() {
                401 if challenges < 2 => {
                    challenges += 1;
                    self.sign_in(about, &answer, token.as_deref()).await?;
                }
                429 => {
                    refusals += 1;
                    let asked = answer.retry_after.map(|wait| wait.min(LONGEST_PAUSE));
                    let wait = asked.unwrap_or_else(|| pause(refusals));
                    self.limiter.throttled(asked);
                    if begun.elapsed() + wait > LONGEST_BLOCK {
                        return Err(about.failed(ErrorKind::Throttled, "Throttled", ""));
                    }
                    tokio::time::sleep(wait).await;
                }
                200..300 => return Ok(answer),
                _ => return Err(about.refused(&answer)),
            }
        }
    }

    /// The token that counts; `None` before the vault has said where to sign in.
    async fn token(&self) -> Result<Option<Arc<Token>>, ProviderError> {
        let is_fresh = |token: &Token| token.ends - BEFORE_THE_END > SystemClock.now().as_second();
        let known = self.signed.read().await.clone();
        let Some((_, token)) = known else { return Ok(None) };
        if is_fresh(&token) {
            return Ok(Some(token));
        }
        let mut signed = self.signed.write().await;
        let Some((wanted, token)) = signed.clone() else { return Ok(None) };
        if is_fresh(&token) {
            return Ok(Some(token));
        }
        let token = Arc::new(self.credentials.token(&wanted).await?);
        *signed = Some((wanted, Arc::clone(&token)));
        Ok(Some(token))
    }

    /// Signs in as a challenge says, unless somebody else has since this token was refused.
    async fn sign_in(&self, about: About<'_>, answer: &Answer, refused: Option<&Token>) -> Result<(), ProviderError> {
        let mut signed = self.signed.write().await;
        let is_newer = signed.as_ref().is_some_and(|(_, token)| refused.is_none_or(|old| *old.text != *token.text));
        if is_newer {
            return Ok(());
        }
        let header = answer.challenge.as_deref().unwrap_or_default();
        let wanted = challenge::wanted(header, &self.server)
            .map_err(|words| about.failed(ErrorKind::Credentials, "BadChallenge", words))?;
        let token = self.credentials.token(&wanted).await?;
        *signed = Some((wanted, Arc::new(token)));
        Ok(())
    }

    /// A token of the vault's tenant for something else than vaults.
    pub(super) async fn token_for(&self, scope: String) -> Result<Token, ProviderError> {
        let about = About { operation: "sign in", secret: None };
        let tenant = self.signed.read().await.as_ref().map(|(wanted, _)| wanted.tenant.clone());
        let tenant =
            tenant.ok_or_else(|| about.failed(ErrorKind::Credentials, "NoTenant", "no vault told its tenant"))?;
        self.credentials.token(&Wanted { scope, tenant }).await
    }

    /// Reads what another server of the cloud says, with a token for it.
    pub(super) async fn get_of(&self, about: About<'_>, url: &Url, token: &Token) -> Result<Answer, ProviderError> {
        let mut failures = 0;
        loop {
            let answer = self.once(about, Method::GET, url, None, Some(token)).await;
            let (failure, is_passing, asked) = match answer {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => {
                    let is_passing = answer.status.as_u16() == 429 || answer.status.is_server_error();
                    let asked = answer.retry_after.map(|wait| wait.min(LONGEST_PAUSE));
                    (about.refused(&answer), is_passing, asked)
                }
                Err(failure) => {
                    let is_passing = failure.kind == ErrorKind::Unavailable;
                    (failure, is_passing, None)
                }
            };
            if failures == RETRIES || !is_passing {
                return Err(failure);
            }
            failures += 1;
            tokio::time::sleep(asked.unwrap_or_else(|| pause(failures))).await;
        }
    }

    async fn once(
        &self,
        about: About<'_>,
        method: Method,
        url: &Url,
        body: Option<&[u8]>,
        token: Option<&Token>,
    ) -> Result<Answer, ProviderError> {
        let failed = |kind, code: &str, words: &str| about.failed(kind, code, words);
        exchange::admit(self.isolation.as_deref(), url, None, &failed)?;
        let mut request = self.http.request(method.clone(), url.clone());
        if let Some(token) = token {
            let bearer = Zeroizing::new(format!("Bearer {}", *token.text));
            let mut value = header::HeaderValue::from_str(&bearer)
                .map_err(|_| about.failed(ErrorKind::Credentials, "BadToken", "the token is not a line of ASCII"))?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        match body {
            Some(body) => request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_vec()),
            None if method != Method::GET => request = request.header(header::CONTENT_LENGTH, 0),
            None => {}
        }
        let Received { status, headers, body } = exchange(request, LARGEST, &failed).await?;
        let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let challenge = text(header::WWW_AUTHENTICATE).map(str::to_owned);
        let retry_after = text(header::RETRY_AFTER).and_then(|text| text.parse().ok()).map(Duration::from_secs);
        Ok(Answer { status, body, challenge, retry_after })
    }

    /// These segments, each escaped, with the version of the interface.
    pub(super) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path);
        }
        url.query_pairs_mut().append_pair("api-version", API).extend_pairs(query);
        url
    }
}

/// The code of an answer that is none.
const BAD_ANSWER: &str = "BadAnswer";

impl<'a> About<'a> {
    pub(super) fn of(operation: &'static str, secret: &'a str) -> Self {
        Self { operation, secret: Some(secret) }
    }

    /// A failure of this request.
    pub(super) fn failed(self, kind: ErrorKind, code: &str, message: &str) -> ProviderError {
        ProviderError {
            provider: super::SCHEME,
            kind,
            operation: self.operation,
            secret: self.secret.map(str::to_owned),
            code: code.to_owned(),
            message: message.to_owned(),
        }
    }

    /// An answer that is none to this request.
    pub(super) fn bad(self, what: &str) -> ProviderError {
        self.failed(ErrorKind::Unavailable, BAD_ANSWER, what)
    }

    fn refused(self, answer: &Answer) -> ProviderError {
        let Told { error: ToldError { code, message, innererror } } =
            serde_json::from_slice(&answer.body).unwrap_or_default();
        let status = answer.status.as_u16();
        let kind = match status {
            401 => ErrorKind::Credentials,
            403 => ErrorKind::Denied,
            404 => ErrorKind::NotFound,
            409 => ErrorKind::Conflict,
            // A redirect is not followed: it would carry the token elsewhere.
            300..500 => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        let code = [innererror.code, code].into_iter().find(|code| !code.is_empty());
        let code = match (code, status) {
            (_, 300..400) => "Redirected".to_owned(),
            (Some(code), _) => code,
            (None, status) => format!("Status{status}"),
        };
        // What a firewall refuses is not a matter of rights, and its own words do not say where it is.
        let message = match code.as_str() {
            FIREWALL => "the firewall of the vault does not admit this address; no role changes that",
            _ if self.operation == SET => "",
            _ => message.trim(),
        };
        self.failed(kind, &code, message)
    }
}

impl Answer {
    /// What it says. An error is none, whatever its status.
    pub(super) fn json<T: DeserializeOwned>(&self, about: About<'_>) -> Result<T, ProviderError> {
        #[derive(Deserialize)]
        struct Error {
            #[serde(default)]
            error: Option<serde::de::IgnoredAny>,
        }
        let bad = || about.bad("the answer is not the JSON of this request");
        let Error { error } = serde_json::from_slice(&self.body).map_err(|_| bad())?;
        if error.is_some() {
            return Err(about.bad("the answer is an error with the status of a success"));
        }
        serde_json::from_slice(&self.body).map_err(|_| bad())
    }

    /// The same as it came.
    pub(super) fn raw(&self, about: About<'_>) -> Result<Json, ProviderError> {
        self.json(about)
    }
}
