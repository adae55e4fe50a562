//! The one way out: which proxy a connection takes and whose certificates it trusts, decided once for the whole process.
//!
//! Secrets Manager, STS, KMS, Organizations, the lookups of credentials and every storage connect through clients that are
//! built here, so that no library's own reading of the environment counts. What cannot be understood is an error: a
//! connection past a proxy that was meant is worse than none.

mod endpoint;
mod exceptions;
#[cfg(feature = "gcp")]
mod gcp;
mod guard;
#[cfg(feature = "vault")]
mod named;
mod object;
mod partition;
mod profile;
mod roots;
mod sdk;
#[cfg(feature = "vault")]
mod vault;

use std::{
    ffi::OsString,
    fmt,
    sync::{Arc, OnceLock},
};

use reqwest::Url;

pub use endpoint::{Endpoint, endpoint_of, is_set};
#[cfg(feature = "gcp")]
pub use gcp::{GcpCredentials, GcpSettings};
pub use object::Connector;
pub use partition::{host, is_awss_own, is_awss_s3, organizations_region, partition_name, s3_host};
pub use profile::{Profile, SignIn, profile_that_needs_a_code, signs_in_by};
#[cfg(feature = "vault")]
pub use vault::{VaultSettings, vault_token};

use exceptions::Exceptions;
use roots::Roots;

/// A setting of the environment or of the AWS configuration that cannot be used. Never repeats credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSetting(String);

impl BadSetting {
    /// A sentence without a full stop and without credentials.
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// A proxy that may answer later.
const SILENT_PROXY: &str = "the proxy does not answer";

/// A server that proves to nobody whom we trust that it is the one.
pub const UNTRUSTED: &str = "the endpoint's certificate is not trusted (AWS_CA_BUNDLE adds a CA of your own)";
/// A server that asks for a certificate, and got none or one that it does not accept.
const UNWELCOME: &str =
    "the endpoint requires a client certificate that it accepts (VAULT_CLIENT_CERT and VAULT_CLIENT_KEY)";

/// How connections leave this process.
#[derive(Debug)]
pub struct Outward {
    http: Option<Proxy>,
    https: Option<Proxy>,
    direct: Exceptions,
    roots: Roots,
    /// Of the storages' clients, made when the first of them connects.
    tls: OnceLock<rustls::ClientConfig>,
}

/// A proxy by its URL, with credentials where it needs some.
#[derive(Clone)]
struct Proxy(Url);

impl Outward {
    /// What the environment of this process says. It is read once: the environment of a process does not change.
    ///
    /// # Errors
    /// [`BadSetting`] when one of the variables cannot be understood.
    pub fn of_process() -> Result<Arc<Self>, BadSetting> {
        static DECIDED: OnceLock<Result<Arc<Outward>, BadSetting>> = OnceLock::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "the variables of every tool that connects; no flag stands for them"
        )]
        let read = || Self::read(&|name| std::env::var_os(name)).map(Arc::new);
        DECIDED.get_or_init(read).clone()
    }

    /// What these variables say: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` in both cases, `AWS_CA_BUNDLE`,
    /// `SSL_CERT_FILE`.
    fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, BadSetting> {
        let all = proxy(variable, "ALL_PROXY")?;
        // A CGI script gets a `Proxy:` header of its caller as HTTP_PROXY; <https://httpoxy.org>.
        let is_cgi = variable("REQUEST_METHOD").is_some();
        let http = if is_cgi { None } else { proxy(variable, "HTTP_PROXY")? };
        let direct = match text(variable, "NO_PROXY")? {
            Some((name, list)) => Exceptions::parse(&list)
                .map_err(|entry| BadSetting(format!("{name}: {entry:?} is not a host, domain, address or network")))?,
            None => Exceptions::default(),
        };
        endpoint::check_variables(variable)?;
        let https = proxy(variable, "HTTPS_PROXY")?.or_else(|| all.clone());
        Ok(Self { http: http.or(all), https, direct, roots: Roots::read(variable)?, tls: OnceLock::new() })
    }

    /// The proxy of a connection. Loopback and link-local addresses and Google's metadata server are on this side of every
    /// proxy, as Go's and Google's own clients have it: credentials of the instance must not leave the machine.
    fn proxy_of(&self, url: &Url) -> Option<&Proxy> {
        let proxy = if url.scheme() == "https" { self.https.as_ref() } else { self.http.as_ref() }?;
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default();
        (!exceptions::is_near(host) && !self.direct.holds(host, port)).then_some(proxy)
    }

    fn has_proxy(&self) -> bool {
        self.http.is_some() || self.https.is_some()
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({})", self.0.host_str().unwrap_or_default())
    }
}

