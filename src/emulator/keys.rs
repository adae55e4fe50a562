//! KMS keys, as far as Secrets Manager notices them.

use std::{
    collections::HashMap,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use super::refusal::Refusal;

/// What is wrong with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// Disabled: neither encrypts nor decrypts.
    Disabled,
    /// Deleted, or never there.
    Missing,
    /// The caller may not use it.
    Denied,
}

/// Keys that do not work; every other key id is taken as a good one.
#[derive(Default)]
pub(super) struct Keys {
    any: AtomicBool,
    broken: RwLock<HashMap<String, KeyState>>,
}

impl Keys {
    pub fn set(&self, key: &str, state: Option<KeyState>) {
        let mut broken = self.broken.write().unwrap_or_else(PoisonError::into_inner);
        match state {
            Some(state) => broken.insert(key.to_owned(), state),
            None => broken.remove(key),
        };
        self.any.store(!broken.is_empty(), Ordering::Release);
    }

    pub fn may_encrypt(&self, key: Option<&str>) -> Result<(), Refusal> {
        self.check(key, || {
            Refusal::new(
                "EncryptionFailure",
                "Secrets Manager can't encrypt the protected secret text using the provided KMS key. Check that the \
                 KMS key is available, enabled, and not in an invalid state.",
            )
        })
    }

    pub fn may_decrypt(&self, key: Option<&str>) -> Result<(), Refusal> {
        self.check(key, || {
            Refusal::new(
                "DecryptionFailure",
                "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
            )
        })
    }

    /// The answer of DescribeKey. A key that nothing was said about is there and good.
    pub fn describe(&self, key: &str) -> Result<serde_json::Value, Refusal> {
        let broken = self.broken.read().unwrap_or_else(PoisonError::into_inner);
        let state = match broken.get(key) {
            None => "Enabled",
            Some(KeyState::Disabled) => "Disabled",
            Some(KeyState::Missing) => {
                return Err(Refusal::new("NotFoundException", format!("Key '{key}' does not exist")));
            }
            Some(KeyState::Denied) => {
                return Err(Refusal::new("AccessDeniedException", "not authorized to perform: kms:DescribeKey"));
            }
        };
        Ok(serde_json::json!({ "KeyMetadata": { "KeyId": key, "KeyState": state, "Enabled": state == "Enabled" } }))
    }

    fn check(&self, key: Option<&str>, failure: impl FnOnce() -> Refusal) -> Result<(), Refusal> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let broken = self.broken.read().unwrap_or_else(PoisonError::into_inner);
        match broken.get(key.unwrap_or("aws/secretsmanager")) {
            None => Ok(()),
            Some(KeyState::Denied) => Err(Refusal::new("AccessDeniedException", "Access to KMS is not allowed")),
            Some(_) => Err(failure()),
        }
    }
}
