//! The store of one core: what the shard asks of it.
//!
//! | file | what |
//! |---|---|
//! | `store.rs` | what a store has, and its counters |
//! | `store/config.rs`, `store/refusal.rs` | what it is told, and why it refuses |
//! | `store/begin.rs`, `store/close.rs` | its tasks; in good order to the end |
//! | `store/known.rs` | its partitions |
//! | `store/room.rs`, `store/full.rs` | who waits for memory and ring; a full disk |
//! | `store/append.rs` | one batch |
//! | `store/progress.rs` | how far the journal is, and who is told |
//! | `store/log_start.rs`, `store/delete.rs`, `store/removal.rs` | what goes, and its files |

mod append;
mod begin;
mod close;
mod config;
mod delete;
mod full;
mod known;
mod log_start;
mod progress;
mod refusal;
mod removal;
mod room;

pub use self::config::{Config, Thresholds};
pub(crate) use self::progress::Advance;
pub use self::progress::Progress;
pub use self::refusal::Refusal;
pub(crate) use self::removal::{
    remove_left_behind, remove_partition_files, unlink_files, unlink_segments,
};

use self::progress::Observer;
use self::removal::Removals;
use crate::admission::Admission;
use crate::checkpoint::Manifest;
use crate::compact::Replaced;
use crate::counters::Counters;
use crate::data_dir::DataDir;
use crate::journal::{CommitTimes, Journal, JournalCounters};
use crate::open_files::OpenFiles;
use crate::partition::{Partition, Shared};
use crate::paths::Paths;
use crate::reads::{ColdIndexes, Pool, Streams};
use crate::reserve::Reserve;
use crate::rest_log::RestLog;
use ids::{CoreId, Instant, PartitionId};
use runtime::Runtime;
use runtime::sync::{Gate, Notify};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// A chunk of a partition's tail: segment and base.
type Evictable = Weak<RefCell<Partition>>;

pub(crate) struct Inner {
    pub(crate) rt: Runtime,
    pub(crate) paths: Paths,
    pub(crate) generation: u64,
    pub(crate) core: CoreId,
    pub(crate) config: Config,
    pub(crate) journal: Rc<Journal<Advance>>,
    pub(crate) partitions: RefCell<BTreeMap<PartitionId, Shared>>,
    pub(crate) manifest: RefCell<Manifest>,
    pub(crate) rest: RefCell<RestLog>,
    /// Partitions that were deleted since the last checkpoint's seal, and are listed in the manifest.
    pub(crate) gone: RefCell<Vec<PartitionId>>,
    /// The number of the last checkpoint begun; whether it is under way.
    pub(crate) checkpoint: Cell<u64>,
    pub(crate) checkpointing: Cell<bool>,
    pub(crate) checkpoint_wanted: Notify,
    pub(crate) checkpoint_done: Notify,
    pub(crate) writing_done: Notify,
    pub(crate) writers: Gate,
    /// Whoever makes a transaction index good from the log: one at a time.
    pub(crate) txn_rebuilds: Gate,
    pub(crate) readers: RefCell<OpenFiles>,
    pub(crate) cold_indexes: ColdIndexes,
    pub(crate) cold: Pool,
    pub(crate) streams: RefCell<Streams>,
    /// Directories with names that may not be durable yet.
    pub(crate) unlisted: RefCell<BTreeSet<PathBuf>>,
    /// One mention of its partition for each chunk of a tail that a file holds as well, oldest first.
    pub(crate) evictable: RefCell<VecDeque<Evictable>>,
    pub(crate) observer: RefCell<Option<Observer>>,
    /// Commits after this one are missing, and with them perhaps all there was of a partition that is not known.
    pub(crate) unaccounted: Cell<Option<u64>>,
    /// Free bytes, while writes are refused.
    pub(crate) full: Cell<Option<u64>>,
    /// Rung when that begins.
    filled_up: Notify,
    /// Segment files that are open for writing.
    pub(crate) segment_files: Rc<Cell<usize>>,
    /// When it was last said that there is no descriptor.
    pub(crate) out_of_files: Cell<Option<Instant>>,
    /// Nothing may be journalled yet: this process has not begun to write the ring, because the disk is full.
    pub(crate) held: Cell<bool>,
    pub(crate) reserve: Reserve,
    /// Partitions that take writes though the disk is full: what the node cannot do without.
    exempt: RefCell<BTreeSet<PartitionId>>,
    pub(crate) counters: Cell<Counters>,
    /// What compaction has replaced, and which of it may go.
    pub(crate) replaced: Replaced,
    /// Files that are about to go.
    pub(crate) removals: Removals,
    admission: Rc<Admission>,
    pub(crate) stopping: Cell<bool>,
    /// Its share of the lock: whoever can write holds it.
    _data: Option<DataDir>,
}

