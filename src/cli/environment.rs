//! What comes from outside before a command starts: arguments that hold a share, and variables that make no sense.
//!
//! The AWS SDK panics at some values and silently does without others. Here each is one sentence, which names the
//! variable and never repeats its value.
#![expect(clippy::disallowed_methods, reason = "the command line is where the environment is read")]

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

use hyper::Uri;

use super::Failure;
use crate::{fsutil, outward::Profile, share};

/// The variables that give an argument.
const ARGUMENTS: [&str; 7] = [
    "LIFEBOAT_JSON",
    "LIFEBOAT_CONFIG",
    "LIFEBOAT_REPO",
    "LIFEBOAT_SOURCE",
    "LIFEBOAT_SHARE",
    "LIFEBOAT_OPERATOR",
    "LIFEBOAT_APPROVER",
];

/// The variables with a form of their own, in the order in which they are looked at.
const FORMS: [(&str, Form); 18] = [
    ("AWS_MAX_ATTEMPTS", Form::Count),
    ("AWS_RETRY_MODE", Form::RetryMode),
    ("AWS_REGION", Form::Region),
    ("AWS_DEFAULT_REGION", Form::Region),
    ("AWS_ACCESS_KEY_ID", Form::Visible),
    ("AWS_SESSION_TOKEN", Form::Visible),
    ("AWS_USE_FIPS_ENDPOINT", Form::Bool),
    ("AWS_USE_DUALSTACK_ENDPOINT", Form::Bool),
    ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", Form::Bool),
    ("AWS_EC2_METADATA_SERVICE_ENDPOINT", Form::Url),
    ("AWS_CONTAINER_CREDENTIALS_FULL_URI", Form::Url),
    ("AWS_CA_BUNDLE", Form::Certificates),
    ("SSL_CERT_FILE", Form::Certificates),
    ("SSL_CERT_DIR", Form::Folders),
    ("HTTPS_PROXY", Form::Proxy),
    ("HTTP_PROXY", Form::Proxy),
    ("ALL_PROXY", Form::Proxy),
    ("AWS_ENDPOINT_URL", Form::Url),
];

/// The same in the selected AWS profile.
const OF_A_PROFILE: [(&str, Form); 4] = [
    ("max_attempts", Form::Count),
    ("retry_mode", Form::RetryMode),
    ("region", Form::Region),
    ("endpoint_url", Form::Url),
];

/// `AWS_ENDPOINT_URL_S3` and the other services.
const ENDPOINT_OF_A_SERVICE: &str = "AWS_ENDPOINT_URL_";
/// Larger files are no list of certificates.
const LARGEST_CERTIFICATES: usize = 16 << 20;

#[derive(Clone, Copy)]
enum Form {
    Count,
    RetryMode,
    Region,
    Visible,
    Bool,
    Url,
    Proxy,
    Certificates,
    Folders,
}

impl Form {
    fn holds(self, text: &str) -> bool {
        match self {
            Self::Count => text.parse::<u32>().is_ok_and(|count| count > 0),
            Self::RetryMode => ["standard", "adaptive"].iter().any(|mode| text.trim().eq_ignore_ascii_case(mode)),
            Self::Region => text.len() <= 63 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'),
            Self::Visible => text.bytes().all(|byte| byte.is_ascii_graphic()),
            Self::Bool => text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false"),
            Self::Url => is_address(text, &["http", "https"], false),
            Self::Proxy => is_address(text, &["http", "https", "socks4", "socks4a", "socks5", "socks5h"], true),
            Self::Certificates => has_certificates(Path::new(text)),
            Self::Folders => env::split_paths(text).all(|folder| folder.is_dir()),
        }
    }

    /// What it must be, after "must be".
    fn must_be(self) -> &'static str {
        match self {
            Self::Count => "a whole number above 0",
            Self::RetryMode => "standard or adaptive (the AWS SDK for Rust knows no other mode)",
            Self::Region => "the name of a region, such as eu-central-1",
            Self::Visible => "made of visible ASCII characters, without spaces or line ends",
            Self::Bool => "true or false",
            Self::Url => "an address of the form https://HOST or http://HOST:PORT",
            Self::Proxy => "an address of the form http://HOST:PORT",
            Self::Certificates => "a file with PEM certificates that can be read",
            Self::Folders => "a folder that exists",
        }
    }
}

