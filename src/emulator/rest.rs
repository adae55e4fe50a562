//! What the faces that speak REST have alike: who is let in, what is read of a request, and how it is answered.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    Request, Response,
    body::Incoming,
    http::{request::Parts, response::Builder},
};

use super::{
    front::Latency,
    guard::{Guard, SWITCHES},
};

/// Why a request gets no further.
pub(super) enum Turned {
    /// Not one of those who may ask.
    Away(String),
    /// Longer than is read.
    TooLarge,
    /// Nobody answers.
    Down,
}

/// Lets a request in and reads it. The switches answer also when nothing else does, and at once.
pub(super) async fn receive(
    request: Request<Incoming>,
    most: usize,
    (guard, is_down, latency): (&Guard, &AtomicBool, &Latency),
) -> Result<(Parts, Bytes), Turned> {
    let (head, body) = request.into_parts();
    guard.admit(&head).map_err(Turned::Away)?;
    let body = Limited::new(body, most).collect().await.map_err(|_| Turned::TooLarge)?.to_bytes();
    if head.uri.path().starts_with(SWITCHES) {
        return Ok((head, body));
    }
    if is_down.load(Ordering::Relaxed) {
        return Err(Turned::Down);
    }
    latency.pass().await;
    Ok((head, body))
}

/// A response; 400 and nothing else where a header cannot be said.
pub(super) fn respond(response: Builder, body: Vec<u8>) -> Response<Full<Bytes>> {
    response.body(Full::new(Bytes::from(body))).unwrap_or_else(|_| {
        let mut refused = Response::new(Full::new(Bytes::new()));
        *refused.status_mut() = hyper::StatusCode::BAD_REQUEST;
        refused
    })
}
