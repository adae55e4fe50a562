//! The names that maps make: what the target would refuse is found before anything is asked or written.

use crate::model::Place;

/// The most characters of a name (AWS: CreateSecret).
const LONGEST: usize = 512;
/// What a name may hold beside letters and digits (AWS: CreateSecret; `!` as in managed names).
const ALLOWED: &str = "/_+=.@!-";

/// Why AWS would refuse a name.
pub(super) fn fault(source: &str, name: &str) -> Option<String> {
    let count = name.chars().count();
    let prefix = name.split_once('!').map(|(prefix, _)| prefix);
    let is_managed = prefix.is_some_and(|prefix| prefix.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let wrong = name.chars().find(|c| !c.is_ascii_alphanumeric() && !ALLOWED.contains(*c));
    let reason = match wrong {
        _ if count == 0 => "it is empty".to_owned(),
        _ if count > LONGEST => format!("it has {count} characters; AWS allows at most {LONGEST}"),
        Some(wrong) => format!("it has the character {wrong:?}; AWS allows letters, digits and {ALLOWED}"),
        None if is_managed => "it begins like the name of a secret that an AWS service manages".to_owned(),
        None => return None,
    };
    let what = if source == name { format!("the name {source}") } else { format!("the new name of {source}") };
    Some(format!("AWS would refuse {what}: {reason} (--name-map, --name-prefix)"))
}

/// What AWS puts after a name in an ARN: a hyphen and six characters.
const SUFFIX: usize = 7;

/// Whether an ARN is one of this name in this place.
pub(super) fn is_arn_of(id: &str, name: &str, place: &Place) -> bool {
    let mut parts = id.splitn(7, ':').skip(2);
    let head = [parts.next(), parts.next(), parts.next(), parts.next()];
    let expected = [Some("secretsmanager"), Some(place.region.as_str()), Some(place.account.as_str()), Some("secret")];
    let rest = parts.next().and_then(|resource| resource.strip_prefix(name)).unwrap_or_default();
    id.starts_with("arn:") && head == expected && rest.len() == SUFFIX && rest.starts_with('-')
}

/// Whether AWS takes a character in a tag (AWS: Tagging your AWS resources).
pub(super) fn is_tag_character(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || "_.:/=+-@".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_aws_refuses_is_found_and_nothing_else_is() {
        let long = |count: usize| "x".repeat(count);
        for (name, says) in [
            (String::new(), "empty"),
            (long(513), "513 characters"),
            ("a b".into(), "' '"),
            ("a:b".into(), "':'"),
            ("größe".into(), "'ö'"),
            ("rds!x".into(), "an AWS service"),
        ] {
            let found = fault("old", &name).unwrap_or_default();
            assert!(found.contains(says) && found.contains("old"), "{name}: {found}");
        }
        for name in [long(1), long(512), "dr/rds!x".into(), "aZ09/_+=.@!-".into()] {
            assert_eq!(fault("old", &name), None, "{name}");
        }
    }

    #[test]
    fn identifiers_are_those_of_a_name_in_a_place() {
        let here = Place { provider: "aws".into(), account: "222222222222".into(), region: "eu-west-1".into() };
        let arn = |text: &str| format!("arn:aws:secretsmanager:{text}");
        assert!(is_arn_of(&arn("eu-west-1:222222222222:secret:a:b-AbCdEf"), "a:b", &here));
        for other in [
            arn("eu-west-1:222222222222:secret:a:b-AbCdE"),
            arn("eu-west-1:222222222222:secret:a:b-AbCdEfg"),
            arn("eu-west-1:222222222222:secret:a:bxAbCdEf"),
            arn("eu-west-1:222222222222:secret:a:c-AbCdEf"),
            arn("eu-west-1:222222222222:secret:a:b"),
            arn("eu-west-2:222222222222:secret:a:b-AbCdEf"),
            arn("eu-west-1:222222222223:secret:a:b-AbCdEf"),
            arn("eu-west-1:222222222222:other:a:b-AbCdEf"),
            "arn:aws:kms:eu-west-1:222222222222:secret:a:b-AbCdEf".into(),
            "xrn:aws:secretsmanager:eu-west-1:222222222222:secret:a:b-AbCdEf".into(),
            String::new(),
        ] {
            assert!(!is_arn_of(&other, "a:b", &here), "{other}");
        }
    }
}
