//! GetRandomPassword.

use super::{Answer, Call, Refusal, answer};
use crate::crypto::{PasswordRequest, random_password};

pub(super) fn get_random_password(_: &Call<'_>, request: PasswordRequest) -> Answer {
    let password = random_password(&request).map_err(|none| Refusal::invalid_parameter(none.to_string()))?;
    answer(&serde_json::json!({ "RandomPassword": *password }))
}
