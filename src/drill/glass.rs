//! A drill on break glass: the server is started from the snapshot, a client reads everything from it by the network, and what
//! must be refused is tried. Nothing is written to any provider, so there is nothing to clean up.

mod compare;
mod plant;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use jiff::Timestamp;

use self::compare::{Found, Reader};
pub(super) use self::plant::plant;
use super::{
    DrillError, Opening, Request,
    checks::{self, Completeness},
    choose,
    file::What,
    hold::{Work, judge, phase},
    probe,
    ready::Ready,
    record::{ProbeResult, Reason, Sample, ServedFacts, State},
    seconds,
};
use crate::{
    clock::Clock,
    crypto::{RecoveryKey, Signer},
    fsutil,
    model::{Place, Record, SecretValue, ValueState},
    progress::Progress,
    repo::{Chosen, OpenIndex, Repository},
    restore::Aspect,
    serve::{
        Certificate, Credentials, Estate, GrantRequest, Options, Packs, Server, Shelf, Values,
        client::{Client, Keys},
    },
};

/// The checks that a server which only reads can pass: there is no key, rotation or replica in what it answers.
const COVERED: [Aspect; 8] = [
    Aspect::Completeness,
    Aspect::Ids,
    Aspect::Values,
    Aspect::Binary,
    Aspect::Labels,
    Aspect::Tags,
    Aspect::Descriptions,
    Aspect::Policies,
];
/// Bytes that index files may take.
const INDEX_ROOM: usize = 64 << 20;
/// Who reads in a drill, and who must not.
const READER: &str = "lifeboat-drill";
const STRANGER: &str = "lifeboat-drill-stranger";
/// How long the keys of a drill are good.
const HOURS: u32 = 12;

/// The clock of a drill, of which the server needs one of its own.
struct Now;

impl Clock for Now {
    fn now(&self) -> Timestamp {
        crate::clock::SystemClock.now()
    }
}

/// The server of a drill, and the keys of the two who ask it.
pub(super) struct Glass {
    server: Server,
    reader: Credentials,
    stranger: Credentials,
    region: String,
    audit: PathBuf,
    folder: tempfile::TempDir,
}

/// What a server is started from.
pub(super) struct From<'a> {
    pub(super) repository: &'a Repository,
    pub(super) key: &'a RecoveryKey,
    pub(super) chosen: &'a Chosen,
    /// Whose sheets were there.
    pub(super) present: Vec<String>,
    /// Where the audit log is written; a folder of its own otherwise.
    pub(super) audit: Option<PathBuf>,
    /// What the stranger is granted: nothing that there is, but for a fault that is planted.
    pub(super) strangers: &'a str,
}

pub(super) async fn body(
    request: &Request<'_>,
    ready: &mut Ready,
    opening: &Opening<'_>,
    work: &mut Work,
) -> Result<(), DrillError> {
    let Opening::Quorum { key, custodians } = opening else {
        return Err(DrillError::Control("the server of break glass needs a quorum".into()));
    };
    let began = Instant::now();
    let draft = &mut ready.draft;
    let manifest = ready.manifest.manifest();
    let opened = request.repository.records(&ready.manifest, opening.index());
    let records = phase(request, draft, work, "open", opened).await?;
    let completeness = Completeness::of(manifest, &records);
    work.names = records.iter().map(|record| record.secret.name.clone()).collect();
    let (scope, sample) = scope(request, &records);
    draft.sample = sample;
    draft.left_out = left_out(&scope);
    let scope: Vec<Record> = scope.into_iter().filter(|record| record.secret.deleted.is_none()).collect();
    let from = From {
        repository: request.repository,
        key,
        chosen: &ready.manifest,
        present: custodians.clone(),
        audit: request.journal.map(|journal| audit_beside(journal, draft.drill.short().as_str())),
        strangers: "lifeboat-drill/nothing",
    };
    let starting = Glass::start(&from, None, |packs| Box::new(packs));
    let glass = phase(request, draft, work, "serve", starting).await?;
    let first = phase(request, draft, work, "first secret", glass.first(&scope)).await?;
    let first_secret_seconds = first.then(|| began.elapsed().as_secs_f64());
    (request.before_verify)();
    let found = phase(request, draft, work, "verify", glass.compare(&from, &scope, request.progress)).await?;
    let all_seconds = began.elapsed().as_secs_f64();
    draft.rto_seconds = Some(seconds(draft.started, request.clock.now()));
    draft.recovery_point.files = manifest.index_files().count() as u64 + found.packs;
    let requests = found.requests;
    work.verification = found.verification(scope.len() as u64);
    (draft.sample.planned, draft.sample.restored) = (work.verification.planned, work.verification.secrets);
    let run = covered(&request.file.checks.run);
    draft.checks = checks::all(&work.verification, completeness, &run);
    draft.differences = checks::differences(&work.verification, &run);
    draft.probes = phase(request, draft, work, "probe", probes(request, &glass, &scope)).await?;
    draft.negative_controls = phase(request, draft, work, "controls", async {
        let mut all = Vec::new();
        for fault in request.plants {
            all.push(Box::pin(plant(*fault, &run)).await?);
        }
        all.push(Box::pin(plant::open_door()).await?);
        Ok::<_, DrillError>(all)
    })
    .await?;
    let log = glass.stop(request).await?;
    draft.served = Some(ServedFacts { first_secret_seconds, all_seconds, requests, log });
    Ok(())
}

