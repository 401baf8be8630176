//! The machine: append, replay, truncate, log start.

use crate::{
    AbortedTxn, BatchMeta, Epochs, IndexEntry, Producers, Segment, SegmentName, SequenceError,
};
use crate::{EpochEnd, WrittenBatch, short};
use ids::{LeaderEpoch, Offset, ProducerId, Timestamp};

/// What the log reads of its topic's configuration; may change at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// `segment.bytes`: a segment is rolled before it would grow beyond this.
    pub segment_bytes: u32,
    /// `segment.ms`, less the jitter: record time between the first batch of a segment and a newer one that rolls it.
    pub segment_ms: i64,
    /// `segment.index.bytes`: a segment is rolled when its index would grow beyond this.
    pub segment_index_bytes: u32,
    /// `index.interval.bytes`: how far apart index entries are.
    pub index_interval_bytes: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            segment_ms: 7 * 24 * 3_600_000,
            segment_index_bytes: 10 << 20,
            index_interval_bytes: 4096,
        }
    }
}

/// A place in a segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which segment.
    pub segment: SegmentName,
    /// Bytes from its start.
    pub position: u32,
}

/// Where a batch has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// It is new, and this is its place.
    New {
        /// The offset of its first record.
        base_offset: Offset,
        /// Where its bytes go.
        place: Place,
        /// The segment that this append has sealed.
        sealed: Option<SegmentName>,
    },
    /// It repeats a batch that is in the log already; nothing was appended. The answer must wait until the original is
    /// durable, or committed, exactly as the original's answer did.
    Duplicate(WrittenBatch),
}

/// Why a batch cannot be appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendError {
    /// It does not continue its producer's sequence, or ends a transaction in the name of an older incarnation.
    Sequence(SequenceError),
    /// It comes without a transaction while its producer has one open on this partition.
    OpenTransaction,
    /// It does not fit into a segment (`segment.bytes`).
    LargerThanSegment {
        /// The limit in bytes.
        max: u32,
    },
}

/// Why a recovered batch does not continue the recovered log. The journal is damaged, or we have a bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// The batch's offset is not the end of the log.
    Offset {
        /// The end of the log.
        expected: Offset,
        /// The batch's base offset.
        got: Offset,
    },
    /// The batch's place is not the end of the active segment, or of a new one.
    Place {
        /// The end of the active segment.
        expected: Option<Place>,
        /// The batch's place.
        got: Place,
    },
    /// The leader epoch goes back.
    Epoch,
}

/// What a truncation or a new log start has dropped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Segments whose files may be unlinked once the change is durable.
    pub segments: Vec<SegmentName>,
}

/// One partition's log. Lives on the core that owns the partition, from its creation or recovery until its deletion.
///
/// Always: segments are in order and without holes; `start <= end`; the last segment ends at `end`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Log {
    pub(crate) start: Offset,
    pub(crate) end: Offset,
    pub(crate) generation: u32,
    pub(crate) next_creation: u32,
    pub(crate) epochs: Epochs,
    pub(crate) segments: Vec<Segment>,
    pub(crate) producers: Producers,
    /// The active segment takes no more batches; the next append starts a new one.
    pub(crate) roll_next: bool,
    /// Below this every key has been compacted against all records below this.
    pub(crate) clean_end: Offset,
    /// Transactions that have ended, while their marker may not be committed yet: until then a reader of committed data must
    /// not read them. Not part of the state on disk: what is there is durable.
    pub(crate) ended: Vec<Ended>,
}

/// A transaction whose end is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    producer: ProducerId,
    first: Offset,
    marker: Offset,
}

impl Log {
    /// Decides where `batch` goes and notes it. The caller has checked that `epoch` is the present leader epoch.
    ///
    /// # Errors
    /// [`AppendError`]; then nothing has changed.
    pub fn append(
        &mut self,
        batch: &BatchMeta,
        epoch: LeaderEpoch,
        now: Timestamp,
        config: &Config,
    ) -> Result<Appended, AppendError> {
        if batch.len > config.segment_bytes {
            return Err(AppendError::LargerThanSegment { max: config.segment_bytes });
        }
        if batch.is_idempotent() {
            if let Some(original) = self.producers.check(batch).map_err(AppendError::Sequence)? {
                return Ok(Appended::Duplicate(original));
            }
            let open = self.producers.get(batch.producer_id).and_then(|p| p.transaction_start);
            if open.is_some() && !batch.transactional {
                return Err(AppendError::OpenTransaction);
            }
        } else if batch.control
            && let Some(known) = self.producers.get(batch.producer_id)
            && batch.producer_epoch < known.epoch
        {
            // A coordinator that has moved and does not know it yet: the marker would end nothing, and who reads the log alone
            // could not tell.
            let (current, got) = (known.epoch, batch.producer_epoch);
            return Err(AppendError::Sequence(SequenceError::StaleEpoch { current, got }));
        }
        let sealed = match self.segments.last() {
            Some(active) if self.must_roll(active, batch, config) => Some(active.name),
            _ => None,
        };
        let place = self.next_place(sealed.is_some());
        let base_offset = self.end;
        self.note(batch, epoch, base_offset, place, now, config.index_interval_bytes);
        Ok(Appended::New { base_offset, place, sealed })
    }

