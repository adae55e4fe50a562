//! The proof that a compromise is over: every secret of the plan has a current version that was made afterwards, and the old one
//! no longer works.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Item, Plan, work};
use crate::{
    model::{Digest, Place},
    provider::{ProviderError, Rotator},
};

/// What was found of one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "finding", content = "why", rename_all = "snake_case")]
pub enum Finding {
    /// A new version, and the old value no longer works.
    Proven,
    /// A new version; nothing was configured that tries the old value.
    NotProbed,
    /// A new version, and the old value still works.
    StillWorks,
    /// The probe told neither.
    ProbeFailed(String),
    /// The version of the plan is still the current one, or one from before the compromise is.
    NotRotated,
    /// It is not there any more, so nobody gets a value of it there.
    Gone,
    /// Another secret has its name.
    OtherSecret,
}

/// One secret, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proven {
    /// Where it is.
    pub place: Place,
    /// Its name.
    pub name: String,
    /// The provider's identifier.
    pub id: String,
    /// The version that is current.
    pub version: Option<String>,
    /// When that was made.
    pub created: Option<Timestamp>,
    /// What was found.
    pub result: Finding,
}

/// The report; what is signed and stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// The plan.
    pub plan: Digest,
    /// What was asked for, as the plan has it.
    pub scope: Vec<String>,
    /// Since when others know the values.
    pub since: Timestamp,
    /// The secrets of one place or of all.
    pub secrets: Vec<Proven>,
}

impl Proof {
    /// Whether every secret is proven, and there is one.
    pub fn passed(&self) -> bool {
        !self.secrets.is_empty() && self.secrets.iter().all(|secret| secret.result == Finding::Proven)
    }
}

/// Looks at one secret of the plan; its probe may run for `limit`.
///
/// # Errors
/// What concerns the whole run.
pub async fn prove(plan: &Plan, item: &Item, rotator: &dyn Rotator, limit: Duration) -> Result<Proven, ProviderError> {
    let found = rotator.look(&item.name).await?;
    let proven = |version: Option<String>, created, result| Proven {
        place: item.place.clone(),
        name: item.name.clone(),
        id: item.id.clone(),
        version,
        created,
        result,
    };
    let Some(found) = found else { return Ok(proven(None, None, Finding::Gone)) };
    if found.secret.id != item.id {
        return Ok(proven(None, None, Finding::OtherSecret));
    }
    let current = found.versions.iter().find(|version| version.is_current());
    let (version, created) = (current.map(|it| it.id.clone()), current.and_then(|it| it.created));
    let is_new =
        version.is_some() && version != item.current && created.is_some_and(|created| created > plan.asked.since);
    if !is_new {
        return Ok(proven(version, created, Finding::NotRotated));
    }
    if item.probe.is_empty() {
        return Ok(proven(version, created, Finding::NotProbed));
    }
    let result = match work::run(&item.probe, item, limit).await {
        Ok(0) => Finding::Proven,
        Ok(1) => Finding::StillWorks,
        Ok(code) => Finding::ProbeFailed(format!("it ended with {code}")),
        Err(why) => Finding::ProbeFailed(format!("it {why}")),
    };
    Ok(proven(version, created, result))
}
