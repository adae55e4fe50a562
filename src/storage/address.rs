//! Addresses: a path as typed, or a `file://` URL.

use std::path::{Path, PathBuf};

use super::StorageError;

/// A storage address, understood.
#[derive(Debug)]
pub(super) struct Address {
    /// As people know it.
    pub(super) shown: String,
    /// The absolute folder.
    pub(super) folder: PathBuf,
}

const SUPPORTED: &str = "this version stores in local folders: give a path or file:///PATH";

impl Address {
    /// Understands `text`.
    ///
    /// # Errors
    /// [`StorageError::Address`].
    pub(super) fn parse(text: &str) -> Result<Self, StorageError> {
        let refuse = |reason: &str| StorageError::Address { address: redacted(text), reason: reason.to_owned() };
        let path = match scheme(text) {
            None if text.is_empty() => return Err(refuse("an empty address; give a path or file:///PATH")),
            None => PathBuf::from(text),
            Some("file") => file_url(text).ok_or_else(|| refuse("expected file:///PATH"))?,
            Some(other) => return Err(refuse(&format!("{other} storage is not supported; {SUPPORTED}"))),
        };
        let folder = std::path::absolute(&path).map_err(|_| refuse("not a path"))?;
        Ok(Self { shown: text.to_owned(), folder })
    }
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

    #[test]
    fn paths_and_file_urls_are_folders() {
        for (text, folder) in [
            ("/srv/back ups/höhle", "/srv/back ups/höhle"),
            ("file:///srv/back%20ups/h%C3%B6hle", "/srv/back ups/höhle"),
            ("file:///srv/back ups", "/srv/back ups"),
            ("file://localhost/srv", "/srv"),
            ("/srv/100%25", "/srv/100%25"),
            ("/a:b/c", "/a:b/c"),
        ] {
            assert_eq!(Address::parse(text).unwrap().folder, PathBuf::from(folder), "{text}");
        }
        let relative = Address::parse("some/where").unwrap().folder;
        assert!(relative.is_absolute() && relative.ends_with("some/where"));
        assert!(Address::parse("./s3:bucket").unwrap().folder.ends_with("s3:bucket"));
    }

    #[test]
    fn everything_else_is_refused_in_a_sentence() {
        for text in
            ["", "s3://bucket/x", "s3:bucket", "memory:x", "file://host/x", "file:x", "file:///%zz", "sftp://h/x"]
        {
            let StorageError::Address { reason, .. } = Address::parse(text).unwrap_err() else { panic!("{text}") };
            assert!(reason.contains("file:///PATH"), "{text}: {reason}");
        }
    }

    #[test]
    fn credentials_are_not_repeated() {
        let error = Address::parse("https://user:pass@host/x?token=abc").unwrap_err().to_string();
        assert!(!error.contains("pass@") && !error.contains("abc"), "{error}");
    }
}
