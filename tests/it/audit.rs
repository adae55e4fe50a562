//! The audit trail of lifeboat itself, by the binary: each kind of run leaves one entry; what is forged, cut, replayed or put back is
//! noticed; and nothing of it names a secret.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use lifeboat::{
    crypto::Signer,
    emulator::{Sandbox, SandboxOptions},
    model::{Digest, RepositoryId},
    repo::{AuditHead, AuditRun, Note, Put, chain_of, copy, random_chain},
    storage::Storage,
};
use serde_json::Value as Json;

use crate::{
    command::{Desk, SHEETS, files, with_a_copy},
    repo_sample::{Sample, block_on, time},
    serve::Outage,
    servers,
};

/// In the names, values and descriptions of every secret of these tests.
const MARKER: &str = "planted-7c1e";

fn shown(desk: &Desk, more: &str) -> Vec<Json> {
    let shown = desk.run(&format!("audit show --last 1000 --json {more}")).json();
    shown["entries"].as_array().unwrap().clone()
}

fn actions(entries: &[Json]) -> Vec<String> {
    let text = |entry: &Json| {
        let entry = &entry["entry"];
        format!("{}={}", entry["action"].as_str().unwrap(), entry["outcome"].as_str().unwrap())
    };
    entries.iter().map(text).collect()
}

/// The files of the one chain of a repository folder, by number.
fn chain(repository: &Path) -> BTreeMap<u64, PathBuf> {
    let number = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap();
    let all = files(&repository.join("audit")).into_iter().map(|(path, _)| path);
    all.filter(|path| path.extension().is_some_and(|end| end == "entry")).map(|path| (number(&path), path)).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    for (path, bytes) in files(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::write(to, bytes).unwrap();
    }
}

