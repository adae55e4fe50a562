//! Secrets as files that applications read. Everything is read back before it counts; what would not come back equal is named and
//! not written.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::{Pair, entries::twice};
use crate::{
    dialect::{self, Dialect, Unwritable},
    model::{Secret, SecretValue, Tag},
    text,
};

/// Bytes of one value that AWS takes.
const MOST_AWS: usize = 64 << 10;
/// Bytes of one Secret that Kubernetes takes.
const MOST_K8S: usize = 1 << 20;
/// The longest name of a key or an object of Kubernetes, and of a file.
const LONGEST_NAME: usize = 253;

/// A file on its way out. No Debug: it holds values.
pub struct File {
    /// Its name, where several make one export.
    pub name: String,
    /// Its bytes.
    pub bytes: Zeroizing<Vec<u8>>,
}

/// An export.
#[derive(Default)]
pub struct Written {
    /// The files.
    pub files: Vec<File>,
    /// Names that are in them.
    pub count: u64,
    /// Names that are not.
    pub refused: Vec<Refused>,
}

/// A name that an export cannot hold. It repeats no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The name.
    pub name: String,
    /// Why.
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", text::line(&self.name), text::line(&self.why))
    }
}

/// Text in a document, wiped when it goes.
struct Held(Zeroizing<String>);

impl Held {
    fn base64(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(BASE64_STANDARD.encode(bytes)))
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Held {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

const TWICE: &str = "two secrets give this name; name one of them otherwise (VARIABLE=NAME)";
const NOT_TEXT: &str = "the value is binary, which this format cannot hold; use k8s or docker-secrets";

impl Written {
    fn refuse(&mut self, name: &str, why: impl Into<String>) {
        self.refused.push(Refused { name: name.to_owned(), why: why.into() });
    }

    fn add(&mut self, name: impl Into<String>, bytes: Vec<u8>) {
        self.files.push(File { name: name.into(), bytes: Zeroizing::new(bytes) });
    }

    /// Leaves out what `why` speaks against, and names that come twice: which of two is meant is never guessed.
    fn fitting<'a>(&mut self, pairs: &'a [Pair], why: impl Fn(&Pair) -> Option<&'static str>) -> Vec<&'a Pair> {
        let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
        if twice(pairs).is_some() {
            for pair in pairs {
                *counts.entry(&pair.name).or_default() += 1;
            }
        }
        let mut fitting = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let is_twice = counts.get(pair.name.as_str()).is_some_and(|count| *count > 1);
            match is_twice.then_some(TWICE).or_else(|| why(pair)) {
                Some(why) => self.refuse(&pair.name, why),
                None => fitting.push(pair),
            }
        }
        self.refused.dedup();
        self.count = fitting.len() as u64;
        fitting
    }
}

/// One JSON object. What was a number or an object stays one, in its own text.
pub fn json(pairs: &[Pair]) -> Written {
    let mut written = Written::default();
    let fitting = written.fitting(pairs, |pair| std::str::from_utf8(&pair.value).is_err().then_some(NOT_TEXT));
    let raw = |pair: &&Pair| {
        let quoted;
        let text = if let Some(json) = &pair.json {
            json.as_str()
        } else {
            quoted = Zeroizing::new(serde_json::to_string(std::str::from_utf8(&pair.value).ok()?).ok()?);
            &quoted
        };
        let value: &RawValue = serde_json::from_str(text).ok()?;
        Some((pair.name.clone(), value.to_owned()))
    };
    let values: BTreeMap<String, Box<RawValue>> = fitting.iter().filter_map(raw).collect();
    let mut bytes = serde_json::to_vec_pretty(&values).expect("text is JSON");
    bytes.push(b'\n');
    let back: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(&bytes).unwrap_or_default();
    let is_equal = |pair: &Pair| {
        back.get(&pair.name).is_some_and(|raw| match &pair.json {
            Some(json) => raw.get() == json.as_str(),
            None => serde_json::from_str::<Held>(raw.get()).is_ok_and(|text| text.0.as_bytes() == &**pair.value),
        })
    };
    written.confirm(fitting.iter().all(|pair| is_equal(pair)), "export.json", bytes)
}

impl Written {
    /// The file, if it was read back equal; never a part of one that was not.
    fn confirm(mut self, is_equal: bool, name: &str, bytes: Vec<u8>) -> Self {
        if is_equal {
            self.add(name, bytes);
        } else {
            self.count = 0;
            self.refuse(name, "it would not be read back as it is written");
        }
        self
    }
}

/// Lines for one reader of `.env` files.
pub fn env(pairs: &[Pair], dialect: Dialect) -> Written {
    let mut written = Written::default();
    let fitting = written.fitting(pairs, |_| None);
    let lines = dialect::write(fitting.iter().map(|pair| (pair.name.as_str(), pair.value.as_slice())), dialect);
    written.count = lines.count;
    for (name, why) in lines.refused {
        let other = match why {
            Unwritable::Name(_) => "; name it otherwise (VARIABLE=NAME)",
            Unwritable::Nul | Unwritable::Value(_) => "; use k8s or docker-secrets",
        };
        written.refuse(&name, format!("{why}{other}"));
    }
    // Each line was tried alone; this is the file as its reader gets it.
    let back = dialect::read(&lines.bytes, dialect);
    let is_equal = |pair: &&&Pair| back.get(&pair.name).is_some_and(|read| *read.value == *pair.value);
    let equal = fitting.iter().filter(is_equal).count() as u64;
    let is_whole = back.faults.is_empty() && equal == lines.count && back.pairs.len() as u64 == lines.count;
    written.confirm(is_whole, ".env", lines.bytes.to_vec())
}

/// Whether Kubernetes takes it as the name of an object (RFC 1123).
pub fn is_object_name(name: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= LONGEST_NAME
        && name.split('.').all(|part| {
            part.bytes().next().is_some_and(is_inner)
                && part.bytes().last().is_some_and(is_inner)
                && part.bytes().all(|byte| is_inner(byte) || byte == b'-')
        })
}

fn is_file_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !name.is_empty() && name.len() <= LONGEST_NAME && name.bytes().all(is_plain) && ![".", ".."].contains(&name)
}

