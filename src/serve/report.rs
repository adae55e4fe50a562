//! What a log says: who read what, what must be rotated now, who still points here. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::BufRead,
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::audit::{
    Asked, Certificate, CertificateBody, Event, NOTHING_BEFORE, SESSION_SCHEMA, Served, Touched, hash, head_text,
};
use crate::{
    crypto::{Namespace, PublicKey, verify},
    model::RepositoryId,
    repo::ServedFacts,
};

/// Who asked this shortly before the end of the log still points here.
const LATELY: SignedDuration = SignedDuration::from_mins(15);

/// A line of the log.
#[derive(Deserialize)]
struct Line {
    seq: u64,
    prev: String,
    #[serde(flatten)]
    event: Event,
}

/// A log that does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// The file.
    #[error("it cannot be read: {0}")]
    Unread(String),
    /// Not a log.
    #[error("it is not an audit log of break-glass")]
    NotALog,
    /// A line that was changed, added or removed.
    #[error("line {0} does not follow the line before it: a line was changed, added or removed")]
    Chain(u64),
    /// A head that the session did not sign.
    #[error("the signature in line {0} is not the session's: {1}")]
    Head(u64, String),
    /// The root did not certify the session.
    #[error("the session key is not certified by the root that the log names: {0}")]
    Certificate(String),
}

/// What vouches for a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seal {
    /// The root that certified the session; whether it is the right one, the reader knows.
    pub root: PublicKey,
    /// The repository that the certificate names.
    pub repository: RepositoryId,
    /// The key that signed its heads.
    pub session: PublicKey,
    /// Whose sheets were there.
    pub present: Vec<String>,
    /// Lines in all.
    pub lines: u64,
    /// Lines after the last signed head: nothing vouches for them.
    pub unsigned: u64,
    /// Whether the log has its end. Without one the server was killed, or lines were removed.
    pub is_closed: bool,
    /// Whether the last line was cut off, as a crash leaves it.
    pub is_torn: bool,
}

/// An application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Consumer {
    /// The name of its grants.
    pub name: String,
    /// Requests with good keys.
    pub requests: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Its first request.
    pub first: Option<Timestamp>,
    /// Its last one.
    pub last: Option<Timestamp>,
    /// When its last grant ends.
    pub granted_until: Option<Timestamp>,
    /// From where it asked.
    pub from: BTreeSet<String>,
    /// Whether it must be pointed back to the provider: it asked shortly before the end.
    pub still_here: bool,
}

/// A secret whose value left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReadSecret {
    /// The name.
    pub name: String,
    /// The ARN.
    pub arn: String,
    /// The versions.
    pub versions: BTreeSet<String>,
    /// Who has it.
    pub consumers: BTreeSet<String>,
    /// How often.
    pub times: u64,
    /// The last time.
    pub last: Timestamp,
}

/// A write that was refused: somebody has to make up for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RefusedWrite {
    /// When.
    pub time: Timestamp,
    /// Who.
    pub consumer: String,
    /// What.
    pub operation: String,
    /// To which secret.
    pub secret: String,
}

/// What a log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What vouches for it.
    pub seal: Seal,
    /// The snapshots that were served.
    pub snapshots: Vec<Served>,
    /// When the server started.
    pub started: Timestamp,
    /// The time of the last line.
    pub ended: Timestamp,
    /// The applications.
    pub consumers: Vec<Consumer>,
    /// The secrets whose values left, which is what must be rotated now.
    pub rotate: Vec<ReadSecret>,
    /// Writes that were refused.
    pub refused_writes: Vec<RefusedWrite>,
    /// Requests without good keys.
    pub strangers: u64,
}

impl Report {
    /// What is known of the log when it is stored.
    pub fn facts(&self) -> ServedFacts {
        let Self { seal, started, ended, .. } = self;
        ServedFacts {
            session: seal.session.clone(),
            started: *started,
            ended: *ended,
            lines: seal.lines,
            closed: seal.is_closed,
        }
    }
}

/// Reads a log line by line, verifies it, and gives every event in its order: a log may be larger than the memory.
fn verified(mut log: impl BufRead, mut each: impl FnMut(Event)) -> Result<Seal, LogFault> {
    let (mut lines, mut before, mut signed) = (0, NOTHING_BEFORE.to_owned(), 0);
    let mut is_closed = false;
    let mut session: Option<Certificate> = None;
    let mut bytes = Vec::new();
    let is_torn = loop {
        bytes.clear();
        log.read_until(b'\n', &mut bytes).map_err(|error| LogFault::Unread(error.to_string()))?;
        let Some(line) = bytes.strip_suffix(b"\n") else { break !bytes.is_empty() };
        let line = String::from_utf8_lossy(line);
        let wrong = if lines == 0 { LogFault::NotALog } else { LogFault::Chain(lines + 1) };
        let parsed: Line = serde_json::from_str(&line).map_err(|_| wrong)?;
        if parsed.seq != lines || parsed.prev != before || is_closed {
            return Err(LogFault::Chain(lines + 1));
        }
        match (&parsed.event, &session) {
            (Event::Start { certificate, session: key, .. }, None) => {
                check(certificate, key)?;
                session = Some(certificate.clone());
            }
            (Event::Head { signature, last, .. }, Some(certificate)) => {
                let text = head_text(lines, &before);
                verify(&certificate.body.session, Namespace::Audit, text.as_bytes(), signature)
                    .map_err(|error| LogFault::Head(lines + 1, error.to_string()))?;
                (signed, is_closed) = (lines + 1, *last);
            }
            (Event::Start { .. }, Some(_)) | (_, None) => return Err(LogFault::NotALog),
            _ => {}
        }
        before = hash(&line).to_string();
        lines += 1;
        each(parsed.event);
    };
    let CertificateBody { root, repository, present, session, .. } = session.ok_or(LogFault::NotALog)?.body;
    Ok(Seal { root, repository, session, present, lines, unsigned: lines - signed, is_closed, is_torn })
}

