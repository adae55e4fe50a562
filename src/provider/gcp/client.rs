//! Requests: signed in, paced, tried again, and held to a size.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::{Method, StatusCode, Url, header};
use serde::Deserialize;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use super::{
    auth::Signer,
    pace::{Bucket, Limiter},
};
use crate::{
    isolation::Isolation,
    outward::{self, Endpoint, GcpSettings, Outward},
    provider::{
        BAD_SETTING, ErrorKind, ProviderError,
        exchange::{self, Received, exchange},
        pace::pause,
    },
};

/// The longest answer, in MiB: a page of a listing with all that secrets can have beside them.
const LARGEST: usize = 32;
/// How often a request without a usable answer is sent again.
const RETRIES: u32 = 5;
/// How long a request waits for a quota, which is counted by the minute.
const LONGEST_BLOCK: Duration = Duration::from_mins(10);

/// The operation that writes a value: what the server says about one is not repeated.
pub(super) const WRITE: &str = "versions.add";
/// The operation that reads one.
pub(super) const ACCESS: &str = "versions.access";

/// One project, signed in.
pub(super) struct Client {
    http: reqwest::Client,
    endpoint: Option<Url>,
    projects: Url,
    universe: String,
    signer: Signer,
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

/// One request.
pub(super) struct Ask<'a> {
    pub method: Method,
    /// Of a location, whose host is its own.
    pub location: Option<&'a str>,
    /// Segments, each escaped; a custom method stands behind a colon in `verb`.
    pub path: &'a [&'a str],
    pub verb: &'static str,
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<&'a [u8]>,
    pub bucket: Bucket,
    /// Whether it may be sent again where nobody knows whether it was carried out.
    pub is_repeatable: bool,
}

/// An answer: a status and, wiped when it is dropped, its body.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    body: Zeroizing<Vec<u8>>,
}

/// What a refusal says.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Said,
}

#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
}

impl Client {
    pub(super) fn new(
        settings: &GcpSettings,
        share: f64,
        isolation: Option<Arc<Isolation>>,
    ) -> Result<Self, ProviderError> {
        let about = About { operation: "connect", secret: None };
        let setting = |error: outward::BadSetting| about.failed(ErrorKind::Invalid, BAD_SETTING, &error.to_string());
        let usable = |text: &str| -> Result<Url, ProviderError> {
            if Endpoint::parse(text).map_err(setting)?.is_in_clear() {
                let words = "http:// beyond this machine would show every secret to the network; use https://";
                return Err(about.failed(ErrorKind::Invalid, "NotEncrypted", words));
            }
            Url::parse(text).map_err(|_| about.failed(ErrorKind::Invalid, BAD_SETTING, "the endpoint is not a URL"))
        };
        let projects = match &settings.projects {
            Some(text) => usable(text)?,
            None => usable(&format!("https://cloudresourcemanager.{}", settings.universe))?,
        };
        Ok(Self {
            http: Outward::of_process().and_then(|outward| outward.gcp_client()).map_err(setting)?,
            endpoint: settings.endpoint.as_deref().map(usable).transpose()?,
            projects,
            universe: settings.universe.clone(),
            signer: Signer::new(&settings.credentials)?,
            isolation,
            limiter: Limiter::new(share, Instant::now()),
        })
    }

    /// Sends a request that only reads; a refusal is an error.
    pub(super) async fn get(
        &self,
        about: About<'_>,
        location: Option<&str>,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> Result<Answer, ProviderError> {
        let ask = Ask { query, ..Ask::get(location, path) };
        let answer = self.send(about, &ask).await?;
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(about.refused(&answer)) }
    }

    /// What the projects' service says of a project.
    pub(super) async fn project(&self, about: About<'_>, project: &str) -> Result<Answer, ProviderError> {
        let mut url = self.projects.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(["v3", "projects", project]);
        }
        let ask = Ask::get(None, &[]);
        let answer = self.until_answered(about, &ask, &url).await?;
        if answer.status == StatusCode::OK { Ok(answer) } else { Err(about.refused(&answer)) }
    }

    /// Sends until there is an answer that another attempt would not change.
    pub(super) async fn send(&self, about: About<'_>, ask: &Ask<'_>) -> Result<Answer, ProviderError> {
        let url = self.url(ask).ok_or_else(|| about.failed(ErrorKind::Invalid, "BadAddress", "it makes no URL"))?;
        self.until_answered(about, ask, &url).await
    }

    async fn until_answered(&self, about: About<'_>, ask: &Ask<'_>, url: &Url) -> Result<Answer, ProviderError> {
        let begun = Instant::now();
        let (mut failures, mut refusals) = (0, 0);
        loop {
            self.limiter.acquire(ask.bucket).await;
            let failure = match self.once(about, ask, url).await {
                Ok(answer) => match answer.status.as_u16() {
                    429 => {
                        refusals += 1;
                        let wait = pause(refusals);
                        self.limiter.throttled(ask.bucket, wait);
                        if begun.elapsed() + wait > LONGEST_BLOCK {
                            return Err(about.refused(&answer));
                        }
                        tokio::time::sleep(wait).await;
                        continue;
                    }
                    408 | 500..600 => about.refused(&answer),
                    _ => return Ok(answer),
                },
                Err(failure) if failure.kind == ErrorKind::Unavailable => failure,
                Err(failure) => return Err(failure),
            };
            if failures == RETRIES || !ask.is_repeatable {
                return Err(failure);
            }
            failures += 1;
            tokio::time::sleep(pause(failures)).await;
        }
    }

    async fn once(&self, about: About<'_>, ask: &Ask<'_>, url: &Url) -> Result<Answer, ProviderError> {
        let failed = |kind, code: &str, words: &str| about.failed(kind, code, words);
        exchange::admit(self.isolation.as_deref(), url, ask.location, &failed)?;
        let mut request = self.http.request(ask.method.clone(), url.clone()).headers(self.signer.headers().await?);
        if let Some(body) = ask.body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body.to_vec());
        }
        let Received { status, body, .. } = exchange(request, LARGEST, &failed).await?;
        Ok(Answer { status, body })
    }

    /// `/v1/` and the segments, at the host of the location.
    fn url(&self, ask: &Ask<'_>) -> Option<Url> {
        let universe = &self.universe;
        let mut url = match (&self.endpoint, ask.location) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, None) => Url::parse(&format!("https://secretmanager.{universe}")).ok()?,
            (None, Some(location)) => Url::parse(&format!("https://secretmanager.{location}.rep.{universe}")).ok()?,
        };
        {
            let mut segments = url.path_segments_mut().ok()?;
            segments.clear().push("v1");
            match ask.path.split_last() {
                Some((last, before)) if !ask.verb.is_empty() => {
                    segments.extend(before).push(&format!("{last}:{}", ask.verb));
                }
                _ => drop(segments.extend(ask.path)),
            }
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(ask.query);
        }
        Some(url)
    }
}

