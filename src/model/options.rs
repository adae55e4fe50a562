//! What to restore and how: the choices a person makes before a plan is made.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::edit::{Edits, Replacements, edit_fault};

/// What to restore and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Patterns (`*`, `?`) of names in the snapshot; empty means all.
    pub names: Vec<String>,
    /// Patterns of names to leave where they are.
    pub exclude: Vec<String>,
    /// One version of each secret, by id or label, to be its AWSCURRENT; `None` restores every version.
    pub version: Option<String>,
    /// Patterns of names whose AWSCURRENT comes back before the others', most urgent first.
    pub first: Vec<String>,
    /// What to do about another secret of the same name.
    pub on_conflict: OnConflict,
    /// What to do about a name that is scheduled for deletion in the target.
    pub on_scheduled: OnScheduled,
    /// What to do about a replica that has the name.
    #[serde(default)]
    pub on_replica: OnReplica,
    /// Which resource policies come back.
    pub policies: Policies,
    /// From the source's names to the target's.
    pub maps: Maps,
    /// Whether the place the secrets came from may be the target.
    pub allow_source: bool,
    /// Whether rotation is switched on where it was on. Nothing is ever rotated by it.
    pub rotation: bool,
    /// Whether replicas are made again.
    pub replication: bool,
    /// Whether secrets that were scheduled for deletion come back, scheduled for deletion.
    pub deletion: bool,
    /// What becomes of version numbers where the target numbers versions itself.
    #[serde(default)]
    pub version_numbers: VersionNumbers,
    /// What becomes of versions that are marked as leaked.
    #[serde(default, skip_serializing_if = "OnLeaked::is_default")]
    pub leaked: OnLeaked,
    /// Whether policies that nobody could use at the target count as restored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accept_unusable: bool,
    /// Whether tags of drills are kept: by a drill alone, which puts them there. Never part of a plan file.
    #[serde(skip)]
    pub marks: bool,
    /// Whether the plan is only compared with what is there. Never part of a plan file.
    #[serde(skip)]
    pub compares: bool,
    /// The dialect in which `.env` files are taken for keys on their way from or to another kind; whole files without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
}

/// What to do about another secret of the same name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnConflict {
    /// Write nothing at all.
    #[default]
    Fail,
    /// Leave it as it is and restore the rest.
    Skip,
    /// Add the snapshot's AWSCURRENT to it as a version and make that the current one; leave all else.
    NewVersion,
    /// Make it what the snapshot says; versions it has besides stay, without labels.
    Replace,
}

/// What to do about a name that is scheduled for deletion in the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnScheduled {
    /// It is a conflict.
    #[default]
    Fail,
    /// Take it back, then treat it as a secret that is there.
    Undelete,
    /// Destroy it for good and create the secret anew.
    ForceReplace,
}

/// What to do about a replica of another region that has the name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnReplica {
    /// The secret is not restored.
    #[default]
    Fail,
    /// Make it a secret of its own, no longer kept in step with its primary, then treat it as a secret that is there.
    Promote,
}

/// What becomes of version numbers where the target numbers versions itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionNumbers {
    /// They stay: versions without a value take the numbers between, and are destroyed.
    #[default]
    Keep,
    /// The versions that have a value are numbered from 1.
    Compact,
}

/// What becomes of versions that tombstones mark as leaked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnLeaked {
    /// They do not come back. A secret whose current version is marked is not restored.
    #[default]
    PassOver,
    /// The same, but the newest older version that is not marked becomes the current one.
    Older,
    /// They come back like any other.
    Include,
}

impl OnLeaked {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_default(&self) -> bool {
        *self == Self::PassOver
    }
}

/// Which resource policies come back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policies {
    /// All but those that let everyone in or would lock the restorer out.
    #[default]
    Safe,
    /// All.
    All,
    /// None.
    None,
}

