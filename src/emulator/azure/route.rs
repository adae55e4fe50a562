//! From a request to its answer: sign-in, token, limit, secret.

use std::sync::atomic::Ordering;

use serde_json::Value as Json;

use super::{
    answer::Answer,
    faults::Verdict,
    rights,
    secrets::{self, Call},
    sign_in,
    state::World,
};

/// What becomes of a request.
pub(super) enum Outcome {
    Answered(Answer),
    /// The connection closes without an answer.
    Dropped,
}

/// One request, as it came.
pub(super) struct Raw<'a> {
    pub(super) method: &'a str,
    /// Without its port, in small letters.
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// Of the header `Authorization`, without `Bearer `.
    pub(super) token: &'a str,
    pub(super) body: &'a [u8],
}

/// Answers one request.
pub(super) fn answer(world: &World, raw: &Raw<'_>) -> Outcome {
    let Some(name) = raw.host.strip_suffix(super::DOMAIN).and_then(|name| name.strip_suffix('.')) else {
        if !raw.path.starts_with("/subscriptions/") {
            return Outcome::Answered(sign_in::answer(world, raw.method, raw.path, raw.body));
        }
        return match world.faults.judge(&format!("{} {}", raw.method, raw.path)) {
            Verdict::Refuse(refusal) => Outcome::Answered(refusal),
            Verdict::Drop | Verdict::DropAfter => Outcome::Dropped,
            Verdict::Proceed | Verdict::Challenge => Outcome::Answered(rights::answer(world, raw)),
        };
    };
    let verdict = world.faults.judge(&format!("{} {}", raw.method, raw.path));
    let answer = match verdict {
        Verdict::Drop => return Outcome::Dropped,
        Verdict::Refuse(refusal) => return Outcome::Answered(refusal),
        Verdict::Challenge => {
            let mut state = world.state();
            let vault = state.vault(name, &world.tenant);
            return Outcome::Answered(sign_in::challenge(world, vault, false));
        }
        Verdict::Proceed | Verdict::DropAfter => carried_out(world, name, raw).unwrap_or_else(|refusal| refusal),
    };
    if matches!(verdict, Verdict::DropAfter) { Outcome::Dropped } else { Outcome::Answered(answer) }
}

fn carried_out(world: &World, name: &str, raw: &Raw<'_>) -> Result<Answer, Answer> {
    let (mut state, now) = (world.state(), world.now());
    let token = state.tokens.get(raw.token).filter(|token| token.ends > now && !token.for_manager);
    let token = token.map(|token| token.tenant.clone());
    let lag = state.lag;
    let vault = state.vault(name, &world.tenant);
    if token.as_ref() != Some(&vault.tenant) {
        return Err(sign_in::challenge(world, vault, raw.token.is_empty()));
    }
    if world.quotas.load(Ordering::Relaxed) {
        vault.quota.take(now).map_err(Answer::throttled)?;
    }
    // Microsoft's client for JavaScript escapes the hyphen of `api-version`.
    let pairs = raw.query.split('&').filter_map(|pair| pair.split_once('='));
    let query: Vec<(String, String)> =
        pairs.map(|(name, value)| (sign_in::plain(name), sign_in::plain(value))).collect();
    let of_query = |wanted: &str| query.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let version = of_query("api-version").unwrap_or_default();
    if !is_version(version) {
        let words = "Missing or invalid api-version query parameter";
        return Err(Answer::error(400, "BadParameter", words));
    }
    let body: Json = match raw.body {
        [] => Json::Null,
        body => serde_json::from_slice(body).map_err(|_| Answer::bad("The request body is not valid JSON."))?,
    };
    let most = match of_query("maxresults").map(str::parse::<usize>) {
        None => secrets::MOST_PAGE,
        Some(Ok(most @ 1..=secrets::MOST_PAGE)) => most,
        Some(_) => return Err(Answer::bad("maxresults must be between 1 and 25")),
    };
    let skip = of_query("$skiptoken");
    let address = world.vault(name);
    let segments: Vec<&str> = raw.path.trim_matches('/').split('/').collect();
    let call =
        Call { method: raw.method, segments: &segments, body: &body, most, skip, version, address: &address, now, lag };
    let (what, answer) = secrets::answer(vault, &call);
    *state.calls.entry(format!("{} {what}", raw.method)).or_default() += 1;
    answer
}

/// `7.3`, or a date with or without `-preview`.
fn is_version(text: &str) -> bool {
    let date = text.strip_suffix("-preview").unwrap_or(text);
    let is_date = date.len() == 10 && date.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    is_date || text.strip_prefix("7.").is_some_and(|minor| minor.parse::<u8>().is_ok())
}
