//! Who may read a vault: captured with each secret, named by the plan, never granted.
#![cfg(feature = "azure")]

use lifeboat::emulator::{AzureFault, AzureFaultKind, FaultWhen};
use serde_json::{Value as Json, json};

use crate::{
    azure_face::World,
    command::{Desk, PEOPLE, Ran, SHEETS, binary},
};

struct Scene {
    world: World,
    desk: Desk,
}

impl Scene {
    /// A vault with two secrets and these rights: one above it, one at it, one at each secret.
    async fn prepared() -> Self {
        let (world, desk) = (World::start().await, Desk::offline("111111111111"));
        let control = world.sandbox.control();
        for name in ["app-db", "other"] {
            control
                .request("prod", "PUT", &format!("secrets/{name}"), &json!({ "value": "marker of a value" }))
                .unwrap();
        }
        control.grant("prod", "/subscriptions/00000000-0000-4000-8000-000000000001", "owner-1", "Owner");
        control.grant("prod", "", "reader-1", "Key Vault Secrets User");
        control.grant("prod", "/secrets/App-DB", "app-1", "Key Vault Secrets User");
        control.grant("prod", "/secrets/other", "other-1", "Key Vault Secrets Officer");
        let scene = Self { world, desk };
        let source = scene.world.sandbox.source("prod");
        scene.run(&format!("init --repo repository {PEOPLE} --sheets sheets --yes --source {source}")).expect(0);
        scene
    }

    fn run(&self, words: &str) -> Ran {
        let (sandbox, mut command) = (&self.world.sandbox, self.desk.command(binary()));
        command.env("AZURE_AUTHORITY_HOST", sandbox.authority()).env("AWS_CA_BUNDLE", self.world.certificate());
        command.env("AZURE_CLIENT_ID", "backup").env("AZURE_CLIENT_SECRET", sandbox.client_secret());
        self.desk.finish(command.args(words.split_whitespace()))
    }

    fn name_resource(&self, resource: &str) {
        let path = self.desk.path("lifeboat.toml");
        let config = std::fs::read_to_string(&path).unwrap();
        let kept: Vec<&str> = config.lines().filter(|line| !line.starts_with("resource = ")).collect();
        let without = kept.join("\n") + "\n";
        let url = without.lines().find(|line| line.starts_with("url = \"azure:")).unwrap().to_owned();
        std::fs::write(path, without.replacen(&url, &format!("{url}\nresource = \"{resource}\""), 1)).unwrap();
    }

    /// The rights that the newest snapshot has of a secret: whom, and as what.
    fn kept(&self, name: &str) -> Vec<(String, String)> {
        let shown = self.run("show --json").expect(0).json();
        let secrets = shown["records"].as_array().unwrap();
        let record = secrets.iter().find(|it| it["secret"]["name"] == name).unwrap();
        let policy: Json = serde_json::from_str(record["secret"]["facets"]["policy"].as_str().unwrap()).unwrap();
        let by_role = policy["roleAssignments"].as_array().unwrap().iter();
        let text = |it: &Json, key: &str| it[key].as_str().unwrap().to_owned();
        let mut kept: Vec<_> = by_role.map(|it| (text(it, "principalId"), text(it, "role"))).collect();
        let policies = policy["accessPolicies"].as_array().unwrap().iter();
        kept.extend(policies.map(|it| (text(it, "objectId"), it["permissions"]["secrets"].to_string())));
        kept.sort();
        kept
    }
}

fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
    all.iter().map(|(who, what)| ((*who).to_owned(), (*what).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn microsofts_clients_read_the_same_rights() {
    let scene = Scene::prepared().await;
    let told = scene.world.python("azure_rights.py", "prod").await;
    let id = scene.world.sandbox.resource("prod");
    assert!(id.ends_with(told["id"].as_str().unwrap()) && told["by_role"] == true, "{told}");
    assert_eq!(told["uri"], format!("{}/", scene.world.sandbox.vault("prod")));
    let found = told["assignments"].as_array().unwrap();
    assert_eq!(found.len(), 4, "two pages: {told}");
    let is_there =
        |who: &str, role: &str| found.iter().any(|it| it[1] == who && it[2] == "ServicePrincipal" && it[3] == role);
    assert!(is_there("owner-1", "Owner") && is_there("other-1", "Key Vault Secrets Officer"), "{told}");
    let policy =
        json!({ "tenantId": scene.world.sandbox.tenant(), "objectId": "app-2", "permissions": { "secrets": ["get"] } });
    scene.world.sandbox.control().set_access_policies("prod", vec![policy]);
    let told = scene.world.python("azure_rights.py", "prod").await;
    assert_eq!((&told["policies"], &told["by_role"]), (&json!([["app-2", ["get"]]]), &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_are_captured_with_each_secret_and_named_by_the_plan() {
    let scene = Scene::prepared().await;
    scene.run("snapshot").expect(0);
    let shown = scene.run("show --json").expect(0).json();
    assert!(shown["records"][0]["secret"]["facets"]["policy"].is_null(), "without `resource` nobody is asked: {shown}");

    scene.name_resource(&scene.world.sandbox.resource("prod"));
    // What is read has its rights.
    let put = |name: &str| {
        let body = json!({ "value": "marker of another value" });
        scene.world.sandbox.control().request("prod", "PUT", &format!("secrets/{name}"), &body).unwrap();
    };
    put("app-db");
    put("other");
    scene.run("snapshot").expect(0);
    let (everyone, user) = ([("owner-1", "Owner")], "Key Vault Secrets User");
    assert_eq!(scene.kept("app-db"), pairs(&[("app-1", user), everyone[0], ("reader-1", user)]));
    assert_eq!(
        scene.kept("other"),
        pairs(&[("other-1", "Key Vault Secrets Officer"), everyone[0], ("reader-1", user)])
    );

    assert!(scene.run("doctor").out.contains("4 role assignments, 0 access policies"));

    let to = scene.world.sandbox.source("spare");
    let plan = scene.run(&format!("restore --to {to} --plan {SHEETS}")).expect(3);
    for words in [
        "a restore grants none",
        "ServicePrincipal app-1 as Key Vault Secrets User",
        "ServicePrincipal owner-1 as Owner",
    ] {
        assert!(plan.out.contains(words), "{words}: {}", plan.out);
    }
    scene.run(&format!("restore --to {to} --yes {SHEETS}")).expect(3);
    let granted = scene.world.sandbox.control().calls();
    assert!(!granted.keys().any(|call| call.ends_with("rights") && !call.starts_with("GET")), "{granted:?}");

    // A manager that is busy is asked again.
    let fault = AzureFault {
        request: Some("GET /subscriptions".into()),
        when: FaultWhen::Nth(2),
        kind: AzureFaultKind::Throttled(1),
    };
    scene.world.sandbox.control().add_fault(fault);

    // Access policies, where the vault has these.
    let policy = json!({ "objectId": "app-2", "permissions": { "secrets": ["get", "list"], "keys": ["get"] } });
    scene.world.sandbox.control().set_access_policies("prod", vec![policy]);
    put("app-db");
    scene.run("snapshot").expect(0);
    assert!(scene.kept("app-db").contains(&("app-2".into(), "[\"get\",\"list\"]".into())));
    let printed = String::from_utf8_lossy(&scene.desk.printed()).into_owned();
    assert!(!printed.contains("marker of") && !printed.contains(scene.world.sandbox.client_secret()));
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_that_cannot_be_read_make_a_snapshot_incomplete_and_a_wrong_resource_none() {
    let scene = Scene::prepared().await;
    let sandbox = &scene.world.sandbox;
    for (resource, words) in [
        ("prod".to_owned(), "`resource`: it needs the address of the Resource Manager in front"),
        (sandbox.resource("prod").replace("/vaults/", "/managedHSMs/"), "Microsoft.KeyVault/vaults/NAME"),
    ] {
        scene.name_resource(&resource);
        scene.run("snapshot").expect(2).says(words);
    }
    // Another vault than that of the source.
    sandbox.control().request("spare", "PUT", "secrets/x", &json!({ "value": "x" })).unwrap();
    scene.name_resource(&sandbox.resource("spare"));
    scene.run("snapshot").expect(2).says("is the vault https://spare.vault.localhost");

    let resource = sandbox.resource("prod");
    let id = &resource[resource.find("/subscriptions").unwrap()..];
    let (subscription, of) = (&id[..id.find("/resourceGroups").unwrap()], "providers/Microsoft.Authorization");
    for (path, words) in [
        (id.to_owned(), "vaults/get"),
        (format!("{id}/{of}/roleAssignments"), "roleAssignments/list"),
        (format!("{subscription}/{of}/roleDefinitions"), "roleDefinitions/get"),
    ] {
        scene.name_resource(&resource);
        let (request, kind) = (Some(format!("GET {path}")), AzureFaultKind::Denied);
        let fault = AzureFault { request, when: FaultWhen::Always, kind };
        sandbox.control().add_fault(fault);
        let doctor = scene.run("doctor");
        assert!(doctor.code != Some(0) && doctor.out.contains(words), "{} {}", doctor.out, doctor.err);
        for name in ["app-db", "other"] {
            let body = json!({ "value": format!("marker of {words}") });
            sandbox.control().request("prod", "PUT", &format!("secrets/{name}"), &body).unwrap();
        }
        let ran = scene.run("snapshot").expect(3);
        assert!(ran.err.contains(words) || ran.out.contains(words), "{words}: {} {}", ran.out, ran.err);
        sandbox.control().clear_faults();
    }
    // Values are there all the same.
    let shown = scene.run("show --json").expect(3).json();
    assert_eq!(shown["manifest"]["counts"]["values_unreadable"], 0, "{shown}");
    assert_eq!(shown["manifest"]["counts"]["versions"], 8);
}

#[test]
fn a_resource_is_for_sources_that_have_one() {
    let desk = Desk::offline("111111111111");
    let config =
        "version = 1\n[repository]\nurl = \"./repository\"\n[source]\nurl = \"aws:eu-central-1\"\nresource = \"/x\"\n";
    std::fs::write(desk.path("lifeboat.toml"), config).unwrap();
    let ran = desk.run("snapshot").expect(2);
    assert!(ran.err.contains("resource is for sources whose rights are kept elsewhere"), "{}", ran.err);
}
