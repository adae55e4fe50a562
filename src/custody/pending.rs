//! Between printing a new set of sheets and putting it in force: what is waiting, and which sheets were read back.
//!
//! The file holds the next epoch, signed while the key was there, and digests; nothing secret. Until [`Pending::switch`]
//! the repository knows nothing of it, so losing or removing the file leaves the old set in force.

use std::{io, path::Path};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Ceremony;
use crate::{
    crypto::{Namespace, Signer, verify},
    fsutil::{self, Access, Existing},
    model::Digest,
    repo::{Custodian, Epoch, RepoError, Repository, SignedEpoch, Trust},
    share::{ShareFault, UntrustedShare},
};

/// What replaces what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// New sheets of the same key.
    Reshare,
    /// A new key.
    Rotate,
    /// The same sheets, other hosts that may sign.
    Signers,
    /// Nothing: sheets of a throw-away key.
    Rehearse,
}

/// A next epoch that is not in force.
#[derive(Clone, Debug)]
pub struct Pending {
    file: PendingFile,
    epoch: Epoch,
}

/// A pending file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PendingError {
    /// It cannot be read or written.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It was altered, or is something else.
    #[error("{path}: {reason}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

/// A sheet that does not confirm anything. Texts name it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotConfirmed {
    /// Not readable as a share.
    #[error("{origin} {fault}")]
    Fault {
        /// Where it came from.
        origin: String,
        /// What is wrong.
        fault: ShareFault,
    },
    /// A sheet of another set, such as the one being replaced.
    #[error("{origin} belongs to share set {set}, not to the new one ({expected})")]
    OtherSet {
        /// Where it came from.
        origin: String,
        /// Its set.
        set: String,
        /// The new set.
        expected: String,
    },
    /// Of the new set by its own word, but not the share that was made.
    #[error("{origin} (sheet {index}) is not the sheet that was made")]
    Altered {
        /// Where it came from.
        origin: String,
        /// The share's index.
        index: u8,
    },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PendingFile {
    version: u32,
    kind: Kind,
    /// The exact text of the epoch file to be.
    epoch: String,
    /// Its signature by its own root.
    signature: String,
    /// The exact text of its closing list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closing: Option<String>,
    confirmed: Vec<Confirmed>,
}

/// A sheet that was read back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmed {
    sha256: Digest,
    time: Timestamp,
}

impl Pending {
    /// What a ceremony leaves to be confirmed: its epoch, signed now because the key is gone afterwards.
    pub fn new(kind: Kind, ceremony: &Ceremony) -> Self {
        let epoch = ceremony.epoch.to_bytes();
        let file = PendingFile {
            version: 1,
            kind,
            signature: ceremony.root.sign(Namespace::Epoch, &epoch),
            epoch: String::from_utf8(epoch.into()).expect("JSON is UTF-8"),
            closing: ceremony
                .closing
                .as_ref()
                .map(|list| String::from_utf8(list.to_bytes().into()).expect("JSON is UTF-8")),
            confirmed: Vec::new(),
        };
        Self { file, epoch: ceremony.epoch.clone() }
    }

    /// Reads the file; `None` when nothing is pending.
    ///
    /// # Errors
    /// See [`PendingError`].
    pub fn load(path: &Path) -> Result<Option<Self>, PendingError> {
        let bytes = match fsutil::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        Self::parse(&bytes)
            .map(Some)
            .map_err(|reason| PendingError::Damaged { path: path.display().to_string(), reason })
    }

