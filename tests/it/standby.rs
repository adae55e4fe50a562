//! A standby region: what changes on the way into it, and what it would lack.

use aws_sdk_secretsmanager::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
};
use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::command::{Desk, Ran, SHEETS};

const ACCOUNT: &str = "111111111111";
const SOURCE: &str = "eu-central-1";
const TARGET: &str = "eu-west-1";
const MAP: &str = "[value.\"app/*\"]\n\"/host\" = { \"eu-central-1\" = \"eu-west-1\" }\n";
/// Every kind of space, number and escape that a writer of JSON would write another way.
const HOST: &str =
    "{ \"port\":5432.0e+00,\t\"host\" : \"marker-db.eu\\u002dcentral-1.rds\",\"copy\":\"eu-central-1\" }\n";
const NEW_HOST: &str = "{ \"port\":5432.0e+00,\t\"host\" : \"marker-db.eu-west-1.rds\",\"copy\":\"eu-central-1\" }\n";

struct Scene {
    sandbox: Sandbox,
    desk: Desk,
}

fn id(number: usize) -> String {
    format!("standby-{number:032}")
}

/// A secret with these values, the last one current.
fn secret(name: &str, values: &[&str]) -> Json {
    let version = |(number, value): (usize, &&str)| {
        let stages = match values.len() - number {
            1 => vec!["AWSCURRENT"],
            2 => vec!["AWSPREVIOUS"],
            _ => vec![],
        };
        json!({ "VersionId": id(number), "SecretString": value, "VersionStages": stages, "CreatedDate": number + 1 })
    };
    json!({ "Name": name, "Versions": values.iter().enumerate().map(version).collect::<Vec<_>>() })
}

fn with_policy(name: &str, statement: &Json) -> Json {
    let policy = json!({ "Version": "2012-10-17", "Statement": [statement] });
    let mut secret = secret(name, &["marker"]);
    secret["ResourcePolicy"] = policy.to_string().into();
    secret
}

/// Lets in what comes through an endpoint alone.
fn through(endpoint: &str) -> Json {
    json!({
        "Effect": "Deny", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*",
        "Condition": { "StringNotEquals": { "aws:SourceVpce": [endpoint] } },
    })
}

impl Scene {
    /// A host with one snapshot of these secrets.
    async fn of(secrets: &[Json]) -> Self {
        let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
        for secret in secrets {
            sandbox.control().seed_raw(ACCOUNT, SOURCE, secret).unwrap();
        }
        let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
        desk.init();
        // A source without a secret is a loss.
        desk.run("snapshot").expect(if secrets.is_empty() { 3 } else { 0 });
        Self { sandbox, desk }
    }

    fn map(&self, text: &str) {
        std::fs::write(self.desk.path("map.toml"), text).unwrap();
    }

    fn restore(&self, more: &str) -> Ran {
        self.desk.run(&format!("restore --to aws:{TARGET} --yes {SHEETS} {more}"))
    }

    fn written(&self) -> usize {
        self.sandbox.control().writes().iter().filter(|call| call.region == TARGET).count()
    }

    async fn value(&self, name: &str, version: &str) -> String {
        let config = aws_sdk_secretsmanager::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(TARGET))
            .endpoint_url(self.sandbox.endpoint())
            .credentials_provider(Credentials::new(ACCOUNT, "x", None, None, "test"));
        let get = Client::from_conf(config.build()).get_secret_value().secret_id(name).version_id(version);
        get.send().await.unwrap().secret_string().unwrap().to_owned()
    }

    fn nothing_was_said(&self) {
        let printed = String::from_utf8_lossy(&self.desk.printed()).into_owned();
        assert!(!printed.contains("marker"), "{printed}");
    }
}

