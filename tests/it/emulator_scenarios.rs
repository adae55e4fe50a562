//! The requests of the recorded scenarios: what was asked when the recorded answers were given.
//!
//! A text `@STEP.FIELD` in a request stands for a field of an earlier answer, by the name of its step.

use serde_json::{Value, json};

use crate::emulator_scenarios_labels as labels;

/// One request. With a record its answer is compared; otherwise it only has to happen.
pub struct Step {
    pub record: String,
    pub compared: bool,
    pub operation: &'static str,
    pub request: Value,
    /// Sent as it stands: no `ClientRequestToken` is added.
    pub raw: bool,
}

/// The function that the scenarios with rotation use, and the one that does not exist.
pub const FUNCTION: &str = "arn:aws:lambda:us-east-1:111111111111:function:rotate";
pub const MISSING_FUNCTION: &str = "arn:aws:lambda:us-east-1:111111111111:function:rotate_secret_invalid_lambda_arn";

/// The names of secrets in scenarios whose recordings have them normalised.
pub const NAMES: [&str; 3] = ["s-0a1b2c3d", "s-1b2c3d4e", "s-2c3d4e5f"];
pub const NAME: &str = NAMES[0];

pub fn step(record: &str, operation: &'static str, request: Value) -> Step {
    Step { record: record.into(), compared: true, operation, request, raw: false }
}

fn quiet(record: &str, operation: &'static str, request: Value) -> Step {
    Step { compared: false, ..step(record, operation, request) }
}

fn raw(record: &str, operation: &'static str, request: Value) -> Step {
    Step { raw: true, ..step(record, operation, request) }
}

/// The requests of a scenario, by its test's name and parameter; `None` if there are none yet.
pub fn steps(test: &str, parameter: &str) -> Option<Vec<Step>> {
    Some(match test {
        "test_can_recreate_delete_secret" => recreate(),
        "test_exp_raised_on_creation_of_secret_scheduled_for_deletion" => scheduled(),
        "test_create_and_update_secret" => create_and_update(parameter),
        "test_call_lists_secrets_multiple_times" | "test_call_lists_secrets_multiple_times_snapshots" => listed(),
        "test_create_multi_secrets" | "test_create_multi_secrets_snapshot" => multi(),
        "test_put_secret_value_with_version_stages" => labels::put_with_stages(),
        "test_invalid_secret_name" => invalid_name(parameter),
        "test_update_secret_description" => description(),
        "test_update_secret_version_stages_return_type" => labels::return_type(),
        "test_update_secret_version_stages_current_previous" => labels::current_previous(),
        "test_update_secret_version_stages_current_pending" => labels::current_pending(),
        "test_update_secret_version_stages_current_pending_cycle" => labels::cycle(),
        "test_update_secret_version_stages_current_pending_cycle_custom_stages_1" => labels::custom_1(),
        "test_update_secret_version_stages_current_pending_cycle_custom_stages_2" => labels::custom_2(),
        "test_update_secret_version_stages_current_pending_cycle_custom_stages_3" => labels::custom_3(),
        "test_non_versioning_version_stages_replacement" => labels::replacement(&["one", "two", "three", "four"]),
        "test_non_versioning_version_stages_no_replacement" => labels::replacement(&["one", "two", "four"]),
        "test_secret_not_found" => not_found(),
        "test_secret_exists_snapshots" => exists(),
        "test_no_client_request_token" => no_token(parameter),
        "test_create_secret_version_from_empty_secret" => empty(),
        "test_rotate_secret_with_lambda_success" => rotate(parameter),
        "test_rotate_secret_multiple_times_with_lambda_success" => rotate_twice(),
        "test_rotate_secret_invalid_lambda_arn" => {
            rotate_invalid("rotate_secret_invalid_arn_exc", Some(MISSING_FUNCTION))
        }
        "test_first_rotate_secret_with_missing_lambda_arn" => rotate_invalid("rotate_secret_no_arn_exc", None),
        "test_resource_policy" => policy(),
        "test_secret_restore" => restore(),
        "test_secret_tags" => tags(),
        "test_deprecated_secret_version_stage" => labels::deprecated(),
        "test_get_secret_value_errors" => get_errors(),
        "test_secret_version_not_found" => version_not_found(),
        "test_get_secret_value" => get_binary(),
        "test_force_delete_deleted_secret" => force_delete(),
        "test_tag_untag_resource_on_deleted_secret" => tag_deleted(),
        "test_change_secret_value_after_creation" => change_binary(parameter),
        _ => return None,
    })
}

