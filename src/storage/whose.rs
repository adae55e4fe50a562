//! Whose a bucket is, by the service's own word, and where its requests go.

use object_store::path::Path;

use super::{Owner, Place, Storage, StorageError, address::Service};
use crate::outward::{self, Endpoint};

/// The credentials that reach an S3 bucket, and where they are used.
pub struct Signed {
    sdk: aws_config::SdkConfig,
    has_own_endpoint: bool,
}

impl Signed {
    /// The region of the SDK's settings.
    pub fn region(&self) -> Option<String> {
        self.sdk.region().map(ToString::to_string)
    }

    /// Whether the accounts of these credentials are AWS's: those of another endpoint are not.
    pub fn has_accounts(&self) -> bool {
        !self.has_own_endpoint && outward::endpoint_of(&self.sdk, "STS").is_ok()
    }

    /// The account, where STS tells it.
    pub async fn account(&self) -> Option<String> {
        let client = aws_sdk_sts::Client::new(&self.sdk);
        client.get_caller_identity().send().await.ok().and_then(|answer| answer.account)
    }
}

/// The account in `arn:aws:kms:REGION:ACCOUNT:key/ID`.
pub fn account_of_key(arn: &str) -> Option<&str> {
    let mut parts = arn.split(':');
    (parts.next() == Some("arn") && parts.nth(1) == Some("kms")).then(|| parts.nth(1)).flatten()
}

impl Storage {
    /// The credentials that an S3 bucket is reached with.
    ///
    /// # Errors
    /// [`StorageError::Unavailable`].
    pub async fn signed(&self) -> Result<Option<Signed>, StorageError> {
        let sdk = self.connected("").await?.and_then(|connected| connected.sdk.clone());
        Ok(sdk.map(|sdk| Signed { sdk, has_own_endpoint: self.has_own_endpoint() }))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keys_account_is_read_from_its_arn() {
        assert_eq!(account_of_key("arn:aws-cn:kms:cn-north-1:111111111111:key/a-b"), Some("111111111111"));
        for other in ["alias/x", "1234abcd", "arn:aws:s3:::bucket", ""] {
            assert_eq!(account_of_key(other), None, "{other}");
        }
    }
}
