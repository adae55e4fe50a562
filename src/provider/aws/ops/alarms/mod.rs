//! Alarms on what CloudTrail records of Secrets Manager, and on the health of the backup itself.
//!
//! The service has one metric of its own, the count of secrets. So every alarm on what happens to them counts lines of a trail
//! that goes to CloudWatch Logs, by a metric filter, or is a rule of EventBridge, which Get, List and Describe never reach.
//! <https://docs.aws.amazon.com/secretsmanager/latest/userguide/monitoring-cloudtrail.html>,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>.

mod cloudformation;
mod commands;
mod pattern;
mod terraform;

use serde_json::{Value as Json, json};

use crate::provider::{AlarmFormat, BadAlarm, Watched};
use pattern::{Pattern, any, equal, exists, missing, unequal};
pub(super) use terraform::quoted;

/// Where the filters write, and what the backup writes itself.
const TRAIL: &str = "Lifeboat/Secrets";
/// The namespace of the backup's own metrics.
pub const HEALTH: &str = "Lifeboat";
const SERVICE: &str = "secretsmanager.amazonaws.com";
const HOUR: u32 = 3_600;
const FIVE_MINUTES: u32 = 300;
/// Refused readings of all secrets in five minutes that are a word worth.
const REFUSED: u32 = 5;

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutMetricFilter.html>
const MOST: usize = 1_024;

/// Counts lines of the trail under its own name.
struct Filter {
    name: String,
    pattern: String,
}

/// What is compared with a limit.
struct Alarm {
    name: String,
    description: String,
    namespace: &'static str,
    metric: String,
    /// Name and value.
    dimension: Option<(&'static str, String)>,
    statistic: &'static str,
    when: When,
    /// In seconds.
    period: u32,
    /// Silence is a failure of what should speak.
    is_silence_bad: bool,
}

#[derive(Clone, Copy)]
enum When {
    AtLeast(u32),
    /// Further from what is usual at this hour than so many standard deviations.
    Unusual(u32),
}

/// What EventBridge passes on.
struct Rule {
    name: &'static str,
    description: &'static str,
    pattern: Json,
}

/// A saved query of Logs Insights, for what no filter can count.
struct Query {
    name: &'static str,
    text: &'static str,
}

/// Everything, before it is written in one format or another.
#[derive(Default)]
struct Plan {
    filters: Vec<Filter>,
    alarms: Vec<Alarm>,
    rules: Vec<Rule>,
    queries: Vec<Query>,
}

/// The alarms of an estate, as a file for others to apply. Nothing is connected to.
///
/// # Errors
/// [`BadAlarm`].
pub fn alarms(watched: &Watched, format: AlarmFormat) -> Result<String, BadAlarm> {
    let plan = Plan::of(watched)?;
    for text in watched.topic.iter().chain([&watched.log_group]).chain(&watched.repository) {
        pattern::plain(text)?;
    }
    Ok(match format {
        AlarmFormat::CloudFormation => cloudformation::template(&plan, watched),
        AlarmFormat::Terraform => terraform::file(&plan, watched),
        AlarmFormat::Commands => commands::script(&plan, watched),
    })
}

/// The metric filters alone, by name: what they match is held against recorded events.
///
/// # Errors
/// [`BadAlarm`].
pub fn filters(watched: &Watched) -> Result<Vec<(String, String)>, BadAlarm> {
    Ok(Plan::of(watched)?.filters.into_iter().map(|filter| (filter.name, filter.pattern)).collect())
}

/// The rules of EventBridge alone, by name.
pub fn rules() -> Vec<(String, Json)> {
    event_rules().into_iter().map(|rule| (rule.name.to_owned(), rule.pattern)).collect()
}

impl Plan {
    fn of(watched: &Watched) -> Result<Self, BadAlarm> {
        let mut plan = Self { rules: event_rules(), queries: queries(), ..Self::default() };
        plan.reading(watched)?;
        plan.strangers(watched)?;
        plan.changes()?;
        plan.backup(watched)?;
        plan.health(watched);
        Ok(plan)
    }

    /// A filter and the alarm that counts what it finds.
    fn count(
        &mut self,
        name: &str,
        description: &str,
        pattern: Pattern,
        when: When,
        period: u32,
    ) -> Result<(), BadAlarm> {
        let pattern = pattern.text();
        if pattern.chars().count() > MOST {
            return Err(BadAlarm::Long { name: name.to_owned(), length: pattern.chars().count(), most: MOST });
        }
        self.filters.push(Filter { name: name.to_owned(), pattern });
        self.alarms.push(Alarm {
            name: name.to_owned(),
            description: description.to_owned(),
            namespace: TRAIL,
            metric: name.to_owned(),
            dimension: None,
            statistic: "Sum",
            when,
            period,
            is_silence_bad: false,
        });
        Ok(())
    }