    /// Takes a batch whose place was decided before a crash.
    ///
    /// # Errors
    /// [`ReplayError`] if it does not continue the log; then nothing has changed.
    pub fn replay(
        &mut self,
        batch: &BatchMeta,
        epoch: LeaderEpoch,
        base_offset: Offset,
        place: Place,
        appended_at: Timestamp,
        index_interval_bytes: u32,
    ) -> Result<(), ReplayError> {
        if base_offset != self.end {
            return Err(ReplayError::Offset { expected: self.end, got: base_offset });
        }
        if epoch < self.epochs.latest() {
            return Err(ReplayError::Epoch);
        }
        let continues = self
            .segments
            .last()
            .is_some_and(|s| s.name == place.segment && s.len == place.position && !self.roll_next);
        let begins = place.position == 0
            && place.segment.base == self.end
            && place.segment.creation >= self.next_creation;
        if !continues && !begins {
            let expected = self.segments.last().map(|s| Place { segment: s.name, position: s.len });
            return Err(ReplayError::Place { expected, got: place });
        }
        self.note(batch, epoch, base_offset, place, appended_at, index_interval_bytes);
        Ok(())
    }

    fn must_roll(&self, active: &Segment, batch: &BatchMeta, config: &Config) -> bool {
        let last_offset = self.end + i64::from(batch.offsets - 1);
        let index_entries_max = (config.segment_index_bytes / 8).max(1) as usize;
        let record_age = if active.first_timestamp.0 >= 0 && batch.max_timestamp.0 >= 0 {
            batch.max_timestamp - active.first_timestamp
        } else {
            0
        };
        self.roll_next
            || active.len > config.segment_bytes.saturating_sub(batch.len)
            || record_age > config.segment_ms
            || last_offset - active.name.base > i64::from(i32::MAX)
            || active.index.entries().len() >= index_entries_max
    }

    fn next_place(&self, roll: bool) -> Place {
        match self.segments.last() {
            Some(active) if !roll => Place { segment: active.name, position: active.len },
            _ => {
                let name = SegmentName { base: self.end, creation: self.next_creation };
                Place { segment: name, position: 0 }
            }
        }
    }

    fn note(
        &mut self,
        batch: &BatchMeta,
        epoch: LeaderEpoch,
        base_offset: Offset,
        place: Place,
        now: Timestamp,
        index_interval: u32,
    ) {
        if self.segments.last().is_none_or(|s| s.name != place.segment) {
            let mut new = Segment::new(place.segment, now);
            if let Some(open) = self.producers.first_open_transaction() {
                new.unstable_from = open;
                new.transactional = true;
            }
            short::push(&mut self.segments, new);
            self.next_creation = place.segment.creation + 1;
            self.roll_next = false;
        }
        let Some(active) = self.segments.last_mut() else { return };
        assert_eq!(active.len, place.position, "a batch leaves a hole in {}", active.name);
        if active.len == 0 {
            active.first_timestamp = batch.max_timestamp;
        }
        let relative = base_offset - active.name.base;
        let entry = IndexEntry {
            offset: u32::try_from(relative).unwrap_or(u32::MAX),
            position: place.position,
            max_timestamp_before: active.max_timestamp,
        };
        active.index.note(active.name.base, entry, index_interval);
        active.len += batch.len;
        active.appended_at = now;
        if batch.max_timestamp > active.max_timestamp {
            active.max_timestamp = batch.max_timestamp;
            active.max_timestamp_batch = base_offset;
        }
        self.end = base_offset + i64::from(batch.offsets);
        active.end = self.end;
        active.transactional |= batch.transactional;
        self.epochs.note(epoch, base_offset);
        if batch.is_idempotent() {
            self.producers.note(batch, base_offset, now);
        } else if batch.control && batch.producer_id.0 >= 0 {
            active.transactional = true;
            if let Some(first) = self.producers.note_marker(batch, now) {
                let producer = batch.producer_id;
                self.ended.push(Ended { producer, first, marker: base_offset });
            }
        }
    }

