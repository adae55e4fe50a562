//! Writing to one secret: each step may be sent twice, and none touches another incarnation than the one it is about.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::SignedDuration;
use reqwest::{Method, StatusCode};
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{
    Gcp, LARGEST,
    client::{About, Answer, Ask, WRITE},
    metadata::{Metadata, number, split_tags},
    pace::Bucket,
    read::Reading,
    rules::{ALIASES, DESTROY_TTL, REPLICAS, TOPICS},
};
use crate::{
    clock::{Clock as _, SystemClock},
    model::{Rotation, SecretValue, Step, Tag, Withheld},
    provider::{Applied, ErrorKind, ProviderError, pace::pause},
};

/// What a version holds that has no value.
const PLACEHOLDER: [u8; 1] = [0];
/// How often a write is tried again that met somebody else's, or whose answer was lost.
const ATTEMPTS: u32 = 5;

impl Gcp {
    pub(super) async fn write(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        let name = step.name();
        let about = About { operation: operation(step), secret: Some(name) };
        let bad = |words: &str| Err(about.failed(ErrorKind::Invalid, "BadStep", words));
        match step {
            Step::Create { .. } => return self.create(about, step).await,
            Step::Destroy { .. } => match at {
                Some(at) => self.destroy(about, name, at).await?,
                None => return bad("what is deleted is named by its identifier"),
            },
            Step::Append { version, behind, placeholder, .. } => {
                self.met(about, name, at).await?;
                let placeholder_value = SecretValue::bytes(PLACEHOLDER.to_vec());
                let value = match (placeholder, value) {
                    (true, None) => &placeholder_value,
                    (false, Some(value @ SecretValue::Bytes(_))) => value,
                    _ => return bad("a version holds bytes"),
                };
                self.append(about, (name, version, behind), value).await?;
            }
            Step::Withhold { version, how, .. } => {
                self.met(about, name, at).await?;
                self.withhold(about, (name, version), *how).await?;
            }
            Step::Configure { settings, tags, .. } => {
                let body = |_: &Metadata| changed(settings, tags);
                self.patch(about, name, at, body).await?;
            }
            Step::Rotate { rotation, .. } => {
                let body = rotated(rotation)
                    .ok_or_else(|| about.failed(ErrorKind::Invalid, "BadStep", "a rotation has no period"))?;
                self.patch(about, name, at, |_| (body.clone(), "rotation".to_owned())).await?;
            }
            Step::PutPolicy { policy, .. } => {
                self.met(about, name, at).await?;
                self.put_policy(about, name, policy).await?;
            }
            Step::DeletePolicy { .. } => {
                self.met(about, name, at).await?;
                self.put_policy(about, name, "{}").await?;
            }
            _ => return bad("this step is for another kind of target"),
        }
        Ok(Applied::default())
    }

    /// What is there must be what the plan is about.
    async fn met(&self, about: About<'_>, name: &str, at: Option<&str>) -> Result<(), ProviderError> {
        let Some(at) = at else { return Ok(()) };
        let found = self.metadata(name).await?;
        if found.is_some_and(|found| found.incarnation() == at) { Ok(()) } else { Err(other(about)) }
    }

