//! The switches of a sandbox.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use serde_json::Value;

use super::{
    diary::WriteCall,
    faults::Fault,
    keys::KeyState,
    ops::{Operation, new_arn, random_text},
    secret::{Secret, Version},
    seed,
    state::{Hook, World},
};
use crate::model::SecretValue;

/// The switches of a running sandbox; clones turn the same ones.
#[derive(Clone)]
pub struct Control {
    world: Arc<World>,
}

/// Why a switch could not be turned.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ControlError {
    /// No such secret, or none of that version.
    #[error("no secret or version named {0}")]
    NotFound(String),
    /// No such operation of Secrets Manager.
    #[error("no operation named {0}")]
    NoOperation(String),
    /// The version has no value, so nothing can be changed in it.
    #[error("version {0} has no value")]
    NoValue(String),
    /// A request that does not read.
    #[error("{0}")]
    BadRequest(&'static str),
}

impl Control {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    /// Takes a region down or up. While it is down every call to it, STS too, has its connection closed unanswered.
    pub fn set_region_down(&self, region: &str, down: bool) {
        self.world.set_down(region, down);
    }

    /// Calls turned away since start or reset because their region was down.
    pub fn refused(&self) -> u64 {
        self.world.refused.load(Ordering::Relaxed)
    }

    /// Enforces AWS's request quotas, or not.
    pub fn set_quotas(&self, on: bool) {
        self.world.quotas.store(on, Ordering::Relaxed);
    }

    /// Adds this to every answer from now on.
    pub fn set_latency(&self, latency: Duration) {
        self.world.latency.set(latency);
    }

    /// Orders a fault; the first on order that meets a call decides.
    ///
    /// # Errors
    /// An operation that does not exist would never be met.
    pub fn try_add_fault(&self, fault: Fault) -> Result<(), ControlError> {
        if let Some(name) = &fault.operation {
            operation(name)?;
        }
        self.world.faults.add(fault);
        Ok(())
    }

    /// Orders a fault, as [`Control::try_add_fault`]; one on an operation that does not exist never strikes.
    pub fn add_fault(&self, fault: Fault) {
        self.world.faults.add(fault);
    }

    /// Takes all faults off order.
    pub fn clear_faults(&self) {
        self.world.faults.clear();
    }

    /// Calls per operation since start or reset, those answered with an error included, those to a downed region not.
    pub fn calls(&self) -> BTreeMap<String, u64> {
        self.world.calls()
    }

    /// Every call since start or reset that would change something, in order.
    pub fn writes(&self) -> Vec<WriteCall> {
        self.world.diary.calls()
    }

    /// Sets all counters to zero.
    pub fn reset_calls(&self) {
        self.world.reset_calls();
    }

    /// RotateSecret calls since start or reset that asked for rotation at once, by word or by default.
    pub fn immediate_rotations(&self) -> u64 {
        self.world.immediate_rotations.load(Ordering::Relaxed)
    }

    /// Makes ListSecrets begin with an empty page that has a NextToken, as AWS may.
    pub fn set_empty_first_page(&self, on: bool) {
        self.world.empty_first_page.store(on, Ordering::Relaxed);
    }

    /// Makes ListSecrets lag: what is created from now on is not listed until this is taken back.
    pub fn set_listing_lag(&self, on: bool) {
        let until = if on { self.world.now() } else { i64::MAX };
        self.world.listed_until.store(until, Ordering::Relaxed);
    }

    /// Breaks a KMS key, or mends it with `None`. `aws/secretsmanager` is the default key.
    pub fn set_key_state(&self, key: &str, state: Option<KeyState>) {
        self.world.keys.set(key, state);
    }

    /// Makes a rotation function missing, or existing again.
    pub fn set_function_missing(&self, arn: &str, missing: bool) {
        self.world.set_function_missing(arn, missing);
    }

    /// Calls back once, after the nth call of an operation from now on was carried out and before it is answered.
    ///
    /// # Errors
    /// No such operation.
    pub fn on_call(
        &self,
        operation: &str,
        nth: u64,
        then: Box<dyn FnOnce(&Control) + Send>,
    ) -> Result<(), ControlError> {
        let operation = self::operation(operation)?;
        self.world.add_hook(Hook { operation, left: nth.max(1), then });
        Ok(())
    }

    /// Stores text as the current version of a secret, made if need be; answers the version id.
    ///
    /// # Errors
    /// The secret takes no more versions.
    pub fn put(&self, account: &str, region: &str, name: &str, value: &str) -> Result<String, ControlError> {
        let now = self.world.now();
        let id = random_text(36).to_lowercase();
        let home = self.world.region(account, region);
        let mut shelf = home.write();
        if !shelf.by_name.contains_key(name) {
            shelf.insert(Secret::new(new_arn(region, account, name), name.into(), now));
        }
        let secret = shelf.by_name.get_mut(name).ok_or_else(|| ControlError::NotFound(name.to_owned()))?;
        let value = Some(Arc::new(SecretValue::text(value.to_owned())));
        let version = Version::new(id.clone(), value, now, secret.kms_key_id.clone());
        secret.add_version(version, None).map_err(|_| ControlError::BadRequest("the secret takes no more versions"))?;
        secret.touch_changed(now);
        Ok(id)
    }

