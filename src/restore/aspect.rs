//! What of a secret is compared, and how much of it. Counted where it is compared, never inferred. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::plan::{Outcome, SecretPlan};
use crate::{model::ValueKind, provider::Rules};

/// What of a secret is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Aspect {
    /// The index against the signed counts of the manifest: a drill counts it, a restore has nothing of it.
    Completeness,
    Ids,
    /// Values that are text.
    Values,
    /// Values that are bytes.
    Binary,
    Labels,
    Tags,
    /// The description, the type, and whether the secret is scheduled for deletion.
    Descriptions,
    Policies,
    Key,
    Rotation,
    Replicas,
}

/// The comparisons of one aspect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// How many things the plan puts in scope.
    pub expected: u64,
    /// How many of them were read back and compared.
    pub compared: u64,
    /// How many of those were equal.
    pub equal: u64,
    /// How many could not be compared because their secret or version is not there.
    pub missing: u64,
    /// How many are there besides.
    pub unexpected: u64,
}

/// The comparisons of every aspect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Tally(BTreeMap<Aspect, Count>);

impl Aspect {
    /// All of them, in the order of a report.
    pub const ALL: [Self; 11] = [
        Self::Completeness,
        Self::Ids,
        Self::Values,
        Self::Binary,
        Self::Labels,
        Self::Tags,
        Self::Descriptions,
        Self::Policies,
        Self::Key,
        Self::Rotation,
        Self::Replicas,
    ];

    /// The aspect that a value of this kind belongs to.
    pub fn of_kind(kind: ValueKind) -> Self {
        match kind {
            ValueKind::Text | ValueKind::Fields => Self::Values,
            ValueKind::Bytes => Self::Binary,
        }
    }

    /// The word in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Completeness => "completeness",
            Self::Ids => "ids",
            Self::Values => "values",
            Self::Binary => "binary",
            Self::Labels => "labels",
            Self::Tags => "tags",
            Self::Descriptions => "descriptions",
            Self::Policies => "policies",
            Self::Key => "key",
            Self::Rotation => "rotation",
            Self::Replicas => "replicas",
        }
    }
}

impl Count {
    /// Whether something is not as it should be.
    pub fn differs(&self) -> bool {
        self.equal < self.compared || self.missing > 0 || self.unexpected > 0
    }

    /// How many are in scope and neither were compared nor are known to be missing.
    pub fn uncompared(&self) -> u64 {
        self.expected.saturating_sub(self.compared.saturating_add(self.missing))
    }
}

impl Tally {
    /// The comparisons of `aspect`.
    pub fn of(&self, aspect: Aspect) -> Count {
        self.0.get(&aspect).copied().unwrap_or_default()
    }

    /// The same, to count.
    pub fn at(&mut self, aspect: Aspect) -> &mut Count {
        self.0.entry(aspect).or_default()
    }
}

