//! KV version 2 as a state machine: keys, their versions, and what is done to them. No clock, no wire.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};
use zeroize::Zeroizing;

use super::durations::{self, Nanos};

/// Versions that are kept where nothing says how many.
const DEFAULT_MOST: u32 = 10;

/// One engine.
#[derive(Default)]
pub(super) struct Engine {
    pub(super) config: Config,
    pub(super) keys: BTreeMap<String, Key>,
}

/// What the engine says for all its keys.
#[derive(Clone, Default)]
pub(super) struct Config {
    pub(super) max_versions: u32,
    pub(super) cas_required: bool,
    pub(super) metadata_cas_required: bool,
    /// Below zero: no version is deleted by time, whatever its key says.
    pub(super) delete_version_after: Nanos,
}

/// One key.
pub(super) struct Key {
    created: Timestamp,
    updated: Timestamp,
    pub(super) current: u64,
    oldest: u64,
    max_versions: u32,
    cas_required: bool,
    metadata_cas_required: bool,
    metadata_version: u64,
    delete_version_after: Nanos,
    custom: Option<BTreeMap<String, String>>,
    versions: BTreeMap<u64, Version>,
}

/// One version.
pub(super) struct Version {
    created: Timestamp,
    /// May be to come: until then the version can be read.
    deletion: Option<Timestamp>,
    destroyed: bool,
    /// JSON text.
    value: Option<Zeroizing<String>>,
}

/// What a write of metadata changes; `None` stays as it is.
#[derive(Default)]
pub(super) struct Change {
    pub(super) max_versions: Option<u32>,
    pub(super) cas_required: Option<bool>,
    pub(super) metadata_cas_required: Option<bool>,
    pub(super) delete_version_after: Option<Nanos>,
    /// Nothing in it takes back what is there.
    pub(super) custom: Option<BTreeMap<String, String>>,
    /// The metadata version that the writer has seen.
    pub(super) seen: Option<u64>,
}

/// What a request does to single versions.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    Delete,
    Undelete,
    Destroy,
}

/// A refusal, in the server's words.
pub(super) type Refused = &'static str;

const NO_CAS: Refused = "check-and-set parameter required for this call";
const OTHER_CAS: Refused = "check-and-set parameter did not match the current version";
const NO_METADATA_CAS: Refused = "metadata check-and-set parameter required for this call";
const OTHER_METADATA_CAS: Refused = "metadata check-and-set parameter does not match the current version";

impl Engine {
    /// Stores a value as the next version of a key, if `cas` is the number of its current one.
    pub(super) fn write(
        &mut self,
        name: &str,
        value: Zeroizing<String>,
        cas: Option<u64>,
        now: Timestamp,
    ) -> Result<(&Key, u64), Refused> {
        let found = self.keys.get(name);
        match cas {
            None if self.config.cas_required || found.is_some_and(|key| key.cas_required) => return Err(NO_CAS),
            Some(cas) if cas != found.map_or(0, |key| key.current) => return Err(OTHER_CAS),
            _ => {}
        }
        let key = self.keys.entry(name.to_owned()).or_insert_with(|| Key::new(now));
        let deletion = lifetime(self.config.delete_version_after, key.delete_version_after)
            .and_then(|nanos| now.checked_add(SignedDuration::from_nanos(nanos)).ok());
        key.current += 1;
        key.updated = now;
        key.versions.insert(key.current, Version { created: now, deletion, destroyed: false, value: Some(value) });
        key.prune(self.config.max_versions);
        Ok((key, key.current))
    }

    /// A version; the current one for 0. `None`: there is none, or it was pruned.
    pub(super) fn read(&self, name: &str, number: u64) -> Option<(&Key, u64, &Version)> {
        let key = self.keys.get(name)?;
        let number = if number == 0 { key.current } else { number };
        Some((key, number, key.versions.get(&number)?))
    }

