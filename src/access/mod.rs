//! Who read which secret in a month, held against the month before and against what is known: pure, and in memory that grows with
//! readers and not with readings.

mod consumers;
mod month;
mod report;
mod tally;

pub use self::{
    consumers::{Line, Todo, Used, Uses, consumers_of, is_whole, words},
    month::{Month, NoMonth},
    report::{Coverage, Covered, Report, Row, Span, Standing, Unusual},
    tally::{Hours, NoHours, Rules, Tally},
};
