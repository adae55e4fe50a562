//! `lifeboat doctor`

mod places;
mod policy;

use std::path::Path;

use clap::builder::PossibleValuesParser;
use futures::TryStreamExt as _;
use serde_json::json;

use super::{Context, Exit, Failure, history, onlookers, output::table};
use crate::{
    app::{self, Estate, Found, Host},
    config::SourceSection,
    provider::{Address, Connection, Exam, Finding, Purpose, Role, State},
    repo::{RepoError, Repository, Trust},
    storage::Storage,
    text,
};

/// Check this host: configuration, keys, repository, copies, permissions, clock, and what other users can
/// read; print IAM policies
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat doctor
  AWS_PROFILE=restorer lifeboat doctor --to aws:eu-west-1
  AWS_PROFILE=sandbox lifeboat doctor --to aws:eu-west-1 --drill --name-prefix drill/
  lifeboat doctor --policy backup > backup-host.json
  lifeboat doctor --policy sources
  lifeboat doctor --policy access --mfa
  lifeboat doctor --policy hooks --to aws:eu-west-1
  lifeboat doctor --policy restore --to aws:eu-west-1 --rotation
  lifeboat doctor --policy drill --to aws:eu-west-1 --account 222222222222 \\
      --name-prefix drill/

Asks only about names that do not exist, so it changes nothing. Exit codes: 0 all is well,
3 something is not.")]
pub struct Args {
    /// Check a restore target instead of this host
    #[arg(long, value_name = "ADDRESS")]
    to: Option<Address>,
    /// The target is a drill's sandbox
    #[arg(long, requires = "to")]
    drill: bool,
    /// Print the least IAM policy for this and stop
    #[arg(long, value_name = "FOR", value_parser = PossibleValuesParser::new(["backup", "sources", "restore", "drill", "access", "consumers", "hooks"]))]
    policy: Option<String>,
    /// The account of the policy (default: the configured one, or that of the credentials)
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only names that begin with this prefix
    #[arg(long, value_name = "PREFIX", default_value = "")]
    name_prefix: String,
    /// A key's ARN in the policy (repeat; default: every key of the account, through Secrets Manager only)
    #[arg(long = "kms-key", value_name = "ARN")]
    keys: Vec<String>,
    /// Also allow `restore --rotation`
    #[arg(long)]
    rotation: bool,
    /// Also allow `restore --replication`
    #[arg(long)]
    replication: bool,
    /// Also allow `restore --on-replica promote`
    #[arg(long)]
    promotion: bool,
    /// Also allow `restore --on-conflict replace` and `--on-scheduled undelete`
    #[arg(long)]
    replace: bool,
    /// In the policy: only for sessions with MFA, for a role that people take
    #[arg(long, requires = "policy")]
    mfa: bool,
    /// In the policy: only through this VPC endpoint (repeat: each service has an endpoint of its own)
    #[arg(long = "vpc-endpoint", value_name = "VPCE-ID", requires = "policy")]
    vpc_endpoints: Vec<String>,
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    if let Some(wanted) = &args.policy {
        return policy::print(context, &args, wanted).await;
    }
    let mut findings = Findings::default();
    if let Some(to) = &args.to {
        findings.target(context, &args, &to.settle(Purpose::Target).await?).await?;
    } else {
        let host = context.host()?;
        findings.files(&host, &context.global.config);
        findings.host(&host).await;
    }
    let well = findings.rows.iter().all(|row| row.state != State::Wrong && row.state != State::Unknown);
    context.output.result(&json!({ "checks": findings.json(), "well": well }), || {
        let row = |row: &Row| vec![row.what.clone(), word(row.state).to_owned(), row.detail.clone()];
        table(&["check", "state", ""], findings.rows.iter().map(row).collect())
    });
    Ok(if well { Exit::Complete } else { Exit::Incomplete })
}

fn word(state: State) -> &'static str {
    match state {
        State::Well => "ok",
        State::Remark => "note",
        State::Unknown => "unknown",
        State::Wrong => "WRONG",
    }
}

struct Row {
    what: String,
    state: State,
    detail: String,
}

#[derive(Default)]
struct Findings {
    rows: Vec<Row>,
}

impl Findings {
    fn add(&mut self, what: impl Into<String>, state: State, detail: impl Into<String>) {
        self.rows.push(Row { what: what.into(), state, detail: detail.into() });
    }

