//! A client of the emulator that sees the bare HTTP: status, headers, JSON.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The account and region that calls go to unless a test says otherwise.
pub const ACCOUNT: &str = "111111111111";
pub const REGION: &str = "us-east-1";

/// One keep-alive connection that calls as one account in one region.
pub struct Wire {
    stream: TcpStream,
    host: String,
    account: String,
    region: String,
    tokens: u32,
}

/// An answer as it came.
pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }
}

impl Wire {
    pub async fn connect(address: std::net::SocketAddr) -> Self {
        Self::connect_as(address, ACCOUNT, REGION).await
    }

    pub async fn connect_as(address: std::net::SocketAddr, account: &str, region: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the emulator listens");
        let host = address.to_string();
        Self { stream, host, account: account.into(), region: region.into(), tokens: 0 }
    }

    /// Calls an operation; `None` if the connection was closed without an answer.
    pub async fn try_call(&mut self, operation: &str, request: &Value) -> Option<Answered> {
        let headers = format!(
            "Authorization: AWS4-HMAC-SHA256 Credential={}/20260101/{}/secretsmanager/aws4_request, \
             SignedHeaders=host, Signature=0\r\nX-Amz-Target: secretsmanager.{operation}\r\n",
            self.account, self.region
        );
        self.send("POST", "/", &headers, request.to_string().as_bytes()).await
    }

    /// Calls an operation with a fresh `ClientRequestToken` where the SDKs add one.
    pub async fn call(&mut self, operation: &str, request: Value) -> (u16, Value) {
        let mut request = request;
        let tokened = ["CreateSecret", "PutSecretValue", "UpdateSecret", "RotateSecret"].contains(&operation);
        if tokened && request.get("ClientRequestToken").is_none() {
            self.tokens += 1;
            request["ClientRequestToken"] = json!(format!("00000000-0000-4000-a000-{:012}", self.tokens));
        }
        let answered = self.try_call(operation, &request).await.expect("an answer");
        (answered.status, answered.json())
    }

    /// Calls an operation that must succeed.
    pub async fn ok(&mut self, operation: &str, request: Value) -> Value {
        let (status, body) = self.call(operation, request).await;
        assert_eq!(status, 200, "{operation}: {}", body["__type"]);
        body
    }

    /// Calls an operation that must be refused; the code.
    pub async fn refused(&mut self, operation: &str, request: Value) -> String {
        let (status, body) = self.call(operation, request).await;
        assert_ne!(status, 200, "{operation} was carried out");
        body["__type"].as_str().expect("a code").to_owned()
    }

    pub async fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Option<Answered> {
        let headers = format!("Host: {}\r\n{headers}", self.host);
        self.send_as(method, path, &headers, body).await
    }

    /// The same without a `Host` of its own.
    pub async fn send_as(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Option<Answered> {
        let head = format!("{method} {path} HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        self.stream.write_all(&bytes).await.ok()?;
        self.receive().await
    }

    async fn receive(&mut self) -> Option<Answered> {
        let mut bytes = Vec::new();
        let end = loop {
            if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if self.stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let head = String::from_utf8(bytes[..end].to_vec()).expect("headers are ASCII").to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok())?;
        let mut body = bytes.split_off(end);
        while body.len() < length {
            if self.stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        let status = head.get(9..12)?.parse().ok()?;
        Some(Answered { status, head, body })
    }
}