/// A Secret of Kubernetes, in the part of YAML that is JSON.
pub fn kubernetes(name: &str, pairs: &[Pair]) -> Written {
    #[derive(Serialize, Deserialize)]
    struct Manifest {
        #[serde(rename = "apiVersion")]
        api_version: String,
        kind: String,
        metadata: BTreeMap<String, String>,
        r#type: String,
        data: BTreeMap<String, Held>,
    }
    let mut written = Written::default();
    let fitting = written.fitting(pairs, |pair| {
        let is_key = is_file_name(&pair.name) && !pair.name.starts_with("..");
        (!is_key).then_some("a key of Kubernetes has only letters, digits, - _ and .")
    });
    let size: usize = fitting.iter().map(|pair| pair.value.len()).sum();
    if size > MOST_K8S {
        written.count = 0;
        written.refuse(name, "one Secret of Kubernetes takes 1 MiB; export fewer secrets at a time");
        return written;
    }
    let encode = |pair: &&Pair| (pair.name.clone(), Held::base64(&pair.value));
    let manifest = Manifest {
        api_version: "v1".into(),
        kind: "Secret".into(),
        metadata: [("name".to_owned(), name.to_owned())].into(),
        r#type: "Opaque".into(),
        data: fitting.iter().map(encode).collect(),
    };
    let mut bytes = serde_json::to_vec_pretty(&manifest).expect("text is JSON");
    bytes.push(b'\n');
    let back = serde_json::from_slice::<Manifest>(&bytes).map(|back| back.data).unwrap_or_default();
    let is_equal = |pair: &Pair| {
        let decoded = back.get(&pair.name).and_then(|text| BASE64_STANDARD.decode(text.0.as_bytes()).ok());
        decoded.map(Zeroizing::new).is_some_and(|bytes| *bytes == *pair.value)
    };
    written.confirm(fitting.iter().all(|pair| is_equal(pair)), "secret.yaml", bytes)
}

/// One file for each name, with the exact bytes.
pub fn files(pairs: &[Pair]) -> Written {
    let mut written = Written::default();
    let fitting = written.fitting(pairs, |pair| {
        (!is_file_name(&pair.name)).then_some("the name of a file here has only letters, digits, - _ and .")
    });
    for pair in fitting {
        written.add(pair.name.clone(), pair.value.to_vec());
    }
    written
}

/// What `aws secretsmanager create-secret --cli-input-json` takes.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CreateSecret {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_string: Option<Held>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_binary: Option<Held>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<CliTag>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct CliTag {
    key: String,
    value: String,
}

/// One file for each secret, as the aws CLI takes it. Not in it: policy, key, rotation, older versions; a restore has them.
pub fn aws_cli<'a>(secrets: impl Iterator<Item = (&'a Secret, &'a SecretValue)>) -> Written {
    let mut written = Written::default();
    for (secret, value) in secrets {
        if value.expose().is_empty() || value.expose().len() > MOST_AWS {
            written.refuse(&secret.name, "AWS takes values of 1 to 65536 bytes");
            continue;
        }
        let text = match value {
            SecretValue::Text(text) | SecretValue::Fields(text) => Some(Held(text.clone())),
            SecretValue::Bytes(_) => None,
        };
        let binary = text.is_none().then(|| Held::base64(value.expose()));
        let tag = |tag: &Tag| CliTag { key: tag.key.clone(), value: tag.value.clone() };
        let is_own = |tag: &&Tag| !tag.key.starts_with("aws:");
        let input = CreateSecret {
            name: secret.name.clone(),
            description: secret.facets.description.clone(),
            secret_string: text,
            secret_binary: binary,
            tags: secret.facets.tags.iter().filter(is_own).map(tag).collect(),
        };
        let mut bytes = serde_json::to_vec_pretty(&input).expect("text is JSON");
        bytes.push(b'\n');
        let back = serde_json::from_slice::<CreateSecret>(&bytes).ok();
        let is_equal = back.is_some_and(|back| match (back.secret_string, back.secret_binary) {
            (Some(text), None) => text.0.as_bytes() == value.expose(),
            (None, Some(text)) => {
                BASE64_STANDARD.decode(text.0.as_bytes()).is_ok_and(|bytes| *Zeroizing::new(bytes) == *value.expose())
            }
            _ => false,
        });
        let name = format!("{}.json", plain_name(&secret.name));
        if !is_equal || written.files.iter().any(|file| file.name == name) {
            written.refuse(&secret.name, "its file would not be told from another one; export it alone");
            continue;
        }
        written.add(name, bytes);
        written.count += 1;
    }
    written
}

