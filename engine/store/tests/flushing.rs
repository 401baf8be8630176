//! When the journal flushes: behind the write of a commit that must be flushed, and as often as its owner says for a partition
//! that asks for no flush.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use ids::{CoreId, LeaderEpoch, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use ids::{ProducerEpoch, ProducerId};
use log::BatchMeta;
use record::BatchBuilder;
use ringwood_store as store;
use runtime::sim::{SimConfig, World};
use std::path::Path;
use std::pin::pin;
use std::task::{Context, Waker};
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

/// What a body counts: commits, flushes, and those flushes that the kernel began by itself.
fn flushes(
    short_writes: u32,
    body: impl AsyncFnOnce(&Store, [PartitionId; 2]) + 'static,
) -> [u64; 3] {
    let world = World::new(2, SimConfig::default());
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let open = {
        let it = rt.clone();
        async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
            let fsync = PartitionConfig { fsync: true, ..PartitionConfig::default() };
            let (store, _) = store::open(&it, &data, CoreId(0), config, |_| fsync).await.unwrap();
            let id = |n| PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(n) };
            store.create(id(0), fsync);
            store.create(id(1), PartitionConfig { fsync: false, ..fsync });
            (store, [id(0), id(1)])
        }
    };
    let (store, ids) = world.run(&rt, open).expect_done();
    world.set_short_writes(short_writes);
    let count = async move {
        let counted = |store: &Store| {
            let journal = store.counters().1;
            [journal.commits - journal.marks, journal.flushes, journal.linked_flushes]
        };
        let before = counted(&store);
        body(&store, ids).await;
        let after = counted(&store);
        [0, 1, 2].map(|n| after[n] - before[n])
    };
    world.run(&rt, count).expect_done()
}

#[test]
fn the_flush_of_a_commit_that_stands_alone_is_linked_to_its_write() {
    let counted = flushes(0, async |store, [id, _]| {
        for _ in 0..20 {
            append(store, id);
            store.flush().await;
        }
    });
    assert_eq!(counted, [20, 20, 20]);
}

#[test]
fn who_waits_for_a_write_alone_does_not_wait_for_a_flush() {
    // Also in one commit with others.
    let counted = flushes(0, async |store, [id, written]| {
        for _ in 0..20 {
            append(store, id);
            append(store, written);
            store.flush().await;
        }
    });
    assert_eq!(counted, [20, 20, 0]);
}

#[test]
fn a_commit_with_another_behind_it_is_flushed_by_itself() {
    let counted = flushes(0, async |store, [id, _]| {
        for _ in 0..10 {
            append(store, id);
            // Closes the commit; the next record begins another before either is on its way.
            let mut first = pin!(store.flush());
            let polled = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(polled.is_pending());
            append(store, id);
            first.await;
            store.flush().await;
        }
    });
    assert_eq!(counted, [20, 20, 10]);
}

#[test]
fn a_flush_whose_link_is_broken_comes_by_itself() {
    let [commits, flushes, linked] = flushes(100_000, async |store, [id, _]| {
        for _ in 0..20 {
            append(store, id);
            store.flush().await;
        }
    });
    assert_eq!((commits, flushes), (20, 20));
    assert!((10..20).contains(&linked), "{linked}");
}
