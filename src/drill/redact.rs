//! Names of secrets out of a record. Pure.

use super::record::Record;

/// Puts `secret N` for the name of the Nth secret of the snapshot, wherever it stands. Whoever can read the index can
/// resolve it; nobody else can, a digest of a name being no secret.
pub(super) fn names(record: &mut Record, names: &[String]) {
    let prefix = record.isolation.prefix.clone();
    let forms = |(at, name): (usize, &String)| {
        let number = format!("secret {}", at + 1);
        [(format!("{prefix}{name}"), number.clone()), (name.clone(), number)]
    };
    let mut numbered: Vec<(String, String)> = names.iter().enumerate().flat_map(forms).collect();
    // A longer name first, so that one that begins with another is not cut in two.
    numbered.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then(a.0.cmp(&b.0)));
    let clean = |text: &mut String| {
        for (name, number) in &numbered {
            if text.contains(name.as_str()) {
                *text = replaced(text, name, number);
            }
        }
    };
    record.differences.iter_mut().for_each(|found| {
        clean(&mut found.name);
        clean(&mut found.detail);
    });
    record.clean_up.left_over.iter_mut().for_each(clean);
    record.not_restored.iter_mut().chain(&mut record.left_out).for_each(|reason| clean(&mut reason.reason));
    record.inventory.excluded.iter_mut().for_each(|reason| clean(&mut reason.reason));
    record.probes.iter_mut().for_each(|probe| clean(&mut probe.detail));
    record.deviations.iter_mut().for_each(|deviation| {
        clean(&mut deviation.what);
        clean(&mut deviation.cause);
    });
}

/// Replaces a name where it stands as a word, so that a secret called `a` does not spoil every other word.
fn replaced(text: &str, name: &str, number: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let apart = !word(before.chars().next_back()) && !word(after.chars().next());
        clean.push_str(before);
        clean.push_str(if apart { number } else { name });
        rest = after;
    }
    clean + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_replaced_as_a_word() {
        assert_eq!(
            replaced("PutSecretValue of a: a failure", "a", "secret 1"),
            "PutSecretValue of secret 1: secret 1 failure"
        );
        assert_eq!(replaced("arn:x:secret:app/db-AbCdEf", "app/db", "secret 2"), "arn:x:secret:secret 2-AbCdEf");
        assert_eq!(replaced("app/dbx", "app/db", "secret 2"), "app/dbx");
        assert_eq!(replaced("é", "é", "secret 3"), "secret 3");
    }
}
