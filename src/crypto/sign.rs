//! OpenSSH signatures (SSHSIG, ed25519), which `ssh-keygen -Y verify` checks on any machine
//! (<https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig>).

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use ssh_key::{Algorithm, HashAlg, LineEnding, PrivateKey, SshSig, private::Ed25519Keypair, public::KeyData};
use zeroize::Zeroizing;

use super::{KeyFileError, MarkKey};

/// What `ssh-keygen -Y sign` uses too.
const HASH: HashAlg = HashAlg::Sha512;

/// What a signature is for; a signature for one purpose never counts for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// `lifeboat-epoch`: key epochs, by their root.
    Epoch,
    /// `lifeboat-manifest`: snapshots, by a signer.
    Manifest,
    /// `lifeboat-drill`: drill records, by a signer.
    Drill,
    /// `lifeboat-audit`: audit entries, by a signer.
    Audit,
    /// `lifeboat-forget`: which snapshots were forgotten, by a signer.
    Forget,
    /// `lifeboat-record`: records of later kinds, by a signer.
    Record,
    /// `lifeboat-evidence`: the list of the files of an evidence archive, by a signer.
    Evidence,
}

impl Namespace {
    /// The SSHSIG namespace.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Epoch => "lifeboat-epoch",
            Self::Manifest => "lifeboat-manifest",
            Self::Drill => "lifeboat-drill",
            Self::Audit => "lifeboat-audit",
            Self::Forget => "lifeboat-forget",
            Self::Record => "lifeboat-record",
            Self::Evidence => "lifeboat-evidence",
        }
    }
}

/// An ed25519 public key, written `ssh-ed25519 AAAA…` without a comment.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey(String);

/// An ed25519 signing key: a root's, or the backup host's. No Debug, Clone or Serialize; wiped on drop.
///
/// ```compile_fail
/// let key = lifeboat::crypto::Signer::generate();
/// println!("{key:?}");
/// ```
pub struct Signer(PrivateKey);

/// A signature that does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not an armored SSHSIG.
    #[error("not an OpenSSH signature")]
    Malformed,
    /// Made by a key that is not the expected one.
    #[error("signed by another key ({0})")]
    OtherKey(String),
    /// Made for another purpose.
    #[error("signed for another purpose ({0})")]
    OtherNamespace(String),
    /// The bytes are not what was signed.
    #[error("the signature does not match the content")]
    Mismatch,
}

impl PublicKey {
    /// The 32 bytes of the ed25519 key, as the share fingerprint hashes them.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.parsed().key_data().ed25519().expect("a public key is made only from ed25519 keys").0
    }

    /// `SHA256:…`, as ssh-keygen -l prints it.
    pub fn fingerprint(&self) -> String {
        self.parsed().fingerprint(HashAlg::Sha256).to_string()
    }

    fn of(key: &KeyData) -> Result<Self, KeyFileError> {
        const WRONG: KeyFileError = KeyFileError { expected: "an ed25519 public key (ssh-ed25519 AAAA…)" };
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(WRONG);
        }
        ssh_key::PublicKey::new(key.clone(), "").to_openssh().map(Self).map_err(|_| WRONG)
    }

    fn parsed(&self) -> ssh_key::PublicKey {
        ssh_key::PublicKey::from_openssh(&self.0).expect("a public key is made only from text that parses")
    }
}

impl Signer {
    /// A new random key.
    ///
    /// # Panics
    /// When the operating system gives no randomness.
    pub fn generate() -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut()).expect("the operating system gives randomness");
        Self::from_seed(&seed)
    }

    /// From a 32-byte ed25519 seed.
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        Self(PrivateKey::from(Ed25519Keypair::from_seed(seed)))
    }

    /// Reads an unencrypted OpenSSH private key file.
    ///
    /// # Errors
    /// When it is not one, is encrypted, or is not ed25519.
    pub fn from_file(text: &str) -> Result<Self, KeyFileError> {
        const WRONG: KeyFileError = KeyFileError { expected: "an unencrypted OpenSSH ed25519 private key" };
        let key = PrivateKey::from_openssh(text).map_err(|_| WRONG)?;
        if key.is_encrypted() || key.key_data().ed25519().is_none() { Err(WRONG) } else { Ok(Self(key)) }
    }

    /// The OpenSSH private key file's text.
    pub fn to_file(&self) -> Zeroizing<String> {
        self.0.to_openssh(LineEnding::LF).expect("an ed25519 key has an OpenSSH form")
    }

    /// The key for the marks of this host's drills; it gives nothing of the signing key away.
    pub fn mark_key(&self) -> MarkKey {
        let seed = Zeroizing::new(self.0.key_data().ed25519().expect("a signer is an ed25519 key").private.to_bytes());
        MarkKey::derive(&seed)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::of(self.0.public_key().key_data()).expect("a signer is an ed25519 key")
    }

    /// An armored SSHSIG over `message`.
    pub fn sign(&self, namespace: Namespace, message: &[u8]) -> String {
        self.0
            .sign(namespace.as_str(), HASH, message)
            .and_then(|signature| signature.to_pem(LineEnding::LF))
            .expect("an ed25519 key in memory signs anything")
    }
}