/// The checks of a drill file that a server can be held to.
fn covered(run: &[Aspect]) -> Vec<Aspect> {
    run.iter().copied().filter(|aspect| COVERED.contains(aspect)).collect()
}

/// A file for the log of the server, beside the journal of the drill.
fn audit_beside(journal: &Path, drill: &str) -> PathBuf {
    journal.with_file_name(format!("drill-{drill}.break-glass.jsonl"))
}

/// The records that are read, and how they were chosen.
fn scope(request: &Request<'_>, records: &[Record]) -> (Vec<Record>, Sample) {
    let section = &request.file.restore;
    let seed = section.seed.unwrap_or_else(|| u64::from(u32::from_le_bytes(super::random())));
    let names = choose::names(records, section, request.canaries, seed);
    let chosen: Vec<Record> = records.iter().filter(|record| names.contains(&record.secret.name)).cloned().collect();
    let method = match section.what {
        What::All => "all",
        What::Sample => "sample",
        What::Canaries => "canaries",
    };
    let sample = Sample {
        population: records.len() as u64,
        chosen: names.len() as u64,
        planned: 0,
        restored: 0,
        method: method.into(),
        seed: (section.what == What::Sample).then_some(seed),
    };
    (chosen, sample)
}

/// A secret that was scheduled for deletion has no value to be read, as in the service itself.
fn left_out(scope: &[Record]) -> Vec<Reason> {
    let count = scope.iter().filter(|record| record.secret.deleted.is_some()).count() as u64;
    let reason = || Reason { reason: "scheduled for deletion: described, and its values are not served".into(), count };
    if count > 0 { vec![reason()] } else { Vec::new() }
}