/// Refuses a share that was given as an argument or in a variable, before anything can repeat it.
pub(super) fn refuse_shares() -> Result<(), Failure> {
    let words: Vec<String> = env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if words.iter().any(|word| share::resembles_share(word)) || share::resembles_share(&words.join(" ")) {
        return Err(Failure::usage("an argument holds the text of a share; it is not repeated here").hint(
            "other users of this host could see it in the list of processes, and the shell may have it in its history: \
             remove it there, and treat this share as seen by others (`lifeboat custody reshare`); \
             give --share a file, a folder or `-`, or leave it out, to be asked",
        ));
    }
    let in_a_variable =
        |name: &&&str| env::var_os(name).is_some_and(|text| share::resembles_share(&text.to_string_lossy()));
    match ARGUMENTS.iter().find(in_a_variable) {
        Some(name) => Err(Failure::usage(format!("{name} holds the text of a share; it is not repeated here")).hint(
            "unset it, and treat this share as seen by others if they can read this environment; \
             give --share a file, a folder or `-`, or leave it out, to be asked",
        )),
        None => Ok(()),
    }
}

/// Whether `--json` is asked for, when the arguments cannot be parsed.
pub(super) fn asks_for_json() -> bool {
    let by_argument = env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json");
    by_argument || env::var("LIFEBOAT_JSON").is_ok_and(|text| parse_switch(&text) == Ok(true))
}

/// Whether the subcommand is `exec`, also when the arguments cannot be parsed.
pub(super) fn asks_to_exec() -> bool {
    let known = super::command();
    let names = || known.get_subcommands().map(clap::Command::get_name);
    let mut words = env::args_os().skip(1).take_while(|word| word != "--");
    words.find(|word| names().any(|name| word == name)).is_some_and(|word| word == "exec")
}

/// The first configuration that is there: here, the user's, the machine's; here when there is none.
pub(super) fn configuration(name: &str) -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_user = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    let folders = of_user.into_iter().chain([PathBuf::from("/etc")]).map(|folder| folder.join("lifeboat"));
    let others = folders.map(|folder| folder.join(name));
    std::iter::once(PathBuf::from(name)).chain(others).find(|file| file.exists()).unwrap_or_else(|| name.into())
}

/// The folder for what ends with the session of this user; else the one for what stays.
pub(super) fn runtime_folder() -> Option<PathBuf> {
    let set = env::var_os("XDG_RUNTIME_DIR").filter(|value| !value.is_empty());
    let stays = || env::var_os("HOME").filter(|value| !value.is_empty()).map(|home| state_of(&home));
    set.map(|folder| PathBuf::from(folder).join("lifeboat")).or_else(stays)
}

/// The folder for what stays.
pub(super) fn state_folder() -> Option<PathBuf> {
    let set = env::var_os("XDG_STATE_HOME").filter(|value| !value.is_empty());
    let home = || env::var_os("HOME").filter(|value| !value.is_empty()).map(|home| state_of(&home));
    set.map(|folder| PathBuf::from(folder).join("lifeboat")).or_else(home)
}

fn state_of(home: &std::ffi::OsStr) -> PathBuf {
    Path::new(home).join(".local/state/lifeboat")
}

/// Whether colours are welcome: <https://no-color.org>, and a terminal that knows them.
pub(super) fn wants_colour() -> bool {
    env::var_os("NO_COLOR").is_none_or(|text| text.is_empty()) && env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

/// `1` or `0`, `true` or `false`, `yes` or `no`, `on` or `off`.
pub(super) fn parse_switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err("it must be true or false (1, 0, yes and no also work)"),
    }
}

/// An account of AWS.
pub(super) fn parse_account(text: &str) -> Result<String, &'static str> {
    let is_account = text.len() == 12 && text.bytes().all(|digit| digit.is_ascii_digit());
    if is_account { Ok(text.to_owned()) } else { Err("an account number has 12 digits") }
}

/// Refuses lifeboat's own variables where they are empty: unset is not the same as empty, and neither is a guess.
pub(super) fn refuse_empty() -> Result<(), Failure> {
    match ARGUMENTS.iter().find(|name| env::var_os(name).is_some_and(|text| text.is_empty())) {
        Some(name) => Err(Failure::usage(format!("{name} is empty")).hint(format!("unset {name}, or give it a value"))),
        None => Ok(()),
    }
}

/// Refuses what the SDK would not survive or would silently do without: variables, and the selected profile.
pub(super) async fn check() -> Result<(), Failure> {
    let of_services = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut of_services: Vec<String> = of_services.filter(|name| name.starts_with(ENDPOINT_OF_A_SERVICE)).collect();
    of_services.sort();
    if let Some(reason) = fault(&of_services, read) {
        return Err(Failure::usage(reason).hint("correct the variable, or unset it"));
    }
    let Some(profile) = Profile::selected().await else { return Ok(()) };
    let name = profile.name();
    if profile.is_missing() {
        let hint = "`aws configure list-profiles` shows those that are; correct AWS_PROFILE, or unset it";
        return Err(Failure::usage(format!("the AWS profile {name} is not defined")).hint(hint));
    }
    for (key, form) in OF_A_PROFILE {
        if profile.get(key).is_some_and(|text| !form.holds(text)) {
            let message = format!("{key} of the AWS profile {name} must be {}", form.must_be());
            return Err(Failure::usage(message).hint("correct it in the AWS configuration file (~/.aws/config)"));
        }
    }
    Ok(())
}

