//! AWS's request quotas: one token bucket per account, region and group of operations.

use std::{
    sync::{Mutex, PoisonError},
    time::Instant,
};

use super::{ops::Operation, refusal::Refusal};

/// Calls per second of each bucket; the order is that of [`bucket_of`].
/// Source: AWS Secrets Manager user guide, "Secrets Manager quotas".
const RATES: [f64; 13] = [
    40_000.0, // DescribeSecret
    10_000.0, // GetSecretValue
    100.0,    // BatchGetSecretValue
    100.0,    // ListSecrets
    50.0,     // ListSecretVersionIds
    50.0,     // resource policies
    50.0,     // new versions, labels, replication
    50.0,     // RestoreSecret
    50.0,     // rotation
    50.0,     // tags
    50.0,     // CreateSecret
    50.0,     // DeleteSecret
    50.0,     // GetRandomPassword
];

/// The buckets of one account and region. A full bucket holds one second's worth.
pub(super) struct Quotas(Mutex<[Bucket; RATES.len()]>);

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Option<Instant>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self(Mutex::new([Bucket { tokens: 0.0, filled: None }; RATES.len()]))
    }
}

impl Quotas {
    /// Takes one token.
    pub fn take(&self, operation: Operation, now: Instant) -> Result<(), Refusal> {
        let index = bucket_of(operation);
        let rate = RATES[index];
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = &mut buckets[index];
        bucket.tokens = match bucket.filled {
            None => rate,
            Some(before) => rate.min(bucket.tokens + now.saturating_duration_since(before).as_secs_f64() * rate),
        };
        bucket.filled = Some(now);
        if bucket.tokens < 1.0 {
            return Err(Refusal::new("ThrottlingException", "Rate exceeded"));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

fn bucket_of(operation: Operation) -> usize {
    use Operation as O;
    match operation {
        O::DescribeSecret => 0,
        O::GetSecretValue => 1,
        O::BatchGetSecretValue => 2,
        O::ListSecrets => 3,
        O::ListSecretVersionIds => 4,
        O::GetResourcePolicy | O::PutResourcePolicy | O::DeleteResourcePolicy | O::ValidateResourcePolicy => 5,
        O::PutSecretValue
        | O::UpdateSecret
        | O::UpdateSecretVersionStage
        | O::ReplicateSecretToRegions
        | O::RemoveRegionsFromReplication
        | O::StopReplicationToReplica => 6,
        O::RestoreSecret => 7,
        O::RotateSecret | O::CancelRotateSecret => 8,
        O::TagResource | O::UntagResource => 9,
        O::CreateSecret => 10,
        O::DeleteSecret => 11,
        O::GetRandomPassword => 12,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn burst(quotas: &Quotas, operation: Operation, now: Instant) -> usize {
        (0..100_000).take_while(|_| quotas.take(operation, now).is_ok()).count()
    }

    #[test]
    fn a_second_holds_exactly_the_rate() {
        let quotas = Quotas::default();
        let now = Instant::now();
        assert_eq!(burst(&quotas, Operation::ListSecretVersionIds, now), 50);
        assert_eq!(burst(&quotas, Operation::ListSecretVersionIds, now), 0);
        assert_eq!(burst(&quotas, Operation::ListSecretVersionIds, now + Duration::from_millis(500)), 25);
        assert_eq!(burst(&quotas, Operation::ListSecrets, now), 100);
    }

    #[test]
    fn policy_calls_share_one_bucket_and_others_do_not_touch_it() {
        let quotas = Quotas::default();
        let now = Instant::now();
        assert_eq!(burst(&quotas, Operation::GetResourcePolicy, now), 50);
        assert!(quotas.take(Operation::ValidateResourcePolicy, now).is_err());
        assert!(quotas.take(Operation::PutSecretValue, now).is_ok());
        let refusal = quotas.take(Operation::DeleteResourcePolicy, now).err().unwrap();
        assert_eq!((refusal.code.as_ref(), refusal.message.as_ref()), ("ThrottlingException", "Rate exceeded"));
    }

    #[test]
    fn an_idle_hour_saves_up_no_more_than_a_second() {
        let quotas = Quotas::default();
        let now = Instant::now();
        assert_eq!(burst(&quotas, Operation::CreateSecret, now), 50);
        assert_eq!(burst(&quotas, Operation::CreateSecret, now + Duration::from_hours(1)), 50);
    }
}
