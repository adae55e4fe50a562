//! fake-gcs-server, and in front of it what it does not do itself.
//!
//! Google documents a write of the XML API as a PUT with an Authorization header, and a header that says which generation it
//! replaces. This server refuses such a PUT, takes one with the query of a signed URL, and then does not look at the generation
//! (`google_says_that_the_fault_is_the_servers` shows each of them with Google's own client). In the JSON API's upload of two parts,
//! which that client uses, it does look. So a PUT is sent on as that upload, which says the same, and its answer is told as the XML
//! API tells it. It gives every listing in one page, and a bucket gives a thousand entries in one: here they come in pages of
//! [`PAGE`], as that API tells them. Everything else passes as it is.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use serde_json::Value as Json;

use crate::bucket_stub::{Asked, request};

/// Between the parts of an upload: in no file of a repository.
const BOUNDARY: &str = "between-the-parts-of-an-upload";

/// Entries of a page.
const PAGE: usize = 7;

/// Listens in front of the server at `to` until the process ends. Gives its address, and counts the pages that have a next one.
pub fn start(to: &str) -> (String, Arc<AtomicU64>) {
    let pages = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&pages);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let to = to.trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let (to, pages) = (to.clone(), Arc::clone(&counted));
            std::thread::spawn(move || relay(&socket, &to, &pages));
        }
    });
    (endpoint, pages)
}

/// A request to the server and its whole answer.
pub fn send(to: &str, asked: &Asked, body: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(to).unwrap();
    // An answer of 1.0 is no chunks.
    let version = if is_listing(asked) { "1.0" } else { "1.1" };
    let mut head = format!("{} {} HTTP/{version}\r\nHost: {to}\r\nConnection: close\r\n", asked.method, asked.path);
    for (name, value) in asked.headers.iter().filter(|(name, _)| !["host", "connection"].contains(&name.as_str())) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    socket.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    socket.write_all(body).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    answer
}

/// One request a connection.
fn relay(mut socket: &TcpStream, to: &str, pages: &AtomicU64) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let (mut asked, mut body) = request(&mut reader)?;
    if is_listing(&asked) {
        return socket.write_all(&listing(&mut asked, to, pages)?).ok();
    }
    let is_put = asked.method == "PUT";
    if is_put {
        let (bucket, name) = asked.path.trim_start_matches('/').split_once('/')?;
        let upload = format!("/upload/storage/v1/b/{bucket}/o?uploadType=multipart&name={name}");
        let generation = asked.headers.get("x-goog-if-generation-match");
        let condition = generation.map(|generation| format!("&ifGenerationMatch={generation}"));
        asked.path = upload + &condition.unwrap_or_default();
        asked.method = "POST".into();
        let kind = asked.headers.insert("content-type".into(), format!("multipart/related; boundary={BOUNDARY}"));
        let kind = kind.unwrap_or_else(|| "application/octet-stream".into());
        let begin = format!("--{BOUNDARY}\r\nContent-Type: application/json\r\n\r\n{{}}\r\n--{BOUNDARY}\r\n");
        let begin = format!("{begin}Content-Type: {kind}\r\n\r\n");
        body = [begin.as_bytes(), &body, format!("\r\n--{BOUNDARY}--\r\n").as_bytes()].concat();
        asked.headers.insert("content-length".into(), body.len().to_string());
    }
    let mut answer = send(to, &asked, &body);
    if is_put && answer.starts_with(b"HTTP/1.1 200 ") {
        let at = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let object: Json = serde_json::from_slice(&answer[at..]).ok()?;
        let (etag, generation) = (object["etag"].as_str()?, object["generation"].as_str()?);
        answer = format!(
            "HTTP/1.1 200 OK\r\nETag: \"{etag}\"\r\nx-goog-generation: {generation}\r\nContent-Length: 0\r\n\
             Connection: close\r\n\r\n"
        )
        .into_bytes();
    }
    socket.write_all(&answer).ok()
}

fn is_listing(asked: &Asked) -> bool {
    asked.method == "GET" && asked.path.contains("list-type=2")
}

/// One page of a listing: the token of the next one is the number of its first entry.
fn listing(asked: &mut Asked, to: &str, pages: &AtomicU64) -> Option<Vec<u8>> {
    let (path, query) = asked.path.split_once('?')?;
    let (tokens, others): (Vec<&str>, Vec<&str>) =
        query.split('&').partition(|part| part.starts_with("continuation-token="));
    let from = match tokens.first() {
        Some(token) => token.split_once("=entry.")?.1.parse().ok()?,
        None => 0,
    };
    asked.path = format!("{path}?{}", others.join("&"));
    let answer = String::from_utf8(send(to, asked, &[])).ok()?;
    let (_, xml) = answer.split_once("\r\n\r\n").filter(|(head, _)| head.contains(" 200 "))?;
    let all: Vec<&str> = ["Contents", "CommonPrefixes"].into_iter().flat_map(|name| elements(xml, name)).collect();
    let page = all.get(from..)?;
    let (page, rest) = page.split_at(page.len().min(PAGE));
    let next = if rest.is_empty() {
        String::new()
    } else {
        pages.fetch_add(1, Ordering::Relaxed);
        let next = from + PAGE;
        format!("<IsTruncated>true</IsTruncated><NextContinuationToken>entry.{next}</NextContinuationToken>")
    };
    let xml = format!("<ListBucketResult>{next}{}</ListBucketResult>", page.concat());
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nConnection: close";
    Some(format!("{head}\r\nContent-Length: {}\r\n\r\n{xml}", xml.len()).into_bytes())
}

/// The elements of a name, with their tags.
fn elements<'x>(xml: &'x str, name: &str) -> Vec<&'x str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let starts = xml.match_indices(&open).map(|(at, _)| at);
    starts.filter_map(|at| Some(&xml[at..at + xml[at..].find(&close)? + close.len()])).collect()
}
