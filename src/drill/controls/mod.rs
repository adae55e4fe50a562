//! Negative controls: faults planted beside a drill, in a repository and a place of their own in memory. A drill whose
//! comparison does not catch them proves nothing.

use std::sync::Arc;

use futures::stream;
use jiff::Timestamp;

use super::{DrillError, record::NegativeControl};
use crate::{
    crypto::{IndexKey, Opener, RecoveryKey, Signer},
    model::{
        AWSCURRENT, AWSPREVIOUS, Place, Record, RepositoryId, Secret, SecretValue, SnapshotId, ValueState, Version,
        VersionFacets,
    },
    progress::Silent,
    provider::{
        Source, Target,
        memory::{HeldVersion, Memory},
    },
    repo::{
        AllowedSigner, Chosen, Counts, Epoch, FORMAT_VERSION, FullPass, IndexLine, Manifest, PackSet, PackWriter,
        ReadingCount, Repository, Trust, TrustAnchor, VerifiedManifest,
    },
    restore::{self, Options, Plan, Values},
    share::{self, Gathering},
    storage::Storage,
};

const NAME: &str = "lifeboat/negative-control";

/// A fault to plant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// A restored value with one wrong byte.
    WrongValue,
    /// A version that is not there.
    MissingVersion,
    /// A label on another version.
    MovedLabel,
    /// A manifest signed by a key that may not sign.
    ForgedManifest,
    /// A sheet with one wrong character.
    BadShare,
    /// The fault of that place in [`PLANTS`] is looked for and was never planted, so that it cannot be caught: a test sees
    /// by it that the drill is void then.
    TestOnlyMissed(usize),
}

/// The faults of every drill.
pub const PLANTS: [Plant; 5] =
    [Plant::WrongValue, Plant::MissingVersion, Plant::MovedLabel, Plant::ForgedManifest, Plant::BadShare];

/// A repository with one secret of three versions, of which nobody keeps the key.
struct Throwaway {
    repository: Repository,
    trust: Trust,
    key: RecoveryKey,
    signer: Signer,
    chosen: Chosen,
    plan: Plan,
}

/// Plants one fault in a restore of its own and says whether it was caught.
///
/// # Errors
/// When the throw-away repository cannot be made or does not verify before the fault is planted.
pub async fn plant(fault: Plant) -> Result<NegativeControl, DrillError> {
    let made = Throwaway::new().await?;
    let (fault, planted) = match fault {
        Plant::TestOnlyMissed(place) => (PLANTS[place], false),
        fault => (fault, true),
    };
    let spoil = |spoil: fn(&Memory)| if planted { spoil } else { |_: &Memory| {} };
    let (planted, expected, found) = match fault {
        Plant::WrongValue => ("a wrong value", "value", made.spoiled(spoil(wrong_value)).await?),
        Plant::MissingVersion => ("a missing version", "missing", made.spoiled(spoil(missing_version)).await?),
        Plant::MovedLabel => ("a moved label", "labels, labels", made.spoiled(spoil(moved_label)).await?),
        Plant::ForgedManifest => ("a forged manifest", "untrusted", made.forged(planted).await?),
        Plant::BadShare | Plant::TestOnlyMissed(_) => {
            ("a bad share", "not taken", made.bad_share(planted).map_err(failed)?)
        }
    };
    let caught = found == expected;
    Ok(NegativeControl { planted: planted.into(), expected: expected.into(), found, caught })
}

fn versions(values: [&str; 3], stages: [&[&str]; 3]) -> Vec<HeldVersion> {
    let held = values.into_iter().zip(stages).enumerate();
    held.map(|(number, (value, stages))| HeldVersion::text(&id(number), stages, value)).collect()
}

const VALUES: [&str; 3] = ["first", "second", "third"];
const STAGES: [&[&str]; 3] = [&[], &[AWSPREVIOUS], &[AWSCURRENT]];

