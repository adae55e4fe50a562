//! `lifeboat drill` by hand, against the embedded sandbox and its own.

use crate::{
    cli::estate,
    command::{Desk, SHEETS},
};

const ACCOUNT: &str = "111111111111";

/// Writes a drill file.
fn write(desk: &Desk, name: &str, text: &str) {
    std::fs::create_dir_all(desk.path("drills")).unwrap();
    std::fs::write(desk.path(&format!("drills/{name}.toml")), text).unwrap();
}

const OUTAGE: &str = "scenario = \"eu-central-1 is gone\"\nevery_days = 31\n[lost]\nregions = [\"eu-central-1\"]\n[target]\nsandbox = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_regional_outage_touches_nothing_that_is_lost() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    write(&desk, "outage", OUTAGE);
    sandbox.control().reset_calls();
    std::fs::rename(desk.path("repository"), desk.path("gone")).unwrap();
    let drill = desk.run(&format!("drill run outage --json {SHEETS}")).expect(0).json();
    assert!(sandbox.control().calls().is_empty(), "{:?}", sandbox.control().calls());
    let isolation = &drill["record"]["isolation"];
    assert_eq!(isolation["refused"], 2, "the region and the storage, tried once each");
    let contacted: Vec<&str> = isolation["contacted"].as_array().unwrap().iter().map(|host| host.as_str().unwrap()).collect();
    assert!(contacted.len() == 2 && contacted[1].starts_with("127.0.0.1:") && contacted[0].ends_with("/west"), "{contacted:?}");
    assert!(!contacted[1].ends_with(&sandbox.address().port().to_string()));
    assert_eq!(drill["record"]["recovery_point"]["is_copy"], true);
    std::fs::rename(desk.path("gone"), desk.path("repository")).unwrap();
    desk.run("drill verify").expect(0);
    desk.run("drill run outage --json --share sheets/").expect(0);
    assert!(desk.run("drill list").expect(0).out.contains("outage"));
    sandbox.shutdown().await;
}
