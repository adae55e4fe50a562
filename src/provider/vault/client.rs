//! Requests: signed in, paced, tried again, and held to a size.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode, Url, header};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::{Login, VaultAddress, login, pace::Limiter};
use crate::{
    isolation::Isolation,
    outward::{self, Outward, VaultSettings},
    provider::{
        BAD_SETTING, ErrorKind, ProviderError,
        exchange::{self, Received, exchange},
        pace::pause,
    },
};

/// The server's words for what its storage does not take.
const TOO_LARGE: &str = "too large";
/// The longest answer, in MiB: Vault takes requests of 32 MiB, and no storage of it an entry of more than one.
const LARGEST: usize = 32;
/// How often a request without a usable answer is sent again, unless `VAULT_MAX_RETRIES` says otherwise.
const RETRIES: u32 = 5;
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// How long a request waits for a quota: one with a `block_interval` refuses everything until that ends, and does not say when.
const LONGEST_BLOCK: Duration = Duration::from_mins(10);

/// The operation that asks for the state of the cluster.
const HEALTH: &str = "sys/health";
/// What is to be done about a certificate that proves nothing.
const UNTRUSTED: &str = "the server's certificate is not trusted (VAULT_CACERT names the authority that signed it)";

/// The operation that writes a value: what the server says about one is not repeated.
pub(super) const WRITE: &str = "data/write";

/// One server and namespace, signed in.
pub(super) struct Client {
    http: reqwest::Client,
    server: Url,
    namespace: Option<String>,
    token: RwLock<Zeroizing<String>>,
    isolation: Option<Arc<Isolation>>,
    limiter: Limiter,
    retries: u32,
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
}

/// What the headers of an answer say about the quota.
struct Quota {
    /// When a refused request may be sent again.
    retry_after: Option<Duration>,
    /// Nothing is left of it until then.
    used_up: Option<Duration>,
}

/// What every answer wraps what it says in.
#[derive(Deserialize)]
struct Wrapped<T> {
    data: Option<T>,
}

#[derive(Default, Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<String>,
}

impl Client {
    /// Connects and signs in.
    pub(super) async fn connect(
        address: &VaultAddress,
        isolation: Option<Arc<Isolation>>,
    ) -> Result<Self, ProviderError> {
        let about = About { operation: "connect", secret: None };
        let setting = |error: outward::BadSetting| about.failed(ErrorKind::Invalid, BAD_SETTING, &error.to_string());
        let endpoint = outward::Endpoint::parse(address.server.as_str()).map_err(setting)?;
        if endpoint.is_in_clear() {
            let words = "http:// beyond this machine would show every secret to the network; use https://";
            return Err(about.failed(ErrorKind::Invalid, "NotEncrypted", words));
        }
        let settings = VaultSettings::of_process().map_err(setting)?;
        if matches!(address.login, Login::Certificate { .. }) && !settings.has_certificate() {
            let words = "auth=cert needs VAULT_CLIENT_CERT and VAULT_CLIENT_KEY";
            return Err(about.failed(ErrorKind::Credentials, "NoCertificate", words));
        }
        let http = Outward::of_process().and_then(|outward| outward.vault_client(&settings, endpoint.is_plain()));
        let client = Self {
            http: http.map_err(setting)?,
            server: address.server.clone(),
            namespace: address.namespace.clone(),
            token: RwLock::default(),
            isolation,
            limiter: Limiter::new(settings.rate, Instant::now()),
            retries: settings.retries.unwrap_or(RETRIES),
        };
        let token = login::token(&client, &address.login).await?;
        client.sign(token);
        Ok(client)
    }

    /// The cluster's id: what a place is known by, whatever its address.
    pub(super) async fn cluster(&self) -> Result<String, ProviderError> {
        #[derive(Deserialize)]
        struct Health {
            #[serde(default)]
            cluster_id: String,
        }
        let about = About { operation: HEALTH, secret: None };
        // A standby answers 429 and knows the cluster too.
        let answer = self.send(about, Method::GET, &["sys", "health"], &[("standbyok", "true")], None).await?;
        let health: Health = answer.json(about)?;
        if health.cluster_id.is_empty() {
            return Err(about.failed(ErrorKind::Unavailable, "BadAnswer", "the answer has no cluster name"));
        }
        Ok(health.cluster_id)
    }

