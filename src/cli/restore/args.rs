//! The arguments of `lifeboat restore`, and the options they stand for.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use serde::de::{DeserializeOwned, IntoDeserializer, value::Error as ValueError};

use super::super::{Failure, history::CompareArgs, quorum::ShareArgs};
use crate::{
    dialect::Dialect,
    fsutil,
    provider::{Address, ImportFormat},
    restore::{Maps, OnConflict, OnLeaked, OnReplica, OnScheduled, Options, Policies, VersionNumbers},
};

/// Restore into a region: plan, confirm, execute, verify
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  lifeboat restore --repo /mnt/west/lifeboat --to aws:eu-west-1 \\
      --share ana.txt --share cy.txt --share eli.txt
  lifeboat restore --repo /mnt/west/lifeboat --to aws:us-west-2 \\
      --share a.jpg --share b.pdf --share -
  lifeboat restore --to aws:eu-west-1 --at 2026-11-01T03:00Z --include 'orrange-p2p/*' \\
      --share sheets/ --yes
  lifeboat restore --to aws:eu-west-1 --plan-out plan.json
  lifeboat restore --plan plan.json --share sheets/ --yes
  lifeboat restore --to aws:eu-west-1 --include app/database --version AWSPREVIOUS \\
      --on-conflict new-version --share sheets/
  lifeboat restore --to vault:https://vault.example.com/secret --share sheets/
  lifeboat restore --to vault:https://vault.example.com/secret --env-keys dotenv --share sheets/
  lifeboat restore --to aws:eu-west-1 --map west.toml --share sheets/
  lifeboat restore --to aws:eu-west-1 --name-prefix restored/ \\
      --kms-map alias/app=alias/app-west --share sheets/

