//! In a build without the feature `paper` no sheets are made: a page is proven by reading it, and a key without its sheets is no
//! ceremony.

use zeroize::Zeroizing;

use super::{Paper, fit::Part, sheet::Content};

/// Nothing is printed.
pub(super) fn unprintable(_part: Part, _text: &str) -> Option<char> {
    None
}

/// Nothing is printed.
pub(super) fn has_room(_part: Part, _text: &str) -> bool {
    true
}

/// Refuses, whatever is asked for.
pub(super) fn page(_content: &Content<'_>, _paper: Paper) -> Result<Zeroizing<Vec<u8>>, String> {
    Err("this build cannot make a PDF: the feature paper is missing".into())
}
