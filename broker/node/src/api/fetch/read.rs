//! What one core has of a fetch: its partitions, read in order, and who waits for them.

use super::super::codes;
use super::super::fetch_sessions::From;
use super::empties::only_empty;
use super::{Got, Limits};
use crate::broker::Broker;
use crate::shard::{PartitionError, within};
use ids::{Instant, LeaderEpoch, Offset, PartitionId};
use runtime::Slice;
use runtime::sync::Notify;
use stages::{Laps, Stage};
use std::rc::Rc;
use store::Store;
use wire::ErrorCode;

/// Reads these partitions of this core until there is enough, something is wrong, or the time is up.
pub(super) async fn read_or_wait(
    broker: &Rc<Broker>,
    limits: &Limits,
    partitions: &[(PartitionId, From)],
    laps: &mut Laps,
) -> Vec<Got<Slice>> {
    let bell = Rc::new(Notify::new());
    let mut watching = false;
    loop {
        let got = read(broker, limits, partitions).await;
        laps.lap(Stage::Read, || broker.rt.clock());
        let bytes: usize = got.iter().map(|g| g.bytes).sum();
        let left = limits.deadline.since(broker.rt.now());
        if bytes >= limits.min_bytes
            || got.iter().any(Got::nothing_more_to_wait_for)
            || left.is_zero()
        {
            return got;
        }
        if !watching {
            // Watch first and read once more: what came between the read and the watch is not missed.
            watching = true;
            watch(broker, partitions.iter().map(|(id, _)| *id), &bell);
            continue;
        }
        // Time is up or something has moved; both are looked at above.
        let _ = within(&broker.rt, left, bell.notified()).await;
        laps.lap(Stage::Park, || broker.rt.clock());
    }
}

/// Resolves when the high watermark of one of these partitions is not what it was, or the time is up.
pub(super) async fn wait(broker: &Rc<Broker>, seen: &[(PartitionId, Offset)], deadline: Instant) {
    let bell = Rc::new(Notify::new());
    watch(broker, seen.iter().map(|(id, _)| *id), &bell);
    loop {
        let moved = seen.iter().any(|(id, high_watermark)| {
            broker.shard.replica(*id).is_none_or(|r| r.high_watermark() != *high_watermark)
        });
        let left = deadline.since(broker.rt.now());
        if moved || left.is_zero() {
            return;
        }
        let _ = within(&broker.rt, left, bell.notified()).await;
    }
}

fn watch(broker: &Broker, ids: impl Iterator<Item = PartitionId>, bell: &Rc<Notify>) {
    for replica in ids.filter_map(|id| broker.shard.replica(id)) {
        replica.watch(bell);
    }
}

/// Reads each once, in order, within the limit of the whole.
pub(super) async fn read(
    broker: &Rc<Broker>,
    limits: &Limits,
    partitions: &[(PartitionId, From)],
) -> Vec<Got<Slice>> {
    let mut left = limits.max_bytes;
    let mut first = true;
    let mut all = Vec::with_capacity(partitions.len());
    for (id, from) in partitions {
        let got = read_one(broker, limits.version, *id, from, left, first).await;
        if got.bytes > 0 {
            first = false;
            left = left.saturating_sub(got.bytes);
        }
        all.push(got);
    }
    all
}

async fn read_one(
    broker: &Rc<Broker>,
    version: i16,
    id: PartitionId,
    from: &From,
    left: usize,
    first: bool,
) -> Got<Slice> {
    let replica = match broker.shard.check_epoch(id, from.current_leader_epoch) {
        Ok(replica) => replica,
        Err(e) => return Got::error(codes::of_partition(&e, version).0),
    };
    let store = &broker.shard.store;
    let looked = store.with_log(id, |l| (l.start(), diverges(l, from)));
    let (log_start, diverging) = looked.unwrap_or((Offset::NONE, None));
    let mut got = Got {
        high_watermark: replica.high_watermark(),
        last_stable: replica.last_stable_offset(),
        log_start,
        diverging,
        ..Got::error(ErrorCode::NONE)
    };
    if diverging.is_some() {
        return got;
    }
    let max = usize::try_from(from.max_bytes).unwrap_or(0).min(left);
    match read_records(store, id, from.offset, got.high_watermark, max, first).await {
        Ok(read) => {
            got.bytes = read.bytes;
            replica.served(read.bytes);
            got.records = read.slices;
        }
        Err(e) => {
            if !matches!(e, store::ReadError::OutOfRange { .. }) {
                eprintln!("fetch of {} {} at {}: {e}", replica.topic, id.index, from.offset);
            }
            got.error = codes::of_partition(&PartitionError::Read(e), version).0;
        }
    }
    got
}

/// What [`Store::read`] gives, but for batches without records in front of others: compaction leaves them, and librdkafka takes an
/// answer of nothing else for one that was cut off, asks for twice as much each time and gives up at 1 GiB.
async fn read_records(
    store: &Store,
    id: PartitionId,
    offset: Offset,
    high_watermark: Offset,
    max: usize,
    first: bool,
) -> Result<store::Read, store::ReadError> {
    let mut read = store.read(id, offset, high_watermark, max, first).await?;
    while let Some(next) = only_empty(&read.slices).filter(|next| *next < high_watermark) {
        let more = store.read(id, next, high_watermark, max, first).await?;
        if more.bytes == 0 {
            break;
        }
        read = more;
    }
    Ok(read)
}

/// Where the client's log and ours part ways (KIP-595's truncation on fetch).
fn diverges(log: &log::Log, from: &From) -> Option<(LeaderEpoch, Offset)> {
    if from.last_fetched_epoch == LeaderEpoch::UNKNOWN {
        return None;
    }
    let end = log.end_of_epoch(from.last_fetched_epoch);
    let known = end.end != Offset::NONE;
    let parts = end.epoch < from.last_fetched_epoch || end.end < from.offset;
    (known && parts).then_some((end.epoch, end.end))
}
