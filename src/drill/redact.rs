//! Names of secrets out of a record. Pure.

use std::collections::{BTreeSet, HashMap};

use super::record::Record;

/// Puts `secret N` for the name of the Nth secret of the snapshot, wherever it stands. Whoever can read the index can
/// resolve it; nobody else can, a digest of a name being no secret.
pub(super) fn names(record: &mut Record, names: &[String]) {
    let prefix = record.isolation.prefix.clone();
    let mut numbers: HashMap<String, String> = HashMap::new();
    for (at, name) in names.iter().enumerate() {
        for form in [format!("{prefix}{name}"), name.clone()] {
            numbers.entry(form).or_insert_with(|| format!("secret {}", at + 1));
        }
    }
    let clean = |text: &mut String| {
        for name in inside(text, &numbers) {
            *text = replaced(text, &name, &numbers[&name]);
        }
    };
    record.differences.iter_mut().for_each(|found| {
        clean(&mut found.name);
        clean(&mut found.detail);
    });
    record.clean_up.left_over.iter_mut().chain(&mut record.clean_up.left_alone).for_each(clean);
    record.not_restored.iter_mut().chain(&mut record.left_out).for_each(|reason| clean(&mut reason.reason));
    record.inventory.excluded.iter_mut().for_each(|reason| clean(&mut reason.reason));
    record.probes.iter_mut().for_each(|probe| clean(&mut probe.detail));
    record.reviews.iter_mut().filter_map(|review| review.note.as_mut()).for_each(clean);
    record.deviations.iter_mut().for_each(|deviation| {
        clean(&mut deviation.what);
        clean(&mut deviation.cause);
    });
}

/// The names that stand in a text as words. A longer one first, so that one that begins with another is not cut in two.
fn inside(text: &str, numbers: &HashMap<String, String>) -> Vec<String> {
    let edges: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
    let starts = edges.iter().filter(|at| !word(text[..**at].chars().next_back()));
    let ends = || edges.iter().filter(|at| !word(text[**at..].chars().next()));
    let parts = starts.flat_map(|start| ends().filter(move |end| *end > start).map(move |end| &text[*start..*end]));
    let names: BTreeSet<&str> = parts.filter(|part| numbers.contains_key(*part)).collect();
    let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names
}

fn word(c: Option<char>) -> bool {
    c.is_some_and(char::is_alphanumeric)
}

/// Replaces a name where it stands as a word, so that a secret called `a` does not spoil every other word.
fn replaced(text: &str, name: &str, number: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
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
    fn the_names_of_a_text_are_found_as_words_and_the_longest_first() {
        let numbers = ["a", "a/b", "é", "x"].map(|name| (name.to_owned(), String::new())).into();
        assert_eq!(inside("GetSecretValue of a/b: a ax é", &numbers), ["a/b", "é", "a"]);
        assert_eq!(inside("", &numbers), [""; 0]);
    }

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