    /// The marker at `marker`, which is the batch that was appended last, aborts its transaction. Nothing if there was none that
    /// it could end.
    pub fn abort(&mut self, marker: Offset) {
        let last_stable = self.producers.first_open_transaction().unwrap_or(marker.next());
        let Some(ended) = self.ended.last().filter(|e| e.marker == marker) else { return };
        let Some(active) = self.segments.last_mut() else { return };
        active.aborted.push(AbortedTxn {
            producer_id: ended.producer,
            first: ended.first,
            last: marker,
            last_stable,
        });
    }

    /// The last stable offset: what a reader of committed data may read is below it. It is the high watermark, or the first
    /// offset of the oldest transaction of which no end is below the high watermark.
    #[must_use]
    pub fn last_stable(&self, high_watermark: Offset) -> Offset {
        let undecided = self.ended.iter().filter(|e| e.marker >= high_watermark).map(|e| e.first);
        match undecided.chain(self.producers.first_open_transaction()).min() {
            Some(first) => first.max(self.start).min(high_watermark),
            None => high_watermark,
        }
    }

    /// Everything below `high_watermark` is committed, and will not be taken back: ends of transactions too.
    pub fn on_committed(&mut self, high_watermark: Offset) {
        self.ended.retain(|e| e.marker >= high_watermark);
    }

    /// Moves the start of the log up to `to` (retention, DeleteRecords) and drops the segments below it. A log whose start
    /// reaches its end has no segments; its offsets go on from there, they never restart.
    ///
    /// `to` is at most the end of the log; one at or below the present start changes nothing.
    pub fn advance_start(&mut self, to: Offset) -> Dropped {
        assert!(to <= self.end, "log start {to} beyond the end {}", self.end);
        if to <= self.start {
            return Dropped::default();
        }
        self.start = to;
        let keep_from = self.segments.partition_point(|s| s.end <= to);
        let segments = self.segments.drain(..keep_from).map(|s| s.name).collect();
        self.epochs.advance_start(to);
        if self.segments.is_empty() {
            self.roll_next = false;
        }
        Dropped { segments }
    }

    /// Cuts the log back to `to`, which is the start of a batch, or the end of the log. `cut` is what the segment that holds
    /// `to` keeps (`None` if nothing of any segment above the start remains in it), `producers` the state of the producers at
    /// `to`. The generation rises: completions of writes of the older one mean nothing any more, and the next append starts a
    /// new segment, so that no block of the old one is written twice. A log that is cut back to its start, or below, has no
    /// segments.
    pub fn truncate(&mut self, to: Offset, cut: Option<Segment>, producers: Producers) -> Dropped {
        assert!(to <= self.end, "truncation to {to} beyond the end {}", self.end);
        self.generation += 1;
        let below = |s: &Segment| s.name.base < to && to > self.start;
        let keep = self.segments.partition_point(below);
        let mut segments: Vec<SegmentName> = self.segments.drain(keep..).map(|s| s.name).collect();
        match (self.segments.last_mut(), cut) {
            (Some(last), Some(cut)) => {
                assert_eq!(last.name, cut.name, "the cut is of another segment");
                assert!(cut.len <= last.len && cut.end == to, "the cut does not end at {to}");
                *last = cut;
            }
            (Some(last), None) if last.end > to => {
                segments.push(last.name);
                self.segments.pop();
            }
            _ => {}
        }
        self.end = to;
        self.start = self.start.min(to);
        self.clean_end = self.clean_end.min(to);
        self.epochs.truncate(to);
        self.producers = producers;
        self.ended.retain(|e| e.marker < to);
        self.roll_next = !self.segments.is_empty();
        Dropped { segments }
    }

    /// Starts the whole log again at `to`: a replica below its leader's log start.
    pub fn restart_at(&mut self, to: Offset) -> Dropped {
        self.generation += 1;
        let segments = self.segments.drain(..).map(|s| s.name).collect();
        self.start = to;
        self.end = to;
        self.clean_end = to;
        self.epochs = Epochs::default();
        self.producers = Producers::default();
        self.ended.clear();
        self.roll_next = false;
        Dropped { segments }
    }

    /// Takes a creation number, for a segment that compaction is going to write. Numbers that are never used do no harm.
    pub fn reserve_creation(&mut self) -> u32 {
        let creation = self.next_creation;
        self.next_creation += 1;
        creation
    }

