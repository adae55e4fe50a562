//! What drills leave in a sandbox: found by the journal and by marks, proven to be a drill's, destroyed by identifier, and
//! proven to be gone by looking each one up. Neither a listing nor the answer to a deletion proves anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    journal::Unfinished,
    mark::{self, Marker, NotOwn, Run},
    own::{Made, Own, Resolved},
};
use crate::{
    clock::to_seconds,
    model::{DRILL_TAG, Record, Secret, SnapshotId, Step},
    progress::Progress,
    provider::{ErrorKind, ProviderError, Source, Target},
};

/// Secrets looked at or destroyed at once; the provider's limiter paces the calls.
const CONCURRENT: usize = 16;
/// How often, and how far apart, it is asked again what a name has.
const LOOKS: u32 = 6;
const PAUSE: Duration = Duration::from_millis(400);

/// A secret that an earlier drill created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leftover {
    pub name: String,
    pub id: String,
    /// The drill.
    pub run: Run,
    /// Whether its identifier was answered to that drill; its versions have to be looked at otherwise.
    pub answered: bool,
}

/// What is in a sandbox of earlier drills.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Theirs.
    pub own: Vec<Leftover>,
    /// Names that cannot be proven to be theirs, and why.
    pub others: BTreeMap<String, NotOwn>,
}

/// What came of a clean-up.
#[derive(Debug, Default)]
pub(super) struct Cleaned {
    /// Secrets that the drill created.
    pub created: u64,
    /// Of those, proven to be gone.
    pub destroyed: u64,
    /// What is not proven to be gone; and names that could not be looked at.
    pub left_over: BTreeSet<String>,
    /// Names of the drill that something else has: left alone.
    pub left_alone: BTreeSet<String>,
    /// Why the sandbox could not be asked at all.
    pub error: Option<ProviderError>,
}

/// Who asks, and where.
pub(super) struct Sandbox<'a> {
    pub target: &'a dyn Target,
    pub readback: &'a dyn Source,
    pub marker: &'a Marker,
    /// Before every name of this drill: what cannot be proven matters only there.
    pub prefix: &'a str,
}

impl Sandbox<'_> {
    /// Looks for what earlier drills left: what the journal of one that was killed names, then whatever has the tag.
    pub async fn find(&self, unfinished: Option<&Unfinished>) -> Result<Left, ProviderError> {
        let mut left = Left::default();
        let mut seen = BTreeSet::new();
        if let Some(unfinished) = unfinished {
            let asked = unfinished.made.iter().map(|(name, made)| made.id.clone().unwrap_or_else(|| name.clone()));
            let found = self.describe_all(asked.collect()).await?;
            for ((name, intent), secret) in unfinished.made.iter().zip(found) {
                let (run, answered) = (unfinished.run(), intent.id.as_deref());
                let own = |secret: Option<Secret>| {
                    let Some(secret) = secret else { return Ok(None) };
                    self.marker.is_own(&run, &secret, answered, intent.has_room)?;
                    Ok(Some(Leftover::new(&secret, run, answered.is_some())))
                };
                match secret.and_then(own) {
                    Ok(found) => left.own.extend(found),
                    Err(why) => drop(left.others.insert(name.clone(), why)),
                }
                seen.insert(name.clone());
            }
        }
        let mut tagged = self.tagged().await?;
        tagged.retain(|(name, _)| !seen.contains(name));
        let found = self.describe_all(tagged.iter().map(|(_, id)| id.clone()).collect()).await?;
        for ((name, _), secret) in tagged.into_iter().zip(found) {
            let own = |secret: Option<Secret>| {
                let Some(secret) = secret else { return Ok(None) };
                self.marker.run_of(&secret).map(|run| Some(Leftover::new(&secret, run, false)))
            };
            match secret.and_then(own) {
                Ok(found) => left.own.extend(found),
                Err(NotOwn::Unmarked) => {}
                Err(why) if name.starts_with(self.prefix) => drop(left.others.insert(name, why)),
                Err(_) => {}
            }
        }
        Ok(left)
    }

    /// What each is now; one that this caller may not look at proves nothing.
    async fn describe_all(&self, asked: Vec<String>) -> Result<Vec<Result<Option<Secret>, NotOwn>>, ProviderError> {
        let looks = asked.into_iter().map(|id| async move {
            match self.target.describe(&id).await {
                Err(error) if error.kind == ErrorKind::Denied => Ok(Err(NotOwn::Hidden)),
                other => other.map(Ok),
            }
        });
        stream::iter(looks).buffered(CONCURRENT).try_collect().await
    }

    /// Name and identifier of everything that a listing shows with the tag.
    async fn tagged(&self) -> Result<Vec<(String, String)>, ProviderError> {
        let mut listing = self.readback.list();
        let mut tagged = Vec::new();
        while let Some(listed) = listing.try_next().await? {
            if listed.secret.facets.tags.iter().any(|tag| tag.key == DRILL_TAG) {
                tagged.push((listed.name, listed.id));
            }
        }
        Ok(tagged)
    }

    /// Keeps what has no version but those of the snapshot that its drill restored.
    pub async fn prove(
        &self,
        left: &mut Left,
        records: &BTreeMap<SnapshotId, Vec<Record>>,
    ) -> Result<(), ProviderError> {
        let mut proven = Vec::new();
        for leftover in std::mem::take(&mut left.own) {
            match self.versions_fit(&leftover, records).await? {
                Ok(()) => proven.push(leftover),
                Err(why) => drop(left.others.insert(leftover.name, why)),
            }
        }
        left.own = proven;
        Ok(())
    }

    async fn versions_fit(
        &self,
        leftover: &Leftover,
        records: &BTreeMap<SnapshotId, Vec<Record>>,
    ) -> Result<Result<(), NotOwn>, ProviderError> {
        if leftover.answered {
            return Ok(Ok(()));
        }
        let Some(records) = records.get(&leftover.run.snapshot) else { return Ok(Err(NotOwn::NoSnapshot)) };
        let existing = self.target.look_up(&leftover.name).await?;
        // What is gone, or has lost its name, is nobody's danger: it is destroyed by its identifier.
        let Some(existing) = existing.filter(|existing| existing.secret.id == leftover.id) else { return Ok(Ok(())) };
        let versions = existing.versions.into_iter().map(|version| version.id).collect();
        let fit = mark::are_versions_of(records, &leftover.name, &versions);
        Ok(if fit { Ok(()) } else { Err(NotOwn::OtherVersions) })
    }
}

