//! A service of ECS: its task definition with new references, a forced deployment, and the wait until that one is stable.
//!
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_UpdateService.html>,
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html>.

use serde_json::{Value as Json, json};

use super::{Calls, Looks, failed, half, mapping::Mapping, said};
use crate::{
    provider::{NotRedeployed, Redeployment, aws::call::Operation},
    text::plural,
};

/// What DescribeTaskDefinition adds to what was registered. All else goes back, also what this version does not know.
const ANSWERED_ONLY: [&str; 8] = [
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
];

pub(super) async fn deploy(
    calls: &Calls,
    (cluster, service): (&str, &str),
    wanted: &Redeployment<'_>,
) -> Result<String, NotRedeployed> {
    let before = described(calls, cluster, service).await?;
    let running = text_of(&before, "taskDefinition", Operation::DescribeServices)?;
    let (definition, changed) = definition(calls, running, wanted).await?;
    let operation = Operation::UpdateService;
    let body =
        json!({ "cluster": cluster, "service": service, "taskDefinition": definition, "forceNewDeployment": true });
    let answer = calls.ecs(operation, &body).await?;
    let ours = primary(&answer["service"]).ok_or_else(|| half(operation, "a deployment"))?;
    let id = text_of(ours, "id", operation)?.to_owned();
    if deployments(&before).any(|deployment| deployment["id"] == ours["id"]) {
        return Err(failed("UpdateService: the answer names no new deployment"));
    }
    if ours["taskDefinition"] != *definition {
        return Err(failed("UpdateService: the new deployment has another task definition"));
    }
    let tasks = stable(calls, (cluster, service), &id, wanted).await?;
    let what = if changed == 0 {
        "no reference had to change".to_owned()
    } else {
        let revision = definition.rsplit('/').next().unwrap_or_default();
        format!("{} changed in {revision}", plural(changed, "reference"))
    };
    Ok(format!("a new deployment is stable with {}; {what}", plural(tasks, "task")))
}

/// The service as DescribeServices has it. No service, or one that goes away, is a failure: 200 proves nothing.
async fn described(calls: &Calls, cluster: &str, service: &str) -> Result<Json, NotRedeployed> {
    let operation = Operation::DescribeServices;
    let mut answer = calls.ecs(operation, &json!({ "cluster": cluster, "services": [service] })).await?;
    if let Some(failure) = answer["failures"].as_array().and_then(|failures| failures.first()) {
        return Err(failed(format!("DescribeServices: {}", said(&failure["reason"]))));
    }
    let found = match answer["services"].take() {
        Json::Array(mut services) if services.len() == 1 => services.remove(0),
        Json::Array(services) => {
            return Err(failed(format!(
                "DescribeServices: {} instead of one",
                plural(services.len() as u64, "service")
            )));
        }
        _ => return Err(half(operation, "services")),
    };
    if found["serviceName"] != *service {
        return Err(failed("DescribeServices: the answer is about another service"));
    }
    match found["status"].as_str() {
        Some("ACTIVE") => Ok(found),
        _ => Err(failed(format!("the service is not active: {}", said(&found["status"])))),
    }
}

/// The task definition to run, and how many of its references are new: the one that runs, or a new revision.
async fn definition(calls: &Calls, running: &str, wanted: &Redeployment<'_>) -> Result<(String, u64), NotRedeployed> {
    let operation = Operation::DescribeTaskDefinition;
    let mut answer = calls.ecs(operation, &json!({ "taskDefinition": running, "include": ["TAGS"] })).await?;
    let mut definition = answer["taskDefinition"].take();
    if definition["taskDefinitionArn"] != *running || !definition["containerDefinitions"].is_array() {
        return Err(half(operation, "this task definition"));
    }
    let changed = Mapping::of(&definition, wanted.moves)?.apply(&mut definition);
    if changed == 0 {
        return Ok((running.to_owned(), 0));
    }
    if let Some(fields) = definition.as_object_mut() {
        fields.retain(|name, _| !ANSWERED_ONLY.contains(&name.as_str()));
    }
    if answer["tags"].as_array().is_some_and(|tags| !tags.is_empty()) {
        definition["tags"] = answer["tags"].take();
    }
    let operation = Operation::RegisterTaskDefinition;
    let answer = calls.ecs(operation, &definition).await?;
    let registered = &answer["taskDefinition"];
    let arn = text_of(registered, "taskDefinitionArn", operation)?;
    if arn == running || registered["containerDefinitions"] == Json::Null {
        return Err(failed("RegisterTaskDefinition: the answer names no new revision"));
    }
    Ok((arn.to_owned(), changed))
}

/// Waits until the deployment is the only one and has every task that it wants. Gives how many.
async fn stable(
    calls: &Calls,
    (cluster, service): (&str, &str),
    id: &str,
    wanted: &Redeployment<'_>,
) -> Result<u64, NotRedeployed> {
    let mut looks = Looks::new();
    loop {
        let found = described(calls, cluster, service).await?;
        if let Some(ours) = deployments(&found).find(|deployment| deployment["id"] == *id)
            && ours["rolloutState"] == "FAILED"
        {
            return Err(failed(format!("the deployment failed: {}", said(&ours["rolloutStateReason"]))));
        }
        let first = primary(&found).ok_or_else(|| half(Operation::DescribeServices, "a primary deployment"))?;
        if first["id"] != *id {
            // The circuit breaker went back to the old one, or somebody else deploys.
            return Err(failed(
                "another deployment took the place of this one: it was rolled back, or somebody deployed",
            ));
        }
        let count = |json: &Json, key: &str| json[key].as_u64().ok_or_else(|| half(Operation::DescribeServices, key));
        let (desired, running) = (count(&found, "desiredCount")?, count(&found, "runningCount")?);
        let own = count(first, "runningCount")?;
        let is_rolled_out = first["rolloutState"].as_str().is_none_or(|state| state == "COMPLETED");
        if deployments(&found).count() == 1 && is_rolled_out && running == desired && own == desired {
            return Ok(desired);
        }
        (wanted.tell)(format!("{own} of {} of the new deployment", plural(desired, "task")));
        looks.pause().await;
    }
}

fn deployments(service: &Json) -> impl Iterator<Item = &Json> {
    service["deployments"].as_array().into_iter().flatten()
}

fn primary(service: &Json) -> Option<&Json> {
    deployments(service).find(|deployment| deployment["status"] == "PRIMARY")
}

fn text_of<'a>(json: &'a Json, key: &str, operation: Operation) -> Result<&'a str, NotRedeployed> {
    json[key].as_str().filter(|text| !text.is_empty()).ok_or_else(|| half(operation, key))
}
