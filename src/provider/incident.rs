//! What a kind of provider knows about answering a compromise: how a secret gets a new value, who may read it, and where to look
//! who did. Pure, but for [`Rotator`], which is the one way to rotate and is given to nobody else.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ProviderError, kind};
use crate::model::{Existing, Place, Record, Secret};

/// How a secret gets a new value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "way", content = "by", rename_all = "snake_case")]
pub enum Way {
    /// By one call: the provider rotates it with this function.
    Rotatable(String),
    /// By the service that manages it, and by nobody else.
    Managed(String),
    /// By a command that somebody configured.
    Scripted(Vec<String>),
    /// By a person.
    Manual,
    /// Never: what it protects is moved away first.
    Never(String),
}

/// Something to do or to look at, and the command or the place for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Advice {
    /// What it is for.
    pub what: String,
    /// A command, a query, or where to go.
    pub command: String,
}

/// The part of a plan against a compromise that is a kind's own. The default is a kind that knows nothing: a person does it all.
pub trait Incident: Sync {
    /// How the provider itself would give it a new value.
    fn way(&self, record: &Record) -> Way {
        let _ = record;
        Way::Manual
    }

    /// Whom its own policy lets read it.
    fn readers(&self, secret: &Secret) -> Vec<String> {
        let _ = secret;
        Vec::new()
    }

    /// How to stop one of these principals without stopping the service.
    fn contain(&self, place: &Place, principals: &[String]) -> Vec<Advice> {
        let _ = (place, principals);
        Vec::new()
    }

    /// The call that rotates it, as a command.
    fn rotation(&self, place: &Place, secret: &Secret) -> Option<String> {
        let _ = (place, secret);
        None
    }

    /// The least policy of the role that rotates these, by identifier; it reads no value.
    fn policy(&self, place: &Place, items: &[(&str, &Way)]) -> Option<serde_json::Value> {
        let _ = (place, items);
        None
    }

    /// How the old value stops being readable after there is a new one.
    fn revoke(&self, place: &Place, record: &Record) -> Vec<Advice> {
        let _ = (place, record);
        Vec::new()
    }

    /// Who read them since.
    fn look_back(&self, place: &Place, secrets: &[&Secret], (since, until): (Timestamp, Timestamp)) -> Vec<Advice> {
        let _ = (secrets, since, until);
        vec![Advice {
            what: "who read these secrets".into(),
            command: format!("the audit log of {}: Lifeboat has no query for this kind", place.short()),
        }]
    }
}

/// A kind that knows nothing of its own.
pub struct NoIncident;

impl Incident for NoIncident {}

/// What the kind of a place knows; of a kind that this build does not have, nothing is known.
pub fn incident(scheme: &str) -> &'static dyn Incident {
    kind(scheme).map_or(&NoIncident, |kind| kind.ops().incident())
}

/// Connects to what rotates the secrets of a place; `None` where its kind has no such call.
///
/// # Errors
/// No credentials.
pub async fn rotator(place: &Place) -> Result<Option<Arc<dyn Rotator>>, ProviderError> {
    match kind(&place.provider) {
        Ok(kind) => kind.ops().rotator(place).await,
        Err(_) => Ok(None),
    }
}

/// Rotates secrets at once. It can do nothing else, and nothing else can do this: a restore has no way to say it.
#[async_trait]
pub trait Rotator: Send + Sync {
    /// Asks the provider which account and region this is.
    ///
    /// # Errors
    /// When the provider cannot be reached or refuses.
    async fn place(&self) -> Result<Place, ProviderError>;

    /// What has this name now: its versions and labels, no value.
    ///
    /// # Errors
    /// Any refusal.
    async fn look(&self, name: &str) -> Result<Option<Existing>, ProviderError>;

    /// Begins the rotation of a secret, by its identifier. With the same token it is begun once, however often it is asked. Gives
    /// the id of the version that comes.
    ///
    /// # Errors
    /// Any refusal.
    async fn rotate_now(&self, name: &str, id: &str, token: &str) -> Result<String, ProviderError>;
}