    /// Writes the file in one step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(&self.file).expect("it is plain data");
        fsutil::create_folder(path.parent().unwrap_or(Path::new(".")), Access::Private)?;
        fsutil::write(path, &bytes, Access::Private, Existing::Replace)
    }

    /// What replaces what.
    pub fn kind(&self) -> Kind {
        self.file.kind
    }

    /// The next epoch.
    pub fn epoch(&self) -> &Epoch {
        &self.epoch
    }

    /// Takes one sheet as read back; the same one again changes nothing. Gives whose it is.
    ///
    /// # Errors
    /// See [`NotConfirmed`]; nothing changes then.
    pub fn confirm(&mut self, origin: &str, text: &str, time: Timestamp) -> Result<&Custodian, NotConfirmed> {
        let share =
            UntrustedShare::parse(text).map_err(|fault| NotConfirmed::Fault { origin: origin.to_owned(), fault })?;
        if hex::encode(share.set().0) != self.epoch.share_set {
            let expected = grouped(&self.epoch.share_set);
            return Err(NotConfirmed::OtherSet { origin: origin.to_owned(), set: share.set().to_string(), expected });
        }
        let (index, digest) = (share.index(), share.digest());
        let known = self.epoch.custodians.iter().find(|known| known.share == index && known.sha256 == digest);
        let Some(custodian) = known else {
            return Err(NotConfirmed::Altered { origin: origin.to_owned(), index });
        };
        if !self.file.confirmed.iter().any(|confirmed| confirmed.sha256 == digest) {
            self.file.confirmed.push(Confirmed { sha256: digest, time });
        }
        Ok(custodian)
    }

    /// Whose sheets were read back, and when.
    pub fn confirmed(&self) -> Vec<(&Custodian, Timestamp)> {
        let time = |custodian: &Custodian| {
            self.file.confirmed.iter().find(|confirmed| confirmed.sha256 == custodian.sha256).map(|found| found.time)
        };
        self.epoch.custodians.iter().filter_map(|custodian| Some((custodian, time(custodian)?))).collect()
    }

    /// Whose sheets were not; nobody's when the sheets stay the same.
    pub fn missing(&self) -> Vec<&str> {
        if self.kind() == Kind::Signers {
            return Vec::new();
        }
        let confirmed = self.confirmed();
        let is_missing = |custodian: &&Custodian| !confirmed.iter().any(|(known, _)| known == custodian);
        self.epoch.custodians.iter().filter(is_missing).map(|custodian| custodian.name.as_str()).collect()
    }

    /// Puts the new set in force, which retires the old one: stores the epoch. Doing so again is no error. `host` may sign now, and
    /// so vouches for a new key to those who know the old one.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] while a sheet is missing, when the repository's newest epoch is not the one this
    /// follows, or when `host` may not sign for a new key; [`RepoError::Damaged`] when another epoch took its place;
    /// [`RepoError::Storage`].
    pub async fn switch(&self, repository: &Repository, trust: &Trust, host: &Signer) -> Result<(), RepoError> {
        let refused = |reason: String| RepoError::Untrusted { file: format!("epoch {}", self.epoch.number), reason };
        if let Some(missing) = self.missing().first() {
            return Err(refused(format!("the sheet of {missing} was not read back")));
        }
        let root = match self.kind() {
            Kind::Reshare | Kind::Signers => &trust.current().root,
            // A rehearsal's epoch is of another repository, and refused as such.
            Kind::Rotate | Kind::Rehearse => &self.epoch.root,
        };
        let current = trust.current();
        let is_same = current.share_set == self.epoch.share_set && current.custodians == self.epoch.custodians;
        if self.kind() == Kind::Signers && !is_same {
            return Err(refused("it changes the sheets, but no sheet was read back".to_owned()));
        }
        let next = SignedEpoch {
            bytes: self.file.epoch.as_bytes(),
            signature: &self.file.signature,
            closing: self.file.closing.as_deref().map(str::as_bytes),
            countersigner: Some(host),
        };
        repository.put_signed_epoch(next, root, trust).await
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let file: PendingFile = serde_json::from_slice(bytes).map_err(|_| "not a pending epoch".to_owned())?;
        if file.version != 1 {
            return Err(format!("this build does not know version {}", file.version));
        }
        let epoch: Epoch =
            serde_json::from_str(&file.epoch).map_err(|_| "the epoch in it does not parse".to_owned())?;
        verify(&epoch.root, Namespace::Epoch, file.epoch.as_bytes(), &file.signature)
            .map_err(|error| format!("the epoch in it is not signed by its root ({error})"))?;
        Ok(Self { file, epoch })
    }
}

/// `a1b2c3d4` as `A1B2-C3D4`.
fn grouped(set: &str) -> String {
    let upper = set.to_ascii_uppercase();
    match upper.split_at_checked(4) {
        Some((first, second)) => format!("{first}-{second}"),
        None => upper,
    }
}
