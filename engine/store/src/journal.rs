//! Group commit: one write and one flush of the ring serve every partition of the core.
//!
//! Records are copied into the commit being filled. It is submitted at once when the device is idle; otherwise it goes on
//! filling until the commit before it has been flushed, or until it is worth a write of its own. Several commits may be in
//! flight; they become written and durable **strictly in sequence**, whatever the order in which the device completes them.
//! A flush makes durable only commits whose write had completed before the flush began.
//!
//! An I/O error on a write or a flush stops the process: after a failed flush nobody knows what the device holds.

use crate::format::commit::{self, Header, Kind};
use crate::format::{BLOCK, blocks, record};
use crate::planted::{self, Planted};
use crate::ring::{Placing, Ring};
use ids::{Instant, LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use log::{Place, SegmentName};
use runtime::sync::{Notify, Oneshot, OneshotSender, oneshot};
use runtime::{Buffer, File, Runtime, Slice};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

/// How far a commit has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its write, and that of all before it, has completed.
    Written,
    /// It, and all before it, are flushed.
    Durable,
}

/// When a commit was handed to the disk, when its write had ended, and when it and all before it were flushed; zero if not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitTimes {
    sequence: u64,
    /// Its write began.
    pub submitted: Instant,
    /// Its write ended.
    pub written: Instant,
    /// Its flush, and that of all before it, ended.
    pub flushed: Instant,
}

/// Commits whose times are kept.
const TIMES: usize = 64;
/// Commits whose writes are in flight at the same time.
const IN_FLIGHT_MAX: usize = 4;
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

/// What the journal counts; all since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalCounters {
    /// Commits written.
    pub commits: u64,
    /// Skips written at the ends of ring files.
    pub skips: u64,
    /// Empty commits that recorded a flush.
    pub marks: u64,
    /// Bytes written to the ring.
    pub bytes: u64,
    /// Flushes of ring files.
    pub flushes: u64,
    /// Records.
    pub records: u64,
    /// How often the ring began again at its first file.
    pub wraps: u64,
}

/// The commit being filled, or waiting for its turn.
struct Pending<A> {
    sequence: u64,
    buffer: Buffer,
    records: u32,
    partitions: Vec<PartitionId>,
    advances: Vec<A>,
    fsync: bool,
}

struct Submitted<A> {
    sequence: u64,
    file: usize,
    written: bool,
    /// The written-stage of this commit has been told.
    told: bool,
    flushed: bool,
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

/// What a record says, but for what the journal knows itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: record::Type,
    pub(crate) partition: PartitionId,
    pub(crate) generation: u32,
    pub(crate) previous: u64,
    pub(crate) offset: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) place: Place,
    pub(crate) at: Timestamp,
}

impl Entry {
    /// A record that belongs to no partition.
    pub(crate) fn of_the_ring(kind: record::Type, at: Timestamp) -> Self {
        let place = Place { segment: SegmentName { base: Offset::ZERO, creation: 0 }, position: 0 };
        Self {
            kind,
            partition: NO_PARTITION,
            generation: 0,
            previous: 0,
            offset: Offset::ZERO,
            epoch: LeaderEpoch::UNKNOWN,
            place,
            at,
        }
    }
}

/// The partition of records that have none.
pub(crate) const NO_PARTITION: PartitionId =
    PartitionId { topic: TopicId::ZERO, index: PartitionIndex(0) };

