//! Small worlds for the moments right behind a pass of compaction, which the great ones come upon too seldom.

use crate::batch::cut;
use crate::directed::{Small, id};
use crate::reading::read_all;
use ids::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, Timestamp};
use log::{BatchMeta, Compaction};
use record::{BatchBuilder, BatchView};
use ringwood_store::{CompactBudget, Store};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

/// Records of one batch.
const RECORDS: i64 = 3;
const DAY_MS: i64 = 86_400_000;

/// A tombstone of a key of its own, a value of a key of its own, and a value of a key that every batch has.
fn put_keyed(store: &Store, number: u64) -> Result<(), String> {
    let time = Timestamp(1_700_000_000_000 + number.cast_signed());
    let mut b = BatchBuilder::new();
    let value = vec![u8::try_from(number % 251).unwrap(); 700];
    b.push(time, Some(format!("gone-{number}").as_bytes()), None, &[]);
    b.push(time, Some(format!("kept-{number}").as_bytes()), Some(&value), &[]);
    b.push(time, Some(b"hot"), Some(&value), &[]);
    let bytes = b.build().map_err(|e| format!("{e:?}"))?;
    let meta = BatchMeta {
        len: u32::try_from(bytes.len()).unwrap(),
        offsets: i32::try_from(RECORDS).unwrap(),
        max_timestamp: time,
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        transactional: false,
        control: false,
    };
    let appended = store.append(id(0), &bytes, &meta, LeaderEpoch(1), Timestamp(1));
    appended.map(drop).map_err(|e| e.to_string())
}

/// One pass over all that is flushed; how many segments it has written anew.
async fn pass(store: &Store) -> Result<u64, String> {
    store.flush().await;
    let stable = store.progress(id(0)).map_err(|e| e.to_string())?.durable;
    let how = Compaction { delete_retention_ms: DAY_MS, ..Compaction::default() };
    let budget = CompactBudget { map_bytes: 1 << 16, bytes_per_second: f64::MAX };
    let report = store.compact(id(0), &how, budget, stable).await;
    report.map(|r| r.segments).map_err(|e| format!("a pass failed: {e}"))
}

fn world(seed: u64) -> Result<(Small, Store), String> {
    let mut small = Small::new(seed, 256 << 10);
    // Three batches a segment, and an entry of the index for each.
    small.partition.log.segment_bytes = 5_500;
    small.partition.log.index_interval_bytes = 1;
    let (store, _) = small.open(&small.world)?;
    store.create(id(0), small.partition);
    Ok((small, store))
}

/// A log is cut back into a segment that a pass has just made, and that no manifest names yet. Whatever the cut of the power, the
/// partition is whole: as it was, or as the truncation has left it, and only that once it has said so.
pub(crate) fn a_truncation_right_behind_a_pass(seed: u64) -> Result<u64, String> {
    const BATCHES: u64 = 14;
    let (small, store) = world(seed)?;
    let it = store.clone();
    small.run(&small.world, async move |_| {
        for n in 0..BATCHES {
            put_keyed(&it, n)?;
        }
        it.flush().await;
        it.checkpoint().await;
        Ok::<(), String>(())
    })??;
    // Within the segments that are sealed, and so compacted.
    let to = 1 + small.below(8 * RECORDS.cast_unsigned()).cast_signed();
    let end = BATCHES.cast_signed() * RECORDS;
    let (made, told) = (Rc::new(Cell::new(Ok(0))), Rc::new(Cell::new(None)));
    let ended = small.begin({
        let (store, made, told) = (store.clone(), Rc::clone(&made), Rc::clone(&told));
        async move {
            let passed = pass(&store).await;
            let good = passed.is_ok();
            made.set(passed);
            if good && let Ok(at) = store.truncate(id(0), Offset(to)).await {
                told.set(Some(at.0));
            }
        }
    });
    let mut images = 0;
    small.steps(
        || ended.get(),
        |last| {
            if !last.contains("/ring-") && !last.contains("/manifest-") {
                return Ok(());
            }
            images += 1;
            let (cut, told) = (small.cut(), told.get());
            let context = |e: String| format!("to {to}, power cut after `{last}`: {e}");
            let (store, report) = small.open(&cut).map_err(context)?;
            if let Some((_, why)) = report.incomplete.first() {
                return Err(context(format!("incomplete: {why}")));
            }
            let found = small.run(&cut, async move |_| read_all(&store, id(0), 50_000).await)?;
            match (found.broken, told) {
                (Some(broken), _) => Err(context(broken)),
                (None, Some(at)) if found.end != at => {
                    Err(context(format!("it ends at {}, and {at} was told", found.end)))
                }
                // Not told yet: it may have happened or not.
                (None, None) if found.end != end && found.end > to => {
                    Err(context(format!("it ends at {}", found.end)))
                }
                (None, _) => Ok(()),
            }
        },
    )?;
    match (made.replace(Ok(0)), told.get()) {
        (Err(why), _) => Err(why),
        (Ok(0), _) => Err("the pass wrote nothing anew".into()),
        (Ok(_), None) => Err("the truncation was refused".into()),
        (Ok(_), Some(_)) => Ok(images),
    }
}

/// What a pass has seen of a tombstone is not yet a reason for the next one, a moment later, to drop it.
pub(crate) fn tombstones_of_two_passes(seed: u64) -> Result<u64, String> {
    let (small, store) = world(seed)?;
    let it = store.clone();
    let found = small.run(&small.world, async move |rt| {
        let mut passes = 0;
        for from in [0, 10] {
            for n in from..from + 10 {
                put_keyed(&it, n)?;
            }
            passes += u64::from(pass(&it).await? > 0);
            it.checkpoint().await;
            rt.sleep(Duration::from_millis(20)).await;
        }
        Ok::<_, String>((passes, read_all(&it, id(0), 50_000).await))
    })?;
    let (passes, found) = found?;
    if passes != 2 {
        return Err(format!("{passes} passes of two have done something"));
    }
    if let Some(broken) = found.broken {
        return Err(broken);
    }
    let mut gone = BTreeSet::new();
    for (_, _, bytes) in cut(&found.bytes)? {
        let batch = BatchView::first(bytes).map_err(|e| e.to_string())?;
        for record in batch.records().map_err(|e| e.to_string())? {
            let record = record.map_err(|e| e.to_string())?;
            if let (Some(key), None) = (record.key, record.value) {
                gone.insert(String::from_utf8_lossy(key).into_owned());
            }
        }
    }
    let missing: Vec<u64> = (0..20).filter(|n| !gone.contains(&format!("gone-{n}"))).collect();
    if missing.is_empty() { Ok(1) } else { Err(format!("tombstones are gone: {missing:?}")) }
}
