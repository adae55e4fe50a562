//! Break glass on indexes of many files and layers: what is read for an answer, and what is answered where something cannot be read.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use lifeboat::{
    clock::SystemClock,
    crypto::{Opener, Signer},
    model::{Digest, Record, Secret, ValueKind, ValueState, Version, VersionFacets},
    repo::{Chosen, IndexLine, Layer, OpenIndex, RecordKey, Records, RepoError, Repository, Wanted},
    serve::{
        Certificate, Estate, GrantRequest, Options, Packs, Server, Unresolved,
        client::{Client, Keys},
    },
    storage::Storage,
};
use serde_json::{Value as Json, json};

use crate::{
    glass_lookup::layer,
    repo_sample::{Sample, altered, arn, block_on, chosen},
    tombstones::mark,
};

/// Lines of an index file: few, so that there are many files.
const OF_A_FILE: usize = 5;
const ROOM: usize = 1 << 20;
const REGION: &str = "eu-central-1";

fn version(id: &str) -> Version {
    Version {
        id: id.into(),
        current: true,
        labels: vec!["AWSCURRENT".into()],
        created: None,
        facets: VersionFacets::default(),
        value: ValueState::Stored { pack: Digest::of(b"p"), line: 0, kind: ValueKind::Text, size: 1 },
    }
}

fn line(name: &str, layer: u64) -> IndexLine {
    let secret = Secret { name: name.into(), id: arn(name), ..Secret::default() };
    let versions = vec![version(&format!("of-layer-{layer}"))];
    IndexLine::Record(Record { secret, versions, read: Timestamp::UNIX_EPOCH, listing: None })
}

/// A snapshot of three layers: every second name, then removals and changes, then changes of those.
async fn snapshot(sample: &Sample, sequence: u64, names: impl Fn(usize) -> String) -> Chosen {
    let base: Vec<IndexLine> = (0..600).step_by(2).map(|number| line(&names(number), 0)).collect();
    let removed = (0..600).step_by(20).map(|number| IndexLine::removal(&names(number), &arn(&names(number))));
    let changed = (1..600).step_by(30).map(|number| line(&names(number), 1));
    let second = removed.chain(changed).collect();
    let third = (0..600).step_by(40).chain([597]).map(|number| line(&names(number), 2)).collect();
    let mut layers: Vec<Layer> = Vec::new();
    for mut lines in [base, second, third] {
        lines.sort_by(|one, other| one.key().cmp(&other.key()));
        layers.push(layer(sample, &lines, OF_A_FILE).await);
    }
    let mut manifest = sample.manifest(sequence, None, &[], &[]).await;
    manifest.indexes = layers;
    let verified = sample.repository.put_manifest(manifest, &sample.signer).await.unwrap();
    chosen(&sample.repository, &sample.trust_now().await, &verified).await
}

fn number(number: usize) -> String {
    format!("n{number:04}")
}

async fn records(sample: &Sample, chosen: &Chosen) -> Vec<Record> {
    sample.repository.records(chosen, Opener::Recovery(&sample.recovery)).await.unwrap()
}

