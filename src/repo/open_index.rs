//! Index files for many lookups: each is read once, decoded once, and held as [`Blocks`] while there is room.
//!
//! [`Lookup`](super::Lookup) answers one question and forgets; this answers a server's questions for hours. A name is found by a
//! binary search over the first keys of a layer's files, which are remembered, then in the one file that can have it. That there
//! is no such name is said only after that file was read, with its digest as the signed manifest states it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{FutureExt as _, Stream, future::BoxFuture};
use tokio::sync::{OnceCell, Semaphore};
use zeroize::Zeroizing;

use super::{
    Chosen, FileRef, IndexLine, IndexReader, Layer, Manifest, RecordKey, RepoError, Repository, blocks::Blocks,
    blocks::key_of, layout, tombstone::Marks,
};
use crate::{
    cores,
    crypto::{Opener, RecoveryKey},
    model::{Digest, Record},
};

/// Lines that a page looks at before it gives what it has.
const MOST_LOOKED_AT: usize = 4_096;
/// Lines after which others may run.
const PATIENCE: usize = 64;

/// The index files of a repository, as far as they were asked for. Holds the recovery key, in locked memory.
pub struct OpenIndex {
    repository: Repository,
    key: Arc<RecoveryKey>,
    /// Bytes that decoded files may take.
    room: usize,
    /// The first key of each file that a search looked at: some hundred bytes for a file of thousands of records.
    firsts: Mutex<HashMap<Digest, First>>,
    files: Mutex<Files>,
    /// Files that are decoded at the same time: each takes some ten megabytes meanwhile.
    turns: Semaphore,
    read: AtomicU64,
}

type First = Arc<OnceCell<Option<RecordKey>>>;
type Opening = Arc<OnceCell<Arc<Blocks>>>;

#[derive(Default)]
struct Files {
    held: HashMap<Digest, Held>,
    bytes: usize,
    clock: u64,
}

struct Held {
    opening: Opening,
    /// 0 until it is decoded.
    bytes: usize,
    used: u64,
}

/// A snapshot whose secrets are looked up one by one. A version that a tombstone marks as leaked has no value in what it gives.
pub struct OpenSnapshot {
    index: Arc<OpenIndex>,
    chosen: Chosen,
    marks: Marks,
}

/// Which names somebody wants.
pub trait Wanted: Sync {
    /// Whether it is one.
    fn takes(&self, name: &str) -> bool;

    /// A name at or after `name`, before which none is wanted; `None` where none is any more.
    fn ahead(&self, name: &str) -> Option<String>;
}

/// Some records in order, and where those after them begin.
#[derive(Default)]
pub struct Records {
    /// They may be none, though more follow.
    pub records: Vec<Record>,
    /// `None` at the end.
    pub next: Option<RecordKey>,
    /// Lines that were looked at.
    pub looked_at: usize,
}

/// Several layers read side by side from one place on.
struct Walk<'a> {
    index: &'a OpenIndex,
    /// The oldest first.
    layers: Vec<At<'a>>,
}

/// A place in a layer.
struct At<'a> {
    layer: &'a Layer,
    /// Where nothing after this name is wanted.
    only: Option<&'a str>,
    /// The next file.
    file: usize,
    open: Option<Arc<Blocks>>,
    /// The next block.
    block: usize,
    text: Zeroizing<Vec<u8>>,
    /// In the text: the line, and what follows it.
    line: usize,
    rest: usize,
    /// The key of the line; `None` at the end.
    head: Option<RecordKey>,
}

impl OpenIndex {
    /// Prepares; reads nothing. Decoded files take at most `room` bytes, but one is always held.
    pub fn new(repository: Repository, key: Arc<RecoveryKey>, room: usize) -> Self {
        Self {
            repository,
            key,
            room,
            firsts: Mutex::default(),
            files: Mutex::default(),
            turns: Semaphore::new(cores::count().clamp(2, 4)),
            read: AtomicU64::new(0),
        }
    }

