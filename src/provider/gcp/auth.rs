//! Signing in, as every tool of Google's does: application default credentials by Google's own crate.

use std::path::PathBuf;

use google_cloud_auth::credentials::{Builder, CacheableResource, Credentials};
use hyper::http::Extensions;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::client::About;
use crate::{
    outward::GcpCredentials,
    provider::{ErrorKind, ProviderError},
};

/// What a token must be good for: Secret Manager has no narrower scope.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// What to do where no credentials are found or none work.
const HELP: &str = "set GOOGLE_APPLICATION_CREDENTIALS, or sign in with `gcloud auth application-default login`";

/// Who signs requests.
pub(super) enum Signer {
    /// As Google's tools find them. Its tokens are renewed before they end.
    Default(Credentials),
    /// A token in a file.
    File(PathBuf),
    /// Nobody.
    Anonymous,
}

impl Signer {
    pub(super) fn new(credentials: &GcpCredentials) -> Result<Self, ProviderError> {
        match credentials {
            GcpCredentials::Anonymous => Ok(Self::Anonymous),
            GcpCredentials::TokenFile(file) => Ok(Self::File(file.clone())),
            GcpCredentials::Default => {
                // Google's crate signs by the process's own ciphers. That some are set already is no failure.
                let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
                let built = Builder::default().with_scopes([SCOPE]).build();
                let none =
                    |_| about().failed(ErrorKind::Credentials, "NoCredentials", &format!("none can be used; {HELP}"));
                built.map(Self::Default).map_err(none)
            }
        }
    }

    /// The headers that say who asks.
    pub(super) async fn headers(&self) -> Result<HeaderMap, ProviderError> {
        match self {
            Self::Anonymous => Ok(HeaderMap::new()),
            Self::File(file) => {
                let unread = |error: std::io::Error| {
                    let words = format!("{} cannot be read: {}", file.display(), error.kind());
                    about().failed(ErrorKind::Credentials, "NoCredentials", &words)
                };
                let token = Zeroizing::new(std::fs::read_to_string(file).map_err(unread)?);
                let line = Zeroizing::new(format!("Bearer {}", token.trim()));
                let bad = |_| about().failed(ErrorKind::Credentials, "BadToken", "the token is not a line of ASCII");
                let mut value = HeaderValue::from_str(&line).map_err(bad)?;
                value.set_sensitive(true);
                Ok(std::iter::once((AUTHORIZATION, value)).collect())
            }
            Self::Default(credentials) => match credentials.headers(Extensions::new()).await {
                Ok(CacheableResource::New { data, .. }) => Ok(data),
                Ok(CacheableResource::NotModified) => Ok(HeaderMap::new()),
                // What Google's server says about credentials may hold some.
                Err(error) if error.is_transient() => {
                    let words = format!("there are no credentials, or what gives tokens does not answer: {HELP}");
                    Err(about().failed(ErrorKind::Unavailable, "NoToken", &words))
                }
                Err(_) => {
                    let words = format!("these credentials get no token; {HELP}");
                    Err(about().failed(ErrorKind::Credentials, "NoToken", &words))
                }
            },
        }
    }
}

fn about() -> About<'static> {
    About { operation: "login", secret: None }
}
