//! What a target says about what is there.

use serde::{Deserialize, Serialize};

use super::{Secret, Version};

/// A secret that exists in a target.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Existing {
    /// The metadata.
    pub secret: Secret,
    /// The versions with their labels; their values are not read.
    pub versions: Vec<Version>,
}

/// Whether something that a plan refers to is in the target. Never a guess.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "reason", rename_all = "snake_case")]
pub enum Presence {
    /// It is there and can be used.
    There,
    /// It is not there.
    Missing,
    /// It is there and cannot be used.
    Unusable(String),
    /// The target did not tell.
    Unknown(String),
}

/// What a provider thinks of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyVerdict {
    /// Nothing is wrong with it.
    Accepted,
    /// What is wrong: public access, the caller locked out, no policy at all.
    Refused(Vec<String>),
    /// The target did not tell.
    Unknown(String),
}
