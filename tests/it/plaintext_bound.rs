//! Memory stays flat also when secrets have a hundred versions of the largest size.

use std::{
    fs,
    process::Stdio,
    time::{Duration, Instant},
};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, SHEETS, binary},
    incremental::noise,
};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";
const SECRETS: u64 = 48;
const VERSIONS: u64 = 100;
/// What all of them are together, 300 MiB, and a read needs more than once what it reads.
const LARGEST: usize = 65_536;
const MOST_KIB: u64 = 256 * 1024;

/// The most memory a running process has had, in KiB, as the kernel counts.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn forty_eight_secrets_of_a_hundred_large_versions_take_less_than_256_mib() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let control = sandbox.control();
    // One text for all: what is in memory at once does not depend on what it is.
    let value = noise(1, LARGEST);
    for number in 0..SECRETS {
        let versions: Vec<Json> =
            (0..VERSIONS).map(|at| json!({ "VersionId": format!("{at:036}"), "SecretString": value })).collect();
        let secret = json!({ "Name": format!("large/{number:03}"), "Versions": versions });
        control.seed_raw(ACCOUNT, REGION, &secret).unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let mut command = desk.command(binary());
    command.env_remove("RUST_LOG").args(["snapshot", "--no-copy"]).stdout(Stdio::null());
    let begun = Instant::now();
    let mut child = command.spawn().unwrap();
    let mut most = 0;
    let status = loop {
        most = peak(child.id()).map_or(most, |now| now.max(most));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < Duration::from_mins(5), "it does not end");
        std::thread::sleep(Duration::from_millis(20));
    };
    println!("{SECRETS} x {VERSIONS} x 64 KiB: {} MiB at most, {:.1?}", most / 1024, begun.elapsed());
    assert!(status.success() && most > 10 * 1024, "{status}, {most}");
    assert!(most < MOST_KIB, "{} MiB", most / 1024);
    let packs = crate::command::files(&desk.path("repository/packs")).len() as u64;
    let full = SECRETS * VERSIONS * LARGEST as u64 / (4 << 20);
    assert!((full * 9 / 10..=full + 8).contains(&packs), "{packs} packs of about 4 MiB for {full}");
    desk.run(&format!("check --depth values {SHEETS}")).expect(0);
    sandbox.shutdown().await;
}