/// Names that begin with a text.
struct Beginning(&'static str);

impl Wanted for Beginning {
    fn takes(&self, name: &str) -> bool {
        name.starts_with(self.0)
    }

    fn ahead(&self, name: &str) -> Option<String> {
        let is_there = name < self.0 || name.starts_with(self.0);
        is_there.then(|| name.max(self.0).to_owned())
    }
}

#[test]
fn a_name_is_found_in_few_files_once_and_what_is_held_has_its_bound() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let chosen = snapshot(&sample, 1, number).await;
        let all = records(&sample, &chosen).await;
        let files = chosen.manifest().index_files().count();
        assert!(files > 70, "{files}");
        let Sample { recovery, repository, .. } = sample;
        let key = Arc::new(recovery);
        let of_room = |room| Arc::new(OpenIndex::new(repository.clone(), Arc::clone(&key), room));
        let index = of_room(ROOM);
        let open = index.snapshot(&chosen).await.unwrap();
        assert_eq!(index.files_read(), 3, "at the start, the first file of each layer");
        for at in [0, 1, 20, 40, 41, 299, 300, 301, 597, 598, 599, 700] {
            let found = open.named(&number(at)).await.unwrap();
            let expected: Vec<&Record> = all.iter().filter(|record| record.secret.name == number(at)).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{at}");
            let before = index.files_read();
            open.named(&number(at)).await.unwrap();
            assert_eq!(index.files_read(), before, "{at} is read again");
        }
        let fresh = of_room(ROOM);
        fresh.snapshot(&chosen).await.unwrap().named(&number(300)).await.unwrap();
        // Three searches, and at most two files of each layer that can have the name.
        assert!(fresh.files_read() <= 3 + 6 + 5 + 4 + 6, "{} of {files} files", fresh.files_read());
        let small = of_room(4_096);
        let open = small.snapshot(&chosen).await.unwrap();
        for at in 0..600 {
            let found = open.named(&number(at)).await.unwrap();
            assert_eq!(found.len(), all.iter().filter(|record| record.secret.name == number(at)).count());
            assert!(small.held() <= 4_096, "{} bytes", small.held());
        }
        for index in [&index, &fresh] {
            assert!(index.held() > 0 && index.held() <= ROOM);
        }
    });
}

#[test]
fn pages_of_layers_are_the_merged_records_whatever_their_size() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let chosen = snapshot(&sample, 1, number).await;
        let all = records(&sample, &chosen).await;
        let Sample { recovery, repository, .. } = sample;
        let index = Arc::new(OpenIndex::new(repository, Arc::new(recovery), ROOM));
        let open = index.snapshot(&chosen).await.unwrap();
        for (begins, most) in [("", 1), ("", 7), ("", 1_000), ("n00", 10), ("n0597", 1), ("n0598", 3), ("o", 3)] {
            let wanted = Beginning(begins);
            let mut next = Some(RecordKey { name: String::new(), id: String::new() });
            let mut found = Vec::new();
            while let Some(from) = next {
                let Records { records, next: after, .. } = open.page(&from, &wanted, most).await.unwrap();
                assert!(records.len() <= most);
                found.extend(records);
                next = after;
            }
            let expected: Vec<&Record> = all.iter().filter(|record| wanted.takes(&record.secret.name)).collect();
            assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{begins} by {most}");
        }
    });
}

#[test]
fn that_there_is_no_such_secret_is_said_only_where_its_file_was_read() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let chosen = snapshot(&sample, 1, number).await;
        // One of the middle, which no search for other names opens for a name of its own.
        let gone = chosen.manifest().indexes[0].files[33].sha256.to_string();
        let storage =
            altered(sample.repository.storage(), |name, bytes| (!name.contains(&gone)).then_some(bytes)).await;
        let (repository, key) = (Repository::open(storage).await.unwrap(), Arc::new(sample.recovery));
        let index = Arc::new(OpenIndex::new(repository, key, ROOM));
        let open = index.snapshot(&chosen).await.unwrap();
        let (inside, outside) = (33 * OF_A_FILE * 2 + 5, 501);
        for there in [inside - 1, inside] {
            let error = open.named(&number(there)).await.unwrap_err();
            assert!(matches!(&error, RepoError::Damaged { file, .. } if file.contains(&gone)), "{error}");
        }
        let mut estate = Estate::default();
        estate.look_up(open);
        for name in [number(inside - 1), arn(&number(inside)), number(inside)] {
            let found = estate.find(&name, REGION).await;
            assert!(matches!(found, Err(Unresolved::Unreadable(_))), "{name}");
        }
        assert!(matches!(estate.find(&number(outside + 2), REGION).await, Err(Unresolved::NoSuch)));
        assert!(estate.find(&number(outside + 1), REGION).await.is_ok());
        let overdue = estate.overdue(Timestamp::UNIX_EPOCH, 10).await.unwrap_err();
        assert!(overdue.0.contains(&gone), "{overdue}");
    });
}