impl<'a> Ask<'a> {
    /// One that reads.
    pub(super) fn get(location: Option<&'a str>, path: &'a [&'a str]) -> Self {
        let (method, bucket) = (Method::GET, Bucket::Read);
        Self { method, location, path, verb: "", query: &[], body: None, bucket, is_repeatable: true }
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

    /// An answer that is none to this request.
    pub(super) fn bad(self, what: &str) -> ProviderError {
        self.failed(ErrorKind::Unavailable, "BadAnswer", what)
    }

    pub(super) fn refused(self, answer: &Answer) -> ProviderError {
        let Refusal { error: Said { status, message } } = answer.refusal();
        let kind = match answer.status.as_u16() {
            401 => ErrorKind::Credentials,
            403 => ErrorKind::Denied,
            404 => ErrorKind::NotFound,
            409 => ErrorKind::Conflict,
            429 => ErrorKind::Throttled,
            // A redirect is not followed: it would carry the token elsewhere.
            300..500 => ErrorKind::Invalid,
            _ => ErrorKind::Unavailable,
        };
        let code = match (answer.status.as_u16(), status.as_str()) {
            (300..400, _) => "Redirected".to_owned(),
            (code, "") => format!("Status{code}"),
            _ => status,
        };
        // Whatever holds a value is not repeated.
        let words = if self.operation == WRITE { String::new() } else { message.replace(['\n', '\t'], " ") };
        self.failed(kind, &code, words.trim())
    }
}

impl Answer {
    /// What it says. A success that holds an error is none.
    pub(super) fn json(&self, about: About<'_>) -> Result<Json, ProviderError> {
        let json: Json =
            serde_json::from_slice(&self.body).map_err(|_| about.bad("the answer is not the JSON of this request"))?;
        match json.as_object() {
            Some(fields) if !fields.contains_key("error") => Ok(json),
            _ => Err(about.bad("the answer is not the JSON of this request")),
        }
    }

    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.body
    }

    /// The status of a refusal, such as `FAILED_PRECONDITION`.
    pub(super) fn code(&self) -> String {
        self.refusal().error.status
    }

    /// What a refusal says.
    pub(super) fn message(&self) -> String {
        self.refusal().error.message
    }

    fn refusal(&self) -> Refusal {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_location_has_a_host_of_its_own_unless_an_endpoint_is_named() {
        let url = |settings: GcpSettings, location, verb| {
            let settings = GcpSettings { credentials: outward::GcpCredentials::Anonymous, ..settings };
            let client = Client::new(&settings, 1.0, None).unwrap();
            let ask = Ask { verb, ..Ask::get(location, &["projects", "1", "secrets", "a b"]) };
            client.url(&ask).unwrap().to_string()
        };
        let google = GcpSettings::default;
        assert_eq!(
            url(google(), Some("europe-west3"), "access"),
            "https://secretmanager.europe-west3.rep.googleapis.com/v1/projects/1/secrets/a%20b:access"
        );
        assert_eq!(url(google(), None, ""), "https://secretmanager.googleapis.com/v1/projects/1/secrets/a%20b");
        let own = GcpSettings { universe: "apis.example".into(), ..google() };
        assert!(url(own, None, "").starts_with("https://secretmanager.apis.example/v1/"));
        let sandbox = GcpSettings::sandbox("http://127.0.0.1:1");
        assert_eq!(url(sandbox, Some("us-east1"), ""), "http://127.0.0.1:1/v1/projects/1/secrets/a%20b");
        let far =
            GcpSettings { endpoint: Some("http://far.example".into()), ..GcpSettings::sandbox("http://127.0.0.1:1") };
        assert_eq!(Client::new(&far, 1.0, None).err().unwrap().code, "NotEncrypted");
    }
}
