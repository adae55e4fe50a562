//! Signature version 4 of AWS, verified in full.
//!
//! Source: "Create a signed AWS API request", AWS IAM User Guide. What is refused beyond that: signatures in the query,
//! SigV4A, a payload that is not signed, any header that is there twice, and a date further than five minutes away.

use hkdf::hmac::{Hmac, Mac};
use hyper::{HeaderMap, Method, http::request::Parts};
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::grants::{Grant, Grants};

/// How far the clock of a client may be from ours.
const SKEW: SignedDuration = SignedDuration::from_mins(5);
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";
/// Headers that must be signed; the target only where it is there.
const SIGNED: [&str; 3] = ["host", DATE, TOKEN];
const TARGET: &str = "x-amz-target";

/// Why a request is not from a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// No signature.
    #[error("the request has no signature")]
    Missing,
    /// A signature of another kind.
    #[error("only the signature AWS4-HMAC-SHA256 in the Authorization header is accepted")]
    Kind,
    /// Not a signature.
    #[error("the Authorization header is not a complete signature")]
    Malformed,
    /// A header twice.
    #[error("a header is there twice")]
    Duplicate,
    /// A header that must be signed is not.
    #[error("host, x-amz-date, x-amz-security-token and x-amz-target must be signed")]
    NotSigned,
    /// The date.
    #[error("the signature is not of this time: the clocks of client and server differ by more than five minutes")]
    Skewed,
    /// Another service, or another date than the header's.
    #[error("the credential is scoped to another service or date")]
    Scope,
    /// Keys that this server did not issue.
    #[error("the security token included in the request is invalid")]
    Unknown,
    /// The grant has ended.
    #[error("the security token included in the request is expired")]
    Expired,
    /// The signature is not the one of this request.
    #[error("the signature does not match the request")]
    Mismatch,
}

impl Unverified {
    /// The error code, as AWS names it.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "MissingAuthenticationTokenException",
            Self::Kind | Self::Malformed | Self::Duplicate | Self::NotSigned => "IncompleteSignatureException",
            Self::Skewed | Self::Scope | Self::Mismatch => "InvalidSignatureException",
            Self::Unknown => "UnrecognizedClientException",
            Self::Expired => "ExpiredTokenException",
        }
    }
}

/// Who signed, and for which region.
pub struct Verified {
    /// The grant whose keys signed.
    pub grant: std::sync::Arc<Grant>,
    /// The region of the scope, which can be any.
    pub region: String,
}

/// The Authorization header.
struct Authorization<'a> {
    key: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed: Vec<&'a str>,
    signature: &'a str,
}

/// Verifies that a request is signed with keys that were granted, for `service`, over exactly this body.
///
/// # Errors
/// See [`Unverified`].
pub fn verify(
    head: &Parts,
    body: &[u8],
    service: &str,
    grants: &Grants,
    now: Timestamp,
) -> Result<Verified, Unverified> {
    if head.uri.query().is_some() || head.uri.path() != "/" || head.method != Method::POST {
        return Err(Unverified::Kind);
    }
    if head.headers.keys().any(|name| head.headers.get_all(name).iter().nth(1).is_some()) {
        return Err(Unverified::Duplicate);
    }
    let said = Authorization::of(&head.headers)?;
    let is_signed = |name: &str| said.signed.contains(&name);
    if !SIGNED.into_iter().all(is_signed) || (head.headers.contains_key(TARGET) && !is_signed(TARGET)) {
        return Err(Unverified::NotSigned);
    }
    let sent = text(&head.headers, DATE)?;
    let time = date(sent).ok_or(Unverified::Malformed)?;
    if time.duration_since(now).abs() > SKEW {
        return Err(Unverified::Skewed);
    }
    if said.service != service || !sent.starts_with(said.date) {
        return Err(Unverified::Scope);
    }
    let payload = hex::encode(Sha256::digest(body));
    // Whatever a client states about the body, its own hash decides.
    if head.headers.get("x-amz-content-sha256").is_some_and(|stated| *stated != *payload) {
        return Err(Unverified::Mismatch);
    }
    let grant = grants.by_key(said.key).ok_or(Unverified::Unknown)?;
    let token = text(&head.headers, TOKEN)?;
    let has_token: bool = token.as_bytes().ct_eq(grant.session_token().as_bytes()).into();
    if !has_token {
        return Err(Unverified::Unknown);
    }
    let canonical = canonical(&head.headers, &said.signed, &payload)?;
    let scope = format!("{}/{}/{}/aws4_request", said.date, said.region, said.service);
    let message = format!("{ALGORITHM}\n{sent}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let expected = mac(&grant.signing_key(said.date, said.region, said.service), message.as_bytes());
    let mut signature = [0; 32];
    hex::decode_to_slice(said.signature, &mut signature).map_err(|_| Unverified::Mismatch)?;
    if !bool::from(expected[..].ct_eq(&signature[..])) {
        return Err(Unverified::Mismatch);
    }
    if grant.until() <= now {
        return Err(Unverified::Expired);
    }
    Ok(Verified { region: said.region.to_owned(), grant })
}

impl<'a> Authorization<'a> {
    /// Reads `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=HEX`.
    fn of(headers: &'a HeaderMap) -> Result<Self, Unverified> {
        let header = headers.get("authorization").ok_or(Unverified::Missing)?;
        let header = header.to_str().map_err(|_| Unverified::Malformed)?;
        let (algorithm, fields) = header.split_once(' ').ok_or(Unverified::Malformed)?;
        if algorithm != ALGORITHM {
            return Err(Unverified::Kind);
        }
        let (mut credential, mut signed, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=').ok_or(Unverified::Malformed)?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut signed,
                "Signature" => &mut signature,
                _ => return Err(Unverified::Malformed),
            };
            if place.replace(value).is_some() {
                return Err(Unverified::Malformed);
            }
        }
        let (Some(credential), Some(signed), Some(signature)) = (credential, signed, signature) else {
            return Err(Unverified::Malformed);
        };
        let parts: Vec<&str> = credential.split('/').collect();
        let [key, date, region, service, "aws4_request"] = parts[..] else { return Err(Unverified::Malformed) };
        let signed: Vec<&str> = signed.split(';').collect();
        if !signed.is_sorted_by(|a, b| a < b) || date.len() != 8 || region.is_empty() {
            return Err(Unverified::Malformed);
        }
        Ok(Self { key, date, region, service, signed, signature })
    }
}

