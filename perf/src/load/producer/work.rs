//! The worker's loop: turns, sleeps, answers.

use std::time::Duration;

use rustix::event::{PollFd, PollFlags};

use super::{Produced, Producer, Shop, Source};
use crate::{
    interrupt,
    load::{
        effort::{self, Effort},
        reading::Reading,
    },
};

/// Drives these producers until their schedules are over and everything is acknowledged, until the deadline, or until they have been
/// cut off for too long.
pub(in crate::load) fn work(mut producers: Vec<Producer>, mut shop: Shop) -> Produced {
    effort::wake_on_time();
    // As fast as it goes there is no schedule to keep, and going first would take the cores from a broker that shares them.
    let keeps_schedule = producers.iter().any(|p| matches!(p.source, Source::Schedule(_)));
    let goes_first = keeps_schedule && effort::go_first();
    let clock = shop.clock;
    let mut reading = Reading::new(clock);
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
        let is_cut_off = producers.iter().any(|producer| producer.is_cut_off(now, &shop));
        if is_cut_off || now >= shop.deadline || interrupt::came() {
            shop.produced.is_cut_off = is_cut_off;
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
        for (producer, link) in wait(&producers, wake.saturating_sub(now), &mut reading) {
            producers[producer].answers(link, reading.earliest(), &mut shop);
        }
    }
    // The window's last reading may still be due when everything was acknowledged early.
    let end = shop.meter.window().end();
    let now = clock.now();
    if now < end
        && !interrupt::came()
        && matches!(producers.first().map(|p| &p.source), Some(Source::Schedule(_)))
    {
        std::thread::sleep(Duration::from_nanos(end - now));
    }
    for producer in &producers {
        for partition in 0..producer.of_partition.len() as u32 {
            let made = producer.batches.made(partition);
            shop.produced.made += made;
            if shop.plan.verify {
                shop.produced.ledger.of(producer.number, partition).next = made;
            }
        }
    }
    let mut produced = shop.produced;
    produced.effort = Effort { goes_first, ..shop.meter.finish(clock.now()) };
    produced
}

/// Sleeps until an answer comes, a socket takes more, or the time is over. Gives back the (producer, link) with answers.
fn wait(producers: &[Producer], nanos: u64, reading: &mut Reading) -> Vec<(usize, usize)> {
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
    reading.look(&mut fds, nanos);
    let answered = PollFlags::IN | PollFlags::ERR | PollFlags::HUP;
    let is_answered = |fd: &PollFd<'_>| fd.revents().intersects(answered);
    fds.iter().zip(places).filter(|(fd, _)| is_answered(fd)).map(|(_, place)| place).collect()
}
