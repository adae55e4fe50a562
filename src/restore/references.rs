//! Keys and other things outside the secrets that a plan needs.

use std::collections::BTreeMap;

use super::plan::{Reference, SecretPlan};
use crate::provider::{Context, Rules};

/// Secrets named for one reference; the others are counted.
const MOST_NAMES: usize = 20;

/// What the restored secrets refer to, gathered secret by secret.
#[derive(Default)]
pub(super) struct References(BTreeMap<String, (Vec<String>, u64)>);

impl References {
    /// Notes what one secret refers to.
    pub fn add(&mut self, secret: &SecretPlan, rules: &dyn Rules) {
        if !secret.is_verified() {
            return;
        }
        for reference in rules.references(&secret.desired) {
            let (names, more) = self.0.entry(reference).or_default();
            if names.len() < MOST_NAMES {
                names.push(secret.desired.name.clone());
            } else {
                *more += 1;
            }
        }
    }

    /// All of them, and whether they are there.
    pub fn all(self, context: &Context<'_>) -> Vec<Reference> {
        let reference = |(reference, (secrets, more)): (String, _)| Reference {
            presence: context.presence(&reference),
            secrets,
            more,
            reference,
        };
        self.0.into_iter().map(reference).collect()
    }
}
