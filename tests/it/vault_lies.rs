//! A Vault that answers wrongly: what is no answer to a request is a failure by name, and never a shorter backup.
#![cfg(feature = "vault")]

use std::sync::{Arc, Mutex};

use futures::TryStreamExt as _;
use lifeboat::{
    model::Withheld,
    provider::{ErrorKind, FetchedValue, Listed, ProviderError, Source as _, vault::Vault},
};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::asked;

/// A status, headers and a body.
type Reply = (u16, &'static str, String);
type Script = dyn Fn(&str) -> Option<Reply> + Send + Sync;

/// A server that answers as its script says, and where the script is silent as an honest one with the key `app` does.
struct Scripted {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
    _folder: tempfile::TempDir,
}

impl Scripted {
    async fn start(script: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret-id");
        std::fs::write(&file, "s").unwrap();
        let address = format!(
            "vault:http://{}/kv?auth=approle&role_id=r&secret_id_file={}",
            listener.local_addr().unwrap(),
            file.display()
        );
        let (script, asked): (Arc<Script>, _) = (Arc::new(script), Arc::<Mutex<Vec<String>>>::default());
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&script), Arc::clone(&noted)));
            }
        });
        Self { address, asked, _folder: folder }
    }

    async fn connect(&self) -> Result<Vault, ProviderError> {
        Vault::connect(&self.address.parse().unwrap(), None).await
    }

    /// Lists, and reads the first key.
    async fn read(&self) -> Result<Vec<FetchedValue>, ProviderError> {
        let vault = self.connect().await?;
        let listed: Vec<Listed> = vault.list().try_collect().await?;
        let fetched = vault.fetch(&listed[0], &|_, _| false).await?;
        Ok(fetched.versions.into_iter().map(|version| version.value).collect())
    }
}

async fn serve(socket: TcpStream, script: Arc<Script>, asked: Arc<Mutex<Vec<String>>>) -> Option<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let path = asked::next(&mut socket).await?.path;
        asked.lock().unwrap().push(path.clone());
        let (status, headers, body) = script(&path).unwrap_or_else(|| honest(&path));
        if status == 0 {
            return None;
        }
        let head = format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
        socket.write_all(head.as_bytes()).await.ok()?;
        socket.write_all(body.as_bytes()).await.ok()?;
    }
}

const TIME: &str = "2026-11-01T00:00:00Z";

fn ok(body: &str) -> Reply {
    (200, "", body.to_owned())
}

fn metadata() -> String {
    let row = format!("{{\"created_time\":\"{TIME}\",\"deletion_time\":\"\",\"destroyed\":false}}");
    format!(
        "{{\"created_time\":\"{TIME}\",\"updated_time\":\"{TIME}\",\"current_version\":2,\
         \"versions\":{{\"1\":{row},\"2\":{row}}}}}"
    )
}

fn data(version: &str) -> String {
    format!(
        "{{\"data\":{{\"data\":{{\"v\":{version}}},\"metadata\":{{\"version\":{version},\"created_time\":\"{TIME}\"}}}}}}"
    )
}