    /// Opens a snapshot: what its tombstones mark is known, and the key opens its index. A layer of one file is read at once.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::TombstoneClosed`], [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn snapshot(self: &Arc<Self>, chosen: &Chosen) -> Result<OpenSnapshot, RepoError> {
        let marks = chosen.tombstones.marks(&chosen.manifest().source, Opener::Recovery(&self.key))?;
        for layer in &chosen.manifest().indexes {
            match &layer.files[..] {
                [] => {}
                [only] => drop(self.blocks(only).await?),
                [file, ..] => drop(self.first(file).await?),
            }
        }
        Ok(OpenSnapshot { index: Arc::clone(self), chosen: chosen.clone(), marks })
    }

    /// Index files that were fetched so far.
    pub fn files_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Bytes that decoded files take.
    pub fn held(&self) -> usize {
        self.files.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// A file as it is stored, its digest checked. Boxed, since a storage's own futures are deep.
    fn fetch<'a>(&'a self, file: &'a FileRef) -> BoxFuture<'a, Result<Bytes, RepoError>> {
        self.read.fetch_add(1, Ordering::Relaxed);
        self.repository.index(file).boxed()
    }

    /// The key of a file's first line; `None` where it has none.
    async fn first(&self, file: &FileRef) -> Result<First, RepoError> {
        let first = {
            let mut firsts = self.firsts.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(firsts.entry(file.sha256).or_default())
        };
        first.get_or_try_init(|| self.read_first(file)).await?;
        Ok(first)
    }

    async fn read_first(&self, file: &FileRef) -> Result<Option<RecordKey>, RepoError> {
        if let Some(blocks) = self.decoded(&file.sha256) {
            return Ok(blocks.first().cloned());
        }
        let sealed = self.fetch(file).await?;
        let (key, name) = (Arc::clone(&self.key), layout::index(&file.sha256));
        let read = move || {
            let mut reader = IndexReader::open(&name, sealed, Opener::Recovery(&key))?;
            Ok(reader.next().transpose()?.map(|line| RecordKey::of(line.key())))
        };
        cores::aside(read).await
    }

    fn decoded(&self, file: &Digest) -> Option<Arc<Blocks>> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.held.get(file)?.opening.get().cloned()
    }

    /// A file, decoded. Whoever asks for one that is being decoded waits for that.
    async fn blocks(&self, file: &FileRef) -> Result<Arc<Blocks>, RepoError> {
        let opening = self.files.lock().unwrap_or_else(PoisonError::into_inner).opening(&file.sha256);
        if let Some(blocks) = opening.get() {
            return Ok(Arc::clone(blocks));
        }
        let blocks = Arc::clone(opening.get_or_try_init(|| self.decode(file)).await?);
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.weigh(&file.sha256, blocks.bytes(), self.room);
        Ok(blocks)
    }

    async fn decode(&self, file: &FileRef) -> Result<Arc<Blocks>, RepoError> {
        let _turn = self.turns.acquire().await.expect("nobody closes it");
        let sealed = self.fetch(file).await?;
        let (key, name) = (Arc::clone(&self.key), layout::index(&file.sha256));
        let blocks = cores::aside(move || Blocks::open(&name, sealed, Opener::Recovery(&key))).await?;
        Ok(Arc::new(blocks))
    }

    /// The last file of a layer that begins at or before `from`, else the first one.
    async fn seek(&self, layer: &Layer, from: &RecordKey) -> Result<usize, RepoError> {
        let (mut low, mut high) = (0, layer.files.len());
        if high == 1 {
            return Ok(0);
        }
        while low < high {
            let middle = usize::midpoint(low, high);
            // A file without a line says nothing: the next one that has any decides.
            let mut at = middle;
            let mut first = self.first(&layer.files[at]).await?;
            while first.get().is_some_and(Option::is_none) && at + 1 < high {
                at += 1;
                first = self.first(&layer.files[at]).await?;
            }
            match first.get() {
                Some(Some(first)) if first <= from => low = at + 1,
                _ => high = middle,
            }
        }
        Ok(low.saturating_sub(1))
    }

    async fn walk<'a>(
        &'a self,
        layers: &'a [Layer],
        from: &RecordKey,
        only: Option<&'a str>,
    ) -> Result<Walk<'a>, RepoError> {
        let mut walk = Walk { index: self, layers: layers.iter().map(|layer| At::new(layer, only)).collect() };
        walk.seek(from).await?;
        Ok(walk)
    }
}

