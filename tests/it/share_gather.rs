//! From sheets to the key: every wrong sheet is named when it arrives, and nothing less than a quorum gives a key.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use jiff::Timestamp;
use lifeboat::{
    crypto::RecoveryKey,
    share::{Gathering, Holder, KeyFingerprint, NoQuorum, Register, Rejection, Share, SplitError, split},
};
use proptest::prelude::*;

const NAMES: [&str; 7] = ["Ada", "Ben", "Cleo", "Dora", "Emil", "Frida", "Gus"];

fn register(epoch: u32, shares: &[Share], threshold: u8, retired: bool) -> Register {
    Register {
        epoch,
        set: shares[0].set(),
        threshold,
        total: u8::try_from(shares.len()).unwrap(),
        fingerprint: shares[0].fingerprint(),
        holders: shares
            .iter()
            .zip(NAMES)
            .map(|(share, name)| Holder { index: share.index(), name: name.to_owned(), digest: share.digest() })
            .collect(),
        retired: retired.then_some(Timestamp::UNIX_EPOCH),
    }
}

fn gather(registers: Vec<Register>, shares: &[&Share]) -> Gathering {
    let mut gathering = Gathering::new(registers);
    for share in shares {
        gathering.add("a file", &share.text()).unwrap();
    }
    gathering
}

fn rejected(gathering: &mut Gathering, share: &Share) -> Rejection {
    let before = gathering.progress();
    let rejection = gathering.add("photo.jpg", &share.text()).unwrap_err();
    assert_eq!(gathering.progress(), before, "a rejected share changes nothing");
    rejection
}

#[test]
fn sheets_other_than_the_first_recover() {
    let key = RecoveryKey::generate();
    let shares = split(&key, 3, 5).unwrap();
    let quorum = gather(vec![], &[&shares[1], &shares[3], &shares[4]]).quorum().unwrap();
    assert_eq!((quorum.sheets(), quorum.epoch()), (3, None));
    assert_eq!(quorum.recover().unwrap().recipient(), key.recipient());
}

#[test]
fn progress_goes_by_name() {
    let key = RecoveryKey::generate();
    let shares = split(&key, 2, 3).unwrap();
    let mut gathering = Gathering::new(vec![register(1, &shares, 2, false)]);
    assert_eq!(gathering.progress().threshold, Some(2));
    assert_eq!(gathering.progress().missing, ["Ada", "Ben", "Cleo"]);
    let progress = gathering.add("a.txt", &shares[1].text()).unwrap();
    assert_eq!((progress.present, progress.missing), (vec!["Ben".into()], vec!["Ada".into(), "Cleo".into()]));
    gathering.add("b.txt", &shares[2].text()).unwrap();
    let quorum = gathering.quorum().unwrap();
    assert_eq!(quorum.epoch(), Some(1));
    assert_eq!(quorum.recover().unwrap().recipient(), key.recipient());

    let mut unknown = Gathering::new(vec![]);
    assert_eq!(unknown.progress().threshold, None);
    let progress = unknown.add("a.txt", &shares[1].text()).unwrap();
    assert_eq!(progress.threshold, Some(2));
    assert_eq!(
        (progress.present, progress.missing),
        (vec!["sheet 2".into()], vec!["sheet 1".into(), "sheet 3".into()])
    );
}

#[test]
fn too_few_never_give_a_key() {
    let shares = split(&RecoveryKey::generate(), 3, 5).unwrap();
    let few = |shares: &[&Share]| match gather(vec![], shares).quorum() {
        Err(NoQuorum::TooFew { have, need }) => (have, need),
        _ => panic!("a quorum of too few"),
    };
    assert_eq!(few(&[]), (0, 0));
    assert_eq!(few(&[&shares[4]]), (1, 3));
    assert_eq!(few(&[&shares[4], &shares[1]]), (2, 3));
    let known = Gathering::new(vec![register(1, &shares, 3, false)]).quorum().err().unwrap();
    assert_eq!(known.to_string(), "have 0 of 3 sheets");
}

