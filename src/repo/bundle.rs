//! Bundles: many signed files in one, so that a reader without memory asks once instead of hundreds of times.
//!
//! A bundle proves nothing: what it says is judged like the files themselves, and only what the folders list counts. There are
//! three kinds. One of four folders of manifests is made when these have 16, 32, 64, 128 and 256 snapshots: together they are twice
//! as large as the last one, and what the newest lacks is read file by file. Retention leaves few manifests in each of many
//! folders: these are in one, and so are the records of a month that order it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Read as _,
};

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;

use super::{
    RepoError, Repository,
    content::{self, SignedFile},
    layout::{self, BundleOf},
    sweep::SweepReport,
};
use crate::{
    cores,
    model::Digest,
    storage::{Entry, StorageError},
};

/// A bundle's content, in bytes: 256 manifests of the largest size, and their signatures.
const MOST: u64 = 32 << 20;
/// Files of one name but for the digest that are tried, the largest first: others are earlier ones, or junk that somebody put there.
const TRIED: usize = 4;
/// Bundles that are read and opened at the same time.
const AT_ONCE: usize = 4;
/// Manifests that are sooner read one by one.
const FEW: usize = 8;
/// The same of the records of a month. There are as many of these requests as months, so they are fewer.
const FEW_RECORDS: usize = 2;
/// Months whose records may not all be in their bundle.
const RECENT: usize = 2;
/// Snapshots of its folders that a bundle is made after, the first time.
const FIRST: u64 = 16;
/// Snapshots of its folders.
const WHOLE: u64 = layout::FOLDER * layout::BUNDLED;
const LEVEL: i32 = 3;

/// The files of a bundle by their name in the repository.
pub(super) type Files = HashMap<String, Bytes>;

/// A bundle as it is listed.
struct Listed {
    digest: Digest,
    name: String,
    size: u64,
    modified: Timestamp,
}

/// What is left of bundles that were removed.
#[derive(Default)]
pub(super) struct Removed {
    /// Those of folders, by their number.
    numbers: BTreeSet<u64>,
    /// What those of kept manifests held.
    kept: Files,
}

impl Repository {
    /// Makes the bundles that are due after the snapshots from the number after `before` to `last`. What fails is made up for when
    /// the next one is due.
    ///
    /// # Errors
    /// [`RepoError::Storage`].
    pub async fn bundle_after(&self, before: u64, last: u64) -> Result<(), RepoError> {
        for number in due(before, last) {
            self.put_folders(number).await?;
        }
        Ok(())
    }

    /// Puts the manifests of four folders, as they are now, into one file; what is in it is for readers to judge.
    async fn put_folders(&self, number: u64) -> Result<(), RepoError> {
        let entries = self.folders_of(number).await?;
        let bundled = self.bundled(&entries).await?;
        self.put_bundle(BundleOf::Folders(number), &self.signed_of(entries, &bundled, &mut Vec::new()).await?)
            .await
            .map(drop)
    }

    async fn put_bundle(&self, of: BundleOf, files: &[SignedFile]) -> Result<String, RepoError> {
        let bytes = make(of, files);
        let name = layout::bundle(of, &Digest::of(&bytes));
        self.put_same(&name, bytes).await?;
        Ok(name)
    }

    async fn folders_of(&self, number: u64) -> Result<Vec<Entry>, RepoError> {
        let mut entries = Vec::new();
        for folder in number * layout::BUNDLED..(number + 1) * layout::BUNDLED {
            entries.extend(self.storage.list(&layout::folder(folder)).await?);
        }
        Ok(entries)
    }

    /// The bundles of each kind, the largest first.
    async fn listed_bundles(&self) -> Result<BTreeMap<BundleOf, Vec<Listed>>, RepoError> {
        let mut found: BTreeMap<BundleOf, Vec<Listed>> = BTreeMap::new();
        for Entry { name, size, modified, .. } in self.storage.list(layout::BUNDLES).await? {
            if let Some((of, digest)) = layout::bundle_parts(&name).filter(|_| size <= MOST) {
                found.entry(of).or_default().push(Listed { digest, name, size, modified });
            }
        }
        for (of, bundles) in &mut found {
            match of {
                // What is kept changes, and the largest may be an old one that the storage does not let go.
                BundleOf::Kept => bundles.sort_by_key(|listed| std::cmp::Reverse(listed.modified)),
                BundleOf::Folders(_) | BundleOf::Forgotten(_) => {
                    bundles.sort_by_key(|listed| std::cmp::Reverse(listed.size));
                }
            }
        }
        Ok(found)
    }

