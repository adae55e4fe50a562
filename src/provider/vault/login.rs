//! Signing in: a token that is there, or one that a role gives.
#![expect(clippy::disallowed_methods, reason = "the variables that every client of Vault and OpenBao reads")]

use std::{env, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Login,
    client::{About, Client},
};
use crate::provider::{ErrorKind, ProviderError};

/// The variables that hold a token, in the order in which they count.
const TOKENS: [&str; 2] = ["VAULT_TOKEN", "BAO_TOKEN"];
/// The files that the clients' own `login` leaves a token in, below the home folder.
const FILES: [&str; 1] = [".vault-token"];

/// A token to send with every request.
pub(super) async fn token(client: &Client, login: &Login) -> Result<Zeroizing<String>, ProviderError> {
    match login {
        Login::Token => present(),
        Login::AppRole { mount, role_id, secret_id_file } => {
            let secret_id = read(secret_id_file)?;
            let body = json!({ "role_id": role_id, "secret_id": secret_id.trim() });
            given(client, mount, &body).await
        }
        Login::Jwt { mount, role, jwt_file } => {
            let jwt = read(jwt_file)?;
            let body = json!({ "role": role, "jwt": jwt.trim() });
            given(client, mount, &body).await
        }
    }
}

fn about() -> About<'static> {
    About { operation: "login", secret: None }
}

fn present() -> Result<Zeroizing<String>, ProviderError> {
    let clean = |text: String| {
        let text = Zeroizing::new(text);
        Some(Zeroizing::new(text.trim().to_owned())).filter(|token| !token.is_empty())
    };
    if let Some(token) = TOKENS.iter().find_map(|name| env::var(name).ok().and_then(clean)) {
        return Ok(token);
    }
    let home = env::var_os("HOME").map(PathBuf::from);
    let file = env::var_os("BAO_TOKEN_PATH").or_else(|| env::var_os("VAULT_TOKEN_PATH")).map(PathBuf::from);
    let files = file.into_iter().chain(FILES.iter().filter_map(|name| Some(home.as_ref()?.join(name))));
    let found = files.into_iter().find_map(|file| fs::read_to_string(file).ok().and_then(clean));
    found.ok_or_else(|| {
        let words = "there is no token: set VAULT_TOKEN, sign in with `vault login`, or name a role in the address";
        about().failed(ErrorKind::Credentials, "NoToken", words)
    })
}

fn read(file: &str) -> Result<Zeroizing<String>, ProviderError> {
    let unread = |error: std::io::Error| {
        let words = format!("{file} cannot be read: {}", error.kind());
        about().failed(ErrorKind::Credentials, "NoCredentials", &words)
    };
    Ok(Zeroizing::new(fs::read_to_string(file).map_err(unread)?))
}

async fn given(client: &Client, mount: &str, body: &serde_json::Value) -> Result<Zeroizing<String>, ProviderError> {
    #[derive(Deserialize)]
    struct Given {
        auth: Option<Auth>,
    }
    #[derive(Deserialize)]
    struct Auth {
        client_token: String,
    }
    let segments: Vec<&str> = ["auth"].into_iter().chain(mount.split('/')).chain(["login"]).collect();
    let answer = client.post(about(), &segments, body).await.map_err(|error| match error.kind {
        ErrorKind::Invalid | ErrorKind::Denied | ErrorKind::NotFound => {
            let words = format!("auth/{mount} does not let this role in");
            about().failed(ErrorKind::Credentials, &error.code, &words)
        }
        _ => error,
    })?;
    let given: Given = answer.json(about())?;
    let token = given.auth.map(|auth| Zeroizing::new(auth.client_token)).filter(|token| !token.is_empty());
    token.ok_or_else(|| about().bad("the answer holds no token"))
}
