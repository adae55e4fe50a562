//! Azure Blob.

use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};

use super::{Bucket, retention::Observer, retry};
use crate::outward::Endpoint;

/// By the settings that Azure's own tools read.
pub(super) fn connect(
    bucket: &Bucket,
    endpoint: Option<&Endpoint>,
    observer: Observer,
) -> object_store::Result<MicrosoftAzure> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_account(&bucket.account)
        .with_container_name(&bucket.name)
        .with_http_connector(observer)
        .with_retry(retry());
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint.to_string()).with_allow_http(endpoint.is_plain());
    }
    builder.build()
}