    /// How often values are read, and how often that is refused.
    fn reading(&mut self, watched: &Watched) -> Result<(), BadAlarm> {
        let words = "Values are read more or less often than usual at this hour";
        self.count("secrets-read", words, read()?.and(&missing("errorCode")), When::Unusual(3), HOUR)?;
        let words = "Reading secrets was refused, or found nothing, several times in five minutes";
        self.count("secrets-refused", words, refused()?, When::AtLeast(REFUSED), FIVE_MINUTES)?;
        let words = "A secret was read that is scheduled for deletion: something still needs it";
        let doomed = read()?.and(&equal("errorMessage", "*secret because it was marked for deletion*")?);
        self.count("doomed-read", words, doomed, When::AtLeast(1), FIVE_MINUTES)?;
        for (number, wanted) in (1..).zip(&watched.critical) {
            pattern::plain(&wanted.replace('?', "*"))?;
            let named = |pattern: Pattern| Ok(pattern.and(&equal("requestParameters.secretId", &anywhere(wanted))?));
            let words = format!("{wanted} is read more often than it may be");
            let often = When::AtLeast(watched.reads_per_hour.max(1));
            self.count(
                &format!("critical-{number}-read"),
                &words,
                named(read()?.and(&missing("errorCode")))?,
                often,
                HOUR,
            )?;
            let words = format!("Reading {wanted} was refused, or found nothing");
            self.count(
                &format!("critical-{number}-refused"),
                &words,
                named(refused()?)?,
                When::AtLeast(1),
                FIVE_MINUTES,
            )?;
        }
        Ok(())
    }

    /// Who reads that should not.
    fn strangers(&mut self, watched: &Watched) -> Result<(), BadAlarm> {
        let person = any([equal("userIdentity.type", "IAMUser")?, equal("userIdentity.type", "Root")?]);
        let words = "A value was read by a user or by root, and not by a role";
        self.count("read-by-person", words, read()?.and(&person), When::AtLeast(1), FIVE_MINUTES)?;
        let words = "A value was read in a session without a second factor that began with a user";
        let factor = equal("userIdentity.sessionContext.attributes.mfaAuthenticated", "false")?;
        let person = equal("userIdentity.type", "IAMUser")?;
        self.count("read-without-mfa", words, read()?.and(&person).and(&factor), When::AtLeast(1), FIVE_MINUTES)?;
        if !watched.readers.is_empty() {
            let issuer = "userIdentity.sessionContext.sessionIssuer.arn";
            // Whether a field that is missing is unequal to a text is nowhere said.
            let mut none = exists(issuer);
            for known in watched.readers.iter().chain(&watched.backup_role) {
                if known.trim_matches('*').is_empty() && !known.is_empty() {
                    return Err(BadAlarm::Everybody(known.clone()));
                }
                none = none.and(&unequal(issuer, known)?);
            }
            let stranger = read()?.and(&any([missing(issuer), none.grouped()]));
            let words = "A value was read by somebody who is none of the known readers";
            self.count("read-by-stranger", words, stranger, When::AtLeast(1), FIVE_MINUTES)?;
        }
        if watched.vpc_endpoint {
            let words = "A value was read past the VPC's endpoint";
            self.count(
                "read-from-outside",
                words,
                read()?.and(&missing("vpcEndpointId")),
                When::AtLeast(1),
                FIVE_MINUTES,
            )?;
        }
        Ok(())
    }

    /// What changes a secret or takes it away.
    fn changes(&mut self) -> Result<(), BadAlarm> {
        let mut ours = |name: &str, words: &str, events: &[&str]| {
            self.count(name, words, service()?.and(&one_of("eventName", events)?), When::AtLeast(1), FIVE_MINUTES)
        };
        ours("rotation-failed", "A rotation failed or was abandoned", &["RotationFailed", "RotationAbandoned"])?;
        ours("deleted", "A secret was deleted or is about to be", &["DeleteSecret", "EndSecretVersionDelete"])?;
        ours("policy-changed", "A resource policy was set or removed", &["PutResourcePolicy", "DeleteResourcePolicy"])?;
        let lost = ["RemoveRegionsFromReplication", "StopReplicationToReplica", "ReplicationFailed"];
        ours("replica-lost", "A replica was removed, cut off, or could not be made", &lost)
    }

