//! Answering a compromise in AWS: what a record tells, the commands for a person, and the one call that rotates at once.

use std::fmt::Write as _;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value as Json, json};

use super::super::{Aws, call::Operation, rules::readers};
use crate::{
    model::{AWSCURRENT, Existing, Place, Record, Secret},
    provider::{Advice, Incident, ProviderError, Rotator, Target, Way},
    text::shell,
};

/// Names in one query: both services take more, and a longer one is not read by a person.
const NAMED: usize = 50;

/// What AWS knows.
pub struct AwsIncident;

impl Incident for AwsIncident {
    fn way(&self, record: &Record) -> Way {
        let facets = &record.secret.facets;
        if let Some(service) = facets.managed.as_ref().or(facets.r#type.as_ref()) {
            return Way::Managed(service.clone());
        }
        match facets.rotation.as_ref().filter(|rotation| rotation.enabled).and_then(|rotation| rotation.lambda.clone())
        {
            Some(lambda) => Way::Rotatable(lambda),
            None => Way::Manual,
        }
    }

    fn readers(&self, secret: &Secret) -> Vec<String> {
        secret.facets.policy.as_deref().map(readers).unwrap_or_default()
    }

    fn contain(&self, place: &Place, principals: &[String]) -> Vec<Advice> {
        let deny = json!({ "Version": "2012-10-17", "Statement": [
            { "Sid": "LifeboatContain", "Effect": "Deny", "Action": "secretsmanager:*", "Resource": "*" },
        ] });
        let one = |principal: &String| {
            let (account, name) = principal.split_once("::").and_then(|(_, rest)| rest.split_once(':'))?;
            let (verb, flag, name) = match name.split_once('/')? {
                ("role", path) => ("put-role-policy", "--role-name", path.rsplit('/').next()?),
                ("user", path) => ("put-user-policy", "--user-name", path.rsplit('/').next()?),
                _ => return None,
            };
            if account != place.account {
                let command = format!("ask the owner of account {account}");
                return Some(Advice { what: format!("stop {principal}, if it is the one that leaked"), command });
            }
            let command = format!(
                "aws iam {verb} {flag} {} --policy-name lifeboat-contain --policy-document {}",
                shell(name),
                shell(&deny.to_string())
            );
            Some(Advice { what: format!("stop {principal}, if it is the one that leaked"), command })
        };
        principals.iter().filter_map(one).collect()
    }

    fn rotation(&self, place: &Place, secret: &Secret) -> Option<String> {
        let (id, region) = (shell(&secret.id), shell(&place.region));
        Some(format!("aws secretsmanager rotate-secret --secret-id {id} --rotate-immediately --region {region}"))
    }

    fn policy(&self, _: &Place, items: &[(&str, &Way)]) -> Option<Json> {
        let all: Vec<&str> = items.iter().map(|(id, _)| *id).collect();
        let rotated = items.iter().filter_map(|(id, way)| match way {
            Way::Rotatable(function) => Some((*id, function.as_str())),
            _ => None,
        });
        let (ids, mut functions): (Vec<&str>, Vec<&str>) = rotated.unzip();
        functions.sort_unstable();
        functions.dedup();
        let looks = ["DescribeSecret", "ListSecretVersionIds", "GetResourcePolicy"];
        let looks = looks.map(|operation| format!("secretsmanager:{operation}"));
        let mut statements = vec![
            json!({ "Sid": "Look", "Effect": "Allow", "Action": looks, "Resource": all }),
            json!({ "Sid": "NeverReadOrWriteValues", "Effect": "Deny", "Resource": "*", "Action": [
                "secretsmanager:GetSecretValue", "secretsmanager:BatchGetSecretValue", "secretsmanager:PutSecretValue",
                "secretsmanager:Update*", "secretsmanager:Delete*", "secretsmanager:PutResourcePolicy",
            ] }),
        ];
        if !ids.is_empty() {
            statements.push(json!({ "Sid": "RotateNow", "Effect": "Allow",
                "Action": "secretsmanager:RotateSecret", "Resource": ids }));
            statements.push(json!({ "Sid": "TheirFunctions", "Effect": "Allow",
                "Action": "lambda:InvokeFunction", "Resource": functions }));
        }
        Some(json!({ "Version": "2012-10-17", "Statement": statements }))
    }

