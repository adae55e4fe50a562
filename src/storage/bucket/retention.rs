//! What S3 answers about Object Lock, which the crate's own answers leave out.
//!
//! Retention is the bucket's default: the crate signs no lock headers of its own, and a header that is not signed is
//! refused. So it is not set here, only looked at.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use object_store::{
    ClientOptions,
    client::{HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService},
};

use super::listing;
use crate::{
    isolation::Isolation,
    outward::{Connector, Outward},
};

const UNTIL: &str = "x-amz-object-lock-retain-until-date";

/// The retention that the last answer named.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    until: Arc<Mutex<Option<Timestamp>>>,
    isolation: Option<Arc<Isolation>>,
}

/// Connects the one way out and looks at the answers' headers.
#[derive(Debug)]
pub(super) struct Observer(Seen, Connector);

#[derive(Debug)]
struct Observed {
    client: HttpClient,
    seen: Seen,
}

impl Seen {
    /// With a guard that every request has to pass.
    pub(super) fn guarded(isolation: Option<Arc<Isolation>>) -> Self {
        Self { isolation, ..Self::default() }
    }

    pub(super) fn locked_until(&self) -> Option<Timestamp> {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self) {
        self.note(None);
    }

    fn note(&self, until: Option<Timestamp>) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Observer {
    pub(super) fn new(seen: &Seen, outward: &Arc<Outward>) -> Self {
        Self(seen.clone(), Connector::new(outward))
    }
}

impl HttpConnector for Observer {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = self.1.connect(options)?;
        Ok(HttpClient::new(Observed { client, seen: self.0.clone() }))
    }
}

#[async_trait]
impl HttpService for Observed {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        if let Some(isolation) = &self.seen.isolation {
            let host = request.uri().authority().map_or("", |authority| authority.as_str());
            isolation.admit(host, None).map_err(|refused| HttpError::new(HttpErrorKind::Unknown, refused))?;
        }
        let is_listing = listing::is_asked(request.uri().query());
        let answer = self.client.execute(request).await?;
        if is_listing && answer.status().is_success() {
            return nameable(answer).await;
        }
        if let Some(until) = answer.headers().get(UNTIL).and_then(|value| value.to_str().ok()) {
            self.seen.note(until.parse().ok());
        }
        Ok(answer)
    }
}

/// A page of a listing whose keys the crate can name.
async fn nameable(answer: HttpResponse) -> Result<HttpResponse, HttpError> {
    let (mut parts, body) = answer.into_parts();
    let page = body.bytes().await?;
    let changed = match std::str::from_utf8(&page).map(listing::nameable) {
        Ok(Cow::Owned(changed)) => Some(changed),
        _ => None,
    };
    parts.headers.remove("content-length");
    Ok(HttpResponse::from_parts(parts, changed.map_or(page, Bytes::from).into()))
}
