//! Crash-safe writes to the local file system. The only room that may use `std::fs` to write.

#![expect(clippy::disallowed_methods, reason = "the room that makes std::fs safe to use")]

pub mod exclusive;
mod exposure;
mod log;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use exclusive::sync_folder;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

pub use exposure::{Exposed, Others, exposed, exposed_folder};
pub use log::{LogFile, LogSync};

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The owner alone (0600): keys, sheets.
    Private,
    /// The umask decides.
    Public,
}

/// Whether an existing file may be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// Fail with [`io::ErrorKind::AlreadyExists`].
    Keep,
    /// Replace in one step.
    Replace,
}

/// A lock on a file; given back when it is dropped, or when the process ends however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Writes `bytes` to `path` so that a crash leaves either the old state or the new one:
/// temp file in the same folder, fsync, rename (or link), fsync of the folder. Nobody can foresee the name of the temp
/// file, and what has that name, a link too, is never written to.
///
/// # Errors
/// The system's error, its message naming the path.
pub fn write(path: &Path, bytes: &[u8], access: Access, existing: Existing) -> io::Result<()> {
    write_with(path, access, existing, |file| file.write_all(bytes))
}

/// The same with what `fill` writes.
///
/// # Errors
/// The system's error, its message naming the path, or that of `fill`.
pub fn write_with(
    path: &Path,
    access: Access,
    existing: Existing,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    place(path, access, existing, fill, |_| Ok(()))
}

/// Writes `bytes` as [`write`](fn@write) does, and lets `note` know which file it is before it has its name.
///
/// # Errors
/// The system's error, its message naming the path, or that of `note`: then nothing has the name.
pub fn write_noted(
    path: &Path,
    bytes: &[u8],
    access: Access,
    existing: Existing,
    note: impl FnOnce(&fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    place(path, access, existing, |file| file.write_all(bytes), note)
}

fn place(
    path: &Path,
    access: Access,
    existing: Existing,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    note: impl FnOnce(&fs::Metadata) -> io::Result<()>,
) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
        _ => PathBuf::from("."),
    };
    let temp = temp_beside(path, &folder);
    let written = write_temp(&temp, fill, access)
        .and_then(|metadata| note(&metadata))
        .and_then(|()| publish(&temp, path, existing));
    if written.is_err() {
        let _ = fs::remove_file(&temp);
    }
    written.and_then(|()| sync_folder(&folder)).map_err(|error| at(path, &error))
}

/// The lines of a journal of JSON; none where there is no file. A line that is none, such as the last one of a run that was killed, is
/// skipped.
///
/// # Errors
/// The file is there and cannot be read.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> io::Result<Vec<T>> {
    let bytes = match read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        other => other?,
    };
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

/// Adds a line to a journal of JSON, durably.
///
/// # Errors
/// As [`append`].
pub fn append_line<T: Serialize>(path: &Path, line: &T, access: Access) -> io::Result<()> {
    // A break before it too: the line before may be the half one of a run that was killed.
    let mut bytes = b"\n".to_vec();
    bytes.extend(serde_json::to_vec(line).expect("a line is plain data"));
    bytes.push(b'\n');
    append(path, &bytes, access)
}

/// Adds `bytes` to the end of a file, durably; a crash may leave a part of them, and nothing that was there is lost.
///
/// # Errors
/// The system's error, its message naming the path.
pub fn append(path: &Path, bytes: &[u8], access: Access) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    restrict(&mut options, access);
    no_link(&mut options);
    let added = options.open(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_data()));
    added.map_err(|error| at(path, &error))
}

/// Creates a folder and its parents. With [`Access::Private`] the last one is 0700, and one that is there already is
/// left as it is, if nobody else can put files into it.
///
/// # Errors
/// The system's error, its message naming the path; with [`Access::Private`] also one that holds [`Exposed`].
pub fn create_folder(path: &Path, access: Access) -> io::Result<()> {
    if access == Access::Public {
        return fs::create_dir_all(path).map_err(|error| at(path, &error));
    }
    if path.as_os_str().is_empty() {
        return check_folder(path);
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|error| at(parent, &error))?;
    }
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        other => other.map_err(|error| at(path, &error))?,
    }
    check_folder(path)
}

/// Whether keys may be kept in a folder: it belongs to this user or to root, and nobody else can put files
/// into it, or another folder into its place. One that does not exist yet is judged by the folders above it.
///
/// # Errors
/// One that holds [`Exposed`]; the system's error, its message naming the path.
pub fn check_folder(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    match exposed_folder(path).map_err(|error| at(path, &error))? {
        None => Ok(()),
        Some(exposed) => Err(io::Error::new(io::ErrorKind::PermissionDenied, exposed)),
    }
}

