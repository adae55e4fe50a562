//! The answer to a compromise: what to contain, what to rotate in which order, where to look back, and how it is proven.
//!
//! A plan holds no value. Rotation has a way of its own ([`crate::provider::Rotator`]), which a restore does not have.

mod journal;
mod keys;
mod order;
mod plan;
mod playbook;
mod proof;
mod work;

pub use journal::{Done, Journal};
pub use keys::{KeyAnswer, LeakedKey, about_key};
pub use plan::{Asked, Item, NoPlan, Plan, PlanSource, Subject, make, overlaps};
pub use playbook::{Play, Playbook, PlaybookError};
pub use proof::{Finding, Proof, Proven, prove};
pub use work::{Fate, Progressed, carry_out};
