//! Every integration test, in one binary.

mod architecture;
mod emulator_boto3;
