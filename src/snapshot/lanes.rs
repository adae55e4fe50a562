//! Seals values beside the task that drives the run, on as many cores as there are.
//!
//! A lane is a thread with one open pack: it seals what it is handed, in order, wipes it, and stores the pack when that
//! is full. Which line a value gets is decided before it is handed over, so records need not wait. A further lane is opened
//! only when the others do not keep up.

use std::collections::{BTreeSet, HashMap};

use futures::future::select_all;
use jiff::Timestamp;
use tokio::{
    runtime::Handle,
    sync::mpsc::{self, Receiver, Sender, UnboundedReceiver, UnboundedSender},
    task::spawn_blocking,
};

use super::Journal;
use crate::{
    crypto::Recipient,
    model::{Digest, Record, Secret, SecretValue, ValueState, Version, VersionFacets},
    provider::Held,
    repo::{FileRef, PackWriter, RepoError, Repository},
};

/// Plaintext after which a pack is ended, as near as it can be told without sealing.
const FULL: usize = PackWriter::FULL;
/// What a line holds beside identifiers and value.
const FRAME: usize = 64;
/// Secrets that wait for a lane.
const QUEUE: usize = 64;
/// More lanes would take more memory than a full pack of each is worth.
const MOST: usize = 6;

/// Where packs go.
#[derive(Clone)]
pub(super) struct Shelf {
    pub(super) repository: Repository,
    pub(super) recipients: Vec<Recipient>,
    /// Opens packs for drills too.
    pub(super) drill: Option<Recipient>,
    pub(super) journal: Option<Journal>,
    /// When the run began.
    pub(super) read: Timestamp,
}

/// All lanes of a run.
pub(super) struct Lanes {
    shelf: Shelf,
    open: Vec<Lane>,
    most: usize,
    next: u64,
    sender: UnboundedSender<Stored>,
    stored: UnboundedReceiver<Stored>,
    packs: Packs,
}

/// The stored packs of a run.
#[derive(Default)]
pub(super) struct Packs {
    /// By number.
    pub(super) files: HashMap<u64, FileRef>,
    /// Those that the drill key opens.
    pub(super) for_drills: BTreeSet<Digest>,
}

/// Where a value is: the number of its pack and its line.
pub(super) type Line = (u64, u32);

type Stored = Result<(u64, FileRef, bool), RepoError>;

struct Lane {
    orders: Sender<Order>,
    for_drills: bool,
    /// The number of the open pack.
    open: Option<u64>,
    lines: u32,
    bytes: usize,
}

enum Order {
    Seal(Batch),
    /// Ends the pack that has this number.
    End(u64),
}

/// Values of one secret.
struct Batch {
    /// The identifier of the secret.
    secret: String,
    values: Vec<(String, SecretValue)>,
    /// The line of the first.
    line: u32,
    /// Given back with the last batch of the secret.
    held: Option<Held>,
}

impl Lanes {
    pub(super) fn new(shelf: Shelf) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let (sender, stored) = mpsc::unbounded_channel();
        let packs = Packs::default();
        Self { shelf, open: Vec::new(), most: cores.clamp(2, MOST), next: 0, sender, stored, packs }
    }

    /// Hands over the values of a secret, each with its version, and tells where each will be; waits while no lane has room.
    /// What drills open goes into packs of its own.
    pub(super) async fn seal(
        &mut self,
        secret: &str,
        values: Vec<(String, SecretValue)>,
        for_drills: bool,
        mut held: Option<Held>,
    ) -> Result<Vec<Line>, RepoError> {
        self.collect()?;
        let mut lines = Vec::with_capacity(values.len());
        let mut values = values.into_iter().peekable();
        while values.peek().is_some() {
            let at = self.free_lane(for_drills).await?;
            let lane = &mut self.open[at];
            let number = lane.open.unwrap_or_else(|| {
                self.next += 1;
                self.next
            });
            let mut batch = Batch { secret: secret.to_owned(), values: Vec::new(), line: lane.lines, held: None };
            while lane.bytes < FULL
                && let Some((version, value)) = values.next()
            {
                lane.bytes += secret.len() + version.len() + value.expose().len() + FRAME;
                lines.push((number, lane.lines));
                lane.lines += 1;
                batch.values.push((version, value));
            }
            if values.peek().is_none() {
                batch.held = held.take();
            }
            lane.open = Some(number);
            let sent = lane.orders.try_send(Order::Seal(batch)).is_ok();
            if !sent || (lane.bytes >= FULL && !lane.end()) {
                return Err(self.failure().await);
            }
        }
        Ok(lines)
    }

    /// Ends every open pack and waits until all are stored.
    pub(super) async fn finish(mut self) -> Result<Packs, RepoError> {
        for lane in &mut self.open {
            let room = lane.orders.reserve().await.is_ok();
            if !room || !lane.end() {
                return Err(self.failure().await);
            }
        }
        let Self { open, sender, mut stored, mut packs, .. } = self;
        drop((open, sender));
        while let Some(pack) = stored.recv().await {
            packs.add(pack?);
        }
        Ok(packs)
    }

    /// A lane with room for a batch and the end of its pack.
    async fn free_lane(&mut self, for_drills: bool) -> Result<usize, RepoError> {
        let ours = |(_, lane): &(usize, &Lane)| lane.for_drills == for_drills;
        if let Some((at, _)) = self.open.iter().enumerate().filter(ours).find(|(_, lane)| lane.orders.capacity() >= 2) {
            return Ok(at);
        }
        let busy: Vec<usize> = self.open.iter().enumerate().filter(ours).map(|(at, _)| at).collect();
        if busy.len() < self.most {
            self.open.push(self.shelf.lane(for_drills, self.sender.clone()));
            return Ok(self.open.len() - 1);
        }
        let room = busy.iter().map(|at| Box::pin(self.open[*at].orders.reserve_many(2)));
        let (room, first, _) = select_all(room).await;
        if room.map(drop).is_ok() { Ok(busy[first]) } else { Err(self.failure().await) }
    }

    /// Takes note of packs that are stored.
    fn collect(&mut self) -> Result<(), RepoError> {
        while let Ok(pack) = self.stored.try_recv() {
            self.packs.add(pack?);
        }
        Ok(())
    }

    /// Why a lane takes nothing more.
    async fn failure(&mut self) -> RepoError {
        self.open.clear();
        self.sender = mpsc::unbounded_channel().0;
        while let Some(pack) = self.stored.recv().await {
            if let Err(error) = pack {
                return error;
            }
        }
        unreachable!("a lane that ends early says why")
    }
}

