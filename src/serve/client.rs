//! A client of our own, over one connection that stays open: for drills and for measuring. It knows no SDK, and it signs with
//! code of its own, so that a slip of the verification is not repeated here.

use std::{io, net::SocketAddr};

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
};
use zeroize::Zeroizing;

use super::{grants::Credentials, sigv4::mac};

/// The longest head and the longest body that are read.
const LONGEST_HEAD: usize = 16 << 10;
const LONGEST_BODY: usize = 16 << 20;

/// The keys that requests are signed with. No Debug: it holds secrets.
pub struct Keys {
    /// The access key id.
    pub id: String,
    /// The secret key.
    pub secret: Zeroizing<String>,
    /// The session token.
    pub token: Zeroizing<String>,
}

/// An answer. No Debug: it can hold a value.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body; wiped on drop.
    pub body: Zeroizing<Vec<u8>>,
}

/// One connection.
pub struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

impl From<&Credentials> for Keys {
    fn from(granted: &Credentials) -> Self {
        Self {
            id: granted.access_key_id.clone(),
            secret: granted.secret_access_key.clone().into(),
            token: granted.session_token.clone().into(),
        }
    }
}

impl Answer {
    /// The error code of a refusal, without what is before `#`; `None` where it is none.
    pub fn code(&self) -> Option<String> {
        let json: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let code = json.get("__type").or_else(|| json.get("code"))?.as_str()?;
        Some(code.rsplit('#').next().unwrap_or(code).to_owned())
    }
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// The system's.
    pub async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(16 << 10, stream), host: address.to_string() })
    }

    /// Asks for the keys of a token, as an SDK in a container does; `None` where they are refused.
    ///
    /// # Errors
    /// The connection, or an answer that is not HTTP.
    pub async fn credentials(&mut self, token: &str) -> io::Result<Option<Keys>> {
        let head = format!("GET /creds HTTP/1.1\r\nhost: {}\r\nauthorization: {token}\r\n\r\n", self.host);
        let answer = self.send(Zeroizing::new(head).as_bytes()).await?;
        let json: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let keys = || {
            Some(Keys {
                id: text("AccessKeyId")?,
                secret: text("SecretAccessKey")?.into(),
                token: text("Token")?.into(),
            })
        };
        Ok(if answer.status == 200 { keys() } else { None })
    }

    /// Calls an operation of Secrets Manager, signed for `region`; without keys it is not signed.
    ///
    /// # Errors
    /// The connection, or an answer that is not HTTP.
    pub async fn call(
        &mut self,
        keys: Option<&Keys>,
        (region, operation): (&str, &str),
        body: &str,
        now: Timestamp,
    ) -> io::Result<Answer> {
        let request = request(&self.host, keys, (region, operation), body, now);
        self.send(request.as_bytes()).await
    }

    /// Sends a whole request and reads its answer.
    ///
    /// # Errors
    /// The connection, or an answer that is not HTTP.
    pub async fn send(&mut self, request: &[u8]) -> io::Result<Answer> {
        self.stream.get_mut().write_all(request).await?;
        let odd = || io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP with a length");
        let (mut line, mut read) = (String::new(), 0);
        let (mut status, mut length) = (None, None);
        loop {
            line.clear();
            read += self.stream.read_line(&mut line).await?;
            let text = line.trim_end();
            if line.is_empty() || read > LONGEST_HEAD {
                return Err(odd());
            }
            if text.is_empty() {
                break;
            }
            match text.split_once(": ") {
                None if status.is_none() => status = text.split(' ').nth(1).and_then(|word| word.parse().ok()),
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().ok(),
                _ => {}
            }
        }
        let length = length.filter(|length| *length <= LONGEST_BODY).ok_or_else(odd)?;
        let mut body = Zeroizing::new(vec![0; length]);
        self.stream.read_exact(&mut body).await?;
        Ok(Answer { status: status.ok_or_else(odd)?, body })
    }
}

/// The bytes of a request for `host`.
pub fn request(
    host: &str,
    keys: Option<&Keys>,
    (region, operation): (&str, &str),
    body: &str,
    now: Timestamp,
) -> Zeroizing<String> {
    const TYPE: &str = "application/x-amz-json-1.1";
    let target = format!("secretsmanager.{operation}");
    let mut head = format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-type: {TYPE}\r\nx-amz-target: {target}\r\n");
    if let Some(keys) = keys {
        let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
        let (date, token) = (&time[..8], keys.token.as_str());
        let signed = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
        let payload = hex::encode(Sha256::digest(body.as_bytes()));
        let canonical = Zeroizing::new(format!(
            "POST\n/\n\ncontent-type:{TYPE}\nhost:{host}\nx-amz-date:{time}\nx-amz-security-token:{token}\n\
             x-amz-target:{target}\n\n{signed}\n{payload}"
        ));
        let scope = format!("{date}/{region}/secretsmanager/aws4_request");
        let hashed = hex::encode(Sha256::digest(canonical.as_bytes()));
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{hashed}");
        let first = Zeroizing::new(format!("AWS4{}", *keys.secret));
        let by_date = Zeroizing::new(mac(first.as_bytes(), date.as_bytes()));
        let by_region = Zeroizing::new(mac(&*by_date, region.as_bytes()));
        let by_service = Zeroizing::new(mac(&*by_region, b"secretsmanager"));
        let key = Zeroizing::new(mac(&*by_service, b"aws4_request"));
        let signature = hex::encode(mac(&*key, to_sign.as_bytes()));
        head.push_str(&format!(
            "x-amz-date: {time}\r\nx-amz-security-token: {token}\r\nauthorization: AWS4-HMAC-SHA256 \
             Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}\r\n",
            keys.id
        ));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    Zeroizing::new(head)
}
