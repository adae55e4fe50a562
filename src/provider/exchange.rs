//! One request and its answer, for kinds whose service is spoken to over plain HTTP: admitted by the guard, held to a size, and
//! wiped when it is dropped.

use reqwest::{RequestBuilder, StatusCode, Url, header::HeaderMap};
use zeroize::Zeroizing;

use super::{ErrorKind, ProviderError};
use crate::{isolation::Isolation, outward};

/// Makes a failure of a request: its kind, a code, and a sentence.
pub(super) type Failed<'a> = &'a (dyn Fn(ErrorKind, &str, &str) -> ProviderError + Sync);

/// An answer as it came.
pub(super) struct Received {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// Host and, where it is not the usual one, port.
pub(super) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Asks the guard, before anything of a request leaves or is made.
pub(super) fn admit(
    isolation: Option<&Isolation>,
    url: &Url,
    region: Option<&str>,
    failed: Failed<'_>,
) -> Result<(), ProviderError> {
    let Some(isolation) = isolation else { return Ok(()) };
    isolation.admit(&authority(url), region).map_err(|error| failed(ErrorKind::Invalid, "Lost", &error.to_string()))
}

/// Sends a request once and reads its answer, of at most so many MiB.
pub(super) async fn exchange(
    request: RequestBuilder,
    most: usize,
    failed: Failed<'_>,
) -> Result<Received, ProviderError> {
    let unanswered = |error: reqwest::Error| {
        let is_final = outward::reason(&error).is_some_and(outward::is_final);
        let (kind, code) =
            if is_final { (ErrorKind::Invalid, "NoConnection") } else { (ErrorKind::Unavailable, "NoAnswer") };
        failed(kind, code, outward::silence(&error))
    };
    let mut response = request.send().await.map_err(unanswered)?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
        if body.len() + chunk.len() > most << 20 {
            return Err(failed(ErrorKind::Limit, "TooLarge", &format!("the answer is longer than {most} MiB")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Received { status, headers, body })
}