/// A secret's name as the name of a file.
fn plain_name(name: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || "-._".contains(character) { character } else { '_' }
    };
    name.chars().map(plain).take(LONGEST_NAME - ".json".len()).collect::<String>().trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &[u8]) -> Pair {
        Pair { name: name.into(), value: Zeroizing::new(value.to_vec()), json: None, secret: "s".into() }
    }

    fn number(name: &str, json: &str) -> Pair {
        Pair { json: Some(Zeroizing::new(json.to_owned())), ..pair(name, json.as_bytes()) }
    }

    fn refused(written: &Written) -> Vec<&str> {
        written.refused.iter().map(|refused| refused.name.as_str()).collect()
    }

    #[test]
    fn json_keeps_numbers_and_objects_and_refuses_what_is_no_text() {
        let pairs = [
            pair("a", "\u{0}\u{1f}\"\\\u{2028}é\u{1f511}\r\n".as_bytes()),
            number("n", "1.50e3"),
            number("big", "123456789012345678901234567890"),
            number("o", r#"{"b": [1, 2]}"#),
            pair("b", b"\xff"),
            pair("two", b"1"),
            pair("two", b"2"),
        ];
        let written = json(&pairs);
        assert_eq!((written.count, refused(&written)), (4, vec!["b", "two"]));
        let text = std::str::from_utf8(&written.files[0].bytes).unwrap();
        for part in [": 1.50e3", ": 123456789012345678901234567890", r#": {"b": [1, 2]}"#] {
            assert!(text.contains(part), "{part}");
        }
    }

    #[test]
    fn kubernetes_takes_bytes_and_its_own_names_alone() {
        let written = kubernetes("app", &[pair("tls.key", b"\x00\xff"), pair("a/b", b"x"), pair("..x", b"x")]);
        assert_eq!((written.count, refused(&written)), (1, vec!["a/b", "..x"]));
        let back: serde_json::Value = serde_json::from_slice(&written.files[0].bytes).unwrap();
        assert_eq!(back["data"]["tls.key"], "AP8=");
        assert_eq!((&back["kind"], &back["metadata"]["name"]), (&"Secret".into(), &"app".into()));
        let large = kubernetes("app", &[pair("a", &vec![0; MOST_K8S + 1])]);
        assert!(large.files.is_empty() && large.count == 0 && refused(&large) == ["app"]);
        for (name, is) in [("a", true), ("a-b.c", true), ("A", false), ("-a", false), ("a..b", false), ("", false)] {
            assert_eq!(is_object_name(name), is, "{name}");
        }
    }

    #[test]
    fn files_never_leave_their_folder() {
        let written =
            files(&[pair("KEY", b"\0\n"), pair("../x", b"x"), pair("..", b"x"), pair("", b"x"), pair("a/b", b"x")]);
        assert_eq!((written.count, written.files.len()), (1, 1));
        assert_eq!((&*written.files[0].name, &**written.files[0].bytes), ("KEY", b"\0\n".as_slice()));
    }

    #[test]
    fn the_aws_cli_gets_text_or_bytes_of_each_secret() {
        let secret = |name: &str| Secret { name: name.into(), id: name.into(), ..Secret::default() };
        let all = [
            (secret("app/db"), SecretValue::text("é\n".into())),
            (secret("app/key"), SecretValue::bytes(vec![0, 255])),
            (secret("app_db"), SecretValue::text("x".into())),
            (secret("empty"), SecretValue::text(String::new())),
        ];
        let written = aws_cli(all.iter().map(|(secret, value)| (secret, value)));
        assert_eq!((written.count, refused(&written)), (2, vec!["app_db", "empty"]));
        let first: serde_json::Value = serde_json::from_slice(&written.files[0].bytes).unwrap();
        assert_eq!((&first["Name"], &first["SecretString"]), (&"app/db".into(), &"é\n".into()));
        let second: serde_json::Value = serde_json::from_slice(&written.files[1].bytes).unwrap();
        assert_eq!(second["SecretBinary"], "AP8=");
    }
}
