//! Writing a file so that a crash leaves the old one or the new one, for its owner alone until it is whole.

use std::{fs, io, path::PathBuf};

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use zeroize::Zeroizing;

use super::{
    Dotenv, Files,
    book::{self, Made},
    failed, file, refused, rules, walk,
};
use crate::{
    clock::{Clock as _, SystemClock},
    fsutil::{self, Access},
    model::{Existing, Place, Secret, SecretValue, Step, Tag, ValueState, Version, VersionFacets},
    provider::{Applied, ErrorKind, ProviderError, Target},
};

/// What a step does to a file.
enum Change {
    /// Makes it as this version, with these tags in the notes of a drill; one with the same bytes is the same.
    Make { bytes: Zeroizing<Vec<u8>>, mode: Option<u32>, version: String, tags: Vec<Tag> },
    /// Puts the bytes of a version in the place of those with the version id `behind`.
    Replace { bytes: Zeroizing<Vec<u8>>, version: String, behind: String },
    /// Takes permission bits away.
    Narrow(u32),
    /// Removes the one that this identifier means.
    Remove(String),
}

#[async_trait]
impl Target for Dotenv {
    async fn place(&self) -> Result<Place, ProviderError> {
        Ok(self.place.clone())
    }

    fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
        if !self.files.root.exists() {
            return futures::stream::empty().boxed();
        }
        // Another kind's names are not those that a source of files looks for.
        let found = self.blocking(|files| walk::files(&files.root, &files.address.with_everything()));
        futures::stream::once(found)
            .flat_map(|found| match found {
                Ok(found) => futures::stream::iter(found).map(|entry| Ok(entry.name)).boxed(),
                Err(error) => futures::stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        if rules::fault(name).is_some() {
            return Ok(None);
        }
        let (name, own) = (name.to_owned(), self.clone());
        self.blocking(move |files| {
            let Some((look, outcome)) = files.found(&name)? else { return Ok(None) };
            let mut secret = files.secret(&name, Some(&look));
            let mut versions = Vec::new();
            match outcome {
                Ok(bytes) => versions.push(Version {
                    id: own.id_of(&name, &look, &bytes),
                    current: true,
                    labels: Vec::new(),
                    created: look.modified(),
                    facets: VersionFacets::default(),
                    value: ValueState::None,
                }),
                Err(refused) => secret.unreadable.push(refused.unreadable()),
            }
            Ok(Some(Existing { secret, versions }))
        })
        .await
    }

    async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        let name = match id.rsplit_once('@') {
            Some((name, identity)) if self.files.is_sandbox && book::is_identity(identity) => name,
            _ => id,
        };
        let found = self.look_up(name).await?.map(|existing| existing.secret);
        Ok(found.filter(|secret| name == id || secret.id == id))
    }

    async fn apply(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        let name = step.name().to_owned();
        let bad = |words: &str| refused(ErrorKind::Invalid, "write", Some(step.name()), "BadStep", words);
        if let Some(words) = rules::fault(&name) {
            return Err(bad(words));
        }
        let bytes = || value.map(|value| Zeroizing::new(value.expose().to_vec()));
        let (change, version) = match step {
            Step::Create { version: Some(version), settings, tags, .. } => {
                let bytes = bytes().ok_or_else(|| bad("a file is made with its bytes"))?;
                let (mode, tags) = (rules::octal(settings), tags.clone());
                (Change::Make { bytes, mode, version: version.clone(), tags }, Some(version))
            }
            Step::Append { version, behind, placeholder: false, .. } => {
                let bytes = bytes().ok_or_else(|| bad("a file is replaced by bytes"))?;
                (Change::Replace { bytes, version: version.clone(), behind: behind.clone() }, Some(version))
            }
            Step::Configure { settings, .. } => {
                (Change::Narrow(rules::octal(settings).ok_or_else(|| bad("there is no mode"))?), None)
            }
            Step::Destroy { .. } => match at.filter(|at| self.files.is_sandbox || *at == name) {
                Some(at) => (Change::Remove(at.to_owned()), None),
                None => return Err(bad("what is deleted is named by its identifier")),
            },
            _ => return Err(bad("this step is for another kind of target")),
        };
        if let (Some(version), Some(value)) = (version, value) {
            self.claim(&name, version, value.expose());
        }
        let own = self.clone();
        let created = self.blocking(move |files| files.change(&own, &name, change)).await?;
        Ok(Applied { created })
    }

    async fn finish(&self) -> Result<(), ProviderError> {
        self.blocking(|files| match &files.book {
            // What a drill made is noted for as long as it is there.
            Some(book) if !files.is_sandbox => book.end().map_err(|error| failed("finish", None, &error)),
            _ => Ok(()),
        })
        .await
    }
}

impl Files {
    /// What has a name now; a folder that is not there has nothing.
    fn found(&self, name: &str) -> Result<Option<file::Found>, ProviderError> {
        let entry = walk::entry(&self.root, name);
        file::read(&self.root, &entry).map_err(|error| failed("look up", Some(name), &error))
    }

