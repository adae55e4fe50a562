//! Addresses: a path as typed, `file://`, `s3://`, `gs://` or `az://`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::StorageError;
use crate::outward::Endpoint;

/// A storage address, understood.
#[derive(Debug)]
pub(super) struct Address {
    /// As people know it; nothing secret can be in it.
    pub(super) shown: String,
    /// Where it leads.
    pub(super) target: Target,
}

/// What an address leads to.
#[derive(Debug)]
pub(super) enum Target {
    /// An absolute folder.
    Folder(PathBuf),
    /// A prefix of a bucket or container.
    Bucket(Bucket),
}

/// A prefix of a bucket, and how to reach it.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) service: Service,
    /// The bucket; for Azure the container.
    pub(super) name: String,
    /// The storage account (Azure only).
    #[cfg_attr(not(feature = "azure-blob"), expect(dead_code, reason = "the others name none"))]
    pub(super) account: String,
    /// Without slashes at its ends; may be empty.
    pub(super) prefix: String,
    /// What stands after the `?`.
    pub(super) options: BTreeMap<String, String>,
}

/// The services that this build can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    S3,
    #[cfg(feature = "gcs")]
    Gcs,
    #[cfg(feature = "azure-blob")]
    Azure,
}

const SUPPORTED: &str = "give a path, file:///PATH, s3://BUCKET/PREFIX?region=REGION, gs://BUCKET/PREFIX or \
                         az://ACCOUNT/CONTAINER/PREFIX";

impl Address {
    /// Understands `text`.
    ///
    /// # Errors
    /// [`StorageError::Address`].
    pub(super) fn parse(text: &str) -> Result<Self, StorageError> {
        let refuse = |reason: &str| StorageError::Address { address: redacted(text), reason: reason.to_owned() };
        let path = match scheme(text) {
            None if text.is_empty() => return Err(refuse(&format!("an empty address; {SUPPORTED}"))),
            None => PathBuf::from(text),
            Some("file") => file_url(text).ok_or_else(|| refuse("expected file:///PATH"))?,
            Some("s3") => return bucket(text, Service::S3).map_err(|reason| refuse(&reason)),
            #[cfg(feature = "gcs")]
            Some("gs") => return bucket(text, Service::Gcs).map_err(|reason| refuse(&reason)),
            #[cfg(not(feature = "gcs"))]
            Some("gs") => return Err(refuse("this build cannot reach Google Cloud Storage: it lacks the feature gcs")),
            #[cfg(feature = "azure-blob")]
            Some("az") => return bucket(text, Service::Azure).map_err(|reason| refuse(&reason)),
            #[cfg(not(feature = "azure-blob"))]
            Some("az") => return Err(refuse("this build cannot reach Azure Blob: it lacks the feature azure-blob")),
            Some(other) => return Err(refuse(&format!("{other} storage is not supported; {SUPPORTED}"))),
        };
        let folder = std::path::absolute(&path).map_err(|_| refuse("not a path"))?;
        Ok(Self { shown: text.to_owned(), target: Target::Folder(folder) })
    }
}

impl Service {
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::S3 => &["region", "endpoint", "profile", "sse", "kms", "single_writer"],
            #[cfg(any(feature = "gcs", feature = "azure-blob"))]
            _ => &["endpoint", "single_writer"],
        }
    }

    /// Whether the account comes before the bucket in its addresses.
    fn names_account(self) -> bool {
        #[cfg(feature = "azure-blob")]
        return self == Self::Azure;
        #[cfg(not(feature = "azure-blob"))]
        false
    }
}

impl Bucket {
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }
}

/// `s3://bucket/prefix?region=…`. Credentials never stand in an address: they are the provider's own tools' matter.
fn bucket(text: &str, service: Service) -> Result<Address, String> {
    let (_, rest) = text.split_once("://").ok_or_else(|| SUPPORTED.to_owned())?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if place.contains(['@', '#', '\\']) || place.contains("//") {
        return Err("credentials and empty folder names do not belong in an address".into());
    }
    let place = place.strip_suffix('/').unwrap_or(place);
    let names_account = service.names_account();
    let mut parts = place.splitn(if names_account { 3 } else { 2 }, '/');
    let account = if names_account { parts.next().unwrap_or_default() } else { "" };
    let (name, prefix) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if name.is_empty() || (names_account && account.is_empty()) {
        return Err(format!("the name of the bucket is missing; {SUPPORTED}"));
    }
    let is_word = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_word(name) || !is_word(account) {
        return Err("a bucket's name has letters, digits, dots and hyphens".into());
    }
    if prefix.contains(char::is_control) {
        return Err("it has a control character".into());
    }
    let options = options(query, service.options())?;
    if let Some((option, value)) = options.iter().find(|(option, value)| !may_be(option, value)) {
        return Err(format!("the option {option} cannot be {value:?}"));
    }
    if let Some(endpoint) = options.get("endpoint") {
        Endpoint::parse(endpoint).map_err(|bad| bad.to_string())?;
    }
    Ok(Address {
        shown: text.to_owned(),
        target: Target::Bucket(Bucket {
            service,
            name: name.to_owned(),
            account: account.to_owned(),
            prefix: prefix.to_owned(),
            options,
        }),
    })
}

/// Whether an option can have this value: the crates below take what they are given, and some of it ends in a panic.
fn may_be(option: &str, value: &str) -> bool {
    match option {
        "region" => value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
        "single_writer" => value == "true",
        _ => !value.contains(|c: char| c.is_control() || c.is_whitespace()),
    }
}

