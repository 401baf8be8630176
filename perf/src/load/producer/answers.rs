//! Answers, and what becomes of requests that get none.

use super::{Flight, Link, Producer, Sent, Shop, Source};
use crate::{
    load::{batches::Closed, links::Repair, plan::Plan},
    protocol::{Reader, error_name, produce},
    verify::Stretch,
};

impl Producer {
    /// Reads the answers of one connection. None of them came before `earliest`.
    pub(super) fn answers(&mut self, link: usize, earliest: u64, shop: &mut Shop) {
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
            match book(frame, &flight, (earliest, now), self.number, shop) {
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
    pub(super) fn expire(&mut self, now: u64, shop: &mut Shop) {
        let timeout = shop.plan.timeout.as_nanos() as u64;
        let late = |link: &Link| link.flying.front().is_some_and(|f| f.at + timeout <= now);
        if self.links.iter().any(late) {
            self.fail_links("timed out", now, shop);
        }
    }

    /// Everything in flight fails with unknown outcome; the connections are made anew.
    pub(super) fn fail_links(&mut self, why: &str, now: u64, shop: &mut Shop) {
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
            let Plan { idempotent, reconnect_pause, .. } = *shop.plan;
            self.repair = Some(Repair::of_producer(&shop.target, idempotent, reconnect_pause));
            self.cut_off_since = Some(now);
        }
    }

    /// Whether no broker could be reached for as long as that.
    pub(super) fn is_cut_off(&self, now: u64, shop: &Shop) -> bool {
        let Some((since, patience)) = self.cut_off_since.zip(shop.patience) else { return false };
        now.saturating_sub(since) >= patience
    }

    /// The deadline is over: what is not acknowledged fails.
    pub(super) fn abandon(&mut self, now: u64, shop: &mut Shop) {
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
}

/// Books one answer, which is read now and did not come before `earliest`. Gives back an error code that some partition had.
fn book(
    frame: &[u8],
    flight: &Flight,
    (earliest, now): (u64, u64),
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
                let Sent { dues, bytes, .. } = batch;
                shop.meter.on_acknowledged(dues, flight.at, earliest, now, *bytes);
                // No answer of a sound broker adds up to more; a strange one is not to stop the run.
                let after = base.saturating_add(i64::from(batch.count));
                let end = &mut shop.produced.ends[batch.partition as usize];
                *end = (*end).max(after);
                // A duplicate may be answered without its offset.
                if shop.plan.verify && *base >= 0 {
                    let known = &mut shop.produced.ledger.of(producer, batch.partition).end;
                    *known = (*known).max(Some(after));
                }
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

fn fail(batch: &Sent, producer: u32, why: &str, now: u64, shop: &mut Shop) {
    shop.meter.on_failed(&batch.dues, now, why);
    shop.produced.failed += u64::from(batch.count);
    shop.produced.fault.get_or_insert_with(|| why.to_owned());
    if shop.plan.verify && batch.count > 0 {
        let first = batch.first_sequence;
        let stretch = Stretch { first, last: first + u64::from(batch.count) - 1 };
        shop.produced.ledger.of(producer, batch.partition).unknown.push(stretch);
    }
}
