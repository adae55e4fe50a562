//! Rooms above the providers speak of no kind of provider by name: how often each file still does may only fall.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use super::{Source, read_sources, test_files};

/// The rooms, and the words of a kind in code: identifiers and paths, not what a person reads.
const ROOMS: [&str; 9] = ["app", "cli", "config", "drill", "hooks", "restore", "snapshot", "status", "custody"];
const WORDS: [&str; 7] = ["aws", "vault", "arn", "kms", "dotenv", "gcp", "azure"];
const TABLE: &str = "tests/fixtures/provider_words.txt";

/// How many identifiers of a file name a kind, tests aside.
fn count(file: &Source) -> usize {
    let parts = file.shipped.split(|c: char| !c.is_alphanumeric() && c != '_');
    let names_kind = |word: &&str| {
        let word = word.to_ascii_lowercase();
        WORDS.iter().any(|kind| {
            word.split('_').any(|part| part == *kind || part.strip_suffix('s') == Some(kind)) || word.starts_with(kind)
        })
    };
    parts.filter(|word| !word.is_empty()).filter(names_kind).count()
}

#[test]
fn rooms_above_the_providers_name_ever_fewer_kinds() {
    let files = read_sources();
    let tests = test_files(&files);
    let counted: BTreeMap<String, usize> = files
        .iter()
        .filter(|file| ROOMS.contains(&file.room()) && !tests.contains(&file.path))
        .map(|file| (file.path.clone(), count(file)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let text = fs::read_to_string(&path).unwrap_or_default();
    let known: BTreeMap<&str, usize> = text
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(path, count)| (path, count.parse().expect("a count")))
        .collect();
    let more: Vec<String> = counted
        .iter()
        .filter(|(path, count)| **count > known.get(path.as_str()).copied().unwrap_or(0))
        .map(|(path, count)| format!("{path}: {count}, not more than {}", known.get(path.as_str()).unwrap_or(&0)))
        .collect();
    assert!(more.is_empty(), "what belongs to a kind goes behind provider::Rules:\n{}", more.join("\n"));
    let fewer = known.iter().any(|(path, count)| counted.get(*path).copied().unwrap_or(0) < *count);
    if fewer {
        let mut text = String::new();
        for (path, count) in &counted {
            writeln!(text, "{path} {count}").expect("a text");
        }
        fs::write(&path, text).expect("the table can be written");
        panic!("fewer than before: {TABLE} has been written anew, look at it and commit it");
    }
}
