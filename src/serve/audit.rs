//! The log of who read what: one line for each request, chained by hashes, durable before the request is answered.
//!
//! A line is one JSON object that begins with its number and the SHA-256 of the line before. A head is a line that signs the
//! number and hash before it; there is one each second in which something was written, and one at the end. A thread of its
//! own writes whatever waits in one go, so that many requests share one fsync and none waits for a timer.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};

use crate::{
    clock::Clock,
    crypto::{Namespace, PublicKey, RecoveryKey, Signer},
    fsutil::LogFile,
    model::{Digest as Sha, RepositoryId},
    text,
};

/// How often a head is signed.
const HEAD_EVERY: Duration = Duration::from_secs(1);
/// Lines written in one go, at most.
const BATCH: usize = 4_096;
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

enum Message {
    Line(String, oneshot::Sender<Result<(), NoAudit>>),
    Stop,
}

/// Writes the log.
pub struct Audit {
    sender: mpsc::Sender<Message>,
    path: PathBuf,
    lines: Arc<AtomicU64>,
    failed: watch::Receiver<Option<String>>,
    is_down: Arc<AtomicBool>,
    strangers: Arc<Strangers>,
    thread: Option<JoinHandle<()>>,
}

/// Requests without valid keys: within this second, and those that were only counted.
#[derive(Default)]
struct Strangers {
    written: AtomicU64,
    counted: AtomicU64,
}

/// The end of the file as the thread knows it.
struct Tail {
    file: LogFile,
    signer: Signer,
    clock: Arc<dyn Clock>,
    number: u64,
    before: String,
    is_signed: bool,
    lines: Arc<AtomicU64>,
}

impl Audit {
    /// Starts a log in a new file, with its first line.
    ///
    /// # Errors
    /// What the system says, also when the file is there already.
    pub fn start(path: &Path, signer: Signer, first: &Event, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let lines = Arc::new(AtomicU64::new(0));
        let file = LogFile::create(path)?;
        let mut tail = Tail {
            file,
            signer,
            clock,
            number: 0,
            before: NOTHING_BEFORE.into(),
            is_signed: true,
            lines: Arc::clone(&lines),
        };
        tail.write(&[to_text(first)])?;
        let (sender, receiver) = mpsc::channel();
        let (tell, failed) = watch::channel(None);
        let (is_down, strangers) = (Arc::new(AtomicBool::new(false)), Arc::new(Strangers::default()));
        let work = {
            let (is_down, strangers) = (Arc::clone(&is_down), Arc::clone(&strangers));
            move || {
                if let Err(error) = run(&mut tail, &receiver, &strangers) {
                    is_down.store(true, Ordering::SeqCst);
                    let _ = tell.send(Some(error.to_string()));
                    refuse(&receiver);
                }
            }
        };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(work)?;
        Ok(Self { sender, path: path.to_owned(), lines, failed, is_down, strangers, thread: Some(thread) })
    }

