//! Who uses a secret, and what of its place the reference fixes: what a kind can find out, whatever the kind.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Address, Connection, ProviderError};
use crate::model::Secret;

/// What a reference fixes, so that it means nothing in another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fixes {
    /// The ending that the provider gives to an identifier: a restored secret gets another one.
    Ending,
    /// The region.
    Region,
    /// The account.
    Account,
    /// The network that a call comes from.
    Network,
}

/// How a consumer gets a new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Follows {
    /// It asks for the value by itself.
    ByItself,
    /// It has the value since its start: a deployment gives it the new one.
    Deployment,
    /// It is a right and no program.
    Right,
    /// Nobody knows.
    Unknown,
}

/// One consumer of one secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consumer {
    /// What it is, in the words of the kind.
    pub kind: String,
    /// Which one.
    pub id: String,
    /// Where in it.
    pub at: String,
    /// What it refers to, as it is written there: an identifier or a name, never a value. Empty for every secret of the place.
    pub reference: String,
    /// What the reference fixes.
    pub fixes: BTreeSet<Fixes>,
    /// How it gets a new value.
    pub follows: Follows,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Looked {
    /// At what.
    pub what: String,
    /// How many of them; `None` where it is unknown.
    pub count: Option<u64>,
    /// Why it is unknown, or not all of it is known.
    pub reason: Option<String>,
}

/// What is known before anybody is asked.
pub struct Surveyed<'a> {
    /// The secrets.
    pub secrets: &'a [Secret],
}

/// What finds consumers. Pure, but for [`ConsumerFinder::survey`], which changes nothing and keeps no value.
#[async_trait]
pub trait ConsumerFinder: Sync {
    /// Whom the captured policy of a secret names, and what it fixes.
    fn of_policy(&self, secret: &Secret) -> Vec<Consumer>;

    /// A reader that the trail names, who asked for the secret with this reference.
    fn reader(&self, id: &str, reference: &str) -> Consumer;

    /// Asks the services of the provider. What cannot be asked is in the answer, and is no error.
    ///
    /// # Errors
    /// No connection can be prepared at all.
    async fn survey(
        &self,
        address: &Address,
        connection: &Connection<'_>,
        surveyed: Surveyed<'_>,
        sink: &mut (dyn FnMut(Consumer) + Send),
    ) -> Result<Vec<Looked>, ProviderError>;
}
