//! Frozen repositories of every released format: what was written once stays readable.

use std::path::{Path, PathBuf};

use lifeboat::{
    crypto::{IndexKey, Opener, RecoveryKey, Signer},
    fsutil::{self, Access, Existing},
    model::ValueState,
    repo::{CheckDepth, Custodian, IndexReader, PackReader, Repository, TrustAnchor},
    share::{Gathering, split},
    storage::Storage,
};

use crate::repo_sample::{Sample, block_on, epoch, values};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/repositories").join(name)
}

fn text(path: &Path) -> String {
    String::from_utf8(fsutil::read(path).unwrap()).unwrap()
}

#[test]
fn version_1_is_read_as_it_was_written() {
    let folder = fixture("v1");
    let mut gathering = Gathering::new(vec![]);
    for sheet in ["sheet-1.txt", "sheet-3.txt"] {
        gathering.add(sheet, &text(&folder.join(sheet))).unwrap();
    }
    let key = gathering.quorum().unwrap().recover().unwrap();
    let index = IndexKey::from_file(&text(&folder.join("index-key.txt"))).unwrap();
    let anchor = TrustAnchor { root: key.root_signer().public(), recipient: key.recipient() };
    block_on(async {
        let storage = Storage::open(folder.join("repository").to_str().unwrap()).unwrap();
        let repository = Repository::open(storage).await.unwrap();
        let trust = repository.trust(&anchor).await.unwrap();
        for (depth, references, opened) in [
            (CheckDepth::Structure, 0, 0),
            (CheckDepth::Index(&index), 2 * values().len(), 0),
            (CheckDepth::Values(&key), 2 * values().len(), values().len()),
        ] {
            let report = repository.check(&trust, depth).await.unwrap();
            assert_eq!(report.faults, []);
            let counted = (report.snapshots, report.references, report.values);
            assert_eq!(counted, (2, references as u64, opened as u64));
        }
        let chain = repository.chain(&trust).await.unwrap();
        assert_eq!(
            found(&repository, &chain.head().unwrap().manifest().indexes[0].files[0], &key).await,
            values().len()
        );
    });
}

/// How many values of the sample come back as they were sealed.
async fn found(repository: &Repository, index: &lifeboat::repo::FileRef, key: &RecoveryKey) -> usize {
    let sealed = repository.index(index).await.unwrap();
    let mut count = 0;
    for record in IndexReader::open("index", sealed, Opener::Recovery(key)).unwrap().records() {
        let record = record.unwrap();
        for version in &record.versions {
            let ValueState::Stored { pack, line, .. } = &version.value else { continue };
            let sealed = repository.pack(pack).await.unwrap();
            let mut entries = PackReader::open("pack", sealed, Opener::Recovery(key)).unwrap();
            let entry = entries.nth(*line as usize).unwrap().unwrap();
            count += values()
                .iter()
                .filter(|(name, id, value)| {
                    *name == record.secret.name && *id == version.id && value.same_as(&entry.value)
                })
                .count();
        }
    }
    count
}

#[test]
#[ignore = "writes the fixture of a new format version; a released one is never written again"]
fn write_a_fixture() {
    let folder = fixture("new");
    let (recovery, signer) = (RecoveryKey::generate(), Signer::generate());
    let shares = split(&recovery, 2, 3).unwrap();
    let mut epoch = epoch(&recovery, &signer);
    (epoch.threshold, epoch.total, epoch.share_set) = (2, 3, hex::encode(shares[0].set().0));
    epoch.custodians = shares
        .iter()
        .map(|share| Custodian { name: format!("C{}", share.index()), share: share.index(), sha256: share.digest() })
        .collect();
    let storage = Storage::open(folder.join("repository").to_str().unwrap()).unwrap();
    block_on(async {
        let repository = Repository::create(storage, &epoch, &recovery.root_signer()).await.unwrap();
        let sample = Sample { recovery, index: IndexKey::generate(), signer, repository };
        let (records, packs) = sample.seal().await;
        let first = sample.snapshot(1, None, &records, &packs).await;
        sample.snapshot(2, Some(first.digest()), &records, &packs).await;
        sample.drill().await;
        let write = |name: &str, text: &str| {
            fsutil::write(&folder.join(name), text.as_bytes(), Access::Public, Existing::Replace).unwrap();
        };
        write("index-key.txt", &sample.index.to_file());
        for share in &shares {
            let rows: Vec<_> = share.rows().iter().map(|row| row.to_string()).collect();
            write(&format!("sheet-{}.txt", share.index()), &format!("{}\n\n{}\n", *share.text(), rows.join("\n")));
        }
    });
}
