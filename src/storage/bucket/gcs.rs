//! Google Cloud Storage.

use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};

use super::{Bucket, retention::Observer, retry};
use crate::outward::Endpoint;

/// By the settings that Google's own tools read.
pub(super) fn connect(
    bucket: &Bucket,
    endpoint: Option<&Endpoint>,
    observer: Observer,
) -> object_store::Result<GoogleCloudStorage> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(&bucket.name)
        .with_http_connector(observer)
        .with_retry(retry());
    if let Some(endpoint) = endpoint {
        let options = object_store::ClientOptions::new().with_allow_http(endpoint.is_plain());
        builder = builder.with_base_url(&endpoint.to_string()).with_bearer_token("none").with_client_options(options);
    }
    builder.build()
}
