//! What is served: how a name or an ARN leads to a secret of the snapshots, and what describes it.
//!
//! Nothing is read before it is asked for: a server of half a million secrets is ready as soon as one of ten, and takes as much
//! memory as the secrets take that are in use. A name leads to its records by the index files of its snapshot
//! ([`OpenSnapshot`]); what was found for it, or that nothing was, is held while there is room ([`Hot`]). An identifier leads
//! first to the names that it can belong to: that of AWS has the name in it, and so have those of the other providers, before
//! their last `@`. What cannot be read is never "no such secret".

use std::{
    collections::{BTreeMap, VecDeque},
    pin::pin,
    sync::Arc,
};

use futures::TryStreamExt as _;
use jiff::Timestamp;

use super::{
    entry::{Entry, rotation_due},
    hot::{Hot, Named},
};
use crate::{
    model::{Place, Record, SecretArn, SnapshotId},
    repo::{Manifest, OpenSnapshot, RecordKey, Records, Wanted},
};

/// Bytes that secrets may take which were asked for: some forty thousand of three versions each.
const ROOM: usize = 64 << 20;
/// Records of a snapshot that a listing reads ahead.
const AHEAD: usize = 64;
/// Lines that a page of a listing looks at. A page that found nothing by then says where the next one begins, so that nobody
/// keeps the server busy with one question.
const MOST_LOOKED_AT: usize = 50_000;
/// Records of a pass over everything after which others may run.
const PATIENCE: u64 = 256;

/// One snapshot that is served.
#[derive(Clone, Debug, PartialEq)]
pub struct Shelf {
    /// Its source.
    pub place: Place,
    /// Its id.
    pub snapshot: SnapshotId,
    /// Its number.
    pub number: u64,
    /// When it was taken.
    pub taken: Timestamp,
}

/// The secrets of the snapshots that are served, without values.
pub struct Estate {
    shelves: Vec<Shelf>,
    held: Vec<Held>,
    hot: Hot,
}

/// Where the records of a snapshot are.
enum Held {
    /// In memory: for tests, and for faults that a drill plants.
    Records(BTreeMap<RecordKey, Record>),
    /// In the index files.
    Index(Box<OpenSnapshot>),
}

/// Why a name leads to no secret.
#[derive(Clone, Debug, PartialEq)]
pub enum Unresolved {
    /// There is none: the parts of the index that would have it were read.
    NoSuch,
    /// There are several: their ARNs.
    Several(Vec<String>),
    /// It is not known whether there is one.
    Unreadable(Unreadable),
}

/// A part of an index that cannot be read: the reason, without a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// A secret whose rotation was due after the snapshot: its value may be another one now.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Overdue {
    /// The secret.
    pub name: String,
    /// The source.
    pub source: String,
    /// When its rotation was due.
    pub due: Timestamp,
}

/// The secrets whose rotation was due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllOverdue {
    /// Some of them, by name.
    pub some: Vec<Overdue>,
    /// How many there are.
    pub count: u64,
}

/// A place in the order of a listing: by name, then by snapshot, then by identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) name: String,
    pub(super) shelf: usize,
    pub(super) id: String,
}

/// What a walk comes to next.
pub(super) enum Step {
    /// A secret that is wanted.
    Entry(Position, Box<Entry>),
    /// It looked at enough for now; go on here.
    Pause(Position),
    /// There is no more.
    End,
}

/// A walk through the secrets that are wanted, in order.
pub(super) struct Walk<'a> {
    estate: &'a Estate,
    wanted: &'a dyn Wanted,
    /// For each snapshot: what was read, and where the rest begins.
    ahead: Vec<(VecDeque<Record>, Option<RecordKey>)>,
    /// Lines that may still be looked at.
    left: usize,
}

impl Shelf {
    /// That of a manifest.
    pub fn of(manifest: &Manifest) -> Self {
        Self {
            place: manifest.source.clone(),
            snapshot: manifest.snapshot,
            number: manifest.sequence,
            taken: manifest.time,
        }
    }
}

impl Default for Estate {
    fn default() -> Self {
        Self { shelves: Vec::new(), held: Vec::new(), hot: Hot::new(ROOM) }
    }
}

impl Estate {
    /// Adds a snapshot whose records are in memory; they follow with [`Estate::add`].
    pub fn open(&mut self, shelf: Shelf) {
        self.shelves.push(shelf);
        self.held.push(Held::Records(BTreeMap::new()));
    }

    /// Adds a record of the snapshot that was opened last.
    pub fn add(&mut self, record: Record) {
        if let Some(Held::Records(records)) = self.held.last_mut() {
            let key = RecordKey { name: record.secret.name.clone(), id: record.secret.id.clone() };
            records.insert(key, record);
        }
    }

