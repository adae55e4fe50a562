//! Whose a bucket is, by the service's own word, and where its requests go.

use object_store::path::Path;

use super::{Owner, Place, Storage, StorageError, address::Service};
use crate::outward::Endpoint;

impl Storage {
    /// Whether the address names an endpoint that is not the provider's own. AWS's private links, FIPS and dual-stack
    /// endpoints are AWS's.
    pub fn has_own_endpoint(&self) -> bool {
        let Place::Bucket { bucket, .. } = &*self.place else { return false };
        let is_awss = |endpoint: Endpoint| bucket.service == Service::S3 && endpoint.is_awss_s3();
        bucket.option("endpoint").is_some_and(|text| !Endpoint::parse(text).is_ok_and(is_awss))
    }

    /// The endpoint to which its requests go in clear, beyond this machine.
    ///
    /// # Errors
    /// [`StorageError::Setting`], [`StorageError::Unavailable`].
    pub async fn in_clear(&self) -> Result<Option<String>, StorageError> {
        let endpoint = self.connected("").await?.and_then(|connected| connected.endpoint.as_ref());
        Ok(endpoint.filter(|endpoint| endpoint.is_in_clear()).map(ToString::to_string))
    }

    /// Whose an S3 bucket is: one of `accounts`, or nobody's of them; `None` where there are no such accounts.
    ///
    /// # Errors
    /// [`StorageError::Setting`], [`StorageError::Unavailable`].
    pub async fn owner(&self, accounts: &[String]) -> Result<Option<Owner>, StorageError> {
        let Place::Bucket { bucket, .. } = &*self.place else { return Ok(None) };
        let Some(connected) = self.connected("").await? else { return Ok(None) };
        Ok(connected.owner(bucket, accounts).await)
    }

    /// The KMS key under which S3 keeps a file, as the service names it; `None` where there is none, or it does not say.
    ///
    /// # Errors
    /// [`StorageError::Setting`], [`StorageError::Unavailable`].
    pub async fn encryption_key(&self, name: &str) -> Result<Option<String>, StorageError> {
        let Place::Bucket { bucket, .. } = &*self.place else { return Ok(None) };
        let Some(connected) = self.connected("").await? else { return Ok(None) };
        let path = Path::from(bucket.prefix.as_str());
        let key = if path.as_ref().is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        Ok(connected.encryption_key(bucket, &key).await)
    }

    /// The KMS key that the address asks for.
    pub fn wanted_key(&self) -> Option<&str> {
        match &*self.place {
            Place::Bucket { bucket, .. } => bucket.option("kms"),
            _ => None,
        }
    }
}
