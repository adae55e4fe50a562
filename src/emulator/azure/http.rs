//! The wire: HTTP over TLS on loopback, for any client of Key Vault.

use std::sync::{Arc, atomic::Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
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
    let (head, body) = request.into_parts();
    if let Err(reason) = face.guard.admit(&head) {
        return Ok(respond(Answer::error(403, "Sandbox", &reason)));
    }
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return Ok(respond(Answer::error(413, "RequestTooLarge", "The request body is too large.")));
    };
    let body = body.to_bytes();
    let path = head.uri.path();
    if path.starts_with(SWITCHES) {
        let (status, body) = control::answer(&face.control, &head.method, path, &body);
        return Ok(respond(Answer { status, headers: Vec::new(), body }));
    }
    if face.control.is_down.load(Ordering::Relaxed) {
        return Err(Dropped);
    }
    let latency = face.control.world.latency();
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
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
    let response = response.body(Full::new(Bytes::from(answer.body)));
    response.unwrap_or_else(|_| {
        let mut refused = Response::new(Full::new(Bytes::new()));
        *refused.status_mut() = hyper::StatusCode::BAD_REQUEST;
        refused
    })
}
