//! A random password, as AWS Secrets Manager makes it: GetRandomPassword.

use serde::Deserialize;
use zeroize::Zeroizing;

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

/// What it is to be made of, as the request says it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "AWS's request has these")]
pub struct PasswordRequest {
    password_length: Option<usize>,
    #[serde(default)]
    exclude_characters: String,
    #[serde(default)]
    exclude_lowercase: bool,
    #[serde(default)]
    exclude_uppercase: bool,
    #[serde(default)]
    exclude_numbers: bool,
    #[serde(default)]
    exclude_punctuation: bool,
    #[serde(default)]
    include_space: bool,
    require_each_included_type: Option<bool>,
}

/// A password that was asked for and cannot be: AWS's own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the words are the documentation")]
pub enum NoPassword {
    #[error("PasswordLength must be between 1 and 4096.")]
    Length,
    #[error("The password can't be made from the characters that remain.")]
    Characters,
}

/// Makes one.
///
/// # Errors
/// See [`NoPassword`].
pub fn random_password(request: &PasswordRequest) -> Result<Zeroizing<String>, NoPassword> {
    let length = request.password_length.unwrap_or(32);
    if !(1..=4096).contains(&length) {
        return Err(NoPassword::Length);
    }
    let wanted = [
        (LOWER, !request.exclude_lowercase),
        (UPPER, !request.exclude_uppercase),
        (DIGITS, !request.exclude_numbers),
        (PUNCTUATION, !request.exclude_punctuation),
        (" ", request.include_space),
    ];
    let allowed = |set: &str| set.chars().filter(|c| !request.exclude_characters.contains(*c)).collect::<Vec<_>>();
    let sets: Vec<Vec<char>> =
        wanted.iter().filter(|(_, on)| *on).map(|(set, _)| allowed(set)).filter(|set| !set.is_empty()).collect();
    let all: Vec<char> = sets.concat();
    let each = request.require_each_included_type.unwrap_or(true);
    if all.is_empty() || (each && sets.len() > length) {
        return Err(NoPassword::Characters);
    }
    let mut password: Vec<char> =
        if each { sets.iter().map(|set| set[below(set.len())]).collect() } else { Vec::new() };
    while password.len() < length {
        password.insert(below(password.len() + 1), all[below(all.len())]);
    }
    Ok(Zeroizing::new(password.iter().collect()))
}

/// A number below `bound`, each as likely as the others.
fn below(bound: usize) -> usize {
    let bound = u32::try_from(bound).unwrap_or(u32::MAX).max(1);
    let fair = u32::MAX - u32::MAX % bound;
    loop {
        let random = getrandom::u32().expect("the operating system gives randomness");
        if random < fair {
            return usize::try_from(random % bound).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ask(request: &serde_json::Value) -> Result<String, NoPassword> {
        Ok(random_password(&serde_json::from_value(request.clone()).unwrap())?.to_string())
    }

    #[test]
    fn passwords_have_what_is_asked_for() {
        let default = ask(&json!({})).unwrap();
        assert!(default.len() == 32 && default.chars().any(|c| c.is_ascii_digit()));
        let digits = json!({ "PasswordLength": 9, "ExcludeLowercase": true, "ExcludeUppercase": true, "ExcludePunctuation": true });
        let digits = ask(&digits).unwrap();
        assert!(digits.len() == 9 && digits.bytes().all(|c| c.is_ascii_digit()));
        assert!(ask(&json!({ "PasswordLength": 0 })).is_err() && ask(&json!({ "PasswordLength": 2 })).is_err());
    }
}
