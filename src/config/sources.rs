//! `[source]`, `[[source]]`, or an organization: where the secrets live.

use std::collections::BTreeSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{ConfigError, DEFAULT_SWEEP_DAYS};
use crate::provider::{Access, Address, Members, of_region};

/// The share of each request quota that is used where nothing is said.
const DEFAULT_RATE_SHARE: f64 = 0.9;
/// An estate of under about 25,000 secrets is read again every day then.
const DEFAULT_SWEEP_MINUTES: u32 = 10;
const DEFAULT_DROP_PERCENT: u32 = 10;
const DEFAULT_DROP_MINIMUM: u64 = 5;

/// One source, several, or the accounts of an organization.
#[derive(Clone, Debug, PartialEq)]
pub enum Sources {
    /// `[source]`
    One(SourceSection),
    /// `[[source]]`
    Several(Vec<SourceSection>),
    /// `[source]` with `organization = true`
    Organization(OrganizationSection),
}

/// What of a source is captured, how fast, and what is a loss.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureSection {
    /// Names to leave out: `*` and `?` patterns.
    pub exclude: Vec<String>,
    /// Leave out what is scheduled for deletion and was never captured.
    pub exclude_deleted: bool,
    /// Read every secret again at least every so many days, also when nothing the listing shows has changed.
    pub sweep_days: u32,
    /// Minutes of the quota that a day may spend on reading again what did not change.
    pub sweep_minutes: u32,
    /// The share of each request quota to use, above 0 and at most 1.
    pub rate_share: f64,
    /// Percent of its secrets or labelled versions that a source may not lose without a person's word.
    pub drop_percent: u32,
    /// And at least so many of them.
    pub drop_minimum: u64,
}

/// One account and region.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceSection {
    /// Where it is.
    pub url: Address,
    /// The account this must be; a run that lands elsewhere is refused.
    pub account: Option<String>,
    /// What is captured.
    pub capture: CaptureSection,
    /// How to get there.
    pub access: Access,
    /// The queue that tells of changes, by its name there.
    pub queue: Option<String>,
}

/// The member accounts of an organization, each in the same regions and entered by a role of the same name.
#[derive(Clone, Debug, PartialEq)]
pub struct OrganizationSection {
    /// The role's name in every account.
    pub role: String,
    /// The regions of every account.
    pub regions: Vec<String>,
    /// These accounts alone; empty for all.
    pub accounts: Vec<String>,
    /// Not these accounts.
    pub exclude_accounts: Vec<String>,
    /// What of each of them is captured.
    pub capture: CaptureSection,
    /// The profile whose credentials ask the organization and take the roles.
    pub profile: Option<String>,
    /// The external id that the roles ask for.
    pub role_external_id: Option<String>,
}

impl SourceSection {
    /// A source about which nothing else is said.
    pub fn new(url: Address, account: Option<String>) -> Self {
        Self { url, account, capture: CaptureSection::default(), access: Access::default(), queue: None }
    }
}

impl OrganizationSection {
    /// As its kind is asked for the accounts.
    pub fn members(&self) -> Members<'_> {
        let (profile, role_external_id) = (self.profile.clone(), self.role_external_id.clone());
        Members {
            role: &self.role,
            regions: &self.regions,
            accounts: &self.accounts,
            exclude_accounts: &self.exclude_accounts,
            access: Access { role: None, role_external_id, profile, resource: None },
        }
    }
}

impl Default for CaptureSection {
    fn default() -> Self {
        Self {
            exclude: Vec::new(),
            exclude_deleted: false,
            sweep_days: DEFAULT_SWEEP_DAYS,
            sweep_minutes: DEFAULT_SWEEP_MINUTES,
            rate_share: DEFAULT_RATE_SHARE,
            drop_percent: DEFAULT_DROP_PERCENT,
            drop_minimum: DEFAULT_DROP_MINIMUM,
        }
    }
}

impl Sources {
    /// The sources that the configuration itself names; none for an organization.
    pub fn listed(&self) -> &[SourceSection] {
        match self {
            Self::One(section) => std::slice::from_ref(section),
            Self::Several(sections) => sections,
            Self::Organization(_) => &[],
        }
    }

