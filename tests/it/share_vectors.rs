//! The language-neutral vectors of `tests/fixtures/vectors`, made by another implementation.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use lifeboat::{
    model::Digest,
    share::{Gathering, NoQuorum, Rejection, ShareFault, UntrustedShare},
};

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
        let said = Gathering::new(Vec::new()).add("the photo of Ana", text).unwrap_err().to_string();
        assert!(said.starts_with("the photo of Ana "), "{}: the sentence names the sheet: {said}", self.name);
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
            assert_eq!(suggestion.text().as_str(), right.texts[0].trim(), "{}", self.name);
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
        let rejection = self.take(others).add("the last", last).unwrap_err();
        assert!(rejection.to_string().contains("the last"), "{}: {rejection}", self.name);
        let (reason, index) = match rejection {
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

impl Vector {
    /// What the reader that travels with every repository makes of it.
    fn is_met_by_the_script(&self, folder: &Path) {
        let texts: Vec<String> = (0..self.texts.len()).map(|at| format!("text-{at}")).collect();
        for (name, text) in texts.iter().zip(&self.texts) {
            fs::write(folder.join(name), text).unwrap();
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/repo/recover/recover.py");
        let output = Command::new("python3").arg(script).arg("key").args(&texts).current_dir(folder).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("Traceback"), "{}: {said}", self.name);
        let key = String::from_utf8(output.stdout).unwrap();
        let expect = self.field("expect").unwrap();
        assert_eq!(output.status.success(), expect == "recovers", "{}: {said}", self.name);
        if expect == "recovers" {
            let (_, bytes) = bech32::decode(key.trim()).unwrap();
            assert_eq!(Some(Digest::of(&bytes).to_string().as_str()), self.field("key-sha256"), "{}", self.name);
            return;
        }
        assert_eq!(key, "", "{}: nothing secret is printed", self.name);
        let because = match expect {
            "ok" => format!("have 1 of {} shares", self.field("threshold").unwrap()),
            "misread" | "length" | "not-a-share" => "text-0: no share found".into(),
            "newer" => "text-0: a share of another version".into(),
            "impossible" if self.name == "impossible-version-0" => "text-0: a share of another version".into(),
            // To this reader they are two sheets in one file.
            "impossible" if self.name == "impossible-two-shares" => "have 2 of 3".into(),
            "impossible" => "text-0: not a share".into(),
            "duplicate" | "no-quorum" => "have 2 of 3".into(),
            "forged" if self.name == "forged-same-number" => "text-1 and text-0 differ but have one number".into(),
            "foreign" | "forged" => "text-1 and text-0 are of different share sets".into(),
            _ => "the shares do not give the key they name".into(),
        };
        assert!(said.contains(&because), "{}: {said}", self.name);
        for row in self.field("rows").into_iter().flat_map(str::split_whitespace).filter(|_| said.contains("look at")) {
            assert!(said.contains(row), "{}: row {row}: {said}", self.name);
        }
    }
}

fn every_vector() -> Vec<Vector> {
    let mut vectors: Vec<_> =
        fs::read_dir(folder()).unwrap().map(|entry| Vector::read(&entry.unwrap().path())).collect();
    vectors.sort_by(|one, two| one.name.cmp(&two.name));
    assert!(vectors.len() >= 50, "only {} vectors", vectors.len());
    vectors
}

#[test]
fn the_script_that_travels_with_every_repository_meets_every_vector() {
    let folder = tempfile::tempdir().unwrap();
    for vector in every_vector() {
        vector.is_met_by_the_script(folder.path());
    }
}

#[test]
fn every_vector_is_met() {
    let vectors = every_vector();
    for vector in &vectors {
        vector.is_met();
    }
    let negative = vectors.iter().filter(|vector| !matches!(vector.field("expect"), Some("ok" | "recovers"))).count();
    assert!(2 * negative > vectors.len(), "mostly negative");
}
