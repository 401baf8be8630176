//! One partition's records on their way: the open batch, those that wait, and those that must be sent again.
//!
//! With idempotence the broker wants the batches of a producer id numbered without a gap. A batch that is given up leaves one, so
//! the lane then goes on under a new id, numbered from 0. Not before everything that went out under the old id is settled: a
//! batch whose answer was lost may have been written, and only the old number tells the broker so.

use super::ProducerConfig;
use ids::{ProducerEpoch, ProducerId};
use record::{BatchBuilder, BatchView, BuildError, Compressor, Decompressor, Header};
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Instant;

/// A closed batch.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) records: i32,
    /// Which of the lane's records its first one is, from 0: its order.
    pub(super) first: u64,
    /// The number of its first record under the lane's producer id.
    sequence: u64,
    pub(super) closed_at: Instant,
}

type Identity = Option<(ProducerId, ProducerEpoch)>;

impl Batch {
    /// Two batches with half of the records each, after the broker found it too large.
    pub(super) fn split(
        self,
        config: &ProducerConfig,
        identity: Identity,
        compressor: &mut Compressor,
    ) -> Result<(Self, Self), Self> {
        match self.halves(config, identity, compressor) {
            Some(halves) => Ok(halves),
            None => Err(self),
        }
    }

    fn halves(
        &self,
        config: &ProducerConfig,
        identity: Identity,
        compressor: &mut Compressor,
    ) -> Option<(Self, Self)> {
        let half = self.records / 2;
        let at = u64::try_from(half).ok()?;
        let one = self.part(0..half, self.sequence, config, identity, compressor)?;
        let from = self.sequence + at;
        let two = self.part(half..self.records, from, config, identity, compressor)?;
        Some((one, two))
    }

    /// Some of its records as a batch of their own.
    fn part(
        &self,
        range: Range<i32>,
        sequence: u64,
        config: &ProducerConfig,
        identity: Identity,
        compressor: &mut Compressor,
    ) -> Option<Self> {
        let view = BatchView::first(&self.bytes).ok()?;
        let mut decompressor = Decompressor::new();
        let header = *view.header();
        let mut builder = builder(config);
        for (i, record) in (0..).zip(view.records_with(&mut decompressor, usize::MAX).ok()?) {
            let record = record.ok()?;
            if range.contains(&i) {
                let headers: Vec<Header<'_>> = record.headers.collect();
                let timestamp = header.timestamp_of(record.timestamp_delta);
                builder.push(timestamp, record.key, record.value, &headers);
            }
        }
        if let Some((id, epoch)) = identity {
            builder.set_producer(id, epoch, sequence_number(sequence));
        }
        let records = builder.count();
        let mut bytes = Vec::new();
        builder.build_into(compressor, &mut bytes).ok()?;
        let first = self.first + u64::try_from(range.start).ok()?;
        Some(Self { bytes, records, first, sequence, closed_at: self.closed_at })
    }
}

fn builder(config: &ProducerConfig) -> BatchBuilder {
    BatchBuilder::new().codec(config.codec).level(config.level)
}

/// The sequence number of the n-th record under a producer id: it wraps from 2^31 - 1 to 0 (KIP-98).
fn sequence_number(n: u64) -> i32 {
    i32::try_from(n & 0x7fff_ffff).unwrap_or(0)
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) builder: BatchBuilder,
    pub(super) opened_at: Instant,
    /// Nothing is sent before this moment, after trouble.
    pub(super) not_before: Option<Instant>,
    /// What went wrong last.
    pub(super) trouble: String,
    identity: Identity,
    /// A batch was given up: what has not been sent yet needs a new identity.
    gap: bool,
    waiting: VecDeque<Batch>,
    /// Sent, and to be sent again once nothing is in flight any more.
    again: Vec<Batch>,
    in_flight: usize,
    /// Until the batches before this number are through, they go one by one.
    one_by_one_below: u64,
    next: u64,
    next_sequence: u64,
}

impl Lane {
    pub(super) fn new(config: &ProducerConfig, identity: Identity) -> Self {
        Self {
            builder: builder(config),
            opened_at: Instant::now(),
            not_before: None,
            trouble: String::new(),
            identity,
            gap: false,
            waiting: VecDeque::new(),
            again: Vec::new(),
            in_flight: 0,
            one_by_one_below: 0,
            next: 0,
            next_sequence: 0,
        }
    }

