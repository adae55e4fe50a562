//! Versions that are marked as leaked: no reader gets their values, whoever forged the mark is refused, and nothing older takes
//! their place unasked.

use std::collections::BTreeSet;

use lifeboat::{
    crypto::{IndexKey, Opener, RecoveryKey, Signer},
    emulator::{Sandbox, SandboxOptions},
    model::{OnLeaked, Place, Record, SnapshotId},
    repo::{
        CheckDepth, FaultKind, LaterRecord, Lookup, Mark, Marked, NoChoice, RepoError, Repository, Trust, copy, told,
    },
    storage::Storage,
};
use serde_json::Value as Json;

use crate::{
    command::{Desk, SHEETS, files},
    repo_sample::{Sample, arn, block_on, time},
};

const OLD: &str = "v1-0123456789abcdef0123456789abcdef";
const CURRENT: &str = "v2-0123456789abcdef0123456789abcdef";

fn marked(place: &Place, versions: &[(&str, &str)]) -> Marked {
    let mark = |(name, version): &(&str, &str)| Mark {
        place: place.clone(),
        name: (*name).into(),
        id: arn(name),
        version: (*version).into(),
    };
    Marked { reason: "laptop stolen".into(), since: Some(time(1)), marks: versions.iter().map(mark).collect() }
}

async fn place(repository: &Repository, trust: &Trust) -> Place {
    let judgement = repository.judge(trust, &[]).await.unwrap();
    judgement.newest(None).unwrap().manifest().source.clone()
}

/// What a reader gets: for each version of a name whether its value is there.
fn stored(records: &[Record], name: &str) -> Vec<bool> {
    let record = records.iter().find(|record| record.secret.name == name).unwrap();
    record.versions.iter().map(|version| version.value.leaked().is_none()).collect()
}

pub async fn mark(sample: &Sample, versions: &[(&str, &str)]) -> Vec<String> {
    let trust = sample.trust_now().await;
    let marked = marked(&place(&sample.repository, &trust).await, versions);
    let readers = [sample.recovery.recipient(), sample.index.recipient()];
    sample.repository.put_tombstones(&trust, &marked, &readers, time(20), &sample.signer).await.unwrap()
}

#[test]
fn whoever_reads_a_snapshot_gets_no_value_of_a_marked_version() {
    let sample = Sample::new(Storage::memory(), 2);
    block_on(async {
        mark(&sample, &[("app/db", CURRENT), ("app/key", OLD)]).await;
        let trust = sample.trust_now().await;
        let judgement = sample.repository.judge(&trust, &[]).await.unwrap();
        assert_eq!(told(judgement.tombstones()).len(), 1);
        assert!(told(judgement.tombstones())[0].starts_with("2 versions are marked as leaked by backup-1 (SHA256:"));
        assert_eq!(judgement.later_records(), [], "the kind is known");
        let chosen = judgement.newest(None).unwrap();
        let readers = [Opener::Recovery(&sample.recovery), Opener::Index(&sample.index)];
        for opener in readers {
            let records = sample.repository.records(&chosen, opener).await.unwrap();
            assert_eq!(
                (stored(&records, "app/db"), stored(&records, "app/key")),
                (vec![true, false], vec![false, true])
            );
            assert!(records.iter().all(|record| !record.is_incomplete()), "they were captured");
            let mut lookup = Lookup::new(&sample.repository, opener, "app/db");
            assert_eq!(stored(&lookup.records(&chosen).await.unwrap(), "app/db"), [true, false]);
            let captured = sample.repository.captured(&chosen, opener).await.unwrap();
            assert_eq!(stored(&captured, "app/db"), [true, true], "what writes the next snapshot sees all");
        }
        let recovery = Opener::Recovery(&sample.recovery);
        let all = sample.repository.records(&chosen.clone().with_leaked(OnLeaked::Include), recovery).await.unwrap();
        assert_eq!(stored(&all, "app/db"), [true, true]);
        let older = sample.repository.records(&chosen.with_leaked(OnLeaked::Older), recovery).await.unwrap();
        let database = older.iter().find(|record| record.secret.name == "app/db").unwrap();
        assert_eq!(database.versions.iter().map(|it| (&*it.id, it.is_current())).collect::<Vec<_>>(), [(OLD, true)]);
        // Names and the reason are sealed.
        for entry in sample.repository.storage().list("records").await.unwrap() {
            let text = String::from_utf8(sample.repository.storage().get(&entry.name).await.unwrap().to_vec()).unwrap();
            assert!(!text.contains("app/") && !text.contains("laptop") && !text.contains(CURRENT), "{text}");
        }
        let depth = CheckDepth::Values(&sample.recovery);
        assert_eq!(sample.repository.check(&trust, depth).await.unwrap().faults, []);
    });
}