Needs no configuration file. After an interruption or a failure, run it again: it does not write
what is already in the target.
A restore never rotates a secret. It destroys a secret only with --on-scheduled force-replace.")]
pub struct Args {
    /// Where to restore to: `aws:REGION`, `vault:https://HOST/MOUNT`, `gcp:PROJECT`, `azure:VAULT` or `env:FOLDER`, also
    /// for secrets of another kind
    #[arg(long, value_name = "ADDRESS")]
    pub to: Option<Address>,
    /// The account to restore into, if it is not the source's; any other account is refused
    #[arg(long, value_name = "NUMBER", value_parser = super::super::environment::parse_account)]
    pub account: Option<String>,
    /// `latest` or the beginning of a snapshot's id
    #[arg(long, value_name = "ID", default_value = "latest")]
    pub snapshot: String,
    #[command(flatten)]
    pub source: super::super::show::SourceArg,
    /// The newest snapshot taken at or before TIME: 2026-11-01T03:00Z, '2026-11-01 03:00' (local), 'yesterday 03:00',
    /// or 2026-11-01 for the end of that day
    #[arg(long, value_name = "TIME", conflicts_with = "snapshot", value_parser = super::super::moment::parse)]
    pub at: Option<Timestamp>,
    #[command(flatten)]
    pub compare: CompareArgs,
    /// Restore only names that match, with `*` and `?` (repeat)
    #[arg(long = "include", visible_alias = "name", value_name = "PATTERN")]
    pub include: Vec<String>,
    /// Leave out names that match (repeat)
    #[arg(long, value_name = "PATTERN")]
    pub exclude: Vec<String>,
    /// Restore only this version of each secret, by id or label, as its AWSCURRENT
    #[arg(long, value_name = "ID|LABEL")]
    pub version: Option<String>,
    /// Names to restore first, most urgent first (repeat; before the configured ones)
    #[arg(long, value_name = "PATTERN")]
    pub first: Vec<String>,
    /// What to do if another secret has the same name
    #[arg(long, value_name = "WHAT", default_value = "fail",
        value_parser = words::<OnConflict, 4>(["fail", "skip", "new-version", "replace"]))]
    pub on_conflict: OnConflict,
    /// What to do if a name is scheduled for deletion in the target; force-replace cannot be undone
    #[arg(long, value_name = "WHAT", default_value = "fail",
        value_parser = words::<OnScheduled, 3>(["fail", "undelete", "force-replace"]))]
    pub on_scheduled: OnScheduled,
    /// What to do if a replica has the name; promote makes it a secret of its own, which cannot be undone
    #[arg(long, value_name = "WHAT", default_value = "fail",
        value_parser = words::<OnReplica, 2>(["fail", "promote"]))]
    pub on_replica: OnReplica,
    /// What to do with version numbers where the target numbers versions itself: keep them, or number from 1
    #[arg(long, value_name = "WHAT", default_value = "keep",
        value_parser = words::<VersionNumbers, 2>(["keep", "compact"]))]
    pub version_numbers: VersionNumbers,
    /// Restore between .env files and another kind as keys that this reader reads, one JSON object for each file; without it
    /// as whole files
    #[arg(long, value_name = "DIALECT",
        value_parser = PossibleValuesParser::new(Dialect::ALL.map(Dialect::as_str)))]
    pub env_keys: Option<String>,
    /// What to do with versions that are marked as leaked: leave them out, and secrets whose current version is marked;
    /// restore the newest older version as the current one; or restore them like any other
    #[arg(long, value_name = "WHAT", default_value = "pass-over",
        value_parser = words::<OnLeaked, 3>(["pass-over", "older", "include"]))]
    pub leaked: OnLeaked,
    /// Which resource policies to restore; safe leaves out those that are public or would lock you out
    #[arg(long, value_name = "WHICH", default_value = "safe",
        value_parser = words::<Policies, 3>(["safe", "all", "none"]))]
    pub policies: Policies,
    /// Count a policy as restored although it names networks that the map file does not, or lets other accounts in while the
    /// secret gets the default key
    #[arg(long)]
    pub accept_unusable: bool,
    #[command(flatten)]
    pub maps: MapArgs,
    /// Allow the account and region that the secrets came from
    #[arg(long, visible_alias = "allow-source")]
    pub into_source: bool,
    /// Switch rotation on where it was on; this rotates no secret
    #[arg(long)]
    pub rotation: bool,
    /// Create the replicas again
    #[arg(long)]
    pub replication: bool,
    /// Also restore secrets that were scheduled for deletion, and schedule them again
    #[arg(long)]
    pub deletion_state: bool,
    /// Write a map from old to new ARNs, as JSON
    #[arg(long, value_name = "FILE")]
    pub arn_map: Option<PathBuf>,
    /// Write a file that makes a tool take over the restored secrets: FORMAT is terraform or cloudformation
    #[arg(long, num_args = 2, value_names = ["FORMAT", "FILE"])]
    import_blocks: Option<Vec<String>>,
    /// Show the plan and stop; with FILE, execute the plan in it
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "")]
    pub plan: Option<String>,
    /// Write the plan to a file and stop; it can be approved and executed later
    #[arg(long, value_name = "FILE", conflicts_with = "plan")]
    pub plan_out: Option<PathBuf>,
    /// Run no hook of the configuration afterwards
    #[arg(long)]
    pub no_hooks: bool,
    /// The share of the target's request quotas to use, above 0; above 1 only where the endpoint is not AWS's own
    #[arg(long, value_name = "SHARE", default_value_t = 0.9)]
    pub rate_share: f64,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub shares: ShareArgs,
}

/// From the source's names to the target's.
#[derive(Debug, clap::Args)]
pub struct MapArgs {
    /// A mapping file (TOML: name_prefix, and the tables name, kms, account, region, lambda, network, value); flags add to it
    #[arg(long, value_name = "FILE")]
    map: Option<PathBuf>,
    /// Add this prefix to every name
    #[arg(long, value_name = "PREFIX", default_value = "")]
    name_prefix: String,
    /// A name, or `old/*`, and its new name (repeat)
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    name_map: Vec<(String, String)>,
    /// A key of the source, and the target's key or `default` (repeat)
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    kms_map: Vec<(String, String)>,
    /// An account in policies (repeat)
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    account_map: Vec<(String, String)>,
    /// A region in policies and of replicas (repeat)
    #[arg(long, value_name = "OLD=NEW", value_parser = pair)]
    region_map: Vec<(String, String)>,
    /// A rotation function's ARN (repeat)
    #[arg(long, visible_alias = "rotation-lambda-map", value_name = "OLD=NEW", value_parser = pair)]
    lambda_map: Vec<(String, String)>,
}

