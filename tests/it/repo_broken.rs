//! Frozen broken repositories: each with the report, the exit code and the verdict of the independent reader it must give.
//!
//! `tests/fixtures/repositories/history` is whole: five snapshots, of which the second is forgotten and gone, a drill and an
//! attestation. Each folder of `broken/` holds what differs: `case.json` and the files that are added or changed.
//! `write_the_history` and `write_the_broken_ones` made them; what is released is never written again.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use lifeboat::{
    crypto::{IndexKey, Namespace, RecoveryKey, Signer},
    fsutil::{self, Access, Existing},
    model::{Digest, SnapshotId, ValueState},
    repo::{
        AllowedSigner, Attestation, Custodian, Epoch, Finding, Manifest, PreviousEpoch, Repository, VerifiedManifest,
        Witness,
    },
    share::{Gathering, split},
    storage::Storage,
};
use serde::{Deserialize, Serialize};

use crate::{
    command::Desk,
    repo_sample::{Sample, block_on, epoch, forget, later, sweep, time},
};

type Files = BTreeMap<String, Vec<u8>>;

/// One broken repository.
#[derive(Serialize, Deserialize)]
struct Case {
    /// What was done to it.
    about: String,
    /// How deep to look.
    depth: String,
    /// Files of `history` that are not there.
    remove: Vec<String>,
    /// The exit code of `lifeboat check`.
    exit: i32,
    /// The faults, as `kind file`, sorted; file names of sealed files shortened.
    faults: Vec<String>,
    /// How much of each snapshot the report says can still be restored.
    restorable: Vec<String>,
    /// The exit code of `recover.py verify`.
    recover_py: i32,
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/repositories").join(name)
}

fn text(path: &Path) -> String {
    String::from_utf8(fsutil::read(path).unwrap()).unwrap()
}

/// Every file below a folder by its name in the repository.
fn read_all(root: &Path) -> Files {
    let read =
        |(path, content): (PathBuf, Vec<u8>)| (path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), content);
    crate::command::files(root).into_iter().map(read).collect()
}

fn write(path: &Path, content: &[u8]) {
    fsutil::create_folder(path.parent().unwrap(), Access::Public).unwrap();
    fsutil::write(path, content, Access::Public, Existing::Replace).unwrap();
}

/// The keys of `history`.
struct Keys {
    recovery: RecoveryKey,
    signer: Signer,
    index: IndexKey,
}

impl Keys {
    fn read() -> Self {
        let root = folder("history");
        let mut gathering = Gathering::new(vec![]);
        for sheet in ["sheet-1.txt", "sheet-3.txt"] {
            gathering.add(sheet, &text(&root.join(sheet))).unwrap();
        }
        Self {
            recovery: gathering.quorum().unwrap().recover().unwrap(),
            signer: Signer::from_file(&text(&root.join("signer.txt"))).unwrap(),
            index: IndexKey::from_file(&text(&root.join("index-key.txt"))).unwrap(),
        }
    }
}

/// A host that wrote `history` and looks at `files` now.
fn host(files: &Files) -> Desk {
    let root = folder("history");
    let desk = Desk::offline("111122223333");
    for (name, content) in files {
        write(&desk.path("repository").join(name), content);
    }
    write(&desk.path("lifeboat.toml"), text(&root.join("lifeboat.toml")).as_bytes());
    fsutil::create_folder(&desk.path("keys"), Access::Private).unwrap();
    for (key, of_history) in [("keys/signer", "signer.txt"), ("keys/index.age", "index-key.txt")] {
        let bytes = text(&root.join(of_history)).into_bytes();
        fsutil::write(&desk.path(key), &bytes, Access::Private, Existing::Replace).unwrap();
    }
    let head: Witness = serde_json::from_str(&text(&root.join("head.json"))).unwrap();
    let id = "07".repeat(16);
    write(&desk.path(&format!("state/{id}.head.json")), &serde_json::to_vec(&head).unwrap());
    for sheet in ["sheet-1.txt", "sheet-3.txt"] {
        write(&desk.path(sheet), text(&root.join(sheet)).as_bytes());
    }
    desk
}