/// The store of one core. A cheap handle; lives on its core from recovery to the end of the process.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Rc<Inner>,
}

/// What recovery hands over.
pub(crate) struct Parts {
    pub(crate) rt: Runtime,
    pub(crate) paths: Paths,
    pub(crate) generation: u64,
    pub(crate) core: CoreId,
    pub(crate) config: Config,
    pub(crate) journal: Rc<Journal<Advance>>,
    pub(crate) partitions: BTreeMap<PartitionId, Shared>,
    pub(crate) manifest: Manifest,
    pub(crate) rest: RestLog,
    pub(crate) gone: Vec<PartitionId>,
    pub(crate) unaccounted: Option<u64>,
    /// None if the caller holds the lock for as long as the store lives.
    pub(crate) data: Option<DataDir>,
    pub(crate) reserve: Reserve,
}

impl Inner {
    /// A store none of whose tasks runs yet.
    pub(crate) fn new(parts: Parts) -> Rc<Self> {
        let cold_budget = parts.rt.memory().limit();
        Rc::new(Self {
            cold: Pool::new(&parts.rt),
            streams: RefCell::default(),
            rt: parts.rt,
            paths: parts.paths,
            generation: parts.generation,
            core: parts.core,
            config: parts.config,
            journal: parts.journal,
            partitions: RefCell::new(parts.partitions),
            manifest: RefCell::new(parts.manifest),
            rest: RefCell::new(parts.rest),
            gone: RefCell::new(parts.gone),
            checkpoint: Cell::new(0),
            checkpointing: Cell::new(false),
            checkpoint_wanted: Notify::new(),
            checkpoint_done: Notify::new(),
            writing_done: Notify::new(),
            writers: Gate::new(8),
            txn_rebuilds: Gate::new(1),
            readers: RefCell::default(),
            cold_indexes: ColdIndexes::beside(cold_budget),
            unlisted: RefCell::new(BTreeSet::new()),
            evictable: RefCell::new(VecDeque::new()),
            observer: RefCell::new(None),
            full: Cell::new(None),
            filled_up: Notify::new(),
            segment_files: Rc::default(),
            out_of_files: Cell::new(None),
            held: Cell::new(false),
            unaccounted: Cell::new(parts.unaccounted),
            reserve: parts.reserve,
            exempt: RefCell::default(),
            counters: Cell::new(Counters::default()),
            replaced: Replaced::default(),
            removals: Removals::default(),
            admission: Rc::default(),
            stopping: Cell::new(false),
            _data: parts.data,
        })
    }

    pub(crate) fn count(&self, f: impl FnOnce(&mut Counters)) {
        let mut c = self.counters.get();
        f(&mut c);
        self.counters.set(c);
    }
}

impl Store {
    /// How long data of partitions that ask for no flush may stay unflushed, from the next flush on: see
    /// [`Config::flush_every`].
    pub fn flush_every(&self, every: Duration) {
        self.inner.journal.flush_every(every);
    }

    /// The counters of the store and of its journal.
    #[must_use]
    pub fn counters(&self) -> (Counters, JournalCounters) {
        let mut counters = self.inner.counters.get();
        self.inner.streams.borrow().count(&mut counters);
        (counters, self.inner.journal.counters())
    }

    /// Whether the ring is written past the page cache: the file system takes direct I/O.
    #[must_use]
    pub fn is_direct(&self) -> bool {
        self.inner.journal.is_direct()
    }

    /// How many segment files are open for writing; readers have theirs beside them.
    #[must_use]
    pub fn open_segment_files(&self) -> usize {
        self.inner.segment_files.get()
    }

    /// The commit that the batch appended last went into; only right after [`Store::append`], and not for a duplicate.
    #[must_use]
    pub fn filling(&self) -> Option<u64> {
        self.inner.journal.filling()
    }

    /// When one of the last commits was submitted, written and flushed.
    #[must_use]
    pub fn commit_times(&self, commit: u64) -> Option<CommitTimes> {
        self.inner.journal.times(commit)
    }

    /// Bytes of records that wait to be handed to the disk.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.inner.journal.queued_bytes()
    }

    /// Bytes of the ring in use, and in all.
    #[must_use]
    pub fn ring_bytes(&self) -> (u64, u64) {
        let ring = self.inner.journal.ring();
        (ring.used(), ring.size())
    }

    /// Bytes of cold reads that are in memory: under way, read ahead, or not sent yet; and how many there should be at most.
    #[must_use]
    pub fn cold_memory(&self) -> (usize, usize) {
        self.inner.cold.memory()
    }

    /// The largest batch that can be appended, in bytes.
    #[must_use]
    pub fn largest_batch(&self) -> usize {
        self.inner.journal.largest_payload()
    }
}