    /// Stores `versions` values in each of many secrets, `bench/0000000` and so on: a random password in a small JSON document.
    ///
    /// # Errors
    /// A secret takes no more versions.
    pub fn put_estate(
        &self,
        account: &str,
        region: &str,
        numbers: std::ops::Range<u32>,
        versions: u32,
    ) -> Result<(), ControlError> {
        for number in numbers {
            for _ in 0..versions {
                let value = format!(
                    r#"{{"engine":"postgres","host":"db-{number}.internal","port":5432,"username":"app","password":"{}"}}"#,
                    random_text(32)
                );
                self.put(account, region, &format!("bench/{number:07}"), &value)?;
            }
        }
        Ok(())
    }

    /// Puts a secret in place as it is, replacing one of the same name; answers its ARN.
    ///
    /// The JSON has the names of AWS's answers: `Name`, and what is wanted of `ARN`, `Description`, `KmsKeyId`, `Type`,
    /// `OwningService`, `PrimaryRegion`, `Tags`, `ResourcePolicy`, `CreatedDate`, `LastChangedDate`, `DeletedDate`,
    /// `RotationEnabled`, `RotationLambdaARN`, `RotationRules`, `Versions` (`VersionId`, `SecretString` or `SecretBinary`
    /// or neither, `VersionStages`, `CreatedDate`, `KmsKeyId`), and `Extra`: fields added to Describe and List answers.
    ///
    /// # Errors
    /// JSON that is not of this form.
    pub fn seed_raw(&self, account: &str, region: &str, secret: &Value) -> Result<String, ControlError> {
        seed::plant(&self.world, account, region, secret)
    }

    /// Sets when a version was made, in seconds since 1970; for the rule of 24 hours.
    ///
    /// # Errors
    /// No such secret or version.
    pub fn set_created(
        &self,
        account: &str,
        region: &str,
        name: &str,
        version: &str,
        seconds: f64,
    ) -> Result<(), ControlError> {
        self.change(account, region, name, |secret| {
            let found = secret.versions.iter_mut().find(|it| it.id == version);
            found.ok_or_else(|| ControlError::NotFound(version.to_owned()))?.created = seed::millis(seconds);
            Ok(())
        })
    }

    /// Changes one byte of a stored value and nothing else; answers the id of the version.
    ///
    /// Without a version it is the current one. A test that compares values proves with this that it can fail.
    ///
    /// # Errors
    /// No such secret or version, or one without a value.
    pub fn corrupt_value(
        &self,
        account: &str,
        region: &str,
        name: &str,
        version: Option<&str>,
    ) -> Result<String, ControlError> {
        self.change(account, region, name, |secret| {
            let current = secret.labels.version(super::labels::CURRENT).map(str::to_owned);
            let id = version.map(str::to_owned).or(current).ok_or_else(|| ControlError::NotFound(name.to_owned()))?;
            let found = secret.versions.iter_mut().find(|it| it.id == id);
            let found = found.ok_or_else(|| ControlError::NotFound(id.clone()))?;
            let value = found.value.as_ref().ok_or_else(|| ControlError::NoValue(id.clone()))?;
            found.value = Some(Arc::new(flipped(value)));
            Ok(id)
        })
    }

    fn change<T>(
        &self,
        account: &str,
        region: &str,
        name: &str,
        change: impl FnOnce(&mut Secret) -> Result<T, ControlError>,
    ) -> Result<T, ControlError> {
        let home = self.world.region(account, region);
        let mut shelf = home.write();
        let secret = shelf.by_name.get_mut(name).ok_or_else(|| ControlError::NotFound(name.to_owned()))?;
        change(secret)
    }
}

fn operation(name: &str) -> Result<Operation, ControlError> {
    Operation::parse(name).ok_or_else(|| ControlError::NoOperation(name.to_owned()))
}

/// The same value with one byte changed; text stays text of the same length, unless it is all beyond ASCII.
fn flipped(value: &SecretValue) -> SecretValue {
    match value {
        SecretValue::Bytes(bytes) => {
            let mut bytes = bytes.to_vec();
            if let Some(first) = bytes.first_mut() {
                *first ^= 1;
            }
            SecretValue::bytes(bytes)
        }
        SecretValue::Text(text) | SecretValue::Fields(text) => {
            let at =
                text.char_indices().find(|(_, c)| c.is_ascii_alphanumeric()).or_else(|| text.char_indices().next());
            let Some((at, c)) = at else { return SecretValue::text("x".into()) };
            let changed = if c == 'x' { "y" } else { "x" };
            let rest = &text[at + c.len_utf8()..];
            SecretValue::text([&text[..at], changed, rest].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_value_never_equals_the_original() {
        for text in ["x", "password", "{}", "é", "\u{feff}{\"a\":1}"] {
            let value = SecretValue::text(text.into());
            assert!(!value.same_as(&flipped(&value)), "{text}");
        }
        for bytes in [vec![0], vec![255, 0], b"text".to_vec()] {
            let value = SecretValue::bytes(bytes);
            let flipped = flipped(&value);
            assert!(!value.same_as(&flipped) && flipped.kind() == value.kind());
            assert_eq!(flipped.expose().len(), value.expose().len());
        }
    }
}
