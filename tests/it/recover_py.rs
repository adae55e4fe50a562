//! The promise of the paper: a copy, the sheets and stock tools give every value back, without this tool.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use lifeboat::{
    crypto::{RecoveryKey, Signer},
    fsutil::{self, Access, Existing},
    model::SecretValue,
    repo::{Custodian, Repository, copy},
    share::{Share, split},
    storage::Storage,
};
use serde_json::Value as Json;

use crate::repo_sample::{Sample, arn, block_on, epoch, values};

/// A repository, a copy of it in `far`, and its shares as texts.
struct Scene {
    folder: tempfile::TempDir,
    sample: Sample,
    shares: Vec<Share>,
}

impl Scene {
    fn new() -> Self {
        for program in ["python3", "age", "zstd", "ssh-keygen"] {
            let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
            assert!(found.status.success(), "{program} is missing: apt install python3 age zstd openssh-client");
        }
        let folder = tempfile::tempdir().unwrap();
        let (recovery, signer) = (RecoveryKey::generate(), Signer::generate());
        let shares = split(&recovery, 3, 5).unwrap();
        let mut epoch = epoch(&recovery, &signer);
        epoch.share_set = hex::encode(shares[0].set().0);
        epoch.custodians = shares
            .iter()
            .map(|share| Custodian {
                name: format!("C{}", share.index()),
                share: share.index(),
                sha256: share.digest(),
            })
            .collect();
        let near = Storage::open(folder.path().join("near").to_str().unwrap()).unwrap();
        let repository = block_on(Repository::create(near, &epoch, &recovery.root_signer())).unwrap();
        let sample = Sample { recovery, index: lifeboat::crypto::IndexKey::generate(), signer, repository };
        block_on(async {
            let (records, packs) = sample.seal().await;
            let first = sample.snapshot(1, None, &records[..1], &packs).await;
            sample.snapshot(2, Some(first.digest()), &records, &packs).await;
            let far = Storage::open(folder.path().join("far").to_str().unwrap()).unwrap();
            copy(&sample.repository, &sample.trust_now().await, &far).await.unwrap();
        });
        let scene = Self { folder, sample, shares };
        for share in &scene.shares {
            let rows = share.rows().iter().map(|row| row.to_string()).collect::<Vec<_>>().join("\n");
            let text = if share.index() % 2 == 0 { share.text().to_string() } else { format!("Sheet\n\n{rows}\n") };
            scene.write(&format!("sheet-{}.txt", share.index()), text.as_bytes());
        }
        scene
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        fsutil::write(&self.path(name), bytes, Access::Private, Existing::Replace).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs the copy's own recover.py.
    fn recover(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = Command::new("python3")
            .arg("far/recover.py")
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn refuses(&self, arguments: &[&str], stdin: &str, reason: &str) {
        let output = self.recover(arguments, stdin);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(reason), "{arguments:?}: {error}");
        assert!(output.stdout.is_empty(), "nothing secret is printed: {arguments:?}");
        assert!(!error.contains("Traceback"), "{error}");
    }
}

fn lines(output: &Output) -> Vec<Json> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn value_of(line: &Json) -> SecretValue {
    match (&line["text"], &line["bytes"]) {
        (Json::String(text), Json::Null) => SecretValue::text(text.clone()),
        (Json::Null, Json::String(text)) => SecretValue::bytes(BASE64_STANDARD.decode(text).unwrap()),
        _ => panic!("a value is text or bytes"),
    }
}

#[test]
fn three_sheets_and_a_copy_give_every_value_back() {
    let scene = Scene::new();
    fs::remove_dir_all(scene.path("near")).unwrap();
    let sheets = ["sheet-5.txt", "sheet-2.txt", "sheet-4.txt"];
    let arguments = [&["extract", "far", "--json", "--share"], &sheets[..]].concat();
    let mut found: BTreeMap<(String, String), SecretValue> = BTreeMap::new();
    for line in lines(&scene.recover(&arguments, "")) {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        assert_eq!(text("secret"), arn(&text("name")));
        assert!(found.insert((text("name"), text("version")), value_of(&line)).is_none());
    }
    assert_eq!(found.len(), values().len());
    for (name, version, value) in values() {
        assert!(found[&(name.to_owned(), version.to_owned())].same_as(&value), "{name} {version}");
    }
}

#[test]
fn files_hold_the_bytes_and_only_their_owner_reads_them() {
    use std::os::unix::fs::PermissionsExt;
    let scene = Scene::new();
    let typed: String =
        [1, 3, 4].map(|n| fs::read_to_string(scene.path(&format!("sheet-{n}.txt"))).unwrap()).join("\n");
    let output = scene.recover(&["extract", "far", "--share", "-", "--out", "out"], &typed);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty());
    for (name, version, value) in values() {
        let folder = name.replace('/', "%2F").replace("größe", "gr%C3%B6%C3%9Fe").replace("名前", "%E5%90%8D%E5%89%8D");
        let path = scene.path("out").join(folder).join(version);
        assert_eq!(fs::read(&path).unwrap(), value.expose(), "{name}");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let records = fs::read_to_string(scene.path("out/records.jsonl")).unwrap();
    assert_eq!(records.lines().count(), 4);
}

#[test]
fn an_older_snapshot_can_be_chosen() {
    let scene = Scene::new();
    let verified = block_on(scene.sample.repository.chain(&scene.sample.trust())).unwrap();
    let id = verified.manifests[0].manifest().snapshot.to_string();
    let sheets = ["--share", "sheet-1.txt", "sheet-2.txt", "sheet-3.txt", "sheet-4.txt", "sheet-5.txt"];
    let older = scene.recover(&[&["extract", "far", "--json", "--snapshot", &id[..8]], &sheets[..]].concat(), "");
    assert_eq!(lines(&older).len(), 2, "the first snapshot has one secret");
    scene.refuses(
        &[&["extract", "far", "--json", "--snapshot", "ffff"], &sheets[..]].concat(),
        "",
        "no single verified",
    );
}

#[test]
fn the_identity_is_the_recovery_key_in_age_s_words() {
    let scene = Scene::new();
    let sheets = ["key", "sheet-2.txt", "sheet-3.txt", "sheet-5.txt"];
    for repo in [&[][..], &["--repo", "far"]] {
        let output = scene.recover(&[&sheets[..], repo].concat(), "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let mut child = Command::new("age-keygen")
            .arg("-y")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("age-keygen comes with age: apt install age");
        child.stdin.take().unwrap().write_all(&output.stdout).unwrap();
        let recipient = child.wait_with_output().unwrap().stdout;
        assert_eq!(String::from_utf8(recipient).unwrap().trim(), scene.sample.recovery.recipient().to_string());
    }
}

#[test]
fn wrong_sheets_are_named_and_give_nothing() {
    let scene = Scene::new();
    let other = split(&RecoveryKey::generate(), 3, 5).unwrap();
    scene.write("foreign.txt", other[0].text().as_bytes());
    let twin = split(&scene.sample.recovery, 3, 5).unwrap();
    scene.write("resplit.txt", twin[4].text().as_bytes());
    let rows: Vec<String> = scene.shares[0].rows().iter().map(|row| row.to_string()).collect();
    // The first character of the row, so that it is never one of its checks.
    let flipped =
        format!("{}{}{}", &rows[1][..3], if rows[1].as_bytes()[3] == b'Q' { "P" } else { "Q" }, &rows[1][4..]);
    scene.write("typo.txt", [&rows[0], &flipped, &rows[2], &rows[3]].map(String::as_str).join("\n").as_bytes());
    scene.write("nothing.txt", b"the share starts with LB1 and goes on");
    let with = |last| ["key", "sheet-2.txt", "sheet-3.txt", last];
    scene.refuses(&with("sheet-2.txt"), "", "have 2 of 3 shares");
    scene.refuses(&with("foreign.txt"), "", "foreign.txt and sheet-2.txt are of different share sets");
    scene.refuses(&with("resplit.txt"), "", "different share sets");
    scene.refuses(&with("typo.txt"), "", "look at row 2 again");
    scene.refuses(&with("nothing.txt"), "", "nothing.txt: no share found");
    scene.refuses(&with("no-such-file.txt"), "", "no-such-file.txt: No such file");
    scene.refuses(&with("-"), "", "standard input: no share found");
}

#[test]
fn another_repository_s_sheets_open_nothing() {
    let (scene, other) = (Scene::new(), Scene::new());
    for n in 1..=3 {
        scene.write(&format!("other-{n}.txt"), other.shares[n - 1].text().as_bytes());
    }
    let sheets = ["--share", "other-1.txt", "other-2.txt", "other-3.txt"];
    scene.refuses(&[&["extract", "far", "--json"], &sheets[..]].concat(), "", "no key epoch here belongs to this key");
}

/// Changes one byte of a file of the copy.
fn damage(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fsutil::write(path, &bytes, Access::Public, Existing::Replace).unwrap();
}

fn first_file(folder: &Path, ending: &str) -> PathBuf {
    let mut found: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    for path in found {
        if path.is_dir() {
            return first_file(&path, ending);
        }
        if path.to_str().unwrap().ends_with(ending) {
            return path;
        }
    }
    panic!("no {ending} in {}", folder.display())
}

#[test]
fn a_history_of_more_than_one_folder_is_whole_to_the_other_reader() {
    let scene = Scene::new();
    block_on(async {
        crate::repo_recall::grow(&scene.sample, 131).await;
        let far = Storage::open(scene.path("far").to_str().unwrap()).unwrap();
        copy(&scene.sample.repository, &scene.sample.trust_now().await, &far).await.unwrap();
    });
    assert!(scene.path("far/snapshots/2").is_dir(), "64 manifests are in a folder");
    let output = scene.recover(&["verify", "far"], "");
    let (told, error) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && told.contains("131 snapshots"), "{told}{error}");
}

#[test]
fn verify_tells_a_sound_copy_from_a_damaged_one() {
    let scene = Scene::new();
    let root = scene.sample.anchor().root.to_string();
    for anchor in [&[][..], &["--root", &root]] {
        let output = scene.recover(&[&["verify", "far"], anchor].concat(), "");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(String::from_utf8_lossy(&output.stdout).contains("2 snapshots, 4 packs and indexes"));
    }
    let foreign = Signer::generate().public().to_string();
    scene.refuses(&["verify", "far", "--root", &foreign], "", "no key epoch");
    // Of a manifest a value and a field's name: what parses is forged, what does not is damaged.
    for (file, place, code) in
        [("packs", "", 6), ("indexes", "", 6), ("snapshots", "\"sequence\": ", 4), ("snapshots", "\"sequ", 6)]
    {
        let path = first_file(&scene.path("far").join(file), if file == "snapshots" { ".json" } else { ".age" });
        let at = match place {
            "" => 300,
            place => String::from_utf8(fs::read(&path).unwrap()).unwrap().find(place).unwrap() + place.len(),
        };
        damage(&path, at);
        let output = scene.recover(&["verify", "far"], "");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{file} {place}: {error}");
        assert!(error.contains("FAULT") && !error.contains("Traceback"), "{file} {place}: {error}");
        damage(&path, at);
    }
    damage(&first_file(&scene.path("far/epochs"), ".json"), 20);
    scene.refuses(&["verify", "far"], "", "no key epoch");
}

#[test]
fn a_manifest_of_a_foreign_signer_is_not_restored() {
    let scene = Scene::new();
    let path = first_file(&scene.path("far/snapshots"), ".json");
    let forged = String::from_utf8(fs::read(&path).unwrap()).unwrap().replace("\"sequence\": 1", "\"sequence\": 3");
    let signer = Signer::generate();
    let forged = forged.replace(&scene.sample.signer.public().to_string(), &signer.public().to_string());
    let signature = signer.sign(lifeboat::crypto::Namespace::Manifest, forged.as_bytes());
    let name = "far/snapshots/0/20990101T000000Z-00000000.json";
    scene.write(name, forged.as_bytes());
    scene.write(&format!("{name}.sig"), signature.as_bytes());
    let sheets = ["--share", "sheet-1.txt", "sheet-2.txt", "sheet-3.txt"];
    let output = scene.recover(&[&["extract", "far", "--json"], &sheets[..]].concat(), "");
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "which one is the newest is not certain");
    let accept = "snapshots/0/20990101T000000Z-00000000.json:untrusted";
    assert!(String::from_utf8_lossy(&output.stderr).contains(accept));
    let accepted = ["extract", "far", "--json", "--accept-fault", accept];
    let output = scene.recover(&[&accepted[..], &sheets[..]].concat(), "");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), values().len(), "the genuine newest one");
}

