//! A record of CloudTrail. Nothing in it is sure to be there:
//! <https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html>.

use serde_json::Value as Json;

use super::READINGS;
use crate::provider::{Event, Named, Reader, ReaderKind, Reading};

const SOURCE: &str = "secretsmanager.amazonaws.com";
/// Characters of the longest identifier; AWS has none longer.
const LONGEST: usize = 2_048;
/// Secrets that one call can name.
const MOST_SECRETS: usize = 100;

/// The event; `None` where it does not say when it was.
pub(super) fn event(record: &Json) -> Option<Event> {
    let text = |at: &str| text(&record[at]);
    let time = record["eventTime"].as_str()?.parse().ok()?;
    let who = &record["userIdentity"];
    let account = text("recipientAccountId").or_else(|| self::text(&who["accountId"])).unwrap_or_default();
    let is_reading = record["eventSource"] == SOURCE && READINGS.iter().any(|name| record["eventName"] == *name);
    Some(Event {
        id: text("eventID"),
        time,
        account,
        region: text("awsRegion").unwrap_or_default(),
        reading: is_reading.then(|| reading(record)),
    })
}

fn reading(record: &Json) -> Reading {
    let who = &record["userIdentity"];
    let reader = reader(who);
    let attributes = &who["sessionContext"]["attributes"];
    let is_console = is_true(&record["sessionCredentialFromConsole"]);
    // A service that calls for somebody does not come through their network.
    let by_service = text(&who["invokedBy"]).is_some() || reader.kind == ReaderKind::Service;
    Reading {
        secrets: secrets(record),
        refused: text(&record["errorCode"]),
        is_outside: !by_service && text(&record["vpcEndpointId"]).is_none(),
        lacks_mfa: is_console && !is_true(&attributes["mfaAuthenticated"]),
        by_person: is_console || matches!(reader.kind, ReaderKind::User | ReaderKind::Root),
        reader,
    }
}

/// Who it is: of a session the role or the user that it is of, so that it is the same one tomorrow.
fn reader(who: &Json) -> Reader {
    let issuer = &who["sessionContext"]["sessionIssuer"];
    let of = |kind, id: Option<String>| Reader {
        kind: if id.is_some() { kind } else { ReaderKind::Unknown },
        id: id.unwrap_or_default(),
    };
    let arn = || text(&who["arn"]);
    match who["type"].as_str().unwrap_or_default() {
        "Root" => of(ReaderKind::Root, arn().or_else(|| text(&who["accountId"]))),
        "IAMUser" => of(ReaderKind::User, arn().or_else(|| text(&who["userName"]))),
        "AssumedRole" => of(ReaderKind::Role, text(&issuer["arn"]).or_else(|| arn().map(|arn| role_of(&arn)))),
        "FederatedUser" => of(ReaderKind::User, text(&issuer["arn"]).or_else(arn)),
        "AWSService" => of(ReaderKind::Service, text(&who["invokedBy"])),
        "AWSAccount" => of(ReaderKind::Other, text(&who["accountId"]).or_else(|| text(&who["principalId"]))),
        _ if issuer["type"] == "Role" => of(ReaderKind::Role, text(&issuer["arn"])),
        _ => of(ReaderKind::Other, arn().or_else(|| text(&who["principalId"])).or_else(|| text(&who["invokedBy"]))),
    }
}

/// `arn:aws:sts::1:assumed-role/NAME/SESSION` as the role's own ARN; the path of a role is not in it.
fn role_of(arn: &str) -> String {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    match parts[..] {
        [_, partition, "sts", _, account, session] if session.starts_with("assumed-role/") => {
            let name = session.split('/').nth(1).unwrap_or_default();
            format!("arn:{partition}:iam::{account}:role/{name}")
        }
        _ => arn.to_owned(),
    }
}

/// The secrets: as they were asked for, else as the service names them (`arn` and `aRN` are both in use).
fn secrets(record: &Json) -> Vec<String> {
    let asked = &record["requestParameters"];
    let list = |value: &Json| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(text).take(MOST_SECRETS).collect()
    };
    let mut found: Vec<String> = text(&asked["secretId"]).into_iter().chain(list(&asked["secretIdList"])).collect();
    if found.is_empty() {
        let spellings = |of: &Json| ["ARN", "arn", "aRN"].iter().find_map(|at| text(&of[*at]));
        let resources = record["resources"].as_array().into_iter().flatten();
        let named = resources.chain([&record["responseElements"]]).filter_map(spellings);
        let more = text(&record["additionalEventData"]["SecretId"]);
        found = named.chain(more).filter(|arn| arn.contains(":secretsmanager:")).take(MOST_SECRETS).collect();
    }
    found.sort();
    found.dedup();
    found
}

