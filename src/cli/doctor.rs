//! `lifeboat doctor`

#[cfg(all(unix, feature = "dotenv"))]
mod files;
mod places;
mod target;

use std::path::Path;

use clap::builder::PossibleValuesParser;
use futures::TryStreamExt as _;
use serde_json::json;

use super::{Context, Exit, Failure, history, onlookers, output::table};
use crate::{
    app::{self, Found, Host},
    clock::{Clock, SystemClock},
    config::{ProviderAddress, SourceAddress, Sources},
    model::Place,
    provider::{
        Source,
        aws::{Allowed, Aws, AwsSettings, Grant, Role, iam_policy, sources_policy},
    },
    repo::{RepoError, Repository, Trust},
    storage::Storage,
    text,
};

/// AWS refuses requests whose time is further off than this.
const MOST_SKEW_SECONDS: f64 = 300.0;
/// What is worth a word.
const SOME_SKEW_SECONDS: f64 = 30.0;

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
  lifeboat doctor --policy restore --to aws:eu-west-1 --rotation
  lifeboat doctor --policy drill --to aws:eu-west-1 --account 222222222222 \\
      --name-prefix drill/

Asks only about names that do not exist, so it changes nothing. Exit codes: 0 all is well,
3 something is not.")]
pub struct Args {
    /// Check a restore target instead of this host
    #[arg(long, value_name = "aws:REGION")]
    to: Option<ProviderAddress>,
    /// The target is a drill's sandbox
    #[arg(long, requires = "to")]
    drill: bool,
    /// Print the least IAM policy for this and stop
    #[arg(long, value_name = "FOR", value_parser = PossibleValuesParser::new(["backup", "sources", "restore", "drill"]))]
    policy: Option<String>,
    /// The account of the policy (default: the configured one, or that of the credentials)
    #[arg(long, value_name = "ID")]
    account: Option<String>,
    /// Only names that begin with this prefix
    #[arg(long, value_name = "PREFIX", default_value = "")]
    name_prefix: String,
    /// A key's ARN in the policy (repeat; default: every key of the account, through Secrets Manager only)
    #[arg(long = "kms-key", value_name = "ARN")]
    kms_keys: Vec<String>,
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
}

pub(super) async fn run(context: &Context, args: Args) -> Result<Exit, Failure> {
    if let Some(wanted) = &args.policy {
        return print_policy(context, &args, wanted).await;
    }
    let mut findings = Findings::default();
    if let Some(to) = &args.to {
        app::known_region(&to.region).await?;
        findings.allowed(context, &to.region)?;
        let target = Aws::connect(AwsSettings::region(&to.region)).await?;
        let role = if args.drill { Role::Drill } else { Role::Restore };
        findings.provider(&target, "target", None, role, &args.name_prefix).await;
        findings.sign_in(context, &to.region);
        if !args.drill {
            findings.replicas(&target, &to.region).await;
        }
    } else {
        let host = context.host()?;
        findings.files(&host, &context.global.config);
        findings.host(&host).await;
    }
    let well = findings.rows.iter().all(|row| row.state != State::Wrong && row.state != State::Unknown);
    context.output.result(&json!({ "checks": findings.json(), "well": well }), || {
        let row = |row: &Row| vec![row.what.clone(), row.state.word().to_owned(), row.detail.clone()];
        table(&["check", "state", ""], findings.rows.iter().map(row).collect())
    });
    Ok(if well { Exit::Complete } else { Exit::Incomplete })
}

/// The policy of a host whose sources are entered by roles.
fn print_sources_policy(context: &Context) -> Result<Exit, Failure> {
    let sources = context.host()?.config.sources;
    let roles: Vec<String> = match &sources {
        Sources::Organization(section) if section.accounts.is_empty() => {
            vec![format!("arn:aws:iam::*:role/{}", section.role)]
        }
        Sources::Organization(section) => {
            section.accounts.iter().map(|account| format!("arn:aws:iam::{account}:role/{}", section.role)).collect()
        }
        listed => listed.listed().iter().filter_map(|section| section.access.role.clone()).collect(),
    };
    if roles.is_empty() {
        return Err(Failure::usage("no source has a role").hint("use lifeboat doctor --policy backup"));
    }
    let policy = sources_policy(&roles, matches!(sources, Sources::Organization(_)));
    print_artefact(context, &policy);
    Ok(Exit::Complete)
}

/// As a file that somebody gives to IAM.
fn print_artefact(context: &Context, policy: &serde_json::Value) {
    let page = serde_json::to_string_pretty(policy).expect("a policy is plain data");
    context.output.artefact(&format!("{}\n", text::json(&page)));
}

/// The policy of every engine that is a source.
async fn vault_policies(host: &Host) -> Result<String, Failure> {
    let mut policies = String::new();
    for section in &host.estate().await?.sections {
        let SourceAddress::Vault(address) = &section.url else { continue };
        let none = || {
            Failure::usage(format!("no policy can name what {address} leads to"))
                .hint("write it by hand (docs/vault.md)")
        };
        policies.push_str(&app::vault_policy(address).ok_or_else(none)?);
    }
    Ok(policies)
}

