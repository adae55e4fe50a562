//! The one way out: proxies, private authorities, AWS's own hosts, and connections that carry nothing in clear.

use std::collections::BTreeMap;

use lifeboat::emulator::Sandbox;

use crate::{
    bucket_stub::{BucketStub, Manner},
    cli::estate,
    command::{Desk, Ran, SHEETS, binary},
    gateway::{Gateway, authority},
};

const ACCOUNT: &str = "111111111111";
const PASSWORD: &str = "hunter2-of-the-proxy";

/// A host in a network that has one way out, with everything it may reach behind it.
struct Inside {
    desk: Desk,
    sandbox: Sandbox,
    bucket: BucketStub,
    gateway: Gateway,
}

impl Inside {
    async fn start() -> Self {
        let sandbox = estate().await;
        let bucket = tokio::task::block_in_place(|| BucketStub::start(Manner::default()));
        let (aws, s3) = (bare(&sandbox.endpoint()), bare(&bucket.endpoint));
        let gateway = Gateway::start(move |host| match host {
            "refused.eu-west-1.amazonaws.com" => String::new(),
            host if ["secretsmanager", "sts", "kms", "organizations"].iter().any(|it| host.starts_with(it)) => {
                aws.clone()
            }
            _ => s3.clone(),
        });
        let desk = Desk::new("", ACCOUNT);
        Self { desk, sandbox, bucket, gateway }
    }

    fn proxy(&self) -> String {
        format!("http://user:{PASSWORD}@{}", self.gateway.address)
    }

    /// Runs with the variables of such a network, and these changed; an empty one is taken away.
    fn run(&self, changed: &[(&str, &str)], words: &str) -> Ran {
        let (proxy, authority) = (self.proxy(), authority().display().to_string());
        let mut variables = BTreeMap::from([("HTTPS_PROXY", &*proxy), ("AWS_CA_BUNDLE", &*authority)]);
        variables.extend(changed.iter().copied());
        variables.retain(|_, value| !value.is_empty());
        let mut command = self.desk.command(binary());
        command.env_remove("AWS_ENDPOINT_URL").envs(variables).args(words.split_whitespace());
        let ran = self.desk.finish(&mut command);
        assert!(!String::from_utf8_lossy(&self.desk.printed()).contains("hunter2"), "{}", ran.err);
        ran
    }

    fn init(&self) {
        let custodians = "--custodian Ana --custodian Bo --custodian Cy --custodian Dee --custodian Eli";
        let words = "init --repo repository --source aws:eu-central-1 --threshold 3 --sheets sheets --yes";
        self.run(&[], &format!("{words} {custodians}")).expect(0);
    }

    fn configure(&self, more: &str) {
        let config = std::fs::read_to_string(self.desk.path("lifeboat.toml")).unwrap();
        std::fs::write(self.desk.path("lifeboat.toml"), format!("{config}\n{more}\n")).unwrap();
    }

    #[track_caller]
    fn assert_passed(&self, hosts: &[&str]) {
        let passed = self.gateway.passed();
        for host in hosts {
            assert!(passed.contains(*host), "{host} is missing in {passed:?}");
        }
    }
}

