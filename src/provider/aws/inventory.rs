//! What exists of a name that a restore wants to write.

use super::{
    Aws,
    answers::{ListedVersion, is_current},
    failure::Failure,
};
use crate::{
    model::{Existing, Part, Unreadable, ValueState, Version, VersionFacets},
    provider::ErrorKind,
};

impl Aws {
    /// The secret of this name. Values are not read, so every version's state is [`ValueState::None`].
    pub(super) async fn existing(&self, name: &str) -> Result<Option<Existing>, Failure> {
        let described = match self.describe(name, name).await {
            Ok(described) if described.secret.name == name => described,
            // A partial ARN can stand for another secret.
            Ok(_) => return Ok(None),
            Err(failure) if failure.kind() == ErrorKind::NotFound => return Ok(None),
            Err(failure) => return Err(failure),
        };
        let mut secret = described.secret;
        let scheduled = secret.deleted.is_some();
        // One secret's own policy may shut us out; the others are planned for all the same.
        let tolerable = |failure: &Failure| match failure.kind() {
            ErrorKind::Denied => true,
            ErrorKind::Conflict => scheduled,
            _ => false,
        };
        let (versions, policy) = tokio::join!(self.version_ids(name, &secret.id), self.policy(name, &secret.id));
        let mut entries = match versions {
            Ok(versions) => match versions.incomplete {
                None => versions.entries,
                Some(code) => {
                    let operation = super::Operation::ListSecretVersionIds;
                    return Err(Failure::own(ErrorKind::Unavailable, operation, name, &code, "the pages repeat"));
                }
            },
            Err(failure) if tolerable(&failure) => {
                secret.unreadable.push(unreadable(Part::Versions, &failure));
                Vec::new()
            }
            Err(failure) => return Err(failure),
        };
        secret.facets.policy = match policy {
            Ok((policy, _)) => policy,
            Err(failure) if tolerable(&failure) => {
                secret.unreadable.push(unreadable(Part::Policy, &failure));
                None
            }
            Err(failure) => return Err(failure),
        };
        let unlisted = described.stages.iter().filter(|(id, _)| entries.iter().all(|entry| &entry.id != *id));
        let unlisted: Vec<_> = unlisted.map(|(id, labels)| ListedVersion::bare(id, labels)).collect();
        entries.extend(unlisted);
        let versions = entries.into_iter().map(|entry| {
            let labels = described.stages.get(&entry.id).cloned().unwrap_or_default();
            Version {
                id: entry.id,
                current: is_current(&labels),
                labels,
                created: entry.created,
                facets: VersionFacets::of_keys(entry.kms_keys),
                value: ValueState::None,
            }
        });
        Ok(Some(Existing { versions: versions.collect(), secret }))
    }
}

/// A part that a secret scheduled for deletion, or its own policy, does not show.
fn unreadable(part: Part, failure: &Failure) -> Unreadable {
    let Failure { error, .. } = failure;
    Unreadable { part, operation: error.operation.to_owned(), reason: error.code.clone() }
}
