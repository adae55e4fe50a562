//! GetRandomPassword.

use serde::Deserialize;

use super::{Answer, Call, Refusal, answer};

const LOWER: &str = "abcdefghijklmnopqrstuvwxyz";
const UPPER: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &str = "0123456789";
const PUNCTUATION: &str = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "AWS's request has these")]
pub(super) struct GetRandomPassword {
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

pub(super) fn get_random_password(_: &Call<'_>, request: GetRandomPassword) -> Answer {
    let length = request.password_length.unwrap_or(32);
    if !(1..=4096).contains(&length) {
        return Err(Refusal::invalid_parameter("PasswordLength must be between 1 and 4096."));
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
        return Err(Refusal::invalid_parameter("The password can't be made from the characters that remain."));
    }
    let mut password: Vec<char> = if each { sets.iter().map(|set| pick(set)).collect() } else { Vec::new() };
    while password.len() < length {
        let at = usize_below(password.len() + 1);
        password.insert(at, pick(&all));
    }
    answer(&serde_json::json!({ "RandomPassword": password.iter().collect::<String>() }))
}

fn pick(set: &[char]) -> char {
    set[usize_below(set.len())]
}

fn usize_below(bound: usize) -> usize {
    let random = getrandom::u32().expect("the operating system has randomness");
    usize::try_from(random).map_or(0, |random| random % bound)
}