    async fn create(&self, about: About<'_>, step: &Step) -> Result<Applied, ProviderError> {
        let Step::Create { name, kms_key, tags, secret_type, settings, .. } = step else {
            return Err(about.failed(ErrorKind::Invalid, "BadStep", "nothing is created by this step"));
        };
        let (labels, annotations) = split_tags(tags);
        let mut body = json!({ "labels": labels, "annotations": annotations });
        if let Some(kind) = secret_type {
            body["secretType"] = json!(kind);
        }
        if let Some(topics) = settings.get(TOPICS).and_then(|text| serde_json::from_str::<Json>(text).ok()) {
            body["topics"] = topics;
        }
        let key = kms_key.as_ref().map(|key| json!({ "kmsKeyName": key }));
        match (self.location(), settings.get(REPLICAS)) {
            (Some(_), _) => {
                if let Some(key) = key {
                    body["customerManagedEncryption"] = key;
                }
            }
            (None, Some(replicas)) => {
                let replicas: Json = serde_json::from_str(replicas).unwrap_or_default();
                body["replication"] = json!({ "userManaged": { "replicas": replicas } });
            }
            (None, None) => {
                let automatic = key.map_or_else(|| json!({}), |key| json!({ "customerManagedEncryption": key }));
                body["replication"] = json!({ "automatic": automatic });
            }
        }
        let path = self.path(&[]);
        let answer = self.post(about, &path, "", &[("secretId", name)], &body, true).await?;
        if answer.status == StatusCode::OK {
            let made = Metadata::parse(answer.json(about)?, &self.place, about)?;
            return Ok(Applied { created: Some(made.incarnation()) });
        }
        if answer.status != StatusCode::CONFLICT {
            return Err(about.refused(&answer));
        }
        // An answer that was lost: it is this restore's own, by its mark, and still empty.
        let there = self.metadata(name).await?;
        let is_own = there.is_some_and(|there| {
            let empty = json!({});
            let of = |what: &str| there.raw.get(what).unwrap_or(&empty).clone();
            of("labels") == body["labels"] && of("annotations") == body["annotations"]
        });
        if is_own && self.rows(name).await?.is_empty() {
            return Ok(Applied::default());
        }
        Err(about.failed(ErrorKind::Conflict, "ALREADY_EXISTS", "a secret with this name is there"))
    }

    /// Deletes exactly this incarnation: its etag is no other one's.
    async fn destroy(&self, about: About<'_>, name: &str, at: &str) -> Result<(), ProviderError> {
        for attempt in 1..=ATTEMPTS {
            let Some(found) = self.metadata(name).await? else { return Ok(()) };
            if found.incarnation() != at {
                return Err(other(about));
            }
            let (path, query) = (self.path(&[name]), [("etag", found.etag())]);
            let ask = Ask {
                method: Method::DELETE,
                query: &query,
                bucket: Bucket::Write,
                ..Ask::get(self.location(), &path)
            };
            let answer = self.client.send(about, &ask).await?;
            match answer.status {
                StatusCode::OK | StatusCode::NOT_FOUND => return Ok(()),
                _ if is_stale(&answer) && attempt < ATTEMPTS => {}
                _ => return Err(about.refused(&answer)),
            }
        }
        Err(other(about))
    }

    /// Adds a version behind another one. The service has no way to say "behind this one or not at all", so that is asked before
    /// and told by the number of the answer. What may have been carried out is never sent again unasked.
    async fn append(
        &self,
        about: About<'_>,
        (name, version, behind): (&str, &str, &str),
        value: &SecretValue,
    ) -> Result<(), ProviderError> {
        let (Ok(wanted), Ok(behind)) = (version.parse::<u64>(), behind.parse::<u64>()) else {
            return Err(about.failed(ErrorKind::Invalid, "BadStep", "no version number"));
        };
        if value.size() > LARGEST || value.expose().is_empty() {
            return Err(about.failed(ErrorKind::Limit, "BadSize", "a version holds 1 to 65,536 bytes"));
        }
        let data = Zeroizing::new(STANDARD.encode(value.expose()));
        let sum = crc32c::crc32c(value.expose());
        let body = format!("{{\"payload\":{{\"data\":\"{}\",\"dataCrc32c\":\"{sum}\"}}}}", data.as_str());
        let body = Zeroizing::new(body.into_bytes());
        let mut attempt = 0;
        loop {
            let newest = self.newest(name).await?;
            if newest >= wanted {
                return self.is_there(about, (name, wanted), value).await;
            }
            if newest != behind {
                return Err(moved(about, behind));
            }
            let path = self.path(&[name]);
            let ask = Ask {
                method: Method::POST,
                verb: "addVersion",
                body: Some(&body),
                bucket: Bucket::Write,
                is_repeatable: false,
                ..Ask::get(self.location(), &path)
            };
            let failure = match self.client.send(about, &ask).await {
                Ok(answer) if answer.status == StatusCode::OK => {
                    let made = answer.json(about)?;
                    let made = made["name"].as_str().and_then(|made| number(made, &self.place, name));
                    return match made {
                        Some(made) if made == wanted => Ok(()),
                        Some(_) => Err(moved(about, behind)),
                        None => Err(about.bad("the answer is of another secret")),
                    };
                }
                Ok(answer) => return Err(about.refused(&answer)),
                Err(error) if error.kind == ErrorKind::Unavailable => error,
                Err(error) => return Err(error),
            };
            attempt += 1;
            if attempt == ATTEMPTS {
                return Err(failure);
            }
            tokio::time::sleep(pause(attempt)).await;
        }
    }

