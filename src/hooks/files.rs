//! What a command is given, in files that it alone can read: a folder of its own, gone when it has ended.

use std::{ffi::OsString, io, path::Path};

use serde::{
    Serializer as _,
    ser::{SerializeMap, SerializeSeq},
};

use super::{Given, process};
use crate::fsutil::{self, Access, Existing, PrivateFolder};

/// The files of one hook.
pub(super) struct Files {
    folder: PrivateFolder,
    /// The variables that name them.
    pub(super) variables: Vec<(OsString, OsString)>,
}

/// The file into which a command writes how much it did.
const DONE: &str = "done";

impl Files {
    /// Writes them: the plan, the names, and the identifiers that changed.
    ///
    /// # Errors
    /// A file cannot be written, or what goes into it cannot be read.
    pub(super) fn write(given: &Given<'_>) -> io::Result<Self> {
        let folder = fsutil::private_folder(given.scratch)?;
        let path = |name: &str| folder.path().join(name);
        let (plan, names, map, done) = (path("plan.json"), path("names.json"), path("arns.json"), path(DONE));
        write(&plan, |output| Ok(serde_json::to_writer_pretty(output, &given.about)?))?;
        write(&names, |output| {
            let mut output = serde_json::Serializer::pretty(output);
            let mut list = output.serialize_seq(None)?;
            let mut written = Ok(());
            let walked = (given.names)(&mut |name| {
                if written.is_ok() {
                    written = list.serialize_element(name);
                }
            });
            walked.map_err(io::Error::other)?;
            Ok(written.and_then(|()| SerializeSeq::end(list))?)
        })?;
        write(&map, |output| {
            let mut output = serde_json::Serializer::pretty(output);
            let mut list = output.serialize_map(None)?;
            let mut written = Ok(());
            let walked = (given.moves)(&mut |old, new| {
                if written.is_ok() && old != new {
                    written = list.serialize_entry(old, new);
                }
            });
            walked.map_err(io::Error::other)?;
            Ok(written.and_then(|()| SerializeMap::end(list))?)
        })?;
        let variables = vec![
            process::file("LIFEBOAT_PLAN", &plan),
            process::file("LIFEBOAT_NAMES", &names),
            process::file("LIFEBOAT_ARN_MAP", &map),
            process::file("LIFEBOAT_DONE", &done),
        ];
        Ok(Self { folder, variables })
    }

    /// How many things the command says it did; `None` where it says nothing that is a number.
    pub(super) fn done(&self) -> Option<u64> {
        let bytes = fsutil::read(&self.folder.path().join(DONE)).ok()?;
        std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
    }
}

fn write(path: &Path, write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
    fsutil::write_with(path, Access::Private, Existing::Keep, write)
}
