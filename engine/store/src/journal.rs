//! Group commit: one write and one flush of the ring serve every partition of the core.
//!
//! Records are copied into the commit being filled. It is submitted at once when the device is idle; otherwise it goes on
//! filling until the commit before it has been flushed, or until it is worth a write of its own. Several commits may be in
//! flight; they become written and durable **strictly in sequence**, whatever the order in which the device completes them.
//! A flush makes durable only commits whose write had completed before the flush began; of a flush that is linked to a write,
//! that write is one of them (`journal/linked.rs`).
//!
//! An I/O error on a write or a flush stops the process: after a failed flush nobody knows what the device holds.

mod completion;
mod counters;
mod entry;
mod filling;
mod linked;
mod room;
mod submission;
mod times;

pub use counters::JournalCounters;
pub(crate) use entry::{Entry, NO_PARTITION};
pub use times::CommitTimes;

use crate::format::BLOCK;
use crate::planted::{self, Planted};
use crate::ring::Ring;
use ids::{Instant, PartitionId};
use runtime::sync::{Notify, Oneshot, OneshotSender, oneshot};
use runtime::{Buffer, File, Runtime, URGENT_AT_ONCE};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;
use times::{TIMES, slot};

/// How far a commit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its write, and that of all before it, has completed.
    Written,
    /// It, and all before it, are flushed.
    Durable,
}

/// Commits whose writes are in flight at the same time: none waits for another one's flush to end.
const IN_FLIGHT_MAX: usize = URGENT_AT_ONCE;
/// A commit of this size does not wait for the one before it to be flushed.
const WORTH_A_WRITE: usize = 128 * 1024;
/// The usual capacity of a commit's buffer.
const COMMIT_BYTES: usize = 1 << 20;
/// Commits that may wait for their turn; beyond that producers wait.
const QUEUED_COMMITS_MAX: usize = 8;
/// If nothing follows within this time, one empty commit records how far the ring is flushed.
const MARK_AFTER: Duration = Duration::from_millis(10);
/// Of the ring, in percent, and at least in blocks: what only Delete, LogStart and Truncate may use, and what not even they.
const DATA_RESERVE: (u64, u64) = (5, 4);
const CONTROL_RESERVE: (u64, u64) = (2, 2);

/// The commit being filled, or waiting for its turn.
struct Pending<A> {
    sequence: u64,
    buffer: Buffer,
    records: u32,
    /// Those among them with which it began: the directory of its predecessor.
    begun_with: u32,
    partitions: Vec<PartitionId>,
    advances: Vec<A>,
    fsync: bool,
    /// Somebody waits for its write, not for its flush.
    write_awaited: bool,
}

struct Submitted<A> {
    sequence: u64,
    file: usize,
    written: bool,
    /// The written-stage of this commit has been told.
    told: bool,
    flushed: bool,
    /// Its flush began with its write: until that is over nobody knows which of the two it is in.
    linked: bool,
    fsync: bool,
    advances: Vec<A>,
}

struct State<A> {
    ring: Ring,
    /// The sequence of the next commit to be begun.
    next_sequence: u64,
    /// Sequence and CRC of the last sealed commit.
    previous: (u64, u32),
    /// The partitions of the commit before the one being filled.
    directory: Vec<PartitionId>,
    pending: Option<Pending<A>>,
    full: VecDeque<Pending<A>>,
    queued_bytes: usize,
    submitted: VecDeque<Submitted<A>>,
    written_through: u64,
    flushed_through: u64,
    /// The highest flushed commit that holds records, and the highest flush that some commit has recorded.
    flushed_records: u64,
    recorded_flush: u64,
    /// When the former was flushed.
    flushed_at: Instant,
    flush_running: bool,
    flush_asked: bool,
    flush_timer: bool,
    mark_timer: bool,
    waiters: BTreeMap<u64, Vec<OneshotSender<()>>>,
    /// Ring position after each commit that is not yet released, to find where commit N ends.
    ends: VecDeque<(u64, u32, u64)>,
    stopping: bool,
    counters: JournalCounters,
    times: [CommitTimes; TIMES],
}

type OnAdvance<A> = Rc<dyn Fn(&[A], Stage)>;

/// One core's journal. `A` is what the owner wants to be told when a record has become written or durable.
pub(crate) struct Journal<A> {
    rt: Runtime,
    files: Vec<File>,
    uuid: [u8; 16],
    commit_bytes: usize,
    flush_every: Cell<Duration>,
    state: RefCell<State<A>>,
    wake: Notify,
    on_advance: RefCell<Option<OnAdvance<A>>>,
    on_short: RefCell<Option<Rc<dyn Fn()>>>,
    running: Cell<bool>,
    idle: Notify,
}

/// Where a journal goes on after recovery.
#[derive(Clone, Debug)]
pub(crate) struct Resume {
    pub(crate) ring: Ring,
    /// Sequence and CRC of the last commit of the chain; zeros in a new ring.
    pub(crate) previous: (u64, u32),
    /// The highest sequence seen anywhere: ring, manifest, also in commits that do not count.
    pub(crate) highest_seen: u64,
    /// The partitions of the last commit of the chain: the first new commit lists them.
    pub(crate) directory: Vec<PartitionId>,
}

