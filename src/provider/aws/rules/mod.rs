//! AWS's rules: what a secret is to be there, and which writes make it so.

mod arns;
mod desire;
mod foreign;
mod names;
mod network;
mod policy;
mod state;
mod steps;

pub(super) use policy::readers;

use std::collections::BTreeSet;

use crate::{
    model::{
        AWSCURRENT, Desired, Existing, Moved, Place, Policies, Record, Secret, State, Step, Tag, ValueState, Version,
    },
    provider::{Context, ErrorKind, Goal, ProviderError, Questions, Quotas, Relation, Rules, Wish, Writes},
};

/// The rules of AWS Secrets Manager.
#[derive(Clone, Copy, Debug)]
pub struct AwsRules;

impl Rules for AwsRules {
    fn name_fault(&self, source: &Place, wanted: &str, name: &str) -> Option<String> {
        if source.provider == super::SCHEME && wanted == name { None } else { names::fault(wanted, name) }
    }

    fn is_by_credentials(&self) -> bool {
        true
    }

    fn questions(&self, secret: &Secret, context: &Context<'_>) -> Questions {
        let mut questions = Questions::default();
        if !context.is_same_kind() {
            return questions;
        }
        let key = secret.facets.key.as_deref();
        let candidate = |key| desire::candidate(key, context.source, context.target, context.options).key;
        questions.references.extend(key.and_then(candidate));
        if let Some(text) = secret.facets.policy.as_ref().filter(|_| context.options.policies != Policies::None) {
            let text = desire::rewriting(context).policy(text);
            questions.references.extend(desire::referred(Some(&text)));
            if policy::is_risky(&text) {
                questions.policies.insert(text);
            }
        }
        questions
    }

    fn refusal(&self, record: &Record, context: &Context<'_>) -> Option<String> {
        let secret = &record.secret;
        if let Some(service) = &secret.facets.managed
            && context.is_same_kind()
            && context.options.maps.name(&secret.name) == secret.name
        {
            return Some(format!(
                "managed by {service}: recreate it in that service, or restore its value under another name (--name-map)"
            ));
        }
        if context.options.version.is_some() {
            return None;
        }
        let what = if context.is_same_kind() { AWSCURRENT } else { "current" };
        match record.versions.iter().find(|version| version.is_current()) {
            Some(current) => current.unavailable(what).or_else(|| {
                let how = current.withheld_since()?;
                Some(format!("its {what} version is {how} in the source (use --version to restore one of them)"))
            }),
            // The first value put into a secret always becomes AWSCURRENT, so the others cannot be put back as they were.
            None if record.versions.iter().any(is_stored) => {
                Some("no version has the label AWSCURRENT (use --version to restore one of them)".into())
            }
            None => None,
        }
    }

    fn wish(&self, record: &Record, context: &Context<'_>, untouched: bool) -> Wish {
        if context.is_same_kind() { desire::wish(record, context, untouched) } else { foreign::wish(record, context) }
    }

    fn state(&self, existing: &Existing, place: &Place) -> State {
        state::of(existing, &place.region)
    }

    fn relate(&self, desired: &Desired, state: &State) -> Relation {
        steps::relate(desired, state)
    }

    fn writes(&self, desired: &Desired, state: &State, goal: Goal) -> Writes {
        steps::writes(desired, state, goal)
    }

    fn after(&self, state: &mut State, step: &Step) {
        state::after(state, step);
    }

    fn references(&self, desired: &Desired) -> BTreeSet<String> {
        let mut refers = desire::referred(desired.policy.as_deref());
        refers.extend(desired.kms_key.clone());
        refers.extend(desired.rotation.as_ref().and_then(|rotation| rotation.lambda.clone()));
        refers
    }

    fn marks_current(&self, label: &str) -> bool {
        label == AWSCURRENT
    }

    /// Not where it is the use of one key that is denied.
    fn denies_creation(&self, error: &ProviderError) -> bool {
        error.kind == ErrorKind::Denied && error.operation == "CreateSecret" && !error.message.contains("KMS")
    }

    fn left_behind(&self, text: &[u8], source: &Place, target: &Place, moved: &Moved) -> BTreeSet<String> {
        arns::left_behind(text, source, target, moved)
    }

    fn key_name<'a>(&self, key: Option<&'a str>) -> Option<&'a str> {
        steps::key_name(key)
    }

    fn is_system_tag(&self, tag: &Tag) -> bool {
        state::is_system(tag)
    }

    fn is_identifier(&self, id: &str, name: &str, place: &Place) -> bool {
        names::is_arn_of(id, name, place)
    }

    fn may_become(&self, record: &Record, version: &str) -> bool {
        let given = |known: &Version| known.id == version || foreign::is_id_of(&record.secret.name, known, version);
        record.versions.iter().any(given)
    }

    /// Per account and region, not adjustable:
    /// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>.
    fn quotas(&self) -> Option<Quotas> {
        Some(Quotas { whose: "AWS's", calls: 50.0, values: 10_000.0 })
    }

    /// The operations that AWS counts together.
    fn quota(&self, step: &Step) -> Option<&'static str> {
        match step {
            Step::Create { .. } => Some("create"),
            Step::PutVersion { .. }
            | Step::MoveStage { .. }
            | Step::Update { .. }
            | Step::Replicate { .. }
            | Step::Promote { .. } => Some("write"),
            Step::Tag { .. } | Step::Untag { .. } => Some("tag"),
            Step::Rotate { .. } => Some("rotate"),
            Step::PutPolicy { .. } | Step::DeletePolicy { .. } => Some("policy"),
            Step::Undelete { .. } => Some("undelete"),
            Step::ScheduleDeletion { .. } | Step::Destroy { .. } => Some("delete"),
            Step::Append { .. } | Step::Withhold { .. } | Step::Configure { .. } => None,
        }
    }
}

fn is_stored(version: &Version) -> bool {
    matches!(version.value, ValueState::Stored { .. })
}
