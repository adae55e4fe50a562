//! Break glass: single secrets out of the newest snapshot of every source, while no provider is there.
//!
//! The opening of an estate is pure choice: [`Estate`] holds what the judge of the history let through, and nothing here goes
//! around it. Reading a value needs the recovery key.

mod estate;
mod field;
mod name;
mod secret;

pub use estate::{Closed, Estate, Moment};
pub use field::{Field, FieldError, field, keys};
pub use name::Name;
pub use secret::{Found, NotFound, Secrets, Wanted, current, version};
