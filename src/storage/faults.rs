//! Planned failures of a storage, for tests: nothing else can show what a crash leaves behind.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;

use super::{Storage, StorageError};

const REASON: &str = "planned failure";

/// What is to go wrong, and what was asked for so far. Puts are counted from 1.
#[derive(Debug, Default)]
pub struct Faults {
    put: Option<u64>,
    for_good: bool,
    stored: bool,
    get: Option<String>,
    altered: Mutex<BTreeMap<String, Bytes>>,
    puts: AtomicU64,
    remove: Option<(u64, bool)>,
    removes: AtomicU64,
    reads: AtomicU64,
}

impl Faults {
    /// Nothing goes wrong; puts are counted.
    pub fn none() -> Self {
        Self::default()
    }

    /// The `n`th put and every one after it fail and store nothing, as after a crash or on a full disk.
    pub fn from_put(n: u64) -> Self {
        Self { put: Some(n), for_good: true, ..Self::default() }
    }

    /// The `n`th put alone fails and stores nothing.
    pub fn put(n: u64) -> Self {
        Self { put: Some(n), ..Self::default() }
    }

    /// The `n`th put stores its file, but the answer is lost.
    pub fn put_unanswered(n: u64) -> Self {
        Self { put: Some(n), stored: true, ..Self::default() }
    }

    /// Every read or listing of a name that starts with `prefix` fails.
    pub fn gets(prefix: &str) -> Self {
        Self { get: Some(prefix.to_owned()), ..Self::default() }
    }

    /// The `n`th removal and every one after it fail, as after a crash.
    pub fn from_remove(n: u64) -> Self {
        Self { remove: Some((n, false)), ..Self::default() }
    }

    /// Every removal is refused, as by a retention lock.
    pub fn locked() -> Self {
        Self { remove: Some((1, true)), ..Self::default() }
    }

    /// From now on `name` reads as `bytes`.
    pub fn alter(&self, name: &str, bytes: Bytes) {
        self.altered().insert(name.to_owned(), bytes);
    }

    /// Puts so far.
    pub fn puts(&self) -> u64 {
        self.puts.load(Ordering::SeqCst)
    }

    /// Reads and listings so far.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::SeqCst)
    }

    /// Removals so far.
    pub fn removes(&self) -> u64 {
        self.removes.load(Ordering::SeqCst)
    }

    /// How a removal fails.
    pub(super) fn on_remove(&self, _name: &str) -> Option<fn(&Storage, &str) -> StorageError> {
        let count = self.removes.fetch_add(1, Ordering::SeqCst) + 1;
        let (_, locked) = self.remove.filter(|(n, _)| count >= *n)?;
        let refused: fn(&Storage, &str) -> StorageError = |storage, name| {
            let (address, name) = (storage.address().to_owned(), name.to_owned());
            StorageError::Refused { address, name, reason: REASON.into() }
        };
        Some(if locked { refused } else { |storage, name| storage.unavailable(name, REASON) })
    }

    /// The reason, and whether the file is stored all the same.
    pub(super) fn on_put(&self, _name: &str) -> Option<(&'static str, bool)> {
        let count = self.puts.fetch_add(1, Ordering::SeqCst) + 1;
        let fails = self.put.is_some_and(|n| count == n || (self.for_good && count > n));
        fails.then_some((REASON, self.stored))
    }

    pub(super) fn on_get(&self, name: &str) -> Option<&'static str> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.get.as_ref().is_some_and(|prefix| name.starts_with(prefix)).then_some(REASON)
    }

    pub(super) fn on_bytes(&self, name: &str, bytes: Bytes) -> Bytes {
        self.altered().get(name).cloned().unwrap_or(bytes)
    }

    fn altered(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Bytes>> {
        self.altered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
