//! A provider in memory.
