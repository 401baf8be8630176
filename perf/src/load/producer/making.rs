//! Records that are due, and the batches that they fill.

use super::{Link, Producer, Shop, Source};
use crate::load::batches::Closed;

impl Producer {
    /// Makes the records that are due, closes the batches that have waited long enough.
    pub(super) fn make_due(&mut self, now: u64, shop: &mut Shop) {
        let linger = shop.plan.linger.as_nanos() as u64;
        loop {
            let Source::Schedule(schedule) = &self.source else { return };
            let Some(due) = schedule.peek().filter(|due| due.at <= now) else { break };
            if self.waiting_bytes > shop.plan.buffer_bytes {
                self.held = true;
                break;
            }
            // A batch that should have gone before this record was due goes without it.
            if linger > 0
                && let Some((first, partition)) = self.batches.oldest()
                && first + linger < due.at
            {
                if self.may_send(partition, shop) {
                    self.send_open(partition, first + linger, now, shop);
                    continue;
                }
                self.hold(partition, first + linger);
            }
            if let Source::Schedule(schedule) = &mut self.source {
                schedule.take();
            }
            self.batches.push(due.at, due.stage, &mut self.full);
            // In their order: two may be of one partition.
            let mut full = std::mem::take(&mut self.full);
            for batch in full.drain(..) {
                let planned = batch.dues.last().unwrap_or(now);
                self.ready(batch, planned, now, shop);
            }
            self.full = full;
        }
        let over = self.is_exhausted(now);
        if linger == 0 && !over {
            // Everything due is out at once.
            for (first, partition) in self.batches.waiting() {
                if !self.batches.is_open(partition) {
                    continue;
                }
                if self.may_send(partition, shop) {
                    self.send_open(partition, first, now, shop);
                } else {
                    self.hold(partition, first);
                }
            }
        } else {
            for (first, partition) in self.batches.waiting() {
                if first + linger > now && !over {
                    break;
                }
                if !self.batches.is_open(partition) {
                    continue;
                }
                if over || self.may_send(partition, shop) {
                    self.send_open(partition, (first + linger).min(now), now, shop);
                } else {
                    self.hold(partition, first + linger);
                }
            }
        }
        if self.waiting_bytes == 0 && self.repair.is_none() {
            self.held = false;
        }
    }

    /// Keeps every connection full.
    pub(super) fn make_max(&mut self, now: u64, shop: &mut Shop) {
        let bound = shop.plan.inflight_max;
        let mut misses = 0;
        while !self.is_exhausted(now) && self.repair.is_none() && misses < self.of_partition.len() {
            let open = |link: &Link| link.flying.len() + link.ready.len() < bound;
            if self.batches.is_keyed() {
                if !self.links.iter().any(open) || self.waiting_bytes > shop.plan.buffer_bytes {
                    break;
                }
            } else {
                let link = self.of_partition[self.batches.current() as usize];
                if !open(&self.links[link]) {
                    self.batches.skip();
                    misses += 1;
                    continue;
                }
            }
            misses = 0;
            while self.full.is_empty() {
                self.batches.push(now, 0, &mut self.full);
            }
            let mut full = std::mem::take(&mut self.full);
            for batch in full.drain(..) {
                if let Source::Max { bytes_left, .. } = &mut self.source {
                    *bytes_left = bytes_left.saturating_sub(batch.bytes.len() as u64);
                }
                self.ready(batch, now, now, shop);
            }
            self.full = full;
        }
        // A connection that is full holds back what would be made for it: as long as that lasts, the broker is the bound.
        for link in self.links.iter_mut().filter(|link| link.flying.len() >= bound) {
            link.held_since.get_or_insert(now);
        }
        if self.is_exhausted(now) {
            for (_, partition) in self.batches.waiting() {
                self.send_open(partition, now, now, shop);
            }
        }
    }

    /// Whether a batch of this partition could go out at once.
    pub(super) fn may_send(&self, partition: u32, shop: &Shop) -> bool {
        let link = self.of_partition.get(partition as usize).and_then(|link| self.links.get(*link));
        link.is_some_and(|l| l.ready.is_empty() && l.flying.len() < shop.plan.inflight_max)
    }

    /// The bound stops a batch that should have gone at `since`.
    fn hold(&mut self, partition: u32, since: u64) {
        let link = self.of_partition.get(partition as usize).copied();
        if let Some(link) = link.and_then(|link| self.links.get_mut(link)) {
            let since = since.max(link.room_since);
            link.held_since.get_or_insert(since);
        }
    }

    /// Closes every open batch of this partition's connection, and sends them together: once one of them has to go, its request
    /// takes the others along, however short they have waited, as the Java client's does. A request for each would be a load
    /// that a client with many partitions does not put on a broker.
    fn send_open(&mut self, partition: u32, planned: u64, now: u64, shop: &mut Shop) {
        let number = self.of_partition.get(partition as usize).copied();
        let link = number.and_then(|link| self.links.get(link));
        // While the bound stopped it, waiting was not the generator's: the broker had not answered.
        let planned = match link {
            Some(link) if link.held_since.is_some() => now,
            Some(link) => planned.max(link.room_since),
            None => planned,
        };
        for (first, other) in self.batches.waiting() {
            if self.of_partition.get(other as usize).copied() == number
                && let Some(batch) = self.batches.close(other)
            {
                self.enqueue(batch, planned.max(first), now, shop);
            }
        }
        if let Some(link) = number {
            self.dispatch(link, now, shop);
        }
    }

    /// Sends a batch that is full.
    fn ready(&mut self, batch: Closed, planned: u64, now: u64, shop: &mut Shop) {
        let link = self.of_partition.get(batch.partition as usize).copied();
        self.enqueue(batch, planned, now, shop);
        if let Some(link) = link {
            self.dispatch(link, now, shop);
        }
    }

    fn enqueue(&mut self, mut batch: Closed, planned: u64, now: u64, shop: &mut Shop) {
        if !self.held {
            let count = u64::from(batch.count);
            let late = shop.meter.on_closed(&mut batch.dues, planned, now, count);
            if let Some(first) = batch.dues.first() {
                shop.lateness.put(batch.partition, first, late);
            }
        } else if let Some(first) = batch.dues.first() {
            // It waited for the broker: none of its time is the generator's.
            shop.lateness.put(batch.partition, first, 0);
        }
        self.waiting_bytes += batch.bytes.len();
        match self.of_partition.get(batch.partition as usize) {
            Some(link) if !self.links.is_empty() => {
                self.links[*link].ready.push_back(batch);
            }
            Some(_) | None => self.parked.push_back(batch),
        }
    }
}
