//! Which packs a snapshot needs, in few bytes: the newest ones by name, the others in lists that many manifests share. Pure.
//!
//! Lists grow like the levels of an LSM tree: lists of one tier become one of the next when there are enough of them, so that
//! a manifest names few lists and a pack is listed again only a few times in its life.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{FORMAT_VERSION, FileRef};
use crate::model::Digest;

/// Packs that a manifest names itself.
const MOST_NEW: usize = 16;
/// Lists of one tier that become one.
const FAN_IN: usize = 6;
/// A list's most packs: 8 MiB of text, half of what a reader takes.
const MOST_LISTED: usize = 1 << 16;

/// Packs of a manifest: `new` and those that the lists name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackSet {
    /// At most 16, sorted by digest.
    pub new: Vec<FileRef>,
    /// Files below `lists/`, sorted by digest.
    pub lists: Vec<FileRef>,
}

/// `lists/<digest>.json`
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PackList {
    pub(super) version: u32,
    /// Sorted by digest, each once.
    pub(super) packs: Vec<FileRef>,
}

/// A pack set whose lists were read.
#[derive(Clone, Debug, Default)]
pub struct OpenSet {
    new: Vec<FileRef>,
    /// Each list and its packs, sorted by digest.
    lists: Vec<(FileRef, Arc<[FileRef]>)>,
}

/// How the set of the next snapshot is written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SetPlan {
    /// What the manifest names itself.
    pub(super) new: Vec<FileRef>,
    /// Lists that stay.
    pub(super) kept: Vec<FileRef>,
    /// The packs of each list that is to be written, sorted.
    pub(super) written: Vec<Vec<FileRef>>,
}

/// A list on its way into the plan.
struct Part {
    /// The list that has exactly these packs' list file; `None` for one that has to be written.
    file: Option<FileRef>,
    packs: Vec<FileRef>,
}

impl PackSet {
    /// Whether it has the form that the format asks for.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.new.len() > MOST_NEW {
            return Err(format!("it names {} packs itself; at most {MOST_NEW} are allowed", self.new.len()));
        }
        if is_sorted(&self.new) { Ok(()) } else { Err("its packs are not in order".into()) }
    }
}

impl PackList {
    pub(super) fn of(packs: Vec<FileRef>) -> Self {
        Self { version: FORMAT_VERSION, packs }
    }

    pub(super) fn check(self) -> Result<Vec<FileRef>, String> {
        if is_sorted(&self.packs) { Ok(self.packs) } else { Err("its packs are not in order".into()) }
    }
}

impl OpenSet {
    pub(super) fn new(new: Vec<FileRef>, lists: Vec<(FileRef, Arc<[FileRef]>)>) -> Self {
        Self { new, lists }
    }

    /// Takes the lists of another set too.
    pub(super) fn extend(&mut self, other: Self) {
        self.lists.extend(other.lists);
    }

    /// Every pack; one that two lists name comes twice.
    pub fn packs(&self) -> impl Iterator<Item = &FileRef> {
        self.new.iter().chain(self.lists.iter().flat_map(|(_, packs)| packs.iter()))
    }

    /// The file of a pack, if the set names it.
    pub fn find(&self, pack: &Digest) -> Option<&FileRef> {
        let find = |packs: &'_ [FileRef]| packs.binary_search_by(|file| file.sha256.cmp(pack));
        if let Ok(at) = find(&self.new) {
            return Some(&self.new[at]);
        }
        self.lists.iter().find_map(|(_, packs)| find(packs).ok().map(|at| &packs[at]))
    }

    /// How the set of a snapshot that needs these packs is written, as its successor.
    pub(super) fn plan(&self, needed: &BTreeSet<FileRef>) -> SetPlan {
        let mut loose = needed.clone();
        let mut parts = Vec::new();
        for (file, packs) in &self.lists {
            let still: Vec<FileRef> = packs.iter().filter(|pack| needed.contains(pack)).copied().collect();
            // A list of which more than a quarter is not needed any more is given up.
            if 4 * still.len() >= 3 * packs.len() && !still.is_empty() {
                loose.retain(|pack| still.binary_search(pack).is_err());
                parts.push(Part { file: Some(*file), packs: still });
            }
        }
        let mut plan = SetPlan::default();
        if loose.len() <= MOST_NEW {
            plan.new = loose.into_iter().collect();
        } else {
            let loose: Vec<FileRef> = loose.into_iter().collect();
            parts.extend(loose.chunks(MOST_LISTED).map(|packs| Part { file: None, packs: packs.to_vec() }));
        }
        while let Some(tier) = crowded(&parts) {
            let (merged, rest) = parts.into_iter().partition(|part| part.tier() == Some(tier));
            parts = rest;
            parts.push(Part::merged(merged));
        }
        for part in parts {
            match part.file {
                Some(file) => plan.kept.push(file),
                None => plan.written.push(part.packs),
            }
        }
        plan
    }
}

