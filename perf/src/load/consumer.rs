//! Consumers: each reads its share of the partitions, by one fetch session with each broker, one fetch in flight to each.
//!
//! The next fetch leaves before the records of the last one are looked at. Every record's stamp is read: its latency from end to
//! end is counted, and with `--verify` its place in the order is checked.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicUsize, Ordering},
};

use record::{Codec, Decompressor};
use rustix::event::{PollFd, PollFlags};

use super::{
    clock::Clock,
    effort::{self, Effort},
    lateness::Lateness,
    links::{Links, Repair},
    meter::Meter,
    plan::Plan,
    reading::Reading,
    session::Session,
    socket::Socket,
    target::Target,
};
use crate::{
    interrupt,
    protocol::{Reader, batch, error_name, fetch},
    stamp::{self, Read},
    verify::{Checker, Earlier},
};

/// How far consumers are to read before they end, known once the producers have ended.
#[derive(Debug)]
pub(super) struct Goal {
    /// The offset after the last record of each partition.
    pub(super) ends: Vec<i64>,
    /// When they end anyway.
    pub(super) deadline: u64,
}

/// One partition as one consumer reads it.
#[derive(Debug)]
struct Position {
    partition: u32,
    offset: i64,
    checker: Checker,
}

#[derive(Debug)]
struct Link {
    socket: Socket,
    correlation: i32,
    /// Since when a fetch is in flight.
    flying: Option<u64>,
    /// No fetch before this: the last one met an error.
    not_before: u64,
    session: Session,
}

#[derive(Debug)]
pub(super) struct Consumer {
    /// By partition.
    positions: Vec<Position>,
    links: Vec<Link>,
    repair: Option<Repair>,
    /// It has asked for an offset that is not there.
    is_astray: bool,
}

/// What a consumer worker hands back.
#[derive(Debug, Default)]
pub(super) struct Consumed {
    /// Of each partition what came of it, and the offset that was to be read next.
    pub(super) read: Vec<(Checker, i64)>,
    pub(super) effort: Effort,
    /// When every backlog of the worker's consumers had been read.
    pub(super) caught_up_at: Option<u64>,
}

/// What every consumer of a worker shares.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) plan: Arc<Plan>,
    pub(super) target: Arc<Target>,
    pub(super) clock: Clock,
    pub(super) meter: Meter,
    pub(super) goal: Arc<OnceLock<Goal>>,
    pub(super) run: u32,
    /// Where the backlog ends in each partition; nothing where there is none.
    pub(super) backlog: Vec<i64>,
    /// How many workers have read their backlogs.
    pub(super) caught_up: Arc<AtomicUsize>,
    pub(super) decompressor: Decompressor,
    /// How late each batch was closed.
    pub(super) lateness: Arc<Lateness>,
}

/// A batch does not decompress to more than this.
const DECOMPRESSED_BYTES_MAX: usize = 256 << 20;

/// After an error a consumer waits this long.
const PAUSE: u64 = 100_000_000;

impl Consumer {
    /// Reads these (partition, first offset).
    pub(super) fn new(
        partitions: impl Iterator<Item = (u32, i64)>,
        earlier: &Arc<Earlier>,
        links: Links,
    ) -> Self {
        let checker = |partition| Checker::new(partition).after(Arc::clone(earlier));
        let mut positions: Vec<Position> = partitions
            .map(|(partition, offset)| Position { partition, offset, checker: checker(partition) })
            .collect();
        positions.sort_unstable_by_key(|position| position.partition);
        let mut consumer = Self { positions, links: Vec::new(), repair: None, is_astray: false };
        consumer.adopt(links);
        consumer
    }

