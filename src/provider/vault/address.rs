//! `vault:ADDRESS/MOUNT`, and how to sign in there.

use std::{fmt, str::FromStr};

use reqwest::Url;

use crate::{model::Place, outward::VaultSettings};

/// The scheme, as an address has it.
const PREFIX: &str = "vault:";

/// Where a KV engine is. Holds no token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultAddress {
    /// The server, without a path.
    pub server: Url,
    /// The mount's path, without slashes around it; empty where every mount is meant.
    pub mount: String,
    /// The namespace, such as `team/sub`.
    pub namespace: Option<String>,
    /// How to sign in.
    pub login: Login,
    /// Of every mount those that are not meant.
    pub except: Vec<String>,
}

/// How to sign in. Secrets stand in files and variables, never in an address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// `VAULT_TOKEN`, `BAO_TOKEN` or `~/.vault-token`.
    #[default]
    Token,
    /// AppRole at `auth/MOUNT`: the role's id, and the file that holds the secret id.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The role's id.
        role_id: String,
        /// The file of the secret id.
        secret_id_file: String,
        /// Whether the file holds a wrapping token instead: it opens once.
        is_wrapped: bool,
    },
    /// The client certificate of the connection, at `auth/MOUNT`.
    Certificate {
        /// Where the method is mounted.
        mount: String,
        /// The role; without one every role is tried.
        role: Option<String>,
    },
    /// A JSON web token of a file, at `auth/MOUNT`: Kubernetes, or any issuer.
    Jwt {
        /// Where the method is mounted.
        mount: String,
        /// The role.
        role: String,
        /// The file of the token.
        jwt_file: String,
    },
}

/// Where Kubernetes puts a service account's token.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const KNOWN: &str = "namespace, auth, auth_mount, role_id, secret_id_file, secret_id_wrapped, role, jwt_file, except";

/// Not an address of a KV engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} (expected vault:https://HOST:PORT/MOUNT)")]
pub struct BadVaultAddress(String);

impl VaultAddress {
    /// Whether a place may be what this leads to: namespace and mount are the same. Which cluster answers, only it can tell.
    pub fn may_be(&self, place: &Place) -> bool {
        let namespace = place.account.split_once('/').map(|(_, namespace)| namespace);
        let mount = place.region.rsplit_once('@').map_or("", |(mount, _)| mount);
        let is_meant = if self.is_of_every_mount() { !self.is_excepted(mount) } else { mount == self.mount };
        namespace == self.namespace.as_deref() && is_meant
    }

    /// Whether it names no mount, and so every one.
    pub fn is_of_every_mount(&self) -> bool {
        self.mount.is_empty()
    }

    /// Whether it says that a mount is not meant.
    pub fn is_excepted(&self, mount: &str) -> bool {
        self.except.iter().any(|excepted| excepted == mount)
    }

    /// One of its mounts.
    #[must_use]
    pub fn at(&self, mount: &str) -> Self {
        Self { mount: mount.to_owned(), except: Vec::new(), ..self.clone() }
    }

    /// Understands the address of a source: without a mount it means every one; without a server it is the one of `VAULT_ADDR`,
    /// in the namespace of `VAULT_NAMESPACE`. An address that names its server is complete: no variable changes what it means.
    ///
    /// # Errors
    /// [`BadVaultAddress`].
    pub fn of_source(text: &str, settings: &VaultSettings) -> Result<Self, BadVaultAddress> {
        let rest = text.strip_prefix(PREFIX).unwrap_or_default();
        if !text.starts_with(PREFIX) || !(rest.is_empty() || rest.starts_with(['/', '?'])) {
            return Self::parse(text);
        }
        let missing = "the address has no server, and VAULT_ADDR is not set";
        let server = settings.address.as_deref().ok_or_else(|| BadVaultAddress(missing.into()))?;
        let server = server.trim_end_matches('/');
        if Url::parse(server).is_ok_and(|url| url.path() != "/" || url.query().is_some()) {
            return Err(BadVaultAddress("VAULT_ADDR is not the address of a server alone".into()));
        }
        let mut address = Self::parse(&format!("{PREFIX}{server}{rest}"))?;
        if !rest.contains("namespace=") {
            let named = settings.namespace.as_deref().map(|name| name.trim_matches('/').to_owned());
            address.namespace = named.filter(|name| !name.is_empty());
        }
        Ok(address)
    }

