//! Secret Manager by the binary: from the first backup to the restore that Google's own client compares, and what a run says when
//! something is refused.
#![cfg(feature = "gcp")]

use lifeboat::emulator::{FaultWhen, GcpFault, GcpFaultKind, GcpSandbox};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, PEOPLE, Ran, SHEETS, binary},
    gcp_face::{sandbox, script},
};

/// A desk that reaches a sandbox by gcloud's variables.
struct World {
    sandbox: GcpSandbox,
    desk: Desk,
}

impl World {
    async fn new() -> Self {
        Self { sandbox: sandbox().await, desk: Desk::offline("111111111111") }
    }

    fn run(&self, words: &str) -> Ran {
        let endpoint = self.sandbox.endpoint();
        let mut command = self.desk.command(binary());
        command
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", &endpoint)
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", &endpoint)
            .env("CLOUDSDK_AUTH_DISABLE_CREDENTIALS", "true");
        self.desk.finish(command.args(words.split_whitespace()))
    }

    async fn seed(&self) -> Json {
        script("gcp_seed.py", vec![self.sandbox.endpoint(), "projects/source-project".into()]).await
    }

    async fn dump(&self, project: &str) -> Json {
        script("gcp_dump.py", vec![self.sandbox.endpoint(), format!("projects/{project}")]).await
    }

    fn post(&self, path: &str, body: &Json) {
        self.sandbox.control().request("POST", &format!("/v1/projects/{path}"), body).unwrap();
    }

