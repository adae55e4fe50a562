//! ECS, Lambda and KMS, asked with calls that change nothing. What cannot be asked is unknown.

use std::collections::{BTreeMap, BTreeSet};

use aws_config::SdkConfig;
use serde_json::{Value as Json, json};

use super::{
    super::super::{
        Aws,
        call::Operation,
        direct::{Direct, ECS, KMS, LAMBDA, Service},
        failure::Failure,
    },
    policy,
    reference::{self, Known},
};
use crate::{
    model::Secret,
    provider::{Consumer, Follows, Looked, ProviderError},
};

/// Pages of one list.
const MOST_PAGES: usize = 2_000;
/// Services that one DescribeServices takes.
const SERVICES_AT_ONCE: usize = 10;

type Sink<'a> = dyn FnMut(Consumer) + Send + 'a;

/// Why something is not known.
struct Unknown(String);

impl From<ProviderError> for Unknown {
    fn from(error: ProviderError) -> Self {
        Self(format!("{}: {}", error.operation, error.code))
    }
}

impl From<Failure> for Unknown {
    fn from(failure: Failure) -> Self {
        failure.error.into()
    }
}

/// A connection, and what each service's own needs.
pub(super) struct Asking<'a> {
    pub(super) aws: &'a Aws,
    pub(super) config: &'a SdkConfig,
    pub(super) endpoint: Option<&'a str>,
}

impl Asking<'_> {
    fn direct(&self, service: Service, operation: Operation) -> Result<Direct, ProviderError> {
        Direct::new(self.config, self.endpoint, service, operation)
    }

    async fn call(&self, direct: &Direct, operation: Operation, body: &Json) -> Result<Json, Unknown> {
        Ok(self.aws.call(operation, None, || direct.send(body.clone())).await?)
    }

    /// Every element of a list of pages. A list that does not end as it should is not known.
    async fn all(&self, service: Service, operation: Operation, list: &List<'_>) -> Result<Vec<Json>, Unknown> {
        let direct = self.direct(service, operation)?;
        let (mut all, mut body, mut before) = (Vec::new(), list.body.clone(), None::<String>);
        for _ in 0..MOST_PAGES {
            let mut page = self.call(&direct, operation, &body).await?;
            let Json::Array(found) = page[list.key].take() else {
                return Err(Unknown(format!("{}: an answer without {}", operation.name(), list.key)));
            };
            all.extend(found);
            let Some(token) = page[list.next].as_str().filter(|token| !token.is_empty()) else { return Ok(all) };
            if before.as_deref() == Some(token) {
                return Err(Unknown(format!("{}: a page names itself as the next", operation.name())));
            }
            body[list.token] = token.into();
            before = Some(token.to_owned());
        }
        Err(Unknown(format!("{}: more than {MOST_PAGES} pages", operation.name())))
    }

    /// The newest definition of every family, and those that services run.
    pub(super) async fn tasks(&self, known: &Known<'_>, sink: &mut Sink<'_>) -> Looked {
        let what = "task definitions of ECS";
        let mut count = 0;
        let found = async {
            let services = self.services().await;
            let families = List { body: json!({ "status": "ACTIVE" }), key: "families", ..List::ECS };
            let families = self.all(ECS, Operation::ListTaskDefinitionFamilies, &families).await?;
            let running = services.as_ref().map(|found| found.keys().cloned().collect()).unwrap_or_default();
            let families = families.iter().filter_map(Json::as_str).map(str::to_owned);
            let wanted: Vec<String> = families.chain::<Vec<String>>(running).collect();
            let describe = self.direct(ECS, Operation::DescribeTaskDefinition)?;
            let (mut seen, mut failed) = (BTreeSet::new(), services.as_ref().err().map(|unknown| unknown.0.clone()));
            for name in wanted.iter().filter(|name| !name.is_empty()) {
                if seen.contains(name) {
                    continue;
                }
                let body = json!({ "taskDefinition": name });
                let answer = match self.call(&describe, Operation::DescribeTaskDefinition, &body).await {
                    Ok(answer) => answer,
                    // One that was deregistered while it was asked for; the others are still known.
                    Err(unknown) => {
                        failed.get_or_insert(unknown.0);
                        continue;
                    }
                };
                let definition = &answer["taskDefinition"];
                let id = definition["taskDefinitionArn"].as_str().unwrap_or(name).to_owned();
                if seen.insert(id.clone()) {
                    count += 1;
                    let users = services.as_ref().ok().and_then(|found| found.get(&id));
                    of_definition(definition, &id, users, (known, &mut *sink));
                }
            }
            failed.map_or(Ok(()), |reason| Err(Unknown(reason)))
        };
        let found = found.await;
        looked(what, count, found)
    }

    /// The services, by the definition that each runs.
    async fn services(&self) -> Result<BTreeMap<String, Vec<String>>, Unknown> {
        let mut by_definition: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let clusters = List { body: json!({}), key: "clusterArns", ..List::ECS };
        for cluster in self.all(ECS, Operation::ListClusters, &clusters).await? {
            let list = List { body: json!({ "cluster": cluster }), key: "serviceArns", ..List::ECS };
            let services = self.all(ECS, Operation::ListServices, &list).await?;
            let describe = self.direct(ECS, Operation::DescribeServices)?;
            for some in services.chunks(SERVICES_AT_ONCE) {
                let body = json!({ "cluster": cluster, "services": some });
                let answer = self.call(&describe, Operation::DescribeServices, &body).await?;
                let found = answer["services"]
                    .as_array()
                    .ok_or_else(|| Unknown("DescribeServices: an answer without services".to_owned()))?;
                for service in found {
                    if let (Some(id), Some(definition)) =
                        (service["serviceArn"].as_str(), service["taskDefinition"].as_str())
                    {
                        by_definition.entry(definition.to_owned()).or_default().push(id.to_owned());
                    }
                }
            }
        }
        Ok(by_definition)
    }

    /// The environment of every function: its values are searched and dropped.
    pub(super) async fn functions(&self, known: &Known<'_>, sink: &mut Sink<'_>) -> Looked {
        let what = "environments of Lambda";
        let list = List { body: json!({}), key: "Functions", next: "NextMarker", token: "Marker" };
        let functions = match self.all(LAMBDA, Operation::ListFunctions, &list).await {
            Ok(functions) => functions,
            Err(unknown) => return looked(what, 0, Err(unknown)),
        };
        let mut closed = 0_u64;
        for function in &functions {
            let id = function["FunctionArn"].as_str().or(function["FunctionName"].as_str()).unwrap_or_default();
            let environment = &function["Environment"];
            closed += u64::from(environment["Error"].is_object());
            for (name, value) in environment["Variables"].as_object().into_iter().flatten() {
                for reference in known.in_text(value.as_str().unwrap_or_default()) {
                    // The program asks with the reference; only the reference itself is fixed at its start.
                    let fixes = reference::fixes(&reference);
                    let follows = if fixes.is_empty() { Follows::ByItself } else { Follows::Deployment };
                    let (kind, id, at) = ("lambda function".to_owned(), id.to_owned(), name.clone());
                    sink(Consumer { kind, id, at, reference, fixes, follows });
                }
            }
        }
        let found =
            if closed == 0 { Ok(()) } else { Err(Unknown(format!("{closed} are encrypted under a key of their own"))) };
        looked(what, functions.len() as u64, found)
    }

    /// The policies of the keys that the secrets are under. The default key of the service has one that nobody changes.
    pub(super) async fn keys(&self, secrets: &[Secret], sink: &mut Sink<'_>) -> Looked {
        let what = "policies of KMS keys";
        let mut keys: BTreeMap<&str, Vec<&Secret>> = BTreeMap::new();
        for secret in secrets {
            if let Some(key) = secret.facets.key.as_deref().filter(|key| !key.contains("alias/aws/")) {
                keys.entry(key).or_default().push(secret);
            }
        }
        let (mut count, mut failed) = (0, None);
        for (key, users) in keys {
            let body = json!({ "KeyId": key, "PolicyName": "default" });
            let answer = match self.direct(KMS, Operation::GetKeyPolicy) {
                Ok(direct) => self.call(&direct, Operation::GetKeyPolicy, &body).await,
                Err(error) => Err(error.into()),
            };
            match answer {
                Ok(answer) if answer["Policy"].is_string() => {
                    count += 1;
                    let policy = answer["Policy"].as_str().unwrap_or_default();
                    for ((id, fixes), secret) in
                        policy::of_key(policy).iter().flat_map(|one| users.iter().map(move |user| (one, user)))
                    {
                        sink(Consumer {
                            kind: "key policy".into(),
                            id: id.clone(),
                            at: key.to_owned(),
                            reference: secret.id.clone(),
                            fixes: fixes.clone(),
                            follows: Follows::Right,
                        });
                    }
                }
                Ok(_) => failed = Some("GetKeyPolicy: an answer without a policy".to_owned()),
                Err(unknown) => failed = Some(unknown.0),
            }
        }
        looked(what, count, failed.map_or(Ok(()), |reason| Err(Unknown(reason))))
    }
}

