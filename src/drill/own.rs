//! The sandbox as a drill writes to it: what it created is known by identifier, and nothing else is ever written to.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{
    journal,
    mark::{Marker, NotOwn, Run},
};
use crate::{
    model::{Existing, Place, PolicyVerdict, Presence, Secret, SecretValue, Step},
    provider::{Applied, ErrorKind, ProviderError, Target},
    restore::{Outcome, SecretPlan},
};

/// How often, and how far apart, it is asked whether what was created shows.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);

/// What a drill is to create under a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// Whether it has room for a mark.
    pub has_room: bool,
    /// The ids of its versions.
    pub versions: BTreeSet<String>,
}

/// What came of a creation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// It is this one.
    Own(String),
    /// It was answered with this identifier, and has not been looked at yet.
    Answered(String),
    /// It was refused, or what has the name was not this drill's when it was looked at.
    Not,
    /// Its answer has not come.
    Unknown,
}

/// A target that a drill writes through.
pub(super) struct Own {
    target: Arc<dyn Target>,
    marker: Arc<Marker>,
    run: Run,
    planned: BTreeMap<String, Planned>,
    made: Mutex<BTreeMap<String, Made>>,
    journal: Option<PathBuf>,
}

/// What a plan creates, by name.
pub(super) fn planned(plan: &[SecretPlan]) -> BTreeMap<String, Planned> {
    let created = plan.iter().filter(|secret| secret.outcome == Outcome::Create);
    let one = |secret: &SecretPlan| {
        let has_room = secret.desired.tags.iter().any(|tag| tag.key == crate::model::DRILL_TAG);
        let appended = secret.writes().filter_map(|planned| match &planned.write {
            Step::Append { version, .. } => Some(version.clone()),
            _ => None,
        });
        let versions = secret.desired.versions.iter().map(|version| version.id.clone()).chain(appended).collect();
        (secret.desired.name.clone(), Planned { has_room, versions })
    };
    created.map(one).collect()
}

impl Own {
    pub fn new(
        target: Arc<dyn Target>,
        marker: Arc<Marker>,
        run: Run,
        planned: BTreeMap<String, Planned>,
        journal: Option<PathBuf>,
    ) -> Self {
        Self { target, marker, run, planned, made: Mutex::default(), journal }
    }

    /// Every name that a creation was sent for, and what came of it.
    pub fn made(&self) -> BTreeMap<String, Made> {
        self.book().clone()
    }

    /// Looks at what was answered to a creation.
    pub async fn resolve_answered(&self, name: &str, id: &str) -> Result<Resolved, ProviderError> {
        let Some(secret) = self.target.describe(id).await? else { return Ok(Resolved::Nothing) };
        Ok(self.is_own(name, id, &secret).map_or_else(Resolved::Other, |()| Resolved::Own(secret.id.clone())))
    }

    /// Looks once more at a name whose creation has no answer, or was met by something else.
    pub async fn resolve(&self, name: &str) -> Result<Resolved, ProviderError> {
        let Some(existing) = self.target.look_up(name).await? else { return Ok(Resolved::Nothing) };
        let own = self.is_own_by_mark(name, &existing);
        Ok(own.map_or_else(Resolved::Other, |()| Resolved::Own(existing.secret.id)))
    }

    /// With an answer: what has its identifier, as it is at once.
    fn is_own(&self, name: &str, id: &str, secret: &Secret) -> Result<(), NotOwn> {
        let planned = self.planned.get(name).ok_or(NotOwn::Unmarked)?;
        self.marker.is_own(&self.run, secret, Some(id), planned.has_room)?;
        if secret.name == name { Ok(()) } else { Err(NotOwn::OtherPlace) }
    }

    /// Without an answer: the mark, the time, and that it has no version but the plan's.
    fn is_own_by_mark(&self, name: &str, existing: &Existing) -> Result<(), NotOwn> {
        let planned = self.planned.get(name).ok_or(NotOwn::Unmarked)?;
        self.marker.is_own(&self.run, &existing.secret, None, planned.has_room)?;
        let all = existing.versions.iter().all(|version| planned.versions.contains(&version.id));
        if all { Ok(()) } else { Err(NotOwn::OtherVersions) }
    }

    async fn create(&self, step: &Step, value: Option<&SecretValue>) -> Result<Applied, ProviderError> {
        let name = step.name();
        if !self.planned.contains_key(name) {
            return Err(refused(step, "it is not in the plan"));
        }
        self.note(name, Made::Unknown);
        let applied = self.target.apply(step, None, value).await;
        let applied = applied.inspect_err(|error| {
            if error.kind != ErrorKind::Unavailable {
                self.note(name, Made::Not);
            }
        })?;
        let own = match &applied.created {
            Some(id) => {
                self.note(name, Made::Answered(id.clone()));
                journal::made(self.journal.as_deref(), name, id).map_err(|error| refused(step, &error.to_string()))?;
                let secret = self.shown(id).await?.ok_or(NotOwn::OtherPlace);
                secret.and_then(|secret| self.is_own(name, id, &secret).map(|()| secret.id))
            }
            None => match self.target.look_up(name).await? {
                Some(existing) => self.is_own_by_mark(name, &existing).map(|()| existing.secret.id),
                None => Err(NotOwn::OtherPlace),
            },
        };
        match own {
            Ok(id) => {
                self.note(name, Made::Own(id.clone()));
                Ok(Applied { created: Some(id) })
            }
            Err(why) => {
                self.note(name, Made::Not);
                Err(refused(step, &format!("the secret with this name does not belong to this drill: {why}")))
            }
        }
    }

    /// What has this identifier, after a moment where it does not show at once.
    async fn shown(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        for look in 1..LOOKS {
            if let Some(secret) = self.target.describe(id).await? {
                return Ok(Some(secret));
            }
            tokio::time::sleep(PAUSE * look).await;
        }
        self.target.describe(id).await
    }

    fn note(&self, name: &str, made: Made) {
        self.book().insert(name.to_owned(), made);
    }

    fn book(&self) -> MutexGuard<'_, BTreeMap<String, Made>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Resolved {
    /// Nothing.
    Nothing,
    /// What the drill created.
    Own(String),
    /// Something else.
    Other(NotOwn),
}

fn refused(step: &Step, message: &str) -> ProviderError {
    ProviderError {
        provider: "aws",
        kind: ErrorKind::Conflict,
        operation: if matches!(step, Step::Create { .. }) { "CreateSecret" } else { "write" },
        secret: Some(step.name().to_owned()),
        code: "NotOurs".into(),
        message: message.to_owned(),
    }
}

#[async_trait]
impl Target for Own {
    async fn place(&self) -> Result<Place, ProviderError> {
        self.target.place().await
    }

    fn write_pace(&self) -> Option<f64> {
        self.target.write_pace()
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        self.target.names()
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        self.target.look_up(name).await
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        self.target.describe(id).await
    }

    async fn presence(&self, reference: &str) -> Result<Presence, ProviderError> {
        self.target.presence(reference).await
    }

    async fn judge_policy(&self, policy: &str) -> Result<PolicyVerdict, ProviderError> {
        self.target.judge_policy(policy).await
    }

    async fn apply(
        &self,
        step: &Step,
        _at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        if matches!(step, Step::Create { .. }) {
            return self.create(step, value).await;
        }
        let made = self.book().get(step.name()).cloned();
        let Some(Made::Own(id)) = made else { return Err(refused(step, "this drill did not create it")) };
        self.target.apply(step, Some(&id), value).await
    }
}
