//! What a restore across kinds writes beside a secret, so that the way back gives what was there before.
//!
//! It is JSON in base64url, whose characters every kind takes, cut into pieces that are tags of their own, `lifeboat.0` and so
//! on. It holds no value.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::model::{Digest, Tag, Withheld};

/// What every piece's key begins with.
const KEY: &str = "lifeboat.";

/// What of a secret has no place of its own in the target's kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Carried {
    /// The kind it came from, by its scheme.
    pub from: String,
    /// The name, where the target's kind takes fewer characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// Tags that are none in the target's kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Versions by their ids in the target: the id and the labels in the source.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub versions: BTreeMap<String, (String, Vec<String>)>,
    /// Settings of the source's kind.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
    /// Versions by their ids in the target that are bytes and not text in the source.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub bytes: BTreeSet<String>,
    /// Those that are empty in the source, where the target takes nothing empty.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub empty: BTreeSet<String>,
    /// Versions of the source that have no value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub withheld: BTreeMap<String, Withheld>,
}

impl Carried {
    /// The tags that hold it, at most `room` of them with values of at most `longest` bytes; `None` where it does not fit.
    pub fn tags(&self, room: usize, longest: usize) -> Option<Vec<Tag>> {
        let json = serde_json::to_string(self).expect("plain data");
        let text = format!("{}.{}", checksum(&json), URL_SAFE_NO_PAD.encode(&json));
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(longest).collect();
        let piece = |(number, piece): (usize, &&[u8])| Tag {
            key: format!("{KEY}{number}"),
            value: String::from_utf8_lossy(piece).into_owned(),
        };
        (pieces.len() <= room).then(|| pieces.iter().enumerate().map(piece).collect())
    }

    /// The same with as much of it as there is room for, and the names of what there is none for: the longest tags go first,
    /// then the description, and only then all of it.
    pub fn squeezed(mut self, room: usize, longest: usize) -> (Vec<Tag>, Vec<String>) {
        let mut lost = Vec::new();
        loop {
            if let Some(tags) = self.tags(room, longest) {
                return (tags, lost);
            }
            let length = |(key, value): (&String, &String)| key.len() + value.len();
            if let Some(key) = self.tags.iter().max_by_key(|tag| length(*tag)).map(|(key, _)| key.clone()) {
                self.tags.remove(&key);
                lost.push(format!("tag {key}"));
            } else if self.description.take().is_some() {
                lost.push("description".to_owned());
            } else {
                lost.push("metadata".to_owned());
                return (Vec::new(), lost);
            }
        }
    }

    /// Whether a key is one that a piece can have.
    pub fn is_piece(key: &str) -> bool {
        number(key).is_some()
    }

    /// What tags hold of it, and the other tags.
    pub fn read(tags: &[Tag]) -> (Option<Self>, Vec<Tag>) {
        let number = |tag: &Tag| number(&tag.key);
        let mut pieces: Vec<(usize, &str)> =
            tags.iter().filter_map(|tag| Some((number(tag)?, tag.value.as_str()))).collect();
        pieces.sort_unstable();
        let text: String = pieces.into_iter().map(|(_, piece)| piece).collect();
        let (sum, text) = text.split_once('.').unwrap_or_default();
        let json = URL_SAFE_NO_PAD.decode(text).ok().and_then(|json| String::from_utf8(json).ok()).unwrap_or_default();
        match serde_json::from_str::<Self>(&json) {
            Ok(carried) if checksum(&json) == sum => {
                (Some(carried), tags.iter().filter(|tag| number(tag).is_none()).cloned().collect())
            }
            // Somebody's own, or cut by somebody: a tag like any other.
            _ => (None, tags.to_vec()),
        }
    }
}

/// The number of a piece.
fn number(key: &str) -> Option<usize> {
    key.strip_prefix(KEY)?.parse().ok()
}

/// Tells a whole text from one that lacks a piece.
fn checksum(json: &str) -> String {
    Digest::of(json.as_bytes()).to_string()[..8].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Carried {
        Carried {
            from: "aws".into(),
            description: Some("größe 🔑 \u{7f} \"quoted\"".into()),
            versions: (1..60).map(|n| (n.to_string(), (format!("id-{n}"), vec!["A B=1".into()]))).collect(),
            withheld: [("7".into(), Withheld::Destroyed)].into(),
            ..Carried::default()
        }
    }

    #[test]
    fn it_comes_back_from_its_pieces_in_any_order() {
        let own = Tag { key: "lifeboat.x".into(), value: "a person's".into() };
        let mut tags = full().tags(64, 100).unwrap();
        assert!(tags.len() > 10 && tags.iter().all(|tag| tag.value.len() <= 100));
        assert!(
            tags.iter().all(|tag| tag.value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)))
        );
        tags.push(own.clone());
        tags.reverse();
        assert_eq!(Carried::read(&tags), (Some(full()), vec![own]));
        assert_eq!(full().tags(5, 100), None);
    }

    #[test]
    fn what_has_no_room_goes_by_name_and_the_versions_last() {
        let tags = BTreeMap::from([("long".to_owned(), "x".repeat(900)), ("short".to_owned(), "y".to_owned())]);
        let all = Carried { tags, description: Some("d".repeat(400)), ..full() };
        let room = |carried: &Carried| carried.tags(64, 100).unwrap().len();
        let (kept, lost) = all.clone().squeezed(64, 100);
        assert_eq!((Carried::read(&kept).0, lost.len()), (Some(all.clone()), 0));
        let (kept, lost) = all.clone().squeezed(room(&all) - 1, 100);
        assert_eq!(lost, ["tag long"]);
        assert_eq!(Carried::read(&kept).0.unwrap().tags.len(), 1);
        let bare = Carried { description: None, ..full() };
        let (kept, lost) = all.clone().squeezed(room(&bare), 100);
        assert_eq!((lost.join(", "), Carried::read(&kept).0), ("tag long, tag short, description".into(), Some(bare)));
        assert_eq!(all.squeezed(1, 100).1.last().unwrap(), "metadata");
    }

    #[test]
    fn what_is_cut_is_nothing() {
        let mut tags = full().tags(64, 100).unwrap();
        tags.remove(3);
        assert_eq!(Carried::read(&tags), (None, tags.clone()));
        assert_eq!(Carried::read(&[]), (None, Vec::new()));
    }
}
