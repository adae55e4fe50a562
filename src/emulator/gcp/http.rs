//! The wire: HTTP on loopback, for any client of Secret Manager.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, sync::watch};

use super::{
    control::{self, Control},
    request::Raw,
    route::{self, Outcome},
};
use crate::emulator::{
    connections::{self, Dropped},
    guard::{Guard, SWITCHES},
    rest::{self, Turned},
};

/// The largest request that is read: a value of 64 KiB in base64 is far below.
const BODY_LIMIT: usize = 1 << 20;

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
        Err(Turned::Away(reason)) => return Ok(refused(403, "PERMISSION_DENIED", &reason)),
        Err(Turned::TooLarge) => return Ok(refused(413, "INVALID_ARGUMENT", "The request is too large.")),
        Err(Turned::Down) => return Err(Dropped),
    };
    let path = head.uri.path();
    if path.starts_with(SWITCHES) {
        let (status, body) = control::answer(&face.control, &head.method, path, &body);
        return Ok(respond(status, &body));
    }
    let token = head.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let raw = Raw {
        method: head.method.as_str(),
        path,
        query: head.uri.query().unwrap_or_default(),
        token: token.unwrap_or_default(),
        body: &body,
    };
    match route::answer(&face.control.world, &raw) {
        Outcome::Answered(status, body) => Ok(respond(status, &body)),
        Outcome::Dropped => Err(Dropped),
    }
}

fn refused(code: u16, status: &str, message: &str) -> Response<Full<Bytes>> {
    respond(code, &json!({ "error": { "code": code, "message": message, "status": status } }))
}

fn respond(status: u16, body: &Json) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header(CONTENT_TYPE, "application/json; charset=UTF-8");
    rest::respond(response.header("cache-control", "private"), body.to_string().into_bytes())
}