impl Packs {
    fn add(&mut self, (number, file, for_drills): (u64, FileRef, bool)) {
        self.files.insert(number, file);
        if for_drills {
            self.for_drills.insert(file.sha256);
        }
    }
}

impl Lane {
    /// Orders the end of the open pack, if there is one; `false` when the lane takes nothing more.
    fn end(&mut self) -> bool {
        (self.lines, self.bytes) = (0, 0);
        self.open.take().is_none_or(|number| self.orders.try_send(Order::End(number)).is_ok())
    }
}

impl Shelf {
    fn lane(&self, for_drills: bool, stored: UnboundedSender<Stored>) -> Lane {
        let (orders, received) = mpsc::channel(QUEUE);
        let own = self.drill.iter().filter(|_| for_drills);
        let recipients = self.recipients.iter().chain(own).cloned().collect::<Vec<_>>();
        let (shelf, runtime) = (self.clone(), Handle::current());
        spawn_blocking(move || {
            let work = Work { shelf, recipients, for_drills, runtime };
            if let Err(error) = work.run(received, &stored) {
                // Nobody asks any more when the run has failed otherwise.
                let _: Result<(), _> = stored.send(Err(error));
            }
        });
        Lane { orders, for_drills, open: None, lines: 0, bytes: 0 }
    }
}

/// What a lane's thread has.
struct Work {
    shelf: Shelf,
    recipients: Vec<Recipient>,
    for_drills: bool,
    runtime: Handle,
}

impl Work {
    /// Until there are no more orders. A pack that nobody ended is dropped.
    fn run(&self, mut orders: Receiver<Order>, stored: &UnboundedSender<Stored>) -> Result<(), RepoError> {
        let mut open = None;
        while let Some(order) = orders.blocking_recv() {
            match order {
                Order::Seal(batch) => {
                    let (pack, values) = open.get_or_insert_with(|| (PackWriter::new(&self.recipients), Vec::new()));
                    seal(batch, pack, values);
                }
                Order::End(number) => {
                    let Some((pack, values)) = open.take() else { continue };
                    let file = self.store(pack, values)?;
                    let _: Result<(), _> = stored.send(Ok((number, file, self.for_drills)));
                }
            }
        }
        Ok(())
    }

    fn store(&self, pack: PackWriter, values: Vec<Record>) -> Result<FileRef, RepoError> {
        let sealed = pack.finish();
        let file = sealed.file;
        self.runtime.block_on(self.shelf.repository.put_pack(sealed))?;
        if let Some(journal) = &self.shelf.journal {
            let noted: Vec<Record> = values.into_iter().map(|value| self.as_noted(value, file)).collect();
            // Without it the work is done again should the run be interrupted; the run itself goes on.
            if let Err(error) = journal.note(&file, &noted) {
                tracing::warn!(%error, "the journal of the run cannot be written");
            }
        }
        Ok(file)
    }

    /// Where a value is, as far as a later run needs to know.
    fn as_noted(&self, mut record: Record, file: FileRef) -> Record {
        record.read = self.shelf.read;
        for version in &mut record.versions {
            if let ValueState::Stored { pack, .. } = &mut version.value {
                *pack = file.sha256;
            }
        }
        record
    }
}

/// Appends the values to a pack and wipes them; what the journal has to know is noted beside it.
fn seal(Batch { secret, values, line, held }: Batch, pack: &mut PackWriter, noted: &mut Vec<Record>) {
    let mut versions = Vec::with_capacity(values.len());
    for (expected, (id, value)) in (line..).zip(values) {
        let line = pack.push(&secret, &id, &value);
        assert_eq!(line, expected, "lines are counted alike on both sides");
        let (kind, size) = (value.kind(), value.size());
        let value = ValueState::Stored { pack: Digest::from_bytes([0; 32]), line, kind, size };
        let facets = VersionFacets::default();
        versions.push(Version { id, current: false, labels: vec![], created: None, facets, value });
    }
    drop(held);
    let secret = Secret { id: secret, ..Secret::default() };
    noted.push(Record { secret, versions, read: Timestamp::UNIX_EPOCH, listing: None });
}