pub fn create(record: &str, value: &str) -> Step {
    step(record, "CreateSecret", json!({ "Name": NAME, "SecretString": value }))
}

pub fn put(record: &str, value: &str) -> Step {
    step(record, "PutSecretValue", json!({ "SecretId": NAME, "SecretString": value }))
}

pub fn put_stages(record: &str, value: &str, stages: &[&str]) -> Step {
    step(record, "PutSecretValue", json!({ "SecretId": NAME, "SecretString": value, "VersionStages": stages }))
}

pub fn get(record: &str) -> Step {
    step(record, "GetSecretValue", json!({ "SecretId": NAME }))
}

pub fn describe(record: &str) -> Step {
    step(record, "DescribeSecret", json!({ "SecretId": NAME }))
}

pub fn versions(record: &str) -> Step {
    step(record, "ListSecretVersionIds", json!({ "SecretId": NAME }))
}

pub fn all_versions(record: &str) -> Step {
    step(record, "ListSecretVersionIds", json!({ "SecretId": NAME, "IncludeDeprecated": true }))
}

pub fn delete(record: &str) -> Step {
    step(record, "DeleteSecret", json!({ "SecretId": NAME, "ForceDeleteWithoutRecovery": true }))
}

pub fn make_current(record: &str, from: &str, to: &str) -> Step {
    let (from, to) = (format!("@{from}.VersionId"), format!("@{to}.VersionId"));
    let request = json!({
        "SecretId": NAME, "VersionStage": "AWSCURRENT", "RemoveFromVersionId": from, "MoveToVersionId": to,
    });
    step(record, "UpdateSecretVersionStage", request)
}

fn recreate() -> Vec<Step> {
    vec![create("create_secret_res_0", "x"), delete("delete_res_1"), create("create_secret_res_1", "x")]
}

fn scheduled() -> Vec<Step> {
    let delete = json!({ "SecretId": NAME, "RecoveryWindowInDays": 7 });
    vec![
        Step { compared: false, ..create("create", "x") },
        step("delete_res", "DeleteSecret", delete),
        create("invalid_req_ex", "x"),
    ]
}

/// The parameter of the older recordings also says whether the partial ARN is found.
fn create_and_update(parameter: &str) -> Vec<Step> {
    let name = parameter.trim_end_matches("-True").trim_end_matches("-False");
    let partial = if parameter.ends_with("-False") { "resource_not_found_dict_1" } else { "get_secret_value_rs_3" };
    let id = json!({ "SecretId": name });
    let arn = "@create_secret_rs_1.ARN";
    let made = json!({ "Name": name, "SecretString": "my_secret", "Description": "Testing secret creation." });
    let updated = json!({ "SecretId": arn, "SecretString": "test123", "Description": "d1" });
    vec![
        step("create_secret_rs_1", "CreateSecret", made),
        step("get_secret_value_rs_1", "GetSecretValue", id.clone()),
        step("describe_secret_rs_1", "DescribeSecret", id.clone()),
        step("get_secret_value_rs_2", "GetSecretValue", json!({ "SecretId": arn })),
        step(
            partial,
            "GetSecretValue",
            json!({ "SecretId": format!("{}{name}", "arn:aws:secretsmanager:us-east-1:111111111111:secret:") }),
        ),
        step("put_secret_value_rs_1", "PutSecretValue", json!({ "SecretId": name, "SecretString": "new_secret" })),
        step("get_secret_value_rs_4", "GetSecretValue", id),
        step("update_secret_res_1", "UpdateSecret", updated),
        step("delete_secret_res_1", "DeleteSecret", json!({ "SecretId": name, "ForceDeleteWithoutRecovery": true })),
    ]
}

