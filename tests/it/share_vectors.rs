//! The language-neutral vectors of `tests/fixtures/vectors`, made by another implementation.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{collections::BTreeMap, fs, path::Path};

use lifeboat::share::{Gathering, NoQuorum, Rejection, ShareFault, UntrustedShare};

struct Vector {
    name: String,
    fields: BTreeMap<String, String>,
    texts: Vec<String>,
}

impl Vector {
    fn read(path: &Path) -> Self {
        let file = fs::read_to_string(path).unwrap();
        let (head, body) = file.split_once("\n\n").unwrap();
        let fields = head.lines().map(|line| line.split_once(": ").unwrap());
        Self {
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            fields: fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            texts: body.split("\n---\n").map(str::to_owned).collect(),
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    fn numbers(&self, name: &str) -> Vec<usize> {
        self.field(name).unwrap_or_default().split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    fn agrees(&self, name: &str, value: &str) {
        if let Some(expected) = self.field(name) {
            assert_eq!(value, expected, "{}: {name}", self.name);
        }
    }

    fn is_met(&self) {
        let expect = self.field("expect").unwrap();
        match expect {
            "ok" => self.is_read(),
            "misread" | "length" | "newer" | "impossible" | "not-a-share" => self.is_refused(expect),
            "duplicate" | "foreign" | "forged" => self.last_is_refused(expect),
            "recovers" | "no-quorum" | "inconsistent" => self.is_gathered(expect),
            other => panic!("{}: unknown {other}", self.name),
        }
    }

    fn is_read(&self) {
        let share = UntrustedShare::parse(&self.texts[0]).unwrap_or_else(|fault| panic!("{}: {fault}", self.name));
        let (threshold, total) = share.threshold();
        self.agrees("threshold", &threshold.to_string());
        self.agrees("total", &total.to_string());
        self.agrees("index", &share.index().to_string());
        self.agrees("set", &hex::encode(share.set().0));
        self.agrees("fingerprint", &hex::encode(share.fingerprint().0));
        self.agrees("digest", &share.digest().to_string());
    }

    fn is_refused(&self, expect: &str) {
        let text = &self.texts[0];
        let fault = UntrustedShare::parse(text).err().unwrap_or_else(|| panic!("{} was taken", self.name));
        let expected = match expect {
            "misread" => {
                let correctable = self.field("correctable") == Some("yes");
                ShareFault::Misread { rows: self.numbers("rows"), correctable }
            }
            "length" => ShareFault::Length { rows: self.numbers("rows") },
            "newer" => ShareFault::Newer,
            "not-a-share" => ShareFault::NotAShare,
            _ => match fault {
                ShareFault::Impossible(_) => return,
                _ => panic!("{}: {fault}", self.name),
            },
        };
        assert_eq!(fault, expected, "{}", self.name);
        let suggestion = UntrustedShare::suggest(text);
        assert_eq!(suggestion.is_some(), self.field("correctable") == Some("yes"), "{}", self.name);
        if let Some(suggestion) = suggestion {
            let right = Self::read(&folder().join("ok-string.txt"));
            assert_eq!(suggestion.as_str(), right.texts[0].trim(), "{}", self.name);
        }
    }

    fn take(&self, texts: &[String]) -> Gathering {
        let mut gathering = Gathering::new(Vec::new());
        for text in texts {
            gathering.add("a text", text).unwrap_or_else(|rejection| panic!("{}: {rejection}", self.name));
        }
        gathering
    }

    fn last_is_refused(&self, expect: &str) {
        let (last, others) = self.texts.split_last().unwrap();
        let (reason, index) = match self.take(others).add("the last", last).unwrap_err() {
            Rejection::Duplicate { index, .. } => ("duplicate", Some(index)),
            Rejection::Foreign { .. } => ("foreign", None),
            Rejection::Forged { index, .. } => ("forged", Some(index)),
            other => panic!("{}: {other}", self.name),
        };
        assert_eq!(reason, expect, "{}", self.name);
        if let Some(index) = index {
            self.agrees("index", &index.to_string());
        }
    }

    fn is_gathered(&self, expect: &str) {
        let result = self.take(&self.texts).quorum().and_then(|quorum| quorum.recover());
        let met = match result {
            Ok(key) => {
                self.agrees("recipient", &key.recipient().to_string());
                "recovers"
            }
            Err(NoQuorum::TooFew { have, need }) => {
                assert_eq!((vec![have], vec![need]), (self.numbers("have"), self.numbers("need")), "{}", self.name);
                "no-quorum"
            }
            Err(NoQuorum::Inconsistent { suspects }) => {
                let expected: Vec<String> = self.numbers("suspects").iter().map(|at| format!("sheet {at}")).collect();
                assert_eq!(suspects, expected, "{}", self.name);
                "inconsistent"
            }
        };
        assert_eq!(met, expect, "{}", self.name);
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/vectors/shares"))
}

#[test]
fn every_vector_is_met() {
    let mut vectors: Vec<_> =
        fs::read_dir(folder()).unwrap().map(|entry| Vector::read(&entry.unwrap().path())).collect();
    vectors.sort_by(|one, two| one.name.cmp(&two.name));
    assert!(vectors.len() >= 45, "only {} vectors", vectors.len());
    for vector in &vectors {
        vector.is_met();
    }
    let negative = vectors.iter().filter(|vector| !matches!(vector.field("expect"), Some("ok" | "recovers"))).count();
    assert!(2 * negative > vectors.len(), "mostly negative");
}