    /// Reads what is at a path. A 404 is an answer: its body may say what was there.
    pub(super) async fn get(
        &self,
        about: About<'_>,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, ProviderError> {
        let answer = self.send(about, Method::GET, path, query, None).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NOT_FOUND => Ok(answer),
            _ => Err(self.refused(about, &answer).await),
        }
    }

    /// Takes a token for every request to come.
    pub(super) fn sign(&self, token: Zeroizing<String>) {
        *self.token.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Posts `body` and reads the answer; to sign in.
    pub(super) async fn post(&self, about: About<'_>, path: &[&str], body: &Json) -> Result<Answer, ProviderError> {
        let body = Zeroizing::new(serde_json::to_vec(body).expect("JSON is JSON"));
        let answer = self.send(about, Method::POST, path, &[], Some(&body)).await?;
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(about.refused(&answer)) }
    }

    /// Posts `body`, or sends `DELETE` without one; the answer where the server did it, or refused the request as such (400),
    /// which the caller may understand.
    pub(super) async fn change(
        &self,
        about: About<'_>,
        path: &[&str],
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Answer, ProviderError> {
        let method = if body.is_some() { Method::POST } else { Method::DELETE };
        let answer = self.send(about, method, path, &[], body.as_deref().map(Vec::as_slice)).await?;
        match answer.status {
            StatusCode::OK | StatusCode::NO_CONTENT | StatusCode::BAD_REQUEST => Ok(answer),
            _ => Err(self.refused(about, &answer).await),
        }
    }

    /// Sends until there is an answer that another attempt would not change.
    async fn send(
        &self,
        about: About<'_>,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ProviderError> {
        let url = self.url(path, query);
        let begun = Instant::now();
        let (mut failures, mut refusals) = (0, 0);
        loop {
            self.limiter.acquire().await;
            let failure = match self.once(about, method.clone(), &url, body).await {
                Ok((answer, quota)) => match answer.status.as_u16() {
                    429 if about.operation != HEALTH => {
                        refusals += 1;
                        let wait = quota.retry_after.unwrap_or_else(|| pause(refusals)).min(LONGEST_PAUSE);
                        self.limiter.throttled(quota.retry_after.map(|wait| wait.min(LONGEST_PAUSE)));
                        if begun.elapsed() + wait > LONGEST_BLOCK {
                            return Err(about.failed(ErrorKind::Throttled, "RateLimited", ""));
                        }
                        tokio::time::sleep(wait).await;
                        continue;
                    }
                    // No other request suffers from it, and no repetition helps.
                    500 if answer.says(TOO_LARGE) => {
                        let words = "the value is larger than an entry of the server's storage may be";
                        return Err(about.failed(ErrorKind::Limit, "TooLarge", words));
                    }
                    // 412: a standby that has not caught up.
                    412 | 500 | 502 | 504 => about.refused(&answer),
                    503 => about.failed(ErrorKind::Unavailable, "Sealed", &answer.words(about)),
                    _ => {
                        if let Some(reset) = quota.used_up {
                            self.limiter.used_up(reset.min(LONGEST_PAUSE));
                        }
                        return Ok(answer);
                    }
                },
                Err(failure) if failure.kind == ErrorKind::Unavailable => failure,
                Err(failure) => return Err(failure),
            };
            if failures == self.retries {
                return Err(failure);
            }
            failures += 1;
            tokio::time::sleep(pause(failures)).await;
        }
    }

    async fn once(
        &self,
        about: About<'_>,
        method: Method,
        url: &Url,
        body: Option<&[u8]>,
    ) -> Result<(Answer, Quota), ProviderError> {
        let failed = |kind, code: &str, words: &str| {
            about.failed(kind, code, if words == outward::UNTRUSTED { UNTRUSTED } else { words })
        };
        exchange::admit(self.isolation.as_deref(), url, None, &failed)?;
        let mut request = self.http.request(method, url.clone()).header("X-Vault-Request", "true");
        {
            let token = self.token.read().unwrap_or_else(PoisonError::into_inner);
            if !token.is_empty() {
                let mut value = header::HeaderValue::from_str(&token).map_err(|_| {
                    about.failed(ErrorKind::Credentials, "BadToken", "the token is not a line of ASCII")
                })?;
                value.set_sensitive(true);
                request = request.header("X-Vault-Token", value);
            }
        }
        // The cluster's own state is nobody's namespace's: there it is refused.
        if let Some(namespace) = self.namespace.as_ref().filter(|_| about.operation != HEALTH) {
            request = request.header("X-Vault-Namespace", namespace.as_str());
        }
        if let Some(body) = body {
            request = request.body(body.to_vec());
        }
        let Received { status, headers, body } = exchange(request, LARGEST, &failed).await?;
        let quota = Quota::of(&headers);
        Ok((Answer { status, body }, quota))
    }

    /// `/v1/` and these segments, each escaped.
    fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().push("v1").extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// A refusal. Whoever is refused for one path may be refused for all: a token that has ended gets the same answer.
    async fn refused(&self, about: About<'_>, answer: &Answer) -> ProviderError {
        if answer.status == StatusCode::FORBIDDEN {
            let look = About { operation: "auth/token/lookup-self", secret: None };
            let path = ["auth", "token", "lookup-self"];
            if let Ok(own) = self.send(look, Method::GET, &path, &[], None).await
                && own.status == StatusCode::FORBIDDEN
            {
                return about.failed(ErrorKind::Credentials, "TokenEnded", "the token has expired or was revoked");
            }
        }
        about.refused(answer)
    }
}

