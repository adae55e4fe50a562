//! Many accounts and regions in one repository, by the binary: in one run, in shards, on several hosts at once.

use std::{
    collections::BTreeSet,
    process::Stdio,
    time::{Duration, Instant},
};

use lifeboat::{
    emulator::{Fault, FaultKind, FaultWhen, Sandbox, SandboxOptions},
    provider::{
        FetchedValue, Listed, Source,
        aws::{Aws, AwsSettings, StaticCredentials},
    },
};
use serde_json::Value as Json;

use crate::{
    command::{Desk, Ran, SHEETS, binary},
    servers::{self, Moto, SEAWEED_KEY, Seaweed},
};

const ACCOUNTS: [&str; 3] = ["111111111111", "222222222222", "333333333333"];
const REGIONS: [&str; 2] = ["eu-central-1", "eu-west-1"];
/// Whose credentials the host has; the roles lead elsewhere.
const HOST: &str = "999999999999";

fn places() -> impl Iterator<Item = (&'static str, &'static str)> {
    ACCOUNTS.into_iter().flat_map(|account| REGIONS.into_iter().map(move |region| (account, region)))
}

fn value(account: &str, region: &str, number: u32) -> String {
    format!("of {account} in {region}, {number}")
}

/// Two secrets in every account and region, one of them with two versions.
async fn estate() -> Sandbox {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let control = sandbox.control();
    for (account, region) in places() {
        for number in 1..=2 {
            control.put(account, region, "app/database", &value(account, region, number)).unwrap();
        }
        control.put(account, region, &format!("own/{account}"), &value(account, region, 3)).unwrap();
    }
    sandbox
}

fn section(account: &str, region: &str) -> String {
    let role = format!("arn:aws:iam::{account}:role/lifeboat-backup");
    format!("[[source]]\nurl = \"aws:{region}\"\naccount = \"{account}\"\nrole = \"{role}\"\n")
}

/// A host that captures all of them.
fn host(endpoint: &str) -> Desk {
    let desk = Desk::new(endpoint, HOST);
    desk.init();
    configure(&desk, &places().map(|(account, region)| section(account, region)).collect::<String>());
    desk
}

/// Puts other sources into the configuration; the copy goes.
pub fn configure(desk: &Desk, sources: &str) {
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let (head, rest) = config.split_once("[[source]]").or_else(|| config.split_once("[source]")).unwrap();
    let (_, rest) = rest.split_once("[trust]").unwrap();
    let rest = rest.split("[[copy]]").next().unwrap();
    std::fs::write(desk.path("lifeboat.toml"), format!("{head}{sources}\n[trust]{rest}")).unwrap();
}

/// Another host with the same configuration and keys.
fn twin(desk: &Desk, endpoint: &str) -> Desk {
    let twin = Desk::new(endpoint, HOST);
    std::fs::create_dir(twin.path("keys")).unwrap();
    for name in ["lifeboat.toml", "keys/signer", "keys/index.age", "keys/versions"] {
        std::fs::copy(desk.path(name), twin.path(name)).unwrap();
    }
    if desk.path(".aws").exists() {
        std::fs::create_dir(twin.path(".aws")).unwrap();
        std::fs::copy(desk.path(".aws/credentials"), twin.path(".aws/credentials")).unwrap();
    }
    twin
}

fn denied(account: &str, region: &str) -> Fault {
    let kind = FaultKind::Error { code: "AccessDeniedException".into(), message: "no".into() };
    let (account, region) = (Some(account.into()), Some(region.into()));
    Fault { operation: Some("ListSecrets".into()), secret: None, account, region, when: FaultWhen::Always, kind }
}

