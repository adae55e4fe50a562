//! The names that maps make: what the target would refuse is found before anything is asked or written.

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
}