    fn init(&self, source: &str) {
        self.run(&format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {source}")).expect(0);
    }
}

/// Values, states, aliases and metadata of every secret, without what is not set again.
fn lasting(estate: &Json) -> Json {
    let mut estate = estate.clone();
    for secret in estate.as_object_mut().unwrap().values_mut() {
        for field in ["topics", "rotation", "expire_time"] {
            secret["secret"].as_object_mut().unwrap().remove(field);
        }
    }
    estate
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_comes_back_in_another_one_as_googles_client_reads_it() {
    let world = World::new().await;
    let before = world.seed().await;
    world.init("gcp:source-project/global");
    world.run("doctor").expect(0);
    let policy = world.run("doctor --policy backup").expect(0);
    assert!(
        policy.out.contains("secretmanager.versions.access") && !policy.out.contains("versions.add"),
        "{}",
        policy.out
    );
    world.run("snapshot").expect(0);
    // Nothing changed, and no value is read again but the newest of each, which tells its number.
    world.sandbox.control().reset_calls();
    let again = world.run("snapshot --json").expect(0).json();
    let calls = world.sandbox.control().calls();
    assert_eq!(calls["versions.access"], before.as_object().unwrap().len() as u64, "{calls:?} {again}");
    // A public policy and a value that was never captured are lost by name, before anything is written.
    let plan = world.run(&format!("restore --to gcp:target-project --plan {SHEETS}"));
    assert!(plan.out.contains("allUsers") && plan.out.contains("never captured"), "{}\n{}", plan.out, plan.err);
    assert_eq!(world.dump("target-project").await, json!({}));
    let told = world.run(&format!("restore --to gcp:target-project --yes --json {SHEETS}")).expect(3).json();
    assert_eq!((&told["counts"]["created"], &told["verification"]["differences"]), (&json!(12), &json!([])), "{told}");
    let after = world.dump("target-project").await;
    let (mut before, after) = (lasting(&before), lasting(&after));
    before["public"]["bindings"] = json!([]);
    before["encrypted"]["secret"]["replication"] = json!({ "automatic": {} });
    for (name, before) in before.as_object().unwrap() {
        assert_eq!(&after[name], before, "{name}");
    }
    // Once more: everything is there, and nothing is written.
    let again = world.run(&format!("restore --to gcp:target-project --yes --json {SHEETS}"));
    let again = again.expect(3).json();
    assert_eq!(again["writes"], json!(0), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_a_project_means_global_and_every_location_that_has_secrets() {
    let world = World::new().await;
    let body = json!({ "replication": { "automatic": {} } });
    world.post("many-places/secrets?secretId=app", &body);
    world.post("many-places/secrets/app:addVersion", &json!({ "payload": { "data": "YQ==" } }));
    world.post("many-places/locations/europe-west3/secrets?secretId=app", &json!({}));
    world.post("many-places/locations/europe-west3/secrets/app:addVersion", &json!({ "payload": { "data": "Yg==" } }));
    world.init("gcp:many-places");
    world.run("snapshot").expect(0);
    let listed = world.run("list --json").expect(0).json();
    let regions: std::collections::BTreeSet<&str> =
        listed["snapshots"].as_array().unwrap().iter().filter_map(|it| it["source"]["region"].as_str()).collect();
    assert_eq!(regions, ["europe-west3", "global"].into(), "{listed}");
    let number = world.sandbox.control().project_number("many-places");
    let got = world.run(&format!("get app --source {number}:europe-west3 {SHEETS}")).expect(0);
    assert_eq!(got.out, "b");
    // A location that is emptied is named, and not passed over.
    world
        .sandbox
        .control()
        .request("DELETE", "/v1/projects/many-places/locations/europe-west3/secrets/app", &Json::Null)
        .unwrap();
    let gone = world.run("snapshot").expect(3).err;
    assert!(gone.contains("europe-west3 is left out: it was captured before"), "{gone}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_named_and_a_project_that_is_not_there_is_one_sentence() {
    let world = World::new().await;
    world.seed().await;
    world.init("gcp:source-project/global");
    let fault = |path: &str| GcpFault { path: Some(path.into()), when: FaultWhen::Always, kind: GcpFaultKind::Denied };
    world.sandbox.control().add_fault(fault("/secrets/app/versions/1:access"));
    let denied = world.run("snapshot").expect(3).err;
    assert!(denied.contains("app version 1 was not captured") && denied.contains("PERMISSION_DENIED"), "{denied}");
    world.sandbox.control().clear_faults();
    world.run("snapshot").expect(0);
    world.sandbox.control().set_token(Some("other".into()));
    let ended = world.run("snapshot").expect(1).err;
    assert!(ended.contains("UNAUTHENTICATED") && ended.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{ended}");
    let bad = world.run("init --repo other --source gcp:Not_a_project --yes --custodian A --threshold 1 --sheets s");
    bad.expect(2).says("expected gcp:PROJECT");
}

/// A service that changes a token of an identity provider for one of Google's.
async fn token_service() -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut asked = vec![0; 16_384];
            let length = socket.read(&mut asked).await.unwrap_or_default();
            let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
            let is_it = asked.contains("subject-token-of-the-provider") && asked.contains("POST /token");
            let body = json!({
                "access_token": if is_it { "federated" } else { "wrong" }, "token_type": "Bearer", "expires_in": 3600,
                "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            })
            .to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    format!("http://{address}/token")
}

#[tokio::test(flavor = "multi_thread")]
async fn application_default_credentials_are_a_federated_token_a_token_in_a_file_or_a_key() {
    let world = World::new().await;
    world.seed().await;
    world.init("gcp:source-project/global");
    world.sandbox.control().set_token(Some("federated".into()));
    let run = |name: &str, value: &str, words: &str| {
        let endpoint = world.sandbox.endpoint();
        let mut command = world.desk.command(binary());
        command
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER", &endpoint)
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDRESOURCEMANAGER", &endpoint)
            .env(name, value);
        world.desk.finish(command.args(words.split_whitespace()))
    };
    let path = |name: &str| world.desk.path(name).display().to_string();
    std::fs::write(path("subject"), "subject-token-of-the-provider").unwrap();
    let federation = json!({
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": token_service().await,
        "credential_source": { "file": path("subject") },
    });
    std::fs::write(path("federation.json"), federation.to_string()).unwrap();
    let ran =
        tokio::task::block_in_place(|| run("GOOGLE_APPLICATION_CREDENTIALS", &path("federation.json"), "snapshot"));
    ran.expect(0);
    std::fs::write(path("token"), "federated\n").unwrap();
    run("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", &path("token"), "snapshot").expect(0);
    std::fs::write(path("token"), "ended").unwrap();
    run("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", &path("token"), "snapshot").expect(1).says("UNAUTHENTICATED");
    // A key signs a token itself.
    world.sandbox.control().set_token(None);
    script("gcp_key.py", vec![path("key.json")]).await;
    run("GOOGLE_APPLICATION_CREDENTIALS", &path("key.json"), "snapshot").expect(0);
    let none = run("GOOGLE_APPLICATION_CREDENTIALS", &path("none.json"), "snapshot").expect(1).err;
    assert!(none.contains("GOOGLE_APPLICATION_CREDENTIALS"), "{none}");
}

/// An outage of AWS is drilled in a project: everything that the drill made is deleted again, and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_restores_across_into_a_project_and_leaves_nothing() {
    let aws = lifeboat::emulator::Sandbox::start(lifeboat::emulator::SandboxOptions::default()).await.unwrap();
    for number in 1..=3 {
        aws.control().put("111111111111", "eu-central-1", &format!("app/{number}"), "marker").unwrap();
    }
    let world = World { sandbox: sandbox().await, desk: Desk::new(&aws.endpoint(), "111111111111") };
    world.post("sandbox-project/secrets?secretId=theirs", &json!({ "replication": { "automatic": {} } }));
    world.init("aws:eu-central-1 --copy west");
    world.run("snapshot").expect(0);
    let file = "scenario = \"eu-central-1 is gone\"\nevery_days = 31\n[lost]\nregions = [\"eu-central-1\"]\n\
                [target]\nurl = \"gcp:sandbox-project/global\"\n";
    crate::drill_cli::write(&world.desk, "outage", file);
    let held = world.run(&format!("drill run outage --json {SHEETS}")).expect(0).json();
    let record = &held["record"];
    assert_eq!((&record["result"], &record["target"]["provider"]), (&json!("passed"), &json!("gcp")), "{record}");
    assert_eq!((&record["sample"]["restored"], &record["clean_up"]["destroyed"]), (&json!(3), &json!(3)), "{record}");
    let left = world.dump("sandbox-project").await;
    assert_eq!(left.as_object().unwrap().keys().collect::<Vec<_>>(), ["theirs"], "and nothing else was touched");
}
