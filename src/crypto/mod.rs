//! Keys, sealing and signing. Pure and sync.

mod custodian_key;
mod harden;
mod host_keys;
mod locked;
mod mark;
mod password;
mod recipient;
mod recovery;
mod seal;
mod sign;
mod version_key;
mod wiping;

pub use custodian_key::{CustodianKey, CustodianKeyError};
pub use harden::{Hardening, harden_process, lock_memory};
pub use host_keys::{DrillKey, IndexKey, KeyFileError};
pub use mark::MarkKey;
pub use password::{NoPassword, PasswordRequest, random_password};
pub use recipient::{Recipient, RecipientError};
pub use recovery::RecoveryKey;
pub use seal::{OpenError, Opener, Sealer, open};
pub use sign::{Namespace, PublicKey, SignatureError, Signer, verify};
pub use version_key::VersionKey;
pub use wiping::WipingAllocator;
