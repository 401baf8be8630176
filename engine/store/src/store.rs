//! The store of one core: what the shard asks of it.

use crate::admission::{Admission, Turn};
use crate::checkpoint::{self, Manifest};
use crate::compact::{self, Replaced};
use crate::counters::Counters;
use crate::data_dir::DataDir;
use crate::format::record::Type;
use crate::journal::{CommitTimes, Entry, Journal, JournalCounters, Stage};
use crate::open_files::OpenFiles;
use crate::partition::{Partition, PartitionConfig, Shared};
use crate::paths::Paths;
use crate::planted::{self, Planted};
use crate::reads::{Pool, Streams};
use crate::replay::UNSEEN_MAX;
use crate::reserve::{self, Reserve, is_full, is_out_of_files};
use crate::rest_log::RestLog;
use crate::shortage::OUT_OF_FILES_PAUSE;
use crate::writer;
use ids::{CoreId, Instant, LeaderEpoch, Offset, PartitionId, Timestamp, TopicId};
use log::{AppendError, Appended, BatchMeta, Place, SegmentName};
use runtime::Runtime;
use runtime::sync::{Gate, Notify};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{Future, poll_fn};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::time::Duration;
use std::{fmt, io};

/// Writes that were refused are taken again only when this much, or an eighth of the minimum, is free beyond it.
const FREE_AGAIN_MIN: u64 = 2 << 20;

/// What the store reads of the broker's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of the ring of each core; four files, each at least twice the largest batch.
    pub ring_bytes: u64,
    /// How long data of topics that ask for no flush may stay unflushed (`flush.ms` of the broker).
    pub flush_every: Duration,
    /// Below this many free bytes on the file system writes are refused.
    pub free_bytes_min: u64,
    /// What is worth a write.
    pub thresholds: Thresholds,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ring_bytes: 64 << 20,
            flush_every: Duration::from_secs(1),
            free_bytes_min: 1 << 30,
            thresholds: Thresholds::default(),
        }
    }
}

/// From which sizes on a write, or a new file, is worth its price. Not the operator's: tests make them small, so that a small
/// world sees all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A tail of this many flushed bytes is written to its segment without waiting for a checkpoint; whole blocks.
    pub write_bytes: u32,
    /// A checkpoint writes whole blocks to the segment once this many bytes of them are due; less goes to the rest log.
    pub blocks_due: u32,
    /// Manifest and rest log are written anew when they are twice their live size, and at least this large.
    pub rewrite_min: u64,
    /// Manifest and rest log allocate in steps of this.
    pub allocate: u64,
    /// So many partitions write their segments at the same time in a checkpoint: one after the other, each would wait for the
    /// disk's whole queue.
    pub partitions_at_once: usize,
    /// The largest range that is read ahead of a reader; 0 for none.
    pub read_ahead: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            write_bytes: 256 * 1024,
            blocks_due: 16 * 1024,
            rewrite_min: 256 * 1024,
            allocate: 1 << 20,
            partitions_at_once: 32,
            read_ahead: crate::reads::READ_BYTES_MAX as u32,
        }
    }
}

/// Why the store refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The store does not know the partition.
    UnknownPartition,
    /// The log's own reason.
    Append(AppendError),
    /// The batch is larger than a commit can be.
    TooLarge {
        /// The largest batch in bytes.
        max: usize,
    },
    /// Acknowledged records of this partition are missing; it takes no more until the loss is accepted.
    Incomplete(String),
    /// The disk is full: how many bytes are free.
    DiskFull {
        /// Free bytes on the file system of the data directory.
        free: u64,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownPartition => f.write_str("the partition is not here"),
            Self::Append(e) => write!(f, "{e:?}"),
            Self::TooLarge { max } => write!(f, "the batch is larger than {max} bytes"),
            Self::Incomplete(why) => write!(f, "acknowledged records are missing: {why}"),
            Self::DiskFull { free } => write!(f, "the disk is full: {free} bytes are free"),
        }
    }
}

/// What has become of a partition's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Which partition.
    pub partition: PartitionId,
    /// The end offset that has been written to the journal.
    pub written: Offset,
    /// The end offset that has been flushed.
    pub durable: Offset,
}

