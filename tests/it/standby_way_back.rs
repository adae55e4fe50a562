//! After a fail-over: the tools that take over what was restored, and the way back to the first region.

use std::process::Command;

use lifeboat::emulator::{Sandbox, SandboxOptions};
use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, Ran, SHEETS},
    servers::program,
};

const ACCOUNT: &str = "111111111111";
const FIRST: &str = "eu-central-1";
const STANDBY: &str = "eu-west-1";

/// Runs Python of the tests' own environment in the desk's folder, and reads what it prints as JSON.
fn python(desk: &Desk, script: &str) -> Json {
    let mut command = Command::new(program("python"));
    let output = command.args(["-c", script]).current_dir(desk.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

async fn backed_up(names: &[&str]) -> (Sandbox, Desk) {
    let sandbox = Sandbox::start(SandboxOptions::default()).await.unwrap();
    for name in names {
        sandbox.control().put(ACCOUNT, FIRST, name, "marker").unwrap();
    }
    let desk = Desk::new(&sandbox.endpoint(), ACCOUNT);
    desk.init();
    desk.run("snapshot").expect(0);
    (sandbox, desk)
}

fn written(sandbox: &Sandbox, region: &str) -> usize {
    sandbox.control().writes().iter().filter(|call| call.region == region).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn import_blocks_are_what_the_tools_read() {
    let names = ["app/db", "app-db", "app_db", "1/+=.@-!", "plain"];
    let (_sandbox, desk) = backed_up(&names).await;
    let restore = format!("restore --to aws:{STANDBY} --yes --json {SHEETS} --import-blocks");
    let done = desk.run(&format!("{restore} terraform imports.tf")).expect(0).json();
    let mut arns: Vec<String> =
        done["verification"]["arns"].as_array().unwrap().iter().map(|it| it["new"].as_str().unwrap().into()).collect();
    arns.sort();
    assert_eq!(arns.len(), names.len());
    let read = python(&desk, "import hcl2, json\nwith open('imports.tf') as f: print(json.dumps(hcl2.load(f)))");
    let blocks = read["import"].as_array().unwrap();
    let plain = |text: &Json| text.as_str().unwrap().trim_matches('"').to_owned();
    let mut ids: Vec<String> = blocks.iter().map(|block| plain(&block["id"])).collect();
    ids.sort();
    assert_eq!(ids, arns);
    let mut to: Vec<String> = blocks.iter().map(|block| plain(&block["to"])).collect();
    assert!(to.iter().all(|to| to.contains("aws_secretsmanager_secret.")), "{to:?}");
    to.sort();
    to.dedup();
    assert_eq!(to.len(), names.len(), "no two are one");

    desk.run(&format!("{restore} cloudformation imports.json")).expect(0);
    let resources: Json = serde_json::from_slice(&std::fs::read(desk.path("imports.json")).unwrap()).unwrap();
    let mut ids: Vec<&str> =
        resources.as_array().unwrap().iter().map(|it| it["ResourceIdentifier"]["Id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    assert_eq!(ids, arns);
    // As AWS's own client judges the request, and the identifier that the type's schema names.
    let script = "import botocore.session, botocore.validate, json\n\
        model = botocore.session.get_session().get_service_model('cloudformation')\n\
        shape = model.operation_model('CreateChangeSet').input_shape\n\
        request = {'StackName': 's', 'ChangeSetName': 'c', 'ResourcesToImport': json.load(open('imports.json'))}\n\
        print(json.dumps(botocore.validate.ParamValidator().validate(request, shape).generate_report()))";
    assert_eq!(python(&desk, script), "");
    for file in ["imports.tf", "imports.json"] {
        assert!(!std::fs::read_to_string(desk.path(file)).unwrap().contains("marker"), "{file} holds no value");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn import_blocks_that_cannot_be_written_are_refused_before_anything() {
    let (sandbox, desk) = backed_up(&["app/db"]).await;
    let restore = |to: &str, more: &str| desk.run(&format!("restore --to {to} --yes {SHEETS} {more}"));
    let aws = format!("aws:{STANDBY}");
    restore(&aws, "--import-blocks pulumi x").expect(2).says("terraform or cloudformation");
    restore(&aws, "--import-blocks terraform").expect(2);
    restore("env:files", "--import-blocks terraform x.tf").expect(2).says("no import blocks");
    assert_eq!(written(&sandbox, STANDBY), 0);
    // A plan writes no such file.
    restore(&aws, "--plan --import-blocks terraform x.tf").expect(0);
    assert!(!desk.path("x.tf").exists() && !desk.path("x").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_standby_place_may_be_of_another_kind() {
    let (_sandbox, desk) = backed_up(&["db", "web"]).await;
    std::fs::create_dir(desk.path("files")).unwrap();
    let drift = || desk.run("drift --to env:files --json");
    let before = drift().expect(3).json();
    assert_eq!((&before["drift"]["counts"]["missing"], &before["drift"]["compared"]), (&2.into(), &2.into()));
    assert_eq!(std::fs::read_dir(desk.path("files")).unwrap().count(), 0, "it writes nothing");
    desk.run(&format!("restore --to env:files --yes {SHEETS}"));
    let after = drift().json();
    assert_eq!(after["drift"]["counts"].get("missing"), None, "{after}");
    std::fs::write(desk.path("files/db"), "else").unwrap();
    let changed = drift().expect(3).json();
    let of_db = changed["drift"]["lacks"].as_array().unwrap().iter().filter(|lack| lack["name"] == "db").count();
    assert!(of_db > 0, "{changed}");
}

fn host(region: &str, name: &str) -> String {
    json!({ "host": format!("{name}.{region}.rds"), "password": "marker" }).to_string()
}

fn map(desk: &Desk, file: &str, from: &str, to: &str) {
    std::fs::write(desk.path(file), format!("[value.\"app/*\"]\n\"/host\" = {{ \"{from}\" = \"{to}\" }}\n")).unwrap();
}

/// The source of the next snapshots.
fn sources(desk: &Desk, regions: &[&str]) {
    let path = desk.path("lifeboat.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = config.split_once("[[source]]").or_else(|| config.split_once("[source]")).unwrap();
    let rest = rest.find("\n[trust]").map(|at| &rest[at..]).unwrap();
    let of = |region: &&str| format!("[[source]]\nurl = \"aws:{region}\"\naccount = \"{ACCOUNT}\"\n");
    let named = regions.iter().map(of).collect::<Vec<_>>().concat();
    std::fs::write(path, format!("{head}{named}{rest}")).unwrap();
}

/// The procedure of docs/standby.md, step by step.
#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_is_practised() {
    let (sandbox, desk) = backed_up(&["web"]).await;
    let control = sandbox.control();
    control.put(ACCOUNT, FIRST, "app/db", &host(FIRST, "one")).unwrap();
    desk.run("snapshot").expect(0);
    map(&desk, "out.toml", FIRST, STANDBY);
    map(&desk, "back.toml", STANDBY, FIRST);
    // The fail-over, and a life in the standby region.
    control.set_region_down(FIRST, true);
    desk.run(&format!("restore --to aws:{STANDBY} --map out.toml --yes {SHEETS}")).expect(0);
    control.put(ACCOUNT, STANDBY, "app/db", &host(STANDBY, "two")).unwrap();
    control.put(ACCOUNT, STANDBY, "app/new", &host(STANDBY, "new")).unwrap();
    // 1. Back up where the applications are now.
    sources(&desk, &[STANDBY]);
    desk.run("snapshot").expect(0);
    // 2. The first region is back: what does it lack?
    control.set_region_down(FIRST, false);
    let of_standby = format!("--source {ACCOUNT}:{STANDBY}");
    let back = format!("--to aws:{FIRST} {of_standby} --map back.toml");
    let lacks = desk.run(&format!("drift {back} --json")).expect(3).json();
    assert_eq!((&lacks["drift"]["compared"], &lacks["drift"]["in_step"]), (&3.into(), &1.into()), "{lacks}");
    assert_eq!(lacks["drift"]["counts"], json!({ "different": 1, "missing": 1 }));
    // 3. Restore into it. Which backup is meant is never guessed, and nothing is replaced unasked.
    let restore = |words: &str| -> Ran { desk.run(&format!("restore {words} --yes --json {SHEETS}")) };
    let before = written(&sandbox, FIRST);
    assert_ne!(restore(&format!("--to aws:{FIRST} --map back.toml --on-conflict replace")).code, Some(0));
    restore(&back).expect(4);
    // The repository is that of the source which the target is: only another source's backup may go there.
    restore(&format!("--to aws:{FIRST} --source {ACCOUNT}:{FIRST} --on-conflict replace")).expect(4);
    assert_eq!(written(&sandbox, FIRST), before, "nothing was written");
    let done = restore(&format!("{back} --on-conflict replace")).expect(0).json();
    assert_eq!(done["complete"], true);
    // 4. Nothing is lacking now, and with the sheets no value either.
    let found = desk.run(&format!("drift {back} {SHEETS} --json")).expect(0).json();
    assert_eq!(
        (&found["drift"]["in_step"], found["drift"]["values"].as_u64() >= Some(4)),
        (&3.into(), true),
        "{found}"
    );
    // Without the map the hosts would be those of the standby region, and that is found.
    desk.run(&format!("drift --to aws:{FIRST} {of_standby} {SHEETS}")).expect(3);
    // 5. The first region is the source again, and the standby region is compared as before.
    sources(&desk, &[FIRST]);
    desk.run("snapshot").expect(0);
    let again = format!("drift --to aws:{STANDBY} --source {ACCOUNT}:{FIRST} --map out.toml");
    desk.run(&format!("{again} {SHEETS}")).expect(0);
    let printed = String::from_utf8_lossy(&desk.printed()).into_owned();
    assert!(!printed.contains("marker"), "no value is ever said");
}