async fn print_policy(context: &Context, args: &Args, wanted: &str) -> Result<Exit, Failure> {
    if wanted == "sources" {
        return print_sources_policy(context);
    }
    let role = match wanted {
        "backup" => Role::Backup,
        "restore" => Role::Restore,
        _ => Role::Drill,
    };
    let host = if context.global.config.exists() { Some(context.host()?) } else { None };
    let source = host.as_ref().and_then(|host| host.config.sources.listed().first());
    if let (None, Role::Backup, Some(host), Some(SourceAddress::Vault(_))) =
        (&args.to, role, &host, source.map(|it| &it.url))
    {
        context.output.artefact(&vault_policies(host).await?);
        return Ok(Exit::Complete);
    }
    let region = match (&args.to, role, source) {
        (Some(to), ..) => to.region.clone(),
        (None, Role::Backup, Some(source)) => source.url.region().unwrap_or_default().to_owned(),
        _ => return Err(Failure::usage("the region of the policy is missing").hint("use --to aws:REGION")),
    };
    app::known_region(&region).await?;
    let configured = source.and_then(|source| source.account.clone()).filter(|_| role == Role::Backup);
    let account = match args.account.clone().or(configured) {
        Some(account) => account,
        None => Source::place(&Aws::connect(AwsSettings::region(&region)).await?).await?.account,
    };
    let grant = Grant {
        region,
        account,
        name_prefix: args.name_prefix.clone(),
        keys: args.kms_keys.clone(),
        rotation: args.rotation,
        replication: args.replication,
        promotion: args.promotion,
        replace: args.replace,
    };
    let policy = iam_policy(role, &grant);
    print_artefact(context, &policy);
    Ok(Exit::Complete)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    Remark,
    Unknown,
    Wrong,
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::Well => "ok",
            Self::Remark => "note",
            Self::Unknown => "unknown",
            Self::Wrong => "WRONG",
        }
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
            |row: &Row| json!({ "check": row.what, "state": row.state.word().to_lowercase(), "detail": row.detail });
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
            match &section.url {
                SourceAddress::Aws(address) => {
                    let connected = Aws::connect(app::settings(section, address)).await;
                    if let Some(source) = self.attempt("credentials", connected) {
                        self.provider(&source, &what, section.account.as_deref(), Role::Backup, "").await;
                    }
                }
                SourceAddress::Vault(_) | SourceAddress::Env(_) => {
                    let Found { outcome, .. } = estate.find(section.clone(), host).await;
                    if let Some((source, place)) = self.attempt(&what, outcome) {
                        self.account(&place, section.account.as_deref());
                        self.attempt(
                            &format!("list {}", text::line(&place.region)),
                            source.list().try_next().await.map(drop),
                        );
                        #[cfg(all(unix, feature = "dotenv"))]
                        if let SourceAddress::Env(address) = &section.url {
                            self.files_of(address).await;
                        }
                    }
                }
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

    /// Whether the place is of the configured account.
    fn account(&mut self, place: &Place, expected: Option<&str>) {
        match expected {
            Some(expected) if expected != place.account => {
                let detail = format!("{place}; the configuration has account {expected}");
                self.add("account", State::Wrong, detail);
            }
            _ => self.add("account", State::Well, place.to_string()),
        }
    }

    /// Who it is, what it allows, what time it has.
    async fn provider(&mut self, aws: &Aws, what: &str, expected: Option<&str>, role: Role, prefix: &str) {
        let Some(place) = self.attempt(what, Source::place(aws).await) else { return };
        self.account(&place, expected);
        match aws.permissions(role, prefix).await {
            Ok(permissions) => {
                for permission in permissions {
                    let (state, detail) = match permission.allowed {
                        Allowed::Yes => (State::Well, String::new()),
                        Allowed::No => (
                            State::Wrong,
                            "denied; `lifeboat doctor --policy` shows the permissions that are needed".into(),
                        ),
                        Allowed::Untold => (State::Remark, "cannot be checked without creating a secret".into()),
                        Allowed::Unknown(code) => (State::Unknown, code),
                    };
                    self.add(permission.operation, state, detail);
                }
            }
            Err(error) => drop(self.attempt::<(), _>("permissions", Err(error))),
        }
        self.clock(aws.time().await.ok().flatten());
    }

    fn clock(&mut self, theirs: Option<jiff::Timestamp>) {
        let Some(theirs) = theirs else {
            return self.add("clock", State::Unknown, "the provider's response has no time");
        };
        let seconds = SystemClock.now().duration_since(theirs).as_secs_f64();
        let state = match seconds.abs() {
            apart if apart > MOST_SKEW_SECONDS => State::Wrong,
            apart if apart > SOME_SKEW_SECONDS => State::Remark,
            _ => State::Well,
        };
        let detail = format!("{seconds:+.0} s against the provider; AWS refuses requests more than 5 min apart");
        self.add("clock", state, detail);
    }
}
