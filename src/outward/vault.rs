//! What every client of Vault and OpenBao reads of its environment, and the connection that follows from it.
#![expect(clippy::disallowed_methods, reason = "the variables that every client of Vault and OpenBao reads")]

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reqwest::redirect::Policy;
use rustls::{
    ClientConfig, RootCertStore,
    client::WebPkiServerVerifier,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use zeroize::Zeroizing;

use super::{BadSetting, Outward, named::OtherName, roots};

const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// OpenBao's own variables count before Vault's, as in its own clients.
const PREFIXES: [&str; 2] = ["BAO_", "VAULT_"];
/// The file of a sign-in where nothing else is named, below the home folder.
const FILE: &str = ".vault-token";
/// The most times that a person can ask for another attempt.
const MOST_RETRIES: u32 = 100;

/// What the variables say about the server and the connection to it. Holds no token and no key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VaultSettings {
    /// `VAULT_ADDR`: the server of an address that names none.
    pub address: Option<String>,
    /// `VAULT_NAMESPACE`, for the same addresses.
    pub namespace: Option<String>,
    /// `VAULT_RATE_LIMIT`: the most requests per second.
    pub rate: Option<f64>,
    /// `VAULT_MAX_RETRIES`: how often a request without a usable answer is sent again.
    pub retries: Option<u32>,
    tls: Tls,
}

/// Whom the connection trusts, and as whom it comes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Tls {
    authorities: Option<Named>,
    folder: Option<Named>,
    certificate: Option<Named>,
    key: Option<Named>,
    server_name: Option<(String, ServerName<'static>)>,
    /// The variable that asks for no verification at all.
    unverified: Option<String>,
}

/// A path, and the variable that says it.
#[derive(Clone, Debug, PartialEq)]
struct Named {
    variable: String,
    path: PathBuf,
}

impl VaultSettings {
    /// What the environment of this process says.
    ///
    /// # Errors
    /// [`BadSetting`] when one of the variables cannot be understood.
    pub fn of_process() -> Result<Self, BadSetting> {
        Self::read(&|name| env::var_os(name))
    }

    /// What these variables say; `BAO_…` counts before `VAULT_…`.
    fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, BadSetting> {
        let text = |name: &str| text(variable, name);
        let path = |name: &str| {
            let found = text(name)?;
            Ok(found.map(|(variable, path)| Named { variable, path: path.into() }))
        };
        let unverified = match text("SKIP_VERIFY")? {
            Some((name, word)) => switch(&name, &word)?.then_some(name),
            None => None,
        };
        let tls = Tls {
            authorities: path("CACERT")?,
            folder: path("CAPATH")?,
            certificate: path("CLIENT_CERT")?,
            key: path("CLIENT_KEY")?,
            server_name: text("TLS_SERVER_NAME")?.map(server_name).transpose()?,
            unverified,
        };
        if let (Some(one), None) | (None, Some(one)) = (&tls.certificate, &tls.key) {
            let words = "a client certificate needs VAULT_CLIENT_CERT and VAULT_CLIENT_KEY";
            return Err(BadSetting::new(format!("only {} is set; {words}", one.variable)));
        }
        Ok(Self {
            address: text("ADDR")?.map(|(_, address)| address),
            namespace: text("NAMESPACE")?.map(|(_, name)| name),
            rate: text("RATE_LIMIT")?.map(|(name, word)| rate(&name, &word)).transpose()?,
            retries: text("MAX_RETRIES")?.map(|(name, word)| retries(&name, &word)).transpose()?,
            tls,
        })
    }

    /// Whether the connection has a certificate of its own.
    pub fn has_certificate(&self) -> bool {
        self.tls.certificate.is_some()
    }
}

impl Outward {
    /// A client that takes the one way out and trusts as the settings say. It follows no redirect: what a request was meant for
    /// answers it, or nobody.
    ///
    /// # Errors
    /// [`BadSetting`] when what is to be trusted cannot be read, or nothing is to be verified.
    pub fn vault_client(
        self: &Arc<Self>,
        settings: &VaultSettings,
        is_plain: bool,
    ) -> Result<reqwest::Client, BadSetting> {
        let mut builder = self.http().map_err(|error| BadSetting::new(error.to_string()))?;
        if !is_plain && let Some(tls) = settings.tls.config(&self.roots)? {
            builder = builder.tls_backend_preconfigured(tls);
        }
        let builder = builder.timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).redirect(Policy::none());
        builder.build().map_err(|error| BadSetting::new(error.without_url().to_string()))
    }
}

