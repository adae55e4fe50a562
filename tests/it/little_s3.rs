//! A bucket in memory that answers as S3 and what speaks its protocol do, and oddly where a test says so.

use std::{
    collections::BTreeMap,
    io::{BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::bucket_stub::{Asked, decoded, request};

/// What happens to one request instead of its plain answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Odd {
    /// This status and error code, and nothing is done.
    Refuse(u16, &'static str),
    /// It is done, and the answer is this one.
    Done(u16, &'static str),
    /// The connection ends, and nothing is done.
    Drop,
    /// It is done, and the connection ends.
    DropAfter,
    /// A condition is not heeded.
    Unconditional,
    /// An error's page with status 200, and nothing is done.
    ErrorWith200,
    /// A listing whose pages have no keys and name a next one.
    EmptyPages,
    /// A page of 64 MiB.
    Huge,
    /// No answer for so many seconds.
    Silence(u64),
}

/// A request as a script sees it.
pub struct Request {
    /// GET, PUT, …
    pub method: String,
    /// The key; empty for the bucket itself.
    pub key: String,
    /// What stands after the `?`.
    pub query: String,
    /// How many requests with this method there were before.
    pub before: u64,
}

type Script = dyn Fn(&Request) -> Option<Odd> + Send + Sync;

/// The server; it ends with the process.
#[derive(Clone)]
pub struct LittleS3 {
    /// Where it listens.
    pub endpoint: String,
    inner: Arc<Inner>,
}

struct Inner {
    objects: Mutex<BTreeMap<String, Vec<u8>>>,
    counts: Mutex<BTreeMap<String, u64>>,
    script: Mutex<Arc<Script>>,
}

impl LittleS3 {
    /// Starts it; every answer is a plain one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let plain: Arc<Script> = Arc::new(|_| None);
        let inner = Arc::new(Inner { objects: Mutex::default(), counts: Mutex::default(), script: Mutex::new(plain) });
        let shared = Arc::clone(&inner);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let inner = Arc::clone(&shared);
                std::thread::spawn(move || serve(socket, &inner));
            }
        });
        Self { endpoint, inner }
    }

    /// The address of a prefix of its bucket.
    pub fn url(&self, prefix: &str, more: &str) -> String {
        format!("s3://little/{prefix}?region=eu-west-1&endpoint={}{more}", self.endpoint)
    }

    /// From now on this decides; methods are counted from 0 again.
    pub fn script(&self, script: impl Fn(&Request) -> Option<Odd> + Send + Sync + 'static) {
        self.inner.counts.lock().unwrap().clear();
        *self.inner.script.lock().unwrap() = Arc::new(script);
    }

    /// Requests with this method since the last script.
    pub fn count(&self, method: &str) -> u64 {
        self.inner.counts.lock().unwrap().get(method).copied().unwrap_or_default()
    }

    /// Every object.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.inner.objects.lock().unwrap().clone()
    }

    /// Removes every object.
    pub fn clear(&self) {
        self.inner.objects.lock().unwrap().clear();
    }
}

struct Answer(u16, Vec<u8>);

