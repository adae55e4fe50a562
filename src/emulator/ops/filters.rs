//! The filters of ListSecrets and BatchGetSecretValue.

use serde::Deserialize;

use super::Refusal;
use crate::emulator::secret::Secret;

/// One filter as the request has it.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Filter {
    key: String,
    #[serde(default)]
    values: Vec<String>,
}

/// Refuses filters that AWS refuses.
pub(super) fn check(filters: &[Filter]) -> Result<(), Refusal> {
    const KEYS: [&str; 7] = ["description", "name", "tag-key", "tag-value", "primary-region", "owning-service", "all"];
    if filters.len() > 10 {
        return Err(Refusal::constraint("filters", "have length less than or equal to 10"));
    }
    for filter in filters {
        if !KEYS.contains(&filter.key.as_str()) {
            let keys = KEYS.join(", ");
            return Err(Refusal::constraint("filters.key", &format!("satisfy enum value set: [{keys}]")));
        }
        if filter.values.is_empty() || filter.values.len() > 10 {
            return Err(Refusal::constraint("filters.values", "have length between 1 and 10"));
        }
    }
    Ok(())
}

/// Whether a secret passes all filters.
pub(super) fn pass(filters: &[Filter], secret: &Secret) -> bool {
    filters.iter().all(|filter| matches(filter, secret))
}

/// The longest text that every name that passes begins with, if one filter says so.
pub(super) fn name_prefix(filters: &[Filter]) -> Option<&str> {
    let single = |filter: &&Filter| filter.key == "name" && filter.values.len() == 1;
    let value = filters.iter().find(single)?.values.first()?;
    (!value.starts_with('!')).then_some(value)
}

/// Any plain value must match, and no value after `!` may.
fn matches(filter: &Filter, secret: &Secret) -> bool {
    let (not, plain): (Vec<&str>, Vec<&str>) =
        filter.values.iter().map(String::as_str).partition(|value| value.starts_with('!'));
    let hit = |value: &str| hit(&filter.key, value, secret);
    (plain.is_empty() || plain.iter().any(|value| hit(value))) && !not.iter().any(|value| hit(&value[1..]))
}

fn hit(key: &str, value: &str, secret: &Secret) -> bool {
    let tags = secret.tags.as_deref().unwrap_or_default();
    let words = |text: &str| words(text, value);
    match key {
        "name" => secret.name.starts_with(value),
        "description" => secret.description.as_deref().is_some_and(words),
        "tag-key" => tags.iter().any(|(key, _)| key.starts_with(value)),
        "tag-value" => tags.iter().any(|(_, text)| text.starts_with(value)),
        "primary-region" => secret.primary_region.as_deref().is_some_and(|text| text.starts_with(value)),
        "owning-service" => secret.owning_service.as_deref().is_some_and(|text| text.starts_with(value)),
        _ => {
            words(&secret.name)
                || secret.description.as_deref().is_some_and(words)
                || tags.iter().any(|(key, text)| words(key) || words(text))
        }
    }
}

/// Whether every word of the value begins some word of the text, whatever the case.
fn words(text: &str, value: &str) -> bool {
    let text = text.to_lowercase();
    let mut wanted = value.split_whitespace().map(str::to_lowercase);
    wanted.all(|word| {
        text.split(|c: char| !c.is_alphanumeric()).any(|it| it.starts_with(&word)) || text.starts_with(&word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, description: &str) -> Secret {
        let mut secret = Secret::new("arn".into(), name.into(), 0);
        secret.description = Some(description.into());
        secret.tags = Some(vec![("Env".into(), "prod".into())]);
        secret
    }

    fn passes(key: &str, values: &[&str], secret: &Secret) -> bool {
        let values = values.iter().map(ToString::to_string).collect();
        pass(&[Filter { key: key.into(), values }], secret)
    }

    #[test]
    fn as_recorded_against_aws() {
        let all = [
            ("testing1/one", "a secret"),
            ("/testing2/two", "an secret"),
            ("testing3", "asecret"),
            ("/4", "thesecret"),
        ];
        let hits = |key: &str, value: &str| {
            all.iter().map(|(name, text)| passes(key, &[value], &secret(name, text))).collect::<Vec<_>>()
        };
        assert_eq!(hits("name", "/"), [false, true, false, true]);
        assert_eq!(hits("name", "!/"), [true, false, true, false]);
        assert_eq!(hits("name", "testing1 one"), [false; 4]);
        assert_eq!(hits("description", "a"), [true, true, true, false]);
        assert_eq!(hits("description", "!a"), [false, false, false, true]);
        assert_eq!(hits("description", "a secret"), [true, true, false, false]);
        assert_eq!(hits("description", "!c"), [true; 4]);
    }

    #[test]
    fn name_and_tags_know_case_and_description_does_not() {
        let it = secret("Db/x", "Main Database");
        assert!(passes("name", &["Db"], &it) && !passes("name", &["db"], &it));
        assert!(passes("tag-key", &["Env"], &it) && !passes("tag-key", &["env"], &it));
        assert!(passes("description", &["main"], &it));
        assert!(passes("all", &["prod"], &it) && !passes("all", &["absent"], &it));
    }

    #[test]
    fn filters_beyond_the_limits_are_refused() {
        let filter = |key: &str, count: usize| Filter { key: key.into(), values: vec!["x".into(); count] };
        assert!(check(&[filter("colour", 1)]).is_err());
        assert!(check(&[filter("name", 0)]).is_err());
        assert!(check(&[filter("name", 11)]).is_err());
        assert!(check(&(0..11).map(|_| filter("name", 1)).collect::<Vec<_>>()).is_err());
        assert!(check(&[filter("name", 10)]).is_ok());
    }
}
