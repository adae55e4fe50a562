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
        Login::AppRole { mount, role_id, secret_id_file, is_wrapped } => {
            let mut secret_id = read(secret_id_file)?;
            if *is_wrapped {
                secret_id = unwrapped(client, &secret_id).await?;
            }
            let body = json!({ "role_id": role_id, "secret_id": secret_id.trim() });
            given(client, mount, &body).await
        }
        Login::Certificate { mount, role } => {
            let body = role.as_deref().map_or_else(|| json!({}), |role| json!({ "name": role }));
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

/// Whether it is the server that says no: a connection that was not made says nothing of a role.
fn is_answer(error: &ProviderError) -> bool {
    matches!(error.kind, ErrorKind::Denied | ErrorKind::NotFound) || error.code.starts_with("Status4")
}

/// The secret id in a wrapping token, which opens once: somebody else who opened it first is found out by that.
async fn unwrapped(client: &Client, token: &str) -> Result<Zeroizing<String>, ProviderError> {
    #[derive(Deserialize)]
    struct Wrapped {
        secret_id: String,
    }
    client.sign(Zeroizing::new(token.trim().to_owned()));
    let answer = client.post(about(), &["sys", "wrapping", "unwrap"], &json!({})).await;
    client.sign(Zeroizing::default());
    let words = "the wrapping token was opened before, or has expired: find out by whom, and wrap a new secret id";
    let spent = || about().failed(ErrorKind::Credentials, "WrappingTokenSpent", words);
    let answer = answer.map_err(|error| if is_answer(&error) { spent() } else { error })?;
    let wrapped: Option<Wrapped> = answer.data(about())?;
    let secret_id = wrapped.map(|wrapped| Zeroizing::new(wrapped.secret_id)).filter(|it| !it.is_empty());
    secret_id.ok_or_else(|| about().bad("the wrapping token holds no secret id"))
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
    let refused = |error: ProviderError| {
        let words = format!("auth/{mount} does not let this role in");
        about().failed(ErrorKind::Credentials, &error.code, &words)
    };
    let answer = client.post(about(), &segments, body).await;
    let answer = answer.map_err(|error| if is_answer(&error) { refused(error) } else { error })?;
    let given: Given = answer.json(about())?;
    let token = given.auth.map(|auth| Zeroizing::new(auth.client_token)).filter(|token| !token.is_empty());
    token.ok_or_else(|| about().bad("the answer has no token"))
}