/// Sets the permission bits of a file that this program wrote.
///
/// # Errors
/// The system's error, its message naming the path.
#[cfg(unix)]
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut options = OpenOptions::new();
    options.read(true);
    no_link(&mut options);
    let set = options.open(path).and_then(|file| file.set_permissions(fs::Permissions::from_mode(mode)));
    set.map_err(|error| at(path, &error))
}

/// Moves a folder within one file system.
///
/// # Errors
/// The system's error, its message naming the path.
pub fn move_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to).map_err(|error| at(from, &error))
}

/// Takes the lock on `path` without waiting; `None` when another process has it.
///
/// # Errors
/// The system's error, its message naming the path.
pub fn lock(path: &Path) -> io::Result<Option<Lock>> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    no_link(&mut options);
    let file = options.open(path).map_err(|error| at(path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Lock { _file: file })),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(error)) => Err(at(path, &error)),
    }
}

/// Raises the number of files that this process may have open to `wanted`, as far as the system allows; gives what it is.
pub fn open_files(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let count = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if count(current) < wanted {
        let raised = (wanted as u64).min(maximum.unwrap_or(u64::MAX));
        // What cannot be raised stays as it was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), maximum });
    }
    count(getrlimit(Resource::Nofile).current)
}

/// Whether another process holds the lock on `path`.
///
/// # Errors
/// The system's error, its message naming the path.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        other => other.map_err(|error| at(path, &error))?,
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(fs::TryLockError::WouldBlock) => Ok(true),
        Err(fs::TryLockError::Error(error)) => Err(at(path, &error)),
    }
}

/// A file without a name: it is gone when it is dropped, or when the process ends however it ends.
#[derive(Clone, Debug)]
pub struct Scratch(Arc<Mutex<File>>);

/// Makes a file without a name in `folder`, which is made when it is not there.
///
/// # Errors
/// The system's error, its message naming the folder.
pub fn scratch(folder: &Path) -> io::Result<Scratch> {
    if !folder.is_dir() {
        create_folder(folder, Access::Private)?;
    }
    tempfile::tempfile_in(folder).map(|file| Scratch(Arc::new(Mutex::new(file)))).map_err(|error| at(folder, &error))
}

/// A new folder that nobody else can look into; it is gone, with what is in it, when this is dropped.
#[derive(Debug)]
pub struct PrivateFolder(tempfile::TempDir);

/// Makes such a folder in `parent`, which is made when it is not there.
///
/// # Errors
/// The system's error, its message naming the parent; one that holds [`Exposed`].
pub fn private_folder(parent: &Path) -> io::Result<PrivateFolder> {
    create_folder(parent, Access::Private)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix("given-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    // A path that is told to somebody else means the same from every folder.
    let made = std::path::absolute(parent).and_then(|parent| builder.tempdir_in(parent));
    made.map(PrivateFolder).map_err(|error| at(parent, &error))
}

impl PrivateFolder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// Reads a file without a name from its first byte, beside others that read it.
#[derive(Debug)]
pub struct ScratchReader {
    file: Arc<Mutex<File>>,
    at: u64,
}

impl Scratch {
    /// Starts at the first byte.
    pub fn reader(&self) -> ScratchReader {
        ScratchReader { file: Arc::clone(&self.0), at: 0 }
    }
}

impl Read for ScratchReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.at))?;
        let read = file.read(buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for Scratch {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).flush()
    }
}

/// Removes a file, durably; one that is not there is no error.
///
/// # Errors
/// The system's error, its message naming the path.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| at(path, &error))?,
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(folder).map_err(|error| at(path, &error))
}

/// Removes a folder if nothing is in it.
pub fn remove_empty_folder(path: &Path) {
    let _ = fs::remove_dir(path);
}

/// The terminal that controls this process, to read from and to write to.
pub type TerminalFile = fs::File;

/// Opens it.
///
/// # Errors
/// There is none.
pub fn terminal() -> io::Result<TerminalFile> {
    TerminalFile::options().read(true).write(true).open("/dev/tty")
}

/// Opens a file to read it, without waiting where it is a pipe that nobody writes to.
///
/// # Errors
/// The system's own error, so that its kind can be told.
#[cfg(unix)]
pub fn open_at_once(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)
}

/// Opens a file to read it piece by piece.
///
/// # Errors
/// The system's error, its message naming the path.
pub fn open(path: &Path) -> io::Result<File> {
    File::open(path).map_err(|error| at(path, &error))
}

/// Reads a whole file.
///
/// # Errors
/// The system's error, its message naming the path.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    fs::read(path).map_err(|error| at(path, &error))
}

/// Reads at most `limit` bytes into a buffer that is wiped and never grows, so that no copy stays behind.
///
/// # Errors
/// The system's error, its message naming the path.
pub fn read_secret(path: &Path, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path).map_err(|error| at(path, &error))?;
    read_secret_from(file, limit).map_err(|error| at(path, &error))
}

