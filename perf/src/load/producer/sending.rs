//! Batches that are ready, in requests.

use std::sync::Arc;

use record::{Codec, Compressor};

use super::{Flight, Producer, Sent, Shop};
use crate::{
    load::{batches::Closed, plan::Acks},
    protocol::{
        batch::{HEADER_BYTES, Identity, seal},
        produce,
    },
};

impl Producer {
    /// Sends ready batches, as many requests as the bound allows.
    pub(super) fn dispatch(&mut self, link: usize, now: u64, shop: &mut Shop) {
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

    pub(super) fn flush_all(&mut self, now: u64, shop: &mut Shop) {
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
                        shop.meter.on_acknowledged(&batch.dues, flight.at, now, now, batch.bytes);
                        let handed = &mut shop.produced.handed[batch.partition as usize];
                        *handed += i64::from(batch.count);
                    }
                }
            }
        }
        if let Some(why) = broken {
            self.fail_links(&why, now, shop);
        }
    }
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