/// What the journal tells of one record.
pub(crate) struct Advance {
    pub(crate) partition: Shared,
    pub(crate) generation: u32,
    pub(crate) end: Offset,
    /// None if the log has no segment.
    pub(crate) place: Option<Place>,
}

type Observer = Rc<dyn Fn(Progress)>;
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
    pub(crate) readers: RefCell<OpenFiles>,
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
            readers: RefCell::default(),
            unlisted: RefCell::new(BTreeSet::new()),
            evictable: RefCell::new(VecDeque::new()),
            observer: RefCell::new(None),
            full: Cell::new(None),
            out_of_files: Cell::new(None),
            held: Cell::new(false),
            unaccounted: Cell::new(parts.unaccounted),
            reserve: parts.reserve,
            exempt: RefCell::default(),
            counters: Cell::new(Counters::default()),
            replaced: Replaced::default(),
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

    /// A file could not be opened, or an allocation was refused. Anything but a full disk is a fault, and too many open files:
    /// the bytes are in the ring, and whoever was refused tries again.
    pub(crate) fn on_refused(&self, e: &io::Error) {
        if is_out_of_files(e) {
            self.tell_out_of_files(e);
            return;
        }
        if !is_full(e) {
            self.rt.fault(format!("the data directory cannot be written: {e}"));
        }
        self.set_full();
    }

    fn set_full(&self) {
        let free = self.rt.disk().space(self.paths.root()).map_or(0, |s| s.free);
        self.full.set(Some(free));
        // Whoever waits for room is refused instead.
        self.admission.refuse_all();
    }

    /// How large the reserve must be for the next checkpoint.
    fn reserve_target(&self) -> u64 {
        let ring = self.journal.ring().size();
        let manifest = self.manifest.borrow().len;
        let rest = self.rest.borrow().len;
        reserve::target(ring, manifest, rest)
    }

    /// Those that are exempt need room in the ring all the same: what does not fit waits for a checkpoint that waits for it.
    /// The metadata log may use what deletions may: a topic's deletion begins there.
    fn is_taken_though_full(&self, id: PartitionId, bytes: usize) -> bool {
        if id.topic == TopicId::METADATA {
            return self.journal.has_control_room_for(bytes);
        }
        self.exempt.borrow().contains(&id) && self.journal.has_room(bytes)
    }

    fn unaccounted_for(&self) -> Option<String> {
        let after = self.unaccounted.get()?;
        Some(format!("commits after {after} are damaged, and with them perhaps all that was here"))
    }

    fn room(&self, bytes: usize) -> bool {
        let memory = self.rt.memory();
        if memory.used() + bytes > memory.limit() / 8 * 7 {
            self.evict(bytes);
        }
        memory.used() + bytes <= memory.limit() && self.journal.has_room(bytes) && !self.held.get()
    }

    fn on_advance(self: &Rc<Self>, advances: &[Advance], stage: Stage) {
        let observer = self.observer.borrow().clone();
        for a in advances {
            let progress = {
                let mut p = a.partition.borrow_mut();
                // A record of an older generation was truncated away meanwhile; its completion means nothing.
                let counts = planted::is(Planted::OlderGenerationCounts);
                if a.generation != p.log.generation() && !counts {
                    continue;
                }
                match stage {
                    Stage::Written => p.written = p.written.max(a.end),
                    Stage::Durable => {
                        p.durable = p.durable.max(a.end);
                        p.durable_place = a.place;
                    }
                }
                Progress { partition: p.id, written: p.written, durable: p.durable }
            };
            if let Some(f) = &observer {
                f(progress);
            }
            if stage == Stage::Durable {
                writer::kick(self, &a.partition);
            }
        }
    }
}

