//! Whatever features a build has: it tells them, does its main job, and refuses the rest in one sentence. The other tests need
//! every feature; this one runs in each build (docs/architecture.md, "Features").

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that cannot go on fails, and loses nothing"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};

struct Host {
    folder: tempfile::TempDir,
    endpoint: String,
}

struct Sandbox(Child);

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Host {
    fn new(endpoint: &str) -> Self {
        Self { folder: tempfile::tempdir().unwrap(), endpoint: endpoint.into() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.env_clear().current_dir(self.folder.path()).stdin(Stdio::null()).args(words);
        let own = [
            ("AWS_ACCESS_KEY_ID", "222222222222"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("AWS_ENDPOINT_URL", &self.endpoint),
        ];
        command.envs(own).env("AWS_EC2_METADATA_DISABLED", "true").env("HOME", self.folder.path());
        command.output().unwrap()
    }

    #[track_caller]
    fn expect(&self, code: i32, words: &[&str], says: &str) -> String {
        let ran = self.run(words);
        let (out, err) = (String::from_utf8(ran.stdout).unwrap(), String::from_utf8(ran.stderr).unwrap());
        assert_eq!(ran.status.code(), Some(code), "{words:?}\n{out}\n{err}");
        assert!(out.contains(says) || err.contains(says), "{words:?} does not say {says:?}\n{out}\n{err}");
        out
    }
}

fn fixture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/repositories/v1").join(name).display().to_string()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), &to).unwrap();
        }
    }
}

#[test]
fn the_version_tells_what_is_in() {
    let host = Host::new("http://127.0.0.1:9");
    let told = host.expect(0, &["--version"], "features: ");
    let line = told.lines().find_map(|line| line.strip_prefix("features: ")).unwrap();
    for (feature, is_in) in [
        ("aws", cfg!(feature = "aws")),
        ("sso", cfg!(feature = "sso")),
        ("s3", cfg!(feature = "s3")),
        ("gcs", cfg!(feature = "gcs")),
        ("azure-blob", cfg!(feature = "azure-blob")),
        ("vault", cfg!(feature = "vault")),
        ("gcp", cfg!(feature = "gcp")),
        ("azure", cfg!(feature = "azure")),
        ("dotenv", cfg!(feature = "dotenv")),
        ("scan", cfg!(feature = "scan")),
        ("paper", cfg!(feature = "paper")),
    ] {
        assert_eq!(line.split(' ').any(|name| name == feature), is_in, "{feature} in {line}");
    }
}

#[test]
fn every_feature_is_in_the_table_of_the_documentation() {
    let read = |name: &str| std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
    let (manifest, page) = (read("Cargo.toml"), read("docs/architecture.md"));
    let features = manifest.split("\n[features]\n").nth(1).and_then(|rest| rest.split("\n[").next()).unwrap();
    let names = features.lines().filter_map(|line| Some(line.split_once(" = ")?.0));
    let names: Vec<&str> = names.filter(|name| !["default", "full"].contains(name)).collect();
    assert!(names.len() > 8, "{names:?}");
    for name in names {
        assert!(page.contains(&format!("\n| `{name}` ")), "docs/architecture.md has no row for {name}");
    }
}

#[test]
fn a_repository_is_checked_and_restored_from_typed_sheets() {
    let mut serving = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
    serving
        .env_clear()
        .args(["sandbox", "--listen", "127.0.0.1:0", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut sandbox = Sandbox(serving.spawn().unwrap());
    let mut first = String::new();
    BufReader::new(sandbox.0.stdout.take().unwrap()).read_line(&mut first).unwrap();
    let endpoint: serde_json::Value = serde_json::from_str(&first).unwrap();
    let host = Host::new(endpoint["endpoint"].as_str().unwrap());
    // A run by sheets leaves its entry of the audit trail: in a copy, and not in the fixture.
    let repository = host.path("repository");
    copy_folder(Path::new(&fixture("repository")), &repository);
    let repository = repository.display().to_string();
    let sheets: Vec<String> = (1..=3).map(|number| fixture(&format!("sheet-{number}.txt"))).collect();
    let shares = sheets.iter().flat_map(|sheet| ["--share", sheet]).collect::<Vec<_>>();
    let check = [&["check", "--repo", &repository, "--depth", "values"][..], &shares].concat();
    let counted = host.expect(0, &check, "snapshots    2");
    assert!(counted.contains("values"), "{counted}");
    let restore = [
        &[
            "restore",
            "--repo",
            &repository,
            "--account",
            "222222222222",
            "--to",
            "aws:eu-west-1",
            "--yes",
            "--include",
            "app/db",
            "--include",
            "app/key",
        ][..],
        &shares,
    ]
    .concat();
    host.expect(0, &restore, "equal");
}

#[test]
fn what_a_build_lacks_is_refused_in_a_sentence() {
    let host = Host::new("http://127.0.0.1:9");
    let (repository, sheet) = (fixture("repository"), fixture("sheet-1.txt"));
    let sheet = ["--share", &*sheet];
    std::fs::write(host.path("photo.jpg"), b"\xff\xd8\xff\xe0 a photo").unwrap();
    let photo = ["check", "--repo", &repository, "--depth", "values", "--share", "photo.jpg"];
    host.expect(5, &photo, if cfg!(feature = "scan") { "is a damaged JPEG" } else { "it lacks the feature scan" });
    if !cfg!(feature = "gcs") {
        host.expect(
            2,
            &[&["restore", "--to", "aws:eu-west-1", "--repo", "gs://bucket/x"][..], &sheet].concat(),
            "it lacks the feature gcs",
        );
    }
    if !cfg!(feature = "azure-blob") {
        let words = [&["restore", "--to", "aws:eu-west-1", "--repo", "az://account/bucket/x"][..], &sheet].concat();
        host.expect(2, &words, "it lacks the feature azure-blob");
    }
    if !cfg!(feature = "vault") {
        let init =
            ["init", "--repo", "r", "--source", "vault:https://v/kv", "--threshold", "2", "--sheets", "s", "--yes"];
        let custodians = ["--custodian", "Ana", "--custodian", "Bo", "--custodian", "Cy"];
        host.expect(2, &[&init[..], &custodians].concat(), "it lacks the feature vault");
    }
    if !cfg!(feature = "gcp") {
        let init = ["init", "--repo", "r", "--source", "gcp:acme-prod", "--threshold", "2", "--sheets", "s", "--yes"];
        let custodians = ["--custodian", "Ana", "--custodian", "Bo", "--custodian", "Cy"];
        host.expect(2, &[&init[..], &custodians].concat(), "it lacks the feature gcp");
    }
    if !cfg!(feature = "paper") {
        let init = ["init", "--repo", "repository", "--source", "aws:eu-central-1", "--threshold", "2"];
        let custodians =
            ["--custodian", "Ana", "--custodian", "Bo", "--custodian", "Cy", "--sheets", "sheets", "--yes"];
        host.expect(2, &[&init[..], &custodians].concat(), "the feature paper is missing");
        host.expect(2, &["demo"], "the feature paper is missing");
        for left in ["repository", "sheets", "lifeboat.toml", "lifeboat-demo"] {
            assert!(!host.path(left).exists(), "{left}");
        }
    }
}
