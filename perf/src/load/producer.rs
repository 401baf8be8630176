//! Producers on their schedule.
//!
//! A worker thread drives several producers. Each turn it makes the records that are due, sends the batches that are ready,
//! sleeps until the next batch should be closed or an answer comes, and books the answers. The schedule never waits for an
//! answer: while the in-flight bound stops a connection its records stay due, and their latency grows from the intended time.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use record::{Codec, Compressor};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    batches::{Batches, Closed},
    clock::Clock,
    dues::Dues,
    effort::{self, Effort},
    links::{Links, Repair},
    meter::Meter,
    plan::{Acks, Plan},
    socket::Socket,
    target::Target,
};
use crate::{
    protocol::{
        Reader,
        batch::{HEADER_BYTES, Identity, seal},
        error_name, produce,
    },
    schedule::Schedule,
    verify::{Ledger, Stretch},
};

/// Where a producer's records come from.
#[derive(Debug)]
pub(super) enum Source {
    /// An open loop.
    Schedule(Schedule),
    /// As fast as the bound allows, until this time or this many more bytes.
    Max { until: u64, bytes_left: u64 },
}

/// A batch on its way.
#[derive(Debug)]
struct Sent {
    partition: u32,
    count: u32,
    dues: Dues,
    first_sequence: u64,
    bytes: u64,
}

/// A request on its way.
#[derive(Debug)]
struct Flight {
    correlation: i32,
    at: u64,
    batches: Vec<Sent>,
    /// Bytes ever queued on the socket up to the request's end: with acks 0 it is done when they are written.
    mark: u64,
}

#[derive(Debug)]
struct Link {
    socket: Socket,
    ready: VecDeque<Closed>,
    flying: VecDeque<Flight>,
    correlation: i32,
    /// Since when the bound has held ready work back.
    held_since: Option<u64>,
    /// When it last stopped doing so: nothing that waited for it could have gone before.
    room_since: u64,
}

impl Link {
    fn new(socket: Socket) -> Self {
        Self {
            socket,
            ready: VecDeque::new(),
            flying: VecDeque::new(),
            correlation: 0,
            held_since: None,
            room_since: 0,
        }
    }
}

/// What a producer worker hands back.
#[derive(Debug, Default)]
pub(super) struct Produced {
    pub(super) ledger: Ledger,
    /// The offset after the last acknowledged record of each partition.
    pub(super) ends: Vec<i64>,
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
    pub(super) produced: Produced,
    pub(super) compressor: Compressor,
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
            self.repair = None;
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

    /// Makes the records that are due, closes the batches that have waited long enough.
    fn make_due(&mut self, now: u64, shop: &mut Shop) {
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
    fn make_max(&mut self, now: u64, shop: &mut Shop) {
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
        if self.is_exhausted(now) {
            for (_, partition) in self.batches.waiting() {
                self.send_open(partition, now, now, shop);
            }
        }
    }

    /// Whether a batch of this partition could go out at once.
    fn may_send(&self, partition: u32, shop: &Shop) -> bool {
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
            shop.meter.on_closed(&mut batch.dues, planned, now, u64::from(batch.count));
        }
        self.waiting_bytes += batch.bytes.len();
        match self.of_partition.get(batch.partition as usize) {
            Some(link) if !self.links.is_empty() => {
                self.links[*link].ready.push_back(batch);
            }
            Some(_) | None => self.parked.push_back(batch),
        }
    }