impl Tls {
    /// What differs from every other connection of this process; `None` where nothing does.
    fn config(&self, roots: &roots::Roots) -> Result<Option<ClientConfig>, BadSetting> {
        if let Some(variable) = &self.unverified {
            let words = "anybody on the way could read every secret; name the server's authority in VAULT_CACERT";
            return Err(BadSetting::new(format!("{variable} asks for a connection that verifies nobody: {words}")));
        }
        if *self == Self::default() {
            return Ok(None);
        }
        let failed = |error: rustls::Error| BadSetting::new(error.to_string());
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().map_err(failed)?;
        let store = self.store(roots)?;
        let builder = match &self.server_name {
            None => builder.with_root_certificates(store),
            Some((_, name)) => {
                let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider);
                let verifier = verifier.build().map_err(|error| BadSetting::new(error.to_string()))?;
                builder.dangerous().with_custom_certificate_verifier(Arc::new(OtherName::new(verifier, name.clone())))
            }
        };
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(Some(builder.with_no_client_auth()));
        };
        let chain = certificate.chain()?;
        let made = builder.with_client_auth_cert(chain, key.key()?);
        let unfit = |_| BadSetting::new(format!("{} is not the key of {}", key.path.display(), certificate.variable));
        made.map(Some).map_err(unfit)
    }

    /// The authorities that are named, and nobody else; without any, those of every connection.
    fn store(&self, roots: &roots::Roots) -> Result<RootCertStore, BadSetting> {
        let mut store = RootCertStore::empty();
        if let Some(file) = &self.authorities {
            roots::add(&mut store, &file.variable, &file.path)?;
        } else if let Some(folder) = &self.folder {
            let unread = || BadSetting::new(format!("{}: {} cannot be read", folder.variable, folder.path.display()));
            for entry in fs::read_dir(&folder.path).map_err(|_| unread())? {
                let path = entry.map_err(|_| unread())?.path();
                if path.is_file() {
                    roots::add(&mut store, &folder.variable, &path)?;
                }
            }
        } else {
            return Ok(roots.store());
        }
        if store.is_empty() { Err(BadSetting::new("VAULT_CAPATH has no certificate in PEM format")) } else { Ok(store) }
    }
}

impl Named {
    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, BadSetting> {
        let bytes = self.bytes()?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty());
        chain.ok_or_else(|| self.refuse("is not a file of PEM certificates"))
    }

    fn key(&self) -> Result<PrivateKeyDer<'static>, BadSetting> {
        PrivateKeyDer::from_pem_slice(&self.bytes()?).map_err(|_| self.refuse("is not a key in PEM format"))
    }

    fn bytes(&self) -> Result<Zeroizing<Vec<u8>>, BadSetting> {
        crate::fsutil::read(&self.path).map(Zeroizing::new).map_err(|_| self.refuse("cannot be read"))
    }

    fn refuse(&self, what: &str) -> BadSetting {
        BadSetting::new(format!("{}: {} {what}", self.variable, self.path.display()))
    }
}

/// The token of the environment, else of the sign-in.
pub fn vault_token() -> Option<Zeroizing<String>> {
    token_of(&|name| env::var_os(name))
}

fn token_of(variable: &dyn Fn(&str) -> Option<OsString>) -> Option<Zeroizing<String>> {
    let clean = |text: String| {
        let text = Zeroizing::new(text);
        Some(Zeroizing::new(text.trim().to_owned())).filter(|token| !token.is_empty())
    };
    let first = |name: &str| PREFIXES.iter().find_map(|prefix| variable(&format!("{prefix}{name}")));
    if let Some(token) = first("TOKEN").and_then(|token| token.into_string().ok()).and_then(clean) {
        return Some(token);
    }
    let named = first("TOKEN_PATH").map(PathBuf::from);
    let file = named.or_else(|| Some(Path::new(&variable("HOME")?).join(FILE)))?;
    fs::read_to_string(file).ok().and_then(clean)
}

/// The first of the two variables that says something, with its name.
fn text(variable: &dyn Fn(&str) -> Option<OsString>, name: &str) -> Result<Option<(String, String)>, BadSetting> {
    for prefix in PREFIXES {
        let name = format!("{prefix}{name}");
        match variable(&name).map(OsString::into_string) {
            Some(Ok(value)) if !value.trim().is_empty() => return Ok(Some((name, value.trim().to_owned()))),
            Some(Err(_)) => return Err(BadSetting::new(format!("{name} is not UTF-8"))),
            _ => {}
        }
    }
    Ok(None)
}

/// As Go's `strconv.ParseBool` reads it.
fn switch(name: &str, word: &str) -> Result<bool, BadSetting> {
    match word {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(BadSetting::new(format!("{name} must be true or false, not {word:?}"))),
    }
}

/// `RATE` or `RATE:BURST`; the burst is the learnt pace's own matter.
fn rate(name: &str, word: &str) -> Result<f64, BadSetting> {
    let (rate, burst) = word.split_once(':').map_or((word, None), |(rate, burst)| (rate, Some(burst)));
    let is_burst = burst.is_none_or(|burst| burst.parse::<u32>().is_ok());
    let rate = rate.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0 && is_burst);
    rate.ok_or_else(|| BadSetting::new(format!("{name} must be a number above 0, not {word:?}")))
}

fn retries(name: &str, word: &str) -> Result<u32, BadSetting> {
    let retries = word.parse().ok().filter(|retries| *retries <= MOST_RETRIES);
    retries.ok_or_else(|| BadSetting::new(format!("{name} must be a number from 0 to {MOST_RETRIES}, not {word:?}")))
}

