//! `lifeboat alarms`: read by tools that nobody here wrote, and held against events of the trail.

use std::{collections::BTreeSet, path::Path, process::Command};

use lifeboat::provider::{Watched, aws::ops::alarms};
use serde_json::{Value as Json, json};

use crate::{
    command::Desk,
    filter_pattern::{matches, matches_rule},
    servers::{self, Moto},
};

const ROLE: &str = "arn:aws:iam::111111111111:role/api";
const BACKUP: &str = "arn:aws:iam::111111111111:role/lifeboat-backup";

fn watched() -> Watched {
    Watched {
        log_group: "aws-cloudtrail-logs".into(),
        critical: vec!["orrange-p2p/blockchain/*".into()],
        reads_per_hour: 20,
        readers: vec![ROLE.into()],
        backup_role: Some(BACKUP.into()),
        backup_hours: vec![2, 3],
        vpc_endpoint: true,
        ..Watched::default()
    }
}

/// A call by a role through an endpoint of the VPC, as CloudTrail writes it down.
fn call(event: &str, role: &str, secret: &str) -> Json {
    let name = role.rsplit('/').next().unwrap();
    json!({
        "eventVersion": "1.11",
        "userIdentity": {
            "type": "AssumedRole",
            "principalId": "AROAEXAMPLE:session",
            "arn": format!("arn:aws:sts::111111111111:assumed-role/{name}/session"),
            "accountId": "111111111111",
            "sessionContext": {
                "sessionIssuer": { "type": "Role", "arn": role, "accountId": "111111111111", "userName": name },
                "attributes": { "creationDate": "2026-11-01T02:00:00Z", "mfaAuthenticated": "false" },
            },
        },
        "eventTime": "2026-11-01T02:10:00Z",
        "eventSource": "secretsmanager.amazonaws.com",
        "eventName": event,
        "awsRegion": "eu-central-1",
        "sourceIPAddress": "10.0.0.7",
        "userAgent": "aws-sdk-js/3",
        "requestParameters": { "secretId": secret },
        "responseElements": null,
        "readOnly": true,
        "eventType": "AwsApiCall",
        "managementEvent": true,
        "recipientAccountId": "111111111111",
        "vpcEndpointId": "vpce-1",
    })
}

/// The same with something else in it; `null` takes a field away.
fn with(mut event: Json, fields: &[(&str, Json)]) -> Json {
    for (path, value) in fields {
        *event.pointer_mut(path).unwrap_or_else(|| panic!("{path} is there")) = value.clone();
    }
    event
}

fn failed(event: Json, code: &str, message: &str) -> Json {
    let mut event = event;
    event["errorCode"] = json!(code);
    event["errorMessage"] = json!(message);
    event
}

