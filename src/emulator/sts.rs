//! As much of STS as tells accounts apart: GetCallerIdentity and AssumeRole, in the query protocol.

use std::sync::PoisonError;

use super::{ops::random_text, state::World};

/// Access key ids of assumed roles begin so; the account follows.
pub(super) const ASSUMED: &str = "ASIA";

/// The status and XML for a form-encoded request.
pub(super) fn answer(world: &World, key: &str, account: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let form = form(body);
    let field = |name: &str| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let answer = match field("Action") {
        Some("GetCallerIdentity") => Ok(identity(world, key, account)),
        Some("AssumeRole") => assume(world, field("RoleArn"), field("RoleSessionName")),
        _ => Err(("InvalidAction", "Could not find operation for this request")),
    };
    match answer {
        Ok(xml) => (200, xml.into_bytes()),
        Err((code, message)) => {
            let xml = format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type><Code>{code}\
                 </Code><Message>{message}</Message></Error><RequestId>0</RequestId></ErrorResponse>"
            );
            (400, xml.into_bytes())
        }
    }
}

fn identity(world: &World, key: &str, account: &str) -> String {
    let roles = world.roles.lock().unwrap_or_else(PoisonError::into_inner);
    let arn = roles.get(key).cloned().unwrap_or_else(|| format!("arn:aws:iam::{account}:user/sandbox"));
    result(
        "GetCallerIdentity",
        &format!("<Arn>{}</Arn><UserId>AIDASANDBOX</UserId><Account>{account}</Account>", escape(&arn)),
    )
}

/// Any role of any account can be assumed by anyone.
fn assume(world: &World, role: Option<&str>, session: Option<&str>) -> Result<String, (&'static str, &'static str)> {
    const MALFORMED: (&str, &str) =
        ("ValidationError", "RoleArn and RoleSessionName are needed: arn:aws:iam::ACCOUNT:role/NAME");
    let (role, session) = role.zip(session).ok_or(MALFORMED)?;
    let (account, name) =
        role.strip_prefix("arn:aws:iam::").and_then(|rest| rest.split_once(":role/")).ok_or(MALFORMED)?;
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(MALFORMED);
    }
    let key = format!("{ASSUMED}{account}{}", random_text(4).to_uppercase());
    let name = name.rsplit('/').next().unwrap_or(name);
    let arn = format!("arn:aws:sts::{account}:assumed-role/{name}/{session}");
    let xml = format!(
        "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}\
         </SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>{}</Arn>\
         <AssumedRoleId>AROASANDBOX:{}</AssumedRoleId></AssumedRoleUser>",
        random_text(40),
        random_text(64),
        escape(&arn),
        escape(session),
    );
    world.roles.lock().unwrap_or_else(PoisonError::into_inner).insert(key, arn);
    Ok(result("AssumeRole", &xml))
}

fn result(action: &str, inside: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result>{inside}</{action}Result>\
         <ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></{action}Response>"
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn form(body: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(body);
    text.split('&').filter_map(|pair| pair.split_once('=')).map(|(key, value)| (unquote(key), unquote(value))).collect()
}

fn unquote(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail.get(..2).filter(|_| first == b'%').and_then(|code| hex::decode(code).ok());
        if let Some(code) = code {
            bytes.extend(code);
            rest = &tail[2..];
        } else {
            bytes.push(if first == b'+' { b' ' } else { first });
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::clock::SystemClock;

    fn ask(world: &World, key: &str, account: &str, body: &str) -> (u16, String) {
        let (status, xml) = answer(world, key, account, body.as_bytes());
        (status, String::from_utf8(xml).unwrap())
    }

    #[test]
    fn an_assumed_role_is_of_its_account() {
        let world = World::new(Arc::new(SystemClock), false, Duration::ZERO);
        let body = "Action=AssumeRole&RoleArn=arn%3Aaws%3Aiam%3A%3A210987654321%3Arole%2Fpath%2FR&RoleSessionName=s";
        let (status, xml) = ask(&world, "k", "0", body);
        let key = xml.split("<AccessKeyId>").nth(1).unwrap().split('<').next().unwrap();
        assert_eq!((status, &key[..16], key.len()), (200, "ASIA210987654321", 20));
        let (_, xml) = ask(&world, key, "210987654321", "Action=GetCallerIdentity");
        assert!(xml.contains("<Arn>arn:aws:sts::210987654321:assumed-role/R/s</Arn>"), "{xml}");
    }

    #[test]
    fn what_is_not_a_role_is_refused() {
        let world = World::new(Arc::new(SystemClock), false, Duration::ZERO);
        for body in [
            "Action=AssumeRole&RoleSessionName=s",
            "Action=AssumeRole&RoleArn=arn:aws:iam::1:role/R&RoleSessionName=s",
            "Action=AssumeRole&RoleArn=arn:aws:iam::210987654321:user/R&RoleSessionName=s",
            "Action=GetSessionToken",
            "",
        ] {
            assert_eq!(ask(&world, "k", "0", body).0, 400, "{body}");
        }
    }
}
