//! `lifeboat custody register` and `lifeboat custody policy`.

use jiff::Timestamp;
use serde_json::json;

use crate::{
    cli::{Context, Exit, Failure, history, output::table},
    clock::{Clock, SystemClock},
    custody::{self, Entry, Pending},
    repo::{Epoch, Fault},
};

/// Show who holds which sheet, which set is in force, and when each was last proven
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat custody register
  lifeboat custody register --json

Prove every current sheet every 183 days (`custody verify`). Exit code 3: a proof is due.")]
pub(super) struct RegisterArgs {}

/// Compare the current set with the rules of good custody
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lifeboat custody policy\n\nExit code 3: a rule does not hold.")]
pub(super) struct PolicyArgs {}

/// The number and time of the newest snapshot: what a custodian can hold against a repository that was rolled back. None while
/// the head is not certain: a wrong number on paper would refuse the good copy, or let an old one pass.
struct Newest {
    snapshot: Option<(u64, Timestamp)>,
    is_certain: bool,
    history: Vec<Fault>,
}

/// The verified register.
struct Book {
    epochs: Vec<Epoch>,
    entries: Vec<Entry>,
    faults: Vec<Fault>,
    pending: Option<Pending>,
    newest: Newest,
}

async fn book(context: &Context) -> Result<Book, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let attestations = repository.attestations(&trust).await?.as_of(SystemClock.now());
    let pending = Pending::load(&host.pending_path(repository.id()))?;
    // A crash after the switch leaves the file of what is in force already.
    let pending = pending.filter(|pending| pending.epoch().number > trust.current().number);
    let entries = custody::entries(trust.epochs(), &attestations.verified, SystemClock.now());
    let judgement = repository.judge_recent(&trust, &history::of_host(context, &repository)?).await?;
    let history: Vec<Fault> = judgement.faults().iter().filter(|fault| fault.severity().is_some()).cloned().collect();
    let is_certain = judgement.for_copying().is_ok();
    let head = judgement.chain().head().filter(|_| is_certain);
    let snapshot = head.map(|head| (head.manifest().sequence, head.manifest().time));
    let newest = Newest { snapshot, is_certain, history };
    Ok(Book { epochs: trust.epochs().to_vec(), entries, faults: attestations.faults, pending, newest })
}

impl Newest {
    /// As it is copied onto bags and sheets.
    fn line(&self) -> String {
        match self.snapshot {
            Some((number, time)) => format!(
                "newest snapshot: number {number} of {}\ncopy this line onto the bag of every sheet: at a recovery, \
                 --expect-number {number} shows a rollback",
                time.strftime("%Y-%m-%d")
            ),
            None if self.is_certain => "there is no snapshot yet".into(),
            None => "the newest snapshot is not certain: do not copy a number onto a bag".into(),
        }
    }
}

pub(super) async fn register(context: &Context) -> Result<Exit, Failure> {
    let book = book(context).await?;
    let pending = book.pending.as_ref().map(
        |pending| json!({ "epoch": pending.epoch().number, "kind": pending.kind(), "missing": pending.missing() }),
    );
    let newest = book.newest.snapshot.map(|(number, time)| json!({ "number": number, "time": time }));
    let value = json!({
        "words": book.epochs.last().map(custody::words), "sheets": book.entries, "faults": book.faults, "pending": pending, "newest_snapshot": newest,
        "history": book.newest.history,
    });
    context.output.result(&value, || {
        let headings = ["custodian", "sheet", "epoch", "state", "last proof", "next proof"];
        let words = book
            .epochs
            .last()
            .map_or_else(String::new, |epoch| format!("words on every sheet: {}\n", custody::words(epoch)));
        format!("{}\n{words}{}", table(&headings, book.entries.iter().map(row).collect()), book.newest.line())
    });
    for fault in &book.faults {
        context.output.warn(&format!("not counted: {fault}"));
    }
    for fault in &book.newest.history {
        context.output.warn(&format!("history: {fault}"));
    }
    if let Some(pending) = &book.pending {
        let missing = pending.missing().join(", ");
        context.output.warn(&format!("epoch {} waits for the sheets of {missing}", pending.epoch().number));
    }
    let refused = if book.faults.is_empty() { Exit::Complete } else { Exit::Refused };
    let due = if book.entries.iter().any(|entry| entry.is_due) { Exit::Incomplete } else { Exit::Complete };
    Ok(Exit::of(Fault::worst(&book.newest.history)).and(refused).and(due))
}

pub(super) async fn policy(context: &Context) -> Result<Exit, Failure> {
    let book = book(context).await?;
    let policy = custody::policy(&book.epochs, &book.entries, book.pending.is_some());
    let holds = policy.iter().all(|rule| rule.holds);
    context.output.result(&json!({ "rules": policy, "holds": holds }), || {
        let verdict = |holds| if holds { "met" } else { "NOT MET" };
        let row = |rule: &custody::Policy| vec![rule.rule.into(), verdict(rule.holds).into(), rule.detail.clone()];
        table(&["rule", "", "why"], policy.iter().map(row).collect())
    });
    Ok(if holds { Exit::Complete } else { Exit::Incomplete })
}

fn row(entry: &Entry) -> Vec<String> {
    let day = |time: Option<Timestamp>, none: &str| {
        time.map_or_else(|| none.to_owned(), |time| time.strftime("%Y-%m-%d").to_string())
    };
    let state = if entry.current { "current" } else { "retired" };
    let next = match entry.altered {
        Some(_) if entry.current => "ALTERED when last read".to_owned(),
        _ if entry.is_due => format!("DUE since {}", day(entry.due, "")),
        _ => day(entry.due, "none"),
    };
    vec![
        entry.custodian.clone(),
        format!("{} of {}", entry.sheet, entry.total),
        entry.epoch.to_string(),
        state.to_owned(),
        day(entry.last_proof, "at the ceremony"),
        next,
    ]
}