impl Leftover {
    fn new(secret: &Secret, run: Run, answered: bool) -> Self {
        Self { name: secret.name.clone(), id: secret.id.clone(), run, answered }
    }
}

impl Unfinished {
    /// The drill.
    pub(super) fn run(&self) -> Run {
        let Self { record, .. } = self;
        Run { drill: record.drill, started: to_seconds(record.started), snapshot: record.snapshot }
    }
}

/// Destroys what a drill created, and nothing else.
pub(super) async fn clean_up(own: &Own, target: &dyn Target, progress: &dyn Progress) -> Cleaned {
    let mut cleaned = Cleaned::default();
    let looks = own.made().into_iter().map(|(name, made)| async move {
        let resolved = resolve(own, &name, made).await;
        (name, resolved)
    });
    let resolved: Vec<_> = stream::iter(looks).buffered(CONCURRENT).collect().await;
    let mut doomed = BTreeMap::new();
    for (name, resolved) in resolved {
        match resolved {
            Ok(Resolved::Own(id)) => drop(doomed.insert(name, id)),
            Ok(Resolved::Nothing) => {}
            Ok(Resolved::Other(why)) => {
                tracing::warn!(%name, %why, "a name of the drill is something else's");
                cleaned.left_alone.insert(name);
            }
            Err(error) => cleaned.unknown(name, error),
        }
    }
    cleaned.created = doomed.len() as u64;
    for (name, fate) in destroy(&doomed, target, progress).await {
        match fate {
            Fate::Gone => cleaned.destroyed += 1,
            Fate::There => drop(cleaned.left_over.insert(name)),
            Fate::Taken => {
                cleaned.destroyed += 1;
                cleaned.left_alone.insert(name);
            }
            Fate::Unknown(error) => cleaned.unknown(name, error),
        }
    }
    cleaned
}

impl Cleaned {
    fn unknown(&mut self, name: String, error: ProviderError) {
        self.left_over.insert(name);
        if matches!(error.kind, ErrorKind::Credentials | ErrorKind::Unavailable) {
            self.error.get_or_insert(error);
        }
    }
}

/// What has a name that a creation was sent for. A creation without an answer may be carried out a moment later.
async fn resolve(own: &Own, name: &str, made: Made) -> Result<Resolved, ProviderError> {
    let looks = match made {
        Made::Own(id) => return Ok(Resolved::Own(id)),
        Made::Answered(id) => return own.resolve_answered(name, &id).await,
        Made::Not => 1,
        Made::Unknown => LOOKS,
    };
    for look in 1..looks {
        match own.resolve(name).await? {
            Resolved::Nothing => tokio::time::sleep(PAUSE * look).await,
            found => return Ok(found),
        }
    }
    own.resolve(name).await
}