fn bare(endpoint: &str) -> String {
    endpoint.trim_start_matches("http://").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_passes_the_proxy_and_trusts_the_private_authority() {
    let inside = Inside::start().await;
    inside.init();
    let keyed = serde_json::json!({ "Name": "keyed", "KmsKeyId": "alias/app", "Versions": [
        { "VersionId": "11111111-1111-1111-1111-111111111111", "SecretString": "x", "VersionStages": ["AWSCURRENT"] } ] });
    inside.sandbox.control().seed_raw(ACCOUNT, "eu-central-1", &keyed).unwrap();
    inside.configure("[[copy]]\nurl = \"s3://backups/west?region=eu-west-1\"\nallow_same_account = true");
    inside.run(&[], "snapshot").expect(0);
    inside.assert_passed(&[
        "secretsmanager.eu-central-1.amazonaws.com",
        "sts.eu-central-1.amazonaws.com",
        "s3.eu-west-1.amazonaws.com",
    ]);
    inside.run(&[], "doctor").expect(0);
    let copy = "s3://backups/west?region=eu-west-1";
    inside.run(&[], &format!("restore --repo {copy} --to aws:eu-west-1 --yes {SHEETS}")).expect(0);
    inside.assert_passed(&["secretsmanager.eu-west-1.amazonaws.com", "kms.eu-west-1.amazonaws.com"]);
    // A storage whose profile takes a role.
    std::fs::create_dir_all(inside.desk.path(".aws")).unwrap();
    let profiles = "[profile base]\naws_access_key_id = 222222222222\naws_secret_access_key = x\n\
                    [profile copy]\nrole_arn = arn:aws:iam::222222222222:role/R\nsource_profile = base\n";
    std::fs::write(inside.desk.path(".aws/config"), profiles).unwrap();
    inside.run(&[], "copy --to s3://backups/east?region=us-east-1&profile=copy").expect(0);
    inside.assert_passed(&["sts.us-east-1.amazonaws.com", "s3.us-east-1.amazonaws.com"]);
    // A drill, behind its guard, with a role and with the region of the source lost.
    std::fs::create_dir_all(inside.desk.path("drills")).unwrap();
    let drill = "scenario = \"x\"\n[lost]\nregions = [\"eu-central-1\"]\nendpoints = [\"http://vault.example:8200\"]\n[target]\naccount = \"999999999999\"\nregion = \"us-east-1\"\n";
    std::fs::write(inside.desk.path("drills/lost.toml"), drill).unwrap();
    let stranger = [("AWS_ACCESS_KEY_ID", "999999999999")];
    inside.run(&stranger, &format!("drill run lost {SHEETS}")).expect(0);
    inside.assert_passed(&["secretsmanager.us-east-1.amazonaws.com"]);
    // The same words in small letters, and an authority where OpenSSL looks for it.
    let (proxy, authority) = (inside.proxy(), authority().display().to_string());
    let other = [("HTTPS_PROXY", ""), ("https_proxy", &*proxy), ("AWS_CA_BUNDLE", ""), ("SSL_CERT_FILE", &*authority)];
    inside.run(&other, "snapshot").expect(0);
    let other = [("HTTPS_PROXY", ""), ("ALL_PROXY", &*proxy)];
    inside.run(&other, "snapshot").expect(0);

    // Other clouds: there is no repository, and the storage was asked.
    inside.run(&[], "check --repo gs://b/x?endpoint=https://storage.googleapis.com").expect(1);
    inside.run(&[("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")], "check --repo az://account/b/x").expect(1);
    inside.assert_passed(&["storage.googleapis.com", "account.blob.core.windows.net"]);

    let organization = "organization = true\nrole = \"backup\"\nregions = [\"eu-central-1\"]";
    let config = std::fs::read_to_string(inside.desk.path("lifeboat.toml")).unwrap();
    let config = config.replace("url = \"aws:eu-central-1\"", organization);
    let kept: Vec<&str> = config.lines().filter(|line| !line.starts_with("account = ")).collect();
    std::fs::write(inside.desk.path("lifeboat.toml"), kept.join("\n")).unwrap();
    inside.run(&[], "snapshot");
    inside.assert_passed(&["organizations.us-east-1.amazonaws.com"]);
    // Each of them told the proxy who it is.
    assert_eq!(inside.gateway.authorizations().len(), 1, "{:?}", inside.gateway.authorizations());
    assert!(inside.gateway.authorizations().iter().all(|it| it.starts_with("Basic ")));
    inside.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_authority_or_the_proxys_leave_it_ends_with_a_sentence() {
    let inside = Inside::start().await;
    inside.init();
    let bucket = "check --repo s3://backups/x?region=eu-west-1";
    for words in ["snapshot", bucket, "check --repo gs://b/x?endpoint=https://storage.googleapis.com"] {
        let ran = inside.run(&[("AWS_CA_BUNDLE", "")], words).expect(1);
        assert!(ran.err.contains("certificate is not trusted (AWS_CA_BUNDLE"), "{words}: {}", ran.err);
    }
    // The system's authorities do not help where they are replaced, as for OpenSSL.
    let refusing = Gateway::start(|_| "407".to_owned());
    let closed = Gateway::start(|_| String::new());
    for (proxy, says) in [
        (format!("http://{}", refusing.address), "the proxy requires valid credentials"),
        (format!("http://{}", closed.address), "the proxy refuses to connect to the endpoint"),
    ] {
        for words in ["snapshot", bucket] {
            let ran = inside.run(&[("HTTPS_PROXY", &proxy)], words).expect(1);
            assert!(ran.err.contains(says), "{words}: {}", ran.err);
        }
    }
    let nowhere = format!("http://127.0.0.1:{}", crate::servers::free_port());
    let ran = inside.run(&[("HTTPS_PROXY", &nowhere)], "snapshot").expect(1);
    assert!(ran.err.contains("the proxy does not answer"), "{}", ran.err);
    inside.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_cannot_be_used_are_an_error_and_no_way_around() {
    let inside = Inside::start().await;
    inside.init();
    let before = inside.gateway.passed();
    let bundle = inside.desk.path("empty.pem");
    std::fs::write(&bundle, "").unwrap();
    let bundle = bundle.display().to_string();
    let provider = ["snapshot", "doctor --to aws:eu-west-1"];
    let storage = ["check --repo s3://backups/x?region=eu-west-1", "check --repo az://account/b/x"];
    for (name, value) in [
        ("HTTPS_PROXY", "socks5://user:hunter2@127.0.0.1:1"),
        ("https_proxy", "http://user:hunter2@127.0.0.1:99999"),
        ("ALL_PROXY", "http://user:hunter2@"),
        ("NO_PROXY", "http://x"),
        ("AWS_CA_BUNDLE", &bundle),
        ("SSL_CERT_FILE", &bundle),
        ("AWS_ENDPOINT_URL", "localhost:4566"),
        ("AWS_ENDPOINT_URL", "foo"),
        ("AWS_ENDPOINT_URL_S3", "foo"),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "127.0.0.1"),
        ("AWS_ENDPOINT_URL_STS", "//127.0.0.1"),
        ("AWS_USE_FIPS_ENDPOINT", "maybe"),
        ("AWS_USE_DUALSTACK_ENDPOINT", "1"),
    ] {
        let off = if name == "https_proxy" { ("HTTPS_PROXY", "") } else { ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0") };
        for words in provider.iter().chain(&storage) {
            inside.run(&[off, (name, value)], words).expect(2).says(name);
        }
    }
    for url in ["foo", "localhost:9000", "http://"] {
        let words = format!("check --repo s3://backups/x?region=eu-west-1&endpoint={url}");
        inside.run(&[], &words).expect(2).says("is not a URL (expected https://HOST)");
    }
    // Of a profile too.
    std::fs::create_dir_all(inside.desk.path(".aws")).unwrap();
    for (profile, says) in [
        ("use_fips_endpoint = perhaps", "must be true or false"),
        ("endpoint_url = foo", "https://HOST"),
        ("services = s\n[services s]\ns3 =\n  endpoint_url = foo\nsts =\n  endpoint_url = foo", "https://HOST"),
        ("use_fips_endpoint = true\nendpoint_url = http://127.0.0.1:9", "exclude each other"),
    ] {
        std::fs::write(inside.desk.path(".aws/config"), format!("[default]\n{profile}\n")).unwrap();
        for words in ["snapshot", storage[0]] {
            inside.run(&[], words).expect(2).says(says);
        }
    }
    assert_eq!(inside.gateway.passed(), before, "nothing was connected");
    inside.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn values_go_nowhere_in_clear() {
    let inside = Inside::start().await;
    inside.init();
    let before = inside.gateway.passed();
    let proxy = inside.proxy();
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_KMS"]
    {
        let away = [("HTTP_PROXY", &*proxy), (name, "http://secretsmanager.example:4566")];
        for words in ["snapshot", "doctor --to aws:eu-west-1"] {
            inside.run(&away, words).expect(2).says("would carry secrets in clear: use https");
        }
    }
    assert_eq!(inside.gateway.passed(), before, "nothing was connected");
    // An endpoint on this machine is no other machine, and no proxy's matter.
    let here = inside.sandbox.endpoint();
    inside.run(&[("HTTP_PROXY", &*proxy), ("AWS_ENDPOINT_URL", &here)], "snapshot").expect(0);
    assert_eq!(inside.gateway.passed(), before);

    // A storage sees nothing but ciphertext: it is told, and works.
    inside.configure("[[copy]]\nurl = \"s3://backups/west?region=eu-west-1&endpoint=http://storage.example:9000\"");
    let by = [("HTTP_PROXY", &*proxy)];
    inside.run(&by, "copy").expect(0);
    inside.assert_passed(&["http://storage.example:9000"]);
    assert!(inside.gateway.authorizations().iter().all(|it| it.starts_with("Basic ")));
    let told = inside.run(&by, "doctor --json").expect(3).json();
    let row =
        told["checks"].as_array().unwrap().iter().find(|row| row["check"].as_str().unwrap().ends_with(": connection"));
    let row = row.expect("it is a finding");
    assert_eq!(row["state"], "wrong");
    assert!(row["detail"].as_str().unwrap().contains("http://storage.example:9000 is not encrypted"), "{row}");
    let status = inside.run(&by, "status").expect(3);
    assert!(status.out.contains("the connection to http://storage.example:9000 is not encrypted"), "{}", status.out);
    inside.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn awss_hosts_are_those_of_the_partition_and_of_the_settings() {
    let inside = Inside::start().await;
    inside.init();
    std::fs::create_dir_all(inside.desk.path(".aws")).unwrap();
    let check = |variables: &[(&str, &str)], region: &str, host: &str| {
        inside.run(variables, &format!("check --repo s3://backups/x?region={region}")).expect(1).says("no repository");
        inside.assert_passed(&[host]);
    };
    let (fips, dual_stack) = (("AWS_USE_FIPS_ENDPOINT", "true"), ("AWS_USE_DUALSTACK_ENDPOINT", "True"));
    check(&[], "eu-west-1", "s3.eu-west-1.amazonaws.com");
    check(&[], "cn-north-1", "s3.cn-north-1.amazonaws.com.cn");
    check(&[fips], "us-gov-west-1", "s3-fips.us-gov-west-1.amazonaws.com");
    check(&[dual_stack], "eu-west-1", "s3.dualstack.eu-west-1.amazonaws.com");
    inside
        .run(&[fips], "check --repo s3://backups/x?region=cn-north-1")
        .expect(2)
        .says("no FIPS endpoints in cn-north-1");
    // The endpoint of an address is nearer than a setting for AWS's own.
    let own = format!("check --repo s3://backups/x?region=eu-west-1&endpoint={}", inside.bucket.endpoint);
    inside.run(&[fips], &own).expect(1).says("no repository");
    std::fs::write(inside.desk.path(".aws/config"), "[default]\nuse_fips_endpoint = true\n").unwrap();
    check(&[], "us-east-1", "s3-fips.us-east-1.amazonaws.com");
    // Secrets Manager by the same settings.
    inside.run(&[], "doctor --policy restore --to aws:us-east-1").expect(0);
    inside.assert_passed(&["sts-fips.us-east-1.amazonaws.com"]);
    inside.sandbox.shutdown().await;
}

/// Whose the bucket of a copy is, as `doctor` tells it.
fn told(inside: &Inside, what: &str) -> (String, String) {
    let ran = inside.run(&[], "doctor --json").json();
    let rows = ran["checks"].as_array().unwrap();
    let row = rows.iter().find(|row| row["check"].as_str().unwrap().ends_with(what));
    let row = row.unwrap_or_else(|| panic!("no row {what} in {ran}"));
    (row["state"].as_str().unwrap().to_owned(), row["detail"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copys_account_is_the_buckets_owner_by_s3s_own_word() {
    let inside = Inside::start().await;
    inside.init();
    let config = std::fs::read_to_string(inside.desk.path("lifeboat.toml")).unwrap();
    let set = |entry: &str| {
        std::fs::write(inside.desk.path("lifeboat.toml"), format!("{config}\n[[copy]]\n{entry}\n")).unwrap();
    };
    let manner = |change: &dyn Fn(&mut Manner)| change(&mut inside.bucket.manner.lock().unwrap());
    // Credentials of another account that may write into a bucket of the source's account.
    std::fs::create_dir_all(inside.desk.path(".aws")).unwrap();
    let profile = "[copy]\naws_access_key_id = 222222222222\naws_secret_access_key = x\n";
    std::fs::write(inside.desk.path(".aws/credentials"), profile).unwrap();
    let private = "https://bucket.vpce-1.s3.eu-west-1.vpce.amazonaws.com";
    for endpoint in [String::new(), format!("&endpoint={private}"), format!("&endpoint={}", inside.bucket.endpoint)] {
        let url = format!("s3://backups/west?region=eu-west-1&profile=copy{endpoint}");
        set(&format!("url = \"{url}\""));
        manner(&|manner| manner.owner = Some(ACCOUNT.into()));
        inside.run(&[], "copy --json").expect(4);
        let ran = inside.run(&[], "copy");
        assert!(ran.err.contains(&format!("in account {ACCOUNT} (")), "{endpoint}: {}", ran.err);
        assert_eq!(told(&inside, ": place").0, "wrong");
        set(&format!("url = \"{url}\"\naccount = \"222222222222\""));
        let ran = inside.run(&[], "copy").expect(4);
        assert!(ran.err.contains(&format!("belongs to account {ACCOUNT}")), "{endpoint}: {}", ran.err);
        set(&format!("url = \"{url}\"\nallow_same_account = true"));
        inside.run(&[], "copy").expect(0);

        set(&format!("url = \"{url}\"\naccount = \"333333333333\""));
        manner(&|manner| manner.owner = Some("333333333333".into()));
        inside.run(&[], "copy").expect(0);
        assert_eq!(told(&inside, ": owner"), ("ok".into(), "account 333333333333, proven by S3".into()));
        // Somebody else's bucket under the name, whoever that is.
        manner(&|manner| manner.owner = Some("444444444444".into()));
        let ran = inside.run(&[], "copy").expect(4);
        assert!(ran.err.contains("belongs to another account"), "{}", ran.err);
        set(&format!("url = \"{url}\""));
        inside.run(&[], "copy").expect(0);
        assert!(told(&inside, ": owner").1.contains("not the account of a source"));

        // A server that does not care proves nothing, and one that says nothing neither.
        manner(&|manner| manner.owner = None);
        let (state, detail) = told(&inside, ": owner");
        assert_eq!(state, "note");
        assert!(detail.contains("does not check who owns a bucket"), "{detail}");
        manner(&|manner| *manner = Manner { owner: Some("4".into()), denies: true, ..Manner::default() });
        assert!(told(&inside, ": owner").1.contains("s3:ListBucket"));
        manner(&|manner| *manner = Manner::default());
    }
    // What refused before still does: the account that the credentials lead to, where S3 proves none.
    set("url = \"s3://backups/west?region=eu-west-1\"");
    let ran = inside.run(&[], "copy").expect(4);
    assert!(ran.err.contains(&format!("in account {ACCOUNT} (")), "{}", ran.err);
    // Also where the environment names the endpoints.
    let (aws, s3) = (inside.sandbox.endpoint(), inside.bucket.endpoint.clone());
    inside.run(&[("AWS_ENDPOINT_URL", &aws), ("AWS_ENDPOINT_URL_S3", &s3)], "copy").expect(4);
    set(&format!("url = \"s3://backups/west?region=eu-west-1&profile=copy\"\naccount = \"{ACCOUNT}\""));
    inside.run(&[], "copy").expect(4);
    inside.sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_under_a_key_of_the_source_is_a_finding() {
    let inside = Inside::start().await;
    inside.init();
    let config = std::fs::read_to_string(inside.desk.path("lifeboat.toml")).unwrap();
    let set = |entry: &str| {
        std::fs::write(inside.desk.path("lifeboat.toml"), format!("{config}\n[[copy]]\n{entry}\n")).unwrap();
    };
    let manner = |key: Option<String>| {
        *inside.bucket.manner.lock().unwrap() = Manner { owner: Some("3".into()), key, denies: false };
    };
    let key = |account: &str| format!("arn:aws:kms:eu-west-1:{account}:key/k");
    set("url = \"s3://backups/west?region=eu-west-1\"\naccount = \"3\"");
    manner(Some(key("3")));
    inside.run(&[], "copy").expect(0);
    manner(Some(key(ACCOUNT)));
    let ran = inside.run(&[], "copy --json").expect(3);
    assert!(ran.err.contains("without that account nobody can read the copy"), "{}", ran.err);
    assert!(ran.json()["copies"][0]["key_of_a_source"].is_string());
    assert_eq!(told(&inside, ": key").0, "wrong");
    manner(None);
    let asked = key(ACCOUNT).replace(':', "%3A").replace('/', "%2F");
    set(&format!("url = \"s3://backups/west?region=eu-west-1&kms={asked}\"\naccount = \"3\""));
    inside.run(&[], "copy").expect(3);
    assert_eq!(told(&inside, ": key").0, "wrong");
    set(&format!(
        "url = \"s3://backups/west?region=eu-west-1&kms={asked}\"\naccount = \"3\"\nallow_same_account = true"
    ));
    inside.run(&[], "copy").expect(0);
    inside.sandbox.shutdown().await;
}

fn client(endpoint: &str) -> aws_sdk_secretsmanager::Client {
    use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
    let credentials = Credentials::new(ACCOUNT, "x", None, None, "test");
    let config = Config::builder().behavior_version(BehaviorVersion::latest()).region(Region::new("eu-central-1"));
    aws_sdk_secretsmanager::Client::from_conf(config.endpoint_url(endpoint).credentials_provider(credentials).build())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_says_where_copies_and_targets_may_be() {
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let set = |policy: &str, region: &str| {
        let config = config.replace("[[copy]]", &format!("[[copy]]\nregion = {region:?}"));
        std::fs::write(desk.path("lifeboat.toml"), format!("{config}\n[policy]\nregions = {policy}\n")).unwrap();
    };
    set("[\"eu-west-1\"]", "us-west-2");
    let says = "is not one of the regions of [policy]: eu-west-1";
    let ran = desk.run("copy").expect(4);
    assert!(ran.err.contains(says), "{}", ran.err);
    desk.run(&format!("restore --to aws:us-east-1 --yes {SHEETS}")).expect(4).says(says);
    desk.run(&format!("restore --to aws:us-east-1 --plan {SHEETS}")).expect(4).says(says);
    desk.run_as("999999999999", &format!("drill run --to aws:us-east-1 {SHEETS}")).expect(4).says(says);
    let told = desk.run("doctor --to aws:us-east-1").expect(3);
    assert!(told.out.contains(says), "{}", told.out);
    set("[\"eu-west-1\"]", "EU-West-1");
    desk.run("copy").expect(0);
    desk.run(&format!("restore --to aws:eu-west-1 --yes {SHEETS}")).expect(0);
    desk.run_as("999999999999", &format!("drill run --target sandbox {SHEETS}")).expect(0);
    // A replica is a value in another region.
    let replica = aws_sdk_secretsmanager::types::ReplicaRegionType::builder().region("us-west-2").build();
    let client = client(&sandbox.endpoint());
    client.replicate_secret_to_regions().secret_id("app/api").add_replica_regions(replica).send().await.unwrap();
    desk.run("snapshot").expect(0);
    let restore = format!("restore --to aws:eu-west-1 --name-prefix again/ {SHEETS}");
    for words in ["--replication --yes", "--replication --plan"] {
        desk.run(&format!("{restore} {words}")).expect(4).says("us-west-2 is not one of the regions of [policy]");
    }
    desk.run(&format!("{restore} --yes")).expect(0);
    set("[]", "us-west-2");
    desk.run("copy").expect(0);
    desk.run_as("999999999999", &format!("drill run --to aws:us-east-1 {SHEETS}")).expect(0);
    let writes = sandbox.control().writes();
    assert!(writes.iter().all(|call| call.account == ACCOUNT || call.region == "us-east-1"), "{writes:?}");
    sandbox.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_accepts_the_signature_and_proves_no_owner() {
    use crate::servers::{SEAWEED_KEY, Seaweed};
    let server = tokio::task::block_in_place(|| Seaweed::start(None));
    let sandbox = estate().await;
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    let [key, secret] = SEAWEED_KEY;
    std::fs::create_dir_all(desk.path(".aws")).unwrap();
    let profile = format!("[copy]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    std::fs::write(desk.path(".aws/credentials"), profile).unwrap();
    let config = std::fs::read_to_string(desk.path("lifeboat.toml")).unwrap();
    let config = config.split("[[copy]]").next().unwrap().to_owned();
    for prefix in ["west", "", "a b/é+(~)*'!$"] {
        let url = format!("s3://backups/{prefix}?region=eu-west-1&profile=copy&endpoint={}", server.endpoint);
        std::fs::write(desk.path("lifeboat.toml"), format!("{config}[[copy]]\nurl = \"{url}\"\n")).unwrap();
        desk.run("snapshot").expect(0);
        let told = desk.run("doctor").expect(0);
        assert!(told.out.contains("does not check who owns a bucket"), "{prefix}: {}", told.out);
    }
    sandbox.shutdown().await;
}