fn options(query: &str, known: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let mut options = BTreeMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if !known.contains(&name) {
            return Err(format!("unknown option {name:?} (known: {})", known.join(", ")));
        }
        let value = percent_decoded(value).and_then(|bytes| String::from_utf8(bytes).ok()).filter(|v| !v.is_empty());
        let value = value.ok_or_else(|| format!("the option {name} has no value"))?;
        if options.insert(name.to_owned(), value).is_some() {
            return Err(format!("the option {name} is given twice"));
        }
    }
    Ok(options)
}

/// The scheme of `s3://…` or `memory:…`. A folder with such a name is written `./s3:…`; `C:\…` is a path.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, _) = text.split_once(':')?;
    let letters = scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    (scheme.len() > 1 && letters && scheme.as_bytes()[0].is_ascii_alphabetic()).then_some(scheme)
}

fn file_url(text: &str) -> Option<PathBuf> {
    let path = text.strip_prefix("file://")?;
    let path = path.strip_prefix("localhost").unwrap_or(path);
    let path = String::from_utf8(percent_decoded(path)?).ok()?;
    Path::new(&path).is_absolute().then(|| PathBuf::from(path))
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => hex::decode([bytes.next()?, bytes.next()?]).ok()?[0],
            other => other,
        });
    }
    Some(decoded)
}

/// Without what may stand before an `@` or after a `?`.
fn redacted(text: &str) -> String {
    let text = text.split('?').next().unwrap_or(text);
    match (text.split_once("://"), text.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(text: &str) -> PathBuf {
        let Target::Folder(folder) = Address::parse(text).unwrap().target else { panic!("{text} is no folder") };
        folder
    }

    #[test]
    fn paths_and_file_urls_are_folders() {
        for (text, expected) in [
            ("/srv/back ups/höhle", "/srv/back ups/höhle"),
            ("file:///srv/back%20ups/h%C3%B6hle", "/srv/back ups/höhle"),
            ("file:///srv/back ups", "/srv/back ups"),
            ("file://localhost/srv", "/srv"),
            ("/srv/100%25", "/srv/100%25"),
            ("/a:b/c", "/a:b/c"),
        ] {
            assert_eq!(folder(text), PathBuf::from(expected), "{text}");
        }
        let relative = folder("some/where");
        assert!(relative.is_absolute() && relative.ends_with("some/where"));
        assert!(folder("./s3:bucket").ends_with("s3:bucket"));
    }

    #[test]
    fn buckets_have_a_prefix_and_options() {
        let parsed = |text: &str| {
            let Target::Bucket(bucket) = Address::parse(text).unwrap().target else { panic!("{text} is no bucket") };
            bucket
        };
        let s3 = parsed("s3://backups/prod/west/?region=eu-west-1&endpoint=http%3A%2F%2F127.0.0.1%3A8333");
        assert_eq!((s3.service, &*s3.name, &*s3.prefix), (Service::S3, "backups", "prod/west"));
        assert_eq!((s3.option("region"), s3.option("endpoint")), (Some("eu-west-1"), Some("http://127.0.0.1:8333")));
        assert_eq!(s3.option("profile"), None);
        #[cfg(feature = "gcs")]
        {
            let whole = parsed("gs://backups");
            assert_eq!((whole.service, &*whole.name, &*whole.prefix), (Service::Gcs, "backups", ""));
        }
        #[cfg(feature = "azure-blob")]
        {
            let azure = parsed("az://account/container/a/b");
            assert_eq!((&*azure.account, &*azure.name, &*azure.prefix), ("account", "container", "a/b"));
        }
    }

    #[test]
    fn everything_else_is_refused_in_a_sentence() {
        let mut none = vec!["", "s3:bucket", "s3://", "s3:///x", "memory:x", "sftp://h/x"];
        none.extend(cfg!(feature = "gcs").then_some("gs://?x"));
        none.extend(cfg!(feature = "azure-blob").then_some("az://account"));
        for text in none {
            let StorageError::Address { reason, .. } = Address::parse(text).unwrap_err() else { panic!("{text}") };
            assert!(reason.contains("s3://BUCKET"), "{text}: {reason}");
        }
        for (text, says) in [
            ("file://host/x", "file:///PATH"),
            ("file:x", "file:///PATH"),
            ("file:///%zz", "file:///PATH"),
            ("s3://b/x?regoin=eu", "known: region"),
            ("s3://b/x?region=", "no value"),
            ("s3://b/x?region", "no value"),
            ("s3://b/x?region=a&region=b", "twice"),
            ("gs://b/x?profile=p", "known: endpoint"),
            ("s3://b/x?endpoint=localhost:4566", "is not a URL (expected https://HOST)"),
            ("az://a/b/x?endpoint=foo", "is not a URL (expected https://HOST)"),
            ("s3://b/x?endpoint=https://key:secret@h", "credentials"),
            ("s3://b//x", "empty folder"),
            ("s3://key:secret@b/x", "credentials"),
            ("s3://a b/x", "letters, digits"),
            ("s3://b\r/x", "letters, digits"),
            ("s3://b/x\u{1b}", "control"),
            ("s3://b/x?region=eu central 1", "cannot be"),
            ("s3://b/x?region=eu%0a", "cannot be"),
            ("s3://b/x?endpoint=local host", "cannot be"),
            ("s3://b/x?single_writer=yes", "cannot be"),
        ] {
            let StorageError::Address { reason, .. } = Address::parse(text).unwrap_err() else { panic!("{text}") };
            assert!(reason.contains(says), "{text}: {reason}");
        }
    }

    #[test]
    fn credentials_are_not_repeated() {
        for text in ["https://user:pass@host/x?token=abc", "s3://user:pass@host/x?token=abc"] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(!error.contains("pass@") && !error.contains("abc"), "{error}");
        }
    }
}