impl Part {
    /// The tier, by length; `None` for a list that is not merged any more.
    fn tier(&self) -> Option<u32> {
        (self.packs.len() <= MOST_LISTED / FAN_IN).then(|| (self.packs.len() / (MOST_NEW + 1)).max(1).ilog(FAN_IN))
    }

    fn merged(parts: Vec<Self>) -> Self {
        let packs: BTreeSet<FileRef> = parts.into_iter().flat_map(|part| part.packs).collect();
        Self { file: None, packs: packs.into_iter().collect() }
    }
}

/// The lowest tier with so many lists that they become one.
fn crowded(parts: &[Part]) -> Option<u32> {
    let tiers: Vec<u32> = parts.iter().filter_map(Part::tier).collect();
    tiers.iter().copied().filter(|tier| tiers.iter().filter(|other| *other == tier).count() >= FAN_IN).min()
}

fn is_sorted(packs: &[FileRef]) -> bool {
    packs.is_sorted_by(|a, b| a.sha256 < b.sha256)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::repo::{file_ref, to_json};

    fn pack(number: u32) -> FileRef {
        FileRef { sha256: Digest::of(&number.to_be_bytes()), size: u64::from(number) }
    }

    /// A host that keeps what it wrote.
    #[derive(Default)]
    struct Host {
        set: OpenSet,
        written: HashMap<Digest, Arc<[FileRef]>>,
        bytes: usize,
    }

    impl Host {
        fn next(&mut self, needed: &BTreeSet<FileRef>) -> PackSet {
            let plan = self.set.plan(needed);
            let mut lists = plan.kept;
            for packs in plan.written {
                assert!(is_sorted(&packs));
                let bytes = to_json(&PackList::of(packs.clone()));
                assert!(bytes.len() < 16 << 20, "a list of {} bytes", bytes.len());
                self.bytes += bytes.len();
                self.written.insert(Digest::of(&bytes), packs.into());
                lists.push(file_ref(&bytes));
            }
            let open = lists.iter().map(|file| (*file, self.written[&file.sha256].clone())).collect();
            self.set = OpenSet::new(plan.new.clone(), open);
            PackSet { new: plan.new, lists }
        }
    }

    fn found(set: &OpenSet) -> BTreeSet<FileRef> {
        set.packs().copied().collect()
    }

    #[test]
    fn many_packs_take_few_lists_and_few_bytes_a_day() {
        let mut host = Host::default();
        let (mut needed, mut most) = (BTreeSet::new(), 0);
        for day in 0..2_000 {
            needed.insert(pack(day));
            let set = host.next(&needed);
            set.check().unwrap();
            most = most.max(set.lists.len());
            if day % 97 == 0 {
                assert_eq!(found(&host.set), needed);
                assert_eq!(host.set.packs().count(), needed.len(), "each pack once");
            }
        }
        println!("2,000 packs, one a day: at most {most} lists, {} bytes a day", host.bytes / 2_000);
        assert!(most <= 20 && host.bytes / 2_000 < 700);
        assert_eq!(host.set.find(&pack(17).sha256), Some(&pack(17)));
        assert_eq!(host.set.find(&Digest::of(b"none")), None);
    }

    #[test]
    fn a_hundred_thousand_packs_take_few_lists_too() {
        let mut host = Host::default();
        let mut needed = BTreeSet::new();
        let mut most = 0;
        for day in 0..200_u32 {
            needed.extend((0..500 + day % 7).map(|number| pack(day * 1_000 + number)));
            most = most.max(host.next(&needed).lists.len());
        }
        assert!(needed.len() > 100_000 && most <= 24, "{most} lists");
        assert_eq!(found(&host.set), needed);
    }

    #[test]
    fn a_list_is_written_again_when_a_quarter_is_not_needed_any_more() {
        let mut host = Host::default();
        let all: BTreeSet<FileRef> = (0..100).map(pack).collect();
        let first = host.next(&all);
        assert_eq!((first.new.len(), first.lists.len()), (0, 1));
        let less = |gone: usize| all.iter().skip(gone).copied().collect::<BTreeSet<_>>();
        assert_eq!(host.next(&less(25)), first, "it names 25 packs too many");
        let second = host.next(&less(26));
        assert_eq!((second.new.len(), second.lists.len()), (0, 1));
        assert_ne!(second, first);
        assert_eq!(found(&host.set), less(26));
        let few = host.next(&less(84));
        assert_eq!((few.new.len(), few.lists.len()), (16, 0));
        assert_eq!(host.next(&BTreeSet::new()), PackSet::default());
    }

    #[test]
    fn sets_out_of_order_are_refused() {
        let mut sorted = [pack(1), pack(2)];
        sorted.sort();
        let set = |new: &[FileRef]| PackSet { new: new.to_vec(), lists: vec![] };
        assert!(set(&sorted).check().is_ok());
        sorted.reverse();
        assert!(set(&sorted).check().is_err() && PackList::of(sorted.to_vec()).check().is_err());
        assert!(PackList::of(vec![pack(1), pack(1)]).check().is_err());
        assert!(set(&(0..17).map(pack).collect::<Vec<_>>()).check().is_err());
    }
}