fn rule<'a>(shown: &'a Json, pointer: &str) -> &'a Json {
    let rules = shown["rewrites"]["rules"].as_array().unwrap();
    rules.iter().find(|rule| rule["pointer"] == pointer).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_inside_a_value_changes_and_no_other_byte_does() {
    let old = HOST.replace("marker-db", "marker-old");
    let scene = Scene::of(&[secret("app/db", &["plain", &old, HOST]), secret("web", &[HOST])]).await;
    scene.map(MAP);
    let plan = scene.restore("--map map.toml --plan --json").expect(0).json();
    let rule = rule(&plan, "/host");
    assert_eq!((&rule["changed"], &rule["changed_versions"]), (&1.into(), &2.into()), "{rule}");
    assert_eq!(scene.written(), 0);
    let done = scene.restore("--map map.toml --json").expect(0).json();
    assert_eq!((&done["complete"], &done["verification"]["values"]), (&true.into(), &4.into()));
    assert_eq!(scene.value("app/db", &id(2)).await, NEW_HOST);
    assert_eq!(scene.value("app/db", &id(1)).await, NEW_HOST.replace("marker-db", "marker-old"));
    assert_eq!(scene.value("app/db", &id(0)).await, "plain");
    assert_eq!(scene.value("web", &id(0)).await, HOST, "no rule is about it");
    // Run again, it compares with what the rule makes of the backup, and without the rule it sees the difference.
    let again = scene.restore("--map map.toml --json").expect(0).json();
    assert_eq!((&again["writes"], &again["verification"]["differences"]), (&0.into(), &json!([])));
    let other = scene.restore("--json").expect(3).json();
    assert_eq!(other["verification"]["differences"].as_array().unwrap().len(), 2, "{other}");
    scene.nothing_was_said();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_byte_behind_a_rule_is_found() {
    let scene = Scene::of(&[secret("app/db", &[HOST])]).await;
    scene.map(MAP);
    scene.restore("--map map.toml").expect(0);
    scene.sandbox.control().corrupt_value(ACCOUNT, TARGET, "app/db", None).unwrap();
    let found = scene.restore("--map map.toml --json").expect(3).json();
    assert_eq!(found["verification"]["differences"][0]["what"], "value", "{found}");
    scene.nothing_was_said();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_does_nothing_is_named_and_is_never_success() {
    let twice = r#"{"host":"marker.eu-central-1","host":"marker.eu-central-1"}"#;
    let scene = Scene::of(&[
        secret("app/db", &[HOST]),
        secret("app/plain", &["marker eu-central-1"]),
        secret("app/number", &[r#"{"host":7}"#]),
        secret("app/twice", &[twice]),
        secret("app/none", &[r#"{"name":"marker"}"#]),
    ])
    .await;
    let rule = |name: &str, pointer: &str| {
        format!("[value.\"{name}\"]\n{pointer:?} = {{ \"eu-central-1\" = \"eu-west-1\" }}\n")
    };
    for (map, include, loss) in [
        (rule("app/*", "/endpoint"), "", "it changes no current value"),
        (rule("shop/*", "/host"), "", "no secret has such a name"),
        (rule("app/plain", "/host"), "", "it changes no current value"),
        (rule("app/none", "/host"), "--include app/none", "it changes no current value"),
        (rule("app/number", "/host"), "", "it changes no current value"),
        (rule("app/twice", "/host"), "", "it cannot tell which of two equal keys is meant"),
        (rule("app/*", "/host"), "", "it cannot tell which of two equal keys is meant"),
    ] {
        scene.map(&map);
        let plan = scene.restore(&format!("--map map.toml --plan {include} --json")).expect(3).json();
        assert_eq!((&plan["complete"], &plan["rewrites"]["rules"][0]["loss"]), (&false.into(), &loss.into()), "{map}");
        let said = scene.restore(&format!("--map map.toml --plan {include}")).expect(3);
        assert!(said.out.contains("NOT DONE: rule [value."), "{}", said.out);
    }
    // Each secret that stays as it was is named, with the reason.
    for words in
        ["the value is no JSON: app/plain", "what is there is no text: app/number", "has no such place: app/none"]
    {
        let said = scene.restore("--map map.toml --plan --exclude app/twice").expect(0);
        assert!(said.out.contains(words), "{}", said.out);
    }
    // The secrets come back all the same, and the run is not complete.
    scene.map(&rule("app/plain", "/host"));
    let done = scene.restore("--map map.toml --json").expect(3).json();
    assert_eq!((&done["complete"], &done["verification"]["secrets"]), (&false.into(), &5.into()));
    assert_eq!(done["verification"]["differences"], json!([]));
    scene.nothing_was_said();
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_nobody_tried_are_not_a_complete_plan() {
    let scene = Scene::of(&[secret("app/db", &[HOST])]).await;
    scene.map(MAP);
    let plan = |more: &str| scene.desk.run(&format!("restore --to aws:{TARGET} --map map.toml {more}"));
    let said = plan("--plan").expect(3);
    assert!(said.out.contains("about 1 secret; what it changes needs a quorum"), "{}", said.out);
    plan("--plan-out plan.json").expect(3);
    let file = std::fs::read_to_string(scene.desk.path("plan.json")).unwrap();
    assert!(file.contains("\"/host\"") && !file.contains("marker"), "{file}");
    // What was approved is what is done: the rules stand in the file.
    let changed = file.replace("\"eu-central-1\": \"eu-west-1\"", "\"eu-central-1\": \"us-east-1\"");
    let only_plan = file
        .rfind("\"edits\"")
        .map(|at| {
            format!(
                "{}{}",
                &file[..at],
                changed.rsplit_once("\"edits\"").map(|(_, end)| format!("\"edits\"{end}")).unwrap()
            )
        })
        .unwrap();
    assert_ne!(only_plan, file);
    std::fs::write(scene.desk.path("tampered.json"), only_plan).unwrap();
    scene.desk.run(&format!("restore --plan tampered.json --yes {SHEETS}")).expect(4).says("differs from the plan");
    scene.desk.run(&format!("restore --plan plan.json --yes {SHEETS}")).expect(0);
    assert_eq!(scene.value("app/db", &id(0)).await, NEW_HOST);
    scene.nothing_was_said();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_map_file_that_can_mean_nothing_is_refused_before_anything() {
    let scene = Scene::of(&[secret("app/db", &[HOST])]).await;
    for (map, words) in [
        ("[value.\"a\"]\n\"host\" = { \"a\" = \"b\" }\n", "a JSON pointer begins with /"),
        ("[value.\"a\"]\n\"/x~2\" = { \"a\" = \"b\" }\n", "~ is written ~0"),
        ("[value.\"a\"]\n\"/x\" = {}\n", "the text to replace is missing"),
        ("[value.\"a\"]\n\"/x\" = { \"\" = \"b\" }\n", "the text to replace is missing"),
        ("[value.\"a\"]\n\"/x\" = \"b\"\n", "map.toml"),
        ("[value]\n\"/x\" = { \"a\" = \"b\" }\n", "map.toml"),
        ("[values.\"a\"]\n\"/x\" = { \"a\" = \"b\" }\n", "map.toml"),
        ("[network]\n\"vpce-1\" = 7\n", "map.toml"),
    ] {
        scene.map(map);
        scene.restore("--map map.toml").expect(2).says(words);
    }
    assert_eq!(scene.written(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_for_networks_of_the_lost_region_is_not_usable_until_it_is_mapped_or_accepted() {
    let from = |address: &str| {
        let condition = json!({ "IpAddress": { "aws:SourceIp": address } });
        json!({
            "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") }, "Resource": "*",
            "Action": "secretsmanager:GetSecretValue", "Condition": condition,
        })
    };
    let scene = Scene::of(&[
        with_policy("endpoint", &through("vpce-0old")),
        with_policy("address", &from("203.0.113.0/24")),
        with_policy("everywhere", &from("0.0.0.0/0")),
    ])
    .await;
    let said = scene.restore("--plan").expect(3);
    assert!(said.out.contains("NOT USABLE: endpoint: ") && said.out.contains("vpce-0old"), "{}", said.out);
    assert!(said.out.contains("NOT USABLE: address: ") && !said.out.contains("NOT USABLE: everywhere"), "{}", said.out);
    // A map that names the one leaves the other; and a network that stays is named as itself.
    scene.map("[network]\n\"vpce-0old\" = \"vpce-0new\"\n\"203.0.113.0\" = \"198.51.100.0\"\n");
    let said = scene.restore("--map map.toml --plan").expect(3);
    assert!(!said.out.contains("NOT USABLE: endpoint") && said.out.contains("NOT USABLE: address"), "{}", said.out);
    let accepted = scene.restore("--map map.toml --plan --accept-unusable").expect(0);
    assert!(accepted.out.contains("note: address: accepted: its policy opens"), "{}", accepted.out);
    scene.map("[network]\n\"vpce-0old\" = \"vpce-0new\"\n\"203.0.113.0/24\" = \"203.0.113.0/24\"\n");
    let done = scene.restore("--map map.toml --json").expect(0).json();
    assert_eq!(done["verification"]["policies"], 3);
    let plan = scene.restore("--map map.toml --plan --json").expect(0).json();
    let policies: Vec<&str> =
        plan["secrets"].as_array().unwrap().iter().filter_map(|secret| secret["desired"]["policy"].as_str()).collect();
    assert!(policies.iter().any(|policy| policy.contains("vpce-0new")), "{policies:?}");
    assert!(!policies.iter().any(|policy| policy.contains("vpce-0old")), "{policies:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_accounts_and_the_default_key_do_not_go_together() {
    let statement = json!({
        "Effect": "Allow", "Principal": { "AWS": ["arn:aws:iam::222222222222:role/app", "333333333333"] },
        "Action": "secretsmanager:GetSecretValue", "Resource": "*",
    });
    let mut shared = with_policy("shared", &statement);
    let key = "arn:aws:kms:eu-central-1:111111111111:key/11111111-2222-3333-4444-555555555555";
    shared["KmsKeyId"] = key.into();
    let scene = Scene::of(&[shared]).await;
    let said = scene.restore("--plan").expect(3);
    assert!(said.out.contains("lets other accounts in (222222222222, 333333333333)"), "{}", said.out);
    scene.restore("").expect(3);
    assert_eq!(scene.written(), 2, "it is restored, and said to be of no use");
    scene.restore("").expect(3);
    scene.restore("--accept-unusable").expect(0);
    let mapped = format!("--kms-map {key}=alias/west --plan --name-prefix again/");
    let said = scene.restore(&mapped);
    assert!(!said.out.contains("NOT USABLE"), "{}\n{}", said.out, said.err);
}

impl Scene {
    fn drift(&self, more: &str) -> Ran {
        self.desk.run(&format!("drift --to aws:{TARGET} {more}"))
    }

    /// What the JSON of a comparison says of one secret.
    fn lacks(&self, more: &str, name: &str) -> Vec<String> {
        let shown = self.drift(&format!("{more} --json")).json();
        let lacks = shown["drift"]["lacks"].as_array().unwrap().clone();
        let of = lacks.iter().filter(|lack| lack["name"] == name);
        of.map(|lack| format!("{}: {}", lack["what"].as_str().unwrap(), lack["detail"].as_str().unwrap())).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standby_region_is_compared_before_and_after_a_restore() {
    let scene = Scene::of(&[secret("app/db", &["marker-1", "marker-2"]), secret("app/web", &["marker"])]).await;
    // With the index key alone.
    let before = scene.drift("--json").expect(3).json();
    assert_eq!((&before["in_step"], &before["drift"]["compared"]), (&false.into(), &2.into()));
    assert_eq!(before["drift"]["counts"], json!({ "missing": 2 }));
    assert_eq!(scene.written(), 0, "it writes nothing");
    let status = scene.desk.run("status").expect(3);
    assert!(status.out.contains("drift: aws:eu-west-1 lacks 2 of 2 secrets"), "{}", status.out);
    scene.restore("").expect(0);
    let after = scene.drift("--json").expect(0).json();
    assert_eq!((&after["in_step"], &after["drift"]["in_step"]), (&true.into(), &2.into()));
    assert_eq!(after["drift"]["values"], 0, "no value was opened");
    let status = scene.desk.run("status").expect(0);
    assert!(status.out.contains("2 of 2 secrets of aws") && status.out.contains("in step"), "{}", status.out);
    let opened = scene.drift(&format!("{SHEETS} --json")).expect(0).json();
    assert_eq!(opened["drift"]["values"], 3);
    scene.nothing_was_said();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_a_fail_over_would_miss_is_found() {
    let mut full = secret("full", &["marker-1", "marker-2"]);
    full["Description"] = "what it is".into();
    full["Tags"] = json!([{ "Key": "team", "Value": "core" }]);
    full["ResourcePolicy"] = json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": format!("arn:aws:iam::{ACCOUNT}:root") },
        "Action": "secretsmanager:*", "Resource": "*" }] })
    .to_string()
    .into();
    let scene = Scene::of(&[full.clone(), secret("other", &["marker"])]).await;
    scene.restore("").expect(0);
    scene.drift("").expect(0);
    let plant = |change: &dyn Fn(&mut Json)| {
        let mut changed = full.clone();
        change(&mut changed);
        scene.sandbox.control().seed_raw(ACCOUNT, TARGET, &changed).unwrap();
    };
    let changes: [(&str, fn(&mut Json)); 9] = [
        ("different: another secret with this name exists: description", |it| it["Description"] = "else".into()),
        ("different: another secret with this name exists: tags", |it| it["Tags"][0]["Value"] = "x".into()),
        ("different: another secret with this name exists: resource policy", |it| {
            it["ResourcePolicy"] = "{\"Statement\":[]}".into();
        }),
        ("incomplete: policy", |it| drop(it.as_object_mut().unwrap().remove("ResourcePolicy"))),
        ("different: another secret with this name exists: AWSCURRENT on another version", |it| {
            it["Versions"][0]["VersionStages"] = json!(["AWSCURRENT"]);
            it["Versions"][1]["VersionStages"] = json!(["AWSPREVIOUS"]);
        }),
        ("incomplete: versions", |it| drop(it["Versions"].as_array_mut().unwrap().remove(0))),
        ("different: another secret with this name exists: versions that are not in the snapshot (1)", |it| {
            it["Versions"].as_array_mut().unwrap().push(json!({ "VersionId": id(9), "SecretString": "marker" }));
        }),
        ("key: expected the default key, found alias/else", |it| it["KmsKeyId"] = "alias/else".into()),
        ("different: a secret with this name is scheduled for deletion in the target", |it| {
            it["DeletedDate"] = 1_900_000_000.into();
        }),
    ];
    for (says, change) in changes {
        plant(&change);
        let found = scene.lacks("", "full");
        assert!(found.iter().any(|it| it.starts_with(says)), "{says}: {found:?}");
        scene.drift("").expect(3);
    }
    plant(&|_| {});
    scene.drift("").expect(0);
    // A value under the same id shows with sheets alone, and then it is named.
    scene.sandbox.control().corrupt_value(ACCOUNT, TARGET, "full", None).unwrap();
    scene.drift("").expect(0);
    let found = scene.lacks(SHEETS, "full");
    assert_eq!(found, [format!("value: version {}: the bytes differ from the snapshot", id(1))]);
    scene.drift(SHEETS).expect(3);
    scene.nothing_was_said();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_half_or_unreachable_is_in_step_and_only_a_whole_comparison_is_remembered() {
    let scene = Scene::of(&[]).await;
    scene.desk.run("snapshot --accept-drop 111111111111:eu-central-1=0");
    let empty = scene.drift("").expect(3);
    assert!(empty.out.contains("nothing was compared"), "{}", empty.out);
    let scene = Scene::of(&[secret("a", &["marker"]), secret("b", &["marker"])]).await;
    scene.restore("--include a").expect(0);
    scene.drift("--include a").expect(0);
    let status = scene.desk.run("status --json").expect(0).json();
    assert_eq!(status["facts"]["drifts"], Json::Null, "a part says nothing about the whole: {status}");
    scene.drift("--include nothing").expect(2);
    scene.drift("--account 222222222222").expect(4);
    scene.desk.run(&format!("drift --to aws:{SOURCE}")).expect(4);
    scene.desk.run("drift --to aws:nowhere-1").expect(2);
    scene.desk.run("drift").expect(2);
    scene.sandbox.control().set_region_down(TARGET, true);
    scene.drift("").expect(1);
    scene.sandbox.control().set_region_down(TARGET, false);
    let status = scene.desk.run("status --json").expect(0).json();
    assert_eq!(status["facts"]["drifts"], Json::Null);
    scene.drift("").expect(3);
    // Only what this host found counts, until it is told to forget it; the region is not asked for that.
    scene.desk.run("status").expect(3);
    scene.sandbox.control().set_region_down(TARGET, true);
    let forgotten = scene.drift("--forget --json").expect(0).json();
    assert_eq!(forgotten["forgotten"], 1);
    scene.desk.run("status").expect(0);
    scene.nothing_was_said();
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_in_step_and_maps_and_policies_count() {
    let scene = Scene::of(&[secret("app/db", &[HOST]), with_policy("endpoint", &through("vpce-0old"))]).await;
    let mut replica = secret("app/db", &[HOST]);
    replica["PrimaryRegion"] = SOURCE.into();
    scene.sandbox.control().seed_raw(ACCOUNT, TARGET, &replica).unwrap();
    let found = scene.drift("--json").expect(3).json();
    assert_eq!((&found["drift"]["in_step"], &found["drift"]["replicas"]), (&1.into(), &1.into()), "{found}");
    assert!(
        scene.lacks("", "endpoint").iter().any(|lack| lack.starts_with("unusable: ")),
        "a policy that lets nobody in"
    );
    scene.map("name_prefix = \"dr/\"\n[network]\n\"vpce-0old\" = \"vpce-0new\"\n");
    scene.restore("--map map.toml").expect(0);
    scene.drift("--map map.toml").expect(0);
    scene.drift("").expect(3);
}