#[test]
fn the_same_sheet_twice_is_named() {
    let shares = split(&RecoveryKey::generate(), 2, 3).unwrap();
    let mut gathering = gather(vec![register(1, &shares, 2, false)], &[&shares[1]]);
    let rejection = rejected(&mut gathering, &shares[1]);
    assert_eq!(rejection.to_string(), "photo.jpg repeats sheet 2, held by Ben");
    let rows: Vec<_> = shares[1].rows().iter().map(|row| row.to_string()).collect();
    assert!(matches!(gathering.add("typed", &rows.join("\n")), Err(Rejection::Duplicate { .. })));
}

#[test]
fn a_foreign_sheet_is_named() {
    let (own, other) = (RecoveryKey::generate(), RecoveryKey::generate());
    let (own, other) = (split(&own, 2, 3).unwrap(), split(&other, 2, 3).unwrap());
    let mut known = Gathering::new(vec![register(1, &own, 2, false)]);
    assert!(
        matches!(rejected(&mut known, &other[0]), Rejection::Foreign { set, .. } if set == other[0].set().to_string())
    );
    let mut unknown = gather(vec![], &[&own[0]]);
    assert!(matches!(rejected(&mut unknown, &other[1]), Rejection::Foreign { .. }));
}

#[test]
fn a_set_of_this_key_that_no_register_knows_opens_and_is_not_mixed() {
    let key = RecoveryKey::generate();
    let (own, unregistered) = (split(&key, 2, 3).unwrap(), split(&key, 2, 3).unwrap());
    let mut strict = Gathering::new(vec![register(1, &own, 2, false)]);
    let rejection = rejected(&mut strict, &unregistered[0]);
    assert!(matches!(&rejection, Rejection::Forged { holder: None, reason, .. } if reason.contains("not registered")));
    let mut gathering = Gathering::new(vec![register(1, &own, 2, false)]).taking_newer();
    assert_eq!(gathering.unregistered(), None);
    gathering.add("newer.txt", &unregistered[0].text()).unwrap();
    assert_eq!(gathering.unregistered(), Some(unregistered[0].set().to_string()));
    let rejection = rejected(&mut gathering, &own[1]);
    assert!(matches!(&rejection, Rejection::Forged { reason, .. } if reason.contains("share set")), "{rejection}");
    gathering.add("newer.txt", &unregistered[2].text()).unwrap();
    assert_eq!(gathering.quorum().unwrap().recover().unwrap().recipient(), key.recipient());
    let mut gathering = gather(vec![register(1, &own, 2, false)], &[&own[1]]).taking_newer();
    let rejection = rejected(&mut gathering, &unregistered[0]);
    assert!(matches!(&rejection, Rejection::Forged { reason, .. } if reason.contains("share set")), "{rejection}");
}

#[test]
fn a_retired_sheet_is_named_and_still_opens_when_asked_for() {
    let key = RecoveryKey::generate();
    let (old, new) = (split(&key, 2, 3).unwrap(), split(&key, 2, 4).unwrap());
    let both = vec![register(1, &old, 2, true), register(2, &new, 2, false)];
    let mut gathering = Gathering::new(both);
    let rejection = rejected(&mut gathering, &old[2]);
    assert_eq!(rejection.to_string(), "photo.jpg (sheet 3, held by Cleo) is retired: it belongs to epoch 1");
    let opened = gather(vec![register(1, &old, 2, true)], &[&old[2], &old[0]]).quorum().unwrap();
    assert_eq!(opened.epoch(), Some(1));
    assert_eq!(opened.recover().unwrap().recipient(), key.recipient());
}

#[test]
fn old_and_new_sheets_of_one_key_do_not_mix() {
    let key = RecoveryKey::generate();
    let (old, new) = (split(&key, 2, 3).unwrap(), split(&key, 2, 3).unwrap());
    let mut gathering = gather(vec![], &[&old[0]]);
    assert!(
        matches!(rejected(&mut gathering, &new[1]), Rejection::Forged { reason, .. } if reason.contains("share set"))
    );
    let current = vec![register(1, &old, 2, false), register(2, &new, 2, false)];
    let mut gathering = gather(current, &[&old[0]]);
    assert!(matches!(rejected(&mut gathering, &new[1]), Rejection::Forged { .. }));
}

