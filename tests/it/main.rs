//! The integration tests, one binary.

mod share_gather;
mod share_text;
mod share_vectors;
