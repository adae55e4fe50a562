//! `lifeboat access report`: from exported files, from a trail that lies, and from one that nobody here wrote.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use lifeboat::{
    access::Month,
    emulator::{Sandbox, SandboxOptions},
};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, Ran, binary},
    servers::Ministack,
    stub::{Reply, Stub},
};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";
const BACKUP: &str = "arn:aws:iam::111111111111:role/lifeboat-backup";
const API: &str = "arn:aws:iam::111111111111:role/api";
const OTHER: &str = "arn:aws:iam::111111111111:role/other";
const NOTHING: [&str; 0] = [];

/// A reading by a role, as CloudTrail writes it down.
fn reading(id: &str, time: &str, role: &str, secret: &str) -> Json {
    json!({
        "eventID": id, "eventTime": time, "eventSource": "secretsmanager.amazonaws.com", "eventName": "GetSecretValue",
        "awsRegion": REGION, "recipientAccountId": ACCOUNT, "readOnly": true, "requestParameters": { "secretId": secret },
        "userIdentity": { "type": "AssumedRole", "arn": format!("arn:aws:sts::{ACCOUNT}:assumed-role/x/session"),
            "sessionContext": { "sessionIssuer": { "type": "Role", "arn": role }, "attributes": { "mfaAuthenticated": "false" } } },
        "responseElements": null, "vpcEndpointId": "vpce-1",
    })
}

fn by_user(mut event: Json, name: &str) -> Json {
    event["userIdentity"] = json!({ "type": "IAMUser", "arn": format!("arn:aws:iam::{ACCOUNT}:user/{name}") });
    event
}

/// An event of every day of a month: the backup reads.
fn days(month: &str, days: u32) -> Vec<Json> {
    (1..=days)
        .map(|day| {
            let time = format!("{month}-{day:02}T02:00:00Z");
            reading(&format!("backup-{time}"), &time, BACKUP, "app/one")
        })
        .collect()
}

/// A desk with a snapshot of two secrets, of which one lets the API read by its policy.
async fn desk() -> (Sandbox, Desk, String) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let policy = json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Principal": { "AWS": API },
        "Action": "secretsmanager:GetSecretValue", "Resource": "*" }] });
    let secret = json!({ "Name": "app/one", "ResourcePolicy": policy.to_string(),
        "Versions": [{ "VersionId": "11111111-1111-1111-1111-111111111111", "SecretString": "value", "VersionStages": ["AWSCURRENT"] }] });
    let arn = sandbox.control().seed_raw(ACCOUNT, REGION, &secret).unwrap();
    sandbox.control().put(ACCOUNT, REGION, "app/two", "other").unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    (sandbox, desk, arn)
}

