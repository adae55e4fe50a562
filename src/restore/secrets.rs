//! The plans of all secrets, by name: in memory when they are few, beside it when they are many.

use std::{ops::Deref, path::Path};

use serde::{Deserialize, Deserializer, Serialize};

use super::plan::SecretPlan;
use crate::repo::{RepoError, Sorted, Spool};

/// The plans of all secrets, by name.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Secrets(Sorted<SecretPlan>);

impl Secrets {
    /// Takes plans in any order.
    pub(super) fn spool(folder: Option<&Path>) -> Spool<SecretPlan> {
        Spool::new(folder, |a, b| a.desired.name.cmp(&b.desired.name))
    }

    /// All of them in memory: for what is known to be little.
    ///
    /// # Errors
    /// The folder they are in cannot be read.
    pub fn to_vec(&self) -> Result<Vec<SecretPlan>, RepoError> {
        self.0.walk()?.collect()
    }
}

impl From<Sorted<SecretPlan>> for Secrets {
    fn from(sorted: Sorted<SecretPlan>) -> Self {
        Self(sorted)
    }
}

impl Deref for Secrets {
    type Target = Sorted<SecretPlan>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl PartialEq for Secrets {
    fn eq(&self, other: &Self) -> bool {
        match (self.walk(), other.walk()) {
            (Ok(mut one), Ok(mut other)) => loop {
                match (one.next(), other.next()) {
                    (None, None) => return true,
                    (Some(Ok(one)), Some(Ok(other))) if one == other => {}
                    _ => return false,
                }
            },
            _ => false,
        }
    }
}

impl Eq for Secrets {}

/// In memory, whatever their number.
impl<'de> Deserialize<'de> for Secrets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut spool = Self::spool(None);
        for secret in Vec::<SecretPlan>::deserialize(deserializer)? {
            spool.push(secret).map_err(serde::de::Error::custom)?;
        }
        spool.sorted().map(Self).map_err(serde::de::Error::custom)
    }
}
