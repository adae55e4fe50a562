//! The first ceremony, cut off at every step: the sheets open whatever is there, and the key is nowhere else.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lifeboat::{
    crypto::{RecoveryKey, Signer},
    custody::{self, Ceremony, CeremonyRequest},
    emulator::{Sandbox, SandboxOptions},
    model::RepositoryId,
    repo::{AllowedSigner, RepoError, Repository},
    share::Gathering,
    storage::{Storage, faults::Faults},
};

use crate::{
    command::{Desk, binary, files},
    repo_sample::block_on,
    search,
};

const INIT: &str = "init --repo repository --source aws:eu-central-1 --threshold 2 --custodian Ana --custodian Bo --sheets sheets --yes";
/// The files that `init` leaves: four of sheets, three keys, five of the repository, configuration, script; its entry of the audit
/// trail, the lock of the trail and what the host remembers of it.
const FILES: usize = 17;

fn ceremony() -> Ceremony {
    custody::hold(&CeremonyRequest {
        repository: RepositoryId::from_bytes([7; 16]),
        threshold: 2,
        custodians: ["Ana", "Bo", "Cy"].map(String::from).into(),
        signers: vec![AllowedSigner { name: "host".into(), key: Signer::generate().public() }],
        created: Timestamp::from_second(1_790_000_000).unwrap(),
        paper: custody::Paper::default(),
        contact: lifeboat::custody::Contact::default(),
    })
    .unwrap()
}

/// The key by the last two sheets, when the repository's epochs reach it.
async fn recovered(repository: &Repository, ceremony: &Ceremony) -> Option<RecoveryKey> {
    let mut gathering = Gathering::new(custody::registers(&repository.epochs().await.unwrap()));
    for sheet in &ceremony.sheets[1..] {
        gathering.add(&sheet.custodian, &sheet.text).ok()?;
    }
    let key = gathering.quorum().ok()?.recover().ok()?;
    repository.trust(&custody::anchor(&key)).await.ok()?;
    Some(key)
}

#[test]
fn a_repository_cut_at_any_write_is_none_or_opens_with_its_sheets() {
    let (first, other) = (ceremony(), ceremony());
    block_on(async {
        for n in 1..=5 {
            for faults in [Faults::from_put(n), Faults::put(n), Faults::put_unanswered(n)] {
                let storage = Storage::memory();
                let cut = storage.clone().with_faults(Arc::new(faults));
                assert!(Repository::create(cut, &first.epoch, &first.root).await.is_err(), "put {n}");
                match Repository::open(storage.clone()).await {
                    Ok(repository) => assert!(n == 5 && recovered(&repository, &first).await.is_some()),
                    Err(error) => {
                        assert!(matches!(error, RepoError::NotARepository(_)), "put {n}: {error}");
                        let epoch = !storage.list("epochs").await.unwrap().is_empty();
                        let taken = Repository::create(storage.clone(), &other.epoch, &other.root).await;
                        assert_eq!(taken.is_err(), epoch, "another key never takes the place of one that was stored");
                        if epoch {
                            Repository::create(storage.clone(), &first.epoch, &first.root).await.unwrap();
                        }
                    }
                }
                let repository = Repository::open(storage.clone()).await.unwrap();
                let opens =
                    (recovered(&repository, &first).await.is_some(), recovered(&repository, &other).await.is_some());
                assert!(opens.0 != opens.1, "put {n}: exactly one ceremony's sheets open it: {opens:?}");
                let trusted = if opens.0 { &first.epoch } else { &other.epoch };
                let stored = repository.epochs().await.unwrap().remove(0).epoch;
                let entries = custody::entries(&[stored], &[], trusted.created);
                let digests = entries.iter().map(|entry| (entry.sheet, entry.current)).collect::<Vec<_>>();
                assert_eq!(digests, [(1, true), (2, true), (3, true)], "the register tells of these sheets");
            }
        }
    });
}

/// Everything secret that may only be in the folder of sheets, or in the host's own index key.
fn assert_the_key_is_only_on_the_sheets(desk: &Desk, when: &str) {
    let is_sheet = |path: &Path| path.parent().is_some_and(|folder| folder.ends_with("sheets"));
    let all = files(desk.folder.path());
    let mut secrets = vec!["AGE-SECRET-KEY-".to_owned()];
    for (_, text) in all.iter().filter(|(path, _)| is_sheet(path)) {
        let text = String::from_utf8_lossy(text).into_owned();
        let share = text.split_whitespace().find(|word| word.len() == 90 && word.starts_with("LB1"));
        secrets.extend(share.map(|share| share[20..60].to_owned()));
    }
    for (path, content) in all.iter().filter(|(path, _)| !is_sheet(path) && !path.ends_with("keys/index.age")) {
        for secret in &secrets {
            let holds = search::holds(content, secret);
            let is_index_key = path.to_string_lossy().contains("keys/.index.age.");
            assert!(!holds || is_index_key, "{when}: {} holds a secret", path.display());
        }
    }
}

