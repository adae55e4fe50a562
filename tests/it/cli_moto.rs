//! The round trip on a server that nobody here wrote, seeded and compared by a client that nobody here wrote.

use std::path::Path;

use crate::{
    command::{Desk, SHEETS},
    servers::{self, Moto},
};

#[test]
fn every_version_comes_back_in_another_region_of_moto() {
    let moto = Moto::start();
    let desk = Desk::new(&moto.endpoint, "test");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/moto_round_trip.py");
    let python = |words: &[&str]| {
        let mut command = desk.command(servers::program("python"));
        desk.finish(command.arg("-B").arg(&script).args(words)).expect(0)
    };
    python(&["seed", &moto.endpoint, "eu-central-1"]);
    desk.init();
    let snapshot = desk.run("snapshot --json").expect(0).json();
    assert_eq!(snapshot["counts"]["captured"], 124);
    let restored = desk.run(&format!("restore --repo west --to aws:us-west-2 --yes --json {SHEETS}")).expect(0).json();
    assert_eq!(restored["complete"], true);
    let compared = python(&["compare", &moto.endpoint, "eu-central-1", "us-west-2"]).out;
    println!("equal by boto3: {compared}");
    let compared: serde_json::Value = serde_json::from_str(&compared).unwrap();
    assert_eq!((&compared["secrets"], &compared["versions"]), (&124.into(), &132.into()));
    assert!(compared["unlabelled"].as_u64().unwrap() >= 4, "{compared}");
}