fn wrong_value(place: &Memory) {
    place.insert(secret(), versions(["first", "second", "thirD"], STAGES));
}

fn missing_version(place: &Memory) {
    let mut held = versions(VALUES, STAGES);
    held.remove(0);
    place.insert(secret(), held);
}

fn moved_label(place: &Memory) {
    place.insert(secret(), versions(VALUES, [&[], &[AWSCURRENT], &[AWSPREVIOUS]]));
}

fn id(number: usize) -> String {
    format!("negative-control-{number:020}")
}

fn secret() -> Secret {
    Secret { name: NAME.into(), id: format!("arn:{NAME}"), ..Secret::default() }
}

fn source() -> Place {
    Place { provider: "aws".into(), account: "control-a".into(), region: "a".into() }
}

fn failed(error: impl std::fmt::Display) -> DrillError {
    DrillError::Control(error.to_string())
}

impl Throwaway {
    async fn new() -> Result<Self, DrillError> {
        let (key, signer) = (RecoveryKey::generate(), Signer::generate());
        let root = key.root_signer();
        let epoch = epoch(&key, &root, &signer);
        let repository = Repository::create(Storage::memory(), &epoch, &root).await?;
        let trust = repository.trust(&TrustAnchor { root: root.public(), recipient: key.recipient() }).await?;
        snapshot(&repository, &key, &signer).await?;
        let chosen = repository.judge(&trust, &[]).await?.newest(None)?;
        let records = repository.record_stream(&chosen, Opener::Recovery(&key));
        let options = Options::default();
        let found = restore::look(&Memory::new("control-b", "a"), &chosen, records, &options, None).await?;
        let plan = restore::make(&chosen, &found, &options)?;
        Ok(Self { repository, trust, key, signer, chosen, plan })
    }

    /// Restores, compares, spoils, compares: what the second comparison found.
    async fn spoiled(&self, spoil: fn(&Memory)) -> Result<String, DrillError> {
        let place = Arc::new(Memory::new("control-b", "a"));
        let (target, readback): (Arc<dyn Target>, Arc<dyn Source>) = (place.clone(), place.clone());
        let values = Values::new(&self.repository, &self.chosen, &self.key);
        restore::execute(&self.plan, &values, &target, &Silent).await?;
        let before = restore::verify(&self.plan, &values, &readback, &Silent).await?;
        if !before.passed() || before.values != 3 {
            return Err(failed("an undisturbed restore does not verify"));
        }
        spoil(&place);
        let after = restore::verify(&self.plan, &values, &readback, &Silent).await?;
        Ok(after.differences.iter().map(|found| found.what).collect::<Vec<_>>().join(", "))
    }

    /// Adds a snapshot by a stranger, who knows everything but a key that may sign.
    async fn forged(&self, planted: bool) -> Result<String, DrillError> {
        let stranger = Signer::generate();
        let forged = snapshot(&self.repository, &self.key, if planted { &stranger } else { &self.signer }).await?;
        let judgement = self.repository.judge(&self.trust, &[]).await?;
        let believed = judgement.chain().manifests.iter().any(|found| found.digest() == forged.digest());
        let kinds = judgement.faults().iter().map(|fault| fault.kind);
        let is_named = kinds.filter(|kind| *kind == crate::repo::FaultKind::Untrusted).count() == 1;
        let refused = is_named && judgement.newest(None).is_err();
        Ok(if refused && !believed { "untrusted" } else { "believed" }.into())
    }

