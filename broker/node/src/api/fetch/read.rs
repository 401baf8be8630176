//! What one core has of a fetch: its partitions, read in order, and who waits for them.

use super::super::codes;
use super::super::fetch_sessions::From;
use super::empties::only_empty;
use super::part::{Part, Want};
use super::{Got, Limits};
use crate::broker::Broker;
use crate::shard::{PartitionError, within};
use ids::{Instant, LeaderEpoch, Offset, PartitionId};
use log::AbortedTxn;
use runtime::Slice;
use stages::{Laps, Stage};
use std::collections::BTreeMap;
use std::rc::Rc;
use store::{READ_BYTES_MAX, Store};
use wire::ErrorCode;

/// What was found of what was wanted.
pub(super) type Reading<B> = (Want, Got<B>);

/// Whether there is nothing to read of a partition before it moves: its reader has come to the end of what it may read.
pub(super) fn is_asleep<B>(want: &Want, got: &Got<B>) -> bool {
    !got.nothing_more_to_wait_for() && got.bytes == 0 && want.from.offset >= got.bound
}

/// Reads these partitions of this core, and those that have moved, until there is enough, something is wrong, or the time is
/// up. What was found of each, in turn. Without a `part` nobody else knows of those that have moved.
pub(super) async fn read_or_wait(
    broker: &Rc<Broker>,
    limits: &Limits,
    part: Option<Rc<Part>>,
    named: Vec<Want>,
    forgotten: &[u32],
    laps: &mut Laps,
) -> Vec<Reading<Slice>> {
    let mut watching = part.is_some();
    let part = part.unwrap_or_default();
    let mut found: BTreeMap<(u64, u32), Reading<Slice>> = BTreeMap::new();
    let mut wants = part.wants(named, forgotten);
    loop {
        laps.is_in(Stage::Read);
        let read = read(broker, limits, watching.then_some(&part), &wants, true).await;
        laps.lap(Stage::Read, || broker.rt.clock());
        // What has bytes is not asleep and was read in this round.
        let bytes: usize = read.iter().map(|(_, got)| got.bytes).sum();
        let failed = read.iter().any(|(_, got)| got.ends_the_wait());
        let named: Vec<Want> =
            read.iter().filter(|(w, got)| !is_asleep(w, got)).map(|(w, _)| *w).collect();
        found.extend(read.into_iter().map(|(w, got)| ((w.turn, w.number), (w, got))));
        let left = limits.deadline.since(broker.rt.now());
        if bytes >= limits.min_bytes || failed || left.is_zero() {
            return found.into_values().collect();
        }
        if !watching {
            // Watch, and read once more: what came between the read and the watch is not missed.
            watching = true;
            continue;
        }
        laps.is_in(Stage::Park);
        // Time is up or something has moved; both are looked at above.
        let _ = within(&broker.rt, left, part.watch.heard()).await;
        laps.lap(Stage::Park, || broker.rt.clock());
        wants = part.wants(named, &[]);
    }
}

/// Reads these once, and those that have moved.
pub(super) async fn read_part(
    broker: &Rc<Broker>,
    limits: &Limits,
    part: &Rc<Part>,
    named: Vec<Want>,
    forgotten: &[u32],
) -> Vec<Reading<Slice>> {
    let wants = part.wants(named, forgotten);
    read(broker, limits, Some(part), &wants, true).await
}

/// Reads these once more, behind what was found of them. The limit is hard now.
pub(super) async fn read_on(
    broker: &Rc<Broker>,
    limits: &Limits,
    wants: &[Want],
) -> Vec<Reading<Slice>> {
    read(broker, limits, None, wants, false).await
}

/// Resolves when something has moved since it was read, or the time is up.
pub(super) async fn wait(broker: &Rc<Broker>, part: &Part, deadline: Instant) {
    let left = deadline.since(broker.rt.now());
    let _ = within(&broker.rt, left, part.watch.heard()).await;
}

