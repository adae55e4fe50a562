//! A small estate in memory, and a signer that is not ours, for tests.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use hyper::http::request::Parts;
use jiff::Timestamp;
use serde_json::json;

use super::{Estate, Shelf};
use crate::model::{Digest, Place, Record, SnapshotId};

pub(super) fn arn(region: &str, name: &str) -> String {
    format!("arn:aws:secretsmanager:{region}:111111111111:secret:{name}-AbCdEf")
}

pub(super) fn record(region: &str, name: &str, version: &str) -> Record {
    let mut record = json!({
        "secret": { "name": name, "id": arn(region, name), "created": "2029-12-01T00:00:00Z",
            "facets": { "description": "a sample" } },
        "versions": [
            { "id": version, "current": true, "labels": ["AWSCURRENT"], "created": "2029-12-01T00:00:00Z",
              "value": { "state": "stored", "pack": Digest::of(b"p"), "line": 0, "kind": "text", "size": 7 } },
            { "id": format!("{version}-none"), "labels": ["AWSPENDING"], "value": { "state": "none" } }
        ],
        "read": "2030-01-01T00:00:00Z"
    });
    if name == "app/only" {
        record["secret"]["facets"]["replicas"] = json!([{ "region": "us-west-2" }]);
        record["secret"]["facets"]["rotation"] = json!({ "enabled": true, "after_days": 40 });
    }
    serde_json::from_value(record).unwrap()
}

/// Two sources, of which both have `app/db`.
pub(super) fn estate() -> Estate {
    let mut estate = Estate::default();
    for (region, names) in [("us-east-1", &["app/db", "app/only"][..]), ("eu-west-1", &["app/db", "other"])] {
        let place = Place { provider: "aws".into(), account: "111111111111".into(), region: region.into() };
        let taken = "2030-01-01T00:00:00Z".parse().unwrap();
        estate.open(Shelf { place, snapshot: SnapshotId::from_bytes([7; 16]), number: 3, taken });
        for name in names {
            estate.add(record(region, name, &format!("{region}/{name}")));
        }
    }
    estate
}

/// The head of a GetSecretValue that is signed by the SDK's own signer.
pub(super) fn signed(
    (key, secret, token): (&str, &str, &str),
    body: &[u8],
    time: Timestamp,
    (region, service): (&str, &str),
) -> Parts {
    let headers = [
        ("host", "127.0.0.1:4590"),
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", "secretsmanager.GetSecretValue"),
    ];
    let identity = Credentials::new(key, secret, Some(token.into()), None, "test").into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_second().unsigned_abs()))
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let request =
        SignableRequest::new("POST", "http://127.0.0.1:4590/", headers.into_iter(), SignableBody::Bytes(body)).unwrap();
    let (made, _) = sign(request, &params.into()).unwrap().into_parts();
    let mut request = hyper::Request::builder().method("POST").uri("/");
    for (name, value) in headers.into_iter().chain(made.headers()) {
        request = request.header(name, value);
    }
    request.body(()).unwrap().into_parts().0
}