/// What each event sets off, and nothing else.
#[test]
fn events_of_the_trail_set_off_their_alarms_and_no_other() {
    let filters = alarms::filters(&watched()).unwrap();
    let fired = |event: &Json| -> BTreeSet<String> {
        filters.iter().filter(|(_, pattern)| matches(pattern, event)).map(|(name, _)| name.clone()).collect()
    };
    let plain = call("GetSecretValue", ROLE, "orrange-p2p/database/production");
    let arn = "arn:aws:secretsmanager:eu-central-1:111111111111:secret:orrange-p2p/blockchain/hot-AbCdEf";
    let user = json!({ "type": "IAMUser", "arn": "arn:aws:iam::111111111111:user/eve", "userName": "eve",
        "sessionContext": { "attributes": { "mfaAuthenticated": "false" } } });
    let root = json!({ "type": "Root", "arn": "arn:aws:iam::111111111111:root" });
    let backup = call("GetSecretValue", BACKUP, "app/db");
    let service = json!({
        "eventVersion": "1.08",
        "userIdentity": { "accountId": "111111111111", "invokedBy": "secretsmanager.amazonaws.com" },
        "eventTime": "2026-11-01T04:00:00Z", "eventSource": "secretsmanager.amazonaws.com",
        "eventName": "RotationFailed", "eventType": "AwsServiceEvent", "requestParameters": null,
        "additionalEventData": { "SecretId": arn },
    });
    for (event, alarms) in [
        (plain.clone(), &["secrets-read"][..]),
        (call("GetSecretValue", ROLE, arn), &["critical-1-read", "secrets-read"]),
        (failed(plain.clone(), "AccessDeniedException", "User is not authorized"), &["secrets-refused"]),
        (
            failed(call("GetSecretValue", ROLE, arn), "ResourceNotFoundException", "can't find the specified secret"),
            &["critical-1-refused", "secrets-refused"],
        ),
        (
            failed(
                plain.clone(),
                "InvalidRequestException",
                "You can't perform this operation on the secret because it was marked for deletion.",
            ),
            &["doomed-read"],
        ),
        (
            with(plain.clone(), &[("/userIdentity", user)]),
            &["read-by-person", "read-by-stranger", "read-without-mfa", "secrets-read"],
        ),
        (with(plain.clone(), &[("/userIdentity", root)]), &["read-by-person", "read-by-stranger", "secrets-read"]),
        (call("GetSecretValue", "arn:aws:iam::999999999999:role/x", "a"), &["read-by-stranger", "secrets-read"]),
        (with(plain.clone(), &[("/vpcEndpointId", Json::Null)]), &["read-from-outside", "secrets-read"]),
        (call("BatchGetSecretValue", ROLE, "a"), &["secrets-read"]),
        (call("DeleteSecret", ROLE, "a"), &["deleted"]),
        (call("PutResourcePolicy", ROLE, "a"), &["policy-changed"]),
        (call("StopReplicationToReplica", ROLE, "a"), &["replica-lost"]),
        (service, &["rotation-failed"]),
        (backup.clone(), &["secrets-read"]),
        (call("DescribeSecret", BACKUP, "a"), &[]),
        (with(backup.clone(), &[("/eventTime", json!("2026-11-01T14:02:00Z"))]), &["backup-role-late", "secrets-read"]),
        (call("PutSecretValue", BACKUP, "a"), &["backup-role-writes"]),
        (
            failed(call("DeleteSecret", BACKUP, "a"), "AccessDeniedException", "no"),
            &["backup-role-refused", "backup-role-writes", "deleted", "secrets-refused"],
        ),
        (with(plain, &[("/eventSource", json!("s3.amazonaws.com"))]), &[]),
    ] {
        let expected: BTreeSet<String> = alarms.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(fired(&event), expected, "{event}");
    }
    // Every filter was set off by some event above but those that have no event of their own.
    assert_eq!(filters.len(), 16, "a new filter needs its event here: {filters:?}");
}

#[test]
fn rules_pass_on_what_the_service_sends_by_itself() {
    let rules = alarms::rules();
    let event = |kind: &str, name: &str| json!({ "source": "aws.secretsmanager", "detail-type": kind, "detail": { "eventName": name } });
    let fired = |event: &Json| -> Vec<&str> {
        rules.iter().filter(|(_, pattern)| matches_rule(pattern, event)).map(|(name, _)| &**name).collect()
    };
    let (api, service) = ("AWS API Call via CloudTrail", "AWS Service Event via CloudTrail");
    for (event, names) in [
        (event(service, "RotationFailed"), &["rotation-failed-event"][..]),
        (event(service, "TestRotationFailed"), &["rotation-failed-event"]),
        (event(service, "RotationSucceeded"), &[]),
        (event(api, "DeleteSecret"), &["secret-removed-event"]),
        (event(service, "EndSecretVersionDelete"), &["secret-removed-event"]),
        (event(api, "PutSecretValue"), &[]),
        (json!({ "source": "aws.s3", "detail-type": api, "detail": { "eventName": "DeleteSecret" } }), &[]),
    ] {
        assert_eq!(fired(&event), names, "{event}");
    }
}

