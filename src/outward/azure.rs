//! What every client of Azure reads of its environment, and the connection to a vault.
#![expect(clippy::disallowed_methods, reason = "the variables that every client of Azure reads")]

use std::{env, ffi::OsString, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use reqwest::redirect::Policy;
use rustls::{
    ClientConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use zeroize::Zeroizing;

use super::{BadSetting, Outward, text};

const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the variables say about the identity. Its `Debug` shows no secret.
#[derive(Clone, Default)]
pub struct AzureSettings {
    /// `AZURE_AUTHORITY_HOST`: where one signs in.
    pub authority: Option<String>,
    /// `AZURE_CLIENT_ID`.
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`.
    pub client_secret: Option<Zeroizing<String>>,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// A certificate in PEM that is trusted beside those of every connection: a sandbox's own.
    pub certificate: Option<String>,
    /// Whether `IDENTITY_ENDPOINT` says that a managed identity is at hand.
    pub has_identity_endpoint: bool,
}

impl std::fmt::Debug for AzureSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureSettings").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl AzureSettings {
    /// What the environment of this process says.
    ///
    /// # Errors
    /// [`BadSetting`] when one of the variables cannot be understood.
    pub fn of_process() -> Result<Self, BadSetting> {
        Self::read(&|name| env::var_os(name))
    }

    fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, BadSetting> {
        let of = |name: &str| Ok::<_, BadSetting>(text(variable, name)?.map(|(_, value)| value));
        let authority = of("AZURE_AUTHORITY_HOST")?.map(|host| {
            let host = if host.contains("://") { host } else { format!("https://{host}") };
            host.trim_end_matches('/').to_owned()
        });
        if authority.as_ref().is_some_and(|host| !host.starts_with("https://")) {
            return Err(BadSetting::new("AZURE_AUTHORITY_HOST must begin with https://"));
        }
        Ok(Self {
            authority,
            client_id: of("AZURE_CLIENT_ID")?,
            client_secret: of("AZURE_CLIENT_SECRET")?.map(Zeroizing::new),
            token_file: of("AZURE_FEDERATED_TOKEN_FILE")?.map(PathBuf::from),
            certificate: None,
            has_identity_endpoint: of("IDENTITY_ENDPOINT")?.is_some(),
        })
    }
}

impl Outward {
    /// A client that takes the one way out to a vault and to its sign-in. It follows no redirect: what a request was meant for
    /// answers it, or nobody. A name below `localhost` is this machine (RFC 6761), whatever the resolver thinks.
    ///
    /// # Errors
    /// [`BadSetting`] when the client cannot be made.
    pub fn azure_client(self: &Arc<Self>, host: &str, settings: &AzureSettings) -> Result<reqwest::Client, BadSetting> {
        let mut builder = self.http().map_err(|error| BadSetting::new(error.to_string()))?;
        if let Some(certificate) = &settings.certificate {
            let failed = |error: rustls::Error| BadSetting::new(error.to_string());
            let mut store = self.roots.store();
            store.add_parsable_certificates(CertificateDer::pem_slice_iter(certificate.as_bytes()).flatten());
            let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
            let tls = tls.with_safe_default_protocol_versions().map_err(failed)?;
            builder = builder.tls_backend_preconfigured(tls.with_root_certificates(store).with_no_client_auth());
        }
        let mut builder = builder.timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none());
        if host.ends_with(".localhost") {
            builder = builder.resolve(host, SocketAddr::from(([127, 0, 0, 1], 0)));
        }
        builder.https_only(false).build().map_err(|error| BadSetting::new(error.without_url().to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_is_never_in_the_clear_and_no_debug_text_has_the_secret() {
        let read = |variables: &[(&str, &str)]| {
            AzureSettings::read(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, it)| it.into()))
        };
        let both = read(&[("AZURE_AUTHORITY_HOST", "login.example/"), ("AZURE_CLIENT_SECRET", "hunter2")]).unwrap();
        assert_eq!(both.authority.as_deref(), Some("https://login.example"));
        assert!(!format!("{both:?}").contains("hunter2"));
        assert!(read(&[("AZURE_AUTHORITY_HOST", "http://login.example")]).is_err());
        assert!(read(&[("AZURE_CLIENT_ID", "")]).unwrap().client_id.is_none());
    }
}