    /// Every region, sorted, of kinds that have regions.
    pub fn regions(&self) -> BTreeSet<&str> {
        match self {
            Self::Organization(section) => section.regions.iter().map(String::as_str).collect(),
            _ => self.listed().iter().filter_map(|section| section.url.region()).collect(),
        }
    }

    /// Every account that the configuration names, sorted.
    pub fn accounts(&self) -> BTreeSet<&str> {
        match self {
            Self::Organization(section) => section.accounts.iter().map(String::as_str).collect(),
            _ => self.listed().iter().filter_map(|section| section.account.as_deref()).collect(),
        }
    }

    /// The share of the quotas to use where one number is asked for: the smallest.
    pub fn rate_share(&self) -> f64 {
        match self {
            Self::Organization(section) => section.capture.rate_share,
            _ => self.listed().iter().map(|section| section.capture.rate_share).fold(1.0, f64::min),
        }
    }

    /// Refuses what cannot be meant.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let captures: Vec<&CaptureSection> = match self {
            Self::Organization(section) => vec![&section.capture],
            _ => self.listed().iter().map(|section| &section.capture).collect(),
        };
        if captures.is_empty() {
            return Err(ConfigError::Sources("the list of sources is empty".into()));
        }
        if captures.iter().any(|capture| capture.sweep_days == 0) {
            return Err(ConfigError::SweepDays);
        }
        if captures.iter().any(|capture| !(1..=100).contains(&capture.drop_percent)) {
            return Err(ConfigError::DropPercent);
        }
        if captures.iter().any(|capture| !(capture.rate_share > 0.0 && capture.rate_share.is_finite())) {
            return Err(ConfigError::RateShare);
        }
        let mut seen = BTreeSet::new();
        for section in self.listed() {
            let account = section.account.as_deref();
            // Without an account, two roles or profiles may well lead to two; STS will tell.
            let place = (&section.url, account, account.is_none().then_some(&section.access));
            if !seen.insert(place) {
                let account = account.map(|account| format!(" of account {account}")).unwrap_or_default();
                return Err(ConfigError::Sources(format!("two sources are the same: {}{account}", section.url)));
            }
        }
        Ok(())
    }
}

/// One table as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(default, skip_serializing_if = "super::is_default")]
    organization: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    regions: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    accounts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclude_accounts: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    exclude: Vec<String>,
    #[serde(default, skip_serializing_if = "super::is_default")]
    exclude_deleted: bool,
    #[serde(default = "default_sweep_days")]
    sweep_days: u32,
    #[serde(default = "default_sweep_minutes")]
    sweep_minutes: u32,
    #[serde(default = "default_rate_share")]
    rate_share: f64,
    #[serde(default = "default_drop_percent")]
    drop_percent: u32,
    #[serde(default = "default_drop_minimum")]
    drop_minimum: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role_external_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<String>,
}

impl Table {
    fn capture(&self) -> CaptureSection {
        CaptureSection {
            exclude: self.exclude.clone(),
            exclude_deleted: self.exclude_deleted,
            sweep_days: self.sweep_days,
            sweep_minutes: self.sweep_minutes,
            rate_share: self.rate_share,
            drop_percent: self.drop_percent,
            drop_minimum: self.drop_minimum,
        }
    }

    /// A table that says this of the capture and nothing else.
    fn of(capture: CaptureSection) -> Self {
        Self {
            url: None,
            account: None,
            organization: false,
            regions: Vec::new(),
            accounts: Vec::new(),
            exclude_accounts: Vec::new(),
            exclude: capture.exclude,
            exclude_deleted: capture.exclude_deleted,
            sweep_days: capture.sweep_days,
            sweep_minutes: capture.sweep_minutes,
            rate_share: capture.rate_share,
            drop_percent: capture.drop_percent,
            drop_minimum: capture.drop_minimum,
            role: None,
            role_external_id: None,
            profile: None,
            queue: None,
            resource: None,
        }
    }

