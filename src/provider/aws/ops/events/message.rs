//! What EventBridge puts into a message. Pure.
//!
//! "Secret Label Updated" comes without a trail, for every label but those of a rotation under way:
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/monitoring-eventbridge.html>. With a trail, every change comes
//! as "AWS API Call via CloudTrail", and what the service does by itself as "AWS Service Event via CloudTrail".

use jiff::Timestamp;
use serde_json::Value as Json;

use super::super::super::request::is_arn_of;
use crate::{
    model::SecretArn,
    provider::{Hint, Told},
};

const LABELS: &str = "Secret Label Updated";
const BY_TRAIL: [&str; 2] = ["AWS API Call via CloudTrail", "AWS Service Event via CloudTrail"];
/// Of the suffix of an ARN: a hyphen and six characters.
const SUFFIX: usize = 7;
/// The longest name of a secret.
const LONGEST_NAME: usize = 512;

/// Whose events count.
#[derive(Clone, Debug)]
pub(super) struct Own {
    pub(super) account: String,
    pub(super) region: String,
}

/// Reads the body of a message.
pub(super) fn read(body: &str, own: &Own) -> (Told, Option<Timestamp>) {
    let Ok(json) = serde_json::from_str::<Json>(body) else { return (Told::Strange("it is no event"), None) };
    // A topic between rule and queue wraps what it delivers, unless it is told not to.
    let inner = (json["Type"] == "Notification").then(|| serde_json::from_str(json["Message"].as_str().unwrap_or("")));
    let event = match inner {
        Some(Ok(event)) => event,
        Some(Err(_)) => return (Told::Strange("it is no event"), None),
        None => json,
    };
    let happened = event["time"].as_str().and_then(|time| time.parse().ok());
    (told(&event, own), happened)
}

fn told(event: &Json, own: &Own) -> Told {
    let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
    if event["source"] != "aws.secretsmanager" {
        return Told::Strange("it is no event of Secrets Manager");
    }
    if text(&event["account"]) != own.account || text(&event["region"]) != own.region {
        return Told::Strange("it is of another account or region");
    }
    let detail = &event["detail"];
    let kind = text(&event["detail-type"]);
    if kind == LABELS {
        let (name, id) = (text(&detail["name"]), text(&event["resources"][0]));
        return hint(&name, Some(id), own);
    }
    if !BY_TRAIL.contains(&kind.as_str()) {
        return Told::Strange("it is no kind of event that is known");
    }
    if detail["readOnly"] == true || !detail["errorCode"].is_null() {
        return Told::Nothing;
    }
    let request = &detail["requestParameters"];
    let answer = &detail["responseElements"];
    // An answer names the secret as it is; a request may name it by a part of its ARN.
    let arn = [
        &answer["arn"],
        &answer["ARN"],
        &answer["aRN"],
        &request["secretId"],
        &detail["additionalEventData"]["SecretId"],
    ];
    let arn = arn.into_iter().map(text).find(|arn| arn.starts_with("arn:"));
    let name = [&answer["name"], &request["name"], &request["secretId"]].into_iter().map(text);
    let name = name.into_iter().find(|name| !name.is_empty() && !name.starts_with("arn:"));
    match (name, arn) {
        (Some(name), arn) => hint(&name, arn, own),
        (None, Some(arn)) => match name_of(&arn) {
            Some(name) => hint(&name, Some(arn), own),
            None => Told::Strange("it names no secret"),
        },
        (None, None) => Told::Strange("it names no secret"),
    }
}

/// The name in a whole ARN.
fn name_of(arn: &str) -> Option<String> {
    let SecretArn { resource, .. } = SecretArn::parse(arn)?;
    let at = resource.len().checked_sub(SUFFIX)?;
    let name = resource.get(..at)?;
    resource[at..].starts_with('-').then(|| name.to_owned())
}

fn hint(name: &str, id: Option<String>, own: &Own) -> Told {
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Told::Strange("it names no secret");
    }
    match id.filter(|id| !id.is_empty()) {
        // The incarnation is whatever has the name now: an identifier of another one would find nothing.
        Some(id) if is_arn_of(&id, name, Some(&own.account), &own.region) => {
            Told::Change(Hint { name: name.to_owned(), id: Some(id) })
        }
        Some(id) if id.starts_with("arn:") => Told::Strange("its identifier is not of the secret that it names"),
        _ => Told::Change(Hint { name: name.to_owned(), id: None }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ARN: &str = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:app/db-AbCdEf";

    fn own() -> Own {
        Own { account: "111111111111".into(), region: "eu-central-1".into() }
    }

    fn event(kind: &str, detail: &Json, resource: &str) -> Json {
        json!({ "version": "0", "id": "1", "detail-type": kind, "source": "aws.secretsmanager", "account": "111111111111",
            "time": "2030-01-02T03:04:05Z", "region": "eu-central-1", "resources": [resource], "detail": detail })
    }

    fn change(name: &str, id: Option<&str>) -> Told {
        Told::Change(Hint { name: name.into(), id: id.map(Into::into) })
    }

    #[test]
    fn both_kinds_of_events_name_a_secret() {
        let label = event(LABELS, &json!({ "name": "app/db", "labelUpdated": "AWSCURRENT", "versionId": "v" }), ARN);
        let (told, happened) = read(&label.to_string(), &own());
        assert_eq!(told, change("app/db", Some(ARN)));
        assert_eq!(happened, Some("2030-01-02T03:04:05Z".parse().unwrap()));
        let wrapped = json!({ "Type": "Notification", "Message": label.to_string() });
        assert_eq!(read(&wrapped.to_string(), &own()).0, change("app/db", Some(ARN)));

        let call = |detail: Json| read(&event(BY_TRAIL[0], &detail, "").to_string(), &own()).0;
        assert_eq!(call(json!({ "requestParameters": { "secretId": ARN } })), change("app/db", Some(ARN)));
        assert_eq!(call(json!({ "requestParameters": { "secretId": "app/db" } })), change("app/db", None));
        let created = json!({ "requestParameters": { "name": "app/db" }, "responseElements": { "arn": ARN } });
        assert_eq!(call(created), change("app/db", Some(ARN)));
        assert_eq!(
            call(json!({ "errorCode": "AccessDenied", "requestParameters": { "secretId": ARN } })),
            Told::Nothing
        );
        assert_eq!(call(json!({ "readOnly": true })), Told::Nothing);
    }

    #[test]
    fn what_is_of_somebody_else_or_of_nobody_is_strange() {
        let good = event(LABELS, &json!({ "name": "app/db" }), ARN);
        let with = |key: &str, value: Json| {
            let mut event = good.clone();
            event[key] = value;
            event
        };
        let other = ARN.replace("111111111111", "222222222222");
        let strange = [
            with("source", json!("aws.s3")),
            with("account", json!("222222222222")),
            with("region", json!("eu-west-1")),
            with("detail-type", json!("Something new")),
            with("detail", json!({ "name": "app/other" })),
            with("detail", json!({ "name": "" })),
            with("detail", json!({ "name": "x".repeat(513) })),
            with("detail", json!(null)),
            with("resources", json!([other])),
            json!([]),
            json!("text"),
            json!({ "Type": "Notification", "Message": "no event" }),
        ];
        for event in strange {
            let told = read(&event.to_string(), &own()).0;
            assert!(matches!(told, Told::Strange(_)), "{event}: {told:?}");
        }
        for body in ["", "{", "null", "\u{1b}[2J"] {
            assert!(matches!(read(body, &own()).0, Told::Strange(_)), "{body:?}");
        }
    }
}
