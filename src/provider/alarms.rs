//! What an estate wants to be told, and in what form: each kind knows what its services can say.

/// What an estate wants to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    /// The log group that the trail writes to.
    pub log_group: String,
    /// The topic that is told, by ARN; without one the templates make it.
    pub topic: Option<String>,
    /// Secrets that are watched by themselves: names with `*` and `?`.
    pub critical: Vec<String>,
    /// Readings of one critical pattern an hour that are too many.
    pub reads_per_hour: u32,
    /// Roles that may read, by ARN, `*` allowed. Empty: nobody knows them, and nobody is a stranger.
    pub readers: Vec<String>,
    /// The role of the backup, by ARN.
    pub backup_role: Option<String>,
    /// The hours, UTC, in which it runs; empty for all.
    pub backup_hours: Vec<u8>,
    /// Whether every reading must come through an endpoint of a VPC.
    pub vpc_endpoint: bool,
    /// The repository whose health is watched, as its metrics name it.
    pub repository: Option<String>,
    /// The oldest that its newest snapshot may be, in hours.
    pub snapshot_hours: u32,
    /// The oldest that its newest passed drill may be, in days.
    pub drill_days: u32,
}

/// How alarms are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmFormat {
    /// A template of CloudFormation, in JSON.
    CloudFormation,
    /// A file of Terraform or OpenTofu.
    Terraform,
    /// A script that calls `aws`.
    Commands,
}

/// Something that no filter can say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAlarm {
    /// A character that has no place in a name or an ARN, and that a filter could take for its own.
    #[error("{0:?} is no name and no ARN: it is empty, or has a character that neither has")]
    Character(String),
    /// Everybody is known.
    #[error("the reader {0:?} means everybody, so nobody would be a stranger")]
    Everybody(String),
    /// Longer than CloudWatch takes.
    #[error("the filter of {name} would have {length} characters, and {most} is the most; use fewer, wider patterns")]
    Long {
        /// The alarm.
        name: String,
        /// Its length.
        length: usize,
        /// The longest that there may be.
        most: usize,
    },
    /// Not an hour.
    #[error("{0} is no hour of a day")]
    Hour(u8),
}