    fn into_one(self) -> Result<SourceSection, String> {
        if self.organization {
            return Err("organization = true is allowed only in one [source], not in a list".into());
        }
        if !(self.regions.is_empty() && self.accounts.is_empty() && self.exclude_accounts.is_empty()) {
            return Err("regions, accounts and exclude_accounts need organization = true".into());
        }
        let role = self.role.as_deref();
        if role.is_some_and(|role| !role.starts_with("arn:")) {
            return Err("role must be an ARN, such as arn:aws:iam::111111111111:role/lifeboat-backup".into());
        }
        if role.is_none() && self.role_external_id.is_some() {
            return Err("role_external_id needs a role".into());
        }
        if let Some(wrong) = self.queue.as_deref().and_then(|queue| queue_name(queue).err()) {
            return Err(format!("queue must be {wrong}"));
        }
        let url = self.url.clone().ok_or("missing field `url`")?;
        if self.resource.is_some() && !url.kind().has_resource() {
            return Err("resource is for sources whose rights are kept elsewhere (docs/azure.md)".into());
        }
        let (role, role_external_id) = (self.role.clone(), self.role_external_id.clone());
        Ok(SourceSection {
            capture: self.capture(),
            url,
            account: self.account,
            access: Access { role, role_external_id, profile: self.profile, resource: self.resource },
            queue: self.queue,
        })
    }

    fn into_organization(self) -> Result<OrganizationSection, String> {
        let capture = self.capture();
        if self.resource.is_some() {
            return Err("resource is allowed only in a source with a url".into());
        }
        if self.queue.is_some() {
            return Err("queue is allowed only in a source with a url".into());
        }
        if self.url.is_some() || self.account.is_some() {
            return Err("with organization = true, use regions and accounts, not url and account".into());
        }
        let role = self.role.ok_or("missing field `role`: the role's name in every account")?;
        let plausible = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&b);
        if role.is_empty() || !role.bytes().all(plausible) {
            return Err("role must be the name of a role that every account has, not an ARN".into());
        }
        let unique: BTreeSet<&String> = self.regions.iter().collect();
        if self.regions.is_empty() || unique.len() != self.regions.len() {
            return Err("regions must have at least one region, and each only once".into());
        }
        for region in &self.regions {
            of_region(region).map_err(|error| error.to_string())?;
        }
        Ok(OrganizationSection {
            role,
            regions: self.regions,
            accounts: self.accounts,
            exclude_accounts: self.exclude_accounts,
            capture,
            profile: self.profile,
            role_external_id: self.role_external_id,
        })
    }
}

impl From<&SourceSection> for Table {
    fn from(section: &SourceSection) -> Self {
        let SourceSection { url, account, capture, access, queue } = section.clone();
        let Access { role, role_external_id, profile, resource } = access;
        Self { url: Some(url), account, role, role_external_id, profile, resource, queue, ..Self::of(capture) }
    }
}

impl From<&OrganizationSection> for Table {
    fn from(section: &OrganizationSection) -> Self {
        let OrganizationSection { role, regions, accounts, exclude_accounts, capture, profile, role_external_id } =
            section.clone();
        Self {
            organization: true,
            regions,
            accounts,
            exclude_accounts,
            role: Some(role),
            role_external_id,
            profile,
            ..Self::of(capture)
        }
    }
}

impl Serialize for Sources {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::One(section) => Table::from(section).serialize(serializer),
            Self::Several(sections) => serializer.collect_seq(sections.iter().map(Table::from)),
            Self::Organization(section) => Table::from(section).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Sources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrSeveral;
        impl<'de> de::Visitor<'de> for OneOrSeveral {
            type Value = Sources;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("one [source] or several [[source]]")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Sources, A::Error> {
                let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let sources = if table.organization {
                    table.into_organization().map(Sources::Organization)
                } else {
                    table.into_one().map(Sources::One)
                };
                sources.map_err(de::Error::custom)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Sources, A::Error> {
                let mut sections = Vec::new();
                while let Some(table) = seq.next_element::<Table>()? {
                    sections.push(table.into_one().map_err(de::Error::custom)?);
                }
                Ok(Sources::Several(sections))
            }
        }
        deserializer.deserialize_any(OneOrSeveral)
    }
}

fn default_sweep_days() -> u32 {
    DEFAULT_SWEEP_DAYS
}

fn default_sweep_minutes() -> u32 {
    DEFAULT_SWEEP_MINUTES
}

fn default_drop_percent() -> u32 {
    DEFAULT_DROP_PERCENT
}

fn default_drop_minimum() -> u64 {
    DEFAULT_DROP_MINIMUM
}

fn default_rate_share() -> f64 {
    DEFAULT_RATE_SHARE
}