/// What the tool and the independent reader say of `files`.
fn verdict(files: &Files, about: &str, depth: &str) -> Case {
    let desk = host(files);
    let shares = if depth == "values" { " --share sheet-1.txt --share sheet-3.txt" } else { "" };
    let ran = desk.run(&format!("check --json --depth {depth}{shares}"));
    assert!(!ran.err.contains("bug in itself"), "{about}: {}", ran.err);
    let report = ran.json();
    let short = |name: &str| {
        let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
        if file.len() == 68 { format!("{folder}/{}….age", &file[..8]) } else { name.to_owned() }
    };
    let list = |name: &str| report[name].as_array().cloned().unwrap_or_default();
    let mut faults: Vec<String> = list("faults")
        .iter()
        .map(|fault| format!("{} {}", fault["kind"].as_str().unwrap(), short(fault["file"].as_str().unwrap())))
        .collect();
    faults.sort();
    let restorable = list("restorable")
        .iter()
        .map(|each| format!("{} {}", each["sequence"], each["extent"].as_str().unwrap()))
        .collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/repo/recover/recover.py");
    let root = text(&folder("history").join("lifeboat.toml"));
    let root = root.lines().find_map(|line| line.strip_prefix("root = ")).unwrap().trim_matches('"').to_owned();
    let mut command = desk.command("python3");
    let independent = desk.finish(command.arg("-B").arg(script).args(["verify", "repository", "--root", &root]));
    assert!(!independent.err.contains("Traceback"), "{about}: {}", independent.err);
    Case {
        about: about.into(),
        depth: depth.into(),
        remove: Vec::new(),
        exit: ran.code.unwrap(),
        faults,
        restorable,
        recover_py: independent.code.unwrap(),
    }
}

fn history() -> Files {
    read_all(&folder("history/repository"))
}

fn cases() -> Vec<(String, Case, Files)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder("broken")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let case: Case = serde_json::from_str(&text(&path.join("case.json"))).unwrap();
        let mut files = history();
        for gone in &case.remove {
            assert!(files.remove(gone).is_some(), "{name}: {gone}");
        }
        if path.join("files").exists() {
            files.extend(read_all(&path.join("files")));
        }
        found.push((name, case, files));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn the_history_is_whole_to_both_readers_at_every_depth() {
    for depth in ["structure", "index", "values"] {
        let found = verdict(&history(), "history", depth);
        assert_eq!((found.exit, found.recover_py, found.faults.len()), (0, 0, 0), "{:?}", found.faults);
        assert_eq!(found.restorable, ["1 whole", "3 whole", "4 whole", "5 whole"]);
    }
}

#[test]
fn every_broken_one_gives_its_report() {
    let cases = cases();
    assert!(cases.len() >= 30, "only {} broken repositories", cases.len());
    for (name, case, files) in cases {
        let found = verdict(&files, &case.about, &case.depth);
        let of = |case: &Case| (case.exit, case.faults.clone(), case.restorable.clone(), case.recover_py);
        assert_eq!(of(&found), of(&case), "{name}: {}", case.about);
    }
}

// How they were made.

#[test]
#[ignore = "writes a fixture; a released one is never written again"]
fn write_the_history() {
    let root = folder("history");
    let (recovery, signer) = (RecoveryKey::generate(), Signer::generate());
    let shares = split(&recovery, 2, 3).unwrap();
    let mut first = epoch(&recovery, &signer);
    (first.threshold, first.total, first.share_set) = (2, 3, hex::encode(shares[0].set().0));
    let custodian = |share: &lifeboat::share::Share| Custodian {
        name: format!("C{}", share.index()),
        share: share.index(),
        sha256: share.digest(),
    };
    first.custodians = shares.iter().map(custodian).collect();
    let storage = Storage::open(root.join("repository").to_str().unwrap()).unwrap();
    let repository = block_on(Repository::create(storage, &first, &recovery.root_signer())).unwrap();
    let sample = Sample { recovery, index: IndexKey::generate(), signer, repository };
    let trust = sample.trust();
    let head = block_on(async {
        let (records, packs) = sample.seal().await;
        let mut heads: Vec<VerifiedManifest> = Vec::new();
        for sequence in 1..=5 {
            let previous = heads.last().map(VerifiedManifest::digest);
            heads.push(sample.snapshot(sequence, previous, &records, &packs).await);
        }
        sample.drill().await;
        let seen = Attestation {
            version: 1,
            repository: sample.repository.id(),
            attestation: SnapshotId::from_bytes([5; 16]),
            epoch: 1,
            share: 2,
            custodian: "C2".into(),
            time: time(7),
            result: Finding::Intact,
            signer: sample.signer.public(),
        };
        sample.repository.put_attestation(&seen, &sample.signer).await.unwrap();
        let gone = [heads[1].name().to_owned()].into();
        forget(&sample.repository, &trust, &gone, (time(3), time(4)), &sample.signer).await.unwrap();
        sweep(&sample.repository, &trust, &sample.signer, later(), &std::collections::BTreeSet::new()).await.unwrap();
        heads[4].witness()
    });
    let config = format!(
        "[repository]\nurl = \"repository\"\n\n[source]\nurl = \"aws:eu-central-1\"\n\n[trust]\nroot = \"{}\"\nrecipient = \"{}\"\n\n\
         [keys]\nsigner = \"keys/signer\"\nindex = \"keys/index.age\"\n",
        sample.anchor().root,
        sample.anchor().recipient
    );
    write(&root.join("lifeboat.toml"), config.as_bytes());
    write(&root.join("signer.txt"), sample.signer.to_file().as_bytes());
    write(&root.join("index-key.txt"), sample.index.to_file().as_bytes());
    write(&root.join("head.json"), &serde_json::to_vec(&head).unwrap());
    for share in &shares {
        write(&root.join(format!("sheet-{}.txt", share.index())), share.text().as_bytes());
    }
}

