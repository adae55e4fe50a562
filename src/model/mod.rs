//! The nouns of the tool: pure data, no I/O.

mod codec;
mod desired;
mod digest;
mod edit;
mod existing;
mod facets;
mod moved;
mod options;
mod place;
mod secret;
mod secret_arn;
mod state;
mod step;
mod value;

pub use codec::Codec;
pub use desired::{Desired, DesiredVersion, Lost, Planned, ValueRef, WithheldVersion};
pub use digest::{Digest, Hashing, ParseIdError, RepositoryId, SnapshotId};
pub use edit::{Edits, Effect, Replacements, edit_fault, edited, effect};
pub use existing::{Existing, PolicyVerdict, Presence};
pub use facets::{Facets, Replica, Rotation, Tag, VersionFacets};
pub use moved::Moved;
pub use options::{
    Maps, OnConflict, OnLeaked, OnReplica, OnScheduled, Options, Policies, VersionNumbers, name_matches,
};
pub use place::{NoPlace, Place, PlaceFilter};
pub use secret::{Part, Record, Refusal, Secret, Unreadable, ValueState, Version, Withheld};
pub use secret_arn::SecretArn;
pub use state::State;
pub use step::Step;
pub use value::{SecretValue, ValueKind};

/// The key of the tag that a drill gives to what it creates, and a restore never brings back.
pub const DRILL_TAG: &str = "lifeboat:drill";
/// How the reason begins that stands for the value of a version which a tombstone marks (`repo::Tombstone`).
pub const LEAKED: &str = "marked as leaked";
/// The label of the version in use.
pub const AWSCURRENT: &str = "AWSCURRENT";
/// The label of the version in use before.
pub const AWSPREVIOUS: &str = "AWSPREVIOUS";
/// The label of a version that a rotation is preparing.
pub const AWSPENDING: &str = "AWSPENDING";
