//! Every integration test, in one binary.

mod aws_moto;
mod aws_stub;
mod servers;
mod stub;