/// What became of something that was to be destroyed.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is not there, or it was deleted and waits for its end.
    Gone,
    /// It is still there.
    There,
    /// It is gone, and something else has its name.
    Taken,
    /// Nobody told.
    Unknown(ProviderError),
}

/// Destroys by identifier; what became of each name.
pub(super) async fn destroy(
    doomed: &BTreeMap<String, String>,
    target: &dyn Target,
    progress: &dyn Progress,
) -> Vec<(String, Fate)> {
    progress.begin("clean up", Some(doomed.len() as u64));
    let one = |(name, id): (&String, &String)| {
        let (name, id) = (name.clone(), id.clone());
        async move {
            let deleted = target.apply(&Step::Destroy { name: name.clone() }, Some(&id), None).await;
            if let Err(error) = &deleted {
                // What it left shows by looking.
                tracing::warn!(%error, "clean-up of a drill");
            }
            let fate = look(target, &name, &id, deleted.is_ok()).await;
            progress.advance(1);
            (name, fate)
        }
    };
    stream::iter(doomed).map(one).buffer_unordered(CONCURRENT).collect().await
}

/// Looks a name up until it is free, or has been looked at often enough.
async fn look(target: &dyn Target, name: &str, id: &str, deleted: bool) -> Fate {
    let looks = if deleted { LOOKS } else { 1 };
    let mut fate = Fate::There;
    for look in 1..=looks {
        fate = match target.describe(name).await {
            Err(error) => Fate::Unknown(error),
            Ok(None) => return Fate::Gone,
            Ok(Some(secret)) if secret.id != id => return taken(target, id).await,
            Ok(Some(secret)) if deleted && secret.deleted.is_some() => return Fate::Gone,
            Ok(Some(_)) => Fate::There,
        };
        if look < looks {
            tokio::time::sleep(PAUSE * look).await;
        }
    }
    fate
}