/// A variable in capitals, or else in small letters; an empty one says nothing.
fn text(variable: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Result<Option<(String, String)>, BadSetting> {
    for name in [name.to_owned(), name.to_ascii_lowercase()] {
        match variable(&name).map(OsString::into_string) {
            Some(Ok(value)) if !value.trim().is_empty() => return Ok(Some((name, value.trim().to_owned()))),
            Some(Err(_)) => return Err(BadSetting(format!("{name} is not UTF-8"))),
            _ => {}
        }
    }
    Ok(None)
}

/// The proxy that a variable names. Its value is not repeated: it may hold a password.
fn proxy(variable: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Result<Option<Proxy>, BadSetting> {
    let Some((name, value)) = text(variable, name)? else { return Ok(None) };
    let refuse = |what: &str| BadSetting(format!("{name} {what} (expected http://HOST:PORT)"));
    // As curl reads it: without a scheme a proxy speaks HTTP.
    let value = if value.contains("://") { value } else { format!("http://{value}") };
    let url = Url::parse(&value).map_err(|_| refuse("is not the address of a proxy"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refuse("is not an HTTP or HTTPS proxy"));
    }
    let is_bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    if url.host_str().is_none_or(str::is_empty) || !is_bare || !sdk::can_use(&url) {
        return Err(refuse("is not the address of a proxy"));
    }
    Ok(Some(Proxy(url)))
}

/// Why a connection was not made, in a sentence, where proxy or certificate are the reason.
pub fn reason(error: &(dyn std::error::Error + 'static)) -> Option<&'static str> {
    let texts = std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string);
    let text = texts.collect::<Vec<_>>().join(": ").to_ascii_lowercase();
    if text.contains("fatal alert") && text.contains("cert") {
        Some(UNWELCOME)
    } else if text.contains("certificate") || text.contains("unknownissuer") {
        Some(UNTRUSTED)
    } else if text.contains("proxy authorization required") {
        Some("the proxy requires valid credentials")
    } else if text.contains("tunnel error: unsuccessful") {
        Some("the proxy refuses to connect to the endpoint")
    } else if text.contains("tunnel error") {
        Some(SILENT_PROXY)
    } else {
        None
    }
}

/// Why there was no answer, in plain words of our own.
pub fn silence(error: &(dyn std::error::Error + 'static)) -> &'static str {
    if let Some(reason) = reason(error) {
        return reason;
    }
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::ConnectionRefused => return "connection refused",
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe => return "connection lost",
                std::io::ErrorKind::TimedOut => return "connection timed out",
                _ => {}
            }
        }
        let text = cause.to_string();
        if text.contains("lookup address") || text.contains("dns error") {
            return "the endpoint's name does not resolve";
        }
    }
    "no answer from the endpoint"
}

/// Whether waiting does not change such a reason.
pub fn is_final(reason: &str) -> bool {
    reason != SILENT_PROXY
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Outward, BadSetting> {
        Outward::read(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into()))
    }

    fn taken(outward: &Outward, url: &str) -> Option<String> {
        outward.proxy_of(&Url::parse(url).unwrap()).map(|proxy| proxy.0.to_string())
    }

    #[test]
    fn each_scheme_has_its_proxy_in_either_case() {
        for (variables, https, http) in [
            (&[][..], None, None),
            (&[("HTTPS_PROXY", "http://a:1")], Some("http://a:1/"), None),
            (&[("https_proxy", "a:1")], Some("http://a:1/"), None),
            (&[("HTTPS_PROXY", ""), ("https_proxy", "a:1")], Some("http://a:1/"), None),
            (&[("HTTPS_PROXY", "a:1"), ("https_proxy", "b:1")], Some("http://a:1/"), None),
            (&[("HTTP_PROXY", "https://a:1")], None, Some("https://a:1/")),
            (&[("http_proxy", "a:1"), ("all_proxy", "b:1")], Some("http://b:1/"), Some("http://a:1/")),
            (
                &[("ALL_PROXY", "http://user:p%40ss@a:1")],
                Some("http://user:p%40ss@a:1/"),
                Some("http://user:p%40ss@a:1/"),
            ),
            (&[("HTTP_PROXY", "a:1"), ("REQUEST_METHOD", "GET")], None, None),
        ] {
            let outward = read(variables).unwrap();
            assert_eq!(taken(&outward, "https://sts.amazonaws.com").as_deref(), https, "{variables:?}");
            assert_eq!(taken(&outward, "http://vault.example:8200").as_deref(), http, "{variables:?}");
        }
    }

    #[test]
    fn what_is_on_this_side_takes_no_proxy() {
        let outward = read(&[("ALL_PROXY", "a:1"), ("no_proxy", "inside.example")]).unwrap();
        for near in [
            "http://127.0.0.1:4566",
            "https://localhost",
            "http://[::1]:1",
            "http://169.254.169.254/latest",
            "http://169.254.170.23",
            "http://[fe80::1]",
            "http://[fd00:ec2::254]",
            "http://metadata.google.internal",
            "https://inside.example",
            "https://a.inside.example",
        ] {
            assert_eq!(taken(&outward, near), None, "{near}");
        }
        for far in
            ["https://localhost.example", "https://notinside.example", "http://128.0.0.1", "http://[2001:db8::1]"]
        {
            assert!(taken(&outward, far).is_some(), "{far}");
        }
    }

    #[test]
    fn what_is_no_proxy_is_an_error_without_its_password() {
        for value in [
            "http://",
            "http://user:hunter2@",
            "socks5://user:hunter2@a:1",
            "http://user:hunter2@a:99999",
            "a b",
            "http://user:hunter2@a:1/path",
            "http://user:hunter2#@a:1",
            "http://a:1?hunter2",
        ] {
            for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"] {
                let error = read(&[(name, value)]).unwrap_err().to_string();
                assert!(error.starts_with(name) && error.contains("http://HOST:PORT"), "{error}");
                assert!(!error.contains("hunter2"), "{error}");
            }
        }
        let error = read(&[("NO_PROXY", "a.example,http://b")]).unwrap_err().to_string();
        assert_eq!(error, "NO_PROXY: \"http://b\" is not a host, domain, address or network");
    }

    #[test]
    fn a_proxys_password_is_in_no_debug_text() {
        let outward = read(&[("ALL_PROXY", "http://user:hunter2@a:1")]).unwrap();
        assert!(!format!("{outward:?}").contains("hunter2"));
    }
}
