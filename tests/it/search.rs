//! Looks for bytes among others, as the tests do that search all that a run leaves behind.

/// Whether `part` is somewhere in `bytes`.
pub fn holds(bytes: &[u8], part: impl AsRef<[u8]>) -> bool {
    let part = part.as_ref();
    assert!(!part.is_empty(), "nothing is found everywhere");
    memchr::memmem::find(bytes, part).is_some()
}