fn honest(path: &str) -> Reply {
    match path {
        "/v1/auth/approle/login" => ok("{\"auth\":{\"client_token\":\"t\"}}"),
        "/v1/auth/token/lookup-self" => ok("{\"data\":{}}"),
        "/v1/sys/internal/ui/mounts/kv" => {
            ok("{\"data\":{\"path\":\"kv/\",\"type\":\"kv\",\"uuid\":\"u\",\"options\":{\"version\":\"2\"}}}")
        }
        "/v1/kv/metadata/?list=true" => ok("{\"data\":{\"keys\":[\"app\"]}}"),
        "/v1/kv/metadata/app" => ok(&format!("{{\"data\":{}}}", metadata())),
        "/v1/kv/data/app?version=1" => ok(&data("1")),
        "/v1/kv/data/app?version=2" => ok(&data("2")),
        health if health.starts_with("/v1/sys/health") => ok("{\"cluster_id\":\"c\"}"),
        _ => (404, "", "{\"errors\":[]}".into()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_honest_one_is_read() {
    let server = Scripted::start(|_| None).await;
    let values = server.read().await.unwrap();
    assert!(values.len() == 2 && values.iter().all(|value| matches!(value, FetchedValue::Value(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_a_failure_by_name() {
    let page = |name: &str| format!("{{\"data\":{{\"keys\":[{}],\"key_info\":{{}}}}}}", [name; 1000].join(","));
    let endless = page("\"a\"");
    let odd = metadata().replace("\"1\":", "\"one\":");
    let lies: Vec<(&str, &'static str, Reply)> = vec![
        ("another version's value", "/v1/kv/data/app?version=2", ok(&data("1"))),
        ("a page of a proxy instead of a value", "/v1/kv/data/app?version=1", ok("<html>sign in</html>")),
        ("a value without a version", "/v1/kv/data/app?version=1", ok("{\"data\":{\"data\":{\"v\":1}}}")),
        (
            "a version that is denied and not deleted",
            "/v1/kv/data/app?version=1",
            (404, "", "{\"data\":{\"data\":null,\"metadata\":{\"version\":1}}}".into()),
        ),
        ("200 and nothing", "/v1/kv/data/app?version=1", ok("{}")),
        ("metadata that are a list", "/v1/kv/metadata/app", ok("{\"data\":[]}")),
        ("a version without a number", "/v1/kv/metadata/app", ok(&format!("{{\"data\":{odd}}}"))),
        ("metadata of nothing", "/v1/kv/metadata/app", ok("{\"data\":null}")),
        ("an engine that is none", "/v1/kv/metadata/?list=true", (404, "", "{\"errors\":[\"no handler\"]}".into())),
        ("a listing without names", "/v1/kv/metadata/?list=true", ok("{\"data\":{}}")),
        ("a listing that says nothing", "/v1/kv/metadata/?list=true", ok("{}")),
        ("a name that is none", "/v1/kv/metadata/?list=true", ok("{\"data\":{\"keys\":[\"\"]}}")),
        ("half an answer", "/v1/kv/metadata/?list=true", ok("{\"data\":{\"keys\":[\"app\"")),
        ("no cluster", "/v1/sys/health?standbyok=true", ok("{}")),
        (
            "a mount without an identity",
            "/v1/sys/internal/ui/mounts/kv",
            ok("{\"data\":{\"path\":\"kv/\",\"type\":\"kv\",\"options\":{\"version\":\"2\"}}}"),
        ),
        ("a login without a token", "/v1/auth/approle/login", ok("{\"auth\":null}")),
    ];
    for (what, path, reply) in lies {
        let server = Scripted::start(move |asked| (asked == path).then(|| reply.clone())).await;
        let error = server.read().await.err().unwrap_or_else(|| panic!("{what} was taken for an answer"));
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Unavailable, "BadAnswer"), "{what}: {error}");
    }
    // Pages that begin again: the second one ends where the first one did.
    let server = Scripted::start(move |asked| asked.contains("detailed-metadata").then(|| ok(&endless))).await;
    let error = server.read().await.err().unwrap();
    assert_eq!(error.code, "BadAnswer", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_whose_key_is_denied_is_not_passed_over() {
    let nothing = || (404, "", "{\"errors\":[]}".to_owned());
    let server = Scripted::start(move |asked| (asked == "/v1/kv/metadata/app").then(nothing)).await;
    let vault = server.connect().await.unwrap();
    let listed: Vec<Listed> = vault.list().try_collect().await.unwrap();
    assert_eq!(listed.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["app"]);
    assert!(listed[0].fingerprint.is_none());
    assert_eq!(server.read().await.err().unwrap().kind, ErrorKind::NotFound, "a second listing decides what that is");
}

#[tokio::test(flavor = "multi_thread")]
async fn null_is_a_value_and_a_deleted_version_is_none() {
    let server = Scripted::start(|asked| match asked {
        "/v1/kv/data/app?version=1" => Some(ok("{\"data\":{\"data\":null,\"metadata\":{\"version\":1}}}")),
        "/v1/kv/data/app?version=2" => {
            let gone =
                format!("{{\"data\":{{\"data\":null,\"metadata\":{{\"version\":2,\"deletion_time\":\"{TIME}\"}}}}}}");
            Some((404, "", gone))
        }
        _ => None,
    })
    .await;
    let values = server.read().await.unwrap();
    assert!(matches!(&values[0], FetchedValue::Value(value) if value.expose() == b"null"));
    assert!(matches!(&values[1], FetchedValue::Withheld(Withheld::Deleted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_in_itself_ends() {
    let server =
        Scripted::start(|asked| asked.contains("list=true").then(|| ok("{\"data\":{\"keys\":[\"again/\"]}}"))).await;
    let error = server.read().await.err().unwrap();
    assert_eq!(error.code, "BadAnswer", "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_a_denied_value_is_named() {
    let server = Scripted::start(|asked| {
        (asked == "/v1/kv/metadata/?list=true")
            .then(|| (307, "Location: http://127.0.0.1:9/v1/elsewhere\r\n", String::new()))
    })
    .await;
    let error = server.read().await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Invalid, "Redirected"));
    let denied = || (403, "", "{\"errors\":[\"1 error occurred:\\n\\t* permission denied\\n\\n\"]}".to_owned());
    let server = Scripted::start(move |asked| (asked == "/v1/kv/data/app?version=1").then(denied)).await;
    let values = server.read().await.unwrap();
    assert!(matches!(&values[0], FetchedValue::Unreadable(code) if code == "PermissionDenied"));
    assert!(matches!(&values[1], FetchedValue::Value(_)));
    // The same answer for every path, the token's own too: it has ended.
    let server =
        Scripted::start(move |asked| (asked.contains("/kv/data/") || asked.ends_with("lookup-self")).then(denied))
            .await;
    let error = server.read().await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Credentials, "TokenEnded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_is_waited_for_as_the_server_asks_and_a_lost_answer_is_asked_again() {
    let first = Arc::new(Mutex::new(0));
    let count = Arc::clone(&first);
    let server = Scripted::start(move |asked| {
        let mut count = count.lock().unwrap();
        if asked != "/v1/kv/data/app?version=1" {
            return None;
        }
        *count += 1;
        match *count {
            1 => Some((429, "Retry-After: 1\r\n", "{\"errors\":[\"quota exceeded\"]}".into())),
            2 => Some((0, "", String::new())),
            _ => None,
        }
    })
    .await;
    let begun = std::time::Instant::now();
    assert_eq!(server.read().await.unwrap().len(), 2);
    assert!(begun.elapsed().as_secs_f64() > 1.0, "it waited for a second");
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|path| path.ends_with("version=1")).count(), 3);
}
