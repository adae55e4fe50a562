//! Who may read what, for how long. Everything here is in memory alone and ends with the server.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use wildmatch::WildMatch;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::sigv4::mac;

/// Key ids of this server begin so.
pub const KEY_PREFIX: &str = "ASIALIFEBOAT";
/// The longest grant.
pub const LONGEST: SignedDuration = SignedDuration::from_hours(12);
/// Signing keys that a grant keeps: one for each date, region and service.
const MOST_SIGNING_KEYS: usize = 64;
/// Grants that are kept.
const MOST_GRANTS: usize = 10_000;
/// Patterns of one grant.
const MOST_PATTERNS: usize = 100;

/// What is asked for at the socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRequest {
    /// The application.
    pub consumer: String,
    /// Patterns of names, `*` and `?`.
    pub secrets: Vec<String>,
    /// How long it is good for.
    pub seconds: u32,
}

/// What a consumer gets. No Debug or Clone: it holds keys; wiped on drop.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct Credentials {
    /// The access key id.
    pub access_key_id: String,
    /// The secret key.
    pub secret_access_key: String,
    /// The session token.
    pub session_token: String,
    /// When all of it ends.
    #[zeroize(skip)]
    pub expiration: Timestamp,
    /// What `/creds` asks for.
    pub container_token: String,
    /// The address that the server answers at.
    pub endpoint: String,
}

/// One consumer's keys and what they open. No Debug: it holds keys.
pub struct Grant {
    request: GrantRequest,
    patterns: Vec<WildMatch>,
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    session_token: Zeroizing<String>,
    until: Timestamp,
    signing: Mutex<HashMap<String, [u8; 32]>>,
}

/// Every grant in force.
#[derive(Default)]
pub struct Grants(RwLock<Table>);

#[derive(Default)]
struct Table {
    by_key: HashMap<String, Arc<Grant>>,
    by_token: HashMap<[u8; 32], Arc<Grant>>,
}

/// A grant that is not given: one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    /// The name of the consumer.
    #[error("the name of a consumer has 1 to 64 letters, digits and . _ -")]
    Consumer,
    /// No pattern, or too many.
    #[error("a grant has 1 to 100 patterns, each a name in which * and ? may stand for other characters")]
    Patterns,
    /// The time.
    #[error("a grant is good for 1 second to 12 hours")]
    Time,
    /// There are too many.
    #[error("10000 grants are in force; wait until some have ended")]
    TooMany,
}

impl Grants {
    /// Makes keys for a consumer.
    ///
    /// # Errors
    /// See [`NotGranted`].
    pub fn issue(&self, request: GrantRequest, now: Timestamp) -> Result<Arc<Grant>, NotGranted> {
        self.issue_with_token(request, now).map(|(grant, _)| grant)
    }

    /// The same, with the token for `/creds`, which is not kept.
    pub(super) fn issue_with_token(
        &self,
        request: GrantRequest,
        now: Timestamp,
    ) -> Result<(Arc<Grant>, Zeroizing<String>), NotGranted> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if !(1..=64).contains(&request.consumer.len()) || !request.consumer.bytes().all(is_plain) {
            return Err(NotGranted::Consumer);
        }
        let is_pattern = |text: &String| (1..=512).contains(&text.len()) && !text.chars().any(char::is_control);
        if !(1..=MOST_PATTERNS).contains(&request.secrets.len()) || !request.secrets.iter().all(is_pattern) {
            return Err(NotGranted::Patterns);
        }
        let time = SignedDuration::from_secs(request.seconds.into());
        let until = now.checked_add(time).map_err(|_| NotGranted::Time)?;
        if time.is_zero() || time > LONGEST {
            return Err(NotGranted::Time);
        }
        let grant = Arc::new(Grant {
            patterns: request.secrets.iter().map(|pattern| WildMatch::new(pattern)).collect(),
            request,
            access_key_id: format!("{KEY_PREFIX}{}", key_ending()),
            secret_access_key: random(30),
            session_token: random(48),
            until,
            signing: Mutex::default(),
        });
        let token = random(32);
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if table.by_key.len() >= MOST_GRANTS {
            table.by_key.retain(|_, grant| grant.until > now);
            table.by_token.retain(|_, grant| grant.until > now);
        }
        if table.by_key.len() >= MOST_GRANTS {
            return Err(NotGranted::TooMany);
        }
        table.by_key.insert(grant.access_key_id.clone(), Arc::clone(&grant));
        table.by_token.insert(Sha256::digest(token.as_bytes()).into(), Arc::clone(&grant));
        Ok((grant, token))
    }

    /// Takes back every grant of a consumer that is in force; their keys and tokens are worth nothing from now on. Gives the
    /// key ids.
    pub fn revoke(&self, consumer: &str, now: Timestamp) -> Vec<String> {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_meant = |grant: &Arc<Grant>| grant.consumer() == consumer && grant.until > now;
        let keys =
            table.by_key.values().filter(|grant| is_meant(grant)).map(|grant| grant.access_key_id.clone()).collect();
        table.by_key.retain(|_, grant| !is_meant(grant));
        table.by_token.retain(|_, grant| !is_meant(grant));
        keys
    }

    /// The grant with a key id, in force or not.
    pub fn by_key(&self, key: &str) -> Option<Arc<Grant>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_key.get(key).cloned()
    }

    /// The grant of a token for `/creds`, in force or not. Looked up by its hash: how far a guess agrees with a token cannot
    /// be measured.
    pub fn by_token(&self, token: &[u8]) -> Option<Arc<Grant>> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        self.0.read().unwrap_or_else(PoisonError::into_inner).by_token.get(&hash).cloned()
    }

    /// How many are in force.
    pub fn in_force(&self, now: Timestamp) -> usize {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table.by_key.values().filter(|grant| grant.until > now).count()
    }
}

