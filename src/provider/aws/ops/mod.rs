//! What belongs to AWS beside secrets: IAM policies, rights, the clock, signing in, advice.

pub mod alarms;
mod consumers;
mod events;
mod imports;
mod incident;
mod policy;
mod redeploy;
mod rights;
mod trail;

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt as _;

use self::{
    consumers::Finder,
    events::Feed,
    imports::AwsImports,
    incident::AwsIncident,
    policy::{Grant, condition, policy, sources_policy},
    redeploy::Deployer,
    rights::{Allowed, Permission},
    trail::Trail,
};
use super::{Aws, AwsSettings, kind::settings};
use crate::{
    clock::{Clock as _, SystemClock},
    model::{Place, Secret},
    outward::{SignIn, profile_that_needs_a_code, signs_in_by},
    provider::{
        AccessLog, AlarmFormat, BadAddress, BadAlarm, ConsumerFinder, Entries, ErrorKind, EventFeed, Exam, Finding,
        Imports, Incident, Kind as _, NoPolicy, Ops, PolicyRequest, ProviderError, Redeployer, Role, Rotator, Source,
        State, Watched, ops,
    },
    text,
};

/// AWS refuses requests whose time is further off than this.
const MOST_SKEW_SECONDS: f64 = 300.0;
/// What is worth a word.
const SOME_SKEW_SECONDS: f64 = 30.0;

/// AWS's.
pub struct AwsOps;

#[async_trait]
impl Ops for AwsOps {
    fn imports(&self) -> Option<&'static dyn Imports> {
        Some(&AwsImports)
    }

    fn incident(&self) -> &'static dyn Incident {
        &AwsIncident
    }

    fn access_log(&self) -> Option<&'static dyn AccessLog> {
        Some(&Trail)
    }

    async fn rotator(&self, place: &Place) -> Result<Option<Arc<dyn Rotator>>, ProviderError> {
        Ok(Some(Arc::new(Aws::connect(AwsSettings::region(&place.region)).await?)))
    }

    async fn source(&self, exam: &Exam<'_>) -> Option<Vec<Finding>> {
        Some(match Aws::connect(settings(exam.address, exam.connection)).await {
            Ok(source) => {
                let mut found = vec![Finding::well("credentials")];
                found.extend(examine(&source, exam).await);
                found
            }
            Err(error) => vec![Finding::failed("credentials", error)],
        })
    }

    async fn target(&self, exam: &Exam<'_>) -> Result<Vec<Finding>, ProviderError> {
        let target = Aws::connect(settings(exam.address, exam.connection)).await?;
        let mut found = examine(&target, exam).await;
        found.push(sign_in(exam.source_regions, &target.region));
        if exam.role == Role::Restore {
            found.push(replicas(&target).await);
        }
        Ok(found)
    }

    async fn policy(&self, request: &PolicyRequest<'_>) -> Result<String, NoPolicy> {
        let region = request.address.region().unwrap_or_default();
        super::AwsKind.known_region(region).await.map_err(BadAddress::from)?;
        let account = match &request.account {
            Some(account) => account.clone(),
            None => request.address.account().await?,
        };
        let grant = Grant {
            region: region.to_owned(),
            account,
            name_prefix: request.name_prefix.to_owned(),
            keys: request.keys.to_vec(),
            rotation: request.rotation,
            replication: request.replication,
            promotion: request.promotion,
            replace: request.replace,
        };
        let mut policy = policy(request.role, &grant);
        condition(&mut policy, request.mfa, request.vpc_endpoints);
        Ok(page(&policy))
    }

    fn entry_policy(&self, entries: &Entries<'_>) -> Option<String> {
        let arn = |account: &str, name: &str| format!("arn:aws:iam::{account}:role/{name}");
        let roles = match entries.organization {
            Some((name, [])) => vec![arn("*", name)],
            Some((name, accounts)) => accounts.iter().map(|account| arn(account, name)).collect(),
            None => entries.roles.to_vec(),
        };
        (!roles.is_empty()).then(|| page(&sources_policy(&roles, entries.organization.is_some())))
    }

    fn alarms(&self, watched: &Watched, format: AlarmFormat) -> Option<Result<String, BadAlarm>> {
        Some(alarms::alarms(watched, format))
    }

    fn consumers(&self) -> Option<&'static dyn ConsumerFinder> {
        Some(&Finder)
    }

    fn events(&self) -> Option<&'static dyn EventFeed> {
        Some(&Feed)
    }

    fn redeployer(&self) -> Option<&'static dyn Redeployer> {
        Some(&Deployer)
    }

    /// Alone roles are seen in a session: an account or everybody would be no stranger's name.
    fn known_readers(&self, secret: &Secret) -> Vec<String> {
        let is_role = |who: &String| who.starts_with("arn:") && who.contains(":iam::") && who.contains(":role/");
        self.incident().readers(secret).into_iter().filter(is_role).collect()
    }

    fn remedy(&self, error: &ProviderError) -> Option<String> {
        if let (ErrorKind::Credentials | ErrorKind::Denied, Some(profile)) = (error.kind, profile_that_needs_a_code()) {
            let export =
                text::command(["aws", "configure", "export-credentials", "--profile", profile, "--format", "env"]);
            return Some(format!(
                "the AWS profile {profile} needs an MFA code, and only the aws CLI asks for it: \
                 eval \"$({export})\", then run the command again"
            ));
        }
        let words = match error.kind {
            ErrorKind::Credentials => "set credentials as for any AWS tool (AWS_PROFILE, a role, the environment)",
            ErrorKind::Unavailable => "check the network, the region and AWS_ENDPOINT_URL; run again to continue",
            ErrorKind::Denied => {
                "`lifeboat doctor --to aws:REGION` shows which permissions are missing; `lifeboat doctor --policy restore` \
                 prints them (docs/iam.md)"
            }
            _ => return ops::remedy(error),
        };
        Some(words.to_owned())
    }
}

