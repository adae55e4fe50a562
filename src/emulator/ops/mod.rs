//! The operations of Secrets Manager, and how a call finds its secret.
#![expect(
    clippy::needless_pass_by_value,
    reason = "every operation owns the request it was sent, whatever it keeps of it"
)]

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    entry, limits,
    refusal::Refusal,
    secret::{Millis, Secret},
    state::{Region, World},
};

mod deletion;
mod filters;
mod list;
mod password;
mod policy;
mod read;
mod replication;
mod rotation;
mod stages;
mod tags;
mod versions;
mod write;

/// The body of an answer, or the refusal.
pub(super) type Answer = Result<Vec<u8>, Refusal>;

macro_rules! operations {
    ($($name:ident => $call:path,)*) => {
        /// The operations that exist here.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Operation { $($name),* }

        impl Operation {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            pub fn parse(name: &str) -> Option<Self> {
                match name { $(stringify!($name) => Some(Self::$name),)* _ => None }
            }
        }

        /// Carries out one call.
        pub(super) fn dispatch(operation: Operation, call: &Call<'_>, body: &[u8]) -> Answer {
            match operation { $(Operation::$name => $call(call, decode(body)?)),* }
        }
    };
}

operations! {
    BatchGetSecretValue => list::batch_get_secret_value,
    CancelRotateSecret => rotation::cancel_rotate_secret,
    CreateSecret => write::create_secret,
    DeleteResourcePolicy => policy::delete_resource_policy,
    DeleteSecret => deletion::delete_secret,
    DescribeSecret => read::describe_secret,
    GetRandomPassword => password::get_random_password,
    GetResourcePolicy => policy::get_resource_policy,
    GetSecretValue => read::get_secret_value,
    ListSecretVersionIds => versions::list_secret_version_ids,
    ListSecrets => list::list_secrets,
    PutResourcePolicy => policy::put_resource_policy,
    PutSecretValue => write::put_secret_value,
    RemoveRegionsFromReplication => replication::remove_regions,
    ReplicateSecretToRegions => replication::replicate_secret,
    RestoreSecret => deletion::restore_secret,
    RotateSecret => rotation::rotate_secret,
    StopReplicationToReplica => replication::stop_replication,
    TagResource => tags::tag_resource,
    UntagResource => tags::untag_resource,
    UpdateSecret => write::update_secret,
    UpdateSecretVersionStage => stages::update_secret_version_stage,
    ValidateResourcePolicy => policy::validate_resource_policy,
}

/// Who calls, and where.
pub(super) struct Call<'a> {
    pub world: &'a World,
    pub account: &'a str,
    pub region: &'a str,
    pub home: Arc<Region>,
    pub now: Millis,
}

/// The request of an operation that takes a secret only.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct OnlyId {
    secret_id: Option<String>,
}

/// Where a `SecretId` leads.
struct Place<'a> {
    account: &'a str,
    home: Arc<Region>,
    name: &'a str,
    arn: Option<&'a str>,
}

impl<'a> Call<'a> {
    pub fn new(world: &'a World, account: &'a str, region: &'a str) -> Self {
        Self { world, account, region, home: world.region(account, region), now: world.now() }
    }

    /// Looks at a secret.
    fn read<T>(&self, id: Option<&str>, look: impl FnOnce(&Secret) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let place = self.place(limits::secret_id(id)?)?;
        let shelf = place.home.read();
        let secret = shelf.by_name.get(place.name).ok_or_else(Refusal::no_such_secret)?;
        self.may_enter(&place, secret)?;
        look(secret)
    }

    /// Changes a secret, moves its `LastChangedDate`, and carries the change to its replicas.
    fn write<T>(&self, id: Option<&str>, change: impl FnOnce(&mut Secret) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let place = self.place(limits::secret_id(id)?)?;
        let mut shelf = place.home.write();
        let secret = shelf.by_name.get_mut(place.name).ok_or_else(Refusal::no_such_secret)?;
        self.may_enter(&place, secret)?;
        let done = change(secret)?;
        secret.touch_changed(self.now);
        let replicated = !secret.replicas.is_empty();
        drop(shelf);
        if replicated {
            replication::sync(self, place.account, place.name);
        }
        Ok(done)
    }

    /// Resolves a name, a full ARN, or an ARN without the six characters at its end.
    ///
    /// A resource that ends in a hyphen and six characters is always taken as a full ARN.
    fn place<'b>(&'b self, id: &'b str) -> Result<Place<'b>, Refusal> {
        if !id.starts_with("arn:") {
            return Ok(Place { account: self.account, home: Arc::clone(&self.home), name: id, arn: None });
        }
        let mut parts = id.splitn(7, ':').skip(2);
        let (Some("secretsmanager"), Some(region), Some(account), Some("secret"), Some(resource)) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Refusal::no_such_secret());
        };
        if region != self.region {
            return Err(Refusal::no_such_secret());
        }
        let (name, full) = match resource.len().checked_sub(7).map(|at| resource.split_at(at)) {
            Some((name, suffix)) if is_suffix(suffix) => (name, true),
            _ => (resource, false),
        };
        if account == self.account {
            return Ok(Place { account, home: Arc::clone(&self.home), name, arn: full.then_some(id) });
        }
        if !full {
            return Err(Refusal::no_such_secret());
        }
        Ok(Place { account, home: self.world.region(account, region), name, arn: Some(id) })
    }

    /// The ARN must be this secret's own; a foreign account needs the secret's policy.
    fn may_enter(&self, place: &Place<'_>, secret: &Secret) -> Result<(), Refusal> {
        if place.arn.is_some_and(|arn| arn != secret.arn) {
            return Err(Refusal::no_such_secret());
        }
        if place.account == self.account || policy::admits(secret.policy.as_deref(), self.account) {
            return Ok(());
        }
        Err(Refusal::new(
            "AccessDeniedException",
            format!("User: arn:aws:iam::{}:root is not authorized to access resource: {}", self.account, secret.arn),
        ))
    }

    /// The default key never serves another account.
    fn must_not_cross_default_key(&self, secret: &Secret) -> Result<(), Refusal> {
        let foreign = secret.arn.split(':').nth(4).is_some_and(|account| account != self.account);
        if foreign && secret.kms_key_id.is_none() {
            return Err(Refusal::invalid_request(
                "You can't access a secret from a different AWS account if you encrypt the secret with the default \
                 KMS service key.",
            ));
        }
        Ok(())
    }
}

fn is_suffix(suffix: &str) -> bool {
    suffix.starts_with('-') && suffix[1..].bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// Reads a request. Texts of the parser are kept back: they can quote the request.
fn decode<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Refusal> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|_| Refusal::new("SerializationException", "The request could not be read."))
}

fn answer(body: &impl Serialize) -> Answer {
    serde_json::to_vec(body).map_err(|_| Refusal::new("InternalServiceError", "The answer could not be written."))
}

/// The answer that most changes give: ARN and name.
fn named(secret: &Secret) -> Value {
    json!({ "ARN": secret.arn, "Name": &*secret.name })
}

fn dated(mut value: Value, key: &str, millis: Millis) -> Value {
    value[key] = json!(entry::seconds(millis));
    value
}

/// Random letters and digits.
pub(super) fn random_text(length: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz01234567890x";
    let mut bytes = vec![0_u8; length];
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 64)])).collect()
}

/// The ARN of a new secret.
pub(super) fn new_arn(region: &str, account: &str, name: &str) -> String {
    format!("arn:aws:secretsmanager:{region}:{account}:secret:{name}-{}", random_text(6))
}