/// The file of the host's state that remembers its chain.
fn state(desk: &Desk) -> PathBuf {
    let all = files(&desk.path("state")).into_iter().map(|(path, _)| path);
    all.into_iter().find(|path| path.to_string_lossy().ends_with(".audit.json")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_and_a_restore_leave_their_entries() {
    let (_sandbox, desk) = with_a_copy().await;
    desk.run(&format!("restore --to aws:eu-west-1 {SHEETS} --yes")).expect(0);
    let entries = shown(&desk, "");
    assert_eq!(actions(&entries), ["init=complete", "snapshot=complete", "copy=complete", "restore=complete"]);
    let restore = &entries[3]["entry"];
    assert_eq!(restore["target"]["region"], "eu-west-1");
    assert_eq!(restore["quorum"], serde_json::json!(["Bo", "Dee", "Eli"]));
    assert_eq!(restore["snapshots"], entries[1]["entry"]["snapshots"]);
    assert_eq!((&restore["exit"], &restore["number"]), (&0.into(), &4.into()));
    let verified = desk.run("audit verify --json").expect(0).json();
    assert_eq!((&verified["entries"], &verified["whole"]), (&4.into(), &true.into()));
    assert!(verified["compared"].as_u64().unwrap() >= 2, "the snapshot and this host know its head: {verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_run_leaves_one_entry_and_none_of_it_names_a_secret() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let name = format!("app/{MARKER}");
    sandbox.control().put("111111111111", "eu-central-1", &name, &format!("{{\"k\":\"{MARKER}\"}}")).unwrap();
    let desk = Desk::new(&sandbox.endpoint(), "111111111111");
    desk.init();
    fs::create_dir_all(desk.path("drills")).unwrap();
    fs::write(desk.path("drills/plain.toml"), "scenario = \"a test\"\n[target]\nsandbox = true\n").unwrap();
    fs::write(desk.path("second.pub"), Signer::generate().public().to_string()).unwrap();
    let mut expected = vec!["init=complete".to_owned()];
    for (words, code, outcome) in [
        ("snapshot", 0, "complete"),
        ("copy", 0, "complete"),
        (&*format!("get {name} {SHEETS}"), 0, "complete"),
        (&*format!("export --format json --secret {name} {SHEETS}"), 0, "complete"),
        (&*format!("exec --secret {name} {SHEETS} -- /bin/true"), 0, "complete"),
        (&*format!("restore --to aws:eu-west-1 {SHEETS} --yes"), 0, "complete"),
        (&*format!("restore --to aws:eu-south-1 {SHEETS} --plan"), 0, "complete"),
        ("copy --to s3://no-such-bucket", 3, "incomplete"),
        (&*format!("check --depth values {SHEETS}"), 0, "complete"),
        (&*format!("drill run plain --yes {SHEETS}"), 0, "complete"),
        ("forget --keep-last 1 --plan", 0, "complete"),
        ("custody verify sheets/01-ana.txt", 0, "complete"),
        (&*format!("compromise mark --scope {name} --reason {MARKER} --yes"), 0, "complete"),
        (&*format!("custody signer add --name second --key second.pub {SHEETS} --yes"), 0, "complete"),
    ] {
        let ran = desk.run(words);
        ran.expect(code);
        let action: Vec<&str> = words.split(' ').take(if words.contains("signer") { 3 } else { 2 }).collect();
        let action =
            if ["drill", "custody", "compromise"].contains(&action[0]) { action.join(" ") } else { action[0].into() };
        expected.push(format!("{action}={outcome}"));
    }
    // These neither write nor use a quorum.
    for words in ["list", "status", "check", "audit show", "doctor"] {
        desk.run(words);
    }
    let entries = shown(&desk, "");
    assert_eq!(actions(&entries), expected);
    desk.run("audit verify").expect(0);
    let audit = files(&desk.path("repository/audit"));
    assert_eq!(audit.len(), entries.len(), "one file for each");
    let kept = fs::read(state(&desk)).unwrap();
    for bytes in audit.iter().map(|(_, bytes)| bytes).chain([&kept]) {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(MARKER) && !text.contains("LB1") && !text.contains("AGE-SECRET"), "{text}");
    }
    // What the drill, the mark and the proof stored is named.
    let named: Vec<&str> = entries
        .iter()
        .filter_map(|each| each["entry"]["files"][0].as_str())
        .map(|file| file.split('/').next().unwrap())
        .collect();
    assert_eq!(named, ["drills", "attestations", "records"]);
    // Stock tools verify an entry: its first line, and the signature that follows.
    let first = String::from_utf8(audit[0].1.clone()).unwrap();
    let (line, signature) = first.split_at(first.find('\n').unwrap() + 1);
    let entry: Json = serde_json::from_str(line).unwrap();
    fs::write(desk.path("allowed"), format!("host {}\n", entry["signer"].as_str().unwrap())).unwrap();
    fs::write(desk.path("line.sig"), signature).unwrap();
    fs::write(desk.path("line"), line).unwrap();
    let mut verify = desk.command("ssh-keygen");
    verify.args(["-Y", "verify", "-f", "allowed", "-I", "host", "-n", "lifeboat-audit", "-s", "line.sig"]);
    verify.stdin(fs::File::open(desk.path("line")).unwrap());
    desk.finish(&mut verify).expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_clean_machine_the_root_signs_and_what_cannot_be_stored_is_kept() {
    let (_sandbox, desk) = with_a_copy().await;
    let clean = format!("--config none.toml --repo west {SHEETS}");
    desk.run(&format!("get app/one {clean}")).expect(0);
    let seen = desk.run(&format!("audit show --json {clean}")).expect(0).json();
    let by_root: Vec<&Json> =
        seen["entries"].as_array().unwrap().iter().filter(|each| each["by"] == "a quorum").collect();
    assert_eq!(by_root.len(), 1, "{seen}");
    assert_eq!(by_root[0]["entry"]["action"], "get");
    desk.run(&format!("audit verify {clean}")).expect(0);
    // A copy that cannot be written: the value comes all the same, and the entry is kept for the next run.
    fs::rename(desk.path("west/audit"), desk.path("aside")).unwrap();
    fs::write(desk.path("west/audit"), "no folder").unwrap();
    let ran = desk.run(&format!("get app/one {clean}")).expect(0);
    assert_eq!(ran.out, "value");
    assert!(ran.err.contains("the audit entry of this run is not stored"), "{}", ran.err);
    assert!(ran.err.contains("it is kept in"), "{}", ran.err);
    fs::remove_file(desk.path("west/audit")).unwrap();
    fs::rename(desk.path("aside"), desk.path("west/audit")).unwrap();
    let before = files(&desk.path("west/audit")).len();
    desk.run(&format!("get app/one {clean}")).expect(0);
    assert_eq!(files(&desk.path("west/audit")).len(), before + 2, "the one that was kept comes along");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_cut_removed_or_replayed_is_named() {
    let (_sandbox, desk) = with_a_copy().await;
    desk.run("snapshot").expect(0);
    desk.run("audit verify").expect(0);
    let whole = desk.path("whole");
    copy_folder(&desk.path("repository/audit"), &whole);
    let attack = |what: &dyn Fn(&BTreeMap<u64, PathBuf>), code: i32, sentence: &str| {
        what(&chain(&desk.path("repository")));
        let ran = desk.run("audit verify").expect(code);
        assert!(ran.err.contains(sentence), "expected {sentence:?}: {}", ran.err);
        let _ = fs::remove_dir_all(desk.path("repository/audit"));
        copy_folder(&whole, &desk.path("repository/audit"));
    };
    let edit = |path: &Path, from: &str, to: &str| {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from));
        fs::write(path, text.replace(from, to)).unwrap();
    };
    attack(&|chain| edit(&chain[&2], "\"exit\":0", "\"exit\":3"), 4, "the signature does not match the content");
    attack(&|chain| fs::remove_file(&chain[&2]).unwrap(), 4, "entry 2 of this chain is missing; entry 3 is there");
    attack(&|chain| fs::remove_file(&chain[&4]).unwrap(), 4, "this host knows entry 4 of this chain; the newest is 3");
    attack(
        &|chain| (3..=4).for_each(|number| fs::remove_file(&chain[&number]).unwrap()),
        4,
        "snapshot number 2 knows entry 3 of this chain; the newest is 2",
    );
    attack(&|_| fs::remove_dir_all(desk.path("repository/audit")).unwrap(), 4, "the newest is 0");
    attack(&|chain| assert!(fs::copy(&chain[&2], &chain[&3]).is_ok()), 4, "has the name of another file");
    attack(
        &|chain| {
            let text = fs::read_to_string(&chain[&4]).unwrap();
            fs::write(&chain[&4], text.split_inclusive('\n').next().unwrap()).unwrap();
        },
        4,
        "it has no signature",
    );
    attack(&|chain| fs::write(&chain[&1], "junk\n").unwrap(), 6, "not JSON with a version");
    // An entry of another repository by the very key of this host, and one by a stranger.
    let own = Signer::from_file(&fs::read_to_string(desk.path("keys/signer")).unwrap()).unwrap();
    let (other, stranger) = (RepositoryId::random(), Signer::generate());
    for (id, signer, sentence) in [
        (repository_id(&desk), &stranger, "may not sign for epoch 1"),
        (other, &own, "it belongs to another repository"),
    ] {
        let note = Note::sign(id, (&chain_of(&signer.public()), None), 1, run("snapshot"), signer);
        let path = desk.path("repository").join(&note.file);
        attack(
            &|_| {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(&path, &note.text).unwrap();
            },
            4,
            sentence,
        );
    }
    desk.run("audit verify").expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_found_is_no_success() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let desk = Desk::new(&sandbox.endpoint(), "111111111111");
    desk.init();
    fs::remove_dir_all(desk.path("repository/audit")).unwrap();
    fs::remove_file(state(&desk)).unwrap();
    desk.run("audit verify").expect(3).says("there is no audit entry");
    desk.run("audit show").expect(3).says("there is no audit entry");
    desk.run("audit export --format ocsf").expect(3).says("there is no audit entry to export");
}

fn repository_id(desk: &Desk) -> RepositoryId {
    let identity: Json = serde_json::from_slice(&fs::read(desk.path("repository/lifeboat.json")).unwrap()).unwrap();
    identity["repository"].as_str().unwrap().parse().unwrap()
}

fn run(action: &str) -> AuditRun {
    serde_json::from_value(serde_json::json!({
        "started": time(1), "ended": time(2), "action": action, "outcome": "complete", "exit": 0,
    }))
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_state_is_put_back_or_lost_goes_on_after_its_newest_entry() {
    let (_sandbox, desk) = with_a_copy().await;
    let old = fs::read(state(&desk)).unwrap();
    desk.run("snapshot --no-copy").expect(0);
    desk.run("snapshot --no-copy").expect(0);
    fs::write(state(&desk), &old).unwrap();
    desk.run("snapshot --no-copy").expect(0);
    let verified = desk.run("audit verify --json").expect(0).json();
    assert_eq!(verified["entries"], 6);
    fs::remove_file(state(&desk)).unwrap();
    desk.run("snapshot").expect(0);
    assert_eq!(desk.run("audit verify --json").expect(0).json()["entries"], 7);
    // The host itself notices that its newest entry is gone.
    fs::remove_file(&chain(&desk.path("repository"))[&7]).unwrap();
    let status = desk.run("status --json").expect(4).out;
    assert!(status.contains("the audit trail was cut: this host stored this entry"), "{status}");
    let ran = desk.run("snapshot --no-copy").expect(0);
    assert!(ran.err.contains("the audit trail was cut: entry 7 of this host"), "{}", ran.err);
    desk.run("audit verify").expect(4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_waits_while_the_repository_cannot_take_it_and_killed_runs_are_said() {
    let (_sandbox, desk) = with_a_copy().await;
    fs::rename(desk.path("repository/audit"), desk.path("aside")).unwrap();
    fs::write(desk.path("repository/audit"), "no folder").unwrap();
    let ran = desk.run("snapshot --no-copy").expect(0);
    assert!(ran.err.contains("1 audit entry of this host wait"), "{}", ran.err);
    let ran = desk.run("snapshot --no-copy").expect(0);
    assert!(ran.err.contains("2 audit entries of this host wait"), "{}", ran.err);
    fs::remove_file(desk.path("repository/audit")).unwrap();
    fs::rename(desk.path("aside"), desk.path("repository/audit")).unwrap();
    // A run on a copy does not store it there: it goes with the next run here.
    desk.run(&format!("get app/one --repo west {SHEETS}")).expect(0);
    // What a run leaves that is killed: a file that nobody holds.
    let open = format!("{}.open.1790000000.0a1b2c3d.drill-run", repository_id(&desk));
    fs::write(desk.path("state").join(&open), "").unwrap();
    desk.run("copy").expect(0);
    assert!(!desk.path("state").join(&open).exists());
    let all = actions(&shown(&desk, ""));
    let expected = ["snapshot=complete", "snapshot=complete", "get=complete", "drill run=killed", "copy=complete"];
    assert_eq!(all[3..], expected, "{all:?}");
    desk.run("audit verify").expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_carry_the_trail_and_two_hosts_have_two_chains() {
    let (_sandbox, desk) = with_a_copy().await;
    desk.run("snapshot").expect(0);
    let clean = format!("--config none.toml --repo west {SHEETS}");
    let seen = desk.run(&format!("audit verify --json {clean}")).expect(0).json();
    assert_eq!(seen["entries"], 3, "all but that of the snapshot that copied them: {seen}");
    desk.run(&format!(
        "--config second/lifeboat.toml host join --repo {} --name second {SHEETS} --yes",
        desk.path("repository").display()
    ))
    .expect(0);
    desk.run("--config second/lifeboat.toml snapshot --no-copy").expect(0);
    let chains = desk.run("audit verify --json").expect(0).json();
    let by: Vec<&str> =
        chains["chains"].as_array().unwrap().iter().map(|chain| chain["by"].as_str().unwrap()).collect();
    assert_eq!(by.len(), 3, "two hosts, and the quorum that let the second one join: {chains}");
    assert!(by.contains(&"second") && by.contains(&"backup host") && by.contains(&"a quorum"), "{by:?}");
    // The thief of a host's key writes on after the host was removed: only what the closing list vouches for counts.
    let stolen = Signer::from_file(&fs::read_to_string(desk.path("second/keys/signer")).unwrap()).unwrap();
    desk.run(&format!("custody signer remove --name second {SHEETS} --yes")).expect(0);
    desk.run("audit verify").expect(0);
    let id = chain_of(&stolen.public());
    let last = shown(&desk, "--by second").pop().unwrap();
    let head = AuditHead {
        number: last["entry"]["number"].as_u64().unwrap(),
        entry: last["sha256"].as_str().unwrap().parse().unwrap(),
    };
    let note = Note::sign(repository_id(&desk), (&id, Some(head)), 2, run("forget"), &stolen);
    fs::write(desk.path("repository").join(&note.file), &note.text).unwrap();
    let ran = desk.run("audit verify").expect(4);
    assert!(ran.err.contains("may no longer sign since epoch 3"), "{}", ran.err);
    assert_eq!(shown(&desk, "--by second").len(), usize::try_from(head.number).unwrap(), "and is not shown");
}

#[test]
fn ten_years_of_daily_runs_are_small_and_read_in_few_requests() {
    const RUNS: u64 = 3_650;
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let (signer, repository) = (&sample.signer, &sample.repository);
        let id = chain_of(&signer.public());
        let daily: AuditRun = serde_json::from_value(serde_json::json!({
            "started": time(1), "ended": time(2), "action": "snapshot", "outcome": "complete", "exit": 0,
            "head": { "sequence": 3_650, "manifest": Digest::of(b"manifest") },
            "snapshots": ["00112233445566778899aabbccddeeff"],
            "counts": { "sources": 1, "secrets": 3_000, "secrets_unreadable": 0, "values_read": 30, "copies": 1, "files_copied": 12 },
        }))
        .unwrap();
        let mut head = None;
        for number in 1..=RUNS {
            let note = Note::sign(repository.id(), (&id, head), 1, daily.clone(), signer);
            assert_eq!(repository.put_note(&note).await.unwrap(), Put::Stored);
            head = Some(note.head);
            if number % 64 == 0 {
                repository.bundle_notes(&id, number / 64 - 1).await.unwrap();
            }
        }
        let stored = repository.storage().list("audit").await.unwrap();
        let bytes: u64 = stored.iter().map(|entry| entry.size).sum();
        let trust = sample.trust_now().await;
        let trail = repository.audit_trail(&trust, true).await.unwrap();
        assert_eq!((trail.entries(), trail.faults.len()), (RUNS, 0), "{:?}", trail.faults);
        let slow = repository.audit_trail(&trust, false).await.unwrap();
        assert_eq!((slow.entries(), slow.files), (RUNS, RUNS), "file by file it says the same");
        println!(
            "{RUNS} runs: {} files, {bytes} bytes; verified with {} files read, {} bytes",
            stored.len(),
            trail.files,
            trail.bytes
        );
        assert!(stored.len() as u64 == RUNS + RUNS / 64 && bytes < 6_000_000, "{} files, {bytes} bytes", stored.len());
        assert!(trail.files <= RUNS / 64 + 64, "{} files read", trail.files);
        let far = Storage::memory();
        copy(repository, &trust, &far).await.unwrap();
        assert_eq!(far.list("audit").await.unwrap().len(), stored.len());
        // A bundle whose content is another one's proves nothing: the files count.
        let bundle = stored.iter().find(|entry| entry.name.ends_with(".zst")).unwrap();
        let other = stored.iter().rfind(|entry| entry.name.ends_with(".zst")).unwrap();
        let twin = sample.twin(Storage::memory()).await;
        for entry in &stored {
            let name = if entry.name == bundle.name { &other.name } else { &entry.name };
            let bytes = repository.storage().get(name).await.unwrap();
            twin.storage().put_new(&entry.name, bytes).await.unwrap();
        }
        let trail = twin.audit_trail(&trust, true).await.unwrap();
        assert_eq!(trail.entries(), RUNS);
    });
    assert_eq!(random_chain().len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn break_glass_leaves_what_it_served() {
    let outage = Outage::new().await;
    let glass = outage.serve("");
    outage.grant("--secrets orrange-p2p/* --for 1h");
    glass.stop();
    let clean = format!("--config none.toml --repo west {SHEETS}");
    let seen = outage.desk.run(&format!("audit show --json {clean}")).expect(0).json();
    let served =
        seen["entries"].as_array().unwrap().iter().find(|each| each["entry"]["action"] == "break-glass serve").unwrap();
    let entry = &served["entry"];
    assert_eq!(entry["counts"]["applications"], 1, "{entry}");
    assert!(entry["files"][0].as_str().unwrap().starts_with("served/"), "{entry}");
    assert!(!entry.to_string().contains("orrange"), "{entry}");
}

/// Reads events from standard input, one on each line, and holds each against the schema in the file that is named.
const HOLD: &str = r"
import json, sys, jsonschema
validator = jsonschema.Draft202012Validator(json.load(open(sys.argv[1])))
events = [json.loads(line) for line in sys.stdin]
wrong = [f'{list(fault.absolute_path)}: {fault.message}' for event in events for fault in validator.iter_errors(event)]
print(len(events), 'events', *wrong, sep='\n')
sys.exit(bool(wrong) or not events)
";

#[tokio::test(flavor = "multi_thread")]
async fn exports_are_what_other_tools_read() {
    let (_sandbox, desk) = with_a_copy().await;
    desk.run(&format!("restore --to aws:eu-west-1 {SHEETS} --yes")).expect(0);
    desk.run("snapshot --source 999999999999 --no-copy").expect(2);
    let ocsf = desk.run("audit export --format ocsf").expect(0).out;
    assert_eq!(ocsf.lines().count(), 5);
    fs::write(desk.path("events"), &ocsf).unwrap();
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ocsf/api_activity-1.3.0.json");
    let mut hold = desk.command(servers::program("python3"));
    hold.args(["-c", HOLD, schema]).stdin(fs::File::open(desk.path("events")).unwrap());
    let held = desk.finish(&mut hold).expect(0);
    assert!(held.out.starts_with("5\nevents"), "{}", held.out);
    let events: Vec<Json> = ocsf.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |field: &str| events.iter().map(|event| event[field].clone()).collect::<Vec<_>>();
    assert_eq!(of("type_uid"), [600_301, 600_301, 600_303, 600_303, 600_301]);
    assert_eq!(of("status_id"), [1, 1, 1, 1, 2]);

    let trail: Json = serde_json::from_str(&desk.run("audit export --format cloudtrail").expect(0).out).unwrap();
    let records = trail["Records"].as_array().unwrap();
    let names: Vec<&str> = records.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["Init", "Snapshot", "Copy", "Restore", "Snapshot"]);
    assert_eq!((&records[3]["awsRegion"], &records[4]["errorCode"]), (&"eu-west-1".into(), &"usage".into()));
    // What every record of CloudTrail has.
    for field in [
        "eventVersion",
        "userIdentity",
        "eventTime",
        "eventSource",
        "eventName",
        "awsRegion",
        "sourceIPAddress",
        "userAgent",
        "requestParameters",
        "responseElements",
        "eventID",
        "readOnly",
        "eventType",
        "managementEvent",
        "eventCategory",
    ] {
        assert!(records.iter().all(|record| record.get(field).is_some()), "{field}");
    }

    let syslog = desk.run("audit export --format syslog").expect(0).out;
    let lines: Vec<&str> = syslog.lines().collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[3].starts_with("<110>1 20") && lines[4].starts_with("<108>1 20"), "{syslog}");
    assert!(lines[3].contains("Z backup-host lifeboat - restore [lifeboat@32473 chain=\""), "{syslog}");
    assert!(lines[3].ends_with("] restore complete") && lines[3].contains("quorum=\"Bo,Dee,Eli\""), "{syslog}");
    desk.run("audit export --format syslog --since 2090-01-01").expect(3);
}
