//! `lifeboat custody register` and `lifeboat custody policy`.

use jiff::Timestamp;
use serde_json::json;

use crate::{
    cli::{Context, Exit, Failure, output::table},
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

Every current sheet is to be proven every 183 days (`custody verify`). Exit code 3: a proof is due.")]
pub(super) struct RegisterArgs {}

/// Compare the current set with the rules of good custody
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  lifeboat custody policy\n\nExit code 3: a rule does not hold.")]
pub(super) struct PolicyArgs {}

/// The verified register.
struct Book {
    epochs: Vec<Epoch>,
    entries: Vec<Entry>,
    faults: Vec<Fault>,
    pending: Option<Pending>,
    /// The number and time of the newest snapshot: what a custodian can hold against a repository that was rolled back.
    newest: Option<(u64, Timestamp)>,
}

async fn book(context: &Context) -> Result<Book, Failure> {
    let host = context.host()?;
    let (repository, trust) = context.repository(&host).await?;
    let attestations = repository.attestations(&trust).await?.as_of(SystemClock.now());
    let pending = Pending::load(&host.pending_path(repository.id()))?;
    // A crash after the switch leaves the file of what is in force already.
    let pending = pending.filter(|pending| pending.epoch().number > trust.current().number);
    let entries = custody::entries(trust.epochs(), &attestations.verified, SystemClock.now());
    let chain = repository.chain(&trust).await?;
    let newest = chain.head().map(|head| (head.manifest().sequence, head.manifest().time));
    Ok(Book { epochs: trust.epochs().to_vec(), entries, faults: attestations.faults, pending, newest })
}

pub(super) async fn register(context: &Context) -> Result<Exit, Failure> {
    let book = book(context).await?;
    let pending = book.pending.as_ref().map(
        |pending| json!({ "epoch": pending.epoch().number, "kind": pending.kind(), "missing": pending.missing() }),
    );
    let newest = book.newest.map(|(number, time)| json!({ "number": number, "time": time }));
    let value = json!({ "sheets": book.entries, "faults": book.faults, "pending": pending, "newest_snapshot": newest });
    context.output.result(&value, || {
        let headings = ["custodian", "sheet", "epoch", "state", "last proof", "next proof"];
        let newest = match book.newest {
            Some((number, time)) => {
                format!("the newest snapshot is number {number}, of {time}: note it beside your sheet")
            }
            None => "there is no snapshot yet".into(),
        };
        format!("{}\n{newest}", table(&headings, book.entries.iter().map(row).collect()))
    });
    for fault in &book.faults {
        context.output.warn(&format!("not counted: {fault}"));
    }
    if let Some(pending) = &book.pending {
        let missing = pending.missing().join(", ");
        context.output.warn(&format!("epoch {} waits for the sheets of {missing}", pending.epoch().number));
    }
    Ok(if !book.faults.is_empty() {
        Exit::Refused
    } else if book.entries.iter().any(|entry| entry.is_due) {
        Exit::Incomplete
    } else {
        Exit::Complete
    })
}

pub(super) async fn policy(context: &Context) -> Result<Exit, Failure> {
    let book = book(context).await?;
    let policy = custody::policy(&book.epochs, &book.entries, book.pending.is_some());
    let holds = policy.iter().all(|rule| rule.holds);
    context.output.result(&json!({ "rules": policy, "holds": holds }), || {
        let verdict = |holds| if holds { "holds" } else { "DOES NOT HOLD" };
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
        day(entry.last_proof, "never"),
        next,
    ]
}