    /// Makes one change; the identifier of a file that was made.
    fn change(&self, own: &Dotenv, name: &str, change: Change) -> Result<Option<String>, ProviderError> {
        let broke = |error: io::Error| failed("write", Some(name), &error);
        let conflict = |code: &str, words: &str| refused(ErrorKind::Conflict, "write", Some(name), code, words);
        let there = self.found(name)?;
        let bytes_there = there.as_ref().and_then(|(_, outcome)| outcome.as_ref().ok());
        match change {
            Change::Make { bytes, mode, version, tags } => {
                let mode = mode.unwrap_or(0o600);
                if there.is_some() {
                    // An answer that was lost, or a run that ended: the bytes are there, the mode perhaps not yet.
                    return if bytes_there.is_some_and(|there| **there == *bytes) {
                        self.narrow(name, mode)?;
                        Ok(None)
                    } else {
                        Err(conflict("AlreadyThere", "a file with this name is there"))
                    };
                }
                let path = self.prepared(name)?;
                let mut id = name.to_owned();
                let note = |metadata: &fs::Metadata| {
                    if self.is_sandbox {
                        id = format!("{name}@{}", book::identity(metadata));
                    }
                    self.note(own, (name, &bytes), metadata, (version, tags))
                };
                match fsutil::write_noted(&path, &bytes, Access::Private, fsutil::Existing::Keep, note) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        return Err(conflict("AlreadyThere", "somebody made a file with this name at the same moment"));
                    }
                    other => other.map_err(broke)?,
                }
                fsutil::set_mode(&path, mode).map_err(broke)?;
                Ok(Some(id))
            }
            Change::Replace { bytes, version, behind } => {
                if bytes_there.is_some_and(|there| **there == *bytes) {
                    return Ok(None);
                }
                let is_behind = there
                    .as_ref()
                    .zip(bytes_there)
                    .is_some_and(|((look, _), bytes)| own.id_of(name, look, bytes) == behind);
                let Some((look, _)) = there.filter(|_| is_behind) else {
                    return Err(conflict("NotBehind", "the file is not the one that the plan is about"));
                };
                let path = self.prepared(name)?;
                let note = |metadata: &fs::Metadata| self.note(own, (name, &bytes), metadata, (version, Vec::new()));
                fsutil::write_noted(&path, &bytes, Access::Private, fsutil::Existing::Replace, note).map_err(broke)?;
                // What was narrower than the new file stays so; the rest of its mode comes back.
                fsutil::set_mode(&path, look.mode()).map_err(broke)?;
                Ok(None)
            }
            Change::Narrow(mode) => self.narrow(name, mode).map(|()| None),
            Change::Remove(id) => {
                let is_it = there.is_some_and(|(look, _)| self.secret(name, Some(&look)).id == id);
                if is_it || !self.is_sandbox {
                    let path = self.prepared(name)?;
                    fsutil::remove(&path).map_err(broke)?;
                    if let Some(book) = &self.book {
                        book.forget(name).map_err(broke)?;
                    }
                }
                Ok(None)
            }
        }
    }

    /// Notes what is about to get a name, where the bytes alone would not say which version it is or whose.
    fn note(
        &self,
        own: &Dotenv,
        (name, bytes): (&str, &[u8]),
        metadata: &fs::Metadata,
        (version, tags): (String, Vec<Tag>),
    ) -> io::Result<()> {
        let is_known = !self.is_sandbox && (own.versions)(name, bytes) == version;
        let Some(book) = self.book.as_ref().filter(|_| !is_known) else { return Ok(()) };
        let (file, time) = (book::identity(metadata), SystemClock.now());
        book.note(Made { name: name.to_owned(), file, version, time, tags })
    }

    /// Takes away the permission bits that are not in `mode`, and gives none.
    fn narrow(&self, name: &str, mode: u32) -> Result<(), ProviderError> {
        let Some((look, _)) = self.found(name)? else {
            return Err(refused(ErrorKind::NotFound, "write", Some(name), "NotFound", "the file is gone"));
        };
        if look.mode() & !mode == 0 {
            return Ok(());
        }
        let path = self.prepared(name)?;
        fsutil::set_mode(&path, look.mode() & mode).map_err(|error| failed("write", Some(name), &error))
    }

    /// The path of a name, with the folders above it made, and nothing on the way leading out of the root.
    fn prepared(&self, name: &str) -> Result<PathBuf, ProviderError> {
        let broke = |error: &io::Error| failed("write", Some(name), error);
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root).to_owned();
        // The first folder that is there must be inside before anything is made below it.
        let mut above = folder.as_path();
        while !above.exists() && above != self.root {
            above = above.parent().unwrap_or(&self.root);
        }
        self.is_inside(above, name)?;
        if !folder.exists() {
            // Each one that is missing, from the top: files are written side by side, and whichever comes first makes them.
            let missing: Vec<_> = folder.ancestors().take_while(|above| !above.exists()).collect();
            for above in missing.into_iter().rev() {
                fsutil::create_folder(above, Access::Private).map_err(|error| broke(&error))?;
                // A drill takes away what it made.
                let noted = match (&self.book, above.strip_prefix(&self.root)) {
                    (Some(book), Ok(path)) if self.is_sandbox => book.note_folder(&path.to_string_lossy()),
                    _ => Ok(()),
                };
                noted.map_err(|error| broke(&error))?;
            }
            fsutil::create_folder(&folder, Access::Private).map_err(|error| broke(&error))?;
        }
        self.is_inside(&folder, name)?;
        Ok(path)
    }

    fn is_inside(&self, folder: &std::path::Path, name: &str) -> Result<(), ProviderError> {
        let root = match fs::canonicalize(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other.map_err(|error| failed("write", Some(name), &error))?,
        };
        let real = fs::canonicalize(folder).map_err(|error| failed("write", Some(name), &error))?;
        if real.starts_with(&root) {
            return Ok(());
        }
        let words = "a link on its path leads out of the folder";
        Err(refused(ErrorKind::Denied, "write", Some(name), "LinkLeavesTheFolder", words))
    }
}