/// A configuration that says everything, and the page in each format.
fn desk() -> Desk {
    let desk = Desk::offline("111111111111");
    desk.init();
    let config = desk.path("lifeboat.toml");
    let section = format!(
        "\n[alarms]\ncritical = [\"orrange-p2p/blockchain/*\"]\nreaders = [\"{ROLE}\"]\nbackup_role = \"{BACKUP}\"\n\
         backup_hours = [2, 3]\nvpc_endpoint = true\n"
    );
    let text = std::fs::read_to_string(&config).unwrap() + &section;
    std::fs::write(config, text).unwrap();
    desk
}

#[test]
fn the_template_passes_cfn_lint() {
    let desk = desk();
    for more in ["", " --topic arn:aws:sns:eu-central-1:111111111111:oncall"] {
        let page = desk.run(&format!("alarms{more}")).expect(0).out;
        let template: Json = serde_json::from_str(&page).unwrap();
        assert!(template["Resources"].as_object().unwrap().len() > 40, "{page}");
        std::fs::write(desk.path("alarms.json"), page).unwrap();
        let mut lint = desk.command(servers::program("cfn-lint"));
        // The log group is a name that somebody else made.
        lint.args(["--format", "parseable", "alarms.json"]);
        let ran = desk.finish(&mut lint);
        assert_eq!((ran.code, ran.out.trim()), (Some(0), ""), "{}", ran.err);
    }
}

#[test]
fn the_file_of_terraform_is_read_by_a_parser_of_its_language() {
    let desk = desk();
    let page = desk.run("alarms --format terraform --critical 'app/${x}'").code;
    assert_eq!(page, Some(2), "a brace is in no name");
    let page = desk.run("alarms --format terraform").expect(0).out;
    std::fs::write(desk.path("alarms.tf"), page).unwrap();
    let script = "import hcl2, json, sys\nwith open('alarms.tf') as f: print(json.dumps(hcl2.load(f)))";
    let mut read = desk.command(servers::program("python"));
    let read: Json = serde_json::from_str(&desk.finish(read.args(["-c", script])).expect(0).out).unwrap();
    let of =
        |kind: &str| read["resource"].as_array().unwrap().iter().filter(|it| it.to_string().contains(kind)).count();
    let filters = alarms::filters(&watched()).unwrap();
    assert_eq!(of("aws_cloudwatch_log_metric_filter"), filters.len());
    let text = read.to_string();
    for (name, pattern) in filters {
        let pattern = pattern.replace('"', "\\\\\\\"");
        assert!(text.contains(&pattern) || text.contains(&pattern.replace("\\\\\\\"", "\\\"")), "{name}: {pattern}");
    }
}

/// The script makes on a server that nobody here wrote what the template says, twice as once.
#[test]
fn the_script_runs_on_moto() {
    let moto = Moto::start();
    let desk = desk();
    let script = desk.run("alarms --format cli").expect(0).out;
    // It knows no saved queries.
    let (before, queries) = script.split_once("aws logs describe-query-definitions").expect("queries come last");
    assert_eq!(queries.matches("put-query-definition").count(), 2);
    std::fs::write(desk.path("alarms.sh"), before).unwrap();
    let bin = Path::new(&servers::program("aws")).parent().unwrap().display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap());
    let aws = |program: &str, words: &[&str]| {
        let mut command = Command::new(program);
        command.args(words).current_dir(desk.path("")).env("PATH", &path);
        command.env("AWS_ENDPOINT_URL", &moto.endpoint).env("AWS_DEFAULT_REGION", "eu-central-1");
        command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b").env("AWS_PAGER", "");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{program} {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    aws("aws", &["logs", "create-log-group", "--log-group-name", "aws-cloudtrail-logs"]);
    let filters = alarms::filters(&watched()).unwrap();
    for _ in 0..2 {
        aws("sh", &["alarms.sh"]);
        let made: Json = serde_json::from_str(&aws(
            "aws",
            &["logs", "describe-metric-filters", "--log-group-name", "aws-cloudtrail-logs", "--output", "json"],
        ))
        .unwrap();
        let made: BTreeSet<(String, String)> = made["metricFilters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                let text = |field: &str| it[field].as_str().unwrap().to_owned();
                (text("filterName").replacen("lifeboat-", "", 1), text("filterPattern"))
            })
            .collect();
        assert_eq!(made, filters.iter().cloned().collect());
        let alarms: Json =
            serde_json::from_str(&aws("aws", &["cloudwatch", "describe-alarms", "--output", "json"])).unwrap();
        assert_eq!(alarms["MetricAlarms"].as_array().unwrap().len(), filters.len() + 6, "{alarms}");
    }
}

