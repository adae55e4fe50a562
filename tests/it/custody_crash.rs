//! Replacing the sheets, cut off at every write: at every moment one set works, and the register says which.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use lifeboat::{
    crypto::{Namespace, RecoveryKey, Signer},
    custody::{self, Ceremony, CeremonyRequest, Kind, NotConfirmed, Pending, Sheet, SheetState, Successor},
    model::RepositoryId,
    repo::{AllowedSigner, CheckDepth, Finding, RepoError, Repository, SignedEpoch, Trust, TrustAnchor},
    share::Gathering,
    storage::{Storage, faults::Faults},
};

use crate::repo_sample::{altered, block_on};

const ID: RepositoryId = RepositoryId::from_bytes([7; 16]);

fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).unwrap()
}

/// A repository of three of five.
struct House {
    storage: Storage,
    old: Ceremony,
    signer: Signer,
    anchor: TrustAnchor,
}

impl House {
    fn new() -> Self {
        let signer = Signer::generate();
        let old = custody::hold(&CeremonyRequest {
            paper: custody::Paper::default(),
            repository: ID,
            threshold: 3,
            custodians: ["Ana", "Bo", "Cy", "Dee", "Eli"].map(String::from).into(),
            signers: vec![AllowedSigner { name: "host".into(), key: signer.public() }],
            created: now(),
            contact: custody::Contact::default(),
        })
        .unwrap();
        let storage = Storage::memory();
        block_on(Repository::create(storage.clone(), &old.epoch, &old.root)).unwrap();
        let anchor = TrustAnchor { root: old.epoch.root.clone(), recipient: old.epoch.recipient.clone() };
        Self { storage, old, signer, anchor }
    }

    async fn open(&self, storage: &Storage) -> (Repository, Trust) {
        let repository = Repository::open(storage.clone()).await.unwrap();
        let trust = repository.trust(&self.anchor).await.unwrap();
        (repository, trust)
    }

    /// The key by sheets 2, 4 and 5 of the old set.
    async fn key(&self) -> RecoveryKey {
        recovered(&self.storage, &[1, 3, 4].map(|at| &self.old.sheets[at])).await.unwrap()
    }

    async fn reshared(&self) -> (Pending, Ceremony) {
        let (_, trust) = self.open(&self.storage).await;
        let ceremony = custody::reshare(&self.key().await, &successor(2), &trust).unwrap();
        (Pending::new(Kind::Reshare, &ceremony), ceremony)
    }

    async fn rotated(&self) -> (Pending, Ceremony) {
        let (_, trust) = self.open(&self.storage).await;
        let ceremony = custody::rotate(&successor(2), &trust).unwrap();
        (Pending::new(Kind::Rotate, &ceremony), ceremony)
    }

    /// Which of the two sets opens what is on `storage`.
    async fn working(&self, storage: &Storage, new: &Ceremony) -> (bool, bool) {
        let old = recovered(storage, &[1, 3, 4].map(|at| &self.old.sheets[at])).await;
        let new = recovered(storage, &[1, 3].map(|at| &new.sheets[at])).await;
        (old.is_some(), new.is_some())
    }
}

fn successor(threshold: u8) -> Successor {
    Successor {
        threshold,
        custodians: ["Ana", "Bo", "Fay", "Gus"].map(String::from).into(),
        created: now(),
        paper: custody::Paper::default(),
        contact: lifeboat::custody::Contact::default(),
    }
}

/// The key, when the sheets are taken and the repository's epochs reach it.
async fn recovered(storage: &Storage, sheets: &[&Sheet]) -> Option<RecoveryKey> {
    let repository = Repository::open(storage.clone()).await.unwrap();
    let mut gathering = Gathering::new(custody::registers(&repository.epochs().await.unwrap()));
    for sheet in sheets {
        gathering.add(&sheet.custodian, &sheet.text).ok()?;
    }
    let key = gathering.quorum().ok()?.recover().ok()?;
    repository.trust(&custody::anchor(&key)).await.ok()?;
    Some(key)
}

