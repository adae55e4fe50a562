//! Writing to one key: each step may be sent twice, and none touches another incarnation than the one it is about.

use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::{
    Vault,
    client::{About, WRITE},
};
use crate::{
    model::{Presence, Secret, SecretValue, Step, Tag, Withheld},
    provider::{Applied, ErrorKind, FetchedValue, ProviderError, codec},
};

/// The server's words for a write that does not land behind the version it names.
const NOT_BEHIND: &str = "check-and-set";
/// OpenBao's words for an object of too many strings.
const TOO_MANY: &str = "complexity";

impl Vault {
    /// What has this identifier, or this name.
    pub(super) async fn described(&self, id: &str) -> Result<Option<Secret>, ProviderError> {
        let path = match id.rsplit_once('@') {
            Some((path, made)) if made.parse::<jiff::Timestamp>().is_ok() => path,
            _ => id,
        };
        let found = self.metadata(path).await?.map(|metadata| metadata.secret(path));
        Ok(found.filter(|secret| path == id || secret.id == id))
    }

    /// Whether the engine deletes versions of its own accord, and after how long.
    pub(super) async fn deletes_by_itself(&self) -> Result<Presence, ProviderError> {
        let about = About { operation: "config", secret: None };
        let path: Vec<&str> = self.mount.path.split('/').chain(["config"]).collect();
        let told: Json = match self.client.get(about, &path, &[]).await {
            Ok(answer) => answer.data(about)?.unwrap_or_default(),
            Err(error) if error.kind == ErrorKind::Denied => {
                return Ok(Presence::Unknown(format!("the token may not read {}/config", self.mount.path)));
            }
            Err(error) => return Err(error),
        };
        let after = told["delete_version_after"].as_str().unwrap_or_default();
        // A negative one switches it off for every key.
        let is_on = !after.starts_with('-') && after.bytes().any(|byte| (b'1'..=b'9').contains(&byte));
        Ok(if is_on { Presence::Unusable(after.to_owned()) } else { Presence::There })
    }

    pub(super) async fn write(
        &self,
        step: &Step,
        at: Option<&str>,
        value: Option<&SecretValue>,
    ) -> Result<Applied, ProviderError> {
        let name = step.name();
        let about = About { operation: operation(step), secret: Some(name) };
        if let Some(at) = at
            && self.metadata(name).await?.is_none_or(|metadata| metadata.id(name) != at)
        {
            let words = "what has the name is not what the plan is about";
            return Err(about.failed(ErrorKind::Conflict, "OtherIncarnation", words));
        }
        match step {
            Step::Create { tags, settings, .. } => return self.create(about, name, (tags, settings)).await,
            Step::Append { version, behind, placeholder, .. } => {
                let value = match (placeholder, value) {
                    (true, None) => &SecretValue::fields("{}".into()),
                    (false, Some(value @ SecretValue::Fields(_))) => value,
                    _ => return Err(about.failed(ErrorKind::Invalid, "BadStep", "a version of a key is an object")),
                };
                self.append(about, (name, version, behind), value).await?;
            }
            Step::Withhold { version, how, .. } => {
                let number: u64 =
                    version.parse().map_err(|_| about.failed(ErrorKind::Invalid, "BadStep", "no version number"))?;
                let what = match how {
                    Withheld::Deleted => "delete",
                    Withheld::Destroyed => "destroy",
                    _ => return Err(about.failed(ErrorKind::Invalid, "BadStep", "a version has no such state here")),
                };
                self.post(about, what, name, &json!({ "versions": [number] })).await?;
            }
            Step::Configure { settings, tags, .. } => {
                self.post(about, "metadata", name, &metadata(settings, tags)).await?;
            }
            Step::Destroy { .. } if at.is_some() => {
                let answer = self.client.change(about, &self.path("metadata", name), None).await?;
                if !answer.status.is_success() {
                    return Err(about.refused(&answer));
                }
            }
            Step::Destroy { .. } => {
                return Err(about.failed(ErrorKind::Invalid, "BadStep", "what is deleted is named by its identifier"));
            }
            _ => return Err(about.failed(ErrorKind::Invalid, "BadStep", "this step is for another kind of target")),
        }
        Ok(Applied::default())
    }