#[test]
fn another_place_and_another_incarnation_are_other_secrets() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let trust = sample.trust_now().await;
        let mut other = marked(&place(&sample.repository, &trust).await, &[("app/db", CURRENT), ("app/key", OLD)]);
        other.marks[0].place.region = "nowhere".into();
        other.marks[1].id.push('x');
        let readers = [sample.recovery.recipient()];
        sample.repository.put_tombstones(&trust, &other, &readers, time(20), &sample.signer).await.unwrap();
        let chosen = sample.repository.judge(&trust, &[]).await.unwrap().newest(None).unwrap();
        let records = sample.repository.records(&chosen, Opener::Recovery(&sample.recovery)).await.unwrap();
        assert_eq!((stored(&records, "app/db"), stored(&records, "app/key")), (vec![true, true], vec![true, true]));
        // A reader of names alone that it was not sealed for goes on without it.
        let names = sample.repository.records(&chosen, Opener::Index(&sample.index)).await.unwrap();
        assert_eq!(stored(&names, "app/db"), [true, true]);
    });
}

#[test]
fn a_recovery_key_that_does_not_open_a_mark_opens_no_value() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let trust = sample.trust_now().await;
        let marked = marked(&place(&sample.repository, &trust).await, &[("app/db", CURRENT)]);
        let readers = [IndexKey::generate().recipient()];
        sample.repository.put_tombstones(&trust, &marked, &readers, time(20), &sample.signer).await.unwrap();
        let chosen = sample.repository.judge(&trust, &[]).await.unwrap().newest(None).unwrap();
        let opener = Opener::Recovery(&sample.recovery);
        let refused = sample.repository.records(&chosen, opener).await;
        assert!(matches!(refused, Err(RepoError::TombstoneClosed { .. })), "{refused:?}");
        let all = chosen.with_leaked(OnLeaked::Include);
        assert!(sample.repository.records(&all, opener).await.is_ok(), "a person may decide otherwise");
    });
}

#[test]
fn forged_replayed_foreign_and_altered_marks_are_refused() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let file = mark(&sample, &[("app/db", CURRENT)]).await.remove(0);
        let from = sample.repository.storage();
        let (bytes, signature) = (from.get(&file).await.unwrap(), from.get(&format!("{file}.sig")).await.unwrap());
        let record: LaterRecord = serde_json::from_slice(&bytes).unwrap();
        let seen = async |files: &[(&str, Vec<u8>)]| {
            let twin = sample.twin(Storage::memory()).await;
            for (name, bytes) in files {
                twin.storage().put_new(name, bytes.clone().into()).await.unwrap();
            }
            let trust = twin.trust(&sample.anchor()).await.unwrap();
            let judgement = twin.judge(&trust, &[]).await.unwrap();
            let refused = matches!(judgement.newest(None), Err(NoChoice::Refused(_)));
            let kinds: Vec<FaultKind> = judgement.faults().iter().map(|fault| fault.kind).collect();
            (judgement.tombstones().len(), kinds, refused)
        };
        let sig = format!("{file}.sig");
        assert_eq!(seen(&[(&*sig, signature.to_vec()), (&*file, bytes.to_vec())]).await.0, 1, "genuine");
        let altered =
            String::from_utf8(bytes.to_vec()).unwrap().replace("\"versions\": 1", "\"versions\": 0").into_bytes();
        assert_ne!(altered, bytes);
        let found = seen(&[(&*sig, signature.to_vec()), (&*file, altered)]).await;
        assert_eq!(found, (0, vec![FaultKind::Untrusted], true), "altered");
        assert_eq!(seen(&[(&*file, bytes.to_vec())]).await, (0, vec![FaultKind::Unsigned], true), "unsigned");
        let other = "records/20260101T000000Z-00000000.json";
        let replayed = [(&*format!("{other}.sig"), signature.to_vec()), (other, bytes.to_vec())];
        assert_eq!(seen(&replayed).await, (0, vec![FaultKind::Renamed], true), "replayed under another name");
        // By a stranger, of another repository, and by a signer who says less than is sealed.
        let stranger = Signer::generate();
        for (what, change, signer, kind) in [
            ("forged", "", &stranger, FaultKind::Untrusted),
            ("foreign", "repository", &sample.signer, FaultKind::Untrusted),
            ("no body", "body", &sample.signer, FaultKind::Damaged),
            ("halting", "halts", &sample.signer, FaultKind::Damaged),
        ] {
            let mut json = serde_json::to_value(&record).unwrap();
            json["signer"] = Json::String(signer.public().to_string());
            match change {
                "repository" => json["repository"] = "00".repeat(16).into(),
                "body" => json["body"] = serde_json::json!({ "versions": 1 }),
                "halts" => json["halts"] = serde_json::json!(["restore"]),
                _ => {}
            }
            let text = format!("{}\n", serde_json::to_string_pretty(&json).unwrap()).into_bytes();
            let made = signer.sign(lifeboat::crypto::Namespace::Record, &text);
            let found = seen(&[(&*sig, made.into_bytes()), (&*file, text)]).await;
            assert_eq!(found, (0, vec![kind], true), "{what}");
        }
    });
}