/// A list of pages.
struct List<'a> {
    body: Json,
    key: &'a str,
    next: &'a str,
    token: &'a str,
}

impl List<'_> {
    const ECS: Self = Self { body: Json::Null, key: "", next: "nextToken", token: "nextToken" };
}

fn looked(what: &str, count: u64, found: Result<(), Unknown>) -> Looked {
    let reason = found.err().map(|unknown| unknown.0);
    let count = (count > 0 || reason.is_none()).then_some(count);
    Looked { what: what.to_owned(), count, reason }
}

/// References of a task definition: its values come into a container when a task starts, and only then.
fn of_definition(definition: &Json, id: &str, users: Option<&Vec<String>>, (known, sink): (&Known<'_>, &mut Sink<'_>)) {
    let mut give = |reference: String, at: String| {
        let fixes = reference::fixes(&reference);
        let services = users.into_iter().flatten().map(|service| ("ecs service", service.as_str()));
        let alone = users.is_none().then_some(("ecs task definition", id));
        for (kind, id) in services.chain(alone) {
            let (kind, id, at, reference, fixes) =
                (kind.into(), id.to_owned(), at.clone(), reference.clone(), fixes.clone());
            sink(Consumer { kind, id, at, reference, fixes, follows: Follows::Deployment });
        }
    };
    for container in definition["containerDefinitions"].as_array().into_iter().flatten() {
        let of = container["name"].as_str().unwrap_or_default();
        let lists = [&container["secrets"], &container["logConfiguration"]["secretOptions"]];
        for secret in lists.into_iter().filter_map(Json::as_array).flatten() {
            let at = format!("{of}: {}", secret["name"].as_str().unwrap_or_default());
            let from = secret["valueFrom"].as_str().unwrap_or_default();
            known.in_text(from).into_iter().for_each(|reference| give(reference, at.clone()));
        }
        let pull = container["repositoryCredentials"]["credentialsParameter"].as_str().unwrap_or_default();
        known.in_text(pull).into_iter().for_each(|reference| give(reference, format!("{of}: image")));
        for variable in container["environment"].as_array().into_iter().flatten() {
            let at = format!("{of}: {}", variable["name"].as_str().unwrap_or_default());
            let value = variable["value"].as_str().unwrap_or_default();
            known.in_text(value).into_iter().for_each(|reference| give(reference, at.clone()));
        }
    }
}
