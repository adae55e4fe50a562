use std::{
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    time::{Duration, SystemTime},
};

use futures::TryStreamExt as _;

use super::*;
use crate::fsutil::{self, Access, Existing};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file that was written an hour ago.
    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fsutil::create_folder(path.parent().unwrap(), Access::Public).unwrap();
        fsutil::write(&path, bytes, Access::Private, Existing::Replace).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_hours(1)).unwrap();
    }

    fn source(&self, options: &str) -> Dotenv {
        let address = format!("env:{}{options}", self.0.path().display()).parse().unwrap();
        Dotenv::connect(&address, ids()).unwrap()
    }
}

/// Ids that tell bytes apart.
fn ids() -> VersionIds {
    Arc::new(|name, bytes| {
        crate::model::Digest::of(&[name.as_bytes(), b"\0", bytes].concat()).to_string()[..32].to_owned()
    })
}

async fn names(source: &Dotenv) -> Vec<String> {
    source.list().map_ok(|listed| listed.name).try_collect().await.unwrap()
}

async fn fetch(source: &Dotenv, name: &str) -> Fetched {
    source.fetch(&Listed::named(name), &|_, _| false).await.unwrap()
}

fn reason(fetched: &Fetched) -> &str {
    assert!(fetched.versions.is_empty());
    &fetched.secret.unreadable[0].reason
}

#[tokio::test]
async fn a_file_is_a_secret_with_its_bytes_and_its_mode() {
    let folder = Folder::new();
    let bytes = b"A=1\r\n\xff\0B='x";
    folder.put("app/.env", bytes);
    folder.put(".env.production", b"");
    folder.put(".env.example", b"A=\n");
    folder.put("node_modules/x/.env", b"A=1\n");
    let source = folder.source("");
    assert_eq!(names(&source).await, [".env.production", "app/.env"]);
    let fetched = fetch(&source, "app/.env").await;
    let version = &fetched.versions[0];
    assert!(version.current && version.id.len() == 32 && fetched.secret.unreadable.is_empty());
    assert!(matches!(&version.value, FetchedValue::Value(value) if value.same_as(&SecretValue::bytes(bytes.to_vec()))));
    assert_eq!(fetched.secret.facets.other["file"]["mode"], "0600");
    assert!(fetched.secret.changed.is_some() && fetched.secret.changed == version.created);
    let place = Source::place(&source).await.unwrap();
    assert_eq!((place.provider.as_str(), Path::new(&place.region)), ("env", &*folder.0.path().canonicalize().unwrap()));
    assert!(place.short().parse::<crate::model::PlaceFilter>().unwrap().means(&place), "{place}");
}

#[tokio::test]
async fn the_same_bytes_are_the_same_version_and_are_not_read_twice() {
    let folder = Folder::new();
    folder.put(".env", b"A=1\n");
    let source = folder.source("");
    let first = fetch(&source, ".env").await.versions.remove(0).id;
    folder.put(".env", b"A=1\n");
    let again = source.fetch(&Listed::named(".env"), &|id, version| id == ".env" && version == first).await.unwrap();
    assert!(matches!(again.versions[0].value, FetchedValue::Known) && again.versions[0].id == first);
    folder.put(".env", b"A=2\n");
    assert_ne!(fetch(&source, ".env").await.versions[0].id, first);
}

#[tokio::test]
async fn a_fingerprint_shows_every_change_and_a_new_file_has_none() {
    let folder = Folder::new();
    folder.put(".env", b"A=1\n");
    let source = folder.source("");
    let look = || file::look(&source.files.root, &walk::entry(&source.files.root, ".env")).unwrap().unwrap();
    let before = look();
    assert_eq!(look().fingerprint(), before.fingerprint());
    let now = SystemClock.now();
    assert!(!before.is_settled(now), "its change time is now, whatever the time of its bytes says");
    assert!(before.is_settled(now + Duration::from_secs(5)));
    let listed: Vec<Listed> = source.list().try_collect().await.unwrap();
    assert!(listed[0].fingerprint.is_none());
    std::fs::File::open(folder.path(".env")).unwrap().set_permissions(std::fs::Permissions::from_mode(0o640)).unwrap();
    assert_ne!(look().fingerprint(), before.fingerprint(), "a mode is a change");
}