/// The files so far, finished ones only.
fn finished(desk: &Desk) -> Vec<PathBuf> {
    let names = files(desk.folder.path()).into_iter().map(|(path, _)| path);
    names.filter(|path| !is_temporary(path)).collect()
}

fn is_temporary(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "tmp") || path.to_string_lossy().contains('#')
}

/// Starts `init` and kills it as soon as `count` files are there.
fn cut_after(desk: &Desk, count: usize) {
    let mut command = desk.command(binary());
    let mut child =
        command.args(INIT.split(' ')).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let start = Instant::now();
    while count_files(desk.folder.path()) < count {
        assert!(start.elapsed() < Duration::from_mins(1), "{count} files were never there");
        if child.try_wait().unwrap().is_some() {
            break;
        }
        // Far less than a file takes; without it, looking takes a core from the one that is looked at.
        std::thread::sleep(Duration::from_micros(200));
    }
    let _ = child.kill();
    child.wait().unwrap();
}

/// Counts without reading, and without minding what comes and goes.
fn count_files(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: PathBuf| if path.is_dir() { count_files(&path) } else { usize::from(!is_temporary(&path)) };
    entries.flatten().map(|entry| count(entry.path())).sum()
}

// Each `init` asks a provider that is there: one that is not is asked for ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_killed_after_any_file_leaves_the_key_on_the_sheets_alone() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let whole = Desk::new(&sandbox.endpoint(), "111111111111");
    whole.run(INIT).expect(0);
    assert_eq!(finished(&whole).len(), FILES, "every file is a step that is cut below");
    for count in 1..=FILES {
        let desk = Desk::new(&sandbox.endpoint(), "111111111111");
        cut_after(&desk, count);
        let when = format!("killed after {count} of {FILES} files");
        assert_the_key_is_only_on_the_sheets(&desk, &when);
        if desk.path("repository/lifeboat.json").exists() {
            for sheet in ["01-ana.txt", "02-bo.pdf"] {
                let verify = format!("custody verify sheets/{sheet} --repo repository --config none.toml");
                assert!(desk.run(&verify).expect(0).out.contains("intact, current"), "{when}");
            }
            desk.run("check --depth values --repo repository --config none.toml --share sheets").expect(0);
        }
        let again = desk.run(INIT).expect(4);
        assert!(again.err.contains("not empty"), "{when}: sheets of two keys are never mixed: {}", again.err);
        std::fs::remove_dir_all(desk.path("sheets")).unwrap();
        let leftover = ["keys/signer", "keys/index.age", "keys/versions", "repository/epochs", "lifeboat.toml"];
        if leftover.iter().any(|name| desk.path(name).exists()) {
            let refused = desk.run(INIT).expect(4);
            assert!(refused.err.contains("begin again"), "{when}: {}", refused.err);
            assert!(!desk.path("sheets").exists(), "refused before there was a key");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_refused_before_there_is_a_key_and_cleared_as_the_hint_says() {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    let desk = Desk::new(&sandbox.endpoint(), "111111111111");
    let put = |name: &str| {
        std::fs::create_dir_all(desk.path(name).parent().unwrap()).unwrap();
        std::fs::write(desk.path(name), "of an init that did not end").unwrap();
    };
    for name in [
        "keys/signer",
        "keys/index.age",
        "keys/versions",
        "lifeboat.toml",
        "ceremony.txt",
        "repository/epochs/1-0.json.sig",
    ] {
        put(name);
        let refused = desk.run(INIT).expect(4);
        assert!(refused.err.contains("destroy its sheets, remove the repository"), "{name}: {}", refused.err);
        assert!(!desk.path("sheets").exists());
        std::fs::remove_file(desk.path(name)).unwrap();
    }
    std::fs::remove_dir_all(desk.path("keys")).unwrap();
    std::fs::remove_dir_all(desk.path("repository")).unwrap();
    put("keys");
    desk.run(INIT).expect(1);
    assert!(!desk.path("repository").exists() && !desk.path("lifeboat.toml").exists());
    assert!(!desk.path("sheets").exists(), "what opens nothing is not left behind");
    std::fs::remove_file(desk.path("keys")).unwrap();
    desk.run(INIT).expect(0);
}