impl<A: 'static> Journal<A> {
    pub(crate) fn new(
        rt: Runtime,
        files: Vec<File>,
        uuid: [u8; 16],
        resume: Resume,
        flush_every: Duration,
    ) -> Rc<Self> {
        let file_bytes = usize::try_from(resume.ring.file_bytes).unwrap_or(usize::MAX);
        let reused = planted::is(Planted::SequencesReused);
        let highest =
            if reused { resume.previous.0.saturating_sub(2) } else { resume.highest_seen };
        let next = (highest | 1) + 1;
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

    /// Copies a record into the commit being filled and returns that commit's sequence. Never waits: who may call it is
    /// decided before, see [`Journal::has_room`].
    pub(crate) fn append(
        &self,
        entry: &Entry,
        payload: [&[u8]; 2],
        fsync: bool,
        advance: Option<A>,
    ) -> u64 {
        let mut state = self.state.borrow_mut();
        let length = payload[0].len() + payload[1].len();
        let size = record::size(length);
        let fits = |p: &Pending<A>| p.buffer.remaining() >= size;
        if !state.pending.as_ref().is_some_and(fits) {
            if let Some(full) = state.pending.take() {
                state.retire(full);
            }
            let new = self.begin(&mut state, size);
            state.pending = Some(new);
        }
        let State { pending: Some(pending), queued_bytes, counters, .. } = &mut *state else {
            return 0;
        };
        let header = record::Header {
            kind: entry.kind,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            partition: entry.partition,
            generation: entry.generation,
            previous: entry.previous,
            offset: entry.offset,
            epoch: entry.epoch,
            place: entry.place,
            at: entry.at,
        };
        pending.buffer.append(&header.to_bytes());
        pending.buffer.append(payload[0]);
        pending.buffer.append(payload[1]);
        pending.buffer.pad_to(8);
        pending.records += 1;
        pending.fsync |= fsync;
        if entry.partition != NO_PARTITION && pending.partitions.last() != Some(&entry.partition) {
            pending.partitions.push(entry.partition);
        }
        pending.advances.extend(advance);
        *queued_bytes += size;
        counters.records += 1;
        let sequence = pending.sequence;
        drop(state);
        self.wake.notify();
        sequence
    }

    /// Begins a commit that has room for a record of `size`; its first record is the directory of its predecessor.
    fn begin(&self, state: &mut State<A>, size: usize) -> Pending<A> {
        let sequence = state.next_sequence;
        state.next_sequence += 2;
        let mut directory = std::mem::take(&mut state.directory);
        directory.sort_unstable();
        directory.dedup();
        let listed = record::size(directory.len() * PartitionId::LEN);
        let wanted = commit::HEADER + listed + size;
        let capacity = blocks(wanted).max(self.commit_bytes);
        let mut buffer = self.rt.memory().alloc_beyond(capacity);
        buffer.append(&[0; commit::HEADER]);
        let mut records = 0;
        if !directory.is_empty() {
            let bytes: Vec<u8> = directory.iter().flat_map(|p| p.to_bytes()).collect();
            let entry = Entry::of_the_ring(record::Type::Directory, self.rt.wall());
            let header = record::Header {
                kind: entry.kind,
                length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                partition: entry.partition,
                generation: 0,
                previous: 0,
                offset: entry.offset,
                epoch: entry.epoch,
                place: entry.place,
                at: entry.at,
            };
            buffer.append(&header.to_bytes());
            buffer.append(&bytes);
            buffer.pad_to(8);
            records = 1;
        }
        Pending {
            sequence,
            buffer,
            records,
            partitions: Vec::new(),
            advances: Vec::new(),
            fsync: false,
        }
    }

    /// Whether a batch of `bytes` may be appended now without holding too much in memory or filling the ring's reserve.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let state = self.state.borrow();
        let queued = state.queued_bytes;
        (queued == 0 || queued + bytes <= QUEUED_COMMITS_MAX * self.commit_bytes)
            && self.finds_its_place(&state, bytes, DATA_RESERVE)
    }

    /// Whether the ring takes a batch of `bytes` without a checkpoint, however much waits for the device.
    pub(crate) fn has_room_in_the_ring(&self, bytes: usize) -> bool {
        self.finds_its_place(&self.state.borrow(), bytes, DATA_RESERVE)
    }

    /// Whether a record without a payload, of a deletion or a new log start, may be appended now.
    pub(crate) fn has_control_room(&self) -> bool {
        self.has_control_room_for(0)
    }

    /// Whether a record with a payload of `bytes` may be appended now, if the data cannot do without it.
    pub(crate) fn has_control_room_for(&self, bytes: usize) -> bool {
        self.finds_its_place(&self.state.borrow(), bytes, CONTROL_RESERVE)
    }

    /// Whether everything queued and a record of `bytes` more will find their places without a checkpoint, and leave the
    /// reserve. A checkpoint waits for what is queued, so what is queued must never wait for a checkpoint.
    fn finds_its_place(&self, state: &State<A>, bytes: usize, reserve: (u64, u64)) -> bool {
        let mut ring = state.ring;
        let mut take = |length: usize| {
            let length = blocks(length) as u64;
            let placing = (length <= ring.file_bytes).then(|| ring.place(length)).flatten();
            if let Some(placing) = placing {
                ring.take(placing);
            }
            placing.is_some()
        };
        let size = record::size(bytes);
        let first = |directory: &[PartitionId]| {
            commit::HEADER + record::size(directory.len() * PartitionId::LEN) + size
        };
        let found = state.full.iter().all(|c| take(c.buffer.len()))
            && match &state.pending {
                Some(p) if p.buffer.remaining() >= size => take(p.buffer.len() + size),
                Some(p) => take(p.buffer.len()) && take(first(&p.partitions)),
                None => take(first(&state.directory)),
            };
        let (percent, least) = reserve;
        let reserve = (ring.size() * percent / 100).max(least * BLOCK as u64);
        found && ring.used() + reserve <= ring.size()
    }

    /// How full the ring is, 0 to 1.
    pub(crate) fn fullness(&self) -> f64 {
        let state = self.state.borrow();
        let used = state.ring.used() + state.queued_bytes as u64;
        used as f64 / state.ring.size() as f64
    }

    fn submit_what_is_due(self: &Rc<Self>) {
        loop {
            let mut state = self.state.borrow_mut();
            let busy =
                state.submitted.iter().filter(|c| !c.written || (c.fsync && !c.flushed)).count();
            let writes = state.submitted.iter().filter(|c| !c.written).count();
            let waiting = state.full.len() + usize::from(state.pending.is_some());
            let worth_it = !state.full.is_empty()
                || state.pending.as_ref().is_some_and(|p| p.buffer.len() >= WORTH_A_WRITE);
            if waiting == 0 || !(busy == 0 || (worth_it && writes < IN_FLIGHT_MAX)) {
                return;
            }
            if state.full.is_empty()
                && let Some(pending) = state.pending.take()
            {
                state.retire(pending);
            }
            let Some(length) = state.full.front().map(|p| blocks(p.buffer.len()) as u64) else {
                return;
            };
            let Some(placing) = state.ring.place(length) else {
                drop(state);
                if let Some(on_short) = self.on_short.borrow().clone() {
                    on_short();
                }
                return;
            };
            let Some(pending) = state.full.pop_front() else { return };
            if let Some(at) = placing.skip {
                self.submit_skip(&mut state, &pending, at, placing);
            }
            self.submit(&mut state, pending, placing);
        }
    }

    fn submit_skip(
        self: &Rc<Self>,
        state: &mut State<A>,
        before: &Pending<A>,
        at: u64,
        placing: Placing,
    ) {
        let mut buffer = self.rt.memory().alloc_beyond(BLOCK);
        buffer.append(&[0; commit::HEADER]);
        let header = Header {
            kind: Kind::Skip,
            length: BLOCK as u32,
            used: commit::HEADER as u32,
            records: 0,
            ring: self.uuid,
            sequence: before.sequence - 1,
            position: at,
            next: placing.position,
            previous_sequence: state.previous.0,
            previous_crc: state.previous.1,
            flushed_through: state.flushed_through,
            sealed_at: self.rt.wall().0,
        };
        state.counters.skips += 1;
        self.write(state, header, buffer, Vec::new(), before.fsync);
    }

    fn submit(self: &Rc<Self>, state: &mut State<A>, pending: Pending<A>, placing: Placing) {
        let used = pending.buffer.len();
        let header = Header {
            kind: Kind::Records,
            length: u32::try_from(blocks(used)).unwrap_or(u32::MAX),
            used: u32::try_from(used).unwrap_or(u32::MAX),
            records: pending.records,
            ring: self.uuid,
            sequence: pending.sequence,
            position: placing.position,
            next: placing.next,
            previous_sequence: state.previous.0,
            previous_crc: state.previous.1,
            flushed_through: state.flushed_through,
            sealed_at: self.rt.wall().0,
        };
        let lap = |position: u64| position / state.ring.size();
        if lap(placing.position) > lap(state.ring.head.saturating_sub(1)) {
            state.counters.wraps += 1;
        }
        state.ring.take(placing);
        state.queued_bytes = state.queued_bytes.saturating_sub(used);
        if state.full.is_empty() && state.pending.is_none() {
            state.queued_bytes = 0;
        }
        state.counters.commits += 1;
        state.counters.marks += u64::from(pending.records == 0);
        self.write(state, header, pending.buffer, pending.advances, pending.fsync);
    }

    fn write(
        self: &Rc<Self>,
        state: &mut State<A>,
        header: Header,
        mut buffer: Buffer,
        advances: Vec<A>,
        fsync: bool,
    ) {
        let mut sealed = [0; commit::HEADER];
        let (prefix, crc) = header.sealed(&buffer.filled()[commit::HEADER..]);
        sealed.copy_from_slice(&prefix);
        buffer.patch(0, &sealed);
        buffer.pad_to(BLOCK);
        state.previous = (header.sequence, crc);
        state.recorded_flush = header.flushed_through;
        state.ends.push_back((header.sequence, crc, header.next));
        state.counters.bytes += u64::from(header.length);
        let (file, at) = state.ring.locate(header.position);
        state.submitted.push_back(Submitted {
            sequence: header.sequence,
            file,
            written: false,
            told: false,
            flushed: false,
            fsync,
            advances,
        });
        let submitted = stages::read(|| self.rt.clock());
        // Not of a skip, whose sequence is the odd one before its commit's.
        if header.sequence.is_multiple_of(2) {
            *slot(&mut state.times, header.sequence) =
                CommitTimes { sequence: header.sequence, submitted, ..CommitTimes::default() };
        }
        let len = buffer.len();
        let data: Slice = buffer.slice(0..len);
        let me = Rc::clone(self);
        self.rt.spawn(async move {
            if let Err(e) = me.files[file].write_at(at, data).await {
                me.rt.fault(format!("write of commit {} to the ring failed: {e}", header.sequence));
            }
            me.on_written(header.sequence);
        });
    }

    fn on_written(self: &Rc<Self>, sequence: u64) {
        {
            let mut state = self.state.borrow_mut();
            if let Some(c) = state.submitted.iter_mut().find(|c| c.sequence == sequence) {
                c.written = true;
            }
            let times = slot(&mut state.times, sequence);
            if times.sequence == sequence {
                // The kernel reported it when this turn began.
                times.written = self.rt.now();
            }
        }
        self.tell_written();
        self.flush_if_due();
        self.wake.notify();
    }

    /// Tells the written stage of every commit that has no unwritten one before it.
    fn tell_written(&self) {
        let on_advance = self.on_advance.borrow().clone();
        loop {
            let mut state = self.state.borrow_mut();
            let next = state.submitted.iter().position(|c| !c.told);
            let Some(at) = next.filter(|at| state.submitted[*at].written) else { return };
            let commit = &mut state.submitted[at];
            commit.told = true;
            let (sequence, advances) = (commit.sequence, std::mem::take(&mut commit.advances));
            state.written_through = sequence;
            drop(state);
            if let Some(f) = &on_advance {
                f(&advances, Stage::Written);
                if planted::is(Planted::AckBeforeFlush) {
                    f(&advances, Stage::Durable);
                }
            }
            let mut state = self.state.borrow_mut();
            if let Some(c) = state.submitted.iter_mut().find(|c| c.sequence == sequence) {
                c.advances = advances;
            }
        }
    }

    fn flush_if_due(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if state.flush_running {
            return;
        }
        // A commit can become durable only when all before it are written too; before that a flush is of no use.
        let run = state.submitted.iter().take_while(|c| c.written);
        let asked = state.flush_asked || !state.waiters.is_empty();
        let due = run.clone().any(|c| !c.flushed && (c.fsync || asked));
        if !due {
            let unflushed = run.clone().any(|c| !c.flushed && !c.advances.is_empty());
            if unflushed && !state.flush_timer {
                state.flush_timer = true;
                let me = Rc::clone(self);
                self.rt.spawn(async move {
                    me.rt.sleep(me.flush_every.get()).await;
                    {
                        let mut state = me.state.borrow_mut();
                        state.flush_timer = false;
                        state.flush_asked = true;
                    }
                    me.flush_if_due();
                });
            }
            return;
        }
        state.flush_running = true;
        state.flush_asked = false;
        let covered: Vec<u64> = state
            .submitted
            .iter()
            .filter(|c| c.written && !c.flushed)
            .map(|c| c.sequence)
            .collect();
        let mut files: Vec<usize> =
            state.submitted.iter().filter(|c| c.written && !c.flushed).map(|c| c.file).collect();
        files.sort_unstable();
        files.dedup();
        state.counters.flushes += files.len() as u64;
        drop(state);
        let me = Rc::clone(self);
        self.rt.spawn(async move {
            for file in files {
                if let Err(e) = me.files[file].sync_data().await {
                    me.rt.fault(format!("flush of ring file {file} failed: {e}"));
                }
            }
            me.on_flushed(&covered);
        });
    }

    fn on_flushed(self: &Rc<Self>, covered: &[u64]) {
        let on_advance = self.on_advance.borrow().clone();
        // The kernel reported it when this turn began.
        let flushed = self.rt.now();
        {
            let mut state = self.state.borrow_mut();
            state.flush_running = false;
            for c in &mut state.submitted {
                c.flushed |= c.written && planted::is(Planted::FlushCreditedTooWidely);
                c.flushed |= covered.binary_search(&c.sequence).is_ok();
            }
        }
        loop {
            let mut state = self.state.borrow_mut();
            let early = planted::is(Planted::AckOutOfSequence);
            let at = if early { state.submitted.iter().position(|c| c.flushed) } else { Some(0) };
            let Some(at) = at else { break };
            if !state.submitted.get(at).is_some_and(|c| c.flushed && (c.told || early)) {
                break;
            }
            let Some(commit) = state.submitted.remove(at) else { break };
            state.flushed_through = commit.sequence;
            let times = slot(&mut state.times, commit.sequence);
            if times.sequence == commit.sequence {
                times.flushed = flushed;
            }
            if !commit.advances.is_empty() || commit.fsync {
                state.flushed_records = commit.sequence;
            }
            let later = state.waiters.split_off(&(commit.sequence + 1));
            let now = std::mem::replace(&mut state.waiters, later);
            drop(state);
            if let Some(f) = &on_advance {
                f(&commit.advances, Stage::Durable);
            }
            for waiter in now.into_values().flatten() {
                waiter.send(());
            }
        }
        self.flush_if_due();
        self.mark_if_quiet();
        self.idle.notify();
        self.wake.notify();
    }

    /// So that a damaged last commit can be told from the end of the log, the flush of it is recorded by another commit.
    fn mark_if_quiet(self: &Rc<Self>) {
        let mut state = self.state.borrow_mut();
        if state.mark_timer || state.recorded_flush >= state.flushed_records || state.stopping {
            return;
        }
        state.mark_timer = true;
        drop(state);
        let me = Rc::clone(self);
        self.rt.spawn(async move {
            me.rt.sleep(MARK_AFTER).await;
            let mut state = me.state.borrow_mut();
            state.mark_timer = false;
            let quiet = state.pending.is_none()
                && state.full.is_empty()
                && state.submitted.is_empty()
                && state.recorded_flush < state.flushed_records
                && !state.stopping;
            let room = state.ring.size() - state.ring.used() > state.ring.size() / 5;
            if quiet && room {
                let mark = me.begin(&mut state, 0);
                state.pending = Some(mark);
            }
            drop(state);
            me.wake.notify();
        });
    }

    /// Closes the commit being filled and returns the sequence after which the present state is the state: N of a checkpoint.
    pub(crate) fn seal(&self) -> u64 {
        let mut state = self.state.borrow_mut();
        if let Some(pending) = state.pending.take() {
            state.retire(pending);
        }
        let last = state.full.back().map(|p| p.sequence);
        let last = last.unwrap_or(state.previous.0);
        drop(state);
        self.wake.notify();
        last
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

    /// Gives the ring space before `position` back.
    pub(crate) fn release(&self, position: u64) {
        let mut state = self.state.borrow_mut();
        state.ring.release(position);
        while state.ends.len() > 1 && state.ends[1].2 <= position {
            state.ends.pop_front();
        }
        drop(state);
        self.wake.notify();
    }

    /// The commit that the last record went into, while it is being filled.
    pub(crate) fn filling(&self) -> Option<u64> {
        self.state.borrow().pending.as_ref().map(|p| p.sequence)
    }

    /// The times of one of the last commits.
    pub(crate) fn times(&self, sequence: u64) -> Option<CommitTimes> {
        let mut state = self.state.borrow_mut();
        Some(*slot(&mut state.times, sequence)).filter(|t| t.sequence == sequence)
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

/// Where the times of a commit are kept: sequences of commits are even.
fn slot(times: &mut [CommitTimes; TIMES], sequence: u64) -> &mut CommitTimes {
    &mut times[(sequence / 2) as usize % TIMES]
}

impl<A> State<A> {
    /// Puts a commit that takes no more records into the queue.
    fn retire(&mut self, mut pending: Pending<A>) {
        self.directory = std::mem::take(&mut pending.partitions);
        self.full.push_back(pending);
    }
}