fn read(name: &str) -> Option<OsString> {
    env::var_os(name)
}

/// The first variable that does not have its form. An empty one counts as unset, as it does for the SDK.
fn fault(of_services: &[String], read: impl Fn(&str) -> Option<OsString>) -> Option<String> {
    let small = |name: &str| name.ends_with("_PROXY").then(|| name.to_ascii_lowercase());
    let named = FORMS.iter().flat_map(|(name, form)| {
        let names = [Some((*name).to_owned()), small(name)];
        names.into_iter().flatten().map(|name| (name, *form))
    });
    for (name, form) in named.chain(of_services.iter().map(|name| (name.clone(), Form::Url))) {
        let Some(given) = read(&name).filter(|given| !given.is_empty()) else { continue };
        if !given.to_str().is_some_and(|text| form.holds(text)) {
            return Some(format!("the variable {name} must be {}", form.must_be()));
        }
    }
    None
}

fn is_address(text: &str, schemes: &[&str], may_be_short: bool) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let known = match uri.scheme_str() {
        Some(scheme) => schemes.contains(&scheme),
        None => may_be_short,
    };
    let Some(authority) = uri.authority() else { return false };
    let after_host = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    let has_port = after_host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
    known && !authority.host().is_empty() && (!has_port || authority.port_u16().is_some())
}

fn has_certificates(path: &Path) -> bool {
    let read = fsutil::read_secret(path, LARGEST_CERTIFICATES);
    read.is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains("-----BEGIN CERTIFICATE-----"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, value: &str) -> Option<String> {
        let services = if name.starts_with(ENDPOINT_OF_A_SERVICE) { vec![name.to_owned()] } else { Vec::new() };
        fault(&services, |asked| (asked == name).then(|| value.into()))
    }

    #[test]
    fn each_variable_has_its_form() {
        for (name, good, bad) in [
            ("AWS_MAX_ATTEMPTS", &["1", "10"][..], &["abc", "0", "-1", "1.5", " 3"][..]),
            ("AWS_RETRY_MODE", &["standard", "Adaptive"], &["legacy", "x"]),
            ("AWS_REGION", &["eu-central-1", "EU-West-1"], &["eu central 1", "eu/1", "ü"]),
            (
                "AWS_ENDPOINT_URL",
                &["http://127.0.0.1:4599", "https://a.example/x", "http://[::1]:1"],
                &[
                    "127.0.0.1:4599",
                    "localhost",
                    "http:/x",
                    "http://",
                    "ftp://a",
                    "http://a:99999",
                    "http://a b",
                    "://",
                    "http://[::1",
                ],
            ),
            ("AWS_ENDPOINT_URL_S3", &["http://127.0.0.1:9000"], &["127.0.0.1:9000", "minio"]),
            (
                "HTTPS_PROXY",
                &["http://proxy:3128", "proxy:3128", "socks5://p:1", "http://u:p%40@h:1"],
                &["://", "http://", "a b", "gopher://a", "h:99999"],
            ),
            ("http_proxy", &["http://proxy:3128"], &["::::"]),
            ("AWS_ACCESS_KEY_ID", &["AKIAIOSFODNN7EXAMPLE"], &["AK IA", "AKIA\n", "ä"]),
            ("AWS_USE_FIPS_ENDPOINT", &["true", "FALSE"], &["yes", "1"]),
            ("AWS_CA_BUNDLE", &[], &["/nowhere/ca.pem", "/dev/null"]),
            ("SSL_CERT_DIR", &["/"], &["/nowhere"]),
        ] {
            for value in good {
                assert_eq!(judged(name, value), None, "{name}={value}");
            }
            for value in bad {
                let reason = judged(name, value).unwrap_or_else(|| panic!("{name}={value} passes"));
                assert!(reason.contains(name) && (value.len() < 8 || !reason.contains(value)), "{reason}");
            }
            assert_eq!(judged(name, ""), None, "an empty {name} is none");
        }
    }

    #[test]
    fn switches_have_many_words() {
        for text in ["1", "true", "YES", "on"] {
            assert_eq!(parse_switch(text), Ok(true), "{text}");
        }
        for text in ["0", "False", "no", "off"] {
            assert_eq!(parse_switch(text), Ok(false), "{text}");
        }
        assert!(parse_switch("").is_err() && parse_switch("2").is_err());
    }
}