impl Store {
    pub(crate) fn start(parts: Parts) -> Self {
        let inner = Inner::new(parts);
        let store = Self { inner: Rc::clone(&inner) };
        let me = Rc::downgrade(&inner);
        let short = Rc::downgrade(&inner);
        inner.journal.start(
            Rc::new(move |advances: &[Advance], stage| {
                if let Some(inner) = me.upgrade() {
                    inner.on_advance(advances, stage);
                    if stage == Stage::Durable {
                        inner.admission.moved();
                    }
                    if inner.journal.fullness() > checkpoint::AT_FULLNESS {
                        inner.checkpoint_wanted.notify();
                    }
                }
            }),
            Rc::new(move || {
                if let Some(inner) = short.upgrade() {
                    inner.checkpoint_wanted.notify();
                }
            }),
        );
        let me = Rc::clone(&inner);
        inner.rt.spawn(async move {
            while !me.stopping.get() {
                me.checkpoint_wanted.notified().await;
                if me.stopping.get() {
                    break;
                }
                if let Err(e) = checkpoint::run(&me).await {
                    me.on_refused(&e);
                    if is_out_of_files(&e) {
                        me.rt.sleep(OUT_OF_FILES_PAUSE).await;
                    } else {
                        me.give_from_reserve().await;
                    }
                    me.checkpoint_wanted.notify();
                }
                me.admission.moved();
            }
        });
        let me = Rc::clone(&inner);
        inner.rt.spawn(async move {
            while !me.stopping.get() {
                me.watch_space().await;
                me.rt.sleep(Duration::from_secs(1)).await;
            }
        });
        compact::start(&inner);
        store
    }

    /// Begins to write the ring: the Start commit, flushed; its sequence.
    pub(crate) async fn begin(&self) -> u64 {
        let inner = &self.inner;
        let start = Entry::of_the_ring(Type::Start, inner.rt.wall());
        let sequence = inner.journal.append(&start, [&[], &[]], true, None);
        inner.journal.flushed(sequence).await;
        sequence
    }

    /// Takes the checkpoint without which the ring cannot be written. While the disk is too full for it, readers are served
    /// and all who would write are refused; it is taken, and the ring begun, when there is room.
    pub(crate) async fn begin_after_a_checkpoint(&self) -> Option<u64> {
        self.inner.held.set(true);
        self.inner.checkpoint_wanted.notify();
        self.inner.checkpoint_done.notified().await;
        if self.inner.counters.get().checkpoints == 0 {
            self.checkpoint_if_possible().await;
        }
        if self.inner.counters.get().checkpoints > 0 {
            self.inner.held.set(false);
            return Some(self.begin().await);
        }
        let store = self.clone();
        self.inner.rt.spawn(async move {
            store.checkpoint().await;
            store.inner.held.set(false);
            store.begin().await;
            store.inner.admission.moved();
        });
        None
    }

    /// Resolves when something may be written: at once, but for a start on a full disk with a full ring.
    pub async fn begun(&self) {
        while self.inner.held.get() {
            self.inner.admission.changed().await;
        }
    }

    /// Makes the reserve whole, or refuses writes from the start.
    pub(crate) async fn keep_reserve(&self) {
        let inner = &self.inner;
        if let Err(e) = inner.reserve.grow(inner.reserve_target()).await {
            inner.on_refused(&e);
        }
    }

    /// Calls `observer` with every step of every partition, in order, on this core.
    pub fn observe(&self, observer: impl Fn(Progress) + 'static) {
        *self.inner.observer.borrow_mut() = Some(Rc::new(observer));
    }

    /// Resolves when a batch of `bytes` may be appended: in the order of arrival, when memory and ring have room, or when the
    /// disk is full and the append is going to be refused. Returns at once, without a turn of the executor, if nobody waits
    /// and there is room.
    pub async fn admit(&self, bytes: usize) {
        let a = &self.inner.admission;
        if bytes > self.inner.journal.largest_payload() {
            // There will never be room; append says so.
            return;
        }
        if a.is_free() && self.inner.room(bytes) {
            let over = self.inner.journal.fullness() - checkpoint::SLOW_FROM;
            if over <= 0.0 {
                return;
            }
        }
        let turn = a.line_up();
        // From 70 % of the ring on, producers are slowed in proportion, so that they never meet a wall.
        let over = self.inner.journal.fullness() - checkpoint::SLOW_FROM;
        if over > 0.0 {
            self.inner.checkpoint_wanted.notify();
            self.inner.rt.sleep(Duration::from_micros((over * 20_000.0) as u64)).await;
        }
        loop {
            let first = turn.has_come();
            let refused = self.inner.full.get().is_some() && !self.inner.room(bytes);
            if refused || (first && self.inner.room(bytes)) {
                break;
            }
            // With nothing in the ring a checkpoint would bring neither room nor memory: then readers have it.
            if first && self.inner.journal.fullness() > 0.0 {
                self.inner.checkpoint_wanted.notify();
            }
            self.something_gives(&turn, first, bytes).await;
        }
        drop(turn);
    }

