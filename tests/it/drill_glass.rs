//! `lifeboat drill run` on break glass: the server from the copy, a client against it, and what makes it fail.

use crate::{
    cli::estate,
    command::{Desk, SHEETS},
    drill_cli::{ACCOUNT, write},
    servers::program,
};

const GLASS: &str = "scenario = \"eu-central-1 is gone\"\nevery_days = 31\n[lost]\nregions = [\"eu-central-1\"]\n\
                     [target]\nkind = \"break-glass\"\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_serves_from_the_copy_and_is_in_the_signed_record() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run("copy").expect(0);
    let name = "app/api";
    sandbox.shutdown().await;
    // A client that nobody here wrote, with what a probe is given.
    let aws = program("aws").display().to_string();
    let script = format!(
        "test -n \"$(cat)\" && {aws} secretsmanager get-secret-value --secret-id {name} --query Name --output text | grep -qx {name}"
    );
    let probe = format!(
        "[[probe]]\nname = \"aws\"\nsecret = {name:?}\ncommand = [\"/bin/sh\", \"-c\", {script:?}]\ntime_limit = \"60s\"\n"
    );
    write(&desk, "glass", &format!("{GLASS}{probe}[objectives]\nfirst_secret = \"60s\"\n"));
    let held = desk.run(&format!("drill run glass --yes --json --html page.html --pdf page.pdf {SHEETS}")).expect(0);
    let record = &held.json()["record"];
    assert_eq!((&record["result"], &record["deviations"]), (&"passed".into(), &serde_json::json!([])));
    let served = &record["served"];
    let (first, all) = (served["first_secret_seconds"].as_f64().unwrap(), served["all_seconds"].as_f64().unwrap());
    assert!(0.0 < first && first < all, "{served}");
    assert_eq!(record["objectives"]["first_secret_met"], true);
    assert_eq!(record["recovery_point"]["is_copy"], true);
    assert_eq!((&record["clean_up"]["created"], &record["clean_up"]["destroyed"]), (&0.into(), &0.into()));
    let of = |name: &str| record["checks"].as_array().unwrap().iter().find(|it| it["name"] == name).unwrap().clone();
    for check in ["completeness", "ids", "values", "labels"] {
        let check = of(check);
        assert!(check["state"] == "passed" && check["equal"].as_u64() > Some(0), "{check}");
    }
    assert_eq!(of("replicas")["chosen"], false, "a server has none to show");
    let probes: Vec<&str> =
        record["probes"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert!(probes.len() == 7 && probes.contains(&"aws") && probes.contains(&"a write is refused"), "{probes:?}");
    let controls = record["negative_controls"].as_array().unwrap();
    let caught = |planted: &str| controls.iter().any(|it| it["planted"] == planted && it["state"] == "passed");
    assert!(caught("a wrong value") && caught("a missing secret") && caught("a grant that opens everything"));

    // Its log is beside the record, and the state of the host has none left.
    let log = served["log"].as_str().unwrap();
    let report = desk.run(&format!("break-glass report --stored {log} --json --repo west {SHEETS}")).expect(0).json();
    assert_eq!(report["seal"]["is_closed"], true);
    assert!(report["rotate"].as_array().unwrap().len() > 1);
    let left = std::fs::read_dir(desk.path("state")).unwrap();
    assert!(!left.into_iter().any(|it| it.unwrap().path().extension().is_some_and(|end| end == "jsonl")));
    desk.run("drill verify").expect(0);
    let page = std::fs::read_to_string(desk.path("page.html")).unwrap();
    assert!(page.contains("First secret"), "the report shows it");
    let held = desk.run(&format!("drill run --target break-glass --yes {SHEETS}")).expect(0);
    assert!(held.out.contains("the first secret after "), "{}", held.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_first_secret_and_a_damaged_pack_fail_it() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    desk.run("copy").expect(0);
    write(&desk, "late", &format!("{GLASS}[objectives]\nfirst_secret = \"1ns\"\n"));
    let held = desk.run(&format!("drill run late --yes --json {SHEETS}")).expect(3).json();
    assert_eq!(held["record"]["result"], "failed");
    let deviations = held["record"]["deviations"].to_string();
    assert!(deviations.contains("the first secret came too late"), "{deviations}");
    write(
        &desk,
        "probe",
        &format!("{GLASS}[[probe]]\nname = \"no\"\nsecret = \"nothing\"\ncommand = [\"/bin/true\"]\n"),
    );
    let held = desk.run(&format!("drill run probe --yes --json {SHEETS}")).expect(3).json();
    assert!(held["record"]["deviations"].to_string().contains("probe"), "{held}");
    let pack = crate::command::files(&desk.path("west/packs")).into_iter().next().unwrap().0;
    let mut bytes = std::fs::read(&pack).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::set_permissions(&pack, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::fs::write(&pack, bytes).unwrap();
    write(&desk, "glass", GLASS);
    assert_ne!(desk.run(&format!("drill run glass --yes --json {SHEETS}")).code, Some(0));
    sandbox.shutdown().await;
}
