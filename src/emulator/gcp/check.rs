//! What Google takes: names, labels, annotations, aliases, times.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value as Json};

use super::answer::Refusal;

/// The types that a secret can have, by their numbers.
pub(super) const TYPES: [(&str, u64); 6] = [
    ("SECRET_TYPE_UNSPECIFIED", 0),
    ("CLOUD_SQL_DB_CREDENTIALS", 1),
    ("ACCESS_KEY", 2),
    ("CERTIFICATE", 3),
    ("OTHER_DB_CREDENTIALS", 4),
    ("OTHER", 50),
];
const MOST_LABELS: usize = 64;
const MOST_ALIASES: usize = 50;
const MOST_TOPICS: usize = 10;
/// All annotations together, in bytes.
const ANNOTATIONS: usize = 16 * 1024;
/// The longest value of a version, in bytes.
pub(super) const LARGEST: usize = 65_536;

type Checked = Result<(), Refusal>;

pub(super) fn secret_id(id: &str) -> Checked {
    let is_id =
        (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_id {
        return Ok(());
    }
    Err(Refusal::invalid("The provided Secret ID does not match the expected format [[a-zA-Z_0-9]+]"))
}

fn is_small(c: char) -> bool {
    c.is_lowercase() || (c.is_alphabetic() && !c.is_uppercase())
}

fn is_of_label(c: char) -> bool {
    is_small(c) || c.is_numeric() || c == '_' || c == '-'
}

pub(super) fn labels(labels: &Map<String, Json>) -> Checked {
    if labels.len() > MOST_LABELS {
        return Err(Refusal::invalid(format!("A secret has at most {MOST_LABELS} labels.")));
    }
    for (key, value) in labels {
        let value = value.as_str().ok_or_else(|| Refusal::invalid("A label has no text."))?;
        let is_key = key.chars().next().is_some_and(is_small)
            && key.chars().all(is_of_label)
            && key.chars().count() <= 63
            && key.len() <= 128;
        let is_value = value.chars().all(is_of_label) && value.chars().count() <= 63 && value.len() <= 128;
        if !is_key || !is_value {
            return Err(Refusal::invalid(format!("The label [{key}] is not a label.")));
        }
    }
    Ok(())
}

pub(super) fn annotations(annotations: &Map<String, Json>) -> Checked {
    let mut size = 0;
    for (key, value) in annotations {
        let value = value.as_str().ok_or_else(|| Refusal::invalid("An annotation has no text."))?;
        size += key.len() + value.len();
        let end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let is_key = (1..=63).contains(&key.len())
            && end(key.bytes().next())
            && end(key.bytes().last())
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !is_key {
            return Err(Refusal::invalid(format!("The key [{key}] is not one of an annotation.")));
        }
    }
    if size < ANNOTATIONS { Ok(()) } else { Err(Refusal::invalid("The annotations are 16 KiB or more.")) }
}

/// The names of aliases; whether their versions are there the secret knows.
pub(super) fn aliases(aliases: &Map<String, Json>) -> Checked {
    if aliases.len() > MOST_ALIASES {
        return Err(Refusal::invalid(format!("A secret has at most {MOST_ALIASES} version aliases.")));
    }
    for name in aliases.keys() {
        let is_name = name.len() <= 63
            && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            && !["latest", "new"].contains(&name.to_ascii_lowercase().as_str());
        if !is_name {
            return Err(Refusal::invalid(format!("The version alias [{name}] is not allowed.")));
        }
    }
    Ok(())
}

pub(super) fn topics(topics: &Json) -> Checked {
    let list = topics.as_array().filter(|list| list.len() <= MOST_TOPICS);
    let is_topic = |topic: &Json| {
        let parts: Vec<&str> = topic["name"].as_str().unwrap_or_default().split('/').collect();
        matches!(parts[..], ["projects", project, "topics", name] if !project.is_empty() && !name.is_empty())
    };
    match list {
        Some(list) if list.iter().all(is_topic) => Ok(()),
        _ => Err(Refusal::invalid("The topics are not up to 10 names projects/P/topics/T.")),
    }
}

pub(super) fn rotation(rotation: &Json, now: Timestamp) -> Checked {
    if let Some(next) = rotation["nextRotationTime"].as_str() {
        let next = time(next)?;
        if next < now + SignedDuration::from_secs(300) {
            return Err(Refusal::invalid("The next rotation time must be at least 5 minutes in the future."));
        }
    }
    if let Some(period) = rotation["rotationPeriod"].as_str() {
        if seconds(period)? < 3_600 {
            return Err(Refusal::invalid("The rotation period must be at least 1 hour."));
        }
        if !rotation["nextRotationTime"].is_string() {
            return Err(Refusal::invalid("A rotation period needs a next rotation time."));
        }
    }
    Ok(())
}

pub(super) fn replication(replication: &Json) -> Checked {
    let replicas = replication["userManaged"]["replicas"].as_array();
    let is_list = replicas
        .is_some_and(|list| !list.is_empty() && list.iter().all(|replica| replica["location"].as_str().is_some()));
    if replication["automatic"].is_object() != is_list {
        return Ok(());
    }
    Err(Refusal::invalid("Field [secret.replication] is required."))
}

/// The name of a type, which may come as its number.
pub(super) fn secret_type(value: &Json) -> Result<&'static str, Refusal> {
    let is_it = |(name, number): &&(&str, u64)| value.as_u64() == Some(*number) || value.as_str() == Some(name);
    TYPES.iter().find(is_it).map(|(name, _)| *name).ok_or_else(|| Refusal::invalid("The secret type is not known."))
}

pub(super) fn time(text: &str) -> Result<Timestamp, Refusal> {
    text.parse().map_err(|_| Refusal::invalid(format!("[{text}] is not a time.")))
}

/// A duration as JSON has it: `3600s`.
pub(super) fn seconds(text: &str) -> Result<i64, Refusal> {
    let digits = text.strip_suffix('s').map(|digits| digits.split('.').next().unwrap_or_default());
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| Refusal::invalid(format!("[{text}] is no duration.")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Json) -> Map<String, Json> {
        value.as_object().cloned().unwrap_or_default()
    }

    #[test]
    fn labels_are_in_small_letters_and_aliases_are_not_latest() {
        assert!(labels(&map(&json!({ "team": "a-b_1", "größe": "日本" }))).is_ok());
        for wrong in [json!({ "Team": "a" }), json!({ "1a": "a" }), json!({ "a": "B" }), json!({ "a.b": "c" })] {
            assert!(labels(&map(&wrong)).is_err(), "{wrong}");
        }
        assert!(aliases(&map(&json!({ "AWSCURRENT": "1" }))).is_ok());
        for wrong in ["latest", "NEW", "1a", "a.b"] {
            assert!(aliases(&map(&json!({ wrong: "1" }))).is_err(), "{wrong}");
        }
        assert!(secret_id("a/b").is_err() && secret_id("A-b_9").is_ok() && secret_id("").is_err());
        assert!(annotations(&map(&json!({ "a.b": "x".repeat(16_380) }))).is_ok());
        assert!(annotations(&map(&json!({ "a.b": "x".repeat(16_381) }))).is_err());
        assert!(annotations(&map(&json!({ ".a": "" }))).is_err());
    }
}