    /// Adds a snapshot that is looked up in its index.
    pub fn look_up(&mut self, snapshot: OpenSnapshot) {
        self.shelves.push(Shelf::of(snapshot.manifest()));
        self.held.push(Held::Index(Box::new(snapshot)));
    }

    /// The snapshots.
    pub fn shelves(&self) -> &[Shelf] {
        &self.shelves
    }

    /// The snapshot of a secret.
    pub fn shelf(&self, entry: &Entry) -> &Shelf {
        &self.shelves[entry.shelf]
    }

    /// How many secrets there are, as the manifests state it.
    pub fn count(&self) -> u64 {
        let of = |held: &Held| match held {
            Held::Records(records) => records.len() as u64,
            Held::Index(snapshot) => snapshot.count(),
        };
        self.held.iter().map(of).sum()
    }

    /// Every secret that is wanted, from a place on.
    pub(super) fn walk<'a>(&'a self, from: Option<&Position>, wanted: &'a dyn Wanted) -> Walk<'a> {
        let start = |shelf: usize| match from {
            None => RecordKey { name: String::new(), id: String::new() },
            // Of the name itself, what snapshots before have was passed.
            Some(from) if shelf < from.shelf => RecordKey { name: format!("{}\0", from.name), id: String::new() },
            Some(from) if shelf == from.shelf => RecordKey { name: from.name.clone(), id: from.id.clone() },
            Some(from) => RecordKey { name: from.name.clone(), id: String::new() },
        };
        let ahead = (0..self.held.len()).map(|shelf| (VecDeque::new(), Some(start(shelf)))).collect();
        Walk { estate: self, wanted, ahead, left: MOST_LOOKED_AT }
    }

    /// Finds a secret by its name, its ARN, or its ARN without the six characters at its end. A name that several sources
    /// have means that of `region`.
    ///
    /// # Errors
    /// See [`Unresolved`].
    pub async fn find(&self, id: &str, region: &str) -> Result<Arc<Entry>, Unresolved> {
        let mut pool: Vec<Arc<Entry>> = Vec::new();
        for name in names_of(id) {
            let named = self.named(name).await.map_err(Unresolved::Unreadable)?;
            if let Some(entry) = named.iter().rfind(|entry| *entry.id == *id) {
                return Ok(Arc::clone(entry));
            }
            pool.extend(named.iter().cloned());
        }
        if id.starts_with("arn:") {
            return self.by_arn(id, &pool).cloned().ok_or(Unresolved::NoSuch);
        }
        let all: Vec<&Arc<Entry>> = pool.iter().filter(|entry| *entry.name == *id).collect();
        let here: Vec<&Arc<Entry>> =
            all.iter().copied().filter(|entry| self.shelf(entry).place.region == region).collect();
        match (&all[..], &here[..]) {
            ([], _) => Err(Unresolved::NoSuch),
            ([one], _) | (_, [one]) => Ok(Arc::clone(one)),
            _ => Err(Unresolved::Several(all.iter().map(|entry| entry.id.to_string()).collect())),
        }
    }

    /// The ARN of a replica has the region of the replica, and the rest of the primary's. `pool` is every secret that has one of
    /// the names which the ARN can mean.
    fn by_arn<'p>(&self, arn: &str, pool: &'p [Arc<Entry>]) -> Option<&'p Arc<Entry>> {
        let SecretArn { region, account, resource } = SecretArn::parse(arn)?;
        let of_account = || self.shelves.iter().filter(move |shelf| shelf.place.account == account);
        let named = || pool.iter().filter(|entry| *entry.name == *resource);
        if of_account().any(|shelf| shelf.place.region == region) {
            let here = |entry: &&Arc<Entry>| {
                let place = &self.shelf(entry).place;
                place.account == account && place.region == region
            };
            if let Some(found) = named().find(here) {
                return Some(found);
            }
        }
        let swap = |shelf: &Shelf| arn.replacen(&format!(":{region}:"), &format!(":{}:", shelf.place.region), 1);
        let by_id = |id: String| pool.iter().rfind(|entry| *entry.id == *id);
        match of_account().find_map(|shelf| by_id(swap(shelf))) {
            Some(primary) => Some(primary).filter(|entry| entry.has_replica(region)),
            None => named()
                .filter(|entry| self.shelf(entry).place.account == account)
                .find(|entry| entry.has_replica(region)),
        }
    }

    /// Every secret with a name, snapshot by snapshot.
    async fn named(&self, name: &str) -> Result<Named, Unreadable> {
        self.hot.named(name, self.read(name)).await
    }

    async fn read(&self, name: &str) -> Result<Vec<Entry>, Unreadable> {
        let mut found = Vec::new();
        for (shelf, held) in self.held.iter().enumerate() {
            found.extend(held.named(name).await?.into_iter().map(|record| Entry::new(record, shelf)));
        }
        Ok(found)
    }

    /// The secrets whose rotation was due before `now`: their source may have another value by now. Reads every record, one after
    /// the other, and keeps `most` of them.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub async fn overdue(&self, now: Timestamp, most: usize) -> Result<AllOverdue, Unreadable> {
        let mut found = AllOverdue::default();
        for (shelf, held) in self.shelves.iter().zip(&self.held) {
            let mut look = |record: &Record| {
                let due = rotation_due(&record.secret.raw["DescribeSecret"], &record.secret);
                let Some(due) = due.filter(|due| *due <= now) else { return };
                found.count += 1;
                if found.some.len() < most {
                    let (name, source) = (record.secret.name.clone(), shelf.place.short());
                    found.some.push(Overdue { name, source, due });
                }
            };
            match held {
                Held::Records(records) => records.values().for_each(look),
                Held::Index(snapshot) => {
                    let (mut records, mut count) = (pin!(snapshot.all()), 0_u64);
                    while let Some(record) = records.try_next().await.map_err(|error| Unreadable(error.to_string()))? {
                        look(&record);
                        count += 1;
                        if count.is_multiple_of(PATIENCE) {
                            tokio::task::yield_now().await;
                        }
                    }
                }
            }
        }
        found.some.sort();
        Ok(found)
    }

    /// When the oldest of the snapshots was taken.
    pub fn oldest(&self) -> Option<&Shelf> {
        self.shelves.iter().min_by_key(|shelf| shelf.taken)
    }
}

