use std::{fs, path::Path as FsPath};

use bytes::Bytes;

use super::*;
use crate::{
    fsutil::{self, Access, Existing},
    model::Digest,
};

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn local(folder: &FsPath) -> Storage {
    Storage::open(folder.to_str().unwrap()).unwrap()
}

async fn conformance(storage: &Storage) {
    assert!(storage.list("").await.unwrap().is_empty());
    assert!(!storage.exists("a/b.json").await.unwrap());
    assert!(matches!(storage.get("a/b.json").await, Err(StorageError::NotFound { .. })));
    storage.put_new("a/b.json", "one".into()).await.unwrap();
    storage.put_new("a/b.json.sig", Bytes::new()).await.unwrap();
    storage.put_new("ab/c", "three".into()).await.unwrap();
    storage.put_new("z", "four".into()).await.unwrap();
    let again = storage.put_new("a/b.json", "two".into()).await;
    assert!(matches!(again, Err(StorageError::AlreadyExists { ref name, .. }) if name == "a/b.json"));
    assert_eq!(storage.get("a/b.json").await.unwrap(), "one");
    assert_eq!(storage.measure("a/b.json").await.unwrap(), (Digest::of(b"one"), 3));
    assert_eq!(storage.measure("a/b.json.sig").await.unwrap(), (Digest::of(b""), 0));
    for name in ["a/c.json", "a"] {
        assert!(matches!(storage.measure(name).await, Err(StorageError::NotFound { .. })), "{name}");
        assert!(matches!(storage.get(name).await, Err(StorageError::NotFound { .. })), "{name}");
    }
    let many: Vec<String> = (0..300).map(|n| ["z", "no", "a/b.json", "a"][n % 4].to_owned()).collect();
    let found = storage.get_all(&many, 3).await.unwrap();
    let large = || Read::Unfit("it has 4 bytes; such a file has at most 3".into());
    let expected = [large(), Read::Missing, Read::Whole("one".into()), Read::Missing].into_iter().cycle();
    assert!(found.into_iter().eq(expected.take(300)));
    assert!(storage.exists("a/b.json").await.unwrap());
    let names = |entries: Vec<Entry>| entries.into_iter().map(|e| (e.name, e.size)).collect::<Vec<_>>();
    let a = [("a/b.json".to_owned(), 3), ("a/b.json.sig".to_owned(), 0)];
    assert_eq!(names(storage.list("a").await.unwrap()), a, "a folder is not a prefix of names");
    assert_eq!(names(storage.list("").await.unwrap()).len(), 4);
    assert!(storage.list("nothing").await.unwrap().is_empty());
}

#[test]
fn memory_conforms() {
    block_on(conformance(&Storage::memory()));
}

#[test]
fn a_folder_with_any_name_conforms() {
    let parent = tempfile::tempdir().unwrap();
    for name in ["plain", "with space/ünïcödé", "50% off#1", "a?b*c"] {
        let folder = parent.path().join(name);
        let storage = local(&folder);
        assert!(!folder.exists(), "opening creates nothing");
        block_on(conformance(&storage));
        assert_eq!(fs::read(folder.join("z")).unwrap(), b"four");
    }
}

#[test]
fn leftovers_and_foreign_files_do_not_disturb() {
    let parent = tempfile::tempdir().unwrap();
    let storage = local(parent.path());
    let write = |name: &str| fsutil::write(&parent.path().join(name), b"x", Access::Public, Existing::Keep).unwrap();
    write("file#1");
    write("line\nbreak");
    block_on(async {
        let names = async || storage.list("").await.unwrap().into_iter().map(|entry| entry.name).collect::<Vec<_>>();
        assert_eq!(names().await, ["line\u{fffd}break"], "it is named, and cannot be read");
        assert!(storage.get("line\u{fffd}break").await.is_err());
        storage.put_new("file", "whole".into()).await.unwrap();
        assert_eq!(storage.get("file").await.unwrap(), "whole");
        assert!(storage.get("file#1").await.is_err(), "what an interrupted write left cannot be read either");
        assert_eq!(names().await, ["file", "line\u{fffd}break"]);
    });
}