    /// The backup's own role can read everything, so it is watched like nobody else.
    fn backup(&mut self, watched: &Watched) -> Result<(), BadAlarm> {
        let Some(role) = &watched.backup_role else { return Ok(()) };
        let its = || equal("userIdentity.sessionContext.sessionIssuer.arn", role);
        let words = "The role of the backup did something else than reading secrets";
        let reading = [
            "GetSecretValue",
            "BatchGetSecretValue",
            "DescribeSecret",
            "ListSecretVersionIds",
            "GetResourcePolicy",
            "ListSecrets",
        ];
        let mut other = service()?.and(&its()?);
        for event in reading {
            other = other.and(&unequal("eventName", event)?);
        }
        self.count("backup-role-writes", words, other, When::AtLeast(1), FIVE_MINUTES)?;
        let words = "The role of the backup was refused something";
        self.count("backup-role-refused", words, its()?.and(&exists("errorCode")), When::AtLeast(1), FIVE_MINUTES)?;
        if !watched.backup_hours.is_empty() {
            let mut late = read()?.and(&its()?);
            for hour in &watched.backup_hours {
                if *hour > 23 {
                    return Err(BadAlarm::Hour(*hour));
                }
                // RFC 3339, always UTC.
                late = late.and(&unequal("eventTime", &format!("*T{hour:02}:*"))?);
            }
            let words = "The role of the backup reads at an hour at which no backup runs";
            self.count("backup-role-late", words, late, When::AtLeast(1), FIVE_MINUTES)?;
        }
        Ok(())
    }