    /// Deletes, brings back or destroys versions; without any, the current one. What is not there is passed over.
    pub(super) fn turn(&mut self, name: &str, numbers: Option<&[u64]>, fate: Fate, now: Timestamp) {
        let Some(key) = self.keys.get_mut(name) else { return };
        let current = [key.current];
        for number in numbers.unwrap_or(&current) {
            let Some(version) = key.versions.get_mut(number) else { continue };
            match fate {
                Fate::Destroy => (version.destroyed, version.value) = (true, None),
                _ if version.destroyed => {}
                Fate::Delete if version.deletion.is_none_or(|time| time > now) => version.deletion = Some(now),
                Fate::Delete => {}
                Fate::Undelete => version.deletion = None,
            }
        }
    }

    /// Writes metadata; a key that is not there is made, without a version, if there is something to say of it.
    pub(super) fn describe(&mut self, name: &str, change: Change, now: Timestamp) -> Result<(), Refused> {
        let found = self.keys.get(name);
        match change.seen {
            None if self.config.metadata_cas_required || found.is_some_and(|key| key.metadata_cas_required) => {
                return Err(NO_METADATA_CAS);
            }
            Some(seen) if seen != found.map_or(0, |key| key.metadata_version) => return Err(OTHER_METADATA_CAS),
            _ => {}
        }
        if change.is_empty() {
            return Ok(());
        }
        let key = self.keys.entry(name.to_owned()).or_insert_with(|| Key::new(now));
        key.max_versions = change.max_versions.unwrap_or(key.max_versions);
        key.cas_required = change.cas_required.unwrap_or(key.cas_required);
        key.metadata_cas_required = change.metadata_cas_required.unwrap_or(key.metadata_cas_required);
        key.delete_version_after = change.delete_version_after.unwrap_or(key.delete_version_after);
        if let Some(custom) = change.custom {
            key.custom = Some(custom).filter(|custom| !custom.is_empty());
        }
        key.metadata_version += 1;
        key.updated = now;
        Ok(())
    }

    /// What is said of a key.
    pub(super) fn metadata(&self, name: &str) -> Option<Json> {
        self.keys.get(name).map(Key::json)
    }

    /// Changes one byte of a value that can be read; answers the version.
    pub(super) fn corrupt(&mut self, name: &str, number: u64) -> Option<u64> {
        let key = self.keys.get_mut(name)?;
        let number = if number == 0 { key.current } else { number };
        let value = key.versions.get_mut(&number)?.value.as_mut()?;
        // Within the last string: names of fields stay as they are.
        let end = value.rfind('"')?;
        let at = value[..end].char_indices().rev().find(|(_, c)| c.is_ascii_alphanumeric())?.0;
        let changed = if value[at..].starts_with('x') { "y" } else { "x" };
        value.replace_range(at..=at, changed);
        Some(number)
    }
}

impl Config {
    pub(super) fn json(&self) -> Json {
        json!({
            "cas_required": self.cas_required,
            "delete_version_after": durations::text(self.delete_version_after),
            "max_versions": self.max_versions,
            "metadata_cas_required": self.metadata_cas_required,
        })
    }
}

impl Change {
    fn is_empty(&self) -> bool {
        self.max_versions.is_none()
            && self.cas_required.is_none()
            && self.metadata_cas_required.is_none()
            && self.delete_version_after.is_none()
            && self.custom.is_none()
    }
}

impl Key {
    fn new(now: Timestamp) -> Self {
        Self {
            created: now,
            updated: now,
            current: 0,
            oldest: 0,
            max_versions: 0,
            cas_required: false,
            metadata_cas_required: false,
            metadata_version: 0,
            delete_version_after: 0,
            custom: None,
            versions: BTreeMap::new(),
        }
    }

    /// Drops the oldest versions past the most that key or engine wants; happens at writes only.
    fn prune(&mut self, of_engine: u32) {
        let most = match self.max_versions.max(of_engine) {
            0 => DEFAULT_MOST,
            most => most,
        };
        if self.versions.len() <= most as usize {
            return;
        }
        self.oldest = self.current - u64::from(most) + 1;
        self.versions = self.versions.split_off(&self.oldest);
    }

