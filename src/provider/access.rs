//! Who read which secret, as the provider's own audit trail has it: what a trail gives, whatever the kind.

use std::io::Read;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::Serialize;

use super::{Address, Connection, ProviderError};
use crate::model::Secret;

/// What kind of principal a reader is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReaderKind {
    /// A role, whoever has taken it.
    Role,
    /// A user with keys or a password of its own.
    User,
    /// The owner of the account.
    Root,
    /// A service of the provider.
    Service,
    /// Another principal, such as another account.
    Other,
    /// The trail does not name the reader.
    Unknown,
}

/// Who reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Reader {
    /// The kind.
    pub kind: ReaderKind,
    /// The identifier that the provider has for it; empty where the trail does not name it.
    pub id: String,
}

/// One reading of a value, or the attempt at one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The secrets, as the caller named them; none where the trail does not say which.
    pub secrets: Vec<String>,
    /// Who read.
    pub reader: Reader,
    /// The code of the refusal.
    pub refused: Option<String>,
    /// Whether it came past the endpoint of a private network.
    pub is_outside: bool,
    /// Whether a person's session of the console made it without a second factor.
    pub lacks_mfa: bool,
    /// Whether a person made it, as far as the trail says so.
    pub by_person: bool,
}

/// One event of a trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What tells it from every other event.
    pub id: Option<String>,
    /// When.
    pub time: Timestamp,
    /// The account whose trail it is.
    pub account: String,
    /// The region.
    pub region: String,
    /// The reading; `None` where the event is about something else.
    pub reading: Option<Reading>,
}

/// What a trail gives: an event, or something that is none.
pub type Entry = Option<Event>;

/// Takes what a trail gives.
pub type Sink<'a> = dyn FnMut(Entry) + Send + 'a;

/// What is asked of a trail.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// From here on.
    pub from: Timestamp,
    /// Until before this.
    pub until: Timestamp,
    /// The time of asking.
    pub now: Timestamp,
    /// Entries after which the asking ends.
    pub most: u64,
}

/// How much of what was asked a trail gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Everything from here on was given.
    pub from: Timestamp,
    /// Everything before this was given.
    pub until: Timestamp,
    /// Why it is not everything that was asked for.
    pub reasons: Vec<String>,
}

/// A secret as a caller may name it in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The account and the region, where the name has them.
    pub place: Option<(String, String)>,
    /// The name.
    pub name: String,
}

/// The audit trail of a kind.
#[async_trait]
pub trait AccessLog: Sync {
    /// What it is called, in a sentence.
    fn title(&self) -> &'static str;

    /// Asks the provider for the readings of a time.
    ///
    /// # Errors
    /// It cannot be asked, or refuses the first question. What ends later is in [`Reach`].
    async fn look_up(
        &self,
        address: &Address,
        connection: &Connection<'_>,
        asked: Asked,
        sink: &mut Sink<'_>,
    ) -> Result<Reach, ProviderError>;

    /// Reads an exported file, in bounded memory.
    ///
    /// # Errors
    /// Why it ends early, in a sentence; what came before was given.
    fn read_file(&self, file: Box<dyn Read>, sink: &mut Sink<'_>) -> Result<(), String>;

    /// Every way to name a secret.
    fn ids(&self, secret: &Secret) -> Vec<String>;

    /// What an identifier names, where it is no secret of the backup.
    fn named(&self, id: &str) -> Named;
}
