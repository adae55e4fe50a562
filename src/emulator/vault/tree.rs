//! Listings: the names below a folder, in pages, and everything below it at once.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// What is directly below a folder, sorted; folders end in `/`. The top is empty, every other folder ends in `/`.
pub(super) fn names<T>(keys: &BTreeMap<String, T>, folder: &str) -> Vec<String> {
    let below = keys.range::<str, _>((Bound::Included(folder), Bound::Unbounded));
    let below = below.map(|(key, _)| key).take_while(|key| key.starts_with(folder)).filter(|key| *key != folder);
    let first = |key: &String| {
        let rest = &key[folder.len()..];
        rest.find('/').map_or_else(|| rest.to_owned(), |end| rest[..=end].to_owned())
    };
    below.map(first).collect::<BTreeSet<_>>().into_iter().collect()
}

/// One page of names: what comes after one of them, at most so many; no limit below 1.
pub(super) fn page(mut names: Vec<String>, after: &str, limit: i64) -> Vec<String> {
    names.retain(|name| name.as_str() > after);
    if let Some(limit) = usize::try_from(limit).ok().filter(|limit| *limit > 0) {
        names.truncate(limit);
    }
    names
}

/// Every key below a folder, in the order of the server's walk: a folder's own keys, then its folders, the last one first.
pub(super) fn scan<T>(keys: &BTreeMap<String, T>, folder: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(at) = folders.pop() {
        for name in names(keys, &format!("{folder}{at}")) {
            let path = format!("{at}{name}");
            if name.ends_with('/') { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> BTreeMap<String, u8> {
        ["l/a", "l/b", "l/b/c", "l/d/e/f", "l/z", "m"].map(|key| (key.to_owned(), 0)).into()
    }

    #[test]
    fn a_key_and_a_folder_may_have_one_name() {
        assert_eq!(names(&keys(), "l/"), ["a", "b", "b/", "d/", "z"]);
        assert_eq!(names(&keys(), ""), ["l/", "m"]);
        assert!(names(&keys(), "l/a/").is_empty());
    }

    #[test]
    fn pages_go_on_after_a_name() {
        let all = || names(&keys(), "l/");
        assert_eq!(page(all(), "", 2), ["a", "b"]);
        assert_eq!(page(all(), "b", 2), ["b/", "d/"]);
        assert_eq!(page(all(), "b/", 0), ["d/", "z"]);
        assert!(page(all(), "zz", -1).is_empty());
    }

    #[test]
    fn a_scan_is_in_the_servers_order() {
        assert_eq!(scan(&keys(), "l/"), ["a", "b", "z", "d/e/f", "b/c"]);
    }
}
