//! A few secrets, because the provider told that they changed: between two complete passes, so that the newest snapshot is minutes
//! old and not a day.
//!
//! The snapshot is complete. It takes over every record of the newest one by digest, adds one small layer with what is different,
//! and names the complete pass that it rests on. What the provider told is a hint: the secret is read as always. What is not
//! there is left to the next complete pass, because one answer proves no deletion.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use super::{
    Contents, Known, Request, SnapshotError, UnreadableItem,
    known::{Earlier, Shared, Unfinished},
    tally::Tally,
    walk::{Read, is_replica_of, read},
    writer::{Before, Writer, Written, stored},
};
use crate::{
    clock::to_seconds,
    crypto::Opener,
    model::{Digest, Part, Place, Record, Secret, SnapshotId},
    provider::{ErrorKind, Hint, Listed},
    repo::{
        Appending, Chain, Counts, FORMAT_VERSION, Fault, Lookup, Manifest, ReadingCount, RepoError, Tip,
        UnreadableCount, VerifiedManifest,
    },
};

/// Names from which on the whole index is walked through: looking one up reads a few files of each layer.
const BY_WALK: usize = 32;
/// Secrets that are read at once.
const AT_ONCE: usize = 16;
/// Snapshots of one history have times that rise: how long the clock of another host may be ahead.
const PATIENCE: SignedDuration = SignedDuration::from_secs(90);

/// What became of what the provider told.
#[derive(Clone, Debug, Default)]
pub struct EventReport {
    /// The snapshot; `None` where everything was as the newest one has it.
    pub manifest: Option<VerifiedManifest>,
    /// Secrets that were read, with the names alone.
    pub read: Vec<String>,
    /// Of these, those that were different.
    pub changed: Vec<String>,
    /// The others of these, and when what they are now was first read.
    pub still: Vec<(String, Timestamp)>,
    /// Those that a rule leaves out.
    pub excluded: Vec<String>,
    /// Those that were not there; the next complete pass decides.
    pub gone: Vec<String>,
    /// Those that could not be read, and why: nothing of the newest snapshot was changed for them.
    pub failed: Vec<(String, String)>,
    /// Parts of secrets that could not be read.
    pub unreadable: Vec<UnreadableItem>,
    /// What is wrong in the history beside the head, as a snapshot tells it.
    pub history: Vec<Fault>,
}

impl EventReport {
    /// Answers come in any order.
    fn sort(&mut self) {
        for names in [&mut self.read, &mut self.changed, &mut self.excluded, &mut self.gone] {
            names.sort_unstable();
            names.dedup();
        }
        self.failed.sort_unstable();
    }
}

