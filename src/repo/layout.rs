//! The names of a repository's files.

use std::fmt;

use jiff::Timestamp;

use crate::model::{Digest, SnapshotId};

pub(super) const IDENTITY: &str = "lifeboat.json";
pub(super) const EPOCHS: &str = "epochs";
pub(super) const CLOSINGS: &str = "closings";
pub(super) const PACKS: &str = "packs";
pub(super) const INDEXES: &str = "indexes";
pub(super) const LISTS: &str = "lists";
pub(super) const CONFIGS: &str = "configs";
/// Folders of files whose names are digests and which manifests name.
pub(super) const CONTENTS: [&str; 4] = [PACKS, LISTS, INDEXES, CONFIGS];
/// Folders that stay small: everything but contents, manifests and turns.
pub(super) const PUBLIC: [&str; 9] =
    [EPOCHS, CLOSINGS, DRILLS, SERVED, ATTESTATIONS, FORGOTTEN, RECORDS, BUNDLES, AUDIT];
pub(super) const SNAPSHOTS: &str = "snapshots";
pub(super) const DRILLS: &str = "drills";
pub(super) const SERVED: &str = "served";
pub(super) const ATTESTATIONS: &str = "attestations";
pub(super) const FORGOTTEN: &str = "forgotten";
pub(super) const RECORDS: &str = "records";
pub(super) const AUDIT: &str = "audit";
pub(super) const TURNS: &str = "turns";
pub(super) const BUNDLES: &str = "bundles";

/// The highest number of a snapshot: what every JSON reader can hold.
pub(super) const MOST_SNAPSHOTS: u64 = (1 << 53) - 1;
/// Snapshots whose manifests are in one folder.
pub(super) const FOLDER: u64 = 64;
/// Folders whose manifests are in one bundle.
pub(super) const BUNDLED: u64 = 4;
/// The most bytes of a signed file. A larger one is not read.
pub(super) const MOST_BYTES: u64 = 64 << 10;
/// The same of those that list many things: records of drills and of what was forgotten, and turns, which quote a manifest.
const MOST_BYTES_OF_LISTS: u64 = 16 << 20;

/// The same of the guides.
const MOST_BYTES_OF_GUIDES: u64 = 1 << 20;
/// The same of what is sealed or holds many files: a pack that nothing could be compressed in, and its headers.
const MOST_BYTES_SEALED: u64 = 80 << 20;

/// The most bytes of a file with this name, or in this folder.
pub(super) fn most_bytes(name: &str) -> u64 {
    match name.split('/').next() {
        Some(SERVED) if name.strip_suffix(".age").is_some() => MOST_BYTES_SEALED,
        Some(AUDIT) if name.strip_suffix(".zst").is_some() => MOST_BYTES_OF_LISTS,
        Some(SERVED | DRILLS | FORGOTTEN | TURNS | LISTS | CLOSINGS) => MOST_BYTES_OF_LISTS,
        Some(PACKS | INDEXES | CONFIGS | BUNDLES) => MOST_BYTES_SEALED,
        Some(name) if GUIDES.iter().any(|(guide, _)| *guide == name) => MOST_BYTES_OF_GUIDES,
        _ => MOST_BYTES,
    }
}

/// What a repository brings along for the day this tool is not there.
pub(super) const GUIDES: [(&str, &str); 2] =
    [("RECOVER.md", include_str!("recover/RECOVER.md")), ("recover.py", include_str!("recover/recover.py"))];

/// Digests of what earlier releases brought along: a release that changes a guide adds the old one's.
const EARLIER_GUIDES: [&str; 0] = [];

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

/// `served/<digest>.age`
pub(super) fn served_part(digest: &Digest) -> String {
    format!("{SERVED}/{digest}.age")
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
    is_stem(stem).then_some(stem)
}

/// Whether it has exactly the form of [`stem`]. A name of any other form has no meaning.
fn is_stem(text: &str) -> bool {
    const FORM: &[u8] = b"ddddddddTddddddZ-xxxxxxxx";
    let fits = |(form, byte): (&u8, u8)| match form {
        b'd' => byte.is_ascii_digit(),
        b'x' => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
        other => *other == byte,
    };
    text.len() == FORM.len() && FORM.iter().zip(text.bytes()).all(fits)
}

/// `snapshots/<f>/<stem>.json`: manifests are in folders of 64 numbers.
pub(super) fn manifest(sequence: u64, stem: &str) -> String {
    format!("{SNAPSHOTS}/{}/{stem}.json", sequence.saturating_sub(1) / FOLDER)
}

/// The stem of a manifest's name, in whatever folder of numbers.
pub(super) fn manifest_stem(name: &str) -> Option<&str> {
    let (folder, file) = name.strip_prefix(SNAPSHOTS)?.strip_prefix('/')?.split_once('/')?;
    let number: u64 = folder.parse().ok()?;
    let stem = file.strip_suffix(".json")?;
    (number.to_string() == folder && number <= MOST_SNAPSHOTS / FOLDER && is_stem(stem)).then_some(stem)
}

