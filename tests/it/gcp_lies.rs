//! A Secret Manager that answers wrongly: what is no answer to a request is a failure by name, and never a shorter backup.
#![cfg(feature = "gcp")]

use std::sync::Arc;

use futures::TryStreamExt as _;
use lifeboat::{
    outward::GcpSettings,
    provider::{
        ErrorKind, FetchedValue, Listed, ProviderError, Source as _,
        gcp::{Gcp, GcpProject},
    },
};
use tokio::{
    io::{AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

use crate::asked;

type Reply = (u16, String);
type Script = dyn Fn(&str) -> Option<Reply> + Send + Sync;

/// A server that answers as its script says, and where the script is silent as an honest one with the secret `app`.
async fn scripted(script: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static) -> Result<Gcp, ProviderError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = GcpSettings::sandbox(&format!("http://{}", listener.local_addr().unwrap()));
    let script: Arc<Script> = Arc::new(script);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(serve(socket, Arc::clone(&script)));
        }
    });
    let project = GcpProject::connect(&"gcp:acme".parse().unwrap(), &settings, 1_000.0, None).await?;
    Ok(project.at("global"))
}

async fn serve(socket: TcpStream, script: Arc<Script>) -> Option<()> {
    let mut socket = BufReader::new(socket);
    loop {
        let path = asked::next(&mut socket).await?.path;
        let (status, body) = script(&path).unwrap_or_else(|| honest(&path));
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", body.len());
        socket.write_all(head.as_bytes()).await.ok()?;
        socket.write_all(body.as_bytes()).await.ok()?;
    }
}

const SECRET: &str = r#"{"name":"projects/123/secrets/app","createTime":"2026-11-01T00:00:00Z","etag":"\"1\"","replication":{"automatic":{}}}"#;

fn row(number: u32) -> String {
    format!(
        r#"{{"name":"projects/123/secrets/app/versions/{number}","createTime":"2026-11-01T00:00:01Z","state":"ENABLED","etag":"\"{number}\""}}"#
    )
}

fn value(number: u32) -> String {
    let sum = crc32c(b"value");
    format!(
        r#"{{"name":"projects/123/secrets/app/versions/{number}","payload":{{"data":"dmFsdWU=","dataCrc32c":"{sum}"}}}}"#
    )
}

fn crc32c(data: &[u8]) -> u32 {
    let step = |rest: u32, byte: &u8| {
        (0..8).fold(rest ^ u32::from(*byte), |rest, _| (rest >> 1) ^ (0x82F6_3B78 & (rest & 1).wrapping_neg()))
    };
    !data.iter().fold(!0, step)
}