#[test]
fn planted_nonsense_does_not_stop_a_recovery() {
    let scene = Scene::new();
    for (n, text) in
        ["", "{}", "[]", "{\"version\":2}", "{\"version\":1,\"sequence\":\"x\"}", "null"].iter().enumerate()
    {
        scene.write(&format!("far/snapshots/2099010{n}T000000Z-00000000.json"), text.as_bytes());
        scene.write(&format!("far/epochs/{}.json", n + 7), text.as_bytes());
    }
    let sheets = ["--share", "sheet-1.txt", "sheet-2.txt", "sheet-3.txt"];
    let output = scene.recover(&[&["extract", "far", "--json"], &sheets[..]].concat(), "");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "names without meaning change nothing: {error}");
    assert!(!error.contains("Traceback"), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), values().len());
    scene.write("far/snapshots/0/20990101T000000Z-00000000.json", b"[[[[");
    let output = scene.recover(&[&["extract", "far", "--json"], &sheets[..]].concat(), "");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(6) && !error.contains("Traceback"), "{error}");
}

#[test]
fn ssh_keygen_accepts_the_manifest_and_the_epoch() {
    let scene = Scene::new();
    let anchor = scene.sample.anchor();
    for (folder, namespace, key) in [
        ("far/epochs", "lifeboat-epoch", anchor.root.clone()),
        ("far/snapshots", "lifeboat-manifest", scene.sample.signer.public()),
    ] {
        let path = first_file(&scene.path(folder), ".json");
        scene.write("allowed_signers", format!("someone namespaces=\"{namespace}\" {key}\n").as_bytes());
        let verdict = |bytes: &[u8]| {
            let signature = format!("{}.sig", path.display());
            let mut child = Command::new("ssh-keygen")
                .args(["-Y", "verify", "-f", "allowed_signers", "-I", "someone", "-n", namespace, "-s", &signature])
                .current_dir(scene.folder.path())
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            child.stdin.take().unwrap().write_all(bytes).unwrap();
            child.wait().unwrap().success()
        };
        let bytes = fs::read(&path).unwrap();
        assert!(verdict(&bytes), "{folder}");
        assert!(!verdict(&bytes[1..]), "{folder}");
    }
}
