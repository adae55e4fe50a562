//! A function of Lambda: its environment with new references. Every update ends the sandboxes that hold old values.
//!
//! <https://docs.aws.amazon.com/lambda/latest/api/API_UpdateFunctionConfiguration.html>.

use serde_json::{Value as Json, json};

use super::{Calls, Looks, failed, half, mapping::Mapping, said};
use crate::{
    provider::{NotRedeployed, Redeployment, aws::call::Operation},
    text::plural,
};

pub(super) async fn update(calls: &Calls, function: &str, wanted: &Redeployment<'_>) -> Result<String, NotRedeployed> {
    // An update that failed before is no reason to leave the function with old values.
    let (mut before, _) = settled(calls, function, wanted).await?;
    let environment = &mut before["Environment"];
    if environment["Error"].is_object() {
        return Err(failed(
            "its environment cannot be read, so it cannot be sent back: its key refuses these credentials",
        ));
    }
    let mut variables = match environment["Variables"].take() {
        Json::Null => json!({}),
        variables => variables,
    };
    let changed = Mapping::of(&variables, wanted.moves)?.apply(&mut variables);
    let mut body = json!({ "FunctionName": function, "Environment": { "Variables": variables } });
    if before["RevisionId"].is_string() {
        // Somebody else's update in between is refused and not lost.
        body["RevisionId"] = before["RevisionId"].clone();
    }
    let operation = Operation::UpdateFunctionConfiguration;
    let answer = calls.lambda(operation, &body).await?;
    if answer["FunctionArn"].as_str().is_none() {
        return Err(half(operation, "FunctionArn"));
    }
    let (after, fault) = settled(calls, function, wanted).await?;
    if let Some(fault) = fault {
        return Err(failed(format!("the update failed: {fault}")));
    }
    let is_new = |key: &str| after[key].is_string() && after[key] != before[key];
    if !is_new("RevisionId") && !is_new("LastModified") {
        return Err(failed("the function has the revision that it had before: nothing was updated"));
    }
    let found = match &after["Environment"]["Variables"] {
        Json::Null => json!({}),
        variables => variables.clone(),
    };
    if found != body["Environment"]["Variables"] {
        return Err(failed("its environment is not the one that was sent"));
    }
    let what = if changed == 0 {
        "no reference had to change".to_owned()
    } else {
        format!("{} changed", plural(changed, "reference"))
    };
    Ok(format!("the configuration was updated; {what}"))
}

/// The configuration of the function when no update of it is under way, and why the last one failed, if it did.
async fn settled(
    calls: &Calls,
    function: &str,
    wanted: &Redeployment<'_>,
) -> Result<(Json, Option<String>), NotRedeployed> {
    let operation = Operation::GetFunctionConfiguration;
    let mut looks = Looks::new();
    loop {
        let found = calls.lambda(operation, &json!({ "FunctionName": function })).await?;
        if found["FunctionName"] != *function {
            return Err(half(operation, "this function"));
        }
        match found["LastUpdateStatus"].as_str() {
            Some("Successful") => return Ok((found, None)),
            Some("InProgress") => (wanted.tell)("an update is in progress".to_owned()),
            Some("Failed") => {
                let fault = said(&found["LastUpdateStatusReasonCode"]);
                return Ok((found, Some(fault)));
            }
            _ => return Err(half(operation, "LastUpdateStatus")),
        }
        looks.pause().await;
    }
}
