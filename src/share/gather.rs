//! Shares on their way to a quorum, each judged on arrival.

use super::{
    NoQuorum, Quorum, Register, ShareFault, UntrustedShare,
    bytes::Common,
    quorum::{self, Taken},
};

/// Why a well-formed share is not taken. Texts name the sheet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Not readable as a share.
    #[error("{origin} {fault}")]
    Fault {
        /// Where it came from, such as a file name.
        origin: String,
        /// What is wrong.
        fault: ShareFault,
    },
    /// Another company's, or another repository's.
    #[error("{origin} belongs to another key (share set {set}), not to this repository")]
    Foreign {
        /// Where it came from.
        origin: String,
        /// Its set.
        set: String,
    },
    /// A set that a later one replaced, while a current one is being gathered.
    #[error("{origin} (sheet {index}{}) is retired: it belongs to epoch {epoch}", held_by(.holder.as_deref()))]
    Retired {
        /// Where it came from.
        origin: String,
        /// The share's index.
        index: u8,
        /// The custodian, when known.
        holder: Option<String>,
        /// The retired epoch.
        epoch: u32,
    },
    /// The same sheet again.
    #[error("{origin} repeats sheet {index}{}", held_by(.holder.as_deref()))]
    Duplicate {
        /// Where it came from.
        origin: String,
        /// The share's index.
        index: u8,
        /// The custodian, when known.
        holder: Option<String>,
    },
    /// Its checksum is right but it is not the share that was made: forged, or its set or threshold contradicts the
    /// others.
    #[error("{origin} (sheet {index}{}) is not the sheet that was made: {reason}", held_by(.holder.as_deref()))]
    Forged {
        /// Where it came from.
        origin: String,
        /// The share's index.
        index: u8,
        /// The custodian, when known.
        holder: Option<String>,
        /// What contradicts.
        reason: String,
    },
}

/// Where a gathering stands, by custodian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Sheets needed; `None` until the first share is taken and no register is known.
    pub threshold: Option<u8>,
    /// Who is here (names, or `sheet 3`).
    pub present: Vec<String>,
    /// Who else could come.
    pub missing: Vec<String>,
}

/// Shares on their way to a quorum.
pub struct Gathering {
    registers: Vec<Register>,
    takes_newer: bool,
    taken: Vec<Taken>,
}

impl Gathering {
    /// Starts with what is publicly known; an empty list accepts any one set (nothing but the shares is there).
    ///
    /// Shares of a retired register are taken only when every given register is retired: the caller means to open
    /// what an old key sealed.
    pub fn new(registers: Vec<Register>) -> Self {
        Self { registers, takes_newer: false, taken: Vec::new() }
    }

    /// Takes a set of a known key that no register names: for a copy that may be older than the sheets. Who has the newest
    /// registers does not: there such a set is not in force, or was given up.
    #[must_use]
    pub fn taking_newer(mut self) -> Self {
        self.takes_newer = true;
        self
    }

    /// Judges one presented text at once.
    ///
    /// # Errors
    /// See [`Rejection`]; a rejected share changes nothing.
    pub fn add(&mut self, origin: &str, text: &str) -> Result<Progress, Rejection> {
        let share =
            UntrustedShare::parse(text).map_err(|fault| Rejection::Fault { origin: origin.to_owned(), fault })?;
        self.judge_by_register(origin, &share)?;
        self.judge_by_others(origin, &share)?;
        let name = self.name(&share);
        self.taken.push(Taken { share, name });
        Ok(self.progress())
    }

    /// Where it stands.
    pub fn progress(&self) -> Progress {
        let present: Vec<String> = self.taken.iter().map(|taken| taken.name.clone()).collect();
        let here = |index: u8| self.taken.iter().any(|taken| taken.share.index() == index);
        match (self.register(), self.taken.first()) {
            (Some(register), _) => Progress {
                threshold: Some(register.threshold),
                present,
                missing: register
                    .holders
                    .iter()
                    .filter(|holder| !here(holder.index))
                    .map(|holder| holder.name.clone())
                    .collect(),
            },
            (None, Some(first)) => {
                let (threshold, total) = first.share.threshold();
                let missing = (1..=total).filter(|&index| !here(index)).map(sheet).collect();
                Progress { threshold: Some(threshold), present, missing }
            }
            (None, None) => Progress { threshold: None, present, missing: Vec::new() },
        }
    }

    /// The share set that is gathered, where no register names it though its key is known: it is newer than the registers, or
    /// was given up.
    pub fn unregistered(&self) -> Option<String> {
        let first = self.taken.first().filter(|_| !self.registers.is_empty())?;
        self.register_of(&first.share).is_none().then(|| first.share.set().to_string())
    }

