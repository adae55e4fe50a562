//! One request on a connection, as a server that is made to lie sees it.

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// What was asked.
pub struct Asked {
    /// The path with its query, as it came.
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Asked {
    /// A header by its name in lower case; empty where there is none. Values are in lower case too.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// The next request, its body read and dropped; `None` at the end of the connection.
pub async fn next(socket: &mut (impl AsyncBufRead + Unpin)) -> Option<Asked> {
    let mut asked = Asked { path: String::new(), headers: Vec::new() };
    loop {
        let mut line = String::new();
        if socket.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim();
        if line.is_empty() {
            break;
        }
        if asked.path.is_empty() {
            line.split(' ').nth(1)?.clone_into(&mut asked.path);
        } else if let Some((name, value)) = line.to_ascii_lowercase().split_once(": ") {
            asked.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    let length = asked.header("content-length").parse().unwrap_or(0);
    socket.read_exact(&mut vec![0; length]).await.ok()?;
    Some(asked)
}
