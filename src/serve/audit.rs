//! The log of who read what: one line for each request, chained by hashes, written before the request is answered.
//!
//! A line is one JSON object that begins with its number and the SHA-256 of the line before. A head is a line that signs the
//! number and hash before it; there is one each second in which something was written, and one at the end. A line is written to
//! the file before its request is answered, so that it outlives this process, and made durable within ten milliseconds, together
//! with those beside it. Where the disk needs longer, answers wait for it.

use std::{
    borrow::Cow,
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::{
    clock::Clock,
    crypto::{Namespace, PublicKey, RecoveryKey, Signer},
    fsutil::{LogFile, LogSync},
    model::{Digest as Sha, RepositoryId},
    text,
};

/// How often a head is signed.
const HEAD_EVERY: Duration = Duration::from_secs(1);
/// How soon a line must be durable; a request that comes later waits for the disk.
const DURABLE_WITHIN: Duration = Duration::from_millis(10);
/// How long lines are gathered before they are made durable together.
const GATHERING: Duration = Duration::from_millis(2);
/// Lines of requests without valid keys that are written in one second; the others are counted.
const STRANGERS_A_SECOND: u64 = 100;
/// What the first line names as the line before it.
pub const NOTHING_BEFORE: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One line, after its number and the hash of the line before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// The server started.
    Start {
        /// When.
        time: Timestamp,
        /// The version of the program.
        version: String,
        /// Where it listens.
        listen: String,
        /// The snapshots that it serves.
        snapshots: Vec<Served>,
        /// The key that signs the heads.
        session: PublicKey,
        /// What the root says about that key.
        certificate: Certificate,
    },
    /// A consumer got keys.
    Grant {
        /// When.
        time: Timestamp,
        /// Who.
        consumer: String,
        /// The patterns.
        secrets: Vec<String>,
        /// When it ends.
        until: Timestamp,
        /// The access key id.
        key: String,
        /// The process that asked, where the system tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
    },
    /// The keys of a consumer were taken back.
    Revoke {
        /// When.
        time: Timestamp,
        /// Who.
        consumer: String,
        /// The access key ids.
        keys: Vec<String>,
        /// The process that asked, where the system tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pid: Option<i32>,
    },
    /// A request.
    Request(Box<Asked>),
    /// Requests without valid keys that were too many for a line each.
    Strangers {
        /// When.
        time: Timestamp,
        /// How many.
        count: u64,
    },
    /// The signature of the session key over the number of this line and the hash of the line before.
    Head {
        /// When.
        time: Timestamp,
        /// Whether nothing follows.
        last: bool,
        /// SSHSIG, armored.
        signature: String,
    },
}

/// A snapshot that is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// The source.
    pub source: String,
    /// The id.
    pub snapshot: String,
    /// When it was taken.
    pub taken: Timestamp,
}

/// One request. No value is in it, and no text that a client could have put one into: names are those of the snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// When.
    pub time: Timestamp,
    /// The id, as the answer's header `x-amzn-RequestId` has it.
    pub id: String,
    /// Who, if the keys or the token are good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The access key id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The operation.
    pub operation: String,
    /// The region that the request is signed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// `ok`, or the error code.
    pub result: String,
    /// The secrets that it is about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Touched>,
    /// From where.
    pub from: String,
    /// The client's own name, shortened.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    /// Bytes of the answer.
    pub bytes: u64,
}

/// A secret that a request is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Touched {
    /// The name.
    pub name: String,
    /// The ARN, where there is such a secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub arn: String,
    /// The version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Whether its value was in the answer.
    pub value: bool,
}

/// What the root of the repository says about the key of a session, made while the quorum is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// What is signed.
    pub body: CertificateBody,
    /// SSHSIG of the root over the body as compact JSON, namespace `lifeboat-audit`.
    pub signature: String,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertificateBody {
    /// `lifeboat/break-glass-session/1`
    pub schema: String,
    /// The repository.
    pub repository: RepositoryId,
    /// The root's key.
    pub root: PublicKey,
    /// The session's key.
    pub session: PublicKey,
    /// When it began.
    pub time: Timestamp,
    /// Whose sheets were there.
    pub present: Vec<String>,
}

/// The schema of [`CertificateBody`].
pub const SESSION_SCHEMA: &str = "lifeboat/break-glass-session/1";

impl Certificate {
    /// Signs for a session with the root, which the quorum gives.
    pub fn issue(
        key: &RecoveryKey,
        repository: RepositoryId,
        session: &Signer,
        (time, present): (Timestamp, Vec<String>),
    ) -> Self {
        let root = key.root_signer();
        let schema = SESSION_SCHEMA.to_owned();
        let body =
            CertificateBody { schema, repository, root: root.public(), session: session.public(), time, present };
        let signature = root.sign(Namespace::Audit, body.text().as_bytes());
        Self { body, signature }
    }
}