/// A queue's name, as it is.
///
/// # Errors
/// What a name is. Source: SQS, CreateQueue; a name that ends with `.fifo` is no target of such a rule.
pub fn queue_name(name: &str) -> Result<String, &'static str> {
    let is_in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    if (1..=80).contains(&name.len()) && name.bytes().all(is_in_name) {
        return Ok(name.to_owned());
    }
    Err("the name of a queue of the source's account: up to 80 letters, digits, - and _")
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    const REST: &str = "[repository]\nurl = \"r\"\n[trust]\nroot = \"k\"\nrecipient = \"age1\"\n\
        [keys]\nsigner = \"s\"\nindex = \"i\"\n";

    fn parse(sources: &str) -> Result<Config, String> {
        Config::parse(&format!("{REST}{sources}")).map_err(|error| error.to_string())
    }

    #[test]
    fn one_several_and_an_organization_round_trip() {
        let roles = "role = \"arn:aws:iam::1:role/b\"\nrole_external_id = \"x\"\nprofile = \"p\"";
        for (sources, regions) in [
            ("[source]\nurl = \"aws:eu-west-1\"", 1),
            ("[[source]]\nurl = \"aws:eu-west-1\"\n[[source]]\nurl = \"aws:eu-west-2\"\nrate_share = 0.3", 2),
            (&format!("[[source]]\nurl = \"aws:eu-west-1\"\n[[source]]\nurl = \"aws:eu-west-1\"\n{roles}"), 1),
            ("[source]\norganization = true\nrole = \"b\"\nregions = [\"eu-west-1\", \"eu-west-2\"]", 2),
        ] {
            let config = parse(sources).unwrap_or_else(|error| panic!("{sources}: {error}"));
            assert_eq!(config.sources.regions().len(), regions, "{sources}");
            assert_eq!(Config::parse(&config.to_text()).unwrap(), config, "{sources}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        let organization = |rest: &str| format!("[source]\norganization = true\n{rest}");
        for (sources, says) in [
            ("[source]\naccount = \"1\"".to_owned(), "missing field `url`"),
            ("[source]\nurl = \"aws:eu-west-1\"\nregions = [\"eu-west-2\"]".into(), "organization = true"),
            ("[source]\nurl = \"aws:eu-west-1\"\nrole = \"b\"".into(), "ARN"),
            ("[source]\nurl = \"aws:eu-west-1\"\nrole_external_id = \"b\"".into(), "needs a role"),
            ("source = []".into(), "list of sources is empty"),
            ("source = 3".into(), "[[source]]"),
            ("[[source]]\nurl = \"aws:eu-west-1\"\nrate_share = -2.0".into(), "rate_share"),
            ("[[source]]\nurl = \"aws:eu-west-1\"\nsweep_day = 2".into(), "did you mean `sweep_days`?"),
            ("[[source]]\nurl = \"aws:eu-west-1\"\n[[source]]\nurl = \"aws:eu-west-1\"".into(), "two sources"),
            ("[[source]]\norganization = true\nrole = \"b\"\nregions = [\"eu-west-1\"]".into(), "only in one [source]"),
            ("[source]\nurl = \"aws:eu-west-1\"\ndrop_percent = 0".into(), "drop_percent"),
            ("[source]\nurl = \"aws:eu-west-1\"\ndrop_percent = 101".into(), "drop_percent"),
            (organization("regions = [\"eu-west-1\"]"), "missing field `role`"),
            (organization("role = \"b\""), "regions"),
            (organization("role = \"b\"\nregions = [\"eu-west-1\", \"eu-west-1\"]"), "once"),
            (organization("role = \"b\"\nregions = [\"mars\"]"), "aws:REGION"),
            (organization("role = \"arn:aws:iam::1:role/b\"\nregions = [\"eu-west-1\"]"), "not an ARN"),
            (organization("role = \"b\"\nurl = \"aws:eu-west-1\"\nregions = [\"eu-west-1\"]"), "not url"),
        ] {
            // A key at the top must come before the tables.
            let text =
                if sources.starts_with("source =") { format!("{sources}\n{REST}") } else { format!("{REST}{sources}") };
            let error = Config::parse(&text).expect_err(&sources).to_string();
            assert!(error.contains(says), "{sources}: {error}");
        }
    }
}
