//! Connections of the sandbox, whatever is spoken on them.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// An answer, or the connection closes without one.
pub(super) type Outcome = Result<Response<Full<Bytes>>, Dropped>;

/// The reason given to hyper for closing a connection.
#[derive(Debug)]
pub(super) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the sandbox closed the connection")
    }
}

impl std::error::Error for Dropped {}

/// Accepts connections until told to stop; what is open then is closed.
pub(super) async fn serve<A, F>(listener: TcpListener, mut stopped: watch::Receiver<bool>, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, answer.clone()));
                }
                while connections.try_join_next().is_some() {}
            }
        }
    }
}

async fn connection<A, F>(stream: TcpStream, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    let _: io::Result<()> = stream.set_nodelay(true);
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    let _: Result<(), hyper::Error> = served.await;
}
