//! Break glass: single secrets out of the newest snapshot of every source, while no provider is there.
//!
//! The opening of an estate is pure choice: [`Estate`] holds what the judge of the history let through, and nothing here goes
//! around it. Reading a value needs the recovery key.

mod entries;
mod estate;
mod field;
mod name;
mod secret;
mod timeline;
mod variables;
pub mod write;

pub use entries::{Case, Entries, EntryError, Given, Pair, entries};
pub use estate::{Closed, Estate, Moment};
pub use field::{Field, FieldError, field, keys, structure};
pub use name::Name;
pub use secret::{Found, NotFound, Secrets, Wanted, current, version};
pub use timeline::{Event, Life, Span, Timeline, VersionLife, timeline};
pub use variables::{LONGEST, Unfit, VariableRules, Why, unfit};
