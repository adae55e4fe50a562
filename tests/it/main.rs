//! Every integration test, in one binary.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::type_complexity,
    reason = "a test ends at the first surprise and says what it saw"
)]

mod architecture;
mod aws_moto;
mod aws_stub;
mod bad_input;
mod cli;
mod cli_moto;
mod command;
mod emulator_boto3;
mod hygiene;
mod recover_py;
mod repo_check;
mod repo_crash;
mod repo_fixture;
mod repo_history;
mod repo_sample;
mod round_trip;
mod servers;
mod share_gather;
mod share_text;
mod share_vectors;
mod sheet_page;
mod stub;
