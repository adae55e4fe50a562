//! docs/fidelity.md against the newest service model and against the tests it names.

use std::{collections::BTreeSet, path::Path, process::Command};

use crate::servers::program;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fidelity.md")).unwrap()
}

/// The cells of every row of the tables whose heading begins with these words.
fn rows(page: &str, heading: &str) -> Vec<Vec<String>> {
    let section = page.split("\n## ").find(|section| section.starts_with(heading)).expect("the section is there");
    let rows = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| operation"));
    rows.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()).collect()
}

#[test]
fn every_field_of_the_service_model_has_a_row_without_a_blank_cell() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/model_fields.py");
    let output = Command::new(program("python")).arg("-B").arg(script).output().unwrap();
    let model = String::from_utf8(output.stdout).unwrap();
    let page = page();
    for (direction, heading, cells) in [("output", "What AWS tells", 5), ("input", "What can be said to AWS", 3)] {
        let rows = rows(&page, heading);
        let bad: Vec<_> = rows.iter().filter(|row| row.len() != cells || row.iter().any(String::is_empty)).collect();
        assert!(bad.is_empty(), "{bad:?}");
        let told: BTreeSet<(String, String)> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
        let known: BTreeSet<(String, String)> = model
            .lines()
            .filter_map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                (words[1] == direction).then(|| (words[0].to_owned(), words[2].to_owned()))
            })
            .collect();
        assert!(known.len() > 80, "only {} fields in the model", known.len());
        assert_eq!(told.symmetric_difference(&known).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
    }
}

/// A field that Google adds is missing here until somebody has said what becomes of it.
#[test]
fn every_field_of_googles_discovery_document_has_a_row() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/gcp_fields.py");
    let output = Command::new(program("python")).arg("-B").arg(script).output().unwrap();
    let document = String::from_utf8(output.stdout).unwrap();
    let known: BTreeSet<(String, String)> = document
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(of, field)| (of.to_owned(), field.to_owned()))
        .collect();
    assert!(known.len() > 90, "only {} fields in the document", known.len());
    let page = page();
    let rows = rows(&page, "What Google tells and takes");
    let rows: Vec<_> = rows.iter().filter(|row| row[0] != "schema").collect();
    assert!(rows.iter().all(|row| row.len() == 3 && row.iter().all(|cell| !cell.is_empty())));
    let told: BTreeSet<(String, String)> = rows.iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(told.symmetric_difference(&known).collect::<Vec<_>>(), Vec::<&(String, String)>::new());
}

#[test]
fn every_case_has_an_outcome_and_a_test_of_its_number() {
    let page = page();
    let cases = rows(&page, "The cases");
    let cases: Vec<_> = cases.iter().filter(|row| row[0].parse::<u32>().is_ok()).collect();
    assert_eq!(cases.len(), 33);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let tests = read("cases_versions.rs") + &read("cases_settings.rs");
    for row in cases {
        let number: u32 = row[0].parse().unwrap();
        let name = format!("case_{number:02}");
        assert!(row.len() == 5 && row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        assert!(row[3].contains(&name) && tests.contains(&format!("{name}_")), "{name} has no test");
    }
}
