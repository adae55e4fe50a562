//! Endpoints that a person names, and the settings of the AWS SDK that choose between AWS's own.

use std::{ffi::OsString, fmt};

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;
use reqwest::Url;

use super::{BadSetting, exceptions::is_loopback, partition};

/// The variables that name endpoints of services that lifeboat talks to.
const ENDPOINTS: [&str; 8] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_ORGANIZATIONS",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
];
const SWITCHES: [&str; 2] = ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"];

/// The URL of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Understands `text`.
    ///
    /// # Errors
    /// A sentence that repeats no credentials.
    pub fn parse(text: &str) -> Result<Self, BadSetting> {
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let Some(url) = url.filter(|url| url.host_str().is_some_and(|host| !host.is_empty())) else {
            let shown = text.rsplit_once('@').map_or(text, |(_, rest)| rest);
            let shown = shown.split('?').next().unwrap_or_default();
            return Err(BadSetting(format!("the endpoint {shown:?} is not a URL (expected https://HOST)")));
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadSetting("credentials do not belong in the URL of an endpoint".into()));
        }
        Ok(Self(url))
    }

    /// Whether what is sent there can be read on the way: HTTP to another machine.
    pub fn is_in_clear(&self) -> bool {
        self.0.scheme() == "http" && !is_loopback(self.host())
    }

    /// Whether it speaks HTTP.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// The host.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether it is AWS's S3: also by a private link, in every partition.
    pub fn is_awss_s3(&self) -> bool {
        partition::is_awss_s3(self.host())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

/// The endpoint that the SDK's settings name for a service: `AWS_ENDPOINT_URL_S3`, a profile's `services` section, or
/// `AWS_ENDPOINT_URL`, as every AWS tool reads them.
///
/// # Errors
/// [`BadSetting`] for what is no URL.
pub fn endpoint_of(sdk: &SdkConfig, service: &str) -> Result<Option<Endpoint>, BadSetting> {
    let named = setting(sdk, service, "AWS_ENDPOINT_URL", "endpoint_url");
    let named = named.or_else(|| sdk.endpoint_url().map(str::to_owned));
    named.map(|text| Endpoint::parse(&text).map_err(|bad| BadSetting(format!("{service}: {bad}")))).transpose()
}

/// Whether a switch of the SDK is on, by its variable or its key in the profile.
///
/// # Errors
/// [`BadSetting`] for another word than `true` and `false`, which the SDK itself would pass over.
pub fn is_set(sdk: &SdkConfig, variable: &str, key: &str) -> Result<bool, BadSetting> {
    setting(sdk, "S3", variable, key).map_or(Ok(false), |word| switch(variable, &word))
}

fn setting(sdk: &SdkConfig, service: &str, variable: &str, key: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id(service).profile(key).env(variable).build().ok()?;
    sdk.service_config()?.load_config(key)
}

fn switch(name: &str, word: &str) -> Result<bool, BadSetting> {
    match word.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(BadSetting(format!("{name} must be true or false, not {word:?}"))),
    }
}

/// Refuses what the SDK would only write to its log, and go on without.
pub(super) fn check_variables(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<(), BadSetting> {
    let text = |name: &str| match variable(name).map(OsString::into_string) {
        Some(Ok(text)) => Ok(Some(text).filter(|text| !text.is_empty())),
        Some(Err(_)) => Err(BadSetting(format!("{name} is not UTF-8"))),
        None => Ok(None),
    };
    for name in SWITCHES {
        text(name)?.map_or(Ok(false), |word| switch(name, &word))?;
    }
    let is_ignored = text("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")?.is_some_and(|word| word.eq_ignore_ascii_case("true"));
    for name in ENDPOINTS.into_iter().filter(|_| !is_ignored) {
        if let Some(url) = text(name)? {
            Endpoint::parse(&url).map_err(|bad| BadSetting(format!("{name}: {bad}")))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, value: &str) -> Result<(), BadSetting> {
        check_variables(&|asked| (asked == name).then(|| value.into()))
    }

    #[test]
    fn an_endpoint_is_a_url_of_http_or_https() {
        for text in ["http://127.0.0.1:4566", "https://s3.eu-west-1.amazonaws.com", "https://[::1]:1/path"] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), text);
        }
        for text in ["localhost:4566", "foo", "", "http://", "ftp://a", "://a", "http://a b", "/x"] {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(error.contains("is not a URL (expected https://HOST)"), "{text}: {error}");
        }
        for text in ["https://user:hunter2@a", "user:hunter2@a", "https://user:hunter2@"] {
            let error = Endpoint::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn plain_http_stays_on_this_machine() {
        for here in
            ["http://127.0.0.1:1", "http://127.9.9.9", "http://localhost:4566", "http://[::1]", "https://a.example"]
        {
            assert!(!Endpoint::parse(here).unwrap().is_in_clear(), "{here}");
        }
        for away in
            ["http://a.example", "http://10.0.0.1", "http://localhost.example", "http://[fe80::1]", "http://0.0.0.0"]
        {
            assert!(Endpoint::parse(away).unwrap().is_in_clear(), "{away}");
        }
    }

    #[test]
    fn settings_that_the_sdk_would_pass_over_are_errors() {
        for name in ENDPOINTS {
            check(name, "https://a.example").unwrap();
            check(name, "").unwrap();
            let error = check(name, "localhost:4566").unwrap_err().to_string();
            assert!(error.starts_with(name), "{error}");
        }
        for name in SWITCHES {
            check(name, "True").unwrap();
            check(name, "false").unwrap();
            assert_eq!(
                check(name, "yes").unwrap_err().to_string(),
                format!("{name} must be true or false, not \"yes\"")
            );
        }
    }
}