fn listed() -> Vec<Step> {
    let made = json!({ "Name": NAME, "SecretString": "my_secret", "Description": "testing creation of secrets" });
    let list = |n: usize| step(&format!("list_secrets_res_{n}"), "ListSecrets", json!({}));
    vec![step("create_secret_rs_1", "CreateSecret", made), list(0), list(1), list(2), delete("delete_secret_res_1")]
}

fn multi() -> Vec<Step> {
    let made = |name: &str| json!({ "Name": name, "SecretString": "x", "Description": "Testing secrets creation." });
    let gone = |name: &str| json!({ "SecretId": name, "ForceDeleteWithoutRecovery": true });
    let mut steps: Vec<Step> = NAMES.iter().map(|name| quiet("create", "CreateSecret", made(name))).collect();
    steps.push(step("list_secrets_res", "ListSecrets", json!({})));
    steps.extend((0..3).map(|n| step(&format!("delete_secret_res{n}"), "DeleteSecret", gone(NAMES[n]))));
    steps
}

fn invalid_name(name: &str) -> Vec<Step> {
    let id = json!({ "SecretId": name });
    let with = |key: &str, value: Value| {
        let mut request = id.clone();
        request[key] = value;
        request
    };
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:root"},"Action":"secretsmanager:GetSecretValue","Resource":"*"}]}"#;
    vec![
        step("ex_log_1", "CreateSecret", json!({ "Name": name, "SecretString": "MySecretString" })),
        step("ex_log_2", "DeleteSecret", with("ForceDeleteWithoutRecovery", json!(true))),
        step("ex_log_3", "DescribeSecret", id.clone()),
        step("ex_log_4", "GetSecretValue", id.clone()),
        step("ex_log_5", "ListSecretVersionIds", with("IncludeDeprecated", json!(true))),
        step("ex_log_6", "PutSecretValue", with("SecretString", json!("MySecretString"))),
        step("ex_log_7", "TagResource", with("Tags", json!([{ "Key": "FirstTag", "Value": "SomeValue" }]))),
        step("ex_log_8", "UntagResource", with("TagKeys", json!(["FirstTag"]))),
        step("ex_log_9", "UpdateSecret", with("Description", json!("MyNewDescription"))),
        step("ex_log_10", "ValidateResourcePolicy", with("ResourcePolicy", json!(policy))),
    ]
}

fn description() -> Vec<Step> {
    let update = |n: usize, mut request: Value| {
        request["SecretId"] = json!(NAME);
        step(&format!("update_secret_res_{n}"), "UpdateSecret", request)
    };
    let describe = |n: usize| describe(&format!("describe_secret_res_{n}"));
    vec![
        create("create_secret_rs_0", "MySecretString"),
        describe(0),
        update(0, json!({ "Description": "MyDescription" })),
        describe(1),
        update(1, json!({ "SecretString": "MyNewSecretString", "Description": "MyNewDescription" })),
        describe(2),
        update(2, json!({ "SecretString": "MyNewSecretStringMyNewSecretString" })),
        describe(3),
        update(3, json!({})),
        describe(4),
        delete("delete_secret_res_0"),
    ]
}

fn not_found() -> Vec<Step> {
    vec![get("get_secret_value_not_found_ex"), versions("list_secret_version_ids_not_found_ex")]
}

fn exists() -> Vec<Step> {
    vec![Step { compared: false, ..create("create", "x") }, create("ex_log", "x"), delete("delete_secret_res")]
}

fn no_token(operation: &str) -> Vec<Step> {
    let operation = *["CreateSecret", "UpdateSecret", "RotateSecret", "PutSecretValue"]
        .iter()
        .find(|known| **known == operation)
        .expect("a known operation");
    let id = if operation == "CreateSecret" { "Name" } else { "SecretId" };
    let request = json!({ id: NAME, "SecretString": "thisisthesecret", "Description": "My secret string" });
    vec![raw("no-client-request-exc", operation, request)]
}

