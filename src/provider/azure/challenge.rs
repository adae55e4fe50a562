//! What a vault answers to a request without a token: where its tenant is, and what a token is to be for.
//! <https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses>.

use reqwest::Url;

use super::credentials::Wanted;

/// Reads `Bearer authorization="https://LOGIN/TENANT", resource="https://vault.azure.net"`, or the same with `scope`. The
/// resource must be the domain that the vault is in: a token for anything else is not for this server.
///
/// # Errors
/// What is wrong with it, in a sentence.
pub(super) fn wanted(header: &str, server: &Url) -> Result<Wanted, &'static str> {
    let (scheme, parameters) = header.trim().split_once(' ').ok_or("the vault does not say how to sign in")?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err("the vault asks for a sign-in other than by token");
    }
    let value = |wanted: &str| {
        parameters.split(',').find_map(|part| {
            let (name, value) = part.trim().split_once('=')?;
            (name.trim().eq_ignore_ascii_case(wanted)).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    let authorization = value("authorization").or_else(|| value("authorization_uri"));
    let authorization = authorization.and_then(|text| Url::parse(&text).ok()).ok_or("the vault names no tenant")?;
    let tenant = authorization.path_segments().and_then(|mut path| path.next()).unwrap_or_default().to_owned();
    let is_tenant = !tenant.is_empty() && tenant.bytes().all(|it| it.is_ascii_alphanumeric() || b"-.".contains(&it));
    if !is_tenant {
        return Err("the vault names no tenant");
    }
    let (text, scope) = match (value("scope"), value("resource")) {
        (Some(scope), _) => (scope.clone(), scope),
        (None, Some(resource)) => (resource.clone(), format!("{}/.default", resource.trim_end_matches('/'))),
        (None, None) => return Err("the vault does not say what a token is for"),
    };
    let resource = Url::parse(&text).ok().filter(|url| url.scheme() == "https");
    let domain = resource.and_then(|url| url.host_str().map(str::to_ascii_lowercase));
    let domain = domain.ok_or("the vault does not say what a token is for")?;
    let host = server.host_str().unwrap_or_default().to_ascii_lowercase();
    if !host.ends_with(&format!(".{domain}")) {
        return Err("the vault asks for a token of another domain than its own, so no token is sent");
    }
    Ok(Wanted { scope, tenant })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_token_of_the_vaults_own_domain_is_asked_for() {
        let server = Url::parse("https://prod.vault.azure.net").unwrap();
        let told = |text: &str| wanted(text, &server);
        let tenant = "11111111-2222-3333-4444-555555555555";
        let login = format!("authorization=\"https://login.microsoftonline.com/{tenant}\"");
        let expected = Wanted { scope: "https://vault.azure.net/.default".into(), tenant: tenant.into() };
        for good in [
            format!("Bearer {login}, resource=\"https://vault.azure.net\""),
            format!("bearer {login},scope=https://vault.azure.net/.default"),
        ] {
            assert_eq!(told(&good), Ok(expected.clone()), "{good}");
        }
        for bad in [
            String::new(),
            "Basic realm=x".into(),
            format!("Bearer {login}"),
            "Bearer resource=\"https://vault.azure.net\"".into(),
            format!("Bearer {login}, resource=\"https://evil.example\""),
            format!("Bearer {login}, resource=\"https://od.vault.azure.net\""),
            format!("Bearer {login}, resource=\"http://vault.azure.net\""),
            format!("Bearer {login}, resource=\"https://net\", scope=\"https://management.azure.com/.default\""),
            "Bearer authorization=\"https://login.microsoftonline.com/a$(b)\", resource=\"https://vault.azure.net\""
                .into(),
        ] {
            assert!(told(&bad).is_err(), "{bad}");
        }
    }
}
