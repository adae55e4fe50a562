//! Every integration test, in one binary.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails by panic, and says what its peers said")]

mod architecture;
mod emulator_boto3;