    fn adopt(&mut self, links: Links) {
        for position in &mut self.positions {
            // What was deleted before it was read is passed over. The checker will name it.
            let start = links.starts.get(position.partition as usize).copied().unwrap_or(0);
            position.offset = position.offset.max(start);
        }
        let mut places = vec![Vec::new(); links.sockets.len()];
        for (place, position) in self.positions.iter().enumerate() {
            let link = links.of_partition.get(position.partition as usize);
            if let Some(places) = link.and_then(|link| places.get_mut(*link)) {
                places.push(place);
            }
        }
        let link = |(socket, places)| {
            let session = Session::of(places);
            Link { socket, correlation: 0, flying: None, not_before: 0, session }
        };
        self.links = links.sockets.into_iter().zip(places).map(link).collect();
    }

    fn reached(&self, ends: &[i64]) -> bool {
        self.positions
            .iter()
            .all(|p| p.offset >= ends.get(p.partition as usize).copied().unwrap_or(0))
    }

    fn turn(&mut self, now: u64, desk: &mut Desk) {
        if let Some(links) = self.repair.as_ref().and_then(Repair::finished) {
            self.repair = None;
            self.adopt(links);
        }
        for link in 0..self.links.len() {
            self.fetch(link, now, desk);
        }
        let timeout = desk.plan.timeout.as_nanos() as u64;
        let late = |link: &Link| link.flying.is_some_and(|at| at + timeout <= now);
        if self.links.iter().any(late) {
            self.break_off("fetch timed out", now, desk);
        }
        let flushed: Vec<_> = self.links.iter_mut().map(|link| link.socket.flush(drop)).collect();
        if let Some(e) = flushed.into_iter().find_map(Result::err) {
            self.break_off(&format!("consumer connection lost: {}", e.kind()), now, desk);
        }
    }

    /// Asks for more, unless an answer is still to come.
    fn fetch(&mut self, link: usize, now: u64, desk: &Desk) {
        let Some(place) = self.links.get_mut(link) else { return };
        if place.flying.is_some() || now < place.not_before || place.session.is_empty() {
            return;
        }
        let asked = place.session.ask();
        let positions = asked.places.iter().filter_map(|place| self.positions.get(*place));
        let mut wanted: Vec<(u32, i64)> = positions.map(|p| (p.partition, p.offset)).collect();
        // Grouped by topic; within it the order stays.
        wanted.sort_by_key(|(partition, _)| partition / desk.plan.partitions.max(1));
        let topics: Vec<(&str, Vec<fetch::Wanted>)> = wanted
            .chunk_by(|a, b| desk.target.place(a.0).0 == desk.target.place(b.0).0)
            .map(|group| {
                let topic = desk.target.place(group[0].0).0;
                (topic, group.iter().map(|(p, o)| (desk.target.place(*p).1, *o)).collect())
            })
            .collect();
        place.correlation = place.correlation.wrapping_add(1);
        let limits = fetch::Limits {
            max_wait_ms: 100,
            min_bytes: desk.plan.fetch_min_bytes,
            max_bytes: desk.plan.fetch_bytes,
            partition_max_bytes: desk.plan.fetch_bytes,
        };
        let session = (asked.id, asked.epoch);
        place.socket.send(fetch::request(place.correlation, limits, session, &topics));
        place.flying = Some(now);
    }

    fn break_off(&mut self, why: &str, now: u64, desk: &mut Desk) {
        desk.meter.on_error(now, why);
        self.links.clear();
        if self.repair.is_none() {
            let is_astray = std::mem::take(&mut self.is_astray);
            let pause = desk.plan.reconnect_pause;
            self.repair = Some(Repair::of_consumer(&desk.target, is_astray, pause));
        }
    }

