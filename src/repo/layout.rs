//! The names of a repository's files.

use jiff::Timestamp;

use crate::model::{Digest, SnapshotId};

pub(super) const IDENTITY: &str = "lifeboat.json";
pub(super) const EPOCHS: &str = "epochs";
pub(super) const CLOSINGS: &str = "closings";
pub(super) const PACKS: &str = "packs";
pub(super) const INDEXES: &str = "indexes";
pub(super) const SNAPSHOTS: &str = "snapshots";
pub(super) const DRILLS: &str = "drills";
pub(super) const ATTESTATIONS: &str = "attestations";
pub(super) const FORGOTTEN: &str = "forgotten";
pub(super) const TURNS: &str = "turns";

/// What a repository brings along for the day this tool is not there.
pub(super) const GUIDES: [(&str, &str); 2] =
    [("RECOVER.md", include_str!("recover/RECOVER.md")), ("recover.py", include_str!("recover/recover.py"))];

/// Digests of what earlier releases brought along: a release that changes a guide adds the old one's.
const EARLIER_GUIDES: [&str; 2] = [
    // recover.py before snapshots could be forgotten.
    "660d01dded6bfe6822d84ad1d40023be545430c012eb79f41512955c62c315b6",
    // recover.py before rows could be typed without checks.
    "1aeade7c12e6b162f3930b09e3e20604d29dfdad2f7e25855a634c13364cbc1c",
];

/// Whether a release wrote this guide.
pub(super) fn is_known_guide(text: &str, bytes: &[u8]) -> bool {
    bytes == text.as_bytes() || EARLIER_GUIDES.contains(&Digest::of(bytes).to_string().as_str())
}

/// `epochs/<n>-<digest>.json`: named by its digest too, so that nobody can take the name of an epoch to come.
pub(super) fn epoch(number: u32, digest: &Digest) -> String {
    format!("{EPOCHS}/{number}-{digest}.json")
}

/// The number and digest in the name of an epoch, which has no leading zeros.
pub(super) fn epoch_parts(name: &str) -> Option<(u32, Digest)> {
    let (number, digest) = name.strip_prefix(EPOCHS)?.strip_prefix('/')?.strip_suffix(".json")?.split_once('-')?;
    let (number, digest) = (number.parse().ok()?, digest.parse().ok()?);
    (number > 0 && epoch(number, &digest) == name).then_some((number, digest))
}

/// `closings/<digest>.json`
pub(super) fn closing(digest: &Digest) -> String {
    format!("{CLOSINGS}/{digest}.json")
}

pub(super) fn countersignature(name: &str) -> String {
    format!("{name}.countersig")
}

/// The name of a pack in its repository.
pub fn pack(digest: &Digest) -> String {
    let hex = digest.to_string();
    format!("{PACKS}/{}/{hex}.age", &hex[..2])
}

pub(super) fn index(digest: &Digest) -> String {
    format!("{INDEXES}/{digest}.age")
}

/// `20261124T055042Z-1a2b3c4d`: when and which.
pub(super) fn stem(time: Timestamp, id: SnapshotId) -> String {
    format!("{}-{}", stem_time(time), id.short())
}

/// The front of a stem: names sort as their times do.
pub(super) fn stem_time(time: Timestamp) -> String {
    time.strftime("%Y%m%dT%H%M%SZ").to_string()
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
        assert_eq!(index(&digest), format!("indexes/{digest}.age"));
        let stem = stem("2026-01-02T03:04:05.9Z".parse().unwrap(), SnapshotId::from_bytes([0xab; 16]));
        assert_eq!(stem, "20260102T030405Z-abababab");
        assert_eq!(stem_of(SNAPSHOTS, &record(SNAPSHOTS, &stem)), Some(&*stem));
        for other in ["snapshots/x.json.sig", "snapshots/a/x.json", "drills/x.json", "snapshots"] {
            assert_eq!(stem_of(SNAPSHOTS, other), None, "{other}");
        }
        assert_eq!(epoch_parts(&epoch(12, &digest)), Some((12, digest)));
        for number in ["01", "0", "+1", "x", "", "1-1", "4294967296"] {
            assert_eq!(epoch_parts(&format!("epochs/{number}-{digest}.json")), None, "{number}");
        }
        for other in
            ["epochs/1.json".to_owned(), format!("{}.sig", epoch(1, &digest)), epoch(1, &digest).to_uppercase()]
        {
            assert_eq!(epoch_parts(&other), None, "{other}");
        }
        assert_eq!(turn_number(&turn(12, 3)), Some(12));
        for other in
            ["turns/012-1.json", "turns/12.json", "turns/-1-1.json", "turns/1-1.json.sig", "snapshots/1-1.json"]
        {
            assert_eq!(turn_number(other), None, "{other}");
        }
    }
}