    fn parse(text: &str) -> Result<Self, BadVaultAddress> {
        let bad = |what: &str| BadVaultAddress(what.to_owned());
        let rest = text.strip_prefix(PREFIX).ok_or_else(|| bad("the address does not begin with vault:"))?;
        let url = Url::parse(rest).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let mut server = url.filter(|url| url.host_str().is_some()).ok_or_else(|| bad("the server is not a URL"))?;
        if !server.username().is_empty() || server.password().is_some() {
            return Err(bad("credentials do not belong in an address"));
        }
        let segments: Vec<&str> = server.path().split('/').filter(|part| !part.is_empty()).collect();
        let mount = segments.iter().map(|part| decoded(part)).collect::<Option<Vec<_>>>();
        let mount = mount.ok_or_else(|| bad("the mount is not UTF-8"))?.join("/");
        let mut options = std::collections::BTreeMap::new();
        for (name, value) in server.query_pairs() {
            if options.insert(name.to_string(), value.to_string()).is_some() {
                return Err(BadVaultAddress(format!("{name} is given twice")));
            }
        }
        let namespace =
            options.remove("namespace").map(|it| it.trim_matches('/').to_owned()).filter(|it| !it.is_empty());
        let login = login(&mut options)?;
        let except = options.remove("except").unwrap_or_default();
        let except: Vec<String> =
            except.split(',').map(|it| it.trim_matches('/').to_owned()).filter(|it| !it.is_empty()).collect();
        if !(mount.is_empty() || except.is_empty()) {
            return Err(bad("except is for an address without a mount"));
        }
        if let Some(name) = options.keys().next() {
            return Err(BadVaultAddress(format!("{name} is not an option; known: {KNOWN}")));
        }
        server.set_path("");
        server.set_query(None);
        server.set_fragment(None);
        Ok(Self { server, mount, namespace, login, except })
    }
}

impl FromStr for VaultAddress {
    type Err = BadVaultAddress;

    /// Understands `vault:https://HOST:PORT/MOUNT?namespace=a/b&auth=approle&role_id=…&secret_id_file=…`.
    fn from_str(text: &str) -> Result<Self, BadVaultAddress> {
        let address = Self::parse(text)?;
        let whole = Some(address).filter(|address| !address.is_of_every_mount());
        whole.ok_or_else(|| BadVaultAddress("the address has no mount".into()))
    }
}

fn login(options: &mut std::collections::BTreeMap<String, String>) -> Result<Login, BadVaultAddress> {
    let method = options.remove("auth").unwrap_or_else(|| "token".into());
    let mount = options.remove("auth_mount");
    let mut needs = |name: &str| {
        let missing = || BadVaultAddress(format!("auth={method} needs {name}"));
        options.remove(name).filter(|value| !value.is_empty()).ok_or_else(missing)
    };
    match method.as_str() {
        "token" => Ok(Login::Token),
        "approle" => Ok(Login::AppRole {
            role_id: needs("role_id")?,
            secret_id_file: needs("secret_id_file")?,
            is_wrapped: match options.remove("secret_id_wrapped").as_deref() {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(BadVaultAddress("secret_id_wrapped must be true or false".into())),
            },
            mount: mount.unwrap_or(method),
        }),
        "cert" => Ok(Login::Certificate { role: options.remove("role"), mount: mount.unwrap_or(method) }),
        "kubernetes" => {
            let role = needs("role")?;
            let jwt_file = options.remove("jwt_file").unwrap_or_else(|| SERVICE_ACCOUNT.into());
            Ok(Login::Jwt { role, jwt_file, mount: mount.unwrap_or(method) })
        }
        "jwt" => Ok(Login::Jwt { role: needs("role")?, jwt_file: needs("jwt_file")?, mount: mount.unwrap_or(method) }),
        _ => Err(BadVaultAddress(format!("auth={method} is not known (token, approle, kubernetes, jwt or cert)"))),
    }
}

/// A segment without its escapes.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = segment.bytes();
    let mut plain = Vec::with_capacity(segment.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next()?, bytes.next()?];
            plain.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            plain.push(byte);
        }
    }
    String::from_utf8(plain).ok()
}

