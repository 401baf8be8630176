//! Little memory: produce goes on for ever, whatever the partitions do meanwhile.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
#[expect(dead_code, reason = "other scenes use the rest")]
mod batches;
mod indexes;

use batches::{EPOCH, append, batch, partition, read_all};
use ids::{CoreId, Offset, Timestamp};
use log::Appended;
use ringwood_store as store;
use runtime::sim::{Outcome, SimConfig, World};
use std::path::Path;
use store::{Config, Counters, DataDir, PartitionConfig, Thresholds};

/// Chunks of a segment that follows must not be forgotten because the last block of the one before is not in its file yet.
#[test]
fn memory_comes_back_from_partitions_that_roll_while_it_is_short() {
    const RING: u64 = 2 << 20;
    const MEMORY: usize = 6 << 20;
    for (seed, size) in [(1, 60_001), (2, 128_000), (3, 20_007)] {
        let config = SimConfig { memory_limit: MEMORY, ..SimConfig::default() };
        let world = World::new(seed, config);
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let run = world.run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
            let mut rolls = PartitionConfig::default();
            rolls.log.segment_bytes = 3 << 20;
            let first = rolls;
            let (store, _) =
                store::open(&it, &data, CoreId(0), config, move |_| first).await.unwrap();
            let ids = [partition(0), partition(1)];
            let mut model = [Vec::new(), Vec::new()];
            for id in ids {
                store.create(id, rolls);
            }
            for n in 0..48_000_000 / size {
                let which = n % 2;
                let (mut bytes, meta) = batch(1, &vec![u8::try_from(n % 251).unwrap(); size]);
                store.admit(bytes.len()).await;
                let appended = store.append(ids[which], &bytes, &meta, EPOCH, Timestamp(1));
                let Ok(Appended::New { base_offset, .. }) = appended else {
                    panic!("{appended:?}")
                };
                bytes[..8].copy_from_slice(&base_offset.0.to_be_bytes());
                bytes[12..16].copy_from_slice(&EPOCH.0.to_be_bytes());
                model[which].extend(bytes);
            }
            store.flush().await;
            assert!(it.memory().used() <= MEMORY, "{} bytes", it.memory().used());
            for (id, bytes) in ids.iter().zip(&model) {
                assert!(read_all(&store, *id).await == *bytes);
                assert_eq!(store.with_log(*id, log::Log::start).unwrap(), Offset::ZERO);
            }
            store.close().await;
        });
        assert!(matches!(run, Outcome::Done(())), "seed {seed}: produce has stopped");
    }
}

/// Partitions so many and so small that not one block of each can be held: what a checkpoint has brought to the rest log is
/// read from there, and the rest of a block is joined with what comes later.
#[test]
fn partitions_without_a_whole_block_need_no_memory() {
    let counters =
        small_ones(Small { partitions: 8_000, size: 150, ring: 4 << 20, memory: 14 << 20 });
    assert!(counters.rest_reads > 1_000, "{counters:?}");
}

/// The same, where the pieces die as blocks fill up: the rest log is written anew from itself.
#[test]
fn the_rest_log_is_written_anew_without_the_bytes_in_memory() {
    let counters =
        small_ones(Small { partitions: 600, size: 1_500, ring: 256 << 10, memory: 1400 << 10 });
    assert!(counters.rest_reads > 1_000, "{counters:?}");
    assert!(counters.rest_rewrites > 0, "{counters:?}");
}

struct Small {
    partitions: i32,
    size: usize,
    ring: u64,
    memory: usize,
}

