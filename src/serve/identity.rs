//! Who the caller is: STS GetCallerIdentity, and the credentials that a container asks for.

use serde_json::json;

use super::{estate::Estate, grants::Grant};
use crate::outward;

const XMLNS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The status, the error code or `ok`, and the XML for a form-encoded request to STS.
pub(super) fn answer(estate: &Estate, grant: &Grant, region: &str, body: &[u8]) -> (u16, &'static str, Vec<u8>) {
    let is_asked = body.split(|byte| *byte == b'&').any(|pair| pair == b"Action=GetCallerIdentity");
    if !is_asked {
        let xml = refusal("AccessDenied", "break-glass answers GetCallerIdentity alone");
        return (403, "AccessDenied", xml);
    }
    let account = account(estate, region);
    let (consumer, partition) = (grant.consumer(), outward::partition_name(region));
    let xml = format!(
        "<GetCallerIdentityResponse xmlns=\"{XMLNS}\"><GetCallerIdentityResult>\
         <Arn>arn:{partition}:sts::{account}:assumed-role/lifeboat-break-glass/{consumer}</Arn>\
         <UserId>AROALIFEBOAT:{consumer}</UserId><Account>{account}</Account></GetCallerIdentityResult>\
         <ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
    );
    (200, "ok", xml.into_bytes())
}

/// An error as STS writes it.
pub(super) fn refusal(code: &str, message: &str) -> Vec<u8> {
    format!(
        "<ErrorResponse xmlns=\"{XMLNS}\"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>\
         </Error><RequestId>0</RequestId></ErrorResponse>"
    )
    .into_bytes()
}

/// The account of the source in this region, else of the first one.
fn account<'a>(estate: &'a Estate, region: &str) -> &'a str {
    let is_number = |account: &str| account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
    let places = || estate.shelves().iter().map(|shelf| &shelf.place).filter(|place| is_number(&place.account));
    let here = places().find(|place| place.region == region).or_else(|| places().next());
    here.map_or("000000000000", |place| &place.account)
}

/// The keys of a grant, as SDKs read them from a container's endpoint.
pub(super) fn container_credentials(grant: &Grant) -> Vec<u8> {
    json!({
        "AccessKeyId": grant.access_key_id(),
        "SecretAccessKey": grant.secret_access_key(),
        "Token": grant.session_token(),
        "Expiration": crate::clock::to_seconds(grant.until()).to_string(),
    })
    .to_string()
    .into_bytes()
}
