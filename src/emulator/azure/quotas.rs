//! The limit of a vault's transactions: 4,000 in 10 seconds; what is refused does not count.
//! <https://learn.microsoft.com/azure/key-vault/general/service-limits>.

use jiff::Timestamp;

/// Transactions in one window.
pub(super) const MOST: u32 = 4_000;
/// Seconds of a window.
const WINDOW: i64 = 10;

/// What was used of the window that is open.
#[derive(Default)]
pub(super) struct Quota {
    begun: Option<Timestamp>,
    used: u32,
}

impl Quota {
    /// Takes one request; the seconds to wait if it is one too many.
    pub(super) fn take(&mut self, now: Timestamp) -> Result<(), u64> {
        let begun = *self.begun.get_or_insert(now);
        let passed = now.duration_since(begun).as_secs();
        if passed >= WINDOW {
            (self.begun, self.used) = (Some(now), 0);
        }
        if self.used < MOST {
            self.used += 1;
            return Ok(());
        }
        Err(u64::try_from(WINDOW - passed).unwrap_or(1).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_the_limit_waits_for_the_next_window() {
        let now = |second: i64| Timestamp::from_second(second).unwrap();
        let mut quota = Quota::default();
        assert!((0..MOST).all(|_| quota.take(now(0)).is_ok()));
        assert_eq!((quota.take(now(3)), quota.take(now(9))), (Err(7), Err(1)));
        assert_eq!(quota.take(now(10)), Ok(()));
    }
}
