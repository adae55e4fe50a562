//! A proxy before an endpoint, that may answer something else.

use std::{
    io::{BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
};

use serde_json::Value as Json;

/// An answer.
#[derive(Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

type Script = dyn Fn(&str, &Json, &dyn Fn() -> Answer) -> Answer + Send + Sync;

/// The proxy; it ends with the process.
pub struct Proxy {
    /// Where it listens.
    pub endpoint: String,
}

impl Proxy {
    /// Starts it before `upstream`. The script gets the operation, the request and a way to ask the endpoint itself.
    pub fn start(
        upstream: &str,
        script: impl Fn(&str, &Json, &dyn Fn() -> Answer) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let script: Arc<Script> = Arc::new(script);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (script, upstream) = (Arc::clone(&script), upstream.clone());
                std::thread::spawn(move || serve(socket, &upstream, &*script));
            }
        });
        Self { endpoint }
    }
}

/// One connection; `None` when it ends.
fn serve(socket: TcpStream, upstream: &str, script: &Script) -> Option<()> {
    let _ = socket.set_nodelay(true);
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let mut socket = socket;
    loop {
        let (head, body) = message(&mut reader)?;
        let operation = operation(&head, &body);
        let pass = || ask(upstream, &head, &body).expect("the endpoint answers");
        let answer = script(&operation, &serde_json::from_slice(&body).unwrap_or_default(), &pass);
        let kind = if head.contains("x-amz-json") { "application/x-amz-json-1.1" } else { "text/xml" };
        let head = format!(
            "HTTP/1.1 {} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            answer.status,
            answer.body.len()
        );
        socket.write_all(head.as_bytes()).ok()?;
        socket.write_all(&answer.body).ok()?;
    }
}

/// `GetSecretValue` of the JSON protocol, `GetCallerIdentity` of the query protocol.
fn operation(head: &str, body: &[u8]) -> String {
    let target = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("x-amz-target").then(|| value.rsplit('.').next().unwrap_or_default().to_owned())
    });
    let action = || {
        let text = String::from_utf8_lossy(body).into_owned();
        text.split('&').find_map(|part| part.strip_prefix("Action=").map(str::to_owned)).unwrap_or_default()
    };
    target.unwrap_or_else(action)
}

fn message(reader: &mut impl std::io::BufRead) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// Asks the endpoint the same on a connection of its own.
fn ask(upstream: &str, head: &str, body: &[u8]) -> Option<Answer> {
    let mut socket = TcpStream::connect(upstream).ok()?;
    // The endpoint answers to its own name only.
    let is_host = |line: &&str| line.to_ascii_lowercase().starts_with("host:");
    let kept: Vec<&str> = head.lines().filter(|line| !is_host(line)).collect();
    let head = format!("{}\r\nHost: {upstream}", kept.join("\r\n").trim_end());
    socket.write_all(format!("{}\r\nConnection: close\r\n\r\n", head.trim_end()).as_bytes()).ok()?;
    socket.write_all(body).ok()?;
    let (head, body) = message(&mut BufReader::new(socket))?;
    Some(Answer { status: head.split(' ').nth(1)?.parse().ok()?, body })
}