fn read_all_back(pending: &mut Pending, new: &Ceremony) {
    for sheet in &new.sheets {
        pending.confirm(&sheet.custodian, &sheet.text, now()).unwrap();
    }
}

fn cuts(n: u64) -> [Faults; 3] {
    [Faults::from_put(n), Faults::put(n), Faults::put_unanswered(n)]
}

#[test]
fn a_switch_cut_anywhere_leaves_one_working_set_and_is_finished_by_the_next_run() {
    let house = House::new();
    block_on(async {
        let (mut pending, new) = house.reshared().await;
        assert_eq!(house.working(&house.storage, &new).await, (true, false), "printed is not in force");
        read_all_back(&mut pending, &new);
        let counted = Arc::new(Faults::none());
        let whole = altered(&house.storage, |_, bytes| Some(bytes)).await;
        let (repository, trust) = house.open(&whole.with_faults(Arc::clone(&counted))).await;
        pending.switch(&repository, &trust, &house.signer).await.unwrap();
        assert_eq!(counted.puts(), 2, "every put is cut below");
        for n in 1..=2 {
            for faults in cuts(n) {
                let storage = altered(&house.storage, |_, bytes| Some(bytes)).await;
                let (repository, trust) = house.open(&storage.with_faults(Arc::new(faults))).await;
                assert!(pending.switch(&repository, &trust, &house.signer).await.is_err(), "put {n}");
                let (repository, trust) = house.open(&storage).await;
                let expected = if trust.current().number == 1 { (true, false) } else { (false, true) };
                assert_eq!(house.working(&storage, &new).await, expected, "put {n}");
                assert_eq!(repository.check(&trust, CheckDepth::Structure).await.unwrap().faults, [], "put {n}");
                let entries = custody::entries(trust.epochs(), &[], now());
                let in_force: Vec<&str> =
                    entries.iter().filter(|entry| entry.current).map(|entry| entry.custodian.as_str()).collect();
                assert_eq!(in_force.contains(&"Gus"), expected.1, "the register tells the truth");
                pending.switch(&repository, &trust, &house.signer).await.unwrap();
                let (_, trust) = house.open(&storage).await;
                assert_eq!(trust.current().number, 2);
                assert_eq!(house.working(&storage, &new).await, (false, true));
            }
        }
    });
}

#[test]
fn a_rotation_cut_anywhere_leaves_what_the_host_believes_working() {
    let house = House::new();
    block_on(async {
        let (mut pending, new) = house.rotated().await;
        read_all_back(&mut pending, &new);
        let anchor = TrustAnchor { root: new.epoch.root.clone(), recipient: new.epoch.recipient.clone() };
        for n in 1..=2 {
            for faults in cuts(n) {
                let storage = altered(&house.storage, |_, bytes| Some(bytes)).await;
                let (repository, trust) = house.open(&storage.with_faults(Arc::new(faults))).await;
                assert!(pending.switch(&repository, &trust, &house.signer).await.is_err(), "put {n}");
                let (repository, trust) = house.open(&storage).await;
                assert_eq!(trust.current().number, 1, "the host believes the old key until its config says otherwise");
                assert!(house.working(&storage, &new).await.0, "the old sheets open what is of their time");
                pending.switch(&repository, &trust, &house.signer).await.unwrap();
                let trust = repository.trust(&anchor).await.unwrap();
                assert_eq!(trust.epochs().len(), 2, "the new key vouches for the old epoch");
                pending.switch(&repository, &trust, &house.signer).await.unwrap();
                assert_eq!(house.working(&storage, &new).await, (true, true));
                assert_eq!(repository.check(&trust, CheckDepth::Structure).await.unwrap().faults, []);
            }
        }
        let (_, trust) = house.open(&house.storage).await;
        let ceremony = custody::rotate(&successor(2), &trust).unwrap();
        assert_ne!(ceremony.epoch.recipient, house.old.epoch.recipient);
        assert_ne!(ceremony.epoch.root, house.old.epoch.root);
    });
}

