//! `[alarms]`: what the estate wants to be told about.

use serde::{Deserialize, Serialize};

/// Readings of one critical pattern an hour that are too many, where nothing is said.
const DEFAULT_READS: u32 = 100;

/// `[alarms]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlarmsSection {
    /// Secrets that are watched by themselves: names with `*` and `?`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub critical: Vec<String>,
    /// Readings an hour of what one of these patterns means that are too many.
    pub reads_per_hour: u32,
    /// Who may read: identifiers of roles, with `*`. Everybody else is a stranger.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub readers: Vec<String>,
    /// The role that the backup runs as.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_role: Option<String>,
    /// The hours, UTC, in which it runs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backup_hours: Vec<u8>,
    /// The log group that the audit trail of the provider writes to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_group: Option<String>,
    /// Where alarms are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Whether every reading must come through an endpoint of a private network.
    #[serde(skip_serializing_if = "super::is_default")]
    pub vpc_endpoint: bool,
}

impl Default for AlarmsSection {
    fn default() -> Self {
        Self {
            critical: Vec::new(),
            reads_per_hour: DEFAULT_READS,
            readers: Vec::new(),
            backup_role: None,
            backup_hours: Vec::new(),
            log_group: None,
            topic: None,
            vpc_endpoint: false,
        }
    }
}
