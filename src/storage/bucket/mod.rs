//! Buckets: S3 and what speaks its protocol, Google Cloud Storage, Azure Blob.

#[cfg(feature = "azure-blob")]
mod azure;
mod credentials;
#[cfg(feature = "gcs")]
mod gcs;
mod listing;
mod owner;
mod retention;
mod s3;

use std::{sync::Arc, time::Duration};

use aws_config::SdkConfig;
use jiff::Timestamp;
use object_store::{ObjectStore, ObjectStoreExt, RetryConfig, path::Path, prefix::PrefixStore};
use tokio::sync::OnceCell;

use super::address::{Bucket, Service};
use crate::{
    isolation::Isolation,
    outward::{BadSetting, Endpoint, Outward},
};
pub use owner::Owner;
use retention::{Observer, Seen};

/// Marks an error that a setting of the environment or of the AWS configuration makes.
pub(super) const SETTING: &str = "setting";

/// A bucket, connected.
pub(super) struct Connected {
    /// Names are relative to the prefix.
    pub(super) store: Arc<dyn ObjectStore>,
    /// The store below it, whose answers tell the retention (S3 only).
    seen: Seen,
    /// The account that the credentials belong to (S3 only), asked on demand.
    pub(super) sdk: Option<SdkConfig>,
    /// Whether its address says that nobody else writes to it, so that it need not refuse to replace a file.
    pub(super) is_single_writer: bool,
    /// Set when it was tried whether it refuses to replace a file. A new copy has nothing to try it with, nor to lose.
    pub(super) tried: OnceCell<()>,
    /// Where its requests go, unless that is the provider's own choice.
    pub(super) endpoint: Option<Endpoint>,
    outward: Arc<Outward>,
}

impl Connected {
    /// Until when S3 keeps an object from being removed; `None` when it does not say.
    pub(super) async fn locked_until(&self, name: &str) -> object_store::Result<Option<Timestamp>> {
        self.seen.forget();
        self.store.head(&Path::parse(name)?).await?;
        Ok(self.seen.locked_until())
    }
}

/// Prepares the connection by the provider's own tools' settings. Nothing of the bucket is touched yet.
pub(super) async fn connect(bucket: &Bucket, isolation: Option<Arc<Isolation>>) -> object_store::Result<Connected> {
    let outward = Outward::of_process().map_err(bad_setting)?;
    let mut endpoint = bucket.option("endpoint").map(Endpoint::parse).transpose().map_err(bad_setting)?;
    let mut settings = None;
    let seen = Seen::guarded(isolation.clone());
    let observer = Observer::new(&seen, &outward);
    let store: Arc<dyn ObjectStore> = match bucket.service {
        Service::S3 => {
            let sdk = settings.insert(s3::sdk_config(bucket, &outward, isolation.as_ref()).await);
            let at = s3::endpoint(endpoint.take(), sdk).map_err(bad_setting)?;
            let at = endpoint.insert(at);
            Arc::new(prefixed(s3::connect(bucket, sdk, at, observer)?, bucket))
        }
        #[cfg(feature = "gcs")]
        Service::Gcs => Arc::new(prefixed(gcs::connect(bucket, endpoint.as_ref(), observer)?, bucket)),
        #[cfg(feature = "azure-blob")]
        Service::Azure => Arc::new(prefixed(azure::connect(bucket, endpoint.as_ref(), observer)?, bucket)),
    };
    let is_single_writer = bucket.option("single_writer") == Some("true");
    Ok(Connected { store, seen, sdk: settings, is_single_writer, tried: OnceCell::new(), endpoint, outward })
}

/// An attempt ends after 30 seconds without an answer, and after 45 seconds none begins: a service that says nothing is given up after
/// about a minute.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 5, retry_timeout: Duration::from_secs(45), ..RetryConfig::default() }
}

fn bad_setting(bad: BadSetting) -> object_store::Error {
    object_store::Error::Generic { store: SETTING, source: Box::new(bad) }
}

fn prefixed<T: ObjectStore>(store: T, bucket: &Bucket) -> PrefixStore<T> {
    PrefixStore::new(store, Path::from(bucket.prefix.as_str()))
}