/// Reads each once, in order, within the limit of the whole; the `first` batch comes whole whatever its size. With a part, what moves
/// from now on is told to it.
async fn read(
    broker: &Rc<Broker>,
    limits: &Limits,
    part: Option<&Rc<Part>>,
    wants: &[Want],
    mut first: bool,
) -> Vec<Reading<Slice>> {
    let mut left = limits.max_bytes;
    let mut all = Vec::with_capacity(wants.len());
    for want in wants {
        let got = read_one(broker, limits, part, want, left, first).await;
        if got.bytes > 0 {
            first = false;
            left = left.saturating_sub(got.bytes);
        }
        all.push((*want, got));
    }
    all
}

async fn read_one(
    broker: &Rc<Broker>,
    limits: &Limits,
    part: Option<&Rc<Part>>,
    want: &Want,
    left: usize,
    first: bool,
) -> Got<Slice> {
    let Want { id, from, .. } = want;
    let (id, version) = (*id, limits.version);
    let replica = match broker.shard.check_epoch(id, from.current_leader_epoch) {
        Ok(replica) => replica,
        Err(e) => return Got::error(codes::of_partition(&e, version).0),
    };
    if let Some(part) = part {
        part.watch.on_read(want.number, &replica);
    }
    let store = &broker.shard.store;
    let looked = store.with_log(id, |l| (l.start(), diverges(l, from)));
    let (log_start, diverging) = looked.unwrap_or((Offset::NONE, None));
    let (high_watermark, last_stable) =
        (replica.high_watermark(), broker.shard.last_stable(&replica));
    let mut got = Got {
        high_watermark,
        last_stable,
        bound: if limits.committed { last_stable } else { high_watermark },
        log_start,
        diverging,
        ..Got::error(ErrorCode::NONE)
    };
    if diverging.is_some() {
        return got;
    }
    let wanted = usize::try_from(from.max_bytes).unwrap_or(0).min(READ_BYTES_MAX);
    let max = wanted.min(left);
    let found = match read_records(store, id, from.offset, got.bound, max, first).await {
        Ok(read) if limits.committed => {
            // Apart, so that its state is no part of every fetch.
            let list = Box::pin(aborted(store, id, from.offset, &read)).await;
            list.map(|list| (read, list))
        }
        Ok(read) => Ok((read, Vec::new())),
        Err(e) => Err(e),
    };
    match found {
        Ok((read, list)) => {
            // Transactions that go on behind it would be named twice.
            if left < wanted && read.bytes < wanted && list.is_empty() {
                let next = read.end().unwrap_or(from.offset);
                got.more = Some(next).filter(|next| *next < got.bound);
            }
            got.aborted = list;
            got.bytes = read.bytes;
            got.cold = !read.from_tail;
            replica.served(read.bytes);
            got.records = read.slices;
        }
        Err(e) => {
            if !matches!(e, store::ReadError::OutOfRange { .. }) {
                runtime::tell!("fetch of {} {} at {}: {e}", replica.topic, id.index, from.offset);
            }
            got.error = codes::of_partition(&PartitionError::Read(e), version).0;
        }
    }
    got
}

/// The aborted transactions among what was read from `from` on.
async fn aborted(
    store: &Store,
    id: PartitionId,
    from: Offset,
    read: &store::Read,
) -> Result<Vec<AbortedTxn>, store::ReadError> {
    match read.end() {
        Some(end) => store.aborted_transactions(id, from, end).await,
        None => Ok(Vec::new()),
    }
}

/// What [`Store::read`] gives, but for batches without records in front of others: compaction leaves them, and librdkafka takes an
/// answer of nothing else for one that was cut off, asks for twice as much each time and gives up at 1 GiB.
async fn read_records(
    store: &Store,
    id: PartitionId,
    offset: Offset,
    bound: Offset,
    max: usize,
    first: bool,
) -> Result<store::Read, store::ReadError> {
    let mut read = store.read(id, offset, bound, max, first).await?;
    while let Some(next) = only_empty(&read.slices).filter(|next| *next < bound) {
        let more = store.read(id, next, bound, max, first).await?;
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