    /// Sends ready batches, as many requests as the bound allows.
    fn dispatch(&mut self, link: usize, now: u64, shop: &mut Shop) {
        let plan = Arc::clone(&shop.plan);
        while let Some(place) = self.links.get_mut(link) {
            if place.ready.is_empty() {
                break;
            }
            if place.flying.len() >= plan.inflight_max {
                place.held_since.get_or_insert(now);
                return;
            }
            if let Some(since) = place.held_since.take() {
                shop.meter.on_held(since, now);
                place.room_since = now;
            }
            // One batch a partition and request, as the protocol wants it; the order within a partition is kept.
            let mut taken: Vec<Closed> = Vec::new();
            let mut bytes = 0;
            self.requests += 1;
            while let Some(next) = place.ready.front() {
                let last = &mut self.last_request[next.partition as usize];
                let another = *last == self.requests;
                if another || (!taken.is_empty() && bytes + next.bytes.len() > plan.request_bytes) {
                    break;
                }
                *last = self.requests;
                bytes += next.bytes.len();
                taken.extend(place.ready.pop_front());
            }
            self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
            taken.sort_by_key(|batch| batch.partition);
            place.correlation = place.correlation.wrapping_add(1);
            let at = shop.clock.now();
            let mut batches = Vec::with_capacity(taken.len());
            for batch in &mut taken {
                let sequence = &mut self.sequences[batch.partition as usize];
                let identity = self.identity.map(|(producer_id, epoch)| {
                    let identity = Identity { producer_id, epoch, sequence: *sequence };
                    // After 2^31 - 1 comes 0.
                    *sequence =
                        ((i64::from(*sequence) + i64::from(batch.count)) % (1 << 31)) as i32;
                    identity
                });
                let timestamp = batch.dues.first().unwrap_or(at) / 1_000_000;
                let codec = compress(batch, plan.codec, &mut shop.compressor);
                seal(&mut batch.bytes, batch.count as i32, codec, timestamp as i64, identity);
                shop.meter.on_sent(&batch.dues);
                batches.push(Sent {
                    partition: batch.partition,
                    count: batch.count,
                    dues: std::mem::take(&mut batch.dues),
                    first_sequence: batch.first_sequence,
                    bytes: batch.bytes.len() as u64,
                });
            }
            let parts: Vec<produce::Part<'_>> = taken
                .iter()
                .map(|batch| {
                    let (topic, partition) = shop.target.place(batch.partition);
                    (topic, partition, batch.bytes.len())
                })
                .collect();
            let timeout = plan.timeout.as_millis() as i32;
            let pieces = produce::request(place.correlation, plan.acks.code(), timeout, &parts);
            for (piece, batch) in pieces.into_iter().zip(taken) {
                place.socket.send(piece);
                place.socket.send(batch.bytes);
            }
            let mark = place.socket.progress().0;
            place.flying.push_back(Flight { correlation: place.correlation, at, batches, mark });
        }
    }

    fn flush_all(&mut self, now: u64, shop: &mut Shop) {
        let mut broken = None;
        for link in &mut self.links {
            let batches = &mut self.batches;
            // Small pieces are heads; large ones are batches whose memory is worth keeping.
            let flushed = link.socket.flush(|piece| {
                if piece.capacity() >= 1024 {
                    batches.recycle(piece);
                }
            });
            if let Err(e) = flushed {
                broken = Some(format!("connection lost: {}", e.kind()));
            }
            if shop.plan.acks == Acks::None {
                let written = link.socket.progress().1;
                while link.flying.front().is_some_and(|flight| flight.mark <= written) {
                    let Some(flight) = link.flying.pop_front() else { break };
                    for batch in &flight.batches {
                        shop.meter.on_acknowledged(&batch.dues, flight.at, now, batch.bytes);
                    }
                }
            }
        }
        if let Some(why) = broken {
            self.fail_links(&why, now, shop);
        }
    }

