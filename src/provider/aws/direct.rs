//! Calls of services of which one operation is used: signed and sent by what the SDK's own clients stand on. A crate for each
//! such service is a tenth of the build.
//!
//! The protocol is AWS JSON 1.1: <https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html>, and 1.0 of SQS.

use aws_config::SdkConfig;
use aws_runtime::auth::{
    SigV4OperationSigningConfig,
    sigv4::{SCHEME_ID, SigV4AuthScheme},
};
use aws_sdk_secretsmanager::error::{BoxError, ErrorMetadata, SdkError};
use aws_smithy_runtime::client::orchestrator::operation::Operation as Invocation;
use aws_smithy_runtime_api::client::{
    auth::{
        AuthSchemeOptionResolverParams, SharedAuthScheme, SharedAuthSchemeOptionResolver,
        static_resolver::{StaticAuthSchemeOptionResolver, StaticAuthSchemeOptionResolverParams},
    },
    identity::SharedIdentityResolver,
    orchestrator::{HttpRequest, HttpResponse, OrchestratorError},
    runtime_components::RuntimeComponentsBuilder,
    runtime_plugin::StaticRuntimePlugin,
};
use aws_smithy_types::{body::SdkBody, config_bag::Layer};
use aws_types::{SigningName, region::SigningRegion};
use serde_json::Value as Json;

use super::{
    bad_setting,
    call::{Bounded, Operation},
};
use crate::{
    outward::{self, Endpoint},
    provider::ProviderError,
};

/// A service whose operations are named `PREFIX.OPERATION`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    /// As the SDK's settings call it.
    id: &'static str,
    /// In hosts and signatures.
    name: &'static str,
    prefix: &'static str,
}

/// <https://docs.aws.amazon.com/kms/latest/APIReference/>
pub(super) const KMS: Service = Service { id: "KMS", name: "kms", prefix: "TrentService" };
/// <https://docs.aws.amazon.com/organizations/latest/APIReference/>
pub(super) const ORGANIZATIONS: Service =
    Service { id: "Organizations", name: "organizations", prefix: "AWSOrganizationsV20161128" };

/// <https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/>
pub(super) const CLOUDTRAIL: Service =
    Service { id: "CloudTrail", name: "cloudtrail", prefix: "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101" };

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/>
pub(super) const ECS: Service = Service { id: "ECS", name: "ecs", prefix: "AmazonEC2ContainerServiceV20141113" };
/// Operations of functions, which are REST: <https://docs.aws.amazon.com/lambda/latest/api/API_ListFunctions.html>.
pub(super) const LAMBDA: Service = Service { id: "Lambda", name: "lambda", prefix: "" };
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/>
pub(super) const SQS: Service = Service { id: "SQS", name: "sqs", prefix: "AmazonSQS" };
const FUNCTIONS: &str = "/2015-03-31/functions";

/// An operation, ready to be sent as often as wanted.
#[derive(Clone, Debug)]
pub(super) struct Direct(Invocation<Json, Json, ErrorMetadata>);

impl Direct {
    /// Prepares it; `endpoint` is the one that was given for this connection.
    ///
    /// # Errors
    /// The code [`BAD_SETTING`](super::BAD_SETTING) for an endpoint that cannot be used.
    pub(super) fn new(
        config: &SdkConfig,
        endpoint: Option<&str>,
        service: Service,
        operation: Operation,
    ) -> Result<Self, ProviderError> {
        let own = config.region().map(AsRef::as_ref).unwrap_or_default();
        let region = if service.id == ORGANIZATIONS.id { outward::organizations_region(own) } else { own };
        let (fips, dual_stack) = (config.use_fips().unwrap_or_default(), config.use_dual_stack().unwrap_or_default());
        let named = match endpoint {
            Some(endpoint) => Endpoint::parse(endpoint).map(Some),
            None => outward::endpoint_of(config, service.id),
        };
        let url = match named.map_err(|bad| bad_setting(&bad))? {
            Some(endpoint) => endpoint.to_string(),
            None => format!("https://{}", outward::host(service.name, region, fips, dual_stack)),
        };
        let target = format!("{}.{}", service.prefix, operation.name());
        let mut invocation = Invocation::builder()
            .service_name(service.id)
            .operation_name(operation.name())
            .endpoint_url(&url)
            .no_retry()
            .interceptor(Bounded)
            .runtime_plugin(signing(config, service.name, region));
        if let Some(behavior) = config.behavior_version() {
            invocation = invocation.behavior_version(behavior);
        }
        if let Some(client) = config.http_client() {
            invocation = invocation.http_client(client);
        }
        if let Some(timeouts) = config.timeout_config() {
            invocation = invocation.timeout_config(timeouts.clone());
        }
        if let Some(sleep) = config.sleep_impl() {
            invocation = invocation.sleep_impl(sleep);
        }
        if let Some(protection) = config.stalled_stream_protection() {
            invocation = invocation.stalled_stream_protection(protection);
        }
        let invocation = match operation {
            Operation::ListFunctions => invocation.serializer(|body| list_request(FUNCTIONS, &body)),
            Operation::GetFunctionConfiguration => invocation.serializer(|body| function_request("GET", body)),
            Operation::UpdateFunctionConfiguration => invocation.serializer(|body| function_request("PUT", body)),
            _ => {
                let version = if service.id == SQS.id { "1.0" } else { "1.1" };
                invocation.serializer(move |body| request((&target, version), &body))
            }
        };
        Ok(Self(invocation.deserializer(answer).build()))
    }