/// As a file that somebody gives to IAM.
fn page(policy: &serde_json::Value) -> String {
    let page = serde_json::to_string_pretty(policy).expect("a policy is plain data");
    format!("{}\n", text::json(&page))
}

/// Who it is, what it allows, what time it has.
async fn examine(aws: &Aws, exam: &Exam<'_>) -> Vec<Finding> {
    let place = match Source::place(aws).await {
        Ok(place) => place,
        Err(error) => return vec![Finding::failed(exam.what, error)],
    };
    let mut found = vec![Finding::well(exam.what), Finding::account(&place, exam.account)];
    match aws.permissions(exam.role, exam.name_prefix).await {
        Ok(permissions) => found.extend(permissions.into_iter().map(permission)),
        Err(error) => found.push(Finding::failed("permissions", error)),
    }
    found.push(clock(aws.time().await.ok().flatten()));
    found
}

fn permission(permission: Permission) -> Finding {
    let (state, detail) = match permission.allowed {
        Allowed::Yes => (State::Well, String::new()),
        Allowed::No => {
            (State::Wrong, "denied; `lifeboat doctor --policy` shows the permissions that are needed".into())
        }
        Allowed::Untold => (State::Remark, "cannot be checked without creating a secret".into()),
        Allowed::Unknown(code) => (State::Unknown, code),
    };
    Finding::new(permission.operation, state, detail)
}

fn clock(theirs: Option<jiff::Timestamp>) -> Finding {
    let Some(theirs) = theirs else {
        return Finding::new("clock", State::Unknown, "the provider's response has no time");
    };
    let seconds = SystemClock.now().duration_since(theirs).as_secs_f64();
    let state = match seconds.abs() {
        apart if apart > MOST_SKEW_SECONDS => State::Wrong,
        apart if apart > SOME_SKEW_SECONDS => State::Remark,
        _ => State::Well,
    };
    let detail = format!("{seconds:+.0} s against the provider; AWS refuses requests more than 5 min apart");
    Finding::new("clock", state, detail)
}

/// Counts the replicas, which no restore may write to before they are promoted.
async fn replicas(target: &Aws) -> Finding {
    let region = &target.region;
    let mut listing = Source::list(target);
    let (mut all, mut replicas) = (0_u64, 0_u64);
    loop {
        match listing.try_next().await {
            Ok(Some(listed)) => {
                all += 1;
                let primary = listed.secret.facets.primary_region;
                replicas += u64::from(primary.is_some_and(|primary| primary != *region));
            }
            Ok(None) => break,
            Err(error) => return Finding::failed("replicas", error),
        }
    }
    let detail = format!("{replicas} of {all} secrets in {region} are replicas of another region");
    if replicas == 0 {
        return Finding::new("replicas", State::Well, detail);
    }
    let way = "restore them with --on-replica promote (lifeboat doctor --policy restore --promotion)";
    Finding::new("replicas", State::Remark, format!("{detail}; {way}"))
}

/// Whether signing in needs a region that a source is in. Keys, and roles that they take, need the target's region alone: the SDK
/// asks the STS of the region it works in.
fn sign_in(sources: &[String], target: &str) -> Finding {
    let (state, detail) = match signs_in_by() {
        None => (State::Well, format!("keys, or a role in {target}: no other region is needed")),
        Some(SignIn::Program) => {
            let detail = "credential_process runs a program: check that it works without the region of the source";
            (State::Remark, detail.into())
        }
        Some(SignIn::Center(region)) if sources.contains(region) => {
            let detail = format!(
                "IAM Identity Center is in {region}, and so is a source: if {region} is gone you cannot sign in; \
                 keep a role or keys for that day"
            );
            (State::Wrong, detail)
        }
        Some(SignIn::Center(region)) if region == target => (State::Well, format!("IAM Identity Center in {region}")),
        Some(SignIn::Center(region)) => {
            (State::Remark, format!("IAM Identity Center is in {region}: if {region} is gone you cannot sign in"))
        }
    };
    Finding::new("sign-in", state, detail)
}