    /// Reads the answers of one connection.
    fn answers(&mut self, link: usize, shop: &mut Shop) {
        let Some(place) = self.links.get_mut(link) else { return };
        let mut failure = match place.socket.receive() {
            Ok(true) => None,
            Ok(false) => Some("connection closed by the broker".to_owned()),
            Err(e) => Some(format!("connection lost: {}", e.kind())),
        };
        let now = shop.clock.now();
        let bound = shop.plan.inflight_max;
        let was_full = place.flying.len() >= bound;
        let mut refused = None;
        loop {
            let frame = match place.socket.frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(e) => {
                    failure = Some(e.to_string());
                    break;
                }
            };
            let Some(flight) = place.flying.pop_front() else {
                failure = Some("an answer to no question".into());
                break;
            };
            match book(frame, &flight, now, self.number, shop) {
                Ok(None) => {}
                Ok(Some(code)) => refused = Some(code),
                Err(why) => {
                    // The request's fate is unknown: it fails with the others of the connection.
                    place.flying.push_front(flight);
                    failure = Some(why);
                    break;
                }
            }
        }
        if was_full && place.flying.len() < bound {
            place.room_since = now;
        }
        if let Some(why) = failure {
            self.fail_links(&why, now, shop);
        } else if let Some(code) = refused
            && (self.identity.is_some() || matches!(code, 3 | 5 | 6 | 74 | 75 | 100))
        {
            // The leader has moved, or an idempotent producer's sequence has a gap: begin anew.
            self.fail_links(&error_name(code), now, shop);
        }
    }

    /// Gives up requests that have waited too long.
    fn expire(&mut self, now: u64, shop: &mut Shop) {
        let timeout = shop.plan.timeout.as_nanos() as u64;
        let late = |link: &Link| link.flying.front().is_some_and(|f| f.at + timeout <= now);
        if self.links.iter().any(late) {
            self.fail_links("timed out", now, shop);
        }
    }

    /// Everything in flight fails with unknown outcome; the connections are made anew.
    fn fail_links(&mut self, why: &str, now: u64, shop: &mut Shop) {
        for link in std::mem::take(&mut self.links) {
            if let Some(since) = link.held_since {
                shop.meter.on_held(since, now);
            }
            for flight in &link.flying {
                for batch in &flight.batches {
                    fail(batch, self.number, why, now, shop);
                }
            }
            self.parked.extend(link.ready);
        }
        self.held = true;
        if self.repair.is_none() {
            self.repair = Some(Repair::begin(&shop.target, shop.plan.idempotent));
        }
    }

    /// The deadline is over: what is not acknowledged fails.
    fn abandon(&mut self, now: u64, shop: &mut Shop) {
        const WHY: &str = "not acknowledged before the run's end";
        for link in std::mem::take(&mut self.links) {
            if let Some(since) = link.held_since {
                shop.meter.on_held(since, now);
            }
            for flight in &link.flying {
                for batch in &flight.batches {
                    fail(batch, self.number, WHY, now, shop);
                }
            }
            self.parked.extend(link.ready);
        }
        for (_, partition) in self.batches.waiting() {
            self.parked.extend(self.batches.close(partition));
        }
        for batch in std::mem::take(&mut self.parked) {
            let Closed { partition, bytes, count, dues, first_sequence } = batch;
            let bytes = bytes.len() as u64;
            let sent = Sent { partition, count, dues, first_sequence, bytes };
            fail(&sent, self.number, "not sent before the run's end", now, shop);
        }
        if let Source::Schedule(schedule) = &mut self.source {
            while let Some(due) = schedule.take() {
                shop.meter.on_unsent(due.at, now, !self.held);
            }
        }
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

/// Books one answer. Gives back an error code that some partition had.
fn book(
    frame: &[u8],
    flight: &Flight,
    now: u64,
    producer: u32,
    shop: &mut Shop,
) -> Result<Option<i16>, String> {
    let mut body = Reader::new(frame);
    if body.i32() != Ok(flight.correlation) {
        return Err("an answer to another question".into());
    }
    let mut answers: Vec<(u32, i16, i64)> = Vec::with_capacity(flight.batches.len());
    let target = &shop.target;
    produce::read(body, |topic, partition, error, base| {
        answers.extend(target.partition(topic, partition).map(|p| (p, error, base)));
    })
    .map_err(|e| e.to_string())?;
    answers.sort_unstable_by_key(|(partition, _, _)| *partition);
    let mut refused = None;
    for batch in &flight.batches {
        let place = answers.binary_search_by_key(&batch.partition, |(partition, _, _)| *partition);
        match place.ok().and_then(|place| answers.get(place)) {
            // 46: the batch had been written before; it is there.
            Some((_, 0 | 46, base)) => {
                shop.meter.on_acknowledged(&batch.dues, flight.at, now, batch.bytes);
                let end = &mut shop.produced.ends[batch.partition as usize];
                *end = (*end).max(base + i64::from(batch.count));
            }
            Some((_, code, _)) => {
                refused = Some(*code);
                fail(batch, producer, &error_name(*code), now, shop);
            }
            None => fail(batch, producer, "the answer leaves the partition out", now, shop),
        }
    }
    Ok(refused)
}

/// Compresses the body where the plan says so. Gives back the codec for the header: none where the codec refused.
fn compress(batch: &mut Closed, codec: Codec, compressor: &mut Compressor) -> i16 {
    if codec == Codec::None {
        return 0;
    }
    let mut bytes = Vec::with_capacity(batch.bytes.len());
    bytes.resize(HEADER_BYTES, 0);
    match compressor.compress(codec, None, &batch.bytes[HEADER_BYTES..], &mut bytes) {
        Ok(()) => {
            batch.bytes = bytes;
            i16::from(codec.number())
        }
        Err(_) => 0,
    }
}

fn fail(batch: &Sent, producer: u32, why: &str, now: u64, shop: &mut Shop) {
    shop.meter.on_failed(&batch.dues, now, why);
    if shop.plan.verify && batch.count > 0 {
        let first = batch.first_sequence;
        let stretch = Stretch { first, last: first + u64::from(batch.count) - 1 };
        shop.produced.ledger.of(producer, batch.partition).unknown.push(stretch);
    }
}

/// Drives these producers until their schedules are over and everything is acknowledged, or until the deadline.
pub(super) fn work(mut producers: Vec<Producer>, mut shop: Shop) -> Produced {
    effort::wake_on_time();
    // As fast as it goes there is no schedule to keep, and going first would take the cores from a broker that shares them.
    let keeps_schedule = producers.iter().any(|p| matches!(p.source, Source::Schedule(_)));
    let goes_first = keeps_schedule && effort::go_first();
    let clock = shop.clock;
    loop {
        let now = clock.now();
        for producer in &mut producers {
            producer.turn(now, &mut shop);
            producer.expire(now, &mut shop);
        }
        let now = clock.now();
        let in_flight = producers.iter().flat_map(|p| &p.links).map(|l| l.flying.len()).sum();
        let behind = producers.iter_mut().map(|p| p.behind(now)).max().unwrap_or(0);
        shop.meter.tick(now, in_flight, behind);
        if producers.iter_mut().all(|producer| producer.is_done(now)) {
            break;
        }
        if now >= shop.deadline {
            for producer in &mut producers {
                producer.abandon(now, &mut shop);
            }
            break;
        }
        let wake = producers
            .iter_mut()
            .filter_map(|producer| producer.next_wake(now, &shop))
            .chain([shop.meter.next_report(), shop.deadline, now + 100_000_000])
            .min()
            .unwrap_or(now);
        for (producer, link) in wait(&producers, wake.saturating_sub(now)) {
            producers[producer].answers(link, &mut shop);
        }
    }
    // The window's last reading may still be due when everything was acknowledged early.
    let end = shop.meter.window().end();
    let now = clock.now();
    if now < end && matches!(producers.first().map(|p| &p.source), Some(Source::Schedule(_))) {
        std::thread::sleep(Duration::from_nanos(end - now));
    }
    if shop.plan.verify {
        for producer in &producers {
            for partition in 0..producer.of_partition.len() as u32 {
                shop.produced.ledger.of(producer.number, partition).next =
                    producer.batches.made(partition);
            }
        }
    }
    let mut produced = shop.produced;
    produced.effort = Effort { goes_first, ..shop.meter.finish(clock.now()) };
    produced
}

/// Sleeps until an answer comes, a socket takes more, or the time is over. Gives back the (producer, link) with answers.
fn wait(producers: &[Producer], nanos: u64) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut fds: Vec<PollFd<'_>> = Vec::new();
    for (number, producer) in producers.iter().enumerate() {
        for (link, place) in producer.links.iter().enumerate() {
            let mut flags = PollFlags::IN;
            if place.socket.is_pending() {
                flags |= PollFlags::OUT;
            }
            fds.push(PollFd::from_borrowed_fd(place.socket.fd(), flags));
            places.push((number, link));
        }
    }
    let timeout =
        Timespec { tv_sec: (nanos / 1_000_000_000) as i64, tv_nsec: (nanos % 1_000_000_000) as _ };
    // An interrupted sleep is a short one: the loop looks at the clock again.
    let _ = poll(&mut fds, Some(&timeout));
    let answered = PollFlags::IN | PollFlags::ERR | PollFlags::HUP;
    let is_answered = |fd: &PollFd<'_>| fd.revents().intersects(answered);
    fds.iter().zip(places).filter(|(fd, _)| is_answered(fd)).map(|(_, place)| place).collect()
}