fn serve(socket: TcpStream, inner: &Inner) -> Option<()> {
    let _ = socket.set_nodelay(true);
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let mut socket = socket;
    loop {
        let (Asked { method, path, headers }, body) = request(&mut reader)?;
        let (path, query) = path.split_once('?').unwrap_or((&path, ""));
        let key =
            decoded(path.trim_start_matches('/').strip_prefix("little").unwrap_or_default().trim_start_matches('/'));
        let is_create = headers.get("if-none-match").is_some_and(|tags| tags == "*");
        let before = {
            let mut counts = inner.counts.lock().unwrap();
            let count = counts.entry(method.clone()).or_default();
            *count += 1;
            *count - 1
        };
        let request = Request { method, key, query: query.to_owned(), before };
        let script = Arc::clone(&inner.script.lock().unwrap());
        let odd = script(&request);
        let act = |conditional: bool| plain(inner, &request, &body, is_create && conditional);
        let answer = match odd {
            None => act(true),
            Some(Odd::Unconditional) => act(false),
            Some(Odd::Refuse(status, code)) => error(status, code),
            Some(Odd::Done(status, code)) => {
                act(true);
                error(status, code)
            }
            Some(Odd::ErrorWith200) => Answer(200, error(500, "InternalError").1),
            Some(Odd::Drop) => return None,
            Some(Odd::DropAfter) => {
                act(true);
                return None;
            }
            Some(Odd::EmptyPages) => page(&[], &[], true),
            Some(Odd::Huge) => Answer(200, vec![b' '; 64 << 20]),
            Some(Odd::Silence(seconds)) => {
                std::thread::sleep(Duration::from_secs(seconds));
                return None;
            }
        };
        let Answer(status, body) = answer;
        let is_head = request.method == "HEAD";
        let head = format!(
            "HTTP/1.1 {status} {}\r\nContent-Length: {}\r\nETag: \"e\"\r\nLast-Modified: Thu, 26 Nov 2026 00:00:00 GMT\r\n\r\n",
            if status == 501 { "Not Implemented" } else { "X" },
            body.len()
        );
        socket.write_all(head.as_bytes()).ok()?;
        if !is_head {
            socket.write_all(&body).ok()?;
        }
    }
}

fn plain(inner: &Inner, request: &Request, body: &[u8], is_create: bool) -> Answer {
    let mut objects = inner.objects.lock().unwrap();
    match (request.method.as_str(), request.key.as_str()) {
        ("GET", "") => listing(&objects, &request.query),
        ("HEAD", "") => Answer(200, Vec::new()),
        ("GET" | "HEAD", key) => {
            objects.get(key).map_or_else(|| error(404, "NoSuchKey"), |bytes| Answer(200, bytes.clone()))
        }
        ("PUT", key) if is_create && objects.contains_key(key) => error(412, "PreconditionFailed"),
        ("PUT", key) => {
            objects.insert(key.to_owned(), body.to_vec());
            Answer(200, Vec::new())
        }
        ("DELETE", key) => {
            objects.remove(key);
            Answer(204, Vec::new())
        }
        _ => error(405, "MethodNotAllowed"),
    }
}

fn listing(objects: &BTreeMap<String, Vec<u8>>, query: &str) -> Answer {
    let option = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')).map(decoded);
    let (prefix, after) = (option("prefix").unwrap_or_default(), option("continuation-token").unwrap_or_default());
    let is_flat = option("delimiter").is_none();
    let (mut keys, mut folders) = (Vec::new(), Vec::new());
    for (key, bytes) in objects.iter().filter(|(key, _)| key.starts_with(&prefix) && **key > after) {
        match key[prefix.len()..].split_once('/').filter(|_| !is_flat) {
            Some((folder, _)) => {
                let folder = format!("{prefix}{folder}/");
                if folders.last() != Some(&folder) {
                    folders.push(folder);
                }
            }
            None => keys.push((key.clone(), bytes.len())),
        }
        if keys.len() == 1000 {
            break;
        }
    }
    let is_cut = keys.len() == 1000;
    page(&keys, &folders, is_cut)
}

fn page(keys: &[(String, usize)], folders: &[String], is_cut: bool) -> Answer {
    let mut text = format!(
        "<?xml version=\"1.0\"?><ListBucketResult><Name>little</Name><KeyCount>{}</KeyCount><IsTruncated>{is_cut}</IsTruncated>",
        keys.len()
    );
    if is_cut {
        let next = keys.last().map_or("more", |(key, _)| key);
        text.push_str(&format!("<NextContinuationToken>{next}</NextContinuationToken>"));
    }
    for (key, size) in keys {
        text.push_str(&format!(
            "<Contents><Key>{key}</Key><Size>{size}</Size><LastModified>2026-11-26T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag></Contents>"
        ));
    }
    for folder in folders {
        text.push_str(&format!("<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>"));
    }
    Answer(200, (text + "</ListBucketResult>").into_bytes())
}

fn error(status: u16, code: &str) -> Answer {
    Answer(
        status,
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>").into_bytes(),
    )
}
