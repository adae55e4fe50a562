//! One secret of a plan carried out. What only a person can do waits for one.

use std::{process::Stdio, time::Duration};

use serde::Serialize;
use tokio::process::Command;

use super::{Item, Plan};
use crate::{
    model::{Digest, Existing},
    provider::{ProviderError, Rotator, Way},
};

/// Between two looks at a rotation that was begun.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What became of one secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// It has a new current version.
    Rotated {
        /// Its id.
        version: String,
    },
    /// It had one since the plan was made.
    Already {
        /// Its id.
        version: String,
    },
    /// A person has to do it.
    Waits {
        /// What.
        what: String,
    },
    /// It was not done.
    Failed {
        /// Why.
        why: String,
    },
}

/// A secret and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Progressed {
    /// Its name.
    pub name: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// Gives one secret of the plan a new value, and waits at most `limit` until it is the current one. Doing it twice does it once.
///
/// # Errors
/// What concerns the whole run: no answer, credentials that do not work.
pub async fn carry_out(
    plan: &Plan,
    item: &Item,
    rotator: &dyn Rotator,
    limit: Duration,
) -> Result<Fate, ProviderError> {
    let failed = |why: String| Ok(Fate::Failed { why });
    let Some(found) = rotator.look(&item.name).await? else { return failed("it is not there any more".into()) };
    if found.secret.id != item.id {
        return failed("another secret has its name now".into());
    }
    match current(&found) {
        Some(version) if item.current.as_ref() != Some(&version) => return Ok(Fate::Already { version }),
        _ => {}
    }
    match &item.way {
        Way::Rotatable(_) => {
            // Asked again with the same token, the provider goes on with the same version.
            let token = Digest::of(format!("{}{}", plan.digest(), item.id).as_bytes()).to_string();
            if let Err(error) = rotator.rotate_now(&item.name, &item.id, &token).await {
                return failed(format!("{} {}", error.operation, error.code));
            }
            wait(item, rotator, limit, "its rotation was begun and is not finished").await
        }
        Way::Scripted(command) => match run(command, item, limit).await {
            Ok(0) => {
                wait(item, rotator, Duration::ZERO, "its command ended with 0, and it has no new current version").await
            }
            Ok(code) => failed(format!("its command ended with {code}")),
            Err(why) => failed(format!("its command {why}")),
        },
        Way::Managed(service) => Ok(Fate::Waits { what: format!("{service} manages it and rotates it") }),
        Way::Manual => Ok(Fate::Waits { what: person(item) }),
        Way::Never(instead) => Ok(Fate::Waits { what: format!("it is never rotated: {instead}") }),
    }
}

fn person(item: &Item) -> String {
    let owner = if item.owner.is_empty() { "its owner" } else { &item.owner };
    let runbook = if item.runbook.is_empty() { String::new() } else { format!(" ({})", item.runbook) };
    format!("{owner} gives it a new value{runbook}")
}

/// The version that is current.
pub(super) fn current(found: &Existing) -> Option<String> {
    found.versions.iter().find(|version| version.is_current()).map(|version| version.id.clone())
}

async fn wait(item: &Item, rotator: &dyn Rotator, limit: Duration, else_: &str) -> Result<Fate, ProviderError> {
    let begun = tokio::time::Instant::now();
    loop {
        let found = rotator.look(&item.name).await?;
        let version = found.filter(|found| found.secret.id == item.id).as_ref().and_then(current);
        if let Some(version) = version.filter(|version| item.current.as_ref() != Some(version)) {
            return Ok(Fate::Rotated { version });
        }
        if begun.elapsed() >= limit {
            return Ok(Fate::Failed { why: else_.to_owned() });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Runs a command of the playbook, without a shell and without stdin; what it prints is thrown away, since it could be the value.
/// It finds in its environment which secret is meant.
pub(super) async fn run(command: &[String], item: &Item, limit: Duration) -> Result<i32, String> {
    let Some((program, arguments)) = command.split_first() else { return Err("is empty".into()) };
    let mut prepared = Command::new(program);
    prepared.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    prepared.env("SECRET_NAME", &item.name).env("SECRET_ID", &item.id);
    prepared.env("SECRET_ACCOUNT", &item.place.account).env("SECRET_REGION", &item.place.region);
    prepared.env("SECRET_OLD_VERSION", item.current.as_deref().unwrap_or_default());
    let mut child = prepared.spawn().map_err(|error| format!("could not be started: {}", error.kind()))?;
    let least = Duration::from_secs(1);
    match tokio::time::timeout(limit.max(least), child.wait()).await {
        Ok(Ok(status)) => status.code().ok_or_else(|| "was ended by a signal".to_owned()),
        Ok(Err(error)) => Err(format!("could not be watched: {}", error.kind())),
        Err(_) => Err("did not end in time".into()),
    }
}