#[test]
fn a_count_that_is_not_what_is_sealed_opens_nothing() {
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        let file = mark(&sample, &[("app/db", CURRENT), ("app/key", OLD)]).await.remove(0);
        let mut record: LaterRecord =
            serde_json::from_slice(&sample.repository.storage().get(&file).await.unwrap()).unwrap();
        record.body["versions"] = 1.into();
        record.record = SnapshotId::random();
        sample.repository.put_record(&record, &sample.signer).await.unwrap();
        let trust = sample.trust_now().await;
        let chosen = sample.repository.judge(&trust, &[]).await.unwrap().newest(None).unwrap();
        let read = sample.repository.records(&chosen, Opener::Index(&sample.index)).await;
        assert!(matches!(read, Err(RepoError::Damaged { .. })), "{read:?}");
        let report = sample.repository.check(&trust, CheckDepth::Index(&sample.index)).await.unwrap();
        assert_eq!(report.faults.iter().map(|fault| fault.kind).collect::<Vec<_>>(), [FaultKind::Damaged]);
    });
}

#[test]
fn marks_are_taken_back_by_a_signer_and_lapse_with_one_unless_the_closing_list_has_them() {
    let (sample, other) = (Sample::new(Storage::memory(), 1), Signer::generate());
    block_on(async {
        mark(&sample, &[("app/db", CURRENT)]).await;
        let first = sample.trust_now().await;
        let judgement = sample.repository.judge(&first, &[]).await.unwrap();
        let tombstone = judgement.tombstones()[0].clone();
        sample.succeed(&first, &sample.recovery, (&sample.signer, &[&other]), None).await;
        // The one before is in the closing list; one that the removed signer makes afterwards is not.
        let after = sample.trust_now().await;
        let count = async || sample.repository.judge(&after, &[]).await.unwrap().tombstones().len();
        assert_eq!(count().await, 1);
        let readers = [sample.recovery.recipient()];
        let more = marked(&place(&sample.repository, &first).await, &[("app/key", OLD)]);
        let late = sample.repository.put_tombstones(&first, &more, &readers, time(300), &sample.signer).await.unwrap();
        let judgement = sample.repository.judge(&after, &[]).await.unwrap();
        assert_eq!((judgement.tombstones().len(), &judgement.faults()[0].file), (1, &late[0]));
        assert_eq!(judgement.faults()[0].kind, FaultKind::Untrusted);
        // The removed one may take nothing back, a signer of today may.
        assert!(sample.repository.undo_tombstone(&after, &tombstone, time(301), &sample.signer).await.is_err());
        let undoing = sample.repository.undo_tombstone(&after, &tombstone, time(302), &other).await.unwrap();
        assert_eq!(count().await, 0);
        // Copies carry what counts.
        let far = Storage::memory();
        sample.repository.storage().remove(&late[0]).await.unwrap();
        sample.repository.storage().remove(&format!("{}.sig", late[0])).await.unwrap();
        copy(&sample.repository, &after, &far).await.unwrap();
        let carried: BTreeSet<String> =
            far.list("records").await.unwrap().into_iter().map(|entry| entry.name).collect();
        assert!(carried.contains(&undoing) && carried.contains(&tombstone.file), "{carried:?}");
    });
}

