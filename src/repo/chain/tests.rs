use super::*;
use crate::repo::retention::tests::snapshot;

fn of(sequence: u64, epoch: u32) -> VerifiedManifest {
    let found = snapshot(sequence, jiff::Timestamp::UNIX_EPOCH, true);
    let mut manifest = found.manifest().clone();
    manifest.epoch = epoch;
    VerifiedManifest::new(manifest, found.digest(), found.name().to_owned())
}

fn chain(manifests: Vec<VerifiedManifest>, base: Settled, settled_newest: Vec<VerifiedManifest>) -> Chain {
    let (late, faults) = late(&manifests, base.epoch);
    Chain {
        last: manifests.last().map(VerifiedManifest::witness),
        manifests,
        base,
        settled_newest,
        places: Vec::new(),
        records: Vec::new(),
        faults,
        late,
        excused: BTreeMap::new(),
        names: BTreeSet::new(),
        forgets: Vec::new(),
        record_files: 0,
    }
}

#[test]
fn the_newest_one_and_a_late_last_one_are_both_heads() {
    let chain = chain(vec![of(1, 1), of(2, 2), of(3, 1)], Settled::default(), Vec::new());
    assert_eq!(chain.head().map(|head| head.manifest().sequence), Some(2));
    let heads: Vec<bool> = chain.manifests.iter().map(|found| chain.is_head(found)).collect();
    assert_eq!(heads, [false, true, true]);
    assert_eq!((chain.count(), chain.is_whole()), (3, true));
    assert_eq!([0, 1, 2, 3, 4].map(|sequence| chain.newer_than(sequence)), [3, 2, 1, 0, 0]);
}

#[test]
fn settled_snapshots_count_and_the_newest_of_them_may_be_the_head() {
    // Three numbers are settled, and one of their snapshots was forgotten.
    let mut base = Settled::default();
    (1..=3).for_each(|sequence| base.push_place(&of(sequence, 1).digest()));
    (base.manifests, base.epoch) = (2, 2);
    let chain = chain(vec![of(4, 1)], base, vec![of(1, 1), of(3, 2), of(2, 1)]);
    assert_eq!(chain.head().map(|head| head.manifest().sequence), Some(3));
    assert_eq!((chain.count(), chain.is_whole()), (3, false));
    assert_eq!([0, 1, 2, 3, 4].map(|sequence| chain.newer_than(sequence)), [3, 3, 2, 1, 0]);
}

#[test]
fn the_first_place_follows_nothing_or_what_is_settled() {
    let link = |sequence: u64, previous: &str| Link {
        file: sequence.to_string(),
        sequence,
        digest: Digest::of(b"own"),
        previous: (!previous.is_empty()).then(|| Digest::of(previous.as_bytes())),
    };
    let settled = Some(Witness { sequence: 3, manifest: Digest::of(b"third") });
    let cases = [
        (link(1, ""), None, vec![]),
        (link(1, "other"), None, vec![FaultKind::Fork]),
        (link(2, "first"), None, vec![FaultKind::Gap]),
        (link(4, "third"), settled, vec![]),
        (link(4, "other"), settled, vec![FaultKind::Fork]),
        (link(4, ""), settled, vec![FaultKind::Fork]),
        (link(5, "fourth"), settled, vec![FaultKind::Gap]),
    ];
    for (link, settled, expected) in cases {
        let kinds: Vec<FaultKind> = links(&[link], settled).iter().map(|fault| fault.kind).collect();
        assert_eq!(kinds, expected);
    }
}
