//! `gcp:PROJECT` and `gcp:PROJECT/LOCATION`.

use std::{fmt, str::FromStr};

use super::{GLOBAL, SCHEME};
use crate::model::Place;

/// Where secrets are. Holds no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpAddress {
    /// The project's id, or its number.
    pub project: String,
    /// The location, or `global`; `None` means global and every location.
    pub location: Option<String>,
}

/// Not an address of Secret Manager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} (expected gcp:PROJECT, gcp:PROJECT/global or gcp:PROJECT/LOCATION)")]
pub struct BadGcpAddress(String);

impl GcpAddress {
    /// The same project at one location.
    #[must_use]
    pub fn at(&self, location: &str) -> Self {
        Self { location: Some(location.to_owned()), ..self.clone() }
    }

    /// One place: without a location the global secrets are meant.
    #[must_use]
    pub fn one_place(&self) -> Self {
        self.at(self.location.as_deref().unwrap_or(GLOBAL))
    }

    /// Whether the project is named by its number.
    pub fn has_number(&self) -> bool {
        self.project.bytes().all(|byte| byte.is_ascii_digit())
    }

    /// Whether a place may be what this leads to. Which number an id has, only Google can tell.
    pub fn may_be(&self, place: &Place) -> bool {
        place.provider == SCHEME
            && (!self.has_number() || place.account == self.project)
            && self.location.as_ref().is_none_or(|location| *location == place.region)
    }
}

impl fmt::Display for GcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}:{}", self.project)?;
        self.location.iter().try_for_each(|location| write!(f, "/{location}"))
    }
}

impl FromStr for GcpAddress {
    type Err = BadGcpAddress;

    fn from_str(text: &str) -> Result<Self, BadGcpAddress> {
        let bad = |what: &str| BadGcpAddress(format!("{text:?} {what}"));
        let rest = text.strip_prefix("gcp:").ok_or_else(|| bad("does not begin with gcp:"))?;
        let (project, location) = match rest.split_once('/') {
            Some((project, location)) => (project, Some(location)),
            None => (rest, None),
        };
        if !is_project(project) {
            return Err(bad("names no project"));
        }
        let is_location = |location: &str| {
            !location.is_empty()
                && location.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        };
        if location.is_some_and(|location| !is_location(location)) {
            return Err(bad("names no location"));
        }
        Ok(Self { project: project.to_owned(), location: location.map(str::to_owned) })
    }
}

/// A number, an id, or an old id with a domain before it.
fn is_project(text: &str) -> bool {
    let id = text.rsplit(':').next().unwrap_or_default();
    let is_id = (4..=30).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let is_domain = |domain: &str| {
        !domain.is_empty()
            && domain.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte))
    };
    is_id && text.rsplit_once(':').is_none_or(|(domain, _)| is_domain(domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_project_and_perhaps_a_location() {
        for text in ["gcp:acme-prod", "gcp:acme-prod/global", "gcp:123456789012/europe-west3", "gcp:example.com:acme"] {
            assert_eq!(text.parse::<GcpAddress>().unwrap().to_string(), text);
        }
        for text in ["gcp:", "gcp:a b", "gcp:acme-prod/", "gcp:acme-prod/a/b", "gcp:Acme", "acme", "gcp:acme/EU"] {
            assert!(text.parse::<GcpAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_is_compared_and_an_id_is_not() {
        let place = |account: &str, region: &str| Place {
            provider: "gcp".into(),
            account: account.into(),
            region: region.into(),
        };
        let means = |text: &str, place: &Place| text.parse::<GcpAddress>().unwrap().may_be(place);
        assert!(means("gcp:acme", &place("1234", "global")) && means("gcp:1234/global", &place("1234", "global")));
        assert!(!means("gcp:4321", &place("1234", "global")) && !means("gcp:acme/us-east1", &place("1234", "global")));
    }
}
