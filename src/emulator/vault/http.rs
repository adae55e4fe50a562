//! The wire: HTTP on loopback, for any client of Vault.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use tokio::{net::TcpListener, sync::watch};

use super::{
    answer::Answer,
    control::{self, Control},
    request::Raw,
    route::{self, Outcome},
};
use crate::emulator::{
    connections::{self, Dropped},
    guard::{Guard, SWITCHES},
    rest::{self, Turned},
};

/// The largest request that is read; Vault's own limit.
const BODY_LIMIT: usize = 32 << 20;
const JSON: &str = "application/json";

/// What answers a connection.
#[derive(Clone)]
pub(super) struct Face {
    pub(super) control: Control,
    pub(super) guard: Arc<Guard>,
}

/// Answers until told to stop.
pub(super) async fn serve(listener: TcpListener, face: Face, stopped: watch::Receiver<bool>) {
    connections::serve(listener, stopped, move |request| {
        let face = face.clone();
        async move { answer(&face, request).await }
    })
    .await;
}

async fn answer(face: &Face, request: Request<Incoming>) -> connections::Outcome {
    let gate = (&*face.guard, &*face.control.is_down, &face.control.world.latency);
    let (head, body) = match rest::receive(request, BODY_LIMIT, gate).await {
        Ok(received) => received,
        Err(Turned::Away(reason)) => return Ok(respond(Answer::refused(403, &reason))),
        Err(Turned::TooLarge) => return Ok(respond(Answer::refused(413, "http: request body too large"))),
        Err(Turned::Down) => return Err(Dropped),
    };
    let path = head.uri.path();
    if path.starts_with(SWITCHES) {
        let (status, body) = control::answer(&face.control, &head.method, path, &body);
        return Ok(respond(Answer { status, headers: Vec::new(), body }));
    }
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let raw = Raw {
        method: head.method.as_str(),
        path,
        query: head.uri.query().unwrap_or_default(),
        content_type: text(CONTENT_TYPE.as_str()),
        namespace: text("x-vault-namespace"),
        token: token(&head.headers),
        body: &body,
    };
    match route::answer(&face.control.world, &raw) {
        Outcome::Answered(answer) => Ok(respond(answer)),
        Outcome::Dropped => Err(Dropped),
    }
}

/// The token, of either header.
fn token(headers: &HeaderMap) -> &str {
    let own = headers.get("x-vault-token").and_then(|value| value.to_str().ok());
    let bearer = || headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ");
    own.or_else(bearer).unwrap_or_default()
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status).header("cache-control", "no-store");
    if answer.status != 204 {
        response = response.header(CONTENT_TYPE, JSON);
    }
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    rest::respond(response, answer.body)
}
