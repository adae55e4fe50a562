//! Tokens, by Microsoft's own library: a client secret, a workload identity, a managed identity, or the sign-in of the CLI.
//!
//! The first of them that is configured counts, and its failure is the failure: to try the next one would hide a typing error
//! behind another identity. The challenge of a vault says the tenant and never where to sign in: a server that is not the
//! vault could name a place that collects secrets.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    Result as CoreResult,
    cloud::{CloudConfiguration, CustomConfiguration},
    credentials::{Secret, TokenCredential},
    error::{Error as CoreError, ErrorKind as CoreKind},
    http::{AsyncRawResponse, Body, ClientOptions, HttpClient, Request, Transport, headers::Headers},
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
    WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use zeroize::Zeroizing;

use super::client::About;
use crate::{
    clock::{Clock as _, SystemClock},
    isolation::Isolation,
    outward::AzureSettings,
    provider::{ErrorKind, ProviderError, exchange},
};

/// Where a virtual machine is asked for its identity.
const METADATA: &str = "169.254.169.254:80";
/// How long that is waited for: off Azure nobody answers.
const METADATA_WAIT: Duration = Duration::from_secs(1);
/// The longest answer of a sign-in.
const LARGEST: usize = 1024 * 1024;

/// What a token is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) scope: String,
    pub(super) tenant: String,
}

/// An access token and its last second.
pub(super) struct Token {
    pub(super) text: Zeroizing<String>,
    pub(super) ends: i64,
}

/// Signs in, over our own way out.
pub(super) struct Credentials {
    settings: AzureSettings,
    /// Where one signs in.
    authority: String,
    transport: Arc<Ours>,
}

impl Credentials {
    pub(super) fn new(
        settings: AzureSettings,
        authority: &str,
        http: reqwest::Client,
        isolation: Option<Arc<Isolation>>,
    ) -> Self {
        let authority = settings.authority.clone().unwrap_or_else(|| authority.to_owned());
        Self { settings, authority, transport: Arc::new(Ours { http, isolation }) }
    }

    /// A new token. Nothing is kept from the last time: a vault that refused a token gets another one.
    pub(super) async fn token(&self, wanted: &Wanted) -> Result<Token, ProviderError> {
        let about = About { operation: "sign in", secret: None };
        let failed = |error: CoreError| {
            let kind = match error.kind() {
                CoreKind::Connection | CoreKind::Io => ErrorKind::Unavailable,
                _ => ErrorKind::Credentials,
            };
            about.failed(kind, "SignInFailed", &first_line(&error.to_string()))
        };
        let credential = self.credential(&wanted.tenant).await.map_err(failed)?;
        let token = credential.get_token(&[&wanted.scope], None).await.map_err(failed)?;
        let text = Zeroizing::new(token.token.secret().to_owned());
        if text.is_empty() {
            return Err(about.failed(ErrorKind::Credentials, "SignInFailed", "the answer has no token"));
        }
        let ends = token.expires_on.unix_timestamp();
        // Nothing would keep it, so every request would sign in again for another one of them.
        if ends <= SystemClock.now().as_second() {
            let words = "the token that was given has ended already; look at the clock of this machine";
            return Err(about.failed(ErrorKind::Credentials, "SignInFailed", words));
        }
        Ok(Token { text, ends })
    }

    async fn credential(&self, tenant: &str) -> CoreResult<Arc<dyn TokenCredential>> {
        let AzureSettings { client_id, client_secret, token_file, has_identity_endpoint, .. } = &self.settings;
        if let (Some(client), Some(secret)) = (client_id, client_secret) {
            let options = ClientSecretCredentialOptions { client_options: self.options() };
            let secret = Secret::new(secret.to_string());
            return Ok(ClientSecretCredential::new(tenant, client.clone(), secret, Some(options))?);
        }
        if let (Some(client), Some(file)) = (client_id, token_file) {
            let options = WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options: self.options() },
                client_id: Some(client.clone()),
                tenant_id: Some(tenant.to_owned()),
                token_file_path: Some(file.clone()),
            };
            return Ok(WorkloadIdentityCredential::new(Some(options))?);
        }
        if *has_identity_endpoint || self.is_on_azure().await {
            let options = ManagedIdentityCredentialOptions {
                user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                client_options: self.options(),
            };
            return Ok(ManagedIdentityCredential::new(Some(options))?);
        }
        let options = AzureCliCredentialOptions { tenant_id: Some(tenant.to_owned()), ..Default::default() };
        Ok(AzureCliCredential::new(Some(options))?)
    }

    /// Whether a virtual machine's metadata answer here.
    async fn is_on_azure(&self) -> bool {
        if let Some(isolation) = &self.transport.isolation
            && isolation.admit(METADATA, None).is_err()
        {
            return false;
        }
        let connecting = tokio::net::TcpStream::connect(METADATA);
        tokio::time::timeout(METADATA_WAIT, connecting).await.is_ok_and(|connected| connected.is_ok())
    }

    fn options(&self) -> ClientOptions {
        let mut custom = CustomConfiguration::default();
        custom.authority_host.clone_from(&self.authority);
        let transport: Arc<dyn HttpClient> = Arc::clone(&self.transport) as Arc<dyn HttpClient>;
        ClientOptions {
            transport: Some(Transport::new(transport)),
            cloud: Some(Arc::new(CloudConfiguration::Custom(custom))),
            ..ClientOptions::default()
        }
    }
}

