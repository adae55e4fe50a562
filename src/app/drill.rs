//! What a drill needs of the host: its file, its key, and what counts as lost for it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Host, HostError};
use crate::{
    crypto::{DrillKey, Recipient},
    drill::{DrillFile, DrillFileError},
    fsutil,
    isolation::{Isolation, Lost, region_name},
    model::{Digest, RepositoryId},
    provider::{NoSuchRegion, kinds},
    repo::{Repository, Trust},
    snapshot::DrillSealing,
    storage::Storage,
    text,
};

/// A storage of this host's repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its address.
    pub url: String,
    /// Its region, as far as the configuration says.
    pub region: Option<String>,
    /// Whether it is a copy.
    pub is_copy: bool,
}

impl Host {
    /// Reads `drills/NAME.toml` beside the configuration, and its digest. What it names must be there: a record without the
    /// runbook's digest would not say which runbook was exercised.
    ///
    /// # Errors
    /// [`HostError::Drill`]; [`HostError::Runbook`]; [`HostError::Io`] when there is none.
    pub fn drill_file(&self, name: &str) -> Result<(DrillFile, Digest), HostError> {
        let (file, digest) = self.drill_plan(name)?;
        if let Some(runbook) = file.runbook.as_ref().filter(|runbook| !self.path(runbook).is_file()) {
            let (path, found) = (self.path(format!("drills/{name}.toml")), self.path(runbook));
            return Err(HostError::Runbook { path, runbook: runbook.clone(), found });
        }
        Ok((file, digest))
    }

    /// The same for whoever asks about the plan alone.
    ///
    /// # Errors
    /// [`HostError::Drill`]; [`HostError::Io`] when there is none.
    pub fn drill_plan(&self, name: &str) -> Result<(DrillFile, Digest), HostError> {
        let path = self.path(format!("drills/{name}.toml"));
        let bytes = fsutil::read(&path)?;
        let file = DrillFile::parse(&String::from_utf8_lossy(&bytes));
        let file = file.map_err(|error: DrillFileError| HostError::Drill { path, error })?;
        Ok((file, Digest::of(&bytes)))
    }

    /// The drill files there are, by name.
    pub fn drill_names(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.path("drills")) else { return Vec::new() };
        let stems = entries.filter_map(|entry| {
            let path = entry.ok()?.path();
            let is_toml = path.extension().is_some_and(|extension| extension == "toml");
            is_toml.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
        });
        let mut names: Vec<String> = stems.collect();
        names.sort();
        names
    }

    /// A path as the configuration and drill files write it.
    pub fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.folder.join(relative)
    }

    /// The drill key; `None` when the configuration names none.
    ///
    /// # Errors
    /// When the file cannot be read or is no key.
    pub fn drill_key(&self) -> Result<Option<DrillKey>, HostError> {
        let path = self.config.drill.key.as_ref();
        path.map(|path| self.key(path, DrillKey::from_file)).transpose()
    }

    /// What snapshots seal to the drill key too; `None` when the configuration says nothing.
    ///
    /// # Errors
    /// When the recipient is none.
    pub fn drill_sealing(&self) -> Result<Option<DrillSealing>, HostError> {
        let section = &self.config.drill;
        let Some(text) = &section.recipient else { return Ok(None) };
        let recipient: Recipient = text.parse()?;
        Ok(Some(DrillSealing { recipient, names: section.canaries.clone(), full: section.full }))
    }

    /// The file in which a drill that is under way is remembered.
    pub fn drill_journal(&self, repository: RepositoryId) -> PathBuf {
        self.state_file(repository, "drill.json")
    }

    /// Keeps other drills of this host out while the answer is held.
    ///
    /// # Errors
    /// [`HostError::Locked`].
    pub fn drill_lock(&self, repository: RepositoryId) -> Result<fsutil::Lock, HostError> {
        fsutil::create_folder(&self.path("state"), fsutil::Access::Private)?;
        fsutil::lock(&self.state_file(repository, "drill.lock"))?.ok_or(HostError::Locked(repository))
    }

    /// The repository, then its copies.
    pub fn sites(&self) -> Vec<Site> {
        let url = self.config.repository.url.clone();
        let own = Site {
            region: Storage::open(&url).ok().and_then(|it| it.region().map(str::to_owned)),
            url,
            is_copy: false,
        };
        let copies = self.config.copies.iter().map(|copy| Site {
            url: copy.url.clone(),
            region: copy.region.clone(),
            is_copy: true,
        });
        std::iter::once(own).chain(copies).collect()
    }

    /// What a drill counts as lost. With a source's region goes the repository, unless its address names another one;
    /// a copy goes with its own.
    ///
    /// # Errors
    /// [`HostError::LostRegion`]: a guard of a region that does not exist guards nothing.
    pub fn lost(&self, file: &DrillFile) -> Result<Lost, HostError> {
        let mut lost = file.lost.clone().normal();
        let sources = self.config.sources.regions();
        let sites = self.sites();
        // A region that is newer than this build is known where the configuration works in it.
        let named = sites.iter().filter_map(|site| site.region.as_deref()).chain(sources.iter().copied());
        let named: Vec<String> = named.map(region_name).collect();
        let known: Vec<&'static str> = kinds().flat_map(|kind| kind.regions().iter().copied()).collect();
        let exists = |region: &&String| known.contains(&region.as_str()) || named.contains(region);
        if let Some(region) = lost.regions.iter().find(|region| !exists(region)) {
            let likely = text::likely(region, &known);
            return Err(HostError::LostRegion(NoSuchRegion { region: region.clone(), likely }));
        }
        let gone = |site: &Site| match &site.region {
            Some(region) => lost.has_region(region),
            None => !site.is_copy && sources.iter().any(|region| lost.has_region(region)),
        };
        let gone: Vec<String> = sites.into_iter().filter(gone).map(|site| site.url).collect();
        lost.storages.extend(gone);
        Ok(lost)
    }

    /// Opens a site behind a guard.
    ///
    /// # Errors
    /// See [`HostError`].
    pub async fn site(&self, site: &Site, isolation: &Arc<Isolation>) -> Result<(Repository, Trust), HostError> {
        let storage = Storage::open_within(&site.url, site.region.as_deref(), isolation)?;
        let repository = Repository::open(storage).await?;
        let trust = repository.trust(&self.anchor()?).await?;
        // What a copy has of the audit trail is the copy's: it may lag behind.
        let head = if site.is_copy { None } else { self.audit_head(repository.id())? };
        Ok((repository.audited(head.map(|(chain, head, _)| (chain, head))), trust))
    }
}
