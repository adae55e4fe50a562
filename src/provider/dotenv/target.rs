//! Writing a file so that a crash leaves the old one or the new one, for its owner alone until it is whole.

use std::{fs, io, path::PathBuf};

use async_trait::async_trait;
use futures::{StreamExt as _, stream::BoxStream};
use zeroize::Zeroizing;

use super::{Dotenv, Files, failed, file, refused, rules, walk};
use crate::{
    fsutil::{self, Access},
    model::{Existing, Place, Secret, SecretValue, Step, ValueState, Version, VersionFacets},
    provider::{Applied, ErrorKind, ProviderError, Source as _, Target},
};

/// What a step does to a file.
enum Change {
    /// Makes it; one with the same bytes is the same.
    Make(Zeroizing<Vec<u8>>, Option<u32>),
    /// Puts other bytes in the place of those with this version id.
    Replace(Zeroizing<Vec<u8>>, String),
    /// Takes permission bits away.
    Narrow(u32),
    /// Removes it.
    Remove,
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
        self.list().map(|listed| listed.map(|listed| listed.name)).boxed()
    }

    async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        if rules::fault(name).is_some() {
            return Ok(None);
        }
        let (name, own) = (name.to_owned(), self.clone());
        self.blocking(move |files| {
            let Some((look, outcome)) = files.found(&name)? else { return Ok(None) };
            let mut secret = super::secret(&name, Some(&look));
            let mut versions = Vec::new();
            match outcome {
                Ok(bytes) => versions.push(Version {
                    id: own.id_of(&name, &bytes),
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
        Ok(self.look_up(id).await?.map(|existing| existing.secret))
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
            Step::Create { version: Some(version), settings, .. } => {
                let bytes = bytes().ok_or_else(|| bad("a file is made with its bytes"))?;
                (Change::Make(bytes, rules::octal(settings)), Some(version))
            }
            Step::Append { version, behind, placeholder: false, .. } => {
                let bytes = bytes().ok_or_else(|| bad("a file is replaced by bytes"))?;
                (Change::Replace(bytes, behind.clone()), Some(version))
            }
            Step::Configure { settings, .. } => {
                (Change::Narrow(rules::octal(settings).ok_or_else(|| bad("there is no mode"))?), None)
            }
            Step::Destroy { .. } if at == Some(name.as_str()) => (Change::Remove, None),
            Step::Destroy { .. } => return Err(bad("what is deleted is named by its identifier")),
            _ => return Err(bad("this step is for another kind of target")),
        };
        if let (Some(version), Some(value)) = (version, value) {
            self.claim(&name, version, value.expose());
        }
        let is_new = matches!(change, Change::Make(..));
        let (own, id) = (self.clone(), name.clone());
        let is_made = self.blocking(move |files| files.change(&own, &name, change)).await?;
        Ok(Applied { created: (is_new && is_made).then_some(id) })
    }
}

impl Files {
    /// What has a name now; a folder that is not there has nothing.
    fn found(&self, name: &str) -> Result<Option<file::Found>, ProviderError> {
        let entry = walk::entry(&self.root, name);
        file::read(&self.root, &entry).map_err(|error| failed("look up", Some(name), &error))
    }

    /// Makes one change; whether a file was made.
    fn change(&self, own: &Dotenv, name: &str, change: Change) -> Result<bool, ProviderError> {
        let broke = |error: io::Error| failed("write", Some(name), &error);
        let conflict = |code: &str, words: &str| refused(ErrorKind::Conflict, "write", Some(name), code, words);
        let there = self.found(name)?;
        let bytes_there = there.as_ref().and_then(|(_, outcome)| outcome.as_ref().ok());
        match change {
            Change::Make(bytes, mode) => {
                let mode = mode.unwrap_or(0o600);
                if there.is_some() {
                    // An answer that was lost, or a run that ended: the bytes are there, the mode perhaps not yet.
                    return if bytes_there.is_some_and(|there| **there == *bytes) {
                        self.narrow(name, mode)?;
                        Ok(false)
                    } else {
                        Err(conflict("AlreadyThere", "a file with this name is there"))
                    };
                }
                let path = self.prepared(name)?;
                match fsutil::write(&path, &bytes, Access::Private, fsutil::Existing::Keep) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        return Err(conflict("AlreadyThere", "somebody made a file with this name at the same moment"));
                    }
                    other => other.map_err(broke)?,
                }
                fsutil::set_mode(&path, mode).map_err(broke)?;
                Ok(true)
            }
            Change::Replace(bytes, behind) => {
                if bytes_there.is_some_and(|there| **there == *bytes) {
                    return Ok(false);
                }
                let is_behind = bytes_there.is_some_and(|there| own.id_of(name, there) == behind);
                let Some((look, _)) = there.filter(|_| is_behind) else {
                    return Err(conflict("NotBehind", "the file is not the one that the plan is about"));
                };
                let path = self.prepared(name)?;
                fsutil::write(&path, &bytes, Access::Private, fsutil::Existing::Replace).map_err(broke)?;
                // What was narrower than the new file stays so; the rest of its mode comes back.
                fsutil::set_mode(&path, look.mode()).map_err(broke)?;
                Ok(false)
            }
            Change::Narrow(mode) => self.narrow(name, mode).map(|()| false),
            Change::Remove => {
                let path = self.prepared(name)?;
                fsutil::remove(&path).map_err(broke)?;
                Ok(false)
            }
        }
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