#[test]
fn other_signers_cut_anywhere_leave_the_same_sheets_working() {
    let house = House::new();
    let second = Signer::generate();
    block_on(async {
        let (_, trust) = house.open(&house.storage).await;
        let signers = |names: &[(&str, &Signer)]| -> Vec<AllowedSigner> {
            names.iter().map(|(name, signer)| AllowedSigner { name: (*name).into(), key: signer.public() }).collect()
        };
        let key = house.key().await;
        for wrong in
            [signers(&[]), signers(&[("a", &second), ("a", &house.signer)]), signers(&[("a", &second), ("b", &second)])]
        {
            assert!(custody::change_signers(&key, &wrong, None, now(), &trust).is_err());
        }
        let both = signers(&[("host", &house.signer), ("second", &second)]);
        assert!(custody::change_signers(&RecoveryKey::generate(), &both, None, now(), &trust).is_err());
        let changed = custody::change_signers(&key, &both, None, now(), &trust).unwrap();
        let pending = Pending::new(Kind::Signers, &changed);
        for n in 1..=2 {
            for faults in cuts(n) {
                let storage = altered(&house.storage, |_, bytes| Some(bytes)).await;
                let (repository, trust) = house.open(&storage.with_faults(Arc::new(faults))).await;
                assert!(pending.switch(&repository, &trust, &house.signer).await.is_err(), "put {n}");
                let old = [1, 3, 4].map(|at| &house.old.sheets[at]);
                assert!(recovered(&storage, &old).await.is_some(), "put {n}: the sheets work at any moment");
                let (repository, trust) = house.open(&storage).await;
                assert_eq!(repository.check(&trust, CheckDepth::Structure).await.unwrap().faults, [], "put {n}");
                pending.switch(&repository, &trust, &house.signer).await.unwrap();
                let (_, trust) = house.open(&storage).await;
                assert!(trust.current().number == 2 && trust.allows(2, &second.public()));
                assert!(!trust.allows(1, &second.public()));
                assert!(recovered(&storage, &old).await.is_some());
                let entries = custody::entries(trust.epochs(), &[], now());
                assert_eq!(entries.iter().filter(|entry| entry.current).count(), 5);
                assert_eq!(entries.len(), 5, "one set of sheets is listed once");
                let report = custody::verify(&old[0].text, trust.epochs(), None).unwrap();
                assert_eq!((report.state, report.epoch), (SheetState::Current, Some(2)));
            }
        }
    });
}

#[test]
fn other_sheets_do_not_pass_for_other_signers() {
    let house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pending.json");
    block_on(async {
        let (pending, new) = house.reshared().await;
        pending.save(&path).unwrap();
        let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
        std::fs::write(&path, text.replace("\"reshare\"", "\"signers\"")).unwrap();
        let pending = Pending::load(&path).unwrap().unwrap();
        let (repository, trust) = house.open(&house.storage).await;
        let refused = pending.switch(&repository, &trust, &house.signer).await;
        assert!(
            matches!(refused, Err(RepoError::Untrusted { reason, .. }) if reason.contains("no sheet was read back"))
        );
        assert_eq!(house.working(&house.storage, &new).await, (true, false));
    });
}

#[test]
fn nothing_but_every_single_new_sheet_switches() {
    let house = House::new();
    block_on(async {
        let (mut pending, new) = house.reshared().await;
        let (repository, trust) = house.open(&house.storage).await;
        let other = house.reshared().await.1;
        let refused = |result: Result<_, NotConfirmed>| result.err().unwrap();
        for sheet in house.old.sheets.iter().chain(&other.sheets) {
            let refused = refused(pending.confirm("x", &sheet.text, now()).map(drop));
            assert!(matches!(refused, NotConfirmed::OtherSet { .. }), "{refused}");
        }
        assert!(matches!(refused(pending.confirm("x", "", now()).map(drop)), NotConfirmed::Fault { .. }));
        for _ in 0..5 {
            for sheet in &new.sheets[..3] {
                pending.confirm("x", &sheet.text, now()).unwrap();
            }
        }
        assert_eq!((pending.confirmed().len(), pending.missing()), (3, vec!["Gus"]));
        let switched = pending.switch(&repository, &trust, &house.signer).await;
        assert!(matches!(switched, Err(RepoError::Untrusted { reason, .. }) if reason.contains("Gus")));
        assert_eq!(house.working(&house.storage, &new).await, (true, false));
    });
}

