//! What drills leave in a sandbox: found by the tag every secret of a drill is born with, and destroyed.

use std::{collections::BTreeSet, time::Duration};

use futures::{StreamExt, TryStreamExt, stream};

use crate::{
    model::{Record, SnapshotId, Step, Tag},
    progress::Progress,
    provider::{ProviderError, Source, Target},
};

/// The key of the tag; its value is the drill.
pub const TAG: &str = "lifeboat:drill";

/// Tags a secret can have (AWS: quotas of Secrets Manager).
const MOST_TAGS: usize = 50;
/// Secrets destroyed at once; the provider's limiter paces the calls.
const CONCURRENT: usize = 16;
/// How often a listing that still shows something is asked again: a deletion takes a moment to show.
const LOOKS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(400);

/// Marks a record, so that whatever is made of it belongs to `drill`. `false` when it has no room for a tag.
pub(super) fn mark(record: &mut Record, drill: SnapshotId) -> bool {
    record.secret.facets.tags.retain(|tag| tag.key != TAG);
    let room = record.secret.facets.tags.len() < MOST_TAGS;
    if room {
        record.secret.facets.tags.push(Tag { key: TAG.into(), value: drill.to_string() });
    }
    room
}

/// The names of everything in the sandbox that a drill made; with `drill`, that one alone.
pub(super) async fn find(sandbox: &dyn Source, drill: Option<SnapshotId>) -> Result<BTreeSet<String>, ProviderError> {
    let drill = drill.map(|drill| drill.to_string());
    let ours = |tag: &Tag| tag.key == TAG && drill.as_ref().is_none_or(|drill| *drill == tag.value);
    let mut listing = sandbox.list();
    let mut found = BTreeSet::new();
    while let Some(listed) = listing.try_next().await? {
        if listed.secret.facets.tags.iter().any(ours) {
            found.insert(listed.name);
        }
    }
    Ok(found)
}

/// Destroys `names`, and gives those of `drill` that are still there afterwards.
pub(super) async fn destroy(
    names: &BTreeSet<String>,
    drill: Option<SnapshotId>,
    target: &dyn Target,
    readback: &dyn Source,
    progress: &dyn Progress,
) -> Result<BTreeSet<String>, ProviderError> {
    progress.begin("clean up", Some(names.len() as u64));
    stream::iter(names)
        .for_each_concurrent(CONCURRENT, |name| async move {
            // A refusal shows in the listing below, by name.
            if let Err(error) = target.apply(&Step::Destroy { name: name.clone() }, None).await {
                tracing::warn!(%error, "clean-up of a drill");
            }
            progress.advance(1);
        })
        .await;
    let mut left = find(readback, drill).await?;
    for look in 1..LOOKS {
        if left.is_empty() {
            break;
        }
        tokio::time::sleep(PAUSE * look).await;
        left = find(readback, drill).await?;
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Facets, Secret},
        progress::Silent,
        provider::memory::Memory,
    };

    fn record(tags: usize) -> Record {
        let tags = (0..tags).map(|number| Tag { key: number.to_string(), value: String::new() }).collect();
        let secret = Secret { name: "n".into(), facets: Facets { tags, ..Facets::default() }, ..Secret::default() };
        Record { secret, versions: Vec::new(), read: jiff::Timestamp::UNIX_EPOCH, listing: None }
    }

    #[test]
    fn a_mark_replaces_an_older_one_and_needs_room() {
        let (one, two) = (SnapshotId::from_bytes([1; 16]), SnapshotId::from_bytes([2; 16]));
        let mut marked = record(49);
        assert!(mark(&mut marked, one) && mark(&mut marked, two));
        assert_eq!(marked.secret.facets.tags.last().unwrap().value, two.to_string());
        assert!(!mark(&mut record(50), one));
    }

    #[tokio::test]
    async fn only_what_a_drill_made_is_destroyed() {
        let sandbox = Memory::new("2", "eu-west-1");
        let drill = SnapshotId::from_bytes([1; 16]);
        for (name, marked) in [("a", true), ("b", false)] {
            let mut record = record(1);
            record.secret.name = name.into();
            if marked {
                mark(&mut record, drill);
            }
            sandbox.insert(record.secret, Vec::new());
        }
        assert!(find(&sandbox, Some(SnapshotId::from_bytes([9; 16]))).await.unwrap().is_empty());
        let found = find(&sandbox, None).await.unwrap();
        assert_eq!(found.len(), 1);
        let left = destroy(&found, Some(drill), &sandbox, &sandbox, &Silent).await.unwrap();
        assert!(left.is_empty());
        assert_eq!(sandbox.names(), ["b"]);
    }
}
