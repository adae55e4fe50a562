//! Which KV engine is at a path.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{
    client::{About, Client},
    server::{Mounted, NAMESPACE},
};
use crate::provider::{ErrorKind, ProviderError};

/// One KV engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Its path, without slashes around it.
    pub(super) path: String,
    /// Its identity: another engine at the same path has another one.
    pub(super) uuid: String,
    /// Whether it keeps versions: KV version 2.
    pub(super) has_versions: bool,
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
/// What every Vault has beside what was mounted; none of them is an engine of anybody's.
const OWN: [&str; 6] = ["cubbyhole", "identity", "system", "ns_cubbyhole", "ns_identity", "ns_system"];

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
        if !told.is_kv() {
            let words = format!("the mount {path} is not a KV engine");
            return Err(ABOUT.failed(ErrorKind::Invalid, "NotKv", &words));
        }
        if told.uuid.is_empty() {
            return Err(ABOUT.bad("the answer has no UUID for the mount"));
        }
        let version = told.options.as_ref().and_then(|options| options.get("version"));
        let has_versions = match version.map_or("1", String::as_str) {
            "2" => true,
            "1" => false,
            _ => return Err(ABOUT.bad("the mount is of a KV version that this build does not know")),
        };
        Ok(Mount { path: path.to_owned(), uuid: told.uuid, has_versions })
    }

    /// Everything that is mounted, as far as the token is told: what it may read below, and where it may read sys/mounts
    /// everything. An engine that it may not read is among them, so that it is missed by name.
    pub(super) async fn mounts(&self) -> Result<Mounted, ProviderError> {
        #[derive(Deserialize)]
        struct Seen {
            secret: BTreeMap<String, Told>,
        }
        let seen: Option<Seen> = self.get(ABOUT, &PATH, &[]).await?.data(ABOUT)?;
        let mut told = seen.ok_or_else(|| ABOUT.bad("the answer has no mounts"))?.secret;
        let about = About { operation: "sys/mounts", secret: None };
        match self.get(about, &["sys", "mounts"], &[]).await {
            Ok(answer) => {
                let all: Option<BTreeMap<String, Told>> = answer.data(about)?;
                told.extend(all.ok_or_else(|| about.bad("the answer has no mounts"))?);
            }
            Err(error) if error.kind == ErrorKind::Denied => {}
            Err(error) => return Err(error),
        }
        let mut mounts = Mounted::default();
        let own: BTreeSet<&str> = OWN.into_iter().collect();
        for (path, told) in told.into_iter().filter(|(_, told)| !own.contains(told.r#type.as_str())) {
            let path = path.trim_matches('/').to_owned();
            if path.is_empty() {
                return Err(ABOUT.bad("a mount has no path"));
            }
            if told.is_kv() { mounts.engines.push(path) } else { mounts.others.push((path, told.r#type)) }
        }
        mounts.others.extend(self.namespaces().await?.into_iter().map(|path| (path, NAMESPACE.to_owned())));
        Ok(mounts)
    }

    /// The child namespaces, as far as the token is told of them: a server without namespaces has none.
    async fn namespaces(&self) -> Result<Vec<String>, ProviderError> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            keys: Vec<String>,
        }
        let about = About { operation: "sys/namespaces", secret: None };
        let answer = match self.get(about, &["sys", "namespaces"], &[("list", "true")]).await {
            Err(error) if matches!(error.kind, ErrorKind::Denied | ErrorKind::Invalid | ErrorKind::NotFound) => {
                return Ok(Vec::new());
            }
            other => other?,
        };
        let page = answer.data::<Page>(about).ok().flatten();
        Ok(page.map_or_else(Vec::new, |page| page.keys.iter().map(|key| key.trim_matches('/').to_owned()).collect()))
    }
}

impl Told {
    /// Also by the name that early servers have for it.
    fn is_kv(&self) -> bool {
        matches!(self.r#type.as_str(), "kv" | "generic")
    }
}
