//! The certificate authorities that are trusted: the system's, and a bundle of one's own.

use std::{ffi::OsString, path::Path};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::BadSetting;

/// What is trusted beside the system's authorities.
#[derive(Debug, Default)]
pub(super) struct Roots {
    /// The bundle of `AWS_CA_BUNDLE`, every certificate of which can be used.
    pub(super) bundle: Option<Vec<u8>>,
}

impl Roots {
    /// `AWS_CA_BUNDLE` is added to the system's authorities. `SSL_CERT_FILE` stands for the system's, as for OpenSSL and
    /// everything built on it: whoever sets it to trust less must not be made to trust more.
    pub(super) fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, BadSetting> {
        if let Some(path) = variable("SSL_CERT_FILE").filter(|path| !path.is_empty()) {
            certificates("SSL_CERT_FILE", Path::new(&path))?;
        }
        match variable("AWS_CA_BUNDLE").filter(|path| !path.is_empty()) {
            Some(path) => Ok(Self { bundle: Some(certificates("AWS_CA_BUNDLE", Path::new(&path))?) }),
            None => Ok(Self::default()),
        }
    }

    /// Everything that is trusted.
    pub(super) fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let own = self.bundle.iter().flat_map(|bundle| CertificateDer::pem_slice_iter(bundle));
        store.add_parsable_certificates(own.flatten());
        store
    }
}

/// Adds every certificate of a file that a variable names.
#[cfg(feature = "vault")]
pub(super) fn add(store: &mut RootCertStore, variable: &str, path: &Path) -> Result<(), BadSetting> {
    let bytes = certificates(variable, path)?;
    store.add_parsable_certificates(CertificateDer::pem_slice_iter(&bytes).flatten());
    Ok(())
}

/// The bytes of a file of certificates in PEM, all of which can be trusted.
fn certificates(variable: &str, path: &Path) -> Result<Vec<u8>, BadSetting> {
    let refuse = |what: &str| BadSetting(format!("{variable}: {} {what}", path.display()));
    let bytes = crate::fsutil::read(path).map_err(|_| refuse("cannot be read"))?;
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        let certificate = certificate.map_err(|_| refuse("is not a file of PEM certificates"))?;
        store.add(certificate).map_err(|_| refuse("has a certificate that cannot be used"))?;
    }
    if store.is_empty() { Err(refuse("has no certificate in PEM format")) } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_that_is_none_is_an_error_that_names_the_variable_and_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        for (name, text, says) in [
            ("missing", None, "cannot be read"),
            ("empty", Some(""), "no certificate"),
            ("text", Some("hello"), "no certificate"),
            ("broken", Some(broken), "cannot be used"),
            ("cut", Some("-----BEGIN CERTIFICATE-----\nAAAA\n"), "PEM"),
        ] {
            let path = folder.path().join(name);
            if let Some(text) = text {
                crate::fsutil::write(
                    &path,
                    text.as_bytes(),
                    crate::fsutil::Access::Public,
                    crate::fsutil::Existing::Keep,
                )
                .unwrap();
            }
            for variable in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
                let error =
                    Roots::read(&|asked| (asked == variable).then(|| path.clone().into_os_string())).unwrap_err();
                let error = error.to_string();
                assert!(error.starts_with(variable) && error.contains(name) && error.contains(says), "{error}");
            }
        }
        assert!(Roots::read(&|_| Some("".into())).unwrap().bundle.is_none());
    }
}
