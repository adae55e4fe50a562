//! What a drill must not touch: connections to what counts as lost are refused by the process itself, and counted.

mod region;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use serde::{Deserialize, Serialize};

pub use region::{REGIONS, region_name};

/// What counts as lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lost {
    /// Regions: every host named after one, and every request signed for one.
    pub regions: Vec<String>,
    /// Endpoints by URL or host, with their port if one is given.
    pub endpoints: Vec<String>,
    /// Storage addresses, with everything below them.
    pub storages: Vec<String>,
}

/// A guard that connections pass, and its book. Shared by everything that connects during one run.
#[derive(Debug, Default)]
pub struct Isolation {
    lost: Lost,
    refused: AtomicU64,
    contacted: Mutex<BTreeSet<String>>,
}

/// A connection that was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} counts as lost in this run ({because}); no connection was made")]
pub struct Refused {
    what: String,
    because: String,
}

impl Lost {
    /// Regions as AWS writes them.
    #[must_use]
    pub fn normal(mut self) -> Self {
        self.regions.iter_mut().for_each(|region| *region = region_name(region));
        self
    }

    /// Whether a region is lost, however it is written.
    pub fn has_region(&self, region: &str) -> bool {
        self.regions.iter().any(|lost| region_name(lost) == region_name(region))
    }

    /// Whether nothing is lost.
    pub fn is_empty(&self) -> bool {
        self.regions.is_empty() && self.endpoints.is_empty() && self.storages.is_empty()
    }
}

impl Isolation {
    /// A guard of everything in `lost`.
    pub fn new(lost: Lost) -> Self {
        Self { lost: lost.normal(), ..Self::default() }
    }

    /// What counts as lost.
    pub fn lost(&self) -> &Lost {
        &self.lost
    }

    /// Connections refused so far.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The hosts and storages contacted so far, sorted.
    pub fn contacted(&self) -> Vec<String> {
        self.contacted.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Lets a request to `host` (with `:port` where the address has one) pass, `region` being the one it is signed for.
    ///
    /// # Errors
    /// [`Refused`] when it leads to something lost.
    pub fn admit(&self, host: &str, region: Option<&str>) -> Result<(), Refused> {
        let lost_region = self.lost.regions.iter().find(|lost| is_of(host, lost) || is_same(region, lost));
        let lost_endpoint = || self.lost.endpoints.iter().find(|lost| leads_to(host, lost));
        if let Some(because) = lost_region.or_else(lost_endpoint) {
            return Err(self.refuse(host, because));
        }
        self.note(host);
        Ok(())
    }

    /// Lets a storage at `address` be opened, `region` being the one its address or configuration names.
    ///
    /// # Errors
    /// [`Refused`] when it is lost.
    pub fn admit_storage(&self, address: &str, region: Option<&str>) -> Result<(), Refused> {
        let below = |lost: &String| {
            let (address, lost) = (plain(address), plain(lost));
            address.strip_prefix(lost).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        let lost_region = self.lost.regions.iter().find(|lost| is_same(region, lost));
        if let Some(because) = lost_region.or_else(|| self.lost.storages.iter().find(|lost| below(lost))) {
            return Err(self.refuse(address, because));
        }
        self.note(plain(address));
        Ok(())
    }

    fn refuse(&self, what: &str, because: &str) -> Refused {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Refused { what: what.to_owned(), because: because.to_owned() }
    }

    fn note(&self, what: &str) {
        let mut contacted = self.contacted.lock().unwrap_or_else(PoisonError::into_inner);
        if !contacted.contains(what) {
            contacted.insert(what.to_owned());
        }
    }
}

fn is_same(region: Option<&str>, lost: &str) -> bool {
    region.is_some_and(|region| region_name(region) == lost)
}

/// Whether a host is named after a region: `secretsmanager.eu-west-1.amazonaws.com`, `b.s3-eu-west-1.amazonaws.com`.
fn is_of(host: &str, region: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let label = |label: &str| label == region || label.strip_prefix("s3-").is_some_and(|rest| rest == region);
    name.to_ascii_lowercase().split('.').any(label)
}

fn leads_to(host: &str, lost: &str) -> bool {
    let authority = lost.split_once("://").map_or(lost, |(_, rest)| rest);
    let authority = authority.split(['/', '?']).next().unwrap_or_default();
    let bare = host.rsplit_once(':').map_or(host, |(name, _)| name);
    host.eq_ignore_ascii_case(authority) || (!authority.contains(':') && bare.eq_ignore_ascii_case(authority))
}

/// An address without its scheme for folders, its options and its last slash.
fn plain(address: &str) -> &str {
    let address = address.split_once('?').map_or(address, |(address, _)| address);
    address.strip_prefix("file://").unwrap_or(address).trim_end_matches('/')
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.regions.iter().chain(&self.endpoints).chain(&self.storages);
        f.write_str(&all.map(String::as_str).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Isolation {
        Isolation::new(Lost {
            regions: vec![" EU-Central-1".into()],
            endpoints: vec!["http://127.0.0.1:4599".into(), "vault.internal".into()],
            storages: vec!["/srv/lifeboat/".into(), "s3://primary/prod".into()],
        })
    }

    #[test]
    fn every_way_to_the_lost_is_refused_and_counted() {
        let guard = guard();
        for (host, region) in [
            ("secretsmanager.eu-central-1.amazonaws.com", None),
            ("SECRETSMANAGER.EU-CENTRAL-1.amazonaws.com:443", None),
            ("sts.eu-central-1.amazonaws.com", None),
            ("bucket.s3.eu-central-1.amazonaws.com", None),
            ("bucket.s3-eu-central-1.amazonaws.com", None),
            ("secretsmanager.eu-central-1.api.aws", None),
            ("127.0.0.1:9000", Some("eu-central-1")),
            ("127.0.0.1:9000", Some("EU-CENTRAL-1")),
            ("127.0.0.1:4599", Some("eu-west-1")),
            ("vault.internal:8200", None),
        ] {
            assert!(guard.admit(host, region).is_err(), "{host}");
        }
        for (address, region) in [
            ("/srv/lifeboat", None),
            ("file:///srv/lifeboat/sub", None),
            ("s3://primary/prod?region=eu-west-1", None),
            ("s3://other/x", Some("eu-central-1")),
            ("s3://other/x", Some("eu-Central-1")),
        ] {
            assert!(guard.admit_storage(address, region).is_err(), "{address}");
        }
        assert_eq!((guard.refused(), guard.contacted()), (15, vec![]));
    }

    #[test]
    fn everything_else_passes_and_is_noted_once() {
        let guard = guard();
        for host in ["secretsmanager.eu-central-2.amazonaws.com", "eu-central-1a.example", "127.0.0.1:4598"] {
            guard.admit(host, Some("eu-west-1")).unwrap();
            guard.admit(host, None).unwrap();
        }
        for address in ["/srv/lifeboat-west", "s3://primary/production?region=eu-west-1"] {
            guard.admit_storage(address, None).unwrap();
        }
        assert_eq!(guard.refused(), 0);
        assert_eq!(guard.contacted().len(), 5);
    }
}
