//! The wire: HTTP over TLS on loopback, for any client of Key Vault.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;

use super::{
    answer::Answer,
    control::{self, Control},
    route::{self, Outcome, Raw},
};
use crate::emulator::{
    connections::{self, Dropped},
    guard::{Guard, SWITCHES},
    rest::{self, Turned},
};

/// The largest request that is read.
const BODY_LIMIT: usize = 4 << 20;
const JSON: &str = "application/json; charset=utf-8";

/// What answers a connection.
#[derive(Clone)]
pub(super) struct Face {
    pub(super) control: Control,
    pub(super) guard: Arc<Guard>,
}

/// Answers until told to stop.
pub(super) async fn serve(listener: TcpListener, tls: TlsAcceptor, face: Face, stopped: watch::Receiver<bool>) {
    connections::serve_over(listener, tls, stopped, move |request| {
        let face = face.clone();
        async move { answer(&face, request).await }
    })
    .await;
}

async fn answer(face: &Face, request: Request<Incoming>) -> connections::Outcome {
    let gate = (&*face.guard, &*face.control.is_down, &face.control.world.latency);
    let (head, body) = match rest::receive(request, BODY_LIMIT, gate).await {
        Ok(received) => received,
        Err(Turned::Away(reason)) => return Ok(respond(Answer::error(403, "Sandbox", &reason))),
        Err(Turned::TooLarge) => {
            return Ok(respond(Answer::error(413, "RequestTooLarge", "The request body is too large.")));
        }
        Err(Turned::Down) => return Err(Dropped),
    };
    let path = head.uri.path();
    if path.starts_with(SWITCHES) {
        let (status, body) = control::answer(&face.control, &head.method, path, &body);
        return Ok(respond(Answer { status, headers: Vec::new(), body }));
    }
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let host = text(HOST.as_str()).to_ascii_lowercase();
    let host = host.rsplit_once(':').map_or(host.as_str(), |(host, _)| host);
    let raw = Raw {
        method: head.method.as_str(),
        host,
        path,
        query: head.uri.query().unwrap_or_default(),
        token: text(AUTHORIZATION.as_str()).strip_prefix("Bearer ").unwrap_or_default(),
        body: &body,
    };
    match route::answer(&face.control.world, &raw) {
        Outcome::Answered(answer) => Ok(respond(answer)),
        Outcome::Dropped => Err(Dropped),
    }
}

fn respond(answer: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::builder().status(answer.status).header("cache-control", "no-cache");
    if answer.status != 204 {
        response = response.header(CONTENT_TYPE, JSON);
    }
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    rest::respond(response, answer.body)
}