    fn bad_share(&self, planted: bool) -> Result<String, String> {
        let shares = share::split(&self.key, 2, 3).map_err(|error| error.to_string())?;
        let (good, other) = (shares[0].text(), shares[1].text());
        let at = good.len() / 2;
        let wrong = match good.as_bytes()[at] {
            _ if !planted => &good[at..=at],
            b'Q' => "P",
            _ => "Q",
        };
        let bad = zeroize::Zeroizing::new([&good[..at], wrong, &good[at + 1..]].concat());
        let mut gathering = Gathering::new(Vec::new());
        let taken = gathering.add("a bad sheet", &bad).is_ok();
        gathering.add("a good sheet", &other).map_err(|error| error.to_string())?;
        let opened = gathering.quorum().is_ok_and(|quorum| quorum.recover().is_ok());
        Ok(if taken || opened { "taken" } else { "not taken" }.into())
    }
}

fn epoch(key: &RecoveryKey, root: &Signer, signer: &Signer) -> Epoch {
    Epoch {
        version: FORMAT_VERSION,
        repository: RepositoryId::from_bytes([0; 16]),
        number: 1,
        created: Timestamp::UNIX_EPOCH,
        recipient: key.recipient(),
        root: root.public(),
        threshold: 2,
        total: 3,
        share_set: "00000000".into(),
        custodians: Vec::new(),
        signers: vec![AllowedSigner { name: "control".into(), key: signer.public() }],
        previous: None,
        closing: None,
    }
}

/// One secret, sealed and signed as a snapshot does it.
async fn snapshot(repository: &Repository, key: &RecoveryKey, signer: &Signer) -> Result<VerifiedManifest, DrillError> {
    let recipients = [key.recipient(), IndexKey::generate().recipient()];
    let mut pack = PackWriter::new(&recipients[..1]);
    let values = VALUES.map(|value| SecretValue::text(value.into()));
    let lines: Vec<u32> =
        values.iter().enumerate().map(|(number, value)| pack.push(&secret().id, &id(number), value)).collect();
    let pack = pack.finish();
    let version = |(number, line): (usize, u32)| Version {
        id: id(number),
        current: STAGES[number].contains(&AWSCURRENT),
        labels: STAGES[number].iter().map(ToString::to_string).collect(),
        created: None,
        facets: VersionFacets::default(),
        value: ValueState::Stored {
            pack: pack.file.sha256,
            line,
            kind: values[number].kind(),
            size: values[number].size(),
        },
    };
    let versions = lines.into_iter().enumerate().map(version).collect();
    let record = Record { secret: secret(), versions, read: Timestamp::UNIX_EPOCH, listing: None };
    let mut readings = ReadingCount::new(Timestamp::UNIX_EPOCH, &[]);
    readings.add(&record);
    let counts = Counts { listed: 1, ..Counts::default() }.of_records(std::slice::from_ref(&record), 3);
    let layer = repository.put_layer(&recipients, stream::iter([Ok(IndexLine::Record(record))])).await?;
    let manifest = Manifest {
        version: FORMAT_VERSION,
        repository: repository.id(),
        snapshot: SnapshotId::random(),
        sequence: 1,
        previous: None,
        time: Timestamp::UNIX_EPOCH,
        finished: Timestamp::UNIX_EPOCH,
        epoch: 1,
        signer: signer.public(),
        source: source(),
        packs: PackSet { new: vec![pack.file], lists: Vec::new() },
        indexes: vec![layer],
        counts,
        accepted: None,
        full: FullPass { sequence: 1, time: Timestamp::UNIX_EPOCH },
        readings: readings.finish(),
        sweeps: Vec::new(),
        seals: Vec::new(),
        config: None,
        excluded: Vec::new(),
        unreadable: Vec::new(),
        tool: String::new(),
    };
    repository.put_pack(pack).await?;
    Ok(repository.put_manifest(manifest, signer).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_fault_is_caught_and_no_fault_is_not() {
        for (place, fault) in PLANTS.into_iter().enumerate() {
            let control = plant(fault).await.unwrap();
            assert!(control.caught, "{control:?}");
            let missed = plant(Plant::TestOnlyMissed(place)).await.unwrap();
            assert!(!missed.caught && missed.planted == control.planted, "{missed:?}");
        }
    }
}