    /// Adds what an attempt came to, and gives what it gave.
    fn attempt<T, E: Into<Failure>>(&mut self, what: &str, outcome: Result<T, E>) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.add(what, State::Well, "");
                Some(value)
            }
            Err(error) => {
                let Failure { message, hint, .. } = error.into();
                self.add(what, State::Wrong, hint.map_or(message.clone(), |hint| format!("{message}; {hint}")));
                None
            }
        }
    }

    fn json(&self) -> serde_json::Value {
        let row =
            |row: &Row| json!({ "check": row.what, "state": word(row.state).to_lowercase(), "detail": row.detail });
        self.rows.iter().map(row).collect()
    }

    /// What other users of this host can read or change.
    fn files(&mut self, host: &Host, config: &Path) {
        let found = onlookers::find(host, config);
        for exposed in &found {
            self.add("other users", State::Wrong, format!("{exposed}; {}", exposed.remedy()));
        }
        if found.is_empty() {
            self.add("other users", State::Well, "");
        }
    }

    async fn host(&mut self, host: &Host) {
        self.add("configuration", State::Well, "");
        let signer = self.attempt("signing key", host.signer());
        self.attempt("index key", host.index_key());
        if let Some(outcome) = host.has_version_key().then(|| host.version_key()) {
            self.attempt("version key", outcome);
        }
        let opened = self.attempt("repository", host.repository().await);
        if let (Some((_, trust)), Some(signer)) = (&opened, signer) {
            let epoch = trust.current().number;
            if trust.allows(epoch, &signer.public()) {
                self.add("signer allowed", State::Well, format!("by epoch {epoch}"));
            } else {
                self.add("signer allowed", State::Wrong, format!("epoch {epoch} does not name this host's key"));
            }
        }
        let mut empty = false;
        if let Some((repository, trust)) = &opened {
            empty = self.history(host, repository, trust).await;
        }
        if let Some((repository, _)) = &opened {
            self.attempt("repository writable", repository.storage().prove_exclusive().await);
        }
        let mut missing = Vec::new();
        for copy in &host.config.copies {
            let what = format!("copy {}", copy.url);
            match async { Repository::open(Storage::open(&copy.url)?).await }.await {
                Err(RepoError::NotARepository(_)) if empty => self.add(what, State::Remark, "the copy is empty"),
                Err(error @ RepoError::NotARepository(_)) => missing.push((copy.url.clone(), error)),
                outcome => {
                    if let Some(found) = self.attempt(&what, outcome) {
                        self.attempt(&format!("{what} writable"), found.storage().prove_exclusive().await);
                    }
                }
            }
        }
        let estate = self.attempt("sources", host.estate().await);
        let close = self.places(host, estate.as_ref()).await;
        // One that is too close is not there for that reason.
        for (url, error) in missing.into_iter().filter(|(url, _)| !close.contains(url)) {
            self.attempt::<(), _>(&format!("copy {url}"), Err(error));
        }
        let Some(estate) = estate else { return };
        for left in estate.left_out.iter().filter(|left| !left.is_excluded()) {
            self.add(left.name(), State::Remark, format!("left out: {}", text::line(&left.reason)));
        }
        let several = estate.sections.len() > 1;
        for section in &estate.sections {
            let what = if several { format!("source {}", section.url) } else { "source".into() };
            self.source(&estate, section, host, &what).await;
        }
    }

    /// What a source's kind finds out of it; else whether it can be reached and listed.
    async fn source(&mut self, estate: &Estate, section: &SourceSection, host: &Host, what: &str) {
        let (ops, account) = (section.url.kind().ops(), section.account.as_deref());
        let exam = Exam {
            address: &section.url,
            connection: &app::plain(section),
            what,
            account,
            role: Role::Backup,
            name_prefix: "",
            source_regions: &[],
        };
        if let Some(found) = ops.source(&exam).await {
            return self.extend(found);
        }
        let Found { outcome, .. } = estate.find(section.clone(), host).await;
        if let Some((source, place)) = self.attempt(what, outcome) {
            self.extend([Finding::account(&place, account)]);
            self.attempt(&format!("list {}", text::line(&place.region)), source.list().try_next().await.map(drop));
            self.extend(ops.beside(&exam).await);
        }
    }

    /// What a restore target's kind finds out of it.
    async fn target(&mut self, context: &Context, args: &Args, to: &Address) -> Result<(), Failure> {
        if let Some(region) = to.region() {
            self.allowed(context, region)?;
        }
        let host = context.host().ok();
        let sources = host.as_ref().map(|host| host.config.sources.regions()).unwrap_or_default();
        let sources: Vec<String> = sources.into_iter().map(str::to_owned).collect();
        let exam = Exam {
            address: to,
            connection: &Connection::plain(),
            what: "target",
            account: None,
            role: if args.drill { Role::Drill } else { Role::Restore },
            name_prefix: &args.name_prefix,
            source_regions: &sources,
        };
        let found = to.kind().ops().target(&exam).await?;
        self.extend(found);
        Ok(())
    }

    /// Adds what a kind found out.
    fn extend(&mut self, found: impl IntoIterator<Item = Finding>) {
        for Finding { what, found } in found {
            match found {
                Ok((state, detail)) => self.add(what, state, detail),
                Err(error) => drop(self.attempt::<(), _>(&what, Err(error))),
            }
        }
    }

    /// Tells whether there is no snapshot yet.
    async fn history(&mut self, host: &Host, repository: &Repository, trust: &Trust) -> bool {
        let judged = async {
            let remembered = history::everywhere(host, repository.id())?;
            Ok::<_, Failure>(repository.judge_recent(trust, &remembered).await?)
        };
        let Some(judgement) = self.attempt("history", judged.await) else { return false };
        for fault in judgement.faults().iter().filter(|fault| fault.severity().is_some()) {
            self.add("history", State::Wrong, fault.to_string());
        }
        let chain = judgement.chain();
        match chain.head() {
            Some(head) => self.add("newest snapshot", State::Well, head.manifest().time.to_string()),
            None => self.add("newest snapshot", State::Remark, "there is none yet"),
        }
        chain.count() == 0 && chain.faults.is_empty()
    }
}
