//! Sizes and shapes that AWS refuses. Source: the Secrets Manager API reference and its quotas page.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::refusal::Refusal;
use crate::model::SecretValue;

/// Labels across all versions of a secret.
pub(super) const LABELS: usize = 20;
/// Versions of a secret that are kept: beyond them unlabelled ones are pruned.
pub(super) const VERSIONS: usize = 100;
/// Versions of a secret beyond which no more are taken. AWS names no number; it says that one version every ten minutes
/// (144 a day) can go on for ever, and that more than that reaches the quota.
pub(super) const VERSIONS_QUOTA: usize = 150;
/// Unlabelled versions younger than this are never pruned, in milliseconds.
pub(super) const PRUNE_AGE: i64 = 24 * 60 * 60 * 1000;
/// Secrets of one account in one region.
pub(super) const SECRETS: usize = 500_000;
const VALUE_BYTES: usize = 65_536;
const TAGS: usize = 50;

const BAD_NAME: &str =
    "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!";

/// The name of a secret to be made. A prefix like `rds!` is for secrets that other services manage.
pub(super) fn new_name(name: Option<String>) -> Result<String, Refusal> {
    let name = name.ok_or_else(|| Refusal::missing("name"))?;
    length("name", &name, 1, 512)?;
    let prefix = name.split_once('!').map(|(prefix, _)| prefix);
    let managed = prefix.is_some_and(|prefix| prefix.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    if !managed && name.chars().all(in_name) { Ok(name) } else { Err(Refusal::validation(BAD_NAME)) }
}

/// A name or an ARN, as `SecretId` takes it.
pub(super) fn secret_id(id: Option<&str>) -> Result<&str, Refusal> {
    let id = id.ok_or_else(|| Refusal::missing("secretId"))?;
    length("secretId", id, 1, 2048)?;
    let arn = id.starts_with("arn:");
    let good = id.chars().all(|c| in_name(c) || (arn && c == ':'));
    if good { Ok(id) } else { Err(Refusal::validation(BAD_NAME)) }
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-/_+=.@!".contains(c)
}

pub(super) fn length(member: &str, text: &str, least: usize, most: usize) -> Result<(), Refusal> {
    let count = text.chars().count();
    if count < least {
        return Err(Refusal::constraint(member, &format!("have length greater than or equal to {least}")));
    }
    if count > most {
        return Err(Refusal::constraint(member, &format!("have length less than or equal to {most}")));
    }
    Ok(())
}

pub(super) fn description(text: Option<&str>) -> Result<(), Refusal> {
    text.map_or(Ok(()), |text| length("description", text, 0, 2048))
}

/// `ClientRequestToken`, which becomes the version id.
pub(super) fn token(token: Option<String>) -> Result<String, Refusal> {
    let token = token.ok_or_else(|| Refusal::invalid_request(TOKEN_MISSING))?;
    if (32..=64).contains(&token.chars().count()) {
        Ok(token)
    } else {
        Err(Refusal::invalid_parameter("ClientRequestToken must be 32-64 characters long."))
    }
}

pub(super) const TOKEN_MISSING: &str = "You must provide a ClientRequestToken value. We recommend a UUID-type value.";

/// `SecretString` or `SecretBinary`, at most one, at most 65,536 bytes.
pub(super) fn value(text: Option<String>, binary: Option<String>) -> Result<Option<Arc<SecretValue>>, Refusal> {
    let (member, value) = match (text, binary) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(Refusal::invalid_parameter(
                "You can't specify both a binary secret value and a string secret value in the same secret.",
            ));
        }
        (Some(text), None) => ("secretString", SecretValue::text(text)),
        (None, Some(binary)) => {
            let bytes = STANDARD.decode(binary).map_err(|_| Refusal::new("SerializationException", ""))?;
            ("secretBinary", SecretValue::bytes(bytes))
        }
    };
    match value.expose().len() {
        0 => Err(Refusal::constraint(member, "have length greater than or equal to 1")),
        1..=VALUE_BYTES => Ok(Some(Arc::new(value))),
        _ => Err(Refusal::constraint(member, "have length less than or equal to 65536")),
    }
}