    /// The digests and names of every bundle.
    pub(super) async fn bundles(&self) -> Result<Vec<(Digest, String)>, RepoError> {
        let found = self.listed_bundles().await?;
        Ok(found.into_values().flatten().map(|listed| (listed.digest, listed.name)).collect())
    }

    /// The files of a bundle; `None` when it is gone, or none.
    async fn open_bundle(&self, of: BundleOf, listed: &Listed) -> Result<Option<Files>, RepoError> {
        let bytes = match self.storage.get_at_most(&listed.name, layout::most_bytes(&listed.name)).await {
            Err(StorageError::NotFound { .. } | StorageError::Unfit { .. }) => return Ok(None),
            other => other?,
        };
        let digest = listed.digest;
        Ok(cores::aside(move || open(&bytes, of, &digest)).await)
    }

    /// Of the manifests that folders list, those that bundles hold with the same size.
    pub(super) async fn bundled(&self, entries: &[Entry]) -> Result<Files, RepoError> {
        self.held(manifests(entries)).await
    }

    /// Of the records that a listing of `forgotten/` has, those that bundles hold with the same size, and the stems and entries of
    /// `fresh` that are in none.
    pub(super) async fn bundled_records(
        &self,
        listing: &[Entry],
        fresh: Vec<(String, Entry)>,
    ) -> Result<(Vec<SignedFile>, Vec<(String, Entry)>), RepoError> {
        let mut wanted = Wanted::new();
        let sizes: HashMap<&str, u64> = listing.iter().map(|entry| (entry.name.as_str(), entry.size)).collect();
        for (_, entry) in &fresh {
            let signature = layout::signature(&entry.name);
            if let (Some(month), Some(size)) =
                (layout::forgotten_month(&entry.name), sizes.get_key_value(signature.as_str()))
            {
                wanted
                    .entry(BundleOf::Forgotten(month))
                    .or_default()
                    .extend([(&*entry.name, entry.size), (size.0, *size.1)]);
            }
        }
        let held = self.held(wanted).await?;
        let (mut files, mut unread) = (Vec::new(), Vec::new());
        for (stem, entry) in fresh {
            match from_bundle(&held, &stem, &entry) {
                Some(file) => files.push(file),
                None => unread.push((stem, entry)),
            }
        }
        Ok((files, unread))
    }

    /// What bundles hold of files that are wanted, where these are more than a few.
    async fn held(&self, mut wanted: Wanted<'_>) -> Result<Files, RepoError> {
        wanted.retain(|of, listed| listed.len() > 2 * few(*of));
        let mut files = Files::new();
        if wanted.is_empty() {
            return Ok(files);
        }
        let bundles = self.listed_bundles().await?;
        let found = wanted.into_iter().map(|(of, listed)| {
            let bundles = bundles.get(&of).map_or(&[][..], Vec::as_slice);
            self.first_held(of, listed, bundles)
        });
        // Ten years of records are 120 of them.
        let mut found = stream::iter(found).buffer_unordered(AT_ONCE);
        while let Some(some) = found.try_next().await? {
            files.extend(some);
        }
        Ok(files)
    }

    /// What the first bundle that holds something of these files holds of them: the next one is an earlier one of the same files.
    async fn first_held(
        &self,
        of: BundleOf,
        wanted: HashMap<&str, u64>,
        bundles: &[Listed],
    ) -> Result<Files, RepoError> {
        for bundle in bundles.iter().take(TRIED) {
            let mut held = self.open_bundle(of, bundle).await?.unwrap_or_default();
            held.retain(|name, bytes| wanted.get(name.as_str()) == Some(&(bytes.len() as u64)));
            if !held.is_empty() {
                return Ok(held);
            }
        }
        Ok(Files::new())
    }