/// The canonical request. Path and query are always empty.
fn canonical(headers: &HeaderMap, signed: &[&str], payload: &str) -> Result<String, Unverified> {
    let mut canonical = String::from("POST\n/\n\n");
    for name in signed {
        if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return Err(Unverified::Malformed);
        }
        canonical.push_str(name);
        canonical.push(':');
        let value = text(headers, name)?;
        for (at, word) in value.split(' ').filter(|word| !word.is_empty()).enumerate() {
            if at > 0 {
                canonical.push(' ');
            }
            canonical.push_str(word);
        }
        canonical.push('\n');
    }
    canonical.push('\n');
    canonical.push_str(&signed.join(";"));
    canonical.push('\n');
    canonical.push_str(payload);
    Ok(canonical)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Unverified> {
    headers.get(name).ok_or(Unverified::NotSigned)?.to_str().map_err(|_| Unverified::Malformed)
}

/// `20261128T160000Z`
fn date(text: &str) -> Option<Timestamp> {
    let is_form = text.len() == 16
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            _ => byte.is_ascii_digit(),
        });
    let form = |t: &str| format!("{}-{}-{}T{}:{}:{}Z", &t[..4], &t[4..6], &t[6..8], &t[9..11], &t[11..13], &t[13..15]);
    if is_form { form(text).parse().ok() } else { None }
}