pub(super) fn stages(stages: Option<&[String]>) -> Result<(), Refusal> {
    let Some(stages) = stages else { return Ok(()) };
    if stages.is_empty() {
        return Err(Refusal::constraint("versionStages", "have length greater than or equal to 1"));
    }
    if stages.len() > LABELS {
        return Err(Refusal::constraint("versionStages", "have length less than or equal to 20"));
    }
    stages.iter().try_for_each(|stage| length("versionStages", stage, 1, 256))
}

pub(super) fn policy(text: &str) -> Result<(), Refusal> {
    length("resourcePolicy", text, 1, 20_480)
}

/// Page sizes: 1 to 100 or 1 to 20.
pub(super) fn page_size(asked: Option<i64>, most: usize) -> Result<usize, Refusal> {
    match asked {
        None => Ok(most),
        Some(asked) => match usize::try_from(asked) {
            Ok(size) if (1..=most).contains(&size) => Ok(size),
            Ok(size) if size > most => {
                Err(Refusal::constraint("maxResults", &format!("have value less than or equal to {most}")))
            }
            _ => Err(Refusal::constraint("maxResults", "have value greater than or equal to 1")),
        },
    }
}

/// Tags to be added to those present: keys, values, count.
pub(super) fn tags<'a>(
    present: &[(String, String)],
    added: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<(), Refusal> {
    let mut fresh: Vec<&str> = Vec::new();
    for (key, value) in added {
        length("tags.key", key, 1, 128)?;
        length("tags.value", value, 0, 256)?;
        tag_key(key)?;
        if fresh.contains(&key) {
            return Err(Refusal::invalid_parameter("Duplicate tag keys found. Tag keys are case sensitive."));
        }
        fresh.push(key);
    }
    let kept = present.iter().filter(|(key, _)| !fresh.contains(&key.as_str())).count();
    if kept + fresh.len() > TAGS {
        return Err(Refusal::invalid_parameter("You can't have more than 50 tags on a secret."));
    }
    Ok(())
}

/// The prefix `aws:` is AWS's own, in any case.
pub(super) fn tag_key(key: &str) -> Result<(), Refusal> {
    if key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:")) {
        return Err(Refusal::invalid_parameter("aws: prefixed tag key names are not allowed for external use."));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_limit_counts_bytes_not_characters() {
        assert!(value(Some("é".repeat(32_768)), None).is_ok());
        assert!(value(Some("é".repeat(32_769)), None).is_err());
        assert!(value(Some("x".repeat(65_536)), None).is_ok());
        assert!(value(Some("x".repeat(65_537)), None).is_err());
        assert!(value(Some(String::new()), None).is_err());
        assert!(value(Some("a".into()), Some("YQ==".into())).is_err());
        assert!(value(None, Some("not base64".into())).is_err());
    }

    #[test]
    fn names_with_the_prefix_of_a_service_are_for_services_only() {
        assert!(new_name(Some("opsworks-cm!x".into())).is_err());
        assert!(new_name(Some("Name!".into())).is_ok());
        assert!(new_name(Some("rds!db-1".into())).is_err());
        assert!(secret_id(Some("rds!db-1")).is_ok());
        assert!(new_name(Some("a b".into())).is_err());
        assert!(new_name(Some("x".repeat(513))).is_err());
        assert!(new_name(Some("Valid/_+=.@-Name".into())).is_ok());
        assert!(secret_id(Some("a:b")).is_err());
    }

    #[test]
    fn tokens_and_pages_keep_their_ranges() {
        assert!(token(Some("x".repeat(31))).is_err());
        assert!(token(Some("x".repeat(65))).is_err());
        assert!(token(Some("x".repeat(64))).is_ok());
        assert!(page_size(Some(0), 100).is_err());
        assert!(page_size(Some(101), 100).is_err());
        assert!(page_size(Some(-1), 100).is_err());
        assert!(page_size(Some(100), 100).is_ok());
    }

    #[test]
    fn the_fifty_first_tag_and_system_tags_are_refused() {
        let present: Vec<_> = (0..50).map(|n| (format!("k{n}"), String::new())).collect();
        assert!(tags(&present, std::iter::once(("k7", "changed"))).is_ok());
        assert!(tags(&present, std::iter::once(("new", ""))).is_err());
        assert!(tags(&[], std::iter::once(("AWS:x", ""))).is_err());
        assert!(tags(&[], [("a", ""), ("A", "")].into_iter()).is_ok());
        assert!(tags(&[], [("a", "1"), ("a", "2")].into_iter()).is_err());
    }
}