fn small_ones(of: Small) -> Counters {
    let Small { partitions, size: small, ring, memory } = of;
    let sim = SimConfig { memory_limit: memory, ..SimConfig::default() };
    let world = World::new(7, sim);
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let thresholds =
        Thresholds { blocks_due: 4096, rewrite_min: 64 << 10, ..Thresholds::default() };
    let config = Config { ring_bytes: ring, free_bytes_min: 0, thresholds, ..Config::default() };
    let again = config.clone();
    let run = world.run(&rt, async move {
        let data = DataDir::open(&it, Path::new("/data"), 1, ring).await.unwrap();
        let (store, _) = store::open(&it, &data, CoreId(0), config, |_| PartitionConfig::default())
            .await
            .unwrap();
        let mut model = std::collections::BTreeMap::new();
        for n in 0..partitions {
            store.create(partition(n), PartitionConfig::default());
        }
        for round in 0..4_u8 {
            for n in 0..partitions {
                // A few grow beyond a block, and beyond what is worth a write to the segment.
                let size = if n % 100 == 0 { 7_000 } else { small };
                let stored = append(&store, partition(n), batch(1, &vec![round; size])).await;
                model.entry(n).or_insert_with(Vec::new).extend(stored);
            }
            // Read while some of it is in the ring, some in the rest log, some in files.
            for n in (0..partitions).step_by(37) {
                assert!(read_all(&store, partition(n)).await == model[&n], "partition {n}");
            }
            // Readers' buffers are their own; what stays are tails.
            assert!(it.memory().used() <= memory + (2 << 20), "{} bytes", it.memory().used());
        }
        store.flush().await;
        (model, store.counters().0)
    });
    let Outcome::Done((mut model, counters)) = run else { panic!("produce has stopped: {run:?}") };
    world.power_cut(node);
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let run = world.run(&rt, async move {
        let data = DataDir::open(&it, Path::new("/data"), 1, ring).await.unwrap();
        let (store, report) =
            store::open(&it, &data, CoreId(0), again, |_| PartitionConfig::default())
                .await
                .unwrap();
        assert!(report.rest_pieces > 0, "{report:?}");
        assert_eq!(report.incomplete, []);
        for n in (0..partitions).step_by(11) {
            assert!(read_all(&store, partition(n)).await == model[&n], "partition {n}");
        }
        for n in 0..partitions {
            let stored = append(&store, partition(n), batch(1, &[9; 150])).await;
            model.entry(n).or_default().extend(stored);
        }
        store.checkpoint().await;
        for n in 0..partitions {
            assert!(read_all(&store, partition(n)).await == model[&n], "partition {n}");
        }
        store.close().await;
    });
    assert!(matches!(run, Outcome::Done(())), "after the start produce has stopped: {run:?}");
    counters
}

/// What answers hold does not come back by being dropped: it stays for the next reader, and produce goes on with the rest.
#[test]
fn what_readers_hold_stays_in_memory_and_stops_nobody() {
    const RING: u64 = 2 << 20;
    const MEMORY: usize = 8 << 20;
    let config = SimConfig { memory_limit: MEMORY, ..SimConfig::default() };
    let world = World::new(5, config);
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let run = world.run(&rt, async move {
        let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
        let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
        let (store, _) = store::open(&it, &data, CoreId(0), config, |_| PartitionConfig::default())
            .await
            .unwrap();
        let (held_one, other) = (partition(0), partition(1));
        for id in [held_one, other] {
            store.create(id, PartitionConfig::default());
        }
        for _ in 0..30 {
            append(&store, held_one, batch(1, &[1; 100_000])).await;
        }
        store.flush().await;
        // An answer to a client that does not read.
        let end = store.with_log(held_one, log::Log::end).unwrap();
        let mut held = Vec::new();
        for offset in 0..30 {
            let read = store.read(held_one, Offset(offset), end, 1, true).await.unwrap();
            assert!(read.from_tail, "offset {offset}");
            held.push(read);
        }
        for _ in 0..300 {
            append(&store, other, batch(1, &[2; 100_000])).await;
        }
        assert!(it.memory().used() <= MEMORY, "{} bytes", it.memory().used());
        for offset in 0..30 {
            let read = store.read(held_one, Offset(offset), end, 1, true).await.unwrap();
            assert!(read.from_tail, "offset {offset} was dropped for nothing");
        }
        // Nobody holds it any more: it goes.
        drop(held);
        for _ in 0..300 {
            append(&store, other, batch(1, &[3; 100_000])).await;
        }
        let read = store.read(held_one, Offset(0), end, 1, true).await.unwrap();
        assert!(!read.from_tail);
        store.close().await;
    });
    assert!(matches!(run, Outcome::Done(())), "produce has stopped: {run:?}");
}
