//! Producers on their schedule.
//!
//! A worker thread drives several producers. Each turn it makes the records that are due, sends the batches that are ready,
//! sleeps until the next batch should be closed or an answer comes, and books the answers. The schedule never waits for an
//! answer: while the in-flight bound stops a connection its records stay due, and their latency grows from the intended time.

mod answers;
mod link;
mod making;
mod sending;
mod work;

use std::{collections::VecDeque, sync::Arc};

use link::{Flight, Link, Sent};
use record::Compressor;

use super::{
    batches::{Batches, Closed},
    clock::Clock,
    effort::Effort,
    lateness::Lateness,
    links::{Links, Repair},
    meter::Meter,
    plan::Plan,
    target::Target,
};
use crate::{schedule::Schedule, verify::Ledger};

pub(super) use work::work;

/// Where a producer's records come from.
#[derive(Debug)]
pub(super) enum Source {
    /// An open loop.
    Schedule(Schedule),
    /// As fast as the bound allows, until this time or this many more bytes.
    Max { until: u64, bytes_left: u64 },
}

/// What a producer worker hands back.
#[derive(Debug, Default)]
pub(super) struct Produced {
    pub(super) ledger: Ledger,
    /// The offset after the last acknowledged record of each partition.
    pub(super) ends: Vec<i64>,
    /// Without acknowledgements: how many records of each partition are with the kernel.
    pub(super) handed: Vec<i64>,
    /// Records made.
    pub(super) made: u64,
    /// Records that failed.
    pub(super) failed: u64,
    /// Why the first of them did.
    pub(super) fault: Option<String>,
    /// It ended because no broker could be reached for as long as the shop has patience.
    pub(super) is_cut_off: bool,
    pub(super) effort: Effort,
}

/// What every producer of a worker shares.
#[derive(Debug)]
pub(super) struct Shop {
    pub(super) plan: Arc<Plan>,
    pub(super) target: Arc<Target>,
    pub(super) clock: Clock,
    pub(super) meter: Meter,
    /// When everything ends, acknowledged or not.
    pub(super) deadline: u64,
    /// So many nanoseconds without a broker end it before; `None`: they do not.
    pub(super) patience: Option<u64>,
    pub(super) produced: Produced,
    pub(super) compressor: Compressor,
    /// Where consumers find how late a batch was closed.
    pub(super) lateness: Arc<Lateness>,
}

#[derive(Debug)]
pub(super) struct Producer {
    number: u32,
    source: Source,
    batches: Batches,
    links: Vec<Link>,
    of_partition: Vec<usize>,
    identity: Option<(i64, i16)>,
    /// The next idempotence sequence of each partition.
    sequences: Vec<i32>,
    /// The number of the last request that took a batch of each partition: none takes two.
    last_request: Vec<u64>,
    requests: u64,
    repair: Option<Repair>,
    /// Since when there have been no connections.
    cut_off_since: Option<u64>,
    /// Batches that are ready while there are no connections.
    parked: VecDeque<Closed>,
    /// Bytes of ready and parked batches.
    waiting_bytes: usize,
    /// The bound (or a lost connection) has stopped the making of records: lateness is not the generator's.
    held: bool,
    full: Vec<Closed>,
}

impl Producer {
    pub(super) fn new(number: u32, source: Source, batches: Batches, links: Links) -> Self {
        let mut producer = Self {
            number,
            source,
            batches,
            links: Vec::new(),
            of_partition: Vec::new(),
            identity: None,
            sequences: Vec::new(),
            last_request: Vec::new(),
            requests: 0,
            repair: None,
            cut_off_since: None,
            parked: VecDeque::new(),
            waiting_bytes: 0,
            held: false,
            full: Vec::new(),
        };
        producer.adopt(links);
        producer
    }

    fn adopt(&mut self, links: Links) {
        self.sequences = vec![0; links.of_partition.len()];
        self.last_request = vec![0; links.of_partition.len()];
        self.identity = links.identity;
        self.of_partition = links.of_partition;
        self.links = links.sockets.into_iter().map(Link::new).collect();
        for batch in std::mem::take(&mut self.parked) {
            let link = self.of_partition[batch.partition as usize];
            self.links[link].ready.push_back(batch);
        }
    }

    fn is_exhausted(&self, now: u64) -> bool {
        match &self.source {
            Source::Schedule(schedule) => schedule.peek().is_none(),
            Source::Max { until, bytes_left } => now >= *until || *bytes_left == 0,
        }
    }

    fn is_done(&mut self, now: u64) -> bool {
        self.is_exhausted(now)
            && self.batches.oldest().is_none()
            && self.parked.is_empty()
            && self.links.iter().all(|link| link.ready.is_empty() && link.flying.is_empty())
    }

    /// Makes what is due, sends what is ready.
    fn turn(&mut self, now: u64, shop: &mut Shop) {
        if let Some(links) = self.repair.as_ref().and_then(Repair::finished) {
            (self.repair, self.cut_off_since) = (None, None);
            self.adopt(links);
        }
        match self.source {
            Source::Schedule(_) => self.make_due(now, shop),
            Source::Max { .. } => self.make_max(now, shop),
        }
        for link in 0..self.links.len() {
            self.dispatch(link, now, shop);
        }
        self.flush_all(now, shop);
    }

    /// When this producer next has something to do without being asked.
    fn next_wake(&mut self, now: u64, shop: &Shop) -> Option<u64> {
        if self.repair.is_some() {
            return Some(now + 20_000_000);
        }
        let Source::Schedule(schedule) = &self.source else { return None };
        let linger = shop.plan.linger.as_nanos() as u64;
        let due = schedule.peek().map(|due| due.at);
        let fills = match self.batches.room() {
            Some(room) => {
                let last = schedule.peek_ahead(u64::from(room.saturating_sub(1)));
                // A Poisson schedule cannot be looked ahead in: wake often enough to see a batch fill.
                last.or_else(|| due.map(|due| due.max(now) + linger.min(100_000)))
            }
            None => due.map(|due| due.max(now) + linger.min(100_000)),
        };
        let waiting = self.batches.waiting();
        let closes = if waiting.is_empty() {
            due.map(|due| due + linger)
        } else {
            // One that the bound stops goes when an answer makes room, which wakes by itself; but the moment from which the bound
            // stops it is not to be missed.
            let ends = |(first, partition)| {
                let end = first + linger;
                (end > now || self.may_send(partition, shop)).then_some(end)
            };
            waiting.into_iter().find_map(ends)
        };
        let wake = [fills, closes].into_iter().flatten().min();
        if self.waiting_bytes > shop.plan.buffer_bytes { None } else { wake }
    }

    /// How late the oldest record is that has not been sent.
    fn behind(&mut self, now: u64) -> u64 {
        let due = match &self.source {
            Source::Schedule(schedule) => schedule.peek().map(|due| due.at),
            Source::Max { .. } => None,
        };
        let ready = self.links.iter().filter_map(|link| link.ready.front()?.dues.first());
        let oldest = ready.chain(due).chain(self.batches.oldest().map(|(first, _)| first)).min();
        oldest.map_or(0, |oldest| now.saturating_sub(oldest))
    }
}