fn empty() -> Vec<Step> {
    let id = json!({ "SecretId": "@create-empty-secret.ARN" });
    let value = json!({ "SecretId": "@create-empty-secret.ARN", "SecretString": "example-string-to-protect" });
    vec![
        step("create-empty-secret", "CreateSecret", json!({ "Name": "test-version-1a2b3c4d", "Description": "" })),
        step("describe-secret", "DescribeSecret", id),
        step("put-secret-value", "PutSecretValue", value),
    ]
}

fn rotating() -> Step {
    let made = json!({ "Name": NAME, "SecretString": "my_secret", "Description": "testing rotation of secrets" });
    quiet("create", "CreateSecret", made)
}

fn rotate(immediately: &str) -> Vec<Step> {
    let mut request = json!({
        "SecretId": NAME, "RotationLambdaARN": FUNCTION, "RotationRules": { "AutomaticallyAfterDays": 1 },
    });
    if immediately == "True" {
        request["RotateImmediately"] = json!(true);
    }
    vec![
        rotating(),
        step("rotate_secret_immediately", "RotateSecret", request),
        describe("describe_secret_rotated"),
        versions("list_secret_versions_rotated_1"),
    ]
}

fn rotate_twice() -> Vec<Step> {
    let first = json!({
        "SecretId": NAME, "RotationLambdaARN": FUNCTION, "RotateImmediately": true,
        "RotationRules": { "AutomaticallyAfterDays": 1 },
    });
    vec![
        rotating(),
        step("rotate_secret_immediately_1", "RotateSecret", first),
        describe("describe_secret_rotated_1"),
        versions("list_secret_versions_rotated_1_1"),
        Step { compared: false, ..get("read") },
        step("rotate_secret_immediately_2", "RotateSecret", json!({ "SecretId": NAME })),
        describe("describe_secret_rotated_2"),
        versions("list_secret_versions_rotated_1_2"),
    ]
}

fn rotate_invalid(record: &str, function: Option<&str>) -> Vec<Step> {
    let mut request = json!({ "SecretId": NAME, "RotationRules": { "AutomaticallyAfterDays": 1 } });
    if let Some(function) = function {
        request["RotationLambdaARN"] = json!(function);
    }
    vec![create("create_secret", "init"), step(record, "RotateSecret", request), describe("describe_secret")]
}

fn policy() -> Vec<Step> {
    let policy = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}]}"#;
    vec![
        Step { compared: false, ..create("create", "my_secret") },
        step("put_resource_policy", "PutResourcePolicy", json!({ "SecretId": NAME, "ResourcePolicy": policy })),
        step("get_resource_policy", "GetResourcePolicy", json!({ "SecretId": NAME })),
    ]
}

fn restore() -> Vec<Step> {
    vec![
        Step { compared: false, ..create("create", "my_secret") },
        step("delete_secret_res", "DeleteSecret", json!({ "SecretId": NAME })),
        step("restore_secret_res", "RestoreSecret", json!({ "SecretId": NAME })),
    ]
}

fn tags() -> Vec<Step> {
    let arn = "@create_secret.ARN";
    let tag = |record: &str, tags: Value| step(record, "TagResource", json!({ "SecretId": arn, "Tags": tags }));
    let untag = |record: &str, keys: Value| step(record, "UntagResource", json!({ "SecretId": arn, "TagKeys": keys }));
    let one = |n: usize| json!({ "Key": format!("tag{n}"), "Value": format!("value{n}") });
    let describe = |record: &str| step(record, "DescribeSecret", json!({ "SecretId": arn }));
    vec![
        step("create_secret", "CreateSecret", json!({ "Name": NAME })),
        describe("describe_secret"),
        tag("tag_resource_1", json!([one(1)])),
        describe("describe_secret_1"),
        tag("tag_resource_2", json!([one(2)])),
        describe("describe_secret_2"),
        untag("untag_resource_1", json!(["tag1"])),
        describe("describe_secret_3"),
        untag("untag_resource_2", json!(["tag2"])),
        describe("describe_secret_4"),
        Step { compared: false, ..tag("tag", json!([one(3), one(4)])) },
        describe("describe_secret_5"),
        Step { compared: false, ..untag("untag", json!(["tag3", "tag4"])) },
        describe("describe_secret_6"),
    ]
}