/// The library's texts end with links to pages that explain them.
fn first_line(text: &str) -> String {
    text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim().to_owned()
}

/// Our client as the library takes one: the same proxy, the same trust, the same guard.
struct Ours {
    http: reqwest::Client,
    isolation: Option<Arc<Isolation>>,
}

impl fmt::Debug for Ours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ours")
    }
}

#[async_trait]
impl HttpClient for Ours {
    async fn execute_request(&self, request: &Request) -> CoreResult<AsyncRawResponse> {
        let url = request.url();
        if let Some(isolation) = &self.isolation {
            isolation
                .admit(&exchange::authority(url), None)
                .map_err(|error| CoreError::new(CoreKind::Credential, error))?;
        }
        let method = request.method().to_string().parse().unwrap_or(reqwest::Method::GET);
        let mut outgoing = self.http.request(method, url.as_str());
        for (name, value) in request.headers().iter() {
            outgoing = outgoing.header(name.as_str(), value.as_str());
        }
        if let Body::Bytes(bytes) = request.body() {
            outgoing = outgoing.body(bytes.clone());
        }
        let unanswered = |error: reqwest::Error| {
            let kind = if error.is_connect() { CoreKind::Connection } else { CoreKind::Io };
            CoreError::with_message(kind, crate::outward::silence(&error))
        };
        let mut response = outgoing.send().await.map_err(unanswered)?;
        let status = response.status().as_u16();
        let mut headers = Headers::new();
        for (name, value) in response.headers() {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unanswered)? {
            if body.len() + chunk.len() > LARGEST {
                return Err(CoreError::with_message(CoreKind::Credential, "the answer of the sign-in is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(AsyncRawResponse::from_bytes(status.into(), headers, body))
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        task::JoinHandle,
    };

    use super::*;

    /// The metadata of a virtual machine, with one answer. Their address is fixed, so they are asked as a proxy is.
    async fn metadata(status: u16, body: String) -> (reqwest::Client, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = reqwest::Proxy::http(format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let asked = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"\r\n\r\n") {
                asked.push(socket.read_u8().await.unwrap());
            }
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            String::from_utf8(asked).unwrap().to_ascii_lowercase()
        });
        (reqwest::Client::builder().proxy(proxy).build().unwrap(), asked)
    }

    async fn token(client: Option<&str>, status: u16, body: String) -> (Result<Token, ProviderError>, String) {
        let (http, asked) = metadata(status, body).await;
        let client_id = client.map(str::to_owned);
        let settings = AzureSettings { client_id, has_identity_endpoint: true, ..AzureSettings::default() };
        let credentials = Credentials::new(settings, "https://login.example", http, None);
        let wanted = Wanted { scope: "https://vault.azure.net/.default".into(), tenant: "t".into() };
        (credentials.token(&wanted).await, asked.await.unwrap())
    }

    fn told(token: &str, ends: i64) -> String {
        format!(r#"{{"access_token":"{token}","expires_on":"{ends}","resource":"r","token_type":"Bearer"}}"#)
    }

    #[tokio::test]
    async fn a_virtual_machine_gives_the_token_of_its_identity() {
        let ends = SystemClock.now().as_second() + 3_000;
        let (given, asked) = token(Some("c-1"), 200, told("marker-of-a-token", ends)).await;
        let given = given.unwrap();
        assert_eq!((given.text.as_str(), given.ends), ("marker-of-a-token", ends));
        let line = asked.lines().next().unwrap();
        assert!(line.starts_with("get http://169.254.169.254/metadata/identity/oauth2/token?"), "{line}");
        assert!(line.contains("resource=https%3a%2f%2fvault.azure.net&") && line.contains("client_id=c-1"), "{line}");
        assert!(asked.contains("\r\nmetadata: true\r\n") && !asked.contains("authorization"), "{asked}");
    }

    #[tokio::test]
    async fn what_is_no_token_is_a_failure_by_name_and_is_not_shown() {
        let now = SystemClock.now().as_second();
        for (status, body, words) in [
            (400, r#"{"error":"invalid_request"}"#.to_owned(), "has not been assigned"),
            (403, "marker-of-a-page".to_owned(), ""),
            (200, told("", now + 3_000), "the answer has no token"),
            (200, told("marker-of-a-token", now - 1), "has ended"),
            (200, told("marker-of-a-token", 0).replace("\"0\"", "0"), ""),
            (200, "<html>marker-of-a-page</html>".to_owned(), ""),
            (200, "{}".to_owned(), ""),
            (200, String::new(), ""),
        ] {
            let failure = token(None, status, body.clone()).await.0.err().expect("it is no token");
            assert_eq!((failure.kind, failure.code.as_str()), (ErrorKind::Credentials, "SignInFailed"), "{body}");
            assert!(failure.message.contains(words), "{body}: {}", failure.message);
            assert!(!failure.to_string().contains("marker-of-a-token"), "{failure}");
        }
    }
}