#[test]
fn a_sheet_that_differs_from_the_register_is_forged() {
    let shares = split(&RecoveryKey::generate(), 2, 3).unwrap();
    let forged = |change: fn(&mut Register)| {
        let mut known = register(1, &shares, 2, false);
        change(&mut known);
        match rejected(&mut Gathering::new(vec![known]), &shares[1]) {
            Rejection::Forged { index: 2, holder, reason, .. } => (holder, reason),
            other => panic!("{other}"),
        }
    };
    let (holder, reason) = forged(|known| known.holders[1].digest = lifeboat::model::Digest::of(b"another"));
    assert_eq!((holder.as_deref(), reason.as_str()), (Some("Ben"), "its digest is not the one in the register"));
    assert_eq!(forged(|known| known.threshold = 3).1, "it shows 2 of 3, not 3 of 3");
    assert_eq!(forged(|known| known.total = 4).1, "it shows 2 of 3, not 2 of 4");
    assert!(forged(|known| known.fingerprint = KeyFingerprint([0; 6])).1.contains("0000-0000-0000"));
    assert_eq!(
        forged(|known| drop(known.holders.remove(1))),
        (None, "the register has no sheet with this number".into())
    );
}

#[test]
fn what_cannot_be_split_is_refused() {
    let key = RecoveryKey::generate();
    for (threshold, total) in [(0, 0), (0, 3), (1, 1), (1, 3), (4, 3), (255, 254), (2, 0)] {
        assert!(matches!(split(&key, threshold, total), Err(SplitError::Threshold { .. })), "{threshold} of {total}");
    }
    assert_eq!(split(&key, 2, 255).unwrap().len(), 255);
}

#[test]
fn the_largest_set_is_whole_or_nothing() {
    let key = RecoveryKey::generate();
    let shares = split(&key, 255, 255).unwrap();
    let all: Vec<&Share> = shares.iter().collect();
    assert_eq!(gather(vec![], &all).quorum().unwrap().recover().unwrap().recipient(), key.recipient());
    assert!(matches!(gather(vec![], &all[1..]).quorum(), Err(NoQuorum::TooFew { have: 254, need: 255 })));
}

#[test]
fn no_rejection_holds_a_character_of_the_share() {
    let (own, other) = (RecoveryKey::generate(), RecoveryKey::generate());
    let (own, other) = (split(&own, 2, 3).unwrap(), split(&other, 2, 3).unwrap());
    let mut gathering = gather(vec![register(1, &own, 2, false)], &[&own[0]]);
    let misread = other[0].text().replace(&other[0].text()[10..12], "II");
    for rejection in [
        rejected(&mut gathering, &own[0]),
        rejected(&mut gathering, &other[0]),
        gathering.add("typed", &misread).unwrap_err(),
    ] {
        let said = format!("{rejection} {rejection:?}").to_uppercase();
        for share in own.iter().chain(&other) {
            let text = share.text();
            assert!(text.as_bytes().windows(8).all(|part| !said.contains(std::str::from_utf8(part).unwrap())));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn any_quorum_recovers_and_one_less_never_does(
        threshold in 2_u8..=7,
        order in Just([0_usize, 1, 2, 3, 4, 5, 6]).prop_shuffle(),
        surplus in 0_usize..5,
    ) {
        let key = RecoveryKey::generate();
        let shares = split(&key, threshold, 7).unwrap();
        let come: Vec<&Share> = order.iter().map(|&at| &shares[at]).collect();
        let need = usize::from(threshold);
        let all = &come[..(need + surplus).min(7)];
        let quorum = gather(vec![], all).quorum().unwrap();
        prop_assert_eq!(quorum.recover().unwrap().recipient(), key.recipient());
        let few = gather(vec![], &come[..need - 1]).quorum();
        let too_few = matches!(few, Err(NoQuorum::TooFew { have, need: asked }) if have == need - 1 && asked == need);
        prop_assert!(too_few);
    }
}