fn honest(path: &str) -> Reply {
    let bare = path.split('?').next().unwrap_or_default();
    let body = match bare.rsplit_once("/secrets").map(|(_, rest)| rest) {
        Some("") => format!("{{\"secrets\":[{SECRET}]}}"),
        Some("/app") => SECRET.to_owned(),
        Some("/app/versions") => format!("{{\"versions\":[{},{}]}}", row(2), row(1)),
        Some("/app:getIamPolicy") => "{\"etag\":\"ACAB\"}".to_owned(),
        Some("/app/versions/1:access") => value(1),
        Some("/app/versions/2:access" | "/app/versions/latest:access") => value(2),
        _ => return (404, r#"{"error":{"code":404,"status":"NOT_FOUND","message":"none"}}"#.to_owned()),
    };
    (200, body)
}

/// Lists, and reads the first secret.
async fn read(
    script: impl Fn(&str) -> Option<Reply> + Send + Sync + 'static,
) -> Result<Vec<FetchedValue>, ProviderError> {
    let source = scripted(script).await?;
    let listed: Vec<Listed> = source.list().try_collect().await?;
    let fetched = source.fetch(&listed[0], &|_, _| false).await?;
    Ok(fetched.versions.into_iter().map(|version| version.value).collect())
}

fn is(part: &str, path: &str) -> bool {
    path.split('?').next().unwrap_or_default().ends_with(part)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_honest_server_is_read() {
    let values = read(|_| None).await.unwrap();
    assert!(values.len() == 2 && values.iter().all(|value| matches!(value, FetchedValue::Value(_))));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_answer_is_an_error_and_no_shorter_backup() {
    let other = SECRET.replace("/app", "/other");
    let elsewhere = SECRET.replace("/123/", "/124/");
    let ageless = SECRET.replace("createTime", "made");
    let regional = SECRET.replace("/123/", "/123/locations/us-east1/");
    let lies: Vec<(&str, &str, String)> = vec![
        ("an error as a success", "/secrets/app", r#"{"error":{"code":403,"status":"PERMISSION_DENIED"}}"#.into()),
        ("no JSON", "/secrets/app", "<html>".into()),
        ("a list", "/secrets/app", "[]".into()),
        ("nothing at all", "/secrets/app", "{}".into()),
        ("another secret", "/secrets/app", other),
        ("another project's", "/secrets/app", elsewhere),
        ("one of a location", "/secrets/app", regional),
        ("one without a time", "/secrets/app", ageless),
        ("an error as a list", "/secrets/app/versions", r#"{"error":{"code":500}}"#.into()),
        (
            "a version of another secret",
            "/secrets/app/versions",
            format!("{{\"versions\":[{}]}}", row(1).replace("/app/", "/b/")),
        ),
        ("a version twice", "/secrets/app/versions", format!("{{\"versions\":[{},{}]}}", row(1), row(1))),
        (
            "a version in no state",
            "/secrets/app/versions",
            format!("{{\"versions\":[{}]}}", row(1).replace("ENABLED", "LOST")),
        ),
        (
            "a version without a number",
            "/secrets/app/versions",
            format!("{{\"versions\":[{}]}}", row(1).replace("/1\"", "/x\"")),
        ),
        ("no list", "/secrets/app/versions", r#"{"versions":7}"#.into()),
        ("pages without end", "/secrets/app/versions", r#"{"versions":[],"nextPageToken":"again"}"#.into()),
        ("a token that is none", "/secrets/app/versions", r#"{"versions":[],"nextPageToken":7}"#.into()),
        ("another version's value", "/versions/1:access", value(2)),
        ("a value of another secret", "/versions/1:access", value(1).replace("/app/", "/b/")),
        ("no value", "/versions/1:access", r#"{"name":"projects/123/secrets/app/versions/1"}"#.into()),
        (
            "an empty value",
            "/versions/1:access",
            r#"{"name":"projects/123/secrets/app/versions/1","payload":{}}"#.into(),
        ),
        ("no base64", "/versions/1:access", value(1).replace("dmFsdWU=", "%%")),
        ("an error as a value", "/versions/1:access", r#"{"error":{"code":403}}"#.into()),
        ("an error as a policy", "/app:getIamPolicy", r#"{"error":{"code":403}}"#.into()),
    ];
    for (what, part, body) in lies {
        let told = read(move |path| is(part, path).then(|| (200, body.clone()))).await;
        let error = told.err().unwrap_or_else(|| panic!("{what} was taken"));
        assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Unavailable, "BadAnswer"), "{what}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_is_not_what_its_checksum_says_is_unreadable_by_name() {
    let wrong = value(1).replace("dmFsdWU=", "dmFsdWY=");
    let values = read(move |path| is("/versions/1:access", path).then(|| (200, wrong.clone()))).await.unwrap();
    assert!(matches!(&values[0], FetchedValue::Unreadable(code) if code == "ChecksumMismatch"));
    assert!(matches!(&values[1], FetchedValue::Value(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed_and_a_404_of_something_else_is_no_answer() {
    let error = read(|path| is("/secrets/app", path).then(|| (302, String::new()))).await.err().unwrap();
    assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Invalid, "Redirected"));
    let error = read(|path| is("/secrets/app", path).then(|| (404, "<html>".into()))).await.err().unwrap();
    assert_eq!(error.code, "BadAnswer");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_made_anew_while_it_is_read_is_read_again() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    let values = read(move |path| {
        // From the first look at it on it is another one.
        let anew = SECRET.replace("2026-11-01", "2026-11-02");
        if is("/secrets/app", path) {
            count.fetch_add(1, Ordering::Relaxed);
            return Some((200, anew));
        }
        let is_anew = count.load(Ordering::Relaxed) > 0;
        let rows = format!("{{\"versions\":[{}]}}", row(1).replace("2026-11-01", "2026-11-02"));
        (is_anew && is("/app/versions", path)).then_some((200, rows))
    })
    .await
    .unwrap();
    assert_eq!((values.len(), asked.load(Ordering::Relaxed)), (1, 2));
}
