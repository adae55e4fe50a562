//! A custodian's own public key, to which their sheet is sealed instead of printed.

use std::{io::Write, str::FromStr};

/// An age X25519 recipient or an SSH key that age can seal to (`ssh-ed25519`, `ssh-rsa`); stock `age -d -i KEY` opens
/// what was sealed (<https://c2sp.org/age>, <https://github.com/FiloSottile/age#ssh-keys>).
pub struct CustodianKey(Box<dyn age::Recipient + Send + Sync>);

/// Text that is no key to seal to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustodianKeyError {
    /// Nothing of the kind.
    #[error("neither an age recipient (age1…) nor an ssh-ed25519 or ssh-rsa public key")]
    Unknown,
    /// An SSH key of another kind, such as one in hardware.
    #[error("an SSH key of a kind that age cannot seal to (only ssh-ed25519 and ssh-rsa)")]
    Unsupported,
    /// An RSA key nobody should use, or one beyond what is computed with.
    #[error("an RSA key of {0} bits (expected 2048 to 4096)")]
    Size(&'static str),
}

impl CustodianKey {
    /// Seals `plain` in the binary age format.
    ///
    /// # Panics
    /// When memory fails.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let recipient: &dyn age::Recipient = &*self.0;
        let mut sealed = Vec::with_capacity(plain.len() + 1024);
        let mut writer = age::Encryptor::with_recipients(std::iter::once(recipient))
            .expect("there is one recipient")
            .wrap_output(&mut sealed)
            .expect("memory does not fail");
        writer.write_all(plain).expect("memory does not fail");
        writer.finish().expect("memory does not fail");
        sealed
    }
}

impl FromStr for CustodianKey {
    type Err = CustodianKeyError;

    /// Reads one key: the text itself, or the content of a `.pub` or recipients file with comments around it.
    fn from_str(text: &str) -> Result<Self, CustodianKeyError> {
        use age::ssh::ParseRecipientKeyError as Ssh;
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else { return Err(CustodianKeyError::Unknown) };
        if let Ok(recipient) = line.parse::<age::x25519::Recipient>() {
            return Ok(Self(Box::new(recipient)));
        }
        match line.parse::<age::ssh::Recipient>() {
            Ok(recipient) => Ok(Self(Box::new(recipient))),
            Err(Ssh::RsaModulusTooSmall) => Err(CustodianKeyError::Size("fewer than 2048")),
            Err(Ssh::RsaModulusTooLarge) => Err(CustodianKeyError::Size("more than 4096")),
            Err(Ssh::Unsupported(_)) => Err(CustodianKeyError::Unsupported),
            Err(_) => Err(CustodianKeyError::Unknown),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::fsutil::{self, Access, Existing};

    const SHEET: &[u8] = b"a sheet\n";

    fn refusal(text: &str) -> CustodianKeyError {
        text.parse::<CustodianKey>().err().expect("refused")
    }

    #[test]
    fn stock_age_opens_with_each_kind_of_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).current_dir(folder.path()).output().unwrap();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        run("age-keygen", &["-o", "age"]);
        fsutil::write(&path("age.pub"), &run("age-keygen", &["-y", "age"]), Access::Public, Existing::Keep).unwrap();
        run("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-C", "bo@example.org", "-f", "ed25519"]);
        run("ssh-keygen", &["-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", "rsa"]);
        for name in ["age", "ed25519", "rsa"] {
            let public = String::from_utf8(fsutil::read(&path(&format!("{name}.pub"))).unwrap()).unwrap();
            let sealed = public.parse::<CustodianKey>().unwrap_or_else(|error| panic!("{name}: {error}")).seal(SHEET);
            assert!(!sealed.windows(SHEET.len()).any(|window| window == SHEET));
            fsutil::write(&path("sheet.age"), &sealed, Access::Private, Existing::Replace).unwrap();
            assert_eq!(run("age", &["-d", "-i", name, "sheet.age"]), SHEET, "{name}");
        }
        run("ssh-keygen", &["-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", "weak"]);
        run("ssh-keygen", &["-q", "-t", "ecdsa", "-N", "", "-f", "ecdsa"]);
        let public = |name: &str| String::from_utf8(fsutil::read(&path(name)).unwrap()).unwrap();
        assert_eq!(refusal(&public("weak.pub")), CustodianKeyError::Size("fewer than 2048"));
        assert_eq!(refusal(&public("ecdsa.pub")), CustodianKeyError::Unsupported);
        assert_eq!(refusal(&public("ed25519")), CustodianKeyError::Unknown, "a private key is not read");
        let two = format!("{}{}", public("age.pub"), public("ed25519.pub"));
        assert_eq!(refusal(&two), CustodianKeyError::Unknown, "one custodian, one key");
        let cut = public("ed25519.pub");
        assert_eq!(refusal(&cut[..40]), CustodianKeyError::Unknown);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["", "# nothing\n", "age1", "AGE-SECRET-KEY-1QQQ", "ssh-ed25519", "ssh-rsa AAAA", "bo.pub"] {
            assert_eq!(refusal(text), CustodianKeyError::Unknown, "{text:?}");
        }
    }
}