    pub(super) async fn send(&self, body: Json) -> Result<Json, SdkError<ErrorMetadata, HttpResponse>> {
        self.0.invoke(body).await
    }
}

/// The credentials of the connection, for SigV4.
fn signing(config: &SdkConfig, name: &'static str, region: &str) -> StaticRuntimePlugin {
    let mut layer = Layer::new("Signing");
    layer.store_put(SigningName::from_static(name));
    layer.store_put(SigningRegion::from(aws_config::Region::new(region.to_owned())));
    layer.store_put(SigV4OperationSigningConfig::default());
    layer.store_put(AuthSchemeOptionResolverParams::from(StaticAuthSchemeOptionResolverParams::new()));
    let mut components = RuntimeComponentsBuilder::new("Signing")
        .with_auth_scheme(SharedAuthScheme::new(SigV4AuthScheme::new()))
        .with_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(
            StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]),
        )))
        .with_identity_cache(config.identity_cache());
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(credentials));
    }
    StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
}

fn request((target, version): (&str, &str), body: &Json) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(body.to_string()));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let headers = request.headers_mut();
    headers.try_insert("content-type", format!("application/x-amz-json-{version}"))?;
    headers.try_insert("x-amz-target", target.to_owned())?;
    headers.try_insert("user-agent", concat!("lifeboat/", env!("CARGO_PKG_VERSION")))?;
    Ok(request)
}

/// A list as REST has it: what is asked for stands in the query.
fn list_request(path: &str, body: &Json) -> Result<HttpRequest, BoxError> {
    let fields = body.as_object().into_iter().flatten();
    let query: Vec<String> =
        fields.filter_map(|(key, value)| Some(format!("{key}={}", percent(value.as_str()?)))).collect();
    let mut request = HttpRequest::new(SdkBody::empty());
    request.set_method("GET")?;
    request.set_uri(format!("{path}/?{}", query.join("&")).trim_end_matches('?').to_owned())?;
    request.headers_mut().try_insert("user-agent", concat!("lifeboat/", env!("CARGO_PKG_VERSION")))?;
    Ok(request)
}

/// About the configuration of one function: the name stands in the path, all else in the body.
fn function_request(method: &str, mut body: Json) -> Result<HttpRequest, BoxError> {
    let name = body.as_object_mut().and_then(|fields| fields.remove("FunctionName"));
    let name = name.as_ref().and_then(Json::as_str).ok_or("no function is named")?;
    let content = if method == "GET" { SdkBody::empty() } else { SdkBody::from(body.to_string()) };
    let mut request = HttpRequest::new(content);
    request.set_method(method)?;
    request.set_uri(format!("{FUNCTIONS}/{}/configuration", percent(name)))?;
    let headers = request.headers_mut();
    headers.try_insert("content-type", "application/json")?;
    headers.try_insert("user-agent", concat!("lifeboat/", env!("CARGO_PKG_VERSION")))?;
    Ok(request)
}

/// A value of a query or a part of a path: RFC 3986, 2.3.
fn percent(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(one).collect()
}

fn answer(response: &HttpResponse) -> Result<Json, OrchestratorError<ErrorMetadata>> {
    let json: Option<Json> = response.body().bytes().and_then(|bytes| serde_json::from_slice(bytes).ok());
    if response.status().is_success() {
        return json.filter(Json::is_object).ok_or_else(|| OrchestratorError::response("it is no JSON object".into()));
    }
    let text = |keys: &[&str]| keys.iter().find_map(|key| json.as_ref()?.get(key)?.as_str()).map(str::to_owned);
    let code = response.headers().get("x-amzn-errortype").map(str::to_owned).or_else(|| text(&["code", "__type"]));
    let mut error = ErrorMetadata::builder();
    if let Some(code) = code {
        // The service's namespace before it and a URL behind it are not part of it.
        let code = code.split(':').next().unwrap_or_default();
        error = error.code(code.rsplit('#').next().unwrap_or_default());
    }
    if let Some(message) = text(&["message", "Message", "errorMessage"]) {
        error = error.message(message);
    }
    Err(OrchestratorError::operation(error.build()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16, body: &str) -> HttpResponse {
        HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
    }

    #[test]
    fn an_answer_is_an_object_or_no_answer() {
        assert_eq!(answer(&of(200, r#"{"a":1}"#)).unwrap()["a"], 1);
        for body in ["", "[]", "null", "<html>", "{", "\"x\""] {
            assert!(answer(&of(200, body)).unwrap_err().is_response_error(), "{body}");
        }
    }

    #[test]
    fn a_refusal_has_the_services_code() {
        let refused = |response: &HttpResponse| answer(response).unwrap_err().as_operation_error().unwrap().clone();
        for body in [
            r#"{"__type":"com.amazonaws.kms#NotFoundException:http://x","message":"no"}"#,
            r#"{"code":"NotFoundException","Message":"no"}"#,
        ] {
            let error = refused(&of(400, body));
            assert_eq!((error.code(), error.message()), (Some("NotFoundException"), Some("no")));
        }
        let mut response = of(400, "{}");
        response.headers_mut().insert("x-amzn-errortype", "AccessDeniedException:");
        assert_eq!(refused(&response).code(), Some("AccessDeniedException"));
        assert_eq!(refused(&of(502, "<html>bad gateway</html>")).code(), None);
    }
}