/// From the source's names to the target's; the form of a mapping file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Maps {
    /// Put before every name.
    pub name_prefix: String,
    /// Names, or `old/*` to `new/*`.
    pub name: BTreeMap<String, String>,
    /// Keys as the source states them; the target's key, or `default`.
    pub kms: BTreeMap<String, String>,
    /// Accounts in policies.
    pub account: BTreeMap<String, String>,
    /// Regions in policies and of replicas.
    pub region: BTreeMap<String, String>,
    /// Rotation functions.
    pub lambda: BTreeMap<String, String>,
    /// VPCs, endpoints and addresses in the conditions of policies.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub network: BTreeMap<String, String>,
    /// Text that changes inside values: patterns of names, and for each the places and what is replaced there.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub value: BTreeMap<String, Edits>,
}

impl Options {
    /// Whether a name of the snapshot is asked for.
    pub fn wants(&self, name: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| name_matches(pattern, name));
        (self.names.is_empty() || any(&self.names)) && !any(&self.exclude)
    }

    /// The place of a name in the order of urgency, from 0.
    pub fn rank(&self, name: &str) -> usize {
        self.first.iter().position(|pattern| name_matches(pattern, name)).unwrap_or(self.first.len())
    }
}

impl Maps {
    /// The name in the target.
    pub fn name(&self, source: &str) -> String {
        let mapped = self.name.get(source).cloned().or_else(|| {
            let fits = self.name.iter().filter_map(|(from, to)| {
                let rest = source.strip_prefix(from.strip_suffix('*')?)?;
                Some((from.len(), format!("{}{rest}", to.strip_suffix('*').unwrap_or(to))))
            });
            // The longest pattern is the most particular one.
            fits.max_by_key(|(length, _)| *length).map(|(_, name)| name)
        });
        format!("{}{}", self.name_prefix, mapped.as_deref().unwrap_or(source))
    }

    /// The rules for the values of a secret, by their places: pattern and replacements. Of several patterns that name one place
    /// the longest is the most particular one.
    pub fn value_rules(&self, source: &str) -> BTreeMap<&str, (&str, &Replacements)> {
        let mut fitting: Vec<_> = self.value.iter().filter(|(pattern, _)| name_matches(pattern, source)).collect();
        fitting.sort_by_key(|(pattern, _)| (pattern.len(), *pattern));
        let rules = fitting.into_iter().flat_map(|(pattern, edits)| {
            edits.iter().map(move |(pointer, replacements)| (pointer.as_str(), (pattern.as_str(), replacements)))
        });
        rules.collect()
    }

    /// The same without the patterns.
    pub fn edits(&self, source: &str) -> Edits {
        let rules = self.value_rules(source);
        rules.into_iter().map(|(pointer, (_, replacements))| (pointer.to_owned(), replacements.clone())).collect()
    }

    /// What is wrong with the rules for values, in words.
    pub fn fault(&self) -> Option<String> {
        let mut rules = self.value.iter().flat_map(|(pattern, edits)| edits.iter().map(move |rule| (pattern, rule)));
        rules.find_map(|(pattern, (pointer, replacements))| {
            let fault = edit_fault(pointer, replacements)?;
            Some(format!("[value.{pattern:?}] {pointer:?}: {fault}"))
        })
    }
}

/// Whether a name fits a pattern with `*` and `?`.
pub fn name_matches(pattern: &str, name: &str) -> bool {
    wildmatch::WildMatch::new(pattern).matches(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_particular_name_wins() {
        let mut maps = Maps { name_prefix: "dr/".into(), ..Maps::default() };
        for (from, to) in [("prod/*", "west/*"), ("prod/db/*", "data/*"), ("prod/db/one", "single")] {
            maps.name.insert(from.into(), to.into());
        }
        for (from, to) in [
            ("prod/api", "dr/west/api"),
            ("prod/db/two", "dr/data/two"),
            ("prod/db/one", "dr/single"),
            ("prod", "dr/prod"),
            ("other", "dr/other"),
        ] {
            assert_eq!(maps.name(from), to);
        }
    }

    #[test]
    fn excluding_wins_over_including() {
        let options = Options { names: vec!["app/*".into()], exclude: vec!["*/scratch".into()], ..Options::default() };
        assert!(options.wants("app/db") && !options.wants("app/scratch") && !options.wants("web/db"));
    }
}