/// The names that a name or an identifier can mean.
fn names_of(id: &str) -> Vec<&str> {
    match SecretArn::parse(id) {
        Some(arn) => arn.names().collect(),
        None if id.starts_with("arn:") => id.rsplit_once(':').map(|(_, name)| name).into_iter().collect(),
        // Whoever has an identifier is a machine, and asks more often.
        None => id.rsplit_once('@').map(|(name, _)| name).into_iter().chain([id]).collect(),
    }
}

impl Held {
    async fn named(&self, name: &str) -> Result<Vec<Record>, Unreadable> {
        match self {
            Self::Index(snapshot) => snapshot.named(name).await.map_err(|error| Unreadable(error.to_string())),
            Self::Records(records) => {
                let from = RecordKey { name: name.to_owned(), id: String::new() };
                let named = records.range(from..).take_while(|(key, _)| key.name == name);
                Ok(named.map(|(_, record)| record.clone()).collect())
            }
        }
    }

    async fn page(&self, from: &RecordKey, wanted: &dyn Wanted) -> Result<Records, Unreadable> {
        match self {
            Self::Index(snapshot) => {
                snapshot.page(from, wanted, AHEAD).await.map_err(|error| Unreadable(error.to_string()))
            }
            Self::Records(records) => {
                let mut all = records.range(from.clone()..).filter(|(key, _)| wanted.takes(&key.name));
                let records: Vec<Record> = all.by_ref().take(AHEAD).map(|(_, record)| record.clone()).collect();
                let looked_at = records.len();
                Ok(Records { records, next: all.next().map(|(key, _)| key.clone()), looked_at })
            }
        }
    }
}

