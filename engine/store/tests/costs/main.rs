//! What some things cost, counted on the simulated disk: reads and syncs, never time.
//!
//! The figures are those that `docs/decisions/0005-what-the-store-does-without.md` argues with.
#![expect(clippy::unwrap_used, reason = "a test, which shows its figures")]

#[path = "../scene/batches.rs"]
#[expect(dead_code, reason = "other scenes use the rest")]
mod batches;
mod model;

use batches::{append, batch, batch_of, partition};
use ids::{CoreId, Offset, ProducerId};
use ringwood_store as store;
use ringwood_store::{Config, DataDir, PartitionConfig, Store, Thresholds};
use runtime::sim::{NodeId, SimConfig, World};
use runtime::{Counters, Runtime};
use std::path::Path;

const RING: u64 = 8 << 20;

struct Node {
    world: World,
    node: NodeId,
}

impl Node {
    fn new() -> Self {
        let world = World::new(3, SimConfig { memory_limit: 128 << 20, ..SimConfig::default() });
        let node = world.add_node();
        Self { world, node }
    }

    fn life<T: 'static>(&self, body: impl AsyncFnOnce(Runtime, Store) -> T + 'static) -> T {
        let rt = self.world.core(self.node, CoreId(0));
        let it = rt.clone();
        let told = self
            .world
            .run(&rt, async move {
                let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
                let thresholds = Thresholds { blocks_due: 4096, ..Thresholds::default() };
                let config =
                    Config { ring_bytes: RING, free_bytes_min: 0, thresholds, ..Config::default() };
                let (store, report) =
                    store::open(&it, &data, CoreId(0), config, |_| of_the_test()).await.unwrap();
                assert!(report.incomplete.is_empty(), "{report:?}");
                body(it, store).await
            })
            .expect_done();
        self.world.power_cut(self.node);
        told
    }
}

fn of_the_test() -> PartitionConfig {
    let log = log::Config { segment_bytes: 100_000, ..log::Config::default() };
    PartitionConfig { log, fsync: true }
}

fn since(now: Counters, then: Counters) -> (u64, u64, u64) {
    (
        now.reads.operations - then.reads.operations,
        now.reads.bytes - then.reads.bytes,
        now.syncs - then.syncs,
    )
}

/// A start reads the rest log once, in its order, in large pieces: not a read for each partition.
#[test]
fn a_start_reads_the_rest_log_in_windows() {
    const PARTITIONS: i32 = 2_000;
    let reads = |partitions: i32| {
        let node = Node::new();
        node.life(async move |_, store| {
            for n in 0..partitions {
                store.create(partition(n), of_the_test());
                append(&store, partition(n), batch(1, &[1; 939])).await;
            }
            store.checkpoint().await;
        });
        node.life(async |rt, _| since(rt.counters(), Counters::default()))
    };
    let (none, many) = (reads(0), reads(PARTITIONS));
    let (operations, bytes) = (many.0 - none.0, many.1 - none.1);
    println!("{PARTITIONS} rests of 1,000 bytes: {operations} reads more, {bytes} bytes more");
    assert!(operations <= 12, "{operations} reads");
    assert!(bytes < 6 << 20, "{bytes} bytes");
}

/// A checkpoint syncs a file and a directory for each partition whose segment it wrote, and few others.
#[test]
fn a_checkpoint_syncs_what_it_wrote() {
    const PARTITIONS: i32 = 500;
    let node = Node::new();
    let (first, second) = node.life(async |rt, store| {
        let mut taken = Vec::new();
        for n in 0..PARTITIONS {
            store.create(partition(n), of_the_test());
        }
        for _ in 0..2 {
            for n in 0..PARTITIONS {
                append(&store, partition(n), batch(1, &[1; 5_000])).await;
            }
            store.flush().await;
            let before = rt.counters();
            store.checkpoint().await;
            taken.push(since(rt.counters(), before).2);
        }
        (taken[0], taken[1])
    });
    println!("{PARTITIONS} dirty segments: {first} syncs with their directories, {second} without");
    assert!((1_000..1_020).contains(&first), "{first} syncs");
    assert!((500..520).contains(&second), "{second} syncs");
}

/// A truncation reads what lies behind one entry of the index. If the last five batches of a producer are all cut, it reads the
/// log back to one that is left, and no further.
#[test]
fn a_truncation_reads_little_unless_a_producer_is_cut_whole() {
    let read = |near: bool| {
        let node = Node::new();
        node.life(async move |_, store| {
            let id = partition(0);
            store.create(id, of_the_test());
            let writer = ProducerId(4);
            for sequence in 0..400 {
                let (of, at) =
                    if near || sequence < 20 { (writer, sequence) } else { (ProducerId::NONE, -1) };
                append(&store, id, batch_of(of, at, 1, &[2; 4_000])).await;
            }
            for sequence in 0..8 {
                let at = if near { 400 } else { 20 } + sequence;
                append(&store, id, batch_of(writer, at, 1, &[2; 100])).await;
            }
            store.checkpoint().await;
            store.close().await;
        });
        node.life(async |rt, store| {
            let before = rt.counters();
            assert_eq!(store.truncate(partition(0), Offset(400)).await, Ok(Offset(400)));
            let (_, bytes, _) = since(rt.counters(), before);
            (bytes, store.with_log(partition(0), log::Log::size).unwrap())
        })
    };
    let ((near, log), (far, _)) = (read(true), read(false));
    println!(
        "a log of {log} bytes: {near} read for a producer that wrote just below, {far} for one that wrote long ago"
    );
    assert!(near < 200_000, "{near} bytes");
    assert!(far > log / 2 && far < 2 * log, "{far} bytes of {log}");
}
