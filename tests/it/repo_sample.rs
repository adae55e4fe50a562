//! A small repository with every kind of value, for the tests of the format.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::stream;
use jiff::Timestamp;
use lifeboat::{
    crypto::{IndexKey, Namespace, RecoveryKey, Signer},
    model::{Digest, Place, Record, RepositoryId, Secret, SecretValue, SnapshotId, ValueState, Version, VersionFacets},
    repo::{
        AllowedSigner, Chosen, ClosingList, Counts, Custodian, Epoch, FileRef, ForgetError, FullPass, IndexLine,
        LossGuard, Manifest, OpenSet, PackWriter, PreviousEpoch, ReadingCount, Readings, Repository, Retention,
        SignedEpoch, Sweep, SweepReport, Trust, TrustAnchor, VerifiedForget, VerifiedManifest,
    },
    storage::Storage,
};

/// A repository with its keys.
pub struct Sample {
    pub recovery: RecoveryKey,
    pub index: IndexKey,
    pub signer: Signer,
    pub repository: Repository,
}

pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub fn time(minute: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + 60 * minute).unwrap()
}

pub fn epoch(recovery: &RecoveryKey, signer: &Signer) -> Epoch {
    Epoch {
        version: 1,
        repository: RepositoryId::from_bytes([7; 16]),
        number: 1,
        created: time(0),
        recipient: recovery.recipient(),
        root: recovery.root_signer().public(),
        threshold: 3,
        total: 5,
        share_set: "0a1b2c3d".into(),
        custodians: vec![Custodian { name: "Ünsal Ş.".into(), share: 1, sha256: Digest::of(b"share") }],
        signers: vec![AllowedSigner { name: "backup-1".into(), key: signer.public() }],
        previous: None,
        closing: None,
    }
}

/// What a manifest of `at` without sweeps says of the age of these records.
pub fn readings(records: &[Record], at: Timestamp) -> Readings {
    let mut readings = ReadingCount::new(at, at, &[]);
    for record in records {
        readings.add(record);
    }
    readings.finish()
}

/// Every value of the sample by secret and version.
pub fn values() -> Vec<(&'static str, &'static str, SecretValue)> {
    vec![
        ("app/db", "v1-0123456789abcdef0123456789abcdef", SecretValue::text("{\"password\":\"p\\\"ä\"}".into())),
        ("app/db", "v2-0123456789abcdef0123456789abcdef", SecretValue::text("line\nbreak\t\u{0}\u{2028}🔑".into())),
        ("app/empty", "v1-0123456789abcdef0123456789abcdef", SecretValue::text(String::new())),
        ("app/key", "v1-0123456789abcdef0123456789abcdef", SecretValue::bytes((0..=255).collect())),
        ("app/key", "v2-0123456789abcdef0123456789abcdef", SecretValue::bytes(b"text as bytes".to_vec())),
        ("größe/名前", "v1-0123456789abcdef0123456789abcdef", SecretValue::text("x".repeat(5000))),
    ]
}

pub fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-central-1:111122223333:secret:{name}-AbCdEf")
}

impl Sample {
    /// An empty repository.
    pub fn empty(storage: Storage) -> Self {
        let (recovery, signer) = (RecoveryKey::generate(), Signer::generate());
        let epoch = epoch(&recovery, &signer);
        let repository = block_on(Repository::create(storage, &epoch, &recovery.root_signer())).unwrap();
        Self { recovery, index: IndexKey::generate(), signer, repository }
    }

    /// An empty repository with the same keys on another storage.
    pub async fn twin(&self, storage: Storage) -> Repository {
        let epoch = epoch(&self.recovery, &self.signer);
        Repository::create(storage, &epoch, &self.recovery.root_signer()).await.unwrap()
    }

    /// A repository with `snapshots` snapshots; each carries the values of the first.
    pub fn new(storage: Storage, snapshots: u64) -> Self {
        let sample = Self::empty(storage);
        block_on(async {
            let (records, packs) = sample.seal().await;
            let mut previous = None;
            for sequence in 1..=snapshots {
                let found = sample.snapshot(sequence, previous, &records, &packs).await;
                previous = Some(found.digest());
            }
        });
        sample
    }