impl Quota {
    fn of(headers: &header::HeaderMap) -> Self {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        // Whole seconds, rounded down: of none nothing can be told.
        let seconds = |name: &str| number(name).filter(|seconds| *seconds > 0).map(Duration::from_secs);
        let is_used_up = number("x-ratelimit-remaining") == Some(0);
        Self { retry_after: seconds("retry-after"), used_up: seconds("x-ratelimit-reset").filter(|_| is_used_up) }
    }
}

impl About<'_> {
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

    pub(super) fn refused(self, answer: &Answer) -> ProviderError {
        let (kind, code) = match answer.status.as_u16() {
            403 => (ErrorKind::Denied, "PermissionDenied".to_owned()),
            404 => (ErrorKind::NotFound, "NotFound".to_owned()),
            400 | 405 | 413 => (ErrorKind::Invalid, format!("Status{}", answer.status.as_u16())),
            // A redirect is not followed: it would carry the token elsewhere.
            300..400 => (ErrorKind::Invalid, "Redirected".to_owned()),
            status => (ErrorKind::Unavailable, format!("Status{status}")),
        };
        self.failed(kind, &code, &answer.words(self))
    }
}

impl Answer {
    /// What it says.
    pub(super) fn json<T: DeserializeOwned>(&self, about: About<'_>) -> Result<T, ProviderError> {
        serde_json::from_slice(&self.body).map_err(|_| about.bad("the answer is not the JSON of this request"))
    }

    /// What its `data` says; `None` where there is none.
    pub(super) fn data<T: DeserializeOwned>(&self, about: About<'_>) -> Result<Option<T>, ProviderError> {
        Ok(self.json::<Wrapped<T>>(about)?.data)
    }

    /// What a KV engine says is at a path; `None` where it says that there is nothing. `what` is what a success must hold. A 404
    /// of anything else, a proxy or a path that is no engine's, says nothing about a key.
    pub(super) fn of_engine<T: DeserializeOwned>(
        &self,
        about: About<'_>,
        what: &str,
    ) -> Result<Option<T>, ProviderError> {
        if self.status.is_success() {
            return self.data(about)?.ok_or_else(|| about.bad(what)).map(Some);
        }
        match self.json::<Json>(about)?["errors"].as_array() {
            Some(errors) if errors.is_empty() => Ok(None),
            _ => Err(about.bad("what answers is not a KV engine")),
        }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The server's own words, where they cannot hold a value: it echoes parts of what was written.
    fn words(&self, about: About<'_>) -> String {
        if ["login", WRITE].contains(&about.operation) {
            return String::new();
        }
        let Errors { errors } = serde_json::from_slice(&self.body).unwrap_or_default();
        errors.join("; ").trim().replace(['\n', '\t'], " ")
    }

    /// Whether its errors say this.
    pub(super) fn says(&self, words: &str) -> bool {
        let Errors { errors } = serde_json::from_slice(&self.body).unwrap_or_default();
        errors.iter().any(|error| error.contains(words))
    }
}

impl About<'_> {
    /// An answer that is none to this request.
    pub(super) fn bad(self, what: &str) -> ProviderError {
        self.failed(ErrorKind::Unavailable, "BadAnswer", what)
    }
}