fn get_errors() -> Vec<Step> {
    let stage = json!({ "SecretId": "@create.ARN", "VersionStage": "AWSPREVIOUS" });
    let both = json!({ "SecretId": NAME, "VersionId": "@create.VersionId", "VersionStage": "AWSPREVIOUS" });
    vec![
        Step { compared: false, ..create("create", "test") },
        step("error_get_secret_value_non_existing", "GetSecretValue", stage),
        step("mismatch_version_id_and_stage", "GetSecretValue", both),
    ]
}

fn version_not_found() -> Vec<Step> {
    let id = json!({ "SecretId": NAME, "VersionId": "6d7e4a31-51f4-4bb1-9c4e-1f4d4d1d2c3b" });
    let stage = json!({ "SecretId": NAME, "VersionStage": "AWSPENDING" });
    vec![
        quiet("create", "CreateSecret", json!({ "Name": NAME })),
        get("get_secret_value_no_version_ex"),
        step("get_secret_value_version_not_found_ex", "GetSecretValue", id),
        step("get_secret_value_stage_not_found_ex", "GetSecretValue", stage),
    ]
}

fn get_binary() -> Vec<Step> {
    vec![
        quiet("create", "CreateSecret", json!({ "Name": NAME, "SecretBinary": "Zm9vdGVzdA==" })),
        step("secret_value_response", "GetSecretValue", json!({ "SecretId": "@create.ARN" })),
        get("secret_value_http_response"),
    ]
}

fn force_delete() -> Vec<Step> {
    let arn = "@create_secret_response.ARN";
    vec![
        create("create_secret_response", "x"),
        step("delete_secret_response", "DeleteSecret", json!({ "SecretId": arn })),
        step("describe_secret_response", "DescribeSecret", json!({ "SecretId": arn })),
        step(
            "force_delete_secret_response",
            "DeleteSecret",
            json!({ "SecretId": arn, "ForceDeleteWithoutRecovery": true }),
        ),
    ]
}

fn tag_deleted() -> Vec<Step> {
    let arn = "@create_secret.ARN";
    let made = json!({
        "Name": NAME, "SecretString": "x", "Tags": [{ "Key": "initial-tag", "Value": "initial-value" }],
    });
    let tag = json!({ "SecretId": arn, "Tags": [{ "Key": "new-tag", "Value": "new-value" }] });
    vec![
        step("create_secret", "CreateSecret", made),
        step("delete_secret", "DeleteSecret", json!({ "SecretId": arn })),
        step("tag_deleted_secret_error", "TagResource", tag),
        step("untag_deleted_secret_error", "UntagResource", json!({ "SecretId": arn, "TagKeys": ["initial-tag"] })),
    ]
}

fn change_binary(parameter: &str) -> Vec<Step> {
    let (put, updated) = match parameter {
        "footest-updated1" => ("Zm9vdGVzdA==", "dXBkYXRlZDE="),
        "tops3cret-updated2" => ("dG9wczNjcmV0", "dXBkYXRlZDI="),
        _ => ("AAEC/w==", "/v0="),
    };
    vec![
        quiet("create", "CreateSecret", json!({ "Name": NAME, "SecretBinary": "aW5pdGlhbA==" })),
        get("put_secret_value_secret_response"),
        quiet("put", "PutSecretValue", json!({ "SecretId": NAME, "SecretBinary": put })),
        get("put_secret_binary_response_updated"),
        quiet("update", "UpdateSecret", json!({ "SecretId": NAME, "SecretBinary": updated })),
        get("update_secret_binary_response_updated"),
    ]
}