    /// Makes a key without versions. The engine has no way to say "only if it is not there" about metadata, so that is asked
    /// before and looked at after.
    async fn create(
        &self,
        about: About<'_>,
        name: &str,
        (tags, settings): (&[Tag], &std::collections::BTreeMap<String, String>),
    ) -> Result<Applied, ProviderError> {
        let taken = |words: &str| about.failed(ErrorKind::Conflict, "AlreadyThere", words);
        if let Some(there) = self.metadata(name).await? {
            let mut found = there.secret(name).facets.tags;
            let mut wanted = tags.to_vec();
            found.sort();
            wanted.sort();
            // An answer that was lost: it is this restore's own, and still empty.
            let is_own = found == wanted && there.known.current_version == 0;
            return if is_own { Ok(Applied::default()) } else { Err(taken("a key with this name is there")) };
        }
        self.post(about, "metadata", name, &metadata(settings, tags)).await?;
        let made = self.metadata(name).await?.ok_or_else(|| about.bad("what was created is not there"))?;
        if made.known.current_version != 0 {
            return Err(taken("somebody wrote a key with this name at the same moment"));
        }
        Ok(Applied { created: Some(made.id(name)) })
    }

    async fn append(
        &self,
        about: About<'_>,
        (name, version, behind): (&str, &str, &str),
        value: &SecretValue,
    ) -> Result<(), ProviderError> {
        let is_number = [version, behind].iter().all(|text| text.parse::<u64>().is_ok());
        if !is_number {
            return Err(about.failed(ErrorKind::Invalid, "BadStep", "no version number"));
        }
        let mut body = Zeroizing::new(Vec::with_capacity(value.expose().len() + 64));
        body.extend_from_slice(format!("{{\"options\":{{\"cas\":{behind}}},\"data\":").as_bytes());
        body.extend_from_slice(value.expose());
        body.push(b'}');
        let answer = self.client.change(about, &self.path("data", name), Some(body)).await?;
        if answer.status.is_success() {
            let told: Json = answer.data(about)?.unwrap_or_default();
            let is_it = told["version"].as_u64().is_some_and(|number| number.to_string() == version);
            return if is_it { Ok(()) } else { Err(about.bad("the answer is of another version")) };
        }
        if answer.says(TOO_MANY) {
            let words = "the server refuses an object of so many keys and texts";
            return Err(about.failed(ErrorKind::Limit, "TooComplex", words));
        }
        if !answer.says(NOT_BEHIND) {
            return Err(about.refused(&answer));
        }
        // Either somebody else wrote, or an answer was lost and the version is there.
        let number: u64 = version.parse().unwrap_or_default();
        match self.value(name, number).await? {
            Some(FetchedValue::Value(found)) if codec::is_same(value, &found) => Ok(()),
            _ => {
                let words = format!("version {behind} is not the newest one: somebody else writes to this key");
                Err(about.failed(ErrorKind::Conflict, "NotBehind", &words))
            }
        }
    }

    async fn post(&self, about: About<'_>, what: &str, name: &str, body: &Json) -> Result<(), ProviderError> {
        let body = Zeroizing::new(serde_json::to_vec(body).expect("JSON is JSON"));
        let answer = self.client.change(about, &self.path(what, name), Some(body)).await?;
        if answer.status.is_success() { Ok(()) } else { Err(about.refused(&answer)) }
    }
}

/// Settings and custom metadata as the engine takes them.
fn metadata(settings: &std::collections::BTreeMap<String, String>, tags: &[Tag]) -> Json {
    let mut body = serde_json::Map::new();
    for (name, value) in settings {
        let value = match name.as_str() {
            "max_versions" => value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number)),
            "cas_required" => json!(value == "true"),
            _ => json!(value),
        };
        body.insert(name.clone(), value);
    }
    let tags: serde_json::Map<String, Json> = tags.iter().map(|tag| (tag.key.clone(), json!(tag.value))).collect();
    body.insert("custom_metadata".into(), Json::Object(tags));
    Json::Object(body)
}

fn operation(step: &Step) -> &'static str {
    match step {
        Step::Append { .. } => WRITE,
        Step::Withhold { how: Withheld::Destroyed, .. } => "destroy",
        Step::Withhold { .. } => "delete",
        Step::Destroy { .. } => "metadata/delete",
        _ => "metadata/write",
    }
}