    /// Resolves when it is worth looking again; to the first in line also when memory has come back: readers give it back without
    /// a word to us.
    async fn something_gives(&self, turn: &Turn, first: bool, bytes: usize) {
        let memory = self.inner.rt.memory();
        let short = first && memory.used() + bytes > memory.limit();
        let mut moved = pin!(turn.moved());
        let mut freed = pin!(memory.wait_for(bytes));
        poll_fn(|cx| {
            let moved = moved.as_mut().poll(cx);
            if moved.is_pending() && short { freed.as_mut().poll(cx) } else { moved }
        })
        .await;
    }

    /// Resolves when a deletion or a new log start may be journalled: also when batches have to wait.
    async fn admit_control(&self) {
        self.admit_control_of(0).await;
    }

    /// The same for a record with a payload of `bytes`.
    pub(crate) async fn admit_control_of(&self, bytes: usize) {
        while self.inner.held.get() || !self.inner.journal.has_control_room_for(bytes) {
            self.inner.checkpoint_wanted.notify();
            self.inner.admission.changed().await;
        }
    }

    /// Appends one validated batch. `bytes` is the batch as the client sent it; base offset and leader epoch are patched in
    /// the copies. Returns where it went and, for a new batch, that its bytes are on their way to the journal.
    ///
    /// # Errors
    /// [`Refusal`]; then nothing has changed.
    pub fn append(
        &self,
        id: PartitionId,
        bytes: &[u8],
        meta: &BatchMeta,
        epoch: LeaderEpoch,
        now: Timestamp,
    ) -> Result<Appended, Refusal> {
        let inner = &self.inner;
        let shared = self.partition(id)?;
        let max = inner.journal.largest_payload();
        if bytes.len() > max {
            return Err(Refusal::TooLarge { max });
        }
        let mut guard = shared.borrow_mut();
        let p = &mut *guard;
        if let Some(why) = &p.incomplete {
            return Err(Refusal::Incomplete(why.clone()));
        }
        if let Some(refusal) = self.lacks_room(id, bytes.len()) {
            return Err(refusal);
        }
        assert_eq!(bytes.len(), meta.len as usize, "the batch is not the one that was validated");
        // Also before an append that turns out to be refused: the snapshot is then a copy of the present state.
        let was_dirty = p.dirty;
        p.keep_for(inner.checkpoint.get());
        let decided = p.log.append(meta, epoch, now, &p.config.log);
        let Ok(Appended::New { base_offset, place, .. }) = decided else {
            p.dirty = was_dirty;
            return decided.map_err(Refusal::Append);
        };
        let mut head = [0; 16];
        head.copy_from_slice(&bytes[..16]);
        head[..8].copy_from_slice(&base_offset.0.to_be_bytes());
        head[12..].copy_from_slice(&epoch.0.to_be_bytes());
        let memory = inner.rt.memory();
        p.resume_tail(memory, place, bytes.len());
        p.tail.append(memory, place.segment, place.position, &head);
        p.tail.append(memory, place.segment, place.position + 16, &bytes[16..]);
        let end = p.log.end();
        let entry = Entry {
            kind: Type::Data,
            partition: id,
            generation: p.log.generation(),
            previous: p.last_record,
            offset: base_offset,
            epoch,
            place,
            at: now,
        };
        let advance = Advance {
            partition: Rc::clone(&shared),
            generation: entry.generation,
            end,
            place: Some(Place { segment: place.segment, position: place.position + meta.len }),
        };
        let appended = decided.map_err(Refusal::Append)?;
        let fsync = p.config.fsync;
        p.last_record = inner.journal.append(&entry, [&head, &bytes[16..]], fsync, Some(advance));
        inner.count(|c| {
            c.tail_copied += bytes.len() as u64;
            c.commit_copied += bytes.len() as u64;
        });
        Ok(appended)
    }

