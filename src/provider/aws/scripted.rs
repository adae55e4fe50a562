//! A service in memory for unit tests: the SDK's requests, answered without a network.

use std::{
    fmt,
    sync::{Arc, Mutex},
};

use aws_sdk_secretsmanager::Client;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
};
use aws_smithy_types::body::SdkBody;
use serde_json::{Value as Json, json};

use super::{Aws, AwsSettings, StaticCredentials};

/// Answers an operation: a status and a body.
struct Scripted<F>(Mutex<F>);

impl<F> fmt::Debug for Scripted<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scripted")
    }
}

impl<F: FnMut(&str, &Json) -> (u16, Json) + Send> HttpConnector for Scripted<F> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap();
        let body: Json = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let (status, answer) = (self.0.lock().unwrap())(target.rsplit('.').next().unwrap(), &body);
        let answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(answer.to_string()));
        HttpConnectorFuture::ready(Ok(answer))
    }
}

/// A connection to a service that answers so, without pacing worth the name.
pub(super) async fn scripted<F>(answer: F) -> Aws
where
    F: FnMut(&str, &Json) -> (u16, Json) + Send + 'static,
{
    let credentials = StaticCredentials { access_key: "key".into(), secret_key: "secret".to_owned().into() };
    let settings = AwsSettings {
        endpoint: Some("http://127.0.0.1:1".into()),
        credentials: Some(credentials),
        rate_share: 10_000.0,
        ..AwsSettings::region("eu-west-1")
    };
    let mut aws = Aws::connect(settings).await.unwrap();
    let connector = SharedHttpConnector::new(Scripted(Mutex::new(answer)));
    let client = http_client_fn(move |_, _| connector.clone());
    aws.client = Client::from_conf(aws.client.config().to_builder().http_client(client).build());
    aws
}

/// The ARN of a secret of this name.
pub(super) fn arn(name: &str) -> String {
    format!("arn:aws:secretsmanager:eu-west-1:111111111111:secret:{name}-AbCdEf")
}

/// A refusal.
pub(super) fn refused(code: &str) -> (u16, Json) {
    (400, json!({ "__type": code, "message": "" }))
}

/// What was asked, as it was asked.
pub(super) type Log = Arc<Mutex<Vec<(String, Json)>>>;
