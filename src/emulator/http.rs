//! The HTTP face: one POST route for AWS's two protocols, and the switches under `/_sandbox/`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request, Response,
    body::Incoming,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap},
};
use tokio::{net::TcpListener, sync::watch};

use super::{
    Control,
    connections::{self, Dropped, Outcome},
    control_http,
    faults::{Subject, Verdict},
    guard::{Guard, SWITCHES},
    ops::{self, Call, Operation},
    refusal::Refusal,
    state::World,
    sts,
};

/// The largest request that is read; the service's own largest is below 200 KB.
const BODY_LIMIT: usize = 1 << 20;
const JSON: &str = "application/x-amz-json-1.1";

/// What answers a connection.
#[derive(Clone)]
pub(super) struct Face {
    pub world: Arc<World>,
    pub guard: Arc<Guard>,
}

/// Answers until told to stop.
pub(super) async fn serve(listener: TcpListener, face: Face, stopped: watch::Receiver<bool>) {
    connections::serve(listener, stopped, move |request| {
        let face = face.clone();
        async move { answer(&face, request).await }
    })
    .await;
}

async fn answer(face: &Face, request: Request<Incoming>) -> Outcome {
    let (head, body) = request.into_parts();
    if let Err(reason) = face.guard.admit(&head) {
        return Ok(respond(403, JSON, Refusal::new("AccessDeniedException", reason).body()));
    }
    let world = &face.world;
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return Ok(respond(413, JSON, Vec::new()));
    };
    let body = body.to_bytes();
    if head.uri.path().starts_with(SWITCHES) {
        let (status, text) =
            control_http::answer(&Control::new(Arc::clone(world)), &head.method, head.uri.path(), &body);
        return Ok(respond(status, "application/json", text));
    }
    if head.method != Method::POST {
        return Ok(refuse(&Refusal::new("UnknownOperationException", "")));
    }
    let Some(scope) = Scope::of(&head.headers) else {
        return Ok(refuse(&Refusal::new("MissingAuthenticationTokenException", "Missing Authentication Token")));
    };
    if world.is_down(scope.region) {
        world.refused.fetch_add(1, Ordering::Relaxed);
        return Err(Dropped);
    }
    world.latency.pass().await;
    if let Some(target) = head.headers.get("x-amz-target").and_then(|target| target.to_str().ok()) {
        return match target {
            "TrentService.DescribeKey" => Ok(describe_key(world, &body)),
            target => secrets_manager(world, &scope, target, &body),
        };
    }
    let (status, xml) = sts::answer(world, scope.key, account_of(scope.key), &body);
    Ok(respond(status, "text/xml", xml))
}

/// As much of KMS as tells whether a key can be used.
fn describe_key(world: &World, body: &[u8]) -> Response<Full<Bytes>> {
    let request: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    match world.keys.describe(request["KeyId"].as_str().unwrap_or_default()) {
        Ok(answer) => respond(200, JSON, answer.to_string().into_bytes()),
        Err(refusal) => refuse(&refusal),
    }
}

fn secrets_manager(world: &Arc<World>, scope: &Scope<'_>, target: &str, body: &[u8]) -> Outcome {
    let Some(operation) = target.strip_prefix("secretsmanager.").and_then(Operation::parse) else {
        return Ok(refuse(&Refusal::new("UnknownOperationException", "")));
    };
    let account = account_of(scope.key);
    world.count(operation);
    world.diary.note(operation, account, scope.region, body);
    let verdict = world.faults.judge(&Subject { operation, account, region: scope.region, body });
    let verdict = match verdict {
        Verdict::Drop => return Err(Dropped),
        Verdict::Refuse(refusal) => return Ok(refuse(&refusal)),
        other => other,
    };
    let call = Call::new(world, account, scope.region);
    if world.quotas.load(Ordering::Relaxed)
        && let Err(refusal) = call.home.quotas.take(operation, Instant::now())
    {
        return Ok(refuse(&refusal));
    }
    let answer = ops::dispatch(operation, &call, body);
    for hook in world.due_hooks(operation) {
        (hook.then)(&Control::new(Arc::clone(world)));
    }
    match (verdict, answer) {
        (Verdict::DropAfter, _) => Err(Dropped),
        (_, Ok(body)) => Ok(respond(200, JSON, body)),
        (_, Err(refusal)) => Ok(refuse(&refusal)),
    }
}

/// What the Authorization header says. The signature in it is not looked at.
struct Scope<'a> {
    key: &'a str,
    region: &'a str,
}

impl<'a> Scope<'a> {
    /// Reads `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`.
    fn of(headers: &'a HeaderMap) -> Option<Self> {
        let header = headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (_, credential) = header.strip_prefix("AWS4-HMAC-SHA256")?.split_once("Credential=")?;
        let mut parts = credential.split([',', ' ']).next()?.split('/');
        let (key, _date, region) = (parts.next()?, parts.next()?, parts.next()?);
        (!key.is_empty() && !region.is_empty()).then_some(Self { key, region })
    }
}

/// The account behind an access key id: itself if twelve digits, the one in credentials made by AssumeRole, or zeros.
fn account_of(key: &str) -> &str {
    let digits = |text: &&str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let assumed = key.strip_prefix(sts::ASSUMED).and_then(|rest| rest.get(..12));
    Some(key).filter(digits).or(assumed.filter(digits)).unwrap_or("000000000000")
}

fn refuse(refusal: &Refusal) -> Response<Full<Bytes>> {
    respond(refusal.status(), JSON, refusal.body())
}

fn respond(status: u16, content_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let response = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, content_type)
        .header("x-amzn-RequestId", request_id())
        .body(Full::new(Bytes::from(body)));
    response.expect("status and headers are well-formed")
}

/// A UUID-shaped number that counts up.
fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let n = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("00000000-0000-4000-8000-{:012x}", n & 0xffff_ffff_ffff)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, value.parse().unwrap());
        headers
    }

    #[test]
    fn the_scope_is_read_and_nothing_else_is_taken_for_one() {
        let good = headers(
            "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/secretsmanager/aws4_request, SignedHeaders=host, Signature=0",
        );
        let scope = Scope::of(&good).unwrap();
        assert_eq!((scope.key, scope.region), ("AK", "eu-west-1"));
        for bad in [
            "Bearer x",
            "AWS4-HMAC-SHA256 Signature=0",
            "AWS4-HMAC-SHA256 Credential=AK",
            "AWS4-HMAC-SHA256 Credential=/d//s",
        ] {
            assert!(Scope::of(&headers(bad)).is_none(), "{bad}");
        }
    }

    #[test]
    fn access_keys_name_accounts() {
        assert_eq!(account_of("123456789012"), "123456789012");
        assert_eq!(account_of("ASIA123456789012ABCD"), "123456789012");
        for other in ["AKIAIOSFODNN7EXAMPLE", "12345678901", "1234567890123", "ASIA12345678901"] {
            assert_eq!(account_of(other), "000000000000", "{other}");
        }
    }
}
