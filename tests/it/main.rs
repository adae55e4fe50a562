//! Integration tests, one binary.

mod emulator_behaviour;
mod emulator_recordings;
mod emulator_rules;
mod emulator_scenarios;
mod emulator_wire;
