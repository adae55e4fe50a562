//! Everything a sandbox keeps: accounts and regions, each behind its own lock.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    Control,
    diary::Diary,
    faults::{Fault, Faults},
    front::Latency,
    keys::Keys,
    ops::Operation,
    quotas::Quotas,
    secret::{Millis, Secret},
};
use crate::clock::Clock;

/// Called after the nth call of an operation.
pub(super) struct Hook {
    pub operation: Operation,
    pub left: u64,
    pub then: Box<dyn FnOnce(&Control) + Send>,
}

/// All state of one sandbox.
pub(super) struct World {
    clock: Arc<dyn Clock>,
    accounts: RwLock<HashMap<String, HashMap<String, Arc<Region>>>>,
    down: RwLock<HashSet<String>>,
    calls: Vec<AtomicU64>,
    pub latency: Latency,
    hooked: AtomicBool,
    hooks: Mutex<Vec<Hook>>,
    missing_functions: RwLock<HashSet<String>>,
    pub roles: Mutex<HashMap<String, String>>,
    pub refused: AtomicU64,
    pub quotas: AtomicBool,
    pub empty_first_page: AtomicBool,
    /// What was created from this moment on is not listed yet.
    pub listed_until: AtomicI64,
    pub immediate_rotations: AtomicU64,
    pub diary: Diary,
    pub faults: Faults<Fault>,
    pub keys: Keys,
}

/// One account in one region.
#[derive(Default)]
pub(super) struct Region {
    shelf: RwLock<Shelf>,
    pub quotas: Quotas,
}

/// The secrets of a region: by name, and in the order of creation.
#[derive(Default)]
pub(super) struct Shelf {
    pub by_name: BTreeMap<Arc<str>, Secret>,
    pub by_seq: BTreeMap<u64, Arc<str>>,
    next_seq: u64,
}

impl World {
    pub fn new(clock: Arc<dyn Clock>, quotas: bool, latency: Duration) -> Self {
        Self {
            clock,
            accounts: RwLock::default(),
            down: RwLock::default(),
            calls: Operation::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            latency: latency.into(),
            hooked: AtomicBool::new(false),
            hooks: Mutex::default(),
            missing_functions: RwLock::default(),
            roles: Mutex::default(),
            refused: AtomicU64::new(0),
            quotas: AtomicBool::new(quotas),
            empty_first_page: AtomicBool::new(false),
            listed_until: AtomicI64::new(Millis::MAX),
            immediate_rotations: AtomicU64::new(0),
            diary: Diary::default(),
            faults: Faults::default(),
            keys: Keys::default(),
        }
    }

    pub fn now(&self) -> Millis {
        self.clock.now().as_millisecond()
    }

    /// The region of an account, made when first asked for.
    pub fn region(&self, account: &str, region: &str) -> Arc<Region> {
        let accounts = self.accounts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = accounts.get(account).and_then(|regions| regions.get(region)) {
            return Arc::clone(found);
        }
        drop(accounts);
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        let regions = accounts.entry(account.to_owned()).or_default();
        Arc::clone(regions.entry(region.to_owned()).or_default())
    }

    pub fn is_down(&self, region: &str) -> bool {
        self.down.read().unwrap_or_else(PoisonError::into_inner).contains(region)
    }

    pub fn set_down(&self, region: &str, down: bool) {
        let mut set = self.down.write().unwrap_or_else(PoisonError::into_inner);
        if down {
            set.insert(region.to_owned());
        } else {
            set.remove(region);
        }
    }

    pub fn function_exists(&self, arn: &str) -> bool {
        !self.missing_functions.read().unwrap_or_else(PoisonError::into_inner).contains(arn)
    }

    pub fn set_function_missing(&self, arn: &str, missing: bool) {
        let mut set = self.missing_functions.write().unwrap_or_else(PoisonError::into_inner);
        if missing {
            set.insert(arn.to_owned());
        } else {
            set.remove(arn);
        }
    }

    pub fn count(&self, operation: Operation) {
        self.calls[operation as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn calls(&self) -> BTreeMap<String, u64> {
        let counts = self.calls.iter().map(|count| count.load(Ordering::Relaxed));
        let named = Operation::ALL.iter().map(|operation| operation.name().to_owned()).zip(counts);
        named.filter(|(_, count)| *count > 0).collect()
    }

    pub fn reset_calls(&self) {
        self.calls.iter().for_each(|count| count.store(0, Ordering::Relaxed));
        self.refused.store(0, Ordering::Relaxed);
        self.diary.clear();
        self.immediate_rotations.store(0, Ordering::Relaxed);
    }

    pub fn add_hook(&self, hook: Hook) {
        self.hooks().push(hook);
        self.hooked.store(true, Ordering::Release);
    }

    /// The hooks that this call sets off.
    pub fn due_hooks(&self, operation: Operation) -> Vec<Hook> {
        if !self.hooked.load(Ordering::Acquire) {
            return Vec::new();
        }
        let mut hooks = self.hooks();
        hooks.iter_mut().filter(|hook| hook.operation == operation).for_each(|hook| hook.left -= 1);
        let due = hooks.extract_if(.., |hook| hook.left == 0).collect();
        self.hooked.store(!hooks.is_empty(), Ordering::Release);
        due
    }

    fn hooks(&self) -> MutexGuard<'_, Vec<Hook>> {
        self.hooks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Region {
    pub fn read(&self) -> RwLockReadGuard<'_, Shelf> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, Shelf> {
        self.shelf.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shelf {
    /// Puts a secret on the shelf; one of the same name is replaced in its place.
    pub fn insert(&mut self, mut secret: Secret) {
        self.next_seq += 1;
        secret.seq = self.by_name.get(&secret.name).map_or(self.next_seq, |replaced| replaced.seq);
        self.by_seq.insert(secret.seq, Arc::clone(&secret.name));
        self.by_name.insert(Arc::clone(&secret.name), secret);
    }

    pub fn remove(&mut self, name: &str) -> Option<Secret> {
        let secret = self.by_name.remove(name)?;
        self.by_seq.remove(&secret.seq);
        Some(secret)
    }
}