impl Files {
    fn opening(&mut self, file: &Digest) -> Opening {
        self.clock += 1;
        let held = self.held.entry(*file).or_insert_with(|| Held { opening: Opening::default(), bytes: 0, used: 0 });
        held.used = self.clock;
        Arc::clone(&held.opening)
    }

    /// Counts a file that was decoded; those that were not used for the longest time go while there is no room.
    fn weigh(&mut self, file: &Digest, bytes: usize, room: usize) {
        if let Some(held) = self.held.get_mut(file)
            && held.bytes == 0
        {
            held.bytes = bytes.max(1);
            self.bytes += held.bytes;
        }
        while self.bytes > room {
            let others = self.held.iter().filter(|(other, held)| *other != file && held.bytes > 0);
            let Some(oldest) = others.min_by_key(|(_, held)| held.used).map(|(oldest, _)| *oldest) else { break };
            if let Some(gone) = self.held.remove(&oldest) {
                self.bytes -= gone.bytes;
            }
        }
    }
}

impl OpenSnapshot {
    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        self.chosen.manifest()
    }

    /// How many secrets it states.
    pub fn count(&self) -> u64 {
        let counts = &self.chosen.manifest().counts;
        counts.captured + counts.unreadable
    }

    /// Every record with a name, by identifier. None is an answer: the file that would have one was read.
    ///
    /// # Errors
    /// [`RepoError::WrongKey`], [`RepoError::Damaged`], [`RepoError::Storage`].
    pub async fn named(&self, name: &str) -> Result<Vec<Record>, RepoError> {
        let from = RecordKey { name: name.to_owned(), id: String::new() };
        let mut walk = self.index.walk(&self.chosen.manifest().indexes, &from, Some(name)).await?;
        let mut found = Vec::new();
        while let Some((newest, key)) = walk.ahead() {
            let key = key.clone();
            found.extend(walk.record(newest)?.map(|record| self.marks.apply(record)));
            walk.pass(&key).await?;
        }
        Ok(found)
    }

    /// Records from `from` on that are wanted: at most `most`, and fewer where they are far apart.
    ///
    /// # Errors
    /// As [`Self::named`].
    pub async fn page(&self, from: &RecordKey, wanted: &dyn Wanted, most: usize) -> Result<Records, RepoError> {
        let mut page = Records::default();
        let from = match wanted.ahead(&from.name) {
            None => return Ok(page),
            Some(name) if name > from.name => RecordKey { name, id: String::new() },
            Some(_) => from.clone(),
        };
        let mut walk = self.index.walk(&self.chosen.manifest().indexes, &from, None).await?;
        while let Some((newest, key)) = walk.ahead() {
            let key = key.clone();
            if page.records.len() == most || page.looked_at == MOST_LOOKED_AT {
                page.next = Some(key);
                return Ok(page);
            }
            page.looked_at += 1;
            if page.looked_at.is_multiple_of(PATIENCE) {
                tokio::task::yield_now().await;
            }
            if wanted.takes(&key.name) {
                page.records.extend(walk.record(newest)?.map(|record| self.marks.apply(record)));
                walk.pass(&key).await?;
                continue;
            }
            match wanted.ahead(&key.name) {
                None => return Ok(page),
                Some(name) if name > key.name => walk.seek(&RecordKey { name, id: String::new() }).await?,
                Some(_) => walk.pass(&key).await?,
            }
        }
        Ok(page)
    }

    /// Every record in order, read beside what is held: with one file of each layer in memory.
    ///
    /// # Errors
    /// As [`Repository::record_stream`].
    pub fn all(&self) -> impl Stream<Item = Result<Record, RepoError>> + use<'_> {
        self.index.repository.record_stream(&self.chosen, Opener::Recovery(&self.index.key))
    }
}