    /// Writes a line; it is durable when this returns.
    ///
    /// # Errors
    /// [`NoAudit`]: what the line is about must not happen.
    pub async fn write(&self, event: &Event) -> Result<(), NoAudit> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err(NoAudit);
        }
        let (done, written) = oneshot::channel();
        self.sender.send(Message::Line(to_text(event), done)).map_err(|_| NoAudit)?;
        written.await.unwrap_or(Err(NoAudit))
    }

    /// The same for a request without valid keys, to which no secret is answered: too many in a second are counted, so that
    /// nobody without keys can fill the disk.
    ///
    /// # Errors
    /// [`NoAudit`].
    pub async fn write_stranger(&self, event: &Event) -> Result<(), NoAudit> {
        if self.strangers.written.fetch_add(1, Ordering::Relaxed) < STRANGERS_A_SECOND {
            return self.write(event).await;
        }
        self.strangers.counted.fetch_add(1, Ordering::Relaxed);
        if self.is_down.load(Ordering::SeqCst) { Err(NoAudit) } else { Ok(()) }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lines written so far.
    pub fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Waits until the log cannot be written any more, and gives the reason.
    pub async fn failed(&self) -> String {
        let mut failed = self.failed.clone();
        let reason = failed.wait_for(Option::is_some).await.map(|reason| reason.clone());
        match reason {
            Ok(reason) => reason.unwrap_or_default(),
            // The thread has ended without a failure: it never comes.
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends the log with its last head.
    ///
    /// # Errors
    /// [`NoAudit`] when the end could not be written.
    pub fn close(mut self) -> Result<(), NoAudit> {
        let _ = self.sender.send(Message::Stop);
        let ended = self.thread.take().is_none_or(|thread| thread.join().is_ok());
        if ended && !self.is_down.load(Ordering::SeqCst) { Ok(()) } else { Err(NoAudit) }
    }
}

/// JSON in which no byte steers a terminal.
fn to_text(event: &Event) -> String {
    let text = serde_json::to_string(event).expect("plain data becomes JSON");
    text::json(&text).into_owned()
}

/// Writes until it is told to stop, or cannot.
fn run(tail: &mut Tail, receiver: &mpsc::Receiver<Message>, strangers: &Strangers) -> io::Result<()> {
    let mut tick = Instant::now() + HEAD_EVERY;
    loop {
        let (mut lines, mut waiting, mut stops) = (Vec::new(), Vec::new(), false);
        let mut take = |message| match message {
            Message::Line(line, done) => {
                lines.push(line);
                waiting.push(done);
            }
            Message::Stop => stops = true,
        };
        match receiver.recv_timeout(tick.saturating_duration_since(Instant::now())) {
            Ok(message) => {
                take(message);
                receiver.try_iter().take(BATCH).for_each(&mut take);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => stops = true,
        }
        let written = tail.write(&lines);
        let outcome = written.as_ref().map_or(Err(NoAudit), |()| Ok(()));
        for done in waiting {
            let _ = done.send(outcome);
        }
        written?;
        if Instant::now() >= tick || stops {
            tick = Instant::now() + HEAD_EVERY;
            strangers.written.store(0, Ordering::Relaxed);
            let count = strangers.counted.swap(0, Ordering::Relaxed);
            if count > 0 {
                tail.write(&[to_text(&Event::Strangers { time: tail.clock.now(), count })])?;
            }
            tail.sign(stops)?;
        }
        if stops {
            return Ok(());
        }
    }
}

/// Answers everyone who still asks.
fn refuse(receiver: &mpsc::Receiver<Message>) {
    while let Ok(Message::Line(_, done)) = receiver.recv() {
        let _ = done.send(Err(NoAudit));
    }
}

impl Tail {
    fn write(&mut self, events: &[String]) -> io::Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let mut all = String::with_capacity(events.iter().map(|event| event.len() + 120).sum());
        for event in events {
            let line = format!("{{\"seq\":{},\"prev\":\"{}\",{}", self.number, self.before, &event[1..]);
            self.before = hex::encode(Sha256::digest(line.as_bytes()));
            self.number += 1;
            all.push_str(&line);
            all.push('\n');
        }
        self.is_signed = false;
        self.file.add(all.as_bytes())?;
        self.lines.store(self.number, Ordering::Relaxed);
        Ok(())
    }

    /// Signs what was written since the last head.
    fn sign(&mut self, last: bool) -> io::Result<()> {
        if self.is_signed && !last {
            return Ok(());
        }
        let signature = self.signer.sign(Namespace::Audit, head_text(self.number, &self.before).as_bytes());
        self.write(&[to_text(&Event::Head { time: self.clock.now(), last, signature })])?;
        self.is_signed = true;
        Ok(())
    }
}

/// The hash of a line without its line end, as the next one names it.
pub fn hash(line: &str) -> Sha {
    Sha::of(line.as_bytes())
}
