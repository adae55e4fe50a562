//! What a quiet day can tell of a restore target: replicas that stand there, and whether signing in needs a region that
//! may be gone.

use futures::TryStreamExt;

use super::{Context, Findings, State};
use crate::{
    cli::environment::{SignIn, signs_in_by},
    provider::{Source, aws::Aws},
};

impl Findings {
    /// Counts the replicas, which no restore may write to before they are promoted.
    pub(super) async fn replicas(&mut self, target: &Aws, region: &str) {
        let mut listing = Source::list(target);
        let (mut all, mut replicas) = (0_u64, 0_u64);
        loop {
            match listing.try_next().await {
                Ok(Some(listed)) => {
                    all += 1;
                    let primary = listed.secret.facets.primary_region;
                    replicas += u64::from(primary.is_some_and(|primary| primary != region));
                }
                Ok(None) => break,
                Err(error) => {
                    self.attempt::<(), _>("replicas", Err(error));
                    return;
                }
            }
        }
        let detail = format!("{replicas} of {all} secrets in {region} are replicas of another region");
        if replicas == 0 {
            self.add("replicas", State::Well, detail);
        } else {
            let way = "restore them with --on-replica promote (lifeboat doctor --policy restore --promotion)";
            self.add("replicas", State::Remark, format!("{detail}; {way}"));
        }
    }

    /// Whether signing in needs a region that a source is in. Keys, and roles that they take, need the target's region
    /// alone: the SDK asks the STS of the region it works in.
    pub(super) fn sign_in(&mut self, context: &Context, target: &str) {
        let host = context.host().ok();
        let sources = host.as_ref().map(|host| host.config.sources.regions()).unwrap_or_default();
        let (state, detail) = match signs_in_by() {
            None => (State::Well, format!("keys, or a role in {target}: no other region is needed")),
            Some(SignIn::Program) => {
                let detail = "credential_process runs a program: check that it works without the region of the source";
                (State::Remark, detail.into())
            }
            Some(SignIn::Center(region)) if sources.iter().any(|source| source == region) => {
                let detail = format!(
                    "IAM Identity Center is in {region}, and so is a source: if {region} is gone you cannot sign in; \
                     keep a role or keys for that day"
                );
                (State::Wrong, detail)
            }
            Some(SignIn::Center(region)) if region == target => {
                (State::Well, format!("IAM Identity Center in {region}"))
            }
            Some(SignIn::Center(region)) => {
                (State::Remark, format!("IAM Identity Center is in {region}: if {region} is gone you cannot sign in"))
            }
        };
        self.add("sign-in", state, detail);
    }
}
