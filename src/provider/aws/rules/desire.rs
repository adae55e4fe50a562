//! From a record to the state it is to have in the target: key, tags, versions, policy, rotation, replicas, deletion.

use std::collections::BTreeSet;

use super::{
    arns::{self, Rewriting},
    network, policy,
    state::is_system,
    steps::key_name,
};
use crate::{
    model::{
        AWSCURRENT, AWSPENDING, Codec, DRILL_TAG, DesiredVersion, Options, Place, Policies, PolicyVerdict, Presence,
        Record, Replica, Rotation, Secret, Tag, ValueRef, ValueState, Version,
    },
    provider::{Context, Wish},
};

/// The most versions put into a secret at once: AWS keeps about a hundred and prunes none younger than a day, and the
/// next rotation needs room (AWS: quotas of Secrets Manager).
pub(super) const MOST_VERSIONS: usize = 98;
/// AWS's own bounds of a recovery window, in days.
const WINDOW: (i64, i64) = (7, 30);
const HOURS_PER_DAY: i64 = 24;

/// The state a record is to have in the target. Of one that is there untouched nothing is left out.
pub(super) fn wish(record: &Record, context: &Context<'_>, untouched: bool) -> Wish {
    let secret = &record.secret;
    let mut wish = Wish::new(record, context);
    wish.desired.description = secret.facets.description.clone().filter(|text| !text.is_empty());
    wish.desired.block_public = context.options.policies != Policies::All;
    wish.desired.secret_type.clone_from(&secret.facets.r#type);
    for part in &secret.unreadable {
        wish.lose(&part.operation, &part.reason);
    }
    wish.tags(secret, context.options.marks);
    wish.key(secret, context);
    match &context.options.version {
        Some(wanted) => wish.one_version(record, wanted),
        None => wish.versions(record, untouched),
    }
    if untouched {
        wish.desired.policy.clone_from(&secret.facets.policy);
    } else {
        wish.policy(secret, context);
    }
    wish.rotation(secret, context);
    wish.replicas(secret, context);
    wish.deletion(secret, context);
    wish.unknown_fields(secret);
    if secret.facets.managed.is_some() {
        wish.note("this is the value of a managed secret under another name: no service updates it");
    }
    wish
}

impl Wish {
    /// A restored secret is nobody's leftover, so it never carries a drill's mark; a drill's own do.
    fn tags(&mut self, secret: &Secret, marks: bool) {
        let (system, own): (Vec<Tag>, Vec<Tag>) = secret.facets.tags.iter().cloned().partition(is_system);
        if !system.is_empty() {
            let keys: Vec<&str> = system.iter().map(|tag| tag.key.as_str()).collect();
            self.note(format!("system tags are left out, because AWS services set them: {}", keys.join(", ")));
        }
        let count = own.len();
        self.desired.tags = own;
        if !marks {
            self.desired.tags.retain(|tag| tag.key != DRILL_TAG);
            if self.desired.tags.len() < count {
                self.note(format!("the tag {DRILL_TAG} is left out: it is the mark of a drill"));
            }
        }
    }

    fn key(&mut self, secret: &Secret, context: &Context<'_>) {
        let Some(key) = secret.facets.key.as_deref() else { return };
        let Candidate { key: candidate, asked_for } = candidate(key, context.source, context.target, context.options);
        let Some(candidate) = candidate else {
            if !asked_for {
                self.note(format!(
                    "{} (use --kms-map to change this)",
                    default_instead(key, "belongs to", context.source)
                ));
            }
            return;
        };
        let trouble = match context.presence(&candidate) {
            Presence::There => None,
            Presence::Missing => Some("does not exist in the target".to_owned()),
            Presence::Unusable(state) => Some(format!("is {state} in the target")),
            Presence::Unknown(reason) => {
                self.note(format!("cannot check whether its key {candidate} is in the target: {reason}"));
                None
            }
        };
        match trouble {
            None => self.desired.kms_key = Some(candidate),
            Some(trouble) if asked_for => {
                self.refusal =
                    Some(format!("its key {candidate} {trouble} (use --kms-map to set another key, or default)"));
            }
            Some(trouble) => {
                let note = format!(
                    "its key {candidate} {trouble}; the target's default key is used (use --kms-map to change this)"
                );
                self.note(note);
            }
        }
    }

    /// Only the version asked for, as the current one.
    fn one_version(&mut self, record: &Record, wanted: &str) {
        let found = record.versions.iter().find(|version| version.id == wanted || version.has(wanted));
        let Some(version) = found else { return };
        if let Some(value) = ValueRef::of(version) {
            let labels = vec![AWSCURRENT.to_owned()];
            self.desired.versions.push(same(version, labels, value));
        }
        let others = record.versions.len() - 1;
        self.note(format!(
            "only version {} is restored, as AWSCURRENT; {others} other versions stay in the backup",
            version.id
        ));
    }

    fn versions(&mut self, record: &Record, untouched: bool) {
        let mut ordered: Vec<&Version> = record.versions.iter().collect();
        ordered.sort_by_key(|version| (version.created, version.id.clone()));
        let mut versions = Vec::new();
        for version in ordered {
            match (&version.value, ValueRef::of(version)) {
                (_, Some(value)) => {
                    versions.push(same(version, version.labels.clone(), value));
                }
                (ValueState::Unreadable { .. } | ValueState::Withheld { .. }, _) => {
                    self.lose(&version.id, &version.loss().unwrap_or_default());
                }
                _ if untouched => {}
                _ => self.note(format!("version {} has no value and is not created again", version.id)),
            }
        }
        if versions.iter().any(|version| version.has(AWSPENDING) && !version.has(AWSCURRENT)) {
            self.note("AWSPENDING is restored: a rotation was in progress; complete or cancel it before the next one");
        }
        if !untouched {
            self.drop_surplus(&mut versions);
        }
        self.desired.versions = versions;
    }

    /// The oldest unlabelled ones first.
    fn drop_surplus(&mut self, versions: &mut Vec<DesiredVersion>) {
        let mut surplus = versions.len().saturating_sub(MOST_VERSIONS);
        versions.retain(|version| {
            let drop = surplus > 0 && version.labels.is_empty();
            if drop {
                surplus -= 1;
                self.lose(&version.id, &format!("a restore writes at most {MOST_VERSIONS} versions to a secret"));
            }
            !drop
        });
    }

    fn policy(&mut self, secret: &Secret, context: &Context<'_>) {
        let Some(original) = &secret.facets.policy else { return };
        if context.options.policies == Policies::None {
            self.lose("policy", "left out because of --policies none");
            return;
        }
        let rewriting = rewriting(context);
        let policy = rewriting.policy(original);
        for arn in rewriting.old(policy.as_bytes()) {
            self.note(format!("its policy still names {arn}"));
        }
        let faults = match context.policies.get(&policy) {
            Some(PolicyVerdict::Refused(faults)) => faults.clone(),
            Some(PolicyVerdict::Accepted) => Vec::new(),
            Some(PolicyVerdict::Unknown(_)) | None => policy::faults(&policy, &context.target.account),
        };
        if let Some(PolicyVerdict::Unknown(reason)) = context.policies.get(&policy) {
            self.note(format!("the target did not check its policy ({reason}); only its text was checked"));
        }
        match (faults.is_empty(), context.options.policies) {
            (false, Policies::All) => {
                self.note(format!("its policy is restored because of --policies all: {}", faults.join("; ")));
            }
            (false, _) => {
                self.lose("policy", &format!("{} (use --policies all to restore it)", faults.join("; ")));
                return;
            }
            (true, _) => {}
        }
        self.unusable.extend(network::unusable(&policy, key_name(self.desired.key()), context));
        self.desired.policy = Some(policy);
    }

    fn rotation(&mut self, secret: &Secret, context: &Context<'_>) {
        let Some(rotation) = secret.facets.rotation.as_ref().filter(|rotation| rotation.enabled) else {
            if secret.facets.rotation.is_some() {
                self.note("rotation was off; its settings stay in the backup");
            }
            return;
        };
        if !context.options.rotation {
            self.note(
                "rotation was on; it stays off so that no live credential is rotated (use --rotation to switch it on)",
            );
            return;
        }
        let pending = self.desired.versions.iter().any(|version| version.has(AWSPENDING) && !version.has(AWSCURRENT));
        let (lambda, refused) = match &rotation.lambda {
            None => (None, Some("it has no rotation function; set up managed rotation in its service".to_owned())),
            Some(lambda) => function(lambda, context),
        };
        if let Some(reason) = refused {
            self.lose("rotation", &reason);
        } else if pending {
            self.lose("rotation", "AWSPENDING is on another version than AWSCURRENT, so AWS refuses it");
        } else {
            let derived = rotation.schedule.as_deref().is_none_or(|schedule| schedule.starts_with("rate("));
            if derived {
                self.note(
                    "with a rate() schedule AWS may run a due rotation at once; with a cron() schedule it does not",
                );
            }
            self.desired.rotation = Some(Rotation { lambda, ..rotation.clone() });
        }
    }

    fn replicas(&mut self, secret: &Secret, context: &Context<'_>) {
        if secret.facets.replicas.is_empty() {
            return;
        }
        let maps = &context.options.maps;
        let regions = secret.facets.replicas.iter().map(|replica| {
            let region = maps.region.get(&replica.region).unwrap_or(&replica.region).clone();
            let key = replica.key.as_deref().filter(|key| !key.ends_with("alias/aws/secretsmanager"));
            let key = key.and_then(|key| maps.kms.get(key).cloned().or_else(|| alias(key)));
            Replica { region, key: key.filter(|key| key.as_str() != "default"), status: None }
        });
        let (here, elsewhere): (Vec<Replica>, Vec<Replica>) =
            regions.partition(|replica| replica.region == context.target.region);
        let names: Vec<&str> = elsewhere.iter().map(|replica| replica.region.as_str()).collect();
        if context.options.replication {
            if !here.is_empty() {
                self.note("its replica in the target's region is now the restored secret");
            }
            self.desired.replicas = elsewhere;
        } else if !names.is_empty() {
            self.note(format!("its replicas are not created (use --replication to create them): {}", names.join(", ")));
        }
    }

    fn deletion(&mut self, secret: &Secret, context: &Context<'_>) {
        if let Some(deleted) = secret.deleted.filter(|_| context.options.deletion) {
            let days = deleted.duration_since(context.time).as_hours() / HOURS_PER_DAY;
            self.desired.deletion_days = Some(days.clamp(WINDOW.0, WINDOW.1));
            self.note("it is scheduled for deletion again at the end; then its values cannot be read back");
        }
    }

    /// What AWS told and this version does not understand is in the backup, and said.
    fn unknown_fields(&mut self, secret: &Secret) {
        let Some(answer) = secret.raw["DescribeSecret"].as_object() else { return };
        let unknown: Vec<&str> = answer.keys().map(String::as_str).filter(|key| !KNOWN_FIELDS.contains(key)).collect();
        if !unknown.is_empty() {
            self.note(format!("these settings stay in the backup and are not restored: {}", unknown.join(", ")));
        }
    }
}

/// A version under its own id.
fn same(version: &Version, labels: Vec<String>, value: ValueRef) -> DesiredVersion {
    let current = labels.iter().any(|label| label == AWSCURRENT);
    let (id, source) = (version.id.clone(), version.id.clone());
    DesiredVersion { id, source, current, labels, value, codec: Codec::AsIs }
}

/// The fields of a DescribeSecret answer that are restored, or are the provider's own.
const KNOWN_FIELDS: [&str; 21] = [
    "ARN",
    "CreatedDate",
    "DeletedDate",
    "Description",
    "KmsKeyId",
    "LastAccessedDate",
    "LastChangedDate",
    "LastRotatedDate",
    "Name",
    "NextRotationDate",
    "OwningService",
    "PrimaryRegion",
    "ReplicationStatus",
    "RotationEnabled",
    "RotationLambdaARN",
    "RotationRules",
    "Tags",
    "Type",
    "VersionIdsToStages",
    "SecretVersionsToStages",
    "ResponseMetadata",
];

/// The key that may stand for a source's key.
pub(super) struct Candidate {
    /// The key; `None` is the default key.
    pub key: Option<String>,
    /// Whether it must be this one: a person said so, or it is the same place.
    pub asked_for: bool,
}

/// A key of one region or account does not exist in another; an alias and a multi-Region key may.
pub(super) fn candidate(key: &str, source: &Place, target: &Place, options: &Options) -> Candidate {
    if let Some(mapped) = options.maps.kms.get(key) {
        return Candidate { key: Some(mapped.clone()).filter(|key| key.as_str() != "default"), asked_for: true };
    }
    if source == target {
        return Candidate { key: Some(key.to_owned()), asked_for: true };
    }
    let id = key.rsplit('/').next().unwrap_or(key);
    let same_account = source.account == target.account;
    let multi_region = (id.starts_with("mrk-") && same_account).then(|| id.to_owned());
    Candidate { key: alias(key).or(multi_region), asked_for: false }
}

fn alias(key: &str) -> Option<String> {
    let at = key.find("alias/")?;
    (at == 0 || key[..at].ends_with(':')).then(|| key[at..].to_owned())
}

fn default_instead(key: &str, why: &str, place: &Place) -> String {
    format!("its key {key} {why} {place}; the target's default key is used")
}

/// The rotation function in the target, or why there is none.
fn function(lambda: &str, context: &Context<'_>) -> (Option<String>, Option<String>) {
    let maps = &context.options.maps;
    let mapped = maps.lambda.get(lambda).cloned().unwrap_or_else(|| {
        let mut parts: Vec<&str> = lambda.split(':').collect();
        if let [_, _, _, region, account, ..] = &mut parts[..] {
            *region = maps.region.get(*region).map_or(*region, String::as_str);
            *account = maps.account.get(*account).map_or(*account, String::as_str);
        }
        parts.join(":")
    });
    let here = format!(":{}:{}:", context.target.region, context.target.account);
    if mapped.contains(&here) {
        (Some(mapped), None)
    } else {
        (None, Some(format!("its function {mapped} is not in the target (use --lambda-map)")))
    }
}

/// How ARNs of the old place become ARNs of the new one.
pub(super) fn rewriting<'a>(context: &Context<'a>) -> Rewriting<'a> {
    Rewriting { maps: &context.options.maps, source: context.source, target: context.target, moved: context.moved }
}

/// The ARNs in a policy that name one thing; patterns name none.
pub(super) fn referred(policy: Option<&str>) -> BTreeSet<String> {
    let mut arns = policy.map(arns::all).unwrap_or_default();
    arns.retain(|arn| !arn.contains(['*', '?']));
    arns
}
