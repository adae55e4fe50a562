//! Maps of consumers: who uses each secret, signed, sealed, beside the drills. A map may need several records: it counts when all
//! of them are there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    RepoError, Repository, Trust, VerifiedRecord, damaged,
    tombstone::{closed, decode, new_record, open_sealed, seal},
};
use crate::{
    crypto::{Opener, PublicKey, Recipient, Signer},
    model::SnapshotId,
};

/// The kind of the record.
pub(super) const KIND: &str = "consumer_map";
/// Characters of the longest sealed part: a signed file has at most 64 KiB.
const LONGEST_PART: usize = 40 << 10;
/// Records of one map.
const MOST_PARTS: usize = 256;

/// The body of the record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The map.
    map: SnapshotId,
    /// Which part it is, from 1.
    part: u32,
    /// How many there are.
    parts: u32,
    /// How many lines it has.
    lines: u64,
    /// Whose keys open it.
    readers: Vec<Recipient>,
    /// A list of lines, sealed, in base64.
    sealed: String,
}

/// One verified part.
#[derive(Clone, Debug)]
pub(super) struct MapPart {
    file: String,
    time: Timestamp,
    signer: PublicKey,
    map: SnapshotId,
    part: u32,
    parts: u32,
    lines: u64,
    sealed: Vec<u8>,
}

/// A map that counts, whole.
#[derive(Clone, Debug)]
pub struct ConsumerMap {
    /// When it was made.
    pub time: Timestamp,
    /// Who signed it.
    pub signer: PublicKey,
    /// How many lines it has.
    pub lines: u64,
    parts: Vec<MapPart>,
}

impl MapPart {
    /// Reads a verified record of this kind.
    pub(super) fn read(found: &VerifiedRecord) -> Result<Self, String> {
        let record = &found.record;
        if !record.halts.is_empty() || record.undoes.is_some() {
            return Err("a map of consumers forbids nothing and takes nothing back".into());
        }
        let body = serde_json::Value::Object(record.body.clone());
        let body: Body =
            serde_json::from_value(body).map_err(|error| format!("not the body of a map of consumers: {error}"))?;
        if body.part == 0 || body.part > body.parts {
            return Err("it is no part of a map".into());
        }
        let Body { map, part, parts, lines, sealed, .. } = body;
        let (time, signer, sealed) = (record.time, record.signer.clone(), decode(&sealed)?);
        Ok(Self { file: found.file.clone(), time, signer, map, part, parts, lines, sealed })
    }
}

/// The newest map that is there whole: every part once, of one signer and one time.
pub(super) fn newest(parts: &[MapPart]) -> Option<ConsumerMap> {
    let mut maps: BTreeMap<_, Vec<&MapPart>> = BTreeMap::new();
    for part in parts {
        let key = (part.time, part.map, part.signer.to_string(), part.parts);
        maps.entry(key).or_default().push(part);
    }
    let is_whole = |found: &Vec<&MapPart>| {
        let numbers: BTreeSet<u32> = found.iter().map(|part| part.part).collect();
        found.len() == found[0].parts as usize && numbers.len() == found.len()
    };
    let mut found = maps.into_values().rev().find(is_whole)?;
    found.sort_by_key(|part| part.part);
    let (time, signer) = (found[0].time, found[0].signer.clone());
    let lines = found.iter().map(|part| part.lines).sum();
    Some(ConsumerMap { time, signer, lines, parts: found.into_iter().cloned().collect() })
}

impl ConsumerMap {
    /// Its lines.
    ///
    /// # Errors
    /// [`RepoError::TombstoneClosed`] when it is sealed to other keys, [`RepoError::Damaged`].
    pub fn open<T: for<'de> Deserialize<'de>>(&self, opener: Opener<'_>) -> Result<Vec<T>, RepoError> {
        let mut all = Vec::new();
        for part in &self.parts {
            let plain = open_sealed(&part.file, &part.sealed, opener)?;
            let lines: Vec<T> =
                serde_json::from_slice(&plain).map_err(|error| damaged(&part.file, error.to_string()))?;
            all.extend(lines);
        }
        Ok(all)
    }
}

impl Repository {
    /// Signs and stores a map, as many records as it needs; its lines are sealed to `readers`. Gives the files.
    ///
    /// # Errors
    /// [`RepoError::Untrusted`] when the key may not sign for the newest epoch; [`RepoError::Damaged`] for a map that is too long
    /// to be stored; [`RepoError::Storage`].
    pub async fn put_consumer_map<T: Serialize>(
        &self,
        trust: &Trust,
        lines: &[T],
        readers: &[Recipient],
        (time, signer): (Timestamp, &Signer),
    ) -> Result<Vec<String>, RepoError> {
        let mut sealed = Vec::new();
        split(lines, readers, &mut sealed);
        if sealed.len() > MOST_PARTS {
            return Err(damaged(KIND, format!("a map of {} lines is too long to be stored", lines.len())));
        }
        let (map, parts) = (SnapshotId::random(), u32::try_from(sealed.len()).unwrap_or(u32::MAX));
        let mut files = Vec::new();
        for (part, (count, sealed)) in (1..).zip(sealed) {
            let body = Body { map, part, parts, lines: count, readers: readers.to_vec(), sealed };
            files.push(self.put_record(&new_record(self, trust, time, signer, KIND, &body)?, signer).await?);
        }
        Ok(files)
    }
}

/// Parts that are short enough.
fn split<T: Serialize>(lines: &[T], readers: &[Recipient], parts: &mut Vec<(u64, String)>) {
    let text = closed(&seal(&super::to_json(&lines), readers));
    if text.len() > LONGEST_PART && lines.len() > 1 {
        let (first, second) = lines.split_at(lines.len() / 2);
        split(first, readers, parts);
        split(second, readers, parts);
    } else {
        parts.push((lines.len() as u64, text));
    }
}