fn check(certificate: &Certificate, session: &PublicKey) -> Result<(), LogFault> {
    let body = &certificate.body;
    if body.schema != SESSION_SCHEMA || body.session != *session {
        return Err(LogFault::Certificate("it is about another key".into()));
    }
    verify(&body.root, Namespace::Audit, body.text().as_bytes(), &certificate.signature)
        .map_err(|error| LogFault::Certificate(error.to_string()))
}

/// The requests of a log, verified.
pub(super) fn requests(log: impl BufRead) -> Result<Vec<Asked>, LogFault> {
    let mut requests = Vec::new();
    verified(log, |event| {
        if let Event::Request(asked) = event {
            requests.push(*asked);
        }
    })?;
    Ok(requests)
}

/// Reads a log and sums it up. `now` decides which grants are still in force.
///
/// # Errors
/// See [`LogFault`].
pub fn read(log: impl BufRead, now: Timestamp) -> Result<Report, LogFault> {
    let (mut sum, mut first, mut ended) = (Sum::default(), None, Timestamp::MIN);
    let seal = verified(log, |event| {
        ended = ended.max(time(&event));
        sum.add(&event);
        if let Event::Start { time, snapshots, .. } = event {
            first = Some((time, snapshots));
        }
    })?;
    let (started, snapshots) = first.ok_or(LogFault::NotALog)?;
    let since = ended.checked_sub(LATELY).unwrap_or(ended);
    for consumer in sum.consumers.values_mut() {
        let is_recent = consumer.last.is_some_and(|last| last >= since);
        let is_open = consumer.granted_until.is_some_and(|until| until > now) && !seal.is_closed;
        consumer.still_here = is_recent || (is_open && consumer.requests > 0);
    }
    let mut rotate: Vec<ReadSecret> = sum.read.into_values().collect();
    rotate.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.arn.cmp(&b.arn)));
    let consumers = sum.consumers.into_values().collect();
    let (refused_writes, strangers) = (sum.writes, sum.strangers);
    Ok(Report { seal, snapshots, started, ended, consumers, rotate, refused_writes, strangers })
}

fn time(event: &Event) -> Timestamp {
    match event {
        Event::Start { time, .. }
        | Event::Grant { time, .. }
        | Event::Revoke { time, .. }
        | Event::Strangers { time, .. }
        | Event::Head { time, .. } => *time,
        Event::Request(asked) => asked.time,
    }
}

#[derive(Default)]
struct Sum {
    consumers: BTreeMap<String, Consumer>,
    read: BTreeMap<String, ReadSecret>,
    writes: Vec<RefusedWrite>,
    strangers: u64,
}

impl Sum {
    fn consumer(&mut self, name: &str) -> &mut Consumer {
        self.consumers.entry(name.to_owned()).or_insert_with(|| Consumer {
            name: name.to_owned(),
            requests: 0,
            refused: 0,
            first: None,
            last: None,
            granted_until: None,
            from: BTreeSet::new(),
            still_here: false,
        })
    }

    fn add(&mut self, event: &Event) {
        match event {
            Event::Grant { consumer, until, .. } => {
                let consumer = self.consumer(consumer);
                consumer.granted_until = consumer.granted_until.max(Some(*until));
            }
            Event::Revoke { time, consumer, .. } => self.consumer(consumer).granted_until = Some(*time),
            Event::Strangers { count, .. } => self.strangers += count,
            Event::Request(asked) => self.request(asked),
            Event::Start { .. } | Event::Head { .. } => {}
        }
    }

    fn request(&mut self, asked: &Asked) {
        let Some(name) = &asked.consumer else {
            self.strangers += 1;
            return;
        };
        let consumer = self.consumer(name);
        consumer.requests += 1;
        consumer.refused += u64::from(asked.result != "ok");
        consumer.first = consumer.first.or(Some(asked.time));
        consumer.last = Some(asked.time);
        let address = asked.from.rsplit_once(':').map_or(asked.from.as_str(), |(address, _)| address);
        consumer.from.insert(address.to_owned());
        for touched in &asked.secrets {
            if touched.value {
                self.left(name, asked, touched);
            } else if is_write(&asked.operation) {
                self.writes.push(RefusedWrite {
                    time: asked.time,
                    consumer: name.clone(),
                    operation: asked.operation.clone(),
                    secret: touched.name.clone(),
                });
            }
        }
    }

    fn left(&mut self, consumer: &str, asked: &Asked, touched: &Touched) {
        let secret = self.read.entry(touched.arn.clone()).or_insert_with(|| ReadSecret {
            name: touched.name.clone(),
            arn: touched.arn.clone(),
            versions: BTreeSet::new(),
            consumers: BTreeSet::new(),
            times: 0,
            last: asked.time,
        });
        secret.versions.extend(touched.version.clone());
        secret.consumers.insert(consumer.to_owned());
        secret.times += 1;
        secret.last = asked.time;
    }
}

fn is_write(operation: &str) -> bool {
    !super::ops::READS.contains(&operation)
        && !["GetContainerCredentials", "GetCallerIdentity", "unknown"].contains(&operation)
}
