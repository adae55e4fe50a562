//! Every integration test, in one binary.

mod architecture;
mod emulator_boto3;
mod recover_py;
mod repo_check;
mod repo_crash;
mod repo_history;
mod repo_sample;
mod round_trip;
mod share_gather;
mod share_text;
