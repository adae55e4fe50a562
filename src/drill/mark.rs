//! What makes a secret a drill's own: an identifier that a creation of this drill answered, or a mark that nobody else can
//! make. Pure.
//!
//! The mark is a tag. Its value is `DRILL/START/SNAPSHOT/HMAC`, START in seconds since 1970, the HMAC by a key of the
//! signer over repository, drill, start, snapshot, account, region and name. So a mark that was copied to another name or
//! place, or made up, is none.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::{
    crypto::{MarkKey, Signer},
    model::{DRILL_TAG, Place, Record, RepositoryId, Secret, SnapshotId, Tag},
    provider::{Rules, rules},
};

/// Tags a secret can have (AWS: quotas of Secrets Manager).
const MOST_TAGS: usize = 50;
/// How far this host's clock may be ahead of the provider's: AWS refuses requests that are further off
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html>).
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// One drill in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// The drill.
    pub drill: SnapshotId,
    /// When it began, in whole seconds.
    pub started: Timestamp,
    /// What it restores.
    pub snapshot: SnapshotId,
}

/// Makes marks and knows them again, for one repository and one place.
pub(super) struct Marker {
    key: MarkKey,
    repository: RepositoryId,
    place: Place,
}

/// Why a secret is not taken for a drill's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotOwn {
    #[error("these credentials cannot read it")]
    Hidden,
    #[error("it has no mark")]
    Unmarked,
    #[error("this host did not make its mark for this name and place")]
    Forged,
    #[error("it belongs to another drill")]
    OtherDrill,
    #[error("it is older than the drill")]
    Older,
    #[error("it has versions that the snapshot does not have")]
    OtherVersions,
    #[error("its identifier does not belong to this name and place")]
    OtherPlace,
    #[error("the snapshot of its drill cannot be read here")]
    NoSnapshot,
}

impl Run {
    /// Whether a secret was created in it or after it, as far as clocks agree.
    fn precedes(&self, secret: &Secret) -> bool {
        let since = self.started.checked_sub(SKEW).unwrap_or(self.started);
        secret.created.is_some_and(|created| created >= since)
    }
}

impl Marker {
    pub fn new(signer: &Signer, repository: RepositoryId, place: Place) -> Self {
        Self { key: signer.mark_key(), repository, place }
    }

    /// The mark of what `run` creates under `name`.
    pub fn tag(&self, run: &Run, name: &str) -> Tag {
        let mark = self.key.mark(&self.fields(run, name).each_ref().map(Vec::as_slice));
        let started = run.started.as_second();
        Tag { key: DRILL_TAG.into(), value: format!("{}/{started}/{}/{}", run.drill, run.snapshot, hex::encode(mark)) }
    }

    /// The run whose mark a secret carries.
    pub fn run_of(&self, secret: &Secret) -> Result<Run, NotOwn> {
        let tag = secret.facets.tags.iter().find(|tag| tag.key == DRILL_TAG).ok_or(NotOwn::Unmarked)?;
        let (run, mark) = parse(&tag.value).ok_or(NotOwn::Forged)?;
        let fields = self.fields(&run, &secret.name);
        let fields = fields.each_ref().map(Vec::as_slice);
        if !self.key.is_mark(&fields, &mark) {
            return Err(NotOwn::Forged);
        }
        if !self.is_of(secret) {
            return Err(NotOwn::OtherPlace);
        }
        if run.precedes(secret) { Ok(run) } else { Err(NotOwn::Older) }
    }

    /// Whether `secret`, as it is now, is what `run` created: by its mark, or by the answer to the creation where it had no
    /// room for one.
    pub fn is_own(&self, run: &Run, secret: &Secret, answered: Option<&str>, has_room: bool) -> Result<(), NotOwn> {
        if has_room || answered.is_none() {
            let found = self.run_of(secret)?;
            return if found == *run { Ok(()) } else { Err(NotOwn::OtherDrill) };
        }
        if secret.facets.tags.iter().any(|tag| tag.key == DRILL_TAG) {
            return Err(NotOwn::OtherDrill);
        }
        if answered != Some(secret.id.as_str()) || !self.is_of(secret) {
            return Err(NotOwn::OtherPlace);
        }
        if run.precedes(secret) { Ok(()) } else { Err(NotOwn::Older) }
    }

    /// Whether its identifier is one of its name in this place.
    fn is_of(&self, secret: &Secret) -> bool {
        rules(&self.place.provider).is_ok_and(|rules| rules.is_identifier(&secret.id, &secret.name, &self.place))
    }

    /// Where its marks hold.
    pub fn place(&self) -> &Place {
        &self.place
    }

    fn fields(&self, run: &Run, name: &str) -> [Vec<u8>; 7] {
        [
            self.repository.to_string().into_bytes(),
            run.drill.to_string().into_bytes(),
            run.started.as_second().to_string().into_bytes(),
            run.snapshot.to_string().into_bytes(),
            self.place.account.clone().into_bytes(),
            self.place.region.clone().into_bytes(),
            name.as_bytes().to_vec(),
        ]
    }
}

