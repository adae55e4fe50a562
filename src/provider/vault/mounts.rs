//! Which KV engines there are.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::{About, Client};
use crate::provider::{ErrorKind, ProviderError};

/// One KV engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its path, without slashes around it.
    pub path: String,
    /// Its identity: another engine at the same path has another one.
    pub uuid: String,
    /// Its version.
    pub engine: Engine,
}

/// The two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One value a key, without versions.
    One,
    /// Numbered versions.
    Two,
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

#[derive(Deserialize)]
struct All {
    secret: BTreeMap<String, Told>,
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
        let mount = engine(path, told)?.ok_or_else(|| {
            ABOUT.failed(ErrorKind::Invalid, "NotKv", &format!("the mount {path} is not a KV engine"))
        })?;
        match mount.engine {
            Engine::Two => Ok(mount),
            Engine::One => {
                let words = format!("{path} is KV version 1, which has no versions; this build reads version 2");
                Err(ABOUT.failed(ErrorKind::Invalid, "KvVersion1", &words))
            }
        }
    }

    /// Every KV engine that the token sees, by path.
    pub(super) async fn mounts(&self) -> Result<Vec<Mount>, ProviderError> {
        let answer = self.get(ABOUT, &PATH, &[]).await?;
        let all: All = answer.data(ABOUT)?.ok_or_else(|| ABOUT.bad("the answer has no list of mounts"))?;
        all.secret.into_iter().filter_map(|(path, told)| engine(path.trim_matches('/'), told).transpose()).collect()
    }
}

/// `None`: no KV engine.
fn engine(path: &str, told: Told) -> Result<Option<Mount>, ProviderError> {
    if told.r#type != "kv" {
        return Ok(None);
    }
    if told.uuid.is_empty() {
        return Err(ABOUT.bad("the answer has no UUID for the mount"));
    }
    let version = told.options.as_ref().and_then(|options| options.get("version"));
    let engine = match version.map_or("1", String::as_str) {
        "2" => Engine::Two,
        "1" => Engine::One,
        _ => return Err(ABOUT.bad("the mount is of a KV version that this build does not know")),
    };
    Ok(Some(Mount { path: path.to_owned(), uuid: told.uuid, engine }))
}
