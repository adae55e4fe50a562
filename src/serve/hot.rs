//! What was asked for by name: the secrets that have it, or that none has, while there is room.
//!
//! A question is answered from one of several parts, so that those who ask at the same time rarely wait for each other. What was
//! asked for twice outlives what was asked for once: whoever walks through every name pushes out none that is in use.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OnceCell;

use super::{entry::Entry, estate::Unreadable};

const PARTS: usize = 16;
/// What a name takes beside its text and its secrets.
const BESIDE: usize = 256;

/// Every secret of one name, in the order of the snapshots.
pub(super) type Named = Arc<[Arc<Entry>]>;

/// Names that were asked for.
pub(super) struct Hot {
    parts: [Mutex<Part>; PARTS],
    hasher: RandomState,
    /// Bytes that each part may take.
    room: usize,
}

type Opening = Arc<OnceCell<Named>>;

#[derive(Default)]
struct Part {
    held: HashMap<Arc<str>, Held>,
    /// The oldest first.
    order: VecDeque<Arc<str>>,
    bytes: usize,
}

struct Held {
    opening: Opening,
    bytes: usize,
    /// Whether it was asked for again since it was last looked at.
    is_used: bool,
}

impl Hot {
    /// Holds some `room` bytes at most.
    pub(super) fn new(room: usize) -> Self {
        let parts = std::array::from_fn(|_| Mutex::default());
        Self { parts, hasher: RandomState::new(), room: room / PARTS }
    }

    /// The secrets of a name: those that are held, else what `read` gives. Those who ask for one that is being read wait for it.
    ///
    /// # Errors
    /// That of `read`; the next who asks reads again.
    pub(super) async fn named(
        &self,
        name: &str,
        read: impl Future<Output = Result<Vec<Entry>, Unreadable>>,
    ) -> Result<Named, Unreadable> {
        let opening = self.part(name).opening(name, self.room);
        if let Some(named) = opening.get() {
            return Ok(Arc::clone(named));
        }
        let read = async { read.await.map(|entries| entries.into_iter().map(Arc::new).collect()) };
        let named = Arc::clone(opening.get_or_try_init(|| read).await?);
        self.part(name).weigh(name, &named, self.room);
        Ok(named)
    }

    fn part(&self, name: &str) -> MutexGuard<'_, Part> {
        #[expect(clippy::cast_possible_truncation, reason = "any of its bits will do")]
        let at = self.hasher.hash_one(name) as usize % PARTS;
        self.parts[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that are held.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).bytes).sum()
    }
}

impl Part {
    fn opening(&mut self, name: &str, room: usize) -> Opening {
        if let Some(held) = self.held.get_mut(name) {
            held.is_used = true;
            return Arc::clone(&held.opening);
        }
        let (name, opening): (Arc<str>, Opening) = (name.into(), Opening::default());
        let bytes = BESIDE + 2 * name.len();
        self.bytes += bytes;
        self.held.insert(Arc::clone(&name), Held { opening: Arc::clone(&opening), bytes, is_used: false });
        self.order.push_back(name);
        self.make_room(room);
        opening
    }

    /// Counts what was read for a name.
    fn weigh(&mut self, name: &str, named: &Named, room: usize) {
        let bytes = BESIDE + 2 * name.len() + named.iter().map(|entry| entry.bytes()).sum::<usize>();
        if let Some(held) = self.held.get_mut(name) {
            self.bytes = self.bytes - held.bytes + bytes;
            held.bytes = bytes;
        }
        self.make_room(room);
    }

    /// Lets the oldest go until there is room; what was used meanwhile has another turn.
    fn make_room(&mut self, room: usize) {
        while self.bytes > room && self.order.len() > 1 {
            let Some(name) = self.order.pop_front() else { return };
            match self.held.get_mut(&name) {
                Some(held) if held.is_used => {
                    held.is_used = false;
                    self.order.push_back(name);
                }
                Some(held) => {
                    self.bytes -= held.bytes;
                    self.held.remove(&name);
                }
                None => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::serve::sample;

    async fn ask(hot: &Hot, name: &str, reads: &AtomicUsize) -> usize {
        let read = async {
            reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok(vec![Entry::new(sample::record("us-east-1", name, "v"), 0)])
        };
        hot.named(name, read).await.unwrap().len()
    }

    #[tokio::test]
    async fn a_name_is_read_once_however_many_ask_and_again_after_an_error() {
        let (hot, reads) = (Hot::new(1 << 20), AtomicUsize::new(0));
        let failed = async { Err(Unreadable("gone".into())) };
        assert_eq!(hot.named("app", failed).await.err(), Some(Unreadable("gone".into())));
        let all = futures::future::join_all((0..50).map(|_| ask(&hot, "app", &reads))).await;
        assert!(all.iter().all(|count| *count == 1));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        let none = async { Ok(Vec::new()) };
        assert!(hot.named("none", none).await.unwrap().is_empty());
        let never = async { Err(Unreadable("it is asked for again".into())) };
        assert!(hot.named("none", never).await.unwrap().is_empty(), "that there is none is held too");
    }

    #[tokio::test]
    async fn what_is_in_use_stays_and_the_rest_takes_no_more_than_its_room() {
        const ROOM: usize = 1 << 20;
        let (hot, reads) = (Hot::new(ROOM), AtomicUsize::new(0));
        for number in 0..20_000 {
            ask(&hot, &format!("once/{number}"), &AtomicUsize::new(0)).await;
            if number % 10 == 0 {
                ask(&hot, "app/often", &reads).await;
            }
            assert!(hot.bytes() <= ROOM + ROOM / 8, "{}", hot.bytes());
        }
        assert!(hot.bytes() > ROOM / 2);
        assert_eq!(reads.load(Ordering::Relaxed), 1, "what is asked for again and again is never read again");
    }
}