#[test]
fn a_version_that_is_marked_as_leaked_has_no_value_here_either() {
    let current = "v2-0123456789abcdef0123456789abcdef";
    let sample = Sample::new(Storage::memory(), 1);
    block_on(async {
        mark(&sample, &[("app/db", current)]).await;
        let judgement = sample.repository.judge(&sample.trust_now().await, &[]).await.unwrap();
        let chosen = judgement.newest(None).unwrap();
        let index = Arc::new(OpenIndex::new(sample.repository.clone(), Arc::new(sample.recovery), ROOM));
        let mut estate = Estate::default();
        estate.look_up(index.snapshot(&chosen).await.unwrap());
        let entry = estate.find("app/db", REGION).await.unwrap();
        let leaked: Vec<bool> = entry.versions.iter().map(|version| version.value.leaked().is_some()).collect();
        assert_eq!(leaked, [false, true]);
        let from = RecordKey { name: "app/db".into(), id: String::new() };
        let page = index.snapshot(&chosen).await.unwrap().page(&from, &Beginning(""), 1).await.unwrap();
        let [record] = &page.records[..] else { panic!("one was asked for") };
        assert!(record.versions[1].value.leaked().is_some());
    });
}

/// A server, and a client that was granted some names.
struct Asked {
    server: Server,
    client: Client,
    keys: Keys,
    _folder: tempfile::TempDir,
}

impl Asked {
    async fn new(estate: Estate, packs: Packs, key: &lifeboat::crypto::RecoveryKey, secrets: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let session = Signer::generate();
        let repository = lifeboat::model::RepositoryId::from_bytes([7; 16]);
        let certificate = Certificate::issue(key, repository, &session, (Timestamp::now(), vec![]));
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            names: Vec::new(),
            tls: None,
            metrics: None,
            socket: None,
            audit: folder.path().join("audit"),
            most_stale: None,
            most_connections: 8,
            clock: Arc::new(SystemClock),
        };
        let server = Server::start(options, estate, Box::new(packs), (session, certificate)).await.unwrap();
        let secrets = secrets.iter().map(|text| (*text).to_owned()).collect();
        let given = server.grant(GrantRequest { consumer: "web".into(), secrets, seconds: 600 }).await.unwrap();
        let client = Client::connect(server.address()).await.unwrap();
        Self { client, keys: Keys::from(&given), server, _folder: folder }
    }

    async fn call(&mut self, operation: &str, body: &Json) -> (u16, Json) {
        let target = (REGION, operation);
        let answer = self.client.call(Some(&self.keys), target, &body.to_string(), Timestamp::now()).await.unwrap();
        (answer.status, serde_json::from_slice(&answer.body).unwrap())
    }

    async fn listed(&mut self, mut body: Json) -> Vec<(String, String)> {
        let mut all = Vec::new();
        loop {
            let (status, page) = self.call("ListSecrets", &body).await;
            assert_eq!(status, 200, "{page}");
            let text = |entry: &Json, key: &str| entry[key].as_str().unwrap().to_owned();
            let entries = page["SecretList"].as_array().unwrap();
            all.extend(entries.iter().map(|entry| (text(entry, "Name"), text(entry, "ARN"))));
            match page.get("NextToken") {
                Some(token) => body["NextToken"] = token.clone(),
                None => return all,
            }
        }
    }
}