    /// Closes the open batch. An error names its records: the first one, and how many.
    pub(super) fn close(
        &mut self,
        compressor: &mut Compressor,
    ) -> Result<(), (u64, i32, BuildError)> {
        if self.builder.is_empty() {
            return Ok(());
        }
        let sequence = self.next_sequence;
        if let Some((id, epoch)) = self.identity {
            self.builder.set_producer(id, epoch, sequence_number(sequence));
        }
        let records = self.builder.count();
        let count = u64::try_from(records).unwrap_or(0);
        let first = self.next;
        self.next += count;
        let mut bytes = Vec::with_capacity(self.builder.batch_bytes());
        self.builder.build_into(compressor, &mut bytes).map_err(|e| (first, records, e))?;
        let closed_at = Instant::now();
        self.waiting.push_back(Batch { bytes, records, first, sequence, closed_at });
        self.next_sequence += count;
        Ok(())
    }

    pub(super) fn is_idle(&self) -> bool {
        self.builder.is_empty()
            && self.waiting.is_empty()
            && self.again.is_empty()
            && self.in_flight == 0
    }

    pub(super) fn is_retrying(&self) -> bool {
        !self.again.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        let open = if self.builder.is_empty() { 0 } else { self.builder.batch_bytes() };
        let closed = self.waiting.iter().chain(&self.again).map(|b| b.bytes.len());
        open + closed.sum::<usize>()
    }

    pub(super) fn can_send(&self, now: Instant) -> bool {
        if self.not_before.is_some_and(|t| t > now) {
            return false;
        }
        if !self.again.is_empty() {
            return self.in_flight == 0;
        }
        if self.gap {
            return false;
        }
        let Some(first) = self.waiting.front() else { return false };
        self.in_flight == 0 || first.first >= self.one_by_one_below
    }

    /// The batch to send next, if there is one and it fits.
    pub(super) fn next(&mut self, now: Instant, fits: impl Fn(&Batch) -> bool) -> Option<Batch> {
        if !self.can_send(now) {
            return None;
        }
        self.not_before = None;
        if self.gap {
            // Only to learn what became of it; what waits stays where it is.
            self.again.sort_by_key(|b| b.first);
            if !self.again.first().is_some_and(&fits) {
                return None;
            }
            self.in_flight += 1;
            return Some(self.again.remove(0));
        }
        if !self.again.is_empty() {
            self.again.sort_by_key(|b| b.first);
            for batch in self.again.drain(..).rev() {
                self.one_by_one_below = self.one_by_one_below.max(batch.first + 1);
                self.waiting.push_front(batch);
            }
        }
        let batch = self.waiting.pop_front_if(|b| fits(b))?;
        self.in_flight += 1;
        Some(batch)
    }

    /// A batch was given up. Without an identity there are no numbers, and no gap.
    pub(super) fn gave_up(&mut self) {
        self.gap = self.identity.is_some();
    }

    /// Whether a batch was given up, and the lane has not started again under a new identity.
    pub(super) fn has_gap(&self) -> bool {
        self.gap
    }

    /// A batch that was in flight has not been written, because the numbers have a gap before it.
    pub(super) fn after_gap(&mut self, batch: Batch) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let at = self.waiting.partition_point(|b| b.first < batch.first);
        self.waiting.insert(at, batch);
    }

    /// Whether everything that went out under the old identity is settled, and more is to be sent.
    pub(super) fn wants_identity(&self, now: Instant) -> bool {
        self.gap
            && self.in_flight == 0
            && self.again.is_empty()
            && !self.waiting.is_empty()
            && self.not_before.is_none_or(|t| t <= now)
    }

    /// Goes on under a new identity. Gives back the batches that cannot be written anew, which would be a fault of this program.
    pub(super) fn start_again(
        &mut self,
        identity: Identity,
        config: &ProducerConfig,
        compressor: &mut Compressor,
    ) -> Vec<Batch> {
        self.gap = false;
        self.identity = identity;
        self.next_sequence = 0;
        self.not_before = None;
        let mut lost = Vec::new();
        for old in std::mem::take(&mut self.waiting) {
            let all = 0..old.records;
            match old.part(all, self.next_sequence, config, identity, compressor) {
                Some(new) => {
                    self.next_sequence += u64::try_from(new.records).unwrap_or(0);
                    self.waiting.push_back(new);
                }
                None => lost.push(old),
            }
        }
        lost
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// A batch that was in flight must be sent again.
    pub(super) fn failed(&mut self, batch: Batch) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.again.push(batch);
    }

    /// The other half of a batch that was split.
    pub(super) fn failed_too(&mut self, batch: Batch) {
        self.again.push(batch);
    }

    /// A batch that was in flight is through, or given up.
    pub(super) fn on_answered(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    pub(super) fn oldest_waiting(&self) -> Option<Instant> {
        self.waiting.iter().chain(&self.again).map(|b| b.closed_at).min()
    }

    pub(super) fn drain(&mut self) -> Vec<Batch> {
        let mut all: Vec<_> = self.again.drain(..).chain(self.waiting.drain(..)).collect();
        all.sort_by_key(|b| b.first);
        self.not_before = None;
        all
    }
}