#[tokio::test]
async fn what_cannot_be_captured_is_named_and_holds_up_nothing() {
    let folder = Folder::new();
    folder.put("real/.env", b"A=1\n");
    folder.put(".env.big", &vec![b'x'; file::LARGEST + 1]);
    folder.put(".env.largest", &vec![b'x'; file::LARGEST]);
    symlink("real/.env", folder.path(".env.inside")).unwrap();
    symlink("/etc/hostname", folder.path(".env.outside")).unwrap();
    symlink("nothing", folder.path(".env.nowhere")).unwrap();
    symlink("real", folder.path(".env.folder")).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(folder.path(".env.socket")).unwrap();
    let source = folder.source("");
    let all = names(&source).await;
    assert_eq!(all.len(), 8, "{all:?}");
    for (name, code) in [
        (".env.big", "LargerThan1MiB"),
        (".env.outside", "LinkLeavesTheFolder"),
        (".env.nowhere", "LinkLeadsNowhere"),
        (".env.folder", "NotAFile"),
        (".env.socket", "NotAFile"),
    ] {
        assert_eq!(reason(&fetch(&source, name).await), code, "{name}");
    }
    drop(socket);
    assert_eq!(fetch(&source, ".env.largest").await.versions.len(), 1);
    let inside = fetch(&source, ".env.inside").await;
    assert_eq!((inside.versions.len(), &inside.secret.facets.other["file"]["link"]), (1, &json!("real/.env")));
    let gone = source.fetch(&Listed::named(".env.gone"), &|_, _| false).await.err().unwrap();
    assert_eq!(gone.kind, ErrorKind::NotFound);
    let climbs = source.fetch(&Listed::named("../.env"), &|_, _| false).await.err();
    assert!(climbs.is_some_and(|error| error.kind == ErrorKind::NotFound));
}

#[tokio::test]
async fn a_file_of_its_own_is_a_source() {
    let folder = Folder::new();
    folder.put("app/secrets.conf", b"A=1\n");
    folder.put("app/.env", b"A=1\n");
    let address = format!("env:{}", folder.path("app/secrets.conf").display()).parse().unwrap();
    let source = Dotenv::connect(&address, ids()).unwrap();
    assert_eq!(names(&source).await, ["secrets.conf"]);
    let place = Source::place(&source).await.unwrap();
    assert!(place.region.ends_with("/app/secrets.conf") && address.may_be(&place));
    let missing = "env:/nowhere/at/all".parse().unwrap();
    assert_eq!(Dotenv::connect(&missing, ids()).err().unwrap().kind, ErrorKind::NotFound);
}

#[tokio::test]
async fn a_file_that_never_stands_still_is_never_captured() {
    let folder = Folder::new();
    folder.put(".env", b"A=1\n");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writing = {
        let (path, stop) = (folder.path(".env"), Arc::clone(&stop));
        std::thread::spawn(move || {
            use std::io::{Seek as _, Write as _};
            let mut file = std::fs::File::options().write(true).open(&path).unwrap();
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                file.rewind().unwrap();
                file.write_all(b"A=2\n").unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let root = folder.0.path().canonicalize().unwrap();
    let (_, outcome) = file::read(&root, &walk::entry(&root, ".env")).unwrap().unwrap();
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writing.join().unwrap();
    // A writer that the system held back for long enough stood still.
    match outcome {
        Ok(bytes) => assert!(*bytes == *b"A=1\n" || *bytes == *b"A=2\n"),
        Err(refused) => assert_eq!(refused, Refused::Torn),
    }
    std::thread::sleep(Duration::from_millis(100));
    let (_, outcome) = file::read(&root, &walk::entry(&root, ".env")).unwrap().unwrap();
    assert_eq!(**outcome.as_ref().ok().unwrap(), *b"A=2\n");
}

#[tokio::test]
async fn an_examination_names_what_others_can_read_and_what_git_has() {
    let folder = Folder::new();
    folder.put(".env", b"A=1\n");
    folder.put("app/.env.sops", b"A=ENC[x]\nsops_mac=ENC[y]\n");
    std::fs::File::open(folder.path(".env")).unwrap().set_permissions(std::fs::Permissions::from_mode(0o644)).unwrap();
    let source = folder.source("");
    let examined = examine(&source).await.unwrap();
    assert_eq!(examined.git, None);
    let expected =
        [(".env".to_owned(), Finding::Exposed(0o644)), ("app/.env.sops".to_owned(), Finding::Encrypted("sops"))];
    assert_eq!(examined.findings, expected);
    let git = |arguments: &[&str]| {
        let done = std::process::Command::new("git").arg("-C").arg(folder.0.path()).args(arguments).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "-q"]);
    git(&["add", "app/.env.sops"]);
    let examined = examine(&source).await.unwrap();
    assert_eq!(examined.findings.last(), Some(&("app/.env.sops".to_owned(), Finding::Tracked)));
    assert_eq!(examined.findings.len(), 3, "what is not tracked is no finding");
}