#[test]
fn listings_of_two_snapshots_are_their_sorted_merge_and_read_what_can_be_shown() {
    let (one, other) = (Sample::empty(Storage::memory()), Sample::empty(Storage::memory()));
    block_on(async {
        let first = snapshot(&one, 1, number).await;
        // Some names of the first, and others in between.
        let second = snapshot(&other, 1, |at| if at % 4 == 0 { number(at) } else { format!("n{at:04}/x") }).await;
        let mut expected: Vec<(String, usize, String)> = Vec::new();
        for (shelf, (sample, chosen)) in [(&one, &first), (&other, &second)].into_iter().enumerate() {
            let of = |record: Record| (record.secret.name, shelf, record.secret.id);
            expected.extend(records(sample, chosen).await.into_iter().map(of));
        }
        expected.sort();
        let expected: Vec<(String, String)> = expected.into_iter().map(|(name, _, id)| (name, id)).collect();
        let indexes = [one, other].map(|sample| {
            let key = Arc::new(sample.recovery);
            (Arc::new(OpenIndex::new(sample.repository.clone(), Arc::clone(&key), ROOM)), sample.repository, key)
        });
        let estate = async || {
            let mut estate = Estate::default();
            estate.look_up(indexes[0].0.snapshot(&first).await.unwrap());
            estate.look_up(indexes[1].0.snapshot(&second).await.unwrap());
            estate
        };
        let packs = || Packs::new(indexes[0].1.clone(), Arc::clone(&indexes[0].2));
        let few = ["n0010", "n0022", "none"];
        let mut asked = Asked::new(estate().await, packs(), &indexes[0].2, &few).await;
        let before = indexes.iter().map(|(index, ..)| index.files_read()).sum::<u64>();
        let names: BTreeSet<String> = asked.listed(json!({})).await.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, BTreeSet::from(["n0010", "n0022"].map(str::to_owned)));
        let read = indexes.iter().map(|(index, ..)| index.files_read()).sum::<u64>() - before;
        let files = first.manifest().index_files().count() as u64 * 2;
        assert!(read * 2 < files, "{read} of {files} files");
        asked.server.stop().await.unwrap();

        let mut asked = Asked::new(estate().await, packs(), &indexes[0].2, &["*"]).await;
        for size in [1, 7, 100] {
            assert_eq!(asked.listed(json!({ "MaxResults": size })).await, expected, "{size}");
        }
        let by_name = json!({ "Filters": [{ "Key": "name", "Values": ["n01", "n0302/"] }] });
        let is_meant = |name: &str| name.starts_with("n01") || name.starts_with("n0302/");
        let meant: Vec<_> = expected.iter().filter(|(name, _)| is_meant(name)).cloned().collect();
        assert_eq!(asked.listed(by_name).await, meant);
        let (status, refused) = asked.call("ListSecrets", &json!({ "NextToken": "bm90aGluZw" })).await;
        assert_eq!((status, &refused["__type"]), (400, &json!("InvalidNextTokenException")));
        asked.server.stop().await.unwrap();
    });
}

#[test]
fn what_cannot_be_read_is_an_error_of_the_server_and_never_a_secret_that_is_not_there() {
    let sample = Sample::empty(Storage::memory());
    block_on(async {
        let chosen = snapshot(&sample, 1, number).await;
        let gone = chosen.manifest().indexes[0].files[33].sha256.to_string();
        let storage =
            altered(sample.repository.storage(), |name, bytes| (!name.contains(&gone)).then_some(bytes)).await;
        let (repository, key) = (Repository::open(storage).await.unwrap(), Arc::new(sample.recovery));
        let index = Arc::new(OpenIndex::new(repository.clone(), Arc::clone(&key), ROOM));
        let mut estate = Estate::default();
        estate.look_up(index.snapshot(&chosen).await.unwrap());
        let packs = Packs::new(repository, Arc::clone(&key));
        let mut asked = Asked::new(estate, packs, &key, &["n0*"]).await;
        let inside = 33 * OF_A_FILE * 2 + 5;
        for (operation, name, status, code) in [
            ("DescribeSecret", number(inside), 500, "InternalServiceError"),
            ("GetSecretValue", number(inside - 1), 500, "InternalServiceError"),
            ("DescribeSecret", number(503), 400, "ResourceNotFoundException"),
            ("DescribeSecret", "other".to_owned(), 400, "AccessDeniedException"),
        ] {
            let (found, answer) = asked.call(operation, &json!({ "SecretId": name })).await;
            assert_eq!((found, answer["__type"].as_str()), (status, Some(code)), "{name}: {answer}");
        }
        let (status, answer) =
            asked.call("ListSecrets", &json!({ "Filters": [{ "Key": "name", "Values": ["n03"] }] })).await;
        assert_eq!((status, &answer["__type"]), (500, &json!("InternalServiceError")));
        asked.server.stop().await.unwrap();
    });
}
