//! A key vault that answers wrongly: what is no answer to a request is a failure by name, and never a shorter backup.
#![cfg(feature = "azure")]

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
};

use futures::TryStreamExt as _;
use lifeboat::provider::{
    ErrorKind, FetchedValue, Listed, ProviderError, Source as _,
    azure::{Azure, AzureSettings},
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::asked;

/// A status, headers and a body.
type Reply = (u16, String, String);
type Script = dyn Fn(&str) -> Option<Reply> + Send + Sync;

const ONE: &str = "11111111111111111111111111111111";
const TWO: &str = "22222222222222222222222222222222";

/// A server that answers as its script says, and where the script is silent as an honest one with the secret `app`. A path in
/// the script has no version of the interface.
struct Scripted {
    address: String,
    settings: AzureSettings,
    /// Each request: its host, its path, whether it had a token.
    asked: Arc<Mutex<Vec<(String, String, bool)>>>,
}

impl Scripted {
    async fn start(script: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (acceptor, certificate) = tls();
        let (script, asked): (Arc<Script>, _) = (Arc::new(script), Arc::<Mutex<Vec<_>>>::default());
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, acceptor.clone(), Arc::clone(&script), Arc::clone(&noted), port));
            }
        });
        let settings = AzureSettings {
            authority: Some(format!("https://localhost:{port}")),
            client_id: Some("c".into()),
            client_secret: Some("s".to_owned().into()),
            certificate: Some(certificate),
            ..AzureSettings::default()
        };
        Self { address: format!("azure:https://v.vault.localhost:{port}"), settings, asked }
    }

    async fn connect(&self) -> Result<Azure, ProviderError> {
        Azure::connect_by(&self.address.parse().unwrap(), self.settings.clone(), 1.0, None).await
    }

    /// Lists, and reads the first secret.
    async fn read(&self) -> Result<Vec<FetchedValue>, ProviderError> {
        let azure = self.connect().await?;
        let listed: Vec<Listed> = azure.list().try_collect().await?;
        let fetched = azure.fetch(&listed[0], &|_, _| false).await?;
        Ok(fetched.versions.into_iter().map(|version| version.value).collect())
    }
}

