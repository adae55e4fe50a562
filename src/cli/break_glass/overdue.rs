//! The secrets whose rotation was due after the snapshot: looked for beside the server, which answers meanwhile.

use std::{io, sync::Arc, thread};

use serde_json::json;
use tokio::sync::{oneshot, watch};

use crate::{
    cli::{Context, output::plural, streams},
    clock::{Clock as _, SystemClock},
    serve::{AllOverdue, Estate, Overdue, Unreadable},
    text,
};

/// Names that are shown one by one.
const MOST_SHOWN: usize = 20;
/// Names that are kept, for `--json`.
const MOST_KEPT: usize = 10_000;

/// A pass over every record, on a thread of its own that gives way to whoever asks for a secret.
pub(super) struct Pass {
    stop: watch::Sender<bool>,
    found: oneshot::Receiver<Result<AllOverdue, Unreadable>>,
}

impl Pass {
    /// Begins, on the current runtime.
    ///
    /// # Errors
    /// There can be no more threads.
    pub(super) fn begin(estate: Arc<Estate>) -> io::Result<Self> {
        let (runtime, now) = (tokio::runtime::Handle::current(), SystemClock.now());
        let (stop, mut stopped) = watch::channel(false);
        let (send, found) = oneshot::channel();
        let look = move || {
            give_way();
            let found = runtime.block_on(async {
                tokio::select! {
                    biased;
                    _ = stopped.changed() => None,
                    found = estate.overdue(now, MOST_KEPT) => Some(found),
                }
            });
            // The estate goes first: it holds the key.
            drop(estate);
            if let Some(found) = found {
                let _ = send.send(found);
            }
        };
        thread::Builder::new().name("overdue".into()).spawn(look)?;
        Ok(Self { stop, found })
    }

    /// What was found; waits for ever where the pass ended without an answer.
    pub(super) async fn found(&mut self) -> Result<AllOverdue, Unreadable> {
        match (&mut self.found).await {
            Ok(found) => found,
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends it, wherever it is, and waits for that.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(true);
        if !self.found.is_terminated() {
            let _ = self.found.await;
        }
    }
}

/// Who asks for a secret comes before this thread.
fn give_way() {
    // Linux gives each thread a priority of its own; elsewhere it would be that of the whole server.
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, 19);
}

/// Says what was found. With `--json` it is a second line, which nobody has to read.
pub(super) fn tell(context: &Context, found: &Result<AllOverdue, Unreadable>) {
    let (overdue, error) = match found {
        Ok(found) => (found.clone(), None),
        Err(Unreadable(reason)) => (AllOverdue::default(), Some(reason)),
    };
    for Overdue { name, source, due } in overdue.some.iter().take(MOST_SHOWN) {
        context.output.warn(&format!(
            "{name} of {source} was to be rotated at {due}, after the snapshot: its value may be an old one"
        ));
    }
    if let Some(more) = overdue.count.checked_sub(MOST_SHOWN as u64).filter(|more| *more > 0) {
        let more = plural(more, "more secret");
        context
            .output
            .warn(&format!("{more} were to be rotated after the snapshot (--json names the first {MOST_KEPT})"));
    }
    if let Some(reason) = error {
        context.output.warn(&format!(
            "the index of a snapshot cannot be read to its end, so some secrets cannot be served: {reason}"
        ));
    }
    if context.output.json {
        let line = json!({
            "schema": "lifeboat/break-glass-serve-overdue/1",
            "command": "break-glass serve",
            "rotation_overdue": overdue.some,
            "count": overdue.count,
            "error": error,
        });
        let line = format!("{}\n", text::json(&line.to_string()));
        // Whoever reads only the first line may leave the pipe full.
        let write = move || streams::offer(line.as_bytes());
        let _ = thread::Builder::new().name("overdue".into()).spawn(write);
    }
}