/// The figures arrive by the vendor's own command on a server that nobody here wrote.
#[test]
fn the_figures_are_taken_by_put_metric_data() {
    let moto = Moto::start();
    let desk = desk();
    let data = desk.run("status --metric-data").expect(0).out;
    std::fs::write(desk.path("data.json"), &data).unwrap();
    let aws = |words: &str| {
        let mut command = desk.command(servers::program("aws"));
        command.args(words.split_whitespace()).env("PATH", std::env::var("PATH").unwrap());
        command.env("AWS_ENDPOINT_URL", &moto.endpoint).env("AWS_DEFAULT_REGION", "eu-central-1").env("AWS_PAGER", "");
        desk.finish(command.env("AWS_ACCESS_KEY_ID", "a").env("AWS_SECRET_ACCESS_KEY", "b")).expect(0).out
    };
    aws("cloudwatch put-metric-data --cli-input-json file://data.json");
    let listed: Json =
        serde_json::from_str(&aws("cloudwatch list-metrics --namespace Lifeboat --output json")).unwrap();
    let names = |metrics: &Json| -> BTreeSet<String> {
        metrics.as_array().unwrap().iter().map(|it| it["MetricName"].as_str().unwrap().to_owned()).collect()
    };
    let said: Json = serde_json::from_str(&data).unwrap();
    assert!(names(&said["MetricData"]).len() >= 8);
    assert_eq!(names(&listed["Metrics"]), names(&said["MetricData"]));
}

/// What EMF says is what its specification wants, and carries no name of a secret.
#[test]
fn status_says_its_figures_in_the_embedded_metric_format() {
    let desk = desk();
    let ran = desk.run("status --emf");
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert_eq!(lines.len(), 1, "{}", ran.out);
    let line: Json = serde_json::from_str(lines[0]).unwrap();
    let about = &line["_aws"];
    assert!(about["Timestamp"].as_i64().unwrap() > 1_700_000_000_000);
    let metrics = about["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    assert!((8..=100).contains(&metrics.len()));
    for metric in metrics {
        let name = metric["Name"].as_str().unwrap();
        assert!(line[name].is_number(), "{name} of {line}");
    }
    let dimension = about["CloudWatchMetrics"][0]["Dimensions"][0][0].as_str().unwrap();
    assert!(line[dimension].is_string());
    // Every alarm on health counts something that is said.
    let page = desk.run("alarms").expect(0).out;
    let template: Json = serde_json::from_str(&page).unwrap();
    let said: BTreeSet<&str> = metrics.iter().map(|metric| metric["Name"].as_str().unwrap()).collect();
    let mut of_health = 0;
    for resource in template["Resources"].as_object().unwrap().values() {
        let properties = &resource["Properties"];
        if properties["Namespace"] == "Lifeboat" {
            of_health += 1;
            assert!(said.contains(properties["MetricName"].as_str().unwrap()), "{properties}");
            assert_eq!(properties["Dimensions"][0]["Value"], line[dimension]);
        }
    }
    assert_eq!(of_health, 6);
}