/// Sources of the snapshots in the history, in order; the history is whole.
fn history(desk: &Desk, repo: &str) -> Vec<String> {
    desk.run(&format!("check --depth index {repo}")).expect(0);
    let listed = desk.run(&format!("list --json {repo}")).expect(0).json();
    assert_eq!(listed["faults"], serde_json::json!([]));
    let snapshots = listed["snapshots"].as_array().unwrap();
    let name = |each: &Json| {
        let source = &each["source"];
        format!("{}:{}", source["account"].as_str().unwrap(), source["region"].as_str().unwrap())
    };
    let numbers: Vec<u64> = snapshots.iter().map(|each| each["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=snapshots.len() as u64).collect::<Vec<_>>());
    snapshots.iter().map(name).collect()
}

fn all() -> BTreeSet<String> {
    places().map(|(account, region)| format!("{account}:{region}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn three_accounts_in_two_regions_in_one_run() {
    let sandbox = estate().await;
    let desk = host(&sandbox.endpoint());
    sandbox.control().add_fault(denied(ACCOUNTS[2], REGIONS[1]));
    let ran = desk.run("snapshot --json").expect(3);
    assert!(ran.err.contains("333333333333:eu-west-1 was not captured"), "{}", ran.err);
    let told = ran.json();
    let sources = told["sources"].as_array().unwrap();
    assert_eq!((sources.len(), &told["complete"]), (6, &false.into()));
    assert_eq!(sources.iter().filter(|it| it["complete"] == true && it["counts"]["captured"] == 2).count(), 5);
    assert_eq!((&sources[5]["exit"], sources[5]["snapshot"].is_null()), (&1.into(), true));
    assert_eq!(history(&desk, "").len(), 5);
    let late = desk.run("status --json").expect(0).json();
    assert!(late["findings"].to_string().contains("333333333333:eu-west-1: there is no snapshot yet"), "{late}");

    sandbox.control().clear_faults();
    let told = desk.run("snapshot --json").expect(0).json();
    let carried = |source: &Json| source["counts"]["values_carried"] == 3;
    assert_eq!(told["sources"].as_array().unwrap().iter().filter(|it| carried(it)).count(), 5, "{told}");
    assert_eq!(history(&desk, "").into_iter().collect::<BTreeSet<_>>(), all());
    let screen = desk.run("snapshot").expect(0).out;
    assert!(screen.contains("6 snapshots written") && screen.contains("222222222222:eu-west-1"), "{screen}");
    let some = desk.run("snapshot --json --source 222222222222").expect(0).json();
    assert_eq!(some["sources"].as_array().unwrap().len(), 2);
    desk.run("snapshot --source 444444444444").expect(2).says("no configured source matches 444444444444");
    desk.run("snapshot --source mars").expect(2);

    let metrics = desk.path("lifeboat.prom");
    let status = desk.run(&format!("status --json --prometheus {}", metrics.display())).expect(0).json();
    assert_eq!(status["facts"]["sources"].as_array().unwrap().len(), 6);
    let metrics = std::fs::read_to_string(metrics).unwrap();
    let label = "account=\"333333333333\",region=\"eu-west-1\"";
    assert!(metrics.contains(&format!("lifeboat_snapshot_secrets{{{label},state=\"captured\"}} 2")), "{metrics}");
    assert!(metrics.contains(&format!("lifeboat_source_captured{{{label}}} 1")), "{metrics}");

    for account in ACCOUNTS {
        for region in REGIONS {
            sandbox.control().add_fault(denied(account, region));
        }
    }
    desk.run("snapshot").expect(1);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn which_of_several_sources_is_never_guessed() {
    let sandbox = estate().await;
    let desk = host(&sandbox.endpoint());
    desk.run("snapshot").expect(0);
    for words in ["show", "diff", "diff latest", &format!("restore --to aws:us-east-1 --yes {SHEETS}")] {
        let ran = desk.run(words).expect(2).says("snapshots of 6 sources");
        assert!(ran.err.contains("--source with one of: 111111111111:eu-central-1, "), "{}", ran.err);
    }
    desk.run("show --source 222222222222").expect(2).says("snapshots of 2 sources");
    desk.run("show --source 444444444444").expect(2).says("no snapshot of source 444444444444");
    let shown = desk.run("show --source 222222222222:eu-west-1").expect(0).out;
    assert!(shown.contains("own/222222222222") && !shown.contains("own/111111111111"), "{shown}");
    // Every table says whose lines it has.
    assert!(shown.starts_with("source 222222222222:eu-west-1\n"), "{shown}");
    let compared = desk.run("diff --source 111111111111:eu-west-1 --json").expect(0);
    assert_eq!(compared.json()["source"]["account"], ACCOUNTS[0], "{}", compared.out);
    assert!(compared.err.contains("\"source\":\"111111111111:eu-west-1\""), "{}", compared.err);
    let compared = desk.run("diff --source 111111111111:eu-west-1").expect(0).out;
    assert!(compared.contains("111111111111:eu-west-1: "), "{compared}");
    let one = desk.run("snapshot --json --source 111111111111:eu-west-1 --no-copy").expect(0);
    assert!(one.err.contains("\"source\":\"111111111111:eu-west-1\""), "{}", one.err);
    let plan = desk.run("forget --plan --keep-last 1").expect(0).out;
    let (_, first) = plan.split_once("source 111111111111:eu-west-1\n").expect("a plan of each source");
    let first = first.split("\nsource ").next().unwrap();
    assert_eq!((first.matches("keep").count(), first.matches("FORGET").count()), (1, 1), "{plan}");
    assert_eq!(plan.matches("source ").count(), 6, "{plan}");
    let plan = desk.run("forget --plan --keep-last 1 --json").expect(0).json();
    assert!(plan["plan"]["snapshots"][0]["source"]["region"].is_string(), "{plan}");
    let other = desk.run("list --json").json()["snapshots"][0].clone();
    let id = other["snapshot"].as_str().unwrap();
    let stranger = if other["source"]["account"] == ACCOUNTS[0] { ACCOUNTS[1] } else { ACCOUNTS[0] };
    desk.run(&format!("show {id} --source {stranger}")).expect(2).says("not ");
    desk.run("diff --source 111111111111:eu-west-1").expect(0);
    sandbox.control().put(ACCOUNTS[0], REGIONS[1], "app/new", "x").unwrap();
    desk.run("diff --source 111111111111:eu-west-1").expect(3);
    desk.run("diff --source 111111111111:eu-central-1").expect(0);

    let restore = format!("restore --repo repository --to aws:us-east-1 --yes --json {SHEETS}");
    let restored = desk
        .run_as("555555555555", &format!("{restore} --source 222222222222:eu-west-1 --account 555555555555"))
        .expect(0)
        .json();
    assert_eq!((&restored["complete"], &restored["verification"]["values"]), (&true.into(), &3.into()));
    let mut settings = AwsSettings::region("us-east-1");
    settings.endpoint = Some(sandbox.endpoint());
    let secret_key = String::from("x").into();
    settings.credentials = Some(StaticCredentials { access_key: "555555555555".into(), secret_key });
    let target = Aws::connect(settings).await.unwrap();
    let fetched = target.fetch(&Listed::named("app/database"), &|_, _| false).await.unwrap();
    let found = fetched.versions.iter().map(|version| match &version.value {
        FetchedValue::Value(value) => String::from_utf8(value.expose().to_vec()).unwrap(),
        _ => String::new(),
    });
    let expected = [1, 2].map(|number| value("222222222222", "eu-west-1", number));
    assert_eq!(found.collect::<BTreeSet<_>>(), expected.into_iter().collect());

    // A drill does not guess either, and another source's account is no sandbox.
    std::fs::create_dir(desk.path("drills")).unwrap();
    let drill = |source: &str, account: &str| {
        let target = format!("[target]\nregion = \"us-east-1\"\naccount = \"{account}\"\n");
        let text = format!("scenario = \"gone\"\n[snapshot]\n{source}\n{target}[open]\nby = \"quorum\"\n");
        std::fs::write(desk.path("drills/monthly.toml"), text).unwrap();
        desk.run_as(account, &format!("drill run monthly --yes {SHEETS}"))
    };
    let unsaid = drill("", "777777777777").expect(2).says("snapshots of 6 sources");
    assert!(unsaid.err.contains("--source with one of: 111111111111:eu-central-1, "), "{}", unsaid.err);
    let of = |source: &str| {
        let words = format!("drill run monthly --source {source} --yes --json {SHEETS}");
        desk.run_as("777777777777", &words)
    };
    let record = of("333333333333:eu-west-1").expect(0).json()["record"].clone();
    assert_eq!((&record["source"]["account"], &record["source"]["region"]), (&ACCOUNTS[2].into(), &REGIONS[1].into()));
    of("444444444444").expect(2).says("no snapshot of source 444444444444");
    let source = "source = \"222222222222:eu-west-1\"";
    drill(source, "333333333333").expect(4).says("333333333333 is a source of this repository");
    drill("source = \"444444444444:eu-west-1\"", "666666666666").expect(2).says("no snapshot of source 444444444444");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_ways_to_one_place_and_wrong_accounts_are_refused() {
    let sandbox = estate().await;
    let desk = host(&sandbox.endpoint());
    let unnamed = "[[source]]\nurl = \"aws:eu-west-1\"\nrole = \"arn:aws:iam::111111111111:role/other\"\n";
    configure(&desk, &format!("{}{unnamed}", section(ACCOUNTS[0], REGIONS[1])));
    desk.run("snapshot").expect(4).says("lead to the same place, aws:eu-west-1 (account 111111111111)");
    configure(&desk, &format!("{0}{0}", section(ACCOUNTS[0], REGIONS[1])));
    desk.run("snapshot").expect(2).says("two sources are the same: aws:eu-west-1 of account 111111111111");
    // A role that leads elsewhere than the configuration says.
    let wrong = section(ACCOUNTS[0], REGIONS[0]).replace("iam::111111111111", "iam::222222222222");
    configure(&desk, &format!("{wrong}{}", section(ACCOUNTS[0], REGIONS[1])));
    let ran = desk.run("snapshot --json").expect(3);
    assert!(
        ran.err.contains("the source is account 222222222222, but the configuration has 111111111111"),
        "{}",
        ran.err
    );
    assert_eq!(ran.json()["sources"][0]["exit"], 4);
    assert_eq!(history(&desk, ""), ["111111111111:eu-west-1"]);
    configure(&desk, &wrong);
    desk.run("snapshot").expect(4);
    sandbox.shutdown().await;
}

/// Runs commands of several hosts at the same time.
fn at_once(runs: &[(&Desk, String)]) -> Vec<Ran> {
    std::thread::scope(|scope| {
        let runs: Vec<_> = runs.iter().map(|(desk, words)| scope.spawn(move || desk.run(words))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_on_three_hosts_capture_what_one_run_captures() {
    let sandbox = estate().await;
    let first = host(&sandbox.endpoint());
    let (second, third) = (twin(&first, &sandbox.endpoint()), twin(&first, &sandbox.endpoint()));
    let shard = |part: u32| format!("snapshot --json --shard {part}/3");
    for ran in at_once(&[(&first, shard(1)), (&second, shard(2)), (&third, shard(3))]) {
        ran.expect(0);
    }
    let captured = history(&first, "");
    assert_eq!((captured.len(), captured.iter().cloned().collect::<BTreeSet<_>>()), (6, all()), "each once");
    // The same part for everyone, every time.
    let again = third.run(&shard(1)).expect(0).json();
    let names: Vec<_> = again["sources"].as_array().unwrap().iter().map(|it| it["name"].to_string()).collect();
    let before = first.run(&shard(1)).expect(0).json();
    let before: Vec<_> = before["sources"].as_array().unwrap().iter().map(|it| it["name"].to_string()).collect();
    assert_eq!(names, before);
    for bad in ["0/3", "4/3", "3", "1/0"] {
        first.run(&format!("snapshot --shard {bad}")).expect(2);
    }
    sandbox.shutdown().await;
}

/// Kills a run as soon as it has a turn; tells whether its turn stands without its manifest.
fn killed_with_a_turn(desk: &Desk, words: &str) -> bool {
    let turns = std::path::absolute(desk.path("repository/turns")).unwrap();
    let mut command = desk.command(binary());
    command.env_remove("RUST_LOG").args(words.split_whitespace()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    let held = || {
        std::fs::read_dir(&turns)
            .is_ok_and(|mut found| found.any(|it| !it.unwrap().path().to_string_lossy().contains('#')))
    };
    while !held() && child.try_wait().unwrap().is_none() && begun.elapsed() < Duration::from_secs(30) {}
    drop(child.kill());
    child.wait().unwrap();
    let stems = || {
        std::fs::read_dir(desk.path("repository/snapshots")).map_or(0, |found| {
            found.filter(|it| it.as_ref().unwrap().path().extension().is_some_and(|it| it == "json")).count()
        })
    };
    let number = std::fs::read_dir(&turns).ok().and_then(|mut found| {
        let name = found.next()?.ok()?.file_name().into_string().ok()?;
        name.split('-').next()?.parse::<usize>().ok()
    });
    number.is_some_and(|number| stems() < number)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_killed_with_the_turn_stops_nobody() {
    let sandbox = estate().await;
    let first = host(&sandbox.endpoint());
    let others = [twin(&first, &sandbox.endpoint()), twin(&first, &sandbox.endpoint())];
    let mut unfinished = 0;
    for _ in 0..8 {
        unfinished += u32::from(killed_with_a_turn(&first, "snapshot --source 111111111111:eu-west-1"));
        let words = ["snapshot --source 222222222222", "snapshot --source 333333333333"].map(str::to_owned);
        for ran in at_once(&[(&others[0], words[0].clone()), (&others[1], words[1].clone())]) {
            ran.expect(0);
        }
        let captured = history(&first, "");
        assert!(captured.len() >= 4);
    }
    println!("{unfinished} of 8 hosts died between their turn and their manifest");
    assert!(unfinished > 0, "none was killed where it matters");
    first.run("snapshot").expect(0);
    history(&first, "");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_that_append_at_once_to_a_bucket_make_one_chain() {
    let server = tokio::task::block_in_place(|| Seaweed::start(None));
    let sandbox = estate().await;
    let first = host(&sandbox.endpoint());
    let [key, secret] = SEAWEED_KEY;
    std::fs::create_dir_all(first.path(".aws")).unwrap();
    let profile = format!("[copy]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    std::fs::write(first.path(".aws/credentials"), profile).unwrap();
    let repo = format!("--repo s3://backups/prod?region=eu-north-1&profile=copy&endpoint={}", server.endpoint);
    first.run(&format!("copy --to {}", repo.trim_start_matches("--repo "))).expect(0);
    let twins: Vec<Desk> = (0..3).map(|_| twin(&first, &sandbox.endpoint())).collect();
    let shard = |part: usize| format!("snapshot --no-copy --shard {part}/3 {repo}");
    for _ in 0..2 {
        let runs: Vec<_> = twins.iter().zip(1..).map(|(desk, part)| (desk, shard(part))).collect();
        for ran in at_once(&runs) {
            ran.expect(0);
        }
    }
    let captured = history(&first, &repo);
    assert_eq!((captured.len(), captured.into_iter().collect::<BTreeSet<_>>()), (12, all()));
    sandbox.shutdown().await;
}

#[test]
fn an_organization_is_captured_account_by_account() {
    let moto = Moto::start();
    let desk = Desk::new(&moto.endpoint, "test");
    desk.init();
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/moto_organization.py");
    let mut python = desk.command(servers::program("python"));
    let made = desk.finish(python.arg("-B").arg(script).arg(&moto.endpoint).args(REGIONS)).expect(0).json();
    let of = |name: &str| made[name].as_str().unwrap().to_owned();
    let organization =
        "[source]\norganization = true\nrole = \"lifeboat-backup\"\nregions = [\"eu-central-1\", \"eu-west-1\"]\n";
    configure(&desk, organization);
    let ran = desk.run("snapshot --json").expect(0);
    let (closed, core) = (of("closed"), of("core"));
    assert!(ran.err.contains(&format!("account {closed} is left out: SUSPENDED")), "{}", ran.err);
    let told = ran.json();
    let sources = told["sources"].as_array().unwrap();
    // The management account, two with secrets and twenty without, in two regions each.
    assert_eq!(sources.len(), 2 * 23);
    let full: BTreeSet<_> =
        sources.iter().filter(|it| it["counts"]["captured"] == 1).map(|it| it["name"].as_str().unwrap()).collect();
    let expected = ["management", "core", "payments"].map(of);
    let expected: Vec<String> = expected.iter().flat_map(|it| REGIONS.map(|region| format!("{it}:{region}"))).collect();
    assert_eq!(full, expected.iter().map(String::as_str).collect());
    assert_eq!(history(&desk, "").len(), 46);
    assert_eq!(desk.run("status --json").expect(0).json()["facts"]["sources"].as_array().unwrap().len(), 46);
    desk.run(&format!("show --source {core}:eu-west-1")).expect(0);

    let policy = desk.run("doctor --policy sources --json").expect(0).json().to_string();
    assert!(
        policy.contains("organizations:ListAccounts") && policy.contains("arn:aws:iam::*:role/lifeboat-backup"),
        "{policy}"
    );
    configure(&desk, &format!("{organization}accounts = [\"{core}\", \"000000000009\"]\n"));
    let ran = desk.run("snapshot --json").expect(3);
    assert!(ran.err.contains("account 000000000009 is left out: not in the organization"), "{}", ran.err);
    assert_eq!(ran.json()["sources"].as_array().unwrap().len(), 2);
    configure(&desk, &format!("{organization}accounts = [\"{closed}\"]\n"));
    desk.run("snapshot").expect(2).says("every account of the organization is excluded");
}

/// The command after `lifeboat` in a line of shell, with the index of a job filled in.
fn words(line: &str, index: &str) -> Vec<String> {
    let (_, command) = line.rsplit_once("lifeboat snapshot").expect("the example takes snapshots");
    let command = command.replace(&format!("$(({index} + 1))"), "3");
    let words = command.lines().next().unwrap().split_whitespace().map(str::to_owned);
    ["lifeboat".to_owned(), "snapshot".to_owned()].into_iter().chain(words).collect()
}

#[test]
fn the_examples_are_well_formed_and_their_commands_are_accepted() {
    let parsed = |file: &str| {
        let code = "import json, sys, yaml; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/examples").join(file);
        let output =
            std::process::Command::new(servers::program("python")).args(["-c", code]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<Json>(&output.stdout).unwrap()
    };
    let job = parsed("kubernetes/indexed-job.yaml");
    let spec = &job["spec"]["jobTemplate"]["spec"];
    assert_eq!((&spec["completionMode"], &spec["completions"]), (&"Indexed".into(), &8.into()));
    let script = spec["template"]["spec"]["containers"][0]["args"][0].as_str().unwrap();
    let batch: Json = serde_json::from_str(include_str!("../../docs/examples/aws-batch/job-definition.json")).unwrap();
    let submit: Json = serde_json::from_str(include_str!("../../docs/examples/aws-batch/submit.json")).unwrap();
    assert_eq!(submit["arrayProperties"]["size"], 8);
    let command = batch["containerProperties"]["command"][2].as_str().unwrap();
    for (line, index) in [(script, "JOB_COMPLETION_INDEX"), (command, "AWS_BATCH_JOB_ARRAY_INDEX")] {
        let words = words(line, index);
        assert!(words.iter().any(|word| word == "3/8"), "{words:?}");
        let accepted = lifeboat::cli::command().try_get_matches_from(&words);
        assert!(accepted.is_ok(), "{words:?}: {}", accepted.unwrap_err());
        let syntax = std::process::Command::new("sh").args(["-n", "-c", line]).status().unwrap();
        assert!(syntax.success(), "{line}");
    }
    lifeboat::config::Config::parse(include_str!("../../docs/examples/organization.toml")).unwrap();
}