#[test]
#[ignore = "writes the fixtures; released ones are never written again"]
fn write_the_broken_ones() {
    let whole = history();
    for (name, depth, about, change) in recipes() {
        let mut files = whole.clone();
        change(&mut files, &Keys::read());
        let mut case = verdict(&files, about, depth);
        case.remove = whole.keys().filter(|name| !files.contains_key(*name)).cloned().collect();
        let root = folder("broken").join(name);
        write(&root.join("case.json"), &serde_json::to_vec_pretty(&case).unwrap());
        for (file, content) in files.iter().filter(|(file, content)| whole.get(*file) != Some(*content)) {
            write(&root.join("files").join(file), content);
        }
        println!("{name}: exit {} recover.py {} {:?} {:?}", case.exit, case.recover_py, case.faults, case.restorable);
    }
}

/// The nth name in a folder with an ending.
fn nth(files: &Files, folder: &str, ending: &str, n: usize) -> String {
    let mut names = files.keys().filter(|name| name.starts_with(folder) && name.ends_with(ending));
    names.nth(n).unwrap().clone()
}

fn swap(files: &mut Files, one: &str, two: &str) {
    let (a, b) = (files[one].clone(), files[two].clone());
    files.insert(one.into(), b);
    files.insert(two.into(), a);
}

fn edit(files: &mut Files, name: &str, from: &str, to: &str) {
    let content = String::from_utf8(files[name].clone()).unwrap();
    assert!(content.contains(from), "{name} has no {from}");
    files.insert(name.into(), content.replace(from, to).into_bytes());
}

fn sign(files: &mut Files, name: &str, signer: &Signer, namespace: Namespace) {
    let signature = signer.sign(namespace, &files[name]);
    files.insert(format!("{name}.sig"), signature.into_bytes());
}

/// The nth manifest, changed and signed again by the host's own key.
fn resigned(files: &mut Files, keys: &Keys, n: usize, change: impl Fn(&mut Manifest)) {
    let name = nth(files, "snapshots/", ".json", n);
    let mut manifest: Manifest = serde_json::from_slice(&files[&name]).unwrap();
    change(&mut manifest);
    let mut bytes = serde_json::to_vec_pretty(&manifest).unwrap();
    bytes.push(b'\n');
    files.insert(name.clone(), bytes);
    sign(files, &name, &keys.signer, Namespace::Manifest);
}

fn remove_snapshot(files: &mut Files, n: usize) {
    let name = nth(files, "snapshots/", ".json", n);
    files.remove(&format!("{name}.sig"));
    files.remove(&name);
}

/// A second manifest with the newest one's number, by the host's own key.
fn fork(files: &mut Files, keys: &Keys) {
    let name = nth(files, "snapshots/", ".json", 3);
    let mut manifest: Manifest = serde_json::from_slice(&files[&name]).unwrap();
    manifest.snapshot = SnapshotId::from_bytes([0xee; 16]);
    let mut bytes = serde_json::to_vec_pretty(&manifest).unwrap();
    bytes.push(b'\n');
    let twin = format!("snapshots/{}-eeeeeeee.json", manifest.time.strftime("%Y%m%dT%H%M%SZ"));
    files.insert(twin.clone(), bytes);
    sign(files, &twin, &keys.signer, Namespace::Manifest);
}

