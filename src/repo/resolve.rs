//! What records refer to, and whether it is there. Pure but for what waits in a spool.

use std::{collections::BTreeSet, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{Fault, FaultKind, PackEntry, RepoError, Spool, Subset};
use crate::model::{Digest, Hashing, Record, ValueKind, ValueState};

/// Every value that records refer to, by pack and line; the same reference of many snapshots takes room once.
pub(super) struct Expected {
    subset: Option<Subset>,
    references: Spool<Reference>,
    packs: BTreeSet<Digest>,
}

/// The lines of one pack that are referred to, in order, each reference once.
pub(super) struct Lines {
    pub(super) pack: Digest,
    references: Vec<Reference>,
}

/// A reference of fixed size, so that hundreds of thousands of them lie side by side; of what it names it holds the digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Reference {
    pack: Digest,
    line: u32,
    value: Digest,
}

impl Expected {
    /// Expects values in the packs of `subset`; what does not fit in memory waits in `scratch`, where there is one.
    pub(super) fn new(scratch: Option<&Path>, subset: Option<Subset>) -> Self {
        Self { subset, references: Spool::of_distinct(scratch, Reference::cmp), packs: BTreeSet::new() }
    }

    /// Notes what a record refers to.
    ///
    /// # Errors
    /// [`RepoError::Spool`].
    pub(super) fn note(&mut self, record: &Record) -> Result<(), RepoError> {
        references_of(record, self.subset).try_for_each(|reference| self.push(reference))
    }

    fn push(&mut self, reference: Reference) -> Result<(), RepoError> {
        self.packs.insert(reference.pack);
        self.references.push(reference)
    }

    /// How many packs are referred to.
    pub(super) fn packs(&self) -> u64 {
        self.packs.len() as u64
    }

    /// Gives each pack's lines to `take`, until it wants no more.
    ///
    /// # Errors
    /// [`RepoError::Spool`].
    pub(super) fn each_pack(self, mut take: impl FnMut(Lines) -> bool) -> Result<(), RepoError> {
        let mut lines: Option<Lines> = None;
        for reference in self.references.sorted().and_then(|sorted| sorted.walk()).map_err(spooled)? {
            let reference = reference.map_err(spooled)?;
            match &mut lines {
                Some(lines) if lines.pack == reference.pack => {
                    if lines.references.last() != Some(&reference) {
                        lines.references.push(reference);
                    }
                }
                _ => {
                    let next = Lines { pack: reference.pack, references: vec![reference] };
                    if lines.replace(next).is_some_and(|whole| !take(whole)) {
                        return Ok(());
                    }
                }
            }
        }
        lines.map(take);
        Ok(())
    }
}

/// What is wrong with a spool is wrong with this host, not with the repository.
fn spooled(error: RepoError) -> RepoError {
    match error {
        RepoError::Spool(_) => error,
        other => RepoError::Spool(io::Error::other(other.to_string())),
    }
}

fn references_of(record: &Record, subset: Option<Subset>) -> impl Iterator<Item = Reference> {
    record.versions.iter().filter_map(move |version| match &version.value {
        ValueState::Stored { pack, line, kind, size } if subset.is_none_or(|subset| subset.holds(pack)) => {
            let value = identity(&record.secret.id, &version.id, (*kind, *size));
            Some(Reference { pack: *pack, line: *line, value })
        }
        _ => None,
    })
}

impl Lines {
    /// Compares a pack with what is expected of it: how many references lead to their value, and the others.
    pub(super) fn compare(
        &self,
        file: &str,
        entries: impl Iterator<Item = Result<PackEntry, RepoError>>,
    ) -> Result<(u64, Vec<Fault>), RepoError> {
        let mut wanted = self.references.iter().peekable();
        let (mut values, mut faults) = (0, Vec::new());
        let mut dangling = |line: u32, what: &str| {
            faults.push(Fault::new(file, FaultKind::Dangling, format!("line {line} {what}")));
        };
        for (line, entry) in (0..).zip(entries) {
            let entry = entry?;
            let value = identity(&entry.secret, &entry.version, (entry.value.kind(), entry.value.size()));
            while let Some(reference) = wanted.next_if(|reference| reference.line == line) {
                if reference.value == value {
                    values += 1;
                } else {
                    dangling(line, "has another value than a record states");
                }
            }
        }
        wanted.for_each(|reference| dangling(reference.line, "does not exist"));
        Ok((values, faults))
    }
}

/// Which value of which secret, of which kind and size, as one digest.
fn identity(secret: &str, version: &str, (kind, size): (ValueKind, u32)) -> Digest {
    let mut hashing = Hashing::default();
    hashing.update(&[match kind {
        ValueKind::Text => 0,
        ValueKind::Bytes => 1,
        ValueKind::Fields => 2,
    }]);
    hashing.update(&size.to_be_bytes());
    hashing.update(&(secret.len() as u64).to_be_bytes());
    hashing.update(secret.as_bytes());
    hashing.update(version.as_bytes());
    hashing.finish().0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn reference(pack: u8, line: u32, version: &str) -> Reference {
        Reference { pack: Digest::of(&[pack]), line, value: identity("arn", version, (ValueKind::Text, 1)) }
    }

    fn noted(snapshots: usize) -> Expected {
        let mut expected = Expected::new(None, None);
        for _ in 0..snapshots {
            let all = vec![reference(2, 1, "b"), reference(1, 7, "a"), reference(2, 1, "a"), reference(2, 0, "c")];
            for reference in all {
                expected.push(reference).unwrap();
            }
        }
        expected
    }

    #[test]
    fn each_pack_comes_once_with_its_lines_in_order() {
        for snapshots in [1, 50] {
            let expected = noted(snapshots);
            assert_eq!(expected.packs(), 2);
            let mut found = BTreeMap::new();
            expected.each_pack(|lines| found.insert(lines.pack, lines.references).is_none()).unwrap();
            assert_eq!(found[&Digest::of(&[1])], [reference(1, 7, "a")]);
            let mut second = [reference(2, 0, "c"), reference(2, 1, "a"), reference(2, 1, "b")];
            second.sort();
            assert_eq!(found[&Digest::of(&[2])], second);
        }
    }

    #[test]
    fn every_part_of_what_is_referred_to_counts() {
        let named = identity("arn", "version", (ValueKind::Text, 1));
        for (secret, version, shape) in [
            ("arm", "version", (ValueKind::Text, 1)),
            ("arn", "versiom", (ValueKind::Text, 1)),
            ("arn", "version", (ValueKind::Bytes, 1)),
            ("arn", "version", (ValueKind::Fields, 1)),
            ("arn", "version", (ValueKind::Text, 2)),
            ("arnv", "ersion", (ValueKind::Text, 1)),
        ] {
            assert_ne!(identity(secret, version, shape), named);
        }
    }

    #[test]
    fn whoever_wants_no_more_gets_no_more() {
        let mut given = 0;
        noted(1)
            .each_pack(|_| {
                given += 1;
                false
            })
            .unwrap();
        assert_eq!(given, 1);
    }

    #[test]
    fn a_scratch_folder_that_cannot_be_is_the_hosts_fault() {
        let damage = RepoError::Damaged { file: "the spool".into(), reason: "cut".into() };
        assert!(matches!(spooled(damage), RepoError::Spool(_)));
    }
}
