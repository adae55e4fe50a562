//! The names of a repository's files.

use jiff::Timestamp;

use crate::model::{Digest, SnapshotId};

pub(super) const IDENTITY: &str = "lifeboat.json";
pub(super) const EPOCHS: &str = "epochs";
pub(super) const PACKS: &str = "packs";
pub(super) const INDEXES: &str = "indexes";
pub(super) const LISTS: &str = "lists";
pub(super) const CONFIGS: &str = "configs";
/// Folders of files whose names are digests and which manifests name.
pub(super) const CONTENTS: [&str; 4] = [PACKS, LISTS, INDEXES, CONFIGS];
pub(super) const SNAPSHOTS: &str = "snapshots";
pub(super) const DRILLS: &str = "drills";
pub(super) const ATTESTATIONS: &str = "attestations";
pub(super) const FORGOTTEN: &str = "forgotten";
pub(super) const TURNS: &str = "turns";

/// What a repository brings along for the day this tool is not there.
pub(super) const GUIDES: [(&str, &str); 2] =
    [("RECOVER.md", include_str!("recover/RECOVER.md")), ("recover.py", include_str!("recover/recover.py"))];

/// Digests of what earlier releases brought along: a release that changes a guide adds the old one's.
const EARLIER_GUIDES: [&str; 0] = [];

/// Whether a release wrote this guide.
pub(super) fn is_known_guide(text: &str, bytes: &[u8]) -> bool {
    bytes == text.as_bytes() || EARLIER_GUIDES.contains(&Digest::of(bytes).to_string().as_str())
}

pub(super) fn epoch(number: u32) -> String {
    format!("{EPOCHS}/{number}.json")
}

/// The number of `epochs/<n>.json`, written without leading zeros.
pub(super) fn epoch_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix(EPOCHS)?.strip_prefix('/')?.strip_suffix(".json")?.parse().ok()?;
    (number > 0 && epoch(number) == name).then_some(number)
}

/// The name of a pack in its repository.
pub fn pack(digest: &Digest) -> String {
    let hex = digest.to_string();
    format!("{PACKS}/{}/{hex}.age", &hex[..2])
}

/// The digest of a pack by its name.
pub(super) fn pack_digest(name: &str) -> Option<Digest> {
    let digest = name.strip_prefix(PACKS)?.strip_prefix('/')?.get(3..)?.strip_suffix(".age")?.parse().ok()?;
    (pack(&digest) == name).then_some(digest)
}

pub(super) fn index(digest: &Digest) -> String {
    format!("{INDEXES}/{digest}.age")
}

pub(super) fn list(digest: &Digest) -> String {
    format!("{LISTS}/{digest}.json")
}

pub(super) fn config(digest: &Digest) -> String {
    format!("{CONFIGS}/{digest}.age")
}

/// `20261124T055042Z-1a2b3c4d`: when and which.
pub(super) fn stem(time: Timestamp, id: SnapshotId) -> String {
    format!("{}-{}", time.strftime("%Y%m%dT%H%M%SZ"), id.short())
}

/// `<folder>/<stem>.json`
pub(super) fn record(folder: &str, stem: &str) -> String {
    format!("{folder}/{stem}.json")
}

/// The stem of `<folder>/<stem>.json`; `None` for signatures and anything else.
pub(super) fn stem_of<'a>(folder: &str, name: &'a str) -> Option<&'a str> {
    let stem = name.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(".json")?;
    (!stem.contains('/')).then_some(stem)
}

/// `turns/<number>-<try>.json`
pub(super) fn turn(number: u64, attempt: u32) -> String {
    format!("{TURNS}/{number}-{attempt}.json")
}

/// The number of a turn.
pub(super) fn turn_number(name: &str) -> Option<u64> {
    let (number, attempt) = name.strip_prefix(TURNS)?.strip_prefix('/')?.strip_suffix(".json")?.split_once('-')?;
    let (number, attempt) = (number.parse().ok()?, attempt.parse().ok()?);
    (turn(number, attempt) == name).then_some(number)
}

pub(super) fn signature(name: &str) -> String {
    format!("{name}.sig")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_specified() {
        let digest = Digest::of(b"");
        assert_eq!(pack(&digest), format!("packs/e3/{digest}.age"));
        assert_eq!(pack_digest(&pack(&digest)), Some(digest));
        for other in [index(&digest), format!("packs/00/{digest}.age"), "packs/é".into()] {
            assert_eq!(pack_digest(&other), None, "{other}");
        }
        assert_eq!(index(&digest), format!("indexes/{digest}.age"));
        assert_eq!(list(&digest), format!("lists/{digest}.json"));
        assert_eq!(config(&digest), format!("configs/{digest}.age"));
        let stem = stem("2026-01-02T03:04:05.9Z".parse().unwrap(), SnapshotId::from_bytes([0xab; 16]));
        assert_eq!(stem, "20260102T030405Z-abababab");
        assert_eq!(stem_of(SNAPSHOTS, &record(SNAPSHOTS, &stem)), Some(&*stem));
        for other in ["snapshots/x.json.sig", "snapshots/a/x.json", "drills/x.json", "snapshots"] {
            assert_eq!(stem_of(SNAPSHOTS, other), None, "{other}");
        }
        assert_eq!(epoch_number(&epoch(12)), Some(12));
        for other in ["epochs/01.json", "epochs/0.json", "epochs/+1.json", "epochs/1.json.sig", "epochs/x.json"] {
            assert_eq!(epoch_number(other), None, "{other}");
        }
        assert_eq!(turn_number(&turn(12, 3)), Some(12));
        for other in
            ["turns/012-1.json", "turns/12.json", "turns/-1-1.json", "turns/1-1.json.sig", "snapshots/1-1.json"]
        {
            assert_eq!(turn_number(other), None, "{other}");
        }
    }
}