/// The name of what a signature signs; any other name as it is.
pub(super) fn unsigned(name: &str) -> &str {
    name.strip_suffix(SIGNATURE).unwrap_or(name)
}

/// The number of the folder that a manifest or its signature is in.
pub(super) fn manifest_folder(name: &str) -> Option<u64> {
    manifest_stem(unsigned(name))?;
    name.split('/').nth(1)?.parse().ok()
}

/// `snapshots/<f>`
pub(super) fn folder(number: u64) -> String {
    format!("{SNAPSHOTS}/{number}")
}

/// The number of `snapshots/<f>`.
pub(super) fn folder_number(name: &str) -> Option<u64> {
    let number = name.strip_prefix(SNAPSHOTS)?.strip_prefix('/')?.parse().ok()?;
    (folder(number) == name).then_some(number)
}

/// The name of a file that a bundle calls by its name below `snapshots/` or `forgotten/`; `None` when such a file is not in this
/// bundle.
pub(super) fn in_bundle(of: BundleOf, file: &str) -> Option<String> {
    let folder = if matches!(of, BundleOf::Forgotten(_)) { FORGOTTEN } else { SNAPSHOTS };
    let name = format!("{folder}/{file}");
    let is_in = match of {
        BundleOf::Folders(number) => manifest_folder(&name)? / BUNDLED == number,
        BundleOf::Kept => manifest_folder(&name).is_some(),
        BundleOf::Forgotten(month) => forgotten_month(&name)? == month,
    };
    (is_in && unsigned(&name) == name).then_some(name)
}

/// What a bundle is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum BundleOf {
    /// The manifests of four folders: from four times this number on.
    Folders(u64),
    /// The manifests of folders that have few left.
    Kept,
    /// The records of a month in `forgotten/`: its year and month as `yyyymm`.
    Forgotten(u32),
}

impl fmt::Display for BundleOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folders(number) => number.fmt(f),
            Self::Kept => f.write_str("kept"),
            Self::Forgotten(month) => write!(f, "forgotten-{month:06}"),
        }
    }
}

/// The month of a record in `forgotten/`, or of its signature, as `yyyymm`.
pub(super) fn forgotten_month(name: &str) -> Option<u32> {
    stem_of(FORGOTTEN, unsigned(name))?.get(..6)?.parse().ok()
}

/// `bundles/<b>-<digest>.zst`, `bundles/kept-<digest>.zst`, `bundles/forgotten-<yyyymm>-<digest>.zst`
pub(super) fn bundle(of: BundleOf, digest: &Digest) -> String {
    format!("{BUNDLES}/{of}-{digest}.zst")
}

/// What the name of a bundle says that it is of, and its digest.
pub(super) fn bundle_parts(name: &str) -> Option<(BundleOf, Digest)> {
    let (of, digest) = name.strip_prefix(BUNDLES)?.strip_prefix('/')?.strip_suffix(".zst")?.rsplit_once('-')?;
    let of = match (of, of.strip_prefix("forgotten-")) {
        ("kept", _) => BundleOf::Kept,
        (_, Some(month)) => BundleOf::Forgotten(month.parse().ok()?),
        (number, None) => BundleOf::Folders(number.parse().ok()?),
    };
    let digest = digest.parse().ok()?;
    (bundle(of, &digest) == name).then_some((of, digest))
}

/// `audit/<chain>/<f>/<number>.entry`: entries are in folders of 64 numbers.
pub(super) fn audit_entry(chain: &str, number: u64) -> String {
    format!("{AUDIT}/{chain}/{}/{number}.entry", number.saturating_sub(1) / FOLDER)
}

/// The chain and the number in the name of an entry.
pub(super) fn audit_parts(name: &str) -> Option<(&str, u64)> {
    let (chain, rest) = name.strip_prefix(AUDIT)?.strip_prefix('/')?.split_once('/')?;
    let number = rest.split_once('/')?.1.strip_suffix(".entry")?.parse().ok()?;
    (is_chain(chain) && number > 0 && audit_entry(chain, number) == name).then_some((chain, number))
}

/// `audit/<chain>/<f>-<digest>.zst`: the entries of a full folder in one file.
pub(super) fn audit_bundle(chain: &str, folder: u64, digest: &Digest) -> String {
    format!("{AUDIT}/{chain}/{folder}-{digest}.zst")
}

