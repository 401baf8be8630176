//! One partition's records on their way: the open batch, those that wait, and those that must be sent again.

use super::ProducerConfig;
use ids::{ProducerEpoch, ProducerId};
use record::{BatchBuilder, BatchView, BuildError, Compressor, Decompressor, Header};
use std::collections::VecDeque;
use std::time::Instant;

/// A closed batch.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) bytes: Vec<u8>,
    pub(super) records: i32,
    /// The number of its first record within the lane, which is also its order.
    pub(super) first: u64,
    pub(super) closed_at: Instant,
}

impl Batch {
    /// Two batches with half of the records each, after the broker found it too large.
    pub(super) fn split(
        self,
        config: &ProducerConfig,
        identity: Option<(ProducerId, ProducerEpoch)>,
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
        identity: Option<(ProducerId, ProducerEpoch)>,
        compressor: &mut Compressor,
    ) -> Option<(Self, Self)> {
        let view = BatchView::first(&self.bytes).ok()?;
        let mut decompressor = Decompressor::new();
        let header = *view.header();
        let half = self.records / 2;
        let mut builders = [builder(config), builder(config)];
        for (i, record) in (0..).zip(view.records_with(&mut decompressor, usize::MAX).ok()?) {
            let record = record.ok()?;
            let headers: Vec<Header<'_>> = record.headers.collect();
            let timestamp = header.timestamp_of(record.timestamp_delta);
            let to = builders.get_mut(usize::from(i >= half))?;
            to.push(timestamp, record.key, record.value, &headers);
        }
        let [mut one, mut two] = builders;
        let make = |builder: &mut BatchBuilder, first: u64, compressor: &mut Compressor| {
            if let Some((id, epoch)) = identity {
                builder.set_producer(id, epoch, sequence(first));
            }
            let records = builder.count();
            let mut bytes = Vec::new();
            builder.build_into(compressor, &mut bytes).ok()?;
            Some(Self { bytes, records, first, closed_at: self.closed_at })
        };
        let second = self.first + u64::try_from(half).ok()?;
        Some((make(&mut one, self.first, compressor)?, make(&mut two, second, compressor)?))
    }
}

fn builder(config: &ProducerConfig) -> BatchBuilder {
    BatchBuilder::new().codec(config.codec).level(config.level)
}

/// The sequence number of the lane's n-th record: it wraps from 2^31 - 1 to 0 (KIP-98).
fn sequence(n: u64) -> i32 {
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
    /// Given up: with idempotence nothing can follow a lost batch.
    pub(super) dead: bool,
    identity: Option<(ProducerId, ProducerEpoch)>,
    waiting: VecDeque<Batch>,
    /// Sent, and to be sent again once nothing is in flight any more.
    again: Vec<Batch>,
    in_flight: usize,
    /// Until the batches before this number are through, they go one by one.
    one_by_one_below: u64,
    next: u64,
}

impl Lane {
    pub(super) fn new(
        config: &ProducerConfig,
        identity: Option<(ProducerId, ProducerEpoch)>,
    ) -> Self {
        Self {
            builder: builder(config),
            opened_at: Instant::now(),
            not_before: None,
            trouble: String::new(),
            dead: false,
            identity,
            waiting: VecDeque::new(),
            again: Vec::new(),
            in_flight: 0,
            one_by_one_below: 0,
            next: 0,
        }
    }

    /// Closes the open batch. An error names the records that it had.
    pub(super) fn close(&mut self, compressor: &mut Compressor) -> Result<(), (i32, BuildError)> {
        if self.builder.is_empty() {
            return Ok(());
        }
        if let Some((id, epoch)) = self.identity {
            self.builder.set_producer(id, epoch, sequence(self.next));
        }
        let records = self.builder.count();
        let mut bytes = Vec::with_capacity(self.builder.batch_bytes());
        self.builder.build_into(compressor, &mut bytes).map_err(|e| (records, e))?;
        let closed_at = Instant::now();
        self.waiting.push_back(Batch { bytes, records, first: self.next, closed_at });
        self.next += u64::try_from(records).unwrap_or(0);
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
        if self.dead || self.not_before.is_some_and(|t| t > now) {
            return false;
        }
        if !self.again.is_empty() {
            return self.in_flight == 0;
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
