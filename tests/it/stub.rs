//! A scripted AWS JSON 1.1 endpoint: each test says what it answers.

#![expect(clippy::unwrap_used, reason = "a test may panic, its helpers too")]

use std::sync::{Arc, Mutex};

use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// What the stub does with a request.
pub enum Reply {
    /// 200 with this body.
    Ok(Json),
    /// 400 with this code and text.
    Error(&'static str, &'static str),
    /// This status without a code.
    Status(u16),
    /// The connection is closed without an answer.
    Hangup,
}

type Script = Box<dyn FnMut(&str, &Json) -> Reply + Send>;

/// A server that answers as its script says and remembers what it was asked.
#[derive(Clone)]
pub struct Stub {
    /// Where it listens.
    pub endpoint: String,
    asked: Arc<Mutex<Vec<(String, Json)>>>,
}

impl Stub {
    /// Starts it; it ends with the test's runtime.
    pub async fn start(script: impl FnMut(&str, &Json) -> Reply + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stub = Self { endpoint, asked: Arc::default() };
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let asked = Arc::clone(&stub.asked);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&script), Arc::clone(&asked)));
            }
        });
        stub
    }

    /// Whether nothing was asked at all.
    pub fn is_unasked(&self) -> bool {
        self.asked.lock().unwrap().is_empty()
    }

    /// How often an operation was asked for.
    pub fn count(&self, operation: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|(asked, _)| asked == operation).count()
    }

    /// What an operation was asked with.
    pub fn bodies(&self, operation: &str) -> Vec<Json> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(asked, _)| asked == operation).map(|(_, body)| body.clone()).collect()
    }
}

async fn serve(socket: TcpStream, script: Arc<Mutex<Script>>, asked: Arc<Mutex<Vec<(String, Json)>>>) {
    let mut socket = BufReader::new(socket);
    while let Some((operation, body)) = request(&mut socket).await {
        asked.lock().unwrap().push((operation.clone(), body.clone()));
        let reply = (script.lock().unwrap())(&operation, &body);
        let (status, body) = match reply {
            Reply::Ok(body) => (200, body.to_string()),
            Reply::Error(code, message) => (400, json!({ "__type": code, "Message": message }).to_string()),
            Reply::Status(status) => (status, "<html>broken</html>".to_owned()),
            Reply::Hangup => return,
        };
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        socket.write_all(head.as_bytes()).await.unwrap();
        socket.write_all(body.as_bytes()).await.unwrap();
    }
}

async fn request(socket: &mut BufReader<TcpStream>) -> Option<(String, Json)> {
    let (mut operation, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let Some((name, value)) = line.trim().split_once(": ") else {
            if line.trim().is_empty() {
                break;
            }
            continue;
        };
        match name.to_ascii_lowercase().as_str() {
            "x-amz-target" => operation = value.rsplit('.').next().unwrap().to_owned(),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some((operation, serde_json::from_slice(&body).unwrap_or_default()))
}