impl CertificateBody {
    /// What is signed.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("plain data becomes JSON")
    }
}

/// What a head signs.
pub fn head_text(number: u64, before: &str) -> String {
    format!("lifeboat break-glass audit head\n{number}\n{before}\n")
}

/// The log cannot be written. Nothing more is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written")]
pub struct NoAudit;

/// Requests without valid keys: within this second, and those that were only counted.
#[derive(Default)]
struct Strangers {
    written: AtomicU64,
    counted: AtomicU64,
}

/// Writes the log. Whoever asks writes the line; a thread makes lines durable and signs heads.
pub struct Audit {
    shared: Arc<Shared>,
    path: PathBuf,
    wake: mpsc::Sender<Wake>,
    durable: watch::Receiver<u64>,
    failed: watch::Receiver<Option<String>>,
    thread: Option<JoinHandle<()>>,
}

enum Wake {
    /// There is a line that is not durable.
    Lines,
    Stop,
}

struct Shared {
    tail: Mutex<Tail>,
    lines: AtomicU64,
    is_down: AtomicBool,
    tell: watch::Sender<Option<String>>,
    strangers: Strangers,
}

/// The end of the file.
struct Tail {
    file: LogFile,
    signer: Signer,
    clock: Arc<dyn Clock>,
    number: u64,
    before: String,
    is_signed: bool,
    /// The line that is being written.
    line: Vec<u8>,
    /// Since when there are lines that no sync has begun with.
    waiting: Option<Instant>,
    /// Since when there are lines that a sync has begun with.
    syncing: Option<Instant>,
}

impl Audit {
    /// Starts a log in a new file, with its first line.
    ///
    /// # Errors
    /// What the system says, also when the file is there already.
    pub fn start(path: &Path, signer: Signer, first: &Event, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let file = LogFile::create(path)?;
        let syncer = file.syncer()?;
        let mut tail = Tail {
            file,
            signer,
            clock,
            number: 0,
            before: NOTHING_BEFORE.into(),
            is_signed: true,
            line: Vec::new(),
            waiting: None,
            syncing: None,
        };
        tail.write(&to_text(first))?;
        tail.waiting = None;
        syncer.sync()?;
        let (tell, failed) = watch::channel(None);
        let shared = Arc::new(Shared {
            lines: AtomicU64::new(tail.number),
            tail: Mutex::new(tail),
            is_down: AtomicBool::new(false),
            tell,
            strangers: Strangers::default(),
        });
        let (wake, woken) = mpsc::channel();
        let (made_durable, durable) = watch::channel(1);
        let work = {
            let shared = Arc::clone(&shared);
            move || {
                if let Err(error) = run(&shared, &woken, &syncer, &made_durable) {
                    shared.fail(&error);
                }
            }
        };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(work)?;
        Ok(Self { shared, path: path.to_owned(), wake, durable, failed, thread: Some(thread) })
    }

    /// Writes a line: it outlives this process when this returns, and is durable within ten milliseconds. Where the disk
    /// needs longer than that, this waits for it.
    ///
    /// # Errors
    /// [`NoAudit`]: what the line is about must not happen.
    pub async fn write(&self, event: &Event) -> Result<(), NoAudit> {
        let (number, is_late) = self.append(event)?;
        if is_late { self.wait_for(number).await } else { Ok(()) }
    }

    /// The same for what happens seldom and must never be lost: it is durable when this returns.
    ///
    /// # Errors
    /// [`NoAudit`].
    pub async fn write_durably(&self, event: &Event) -> Result<(), NoAudit> {
        let (number, _) = self.append(event)?;
        self.wait_for(number).await
    }

    /// Writes a line; gives how many there are with it, and whether one before it waits for too long.
    fn append(&self, event: &Event) -> Result<(u64, bool), NoAudit> {
        let shared = &self.shared;
        if shared.is_down.load(Ordering::SeqCst) {
            return Err(NoAudit);
        }
        let text = to_text(event);
        let mut tail = shared.tail();
        let is_first = tail.waiting.is_none();
        // After a line that was cut off nothing follows: whoever waited for the lock must see that.
        if shared.is_down.load(Ordering::SeqCst) {
            return Err(NoAudit);
        }
        if let Err(error) = tail.write(&text) {
            shared.fail(&error);
            return Err(NoAudit);
        }
        let number = tail.number;
        let is_late = tail.syncing.or(tail.waiting).is_some_and(|since| since.elapsed() > DURABLE_WITHIN);
        drop(tail);
        shared.lines.store(number, Ordering::Relaxed);
        if is_first {
            let _ = self.wake.send(Wake::Lines);
        }
        Ok((number, is_late))
    }

