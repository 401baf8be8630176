//! A partition that asks for no flush is flushed all the same, as often as its owner says.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use ids::{CoreId, LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use ids::{ProducerEpoch, ProducerId};
use log::BatchMeta;
use record::BatchBuilder;
use ringwood_store as store;
use runtime::sim::{SimConfig, World};
use std::path::Path;
use std::time::Duration;
use store::{Config, DataDir, PartitionConfig, Store};

const RING: u64 = 1 << 20;

fn append(store: &Store, id: PartitionId) {
    let mut b = BatchBuilder::new();
    b.push(Timestamp(1), None, Some(b"v"), &[]);
    let bytes = b.build().unwrap();
    let meta = BatchMeta {
        len: u32::try_from(bytes.len()).unwrap(),
        offsets: 1,
        max_timestamp: Timestamp(1),
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        transactional: false,
        control: false,
    };
    store.append(id, &bytes, &meta, LeaderEpoch(0), Timestamp(1)).unwrap();
}

#[test]
fn the_interval_may_change_at_any_time() {
    let world = World::new(1, SimConfig::default());
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
            let written = PartitionConfig { fsync: false, ..PartitionConfig::default() };
            let (store, _) = store::open(&it, &data, CoreId(0), config, |_| written).await.unwrap();
            let id = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(0) };
            store.create(id, written);
            let durable = || store.progress(id).unwrap().durable;
            let sleep = |ms| it.sleep(Duration::from_millis(ms));
            // The default is a second.
            append(&store, id);
            sleep(500).await;
            assert_eq!((store.progress(id).unwrap().written, durable()), (Offset(1), Offset(0)));
            sleep(700).await;
            assert_eq!(durable(), Offset(1));
            store.flush_every(Duration::from_millis(50));
            append(&store, id);
            sleep(30).await;
            assert_eq!(durable(), Offset(1));
            sleep(70).await;
            assert_eq!(durable(), Offset(2));
            store.flush_every(Duration::from_secs(5));
            append(&store, id);
            sleep(4_500).await;
            assert_eq!(durable(), Offset(2));
            sleep(1_000).await;
            assert_eq!(durable(), Offset(3));
            store.flush_every(Duration::ZERO);
            append(&store, id);
            sleep(30).await;
            assert_eq!(durable(), Offset(4));
        })
        .expect_done();
}