    fn revoke(&self, place: &Place, record: &Record) -> Vec<Advice> {
        let labelled = record.versions.iter().filter(|version| version.has(AWSCURRENT));
        let one = |version: &crate::model::Version| Advice {
            what: "take AWSPREVIOUS from the old version, once every consumer has the new one".into(),
            command: format!(
                "aws secretsmanager update-secret-version-stage --secret-id {} --version-stage AWSPREVIOUS \
                 --remove-from-version-id {} --region {}",
                shell(&record.secret.id),
                shell(&version.id),
                shell(&place.region)
            ),
        };
        labelled.map(one).collect()
    }

    fn look_back(&self, place: &Place, secrets: &[&Secret], (since, until): (Timestamp, Timestamp)) -> Vec<Advice> {
        let region = shell(&place.region);
        let mut advice = Vec::new();
        for secret in secrets.iter().take(NAMED) {
            advice.push(Advice {
                what: format!("every call about {} (two calls a second, 90 days back)", secret.name),
                command: format!(
                    "aws cloudtrail lookup-events --region {region} --start-time {since} --end-time {until} \
                     --lookup-attributes {}",
                    shell(&format!("AttributeKey=ResourceName,AttributeValue={}", secret.id))
                ),
            });
        }
        for (at, part) in secrets.chunks(NAMED).enumerate() {
            let number = if secrets.len() > NAMED { format!(", part {}", at + 1) } else { String::new() };
            advice.push(Advice {
                what: format!("who read them, in Athena on a table of the trail{number}"),
                command: athena(part, place, since, until),
            });
            advice.push(Advice {
                what: format!("who read them, in CloudWatch Logs Insights on the trail's log group{number}"),
                command: insights(part),
            });
        }
        advice
    }
}

/// Every way a caller may name a secret: by its ARN, by the ARN without its ending, by its name.
pub(super) fn ids(secrets: &[&Secret]) -> Vec<String> {
    let of = |secret: &&Secret| {
        let partial = secret.id.rsplit_once('-').map(|(before, _)| before.to_owned());
        [Some(secret.id.clone()), partial, Some(secret.name.clone())].into_iter().flatten().collect::<Vec<_>>()
    };
    let mut ids: Vec<String> = secrets.iter().flat_map(of).collect();
    ids.dedup();
    ids
}

fn athena(secrets: &[&Secret], place: &Place, since: Timestamp, until: Timestamp) -> String {
    let quoted: Vec<String> = ids(secrets).iter().map(|id| format!("'{}'", id.replace('\'', "''"))).collect();
    let mut text = "SELECT eventtime, eventname, useridentity.arn, sourceipaddress, useragent, errorcode,\n".to_owned();
    text.push_str("       json_extract_scalar(requestparameters, '$.secretId') AS secret\nFROM cloudtrail_logs\n");
    text.push_str("WHERE eventsource = 'secretsmanager.amazonaws.com'\n");
    let _ = writeln!(text, "  AND awsregion = '{}'", place.region.replace('\'', "''"));
    let _ = writeln!(text, "  AND eventtime BETWEEN '{since}' AND '{until}'");
    text.push_str("  AND (eventname = 'BatchGetSecretValue'\n");
    let _ =
        writeln!(text, "       OR json_extract_scalar(requestparameters, '$.secretId') IN ({}))", quoted.join(", "));
    text.push_str("ORDER BY eventtime");
    text
}

fn insights(secrets: &[&Secret]) -> String {
    let quoted: Vec<String> =
        ids(secrets).iter().map(|id| format!("\"{}\"", id.replace('\\', "\\\\").replace('"', "\\\""))).collect();
    format!(
        "fields @timestamp, eventName, userIdentity.arn, sourceIPAddress, errorCode, requestParameters.secretId\n\
         | filter eventSource = \"secretsmanager.amazonaws.com\"\n\
         | filter eventName = \"BatchGetSecretValue\" or requestParameters.secretId in [{}]\n\
         | sort @timestamp asc",
        quoted.join(", ")
    )
}

