//! Faults planted in a server beside the one of the drill, of a snapshot in memory.

use std::sync::Arc;

use async_trait::async_trait;

use super::{From, Glass, failed};
use crate::{
    crypto::Opener,
    drill::{
        DrillError, checks,
        controls::{self, NAME, PLANTS, Plant, Throwaway, sentence},
        record::{NegativeControl, State},
    },
    model::{Digest, Record, SecretValue},
    progress::Silent,
    restore::Aspect,
    serve::{Packs, Values},
};

/// Plants one fault in a server of its own and looks for it with the checks of the drill, `run`.
pub(in super::super) async fn plant(fault: Plant, run: &[Aspect]) -> Result<NegativeControl, DrillError> {
    let (meant, planted) = match fault {
        Plant::TestOnlyMissed(place) => (PLANTS[place], false),
        fault => (fault, true),
    };
    let covered = meant.aspects().filter(|aspect| run.contains(aspect));
    let expected = sentence(meant == Plant::MissingSecret, covered);
    // The same for every drill: nothing of it hangs on where the values went.
    let is_general = matches!(meant, Plant::ForgedManifest | Plant::BadShare | Plant::ShortIndex);
    if is_general || expected.is_empty() {
        return controls::plant(fault, run).await;
    }
    let made = Throwaway::new(controls::estate()).await?;
    let before = found(&made, None, run).await?;
    if !before.is_empty() {
        return Err(DrillError::Control("a server without planted faults does not verify".into()));
    }
    let found = found(&made, planted.then_some(meant), run).await?;
    let state = if found == expected { State::Passed } else { State::Failed };
    Ok(NegativeControl { planted: meant.name().to_owned(), expected, found, state })
}

/// A grant that opens everything, where the drill expects one that opens nothing: the refusals must show it.
pub(super) async fn open_door() -> Result<NegativeControl, DrillError> {
    let made = Throwaway::new(controls::estate()).await?;
    let records = records(&made).await?;
    let glass = Glass::start(&from(&made, "*"), None, |packs| Box::new(packs)).await?;
    let refusals = glass.refusals(&records).await?;
    let through = refusals.iter().filter(|it| it.state != State::Passed).map(|it| it.name.as_str());
    let found = through.collect::<Vec<_>>().join(", ");
    let expected = "keys that were granted other secrets is refused".to_owned();
    let state = if found == expected { State::Passed } else { State::Failed };
    glass.server.stop().await.map_err(failed)?;
    Ok(NegativeControl { planted: "a grant that opens everything".into(), expected, found, state })
}

fn from<'a>(made: &'a Throwaway, strangers: &'a str) -> From<'a> {
    From {
        repository: &made.repository,
        key: &made.key,
        chosen: &made.chosen,
        present: Vec::new(),
        audit: None,
        strangers,
    }
}

async fn records(made: &Throwaway) -> Result<Vec<Record>, DrillError> {
    Ok(made.repository.records(&made.chosen, Opener::Recovery(&made.key)).await?)
}

/// What the checks say of a server with a fault, or without one.
async fn found(made: &Throwaway, fault: Option<Plant>, run: &[Aspect]) -> Result<String, DrillError> {
    let scope = records(made).await?;
    let spoiled = fault.map(|fault| {
        let mut records = scope.clone();
        spoil(fault, &mut records);
        records
    });
    let from = from(made, "nothing");
    let glass = Glass::start(&from, spoiled, |packs| Box::new(Spoiled { packs, fault })).await?;
    let compared = glass.compare(&from, &scope, &Silent).await?.verification(scope.len() as u64);
    glass.server.stop().await.map_err(failed)?;
    let checks = checks::all(&compared, made.completeness, run).into_iter();
    let failed = checks.filter(|check| check.state == State::Failed).map(|check| check.name);
    Ok(sentence(compared.secrets < compared.planned, failed))
}

/// Spoils the records that the server is given.
fn spoil(fault: Plant, records: &mut Vec<Record>) {
    if fault == Plant::MissingSecret {
        records.retain(|record| record.secret.name != NAME);
        return;
    }
    let Some(record) = records.iter_mut().find(|record| record.secret.name == NAME) else { return };
    match fault {
        Plant::MissingVersion => record.versions.retain(|version| version.id != controls::id(0)),
        Plant::MovedLabel => {
            let at = |number| record.versions.iter().position(|version| version.id == controls::id(number));
            if let (Some(one), Some(other)) = (at(1), at(2)) {
                let held = |at: usize| (record.versions[at].labels.clone(), record.versions[at].current);
                let (first, second) = (held(one), held(other));
                (record.versions[one].labels, record.versions[one].current) = second;
                (record.versions[other].labels, record.versions[other].current) = first;
            }
        }
        Plant::WrongTag => record.secret.facets.tags.iter_mut().for_each(|tag| tag.value.push('x')),
        Plant::WrongDescription => record.secret.facets.description = Some("another".into()),
        Plant::WrongPolicy => record.secret.facets.policy = Some("{}".into()),
        _ => {}
    }
}

/// Values of which one is another.
struct Spoiled {
    packs: Packs,
    fault: Option<Plant>,
}

#[async_trait]
impl Values for Spoiled {
    async fn value(&self, pack: &Digest, line: u32, secret: &str, version: &str) -> Result<Arc<SecretValue>, String> {
        let value = self.packs.value(pack, line, secret, version).await?;
        let is = |number| secret.ends_with(NAME) && version == controls::id(number);
        Ok(match self.fault {
            Some(Plant::WrongValue) if is(2) => Arc::new(SecretValue::text("thirD".into())),
            Some(Plant::WrongBytes) if is(3) => Arc::new(SecretValue::bytes(vec![0, 0xff, b'c'])),
            _ => value,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::glass::COVERED;

    #[tokio::test]
    async fn every_fault_that_a_server_can_have_is_caught_and_one_that_is_not_there_is_not() {
        for (place, fault) in PLANTS.into_iter().enumerate() {
            let control = plant(fault, &COVERED).await.unwrap();
            let is_covered = !matches!(fault, Plant::WrongKey | Plant::NoRotation | Plant::MissingReplica);
            let expected = if is_covered { State::Passed } else { State::NotApplicable };
            assert_eq!(control.state, expected, "{control:?}");
            let missed = plant(Plant::TestOnlyMissed(place), &COVERED).await.unwrap();
            assert_eq!(missed.state == State::Failed, is_covered, "{missed:?}");
        }
        let door = open_door().await.unwrap();
        assert_eq!(door.state, State::Passed, "{door:?}");
    }

    #[tokio::test]
    async fn what_must_be_refused_is_refused() {
        let made = Throwaway::new(controls::estate()).await.unwrap();
        let records = records(&made).await.unwrap();
        let glass = Glass::start(&from(&made, "nothing"), None, |packs| Box::new(packs)).await.unwrap();
        let refusals = glass.refusals(&records).await.unwrap();
        assert_eq!(refusals.len(), 6);
        assert!(refusals.iter().all(|it| it.state == State::Passed), "{refusals:?}");
        glass.server.stop().await.unwrap();
    }
}