    /// The quorum, once enough shares are here.
    ///
    /// # Errors
    /// [`NoQuorum::TooFew`].
    pub fn quorum(self) -> Result<Quorum, NoQuorum> {
        let epoch = self.register().map(|register| register.epoch);
        let need = self.progress().threshold.map_or(0, usize::from);
        quorum::complete(self.taken, need, epoch)
    }

    /// The register in force: that of the shares taken, before the first one the newest that counts.
    fn register(&self) -> Option<&Register> {
        match self.taken.first() {
            Some(taken) => self.register_of(&taken.share),
            None => self.registers.iter().filter(|register| self.counts(register)).max_by_key(|known| known.epoch),
        }
    }

    fn register_of(&self, share: &UntrustedShare) -> Option<&Register> {
        self.registers.iter().find(|register| register.set == share.set())
    }

    fn counts(&self, register: &Register) -> bool {
        register.retired.is_none() || self.registers.iter().all(|known| known.retired.is_some())
    }

    fn judge_by_register(&self, origin: &str, share: &UntrustedShare) -> Result<(), Rejection> {
        if self.registers.is_empty() {
            return Ok(());
        }
        let Some(register) = self.register_of(share) else {
            let same_key = self.registers.iter().any(|register| register.fingerprint == share.fingerprint());
            // Of this key: the copy is older than the reshare that made it, or the set was given up. The others must be of it too.
            let reason = format!("its share set {} is not registered", share.set());
            return match (same_key, self.takes_newer) {
                (true, true) => Ok(()),
                (true, false) => Err(self.forged(origin, share, reason)),
                (false, _) => Err(foreign(origin, share)),
            };
        };
        if let Some(reason) = contradiction(register, share) {
            return Err(self.forged(origin, share, reason));
        }
        if self.counts(register) {
            return Ok(());
        }
        Err(Rejection::Retired {
            origin: origin.to_owned(),
            index: share.index(),
            holder: self.holder(share),
            epoch: register.epoch,
        })
    }

    fn judge_by_others(&self, origin: &str, share: &UntrustedShare) -> Result<(), Rejection> {
        let Some(first) = self.taken.first() else { return Ok(()) };
        let (first, own) = (first.share.bytes().common(), share.bytes().common());
        if own.set != first.set && own.fingerprint != first.fingerprint {
            return Err(foreign(origin, share));
        }
        if let Some(reason) = difference(&first, &own) {
            return Err(self.forged(origin, share, reason));
        }
        match self.taken.iter().find(|taken| taken.share.index() == share.index()) {
            None => Ok(()),
            Some(same) if same.share.digest() == share.digest() => Err(Rejection::Duplicate {
                origin: origin.to_owned(),
                index: share.index(),
                holder: self.holder(share),
            }),
            Some(_) => Err(self.forged(origin, share, "another sheet with this number has other content".into())),
        }
    }

    fn forged(&self, origin: &str, share: &UntrustedShare, reason: String) -> Rejection {
        Rejection::Forged { origin: origin.to_owned(), index: share.index(), holder: self.holder(share), reason }
    }

    fn holder(&self, share: &UntrustedShare) -> Option<String> {
        self.register_of(share)?.holder(share.index()).map(|holder| holder.name.clone())
    }

    fn name(&self, share: &UntrustedShare) -> String {
        self.holder(share).unwrap_or_else(|| sheet(share.index()))
    }
}

/// How a share contradicts the register of its own set.
fn contradiction(register: &Register, share: &UntrustedShare) -> Option<String> {
    let common = Common {
        threshold: register.threshold,
        total: register.total,
        set: register.set,
        fingerprint: register.fingerprint,
    };
    if let Some(reason) = difference(&common, &share.bytes().common()) {
        return Some(reason);
    }
    match register.holder(share.index()) {
        None => Some("the register has no sheet with this number".into()),
        Some(holder) if holder.digest != share.digest() => Some("its digest is not the one in the register".into()),
        Some(_) => None,
    }
}

/// What two parts of one set disagree on.
fn difference(known: &Common, own: &Common) -> Option<String> {
    if own.set != known.set {
        return Some(format!("it belongs to share set {}, the others to {}", own.set, known.set));
    }
    if own.fingerprint != known.fingerprint {
        return Some(format!("it names the key {}, not {}", own.fingerprint, known.fingerprint));
    }
    if (own.threshold, own.total) != (known.threshold, known.total) {
        return Some(format!(
            "it shows {} of {}, not {} of {}",
            own.threshold, own.total, known.threshold, known.total
        ));
    }
    None
}

fn foreign(origin: &str, share: &UntrustedShare) -> Rejection {
    Rejection::Foreign { origin: origin.to_owned(), set: share.set().to_string() }
}

fn sheet(index: u8) -> String {
    format!("sheet {index}")
}

fn held_by(holder: Option<&str>) -> String {
    holder.map(|name| format!(", held by {name}")).unwrap_or_default()
}
