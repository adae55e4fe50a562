//! What Google's own tools read of their environment about an endpoint and credentials, and the connection that follows.
#![expect(clippy::disallowed_methods, reason = "the variables that gcloud and Google's libraries read")]

use std::{env, ffi::OsString, path::PathBuf, sync::Arc, time::Duration};

use reqwest::redirect::Policy;

use super::{BadSetting, Outward};

const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The domain of the services where nothing else is set.
const UNIVERSE: &str = "googleapis.com";
/// gcloud's property `api_endpoint_overrides/secretmanager`.
const ENDPOINT: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER";
/// gcloud's property `api_endpoint_overrides/cloudresourcemanager`.
const PROJECTS: &str = "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER";
/// gcloud's property `auth/disable_credentials`.
const ANONYMOUS: &str = "CLOUDSDK_AUTH_DISABLE_CREDENTIALS";
/// gcloud's property `auth/access_token_file`.
const TOKEN_FILE: &str = "CLOUDSDK_AUTH_ACCESS_TOKEN_FILE";
/// What Google's libraries read for clouds of their own.
const UNIVERSE_DOMAIN: &str = "GOOGLE_CLOUD_UNIVERSE_DOMAIN";

/// Where the services are, and as whom one comes. Holds no token and no key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpSettings {
    /// One endpoint for every location, instead of Google's.
    pub endpoint: Option<String>,
    /// The endpoint of the projects' service, instead of Google's.
    pub projects: Option<String>,
    /// The domain that Google's own endpoints are below.
    pub universe: String,
    /// As whom one comes.
    pub credentials: GcpCredentials,
}

/// As whom one comes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GcpCredentials {
    /// Application default credentials, as every tool of Google's finds them.
    #[default]
    Default,
    /// The token in a file, read for every request.
    TokenFile(PathBuf),
    /// Nobody: for a sandbox.
    Anonymous,
}

impl Default for GcpSettings {
    fn default() -> Self {
        Self { endpoint: None, projects: None, universe: UNIVERSE.into(), credentials: GcpCredentials::Default }
    }
}

impl GcpSettings {
    /// What the environment of this process says.
    ///
    /// # Errors
    /// [`BadSetting`] when one of the variables cannot be understood.
    pub fn of_process() -> Result<Self, BadSetting> {
        Self::read(&|name| env::var_os(name))
    }

    /// Those of a sandbox at this endpoint.
    pub fn sandbox(endpoint: &str) -> Self {
        Self {
            endpoint: Some(endpoint.to_owned()),
            projects: Some(endpoint.to_owned()),
            credentials: GcpCredentials::Anonymous,
            ..Self::default()
        }
    }

    fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, BadSetting> {
        let text = |name: &str| match variable(name).map(OsString::into_string) {
            Some(Ok(value)) if !value.trim().is_empty() => Ok(Some(value.trim().to_owned())),
            Some(Err(_)) => Err(BadSetting::new(format!("{name} is not UTF-8"))),
            _ => Ok(None),
        };
        let is_anonymous = match text(ANONYMOUS)?.map(|word| word.to_ascii_lowercase()).as_deref() {
            None | Some("false" | "0" | "no" | "off") => false,
            Some("true" | "1" | "yes" | "on") => true,
            Some(_) => return Err(BadSetting::new(format!("{ANONYMOUS} must be true or false"))),
        };
        let credentials = match text(TOKEN_FILE)? {
            _ if is_anonymous => GcpCredentials::Anonymous,
            Some(file) => GcpCredentials::TokenFile(file.into()),
            None => GcpCredentials::Default,
        };
        let universe = text(UNIVERSE_DOMAIN)?.unwrap_or_else(|| UNIVERSE.into());
        let is_domain = universe.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte));
        if !is_domain {
            return Err(BadSetting::new(format!("{UNIVERSE_DOMAIN}: {universe:?} is not a domain")));
        }
        let (endpoint, projects) = (text(ENDPOINT)?, text(PROJECTS)?);
        Ok(Self { endpoint, projects, universe, credentials })
    }
}

impl Outward {
    /// A client of Google's services that takes the one way out. It follows no redirect: what a request was meant for answers it,
    /// or nobody.
    ///
    /// # Errors
    /// [`BadSetting`] when the client cannot be made.
    pub fn gcp_client(self: &Arc<Self>) -> Result<reqwest::Client, BadSetting> {
        let builder = self.http().map_err(|error| BadSetting::new(error.to_string()))?;
        let builder = builder.timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none());
        builder.build().map_err(|error| BadSetting::new(error.without_url().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<GcpSettings, String> {
        let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        GcpSettings::read(&of).map_err(|error| error.to_string())
    }

    #[test]
    fn the_variables_are_gclouds_own() {
        assert_eq!(read(&[]), Ok(GcpSettings::default()));
        let set = read(&[(ENDPOINT, " http://127.0.0.1:1/ "), (ANONYMOUS, "True"), (TOKEN_FILE, "t")]).unwrap();
        assert_eq!(set.endpoint.as_deref(), Some("http://127.0.0.1:1/"));
        assert_eq!(set.credentials, GcpCredentials::Anonymous);
        let file = read(&[(TOKEN_FILE, "/run/token"), (ANONYMOUS, "0")]).unwrap();
        assert_eq!(file.credentials, GcpCredentials::TokenFile("/run/token".into()));
        assert!(read(&[(ANONYMOUS, "perhaps")]).unwrap_err().starts_with(ANONYMOUS));
        assert!(read(&[(UNIVERSE_DOMAIN, "a/b")]).unwrap_err().starts_with(UNIVERSE_DOMAIN));
    }
}