    /// Removes the bundles that may name one of these snapshots, before its manifest goes: what a bundle holds would stay otherwise.
    pub(super) async fn remove_bundles_of(
        &self,
        sequences: impl Iterator<Item = u64>,
        report: &mut SweepReport,
    ) -> Result<Removed, RepoError> {
        let mut removed = Removed { numbers: sequences.map(number_of).collect(), kept: Files::new() };
        if removed.numbers.is_empty() {
            return Ok(removed);
        }
        for (of, bundles) in self.listed_bundles().await? {
            let names_one = match of {
                BundleOf::Folders(number) => removed.numbers.contains(&number),
                BundleOf::Kept => true,
                BundleOf::Forgotten(_) => false,
            };
            for listed in bundles.into_iter().filter(|_| names_one) {
                if of == BundleOf::Kept {
                    removed.kept.extend(self.open_bundle(of, &listed).await?.unwrap_or_default());
                }
                report.files += u64::from(self.remove(&listed.name, report).await?);
            }
        }
        Ok(removed)
    }

    /// Makes bundles anew of what stays after a removal, where there is enough for one, and of the records.
    pub(super) async fn put_bundles_again(&self, removed: Removed) -> Result<(), RepoError> {
        for number in removed.numbers {
            if self.folders_of(number).await?.len() > 2 * FEW {
                self.put_folders(number).await?;
            }
        }
        self.put_kept(removed.kept).await?;
        self.put_forgotten().await
    }

    /// Puts the manifests of folders that have few left into one file, unless there is one that lacks few of them. `known` may hold
    /// some.
    async fn put_kept(&self, known: Files) -> Result<(), RepoError> {
        let entries = self.storage.list(layout::SNAPSHOTS).await?;
        let wanted = manifests(&entries).remove(&BundleOf::Kept).unwrap_or_default();
        let kept: Vec<Entry> = entries.iter().filter(|entry| wanted.contains_key(&*entry.name)).cloned().collect();
        let mut held = self.bundled(&kept).await?;
        if kept.len() - held.len() <= 2 * FEW {
            return Ok(());
        }
        held.extend(known);
        let mut files = self.signed_of(kept, &held, &mut Vec::new()).await?;
        files.sort_by(|a, b| a.stem.cmp(&b.stem));
        self.put_bundle(BundleOf::Kept, &files).await.map(drop)
    }

