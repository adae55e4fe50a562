//! The guard of a drill before the SDK's client: credentials, STS and Secrets Manager all pass here.

use std::sync::Arc;

use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};

use crate::isolation::Isolation;

#[derive(Debug)]
struct Guarded<T> {
    inner: T,
    isolation: Arc<Isolation>,
}

/// A client behind `isolation`.
pub(super) fn client(inner: SharedHttpClient, isolation: Arc<Isolation>) -> SharedHttpClient {
    SharedHttpClient::new(Guarded { inner, isolation })
}

impl HttpClient for Guarded<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Guarded { inner, isolation: Arc::clone(&self.isolation) })
    }
}

impl HttpConnector for Guarded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let host = authority(request.uri());
        let region = request.headers().get("authorization").and_then(scope_region);
        match self.isolation.admit(host, region) {
            Ok(()) => self.inner.call(request),
            Err(refused) => HttpConnectorFuture::ready(Err(ConnectorError::user(refused.into()))),
        }
    }
}

fn authority(uri: &str) -> &str {
    let rest = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// The region in `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`.
fn scope_region(authorization: &str) -> Option<&str> {
    authorization.split_once("Credential=")?.1.split([',', ' ']).next()?.split('/').nth(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_region_are_read_from_a_request() {
        assert_eq!(authority("https://sts.eu-west-1.amazonaws.com/"), "sts.eu-west-1.amazonaws.com");
        assert_eq!(authority("http://user@127.0.0.1:4599?x"), "127.0.0.1:4599");
        let header = "AWS4-HMAC-SHA256 Credential=AK/20260101/eu-west-1/sts/aws4_request, SignedHeaders=host";
        assert_eq!(scope_region(header), Some("eu-west-1"));
        assert_eq!(scope_region("Bearer x"), None);
    }
}