/// Captures secrets of which the provider told, on top of the newest snapshot of the source. A name comes once.
///
/// # Errors
/// See [`SnapshotError`]; [`SnapshotError::NoPass`] where there is no snapshot whose index this host can read. What could not be
/// read is no error: it is in the [`EventReport`].
pub async fn capture(
    request: &Request<'_>,
    (appending, tip): (&Appending<'_>, &Tip),
    hints: &[Hint],
) -> Result<EventReport, SnapshotError> {
    let place = request.admitted().await?;
    let no_pass = |why: &str| SnapshotError::NoPass(place.short(), why.into());
    let earlier = Earlier::find(request.repository, request.trust, appending, &place).await?;
    let earlier = earlier.ok_or_else(|| no_pass("there is none that is sealed to the key of today"))?;
    let started = later(request, earlier.manifest.manifest().time).await.map_err(|why| no_pass(&why))?;

    let mut report = EventReport { history: appending.faults(), ..EventReport::default() };
    let hints = wanted(request, hints, &mut report);
    let mut shared = Shared::default();
    if let Some(drill) = request.drill {
        shared.for_drills = earlier.drill_packs(&drill.recipient);
    }
    let shared = Arc::new(shared);
    let found = known(request, &earlier, hints, &shared).await.map_err(|error| match error {
        RepoError::WrongKey { .. } => no_pass("its index is sealed to another key of this host"),
        RepoError::Damaged { .. } => no_pass(&format!("its index cannot be read ({error})")),
        other => other.into(),
    })?;
    // Without a journal: a capture that is interrupted is made again from the hints, which are still there.
    let mut writer = request.writer(None, started);
    let mut reads = stream::iter(found)
        .map(|(listed, known)| read(request.source.clone(), listed, known))
        .buffer_unordered(AT_ONCE);
    let mut out = Vec::new();
    while let Some(read) = reads.next().await {
        out.extend(take(&place, request, read, (&mut writer, &mut report)).await?);
        request.progress.advance(1);
    }
    drop(reads);
    report.sort();
    if report.changed.is_empty() {
        return Ok(report);
    }
    let (manifest, unreadable) =
        publish(request, (&earlier, tip), (writer, &shared.for_drills), (out, started)).await?;
    (report.manifest, report.unreadable) = (Some(manifest), unreadable);
    Ok(report)
}

/// Whether what a secret still is came into the backup by a complete pass, which may have read it after an event of this time: then
/// no capture told of that change. Of a snapshot that is gone nobody knows what made it: rather told twice than never.
pub fn came_by_a_pass(chain: &Chain, place: &Place, read: Timestamp, happened: Timestamp) -> bool {
    let mut manifests = chain.manifests.iter().rev().map(VerifiedManifest::manifest);
    match manifests.find(|manifest| manifest.source == *place && manifest.time == read) {
        Some(manifest) => manifest.full.time == manifest.time && happened <= manifest.finished + PATIENCE,
        None => happened <= read + PATIENCE,
    }
}

/// The time of the capture, later than that of the snapshot before it: what this run read is told from the rest by it.
async fn later(request: &Request<'_>, before: Timestamp) -> Result<Timestamp, String> {
    loop {
        let now = to_seconds(request.clock.now());
        if now > before {
            return Ok(now);
        }
        let ahead = before.duration_since(now);
        if ahead > PATIENCE {
            return Err(format!("it is dated {before}, which is still to come by the clock of this host"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// The hints that no rule leaves out, each name once.
fn wanted(request: &Request<'_>, hints: &[Hint], report: &mut EventReport) -> BTreeMap<String, Hint> {
    let mut wanted = BTreeMap::new();
    for hint in hints {
        let excluded = request.rules.exclude.iter().any(|rule| wildmatch::WildMatch::new(rule).matches(&hint.name));
        if excluded {
            report.excluded.push(hint.name.clone());
        } else {
            // The last word about a name: it may have been deleted and made anew.
            wanted.insert(hint.name.clone(), hint.clone());
        }
    }
    wanted
}

/// What the newest snapshot has of each secret.
async fn known(
    request: &Request<'_>,
    earlier: &Earlier,
    hints: BTreeMap<String, Hint>,
    shared: &Arc<Shared>,
) -> Result<Vec<(Listed, Known)>, RepoError> {
    request.progress.begin("look up secrets", Some(hints.len() as u64));
    let mut records = records(request, earlier, &hints).await?;
    let mut found = Vec::with_capacity(hints.len());
    for (name, hint) in hints {
        let mut records = records.remove(&name).unwrap_or_default();
        let same = hint.id.as_ref().and_then(|id| records.iter().position(|record| record.secret.id == *id));
        let record = match same {
            Some(at) => Some(records.swap_remove(at)),
            None => records.pop(),
        };
        let for_drills = request.drill.is_some_and(|drill| drill.opens(&name));
        let id = hint.id.unwrap_or_else(|| name.clone());
        let secret = Secret { name: name.clone(), id: id.clone(), ..Secret::default() };
        let listed = Listed { name, id, secret, fingerprint: None };
        found.push((listed, Known::new(record, shared, for_drills)));
    }
    request.progress.begin("read secrets", Some(found.len() as u64));
    Ok(found)
}

/// The records of names: looked up one by one, or all in one walk through the index where there are many.
async fn records(
    request: &Request<'_>,
    earlier: &Earlier,
    hints: &BTreeMap<String, Hint>,
) -> Result<BTreeMap<String, Vec<Record>>, RepoError> {
    let opener = Opener::Index(request.index_key);
    let mut found: BTreeMap<String, Vec<Record>> = BTreeMap::new();
    if hints.len() > BY_WALK {
        let mut all = pin!(request.repository.captured_stream(&earlier.manifest, opener));
        while let Some(record) = all.try_next().await? {
            if hints.contains_key(&record.secret.name) {
                found.entry(record.secret.name.clone()).or_default().push(record);
            }
        }
        return Ok(found);
    }
    for name in hints.keys() {
        let mut lookup = Lookup::new(request.repository, opener, name);
        found.insert(name.clone(), lookup.captured(earlier.layers()).await?);
        request.progress.advance(1);
    }
    Ok(found)
}

/// Writes one secret; gives the record that it stands for, where there was one.
async fn take(
    place: &Place,
    request: &Request<'_>,
    read: Read,
    (writer, report): (&mut Writer<'_>, &mut EventReport),
) -> Result<Option<Record>, SnapshotError> {
    let Read { listed, known, fetched } = read;
    let mut fetched = match fetched {
        Err(error) if error.kind == ErrorKind::NotFound => {
            report.gone.push(listed.name);
            return Ok(None);
        }
        Err(error) if error.kind == ErrorKind::Credentials => return Err(error.into()),
        Err(error) => {
            report.failed.push((listed.name, error.to_string()));
            return Ok(None);
        }
        Ok(fetched) => fetched,
    };
    // Half an answer stands for nothing that was captured whole.
    if let Some(refused) = fetched.secret.unreadable.iter().find(|refused| refused.part == Part::Metadata) {
        report.failed.push((listed.name, format!("{}: {}", refused.operation, refused.reason)));
        return Ok(None);
    }
    let is_new = known.record().is_none();
    let is_out = is_replica_of(&fetched.secret, place)
        || (request.rules.exclude_deleted && fetched.secret.deleted.is_some() && is_new);
    if is_out {
        report.excluded.push(listed.name);
        return Ok(None);
    }
    report.read.push(listed.name.clone());
    let (before, changes) = (known.record().cloned(), writer.changed());
    if let Some(before) = before.as_ref().map(|record| &record.secret).filter(|secret| secret.id == fetched.secret.id) {
        keep_answers(before, &mut fetched.secret);
    }
    // No listing was read. That of the earlier reading shows the next complete pass that the secret is to be read, where it changed.
    let listing = before.as_ref().and_then(|record| record.listing);
    writer.push(fetched, listing, &known).await?;
    if writer.changed() > changes {
        report.changed.push(listed.name);
    } else if let Some(before) = &before {
        report.still.push((listed.name, before.read));
    }
    Ok(before)
}

/// Keeps what the listing of the pass said: it was not asked for again. Where something was refused, what was said before is not what
/// was said now.
fn keep_answers(before: &Secret, now: &mut Secret) {
    let is_whole = now.unreadable.is_empty() && now.deleted.is_none();
    let (Json::Object(before), Json::Object(answers)) = (&before.raw, &mut now.raw) else { return };
    for (operation, answer) in before.iter().filter(|_| is_whole) {
        if !answers.contains_key(operation) {
            answers.insert(operation.clone(), answer.clone());
        }
    }
}

/// Writes the layer and the manifest.
async fn publish(
    request: &Request<'_>,
    (earlier, tip): (&Earlier, &Tip),
    (writer, opened): (Writer<'_>, &BTreeSet<Digest>),
    (out, started): (Vec<Record>, Timestamp),
) -> Result<(VerifiedManifest, Vec<UnreadableItem>), SnapshotError> {
    request.progress.begin("write index", None);
    let base = earlier.manifest.manifest();
    let mut readings = ReadingCount::after(started, base.full.time, (&base.sweeps, &base.readings));
    for record in &out {
        readings.remove(record);
    }
    let mut tally = Tally::of(readings, base.source.reads_value());
    let recipients = [request.trust.current().recipient.clone(), request.index_key.recipient()];
    let unfinished = Unfinished::default();
    let opener = Opener::Index(request.index_key);
    let before =
        Before { earlier: Some((earlier, opener)), is_whole: true, is_addition: true, unfinished: &unfinished };
    let mut written: Written = writer.finish(&recipients, &before, &mut tally).await?;
    written.packs.extend(earlier.packs.packs().copied());
    let contents = Contents::put(request, Some(earlier), opened, &written, &recipients).await?;
    let counts = base.counts.exchange(&counted(&out), &tally.counts(0), written.values_read);
    let manifest = Manifest {
        version: FORMAT_VERSION,
        repository: request.repository.id(),
        snapshot: SnapshotId::random(),
        sequence: 0,
        previous: None,
        time: started,
        finished: to_seconds(request.clock.now()),
        epoch: request.trust.current().number,
        signer: request.signer.public(),
        source: base.source.clone(),
        packs: contents.packs,
        indexes: written.indexes,
        counts,
        accepted: base.accepted,
        full: base.full,
        holds: earlier.held(written.still == out.iter().map(stored).sum::<u64>()),
        readings: tally.readings(),
        sweeps: base.sweeps.clone(),
        seals: contents.seals,
        config: contents.config,
        excluded: base.excluded.clone(),
        unreadable: exchanged(&base.unreadable, &out, &tally, base.source.reads_value()),
        tool: concat!("lifeboat ", env!("CARGO_PKG_VERSION")).into(),
    };
    if let Some(gone) = request.repository.missing_of(&manifest).await? {
        return Err(SnapshotError::Gone(gone));
    }
    let manifest = request.repository.append(manifest, request.trust, request.signer, tip).await?;
    Ok((manifest, tally.into_names().unreadable))
}

fn counted(records: &[Record]) -> Counts {
    let mut counts = Counts::default();
    for record in records {
        counts.add(record);
    }
    counts
}

/// What could not be read, by reason: without what the records that are gone said, and with what the new ones say.
fn exchanged(
    base: &[UnreadableCount],
    out: &[Record],
    tally: &Tally,
    reads_value: &'static str,
) -> Vec<UnreadableCount> {
    let gone = UnreadableCount::of(out.iter().flat_map(|record| record.refused(reads_value)));
    let mut counts: BTreeMap<(Part, String, String), u64> = BTreeMap::new();
    for UnreadableCount { part, operation, reason, count } in base.iter().chain(&tally.unreadable_counts()) {
        *counts.entry((*part, operation.clone(), reason.clone())).or_default() += count;
    }
    for UnreadableCount { part, operation, reason, count } in gone {
        if let Some(left) = counts.get_mut(&(part, operation, reason)) {
            *left = left.saturating_sub(count);
        }
    }
    let left = counts.into_iter().filter(|(_, count)| *count > 0);
    left.map(|((part, operation, reason), count)| UnreadableCount { part, operation, reason, count }).collect()
}