/// The newest snapshot's index replaced by one whose first value leads elsewhere.
fn lying_index(files: &mut Files, keys: &Keys, line: u32, pack: Option<Digest>) {
    use lifeboat::{
        crypto::Opener,
        repo::{IndexReader, IndexWriter},
    };
    let name = nth(files, "snapshots/", ".json", 3);
    let manifest: Manifest = serde_json::from_slice(&files[&name]).unwrap();
    let old = format!("indexes/{}.age", manifest.indexes[0].files[0].sha256);
    let sealed = Bytes::from(files[&old].clone());
    let mut writer = IndexWriter::new(&[keys.recovery.recipient(), keys.index.recipient()]);
    for (number, record) in IndexReader::open("i", sealed, Opener::Index(&keys.index)).unwrap().records().enumerate() {
        let mut record = record.unwrap();
        if let ValueState::Stored { pack: of, line: at, .. } = &mut record.versions[0].value
            && number == 0
        {
            *at = line;
            *of = pack.unwrap_or(*of);
        }
        writer.push(&record);
    }
    let new = writer.finish();
    files.remove(&old);
    files.insert(format!("indexes/{}.age", new.file.sha256), new.bytes.to_vec());
    resigned(files, keys, 3, |manifest| manifest.indexes[0].files = vec![new.file]);
}

/// A second epoch, of another key that the first one's root knows nothing of.
fn stranger_epoch(files: &mut Files, keys: &Keys, root: &RecoveryKey) {
    let first = first_epoch(files);
    let mut next: Epoch = serde_json::from_slice(&files[&first]).unwrap();
    next.previous = Some(PreviousEpoch { number: 1, sha256: Digest::of(&files[&first]) });
    (next.number, next.recipient, next.root) = (2, root.recipient(), root.root_signer().public());
    next.signers = vec![AllowedSigner { name: "stranger".into(), key: keys.signer.public() }];
    let mut bytes = serde_json::to_vec_pretty(&next).unwrap();
    bytes.push(b'\n');
    let name = next.file_name();
    files.insert(name.clone(), bytes);
    sign(files, &name, &root.root_signer(), Namespace::Epoch);
}

fn first_epoch(files: &Files) -> String {
    files.keys().find(|name| name.starts_with("epochs/1-") && name.ends_with(".json")).unwrap().clone()
}

type Change = Box<dyn Fn(&mut Files, &Keys)>;