    /// Puts the records of each month into one file, unless there is one that lacks few of them. Smaller ones of the same month go.
    async fn put_forgotten(&self) -> Result<(), RepoError> {
        let listing = self.storage.list(layout::FORGOTTEN).await?;
        let mut months: BTreeMap<u32, Vec<(String, Entry)>> = BTreeMap::new();
        for entry in &listing {
            if let (Some(month), Some(stem)) =
                (layout::forgotten_month(&entry.name), layout::stem_of(layout::FORGOTTEN, &entry.name))
            {
                months.entry(month).or_default().push((stem.to_owned(), entry.clone()));
            }
        }
        months.retain(|_, records| records.len() > FEW_RECORDS);
        let bundles = self.listed_bundles().await?;
        for (age, (month, records)) in months.into_iter().rev().enumerate() {
            let of = BundleOf::Forgotten(month);
            let there = bundles.get(&of).map_or(&[][..], Vec::as_slice);
            // Nothing comes to a month that is long over.
            if age >= RECENT && there.len() == 1 {
                continue;
            }
            let (mut files, unread) = self.bundled_records(&listing, records).await?;
            let stays = if unread.len() <= FEW_RECORDS {
                there.first().map(|listed| listed.name.clone())
            } else {
                files.extend(self.read_signed(unread, &mut Vec::new()).await?);
                files.sort_by(|a, b| a.stem.cmp(&b.stem));
                Some(self.put_bundle(of, &files).await?)
            };
            // Earlier ones, which copies have too.
            for Listed { name, .. } in there.iter().filter(|listed| Some(&listed.name) != stays.as_ref()) {
                match self.storage.remove(name).await {
                    Ok(()) | Err(StorageError::Refused { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }
}

/// A listed file as bundles hold it, with its signature.
pub(super) fn from_bundle(held: &Files, stem: &str, Entry { name, modified, .. }: &Entry) -> Option<SignedFile> {
    let (bytes, signature) = (held.get(name)?, held.get(&layout::signature(name))?);
    let signature = content::armored(signature.clone());
    let file = SignedFile::new(name.clone(), stem.to_owned(), bytes.clone(), Some(signature));
    Some(SignedFile { modified: *modified, ..file })
}

/// Files that are wanted of bundles, and their sizes.
type Wanted<'e> = BTreeMap<BundleOf, HashMap<&'e str, u64>>;

/// Manifests, and their signatures, by the bundles that they may be in.
fn manifests(entries: &[Entry]) -> Wanted<'_> {
    let mut wanted = Wanted::new();
    for entry in entries {
        if let Some(folder) = layout::manifest_folder(&entry.name) {
            let of = BundleOf::Folders(folder / layout::BUNDLED);
            wanted.entry(of).or_default().insert(&entry.name, entry.size);
        }
    }
    let mut kept = HashMap::new();
    wanted.retain(|_, listed| {
        let is_enough = listed.len() > 2 * FEW;
        if !is_enough {
            kept.extend(std::mem::take(listed));
        }
        is_enough
    });
    wanted.insert(BundleOf::Kept, kept);
    wanted
}

/// Files, without their signatures, that are sooner read one by one.
fn few(of: BundleOf) -> usize {
    match of {
        BundleOf::Folders(_) | BundleOf::Kept => FEW,
        BundleOf::Forgotten(_) => FEW_RECORDS,
    }
}

/// The bundle that a snapshot's manifest is in.
fn number_of(sequence: u64) -> u64 {
    sequence.saturating_sub(1) / WHOLE
}

/// The bundles to make after the snapshots from the number after `before` to `last`: of folders that have got twice as many, and of
/// those before, where another host may have added something since.
fn due(before: u64, last: u64) -> BTreeSet<u64> {
    let mut due = BTreeSet::new();
    for number in number_of(before + 1)..=number_of(last) {
        let is_due = |count: &u64| (before + 1..=last).contains(&(number * WHOLE + count));
        let mut counts = std::iter::successors(Some(FIRST), |count| Some(count * 2).filter(|count| *count <= WHOLE));
        if let Some(first) = counts.find(is_due) {
            due.insert(number);
            due.extend(number.checked_sub(1).filter(|_| first == FIRST));
        }
    }
    due
}

/// What the text of a file is called in a line.
fn text_of(of: BundleOf) -> &'static str {
    match of {
        BundleOf::Folders(_) | BundleOf::Kept => "manifest",
        BundleOf::Forgotten(_) => "record",
    }
}

/// The newest ones of these files, which the last are, as far as a bundle has room.
fn make(of: BundleOf, files: &[SignedFile]) -> Bytes {
    let (mut lines, mut room) = (Vec::new(), MOST);
    for file in files.iter().rev() {
        let (Ok(text), Some(signature)) = (std::str::from_utf8(&file.bytes), &file.signature) else { continue };
        let name = file.name.split_once('/').map_or("", |(_, name)| name);
        let mut line = serde_json::json!({ "name": name, text_of(of): text, "signature": signature }).to_string();
        line.push('\n');
        let Some(left) = room.checked_sub(line.len() as u64) else { break };
        room = left;
        lines.push(line);
    }
    lines.reverse();
    zstd::bulk::compress(lines.concat().as_bytes(), LEVEL).expect("memory does not fail").into()
}

/// The files of a bundle; `None` when it is none, or holds something that such a one does not.
fn open(bytes: &[u8], of: BundleOf, digest: &Digest) -> Option<Files> {
    if Digest::of(bytes) != *digest {
        return None;
    }
    let mut text = Vec::new();
    zstd::Decoder::new(bytes).ok()?.take(MOST + 1).read_to_end(&mut text).ok()?;
    if text.len() as u64 > MOST {
        return None;
    }
    let mut files = Files::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut fields: BTreeMap<String, String> = serde_json::from_slice(line).ok()?;
        let (name, text, signature) =
            (fields.remove("name")?, fields.remove(text_of(of))?, fields.remove("signature")?);
        let name = layout::in_bundle(of, &name).filter(|_| fields.is_empty())?;
        files.insert(layout::signature(&name), signature.into());
        files.insert(name, text.into());
    }
    Some(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOLDERS: BundleOf = BundleOf::Folders(2);

    fn file(number: u32) -> SignedFile {
        let stem = format!("20261127T{number:06}Z-0000000a");
        SignedFile::new(
            format!("snapshots/{}/{stem}.json", 8 + number),
            stem,
            Bytes::from(format!("{{{number}}}\n")),
            Some("s\n".into()),
        )
    }

    fn record() -> SignedFile {
        let stem = "20261127T000000Z-0000000b".to_owned();
        SignedFile::new(format!("forgotten/{stem}.json"), stem, Bytes::from_static(b"{}\n"), Some("s\n".into()))
    }

    #[test]
    fn what_was_put_in_comes_out() {
        let manifests: Vec<SignedFile> = (0..3).map(file).collect();
        for (of, files) in
            [(FOLDERS, &manifests[..]), (BundleOf::Kept, &manifests), (BundleOf::Forgotten(202_611), &[record()])]
        {
            let bytes = make(of, files);
            let opened = open(&bytes, of, &Digest::of(&bytes)).unwrap();
            assert_eq!(opened.len(), 2 * files.len());
            for SignedFile { name, bytes, signature, .. } in files {
                assert_eq!(opened[name], *bytes);
                assert_eq!(opened[&layout::signature(name)], signature.clone().unwrap());
            }
        }
    }

    #[test]
    fn what_has_no_room_is_the_oldest() {
        let large = |number| SignedFile { bytes: vec![b'1'; 12 << 20].into(), ..file(number) };
        let bytes = make(FOLDERS, &[file(0), large(1), large(2), large(3)]);
        let opened = open(&bytes, FOLDERS, &Digest::of(&bytes)).unwrap();
        assert_eq!(opened.len(), 2 * 2, "each with its signature");
        assert!(opened.contains_key(&file(2).name) && opened.contains_key(&file(3).name));
    }

    #[test]
    fn a_bundle_is_due_when_there_is_twice_as_much() {
        let made: Vec<u64> = (0..600).filter(|before| !due(*before, before + 1).is_empty()).map(|it| it + 1).collect();
        assert_eq!(made, [16, 32, 64, 128, 256, 272, 288, 320, 384, 512, 528, 544, 576]);
        assert_eq!(due(271, 272), [0, 1].into());
        assert_eq!(due(272, 287), [].into());
        assert_eq!(due(10, 700), [0, 1, 2].into(), "a run of many sources makes each once");
        assert_eq!(due(7, 7), [].into());
    }

    #[test]
    fn manifests_of_folders_with_few_left_are_together() {
        let entry = |number: u64, at: u32| Entry {
            name: format!("snapshots/{number}/20261127T{at:06}Z-0000000a.json"),
            size: 1,
            modified: Timestamp::UNIX_EPOCH,
            is_file: true,
        };
        let entries: Vec<Entry> =
            (0..17).map(|at| entry(4, at)).chain([0, 9, 18].map(|number| entry(number, 0))).collect();
        let found = manifests(&entries);
        let sizes: Vec<_> = found.iter().map(|(of, listed)| (*of, listed.len())).collect();
        assert_eq!(sizes, [(BundleOf::Folders(1), 17), (BundleOf::Kept, 3)]);
    }

    #[test]
    fn what_is_no_bundle_is_none() {
        let lines = |text: &str| zstd::bulk::compress(text.as_bytes(), 1).unwrap();
        let large = zstd::bulk::compress(&vec![b'\n'; usize::try_from(MOST).unwrap() + 1], 1).unwrap();
        let outside = r#"{"name":"../../epochs/1.json","manifest":"","signature":""}"#;
        let other = r#"{"name":"20261127T000000Z-0000000a.json","manifest":"","signature":"","more":"1"}"#;
        let number = r#"{"name":"8/20261127T000000Z-0000000a.json","manifest":1,"signature":""}"#;
        let signature = r#"{"name":"8/20261127T000000Z-0000000a.json.sig","manifest":"","signature":""}"#;
        for bytes in
            [b"junk".to_vec(), lines("junk"), lines(outside), lines(other), lines(number), lines(signature), large]
        {
            for of in [FOLDERS, BundleOf::Kept, BundleOf::Forgotten(202_611)] {
                assert!(open(&bytes, of, &Digest::of(&bytes)).is_none());
            }
        }
        let good = make(FOLDERS, &[file(1)]);
        assert!(open(&good, FOLDERS, &Digest::of(b"other")).is_none());
        for (of, file, other) in [
            (FOLDERS, file(4), "of the next one's folders"),
            (BundleOf::Forgotten(202_612), record(), "of another month"),
            (BundleOf::Forgotten(202_611), file(1), "a manifest among records"),
            (BundleOf::Kept, record(), "a record among manifests"),
        ] {
            let bytes = make(of, &[file]);
            assert!(open(&bytes, of, &Digest::of(&bytes)).is_none(), "{other}");
        }
    }
}