    /// The number of the newest version; 0: there is none.
    async fn newest(&self, name: &str) -> Result<u64, ProviderError> {
        let about = About { operation: "versions.get", secret: Some(name) };
        let path = self.path(&[name, "versions", "latest"]);
        let answer = self.client.send(about, &Ask::get(self.location(), &path)).await?;
        match answer.status {
            StatusCode::OK => {
                let found = answer.json(about)?;
                let found = found["name"].as_str().and_then(|found| number(found, &self.place, name));
                found.ok_or_else(|| about.bad("the answer is of another version"))
            }
            StatusCode::NOT_FOUND => Ok(0),
            _ => Err(about.refused(&answer)),
        }
    }

    /// Either an answer was lost and the version is there, or somebody else wrote it.
    async fn is_there(
        &self,
        about: About<'_>,
        (name, version): (&str, u64),
        value: &SecretValue,
    ) -> Result<(), ProviderError> {
        match self.value(name, version).await? {
            Reading::Value(found) if found.same_as(value) => Ok(()),
            // It has been disabled or destroyed by now, as a placeholder is.
            Reading::Moved if value.expose() == PLACEHOLDER => Ok(()),
            _ => Err(moved(about, version.saturating_sub(1))),
        }
    }

    async fn withhold(
        &self,
        about: About<'_>,
        (name, version): (&str, &str),
        how: Withheld,
    ) -> Result<(), ProviderError> {
        let (verb, state) = match how {
            Withheld::Disabled => ("disable", "DISABLED"),
            Withheld::Destroyed => ("destroy", "DESTROYED"),
            _ => return Err(about.failed(ErrorKind::Invalid, "BadStep", "a version has no such state here")),
        };
        let path = self.path(&[name, "versions", version]);
        let answer = self.post(about, &path, verb, &[], &json!({}), true).await?;
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        if answer.code() == "FAILED_PRECONDITION" {
            let found = self.client.get(about, self.location(), &path, &[]).await?.json(about)?;
            if found["state"] == state {
                return Ok(());
            }
        }
        Err(about.refused(&answer))
    }

    /// Changes what is there, as long as nobody else does.
    async fn patch(
        &self,
        about: About<'_>,
        name: &str,
        at: Option<&str>,
        body: impl Fn(&Metadata) -> (Json, String),
    ) -> Result<(), ProviderError> {
        for attempt in 1..=ATTEMPTS {
            let gone = || about.failed(ErrorKind::NotFound, "NOT_FOUND", "");
            let found = self.metadata(name).await?.ok_or_else(gone)?;
            if at.is_some_and(|at| found.incarnation() != at) {
                return Err(other(about));
            }
            let (mut body, mask) = body(&found);
            body["etag"] = json!(found.etag());
            let (path, query) = (self.path(&[name]), [("updateMask", mask.as_str())]);
            let bytes = body.to_string().into_bytes();
            let ask = Ask {
                method: Method::PATCH,
                query: &query,
                body: Some(&bytes),
                bucket: Bucket::Write,
                ..Ask::get(self.location(), &path)
            };
            let answer = self.client.send(about, &ask).await?;
            match answer.status {
                StatusCode::OK => return Ok(()),
                _ if is_stale(&answer) && attempt < ATTEMPTS => {}
                _ => return Err(about.refused(&answer)),
            }
        }
        Err(other(about))
    }

