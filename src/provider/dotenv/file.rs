//! One file: what it looks like, and its bytes of one moment.

use std::{
    fs,
    io::{self, Read as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
    thread,
    time::Duration,
};

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{book, owner, walk::Entry};
use crate::{
    clock::{Clock as _, SystemClock},
    fsutil,
    model::Digest,
};

/// The largest file that is taken for one of secrets, in bytes.
pub(super) const LARGEST: usize = 1024 * 1024;
/// How often a file that changes while it is read is read again.
const READS: u32 = 5;
/// The pause before that.
const PAUSE: Duration = Duration::from_millis(50);
/// How long after a change another one can have the same time: the clock of a file system ticks.
const TICK: Duration = Duration::from_millis(40);
/// Seconds after a change in which another one may have the same time.
const TICK_SECONDS: i64 = 2;

/// What the system says of a file, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    link: Option<String>,
}

/// Why a file that is meant is not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It changed during every reading.
    Torn,
    /// It is larger than any file of secrets.
    TooLarge,
    /// A socket, a device, a pipe, a link to a folder.
    NotAFile,
    /// A link that leads out of the root.
    LeadsOut,
    /// A link that leads nowhere.
    LeadsNowhere,
    /// Its name is no text.
    Name,
    /// This user may not read it.
    Denied,
}

impl Refused {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Torn => "ChangedWhileReading",
            Self::TooLarge => "LargerThan1MiB",
            Self::NotAFile => "NotAFile",
            Self::LeadsOut => "LinkLeavesTheFolder",
            Self::LeadsNowhere => "LinkLeadsNowhere",
            Self::Name => "NameIsNotUtf8",
            Self::Denied => "PermissionDenied",
        }
    }
}

impl Look {
    fn of(metadata: &fs::Metadata, link: Option<String>) -> Self {
        Self {
            mode: metadata.mode() & 0o7777,
            uid: metadata.uid(),
            gid: metadata.gid(),
            size: metadata.size(),
            inode: (metadata.dev(), metadata.ino()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            link,
        }
    }

    /// When the bytes last changed.
    pub(super) fn modified(&self) -> Option<Timestamp> {
        Timestamp::new(self.modified.0, i32::try_from(self.modified.1).ok()?).ok()
    }

    /// Whether the last change is long enough ago for another one to show.
    pub(super) fn is_settled(&self, now: Timestamp) -> bool {
        let last = self.modified.0.max(self.changed.0);
        now.as_second() - last > TICK_SECONDS || last - now.as_second() > TICK_SECONDS
    }

    /// Whether the last change is so recent that another one may have the same time.
    fn may_change_unseen(&self, now: Timestamp) -> bool {
        let last = [self.modified, self.changed].into_iter().max().unwrap_or_default();
        let last = i32::try_from(last.1).ok().and_then(|nanos| Timestamp::new(last.0, nanos).ok());
        // A time to come is another machine's clock, which says nothing here.
        last.is_some_and(|last| last <= now && now.duration_since(last).unsigned_abs() < TICK)
    }

    /// Whatever is done to the file shows here.
    pub(super) fn fingerprint(&self) -> Digest {
        Digest::of(format!("{self:?}").as_bytes())
    }

    /// Which file it is that has these bytes.
    pub(super) fn identity(&self) -> String {
        book::identity_of(self.inode, self.modified)
    }

    /// The permission bits.
    pub(super) fn mode(&self) -> u32 {
        self.mode
    }

    /// What a restore puts back, and what people want to know.
    pub(super) fn facet(&self) -> Json {
        let mut facet = json!({ "mode": format!("{:04o}", self.mode) });
        let (user, group) = (owner::user(self.uid), owner::group(self.gid));
        facet["user"] = user.map_or_else(|| json!(self.uid), Json::from);
        facet["group"] = group.map_or_else(|| json!(self.gid), Json::from);
        if let Some(link) = &self.link {
            facet["link"] = json!(link);
        }
        facet
    }
}

/// What a file looks like; `None` when it is gone.
pub(super) fn look(root: &Path, entry: &Entry) -> io::Result<Option<Look>> {
    Ok(resolve(root, entry)?.map(|(look, _)| look))
}

/// What was found at a path: a look, and the bytes or why there are none.
pub(super) type Found = (Look, Result<Zeroizing<Vec<u8>>, Refused>);

/// A look and the bytes that were there while it was true, or why there are none; `None` when the file is gone.
pub(super) fn read(root: &Path, entry: &Entry) -> io::Result<Option<Found>> {
    for attempt in 1..=READS {
        let Some((before, refused)) = resolve(root, entry)? else { return Ok(None) };
        if let Some(refused) = refused {
            return Ok(Some((before, Err(refused))));
        }
        // What changes while it is read must get another time than it has now.
        if before.may_change_unseen(SystemClock.now()) {
            thread::sleep(PAUSE);
            if attempt == READS {
                return Ok(Some((before, Err(Refused::Torn))));
            }
            continue;
        }
        let bytes = match bytes(&entry.path, &before) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Ok(Some((before, Err(Refused::Denied))));
            }
            Err(error) => return Err(error),
        };
        let Some((after, refused)) = resolve(root, entry)? else { return Ok(None) };
        let is_whole = bytes.as_ref().is_some_and(|bytes| bytes.len() as u64 == after.size);
        if let (true, None, Some(bytes)) = (is_whole && after == before, refused, bytes) {
            return Ok(Some((after, Ok(bytes))));
        }
        if attempt == READS {
            return Ok(Some((after, Err(Refused::Torn))));
        }
        thread::sleep(PAUSE);
    }
    Ok(None)
}

/// What stands at the path, a link followed inside the root alone, and why it is not to be read.
fn resolve(root: &Path, entry: &Entry) -> io::Result<Option<(Look, Option<Refused>)>> {
    let own = match fs::symlink_metadata(&entry.path) {
        Err(error) if is_gone(&error) => return Ok(None),
        other => other?,
    };
    if !entry.is_text {
        return Ok(Some((Look::of(&own, None), Some(Refused::Name))));
    }
    // A folder on the way may be a link by now: the file is the one inside the root, or none.
    let real = match fs::canonicalize(&entry.path) {
        Err(error) if is_gone(&error) => {
            return Ok(Some((Look::of(&own, link(entry, &own)), Some(Refused::LeadsNowhere))));
        }
        other => other?,
    };
    let link = link(entry, &own);
    if !real.starts_with(root) && fs::canonicalize(root).is_ok_and(|root| !real.starts_with(root)) {
        return Ok(Some((Look::of(&own, link), Some(Refused::LeadsOut))));
    }
    let metadata = fs::symlink_metadata(&real)?;
    let refused = if !metadata.is_file() {
        Some(Refused::NotAFile)
    } else if metadata.size() > LARGEST as u64 {
        Some(Refused::TooLarge)
    } else {
        None
    };
    Ok(Some((Look::of(&metadata, link), refused)))
}

fn link(entry: &Entry, metadata: &fs::Metadata) -> Option<String> {
    let target = metadata.is_symlink().then(|| fs::read_link(&entry.path).ok()).flatten()?;
    Some(target.to_string_lossy().into_owned())
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The bytes of the very file of the look; `None` when another one stands there. Opening never waits for a pipe.
fn bytes(path: &Path, expected: &Look) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = fsutil::open_at_once(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || (metadata.dev(), metadata.ino()) != expected.inode || metadata.size() > LARGEST as u64 {
        return Ok(None);
    }
    // The exact capacity and one more: a growing vector would leave unwiped copies behind.
    let room = usize::try_from(metadata.size()).unwrap_or(LARGEST) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(room as u64).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}