    pub(super) fn custom(&self) -> Option<&BTreeMap<String, String>> {
        self.custom.as_ref()
    }

    /// As the server tells it.
    pub(super) fn json(&self) -> Json {
        let row = |(number, version): (&u64, &Version)| {
            let row = json!({
                "created_time": version.created, "deletion_time": version.deletion(), "destroyed": version.destroyed
            });
            (number.to_string(), row)
        };
        json!({
            "cas_required": self.cas_required,
            "created_time": self.created,
            "current_metadata_version": self.metadata_version,
            "current_version": self.current,
            "custom_metadata": self.custom,
            "delete_version_after": durations::text(self.delete_version_after),
            "max_versions": self.max_versions,
            "metadata_cas_required": self.metadata_cas_required,
            "oldest_version": self.oldest,
            "updated_time": self.updated,
            "versions": self.versions.iter().map(row).collect::<serde_json::Map<_, _>>(),
        })
    }

    /// What is said of one version, with the key's own words.
    pub(super) fn version_json(&self, number: u64) -> Json {
        let Some(version) = self.versions.get(&number) else { return Json::Null };
        json!({
            "created_time": version.created, "custom_metadata": self.custom, "deletion_time": version.deletion(),
            "destroyed": version.destroyed, "version": number,
        })
    }
}

impl Version {
    /// The value, unless it is deleted by now or destroyed.
    pub(super) fn value(&self, now: Timestamp) -> Option<&Zeroizing<String>> {
        self.value.as_ref().filter(|_| self.deletion.is_none_or(|time| time > now))
    }

    fn deletion(&self) -> String {
        self.deletion.map_or_else(String::new, |time| time.to_string())
    }
}