#[test]
fn progress_outlives_the_run_and_an_altered_file_is_refused() {
    let house = House::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state/pending.json");
    let (mut pending, new) = block_on(house.reshared());
    assert!(Pending::load(&path).unwrap().is_none());
    pending.save(&path).unwrap();
    let text = String::from_utf8(std::fs::read(&path).unwrap()).unwrap();
    for sheet in &new.sheets {
        let mut again = Pending::load(&path).unwrap().unwrap();
        again.confirm("x", &sheet.text, now()).unwrap();
        again.save(&path).unwrap();
        let share = sheet.text.split_whitespace().find(|word| word.len() == 90).unwrap();
        assert!(!text.contains(&share[20..40]));
    }
    pending = Pending::load(&path).unwrap().unwrap();
    assert!(pending.missing().is_empty());
    assert_eq!((pending.kind(), pending.epoch()), (Kind::Reshare, &new.epoch));
    for bad in ["", "{}", &text.replace("Gus", "Eve"), &text.replace("\"version\": 1", "\"version\": 2")] {
        std::fs::write(&path, bad).unwrap();
        assert!(Pending::load(&path).is_err(), "{bad}");
    }
}

#[test]
fn an_epoch_of_another_ceremony_is_never_stored() {
    let house = House::new();
    block_on(async {
        let (mut first, one) = house.reshared().await;
        let (mut second, two) = house.reshared().await;
        read_all_back(&mut first, &one);
        read_all_back(&mut second, &two);
        let (repository, trust) = house.open(&house.storage).await;
        let (bytes, foreign) = (one.epoch.to_bytes(), RecoveryKey::generate().root_signer());
        let forged = foreign.sign(Namespace::Epoch, &bytes);
        let next = SignedEpoch { bytes: &bytes, signature: &forged, closing: None, countersigner: Some(&house.signer) };
        let put = repository.put_signed_epoch(next, &one.epoch.root, &trust).await;
        assert!(matches!(put, Err(RepoError::Untrusted { .. })));
        let put = repository.put_signed_epoch(next, &foreign.public(), &trust).await;
        assert!(matches!(put, Err(RepoError::Untrusted { .. })));
        first.switch(&repository, &trust, &house.signer).await.unwrap();
        assert!(matches!(second.switch(&repository, &trust, &house.signer).await, Err(RepoError::Damaged { .. })));
        let (repository, trust) = house.open(&house.storage).await;
        assert!(matches!(second.switch(&repository, &trust, &house.signer).await, Err(RepoError::Untrusted { .. })));
        assert_eq!(house.working(&house.storage, &one).await, (false, true));
        let wrong = custody::reshare(&RecoveryKey::generate(), &successor(2), &trust);
        assert!(wrong.is_err(), "another key is not split in this one's name");
    });
}

#[test]
fn whoever_writes_to_the_storage_cannot_retire_a_set() {
    let house = House::new();
    block_on(async {
        let mut forged = house.reshared().await.1.epoch;
        forged.custodians.truncate(2);
        let bytes = forged.to_bytes();
        let signature = Signer::generate().sign(Namespace::Epoch, &bytes);
        let name = forged.file_name();
        house.storage.put_new(&format!("{name}.sig"), Bytes::from(signature)).await.unwrap();
        house.storage.put_new(&name, bytes).await.unwrap();
        let repository = Repository::open(house.storage.clone()).await.unwrap();
        let mut gathering = Gathering::new(custody::registers(&repository.epochs().await.unwrap()));
        for at in [1, 3, 4] {
            let sheet = &house.old.sheets[at];
            gathering.add(&sheet.custodian, &sheet.text).unwrap();
        }
        assert!(gathering.quorum().unwrap().recover().is_ok());
    });
}