    async fn wait_for(&self, number: u64) -> Result<(), NoAudit> {
        let mut durable = self.durable.clone();
        // The thread ends by a failure, or after everybody who could ask.
        durable.wait_for(|lines| *lines >= number).await.map(drop).map_err(|_| NoAudit)
    }

    /// The same for a request without valid keys, to which no secret is answered: too many in a second are counted, so that
    /// nobody without keys can fill the disk.
    ///
    /// # Errors
    /// [`NoAudit`].
    pub async fn write_stranger(&self, event: &Event) -> Result<(), NoAudit> {
        let strangers = &self.shared.strangers;
        if strangers.written.fetch_add(1, Ordering::Relaxed) < STRANGERS_A_SECOND {
            return self.write(event).await;
        }
        strangers.counted.fetch_add(1, Ordering::Relaxed);
        if self.shared.is_down.load(Ordering::SeqCst) { Err(NoAudit) } else { Ok(()) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines written so far.
    pub fn lines(&self) -> u64 {
        self.shared.lines.load(Ordering::Relaxed)
    }

    /// Waits until the log cannot be written any more, and gives the reason.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        let reason = failed.wait_for(Option::is_some).await.map(|reason| reason.clone());
        match reason {
            Ok(reason) => reason.unwrap_or_default(),
            // Nobody is left who could fail: it never comes.
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends the log with its last head.
    ///
    /// # Errors
    /// [`NoAudit`] when the end could not be written.
    pub fn close(mut self) -> Result<(), NoAudit> {
        let _ = self.wake.send(Wake::Stop);
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        if ended && !self.shared.is_down.load(Ordering::SeqCst) { Ok(()) } else { Err(NoAudit) }
    }
}

/// JSON in which no byte steers a terminal.
fn to_text(event: &Event) -> String {
    let text = serde_json::to_string(event).expect("plain data becomes JSON");
    match text::json(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(changed) => changed,
    }
}

/// Makes lines durable and signs heads until it is told to stop, or cannot.
fn run(
    shared: &Shared,
    woken: &mpsc::Receiver<Wake>,
    syncer: &LogSync,
    durable: &watch::Sender<u64>,
) -> io::Result<()> {
    let mut tick = Instant::now() + HEAD_EVERY;
    loop {
        let mut stops = match woken.recv_timeout(tick.saturating_duration_since(Instant::now())) {
            // Lines that come within the next moments share the sync.
            Ok(Wake::Lines) => {
                std::thread::sleep(GATHERING);
                false
            }
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => true,
            Err(RecvTimeoutError::Timeout) => false,
        };
        stops |= woken.try_iter().any(|wake| matches!(wake, Wake::Stop));
        if Instant::now() >= tick || stops {
            tick = Instant::now() + HEAD_EVERY;
            shared.strangers.written.store(0, Ordering::Relaxed);
            let count = shared.strangers.counted.swap(0, Ordering::Relaxed);
            let mut tail = shared.tail();
            if count > 0 {
                let time = tail.clock.now();
                tail.write(&to_text(&Event::Strangers { time, count }))?;
            }
            tail.sign(stops)?;
            shared.lines.store(tail.number, Ordering::Relaxed);
        }
        let number = {
            let mut tail = shared.tail();
            tail.syncing = tail.waiting.take();
            tail.number
        };
        if *durable.borrow() < number {
            syncer.sync()?;
            shared.tail().syncing = None;
            durable.send_replace(number);
        }
        if stops {
            return Ok(());
        }
    }
}

impl Shared {
    fn tail(&self) -> MutexGuard<'_, Tail> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fail(&self, error: &io::Error) {
        self.is_down.store(true, Ordering::SeqCst);
        self.tell.send_replace(Some(error.to_string()));
    }
}

impl Tail {
    fn write(&mut self, event: &str) -> io::Result<()> {
        self.line.clear();
        write!(self.line, "{{\"seq\":{},\"prev\":\"{}\",{}", self.number, self.before, &event[1..])?;
        self.before = hex::encode(Sha256::digest(&self.line));
        self.line.push(b'\n');
        self.file.add_soon(&self.line)?;
        self.number += 1;
        self.is_signed = false;
        self.waiting.get_or_insert_with(Instant::now);
        Ok(())
    }

    /// Signs what was written since the last head.
    fn sign(&mut self, last: bool) -> io::Result<()> {
        if self.is_signed && !last {
            return Ok(());
        }
        let signature = self.signer.sign(Namespace::Audit, head_text(self.number, &self.before).as_bytes());
        self.write(&to_text(&Event::Head { time: self.clock.now(), last, signature }))?;
        self.is_signed = true;
        Ok(())
    }
}

/// The hash of a line without its line end, as the next one names it.
pub fn hash(line: &str) -> Sha {
    Sha::of(line.as_bytes())
}
