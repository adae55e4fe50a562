//! fake-gcs-server, and in front of it what it does not do itself.
//!
//! Google documents a write of the XML API as a PUT with an Authorization header, and a header that says which generation it
//! replaces. This server refuses such a PUT, takes one with the query of a signed URL, and then does not look at the generation
//! (`google_says_that_the_fault_is_the_servers` shows each of them with Google's own client). In the JSON API's upload of two parts,
//! which that client uses, it does look. So a PUT is sent on as that upload, which says the same, and its answer is told as the XML
//! API tells it. Everything else passes as it is.

use std::{
    io::{BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use serde_json::Value as Json;

use crate::bucket_stub::{Asked, request};

/// Between the parts of an upload: in no file of a repository.
const BOUNDARY: &str = "between-the-parts-of-an-upload";

/// Listens in front of the server at `to` until the process ends, and gives its address.
pub fn start(to: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let to = to.trim_start_matches("http://").to_owned();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let to = to.clone();
            std::thread::spawn(move || relay(&socket, &to));
        }
    });
    endpoint
}

/// A request to the server and its whole answer.
pub fn send(to: &str, asked: &Asked, body: &[u8]) -> Vec<u8> {
    let mut socket = TcpStream::connect(to).unwrap();
    let mut head = format!("{} {} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n", asked.method, asked.path);
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
fn relay(mut socket: &TcpStream, to: &str) -> Option<()> {
    let mut reader = BufReader::new(socket.try_clone().ok()?);
    let (mut asked, mut body) = request(&mut reader)?;
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
