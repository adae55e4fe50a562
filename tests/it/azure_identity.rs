//! A managed identity: what the platform's endpoint gives is the token that a vault gets, and what is none is a failure by name.
//! The endpoint of a virtual machine has one fixed address; the unit tests of the sign-in ask it through a proxy.
#![cfg(feature = "azure")]

use std::{
    io::{BufReader, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use serde_json::{Value as Json, json};

use crate::{
    azure_face::World,
    bucket_stub::{Asked, request},
    command::{Desk, PEOPLE, Ran, binary},
};

/// What tells the endpoint that it is the application that asks.
const HEADER: &str = "header-of-the-platform";

/// An endpoint of App Service, which gives one answer until it gets another one.
struct Identity {
    endpoint: String,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Identity {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}/msi/token", listener.local_addr().unwrap());
        let it = Self { endpoint, answer: Arc::default(), asked: Arc::default() };
        let (answer, asked) = (Arc::clone(&it.answer), Arc::clone(&it.asked));
        std::thread::spawn(move || {
            for mut socket in listener.incoming().flatten() {
                let Some((one, _)) = request(&mut BufReader::new(socket.try_clone().unwrap())) else { continue };
                asked.lock().unwrap().push(one);
                let (status, body) = answer.lock().unwrap().clone();
                let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n", body.len());
                drop(socket.write_all(format!("{head}\r\n{body}").as_bytes()));
            }
        });
        it
    }

    fn answers(&self, status: u16, body: &str) {
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }
}

fn told(token: &str, ends: i64) -> String {
    let resource = "https://vault.localhost";
    json!({ "access_token": token, "expires_on": ends.to_string(), "resource": resource, "token_type": "Bearer" })
        .to_string()
}

/// A token that the sandbox takes, as an application with a secret gets it.
async fn token(world: &World) -> String {
    let certificate = reqwest::Certificate::from_pem(world.sandbox.certificate().as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_merge([certificate]).build().unwrap();
    let address = format!("{}/{}/oauth2/v2.0/token", world.sandbox.authority(), world.sandbox.tenant());
    let resource = world.sandbox.vault("prod").replace("prod.", "").replace(':', "%3A").replace('/', "%2F");
    let form = format!(
        "grant_type=client_credentials&client_id=backup&client_secret={}&scope={resource}%2F.default",
        world.sandbox.client_secret()
    );
    let asked = client.post(address).header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer: Json = serde_json::from_slice(&asked.send().await.unwrap().bytes().await.unwrap()).unwrap();
    answer["access_token"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_identity_of_the_platform_reads_a_vault_and_what_is_no_token_is_a_failure_by_name() {
    let world = World::start().await;
    let secret = json!({ "value": "marker of a value" });
    world.sandbox.control().request("prod", "PUT", "secrets/app", &secret).unwrap();
    let (identity, desk) = (Identity::start(), Desk::offline("111111111111"));
    let run = |words: &str, client: Option<&str>| -> Ran {
        let mut command = desk.command(binary());
        command.env("AZURE_AUTHORITY_HOST", world.sandbox.authority()).env("AWS_CA_BUNDLE", world.certificate());
        command.env("IDENTITY_ENDPOINT", &identity.endpoint).env("IDENTITY_HEADER", HEADER);
        client.map(|client| command.env("AZURE_CLIENT_ID", client));
        desk.finish(command.args(words.split_whitespace()))
    };
    let now = jiff::Timestamp::now().as_second();
    let good = told(&token(&world).await, now + 3_000);
    identity.answers(200, &good);
    let source = world.sandbox.source("prod");
    run(&format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {source}"), None).expect(0);
    let snapshot = run("snapshot --json", None).expect(0).json();
    assert_eq!(snapshot["counts"]["captured"], 1, "{snapshot}");
    run("snapshot", Some("c-of-the-person")).expect(0);
    {
        let asked = identity.asked.lock().unwrap();
        assert!(asked.iter().all(|one| one.headers["x-identity-header"] == HEADER && one.method == "GET"));
        assert!(asked.iter().all(|one| one.path.contains("resource=https%3A%2F%2F") && !one.path.contains("default")));
        assert!(!asked[0].path.contains("client_id"), "{:?}", asked[0].path);
        assert!(asked.last().unwrap().path.contains("client_id=c-of-the-person"));
    }
    let page = "<html><body>Sign in to the portal</body></html>";
    for (status, body, words) in [
        (400, r#"{"error":"invalid_request"}"#.to_owned(), "has not been assigned"),
        (200, told("", now + 3_000), "the answer has no token"),
        (200, told(&token(&world).await, now - 1), "has ended"),
        (200, page.to_owned(), "SignInFailed"),
        (200, "{}".to_owned(), "SignInFailed"),
        // Of another resource or tenant: the vault refuses it.
        (200, told("token-of-another-resource", now + 3_000), "AKV10032"),
    ] {
        identity.answers(status, &body);
        let ran = run("snapshot", None);
        assert_ne!(ran.code, Some(0), "{words}: {}", ran.out);
        assert!(ran.err.contains(words), "{words}: {}{}", ran.out, ran.err);
    }
    identity.answers(200, &good);
    run("snapshot", None).expect(0);
    let printed = String::from_utf8_lossy(&desk.printed()).into_owned();
    for hidden in [HEADER, "token-of-another-resource", "marker of a value", &good[..40]] {
        assert!(!printed.contains(hidden), "{hidden}");
    }
}