/// A certificate for the names of this machine, made by OpenSSL.
fn tls() -> (TlsAcceptor, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let words = format!(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test -keyout {} -out {} -addext \
         subjectAltName=DNS:localhost,DNS:*.vault.localhost -addext basicConstraints=critical,CA:FALSE",
        path("key"),
        path("pem")
    );
    let made = std::process::Command::new("openssl").args(words.split_whitespace()).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let pem = std::fs::read_to_string(path("pem")).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(&std::fs::read(path("key")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(chain, key).unwrap();
    (TlsAcceptor::from(Arc::new(config)), pem)
}

async fn serve(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    script: Arc<Script>,
    asked: Arc<Mutex<Vec<(String, String, bool)>>>,
    port: u16,
) -> Option<()> {
    let mut socket = BufReader::new(acceptor.accept(socket).await.ok()?);
    loop {
        let request = asked::next(&mut socket).await?;
        let (host, has_token) =
            (request.header("host").to_owned(), request.header("authorization").starts_with("bearer "));
        let path = request.path.replace("api-version=2025-07-01", "").replace("?&", "?");
        let path = path.trim_end_matches('?').to_owned();
        asked.lock().unwrap().push((host, path.clone(), has_token));
        let (status, headers, body) = if path.contains("/oauth2/") {
            script(&path)
                .unwrap_or_else(|| ok(&json!({ "access_token": "t", "expires_in": 3599, "token_type": "Bearer" })))
        } else if has_token {
            script(&path).unwrap_or_else(|| honest(&path, port))
        } else {
            script("challenge").unwrap_or_else(|| challenge(port, &format!("https://vault.localhost:{port}")))
        };
        let mut answer = Vec::new();
        write!(answer, "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
        socket.write_all(&answer).await.ok()?;
        socket.flush().await.ok()?;
    }
}

fn ok(body: &Json) -> Reply {
    (200, String::new(), body.to_string())
}

fn challenge(port: u16, resource: &str) -> Reply {
    let tenant = format!("https://localhost:{port}/tenant");
    (401, format!("WWW-Authenticate: Bearer authorization=\"{tenant}\", resource=\"{resource}\"\r\n"), "{}".into())
}

fn item(version: &str) -> Json {
    let version = if version.is_empty() { String::new() } else { format!("/{version}") };
    json!({
        "id": format!("https://v.vault.localhost/secrets/app{version}"),
        "attributes": { "enabled": true, "created": 1_700_000_000, "updated": 1_700_000_000 }
    })
}

fn bundle(version: &str, value: &str) -> Json {
    let mut bundle = item(version);
    bundle["value"] = value.into();
    bundle
}

fn versions() -> Json {
    let mut second = item(TWO);
    second["attributes"]["created"] = 1_700_000_001.into();
    json!({ "value": [item(ONE), second], "nextLink": null })
}

fn honest(path: &str, _port: u16) -> Reply {
    match path {
        "/secrets?maxresults=25" | "/secrets?maxresults=1" => ok(&json!({ "value": [item("")] })),
        "/deletedsecrets?maxresults=25" => ok(&json!({ "value": [] })),
        "/secrets/app/versions?maxresults=25" => ok(&versions()),
        path if path == format!("/secrets/app/{ONE}") => ok(&bundle(ONE, "1")),
        path if path == format!("/secrets/app/{TWO}") => ok(&bundle(TWO, "2")),
        _ => (404, String::new(), json!({ "error": { "code": "SecretNotFound", "message": "no" } }).to_string()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_honest_one_is_read_and_sees_no_request_without_a_challenge_first() {
    let server = Scripted::start(|_| None).await;
    let values = server.read().await.unwrap();
    assert!(values.len() == 2 && values.iter().all(|value| matches!(value, FetchedValue::Value(_))));
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|(_, path, has_token)| !has_token && !path.contains("/oauth2/")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_a_failure_by_name() {
    let value = format!("/secrets/app/{ONE}");
    let (list, all) = ("/secrets?maxresults=25".to_owned(), "/secrets/app/versions?maxresults=25".to_owned());
    let without = |field: &str| {
        let mut item = item(ONE);
        item["attributes"].as_object_mut().unwrap().remove(field);
        ok(&json!({ "value": [item] }))
    };
    let other = |id: &str| {
        let mut item = item(ONE);
        item["id"] = id.into();
        ok(&json!({ "value": [item] }))
    };
    let error = json!({ "error": { "code": "Forbidden", "message": "no" } });
    let lies: Vec<(&str, &str, Reply)> = vec![
        ("another version's value", &value, ok(&bundle(TWO, "2"))),
        ("a page of a proxy instead of a value", &value, (200, String::new(), "<html>sign in</html>".into())),
        ("a value without an id", &value, ok(&json!({ "value": "1" }))),
        ("a version without its value", &value, ok(&item(ONE))),
        ("an error with the status of a success", &value, ok(&error)),
        ("200 and nothing", &value, ok(&json!({}))),
        ("a version that does not say whether it is enabled", &all, without("enabled")),
        ("a version without a date", &all, without("created")),
        ("a version of another secret", &all, other(&format!("https://v.vault.localhost/secrets/other/{ONE}"))),
        ("a version that is none", &all, other("https://v.vault.localhost/secrets/app/12")),
        ("a key instead of a secret", &all, other(&format!("https://v.vault.localhost/keys/app/{ONE}"))),
        ("versions that are an error", &all, ok(&error)),
        ("a listing without entries", &list, ok(&json!({}))),
        ("a listing that is an error", &list, ok(&error)),
        ("half a listing", &list, (200, String::new(), "{\"value\":[".into())),
        ("a name that is none", &list, other("https://v.vault.localhost/secrets/a%2Fb")),
        ("a deleted secret without a date", "/deletedsecrets?maxresults=25", ok(&json!({ "value": [item("")] }))),
    ];
    for (what, path, reply) in lies {
        let path = path.to_owned();
        let server = Scripted::start(move |asked| (asked == path).then(|| reply.clone())).await;
        let error = server.read().await.err().unwrap_or_else(|| panic!("{what} was taken for an answer"));
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Unavailable, "BadAnswer"), "{what}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_goes_to_no_other_server_and_no_listing_is_endless() {
    let foreign = |link: &str| {
        let page = ok(&json!({ "value": [item("")], "nextLink": link }));
        Scripted::start(move |asked| (asked == "/secrets?maxresults=25").then(|| page.clone()))
    };
    for link in [
        "https://evil.example/secrets?api-version=2025-07-01",
        "http://v.vault.localhost/secrets",
        "https://v.vault.localhost:1/secrets",
        "/secrets?x=1",
        "https://user@v.vault.localhost/secrets",
    ] {
        let error = foreign(link).await.read().await.err().unwrap();
        assert_eq!(error.code, "BadAnswer", "{link}: {error}");
    }
    // The same page for ever, and pages without entries for ever.
    for value in [json!([item("")]), json!([])] {
        let port = Arc::new(Mutex::new(0_u16));
        let told = Arc::clone(&port);
        let server = Scripted::start(move |asked| {
            let port = *told.lock().unwrap();
            let link =
                format!("https://v.vault.localhost:{port}/secrets?api-version=2025-07-01&$skiptoken={}", asked.len());
            asked.starts_with("/secrets?").then(|| ok(&json!({ "value": value, "nextLink": link })))
        })
        .await;
        *port.lock().unwrap() = server.address.rsplit_once(':').unwrap().1.parse().unwrap();
        let error = server.read().await.err().unwrap();
        assert_eq!(error.code, "BadAnswer", "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_for_another_domain_gets_no_token() {
    for resource in ["https://vault.azure.net", "https://evil.example", "http://vault.localhost"] {
        let server = Scripted::start(move |asked| (asked == "challenge").then(|| challenge(1, resource))).await;
        let error = server.connect().await.err().unwrap();
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "BadChallenge"), "{resource}: {error}");
        assert!(server.asked.lock().unwrap().iter().all(|(_, path, _)| !path.contains("/oauth2/")), "nobody signed in");
    }
    // Where to sign in is not the vault's to say: the secret of the client goes to the authority that is configured.
    let server = Scripted::start(|asked| (asked == "challenge").then(|| challenge(1, "https://vault.localhost"))).await;
    assert_eq!(server.read().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let server = Scripted::start(|asked| {
        let elsewhere = "Location: https://evil.example/secrets\r\n".to_owned();
        (asked == "/secrets?maxresults=1").then(|| (307, elsewhere, String::new()))
    })
    .await;
    let error = server.connect().await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Invalid, "Redirected"));
}