#[cfg(unix)]
#[test]
fn an_unusable_folder_gives_a_short_reason() {
    let parent = tempfile::tempdir().unwrap();
    fsutil::write(&parent.path().join("file"), b"x", Access::Public, Existing::Keep).unwrap();
    for folder in ["file", "file/below"] {
        let storage = local(&parent.path().join(folder));
        let error = block_on(storage.put_new("name", Bytes::new())).unwrap_err().to_string();
        assert!(error.ends_with("not a folder") && error.contains("name in /"), "{error}");
    }
    let storage = local(parent.path());
    let error = block_on(storage.put_new("file/name", Bytes::new())).unwrap_err().to_string();
    assert!(error.ends_with("not a folder"), "{error}");
    for error in [
        block_on(storage.get("file/name")).unwrap_err(),
        block_on(storage.measure("file/name")).unwrap_err(),
        block_on(storage.get_all(&["file/name".into()], 9)).unwrap_err(),
    ] {
        assert!(error.to_string().ends_with("not a folder"), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn no_permission_or_no_space_gives_a_short_reason() {
    let storage = Storage::open("/proc/lifeboat").unwrap();
    let error = block_on(storage.put_new("name", Bytes::new())).unwrap_err().to_string();
    assert!(!error.contains("os error") && !error.contains("Generic"), "{error}");
    for (kind, text) in [
        (io::ErrorKind::StorageFull, "no space left"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
        (io::ErrorKind::ReadOnlyFilesystem, "the file system is read-only"),
    ] {
        let wrapped = object_store::Error::Generic { store: "LocalFileSystem", source: io::Error::from(kind).into() };
        let error = Storage::memory().error("name", &wrapped).to_string();
        assert_eq!(error, format!("name in memory: {text}"));
    }
    assert_eq!(reason(&io::Error::from_raw_os_error(5)), "input/output error");
}

#[test]
fn a_page_of_a_service_becomes_its_code() {
    let page = "Error performing GET http://h/b in 2ms - Server returned non-2xx status code: 403 Forbidden: \
                <?xml version=\"1.0\"?>\n<Error><Code>InvalidAccessKeyId</Code><Message>secret</Message></Error>";
    let short = "Error performing GET http://h/b in 2ms - Server returned non-2xx status code: 403 Forbidden";
    assert_eq!(service_reason(page), format!("{short} (InvalidAccessKeyId)"));
    assert_eq!(service_reason("status 400: {\"error\":{}}\n"), "status 400");
    assert_eq!(service_reason(""), "");
}

#[test]
fn planned_failures_happen_as_planned() {
    block_on(async {
        let storage = Storage::memory();
        let plan = Arc::new(Faults::put(2));
        let faulty = storage.with_faults(Arc::clone(&plan));
        faulty.put_new("one", "1".into()).await.unwrap();
        assert!(matches!(faulty.put_new("two", "2".into()).await, Err(StorageError::Unavailable { .. })));
        faulty.put_new("three", "3".into()).await.unwrap();
        assert_eq!(plan.puts(), 3);
        assert!(!storage.exists("two").await.unwrap());
        let faulty = storage.with_faults(Arc::new(Faults::put_unanswered(1)));
        assert!(faulty.put_new("two", "2".into()).await.is_err());
        assert!(storage.exists("two").await.unwrap());
        let faulty = storage.with_faults(Arc::new(Faults::gets("t")));
        assert!(faulty.get("two").await.is_err() && faulty.get("one").await.is_ok());
    });
}

#[cfg(unix)]
#[test]
fn a_link_that_leaves_the_repository_is_not_read_and_one_within_is() {
    let parent = tempfile::tempdir().unwrap();
    let storage = local(&parent.path().join("repository"));
    block_on(async {
        storage.put_new("a/file", "one".into()).await.unwrap();
        fsutil::create_folder(&parent.path().join("folder"), Access::Public).unwrap();
        for name in ["outside", "folder/file"] {
            fsutil::write(&parent.path().join(name), b"two", Access::Public, Existing::Keep).unwrap();
        }
        let link = |to: &str, name: &str| {
            std::os::unix::fs::symlink(to, parent.path().join("repository").join(name)).unwrap();
        };
        link("../../outside", "a/out");
        link("file", "a/within");
        link("../folder", "b");
        assert_eq!(storage.get("a/within").await.unwrap(), "one");
        for name in ["a/out", "b/file"] {
            assert!(matches!(storage.get(name).await, Err(StorageError::Unfit { .. })), "{name}");
        }
    });
}

#[cfg(unix)]
#[test]
fn a_pipe_and_a_device_are_named_and_nobody_waits_for_them() {
    let parent = tempfile::tempdir().unwrap();
    let storage = local(parent.path());
    block_on(async {
        storage.put_new("a/file", "one".into()).await.unwrap();
        let folder = parent.path().join("a");
        let made = std::process::Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap();
        assert!(made.success());
        std::os::unix::fs::symlink("/dev/zero", folder.join("zero")).unwrap();
        let listed = storage.list("").await.unwrap();
        let listed: Vec<_> = listed.iter().map(|entry| (entry.name.as_str(), entry.is_file)).collect();
        assert_eq!(listed, [("a/file", true), ("a/pipe", false), ("a/zero", false)]);
        for name in ["a/pipe", "a/zero"] {
            for read in [storage.get(name).await.map(drop), storage.measure(name).await.map(drop)] {
                assert!(matches!(read, Err(StorageError::Unfit { .. })), "{name}: {read:?}");
            }
            assert!(!storage.exists(name).await.unwrap());
            assert!(matches!(storage.put_new(name, "x".into()).await, Err(StorageError::AlreadyExists { .. })));
        }
        let found = storage.get_all(&["a/pipe".into(), "a/zero".into(), "a/file".into()], 9).await.unwrap();
        let why = ["it is not a regular file", "it is a link that leaves the repository"];
        assert_eq!(found[..2], why.map(|why| Read::Unfit(why.into())));
        assert_eq!(found[2], Read::Whole("one".into()));
        assert!(matches!(storage.get_at_most("a/file", 2).await, Err(StorageError::Unfit { .. })));
        storage.remove("a/pipe").await.unwrap();
    });
}
