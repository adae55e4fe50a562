//! The whole way of a person on the worst day, on servers that nobody here wrote, with a stopwatch.
#![cfg(unix)]

use std::time::{Duration, Instant};

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, Ran, binary},
    scan_picture::{Dice, page},
    servers::{self, Moto, SEAWEED_KEY, Seaweed},
};

const SECRETS: usize = 240;
/// From the first command on a clean machine until everything is back; debug builds included.
const LONGEST: Duration = Duration::from_mins(1);

const SEED: &str = "
import boto3, sys
sm = boto3.client('secretsmanager', endpoint_url=sys.argv[1], region_name='eu-central-1')
for n in range(int(sys.argv[2])):
    sm.create_secret(Name=f'app/{n:03d}', SecretString=f'value {n}')
";
const COUNT: &str = "
import boto3, sys
sm = boto3.client('secretsmanager', endpoint_url=sys.argv[1], region_name='eu-west-1')
print(sum(sm.get_secret_value(SecretId=f'app/{n:03d}')['SecretString'] == f'value {n}' for n in range(int(sys.argv[2]))))
";

fn with_profile(desk: &Desk) {
    let [key, secret] = SEAWEED_KEY;
    std::fs::create_dir_all(desk.path(".aws")).unwrap();
    let profile = format!("[copy]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    std::fs::write(desk.path(".aws/credentials"), profile).unwrap();
}

fn python(desk: &Desk, script: &str, words: &[&str]) -> String {
    let mut command = desk.command(servers::program("python"));
    desk.finish(command.args(["-c", script]).args(words)).expect(0).out
}

fn talk(desk: &Desk, words: &[&str], steps: &[Json]) -> Ran {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/converse.py");
    let mut command = desk.command("python3");
    command.env_remove("RUST_LOG").arg(script).arg(json!(steps).to_string()).arg(binary()).args(words);
    desk.finish(&mut command)
}

fn text(desk: &Desk, name: &str) -> String {
    std::fs::read_to_string(desk.path(&format!("sheets/{name}.txt"))).unwrap()
}

#[test]
fn the_engineer_on_call_brings_everything_back_within_a_minute() {
    let (moto, bucket) = (Moto::start(), Seaweed::start(None));
    let host = Desk::new(&moto.endpoint, "test");
    with_profile(&host);
    python(&host, SEED, &[&moto.endpoint, &SECRETS.to_string()]);
    host.init();
    let copy = format!("s3://backups/prod?region=eu-west-1&profile=copy&endpoint={}", bucket.endpoint);
    host.run("snapshot --no-copy").expect(0);
    host.run(&format!("copy --to {copy}")).expect(0);

    // A clean machine: photos of three sheets, credentials, the address from the runbook.
    let clean = Desk::new(&moto.endpoint, "test");
    with_profile(&clean);
    std::fs::create_dir(clean.path("photos")).unwrap();
    for (n, name) in ["01-ana", "03-cy", "04-dee"].iter().enumerate() {
        let sheet = text(&host, name);
        let string = sheet.split_whitespace().find(|word| word.starts_with("LB1") && word.len() == 90).unwrap();
        std::fs::write(clean.path(&format!("photos/IMG_{n}.jpg")), page(string, &mut Dice(n as u64)).jpeg(80)).unwrap();
    }
    let began = Instant::now();
    clean.run(&format!("words --repo {copy}")).expect(0);
    let restore = ["restore", "--repo", &copy, "--to", "aws:eu-west-1", "--share", "photos", "--expect-number", "1"];
    let plan = talk(&clean, &[&restore[..], &["--plan"]].concat(), &[]).expect(0);
    assert!(plan.out.contains(&format!("{SECRETS} created")), "{}", plan.out);
    let ran = talk(&clean, &restore, &[json!(["Type yes to go on: ", "yes\r"])]).expect(0);
    let took = began.elapsed();
    println!("{SECRETS} secrets back in {:.1} s, from the first command on a clean machine", took.as_secs_f64());
    assert!(ran.out.contains("all equal"), "{}", ran.out);
    assert_eq!(python(&clean, COUNT, &[&moto.endpoint, &SECRETS.to_string()]).trim(), SECRETS.to_string());
    assert!(took < LONGEST, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn custodians_type_three_sheets_and_one_word() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    sandbox.control().put("111111111111", "eu-central-1", "app/one", "value").unwrap();
    let host = Desk::new(&sandbox.endpoint(), "111111111111");
    host.init();
    host.run("snapshot").expect(0);
    let clean = Desk::new(&sandbox.endpoint(), "111111111111");
    let copy = host.path("west").to_string_lossy().into_owned();
    let mut steps = Vec::new();
    for (at, name) in (1..).zip(["05-eli", "02-bo", "01-ana"]) {
        let sheet = text(&host, name);
        let rows = sheet.lines().map(str::trim).filter(|line| line.contains(": ") && line.contains(" = ")).take(4);
        for (row, line) in (1..).zip(rows) {
            steps.push(json!([format!("Sheet {at} of 3, row {row}: "), &line[3..], 0.002]));
        }
    }
    steps.push(json!(["Type yes to go on: ", "yes\r"]));
    let ran = talk(&clean, &["restore", "--repo", &copy, "--to", "aws:eu-west-1"], &steps).expect(0);
    assert!(ran.out.contains("all equal"), "{}", ran.out);
    sandbox.shutdown().await;
}
