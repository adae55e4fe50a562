//! The profile of the AWS configuration that the SDK will use, looked at before it does.
#![expect(clippy::disallowed_methods, reason = "the variables that every tool of AWS reads")]
#![expect(deprecated, reason = "the types' own crate is no dependency")]

use std::{env, sync::OnceLock};

use aws_config::profile::{self, ProfileSet, profile_file::ProfileFiles};
use aws_types::os_shim_internal::{Env, Fs};

static NEEDS_CODE: OnceLock<String> = OnceLock::new();
static SIGN_IN: OnceLock<SignIn> = OnceLock::new();

/// Profiles that refer to each other, at most.
const MOST_PROFILES: usize = 10;

/// What the credentials of this run rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignIn {
    /// IAM Identity Center in this region.
    Center(String),
    /// A program that prints them.
    Program,
}

/// The selected profile.
#[derive(Debug)]
pub struct Profile(ProfileSet);

impl Profile {
    /// Reads it, and remembers for this process how it signs in. `None` where the configuration does not parse: the SDK does
    /// without then.
    pub async fn selected() -> Option<Self> {
        let profiles = profile::load(&Fs::real(), &Env::real(), &ProfileFiles::default(), None).await.ok()?;
        if !has_keys() {
            if let Some(sign_in) = sign_in(&profiles) {
                let _ = SIGN_IN.set(sign_in);
            }
            if profiles.get("mfa_serial").is_some() {
                let _ = NEEDS_CODE.set(profiles.selected_profile().to_owned());
            }
        }
        Some(Self(profiles))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.selected_profile()
    }

    /// Whether somebody asked for it and it is not there.
    pub fn is_missing(&self) -> bool {
        let is_asked_for = env::var_os("AWS_PROFILE").is_some_and(|asked| !asked.is_empty());
        is_asked_for && !has_keys() && self.0.get_profile(self.name()).is_none()
    }

    /// What it has under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)
    }
}

/// Keys in the environment go before every profile.
fn has_keys() -> bool {
    env::var_os("AWS_ACCESS_KEY_ID").is_some_and(|key| !key.is_empty())
}

/// What the selected profile, or one that it takes its first credentials from, signs in with.
fn sign_in(profiles: &ProfileSet) -> Option<SignIn> {
    let mut name = profiles.selected_profile().to_owned();
    // A profile may name itself.
    for _ in 0..MOST_PROFILES {
        let profile = profiles.get_profile(&name)?;
        let session = profile.get("sso_session").and_then(|name| profiles.sso_session(name));
        let region = session.and_then(|session| session.get("sso_region")).or_else(|| profile.get("sso_region"));
        if let Some(region) = region {
            return Some(SignIn::Center(region.to_owned()));
        }
        if profile.get("credential_process").is_some() {
            return Some(SignIn::Program);
        }
        name = profile.get("source_profile")?.to_owned();
    }
    None
}

/// The profile in use, where it wants an MFA code: the SDK asks for none.
pub fn profile_that_needs_a_code() -> Option<&'static str> {
    NEEDS_CODE.get().map(String::as_str)
}

/// What the credentials of this run rest on, where that is more than keys that are here.
pub fn signs_in_by() -> Option<&'static SignIn> {
    SIGN_IN.get()
}