#[expect(clippy::too_many_lines, reason = "a table")]
fn recipes() -> Vec<(&'static str, &'static str, &'static str, Change)> {
    fn case(
        name: &'static str,
        depth: &'static str,
        about: &'static str,
        change: impl Fn(&mut Files, &Keys) + 'static,
    ) -> (&'static str, &'static str, &'static str, Change) {
        (name, depth, about, Box::new(change))
    }
    let cut = |folder: &'static str, ending: &'static str, n: usize| {
        move |files: &mut Files, _: &Keys| {
            let name = nth(files, folder, ending, n);
            let half = files[&name].len() / 2;
            files.get_mut(&name).unwrap().truncate(half);
        }
    };
    let drop = |folder: &'static str, ending: &'static str, n: usize| {
        move |files: &mut Files, _: &Keys| {
            let name = nth(files, folder, ending, n);
            files.remove(&name);
        }
    };
    vec![
        case("pack-missing", "structure", "a pack is gone", drop("packs/", ".age", 0)),
        case("pack-missing-index", "index", "a pack is gone, seen with the index key", drop("packs/", ".age", 1)),
        case("pack-truncated", "structure", "a pack is half as long", cut("packs/", ".age", 0)),
        case("pack-flipped", "values", "one byte of a pack is another", |files, _| {
            let name = nth(files, "packs/", ".age", 0);
            files.get_mut(&name).unwrap()[300] ^= 1;
        }),
        case("packs-swapped", "structure", "two packs have each other's names", |files, _| {
            let (one, two) = (nth(files, "packs/", ".age", 0), nth(files, "packs/", ".age", 1));
            swap(files, &one, &two);
        }),
        case("index-missing", "structure", "an index is gone", drop("indexes/", ".age", 0)),
        case("index-truncated", "index", "an index is half as long", cut("indexes/", ".age", 0)),
        case("indexes-swapped", "index", "two indexes have each other's names", |files, _| {
            let (one, two) = (nth(files, "indexes/", ".age", 0), nth(files, "indexes/", ".age", 1));
            swap(files, &one, &two);
        }),
        case("manifest-truncated", "structure", "a manifest is half as long", cut("snapshots/", ".json", 1)),
        case("manifest-edited", "structure", "a manifest says it captured more", |files, _| {
            let name = nth(files, "snapshots/", ".json", 2);
            edit(files, &name, "\"captured\": 4", "\"captured\": 9");
        }),
        case("manifest-unsigned", "structure", "a signature is gone", drop("snapshots/", ".json.sig", 2)),
        case("manifest-signature-longer", "structure", "something follows a signature", |files, _| {
            let name = nth(files, "snapshots/", ".json.sig", 2);
            files.get_mut(&name).unwrap().extend_from_slice(b"\n");
        }),
        case("manifest-signature-replayed", "structure", "a manifest has the signature of another", |files, _| {
            let (one, two) = (nth(files, "snapshots/", ".json.sig", 1), nth(files, "snapshots/", ".json.sig", 2));
            let other = files[&one].clone();
            files.insert(two, other);
        }),
        case("manifest-by-a-stranger", "structure", "a manifest is signed by a key that may not sign", |files, _| {
            let (name, stranger) = (nth(files, "snapshots/", ".json", 3), Signer::generate());
            let mut manifest: Manifest = serde_json::from_slice(&files[&name]).unwrap();
            manifest.signer = stranger.public();
            files.insert(name.clone(), serde_json::to_vec_pretty(&manifest).unwrap());
            sign(files, &name, &stranger, Namespace::Manifest);
        }),
        case(
            "manifest-signed-as-a-drill",
            "structure",
            "a genuine signature, made for another purpose",
            |files, keys| {
                let name = nth(files, "snapshots/", ".json", 3);
                sign(files, &name, &keys.signer, Namespace::Drill);
            },
        ),
        case(
            "manifest-of-another-repository",
            "structure",
            "a genuine manifest of another repository",
            |files, keys| {
                resigned(files, keys, 3, |manifest| {
                    manifest.repository = lifeboat::model::RepositoryId::from_bytes([8; 16]);
                });
            },
        ),
        case("manifest-newer", "structure", "a manifest of a newer format", |files, _| {
            let name = nth(files, "snapshots/", ".json", 3);
            edit(files, &name, "\"version\": 1", "\"version\": 2");
        }),
        case("manifests-reordered", "structure", "two snapshots have each other's names", |files, _| {
            for ending in [".json", ".json.sig"] {
                let (one, two) = (nth(files, "snapshots/", ending, 1), nth(files, "snapshots/", ending, 2));
                swap(files, &one, &two);
            }
        }),
        case("snapshot-removed", "structure", "a snapshot in the middle is gone", |files, _| remove_snapshot(files, 1)),
        case("first-snapshot-removed", "structure", "the first snapshot is gone", |files, _| remove_snapshot(files, 0)),
        case("rolled-back", "structure", "the newest snapshot is gone", |files, _| remove_snapshot(files, 3)),
        case("rolled-back-to-nothing", "structure", "every snapshot is gone", |files, _| {
            (0..4).for_each(|_| remove_snapshot(files, 0));
        }),
        case("forked", "structure", "two snapshots with one number, both genuine", fork),
        case(
            "another-branch",
            "structure",
            "the newest snapshot follows another one than the one before it",
            |files, keys| {
                resigned(files, keys, 3, |manifest| manifest.previous = Some(Digest::of(b"another")));
            },
        ),
        case(
            "rewritten",
            "structure",
            "the newest snapshot is genuine, and another one than this host wrote",
            |files, keys| {
                resigned(files, keys, 3, |manifest| manifest.tool = "lifeboat other".into());
            },
        ),
        case("value-of-another-version", "values", "a record leads to the value of another version", |files, keys| {
            lying_index(files, keys, 1, None);
        }),
        case("value-nowhere", "values", "a record leads to a line that does not exist", |files, keys| {
            lying_index(files, keys, 999, None);
        }),
        case("pack-not-listed", "index", "a record leads to a pack that its manifest does not list", |files, keys| {
            lying_index(files, keys, 0, Some(Digest::of(b"elsewhere")));
        }),
        case("count-wrong", "index", "a manifest counts more than its index has", |files, keys| {
            resigned(files, keys, 3, |manifest| manifest.counts.captured += 1);
        }),
        case("index-of-another-host", "index", "an index that this host's key does not open", |files, keys| {
            let (name, other) = (nth(files, "snapshots/", ".json", 3), IndexKey::generate());
            let manifest: Manifest = serde_json::from_slice(&files[&name]).unwrap();
            let old = format!("indexes/{}.age", manifest.indexes[0].files[0].sha256);
            let new = lifeboat::repo::IndexWriter::new(&[keys.recovery.recipient(), other.recipient()]).finish();
            files.remove(&old);
            files.insert(format!("indexes/{}.age", new.file.sha256), new.bytes.to_vec());
            resigned(files, keys, 3, |manifest| manifest.indexes[0].files = vec![new.file]);
        }),
        case("identity-missing", "structure", "lifeboat.json is gone", drop("lifeboat.json", "", 0)),
        case("identity-edited", "structure", "lifeboat.json names another time", |files, _| {
            edit(files, "lifeboat.json", "2026", "2025");
        }),
        case("identity-of-another", "structure", "lifeboat.json names another repository", |files, _| {
            edit(files, "lifeboat.json", "0707", "0807");
        }),
        case("repository-newer", "structure", "the whole repository is of a newer format", |files, _| {
            edit(files, "lifeboat.json", "\"version\": 1", "\"version\": 2");
        }),
        case("epoch-missing", "structure", "the key epoch is gone", drop("epochs/", ".json", 0)),
        case("epoch-unsigned", "structure", "the key epoch has no signature", drop("epochs/", ".json.sig", 0)),
        case("foreign-recipient", "structure", "the key epoch names a recipient of an attacker", |files, _| {
            let name = first_epoch(files);
            let epoch: Epoch = serde_json::from_slice(&files[&name]).unwrap();
            edit(files, &name, &epoch.recipient.to_string(), &RecoveryKey::generate().recipient().to_string());
        }),
        case("foreign-epoch", "structure", "a newer key epoch that the root did not sign", |files, keys| {
            stranger_epoch(files, keys, &RecoveryKey::generate());
        }),
        case("guide-altered", "structure", "recover.py does something else", |files, _| {
            edit(files, "recover.py", "#!/usr/bin/env python3", "#!/usr/bin/env python3\nimport evil");
        }),
        case("guide-missing", "structure", "RECOVER.md is gone", drop("RECOVER.md", "", 0)),
        case("drill-edited", "structure", "a drill record says something else", |files, _| {
            let name = nth(files, "drills/", ".json", 0);
            files.insert(name, b"{\"result\":\"passed\"}\n".to_vec());
        }),
        case("drill-unsigned", "structure", "a drill record has no signature", drop("drills/", ".json.sig", 0)),
        case("attestation-edited", "structure", "an attestation names another custodian", |files, _| {
            let name = nth(files, "attestations/", ".json", 0);
            edit(files, &name, "C2", "C3");
        }),
        case("forget-record-removed", "structure", "what was forgotten looks like what was removed", |files, _| {
            files.retain(|name, _| !name.starts_with("forgotten/"));
        }),
        case("forget-record-edited", "structure", "a record forgets another snapshot", |files, _| {
            let name = nth(files, "forgotten/", ".json", 0);
            edit(files, &name, "\"sequence\": 2", "\"sequence\": 3");
        }),
        case("left-by-a-crash", "values", "no fault: an unfinished run left a pack and a signature", |files, keys| {
            let mut writer = lifeboat::repo::PackWriter::new(&[keys.recovery.recipient()]);
            writer.push("arn", "v", &lifeboat::model::SecretValue::text("left".into()));
            let pack = writer.finish();
            let hex = pack.file.sha256.to_string();
            files.insert(format!("packs/{}/{hex}.age", &hex[..2]), pack.bytes.to_vec());
            files.insert("snapshots/20260921T150000Z-12345678.json.sig".into(), b"cut".to_vec());
            files.insert("snapshots/20260921T150000Z-12345678.json#1".into(), b"{".to_vec());
        }),
    ]
}