    pub fn anchor(&self) -> TrustAnchor {
        TrustAnchor { root: self.recovery.root_signer().public(), recipient: self.recovery.recipient() }
    }

    pub fn trust(&self) -> Trust {
        block_on(self.repository.trust(&self.anchor())).unwrap()
    }

    pub async fn trust_now(&self) -> Trust {
        self.repository.trust(&self.anchor()).await.unwrap()
    }

    /// Two packs, and the records that refer to them.
    pub async fn seal(&self) -> (Vec<Record>, Vec<FileRef>) {
        let mut places = Vec::new();
        let mut packs = Vec::new();
        for half in values().chunks(3) {
            let mut writer = PackWriter::new(&[self.recovery.recipient()]);
            let lines: Vec<u32> = half.iter().map(|(name, id, value)| writer.push(&arn(name), id, value)).collect();
            let sealed = writer.finish();
            packs.push(sealed.file);
            places.extend(half.iter().zip(lines).map(|((name, id, value), line)| {
                let value =
                    ValueState::Stored { pack: sealed.file.sha256, line, kind: value.kind(), size: value.size() };
                (
                    *name,
                    Version {
                        id: (*id).into(),
                        current: false,
                        labels: vec![],
                        created: None,
                        facets: VersionFacets::default(),
                        value,
                    },
                )
            }));
            self.repository.put_pack(sealed).await.unwrap();
        }
        packs.sort();
        let mut records: Vec<Record> = Vec::new();
        for (name, version) in places {
            if let Some(last) = records.last_mut().filter(|last| last.secret.name == name) {
                last.versions.push(version);
            } else {
                let secret = Secret { name: name.into(), id: arn(name), ..Secret::default() };
                records.push(Record { secret, versions: vec![version], read: time(1), listing: None });
            }
        }
        for record in &mut records {
            record.versions.last_mut().unwrap().labels.push("AWSCURRENT".into());
        }
        (records, packs)
    }

    /// A manifest that fits `records`, its index stored; not signed.
    pub async fn manifest(
        &self,
        sequence: u64,
        previous: Option<Digest>,
        records: &[Record],
        packs: &[FileRef],
    ) -> Manifest {
        let recipients = [self.recovery.recipient(), self.index.recipient()];
        let lines = records.iter().cloned().map(|record| Ok(IndexLine::Record(record)));
        let layer = self.repository.put_layer(&recipients, stream::iter(lines)).await.unwrap();
        let packs = packs.iter().copied().collect();
        let packs = self.repository.put_pack_set(&OpenSet::default(), &packs).await.unwrap();
        let versions = records.iter().map(|record| record.versions.len() as u64).sum();
        let counts = Counts { listed: records.len() as u64, ..Counts::default() }.of_records(records, versions);
        let minute = i64::try_from(sequence).unwrap();
        Manifest {
            version: 1,
            repository: self.repository.id(),
            snapshot: SnapshotId::from_bytes(Digest::of(&sequence.to_be_bytes()).as_bytes()[..16].try_into().unwrap()),
            sequence,
            previous,
            time: time(minute),
            finished: time(minute),
            epoch: 1,
            signer: self.signer.public(),
            source: Place { provider: "aws".into(), account: "111122223333".into(), region: "eu-central-1".into() },
            packs,
            indexes: vec![layer],
            counts,
            accepted: Some(LossGuard::default().judge(None, &counts, None)),
            full: FullPass { sequence, time: time(minute) },
            holds: None,
            readings: readings(records, time(minute)),
            sweeps: vec![],
            seals: vec![],
            config: None,
            excluded: vec![],
            unreadable: vec![],
            tool: "lifeboat test".into(),
        }
    }

    pub async fn snapshot(
        &self,
        sequence: u64,
        previous: Option<Digest>,
        records: &[Record],
        packs: &[FileRef],
    ) -> VerifiedManifest {
        let manifest = self.manifest(sequence, previous, records, packs).await;
        self.repository.put_manifest(manifest, &self.signer).await.unwrap()
    }

