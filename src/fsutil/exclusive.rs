//! A new file in one step: whole and durable, or not there; and never in the place of another one.
//!
//! The content goes to a file of its own beside it, which then gets the name by a hard link, as one step of every file system of
//! Unix. FAT, exFAT and some shares and FUSE file systems have no hard links: there it is an exclusive rename
//! (`renameat2(2)`, `RENAME_NOREPLACE`). What can do neither is refused, since two writers could overwrite one another there.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

/// The steps that file systems do differently, so that tests can let each of them fail.
#[derive(Clone, Copy)]
pub struct Steps {
    /// `link(2)`.
    pub link: fn(&Path, &Path) -> io::Result<()>,
    /// `renameat2(2)` with `RENAME_NOREPLACE`.
    pub rename_new: fn(&Path, &Path) -> io::Result<()>,
    /// `fsync(2)` of a file.
    pub sync: fn(&File) -> io::Result<()>,
    /// `fsync(2)` of a folder.
    pub sync_folder: fn(&Path) -> io::Result<()>,
}

/// The system's own.
pub const SYSTEM: Steps =
    Steps { link: |from, to| fs::hard_link(from, to), rename_new, sync: File::sync_all, sync_folder };

/// Writes `bytes` to `path`, whose folder is made if it is not there. `temp` names the file beside it; what a crash leaves has
/// such a name.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`]; [`io::ErrorKind::Unsupported`] where the file system can create nothing exclusively; the
/// system's error. Nothing is left then.
pub fn write_new(path: &Path, bytes: &[u8], temp: impl Fn() -> PathBuf, steps: Steps) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let (temp, mut file) = match create(&temp) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make_folder(folder, steps)?;
            create(&temp)?
        }
        other => other?,
    };
    let written = file.write_all(bytes).and_then(|()| (steps.sync)(&file));
    drop(file);
    let written = written.and_then(|()| publish_new(&temp, path, steps));
    // After a hard link it is a second name, after a rename it is gone, after a failure it is litter.
    let _ = fs::remove_file(&temp);
    written?;
    (steps.sync_folder)(folder)
}

/// Gives a file that is written and durable its name.
///
/// # Errors
/// As [`write_new`]; the file beside it stays.
pub fn publish_new(temp: &Path, path: &Path, steps: Steps) -> io::Result<()> {
    let no_link = match (steps.link)(temp, path) {
        Ok(()) => return Ok(()),
        // An NFS server that did it and whose answer was lost says so too.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return if is_same(temp, path) { Ok(()) } else { Err(error) };
        }
        Err(error) if has_another_way(&error) => error,
        Err(error) => return Err(error),
    };
    match (steps.rename_new)(temp, path) {
        Err(error) if has_another_way(&error) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            format!(
                "this file system can create a file neither by a hard link ({no_link}) nor by an exclusive rename ({error}), so \
                 two writers could overwrite one another"
            ),
        )),
        other => other,
    }
}

/// Whether an error is about the way, and not about this file or disk: whatever a file system says of what it cannot do.
fn has_another_way(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    !matches!(
        error.kind(),
        Kind::AlreadyExists
            | Kind::NotFound
            | Kind::NotADirectory
            | Kind::StorageFull
            | Kind::QuotaExceeded
            | Kind::ReadOnlyFilesystem
            | Kind::StaleNetworkFileHandle
            | Kind::TimedOut
    ) && error.raw_os_error() != Some(EIO)
}

const EIO: i32 = 5;

fn create(temp: &impl Fn() -> PathBuf) -> io::Result<(PathBuf, File)> {
    let mut tries = 0;
    loop {
        let path = temp();
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < 16 => tries += 1,
            other => return other.map(|file| (path, file)),
        }
    }
}

