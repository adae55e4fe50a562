//! Which KV engine is at a path.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::{About, Client};
use crate::provider::{ErrorKind, ProviderError};

/// One KV engine of version 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its path, without slashes around it.
    pub(super) path: String,
    /// Its identity: another engine at the same path has another one.
    pub(super) uuid: String,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    path: String,
    r#type: String,
    #[serde(default)]
    uuid: String,
    #[serde(default)]
    options: Option<BTreeMap<String, String>>,
}

const ABOUT: About<'static> = About { operation: "sys/internal/ui/mounts", secret: None };
const PATH: [&str; 4] = ["sys", "internal", "ui", "mounts"];

impl Client {
    /// The engine at a path. A token sees it that may read below it; it needs no right on sys/mounts.
    pub(super) async fn mount(&self, path: &str) -> Result<Mount, ProviderError> {
        let segments: Vec<&str> = PATH.into_iter().chain(path.split('/')).collect();
        let answer = self.get(ABOUT, &segments, &[]).await.map_err(|error| match error.kind {
            // The same answer for what is not there and what is not to be seen.
            ErrorKind::Denied => {
                let words = format!("there is no mount {path}, or the token may read nothing below it");
                ABOUT.failed(ErrorKind::Denied, "PermissionDenied", &words)
            }
            _ => error,
        })?;
        let none = || ABOUT.failed(ErrorKind::NotFound, "NoMount", &format!("there is no mount {path}"));
        let told: Told = answer.data(ABOUT)?.ok_or_else(none)?;
        if told.path.trim_matches('/') != path {
            let words = format!("{path} is a path within the mount {}", told.path.trim_matches('/'));
            return Err(ABOUT.failed(ErrorKind::Invalid, "NoMount", &words));
        }
        let refuse = |kind, code, words: String| Err(ABOUT.failed(kind, code, &words));
        if told.r#type != "kv" {
            return refuse(ErrorKind::Invalid, "NotKv", format!("the mount {path} is not a KV engine"));
        }
        if told.uuid.is_empty() {
            return Err(ABOUT.bad("the answer has no UUID for the mount"));
        }
        let version = told.options.as_ref().and_then(|options| options.get("version"));
        match version.map_or("1", String::as_str) {
            "2" => Ok(Mount { path: path.to_owned(), uuid: told.uuid }),
            "1" => {
                let words = format!("{path} is KV version 1, which has no versions; this build reads version 2");
                refuse(ErrorKind::Invalid, "KvVersion1", words)
            }
            _ => Err(ABOUT.bad("the mount is of a KV version that this build does not know")),
        }
    }
}
