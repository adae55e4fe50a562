//! The emergency on a server that evaluates IAM policies and that nobody here wrote: said, planned, rotated by a role of its own,
//! proven, and passed over by a restore.

use std::path::Path;

use serde_json::{Value as Json, json};

use crate::{
    command::{Desk, SHEETS},
    servers::{self, Ministack},
};

const REGION: &str = "eu-central-1";

/// What the estate is before, and what a person rotates by hand.
const SEED: &str = "import boto3, sys
c = boto3.client('secretsmanager', 'eu-central-1')
for name in ('orrange-p2p/api', 'orrange-p2p/mail'):
    c.create_secret(Name=name, SecretString='LEAKED-one')
c.put_secret_value(SecretId='orrange-p2p/api', SecretString='LEAKED-two')
";

/// The customer's own script, with the customer's own credentials: the role of the response may write no value.
const ROLL: &str = "import boto3, os
root = dict(aws_access_key_id='test', aws_secret_access_key='test', region_name=os.environ['SECRET_REGION'])
boto3.client('secretsmanager', **root).put_secret_value(SecretId=os.environ['SECRET_ID'], SecretString='new')
";

/// What the role of the response may not do.
const PRY: &str = "import boto3, botocore
c = boto3.client('secretsmanager', 'eu-central-1')
for call in (lambda: c.get_secret_value(SecretId='orrange-p2p/api'), lambda: c.delete_secret(SecretId='orrange-p2p/api')):
    try:
        call()
        print('allowed')
    except botocore.exceptions.ClientError as error:
        print(error.response['Error']['Code'])
";

#[test]
fn a_leak_is_answered_by_a_role_that_reads_no_value() {
    let folder = tempfile::tempdir().unwrap();
    let ministack = Ministack::start(folder.path());
    let desk = Desk::new(&ministack.endpoint, "test");
    let python = |key: (&str, &str), script: &str| {
        let mut command = desk.command(servers::program("python"));
        command.env("AWS_ACCESS_KEY_ID", key.0).env("AWS_SECRET_ACCESS_KEY", key.1);
        desk.finish(command.args(["-B", "-c", script])).expect(0).out
    };
    python(("test", "test"), SEED);
    desk.init();
    desk.run("snapshot").expect(0);
    let marked = desk.run("compromise mark --scope orrange-p2p/ --reason theft --yes --json").expect(0).json();
    assert_eq!((&marked["versions"], &marked["secrets"]), (&json!(3), &json!(2)), "{marked}");

    let roll = desk.path("roll.py");
    std::fs::write(&roll, ROLL).unwrap();
    let program = servers::program("python");
    let playbook = format!(
        "[[secret]]\nnames = \"orrange-p2p/\"\nrotate = [{:?}, {:?}]\nprobe = [\"/bin/sh\", \"-c\", \"test -e revoked\"]\n",
        program.to_str().unwrap(),
        roll.to_str().unwrap()
    );
    std::fs::write(desk.path("playbook.toml"), playbook).unwrap();
    let plan =
        "compromise plan --scope orrange-p2p/ --since 2026-01-01 --playbook playbook.toml --out plan.json --json";
    let plan = desk.run(plan).expect(0).json();
    assert_eq!(plan["secrets"].as_array().unwrap().len(), 2, "{plan}");

    // A role of its own, by the printed policy alone.
    std::fs::write(desk.path("policy"), desk.run("compromise run plan.json --policy").expect(0).out).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/iam_user.py");
    let mut command = desk.command(&program);
    command.arg("-B").arg(script).args([ministack.endpoint.as_str(), REGION, "responder=policy"]);
    let keys: Json = serde_json::from_str(&desk.finish(&mut command).expect(0).out).unwrap();
    let responder = (keys["responder"][0].as_str().unwrap(), keys["responder"][1].as_str().unwrap());
    assert_eq!(python(responder, PRY).matches("AccessDenied").count(), 2, "it reads no value and deletes nothing");

    let run = desk.run_with(responder.0, responder.1, "compromise run plan.json --yes --json").expect(0).json();
    let fates: Vec<&str> = run["secrets"].as_array().unwrap().iter().map(|it| it["fate"].as_str().unwrap()).collect();
    assert_eq!(fates, ["rotated", "rotated"], "{run}");
    let early = desk.run("compromise verify plan.json --json").expect(3).json();
    assert_eq!(early["passed"], false, "the old ones still work: {early}");
    std::fs::write(desk.path("revoked"), "").unwrap();
    let proof = desk.run_with(responder.0, responder.1, "compromise verify plan.json --json").expect(0).json();
    assert_eq!((&proof["passed"], proof["proof"]["secrets"].as_array().unwrap().len()), (&json!(true), 2), "{proof}");

    desk.run("snapshot").expect(0);
    let restore = desk.run(&format!("restore --to aws:eu-west-1 --yes --json {SHEETS}")).expect(3);
    assert!(restore.err.contains("3 versions are marked as leaked by"), "{}", restore.err);
    assert_eq!(desk.run(&format!("get orrange-p2p/api {SHEETS}")).expect(0).out, "new");
    desk.run(&format!("get orrange-p2p/api --version AWSPREVIOUS {SHEETS}")).expect(1).says("marked as leaked by");
    let there = "import boto3\nc = boto3.client('secretsmanager', 'eu-west-1')\nfor name in ('orrange-p2p/api', 'orrange-p2p/mail'):\n    \
                 print(c.get_secret_value(SecretId=name)['SecretString'])";
    assert_eq!(python(("test", "test"), there).split_whitespace().collect::<Vec<_>>(), ["new", "new"]);
    assert!(!String::from_utf8_lossy(&desk.printed()).contains("LEAKED-"));
}
