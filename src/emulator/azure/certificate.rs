//! The certificate of a sandbox: made at its start, signed by itself, for names of this machine alone.
//!
//! Clients of Key Vault speak TLS and nothing else. The certificate is X.509 version 3 with an Ed25519 key (RFC 5280, RFC 8410),
//! written out here because nothing else in the tree writes one.

use std::{io, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{Timestamp, ToSpan as _};
use rustls::{
    ServerConfig, SignatureScheme,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::DOMAIN;

/// The object identifier 1.3.101.112, Ed25519, with its tag.
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];
/// 2.5.4.3, a common name.
const COMMON_NAME: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x03];
/// 2.5.29.17, other names of the subject.
const OTHER_NAMES: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x11];
/// What comes before the seed of an Ed25519 key in PKCS #8.
const PKCS8: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// A key and the certificate of it.
pub(super) struct Own {
    certificate: Vec<u8>,
    seed: Zeroizing<[u8; 32]>,
}

impl Own {
    /// For a year from `now` on.
    pub(super) fn make(now: Timestamp) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).expect("the system gives randomness");
        let key = aws_lc_rs::sign::any_eddsa_type(&pkcs8(&seed)).expect("a seed is a key");
        let public = key.public_key().expect("an Ed25519 key knows its public half").to_vec();
        let name = sequence(&[set(&[sequence(&[COMMON_NAME.to_vec(), tagged(0x0c, b"lifeboat sandbox")])])]);
        let names: Vec<Vec<u8>> = vec![
            tagged(0x82, b"localhost"),
            tagged(0x82, format!("*.{DOMAIN}").as_bytes()),
            tagged(0x87, &[127, 0, 0, 1]),
            tagged(0x87, &std::net::Ipv6Addr::LOCALHOST.octets()),
        ];
        let extension = sequence(&[OTHER_NAMES.to_vec(), tagged(0x04, &sequence(&names))]);
        let mut serial = [0; 16];
        getrandom::fill(&mut serial).expect("the system gives randomness");
        // Positive, and its first byte not a zero that does not belong there.
        serial[0] = serial[0] & 0x7f | 0x40;
        let body = sequence(&[
            tagged(0xa0, &tagged(0x02, &[2])),
            tagged(0x02, &serial),
            ED25519.to_vec(),
            name.clone(),
            sequence(&[
                time(now.saturating_sub(1.hour()).unwrap_or(now)),
                time(now.saturating_add(8_760.hours()).unwrap_or(now)),
            ]),
            name,
            public,
            tagged(0xa3, &sequence(&[extension])),
        ]);
        let signer = key.choose_scheme(&[SignatureScheme::ED25519]).expect("the one scheme of such a key");
        let signature = signer.sign(&body).expect("an Ed25519 key signs anything");
        let certificate = sequence(&[body, ED25519.to_vec(), tagged(0x03, &[&[0], signature.as_slice()].concat())]);
        Self { certificate, seed }
    }

    /// The certificate in PEM.
    pub(super) fn pem(&self) -> String {
        let text = STANDARD.encode(&self.certificate);
        let lines: Vec<&str> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    /// What accepts connections with it.
    pub(super) fn acceptor(&self) -> io::Result<TlsAcceptor> {
        let key = pkcs8(&self.seed);
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(io::Error::other)?;
        let chain = vec![CertificateDer::from(self.certificate.clone())];
        let config = builder.with_no_client_auth().with_single_cert(chain, PrivateKeyDer::from(key));
        Ok(TlsAcceptor::from(Arc::new(config.map_err(io::Error::other)?)))
    }
}

fn pkcs8(seed: &[u8; 32]) -> PrivatePkcs8KeyDer<'static> {
    PrivatePkcs8KeyDer::from([PKCS8.as_slice(), seed].concat())
}

fn time(at: Timestamp) -> Vec<u8> {
    // GeneralizedTime is for years from 2050 on, UTCTime for those before.
    let text = at.strftime("%Y%m%d%H%M%SZ").to_string();
    if text.as_str() < "2050" { tagged(0x17, &text.as_bytes()[2..]) } else { tagged(0x18, text.as_bytes()) }
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x30, &parts.concat())
}

fn set(parts: &[Vec<u8>]) -> Vec<u8> {
    tagged(0x31, &parts.concat())
}

/// Tag, length and content in DER.
fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    if let Ok(short @ 0..=0x7f) = u8::try_from(length) {
        der.push(short);
    } else {
        let bytes = length.to_be_bytes();
        let bytes = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
        der.push(0x80 | u8::try_from(bytes.len()).expect("eight at most"));
        der.extend_from_slice(bytes);
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_trusts_it_accepts_its_names_and_no_other() {
        use rustls::{
            RootCertStore,
            client::{WebPkiServerVerifier, danger::ServerCertVerifier as _},
            pki_types::{ServerName, UnixTime},
        };
        let own = Own::make(Timestamp::now());
        let certificate = CertificateDer::from(own.certificate.clone());
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let is_trusted = |name: &'static str| {
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&certificate, &[], &name, &[], UnixTime::now()).is_ok()
        };
        for name in ["localhost", "127.0.0.1", "::1", "a.vault.localhost"] {
            assert!(is_trusted(name), "{name}");
        }
        for name in ["vault.localhost", "a.b.vault.localhost", "evil.example"] {
            assert!(!is_trusted(name), "{name}");
        }
        assert!(own.acceptor().is_ok() && own.pem().lines().all(|line| line.len() <= 64));
    }
}