fn server_name((variable, name): (String, String)) -> Result<(String, ServerName<'static>), BadSetting> {
    let bad = |_| BadSetting::new(format!("{variable}: {name:?} is not the name of a server"));
    ServerName::try_from(name.clone()).map(|name| (variable.clone(), name)).map_err(bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<VaultSettings, String> {
        let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        VaultSettings::read(&of).map_err(|error| error.to_string())
    }

    fn token(variables: &[(&str, &str)]) -> Option<String> {
        let of = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        token_of(&of).map(|token| token.to_string())
    }

    #[test]
    fn openbaos_own_variables_count_before_vaults_and_empty_ones_say_nothing() {
        let both = read(&[("VAULT_ADDR", "https://v"), ("BAO_ADDR", " https://b "), ("VAULT_NAMESPACE", "n")]).unwrap();
        assert_eq!((both.address.as_deref(), both.namespace.as_deref()), (Some("https://b"), Some("n")));
        let empty = read(&[("VAULT_ADDR", "https://v"), ("BAO_ADDR", "")]).unwrap();
        assert_eq!(empty.address.as_deref(), Some("https://v"));
        let rate = read(&[("VAULT_RATE_LIMIT", "12.5:30"), ("BAO_MAX_RETRIES", "0")]).unwrap();
        assert_eq!((rate.rate, rate.retries), (Some(12.5), Some(0)));
        assert_eq!(read(&[("VAULT_SKIP_VERIFY", "0")]).unwrap(), VaultSettings::default());
    }

    #[test]
    fn what_cannot_be_understood_names_its_variable() {
        for (variables, words) in [
            (&[("VAULT_RATE_LIMIT", "fast")][..], "VAULT_RATE_LIMIT must be a number above 0"),
            (&[("BAO_RATE_LIMIT", "0")], "BAO_RATE_LIMIT"),
            (&[("VAULT_RATE_LIMIT", "3:x")], "VAULT_RATE_LIMIT"),
            (&[("VAULT_MAX_RETRIES", "-1")], "VAULT_MAX_RETRIES must be a number from 0 to 100"),
            (&[("VAULT_SKIP_VERIFY", "yes")], "VAULT_SKIP_VERIFY must be true or false"),
            (&[("VAULT_CLIENT_CERT", "c.pem")], "only VAULT_CLIENT_CERT is set"),
            (&[("BAO_CLIENT_KEY", "k.pem")], "only BAO_CLIENT_KEY is set"),
            (&[("VAULT_TLS_SERVER_NAME", "a b")], "is not the name of a server"),
        ] {
            let told = read(variables).unwrap_err();
            assert!(told.contains(words), "{variables:?}: {told}");
        }
    }

    #[test]
    fn a_connection_that_verifies_nobody_is_refused() {
        let settings = read(&[("VAULT_SKIP_VERIFY", "true")]).unwrap();
        let told = settings.tls.config(&roots::Roots::default()).err().unwrap().to_string();
        assert!(told.starts_with("VAULT_SKIP_VERIFY") && told.contains("VAULT_CACERT"), "{told}");
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named_with_its_variable() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing").display().to_string();
        let empty = folder.path().display().to_string();
        for (variables, words) in [
            (vec![("VAULT_CACERT", missing.as_str())], "VAULT_CACERT: "),
            (vec![("VAULT_CAPATH", missing.as_str())], "VAULT_CAPATH: "),
            (vec![("VAULT_CAPATH", empty.as_str())], "has no certificate"),
            (vec![("VAULT_CLIENT_CERT", missing.as_str()), ("VAULT_CLIENT_KEY", "k")], "VAULT_CLIENT_CERT: "),
        ] {
            let settings = read(&variables).unwrap();
            let told = settings.tls.config(&roots::Roots::default()).err().unwrap().to_string();
            assert!(told.contains(words), "{told}");
        }
    }

    #[test]
    fn a_token_is_of_the_environment_or_of_the_file_of_a_sign_in() {
        assert_eq!(token(&[("VAULT_TOKEN", "v"), ("BAO_TOKEN", "b\n")]).as_deref(), Some("b"));
        assert_eq!(token(&[("VAULT_TOKEN", "v")]).as_deref(), Some("v"));
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().display().to_string();
        assert_eq!(token(&[("HOME", &home)]), None);
        let write = |name: &str, text: &str| {
            let (access, existing) = (crate::fsutil::Access::Private, crate::fsutil::Existing::Keep);
            crate::fsutil::write(&folder.path().join(name), text.as_bytes(), access, existing).unwrap();
        };
        write(FILE, "of-the-home\n");
        write("other", "of-the-file");
        assert_eq!(token(&[("HOME", &home)]).as_deref(), Some("of-the-home"));
        let other = folder.path().join("other").display().to_string();
        assert_eq!(token(&[("HOME", &home), ("BAO_TOKEN_PATH", &other)]).as_deref(), Some("of-the-file"));
    }
}
