//! The requests of the recorded scenarios on staging labels.

use serde_json::json;

use crate::emulator_scenarios::{
    NAME, Step, all_versions, create, delete, get, make_current, put, put_stages, step, versions,
};

pub fn put_with_stages() -> Vec<Step> {
    let get = |n: usize| get(&format!("get_secret_value_res_{n}"));
    vec![
        create("create_secret_rs_0", "secret_string_v0"),
        get(0),
        put_stages("put_secret_value_res_1", "secret_string_v1", &["SAMPLESTAGE1", "SAMPLESTAGE0"]),
        get(1),
        put_stages("put_secret_value_res_2", "secret_string_v2", &["SAMPLESTAGE1", "SAMPLESTAGE0"]),
        get(2),
        put_stages("put_secret_value_res_3", "secret_string_v3", &["AWSPENDING"]),
        get(3),
        put("put_secret_value_res_4", "secret_string_v4"),
        get(4),
        delete("delete_secret_res_1"),
    ]
}

pub fn return_type() -> Vec<Step> {
    vec![
        create("create_secret_rs_0", "Something1"),
        put_stages("put_secret_value_res_0", "Something2", &["AWSPENDING"]),
        make_current("update_secret_version_stage_res_0", "create_secret_rs_0", "put_secret_value_res_0"),
        delete("delete_secret_res_0"),
    ]
}

pub fn current_previous() -> Vec<Step> {
    vec![
        create("create_secret_rs_0", "secret_string_v0"),
        versions("list_secret_version_ids_res_0"),
        step("update_secret_res_0", "UpdateSecret", json!({ "SecretId": NAME, "SecretString": "secret_string_v1" })),
        versions("list_secret_version_ids_res_1"),
        delete("delete_secret_res_0"),
    ]
}

pub fn current_pending() -> Vec<Step> {
    vec![
        create("create_secret_rs_0", "Something1"),
        put_stages("put_secret_value_res_0", "Something2", &["AWSPENDING"]),
        versions("list_secret_version_ids_res_0"),
        make_current("update_secret_version_stage_res_0", "create_secret_rs_0", "put_secret_value_res_0"),
        versions("list_secret_version_ids_res_1"),
        put("put_secret_value_res_1", "SS3"),
        versions("list_secret_version_ids_res_2"),
        delete("delete_secret_res_0"),
    ]
}

pub fn cycle() -> Vec<Step> {
    vec![
        create("create_secret_rs_0", "S1"),
        put_stages("put_secret_value_res_0", "S2", &["AWSPENDING"]),
        versions("list_secret_version_ids_res_0"),
        get("get_secret_value_res_0"),
        make_current("update_secret_version_stage_res_0", "create_secret_rs_0", "put_secret_value_res_0"),
        versions("list_secret_version_ids_res_1"),
        get("get_secret_value_res_1"),
        put_stages("put_secret_value_res_1", "S3", &["AWSPENDING"]),
        versions("list_secret_version_ids_res_2"),
        get("get_secret_value_res_2"),
        make_current("put_secret_value_res_2", "put_secret_value_res_0", "put_secret_value_res_1"),
        versions("list_secret_version_ids_res_3"),
        get("get_secret_value_res_3"),
        delete("delete_secret_res_0"),
    ]
}

pub fn custom_1() -> Vec<Step> {
    vec![
        create("create_secret_rs_0", "S1"),
        put_stages("put_secret_value_res_0", "S2", &["AWSSOMETHING", "AWSPENDING", "PUT1"]),
        versions("list_secret_version_ids_res_0"),
        get("get_secret_value_res_0"),
        make_current("update_secret_version_stage_res_0", "create_secret_rs_0", "put_secret_value_res_0"),
        versions("list_secret_version_ids_res_1"),
        get("get_secret_value_res_1"),
        put_stages("put_secret_value_res_1", "S3", &["AWSPENDING", "PUT2"]),
        versions("list_secret_version_ids_res_2"),
        get("get_secret_value_res_2"),
        make_current("update_secret_version_stage_res_1", "put_secret_value_res_0", "put_secret_value_res_1"),
        versions("list_secret_version_ids_res_3"),
        get("get_secret_value_res_3"),
        delete("delete_secret_res_0"),
    ]
}

pub fn custom_2() -> Vec<Step> {
    vec![
        create("create_secret_rs_0", "SS"),
        put_stages("put_secret_value_res_0", "S1", &["AWSCURRENT", "PUT0"]),
        versions("list_secret_version_ids_res_0"),
        put_stages("put_secret_value_res_1", "S2", &["AWSPENDING", "PUT1"]),
        versions("list_secret_version_ids_res_1"),
        get("get_secret_value_res_0"),
        make_current("update_secret_version_stage_res_0", "put_secret_value_res_0", "put_secret_value_res_1"),
        versions("list_secret_version_ids_res_2"),
        get("get_secret_value_res_1"),
        put_stages("put_secret_value_res_2", "S3", &["AWSPENDING", "PUT2"]),
        versions("list_secret_version_ids_res_3"),
        get("get_secret_value_res_2"),
        make_current("update_secret_version_stage_res_1", "put_secret_value_res_1", "put_secret_value_res_2"),
        versions("list_secret_version_ids_res_4"),
        get("get_secret_value_res_3"),
        delete("delete_secret_res_0"),
    ]
}

pub fn custom_3() -> Vec<Step> {
    let by_id = |record: &str, made: &str| {
        step(record, "GetSecretValue", json!({ "SecretId": NAME, "VersionId": format!("@{made}.VersionId") }))
    };
    let (first, second) = ("create_secret_rs", "put_secret_value_res_0");
    let removed =
        json!({ "SecretId": NAME, "RemoveFromVersionId": format!("@{second}.VersionId"), "VersionStage": "PENDING" });
    vec![
        create(first, "SS"),
        put_stages(second, "S1", &["PENDING"]),
        versions("list_secret_version_ids_rs"),
        by_id("get_secret_value_v1_rs", first),
        by_id("get_secret_value_v2_rs", second),
        make_current("update_secret_version_stage_res_1", first, second),
        by_id("get_secret_value_v1_rs_1", first),
        by_id("get_secret_value_v2_rs_1", second),
        step("update_secret_version_stage_res_2", "UpdateSecretVersionStage", removed),
        by_id("get_secret_value_v1_rs_2", first),
        by_id("get_secret_value_v2_rs_2", second),
        delete("delete_secret_res_0"),
    ]
}

pub fn replacement(second: &[&str]) -> Vec<Step> {
    vec![
        create("create_secret_rs_0", "S0"),
        put_stages("put_secret_value_res_0", "S1", &["one", "two", "three"]),
        versions("list_secret_version_ids_res_0"),
        put_stages("put_secret_value_res_1", "S2", second),
        versions("list_secret_version_ids_res_1"),
        delete("delete_secret_res_0"),
    ]
}

pub fn deprecated() -> Vec<Step> {
    let made = json!({ "Name": NAME, "SecretString": "original", "Description": "My secret" });
    vec![
        step("create_secret", "CreateSecret", made),
        versions("list_secret_version_ids"),
        put("put_secret_value_1", "update1"),
        versions("list_secret_version_ids_1"),
        put("put_secret_value_2", "update2"),
        versions("list_secret_version_ids_2"),
        all_versions("list_secret_version_ids_3"),
        put("put_secret_value_3", "update3"),
        versions("list_secret_version_ids_4"),
        all_versions("list_secret_version_ids_5"),
    ]
}
