//! How fast a project can be read at Google's quotas, on the sandbox that enforces them.
#![cfg(feature = "gcp")]

use std::time::Instant;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use lifeboat::{
    outward::GcpSettings,
    provider::{Listed, Source as _, gcp::GcpProject},
};
use serde_json::json;

use crate::gcp_face::sandbox;

/// Secrets, and versions of each.
const SECRETS: usize = 90;
const VERSIONS: usize = 3;
/// Reads a second at the share that is used, and reads for each secret.
const SHARE: f64 = 0.9;
const READS: f64 = 600.0 / 60.0 * SHARE;
const FOR_EACH: f64 = 3.0;

/// The quota of reads is the slowest one: the time is what it takes, and no call is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_read_at_the_quota_of_its_slowest_bucket() {
    let sandbox = sandbox().await;
    let control = sandbox.control();
    let post = |path: String, body: serde_json::Value| control.request("POST", &path, &body).unwrap();
    for number in 0..SECRETS {
        let body = json!({ "replication": { "automatic": {} } });
        post(format!("/v1/projects/pace-test/secrets?secretId=s{number}"), body);
        for _ in 0..VERSIONS {
            let body = json!({ "payload": { "data": "YQ==" } });
            post(format!("/v1/projects/pace-test/secrets/s{number}:addVersion"), body);
        }
    }
    control.set_quotas(true);
    let settings = GcpSettings::sandbox(&sandbox.endpoint());
    let project = GcpProject::connect(&"gcp:pace-test".parse().unwrap(), &settings, SHARE, None).await.unwrap();
    let source = project.at("global");
    let begun = Instant::now();
    let listed: Vec<Listed> = source.list().try_collect().await.unwrap();
    let fetched = stream::iter(&listed).map(|listed| source.fetch(listed, &|_, _| false)).buffer_unordered(32);
    let fetched: Vec<_> = fetched.try_collect().await.unwrap();
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!(fetched.iter().map(|secret| secret.versions.len()).sum::<usize>(), SECRETS * VERSIONS);
    #[expect(clippy::cast_precision_loss, reason = "ninety is exact")]
    let floor = SECRETS as f64 * FOR_EACH / READS;
    println!(
        "{SECRETS} secrets in {seconds:.1} s, the quota's floor is {floor:.1} s: {:.1} %",
        floor / seconds * 100.0
    );
    assert!(seconds > floor * 0.95, "faster than the quota: {seconds} s of {floor} s");
    assert!(seconds < floor * 1.5, "slower than the quota: {seconds} s of {floor} s");
}
