//! A token of Vault or OpenBao that this process was given, or that a person's sign-in left behind.
#![expect(clippy::disallowed_methods, reason = "the variables that every client of Vault and OpenBao reads")]

use std::{env, fs, path::PathBuf};

use zeroize::Zeroizing;

/// The variables that hold a token, in the order in which they count.
const TOKENS: [&str; 2] = ["VAULT_TOKEN", "BAO_TOKEN"];
/// The variables that name the file of a sign-in.
const PATHS: [&str; 2] = ["VAULT_TOKEN_PATH", "BAO_TOKEN_PATH"];
/// The file where nothing else is named, below the home folder.
const FILE: &str = ".vault-token";

/// The token of the environment, else of the sign-in.
pub fn vault_token() -> Option<Zeroizing<String>> {
    let clean = |text: String| {
        let text = Zeroizing::new(text);
        Some(Zeroizing::new(text.trim().to_owned())).filter(|token| !token.is_empty())
    };
    let of_process = TOKENS.iter().find_map(|name| env::var(name).ok().and_then(clean));
    of_process.or_else(|| {
        let named = PATHS.iter().find_map(env::var_os).map(PathBuf::from);
        let file = named.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(FILE)))?;
        fs::read_to_string(file).ok().and_then(clean)
    })
}