/// How long a new version lives: the shorter of what engine and key say, unless the engine says never.
fn lifetime(of_engine: Nanos, of_key: Nanos) -> Option<Nanos> {
    match (of_engine, of_key) {
        (..0, _) | (_, ..0) | (0, 0) => None,
        (0, one) | (one, 0) => Some(one),
        (one, other) => Some(one.min(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn put(engine: &mut Engine, name: &str, cas: Option<u64>, at: i64) -> Result<u64, Refused> {
        engine.write(name, Zeroizing::new("{\"v\":\"one\"}".into()), cas, now(at)).map(|(_, number)| number)
    }

    fn filled(versions: i64) -> Engine {
        let mut engine = Engine::default();
        (0..versions).for_each(|at| assert!(put(&mut engine, "k", None, at).is_ok()));
        engine
    }

    fn rows(engine: &Engine) -> Vec<u64> {
        engine.keys["k"].versions.keys().copied().collect()
    }

    fn readable(engine: &Engine, number: u64, at: i64) -> bool {
        engine.read("k", number).is_some_and(|(_, _, version)| version.value(now(at)).is_some())
    }

    #[test]
    fn ten_versions_are_kept_and_the_oldest_moves() {
        let engine = filled(10);
        assert_eq!((engine.keys["k"].oldest, rows(&engine).len()), (0, 10));
        let engine = filled(12);
        assert_eq!((engine.keys["k"].oldest, rows(&engine)), (3, (3..=12).collect()));
        assert!(engine.read("k", 2).is_none() && engine.read("k", 0).is_some_and(|(_, number, _)| number == 12));
    }

    #[test]
    fn fewer_versions_prune_at_the_next_write_and_the_larger_wish_counts() {
        let mut engine = filled(12);
        let change = Change { max_versions: Some(3), ..Change::default() };
        engine.describe("k", change, now(20)).unwrap();
        assert_eq!(rows(&engine).len(), 10, "not before a write");
        put(&mut engine, "k", None, 21).unwrap();
        assert_eq!(rows(&engine), [11, 12, 13]);
        engine.config.max_versions = 5;
        (0..4).for_each(|at| assert!(put(&mut engine, "k", None, 30 + at).is_ok()));
        assert_eq!(rows(&engine), [13, 14, 15, 16, 17]);
    }

    #[test]
    fn check_and_set_lets_one_writer_through() {
        let mut engine = Engine::default();
        assert_eq!(put(&mut engine, "k", Some(1), 0), Err(OTHER_CAS));
        assert_eq!(put(&mut engine, "k", Some(0), 0), Ok(1));
        assert_eq!(put(&mut engine, "k", Some(0), 0), Err(OTHER_CAS));
        assert_eq!(put(&mut engine, "k", Some(1), 0), Ok(2));
        engine.describe("k", Change { cas_required: Some(true), ..Change::default() }, now(1)).unwrap();
        assert_eq!(put(&mut engine, "k", None, 2), Err(NO_CAS));
        engine.config.cas_required = true;
        assert_eq!(put(&mut engine, "other", None, 2), Err(NO_CAS));
    }

    #[test]
    fn versions_are_deleted_brought_back_and_destroyed() {
        let mut engine = filled(3);
        engine.turn("k", Some(&[1, 2, 99]), Fate::Delete, now(10));
        assert!(!readable(&engine, 1, 10) && !readable(&engine, 2, 10) && readable(&engine, 3, 10));
        engine.turn("k", Some(&[1]), Fate::Undelete, now(11));
        engine.turn("k", Some(&[2]), Fate::Destroy, now(11));
        engine.turn("k", Some(&[2]), Fate::Undelete, now(12));
        assert!(readable(&engine, 1, 12) && !readable(&engine, 2, 12), "destroyed is for ever");
        let row = &engine.metadata("k").unwrap()["versions"]["2"];
        assert_eq!((&row["destroyed"], &row["deletion_time"]), (&json!(true), &json!("1970-01-01T00:00:10Z")));
        engine.turn("k", None, Fate::Delete, now(13));
        assert!(!readable(&engine, 0, 13));
        engine.turn("none", None, Fate::Delete, now(13));
        assert!(engine.keys.len() == 1, "nothing is made");
    }

    #[test]
    fn a_deletion_to_come_can_be_read_until_then() {
        let mut engine = Engine::default();
        let hour = Change { delete_version_after: Some(3600 * 1_000_000_000), ..Change::default() };
        engine.describe("k", hour, now(0)).unwrap();
        assert!(engine.metadata("k").unwrap()["versions"].as_object().unwrap().is_empty());
        put(&mut engine, "k", None, 0).unwrap();
        assert!(readable(&engine, 1, 3599) && !readable(&engine, 1, 3600));
        engine.config.delete_version_after = -1;
        put(&mut engine, "k", None, 0).unwrap();
        assert!(readable(&engine, 2, 1_000_000));
    }

    #[test]
    fn metadata_alone_make_a_key_and_nothing_makes_none() {
        let mut engine = Engine::default();
        engine.describe("k", Change::default(), now(0)).unwrap();
        assert!(engine.keys.is_empty());
        let custom = Some([("a".to_owned(), "b".to_owned())].into());
        engine.describe("k", Change { custom, ..Change::default() }, now(0)).unwrap();
        assert!(engine.read("k", 0).is_none());
        assert_eq!(put(&mut engine, "k", Some(0), 1), Ok(1));
        let seen = Change { seen: Some(0), cas_required: Some(true), ..Change::default() };
        assert_eq!(engine.describe("k", seen, now(2)), Err(OTHER_METADATA_CAS));
    }

    #[test]
    fn a_corrupt_value_is_one_byte_off() {
        let mut engine = filled(1);
        assert_eq!(engine.corrupt("k", 0), Some(1));
        let (_, _, version) = engine.read("k", 1).unwrap();
        assert_eq!(version.value(now(9)).unwrap().as_str(), "{\"v\":\"onx\"}");
    }
}
