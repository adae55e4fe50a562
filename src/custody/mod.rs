//! TODO duty
