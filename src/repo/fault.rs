//! What is wrong with a file or with the history, how bad that is, and what a person accepted of it.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::text;

/// What is wrong with one file or with the history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The file, relative to the repository.
    pub file: String,
    /// What kind.
    pub kind: FaultKind,
    /// One sentence's worth of detail.
    pub detail: String,
    /// The number in the chain that it is about.
    #[serde(skip)]
    pub(super) number: Option<u64>,
}

/// Kinds of faults; their names are stable in `--json` and in `--accept-fault`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A file that is referred to is not there.
    Missing,
    /// The content is not what its name or the manifest says.
    Damaged,
    /// A reference that leads to no value or to another one.
    Dangling,
    /// A manifest or epoch without a signature.
    Unsigned,
    /// A signature that does not match, or of a key that may not sign.
    Untrusted,
    /// A genuine manifest or record under another name than its own.
    Renamed,
    /// A sequence number is missing: a snapshot was removed.
    Gap,
    /// Two manifests with one sequence number, or a previous digest that does not match.
    Fork,
    /// The newest snapshots that somebody remembers are gone.
    RolledBack,
    /// A snapshot by a host that did not know the newest epoch.
    Late,
    /// A newer key is in force: what is believed here is what an old configuration or old sheets say.
    Superseded,
    /// A signed record of a kind this build does not know forbids something.
    Halted,
    /// A file that claims to mean something and has no effect.
    Junk,
    /// A name that no file of a repository has.
    Unknown,
}

/// How bad something is; the worst decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something is late, incomplete or due.
    Attention,
    /// The history was tampered with.
    Refused,
    /// Files are damaged or missing.
    Damaged,
}

/// A fault that a person accepted by its file and kind, as `FILE:KIND`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AcceptedFault {
    file: String,
    kind: FaultKind,
}

/// A text that names no fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected FILE:KIND as it is printed, such as snapshots/0/20261124T055042Z-1a2b3c4d.json:damaged")]
pub struct NoFault;

impl Fault {
    /// A fault of `file`.
    pub fn new(file: &str, kind: FaultKind, detail: impl Into<String>) -> Self {
        Self { file: file.to_owned(), kind, detail: detail.into(), number: None }
    }

    pub(super) fn about(self, number: u64) -> Self {
        Self { number: Some(number), ..self }
    }

    /// How bad it is; `None`: it changes nothing.
    pub fn severity(&self) -> Option<Severity> {
        self.kind.severity()
    }

    /// The worst of several.
    pub fn worst<'a>(faults: impl IntoIterator<Item = &'a Self>) -> Option<Severity> {
        faults.into_iter().filter_map(Self::severity).max()
    }

    /// What accepts it.
    pub fn accepted(&self) -> AcceptedFault {
        AcceptedFault { file: text::line(&self.file).into_owned(), kind: self.kind }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", text::line(&self.file), self.kind, text::line(&self.detail))
    }
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::Missing,
        Self::Damaged,
        Self::Dangling,
        Self::Unsigned,
        Self::Untrusted,
        Self::Renamed,
        Self::Gap,
        Self::Fork,
        Self::RolledBack,
        Self::Late,
        Self::Superseded,
        Self::Halted,
        Self::Junk,
        Self::Unknown,
    ];

    /// How bad it is (docs/format.md, "What a fault means"): the one table that every command uses.
    pub fn severity(self) -> Option<Severity> {
        match self {
            Self::Missing | Self::Damaged | Self::Dangling => Some(Severity::Damaged),
            Self::Unsigned
            | Self::Untrusted
            | Self::Renamed
            | Self::Gap
            | Self::Fork
            | Self::RolledBack
            | Self::Superseded => Some(Severity::Refused),
            Self::Late | Self::Halted => Some(Severity::Attention),
            Self::Junk | Self::Unknown => None,
        }
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::Dangling => "dangling",
            Self::Unsigned => "unsigned",
            Self::Untrusted => "untrusted",
            Self::Renamed => "renamed",
            Self::Gap => "gap",
            Self::Fork => "fork",
            Self::RolledBack => "rolled_back",
            Self::Late => "late",
            Self::Superseded => "superseded",
            Self::Halted => "halted",
            Self::Junk => "junk",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl AcceptedFault {
    /// Whether it lets this fault through.
    pub fn accepts(&self, fault: &Fault) -> bool {
        self.kind == fault.kind && (self.file == fault.file || self.file == text::line(&fault.file))
    }

    /// As one word of a shell.
    pub fn quoted(&self) -> String {
        text::shell(&self.to_string()).into_owned()
    }
}

impl fmt::Display for AcceptedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.kind)
    }
}

impl FromStr for AcceptedFault {
    type Err = NoFault;

    fn from_str(text: &str) -> Result<Self, NoFault> {
        let (file, kind) = text.rsplit_once(':').ok_or(NoFault)?;
        let kind = FaultKind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or(NoFault)?;
        if file.is_empty() { Err(NoFault) } else { Ok(Self { file: file.to_owned(), kind }) }
    }
}

impl Serialize for AcceptedFault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AcceptedFault {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_accepts() {
        for kind in FaultKind::ALL {
            for file in ["snapshots", "snapshots/0/20260101T000000Z-00000000.json", "snapshots/it's: é\u{202e}.json"] {
                let fault = Fault::new(file, kind, "x");
                let accepted: AcceptedFault = fault.accepted().to_string().parse().unwrap();
                assert!(accepted.accepts(&fault), "{accepted}");
                assert!(!accepted.accepts(&Fault::new("other", kind, "x")));
                let other = FaultKind::ALL.into_iter().find(|other| *other != kind).unwrap();
                assert!(!accepted.accepts(&Fault::new(file, other, "x")));
            }
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for text in ["", "x", ":damaged", "x:bad", "x:Damaged"] {
            assert_eq!(text.parse::<AcceptedFault>(), Err(NoFault), "{text}");
        }
        assert_eq!(Fault::new("it's", FaultKind::Gap, "").accepted().quoted(), r"'it'\''s:gap'");
    }

    #[test]
    fn the_table_is_the_specification_s() {
        let spec = include_str!("../../docs/format.md");
        for kind in FaultKind::ALL.into_iter().filter(|kind| *kind != FaultKind::Halted) {
            let line =
                spec.lines().find(|line| line.starts_with("| `") && line.contains(&format!("`{kind}`"))).unwrap();
            let expected = match kind.severity() {
                None => "| none |",
                Some(Severity::Attention) => "| attention (3) |",
                Some(Severity::Refused) => "| tampering (4) |",
                Some(Severity::Damaged) => "| damage (6) |",
            };
            assert!(line.ends_with(expected), "{kind}: {line}");
        }
    }
}
