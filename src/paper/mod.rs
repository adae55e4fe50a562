//! What goes on paper: embedded fonts and lines of shaped text, for sheets and for reports.

mod face;

pub use face::{Face, Line};