/// The same from an open source.
///
/// # Errors
/// The source's error.
pub fn read_secret_from(source: impl io::Read, limit: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    source.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn temp_beside(path: &Path, folder: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the operating system gives randomness");
    folder.join(format!(".{name}.{}.tmp", hex::encode(random)))
}

fn write_temp(
    temp: &Path,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    access: Access,
) -> io::Result<fs::Metadata> {
    let mut options = OpenOptions::new();
    // O_EXCL: a file or a link that is there is an error.
    options.write(true).create_new(true);
    restrict(&mut options, access);
    let mut file = io::BufWriter::new(options.open(temp)?);
    fill(&mut file)?;
    let file = file.into_inner()?;
    file.sync_all()?;
    file.metadata()
}

#[cfg(unix)]
fn restrict(options: &mut OpenOptions, access: Access) {
    if access == Access::Private {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
}

#[cfg(not(unix))]
fn restrict(_: &mut OpenOptions, _: Access) {}

/// Makes opening fail where the file itself is a link.
#[cfg(unix)]
fn no_link(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt;
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
}

#[cfg(not(unix))]
fn no_link(_: &mut OpenOptions) {}

fn publish(temp: &Path, path: &Path, existing: Existing) -> io::Result<()> {
    match existing {
        Existing::Replace => fs::rename(temp, path),
        Existing::Keep => {
            exclusive::publish_new(temp, path, exclusive::SYSTEM)?;
            // After an exclusive rename it is gone already.
            let _ = fs::remove_file(temp);
            Ok(())
        }
    }
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_refuses_and_replace_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, b"one", Access::Private, Existing::Keep).unwrap();
        let error = write(&path, b"two", Access::Private, Existing::Keep).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(error.to_string().contains("file"));
        assert_eq!(read(&path).unwrap(), b"one");
        write(&path, b"two", Access::Private, Existing::Replace).unwrap();
        assert_eq!(read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temp file is left");
    }

    #[test]
    fn what_is_appended_comes_after_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list");
        for line in [b"one\n", b"two\n"] {
            append(&path, line, Access::Private).unwrap();
        }
        assert_eq!(read(&path).unwrap(), b"one\ntwo\n");
        assert!(append(&folder.path().join("no/folder"), b"x", Access::Private).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_where_a_temp_file_or_a_lock_would_be_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (victim, path) = (folder.path().join("victim"), folder.path().join("key"));
        fs::write(&victim, "kept").unwrap();
        // The name that was used once, by anybody who knows the process id.
        std::os::unix::fs::symlink(&victim, folder.path().join(format!(".key.{}.tmp", std::process::id()))).unwrap();
        write(&path, b"secret", Access::Private, Existing::Keep).unwrap();
        assert_eq!(read(&victim).unwrap(), b"kept");
        assert_ne!(temp_beside(&path, folder.path()), temp_beside(&path, folder.path()));
        let temp = folder.path().join(".key.0.tmp");
        std::os::unix::fs::symlink(&victim, &temp).unwrap();
        let error = write_temp(&temp, |file| file.write_all(b"secret"), Access::Private).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(append(&temp, b"secret", Access::Private).is_err() && lock(&temp).is_err());
        assert_eq!(read(&victim).unwrap(), b"kept");
        write(&temp, b"new", Access::Private, Existing::Replace).unwrap();
        assert_eq!((read(&victim).unwrap(), read(&temp).unwrap()), (b"kept".to_vec(), b"new".to_vec()));
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_others_can_write_to_is_not_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let keys = folder.path().join("host/keys");
        create_folder(&keys, Access::Private).unwrap();
        assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o700);
        for (bits, is_fine) in [(0o755, true), (0o775, false), (0o757, false), (0o1777, true), (0o700, true)] {
            mode(&keys, bits);
            let created = create_folder(&keys, Access::Private);
            assert_eq!(created.is_ok(), is_fine, "{bits:o}: {created:?}");
            assert_eq!(fs::metadata(&keys).unwrap().permissions().mode() & 0o7777, bits, "left as it is");
            assert!(
                created.is_ok()
                    || created
                        .unwrap_err()
                        .get_ref()
                        .is_some_and(<dyn std::error::Error + Send + Sync + 'static>::is::<Exposed>)
            );
        }
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&keys, &link).unwrap();
        create_folder(&link, Access::Private).unwrap();
        mode(&keys, 0o777);
        assert!(create_folder(&link, Access::Private).is_err(), "behind a link");
        mode(&keys, 0o700);
        mode(keys.parent().unwrap(), 0o777);
        assert!(create_folder(&keys, Access::Private).is_err(), "its folder can be exchanged");
        assert!(create_folder(&link, Access::Private).is_err(), "the same behind a link");
    }

    #[cfg(unix)]
    #[test]
    fn private_means_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        write(&path, b"k", Access::Private, Existing::Keep).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
