//! Whether a target is a sandbox: judged before the first write, from what the target itself says. Pure.

use crate::{
    isolation::{Lost, region_name},
    model::Place,
    provider::rules,
};

/// What is known about a target.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// Where the secrets came from, by the signed manifest.
    pub source: &'a Place,
    /// Where writes would land, by the target's own word.
    pub landed: &'a Place,
    /// The account the drill file names.
    pub account: Option<&'a str>,
    /// The accounts the configuration allows; empty allows every one but the source's.
    pub allowed: &'a [String],
    /// The role that was taken.
    pub role: Option<&'a str>,
    /// The endpoint, when it is not the provider's own.
    pub endpoint: Option<&'a str>,
    /// Put before every name.
    pub prefix: &'a str,
    /// The embedded sandbox of this process.
    pub embedded: bool,
    /// What counts as lost.
    pub lost: &'a Lost,
}

/// What was made sure of, or everything that speaks against the target.
///
/// # Errors
/// The sentences that speak against it, at least one.
pub fn judge(claim: &Claim<'_>) -> Result<Vec<String>, Vec<String>> {
    let Claim { source, landed, .. } = claim;
    let mut against = Vec::new();
    let mut sure = Vec::new();
    let mut rule = |broken: bool, words: String, made_sure: String| {
        if broken { against.push(words) } else { sure.push(made_sure) }
    };
    if let Some(rules) = rules(&landed.provider).ok().filter(|rules| !rules.is_by_credentials()) {
        // Its address says where it is, and a person wrote it: no credentials can lead elsewhere.
        rule(
            rules.overlaps(landed, source),
            if landed == source {
                format!("the target of the drill is {landed}, the source of the secrets")
            } else {
                format!("the target of the drill is {landed}, within the source of the secrets or around it: {source}")
            },
            format!("{landed} is not the source, {source}"),
        );
        if let Some(endpoint) = claim.endpoint {
            rule(
                is_primary(endpoint, source, claim.lost),
                format!("the endpoint {endpoint} belongs to the primary"),
                format!("the endpoint {endpoint} does not belong to the primary"),
            );
        }
        return if against.is_empty() { Ok(sure) } else { Err(against) };
    }
    rule(
        landed.account == source.account,
        format!(
            "the target of the drill is account {}, the source of the secrets; a drill needs another account",
            landed.account
        ),
        format!("account {} is not the source's, {}", landed.account, source.account),
    );
    if let Some(account) = claim.account {
        rule(
            account != landed.account,
            format!("the drill file names account {account}, but the credentials belong to {}", landed.account),
            format!("account {account} is the one the drill file names"),
        );
    }
    if !claim.allowed.is_empty() {
        rule(
            !claim.allowed.contains(&landed.account),
            format!("account {} is not in [drill] accounts of the configuration", landed.account),
            format!("account {} is in the configuration's list", landed.account),
        );
    }
    if let Some(role) = claim.role {
        rule(
            role.split(':').nth(4) != Some(&landed.account),
            format!("the role {role} is not in account {}, to which it led", landed.account),
            format!("the role is in account {}", landed.account),
        );
    }
    rule(
        !claim.embedded && region_name(&landed.region) == region_name(&source.region) && claim.prefix.is_empty(),
        format!("the target is in {}, the region of the source, and its names have no prefix", landed.region),
        if claim.prefix.is_empty() {
            format!("region {} is not the source's, {}", landed.region, source.region)
        } else {
            format!("every name begins with {:?}", claim.prefix)
        },
    );
    rule(
        claim.lost.has_region(&landed.region),
        format!("the target is in {}, which counts as lost", landed.region),
        "the target is in no region that counts as lost".into(),
    );
    if let Some(endpoint) = claim.endpoint {
        rule(
            is_primary(endpoint, source, claim.lost),
            format!("the endpoint {endpoint} belongs to the primary"),
            format!("the endpoint {endpoint} does not belong to the primary"),
        );
    }
    if against.is_empty() { Ok(sure) } else { Err(against) }
}

