//! The map of consumers: for each secret who uses it, and what must be done before or after the secret is in another place.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    model::{Place, Secret},
    provider::{AccessLog, Consumer, Fixes, Follows, Looked},
};

/// Consumers of one place that are kept.
const MOST: usize = 100_000;

/// A line of a map as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// Where.
    pub place: Place,
    /// The secret.
    pub secret: String,
    /// Whether the backup has it.
    pub in_backup: bool,
    /// Who.
    pub consumer: Consumer,
}

/// What is stored: a consumer, or how far a place was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A consumer.
    Used(Used),
    /// Something that was looked at.
    Looked(Place, Looked),
}

/// What to do about a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Todo {
    /// Widen it now: on the day of the outage nobody may be able to.
    WidenBefore,
    /// Change its reference, and deploy.
    ChangeAndDeploy,
    /// Deploy it.
    Deploy,
    /// Change what it asks for, or serve the secret to it.
    ChangeOrServe,
    /// Nothing: it follows a restore.
    Nothing,
}

impl Used {
    /// What to do.
    pub fn todo(&self) -> Todo {
        let is_fixed = !self.consumer.fixes.is_empty();
        // An account and a region alone are fixed by every identifier: what was restored in the same place keeps them.
        match self.consumer.follows {
            Follows::Right if is_fixed => Todo::WidenBefore,
            Follows::Deployment if is_fixed => Todo::ChangeAndDeploy,
            Follows::Deployment => Todo::Deploy,
            Follows::ByItself | Follows::Unknown if is_fixed => Todo::ChangeOrServe,
            Follows::Right | Follows::ByItself | Follows::Unknown => Todo::Nothing,
        }
    }
}

/// Collects the consumers of one place.
pub struct Uses {
    place: Place,
    names: BTreeMap<String, String>,
    found: BTreeSet<Used>,
    /// Consumers that found no room.
    pub beyond: u64,
    /// References to secrets of other places.
    pub elsewhere: u64,
}

impl Uses {
    /// Of a place with these secrets.
    pub fn new(place: Place, secrets: &[Secret], log: Option<&dyn AccessLog>) -> Self {
        let mut names = BTreeMap::new();
        for secret in secrets {
            let ids = log.map_or_else(|| vec![secret.id.clone(), secret.name.clone()], |log| log.ids(secret));
            names.extend(ids.into_iter().map(|id| (id, secret.name.clone())));
        }
        Self { place, names, found: BTreeSet::new(), beyond: 0, elsewhere: 0 }
    }

    /// Takes a consumer: of a secret of the backup, or of one that only it knows.
    pub fn take(&mut self, log: Option<&dyn AccessLog>, consumer: Consumer) {
        let reference = &consumer.reference;
        let (secret, in_backup) = if let Some(name) = self.names.get(reference) {
            (name.clone(), true)
        } else {
            let named = log.map(|log| log.named(reference));
            let place = named.as_ref().and_then(|named| named.place.as_ref());
            if place.is_some_and(|(account, region)| *account != self.place.account || *region != self.place.region) {
                self.elsewhere += 1;
                return;
            }
            let name = named.map_or_else(|| reference.clone(), |named| named.name);
            let in_backup = self.names.values().any(|known| *known == name);
            (name, in_backup)
        };
        if self.found.len() >= MOST {
            self.beyond += 1;
            return;
        }
        self.found.insert(Used { place: self.place.clone(), secret, in_backup, consumer });
    }

    /// As lines of a map, sorted.
    pub fn lines(self, looked: Vec<Looked>) -> Vec<Line> {
        let place = self.place;
        let looked = looked.into_iter().map(|one| Line::Looked(place.clone(), one));
        looked.chain(self.found.into_iter().map(Line::Used)).collect()
    }
}

/// The consumers of a secret, each once, as a plan names them.
pub fn consumers_of(lines: &[Line], place: &Place, secret: &str) -> Vec<String> {
    let named = lines.iter().filter_map(|line| match line {
        Line::Used(used) if used.place == *place && used.secret == secret => {
            Some(format!("{} {}", used.consumer.kind, used.consumer.id))
        }
        _ => None,
    });
    named.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether everything was looked at.
pub fn is_whole(lines: &[Line]) -> bool {
    lines.iter().all(|line| match line {
        Line::Looked(_, looked) => looked.reason.is_none(),
        Line::Used(_) => true,
    })
}

/// Words for what a reference fixes.
pub fn words(fixes: &BTreeSet<Fixes>) -> String {
    let word = |one: &Fixes| match one {
        Fixes::Ending => "the six characters at the end",
        Fixes::Region => "the region",
        Fixes::Account => "the account",
        Fixes::Network => "a network",
    };
    fixes.iter().map(word).collect::<Vec<_>>().join(", ")
}