/// Something else has the name: whether what had it is gone, only its identifier tells.
async fn taken(target: &dyn Target, id: &str) -> Fate {
    match target.describe(id).await {
        Ok(None) => Fate::Taken,
        Ok(Some(_)) => Fate::There,
        Err(error) => Fate::Unknown(error),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use futures::stream::BoxStream;

    use super::*;
    use crate::{
        crypto::Signer,
        drill::own::Planned,
        model::{Facets, Place, RepositoryId, SecretValue, Tag},
        progress::Silent,
        provider::{
            Applied, Existing,
            memory::{HeldVersion, Memory},
        },
    };

    fn sandbox() -> (Memory, Marker, Run) {
        let place = Place { provider: "aws".into(), account: "222222222222".into(), region: "eu-west-1".into() };
        let marker = Marker::new(&Signer::generate(), RepositoryId::from_bytes([3; 16]), place);
        let (drill, snapshot) = (SnapshotId::from_bytes([1; 16]), SnapshotId::from_bytes([2; 16]));
        let run = Run { drill, started: "2026-11-24T07:00:00Z".parse().unwrap(), snapshot };
        (Memory::new("222222222222", "eu-west-1"), marker, run)
    }

    fn put(memory: &Memory, name: &str, tag: Option<Tag>, version: &str) -> String {
        let id = format!("arn:aws:secretsmanager:eu-west-1:222222222222:secret:{name}-AbCdEf");
        let facets = Facets { tags: tag.into_iter().collect(), ..Facets::default() };
        let created = Some("2026-11-24T07:00:01Z".parse().unwrap());
        let secret = Secret { name: name.into(), id: id.clone(), facets, created, ..Secret::default() };
        memory.insert(secret, vec![HeldVersion::text(version, &["AWSCURRENT"], "x")]);
        id
    }

    fn at<'a>(memory: &'a Memory, marker: &'a Marker) -> Sandbox<'a> {
        Sandbox { target: memory, readback: memory, marker, prefix: "drill/" }
    }

    #[tokio::test]
    async fn what_has_the_tag_is_a_leftover_or_is_named_and_other_prefixes_are_left_out() {
        let (memory, marker, run) = sandbox();
        let own = put(&memory, "drill/own", Some(marker.tag(&run, "drill/own")), "v");
        put(&memory, "drill/copied", Some(marker.tag(&run, "drill/own")), "v");
        put(&memory, "other/copied", Some(marker.tag(&run, "drill/own")), "v");
        put(&memory, "drill/plain", None, "v");
        for name in ["drill/hidden", "other/hidden"] {
            put(&memory, name, Some(marker.tag(&run, name)), "v");
            memory.refuse(name, "DescribeSecret", "AccessDeniedException");
        }
        let left = at(&memory, &marker).find(None).await.unwrap();
        let leftover = Leftover { name: "drill/own".into(), id: own, run, answered: false };
        let others = [("drill/copied".to_owned(), NotOwn::Forged), ("drill/hidden".to_owned(), NotOwn::Hidden)].into();
        assert_eq!(left, Left { own: vec![leftover], others });
    }

    #[tokio::test]
    async fn a_leftover_is_proven_by_the_versions_of_its_snapshot() {
        let (memory, marker, run) = sandbox();
        let leftover = |name: &str, id: String, answered| Leftover { name: name.into(), id, run, answered };
        let fits = put(&memory, "drill/fits", None, "v1");
        let grown = put(&memory, "drill/grown", None, "v9");
        let answered = put(&memory, "drill/answered", None, "v9");
        let record = |name: &str| Record {
            secret: Secret { name: name.into(), ..Secret::default() },
            versions: Vec::new(),
            read: jiff::Timestamp::UNIX_EPOCH,
            listing: None,
        };
        let existing = memory.look_up("drill/fits").await.unwrap().unwrap();
        let records = vec![Record { versions: existing.versions, ..record("fits") }, record("grown"), record("gone")];
        let all = vec![
            leftover("drill/fits", fits, false),
            leftover("drill/grown", grown, false),
            leftover("drill/answered", answered, true),
            leftover("drill/gone", "arn:gone".into(), false),
        ];
        let mut left = Left { own: all.clone(), others: BTreeMap::new() };
        at(&memory, &marker).prove(&mut left, &[(run.snapshot, records)].into()).await.unwrap();
        let names: Vec<&str> = left.own.iter().map(|leftover| leftover.name.as_str()).collect();
        assert_eq!(names, ["drill/fits", "drill/answered", "drill/gone"]);
        assert_eq!(left.others, [("drill/grown".to_owned(), NotOwn::OtherVersions)].into());
        let mut left = Left { own: all, others: BTreeMap::new() };
        at(&memory, &marker).prove(&mut left, &BTreeMap::new()).await.unwrap();
        assert_eq!((left.own.len(), left.others["drill/fits"]), (1, NotOwn::NoSnapshot));
    }

    async fn fates(memory: &dyn Target, doomed: &[(&str, &str)]) -> BTreeMap<String, &'static str> {
        let doomed = doomed.iter().map(|(name, id)| ((*name).to_owned(), (*id).to_owned())).collect();
        let fates = destroy(&doomed, memory, &Silent).await.into_iter().map(|(name, fate)| {
            let fate = match fate {
                Fate::Gone => "gone",
                Fate::There => "there",
                Fate::Taken => "taken",
                Fate::Unknown(_) => "unknown",
            };
            (name, fate)
        });
        fates.collect()
    }

    #[tokio::test]
    async fn only_the_identifier_is_destroyed_and_each_name_is_looked_up() {
        let (memory, ..) = sandbox();
        let one = put(&memory, "one", None, "v");
        put(&memory, "two", None, "v");
        let refused = put(&memory, "refused", None, "v");
        let scheduled = put(&memory, "scheduled", None, "v");
        let hidden = put(&memory, "hidden", None, "v");
        memory.edit("scheduled", |secret| secret.deleted = Some(jiff::Timestamp::UNIX_EPOCH));
        for (name, operation) in [
            ("refused", "DeleteSecret"),
            ("scheduled", "DeleteSecret"),
            ("hidden", "DeleteSecret"),
            ("hidden", "DescribeSecret"),
        ] {
            memory.refuse(name, operation, "AccessDeniedException");
        }
        let found = fates(
            &memory,
            &[
                ("one", &one),
                ("two", "arn:another"),
                ("refused", &refused),
                ("scheduled", &scheduled),
                ("hidden", &hidden),
                ("never", "arn:never"),
            ],
        )
        .await;
        let expected = [
            ("hidden", "unknown"),
            ("never", "gone"),
            ("one", "gone"),
            ("refused", "there"),
            // Somebody else scheduled it: it can be taken back.
            ("scheduled", "there"),
            ("two", "taken"),
        ];
        assert_eq!(found, expected.map(|(name, fate)| (name.to_owned(), fate)).into());
        assert_eq!(memory.names(), ["hidden", "refused", "scheduled", "two"]);
    }

    /// A place that carries out creations and deletions late: a moment after its answer, or after none.
    struct Late {
        memory: Arc<Memory>,
        /// After how many milliseconds; never without any.
        after: Option<u64>,
    }

    #[async_trait]
    impl Target for Late {
        async fn place(&self) -> Result<Place, ProviderError> {
            Target::place(&*self.memory).await
        }

        fn names(&self) -> BoxStream<'_, Result<String, ProviderError>> {
            Target::names(&*self.memory)
        }

        async fn look_up(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
            self.memory.look_up(name).await
        }

        async fn describe(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
            self.memory.describe(id).await
        }

        async fn apply(
            &self,
            step: &Step,
            at: Option<&str>,
            value: Option<&SecretValue>,
        ) -> Result<Applied, ProviderError> {
            assert!(value.is_none());
            let (memory, step, at) = (Arc::clone(&self.memory), step.clone(), at.map(str::to_owned));
            let creates = matches!(step, Step::Create { .. });
            if let Some(after) = self.after {
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(after)).await;
                    memory.apply(&step, at.as_deref(), None).await.unwrap();
                });
            }
            if creates { Err(error(ErrorKind::Unavailable)) } else { Ok(Applied::default()) }
        }
    }

    #[tokio::test]
    async fn a_deletion_is_waited_for_and_not_for_ever() {
        let late = |after| async move {
            let memory = Arc::new(Memory::new("222222222222", "eu-west-1"));
            let id = put(&memory, "one", None, "v");
            fates(&Late { memory, after }, &[("one", &id)]).await["one"]
        };
        let (soon, never) = futures::join!(late(Some(600)), late(None));
        assert_eq!((soon, never), ("gone", "there"));
    }

    #[tokio::test]
    async fn a_creation_without_an_answer_is_waited_for() {
        for (after, created) in [(Some(500), 1), (None, 0)] {
            let (_, marker, run) = sandbox();
            let memory = Arc::new(Memory::new("222222222222", "eu-west-1"));
            memory.set_time(run.started);
            let late = Arc::new(Late { memory: Arc::clone(&memory), after });
            let tags = vec![marker.tag(&run, "drill/one")];
            let planned = [("drill/one".to_owned(), Planned { has_room: true, versions: BTreeSet::new() })].into();
            let own = Own::new(late.clone(), Arc::new(marker), run, planned, None);
            let create = Step::Create {
                name: "drill/one".into(),
                version: None,
                description: None,
                kms_key: None,
                tags,
                secret_type: None,
            };
            assert_eq!(own.apply(&create, None, None).await.unwrap_err().kind, ErrorKind::Unavailable);
            assert_eq!(own.made()["drill/one"], Made::Unknown);
            let cleaned = clean_up(&own, &*late, &Silent).await;
            assert_eq!((cleaned.created, cleaned.destroyed), (created, created));
            assert!(cleaned.left_over.is_empty() && cleaned.left_alone.is_empty() && memory.names().is_empty());
        }
    }

    /// Nothing but what the drill created is written to, whatever the step.
    #[tokio::test]
    async fn a_drill_writes_to_nothing_else() {
        let (memory, marker, run) = sandbox();
        put(&memory, "drill/theirs", None, "v");
        let memory = Arc::new(memory);
        let own = Own::new(memory.clone(), Arc::new(marker), run, BTreeMap::new(), None);
        let name = || "drill/theirs".to_owned();
        for step in [
            Step::Untag { name: name(), keys: Vec::new() },
            Step::Destroy { name: name() },
            Step::DeletePolicy { name: name() },
        ] {
            assert_eq!(own.apply(&step, Some("arn"), None).await.unwrap_err().code, "NotOurs");
        }
        assert_eq!(memory.calls(), 0);
    }

    fn error(kind: ErrorKind) -> ProviderError {
        let (code, message) = (String::new(), String::new());
        ProviderError { kind, operation: "DescribeSecret", secret: None, code, message }
    }

    #[test]
    fn only_a_sandbox_that_does_not_answer_is_an_error() {
        for (kind, fatal) in [
            (ErrorKind::Denied, false),
            (ErrorKind::Invalid, false),
            (ErrorKind::Credentials, true),
            (ErrorKind::Unavailable, true),
        ] {
            let mut cleaned = Cleaned::default();
            cleaned.unknown("a".into(), error(kind));
            assert_eq!((cleaned.error.is_some(), cleaned.left_over.len()), (fatal, 1), "{kind:?}");
        }
    }
}
