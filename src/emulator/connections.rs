//! Connections of the sandbox, whatever is spoken on them.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
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
pub(super) async fn serve<A, F>(listener: TcpListener, stopped: watch::Receiver<bool>, answer: A)
where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    accept(listener, stopped, move |stream| connection(stream, answer.clone())).await;
}

/// The same over TLS; a connection that does not get that far is closed.
#[cfg(feature = "azure")]
pub(super) async fn serve_over<A, F>(
    listener: TcpListener,
    tls: tokio_rustls::TlsAcceptor,
    stopped: watch::Receiver<bool>,
    answer: A,
) where
    A: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    accept(listener, stopped, move |stream| {
        let (tls, answer) = (tls.clone(), answer.clone());
        async move {
            if let Ok(stream) = tls.accept(stream).await {
                connection(stream, answer).await;
            }
        }
    })
    .await;
}

async fn accept<C, F>(listener: TcpListener, mut stopped: watch::Receiver<bool>, connection: C)
where
    C: Fn(TcpStream) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let _: io::Result<()> = stream.set_nodelay(true);
                    connections.spawn(connection(stream));
                }
                while connections.try_join_next().is_some() {}
            }
        }
    }
}

async fn connection<S, A, F>(stream: S, answer: A)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Outcome> + Send + 'static,
{
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    let _: Result<(), hyper::Error> = served.await;
}