#[test]
fn a_mark_that_only_an_earlier_signer_could_list_lapses_with_a_cut() {
    let (sample, other) = (Sample::new(Storage::memory(), 3), Signer::generate());
    block_on(async {
        mark(&sample, &[("app/db", CURRENT)]).await;
        let first = sample.trust_now().await;
        sample.succeed(&first, &sample.recovery, (&sample.signer, &[&other]), Some(2)).await;
        let after = sample.trust_now().await;
        let judgement = sample.repository.judge(&after, &[]).await.unwrap();
        assert_eq!(judgement.tombstones().len(), 0, "it is dated after the cut");
    });
}

#[test]
fn an_old_recovery_key_is_a_reader_too() {
    let (sample, next) = (Sample::new(Storage::memory(), 1), RecoveryKey::generate());
    block_on(async {
        let trust = sample.trust_now().await;
        let marked = marked(&place(&sample.repository, &trust).await, &[("app/db", CURRENT)]);
        let readers = [next.recipient(), sample.recovery.recipient()];
        sample.repository.put_tombstones(&trust, &marked, &readers, time(20), &sample.signer).await.unwrap();
        let judgement = sample.repository.judge(&trust, &[]).await.unwrap();
        for key in [&next, &sample.recovery] {
            assert_eq!(judgement.tombstones()[0].open(Opener::Recovery(key)).unwrap(), marked);
        }
    });
}

/// The sources that hold one of these words, comments not counted.
pub fn sources_with(words: &[&str]) -> BTreeSet<String> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let holds = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let mut code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        code.any(|line| words.iter().any(|word| line.contains(word)))
    };
    let rust = files(&root.join("src")).into_iter().filter(|(path, _)| path.extension().is_some_and(|it| it == "rs"));
    let found = rust.filter(|(_, bytes)| holds(bytes));
    found.map(|(path, _)| path.strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect()
}

#[test]
fn only_what_writes_or_counts_reads_records_as_they_were_captured() {
    let found = sources_with(&[".captured(", ".captured_stream(", ".layer_lines("]);
    let allowed = [
        "src/cli/compromise/mark.rs",
        "src/custody/reseal.rs",
        "src/repo/layers.rs",
        "src/repo/lookup.rs",
        "src/repo/side_by_side.rs",
        "src/snapshot/event.rs",
        "src/snapshot/known.rs",
        "src/snapshot/small_packs.rs",
        "src/snapshot/writer.rs",
    ];
    assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), allowed);
}

// By the binary.

const ACCOUNT: &str = "111111111111";
const REGION: &str = "eu-central-1";