    /// Why an append of `bytes` to `id` would be refused now because the disk is full: for those who must know before they
    /// decide something that only an append makes true.
    #[must_use]
    pub fn lacks_room(&self, id: PartitionId, bytes: usize) -> Option<Refusal> {
        let inner = &self.inner;
        if inner.held.get() {
            return Some(Refusal::DiskFull { free: inner.full.get().unwrap_or(0) });
        }
        let free = inner.full.get()?;
        (!inner.is_taken_though_full(id, bytes)).then_some(Refusal::DiskFull { free })
    }

    /// Makes an empty partition. It has no file until it has data.
    ///
    /// If commits are missing of which nobody knows what they held, one that is not known is incomplete, until
    /// [`Store::all_named`] says that those to come are new.
    pub fn create(&self, id: PartitionId, config: PartitionConfig) {
        let inner = &self.inner;
        let mut all = inner.partitions.borrow_mut();
        all.entry(id).or_insert_with(|| {
            let mut p = Partition::new(id, config);
            p.incomplete = inner.unaccounted_for();
            p.dirty = p.incomplete.is_some();
            if p.dirty {
                p.unused_from = Offset::ZERO + UNSEEN_MAX;
            }
            p.checkpoint = inner.checkpoint.get();
            Rc::new(RefCell::new(p))
        });
    }

    /// Every partition that was here before the start has been named to [`Store::create`]; what comes now is new.
    pub fn all_named(&self) {
        self.inner.unaccounted.set(None);
    }

    /// Lets a partition take writes also while the disk is full. For what the node cannot do without, such as committed
    /// offsets; the metadata log is exempt always.
    pub fn exempt(&self, id: PartitionId) {
        self.inner.exempt.borrow_mut().insert(id);
    }

    /// Changes what is read of a partition's configuration, from now on.
    pub fn configure(&self, id: PartitionId, config: PartitionConfig) {
        if let Ok(p) = self.partition(id) {
            p.borrow_mut().config = config;
        }
    }

    /// How long data of partitions that ask for no flush may stay unflushed, from the next flush on: see
    /// [`Config::flush_every`].
    pub fn flush_every(&self, every: Duration) {
        self.inner.journal.flush_every(every);
    }

    /// Moves the start of the log up to `to` and resolves when that is flushed. Files go afterwards.
    ///
    /// # Errors
    /// [`Refusal`] if the partition is not here or incomplete.
    pub async fn advance_start(&self, id: PartitionId, to: Offset) -> Result<Offset, Refusal> {
        let inner = &self.inner;
        self.admit_control().await;
        let shared = self.partition(id)?;
        let (sequence, dropped, start) = {
            let mut guard = shared.borrow_mut();
            let p = &mut *guard;
            if let Some(why) = &p.incomplete {
                return Err(Refusal::Incomplete(why.clone()));
            }
            let to = to.min(p.log.end());
            if to <= p.log.start() {
                (p.last_record, Vec::new(), p.log.start())
            } else {
                p.keep_for(inner.checkpoint.get());
                let dropped = p.log.advance_start(to).segments;
                let entry = p.entry(Type::LogStart, to, inner.rt.wall());
                p.last_record = inner.journal.append(&entry, [&[], &[]], true, None);
                p.forget(&dropped);
                (p.last_record, dropped, to)
            }
        };
        if planted::is(Planted::UnlinkBeforeTheLogStart) {
            unlink_segments(inner, id, &dropped).await;
        }
        inner.journal.flushed(sequence).await;
        unlink_segments(inner, id, &dropped).await;
        Ok(start)
    }

    /// Deletes a partition and resolves when that is flushed. Files go afterwards.
    ///
    /// # Errors
    /// [`Refusal::UnknownPartition`].
    pub async fn delete(&self, id: PartitionId) -> Result<(), Refusal> {
        let inner = &self.inner;
        self.admit_control().await;
        let shared = self.partition(id)?;
        let sequence = {
            let mut p = shared.borrow_mut();
            p.deleted = true;
            p.snapshot = None;
            let entry = p.entry(Type::Delete, p.log.end(), inner.rt.wall());
            inner.partitions.borrow_mut().remove(&id);
            inner.streams.borrow_mut().forget(id);
            inner.gone.borrow_mut().push(id);
            p.last_record = inner.journal.append(&entry, [&[], &[]], true, None);
            p.last_record
        };
        if planted::is(Planted::UnlinkBeforeTheDelete) {
            remove_partition_files(inner, id).await;
        }
        inner.journal.flushed(sequence).await;
        // A checkpoint or a writer may still be at its files.
        while shared.borrow().writing {
            inner.writing_done.notified().await;
        }
        let had_directory = {
            let mut p = shared.borrow_mut();
            p.tail.clear();
            // Closed before its names go: with the last handle of a file without a name go its blocks, on this core.
            p.files.clear();
            p.has_directory
        };
        inner.readers.borrow_mut().forget_partition(id);
        if had_directory {
            remove_partition_files(inner, id).await;
        }
        Ok(())
    }