fn configure(desk: &Desk, more: &str) {
    let config = desk.path("lifeboat.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, format!("{text}\n{more}")).unwrap();
}

/// Packed by a program that nobody here wrote.
fn packed(text: &str) -> Vec<u8> {
    let mut gzip = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    gzip.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    gzip.wait_with_output().unwrap().stdout
}

fn write(path: &Path, records: &[Json]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = json!({ "Records": records }).to_string();
    let is_packed = path.extension().is_some_and(|end| end == "gz");
    std::fs::write(path, if is_packed { packed(&text) } else { text.into_bytes() }).unwrap();
}

/// The rows of a reader: its standing and what is unusual.
fn rows(report: &Json, reader: &str) -> Vec<(String, String, Vec<String>)> {
    let all = report["readers"].as_array().unwrap().iter().filter(|row| row["reader"] == reader);
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    all.map(|row| {
        let unusual = row["unusual"].as_array().unwrap().iter().map(text).collect();
        (text(&row["secret"]), text(&row["standing"]), unusual)
    })
    .collect()
}

fn row(secret: &str, standing: &str, unusual: &[&str]) -> (String, String, Vec<String>) {
    (secret.into(), standing.into(), unusual.iter().map(|&word| word.into()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn exported_files_give_new_vanished_and_unusual_readers() {
    let (sandbox, desk, arn) = desk().await;
    configure(&desk, &format!("[alarms]\nbackup_role = \"{BACKUP}\"\nbackup_hours = [2]\nvpc_endpoint = true\n"));
    let mut before = days("2026-09", 30);
    before.push(reading("s1", "2026-09-04T10:00:00Z", OTHER, "app/two"));
    write(&desk.path("trail/09/all.json.gz"), &before);
    let quiet = days("2026-10", 31);
    write(&desk.path("trail/10/quiet.json"), &quiet);

    // Nothing but what was there before, and whom the policy names.
    let known =
        [reading("k", "2026-10-03T10:00:00Z", API, &arn), reading("k2", "2026-10-03T10:00:00Z", OTHER, "app/two")];
    write(&desk.path("trail/10/known.json.gz"), &known);
    let ran = desk.run("access report --month 2026-10 --log trail --json").expect(0).json();
    assert_eq!((&ran["found"], &ran["whole"], &ran["files"]), (&json!(0), &json!(true), &json!(3)));
    let report = &ran["reports"][0];
    assert_eq!(report["unread"], 0);
    assert_eq!(rows(report, API), [row("app/one", "known", &NOTHING)]);
    assert_eq!(rows(report, OTHER), [row("app/two", "seen", &NOTHING)]);

    // The same events in a second file count once; what is new, by whatever name of the secret, is found.
    let partial = arn.rsplit_once('-').unwrap().0;
    let eve = by_user(reading("u1", "2026-10-04T23:00:00Z", "", "app/two"), "eve");
    let mut refused = reading("r1", "2026-10-05T10:00:00Z", API, "app/two");
    refused["errorCode"] = json!("AccessDeniedException");
    let mut console = reading("c1", "2026-10-06T10:00:00Z", API, partial);
    console["sessionCredentialFromConsole"] = json!("true");
    let mut outside = reading("o1", "2026-10-07T10:00:00Z", API, &arn);
    outside.as_object_mut().unwrap().remove("vpcEndpointId");
    let mut root = reading("r2", "2026-10-08T10:00:00Z", "", partial);
    root["userIdentity"] = json!({ "type": "Root", "arn": format!("arn:aws:iam::{ACCOUNT}:root") });
    let mut nobody = reading("n1", "2026-10-08T10:00:00Z", "", "app/one");
    nobody["userIdentity"] = Json::Null;
    let late = reading("b1", "2026-10-09T14:00:00Z", BACKUP, "app/one");
    let gone = reading("g1", "2026-10-09T14:00:00Z", OTHER, "old/name");
    let mut foreign = reading("f1", "2026-10-09T14:00:00Z", OTHER, "app/one");
    foreign["recipientAccountId"] = json!("999999999999");
    let elsewhere = format!("arn:aws:secretsmanager:{REGION}:222222222222:secret:theirs-AbCdEf");
    let theirs = reading("f2", "2026-10-09T14:00:00Z", OTHER, &elsewhere);
    let other_month = reading("m1", "2026-06-01T00:00:00Z", OTHER, "app/one");
    let events = [
        quiet[0].clone(),
        eve,
        refused,
        console,
        outside,
        root,
        nobody,
        late,
        gone,
        foreign,
        theirs,
        other_month,
        json!({}),
    ];
    std::fs::remove_file(desk.path("trail/10/known.json.gz")).unwrap();
    write(&desk.path("trail/10/more.json"), &events);
    let words = "access report --month 2026-10 --log trail/09 trail/10 --hours 6-20";
    let ran = desk.run(&format!("{words} --json")).expect(3).json();
    let report = &ran["reports"][0];
    assert_eq!(
        rows(report, API),
        [row("app/one", "known", &["without_mfa", "outside"]), row("app/two", "new", &["refused"])]
    );
    assert_eq!(rows(report, &format!("arn:aws:iam::{ACCOUNT}:user/eve")), [row("app/two", "new", &["user", "hours"])]);
    assert_eq!(rows(report, &format!("arn:aws:iam::{ACCOUNT}:root")), [row("app/one", "new", &["root"])]);
    assert_eq!(rows(report, ""), [row("app/one", "new", &["nobody"])]);
    assert_eq!(rows(report, BACKUP), [row("app/one", "known", &["hours"])]);
    assert_eq!(rows(report, OTHER), [row("app/two", "vanished", &NOTHING), row("old/name", "new", &NOTHING)]);
    assert_eq!(
        (&report["foreign"], &report["other_time"], &ran["strangers"], &ran["unclear"]),
        (&json!(1), &json!(1), &json!(1), &json!(1))
    );
    assert_eq!(report["coverage"][0]["events"], 31 + 9, "an event that is in two files is one event");
    let page = desk.run(words).expect(3);
    assert!(page.out.contains("VANISHED") && page.out.contains("console without MFA"), "{}", page.out);
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_log_is_said_and_gives_no_conclusion() {
    let (sandbox, desk, _) = desk().await;
    let coverage = |ran: &Ran, at: usize| ran.json()["reports"][0]["coverage"][at].clone();
    let report = |log: &str| desk.run(&format!("access report --month 2026-10 --json --log {log}")).expect(3);
    write(&desk.path("all/09.json"), &days("2026-09", 30));
    write(&desk.path("all/10.json"), &days("2026-10", 31));

    // A month that no file has: nobody is said to have vanished, or to have read nothing.
    let only = report("all/09.json");
    assert_eq!(
        (&coverage(&only, 0)["covered"], &only.json()["reports"][0]["unread"]),
        (&json!("unknown"), &Json::Null)
    );
    assert_eq!(rows(&only.json()["reports"][0], BACKUP), [row("app/one", "not_seen", &NOTHING)]);
    let words = desk.run("access report --month 2026-10 --log all/09.json").expect(3);
    assert!(words.out.contains("readers unknown") && words.out.contains("nobody read: unknown"), "{}", words.out);

    // A day is missing; a file is cut; a file is none.
    write(&desk.path("holes/10.json"), &days("2026-10", 30));
    let ran = report("all/09.json holes");
    assert_eq!((&coverage(&ran, 0)["covered"], &coverage(&ran, 0)["days"]), (&json!("part"), &json!([30, 31])));
    let whole = std::fs::read(desk.path("all/10.json")).unwrap();
    std::fs::create_dir(desk.path("cut")).unwrap();
    std::fs::write(desk.path("cut/10.json.gz"), &packed(str::from_utf8(&whole).unwrap())[..200]).unwrap();
    let cut = report("all cut");
    assert!(cut.err.contains("10.json.gz: it ends in the middle"), "{}", cut.err);
    assert_eq!(coverage(&cut, 0)["covered"], "part");
    std::fs::write(desk.path("cut/10.json.gz"), "no trail").unwrap();
    assert!(report("all cut").err.contains("it is not the JSON of a trail"));

    // A trail of another account has events, and none of ours.
    let mut theirs = days("2026-10", 31);
    for event in &mut theirs {
        event["recipientAccountId"] = json!("999999999999");
    }
    write(&desk.path("theirs.json"), &theirs);
    let ran = report("theirs.json");
    assert_eq!((&coverage(&ran, 0)["covered"], &ran.json()["strangers"]), (&json!("unknown"), &json!(31)));

    // A name that steers a terminal, and one that would be a line of its own.
    let mut all = days("2026-10", 31);
    all.push(reading(
        "h",
        "2026-10-05T10:00:00Z",
        "arn:aws:iam::1:role/\u{1b}[2Jx",
        "app/\u{202e}\nerror: all is well",
    ));
    write(&desk.path("hostile.json"), &all);
    let page = desk.run("access report --month 2026-10 --log all/09.json hostile.json").expect(3);
    assert!(!page.out.contains('\u{1b}') && !page.out.contains('\u{202e}'), "{}", page.out);
    assert!(!page.out.lines().any(|line| line.starts_with("error:")), "{}", page.out);

    desk.run("access report --month 2026-10 --log nowhere").expect(2);
    desk.run("access report --month 2026-13").expect(2);
    desk.run("access report --month 2999-01").expect(2).says("has not begun");
    sandbox.shutdown().await;
}

/// The report of the last month from a CloudTrail that answers so.
fn ask(desk: &Desk, trail: &Stub, more: &str) -> Ran {
    let mut command = desk.command(binary());
    command.env("AWS_ENDPOINT_URL_CLOUDTRAIL", &trail.endpoint);
    let words = format!("access report --json {more}");
    desk.finish(command.args(words.split_whitespace()))
}

fn page(events: &[Json], token: Option<&str>) -> Reply {
    let events: Vec<Json> = events.iter().map(|event| json!({ "CloudTrailEvent": event.to_string() })).collect();
    Reply::Ok(json!({ "Events": events, "NextToken": token }))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_is_asked_page_by_page_and_half_of_it_is_said() {
    let (sandbox, desk, _) = desk().await;
    let month = Month::last(jiff::Timestamp::now());
    let in_month = format!("{month}-15T10:00:00Z");
    let before = format!("{}-15T10:00:00Z", month.before());
    let now = (in_month.clone(), before.clone());
    let trail = Stub::start(move |operation, body| {
        assert_eq!(operation, "LookupEvents");
        if body["LookupAttributes"][0]["AttributeValue"] != "GetSecretValue" {
            return page(&[], None);
        }
        match body["NextToken"].as_str() {
            None => page(&[reading("1", &now.0, OTHER, "app/two")], Some("two")),
            Some("two") => page(&[], Some("three")),
            _ => page(&[reading("2", &now.1, BACKUP, "app/one"), json!({ "eventTime": 7 })], None),
        }
    })
    .await;
    let ran = ask(&desk, &trail, "").expect(3).json();
    assert_eq!(ran["reports"][0]["coverage"][0]["covered"], "whole");
    assert_eq!((&ran["unclear"], &ran["reports"][0]["coverage"][1]["events"]), (&json!(1), &json!(1)));
    let bodies = trail.bodies("LookupEvents");
    assert_eq!((bodies.len(), &bodies[1]["NextToken"], &bodies[0]["MaxResults"]), (4, &json!("two"), &json!(50)));
    // On the last days of a month the 90 days of the history begin within the month before the last.
    let (begins, kept) = (month.before().start(), jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * 90));
    let started = bodies[0]["StartTime"].as_i64().unwrap();
    if begins >= kept {
        assert_eq!(started, begins.as_second());
    } else {
        assert!((kept.as_second() - 120..=kept.as_second()).contains(&started), "{started} {kept}");
    }

    // A page that names itself, pages without end that bring nothing, and events without end.
    let newest = in_month.clone();
    let itself = Stub::start(move |_, _| page(&[reading("1", &newest, OTHER, "app/two")], Some("again"))).await;
    let coverage = |ran: &Ran, at: usize| ran.json()["reports"][0]["coverage"][at].clone();
    let ran = ask(&desk, &itself, "").expect(3);
    assert_eq!((&coverage(&ran, 0)["covered"], &coverage(&ran, 1)["covered"]), (&json!("part"), &json!("unknown")));
    assert!(ran.err.contains("names itself as the next"), "{}", ran.err);
    assert_eq!(rows(&ran.json()["reports"][0], OTHER), [row("app/two", "unsure", &NOTHING)]);
    fast(&desk);
    let (mut count, newest) = (0, in_month.clone());
    let idle = Stub::start(move |_, _| {
        count += 1;
        page(&[reading("1", &newest, OTHER, "app/two")], Some(&format!("t{count}")))
    })
    .await;
    assert!(ask(&desk, &idle, "").expect(3).err.contains("20 pages bring nothing new"));
    assert!(idle.count("LookupEvents") < 50);
    let mut count = 0;
    let endless = Stub::start(move |_, _| {
        count += 1;
        page(&[reading(&count.to_string(), &in_month, OTHER, "app/two")], Some(&format!("t{count}")))
    })
    .await;
    assert!(ask(&desk, &endless, "--max-events 40").expect(3).err.contains("40 events are the most"));
    sandbox.shutdown().await;
}

/// The stub knows no quota.
fn fast(desk: &Desk) {
    let config = desk.path("lifeboat.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(config, text.replacen("rate_share = 0.9", "rate_share = 500.0", 1)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_trail_is_unknown_and_never_nobody() {
    let (sandbox, desk, _) = desk().await;
    for (what, reply) in [
        ("AccessDeniedException", 0),
        ("the answer has no list of events", 1),
        ("no reading at all was given", 2),
        ("BadAnswer", 3),
    ] {
        let trail = Stub::start(move |_, _| match reply {
            0 => Reply::Error("AccessDeniedException", "not authorized to perform: cloudtrail:LookupEvents"),
            1 => Reply::Ok(json!({ "__type": "InternalFailure", "Message": "oops" })),
            2 => page(&[], None),
            _ => Reply::Ok(json!({ "Events": 7 })),
        })
        .await;
        let ran = ask(&desk, &trail, "").expect(3);
        let report = ran.json()["reports"][0].clone();
        assert_eq!((&report["coverage"][0]["covered"], &report["unread"]), (&json!("unknown"), &Json::Null), "{what}");
        assert!(ran.err.contains(what), "{what}: {}", ran.err);
    }
    // A month that the history has not is not asked for.
    let trail = Stub::start(|_, _| page(&[], None)).await;
    let ran = ask(&desk, &trail, "--month 2020-01").expect(3);
    assert!(trail.is_unasked() && ran.err.contains("the event history has 90 days"), "{}", ran.err);
    // A service that is not there.
    let ran = desk.run("access report --json").expect(3);
    assert_eq!(ran.json()["reports"][0]["coverage"][0]["covered"], "unknown");
    sandbox.shutdown().await;
}

/// Who asks for readings looks back from the second that has begun: what was read within it is the next one's.
fn end_of_the_second() {
    std::thread::sleep(std::time::Duration::from_secs(2));
}

/// A CloudTrail that writes down what boto3 and Lifeboat really called.
#[test]
fn a_trail_that_nobody_here_wrote_names_its_readers() {
    let folder = tempfile::tempdir().unwrap();
    let ministack = Ministack::start_with_trail(folder.path());
    let desk = Desk::new(&ministack.endpoint, "test");
    desk.init();
    let script = format!(
        "import boto3\nc = boto3.client('secretsmanager', '{REGION}')\nc.create_secret(Name='app/one', SecretString='x')\n\
         for _ in range(60): c.get_secret_value(SecretId='app/one')\n"
    );
    let mut python = desk.command(crate::servers::program("python"));
    desk.finish(python.args(["-c", &script])).expect(0);
    desk.run("snapshot").expect(0);
    end_of_the_second();
    let now = jiff::Timestamp::now().to_string();
    let ran = desk.run(&format!("access report --json --month {}", &now[..7])).expect(3).json();
    let report = &ran["reports"][0];
    assert_eq!(report["coverage"][0]["covered"], "part", "the month is not over: {report}");
    let readers = report["readers"].as_array().unwrap();
    // This server leaves out which secret it was: nothing is said about any.
    assert!(readers.iter().any(|row| row["secret"] == "" && row["reads"].as_u64() > Some(0)), "{report}");
    assert_eq!(report["unread"], Json::Null);
    assert!(readers.iter().all(|row| row["kind"] == "user"), "{report}");
}

#[test]
fn the_printed_policy_is_enough_and_a_backup_alone_may_not_look() {
    let folder = tempfile::tempdir().unwrap();
    let ministack = Ministack::start_with_trail(folder.path());
    let desk = Desk::new(&ministack.endpoint, "test");
    desk.init();
    let mut users = Vec::new();
    for role in ["backup", "access", "consumers"] {
        let policy = desk.run(&format!("doctor --account 000000000000 --policy {role}")).expect(0).out;
        std::fs::write(desk.path(role), policy).unwrap();
        users.push(format!("{role}={role}"));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/iam_user.py");
    let mut command = desk.command(crate::servers::program("python"));
    command.arg("-B").arg(script).args([ministack.endpoint.as_str(), REGION]).args(&users);
    let keys: Json = serde_json::from_str(&desk.finish(&mut command).expect(0).out).unwrap();
    let run = |user: &str, words: &str| {
        desk.run_with(keys[user][0].as_str().unwrap(), keys[user][1].as_str().unwrap(), words)
    };
    run("backup", "snapshot").expect(0);
    end_of_the_second();
    let now = jiff::Timestamp::now().to_string();
    let report = format!("access report --json --month {}", &now[..7]);
    let coverage = |ran: &Ran| ran.json()["reports"][0]["coverage"][0].clone();
    let seen = run("access", &report).expect(3);
    assert_eq!(coverage(&seen)["covered"], "part", "the month is not over: {}", seen.out);
    assert_eq!(coverage(&seen)["readings"], 3, "the backup read each secret: {}", seen.out);
    assert!(!seen.err.contains("Denied"), "{}", seen.err);
    let denied = run("backup", &report).expect(3);
    assert_eq!(coverage(&denied)["covered"], "unknown", "{}", denied.out);
    assert!(denied.err.contains("AccessDenied"), "{}", denied.err);
    assert!(run("access", "snapshot").code != Some(0), "it reads no secret");

    let whole = run("consumers", "consumers --json --no-store");
    assert_eq!(whole.json()["whole"], true, "{}", whole.out);
    assert_eq!(run("access", "consumers --json --no-store").expect(3).json()["whole"], false);
}