async fn desk() -> (Sandbox, Desk) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    for (name, values) in [
        ("orrange-p2p/api", &["leaked-one", "leaked-two"][..]),
        ("orrange-p2p/db", &["leaked-db"]),
        ("app/other", &["fine"]),
    ] {
        for value in values {
            sandbox.control().put(ACCOUNT, REGION, name, value).unwrap();
        }
    }
    desk.run("snapshot").expect(0);
    (sandbox, desk)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_marked_comes_out_of_no_door_and_comes_back_when_undone() {
    let (_sandbox, desk) = desk().await;
    let ran = desk.run("compromise mark --scope orrange-p2p/ --reason stolen --yes --json").expect(0);
    let (made, record) = (ran.json(), ran.json()["records"][0].as_str().unwrap().to_owned());
    assert_eq!((&made["versions"], &made["secrets"]), (&3.into(), &2.into()), "{made}");
    desk.run("copy").expect(0);
    assert!(desk.path("west").join(&record).exists(), "copies carry it");
    // Marking again marks nothing twice.
    let again = desk.run("compromise mark --scope orrange-p2p/* --yes --json").expect(0).json();
    assert_eq!((&again["versions"], &again["already"]), (&0.into(), &3.into()), "{again}");
    let said = "3 versions are marked as leaked by";
    assert!(desk.run("list").expect(0).err.contains(said));
    let shown = desk.run("show").expect(0);
    assert!(shown.err.contains(said) && shown.out.contains("marked as leaked by"), "{}{}", shown.out, shown.err);
    assert_eq!(desk.run("list --json").expect(0).json()["tombstones"][0]["versions"], 3);
    desk.run("check --json").expect(0);
    // No door gives it: neither the current version nor one before it.
    desk.run(&format!("get orrange-p2p/api {SHEETS}")).expect(1).says("marked as leaked by");
    desk.run(&format!("get orrange-p2p/api --version AWSPREVIOUS {SHEETS}")).expect(1).says("marked as leaked by");
    assert_eq!(desk.run(&format!("get app/other {SHEETS}")).expect(0).out, "fine");
    desk.run(&format!("export --format json --secret orrange-p2p/api {SHEETS}")).expect(1).says("marked as leaked by");
    // A restore passes them over, and says so.
    let restore = |more: &str| desk.run(&format!("restore --to aws:eu-west-1 --yes --json {more} {SHEETS}"));
    let ran = restore("").expect(3);
    assert!(ran.err.contains(said), "{}", ran.err);
    assert_eq!((&ran.json()["counts"]["created"], &ran.json()["counts"]["cannot"]), (&1.into(), &2.into()));
    // Only when asked, and never an older one that is marked too.
    let ran = restore("--include orrange-p2p/* --leaked older").expect(3);
    assert_eq!(ran.json()["counts"]["cannot"], 2);
    // A plan that somebody approved before is stale.
    desk.run(&format!("compromise mark --undo {} --yes", &record["records/".len()..])).expect(0);
    assert_eq!(desk.run(&format!("get orrange-p2p/api {SHEETS}")).expect(0).out, "leaked-two");
    assert!(!desk.run("list").expect(0).err.contains("marked as leaked"));
    let printed = String::from_utf8_lossy(&desk.printed()).replace("leaked-two", "");
    assert!(!printed.contains("leaked-one") && !printed.contains("leaked-db"));
    let clear = files(&desk.path("repository/records"));
    let holds = |(_, bytes): &(_, Vec<u8>)| String::from_utf8_lossy(bytes).contains("orrange");
    assert!(!clear.is_empty() && !clear.iter().any(holds), "names are sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_passes_marked_versions_over_and_its_record_counts_them() {
    let (_sandbox, desk) = desk().await;
    desk.run("compromise mark --scope orrange-p2p/db --reason log --yes").expect(0);
    std::fs::create_dir_all(desk.path("drills")).unwrap();
    let plan = "scenario = \"a leak\"\nevery_days = 31\n[target]\nsandbox = true\n";
    std::fs::write(desk.path("drills/leak.toml"), plan).unwrap();
    let record = desk.run(&format!("drill run leak --json {SHEETS}")).expect(3).json()["record"].clone();
    assert_eq!((&record["result"], &record["sample"]["restored"]), (&"partial".into(), &2.into()), "{record}");
    let left = &record["not_restored"][0];
    assert!(left["reason"].as_str().unwrap().contains("marked as leaked by") && left["count"] == 1, "{left}");
    desk.run("drill verify").expect(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_version_takes_the_place_of_a_leaked_one_only_when_asked() {
    let (_sandbox, desk) = desk().await;
    desk.run("compromise mark --scope orrange-p2p/api --version AWSCURRENT --reason log --yes").expect(0);
    let restore = |to: &str, more: &str| {
        desk.run(&format!("restore --to aws:{to} --include orrange-p2p/api --yes --json {more} {SHEETS}"))
    };
    let refused = restore("eu-west-1", "").expect(3);
    assert_eq!(refused.json()["counts"]["cannot"], 1);
    let older = restore("eu-west-1", "--leaked older").expect(0);
    assert_eq!(older.json()["counts"]["created"], 1);
    assert!(restore("us-east-1", "--leaked include").expect(0).json()["counts"]["created"] == 1);
    let plan = desk.run("restore --to aws:eu-west-2 --include orrange-p2p/api --plan").expect(3);
    assert!(plan.out.contains("its current version is marked as leaked by"), "{}", plan.out);
}
