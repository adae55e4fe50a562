//! A small S3 that knows whose a bucket is, or does not care.

use std::{
    collections::BTreeMap,
    io::{BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Headers, their names in small letters.
    pub headers: BTreeMap<String, String>,
}

/// How the server answers.
#[derive(Clone, Default)]
pub struct Manner {
    /// The account that owns every bucket; without one the header about it is ignored, as by servers that are not AWS.
    pub owner: Option<String>,
    /// The KMS key that every object is kept under.
    pub key: Option<String>,
    /// Refuses to list.
    pub denies: bool,
}

/// The server; it ends with the process.
pub struct BucketStub {
    /// Where it listens.
    pub endpoint: String,
    /// How it answers.
    pub manner: Arc<Mutex<Manner>>,
}

type Objects = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

impl BucketStub {
    /// Starts it.
    pub fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let stub = Self { endpoint, manner: Arc::new(Mutex::new(manner)) };
        let (manner, objects) = (Arc::clone(&stub.manner), Objects::default());
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (manner, objects) = (Arc::clone(&manner), Arc::clone(&objects));
                std::thread::spawn(move || serve(socket, &manner, &objects));
            }
        });
        stub
    }
}

/// A request and its body; `None` when the connection ends.
pub fn request(reader: &mut impl std::io::BufRead) -> Option<(Asked, Vec<u8>)> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((Asked { method, path, headers }, body))
}

fn serve(socket: TcpStream, manner: &Mutex<Manner>, objects: &Objects) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let mut socket = socket;
    loop {
        let (request, body) = request(&mut reader)?;
        let manner = manner.lock().unwrap().clone();
        let (status, headers, answer) = answer(&request, body, &manner, objects);
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n{headers}\r\n", answer.len());
        socket.write_all(head.as_bytes()).ok()?;
        if request.method != "HEAD" {
            socket.write_all(&answer).ok()?;
        }
    }
}

fn answer(request: &Asked, body: Vec<u8>, manner: &Manner, objects: &Objects) -> (u16, String, Vec<u8>) {
    let signed = request.headers.get("authorization").cloned().unwrap_or_default();
    let wanted = request.headers.get("x-amz-expected-bucket-owner");
    if let (Some(wanted), Some(owner)) = (wanted, &manner.owner) {
        // As AWS: a header that is not signed is refused too.
        let is_signed =
            signed.split("SignedHeaders=").nth(1).is_some_and(|it| it.contains("x-amz-expected-bucket-owner"));
        if wanted != owner || !is_signed {
            return (403, String::new(), b"<Error><Code>AccessDenied</Code></Error>".to_vec());
        }
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let key = path.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
    let mut objects = objects.lock().unwrap();
    let facts = || {
        let key = manner.key.as_ref().map(|key| format!("x-amz-server-side-encryption-aws-kms-key-id: {key}\r\n"));
        format!("ETag: \"x\"\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n{}", key.unwrap_or_default())
    };
    match (request.method.as_str(), key) {
        // The permission of docs/iam.md is for a listing of the prefix, and for nothing else of the bucket.
        ("HEAD", "") => (403, String::new(), Vec::new()),
        ("GET", "") if manner.denies || !query.contains("prefix=") => (403, String::new(), Vec::new()),
        ("GET", "") => (200, "Content-Type: application/xml\r\n".into(), listing(query, &objects)),
        ("PUT", key) if request.headers.contains_key("if-none-match") && objects.contains_key(key) => {
            (412, String::new(), b"<Error><Code>PreconditionFailed</Code></Error>".to_vec())
        }
        ("PUT", key) => {
            objects.insert(key.to_owned(), body);
            (200, facts(), Vec::new())
        }
        ("DELETE", key) => {
            objects.remove(key);
            (204, String::new(), Vec::new())
        }
        (_, key) => match objects.get(key) {
            Some(bytes) => (200, facts(), bytes.clone()),
            None => (404, String::new(), b"<Error><Code>NoSuchKey</Code></Error>".to_vec()),
        },
    }
}

fn listing(query: &str, objects: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let of = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}="))).map(decoded);
    let (prefix, delimiter) = (of("prefix").unwrap_or_default(), of("delimiter"));
    let (mut contents, mut folders) = (String::new(), std::collections::BTreeSet::new());
    for (key, bytes) in objects.iter().filter(|(key, _)| key.starts_with(&prefix)) {
        match delimiter.as_ref().and_then(|_| key[prefix.len()..].split_once('/')) {
            Some((folder, _)) => {
                folders.insert(format!("{prefix}{folder}/"));
            }
            None => contents.push_str(&format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"x\"</ETag>\
                 <Size>{}</Size></Contents>",
                bytes.len()
            )),
        }
    }
    for folder in folders {
        contents.push_str(&format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"));
    }
    format!("<ListBucketResult><Name>b</Name><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>").into()
}

/// A path or query as it is meant.
pub fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(if byte == b'%' {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            hex::decode(digits).unwrap()[0]
        } else {
            byte
        });
    }
    String::from_utf8(plain).unwrap()
}