#[test]
fn each_verdict_on_a_sheet() {
    let (house, elsewhere) = (House::new(), House::new());
    block_on(async {
        let (mut pending, new) = house.reshared().await;
        let (repository, trust) = house.open(&house.storage).await;
        let state = |sheet: &Sheet, trust: &Trust, pending: Option<&Pending>| {
            custody::verify(&sheet.text, trust.epochs(), pending.map(Pending::epoch)).unwrap().state
        };
        assert_eq!(state(&house.old.sheets[4], &trust, None), SheetState::Current);
        assert_eq!(state(&new.sheets[3], &trust, Some(&pending)), SheetState::Pending);
        assert_eq!(state(&new.sheets[3], &trust, None), SheetState::Unregistered);
        assert_eq!(state(&elsewhere.old.sheets[0], &trust, None), SheetState::Foreign);
        let mut other = trust.epochs().to_vec();
        other[0].custodians[4].sha256 = other[0].custodians[3].sha256;
        let altered = custody::verify(&house.old.sheets[4].text, &other, None).unwrap();
        assert_eq!((altered.state, altered.finding()), (SheetState::Altered, Some(Finding::Altered)));
        assert_eq!(altered.custodian.as_deref(), Some("Eli"));
        read_all_back(&mut pending, &new);
        pending.switch(&repository, &trust, &house.signer).await.unwrap();
        let (_, trust) = house.open(&house.storage).await;
        assert_eq!(state(&house.old.sheets[4], &trust, Some(&pending)), SheetState::Retired);
        assert_eq!(state(&new.sheets[3], &trust, Some(&pending)), SheetState::Current);
    });
}

#[test]
fn an_attestation_counts_only_from_a_signer_and_whole() {
    let house = House::new();
    block_on(async {
        let (repository, trust) = house.open(&house.storage).await;
        let holder = &trust.current().custodians[1];
        let made =
            |signer: &Signer, epoch| custody::attestation(ID, epoch, holder, now(), Finding::Intact, signer.public());
        let (own, stranger) = (made(&house.signer, 1), Signer::generate());
        let name = repository.put_attestation(&own, &house.signer).await.unwrap();
        repository.put_attestation(&made(&stranger, 1), &stranger).await.unwrap();
        repository.put_attestation(&made(&house.signer, 9), &house.signer).await.unwrap();
        assert!(repository.put_attestation(&made(&stranger, 1), &house.signer).await.is_err());
        let found = repository.attestations(&trust).await.unwrap();
        assert_eq!((found.verified, found.faults.len()), (vec![own.clone()], 2));
        assert_eq!(repository.check(&trust, CheckDepth::Structure).await.unwrap().faults.len(), 2);

        for n in 1..=2 {
            let storage =
                altered(&house.storage, |file, bytes| (!file.starts_with("attestations")).then_some(bytes)).await;
            let cut = Repository::open(storage.with_faults(Arc::new(Faults::from_put(n)))).await.unwrap();
            assert!(cut.put_attestation(&own, &house.signer).await.is_err());
            let (repository, trust) = house.open(&storage).await;
            let found = repository.attestations(&trust).await.unwrap();
            assert_eq!((found.verified.len(), found.faults.len()), (0, 0), "put {n}");
            repository.put_attestation(&own, &house.signer).await.unwrap();
        }
        let unsigned = altered(&house.storage, |file, bytes| (*file != format!("{name}.sig")).then_some(bytes)).await;
        let (repository, trust) = house.open(&unsigned).await;
        assert_eq!(repository.attestations(&trust).await.unwrap().verified, []);
    });
}