/// Checks that `signature` (armored SSHSIG) is `key`'s, for `namespace`, over exactly `message`.
///
/// # Errors
/// See [`SignatureError`].
pub fn verify(key: &PublicKey, namespace: Namespace, message: &[u8], signature: &str) -> Result<(), SignatureError> {
    let signature = parse(signature).ok_or(SignatureError::Malformed)?;
    let expected = key.parsed();
    if signature.public_key() != expected.key_data() {
        return Err(SignatureError::OtherKey(signature.public_key().fingerprint(HashAlg::Sha256).to_string()));
    }
    if signature.namespace() != namespace.as_str() {
        return Err(SignatureError::OtherNamespace(printable(signature.namespace())));
    }
    expected.verify(namespace.as_str(), message, &signature).map_err(|_| SignatureError::Mismatch)
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PublicKey {
    type Err = KeyFileError;

    /// A comment after the key, as in a `.pub` file, is dropped.
    fn from_str(text: &str) -> Result<Self, KeyFileError> {
        let key = ssh_key::PublicKey::from_openssh(text.trim())
            .map_err(|_| KeyFileError { expected: "an ed25519 public key (ssh-ed25519 AAAA…)" })?;
        Self::of(key.key_data())
    }
}

impl TryFrom<String> for PublicKey {
    type Error = KeyFileError;

    fn try_from(text: String) -> Result<Self, KeyFileError> {
        text.parse()
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> String {
        key.0
    }
}

/// Reads a signature that is exactly what its parts encode to: the parser alone lets wrong inner lengths pass,
/// which `ssh-keygen` refuses.
fn parse(armored: &str) -> Option<SshSig> {
    let signature = SshSig::from_pem(armored).ok()?;
    let canonical = signature.to_pem(LineEnding::LF).ok()?;
    let exact = armored.split_whitespace().eq(canonical.split_whitespace());
    (exact && signature.version() == SshSig::VERSION && signature.reserved().is_empty()).then_some(signature)
}

/// Text from an untrusted signature, made safe for a terminal and a log line.
fn printable(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_default).collect()
}

#[cfg(test)]
mod tests {
    use std::{
        path::Path,
        process::{Command, Stdio},
    };

    use super::*;
    use crate::fsutil::{self, Access, Existing};

    const MESSAGE: &[u8] = b"the manifest, byte for byte\n";

    fn write(path: &Path, text: &str) {
        fsutil::write(path, text.as_bytes(), Access::Private, Existing::Replace).unwrap();
    }

    fn ssh_keygen(folder: &Path, arguments: &[&str], stdin: &[u8]) -> std::process::Output {
        use std::io::Write as _;
        let mut child = Command::new("ssh-keygen")
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("ssh-keygen is installed");
        let _ = child.stdin.take().unwrap().write_all(stdin);
        child.wait_with_output().unwrap()
    }

    #[test]
    fn only_the_right_key_purpose_and_bytes_count() {
        let (signer, other) = (Signer::generate(), Signer::generate());
        let signature = signer.sign(Namespace::Manifest, MESSAGE);
        let key = signer.public();
        assert_eq!(verify(&key, Namespace::Manifest, MESSAGE, &signature), Ok(()));
        assert_eq!(
            verify(&other.public(), Namespace::Manifest, MESSAGE, &signature),
            Err(SignatureError::OtherKey(key.fingerprint()))
        );
        assert_eq!(
            verify(&key, Namespace::Epoch, MESSAGE, &signature),
            Err(SignatureError::OtherNamespace("lifeboat-manifest".into()))
        );
        for changed in [&b""[..], &MESSAGE[1..], b"the manifest, byte for byte", b"the manifest, byte for byte\r\n"] {
            assert_eq!(verify(&key, Namespace::Manifest, changed, &signature), Err(SignatureError::Mismatch));
        }
        for bad in ["", "x", &signature[1..], &signature[..signature.len() / 2], &format!("{signature}{signature}")] {
            assert_eq!(verify(&key, Namespace::Manifest, MESSAGE, bad), Err(SignatureError::Malformed));
        }
    }

    #[test]
    fn no_changed_character_of_a_signature_counts() {
        let signer = Signer::generate();
        let key = signer.public();
        let signature = signer.sign(Namespace::Drill, MESSAGE);
        for at in (0..signature.len()).filter(|&at| signature.as_bytes()[at] != b'\n') {
            let mut bytes = signature.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert!(verify(&key, Namespace::Drill, MESSAGE, &changed).is_err(), "character {at}");
        }
    }

    #[test]
    fn a_namespace_from_a_stranger_cannot_paint_the_terminal() {
        assert_eq!(printable("a\u{1b}[31m\n"), "a\\u{1b}[31m\\n");
        assert!(printable(&"x".repeat(1000)).len() <= 64);
    }

    #[test]
    fn ssh_keygen_verifies_ours_and_rejects_changes() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::generate();
        write(&folder.path().join("allowed"), &format!("host {}\n", signer.public()));
        write(&folder.path().join("m.sig"), &signer.sign(Namespace::Manifest, MESSAGE));
        let check = |namespace: &str, message: &[u8]| {
            let arguments = ["-Y", "verify", "-f", "allowed", "-I", "host", "-n", namespace, "-s", "m.sig"];
            ssh_keygen(folder.path(), &arguments, message).status.success()
        };
        assert!(check("lifeboat-manifest", MESSAGE));
        assert!(!check("lifeboat-epoch", MESSAGE));
        assert!(!check("lifeboat-manifest", b"other"));
    }

    #[test]
    fn ssh_keygen_reads_our_key_and_we_verify_its_signature() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::generate();
        write(&folder.path().join("key"), &signer.to_file());
        let public = ssh_keygen(folder.path(), &["-y", "-f", "key"], b"");
        assert!(public.status.success());
        assert_eq!(String::from_utf8(public.stdout).unwrap().trim().parse::<PublicKey>().unwrap(), signer.public());
        let print = ssh_keygen(folder.path(), &["-l", "-f", "key"], b"");
        assert!(String::from_utf8(print.stdout).unwrap().contains(&signer.public().fingerprint()));
        let output = ssh_keygen(folder.path(), &["-Y", "sign", "-f", "key", "-n", "lifeboat-drill"], MESSAGE);
        let signature = String::from_utf8(output.stdout).unwrap();
        assert_eq!(verify(&signer.public(), Namespace::Drill, MESSAGE, &signature), Ok(()));
        assert!(verify(&signer.public(), Namespace::Drill, b"other", &signature).is_err());
    }

    #[test]
    fn key_files_read_back_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let signer = Signer::generate();
        assert_eq!(Signer::from_file(&signer.to_file()).unwrap().public(), signer.public());
        let made = |kind: &str, pass: &str| {
            let name = format!("{kind}{}", pass.len());
            ssh_keygen(folder.path(), &["-q", "-t", kind, "-N", pass, "-f", &name], b"");
            String::from_utf8(fsutil::read(&folder.path().join(name)).unwrap()).unwrap()
        };
        assert!(Signer::from_file(&made("ed25519", "")).is_ok());
        for bad in [made("ecdsa", ""), made("ed25519", "passphrase"), signer.public().to_string(), String::new()] {
            assert!(Signer::from_file(&bad).is_err());
        }
    }

    #[test]
    fn public_keys_are_ed25519_and_canonical() {
        let key = Signer::generate().public();
        assert_eq!(format!("{key} someone@host\n").parse::<PublicKey>().unwrap(), key);
        assert!(!key.to_string().ends_with(' '));
        let rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQC7";
        let text = key.to_string();
        for bad in ["", "ssh-ed25519", rsa, &text[..60], &text.replace("ssh-ed25519", "ssh-rsa")] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }
}
