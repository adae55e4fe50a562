//! Files that are encrypted already: they are captured, and without a key that is elsewhere they are no secret.

/// The first bytes of a file that git-crypt encrypted.
const GIT_CRYPT: &[u8] = b"\0GITCRYPT\0";

/// What encrypted a file, as far as its bytes tell.
pub(super) fn kind(name: &str, bytes: &[u8]) -> Option<&'static str> {
    let mut lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_start);
    if bytes.starts_with(GIT_CRYPT) {
        Some("git-crypt")
    } else if bytes.starts_with(b"age-encryption.org/v1") || bytes.starts_with(b"-----BEGIN AGE ENCRYPTED FILE") {
        Some("age")
    } else if bytes.starts_with(b"-----BEGIN PGP MESSAGE") {
        Some("pgp")
    } else if bytes.starts_with(b"$ANSIBLE_VAULT;") {
        Some("ansible-vault")
    } else if lines.clone().any(|line| line.starts_with(b"sops_mac=") || line.starts_with(b"sops_version=")) {
        Some("sops")
    } else if lines.clone().any(|line| value(line).is_some_and(|value| value.starts_with(b"encrypted:"))) {
        Some("dotenvx")
    } else if name.ends_with(".env.vault") || lines.any(|line| line.starts_with(b"DOTENV_VAULT=")) {
        Some("dotenv-vault")
    } else {
        None
    }
}

/// What stands behind the first `=`, without its quote.
fn value(line: &[u8]) -> Option<&[u8]> {
    let at = line.iter().position(|byte| *byte == b'=')?;
    let value = line[at + 1..].trim_ascii_start();
    Some(value.strip_prefix(b"\"").or_else(|| value.strip_prefix(b"'")).unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_recognised_and_plain_files_are_plain() {
        for (name, bytes, expected) in [
            (".env", &b"A=x\nB=sops_mac\n# encrypted:\n"[..], None),
            (".env", b"A=ENC[AES256_GCM,data:x]\nsops_version=3.9.0\n", Some("sops")),
            (".env", b"DOTENV_PUBLIC_KEY=\"03\"\nA=\"encrypted:BD\"\n", Some("dotenvx")),
            (".env.vault", b"DOTENV_VAULT_PRODUCTION=\"x\"\n", Some("dotenv-vault")),
            (".env", b"\0GITCRYPT\0xyz", Some("git-crypt")),
            (".env", b"age-encryption.org/v1\n-> X25519\n", Some("age")),
            (".env", b"$ANSIBLE_VAULT;1.1;AES256\n", Some("ansible-vault")),
            (".env", b"", None),
        ] {
            assert_eq!(kind(name, bytes), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