/// The chain, the folder and the digest in the name of a bundle of entries.
pub(super) fn audit_bundle_parts(name: &str) -> Option<(&str, u64, Digest)> {
    let (chain, file) = name.strip_prefix(AUDIT)?.strip_prefix('/')?.split_once('/')?;
    let (folder, digest) = file.strip_suffix(".zst")?.split_once('-')?;
    let (folder, digest) = (folder.parse().ok()?, digest.parse().ok()?);
    (is_chain(chain) && audit_bundle(chain, folder, &digest) == name).then_some((chain, folder, digest))
}

/// Whether it has the form of the name of a chain: 16 lowercase hex digits.
fn is_chain(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// Whether some file of a repository may have this name (docs/format.md, "Files"). A name of any other form has no meaning.
pub(super) fn is_known(name: &str) -> bool {
    let is_digest = |text: &str| text.parse::<Digest>().is_ok_and(|digest| digest.to_string() == text);
    let Some((folder, file)) = name.split_once('/') else {
        return name == IDENTITY || GUIDES.iter().any(|(guide, _)| *guide == name);
    };
    let bare = file.strip_suffix(SIGNATURE).unwrap_or(file);
    let content = |ending: &str| file.strip_suffix(ending).is_some_and(is_digest);
    match folder {
        EPOCHS => {
            epoch_parts(name.strip_suffix(SIGNATURE).or_else(|| name.strip_suffix(".countersig")).unwrap_or(name))
                .is_some()
        }
        SNAPSHOTS => manifest_stem(unsigned(name)).is_some(),
        DRILLS | ATTESTATIONS | FORGOTTEN | RECORDS => bare.strip_suffix(".json").is_some_and(is_stem),
        SERVED => bare.strip_suffix(".json").is_some_and(is_stem) || content(".age"),
        PACKS => pack_digest(name).is_some(),
        CLOSINGS | "lists" => content(".json"),
        INDEXES | "configs" => content(".age"),
        TURNS => turn_number(name).is_some(),
        BUNDLES => bundle_parts(name).is_some(),
        AUDIT => audit_parts(name).is_some() || audit_bundle_parts(name).is_some(),
        _ => false,
    }
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

/// What the name of a signature ends with.
pub(super) const SIGNATURE: &str = ".sig";

pub(super) fn signature(name: &str) -> String {
    format!("{name}{SIGNATURE}")
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
        assert_eq!(stem_of(DRILLS, &record(DRILLS, &stem)), Some(&*stem));
        for other in
            ["x.json", "a/x.json", &format!("{stem}.json.sig"), &format!("a/{stem}.json"), &format!("{stem}x.json")]
        {
            assert_eq!(stem_of(DRILLS, &format!("drills/{other}")), None, "{other}");
        }
        for (number, folder) in [(1, "0"), (64, "0"), (65, "1"), (MOST_SNAPSHOTS, "140737488355327")] {
            assert_eq!(manifest(number, &stem), format!("snapshots/{folder}/{stem}.json"));
            assert_eq!(manifest_stem(&manifest(number, &stem)), Some(&*stem));
        }
        for folder in ["", "00", "+1", "-1", "x", "140737488355328", "18446744073709551616", "0/0"] {
            assert_eq!(manifest_stem(&format!("snapshots/{folder}/{stem}.json")), None, "{folder}");
        }
        for other in ["20260102T030405Z-ABABABAB", "20260102t030405Z-abababab", "20260102T030405Z-ababababa", "é", "a~"]
        {
            assert!(!is_stem(other), "{other}");
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
        let chain = "00112233445566ff";
        for (number, folder) in [(1, 0), (64, 0), (65, 1)] {
            assert_eq!(audit_entry(chain, number), format!("audit/{chain}/{folder}/{number}.entry"));
            assert_eq!(audit_parts(&audit_entry(chain, number)), Some((chain, number)));
        }
        for of in [BundleOf::Folders(12), BundleOf::Kept, BundleOf::Forgotten(202_611)] {
            assert_eq!(bundle_parts(&bundle(of, &digest)), Some((of, digest)));
            assert!(is_known(&bundle(of, &digest)));
        }
        for of in ["012", "", "-1", "keep", "forgotten", "forgotten-2611", "forgotten-+02611", "kept-1"] {
            assert!(!is_known(&format!("bundles/{of}-{digest}.zst")), "{of}");
        }
        assert_eq!(audit_bundle_parts(&audit_bundle(chain, 7, &digest)), Some((chain, 7, digest)));
        for other in ["audit/x/0/1.entry", "audit/00112233445566ff/1/1.entry", "audit/00112233445566FF/0/1.entry"] {
            assert!(!is_known(other) && audit_parts(other).is_none(), "{other}");
        }
        assert_eq!(turn_number(&turn(12, 3)), Some(12));
        for other in
            ["turns/012-1.json", "turns/12.json", "turns/-1-1.json", "turns/1-1.json.sig", "snapshots/1-1.json"]
        {
            assert_eq!(turn_number(other), None, "{other}");
        }
    }
}