    /// Reads the answer of one connection. It did not come before `earliest`.
    fn answer(&mut self, link: usize, earliest: u64, desk: &mut Desk) {
        let Some(place) = self.links.get_mut(link) else { return };
        let alive = match place.socket.receive() {
            Ok(alive) => alive,
            Err(e) => {
                let now = desk.clock.now();
                return self.break_off(
                    &format!("consumer connection lost: {}", e.kind()),
                    now,
                    desk,
                );
            }
        };
        let now = desk.clock.now();
        // The frame is taken out of the connection's buffer so that the next fetch can leave before it is read.
        let frame = match place.socket.frame() {
            Ok(Some(frame)) => frame.to_vec(),
            Ok(None) if alive => return,
            Ok(None) => {
                return self.break_off("consumer connection closed by the broker", now, desk);
            }
            Err(e) => return self.break_off(&e.to_string(), now, desk),
        };
        let mut body = Reader::new(&frame);
        if body.i32() != Ok(place.correlation) {
            return self.break_off("an answer to another fetch", now, desk);
        }
        place.flying = None;
        let answer = match fetch::read(body) {
            Ok(answer) => answer,
            Err(e) => return self.break_off(&e.to_string(), now, desk),
        };
        let has_gone = place.session.on_answer(answer.error, answer.session);
        if answer.error != 0 {
            if !has_gone {
                place.not_before = now + PAUSE;
                desk.meter.on_error(now, &format!("fetch: {}", error_name(answer.error)));
            }
            return;
        }
        let parts = answer.parts;
        // Of each part the place of its partition, and from where on it was read.
        let mut found: Vec<Option<(usize, i64)>> = Vec::with_capacity(parts.len());
        let mut moved = None;
        for part in &parts {
            let partition = desk.target.partition(part.topic, part.partition);
            let at = partition.and_then(|partition| place_of(&self.positions, partition));
            found.push(at.map(|at| (at, self.positions[at].offset)));
            let Some(at) = at else { continue };
            let position = &mut self.positions[at];
            let start = position.offset;
            match part.error {
                0 => advance(position, part.records),
                code => {
                    desk.meter.on_error(now, &format!("fetch: {}", error_name(code)));
                    place.not_before = now + PAUSE;
                    // 1: deleted before it was read, or beyond the log's end. The answer does not tell which: that is asked beside.
                    self.is_astray |= code == 1;
                    if matches!(code, 1 | 3 | 5 | 6 | 74 | 75) {
                        moved = Some(code);
                    }
                }
            }
            if position.offset != start {
                place.session.on_moved(at);
            }
        }
        if let Some(rate) = desk.plan.read_bytes_per_second {
            let bytes: usize = parts.iter().map(|part| part.records.len()).sum();
            let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(rate.max(1));
            // Counted from when the last pause was to end: an answer that came late is made good.
            let from = place.not_before.max(now.saturating_sub(PAUSE));
            place.not_before = from + u64::try_from(nanos).unwrap_or(u64::MAX - from);
        }
        if let Some(code) = moved {
            self.break_off(&format!("fetch: {}", error_name(code)), now, desk);
        } else {
            self.fetch(link, now, desk);
            if let Some(place) = self.links.get_mut(link)
                && let Err(e) = place.socket.flush(drop)
            {
                self.break_off(&format!("consumer connection lost: {}", e.kind()), now, desk);
            }
        }
        for (part, found) in parts.iter().zip(found).filter(|(part, _)| part.error == 0) {
            if let Some((at, start)) = found {
                let Position { partition, checker, .. } = &mut self.positions[at];
                read(checker, *partition, start, part.records, (earliest, now), desk);
            }
        }
    }
}

/// The place of a partition among these.
fn place_of(positions: &[Position], partition: u32) -> Option<usize> {
    positions.binary_search_by_key(&partition, |position| position.partition).ok()
}

/// Moves the position behind the last whole batch.
fn advance(position: &mut Position, mut records: &[u8]) {
    while let Ok(Some(batch)) = batch::next(&mut records) {
        position.offset = position.offset.max(batch.last_offset.saturating_add(1));
    }
}