#[async_trait]
impl Rotator for Aws {
    async fn place(&self) -> Result<Place, ProviderError> {
        Target::place(self).await
    }

    async fn look(&self, name: &str) -> Result<Option<Existing>, ProviderError> {
        self.look_up(name).await
    }

    async fn rotate_now(&self, name: &str, id: &str, token: &str) -> Result<String, ProviderError> {
        let send = || {
            let rotate = self.client.rotate_secret().secret_id(id).client_request_token(token);
            rotate.rotate_immediately(true).send()
        };
        let answer = self.call(Operation::RotateSecret, Some(name), send).await.map_err(|failure| failure.error)?;
        Ok(answer.version_id().unwrap_or(token).to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Facets, Rotation};

    fn secret(policy: Option<&str>) -> Secret {
        let facets = Facets { policy: policy.map(str::to_owned), ..Facets::default() };
        let id = "arn:aws:secretsmanager:eu-central-1:1:secret:app/it's-AbCdEf".to_owned();
        Secret { name: "app/it's".into(), id, facets, ..Secret::default() }
    }

    fn place() -> Place {
        Place { provider: "aws".into(), account: "111111111111".into(), region: "eu-central-1".into() }
    }

    #[test]
    fn a_policy_names_its_readers_whatever_form_it_has() {
        let policy = r#"{"Statement":[
            {"Effect":"Allow","Principal":{"AWS":["arn:aws:iam::1:role/a","arn:aws:iam::1:role/b"]},"Action":"secretsmanager:Get*"},
            {"Effect":"Allow","Principal":"*","Action":["secretsmanager:DescribeSecret"]},
            {"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::2:root"},"Action":"*"},
            {"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::1:role/c"},"Action":"secretsmanager:*"}]}"#;
        let readers = AwsIncident.readers(&secret(Some(policy)));
        assert_eq!(readers, ["arn:aws:iam::1:role/a", "arn:aws:iam::1:role/b", "arn:aws:iam::2:root"]);
        assert!(AwsIncident.readers(&secret(Some("no json"))).is_empty());
        assert!(AwsIncident.readers(&secret(None)).is_empty());
    }

    #[test]
    fn a_way_is_what_the_record_says() {
        let with = |facets: Facets| {
            let record = Record {
                secret: Secret { facets, ..secret(None) },
                versions: vec![],
                read: Timestamp::UNIX_EPOCH,
                listing: None,
            };
            AwsIncident.way(&record)
        };
        let rotation = |enabled| Some(Rotation { enabled, lambda: Some("arn:l".into()), ..Rotation::default() });
        assert_eq!(with(Facets { rotation: rotation(true), ..Facets::default() }), Way::Rotatable("arn:l".into()));
        assert_eq!(with(Facets { rotation: rotation(false), ..Facets::default() }), Way::Manual);
        let managed = Facets { managed: Some("rds".into()), rotation: rotation(true), ..Facets::default() };
        assert_eq!(with(managed), Way::Managed("rds".into()));
    }

    #[test]
    fn a_name_with_a_quote_stays_one_word() {
        let secret = secret(None);
        let (since, until) = ("2030-01-01T00:00:00Z".parse().unwrap(), "2030-01-02T00:00:00Z".parse().unwrap());
        let said = AwsIncident.look_back(&place(), &[&secret], (since, until));
        assert_eq!(said.len(), 3);
        assert!(said[0].command.contains(r"app/it'\''s-AbCdEf"), "{}", said[0].command);
        assert!(said[1].command.contains("'app/it''s'"), "{}", said[1].command);
        let (role, other) = ("arn:aws:iam::111111111111:role/x/api", "arn:aws:iam::222222222222:role/api");
        let contain = AwsIncident.contain(&place(), &[role.into(), other.into(), "*".into()]);
        assert!(contain[0].command.starts_with("aws iam put-role-policy --role-name api "), "{contain:?}");
        assert_eq!((contain[1].command.as_str(), contain.len()), ("ask the owner of account 222222222222", 2));
    }
}