/// The probes of the drill file, and everything that must be refused.
async fn probes(request: &Request<'_>, glass: &Glass, scope: &[Record]) -> Result<Vec<ProbeResult>, DrillError> {
    let mut results = glass.refusals(scope).await?;
    let mut reader = glass.reader().await?;
    let token = glass.token_file()?;
    let endpoint = glass.server.endpoint();
    let environment = [
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", endpoint.to_owned()),
        ("AWS_ENDPOINT_URL_STS", endpoint.to_owned()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{endpoint}/creds")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.display().to_string()),
        ("AWS_REGION", glass.region.clone()),
        // What the command line of AWS and older SDKs read.
        ("AWS_DEFAULT_REGION", glass.region.clone()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
    ];
    for probe in &request.file.probes {
        let begun = Instant::now();
        let record = scope.iter().find(|record| record.secret.name == probe.secret);
        let value = match record {
            Some(record) => reader.value(&record.secret.id, None).await?,
            None => None,
        };
        let (state, detail) = match value {
            Some(value) => {
                let ended = probe::run_with(
                    &probe.command,
                    value.expose(),
                    probe.time_limit,
                    (&environment, &crate::serve::UNSET),
                )
                .await;
                judge(probe, ended)
            }
            None => (State::NotRun, "its secret was not served".into()),
        };
        results.push(ProbeResult { name: probe.name.clone(), state, detail, seconds: begun.elapsed().as_secs_f64() });
    }
    Ok(results)
}

impl Glass {
    /// Starts a server of the snapshot on loopback, as `break-glass serve` does it. A fault can be planted: `spoiled` are other
    /// records than its index has, and `values` can spoil what it reads.
    pub(super) async fn start(
        from: &From<'_>,
        spoiled: Option<Vec<Record>>,
        values: impl FnOnce(Packs) -> Box<dyn Values>,
    ) -> Result<Self, DrillError> {
        let manifest = from.chosen.manifest();
        let key = Arc::new(from.key.again());
        let mut estate = Estate::default();
        match spoiled {
            None => {
                let index = Arc::new(OpenIndex::new(from.repository.clone(), Arc::clone(&key), INDEX_ROOM));
                estate.look_up(index.snapshot(from.chosen).await?);
            }
            Some(records) => {
                estate.open(Shelf::of(manifest));
                for record in records {
                    estate.add(record);
                }
            }
        }
        let folder = tempfile::tempdir()?;
        let audit = from.audit.clone().unwrap_or_else(|| folder.path().join("audit.jsonl"));
        let (session, now) = (Signer::generate(), Now.now());
        let certificate = Certificate::issue(from.key, from.repository.id(), &session, (now, from.present.clone()));
        let packs = Packs::new(from.repository.clone(), key);
        let options = Options {
            listen: ([127, 0, 0, 1], 0).into(),
            names: Vec::new(),
            tls: None,
            metrics: None,
            socket: None,
            audit: audit.clone(),
            most_stale: None,
            most_connections: 64,
            clock: Arc::new(Now),
        };
        let server = Server::start(options, estate, values(packs), (session, certificate)).await.map_err(failed)?;
        let grant = async |consumer: &str, secrets: &str| {
            let (consumer, secrets) = (consumer.to_owned(), vec![secrets.to_owned()]);
            server.grant(GrantRequest { consumer, secrets, seconds: HOURS * 3_600 }).await.map_err(failed)
        };
        let (reader, stranger) = (grant(READER, "*").await?, grant(STRANGER, from.strangers).await?);
        let Place { region, .. } = &manifest.source;
        // A source without a region: any will do.
        let region = if region.is_empty() { "us-east-1".into() } else { region.clone() };
        Ok(Self { server, reader, stranger, region, audit, folder })
    }

    /// A connection with the keys that an application gets for its token.
    async fn reader(&self) -> Result<Reader, DrillError> {
        let mut client = Client::connect(self.server.address()).await?;
        let keys = client.credentials(&self.reader.container_token).await?;
        let keys = keys.ok_or_else(|| failed("the token of the drill was refused"))?;
        Ok(Reader::new(client, keys, self.region.clone()))
    }

    /// Reads one secret, as the first application would; whether it was there.
    async fn first(&self, scope: &[Record]) -> Result<bool, DrillError> {
        let has_value = |record: &&Record| {
            record.versions.iter().any(|it| it.current && matches!(it.value, ValueState::Stored { .. }))
        };
        let Some(record) = scope.iter().find(has_value) else { return Ok(false) };
        Ok(self.reader().await?.value(&record.secret.id, None).await?.is_some())
    }

    /// Reads everything and compares it with what the packs hold.
    pub(super) async fn compare(
        &self,
        from: &From<'_>,
        scope: &[Record],
        progress: &dyn Progress,
    ) -> Result<Found, DrillError> {
        let mut readers = Vec::new();
        for _ in 0..compare::READERS {
            readers.push(self.reader().await?);
        }
        compare::all(&mut readers, from, scope, progress).await
    }

    /// What must be refused, and whether it was.
    pub(super) async fn refusals(&self, scope: &[Record]) -> Result<Vec<ProbeResult>, DrillError> {
        let secret = scope.first().map_or("none", |record| record.secret.id.as_str());
        let body = serde_json::json!({ "SecretId": secret }).to_string();
        let write = serde_json::json!({ "SecretId": secret, "SecretString": "a drill writes nothing" }).to_string();
        let (reader, stranger) = (Keys::from(&self.reader), Keys::from(&self.stranger));
        let forged = Keys { secret: "0".repeat(40).into(), ..Keys::from(&self.reader) };
        let read = "GetSecretValue";
        let tries: [(&str, Option<&Keys>, &str, &str, &str); 4] = [
            ("a request without a signature", None, read, &body, "MissingAuthenticationTokenException"),
            ("a request with a wrong signature", Some(&forged), read, &body, "InvalidSignatureException"),
            ("keys that were granted other secrets", Some(&stranger), read, &body, "AccessDeniedException"),
            ("a write", Some(&reader), "PutSecretValue", &write, "AccessDeniedException"),
        ];
        let mut results = Vec::new();
        for (name, keys, operation, body, expected) in tries {
            let begun = Instant::now();
            let mut client = Client::connect(self.server.address()).await?;
            let answer = client.call(keys, (&self.region, operation), body, Now.now()).await?;
            results.push(refusal(name, expected, answer.code(), begun));
        }
        let begun = Instant::now();
        let mut client = Client::connect(self.server.address()).await?;
        let let_in = client.credentials("a-token-that-nobody-was-given").await?.is_some();
        results.push(refusal("a token that was not granted", "no keys", (!let_in).then(|| "no keys".into()), begun));
        let begun = Instant::now();
        self.server.revoke(STRANGER).await.map_err(failed)?;
        let answer = client.call(Some(&stranger), (&self.region, read), &body, Now.now()).await?;
        results.push(refusal("keys that were taken back", "UnrecognizedClientException", answer.code(), begun));
        Ok(results)
    }

    /// The token of the reader in a file, for the commands of probes.
    fn token_file(&self) -> Result<PathBuf, DrillError> {
        let file = self.folder.path().join("token");
        let token = self.reader.container_token.as_bytes();
        fsutil::write(&file, token, fsutil::Access::Private, fsutil::Existing::Replace)?;
        Ok(file)
    }

    /// Stops the server, and stores its log in the repository; the name of the log there.
    async fn stop(self, request: &Request<'_>) -> Result<Option<String>, DrillError> {
        self.server.stop().await.map_err(failed)?;
        if request.journal.is_none() {
            return Ok(None);
        }
        let log = std::io::BufReader::new(fsutil::open_at_once(&self.audit)?);
        let report = crate::serve::read_log(log, Now.now()).map_err(failed)?;
        let recipients = [request.trust.current().recipient.clone()];
        let log = fsutil::open_at_once(&self.audit)?;
        let stored = request.repository.put_served(&report.facts(), log, (&recipients, request.signer)).await?;
        fsutil::remove(&self.audit)?;
        Ok(Some(stored))
    }
}

/// Whether something was refused as it should be. What was let in instead is never shown.
fn refusal(name: &str, expected: &str, code: Option<String>, begun: Instant) -> ProbeResult {
    let (state, detail) = match code {
        Some(code) if code == expected => (State::Passed, format!("refused: {code}")),
        Some(code) => (State::Failed, format!("refused with {code}, not with {expected}")),
        None => (State::Failed, "let in".into()),
    };
    ProbeResult { name: format!("{name} is refused"), state, detail, seconds: begun.elapsed().as_secs_f64() }
}

fn failed(error: impl std::fmt::Display) -> DrillError {
    DrillError::Glass(error.to_string())
}

/// A value as an answer has it.
fn value_of(answer: &serde_json::Value) -> Option<SecretValue> {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    match (answer["SecretString"].as_str(), answer["SecretBinary"].as_str()) {
        (Some(text), None) => Some(SecretValue::text(text.to_owned())),
        (None, Some(bytes)) => Some(SecretValue::bytes(BASE64_STANDARD.decode(bytes).ok()?)),
        _ => None,
    }
}
