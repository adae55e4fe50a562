//! Work that takes a processor: on every core, and beside the runtime's threads, which it would hold up.

use std::{num::NonZero, panic, sync::Arc, thread};

use futures::future::join_all;

/// How many cores this process may use.
pub fn count() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Does `work` beside the runtime's threads; a panic in it goes on in the caller.
///
/// # Panics
/// When `work` does.
pub async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => panic::resume_unwind(error.into_panic()),
    }
}

/// Does `work` with each of `items`, an even share on every core; the answers are in the order of the items.
///
/// # Panics
/// When `work` does.
pub async fn each<A, B>(items: Vec<A>, work: impl Fn(A) -> B + Send + Sync + 'static) -> Vec<B>
where
    A: Send + 'static,
    B: Send + 'static,
{
    let share = items.len().div_ceil(count()).max(1);
    let work = Arc::new(work);
    let mut items = items.into_iter();
    let shares = std::iter::from_fn(|| {
        let part: Vec<A> = items.by_ref().take(share).collect();
        let work = Arc::clone(&work);
        (!part.is_empty()).then(|| aside(move || part.into_iter().map(|item| work(item)).collect::<Vec<B>>()))
    });
    join_all(shares).await.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn every_item_is_answered_in_order() {
        for length in [0, 1, 2, 3, 1000] {
            let found = block_on(each((0..length).collect(), |number: u32| number + 1));
            assert_eq!(found, (1..=length).collect::<Vec<_>>());
        }
    }

    #[test]
    fn it_is_not_the_callers_thread_that_works() {
        let caller = thread::current().id();
        assert!(
            block_on(each(vec![(), ()], move |()| thread::current().id() != caller)).into_iter().all(|other| other)
        );
    }

    #[test]
    #[should_panic(expected = "item 7")]
    fn a_panic_is_not_lost() {
        block_on(each((0..9).collect(), |number: u32| assert!(number != 7, "item {number}")));
    }
}