impl Walk<'_> {
    /// The next secret that is wanted.
    ///
    /// # Errors
    /// [`Unreadable`]: what would come next is not known.
    pub(super) async fn next(&mut self) -> Result<Step, Unreadable> {
        for (held, (found, next)) in self.estate.held.iter().zip(&mut self.ahead) {
            while let Some(from) = next.as_ref().filter(|_| found.is_empty() && self.left > 0) {
                let page = held.page(from, self.wanted).await?;
                self.left = self.left.saturating_sub(page.looked_at);
                (*found, *next) = (page.records.into(), page.next);
            }
        }
        let Some(first) = self.first() else { return Ok(Step::End) };
        match self.ahead[first.shelf].0.pop_front() {
            Some(record) => {
                let entry = Box::new(Entry::new(record, first.shelf));
                Ok(Step::Entry(first, entry))
            }
            None => Ok(Step::Pause(first)),
        }
    }

    /// The first place where something is, or may be.
    fn first(&self) -> Option<Position> {
        let of = |(shelf, (found, next)): (usize, &(VecDeque<Record>, Option<RecordKey>))| {
            let (name, id) = match found.front() {
                Some(record) => (record.secret.name.clone(), record.secret.id.clone()),
                None => next.as_ref().map(|key| (key.name.clone(), key.id.clone()))?,
            };
            Some(Position { name, shelf, id })
        };
        self.ahead.iter().enumerate().filter_map(of).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::sample;

    async fn found(estate: &Estate, id: &str, region: &str) -> Result<String, Unresolved> {
        estate.find(id, region).await.map(|entry| entry.id.to_string())
    }

    #[tokio::test]
    async fn names_and_arns_of_every_source_lead_to_a_secret() {
        let estate = sample::estate();
        let (east, west) = (sample::arn("us-east-1", "app/db"), sample::arn("eu-west-1", "app/db"));
        assert_eq!(found(&estate, &east, "ap-south-1").await.as_deref(), Ok(&*east));
        assert_eq!(found(&estate, &east[..east.len() - 7], "ap-south-1").await.as_deref(), Ok(&*east));
        assert_eq!(found(&estate, "app/db", "us-east-1").await.as_deref(), Ok(&*east));
        assert_eq!(found(&estate, "app/db", "eu-west-1").await.as_deref(), Ok(&*west));
        assert_eq!(found(&estate, "app/db", "ap-south-1").await, Err(Unresolved::Several(vec![east.clone(), west])));
        let only = sample::arn("us-east-1", "app/only");
        assert_eq!(found(&estate, "app/only", "ap-south-1").await.as_deref(), Ok(&*only));
        for wrong in ["app", "", "arn:aws:secretsmanager:us-east-1:111111111111:secret:", "arn:aws:s3:::b", "app/DB"] {
            assert_eq!(found(&estate, wrong, "us-east-1").await, Err(Unresolved::NoSuch), "{wrong}");
        }
        let other = east.replace("111111111111", "222222222222");
        assert_eq!(found(&estate, &other, "us-east-1").await, Err(Unresolved::NoSuch));
        let replica = only.replace("us-east-1", "us-west-2");
        assert_eq!(found(&estate, &replica, "us-west-2").await.as_deref(), Ok(&*only));
        assert_eq!(found(&estate, &replica[..replica.len() - 7], "us-west-2").await.as_deref(), Ok(&*only));
        let nowhere = replica.replace("us-west-2", "us-west-1");
        assert_eq!(found(&estate, &nowhere, "us-west-1").await, Err(Unresolved::NoSuch));
        let another = east.replace("AbCdEf", "ZzZzZz");
        assert_eq!(found(&estate, &another, "us-east-1").await, Err(Unresolved::NoSuch), "another incarnation");
    }

    #[tokio::test]
    async fn the_identifier_of_another_provider_leads_to_its_secret_before_a_name_does() {
        let mut estate = sample::estate();
        let mut record = sample::record("us-east-1", "kv/app", "v");
        record.secret.id = "kv/app@2030-01-01T00:00:00Z".into();
        estate.add(record.clone());
        assert_eq!(found(&estate, "kv/app", "").await.as_deref(), Ok(&*record.secret.id));
        assert_eq!(found(&estate, &record.secret.id, "").await.as_deref(), Ok(&*record.secret.id));
        assert_eq!(found(&estate, "kv/app@2031-01-01T00:00:00Z", "").await, Err(Unresolved::NoSuch));
    }

    /// Everything.
    struct All;

    impl Wanted for All {
        fn takes(&self, _: &str) -> bool {
            true
        }

        fn ahead(&self, name: &str) -> Option<String> {
            Some(name.to_owned())
        }
    }

    async fn walked(estate: &Estate, from: Option<&Position>) -> Vec<Position> {
        let (mut walk, mut all) = (estate.walk(from, &All), Vec::new());
        while let Step::Entry(position, entry) = walk.next().await.unwrap() {
            assert_eq!((&*entry.name, &*entry.id, entry.shelf), (&*position.name, &*position.id, position.shelf));
            all.push(position);
        }
        all
    }

    #[tokio::test]
    async fn a_walk_goes_on_where_it_stopped() {
        let mut estate = sample::estate();
        for number in 0..200 {
            estate.add(sample::record("eu-west-1", &format!("many/{number:03}"), "v"));
        }
        let all = walked(&estate, None).await;
        assert_eq!(all.len() as u64, estate.count());
        assert!(all.is_sorted());
        for (index, from) in all.iter().enumerate() {
            assert_eq!(walked(&estate, Some(from)).await, all[index..]);
        }
    }

    #[tokio::test]
    async fn a_rotation_that_was_due_since_is_named() {
        let estate = sample::estate();
        let names = async |now: &str, most: usize| {
            let found = estate.overdue(now.parse().unwrap(), most).await.unwrap();
            (found.some.into_iter().map(|it| it.name).collect::<Vec<_>>(), found.count)
        };
        assert_eq!(names("2030-01-05T00:00:00Z", 9).await, (Vec::new(), 0));
        assert_eq!(names("2030-02-01T00:00:00Z", 9).await, (vec!["app/only".into()], 1));
        assert_eq!(names("2030-02-01T00:00:00Z", 0).await, (Vec::new(), 1));
    }
}
