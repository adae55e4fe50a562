//! Backups of one secret as the service hands them out: text that it alone can open. Here it is sealed by a key that dies with
//! the process, so that nobody takes a sandbox's blob for something to keep.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};
use std::sync::OnceLock;
use zeroize::Zeroizing;

use super::state::{Secret, Version, hex32};

/// What the blob of every sandbox of this process is sealed by.
fn key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(hex32)
}

/// A stream by the key, for a sandbox: what matters is that nobody reads values in a blob.
fn turned(bytes: &[u8]) -> Vec<u8> {
    let block = |number: usize| Sha256::digest(format!("{}{number}", key()));
    bytes
        .chunks(32)
        .enumerate()
        .flat_map(|(at, chunk)| {
            let block = block(at);
            chunk.iter().zip(block).map(|(byte, other)| byte ^ other).collect::<Vec<_>>()
        })
        .collect()
}

/// The whole secret.
pub(super) fn seal(secret: &Secret) -> String {
    let version = |version: &Version| {
        json!([
            version.id,
            version.value.as_str(),
            version.content_type,
            version.tags,
            version.enabled,
            version.not_before,
            version.expires,
            version.created,
            version.updated
        ])
    };
    let versions: Vec<Json> = secret.versions.iter().map(version).collect();
    let text = Zeroizing::new(json!([secret.name, secret.is_managed, versions]).to_string());
    URL_SAFE_NO_PAD.encode(turned(text.as_bytes()))
}

/// The secret of a blob.
pub(super) fn open(blob: &str) -> Option<Secret> {
    let text = Zeroizing::new(turned(&URL_SAFE_NO_PAD.decode(blob.trim_end_matches('=')).ok()?));
    let (name, is_managed, versions): (String, bool, Vec<Json>) = serde_json::from_slice(&text).ok()?;
    let version = |json: Json| {
        let (id, value, content_type, tags, enabled, not_before, expires, created, updated) =
            serde_json::from_value(json).ok()?;
        let value: String = value;
        let value = Zeroizing::new(value);
        Some(Version { id, value, content_type, tags, enabled, not_before, expires, created, updated })
    };
    let versions: Option<Vec<Version>> = versions.into_iter().map(version).collect();
    Some(Secret { name, versions: versions?, is_managed, lag: 0 })
}
