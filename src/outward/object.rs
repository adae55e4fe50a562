//! The HTTP client under the storages: S3, Google Cloud Storage, Azure Blob, and their lookups of tokens.

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use object_store::{
    ClientConfigKey, ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};
use reqwest::{Url, redirect::Policy};
use rustls::{ClientConfig, crypto::aws_lc_rs};

use super::{Outward, is_final, reason};

/// As the crate's own defaults.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MOST_REDIRECTS: usize = 5;

/// Connects storages the one way out.
#[derive(Clone, Debug)]
pub struct Connector(Arc<Outward>);

#[derive(Debug)]
struct Client(HttpClient);

impl Connector {
    /// By `outward`.
    pub fn new(outward: &Arc<Outward>) -> Self {
        Self(Arc::clone(outward))
    }
}

impl Outward {
    /// What every client trusts. Reading the system's authorities takes a while: once is enough.
    fn tls(&self) -> object_store::Result<ClientConfig> {
        if let Some(made) = self.tls.get() {
            return Ok(made.clone());
        }
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let made = builder.map_err(generic)?.with_root_certificates(self.roots.store()).with_no_client_auth();
        Ok(self.tls.get_or_init(|| made).clone())
    }

    /// A client that takes the one way out, as far as all of them are alike.
    pub(super) fn http(self: &Arc<Self>) -> object_store::Result<reqwest::ClientBuilder> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("lifeboat/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(self.tls()?)
            // The bytes as they are: their number is the object's.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate()
            .http1_only()
            .no_proxy();
        if !self.has_proxy() {
            return Ok(builder);
        }
        let outward = Arc::clone(self);
        let of = move |url: &Url| outward.proxy_of(url).map(|proxy| proxy.0.clone());
        Ok(builder.proxy(reqwest::Proxy::custom(of)))
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let may_be_plain = options.get_config_value(&ClientConfigKey::AllowHttp).is_some_and(|value| value == "true");
        // Lookups of tokens wait for a second only.
        let connecting = options.get_config_value(&ClientConfigKey::ConnectTimeout);
        let connecting = connecting.and_then(|text| text.strip_suffix('s')?.parse().ok().map(Duration::from_secs));
        let builder = self
            .0
            .http()?
            .https_only(!may_be_plain)
            .timeout(TIMEOUT)
            .connect_timeout(connecting.unwrap_or(CONNECT_TIMEOUT))
            .redirect(same_origin());
        let client = builder.build().map_err(|error| generic(error.without_url()))?;
        Ok(HttpClient::new(Client(HttpClient::new(client))))
    }
}

/// A redirect elsewhere would pass the guard of a drill and what the request was signed for.
fn same_origin() -> Policy {
    Policy::custom(|attempt| {
        let is_same = attempt.previous().last().is_some_and(|last| last.origin() == attempt.url().origin());
        if is_same && attempt.previous().len() <= MOST_REDIRECTS { attempt.follow() } else { attempt.stop() }
    })
}

fn generic(source: impl std::error::Error + Send + Sync + 'static) -> object_store::Error {
    object_store::Error::Generic { store: "HTTP client", source: Box::new(source) }
}

#[async_trait]
impl HttpService for Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // The client below takes for granted that it is one.
        if Url::parse(&request.uri().to_string()).is_err() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "the endpoint is not a URL");
            return Err(HttpError::new(HttpErrorKind::Unknown, error));
        }
        self.0.execute(request).await.map_err(|error| match reason(&error) {
            // The crate above would try for minutes.
            Some(reason) if is_final(reason) => HttpError::new(HttpErrorKind::Unknown, io::Error::other(reason)),
            Some(reason) => HttpError::new(error.kind(), io::Error::other(reason)),
            None => error,
        })
    }
}
