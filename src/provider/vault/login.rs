//! Signing in: a token that is there, or one that a role gives.

use std::fs;

use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{
    Login,
    client::{About, Client},
};
use crate::{
    outward::vault_token,
    provider::{ErrorKind, ProviderError},
};

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
    vault_token().ok_or_else(|| {
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
    token.ok_or_else(|| about().bad("the answer has no token"))
}
