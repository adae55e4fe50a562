//! Every call that would change something, as it came: so that a test can say what was never sent.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::ops::Operation;

/// Calls kept; a sandbox that runs for days forgets the oldest.
const KEPT: usize = 100_000;

/// A call that changes something, whether or not it was carried out. Holds no value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WriteCall {
    /// `PutSecretValue` and so on.
    pub operation: String,
    /// The caller's account.
    pub account: String,
    /// The called region.
    pub region: String,
    /// The secret's name or ARN, as sent.
    pub secret: Option<String>,
    /// Whether RotateSecret asked for rotation at once, by word or by default.
    pub rotates_at_once: bool,
    /// Whether DeleteSecret asked to go without a recovery window.
    pub by_force: bool,
}

#[derive(Default)]
pub(super) struct Diary(Mutex<std::collections::VecDeque<WriteCall>>);

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    name: Option<String>,
    secret_id: Option<String>,
    rotate_immediately: Option<bool>,
    #[serde(default)]
    force_delete_without_recovery: bool,
}

impl Diary {
    pub fn note(&self, operation: Operation, account: &str, region: &str, body: &[u8]) {
        if !changes(operation) {
            return;
        }
        let sent: Option<Sent> = serde_json::from_slice(body).ok();
        let sent = sent.as_ref();
        let call = WriteCall {
            operation: operation.name().to_owned(),
            account: account.to_owned(),
            region: region.to_owned(),
            secret: sent.and_then(|sent| sent.name.clone().or_else(|| sent.secret_id.clone())),
            rotates_at_once: operation == Operation::RotateSecret
                && sent.and_then(|sent| sent.rotate_immediately).unwrap_or(true),
            by_force: sent.is_some_and(|sent| sent.force_delete_without_recovery),
        };
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() == KEPT {
            calls.pop_front();
        }
        calls.push_back(call);
    }

    pub fn calls(&self) -> Vec<WriteCall> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn changes(operation: Operation) -> bool {
    !matches!(
        operation,
        Operation::BatchGetSecretValue
            | Operation::DescribeSecret
            | Operation::GetRandomPassword
            | Operation::GetResourcePolicy
            | Operation::GetSecretValue
            | Operation::ListSecretVersionIds
            | Operation::ListSecrets
            | Operation::ValidateResourcePolicy
    )
}
