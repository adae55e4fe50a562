//! Counts for Prometheus, without a name of a secret or a consumer in them.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fmt::Write as _,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, header::CONTENT_TYPE, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::watch};

use super::{audit::Asked, wire::Face};

/// What is counted.
#[derive(Default)]
pub(super) struct Counters {
    /// Connections that are open.
    pub(super) connections: AtomicI64,
    /// Connections closed because too many were open.
    pub(super) turned_away: AtomicU64,
    requests: Mutex<BTreeMap<(String, String), u64>>,
}

impl Counters {
    pub(super) fn note(&self, asked: &Asked) {
        let key = (asked.operation.clone(), asked.result.clone());
        *self.requests.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }
}

impl Face {
    /// The text that Prometheus reads.
    fn metrics(&self) -> String {
        let mut text = String::new();
        let now = self.clock.now();
        let mut put = |name: &str, kind: &str, help: &str, value: i64| {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        };
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let age = self.estate.oldest().map_or(0, |oldest| now.duration_since(oldest.taken).as_secs());
        put("lifeboat_snapshot_age_seconds", "gauge", "Age of the oldest snapshot that is served.", age);
        let count = |count: usize| signed(count as u64);
        put("lifeboat_secrets", "gauge", "Secrets that are served.", signed(self.estate.count()));
        put("lifeboat_grants", "gauge", "Grants in force.", count(self.grants.in_force(now)));
        let open = self.counters.connections.load(Ordering::Relaxed);
        put("lifeboat_connections", "gauge", "Open connections.", open);
        let away = signed(self.counters.turned_away.load(Ordering::Relaxed));
        put(
            "lifeboat_connections_turned_away_total",
            "counter",
            "Connections closed because too many were open.",
            away,
        );
        put("lifeboat_audit_lines_total", "counter", "Lines of the audit log.", signed(self.audit.lines()));
        text.push_str("# HELP lifeboat_requests_total Requests by operation and result.\n");
        text.push_str("# TYPE lifeboat_requests_total counter\n");
        let requests = self.counters.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for ((operation, result), count) in requests.iter() {
            let labels = format!("operation=\"{operation}\",result=\"{result}\"");
            let _ = writeln!(text, "lifeboat_requests_total{{{labels}}} {count}");
        }
        text
    }
}

/// Answers `GET /metrics` until told to stop.
pub(super) async fn serve(listener: TcpListener, face: Arc<Face>, mut stopped: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let face = Arc::clone(&face);
        let service = service_fn(move |request: Request<Incoming>| {
            let is_asked = request.uri().path() == "/metrics";
            let (status, text) = if is_asked { (200, face.metrics()) } else { (404, String::new()) };
            async move {
                let response = Response::builder().status(status).header(CONTENT_TYPE, "text/plain; version=0.0.4");
                Ok::<_, Infallible>(response.body(Full::new(Bytes::from(text))).expect("it is well-formed"))
            }
        });
        // One at a time, and not for long: a scraper asks now and then.
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).keep_alive(false);
        let talk = http.serve_connection(TokioIo::new(stream), service);
        let _ = tokio::time::timeout(Duration::from_secs(5), talk).await;
    }
}

/// Listens for a scraper.
pub(super) async fn listen(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    if !address.ip().is_loopback() {
        let message = format!("metrics are served on loopback only, not on {}", address.ip());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    TcpListener::bind(address).await
}
