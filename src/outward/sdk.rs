//! The HTTP client under the AWS SDK: services, STS, and every lookup of credentials.

use std::sync::Arc;

use aws_smithy_http_client::{
    Builder, Connector,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use aws_smithy_runtime_api::client::{
    http::{
        HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
    },
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use reqwest::Url;

use super::{Outward, Proxy, guard};
use crate::isolation::Isolation;

/// Clients or connectors: directly, and by the proxy of each scheme.
#[derive(Clone, Debug)]
struct Routed<T> {
    outward: Arc<Outward>,
    direct: T,
    http: Option<T>,
    https: Option<T>,
}

impl Outward {
    /// The client that the SDK uses for everything, behind `isolation` where there is one.
    pub fn sdk_client(self: &Arc<Self>, isolation: Option<&Arc<Isolation>>) -> SharedHttpClient {
        let context = self.context();
        let direct = Builder::new().tls_provider(tls()).tls_context(context.clone()).build_https();
        let client = if self.has_proxy() {
            let by = |proxy: Option<&Proxy>| proxy.map(|proxy| through(proxy, context.clone()));
            let (http, https) = (by(self.http.as_ref()), by(self.https.as_ref()));
            SharedHttpClient::new(Routed { outward: Arc::clone(self), direct, http, https })
        } else {
            direct
        };
        match isolation {
            Some(isolation) => guard::client(client, Arc::clone(isolation)),
            None => client,
        }
    }

    fn context(&self) -> TlsContext {
        // The system's authorities are in it, by the same crate that the storages' client reads them with.
        let mut store = TrustStore::default();
        if let Some(bundle) = &self.roots.bundle {
            store.add_pem_certificate(bundle.clone());
        }
        TlsContext::builder().with_trust_store(store).build().expect("every certificate was looked at")
    }
}

/// Whether the SDK's client can use a proxy of this address.
pub(super) fn can_use(proxy: &Url) -> bool {
    ProxyConfig::all(proxy.as_str()).is_ok()
}

fn tls() -> Provider {
    Provider::Rustls(CryptoMode::AwsLc)
}

/// A client that sends everything through one proxy: where that is meant was decided before.
fn through(proxy: &Proxy, context: TlsContext) -> SharedHttpClient {
    let config = ProxyConfig::all(proxy.0.as_str()).expect("its address was looked at");
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder().proxy_config(config.clone());
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.tls_provider(tls()).tls_context(context.clone()).build()
    })
}

impl HttpClient for Routed<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let of = |client: &SharedHttpClient| client.http_connector(settings, components);
        SharedHttpConnector::new(Routed {
            outward: Arc::clone(&self.outward),
            direct: of(&self.direct),
            http: self.http.as_ref().map(of),
            https: self.https.as_ref().map(of),
        })
    }
}

impl HttpConnector for Routed<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Ok(url) = Url::parse(request.uri()) else {
            return HttpConnectorFuture::ready(Err(ConnectorError::user("the endpoint is not a URL".into())));
        };
        let by = if url.scheme() == "https" { &self.https } else { &self.http };
        let by = by.as_ref().filter(|_| self.outward.proxy_of(&url).is_some());
        by.unwrap_or(&self.direct).call(request)
    }
}