/// What of a secret its plan puts in scope: one entry for each aspect that has something.
pub(super) fn scope(secret: &SecretPlan, rules: &dyn Rules) -> Vec<(Aspect, u64)> {
    let desired = &secret.desired;
    let mut found = BTreeMap::new();
    let mut add = |aspect, count: usize| *found.entry(aspect).or_insert(0) += count as u64;
    for version in secret.due_versions() {
        add(Aspect::Ids, 1);
        add(Aspect::of_kind(version.value.kind), 1);
        add(Aspect::Labels, secret.due_labels(version, rules).count());
    }
    if secret.outcome != Outcome::NewVersion {
        add(Aspect::Ids, desired.withheld.len());
        add(Aspect::Descriptions, desired.settings.len());
        add(Aspect::Tags, desired.tags.len());
        add(Aspect::Descriptions, usize::from(desired.description.is_some()));
        add(Aspect::Descriptions, usize::from(desired.secret_type.is_some()));
        add(Aspect::Descriptions, usize::from(desired.deletion_days.is_some()));
        add(Aspect::Policies, usize::from(desired.policy.is_some()));
        add(Aspect::Key, usize::from(rules.key_name(desired.key()).is_some()));
        add(Aspect::Rotation, usize::from(desired.rotation.is_some()));
        add(Aspect::Replicas, desired.replicas.len());
    }
    found.into_iter().filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Replica, Rotation, Tag};
    use crate::provider::aws::AwsRules;
    use crate::restore::{Desired, DesiredVersion, ValueRef};

    fn count(expected: u64, compared: u64, equal: u64, missing: u64, unexpected: u64) -> Count {
        Count { expected, compared, equal, missing, unexpected }
    }

    #[test]
    fn each_number_by_itself_is_a_difference() {
        assert!(!count(0, 0, 0, 0, 0).differs());
        assert!(!count(3, 3, 3, 0, 0).differs());
        assert!(!count(3, 2, 2, 0, 0).differs(), "what was not compared does not differ");
        assert!(count(3, 3, 2, 0, 0).differs());
        assert!(count(3, 2, 2, 1, 0).differs());
        assert!(count(3, 3, 3, 0, 1).differs());
        assert!(count(0, 0, 0, 0, 1).differs());
    }

    #[test]
    fn what_was_neither_compared_nor_missing_is_uncompared() {
        for (found, uncompared) in [
            (count(3, 3, 3, 0, 0), 0),
            (count(3, 2, 2, 0, 0), 1),
            (count(3, 2, 0, 1, 5), 0),
            (count(7, 2, 1, 3, 0), 2),
            (count(0, 0, 0, 0, 0), 0),
        ] {
            assert_eq!(found.uncompared(), uncompared, "{found:?}");
        }
    }

    fn version(id: &str, labels: &[&str], kind: ValueKind) -> DesiredVersion {
        let value = ValueRef { pack: crate::model::Digest::of(b""), line: 0, kind };
        let labels: Vec<String> = labels.iter().map(ToString::to_string).collect();
        let (source, current) = (id.into(), labels.contains(&"AWSCURRENT".to_owned()));
        DesiredVersion { id: id.into(), source, current, labels, value, codec: crate::model::Codec::AsIs }
    }

    /// A secret that has two, three or four of everything there can be several of.
    fn full() -> SecretPlan {
        let tag = |key: &str| Tag { key: key.into(), value: String::new() };
        let replica = |region: &str| Replica { region: region.into(), key: None, status: None };
        let rotation = Rotation { enabled: true, lambda: None, schedule: None, window: None, after_days: None };
        let desired = Desired {
            name: "a".into(),
            source_name: "a".into(),
            source_id: "arn:a".into(),
            description: Some("d".into()),
            kms_key: Some("alias/a".into()),
            tags: vec![tag("1"), tag("2"), tag("3"), tag("4")],
            policy: Some("{}".into()),
            block_public: false,
            secret_type: Some("t".into()),
            versions: vec![
                version("1", &[], ValueKind::Text),
                version("2", &["AWSPREVIOUS", "X"], ValueKind::Fields),
                version("3", &["AWSCURRENT", "Y", "Z"], ValueKind::Bytes),
            ],
            rotation: Some(rotation),
            replicas: vec![replica("r1"), replica("r2")],
            deletion_days: Some(7),
            ..Desired::default()
        };
        SecretPlan {
            desired,
            outcome: Outcome::Create,
            before: None,
            rank: 0,
            first: Vec::new(),
            then: Vec::new(),
            last: Vec::new(),
            kept: Vec::new(),
            lost: Vec::new(),
            unusable: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn the_scope_of_a_secret_is_all_it_is_to_have() {
        use Aspect::{Binary, Descriptions, Ids, Key, Labels, Policies, Replicas, Rotation, Tags, Values};
        let mut secret = full();
        let all = [
            (Ids, 3),
            (Values, 2),
            (Binary, 1),
            (Labels, 5),
            (Tags, 4),
            (Descriptions, 3),
            (Policies, 1),
            (Key, 1),
            (Rotation, 1),
            (Replicas, 2),
        ];
        assert_eq!(scope(&secret, &AwsRules), all);
        secret.outcome = Outcome::NewVersion;
        assert_eq!(scope(&secret, &AwsRules), [(Ids, 1), (Binary, 1), (Labels, 1)], "the rest stays as it was there");
    }

    #[test]
    fn what_a_secret_is_not_to_have_is_not_in_its_scope() {
        let mut secret = full();
        let desired = &mut secret.desired;
        (desired.versions, desired.tags, desired.replicas) = (Vec::new(), Vec::new(), Vec::new());
        (desired.description, desired.secret_type, desired.policy) = (None, None, None);
        (desired.rotation, desired.deletion_days) = (None, None);
        desired.kms_key = Some("arn:aws:kms:eu-west-1:1:alias/aws/secretsmanager".into());
        assert_eq!(scope(&secret, &AwsRules), [], "the default key is no key of its own");
    }

    #[test]
    fn a_tally_counts_each_aspect_apart() {
        let mut tally = Tally::default();
        tally.at(Aspect::Tags).equal += 2;
        tally.at(Aspect::Tags).equal += 1;
        tally.at(Aspect::Key).missing += 1;
        assert_eq!(tally.of(Aspect::Tags), count(0, 0, 3, 0, 0));
        assert_eq!(tally.of(Aspect::Key), count(0, 0, 0, 1, 0));
        assert_eq!(tally.of(Aspect::Ids), Count::default());
    }
}