pub(super) fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::{grants::GrantRequest, sample};

    const NOW: &str = "2030-01-01T12:00:00Z";
    const BODY: &[u8] = br#"{"SecretId":"app/db"}"#;

    /// A change to a good request, and what must come of it.
    type Case<'a> = (&'a str, Unverified, &'a dyn Fn(&mut Parts));

    struct Bench {
        grants: Grants,
        grant: std::sync::Arc<Grant>,
    }

    fn bench() -> Bench {
        let grants = Grants::default();
        let request = GrantRequest { consumer: "web".into(), secrets: vec!["*".into()], seconds: 600 };
        let grant = grants.issue(request, NOW.parse().unwrap()).unwrap();
        Bench { grants, grant }
    }

    impl Bench {
        fn request(&self) -> Parts {
            let secret = self.grant.secret_access_key();
            let (key, token) = (self.grant.access_key_id(), self.grant.session_token());
            sample::signed((key, secret, token), BODY, NOW.parse().unwrap(), ("us-east-1", "secretsmanager"))
        }

        fn ask(&self, change: impl FnOnce(&mut Parts), now: &str) -> Result<String, Unverified> {
            let mut head = self.request();
            change(&mut head);
            verify(&head, BODY, "secretsmanager", &self.grants, now.parse().unwrap()).map(|it| it.region)
        }
    }

    fn set(head: &mut Parts, name: &'static str, value: &str) {
        head.headers.insert(name, value.parse().unwrap());
    }

    fn append(head: &mut Parts, name: &'static str, value: &str) {
        head.headers.append(name, value.parse().unwrap());
    }

    fn authorization(head: &mut Parts, change: impl FnOnce(&str) -> String) {
        let changed = change(head.headers["authorization"].to_str().unwrap());
        set(head, "authorization", &changed);
    }

    #[test]
    fn what_an_independent_signer_signed_is_verified() {
        assert_eq!(bench().ask(|_| {}, NOW).as_deref(), Ok("us-east-1"));
        assert_eq!(bench().ask(|_| {}, "2030-01-01T12:04:59Z").as_deref(), Ok("us-east-1"));
    }

    #[test]
    fn every_change_is_refused() {
        use Unverified as U;
        let bench = bench();
        let cases: [Case<'_>; 15] = [
            ("no signature", U::Missing, &|head| drop(head.headers.remove("authorization"))),
            ("presigned", U::Kind, &|head| head.uri = "/?X-Amz-Signature=0".parse().unwrap()),
            ("sigv4a", U::Kind, &|head| {
                authorization(head, |text| text.replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"));
            }),
            ("a get", U::Kind, &|head| head.method = Method::GET),
            ("two dates", U::Duplicate, &|head| append(head, DATE, "20300101T120000Z")),
            ("two hosts", U::Duplicate, &|head| append(head, "host", "evil")),
            ("an unsigned token", U::NotSigned, &|head| {
                authorization(head, |text| text.replace(";x-amz-security-token", ""));
            }),
            ("an unsigned target", U::NotSigned, &|head| authorization(head, |text| text.replace(";x-amz-target", ""))),
            ("another target", U::Mismatch, &|head| set(head, TARGET, "secretsmanager.ListSecrets")),
            ("another host", U::Mismatch, &|head| set(head, "host", "localhost:2")),
            ("another token", U::Unknown, &|head| set(head, TOKEN, "x")),
            ("another key", U::Unknown, &|head| {
                authorization(head, |text| text.replace("ASIALIFEBOAT", "ASIALIFEBOTA"));
            }),
            ("another region", U::Mismatch, &|head| authorization(head, |text| text.replace("us-east-1", "us-east-2"))),
            ("another service", U::Scope, &|head| authorization(head, |text| text.replace("secretsmanager", "sts"))),
            ("another day", U::Scope, &|head| authorization(head, |text| text.replace("20300101/", "20300102/"))),
        ];
        for (name, expected, change) in cases {
            assert_eq!(bench.ask(change, NOW), Err(expected), "{name}");
        }
        for now in ["2030-01-01T12:05:01Z", "2030-01-01T11:54:59Z"] {
            assert_eq!(bench.ask(|_| {}, now), Err(U::Skewed), "{now}");
        }
        let head = bench.request();
        let swapped = verify(&head, b"{}", "secretsmanager", &bench.grants, NOW.parse().unwrap()).err();
        assert_eq!(swapped, Some(U::Mismatch), "a body under the signature of another");
    }

    #[test]
    fn every_bit_of_the_signature_counts() {
        let bench = bench();
        for at in 1..=64 {
            let flip = |text: &str| {
                let mut bytes = text.as_bytes().to_vec();
                let last = bytes.len() - at;
                bytes[last] = if bytes[last] == b'0' { b'1' } else { b'0' };
                String::from_utf8(bytes).unwrap()
            };
            assert_eq!(bench.ask(|head| authorization(head, flip), NOW), Err(Unverified::Mismatch), "{at}");
        }
    }

    #[test]
    fn keys_end_with_their_grant() {
        let bench = bench();
        let later = "2030-01-01T12:10:00Z";
        let (key, secret) = (bench.grant.access_key_id(), bench.grant.secret_access_key());
        let keys = (key, secret, bench.grant.session_token());
        let head = sample::signed(keys, BODY, later.parse().unwrap(), ("eu-west-9", "secretsmanager"));
        let outcome = verify(&head, BODY, "secretsmanager", &bench.grants, later.parse().unwrap()).err();
        assert_eq!(outcome, Some(Unverified::Expired));
    }

    #[test]
    fn dates_have_one_form() {
        assert_eq!(date("20300101T120000Z"), NOW.parse().ok());
        for wrong in ["", "20300101T120000", "2030-01-01T12:00Z", "20301301T120000Z", "20300101 120000Z"] {
            assert_eq!(date(wrong), None, "{wrong}");
        }
    }
}