    /// What `lifeboat status --emf` says of the backup. A backup that says nothing is a failure.
    fn health(&mut self, watched: &Watched) {
        let Some(repository) = &watched.repository else { return };
        let hours = watched.snapshot_hours.max(1);
        let days = watched.drill_days.max(1);
        for (name, metric, limit, is_silence_bad, words) in [
            (
                "backup-old",
                "SnapshotAgeSeconds",
                hours * HOUR,
                true,
                "The newest snapshot is too old, or nobody says how old",
            ),
            ("backup-incomplete", "SecretsIncomplete", 1, false, "The newest snapshot lacks a secret"),
            ("backup-faults", "HistoryFaults", 1, false, "The history of the backup was tampered with or is damaged"),
            ("copies-behind", "CopiesBehind", 1, false, "A copy lacks a snapshot or cannot be reached"),
            ("drill-old", "DrillAgeSeconds", days.saturating_mul(24 * HOUR), false, "No drill has passed for too long"),
            ("sheets-due", "SheetsDue", 1, false, "A custodian has not proven a sheet in time"),
        ] {
            self.alarms.push(Alarm {
                name: name.to_owned(),
                description: words.to_owned(),
                namespace: HEALTH,
                metric: metric.to_owned(),
                dimension: Some(("Repository", repository.clone())),
                statistic: "Maximum",
                when: When::AtLeast(limit),
                period: if is_silence_bad { 6 * HOUR } else { HOUR },
                is_silence_bad,
            });
        }
    }
}

/// A value is read, one or many at a time.
fn read() -> Result<Pattern, BadAlarm> {
    Ok(service()?.and(&one_of("eventName", &["GetSecretValue", "BatchGetSecretValue"])?))
}

fn refused() -> Result<Pattern, BadAlarm> {
    Ok(service()?.and(&one_of("errorCode", &["AccessDenied*", "*NotFound*", "DecryptionFailure*"])?))
}

fn service() -> Result<Pattern, BadAlarm> {
    equal("eventSource", SERVICE)
}

fn one_of(field: &str, values: &[&str]) -> Result<Pattern, BadAlarm> {
    let each: Result<Vec<Pattern>, BadAlarm> = values.iter().map(|value| equal(field, value)).collect();
    Ok(any(each?))
}

/// A name as a request has it: alone, or at the end of an ARN with six characters behind it. A filter knows no `?`.
fn anywhere(name: &str) -> String {
    let wide = name.replace('?', "*");
    format!("*{}*", wide.trim_matches('*'))
}

fn event_rules() -> Vec<Rule> {
    vec![
        Rule {
            name: "rotation-failed-event",
            description: "A rotation failed, was abandoned, or its test failed",
            pattern: json!({
                "source": ["aws.secretsmanager"],
                "detail-type": ["AWS Service Event via CloudTrail"],
                "detail": { "eventName": ["RotationFailed", "RotationAbandoned", "TestRotationFailed"] },
            }),
        },
        Rule {
            name: "secret-removed-event",
            description: "A secret is to be deleted, was deleted, or its policy was changed",
            pattern: json!({
                "source": ["aws.secretsmanager"],
                "detail": { "eventName": [
                    "DeleteSecret", "EndSecretVersionDelete", "PutResourcePolicy", "DeleteResourcePolicy",
                    "RemoveRegionsFromReplication", "StopReplicationToReplica",
                ] },
            }),
        },
    ]
}

fn queries() -> Vec<Query> {
    vec![
        Query {
            name: "lifeboat/mass-reads",
            text: "filter eventSource = \"secretsmanager.amazonaws.com\" and eventName = \"GetSecretValue\"\n\
                   | stats count_distinct(requestParameters.secretId) as secrets, count(*) as readings \
                   by userIdentity.arn, bin(1h)\n| sort secrets desc\n| limit 50",
        },
        Query {
            name: "lifeboat/readers-of-a-secret",
            text: "filter eventSource = \"secretsmanager.amazonaws.com\" and eventName = \"GetSecretValue\"\n\
                   | filter requestParameters.secretId like /NAME/\n\
                   | stats count(*) as readings, min(eventTime) as first, max(eventTime) as last \
                   by userIdentity.arn, sourceIPAddress, userAgent\n| sort readings desc",
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched() -> Watched {
        Watched {
            log_group: "trail".into(),
            critical: vec!["orrange-p2p/blockchain/*".into()],
            readers: vec!["arn:aws:iam::111111111111:role/api".into()],
            backup_role: Some("arn:aws:iam::111111111111:role/lifeboat-backup".into()),
            backup_hours: vec![2, 3],
            repository: Some("r".into()),
            vpc_endpoint: true,
            ..Watched::default()
        }
    }

    #[test]
    fn a_critical_secret_is_watched_by_name_and_by_arn() {
        let filters = filters(&watched()).unwrap();
        let (_, pattern) = filters.iter().find(|(name, _)| name == "critical-1-read").unwrap();
        assert!(pattern.contains(r#"($.requestParameters.secretId = "*orrange-p2p/blockchain/*")"#), "{pattern}");
    }

    #[test]
    fn what_a_filter_could_take_for_its_own_is_refused() {
        for bad in ["a\" || ($.x = \"*", "a\nb", "a b", "", "é"] {
            let all = [
                Watched { critical: vec![bad.into()], ..watched() },
                Watched { readers: vec![bad.into()], ..watched() },
                Watched { backup_role: Some(bad.into()), ..watched() },
                Watched { topic: Some(bad.into()), ..watched() },
                Watched { log_group: bad.into(), ..watched() },
                Watched { repository: Some(bad.into()), ..watched() },
            ];
            for watched in all {
                let refused = alarms(&watched, AlarmFormat::Terraform);
                assert!(matches!(refused, Err(BadAlarm::Character(_))), "{bad:?}: {watched:?}");
            }
        }
        for everybody in ["*", "**"] {
            let refused = alarms(&Watched { readers: vec![everybody.into()], ..watched() }, AlarmFormat::Commands);
            assert_eq!(refused, Err(BadAlarm::Everybody(everybody.into())));
        }
        let late = Watched { backup_hours: vec![24], ..watched() };
        assert_eq!(alarms(&late, AlarmFormat::Commands), Err(BadAlarm::Hour(24)));
    }

    #[test]
    fn more_readers_than_a_filter_holds_are_refused_and_not_cut() {
        let readers = (0..40).map(|number| format!("arn:aws:iam::111111111111:role/reader-{number}")).collect();
        let refused = alarms(&Watched { readers, ..watched() }, AlarmFormat::CloudFormation).unwrap_err();
        assert!(matches!(&refused, BadAlarm::Long { name, .. } if name == "read-by-stranger"), "{refused}");
    }

    #[test]
    fn a_silent_backup_is_an_alarm_and_a_silent_trail_is_none() {
        let plan = Plan::of(&watched()).unwrap();
        let bad: Vec<&str> =
            plan.alarms.iter().filter(|alarm| alarm.is_silence_bad).map(|alarm| &*alarm.name).collect();
        assert_eq!(bad, ["backup-old"]);
    }
}