impl Grant {
    /// Who it is for.
    pub fn consumer(&self) -> &str {
        &self.request.consumer
    }

    /// The patterns.
    pub fn secrets(&self) -> &[String] {
        &self.request.secrets
    }

    /// Whether it opens a secret.
    pub fn opens(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name))
    }

    /// The access key id.
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    pub(super) fn secret_access_key(&self) -> &str {
        &self.secret_access_key
    }

    pub(super) fn session_token(&self) -> &str {
        &self.session_token
    }

    /// When it ends.
    pub fn until(&self) -> Timestamp {
        self.until
    }

    /// The key of signature version 4 for a date, region and service.
    pub(super) fn signing_key(&self, date: &str, region: &str, service: &str) -> [u8; 32] {
        let scope = format!("{date}/{region}/{service}");
        let mut known = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(key) = known.get(&scope) {
            return *key;
        }
        let first = Zeroizing::new(format!("AWS4{}", *self.secret_access_key));
        let words = [date, region, service, "aws4_request"];
        let mut key = mac(first.as_bytes(), words[0].as_bytes());
        for word in &words[1..] {
            key = mac(&key, word.as_bytes());
        }
        // A region is whatever a client says.
        if known.len() >= MOST_SIGNING_KEYS {
            known.clear();
        }
        known.insert(scope, key);
        key
    }
}

/// Text that nobody can guess.
fn random(bytes: usize) -> Zeroizing<String> {
    let mut random = Zeroizing::new(vec![0; bytes]);
    getrandom::fill(&mut random).expect("the operating system gives randomness");
    Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(&*random))
}

/// The end of a key id: eight characters of the alphabet that AWS uses.
fn key_ending() -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).expect("the operating system gives randomness");
    random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(consumer: &str, secrets: &[&str], seconds: u32) -> GrantRequest {
        let secrets = secrets.iter().map(ToString::to_string).collect();
        GrantRequest { consumer: consumer.into(), secrets, seconds }
    }

    #[test]
    fn grants_open_what_they_name_and_nothing_else() {
        let (grants, now) = (Grants::default(), Timestamp::UNIX_EPOCH);
        let (grant, token) = grants.issue_with_token(request("web", &["app/*", "one"], 60), now).unwrap();
        assert!(grant.opens("app/db") && grant.opens("one") && !grant.opens("two") && !grant.opens("xapp/db"));
        assert!(!grant.opens("oneX"));
        assert_eq!(grant.access_key_id().len(), 20);
        assert!(grants.by_key(grant.access_key_id()).is_some() && grants.by_key("ASIA").is_none());
        assert!(grants.by_token(token.as_bytes()).is_some());
        assert!(grants.by_token(&token.as_bytes()[1..]).is_none() && grants.by_token(b"").is_none());
        assert_eq!((grants.in_force(now), grants.in_force(grant.until())), (1, 0));
    }

    #[test]
    fn a_consumer_loses_every_grant_and_others_keep_theirs() {
        let (grants, now) = (Grants::default(), Timestamp::UNIX_EPOCH);
        let (first, token) = grants.issue_with_token(request("web", &["a"], 60), now).unwrap();
        grants.issue(request("web", &["b"], 60), now).unwrap();
        let other = grants.issue(request("api", &["*"], 60), now).unwrap();
        assert_eq!(grants.revoke("web", now).len(), 2);
        assert!(grants.by_key(first.access_key_id()).is_none() && grants.by_token(token.as_bytes()).is_none());
        assert!(grants.by_key(other.access_key_id()).is_some());
        assert!(grants.revoke("web", now).is_empty() && grants.revoke("api", other.until()).is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_not_granted() {
        let (grants, now) = (Grants::default(), Timestamp::UNIX_EPOCH);
        let long = "x".repeat(65);
        let many = vec!["x"; 101];
        for (asked, reason) in [
            (request("", &["*"], 60), NotGranted::Consumer),
            (request("a b", &["*"], 60), NotGranted::Consumer),
            (request("a\n", &["*"], 60), NotGranted::Consumer),
            (request(&long, &["*"], 60), NotGranted::Consumer),
            (request("a", &[], 60), NotGranted::Patterns),
            (request("a", &[""], 60), NotGranted::Patterns),
            (request("a", &["\u{1b}"], 60), NotGranted::Patterns),
            (request("a", &many, 60), NotGranted::Patterns),
            (request("a", &["*"], 0), NotGranted::Time),
            (request("a", &["*"], 43_201), NotGranted::Time),
        ] {
            assert_eq!(grants.issue(asked, now).err(), Some(reason));
        }
    }
}
