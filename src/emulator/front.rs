//! What all faces have alike: the server that runs, and how late it answers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, task::JoinHandle};

use super::guard::Guard;

/// What is added to every answer.
#[derive(Default)]
pub(super) struct Latency(AtomicU64);

impl Latency {
    /// Lets it pass.
    pub(super) async fn pass(&self) {
        let latency = Duration::from_micros(self.0.load(Ordering::Relaxed));
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    pub(super) fn set(&self, latency: Duration) {
        self.0.store(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl From<Duration> for Latency {
    fn from(latency: Duration) -> Self {
        let made = Self::default();
        made.set(latency);
        made
    }
}

/// A server that runs; dropping it stops it.
pub(super) struct Running {
    pub(super) address: SocketAddr,
    guard: Arc<Guard>,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Running {
    /// Runs what `serve` makes of the sign to stop.
    pub(super) fn start<F>(
        address: SocketAddr,
        guard: Arc<Guard>,
        serve: impl FnOnce(watch::Receiver<bool>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        Self { address, guard, stop, server: tokio::spawn(serve(stopped)) }
    }

    /// What the switches need.
    pub(super) fn token(&self) -> &str {
        self.guard.token()
    }

    /// Closes every connection and stops listening.
    pub(super) async fn shutdown(mut self) {
        let _ = self.stop.send(true);
        let _ = (&mut self.server).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server.abort();
    }
}