    /// Resolves when everything appended so far to any partition is flushed.
    pub async fn flush(&self) {
        let last = self.inner.journal.seal();
        self.inner.journal.flushed(last).await;
    }

    /// Takes a checkpoint now.
    pub async fn checkpoint(&self) {
        let before = self.inner.counters.get().checkpoints;
        while self.inner.counters.get().checkpoints == before {
            self.inner.checkpoint_wanted.notify();
            self.inner.checkpoint_done.notified().await;
        }
    }

    /// Takes a checkpoint on a full disk, with what the reserve can give. The ring keeps what it has if that is not enough.
    pub(crate) async fn checkpoint_if_possible(&self) {
        let before = self.inner.counters.get().checkpoints;
        while self.inner.counters.get().checkpoints == before
            && (self.inner.reserve.has_some() || self.inner.full.get().is_none())
        {
            self.inner.checkpoint_wanted.notify();
            self.inner.checkpoint_done.notified().await;
        }
    }

    /// Stops in good order: everything flushed, checkpointed, and the clean shutdown recorded.
    pub async fn close(&self) {
        let inner = &self.inner;
        self.flush().await;
        if inner.full.get().is_none() {
            self.checkpoint().await;
        } else {
            self.checkpoint_if_possible().await;
        }
        inner.stopping.set(true);
        inner.checkpoint_wanted.notify();
        if inner.journal.has_control_room() && !inner.held.get() {
            let entry = Entry::of_the_ring(Type::CleanShutdown, inner.rt.wall());
            inner.journal.append(&entry, [&[], &[]], true, None);
        }
        inner.journal.drain().await;
    }

    pub(crate) fn partition(&self, id: PartitionId) -> Result<Shared, Refusal> {
        self.inner.partitions.borrow().get(&id).cloned().ok_or(Refusal::UnknownPartition)
    }

    /// Looks at a partition's log.
    ///
    /// # Errors
    /// [`Refusal::UnknownPartition`].
    pub fn with_log<T>(
        &self,
        id: PartitionId,
        f: impl FnOnce(&log::Log) -> T,
    ) -> Result<T, Refusal> {
        Ok(f(&self.partition(id)?.borrow().log))
    }

    /// Forgets producers of all partitions that have been silent for `expiration_ms`.
    pub fn expire_producers(&self, now: Timestamp, expiration_ms: i64) {
        for p in self.inner.partitions.borrow().values() {
            p.borrow_mut().log.expire_producers(now, expiration_ms);
        }
    }

    /// Written and durable ends.
    ///
    /// # Errors
    /// [`Refusal::UnknownPartition`].
    pub fn progress(&self, id: PartitionId) -> Result<Progress, Refusal> {
        let p = self.partition(id)?;
        let p = p.borrow();
        Ok(Progress { partition: id, written: p.written, durable: p.durable })
    }

    /// Why a partition is incomplete, if it is. One that is not known may be, too: see [`Store::create`].
    #[must_use]
    pub fn incomplete(&self, id: PartitionId) -> Option<String> {
        match self.partition(id) {
            Ok(p) => p.borrow().incomplete.clone(),
            Err(_) => self.inner.unaccounted_for(),
        }
    }

    /// The partitions that this core holds data of, in order.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.inner.partitions.borrow().keys().copied().collect()
    }

    /// The counters of the store and of its journal.
    #[must_use]
    pub fn counters(&self) -> (Counters, JournalCounters) {
        let mut counters = self.inner.counters.get();
        self.inner.streams.borrow().count(&mut counters);
        (counters, self.inner.journal.counters())
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

    /// Free bytes, while writes are refused because the disk is full.
    #[must_use]
    pub fn disk_full(&self) -> Option<u64> {
        self.inner.full.get()
    }
}

