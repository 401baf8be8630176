//! What is known of where things lie in old segments: enough, and not more than fits.

use super::batches::{EPOCH, batch, partition};
use ids::{CoreId, Offset, Timestamp};
use ringwood_store as store;
use runtime::Runtime;
use runtime::sim::{Outcome, SimConfig, World};
use std::path::Path;
use store::{Config, DataDir, PartitionConfig, Store, Thresholds};

const RING: u64 = 256 << 10;
const MEMORY: usize = 1400 << 10;

/// An entry of the index for each batch, and a thousand batches a segment.
fn partitions() -> PartitionConfig {
    let mut config = PartitionConfig::default();
    config.log.index_interval_bytes = 1;
    config.log.segment_bytes = 300_000;
    config
}

async fn open(rt: &Runtime) -> Store {
    let thresholds = Thresholds { blocks_due: 4096, ..Thresholds::default() };
    let config = Config { ring_bytes: RING, free_bytes_min: 0, thresholds, ..Config::default() };
    let data = DataDir::open(rt, Path::new("/data"), 1, RING).await.unwrap();
    store::open(rt, &data, CoreId(0), config, |_| partitions()).await.unwrap().0
}

async fn fill(store: &Store, batches: i64) {
    for _ in 0..batches {
        let (bytes, meta) = batch(1, &[7; 230]);
        store.admit(bytes.len()).await;
        store.append(partition(0), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
    }
    store.flush().await;
    store.checkpoint().await;
}

/// The bytes that are read from files for one batch.
async fn cost(store: &Store, offset: i64) -> u64 {
    let before = store.counters().0.cold_bytes;
    let end = store.with_log(partition(0), log::Log::end).unwrap();
    let read = store.read(partition(0), Offset(offset), end, 100, true).await.unwrap();
    assert!(read.bytes > 0);
    store.counters().0.cold_bytes - before
}

fn run<T: 'static>(world: &World, body: impl AsyncFnOnce(Runtime) -> T + 'static) -> T {
    let rt = world.core(runtime::sim::NodeId(0), CoreId(0));
    let it = rt.clone();
    match world.run(&rt, async move { body(it).await }) {
        Outcome::Done(value) => value,
        Outcome::Died | Outcome::Stuck | Outcome::TimedOut => panic!("it does not end"),
    }
}

#[test]
fn a_segment_that_lived_through_a_restart_is_found_its_way_in_when_it_is_sealed() {
    let world = World::new(3, SimConfig { memory_limit: MEMORY, ..SimConfig::default() });
    world.add_node();
    run(&world, async |rt| {
        let store = open(&rt).await;
        store.create(partition(0), partitions());
        fill(&store, 400).await;
        store.close().await;
    });
    run(&world, async |rt| {
        let store = open(&rt).await;
        // Half of what is known by now is in the index file, and is read back.
        assert!(cost(&store, 3).await < 100_000);
        assert!(store.counters().0.cold_index_bytes > 0);
        fill(&store, 6_000).await;
        // The first segment is sealed, and all of its index is in the file.
        let far = cost(&store, 900).await;
        assert!(far < 100_000, "{far} bytes are read to find one batch");
        store.close().await;
    });
}

#[test]
fn indexes_of_old_segments_do_not_fill_memory() {
    let world = World::new(4, SimConfig { memory_limit: MEMORY, ..SimConfig::default() });
    world.add_node();
    run(&world, async |rt| {
        let store = open(&rt).await;
        store.create(partition(0), partitions());
        for _ in 0..12 {
            fill(&store, 1_000).await;
        }
        for round in 0..2 {
            for segment in 0..11 {
                let far = cost(&store, segment * 1_000 + 500).await;
                assert!(far < 200_000, "round {round}: {far} bytes are read to find one batch");
            }
        }
        let kept = store.counters().0.cold_index_bytes;
        assert!(kept > 0 && kept <= 64 << 10, "{kept} bytes");
        store.close().await;
    });
}