/// What an ARN of a secret names: its name without the six characters; a name names itself.
pub(super) fn named(id: &str) -> Named {
    let parts: Vec<&str> = id.splitn(7, ':').collect();
    let ["arn", _, "secretsmanager", region, account, "secret", name] = parts[..] else {
        return Named { place: None, name: id.to_owned() };
    };
    let is_ending = |end: &str| end.len() == 6 && end.bytes().all(|b| b.is_ascii_alphanumeric());
    let name = match name.rsplit_once('-') {
        Some((before, end)) if is_ending(end) => before,
        _ => name,
    };
    Named { place: Some((account.to_owned(), region.to_owned())), name: name.to_owned() }
}

fn is_true(value: &Json) -> bool {
    value == "true" || value == true
}

fn text(value: &Json) -> Option<String> {
    let text = value.as_str().filter(|text| !text.is_empty())?;
    Some(match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(identity: &Json, parameters: &Json) -> Reading {
        let record = json!({ "eventTime": "2026-10-05T10:00:00Z", "eventName": "GetSecretValue", "eventSource": SOURCE,
            "userIdentity": identity, "requestParameters": parameters });
        event(&record).unwrap().reading.unwrap()
    }

    #[test]
    fn a_reader_is_the_same_in_every_session() {
        let role = json!({ "type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/api/i-1",
            "sessionContext": { "sessionIssuer": { "type": "Role", "arn": "arn:aws:iam::1:role/x/api" } } });
        let bare = json!({ "type": "AssumedRole", "arn": "arn:aws:sts::1:assumed-role/api/i-1" });
        let who = |identity: &Json| (of(identity, &Json::Null).reader.kind, of(identity, &Json::Null).reader.id);
        assert_eq!(who(&role), (ReaderKind::Role, "arn:aws:iam::1:role/x/api".into()));
        assert_eq!(who(&bare), (ReaderKind::Role, "arn:aws:iam::1:role/api".into()));
        assert_eq!(who(&json!({ "type": "Root", "accountId": "1" })), (ReaderKind::Root, "1".into()));
        assert_eq!(who(&json!({ "type": "IAMUser", "userName": "eve" })), (ReaderKind::User, "eve".into()));
        let service = json!({ "type": "AWSService", "invokedBy": "rds.amazonaws.com" });
        assert_eq!(who(&service), (ReaderKind::Service, "rds.amazonaws.com".into()));
        for nobody in [json!(null), json!({}), json!({ "type": 7 }), json!({ "type": "AssumedRole" }), json!([])] {
            assert_eq!(who(&nobody), (ReaderKind::Unknown, String::new()), "{nobody}");
        }
    }

    #[test]
    fn a_record_without_fields_is_an_event_or_none() {
        for nothing in [json!(null), json!({}), json!([]), json!({ "eventTime": "yesterday" }), json!("x")] {
            assert_eq!(event(&nothing), None, "{nothing}");
        }
        let only = event(&json!({ "eventTime": "2026-10-05T10:00:00Z" })).unwrap();
        assert!(only.reading.is_none() && only.id.is_none());
        assert!(of(&Json::Null, &json!("x")).secrets.is_empty());
        let many: Vec<String> = (0..500).map(|n| format!("s{n}")).collect();
        assert_eq!(of(&Json::Null, &json!({ "secretIdList": many })).secrets.len(), MOST_SECRETS);
        let long = "é".repeat(10_000);
        assert_eq!(of(&Json::Null, &json!({ "secretId": long })).secrets[0].chars().count(), LONGEST + 1);
    }

    #[test]
    fn every_way_to_name_a_secret_has_its_name() {
        let place = Some(("111".to_owned(), "eu-central-1".to_owned()));
        let arn = "arn:aws:secretsmanager:eu-central-1:111:secret:app/db";
        for (id, place, name) in [
            ("app/db", None, "app/db"),
            (&format!("{arn}-AbCdEf"), place.clone(), "app/db"),
            (arn, place.clone(), "app/db"),
            (&format!("{arn}-a:b"), place, "app/db-a:b"),
        ] {
            assert_eq!(named(id), Named { place, name: name.into() }, "{id}");
        }
        for spelling in ["ARN", "arn", "aRN"] {
            let record = json!({ "eventTime": "2026-10-05T10:00:00Z", "eventName": "GetSecretValue",
                "eventSource": SOURCE, "requestParameters": null, "resources": [{ spelling: arn }] });
            assert_eq!(event(&record).unwrap().reading.unwrap().secrets, [arn]);
        }
    }
}
