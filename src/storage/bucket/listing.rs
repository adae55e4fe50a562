//! Keys that the crate below cannot name, such as `snapshots//x`.
//!
//! It fails a whole listing at the first of them, so whoever may create keys could stop every command. Here each of them gets a
//! stand-in before the page is parsed. A stand-in is no name of a repository: it is listed, named as unknown, and never read. Every
//! other key of the page is listed as it is, so no listing is shorter than the bucket's own.

use std::borrow::Cow;

/// In no name of a repository.
const STAND_IN: char = '\u{fffd}';

/// Elements of a page, the element in them that holds a key, and whether it is the beginning of keys: S3 and what speaks its
/// protocol, then Azure.
const KEYS: [(&str, &str, bool); 4] = [
    ("Contents", "Key", false),
    ("CommonPrefixes", "Prefix", true),
    ("Blob", "Name", false),
    ("BlobPrefix", "Name", true),
];

/// Whether a request asks for a page of a listing.
pub(super) fn is_asked(query: Option<&str>) -> bool {
    query.is_some_and(|query| query.split('&').any(|word| matches!(word, "list-type=2" | "comp=list")))
}

/// Whether it is a page of a listing, of S3 and Google or of Azure: an error's page with status 200 names nothing either.
pub(super) fn is_listing(page: &str) -> bool {
    page.contains("<ListBucketResult") || page.contains("<EnumerationResults")
}

/// Whether a page names something, or no page follows it.
pub(super) fn has_keys_or_ends(page: &str) -> bool {
    let has = KEYS.iter().any(|(outer, _, _)| page.contains(&format!("<{outer}>")));
    let marker = page.split_once("<NextMarker>").map(|(_, rest)| rest);
    let goes_on = page.contains("<IsTruncated>true</IsTruncated>") || marker.is_some_and(|rest| !rest.starts_with('<'));
    has || !goes_on
}

/// The page in which every key can be named.
pub(super) fn nameable(page: &str) -> Cow<'_, str> {
    let mut page = Cow::Borrowed(page);
    for (outer, inner, is_prefix) in KEYS {
        if let Some(changed) = with_stand_ins(&page, outer, inner, is_prefix) {
            page = Cow::Owned(changed);
        }
    }
    page
}

/// The page with stand-ins in one kind of element; `None` when it needs none.
fn with_stand_ins(page: &str, outer: &str, inner: &str, is_prefix: bool) -> Option<String> {
    let (open, close) = (format!("<{outer}>"), format!("</{outer}>"));
    let (mut changed, mut is_changed, mut rest) = (String::new(), false, page);
    while let Some((before, after)) = rest.split_once(&open) {
        let Some((block, behind)) = after.split_once(&close) else { break };
        changed.extend([before, &open]);
        let replaced = replaced(block, inner, is_prefix);
        is_changed |= replaced.is_some();
        changed.push_str(replaced.as_deref().unwrap_or(block));
        changed.push_str(&close);
        rest = behind;
    }
    changed.push_str(rest);
    is_changed.then_some(changed)
}

/// One element with a stand-in for its key; `None` when the key can be named, or is not understood.
fn replaced(block: &str, inner: &str, is_prefix: bool) -> Option<String> {
    let (open, close) = (format!("<{inner}>"), format!("</{inner}>"));
    let (before, after) = block.split_once(&open)?;
    let (text, behind) = after.split_once(&close)?;
    let key = unescaped(text)?;
    let stand_in = match key.strip_suffix('/').filter(|_| is_prefix) {
        Some(folder) => stand_in(folder)? + "/",
        None => stand_in(&key)?,
    };
    Some(format!("{before}{open}{}{close}{behind}", escaped(&stand_in)))
}

/// What stands for a key; `None` for one that the crate can name, and means by that name.
fn stand_in(key: &str) -> Option<String> {
    let is_odd = |part: &str| matches!(part, "" | "." | "..");
    if !key.split('/').any(|part| is_odd(part) || part.contains(|c: char| c.is_ascii_control())) {
        return None;
    }
    let part = |part: &str| {
        let shown = part.replace(|c: char| c.is_ascii_control(), &STAND_IN.to_string());
        if is_odd(part) { format!("{STAND_IN}{shown}") } else { shown }
    };
    Some(key.split('/').map(part).collect::<Vec<_>>().join("/"))
}

/// Text of XML without its references; `None` for one that is unknown.
fn unescaped(text: &str) -> Option<String> {
    let (mut plain, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, after)) = rest.split_once('&') {
        let (name, behind) = after.split_once(';')?;
        plain.push_str(before);
        plain.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            _ => {
                let number = name.strip_prefix('#')?;
                let code = match number.strip_prefix(['x', 'X']) {
                    Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                    None => number.parse().ok()?,
                };
                char::from_u32(code)?
            }
        });
        rest = behind;
    }
    plain.push_str(rest);
    Some(plain)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_cannot_be_named_gets_a_stand_in_and_the_others_stay() {
        let entry = |key: &str| format!("<Contents><Key>{key}</Key><Size>3</Size></Contents>");
        let page = |keys: &[&str]| {
            let entries: String = keys.iter().map(|key| entry(key)).collect();
            format!("<ListBucketResult><Prefix>p//</Prefix>{entries}<KeyCount>1</KeyCount></ListBucketResult>")
        };
        let sound = page(&["p/snapshots/0/x.json", "p/&amp;&lt;&#233;", "p/a%2F~", "p/ \u{fffd}"]);
        assert_eq!(nameable(&sound), sound);
        let odd = ["p//x", "p/a/", "/p", "p/./x", "p/..", "p/&#x1;x", "p/\u{1}&amp;", "p/&#127;"];
        let stands = ["p/�/x", "p/a/�", "�/p", "p/�./x", "p/�..", "p/�x", "p/�&amp;", "p/�"];
        assert_eq!(nameable(&page(&odd)), page(&stands));
        for stand_in in stands {
            let path = object_store::path::Path::parse(stand_in).unwrap();
            assert_eq!(path.as_ref(), stand_in, "named and meant");
        }
        let both = page(&["p/a", "p//b", "p/c"]);
        assert_eq!(nameable(&both), page(&["p/a", "p/�/b", "p/c"]));
        let folders = "<CommonPrefixes><Prefix>p/snapshots//</Prefix></CommonPrefixes><CommonPrefixes><Prefix>p/a/</Prefix></CommonPrefixes>";
        assert!(
            nameable(folders).contains("<Prefix>p/snapshots/�/</Prefix>")
                && nameable(folders).contains("<Prefix>p/a/</Prefix>")
        );
        assert_eq!(nameable("<Blob><Name>a//b</Name></Blob>"), "<Blob><Name>a/�/b</Name></Blob>");
        for other in
            ["", "<Contents><Key>a//b", "<Contents><Key>&bad;//</Key></Contents>", "<Error><Key>a//b</Key></Error>"]
        {
            assert_eq!(nameable(other), other);
        }
    }

    #[test]
    fn only_listings_are_looked_at() {
        assert!(is_asked(Some("list-type=2&prefix=a")) && is_asked(Some("restype=container&comp=list")));
        assert!(!is_asked(None) && !is_asked(Some("prefix=list-type=2")) && !is_asked(Some("comp=block")));
    }
}