/// Makes a folder and those above it, each durably.
///
/// # Errors
/// The system's error.
pub fn make_folder(folder: &Path, steps: Steps) -> io::Result<()> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
    fs::create_dir_all(folder)?;
    for made in missing {
        (steps.sync_folder)(made.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    }
    Ok(())
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_new(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Not every file system can make a folder durable by itself; those that cannot do it with the file, or not at all, and say
/// `EINVAL`, `ENOTSUP` or the like.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

#[cfg(unix)]
fn is_same(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let id = |path: &Path| fs::symlink_metadata(path).map(|about| (about.dev(), about.ino())).ok();
    id(one).is_some() && id(one) == id(other)
}

#[cfg(not(unix))]
fn is_same(_: &Path, _: &Path) -> bool {
    false
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        static LINK: Cell<i32> = const { Cell::new(0) };
        static RENAME: Cell<i32> = const { Cell::new(0) };
        static SYNC: Cell<i32> = const { Cell::new(0) };
        static FOLDER: Cell<i32> = const { Cell::new(0) };
    }

    /// The system's steps, each failing with the number that is set.
    const FAILING: Steps = Steps {
        link: |from, to| planned(LINK.get()).and_then(|()| (SYSTEM.link)(from, to)),
        rename_new: |from, to| planned(RENAME.get()).and_then(|()| (SYSTEM.rename_new)(from, to)),
        sync: |file| planned(SYNC.get()).and_then(|()| (SYSTEM.sync)(file)),
        sync_folder: |folder| planned(FOLDER.get()).and_then(|()| (SYSTEM.sync_folder)(folder)),
    };

    fn planned(number: i32) -> io::Result<()> {
        if number == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(number)) }
    }

    fn set(link: i32, rename: i32, sync: i32, folder: i32) {
        LINK.set(link);
        RENAME.set(rename);
        SYNC.set(sync);
        FOLDER.set(folder);
    }

    fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let number = Cell::new(0);
        let temp = || {
            number.set(number.get() + 1);
            folder.join(format!("{name}#{}", number.get()))
        };
        write_new(&folder.join(name), bytes, temp, FAILING)
    }

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// EPERM, EIO, EACCES, EXDEV, EINVAL, ENOSPC, EROFS, EMLINK, ENOSYS, EOPNOTSUPP, ESTALE, EDQUOT.
    const NUMBERS: [i32; 12] = [1, 5, 13, 18, 22, 28, 30, 31, 38, 95, 116, 122];

    #[test]
    fn whatever_a_file_system_says_a_file_is_whole_or_not_there_and_never_replaced() {
        for link in NUMBERS {
            for rename in [0, 1, 5, 22, 28, 38, 95] {
                let folder = tempfile::tempdir().unwrap();
                set(link, rename, 0, 0);
                let is_full = [5, 28, 30, 116, 122].contains(&link);
                let result = write(folder.path(), "a", b"one");
                if is_full || rename != 0 {
                    let error = result.unwrap_err();
                    assert_eq!(names(folder.path()), [""; 0], "link {link}, rename {rename}");
                    let is_refused = error.kind() == io::ErrorKind::Unsupported;
                    assert_eq!(is_refused, !is_full && ![5, 28].contains(&rename), "{error}");
                    continue;
                }
                result.unwrap();
                assert_eq!(names(folder.path()), ["a"]);
                for (link, rename) in [(link, 0), (0, 0)] {
                    set(link, rename, 0, 0);
                    assert_eq!(write(folder.path(), "a", b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
                    assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"one");
                    assert_eq!(names(folder.path()), ["a"]);
                }
            }
        }
    }

    #[test]
    fn a_file_that_is_not_durable_has_no_name_and_a_folder_that_is_not_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        set(0, 0, 5, 0);
        write(folder.path(), "a", b"one").unwrap_err();
        assert_eq!(names(folder.path()), [""; 0]);
        set(0, 0, 0, 5);
        write(folder.path(), "b", b"one").unwrap_err();
        assert_eq!(names(folder.path()), ["b"], "whole, and whoever asked for it was told that it may not last");
        write(folder.path(), "c/d/e", b"one").unwrap_err();
        assert!(!folder.path().join("c/d/e").exists());
        set(0, 0, 0, 0);
        assert_eq!(
            sync_folder(Path::new("/proc/self")).map_err(|error| error.kind()),
            Ok(()),
            "EINVAL of a folder is its way"
        );
    }

    #[test]
    fn folders_are_made_litter_is_stepped_around_and_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        set(0, 0, 0, 0);
        let below = folder.path().join("x/y");
        write(&below, "a", b"one").unwrap();
        assert_eq!(names(&below), ["a"]);
        // What a crash left, and a link that somebody put where the file is to be written.
        fs::write(below.join("b#1"), "half").unwrap();
        std::os::unix::fs::symlink(folder.path().join("elsewhere"), below.join("b#2")).unwrap();
        write(&below, "b", b"two").unwrap();
        assert_eq!(names(&below), ["a", "b", "b#1", "b#2"]);
        assert!(!folder.path().join("elsewhere").exists());
        assert_eq!(fs::read(below.join("b")).unwrap(), b"two");
        assert!(write(&below.join("a"), "c", b"x").is_err(), "a file is no folder");
    }

    #[test]
    fn a_link_whose_answer_was_lost_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let answered_late = Steps {
            link: |from, to| {
                (SYSTEM.link)(from, to)?;
                (SYSTEM.link)(from, to)
            },
            ..SYSTEM
        };
        let path = folder.path().join("a");
        write_new(&path, b"one", || folder.path().join("a#1"), answered_late).unwrap();
        assert_eq!(names(folder.path()), ["a"]);
        assert!(write_new(&path, b"two", || folder.path().join("a#1"), answered_late).is_err());
    }

    #[test]
    fn two_writers_at_once_give_one_file() {
        for link in [0, 1] {
            let folder = tempfile::tempdir().unwrap();
            let won: usize = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..8_u8)
                    .map(|writer| {
                        let folder = folder.path();
                        scope.spawn(move || {
                            set(link, 0, 0, 0);
                            let temp = || folder.join(format!("a#{writer}"));
                            usize::from(write_new(&folder.join("a"), &[writer; 1000], temp, FAILING).is_ok())
                        })
                    })
                    .collect();
                writers.into_iter().map(|writer| writer.join().unwrap()).sum()
            });
            assert_eq!(won, 1);
            let bytes = fs::read(folder.path().join("a")).unwrap();
            assert!(bytes.len() == 1000 && bytes.iter().all(|byte| *byte == bytes[0]));
            assert_eq!(names(folder.path()), ["a"]);
        }
    }
}