    /// Puts the next epoch in force as a ceremony does: with a closing list where a signer is removed, countersigned by `host`.
    pub async fn succeed(
        &self,
        trust: &Trust,
        recovery: &RecoveryKey,
        (host, signers): (&Signer, &[&Signer]),
        after: Option<u64>,
    ) -> Epoch {
        let current = trust.current();
        let signers: Vec<AllowedSigner> = signers
            .iter()
            .enumerate()
            .map(|(at, signer)| AllowedSigner { name: format!("backup-{at}"), key: signer.public() })
            .collect();
        let removes = current.signers.iter().any(|before| signers.iter().all(|after| after.key != before.key));
        let chain = self.repository.chain(trust).await.unwrap();
        let closing =
            if removes { Some(self.repository.closing_list(trust, &chain, after).await.unwrap()) } else { None };
        let epoch = Epoch {
            number: current.number + 1,
            created: time(50 + i64::from(current.number)),
            previous: Some(PreviousEpoch { number: current.number, sha256: trust.current_digest() }),
            closing: closing.as_ref().map(ClosingList::digest),
            signers,
            ..epoch(recovery, host)
        };
        let (bytes, root) = (epoch.to_bytes(), recovery.root_signer());
        let closing = closing.map(|list| list.to_bytes());
        let next = SignedEpoch {
            bytes: &bytes,
            signature: &root.sign(Namespace::Epoch, &bytes),
            closing: closing.as_deref(),
            countersigner: Some(host),
        };
        self.repository.put_signed_epoch(next, &root.public(), trust).await.unwrap();
        epoch
    }

    pub async fn drill(&self) {
        let id = SnapshotId::from_bytes([9; 16]);
        let (repository, signer) = (self.repository.id(), self.signer.public());
        let record = format!("{{\"repository\":\"{repository}\",\"signer\":\"{signer}\"}}\n");
        self.repository.put_drill(time(90), id, Bytes::from(record), &self.signer).await.unwrap();
    }
}

/// A snapshot chosen by its id, as every reader has to.
pub async fn chosen(repository: &Repository, trust: &Trust, manifest: &VerifiedManifest) -> Chosen {
    let judgement = repository.judge(trust, &[]).await.unwrap();
    judgement.by_id(&manifest.manifest().snapshot.to_string(), None).unwrap()
}

/// Long after any window.
pub fn later() -> Timestamp {
    "2100-01-01T00:00:00Z".parse().unwrap()
}

/// Marks snapshots by their stems.
pub async fn forget(
    repository: &Repository,
    trust: &Trust,
    names: &BTreeSet<String>,
    window: (Timestamp, Timestamp),
    signer: &Signer,
) -> Result<VerifiedForget, ForgetError> {
    let judgement = repository.judge(trust, &[]).await.unwrap();
    repository.forget(&judgement, trust, names, window, None, signer).await
}

/// Removes what is due, as the host that signs with `signer` and has no rules of its own.
pub async fn sweep(
    repository: &Repository,
    trust: &Trust,
    signer: &Signer,
    now: Timestamp,
    keep: &BTreeSet<Digest>,
) -> Result<SweepReport, ForgetError> {
    let judgement = repository.judge(trust, &[]).await.unwrap();
    let sweep = Sweep {
        now,
        rules: Retention::default(),
        window: jiff::SignedDuration::ZERO,
        signer: signer.public(),
        seen: &BTreeMap::new(),
        keep,
        but: None,
    };
    repository.sweep(&judgement, &sweep).await
}

/// A storage in memory with the same files, but those that `change` drops or alters.
pub async fn altered(from: &Storage, change: impl Fn(&str, Bytes) -> Option<Bytes>) -> Storage {
    let to = Storage::memory();
    for entry in from.list("").await.unwrap() {
        if let Some(bytes) = change(&entry.name, from.get(&entry.name).await.unwrap()) {
            to.put_new(&entry.name, bytes).await.unwrap();
        }
    }
    to
}