impl<A: 'static> Journal<A> {
    pub(crate) fn new(
        rt: Runtime,
        files: Vec<File>,
        uuid: [u8; 16],
        resume: Resume,
        flush_every: Duration,
    ) -> Rc<Self> {
        let file_bytes = usize::try_from(resume.ring.file_bytes).unwrap_or(usize::MAX);
        let flushed_at = rt.now();
        let reused = planted::is(Planted::SequencesReused);
        let highest =
            if reused { resume.previous.0.saturating_sub(2) } else { resume.highest_seen };
        let next = (highest | 1) + 1;
        // An acknowledgement waits for each of their flushes, and a checkpoint has very many of its own.
        for file in &files {
            file.set_urgent();
        }
        Rc::new(Self {
            rt,
            files,
            uuid,
            commit_bytes: COMMIT_BYTES.min(file_bytes / 2),
            flush_every: Cell::new(flush_every),
            state: RefCell::new(State {
                ring: resume.ring,
                next_sequence: next + 2,
                previous: resume.previous,
                directory: resume.directory,
                pending: None,
                full: VecDeque::new(),
                queued_bytes: 0,
                submitted: VecDeque::new(),
                written_through: resume.previous.0,
                flushed_through: resume.previous.0,
                flushed_records: resume.previous.0,
                recorded_flush: resume.previous.0,
                flushed_at,
                flush_running: false,
                flush_asked: false,
                flush_timer: false,
                mark_timer: false,
                waiters: BTreeMap::new(),
                ends: VecDeque::from([(resume.previous.0, resume.previous.1, resume.ring.head)]),
                stopping: false,
                counters: JournalCounters::default(),
                times: [CommitTimes::default(); TIMES],
            }),
            wake: Notify::new(),
            on_advance: RefCell::new(None),
            on_short: RefCell::new(None),
            running: Cell::new(false),
            idle: Notify::new(),
        })
    }

    /// Starts the task that submits commits. `on_advance` is told, in sequence, what has become written and durable;
    /// `on_short` that the ring has no room for the next commit.
    pub(crate) fn start(self: &Rc<Self>, on_advance: OnAdvance<A>, on_short: Rc<dyn Fn()>) {
        *self.on_advance.borrow_mut() = Some(on_advance);
        *self.on_short.borrow_mut() = Some(on_short);
        self.running.set(true);
        let me = Rc::clone(self);
        self.rt.spawn(async move {
            while me.running.get() {
                me.submit_what_is_due();
                me.wake.notified().await;
            }
        });
    }

    /// How long a commit that asks for no flush may stay unflushed.
    pub(crate) fn flush_every(self: &Rc<Self>, every: Duration) {
        if every < self.flush_every.replace(every) {
            // What waits, and what comes, would wait for a timer that was set for the longer time: another is set beside it.
            self.state.borrow_mut().flush_timer = false;
            self.flush_if_due();
        }
    }

    /// The largest payload that fits into one commit.
    pub(crate) fn largest_payload(&self) -> usize {
        let file = usize::try_from(self.state.borrow().ring.file_bytes).unwrap_or(usize::MAX);
        // A ring file is at least twice the largest batch; the header and a directory need a little.
        (file / 2).saturating_sub(BLOCK)
    }

    /// Resolves when commit `sequence` and all before it are flushed. Asks for a flush if the commit does not by itself.
    pub(crate) async fn flushed(self: &Rc<Self>, sequence: u64) {
        let waiter: Oneshot<()> = {
            let mut state = self.state.borrow_mut();
            if state.flushed_through >= sequence {
                return;
            }
            let (send, receive) = oneshot();
            state.waiters.entry(sequence).or_default().push(send);
            state.flush_asked = true;
            receive
        };
        self.flush_if_due();
        self.wake.notify();
        // The journal drops a waiter only when it is dropped itself, and then nobody is left to be answered.
        let _ = waiter.await;
    }

    /// Sequence, CRC and the ring position after the newest commit that is not above `sequence`.
    pub(crate) fn end_of(&self, sequence: u64) -> (u64, u32, u64) {
        let state = self.state.borrow();
        let after = state.ends.partition_point(|e| e.0 <= sequence);
        state.ends[after.saturating_sub(1)]
    }

    /// The times of one of the last commits.
    pub(crate) fn times(&self, sequence: u64) -> Option<CommitTimes> {
        let mut state = self.state.borrow_mut();
        Some(*slot(&mut state.times, sequence)).filter(|t| t.sequence == sequence)
    }

    /// Looks at the records on their way, the oldest first, and what each waits for: its commit's turn, its write, or the flush of it
    /// and of those before it.
    pub(crate) fn on_the_way<R>(
        &self,
        look: impl FnOnce(&mut dyn Iterator<Item = (&A, stages::Stage)>) -> R,
    ) -> R {
        let state = self.state.borrow();
        let submitted = state.submitted.iter().flat_map(|c| {
            let flushes = c.written || c.linked;
            let stage = if flushes { stages::Stage::Flush } else { stages::Stage::Write };
            c.advances.iter().map(move |a| (a, stage))
        });
        let waiting = state.full.iter().chain(&state.pending);
        let waiting = waiting.flat_map(|p| p.advances.iter().map(|a| (a, stages::Stage::Commit)));
        let mut all = submitted.chain(waiting);
        look(&mut all)
    }

    /// Bytes of records that wait to be handed to the disk.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.state.borrow().queued_bytes
    }

    pub(crate) fn counters(&self) -> JournalCounters {
        self.state.borrow().counters
    }

    pub(crate) fn ring(&self) -> Ring {
        self.state.borrow().ring
    }

    /// Whether its files are written past the page cache.
    pub(crate) fn is_direct(&self) -> bool {
        self.files.iter().all(File::is_direct)
    }

    /// Resolves when nothing is queued, in flight or unflushed; afterwards no commit is begun by the journal itself.
    pub(crate) async fn drain(self: &Rc<Self>) {
        self.state.borrow_mut().stopping = true;
        loop {
            let last = self.seal();
            self.flushed(last).await;
            let state = self.state.borrow();
            if state.submitted.is_empty() && state.full.is_empty() && state.pending.is_none() {
                break;
            }
        }
        self.running.set(false);
        self.wake.notify();
    }
}
