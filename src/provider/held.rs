//! How much plaintext may be in memory at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// An amount of bytes that is shared by everybody who reads values. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    free: Arc<Semaphore>,
    all: u32,
}

/// A part of the budget, given back when it is dropped. Whoever holds values holds it as long as the values.
#[derive(Debug)]
pub struct Held(OwnedSemaphorePermit);

impl Budget {
    pub(super) fn new(bytes: u32) -> Self {
        Self { free: Arc::new(Semaphore::new(bytes as usize)), all: bytes }
    }

    /// Waits for so many bytes; more than there are is all of them. Whoever holds some must not wait for more.
    pub(super) async fn reserve(&self, bytes: usize) -> Held {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX).min(self.all);
        let permit = Arc::clone(&self.free).acquire_many_owned(bytes).await;
        Held(permit.expect("the semaphore is never closed"))
    }
}

impl Held {
    /// Gives back what is beyond so many bytes.
    pub(super) fn shrink(&mut self, bytes: usize) {
        let surplus = self.0.num_permits().saturating_sub(bytes);
        drop(self.0.split(surplus));
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn no_more_is_held_than_there_is() {
        let budget = Budget::new(100);
        let mut first = budget.reserve(60).await;
        assert!(budget.reserve(50).now_or_never().is_none(), "110 of 100");
        first.shrink(70);
        assert!(budget.reserve(41).now_or_never().is_none(), "shrinking never takes more");
        first.shrink(10);
        let second = budget.reserve(90).now_or_never().expect("90 are free");
        assert!(budget.reserve(1).now_or_never().is_none());
        drop((first, second));
        assert!(budget.reserve(1_000).now_or_never().is_some(), "a secret larger than all of it is read alone");
    }
}