/// Reads the records from `start` on. A batch may begin before it: those records were read already.
fn read(
    checker: &mut Checker,
    partition: u32,
    start: i64,
    mut records: &[u8],
    (earliest, now): (u64, u64),
    desk: &mut Desk,
) {
    let Desk { plan, meter, run, decompressor, lateness, .. } = desk;
    let mut count = 0;
    while let Ok(Some(batch)) = batch::next(&mut records) {
        if batch.is_control() {
            continue;
        }
        let mut corrupt = plan.verify && !batch.is_intact();
        let codec = u8::try_from(batch.codec()).ok().and_then(|n| Codec::try_from(n).ok());
        let body = match codec {
            Some(Codec::None) => Ok(batch.records),
            Some(codec) => decompressor
                .decompress(codec, batch.records, DECOMPRESSED_BYTES_MAX)
                .map_err(|_| ()),
            None => Err(()),
        };
        // How late the batch was closed, which its first record finds out.
        let mut late = None;
        let walked = body.and_then(|body| {
            batch::walk(body, |delta, value| {
                let offset = batch.base_offset.saturating_add(delta);
                if offset < start && late.is_some() {
                    return;
                }
                let read = stamp::read(value, *run);
                if let Read::Timed { intended } | Read::Verified { intended, .. } = read {
                    let late = *late.get_or_insert_with(|| lateness.get(partition, intended));
                    if offset >= start {
                        meter.on_received(intended, earliest, now, late);
                    }
                }
                if offset < start {
                    return;
                }
                count += 1;
                if plan.verify {
                    checker.on_record(offset, read);
                }
            })
            .map_err(|_| ())
        });
        corrupt |= walked.is_err();
        if corrupt && plan.verify {
            checker.on_record(batch.base_offset, Read::Corrupt);
        } else if corrupt {
            meter.on_error(now, "a batch that cannot be read");
        }
    }
    meter.on_received_count(count, now);
}

/// Drives these consumers until they have reached the goal, or until its deadline.
pub(super) fn work(mut consumers: Vec<Consumer>, mut desk: Desk) -> Consumed {
    effort::wake_on_time();
    let clock = desk.clock;
    let mut caught_up_at = None;
    let mut reading = Reading::new(clock);
    loop {
        let now = clock.now();
        for consumer in &mut consumers {
            consumer.turn(now, &mut desk);
        }
        desk.meter.tick(now, 0, 0);
        if caught_up_at.is_none()
            && !desk.backlog.is_empty()
            && consumers.iter().all(|consumer| consumer.reached(&desk.backlog))
        {
            caught_up_at = Some(now);
            desk.caught_up.fetch_add(1, Ordering::Relaxed);
        }
        if interrupt::came() {
            break;
        }
        if let Some(goal) = desk.goal.get() {
            let reached = consumers.iter().all(|consumer| consumer.reached(&goal.ends));
            if reached || now >= goal.deadline {
                break;
            }
        }
        // 20 ms: how late the goal may be noticed.
        let paused = consumers.iter().flat_map(|consumer| &consumer.links);
        let next = paused.map(|link| link.not_before.saturating_sub(now)).filter(|left| *left > 0);
        let nanos = next.min().unwrap_or(u64::MAX).clamp(1_000_000, 20_000_000);
        for (consumer, link) in wait(&consumers, nanos, &mut reading) {
            consumers[consumer].answer(link, reading.earliest(), &mut desk);
        }
    }
    let effort = desk.meter.finish(clock.now());
    let positions = consumers.into_iter().flat_map(|consumer| consumer.positions);
    let read = positions.map(|position| (position.checker, position.offset)).collect();
    Consumed { read, effort, caught_up_at }
}

fn wait(consumers: &[Consumer], nanos: u64, reading: &mut Reading) -> Vec<(usize, usize)> {
    let mut places = Vec::new();
    let mut fds: Vec<PollFd<'_>> = Vec::new();
    for (number, consumer) in consumers.iter().enumerate() {
        for (link, place) in consumer.links.iter().enumerate() {
            let mut flags = PollFlags::IN;
            if place.socket.is_pending() {
                flags |= PollFlags::OUT;
            }
            fds.push(PollFd::from_borrowed_fd(place.socket.fd(), flags));
            places.push((number, link));
        }
    }
    reading.look(&mut fds, nanos);
    let answered = PollFlags::IN | PollFlags::ERR | PollFlags::HUP;
    let is_answered = |fd: &PollFd<'_>| fd.revents().intersects(answered);
    fds.iter().zip(places).filter(|(fd, _)| is_answered(fd)).map(|(_, place)| place).collect()
}
