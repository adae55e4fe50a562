//! `azure:VAULT`, `azure:NAME.vault.azure.net` or `azure:https://HOST[:PORT]`: one vault.

use std::{fmt, str::FromStr};

use reqwest::Url;

use crate::model::Place;

/// One of Microsoft's clouds.
struct Cloud {
    /// The domain of its vaults.
    vaults: &'static str,
    /// Its word in a place.
    name: &'static str,
    /// Where one signs in.
    login: &'static str,
    /// Its Resource Manager.
    manager: &'static str,
}

/// Those with a domain of their own.
/// <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates>.
const CLOUDS: [Cloud; 3] = [
    Cloud {
        vaults: ".vault.azure.net",
        name: "public",
        login: "https://login.microsoftonline.com",
        manager: "https://management.azure.com",
    },
    Cloud {
        vaults: ".vault.azure.cn",
        name: "china",
        login: "https://login.chinacloudapi.cn",
        manager: "https://management.chinacloudapi.cn",
    },
    Cloud {
        vaults: ".vault.usgovcloudapi.net",
        name: "usgov",
        login: "https://login.microsoftonline.us",
        manager: "https://management.usgovcloudapi.net",
    },
];
/// The word for every other cloud: Azure Stack, a sandbox.
const OTHER: &str = "private";

/// The address of a vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureAddress {
    /// `https`, the host and, where it is not 443, the port.
    pub(super) server: Url,
}

/// Not the address of a vault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the address of a key vault (expected azure:VAULT, or azure:NAME.vault.azure.net): {1}")]
pub struct BadAzureAddress(String, &'static str);

impl AzureAddress {
    /// The host, with its port where that is not 443: what the vault is known by.
    pub(super) fn account(&self) -> String {
        let host = self.server.host_str().unwrap_or_default();
        self.server.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn cloud(&self) -> Option<&'static Cloud> {
        let host = self.server.host_str().unwrap_or_default();
        CLOUDS.iter().find(|cloud| host.ends_with(cloud.vaults))
    }

    /// The place that it leads to.
    pub fn place(&self) -> Place {
        let region = self.cloud().map_or(OTHER, |cloud| cloud.name);
        Place { provider: super::SCHEME.into(), account: self.account(), region: region.into() }
    }

    /// Where one signs in, unless the environment says otherwise.
    pub(super) fn authority(&self) -> &'static str {
        self.cloud().unwrap_or(&CLOUDS[0]).login
    }

    /// The Resource Manager of its cloud, where that is one of Microsoft's.
    pub(super) fn manager(&self) -> Option<Url> {
        self.cloud().and_then(|cloud| Url::parse(cloud.manager).ok())
    }
}

impl FromStr for AzureAddress {
    type Err = BadAzureAddress;

    fn from_str(text: &str) -> Result<Self, BadAzureAddress> {
        let bad = |why: &'static str| BadAzureAddress(text.to_owned(), why);
        let rest = text.strip_prefix("azure:").unwrap_or(text);
        let is_name =
            (3..=24).contains(&rest.len()) && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let url = if rest.contains("://") {
            rest.to_owned()
        } else if rest.contains('.') || rest.contains(':') {
            format!("https://{rest}")
        } else if is_name {
            format!("https://{rest}{}", CLOUDS[0].vaults)
        } else {
            return Err(bad("a vault's name has 3 to 24 letters, digits and hyphens"));
        };
        let server = Url::parse(&url).map_err(|_| bad("it is not a URL"))?;
        if server.scheme() != "https" {
            return Err(bad("a vault is reached over https"));
        }
        let is_bare = matches!(server.path(), "" | "/") && server.query().is_none() && server.fragment().is_none();
        if !is_bare || !server.username().is_empty() || server.password().is_some() || server.domain().is_none() {
            return Err(bad("it is a host name, and nothing behind it"));
        }
        Ok(Self { server })
    }
}

impl fmt::Display for AzureAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "azure:{}", self.account())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vault_is_a_name_or_a_host() {
        for (text, settled, region) in [
            ("azure:prod-1", "azure:prod-1.vault.azure.net", "public"),
            ("azure:Prod.vault.azure.cn", "azure:prod.vault.azure.cn", "china"),
            ("azure:https://a.vault.usgovcloudapi.net/", "azure:a.vault.usgovcloudapi.net", "usgov"),
            ("azure:https://v1.vault.localhost:4597", "azure:v1.vault.localhost:4597", "private"),
        ] {
            let address: AzureAddress = text.parse().unwrap();
            assert_eq!((address.to_string().as_str(), address.place().region.as_str()), (settled, region));
            assert_eq!(settled.parse::<AzureAddress>().unwrap(), address);
        }
        for text in [
            "azure:",
            "azure:ab",
            "azure:http://a.vault.azure.net",
            "azure:https://a.vault.azure.net/secrets",
            "azure:https://u:p@a.vault.azure.net",
            "azure:a b c",
            "azure:https://127.0.0.1",
        ] {
            assert!(text.parse::<AzureAddress>().is_err(), "{text}");
        }
    }
}
