//! Clients the emulator was not written with: every operation by boto3, the main ones by the aws command.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use lifeboat::emulator::{Sandbox, SandboxOptions};

/// How many checks each script has at the least: a script that quietly runs fewer proves less.
const BOTO3_CHECKS: usize = 93;
const CLI_CHECKS: usize = 14;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn boto3_drives_every_operation() {
    drive("emulator_boto3.py", BOTO3_CHECKS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_aws_command_drives_the_main_operations() {
    drive("emulator_cli.py", CLI_CHECKS).await;
}

/// Runs a script of `tests/python` against a fresh sandbox; its every check must have run and passed.
async fn drive(script: &str, expected: usize) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let output = run(script, &sandbox.endpoint()).await;
    sandbox.shutdown().await;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{script}:\n{said}{}", String::from_utf8_lossy(&output.stderr));
    let passed = said.lines().filter(|line| line.starts_with("ok ")).count();
    println!("{script}: {passed} checks");
    assert!(output.status.success(), "{script} failed with {}", output.status);
    assert_eq!(passed, expected, "{script} ran another number of checks than it has");
}

async fn run(script: &str, endpoint: &str) -> Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(script);
    let mut command = std::process::Command::new(interpreter());
    command.arg("-B").arg(path).arg(endpoint).stdin(Stdio::null());
    // Nothing of the person who runs the tests may decide what is asked of whom.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("AWS_") || name.ends_with("_proxy")) {
        command.env_remove(name);
    }
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().expect("the interpreter starts")
}

/// The Python that has the peers: of `LIFEBOAT_TEST_VENV`, or of `target/venv`.
#[expect(clippy::disallowed_methods, reason = "the tests are told by the environment where their peers are")]
fn interpreter() -> PathBuf {
    let folder = std::env::var_os("LIFEBOAT_TEST_VENV")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/venv"), PathBuf::from);
    let python = folder.join("bin/python");
    assert!(python.exists(), "{} is missing: run scripts/setup, or scripts/test, which does", python.display());
    python
}