impl fmt::Display for VaultAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.server.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.clear().extend(self.mount.split('/').filter(|part| !part.is_empty()));
        }
        let mut options = Vec::new();
        if let Some(namespace) = &self.namespace {
            options.push(("namespace", namespace.as_str()));
        }
        match &self.login {
            Login::Token => {}
            Login::AppRole { mount, role_id, secret_id_file, is_wrapped } => {
                options.extend([("auth", "approle"), ("auth_mount", mount)]);
                options.extend([("role_id", role_id.as_str()), ("secret_id_file", secret_id_file)]);
                options.extend(is_wrapped.then_some(("secret_id_wrapped", "true")));
            }
            Login::Certificate { mount, role } => {
                options.extend([("auth", "cert"), ("auth_mount", mount)]);
                options.extend(role.as_deref().map(|role| ("role", role)));
            }
            Login::Jwt { mount, role, jwt_file } => {
                options.extend([("auth", "jwt"), ("auth_mount", mount), ("role", role), ("jwt_file", jwt_file)]);
            }
        }
        let except = self.except.join(",");
        options.extend(Some(("except", except.as_str())).filter(|(_, list)| !list.is_empty()));
        if !options.is_empty() {
            url.query_pairs_mut().extend_pairs(options);
        }
        write!(f, "vault:{url}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<VaultAddress, String> {
        text.parse().map_err(|error: BadVaultAddress| error.to_string())
    }

    #[test]
    fn an_address_names_server_mount_namespace_and_login() {
        let plain = parse("vault:https://vault.example:8200/kv").unwrap();
        assert_eq!((plain.server.as_str(), plain.mount.as_str()), ("https://vault.example:8200/", "kv"));
        assert_eq!((plain.namespace.as_deref(), &plain.login), (None, &Login::Token));
        let odd = parse("vault:http://127.0.0.1:8200/team%20a/kv/?namespace=/a/b/").unwrap();
        assert_eq!((odd.mount.as_str(), odd.namespace.as_deref()), ("team a/kv", Some("a/b")));
        let text = "vault:https://v/kv?auth=approle&role_id=r&secret_id_file=/etc/s";
        let role = parse(text).unwrap();
        assert!(matches!(&role.login, Login::AppRole { mount, .. } if mount == "approle"));
        let pod = parse("vault:https://v/kv?auth=kubernetes&role=backup&auth_mount=eks").unwrap();
        assert!(
            matches!(&pod.login, Login::Jwt { mount, jwt_file, .. } if mount == "eks" && jwt_file == SERVICE_ACCOUNT)
        );
        let wrapped = parse(&format!("{text}&secret_id_wrapped=true")).unwrap();
        assert!(matches!(&wrapped.login, Login::AppRole { is_wrapped: true, .. }));
        let cert = parse("vault:https://v/kv?auth=cert&role=backup").unwrap();
        assert!(
            matches!(&cert.login, Login::Certificate { mount, role: Some(role) } if mount == "cert" && role == "backup")
        );
        for address in [plain, odd, role, pod, wrapped, cert] {
            assert_eq!(parse(&address.to_string()).unwrap(), address, "{address}");
        }
    }

    #[test]
    fn an_address_without_a_mount_means_every_one_and_without_a_server_the_one_of_the_variable() {
        let mut settings = VaultSettings::default();
        settings.address = Some("https://v.example:8200/".into());
        settings.namespace = Some("/team/".into());
        let set = settings.clone();
        let of = |text: &str| VaultAddress::of_source(text, &set).map_err(|error| error.to_string());
        let every = of("vault:").unwrap();
        assert_eq!(every.to_string(), "vault:https://v.example:8200/?namespace=team");
        assert!(every.is_of_every_mount() && of(&every.to_string()).unwrap() == every);
        assert_eq!(
            of("vault:/kv?auth=cert").unwrap().to_string(),
            "vault:https://v.example:8200/kv?namespace=team&auth=cert&auth_mount=cert"
        );
        assert_eq!(of("vault:?namespace=").unwrap().namespace, None, "the root namespace can be meant");
        assert_eq!(of("vault:https://w/").unwrap().to_string(), "vault:https://w/", "complete as it is");
        let but = of("vault:https://w?except=a,/b/c/").unwrap();
        assert_eq!(of(&but.to_string()).unwrap(), but);
        let place = |mount: &str| Place { provider: "vault".into(), account: "c".into(), region: format!("{mount}@u") };
        assert!(but.may_be(&place("kv")) && !but.may_be(&place("b/c")) && !every.may_be(&place("kv")));
        assert_eq!(but.at("x y").to_string(), "vault:https://w/x%20y");
        assert!(of("vault:https://w/kv?except=a").unwrap_err().contains("without a mount"));
        let none = VaultAddress::of_source("vault:", &VaultSettings::default()).unwrap_err().to_string();
        assert!(none.contains("VAULT_ADDR is not set"), "{none}");
        settings.address = Some("https://v/path".into());
        assert!(VaultAddress::of_source("vault:", &settings).is_err());
    }

    #[test]
    fn what_is_no_address_is_one_sentence() {
        for (text, words) in [
            ("aws:eu-west-1", "does not begin with vault:"),
            ("vault:kv", "not a URL"),
            ("vault:ftp://v/kv", "not a URL"),
            ("vault:https://v", "has no mount"),
            ("vault:https://v/", "has no mount"),
            ("vault:https://v/%ff", "not UTF-8"),
            ("vault:https://root:s3cret@v/kv", "credentials do not belong"),
            ("vault:https://v/kv?token=s3cret", "token is not an option"),
            ("vault:https://v/kv?namespace=a&namespace=b", "twice"),
            ("vault:https://v/kv?auth=approle&role_id=r", "needs secret_id_file"),
            ("vault:https://v/kv?auth=kubernetes", "needs role"),
            ("vault:https://v/kv?auth=jwt&role=r", "needs jwt_file"),
            ("vault:https://v/kv?auth=ldap", "is not known"),
        ] {
            let told = parse(text).err().unwrap();
            assert!(told.contains(words) && !told.contains("s3cret"), "{text}: {told}");
        }
    }
}