impl Args {
    /// The plan file to execute.
    pub fn plan_file(&self) -> Option<&Path> {
        self.plan.as_deref().filter(|path| !path.is_empty()).map(Path::new)
    }

    /// The file for a tool that keeps infrastructure as code, and for which.
    pub fn import_blocks(&self) -> Result<Option<(ImportFormat, &Path)>, Failure> {
        let Some([format, path]) = self.import_blocks.as_deref() else { return Ok(None) };
        let format = match format.as_str() {
            "terraform" => ImportFormat::Terraform,
            "cloudformation" => ImportFormat::CloudFormation,
            _ => {
                let message = "--import-blocks takes terraform or cloudformation, and a file";
                return Err(Failure::usage(message).hint("--import-blocks terraform imports.tf"));
            }
        };
        Ok(Some((format, Path::new(path))))
    }

    /// Whether nothing is to be written to the target.
    pub fn only_plans(&self) -> bool {
        self.plan_out.is_some() || (self.plan.is_some() && self.plan_file().is_none())
    }

    /// The choices; `first` are the configuration's.
    pub fn options(&self, first: &[String]) -> Result<Options, Failure> {
        Ok(Options {
            names: self.include.clone(),
            exclude: self.exclude.clone(),
            version: self.version.clone(),
            first: self.first.iter().chain(first).cloned().collect(),
            on_conflict: self.on_conflict,
            on_scheduled: self.on_scheduled,
            on_replica: self.on_replica,
            policies: self.policies,
            maps: self.maps.maps()?,
            allow_source: self.into_source,
            rotation: self.rotation,
            replication: self.replication,
            deletion: self.deletion_state,
            version_numbers: self.version_numbers,
            leaked: self.leaked,
            accept_unusable: self.accept_unusable,
            marks: false,
            compares: false,
            keys: self.env_keys.clone(),
        })
    }
}

impl MapArgs {
    /// All of them.
    pub(in super::super) fn maps(&self) -> Result<Maps, Failure> {
        let mut maps = match &self.map {
            Some(path) => read_maps(path)?,
            None => Maps::default(),
        };
        if !self.name_prefix.is_empty() {
            maps.name_prefix.clone_from(&self.name_prefix);
        }
        maps.name.extend(self.name_map.iter().cloned());
        maps.kms.extend(self.kms_map.iter().cloned());
        maps.account.extend(self.account_map.iter().cloned());
        maps.region.extend(self.region_map.iter().cloned());
        maps.lambda.extend(self.lambda_map.iter().cloned());
        Ok(maps)
    }
}

fn read_maps(path: &Path) -> Result<Maps, Failure> {
    let bytes = fsutil::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let maps: Maps = toml::from_str(&text).map_err(|error| {
        let first = error.to_string().lines().last().unwrap_or_default().to_owned();
        Failure::usage(format!("{}: {first}", path.display())).hint(
            "name_prefix = \"…\", the tables [name], [kms], [account], [region], [lambda], [network] of \"old\" = \"new\", and \
             [value.\"PATTERN\"] of \"/pointer\" = { \"old\" = \"new\" }",
        )
    })?;
    match maps.fault() {
        Some(fault) => Err(Failure::usage(format!("{}: {fault}", path.display()))),
        None => Ok(maps),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((old, new)) if !old.is_empty() && !new.is_empty() => Ok((old.to_owned(), new.to_owned())),
        _ => Err("expected OLD=NEW".into()),
    }
}

/// The words of an option, as its library type reads them.
fn words<T: DeserializeOwned + Clone + Send + Sync + 'static, const N: usize>(
    words: [&'static str; N],
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words)
        .try_map(|word| T::deserialize(IntoDeserializer::<ValueError>::into_deserializer(word)))
}
