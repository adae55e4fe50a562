//! The sign-in: access tokens of a tenant, and the challenge that tells a client where to get one.

use jiff::ToSpan as _;
use serde_json::json;

use super::{
    answer::Answer,
    state::{Token, Vault, World, hex32},
};

/// How long a token lasts, in seconds.
const LASTS: i64 = 3_599;

/// Answers a request to the host of the sign-in: `/{tenant}/oauth2/v2.0/token` and what describes it.
pub(super) fn answer(world: &World, method: &str, path: &str, body: &[u8]) -> Answer {
    let (tenant, rest) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
    match (method, rest) {
        ("GET", "v2.0/.well-known/openid-configuration") => {
            let authority = world.authority(tenant);
            Answer::json(
                200,
                &json!({
                    "issuer": format!("{authority}/v2.0"),
                    "authorization_endpoint": format!("{authority}/oauth2/v2.0/authorize"),
                    "token_endpoint": format!("{authority}/oauth2/v2.0/token"),
                }),
            )
        }
        ("POST", "oauth2/v2.0/token") => token(world, tenant, body),
        _ => Answer::error(404, "NotFound", "there is no such page"),
    }
}

fn token(world: &World, tenant: &str, body: &[u8]) -> Answer {
    let field = |wanted: &str| {
        let pairs = body.split(|byte| *byte == b'&').filter_map(|pair| std::str::from_utf8(pair).ok());
        pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == wanted).map(|(_, value)| plain(value))
    };
    let refused = |code: u32, error: &str, words: &str| {
        let description = format!("AADSTS{code}: {words}");
        Answer::json(401, &json!({ "error": error, "error_description": description, "error_codes": [code] }))
    };
    let is_assertion = field("client_assertion").is_some_and(|assertion| !assertion.is_empty());
    if !is_assertion && field("client_secret").as_deref() != Some(&world.client_secret) {
        return refused(7_000_215, "invalid_client", "Invalid client secret provided.");
    }
    let scope = field("scope").unwrap_or_default();
    let for_manager = scope == format!("{}/.default", world.manager());
    if !for_manager && scope != format!("{}/.default", world.resource()) {
        return refused(500_011, "invalid_resource", "The resource principal was not found in the tenant.");
    }
    let now = world.now();
    let text = format!("{}.{}", hex32(), hex32());
    let ends = now.saturating_add(LASTS.seconds()).unwrap_or(now);
    let token = Token { tenant: tenant.to_owned(), ends, for_manager };
    world.state().tokens.insert(text.clone(), token);
    Answer::json(
        200,
        &json!({ "token_type": "Bearer", "expires_in": LASTS, "ext_expires_in": LASTS, "access_token": text }),
    )
}

/// The text of a form's field.
pub(super) fn plain(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                std::str::from_utf8(&digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(b'?')
            }
            b'+' => b' ',
            byte => byte,
        });
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// The refusal that tells where to sign in.
pub(super) fn challenge(world: &World, vault: &Vault, is_missing: bool) -> Answer {
    let words = if is_missing {
        "AKV10000: Request is missing a Bearer or PoP token."
    } else {
        "AKV10032: Invalid issuer, or a token that has ended."
    };
    let header =
        format!("Bearer authorization=\"{}\", resource=\"{}\"", world.authority(&vault.tenant), world.resource());
    Answer::error(401, "Unauthorized", words).with("www-authenticate", header)
}
