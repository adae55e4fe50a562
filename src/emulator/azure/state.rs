//! Everything a server keeps: vaults with their secrets, tenants and tokens.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
    time::Duration,
};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::{faults::Fault, quotas::Quota, rights::Rights};
use crate::{
    clock::Clock,
    emulator::{faults::Faults, front::Latency, ops::random_text},
};

/// All state of one server.
pub(super) struct World {
    clock: Arc<dyn Clock>,
    /// The tenant of new vaults.
    pub(super) tenant: String,
    /// What clients sign in with.
    pub(super) client_secret: String,
    /// The port that is in every address told.
    pub(super) port: u16,
    pub(super) quotas: AtomicBool,
    pub(super) latency: Latency,
    pub(super) faults: Faults<Fault>,
    state: Mutex<State>,
}

/// What requests read and change.
#[derive(Default)]
pub(super) struct State {
    /// By name.
    pub(super) vaults: BTreeMap<String, Vault>,
    /// By its text.
    pub(super) tokens: BTreeMap<String, Token>,
    /// Requests by method and by what they are about, such as `GET secret`.
    pub(super) calls: BTreeMap<String, u64>,
    /// Requests for which what was deleted, recovered or purged is on its way.
    pub(super) lag: u32,
}

/// An access token.
pub(super) struct Token {
    pub(super) tenant: String,
    pub(super) ends: Timestamp,
    /// Whether it is for the Resource Manager, and not for vaults.
    pub(super) for_manager: bool,
}

/// One vault.
pub(super) struct Vault {
    pub(super) rights: Rights,
    pub(super) tenant: String,
    pub(super) quota: Quota,
    /// Days for which a deleted secret can be recovered.
    pub(super) recoverable_days: u32,
    /// Whether nothing is purged before its time.
    pub(super) is_protected: bool,
    /// By name in small letters: names differ by more than case.
    pub(super) secrets: BTreeMap<String, Secret>,
    /// The same of what is deleted and can be recovered.
    pub(super) deleted: BTreeMap<String, Deleted>,
}

/// One secret, in the spelling of its first writer.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) name: String,
    /// Oldest first.
    pub(super) versions: Vec<Version>,
    /// Whether a certificate manages it.
    pub(super) is_managed: bool,
    /// Requests that still do not find it.
    pub(super) lag: u32,
}

/// A secret that is deleted.
pub(super) struct Deleted {
    pub(super) secret: Secret,
    pub(super) at: Timestamp,
}

/// One version: its value never changes, the rest may.
#[derive(Clone)]
pub(super) struct Version {
    /// 32 hexadecimal digits.
    pub(super) id: String,
    pub(super) value: Zeroizing<String>,
    pub(super) content_type: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) enabled: bool,
    pub(super) not_before: Option<i64>,
    pub(super) expires: Option<i64>,
    pub(super) created: i64,
    pub(super) updated: i64,
}

impl World {
    pub(super) fn new(clock: Arc<dyn Clock>, quotas: bool, latency: Duration, port: u16) -> Self {
        Self {
            clock,
            tenant: uuid(),
            client_secret: random_text(40),
            port,
            quotas: AtomicBool::new(quotas),
            latency: latency.into(),
            faults: Faults::default(),
            state: Mutex::default(),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where one signs in.
    pub(super) fn authority(&self, tenant: &str) -> String {
        format!("https://localhost:{}/{tenant}", self.port)
    }

    /// What a token for a vault is asked for.
    pub(super) fn resource(&self) -> String {
        format!("https://{}:{}", super::DOMAIN, self.port)
    }

    /// The address of the Resource Manager.
    pub(super) fn manager(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// The address of a vault.
    pub(super) fn vault(&self, name: &str) -> String {
        format!("https://{name}.{}:{}", super::DOMAIN, self.port)
    }
}

impl State {
    /// A vault, made where there is none.
    pub(super) fn vault(&mut self, name: &str, tenant: &str) -> &mut Vault {
        self.vaults.entry(name.to_owned()).or_insert_with(|| Vault {
            rights: Rights::default(),
            tenant: tenant.to_owned(),
            quota: Quota::default(),
            recoverable_days: 90,
            is_protected: false,
            secrets: BTreeMap::new(),
            deleted: BTreeMap::new(),
        })
    }
}

impl Secret {
    /// The version that is answered where none is asked for: the newest.
    pub(super) fn current(&self) -> Option<&Version> {
        self.versions.last()
    }
}

/// A random identifier in the usual form.
pub(super) fn uuid() -> String {
    let text = hex32();
    format!("{}-{}-4{}-8{}-{}", &text[..8], &text[8..12], &text[13..16], &text[17..20], &text[20..])
}

/// 32 random hexadecimal digits.
pub(super) fn hex32() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives randomness");
    hex::encode(bytes)
}
