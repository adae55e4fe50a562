//! What S3 answers about Object Lock, which the crate's own answers leave out.
//!
//! Retention is the bucket's default: the crate signs no lock headers of its own, and a header that is not signed is
//! refused. So it is not set here, only looked at.

use std::{
    borrow::Cow,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt as _;
use jiff::Timestamp;
use object_store::{
    ClientOptions,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    },
};

use super::listing;
use crate::{
    isolation::Isolation,
    outward::{Connector, Outward},
};

/// A page of a listing: 1,000 keys of at most 1,024 bytes, 5,000 at Azure.
const MOST_PAGE: usize = 16 << 20;
/// Azure gives some of them where much was deleted.
const MOST_EMPTY_PAGES: u32 = 100;
const UNTIL: &str = "x-amz-object-lock-retain-until-date";

/// The retention that the last answer named.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    until: Arc<Mutex<Option<Timestamp>>>,
    isolation: Option<Arc<Isolation>>,
    /// Pages of listings without a key, one after the other.
    empty_pages: Arc<AtomicU32>,
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

    /// A page of a listing. A service may give some without a key, and one that never ends is refused.
    async fn page(&self, answer: HttpResponse) -> Result<HttpResponse, HttpError> {
        let (answer, has_keys) = nameable(answer).await?;
        let empty = if has_keys { 0 } else { self.empty_pages.load(Ordering::Relaxed) + 1 };
        self.empty_pages.store(empty, Ordering::Relaxed);
        if empty > MOST_EMPTY_PAGES { Err(HttpError::new(HttpErrorKind::Decode, NoEnd)) } else { Ok(answer) }
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
            return self.seen.page(answer).await;
        }
        if let Some(until) = answer.headers().get(UNTIL).and_then(|value| value.to_str().ok()) {
            self.seen.note(until.parse().ok());
        }
        Ok(answer)
    }
}

/// A whole body, unless it has more bytes than it may have.
async fn at_most(body: HttpResponseBody, most: usize) -> Result<Bytes, HttpError> {
    let (mut pieces, mut whole) = (body.bytes_stream(), Vec::new());
    while let Some(piece) = pieces.try_next().await? {
        if whole.len() + piece.len() > most {
            return Err(HttpError::new(HttpErrorKind::Decode, TooLong(most)));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.into())
}

#[derive(Debug, thiserror::Error)]
#[error("it answered with status 200, but not with a listing")]
struct NoListing;

#[derive(Debug, thiserror::Error)]
#[error("its listing has more pages, but no key to continue from")]
struct NoEnd;

#[derive(Debug, thiserror::Error)]
#[error("a page of the listing has more than {0} bytes")]
struct TooLong(usize);

/// A page of a listing whose keys the crate can name, and whether it has any or is the last one.
async fn nameable(answer: HttpResponse) -> Result<(HttpResponse, bool), HttpError> {
    let (mut parts, body) = answer.into_parts();
    let page = at_most(body, MOST_PAGE).await?;
    let text = std::str::from_utf8(&page);
    if !text.is_ok_and(listing::is_listing) {
        return Err(HttpError::new(HttpErrorKind::Decode, NoListing));
    }
    let has_keys = text.is_ok_and(listing::has_keys_or_ends);
    let changed = match text.map(listing::nameable) {
        Ok(Cow::Owned(changed)) => Some(changed),
        _ => None,
    };
    parts.headers.remove("content-length");
    Ok((HttpResponse::from_parts(parts, changed.map_or(page, Bytes::from).into()), has_keys))
}
