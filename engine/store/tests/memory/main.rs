//! Little memory: produce goes on for ever, whatever the partitions do meanwhile.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
#[expect(dead_code, reason = "other scenes use the rest")]
mod batches;

use batches::{EPOCH, batch, partition, read_all};
use ids::{CoreId, Offset, Timestamp};
use log::Appended;
use ringwood_store as store;
use runtime::sim::{Outcome, SimConfig, World};
use std::path::Path;
use store::{Config, DataDir, PartitionConfig};

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