/// Puts the mark on a record that is to be restored as `name`; `false` when it has no room for a tag.
pub(super) fn mark(record: &mut Record, marker: &Marker, run: &Run, name: &str) -> bool {
    let tags = &mut record.secret.facets.tags;
    tags.retain(|tag| tag.key != DRILL_TAG);
    let has_room = tags.len() < MOST_TAGS;
    if has_room {
        tags.push(marker.tag(run, name));
    }
    has_room
}

/// Whether every version that is there is one of a secret of the snapshot that has this name, a prefix aside.
pub(super) fn are_versions_of(records: &[Record], name: &str, versions: &BTreeSet<String>, rules: &dyn Rules) -> bool {
    let of = |record: &&Record| name.ends_with(&record.secret.name);
    records.iter().filter(of).any(|record| versions.iter().all(|version| rules.may_become(record, version)))
}

fn parse(value: &str) -> Option<(Run, Vec<u8>)> {
    let mut parts = value.split('/');
    let drill = parts.next()?.parse().ok()?;
    let started = Timestamp::from_second(parts.next()?.parse().ok()?).ok()?;
    let snapshot = parts.next()?.parse().ok()?;
    let mark = hex::decode(parts.next()?).ok()?;
    parts.next().is_none().then_some((Run { drill, started, snapshot }, mark))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::{Facets, ValueState, Version, VersionFacets},
        provider::aws::AwsRules,
    };

    const NAME: &str = "drill/app";

    fn place(account: &str, region: &str) -> Place {
        Place { provider: "aws".into(), account: account.into(), region: region.into() }
    }

    fn run() -> Run {
        let (drill, snapshot) = (SnapshotId::from_bytes([1; 16]), SnapshotId::from_bytes([2; 16]));
        Run { drill, started: "2026-11-24T07:00:00Z".parse().unwrap(), snapshot }
    }

    fn secret(name: &str, tags: Vec<Tag>, created: Option<&str>) -> Secret {
        Secret {
            name: name.into(),
            id: format!("arn:aws:secretsmanager:eu-west-1:222222222222:secret:{name}-AbCdEf"),
            facets: Facets { tags, ..Facets::default() },
            created: created.map(|time| time.parse().unwrap()),
            ..Secret::default()
        }
    }

    const AFTER: Option<&str> = Some("2026-11-24T07:00:01Z");

    #[test]
    fn a_mark_says_its_run_and_fits_one_name_in_one_place_by_one_signer() {
        let signer = Signer::generate();
        let repository = RepositoryId::from_bytes([3; 16]);
        let marker = Marker::new(&signer, repository, place("222222222222", "eu-west-1"));
        let tag = marker.tag(&run(), NAME);
        assert_eq!((tag.key.as_str(), tag.value.len()), (DRILL_TAG, 32 + 1 + 10 + 1 + 32 + 1 + 64));
        assert!(tag.value.starts_with(&format!("{}/1795503600/{}/", run().drill, run().snapshot)), "{}", tag.value);
        let marked = secret(NAME, vec![tag.clone()], AFTER);
        assert_eq!(marker.run_of(&marked), Ok(run()));
        assert_eq!(marker.run_of(&secret("drill/other", vec![tag.clone()], AFTER)), Err(NotOwn::Forged));
        assert_eq!(marker.run_of(&secret(NAME, Vec::new(), AFTER)), Err(NotOwn::Unmarked));
        let others = [
            Marker::new(&Signer::generate(), repository, place("222222222222", "eu-west-1")),
            Marker::new(&signer, RepositoryId::from_bytes([4; 16]), place("222222222222", "eu-west-1")),
            Marker::new(&signer, repository, place("222222222223", "eu-west-1")),
            Marker::new(&signer, repository, place("222222222222", "eu-west-2")),
        ];
        for other in others {
            assert_eq!(other.run_of(&marked), Err(NotOwn::Forged));
        }
        let parts: Vec<&str> = tag.value.split('/').collect();
        for (at, part) in [(0, "01".repeat(15) + "02"), (1, "1795503601".into()), (2, "02".repeat(15) + "01")] {
            let mut changed = parts.clone();
            changed[at] = &part;
            let tag = Tag { value: changed.join("/"), ..tag.clone() };
            assert_eq!(marker.run_of(&secret(NAME, vec![tag], AFTER)), Err(NotOwn::Forged), "{at}");
        }
        for value in ["", "x", &parts[..3].join("/"), &format!("{}/x", tag.value), &run().drill.to_string()] {
            let tag = Tag { value: value.into(), ..tag.clone() };
            assert_eq!(marker.run_of(&secret(NAME, vec![tag], AFTER)), Err(NotOwn::Forged), "{value}");
        }
        let moved = Secret { id: marked.id.replace("eu-west-1", "eu-west-2"), ..marked };
        assert_eq!(marker.run_of(&moved), Err(NotOwn::OtherPlace));
    }

    #[test]
    fn what_is_older_than_the_drill_is_not_its_own() {
        let marker =
            Marker::new(&Signer::generate(), RepositoryId::from_bytes([3; 16]), place("222222222222", "eu-west-1"));
        let tag = marker.tag(&run(), NAME);
        for (created, own) in [
            (AFTER, true),
            (Some("2026-11-24T06:55:00Z"), true),
            (Some("2026-11-24T06:54:59Z"), false),
            (Some("2020-01-01T00:00:00Z"), false),
            (None, false),
        ] {
            let marked = secret(NAME, vec![tag.clone()], created);
            assert_eq!(marker.run_of(&marked).is_ok(), own, "{created:?}");
            let bare = secret(NAME, Vec::new(), created);
            let id = bare.id.clone();
            assert_eq!(marker.is_own(&run(), &bare, Some(&id), false).is_ok(), own, "{created:?}");
        }
    }

    #[test]
    fn without_room_for_a_mark_only_the_answered_identifier_counts() {
        let marker =
            Marker::new(&Signer::generate(), RepositoryId::from_bytes([3; 16]), place("222222222222", "eu-west-1"));
        let bare = secret(NAME, Vec::new(), AFTER);
        let id = bare.id.as_str();
        assert_eq!(marker.is_own(&run(), &bare, Some(id), false), Ok(()));
        assert_eq!(marker.is_own(&run(), &bare, Some(id), true), Err(NotOwn::Unmarked), "it should have one");
        assert_eq!(marker.is_own(&run(), &bare, None, false), Err(NotOwn::Unmarked));
        assert_eq!(marker.is_own(&run(), &bare, Some("arn:other"), false), Err(NotOwn::OtherPlace));
        let other = Secret { id: "arn:other".into(), ..bare.clone() };
        assert_eq!(marker.is_own(&run(), &other, Some("arn:other"), false), Err(NotOwn::OtherPlace));
        let marked = secret(NAME, vec![marker.tag(&run(), NAME)], AFTER);
        assert_eq!(marker.is_own(&run(), &marked, Some(id), false), Err(NotOwn::OtherDrill), "it should have none");
        assert_eq!(marker.is_own(&run(), &marked, Some(id), true), Ok(()));
        assert_eq!(marker.is_own(&run(), &marked, None, true), Ok(()));
        let next = Run { drill: SnapshotId::from_bytes([9; 16]), ..run() };
        assert_eq!(marker.is_own(&next, &marked, None, true), Err(NotOwn::OtherDrill));
    }

    fn record(name: &str, tags: usize, versions: &[&str]) -> Record {
        let tags = (0..tags).map(|number| Tag { key: number.to_string(), value: String::new() }).collect();
        let version = |id: &&str| Version {
            id: (*id).into(),
            current: false,
            labels: Vec::new(),
            created: None,
            facets: VersionFacets::default(),
            value: ValueState::None,
        };
        let versions = versions.iter().map(version).collect();
        Record { secret: secret(name, tags, None), versions, read: Timestamp::UNIX_EPOCH, listing: None }
    }

    #[test]
    fn a_mark_replaces_an_older_one_and_needs_room() {
        let marker =
            Marker::new(&Signer::generate(), RepositoryId::from_bytes([3; 16]), place("222222222222", "eu-west-1"));
        let mut marked = record("app", 49, &[]);
        for _ in 0..2 {
            assert!(mark(&mut marked, &marker, &run(), NAME));
            assert_eq!(marked.secret.facets.tags.len(), 50);
        }
        assert_eq!(marked.secret.facets.tags[49], marker.tag(&run(), NAME));
        let mut full = record("app", 50, &[]);
        assert!(!mark(&mut full, &marker, &run(), NAME));
        assert_eq!(full.secret.facets.tags.len(), 50);
        full.secret.facets.tags[7] = Tag { key: DRILL_TAG.into(), value: "theirs".into() };
        assert!(mark(&mut full, &marker, &run(), NAME), "a tag of that key gives its room");
    }

    #[test]
    fn versions_are_held_against_the_snapshots() {
        let records = [record("app", 0, &["one", "two"]), record("other", 0, &["three"])];
        let fit = |name: &str, versions: &[&str]| {
            are_versions_of(&records, name, &versions.iter().map(ToString::to_string).collect(), &AwsRules)
        };
        assert!(fit("drill/app", &["one", "two"]) && fit("app", &["two"]) && fit("drill/app", &[]));
        assert!(!fit("drill/app", &["one", "three"]) && !fit("drill/app", &["three"]) && !fit("elsewhere", &[]));
    }
}
