//! Whether a secret that was read again is as it was. Pure.

use serde_json::Value as Json;

use crate::model::{Record, Secret};

/// Fields of a provider's answers that move by reading, or by the day.
const MOVING: [&str; 1] = ["LastAccessedDate"];

/// Whether two records have one content. When they were read is not part of it, nor what the listing said then.
pub(super) fn same_content(one: &Record, other: &Record) -> bool {
    one.versions == other.versions
        && same_answers(&one.secret.raw, &other.secret.raw)
        && without_answers(&one.secret) == without_answers(&other.secret)
}

fn without_answers(secret: &Secret) -> Secret {
    Secret { raw: Json::Null, ..secret.clone() }
}

fn same_answers(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Object(one), Json::Object(other)) => {
            let kept = |(name, _): &(&String, &Json)| !MOVING.contains(&name.as_str());
            let (mut one, mut other) = (one.iter().filter(kept), other.iter().filter(kept));
            loop {
                match (one.next(), other.next()) {
                    (None, None) => return true,
                    (Some(one), Some(other)) if one.0 == other.0 && same_answers(one.1, other.1) => {}
                    _ => return false,
                }
            }
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_answers(one, other))
        }
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn record(raw: Json) -> Record {
        let secret = Secret { name: "a".into(), raw, ..Secret::default() };
        Record { secret, versions: vec![], read: Timestamp::UNIX_EPOCH, listing: None }
    }

    #[test]
    fn what_moves_by_reading_is_no_change_and_everything_else_is() {
        let answers =
            |day: u8, tag: u8| json!({"List": {"Versions": [{"LastAccessedDate": day, "Id": 1}]}, "Tag": tag});
        let before = record(answers(1, 1));
        assert!(same_content(&before, &Record { read: Timestamp::MAX, ..record(answers(2, 1)) }));
        assert!(!same_content(&before, &record(answers(1, 2))));
        assert!(!same_content(&before, &record(json!({}))) && !same_content(&record(json!([])), &record(json!([1]))));
        let renamed = Record { secret: Secret { name: "b".into(), ..before.secret.clone() }, ..before.clone() };
        assert!(!same_content(&before, &renamed));
    }
}
