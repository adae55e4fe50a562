//! The playbook: what the owner knows of secrets that no provider tells: the command that rotates one, the one that proves it, who
//! does it. A file of its own, since it runs commands.

use serde::Deserialize;

use crate::model::name_matches;

/// `playbook.toml`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    /// The entries; the first that fits a name counts.
    #[serde(default)]
    pub secret: Vec<Play>,
}

/// What is known of the secrets that fit a pattern.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Play {
    /// Names, with `*` and `?`; a trailing `/` means everything below.
    pub names: String,
    /// The command that gives it a new value, without a shell.
    #[serde(default)]
    pub rotate: Vec<String>,
    /// The command that tries the old value: 0 it no longer works, 1 it still works.
    #[serde(default)]
    pub probe: Vec<String>,
    /// Who does it.
    #[serde(default)]
    pub owner: String,
    /// Where it is written how.
    #[serde(default)]
    pub runbook: String,
    /// How the old value is revoked where it is used.
    #[serde(default)]
    pub revoke: String,
    /// Why it is never rotated, and what is done instead.
    #[serde(default)]
    pub never: String,
    /// Names of secrets that must be rotated before it.
    #[serde(default)]
    pub after: Vec<String>,
    /// What uses it.
    #[serde(default)]
    pub consumers: Vec<String>,
}

/// A playbook that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the playbook cannot be read: {0}")]
pub struct PlaybookError(String);

impl Playbook {
    /// Reads a playbook.
    ///
    /// # Errors
    /// [`PlaybookError`].
    pub fn parse(text: &str) -> Result<Self, PlaybookError> {
        toml::from_str(text).map_err(|error| {
            let first = error.message().lines().next().unwrap_or_default();
            PlaybookError(first.to_owned())
        })
    }

    /// What it says of a name.
    pub fn of(&self, name: &str) -> Option<&Play> {
        let fits = |pattern: &str| match pattern.strip_suffix('/') {
            Some(_) => name.starts_with(pattern),
            None => name_matches(pattern, name),
        };
        self.secret.iter().find(|play| fits(&play.names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_entry_that_fits_counts() {
        let text = "[[secret]]\nnames = \"a/b\"\nowner = \"one\"\n[[secret]]\nnames = \"a/\"\nowner = \"two\"\n";
        let playbook = Playbook::parse(text).unwrap();
        let owner = |name: &str| playbook.of(name).map(|play| play.owner.clone());
        assert_eq!((owner("a/b").as_deref(), owner("a/c").as_deref(), owner("b")), (Some("one"), Some("two"), None));
        assert!(Playbook::parse("[[secret]]\nnames = \"a\"\nrotat = []\n").is_err());
        assert_eq!(Playbook::parse("").unwrap(), Playbook::default());
    }
}
