//! What a plan has to know about the target, asked before anything is decided. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    desire::{self, Wishing},
    options::{Options, Policies},
    plan::{Plan, wanted},
    policy,
    state::State,
};
use crate::{
    model::{Place, Record},
    provider::{Existing, PolicyVerdict, Presence, ProviderError, Target},
    repo::VerifiedManifest,
};

/// Keys, ARNs and policies asked about at the same time; the provider's limiter paces the calls.
const ASKED_AT_ONCE: usize = 16;

/// What is in a target, as far as a plan depends on it.
#[derive(Clone, Debug)]
pub struct Found {
    /// Who and where it says it is.
    pub place: Place,
    /// What has the wanted names.
    pub existing: Vec<Existing>,
    /// Keys and ARNs, and whether they are there.
    pub presence: BTreeMap<String, Presence>,
    /// Policies, and what the target thinks of them.
    pub policies: BTreeMap<String, PolicyVerdict>,
}

/// Asks the target who it is, what has the wanted names, and about every key, ARN and risky policy.
///
/// # Errors
/// The target cannot be asked. That one thing cannot be told is in the answer.
pub async fn look(
    target: &dyn Target,
    manifest: &VerifiedManifest,
    records: &[Record],
    options: &Options,
) -> Result<Found, ProviderError> {
    let place = target.place().await?;
    let names: BTreeSet<String> =
        wanted(records, options).iter().map(|record| options.maps.name(&record.secret.name)).collect();
    let existing = target.inventory(&names).await?;
    let mut found = Found { place, existing, presence: BTreeMap::new(), policies: BTreeMap::new() };
    let (references, policies) = questions(manifest, records, &found, options);
    let asked = |reference: String| async {
        let presence = target.presence(&reference).await?;
        Ok::<_, ProviderError>((reference, presence))
    };
    found.presence = stream::iter(references).map(asked).buffered(ASKED_AT_ONCE).try_collect().await?;
    let judged = |policy: String| async {
        let verdict = target.judge_policy(&policy).await?;
        Ok::<_, ProviderError>((policy, verdict))
    };
    found.policies = stream::iter(policies).map(judged).buffered(ASKED_AT_ONCE).try_collect().await?;
    Ok(found)
}

/// Whether what decided a plan is still so: what has its names, and what that is.
///
/// # Errors
/// The target cannot be asked.
pub async fn is_unchanged(target: &dyn Target, plan: &Plan) -> Result<bool, ProviderError> {
    let names = plan.secrets.iter().map(|secret| secret.desired.name.clone()).collect();
    let existing = target.inventory(&names).await?;
    let now: BTreeMap<&str, State> = existing.iter().map(|it| (&*it.secret.name, State::of(it))).collect();
    Ok(plan.secrets.iter().all(|secret| secret.before.as_ref() == now.get(secret.desired.name.as_str())))
}

impl Found {
    /// What is known of a key or an ARN.
    pub(super) fn presence(&self, reference: &str) -> Presence {
        let unasked = || Presence::Unknown("it was not asked for".into());
        self.presence.get(reference).cloned().unwrap_or_else(unasked)
    }

    /// The ARNs of the snapshot that nothing in the target will have, by the pattern that fits what is created instead.
    /// A secret that is still there, or is taken back, keeps its ARN.
    pub(super) fn moved(&self, records: &[Record], source: &Place, options: &Options) -> BTreeMap<String, String> {
        let there: BTreeSet<&str> = self.existing.iter().map(|existing| existing.secret.arn.as_str()).collect();
        let partition = |arn: &str| arn.split(':').nth(1).unwrap_or("aws").to_owned();
        let gone = records.iter().filter(|record| {
            let arn = record.secret.arn.as_str();
            // In the same place a secret that is not asked for was not looked for, and is taken to be there.
            let same_place = *source == self.place && !options.wants(&record.secret.name);
            arn.starts_with("arn:") && !there.contains(arn) && !same_place
        });
        gone.map(|record| {
            let arn = record.secret.arn.clone();
            let name = options.maps.name(&record.secret.name);
            let Place { region, account, .. } = &self.place;
            let pattern = format!("arn:{}:secretsmanager:{region}:{account}:secret:{name}-??????", partition(&arn));
            (arn, pattern)
        })
        .collect()
    }
}

fn questions(
    manifest: &VerifiedManifest,
    records: &[Record],
    found: &Found,
    options: &Options,
) -> (BTreeSet<String>, BTreeSet<String>) {
    let source = &manifest.manifest().source;
    let moved = found.moved(records, source, options);
    let wishing = Wishing { source, found, options, moved: &moved, time: manifest.manifest().time };
    let rewriting = wishing.rewriting();
    let (mut references, mut policies) = (BTreeSet::new(), BTreeSet::new());
    for record in wanted(records, options) {
        let secret = &record.secret;
        let key = secret.kms_key.as_deref();
        references.extend(key.and_then(|key| desire::candidate(key, source, &found.place, options).key));
        if let Some(text) = secret.policy.as_ref().filter(|_| options.policies != Policies::None) {
            let text = rewriting.policy(text);
            references.extend(desire::referred(Some(&text)));
            if policy::is_risky(&text) {
                policies.insert(text);
            }
        }
    }
    (references, policies)
}