/// An endpoint named after the source's region, or one that counts as lost.
fn is_primary(endpoint: &str, source: &Place, lost: &Lost) -> bool {
    let host = |url: &str| {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default().to_ascii_lowercase()
    };
    let own = host(endpoint);
    let name = own.rsplit_once(':').map_or(own.as_str(), |(name, _)| name);
    name.split('.').any(|label| label == region_name(&source.region))
        || lost.endpoints.iter().any(|lost| host(lost) == own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(account: &str, region: &str) -> Place {
        Place { provider: "aws".into(), account: account.into(), region: region.into() }
    }

    /// Every misconfiguration by itself, and all of them together: each is named, and none hides another.
    #[test]
    fn all_combinations_of_mistakes_are_refused_and_named() {
        let source = place("111111111111", "eu-central-1");
        let allowed = ["999999999999".to_owned()];
        for mistakes in 0..32_u8 {
            let made = |bit: u8| mistakes & (1 << bit) != 0;
            let account = if made(0) { "111111111111" } else { "999999999999" };
            let landed = place(account, if made(1) { "eu-central-1" } else { "eu-west-1" });
            let lost = Lost { endpoints: vec!["http://127.0.0.1:1".into()], ..Lost::default() };
            let claim = Claim {
                source: &source,
                landed: &landed,
                account: None,
                allowed: if made(4) { &[] } else { &allowed },
                role: Some(if made(2) {
                    "arn:aws:iam::222222222222:role/x"
                } else if made(0) {
                    "arn:aws:iam::111111111111:role/x"
                } else {
                    "arn:aws:iam::999999999999:role/x"
                }),
                endpoint: Some(if made(3) { "http://127.0.0.1:1/" } else { "http://127.0.0.1:2" }),
                prefix: "",
                embedded: false,
                lost: &lost,
            };
            let expected = usize::from(made(0)) * (1 + usize::from(!made(4)))
                + usize::from(made(1))
                + usize::from(made(2))
                + usize::from(made(3));
            match judge(&claim) {
                Ok(sure) => assert!(expected == 0 && sure.len() >= 4, "{mistakes:05b}: {sure:?}"),
                Err(against) => assert_eq!(against.len(), expected, "{mistakes:05b}: {against:?}"),
            }
        }
    }

    #[test]
    fn a_lost_region_the_primary_by_name_and_another_account_than_named() {
        let (source, landed) = (place("1", "eu-central-1"), place("2", "eu-west-1"));
        let lost = Lost { regions: vec![" EU-West-1 ".into()], ..Lost::default() };
        let claim = Claim {
            source: &source,
            landed: &landed,
            account: Some("3"),
            allowed: &[],
            role: None,
            endpoint: Some("https://secretsmanager.EU-central-1.amazonaws.com"),
            prefix: "drill/",
            embedded: false,
            lost: &lost,
        };
        assert_eq!(judge(&claim).unwrap_err().len(), 3);
        let same_region = place("2", "eu-central-1");
        let fine = Claim { landed: &same_region, account: Some("2"), endpoint: None, lost: &Lost::default(), ..claim };
        assert!(judge(&fine).is_ok(), "a prefix makes the source's region usable");
        let shouted = place("2", "EU-CENTRAL-1");
        let against = judge(&Claim { landed: &shouted, prefix: "", ..fine }).unwrap_err();
        assert!(against.len() == 1 && against[0].contains("the region of the source"), "{against:?}");
    }

    #[test]
    fn everything_that_was_made_sure_of_is_said() {
        let (source, landed) = (place("111111111111", "eu-central-1"), place("999999999999", "eu-west-1"));
        let (allowed, lost) = (["999999999999".to_owned()], Lost::default());
        let claim = Claim {
            source: &source,
            landed: &landed,
            account: Some("999999999999"),
            allowed: &allowed,
            role: Some("arn:aws:iam::999999999999:role/x"),
            endpoint: Some("http://127.0.0.1:2"),
            prefix: "drill/",
            embedded: false,
            lost: &lost,
        };
        let sure = [
            "account 999999999999 is not the source's, 111111111111",
            "account 999999999999 is the one the drill file names",
            "account 999999999999 is in the configuration's list",
            "the role is in account 999999999999",
            "every name begins with \"drill/\"",
            "the target is in no region that counts as lost",
            "the endpoint http://127.0.0.1:2 does not belong to the primary",
        ];
        assert_eq!(judge(&claim).unwrap(), sure);
        let least = Claim { account: None, allowed: &[], role: None, endpoint: None, prefix: "", ..claim };
        assert_eq!(judge(&least).unwrap(), [sure[0], "region eu-west-1 is not the source's, eu-central-1", sure[5]]);
    }

    #[test]
    fn the_embedded_sandbox_may_have_the_sources_region() {
        let (source, landed) = (place("1", "eu-central-1"), place("2", "eu-central-1"));
        let claim = |embedded| {
            let lost = Lost::default();
            let claim = Claim {
                source: &source,
                landed: &landed,
                account: None,
                allowed: &[],
                role: None,
                endpoint: None,
                prefix: "",
                embedded,
                lost: &lost,
            };
            judge(&claim).is_ok()
        };
        assert!(claim(true) && !claim(false));
    }

    #[test]
    fn an_endpoint_is_the_primarys_by_its_region_or_because_it_is_lost() {
        let source = place("1", "eu-central-1");
        let lost =
            Lost { endpoints: vec!["vault.internal:8200".into(), "https://Other.example/".into()], ..Lost::default() };
        for (endpoint, primary) in [
            ("https://secretsmanager.eu-central-1.amazonaws.com:443/", true),
            ("eu-central-1", true),
            ("https://secretsmanager.eu-central-1a.amazonaws.com", false),
            ("https://secretsmanager.eu-west-1.amazonaws.com/eu-central-1", false),
            ("http://VAULT.internal:8200?x", true),
            ("http://vault.internal:8201", false),
            ("other.example", true),
            ("another.example", false),
        ] {
            assert_eq!(is_primary(endpoint, &source, &lost), primary, "{endpoint}");
        }
    }
}
