//! What providers tell of changes, for captures between two complete passes.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::{Address, Connection, ProviderError};

/// A secret that may have changed. Nothing of it is believed but that it is worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hint {
    /// The secret's name.
    pub name: String,
    /// The provider's identifier, where it was told.
    pub id: Option<String>,
}

/// What a message tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A secret may have changed.
    Change(Hint),
    /// Nothing changed: a refused request, or one that only reads.
    Nothing,
    /// It is none of this source, or no message that this version knows, for this reason. It stays in the queue, which gives it to
    /// the queue for dead letters in the end.
    Strange(&'static str),
}

/// One message of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Takes it out of the queue.
    pub receipt: String,
    /// What it tells.
    pub told: Told,
    /// When the change happened, by the provider's word.
    pub happened: Option<Timestamp>,
}

/// A queue with what a provider tells. Messages come at least once, in any order, and stay until they are taken out.
#[async_trait]
pub trait EventQueue: Send + Sync {
    /// Waits at most so long for messages, and hides those it gives from others for `hidden`. None is no failure.
    ///
    /// # Errors
    /// When the queue cannot be reached, refuses, or gives no proper answer.
    async fn receive(&self, wait: Duration, hidden: Duration) -> Result<Vec<Message>, ProviderError>;

    /// Takes messages out: what they tell of is captured. One that is given again changes nothing.
    ///
    /// # Errors
    /// When the queue cannot be reached or refuses; one that stays there is an error too.
    async fn remove(&self, receipts: &[String]) -> Result<(), ProviderError>;
}

/// What opens queues of a kind, and prints what fills them.
#[async_trait]
pub trait EventFeed: Sync {
    /// Connects to the queue of a source. `account`: the source's, whose events alone count.
    ///
    /// # Errors
    /// No credentials, or an address that is no queue of this kind.
    async fn open(
        &self,
        queue: &str,
        (address, account): (&Address, &str),
        connection: &Connection<'_>,
    ) -> Result<Box<dyn EventQueue>, ProviderError>;

    /// What has to be set up, so that the changes of a source come to a queue: for others to apply.
    fn set_up(&self, plan: &FeedPlan<'_>) -> String;
}

/// What is to be set up for a source.
#[derive(Clone, Copy, Debug)]
pub struct FeedPlan<'a> {
    /// The queue's name.
    pub queue: &'a str,
    /// The role that reads the queue, where the configuration names it.
    pub reader: Option<&'a str>,
    /// Whether changes that only a trail shows are wanted too: settings, policies, deletions.
    pub by_trail: bool,
}