    /// No new segment gets a number up to `creation`: files of that number are about to be removed. Numbers come one after the
    /// other, so one that is far off is not given out before they are gone, and nobody made it.
    pub fn pass_over_creation(&mut self, creation: u32) {
        const FAR: u32 = 1 << 20;
        if creation < self.next_creation.saturating_add(FAR) {
            self.next_creation = self.next_creation.max(creation + 1);
        }
    }

    /// Puts the compacted segment `with` in the place of `group`, which are adjoining segments of this log and not the active
    /// one. False, and nothing has changed, if they are not here any more: a new start of the log came first.
    pub fn replace(&mut self, group: &[SegmentName], with: Segment) -> bool {
        let Some(at) = self.segments.iter().position(|s| Some(&s.name) == group.first()) else {
            return false;
        };
        let here = self.segments.get(at..at + group.len()).unwrap_or(&[]);
        let same = here.iter().map(|s| s.name).eq(group.iter().copied());
        let active = at + group.len() >= self.segments.len();
        if !same || active || here.last().is_none_or(|last| last.end != with.end) {
            return false;
        }
        assert_eq!(with.name.base, group[0].base, "a compacted segment begins elsewhere");
        assert!(with.name.creation < self.next_creation, "{} was not reserved", with.name);
        self.segments.splice(at..at + group.len(), [with]);
        true
    }

    /// Notes that everything below `to` is compacted.
    pub fn set_clean_end(&mut self, to: Offset) {
        self.clean_end = self.clean_end.max(to.min(self.end));
    }

    /// Below this every key has been compacted against all records below this: where the next compaction begins.
    #[must_use]
    pub fn clean_end(&self) -> Offset {
        self.clean_end.max(self.start)
    }

    /// The next append starts a new segment.
    pub fn roll(&mut self) {
        self.roll_next = !self.segments.is_empty();
    }

    /// Forgets producers that have been silent for `expiration_ms`.
    pub fn expire_producers(&mut self, now: Timestamp, expiration_ms: i64) {
        self.producers.expire(now, expiration_ms);
    }

    /// The first offset that a reader may ask for.
    #[must_use]
    pub fn start(&self) -> Offset {
        self.start
    }

    /// The offset that the next record gets (Kafka's log end offset).
    #[must_use]
    pub fn end(&self) -> Offset {
        self.end
    }

    /// How often the log has been truncated.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The creation number of the next segment.
    #[must_use]
    pub fn next_creation(&self) -> u32 {
        self.next_creation
    }

    /// Leader epochs and their first offsets.
    #[must_use]
    pub fn epochs(&self) -> &Epochs {
        &self.epochs
    }

    /// Where `epoch` ends (OffsetForLeaderEpoch).
    #[must_use]
    pub fn end_of_epoch(&self, epoch: LeaderEpoch) -> EpochEnd {
        self.epochs.end_of(epoch, self.end)
    }

    /// The producers of this partition.
    #[must_use]
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// The segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// One segment by its name; `None` once it has been dropped.
    #[must_use]
    pub fn segment(&self, name: SegmentName) -> Option<&Segment> {
        let at = self.segments.partition_point(|s| s.name < name);
        self.segments.get(at).filter(|s| s.name == name)
    }

    /// One segment by its name, to give or take its index.
    pub fn segment_mut(&mut self, name: SegmentName) -> Option<&mut Segment> {
        let at = self.segments.partition_point(|s| s.name < name);
        self.segments.get_mut(at).filter(|s| s.name == name)
    }

    /// The segment that holds `offset`: the last one whose base is not above it.
    #[must_use]
    pub fn segment_of(&self, offset: Offset) -> Option<&Segment> {
        if offset >= self.end {
            return None;
        }
        let after = self.segments.partition_point(|s| s.name.base <= offset);
        after.checked_sub(1).and_then(|i| self.segments.get(i))
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|s| u64::from(s.len)).sum()
    }

    /// A copy without the indexes, which have files of their own: what a checkpoint keeps of the state after its commit.
    #[must_use]
    pub fn without_index(&self) -> Self {
        Self {
            segments: self.segments.iter().map(Segment::without_index).collect(),
            ended: self.ended.clone(),
            epochs: self.epochs.clone(),
            producers: self.producers.clone(),
            ..*self
        }
    }

    /// Whether `name` takes no more batches: another segment follows, or will.
    #[must_use]
    pub fn is_sealed(&self, name: SegmentName) -> bool {
        self.roll_next || self.segments.last().is_none_or(|active| active.name != name)
    }

    /// Whether nothing was ever appended or all of it is gone without a trace of epochs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }
}

#[cfg(test)]
mod tests;