impl Walk<'_> {
    /// Goes to the first line at or after `from`.
    async fn seek(&mut self, from: &RecordKey) -> Result<(), RepoError> {
        for layer in &mut self.layers {
            layer.seek(self.index, from).await?;
        }
        Ok(())
    }

    /// The smallest key, and the newest layer that has a line for it.
    fn ahead(&self) -> Option<(usize, &RecordKey)> {
        let heads = self.layers.iter().enumerate().filter_map(|(at, layer)| Some((at, layer.head.as_ref()?)));
        // `min_by` gives the first of equal ones, which is the newest when the newest come first.
        heads.rev().min_by(|one, other| one.1.cmp(other.1))
    }

    /// The record of a layer's line; `None` for a removal.
    fn record(&self, layer: usize) -> Result<Option<Record>, RepoError> {
        self.layers[layer].record()
    }

    /// Goes on behind a key in every layer.
    async fn pass(&mut self, key: &RecordKey) -> Result<(), RepoError> {
        for layer in &mut self.layers {
            if layer.head.as_ref() == Some(key) {
                layer.step(self.index).await?;
            }
        }
        Ok(())
    }
}

impl<'a> At<'a> {
    fn new(layer: &'a Layer, only: Option<&'a str>) -> Self {
        let text = Zeroizing::default();
        Self { layer, only, file: 0, open: None, block: 0, text, line: 0, rest: 0, head: None }
    }

    async fn seek(&mut self, index: &OpenIndex, from: &RecordKey) -> Result<(), RepoError> {
        if self.head.as_ref().is_some_and(|head| head >= from) {
            return Ok(());
        }
        let at = index.seek(self.layer, from).await?;
        let Some(file) = self.layer.files.get(at) else { return Ok(()) };
        let blocks = index.blocks(file).await?;
        (self.file, self.block, self.line, self.rest) = (at + 1, blocks.block_of(from), 0, 0);
        (self.open, self.text) = (Some(blocks), Zeroizing::default());
        loop {
            self.step(index).await?;
            if self.head.as_ref().is_none_or(|head| head >= from) {
                return Ok(());
            }
        }
    }

    /// The next line.
    async fn step(&mut self, index: &OpenIndex) -> Result<(), RepoError> {
        self.head = None;
        loop {
            if let Some(length) = self.text[self.rest..].iter().position(|byte| *byte == b'\n') {
                (self.line, self.rest) = (self.rest, self.rest + length + 1);
                let key = key_of(&self.text[self.line..self.rest]).ok_or_else(|| self.fault())?;
                self.head = Some(key).filter(|key| self.only.is_none_or(|only| *key.name <= *only));
                return Ok(());
            }
            if let Some(blocks) = self.open.as_ref().filter(|blocks| self.block < blocks.count()) {
                self.text = blocks.lines(self.block)?;
                (self.block, self.line, self.rest) = (self.block + 1, 0, 0);
                continue;
            }
            let Some(file) = self.layer.files.get(self.file) else { return Ok(()) };
            if let Some(only) = self.only {
                let first = index.first(file).await?;
                let is_after = |first: &RecordKey| *first.name > *only;
                if first.get().is_some_and(|first| first.as_ref().is_some_and(is_after)) {
                    return Ok(());
                }
            }
            self.open = Some(index.blocks(file).await?);
            (self.file, self.block) = (self.file + 1, 0);
            (self.text, self.line, self.rest) = (Zeroizing::default(), 0, 0);
        }
    }

    fn record(&self) -> Result<Option<Record>, RepoError> {
        let line = &self.text[self.line..self.rest];
        IndexLine::parse(line).map(IndexLine::into_record).ok_or_else(|| self.fault())
    }

    fn fault(&self) -> RepoError {
        let unknown = || super::damaged(layout::INDEXES, "not a record");
        self.open.as_ref().map_or_else(unknown, |blocks| blocks.not_a_record())
    }
}