    async fn put_policy(&self, about: About<'_>, name: &str, policy: &str) -> Result<(), ProviderError> {
        let mut policy: Json = serde_json::from_str(policy)
            .map_err(|_| about.failed(ErrorKind::Invalid, "BadStep", "the policy is not JSON"))?;
        for attempt in 1..=ATTEMPTS {
            let path = self.path(&[name]);
            let query = [("options.requestedPolicyVersion", "3")];
            let ask = Ask { verb: "getIamPolicy", query: &query, ..Ask::get(self.location(), &path) };
            let answer = self.client.send(about, &ask).await?;
            if answer.status != StatusCode::OK {
                return Err(about.refused(&answer));
            }
            policy["etag"] = answer.json(about)?["etag"].take();
            let answer = self.post(about, &path, "setIamPolicy", &[], &json!({ "policy": policy }), true).await?;
            match answer.status {
                StatusCode::OK => return Ok(()),
                _ if is_stale(&answer) && attempt < ATTEMPTS => {}
                _ => return Err(about.refused(&answer)),
            }
        }
        Err(other(about))
    }

    async fn post(
        &self,
        about: About<'_>,
        path: &[&str],
        verb: &'static str,
        query: &[(&str, &str)],
        body: &Json,
        is_repeatable: bool,
    ) -> Result<Answer, ProviderError> {
        let bytes = body.to_string().into_bytes();
        let ask = Ask {
            method: Method::POST,
            location: self.location(),
            path,
            verb,
            query,
            body: Some(&bytes),
            bucket: Bucket::Write,
            is_repeatable,
        };
        self.client.send(about, &ask).await
    }
}

/// Whether somebody else changed it since it was looked at.
fn is_stale(answer: &Answer) -> bool {
    answer.code() == "ABORTED" || (answer.code() == "FAILED_PRECONDITION" && answer.message().contains("etag"))
}

fn other(about: About<'_>) -> ProviderError {
    about.failed(ErrorKind::Conflict, "OtherIncarnation", "what has the name is not what the plan is about")
}

fn moved(about: About<'_>, behind: u64) -> ProviderError {
    let words = format!("version {behind} is not the newest one: somebody else writes to this secret");
    about.failed(ErrorKind::Conflict, "NotBehind", &words)
}

/// What is to be changed, and the mask that says so.
fn changed(settings: &BTreeMap<String, String>, tags: &[Tag]) -> (Json, String) {
    let (labels, annotations) = split_tags(tags);
    let mut body = json!({ "labels": labels, "annotations": annotations });
    let mut mask = vec!["labels", "annotations"];
    for (name, value) in settings {
        let field = match name.as_str() {
            ALIASES => "versionAliases",
            DESTROY_TTL => "versionDestroyTtl",
            TOPICS => "topics",
            _ => continue,
        };
        mask.push(field);
        match (name.as_str(), serde_json::from_str::<Json>(value)) {
            (DESTROY_TTL, _) if !value.is_empty() => body[field] = json!(value),
            (ALIASES, Ok(Json::Object(aliases))) => {
                // A number of 64 bits is a text in JSON.
                let aliases = aliases.into_iter().map(|(alias, number)| (alias, json!(number.to_string())));
                body[field] = Json::Object(aliases.collect());
            }
            (TOPICS, Ok(topics)) => body[field] = topics,
            _ => {}
        }
    }
    (body, mask.join(","))
}

/// A rotation that begins with its next period: nothing is rotated by switching it on.
fn rotated(rotation: &Rotation) -> Option<Json> {
    let period = rotation.schedule.as_deref()?;
    let seconds: i64 = period.strip_suffix('s')?.split('.').next()?.parse().ok()?;
    let next = SystemClock.now().checked_add(SignedDuration::from_secs(seconds)).ok()?;
    Some(json!({ "rotation": { "rotationPeriod": period, "nextRotationTime": next.to_string() } }))
}

fn operation(step: &Step) -> &'static str {
    match step {
        Step::Create { .. } => "secrets.create",
        Step::Append { .. } => WRITE,
        Step::Withhold { how: Withheld::Destroyed, .. } => "versions.destroy",
        Step::Withhold { .. } => "versions.disable",
        Step::PutPolicy { .. } | Step::DeletePolicy { .. } => "secrets.setIamPolicy",
        Step::Destroy { .. } => "secrets.delete",
        _ => "secrets.patch",
    }
}
