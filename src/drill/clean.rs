//! Removing what drills left: before a drill, and by itself.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{
    DrillError, Request,
    journal::{self, Unfinished},
    leftovers::{self, Fate, Sandbox},
    ready::Ready,
    record::Phase,
};
use crate::{
    clock::to_seconds,
    crypto::Opener,
    model::{Digest, Record, SnapshotId},
    repo::StoredDrill,
};

/// What a clean-up by itself came to.
pub struct Removed {
    /// Secrets that earlier drills had left, and that are gone now.
    pub removed: u64,
    /// Names that nobody can prove to be a drill's, and why: they were left alone.
    pub left_alone: BTreeMap<String, String>,
    /// The record of a drill that had been killed.
    pub aborted: Option<StoredDrill>,
}

/// Removes what earlier drills of this host left in the sandbox, and records the one that was killed. The index alone is
/// opened, with `index`.
///
/// # Errors
/// See [`DrillError`]; [`DrillError::NotEmpty`] when something of theirs is still there afterwards.
pub async fn clean(request: &Request<'_>, mut ready: Ready, index: Opener<'_>) -> Result<Removed, DrillError> {
    let unfinished = ready.unfinished.take();
    let removed = remove(request, &mut ready, index).await?;
    let aborted = close(request, &mut ready, unfinished, &removed).await?;
    let left_alone = ready.left.others.iter().map(|(name, why)| (name.clone(), why.to_string())).collect();
    if ready.left.others.is_empty() {
        request.journal.map(journal::forget_unfinished).transpose()?;
    }
    Ok(Removed { removed: removed.len() as u64, left_alone, aborted })
}

/// The same before a drill, which is not held where something cannot be proven.
pub(super) async fn before(
    request: &Request<'_>,
    ready: &mut Ready,
    index: Opener<'_>,
) -> Result<Option<StoredDrill>, DrillError> {
    ready.refuse_others()?;
    let start = request.clock.now();
    let unfinished = ready.unfinished.take();
    let removed = remove(request, ready, index).await?;
    ready.refuse_others()?;
    if !removed.is_empty() {
        ready.draft.phases.push(Phase { name: "remove leftovers".into(), start, end: request.clock.now() });
    }
    ready.draft.isolation.leftovers_removed = removed.len() as u64;
    close(request, ready, unfinished, &removed).await
}

/// Destroys what is proven; the drill of each that is gone.
async fn remove(request: &Request<'_>, ready: &mut Ready, index: Opener<'_>) -> Result<Vec<SnapshotId>, DrillError> {
    if ready.left.own.is_empty() {
        return Ok(Vec::new());
    }
    let mut records: BTreeMap<SnapshotId, Vec<Record>> = BTreeMap::new();
    let needed: BTreeSet<SnapshotId> =
        ready.left.own.iter().filter(|left| !left.answered).map(|left| left.run.snapshot).collect();
    for (snapshot, chosen) in ready.snapshots.iter().filter(|(snapshot, _)| needed.contains(snapshot)) {
        records.insert(*snapshot, request.repository.records(chosen, index).await?);
    }
    let sandbox = Sandbox {
        target: &*request.target,
        readback: &*request.readback,
        marker: &ready.marker,
        prefix: &request.file.target.prefix,
    };
    sandbox.prove(&mut ready.left, &records).await?;
    let doomed = ready.left.own.iter().map(|left| (left.name.clone(), left.id.clone())).collect();
    for (name, fate) in leftovers::destroy(&doomed, &*request.target, request.progress).await {
        match fate {
            Fate::Gone | Fate::Taken => {}
            Fate::There => return Err(DrillError::NotEmpty(name)),
            Fate::Unknown(error) => return Err(error.into()),
        }
    }
    Ok(ready.left.own.iter().map(|left| left.run.drill).collect())
}

/// Stores the record of a drill that was killed.
async fn close(
    request: &Request<'_>,
    ready: &mut Ready,
    unfinished: Option<Unfinished>,
    removed: &[SnapshotId],
) -> Result<Option<StoredDrill>, DrillError> {
    // One that was stored and not yet forgotten has its record.
    let stored = |id: SnapshotId| request.past.iter().any(|past| past.stored.name.ends_with(&id.short()));
    let ours = |unfinished: &Unfinished| {
        unfinished.record.repository == request.repository.id() && !stored(unfinished.record.drill)
    };
    let Some(unfinished) = unfinished.filter(ours) else { return Ok(None) };
    let its = removed.iter().filter(|drill| **drill == unfinished.record.drill).count() as u64;
    let mut record = unfinished.closed(its, &ready.draft);
    record.signer = request.signer.public();
    // Its place in the chain is after every record there is.
    let last = request.past.last().and_then(|past| past.facts.as_ref()?.started());
    let at = if last.is_some_and(|last| last >= record.started) { ready.draft.started } else { record.started };
    let bytes = Bytes::from(record.to_bytes());
    let stored = request.repository.put_drill(to_seconds(at), record.drill, bytes, request.signer).await?;
    ready.draft.previous = Some(Digest::of(&stored.bytes));
    Ok(Some(stored))
}