impl Inner {
    /// A checkpoint was refused space: it gets some of the reserve, or waits a while when there is none left.
    async fn give_from_reserve(&self) {
        match self.reserve.shrink().await {
            Ok(true) => {}
            Ok(false) => self.rt.sleep(Duration::from_millis(200)).await,
            Err(e) => self.rt.fault(format!("the reserve cannot be shrunk: {e}")),
        }
    }

    /// Refuses writes below the minimum of free space, or while the reserve is not whole, and takes them again, with
    /// hysteresis, when there is room.
    async fn watch_space(&self) {
        let free = match self.rt.disk().space(self.paths.root()) {
            Ok(space) => space.free,
            Err(e) => {
                eprintln!("the free space of {} is not known: {e}", self.paths.root().display());
                return;
            }
        };
        let min = self.config.free_bytes_min;
        let again = min + (min / 8).max(FREE_AGAIN_MIN);
        let target = self.reserve_target();
        let missing = self.reserve.missing(target);
        if missing > 0 && free >= again + missing {
            match self.reserve.grow(target).await {
                Ok(()) => {}
                Err(e) => self.on_refused(&e),
            }
        }
        let whole = self.reserve.missing(target) == 0;
        if self.full.get().is_none() {
            // A reserve that is only a little behind a growing manifest is no reason to refuse.
            if free < min || self.reserve.missing(target) > target / 2 {
                self.set_full();
            }
        } else if whole && free >= again {
            self.full.set(None);
            self.checkpoint_wanted.notify();
            self.admission.moved();
        } else {
            self.full.set(Some(free));
        }
    }
}

impl Partition {
    /// A record of something other than a batch.
    pub(crate) fn entry(&self, kind: Type, offset: Offset, at: Timestamp) -> Entry {
        let place = Place {
            segment: SegmentName { base: Offset::ZERO, creation: self.log.next_creation() },
            position: 0,
        };
        Entry {
            kind,
            partition: self.id,
            generation: self.log.generation(),
            previous: self.last_record,
            offset,
            epoch: self.log.epochs().latest(),
            place,
            at,
        }
    }
}

/// Removes the files of segments that have left the log durably.
pub(crate) async fn unlink_segments(inner: &Rc<Inner>, id: PartitionId, dropped: &[SegmentName]) {
    if dropped.is_empty() {
        return;
    }
    unlink_files(inner, id, dropped).await;
    give_space_back(inner, &inner.paths.partition(id)).await;
}

/// Removes the files of segments; their space comes back when the file system sees fit.
pub(crate) async fn unlink_files(inner: &Rc<Inner>, id: PartitionId, names: &[SegmentName]) {
    let disk = inner.rt.disk();
    for name in names {
        inner.readers.borrow_mut().forget(id, *name);
        for ending in ["log", "index"] {
            let path = inner.paths.segment(id, *name, ending);
            match disk.remove_file(&path).await {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => eprintln!("cannot remove {}: {e}", path.display()),
            }
        }
    }
}

/// A journalling file system hands the blocks of removed files out again only when the removal is durable.
async fn give_space_back(inner: &Rc<Inner>, dir: &Path) {
    match inner.sync_dir(dir).await {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => inner.rt.fault(format!("sync of {} failed: {e}", dir.display())),
    }
}

/// Removes all files of a partition, and its topic's directory when it was the last.
pub(crate) async fn remove_partition_files(inner: &Rc<Inner>, id: PartitionId) {
    let disk = inner.rt.disk();
    let dir = inner.paths.partition(id);
    let Ok(entries) = disk.read_dir(&dir).await else { return };
    for e in entries {
        match disk.remove_file(&dir.join(&e.name)).await {
            Ok(()) => {}
            // A new start of the log came first.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => eprintln!("cannot remove a file of {id}: {e}"),
        }
    }
    give_space_back(inner, &dir).await;
    // A directory that is not empty stays: another partition of the topic is still there.
    let _ = disk.remove_dir(&dir).await;
    let _ = disk.remove_dir(&inner.paths.topic(id.topic)).await;
}
