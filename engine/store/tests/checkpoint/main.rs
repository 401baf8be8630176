//! A checkpoint of many partitions keeps the disk busy: files of different partitions are written beside each other.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
#[expect(dead_code, reason = "other scenes use the rest")]
mod batches;

use batches::{append, batch, partition, read_all};
use ids::CoreId;
use ringwood_store as store;
use runtime::sim::{SimConfig, World};
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use store::{Config, DataDir, PartitionConfig, Thresholds};

const RING: u64 = 32 << 20;
const PARTITIONS: i32 = 1_000;

/// A thousand partitions with a few blocks each, on a disk whose every write takes a millisecond, however many are under way.
/// One after the other they take a second and more; what is counted is simulated time and writes, not this machine's speed.
#[test]
fn a_thousand_dirty_partitions_are_not_written_one_after_another() {
    const WRITE: Duration = Duration::from_millis(1);
    let sim = SimConfig {
        memory_limit: 128 << 20,
        write: (WRITE, WRITE),
        sync: (WRITE, WRITE),
        names: (Duration::from_micros(10), Duration::from_micros(10)),
        ..SimConfig::default()
    };
    let world = World::new(5, sim);
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let config = Config {
        ring_bytes: RING,
        free_bytes_min: 0,
        thresholds: Thresholds { blocks_due: 4096, ..Thresholds::default() },
        ..Config::default()
    };
    let (it, again) = (rt.clone(), config.clone());
    let store = world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let (store, _) =
                store::open(&it, &data, CoreId(0), config, |_| PartitionConfig::default())
                    .await
                    .unwrap();
            for n in 0..PARTITIONS {
                store.create(partition(n), PartitionConfig::default());
                append(&store, partition(n), batch(1, &[1; 6_000])).await;
            }
            store.flush().await;
            assert_eq!(store.counters().0.segment_writes, 0, "it has begun before it was asked to");
            store
        })
        .expect_done();
    let begun = world.now();
    let (ended, most) = (Rc::new(Cell::new(false)), Cell::new(0));
    rt.spawn({
        let (store, ended) = (store.clone(), Rc::clone(&ended));
        async move {
            store.checkpoint().await;
            ended.set(true);
        }
    });
    assert!(world.run_until(|| {
        most.set(most.get().max(world.writes_in_flight(node)));
        ended.get()
    }));
    let took = Duration::from_nanos(world.now().0 - begun.0);
    let counters = store.counters().0;
    println!(
        "checkpoint of {PARTITIONS} partitions: {} segment writes, at most {} under way, {took:?} simulated",
        counters.segment_writes,
        most.get()
    );
    assert_eq!(counters.segment_writes, u64::try_from(PARTITIONS).unwrap());
    assert!(most.get() >= 32, "at most {} writes were under way", most.get());
    assert!(took < WRITE * 200, "{took:?} for {} writes", counters.segment_writes);
    world.power_cut(node);
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let (store, report) =
                store::open(&it, &data, CoreId(0), again, |_| PartitionConfig::default())
                    .await
                    .unwrap();
            assert_eq!((report.batches, report.incomplete.len()), (0, 0), "{report:?}");
            for n in (0..PARTITIONS).step_by(29) {
                assert_eq!(read_all(&store, partition(n)).await.len(), 61 + 6_000);
            }
        })
        .expect_done();
}

/// Thirty clients without a flush keep a slow device busy. They wait for it, and a checkpoint would only write more to it; and they
/// need not wait for the flush that comes after ten seconds.
#[test]
fn who_waits_for_the_device_asks_for_no_checkpoint() {
    const RING: u64 = 64 << 20;
    let write = Duration::from_millis(5);
    let sim = SimConfig {
        memory_limit: 128 << 20,
        write: (write, write),
        sync: (write, write),
        ..SimConfig::default()
    };
    let world = World::new(9, sim);
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let config = Config {
        ring_bytes: RING,
        free_bytes_min: 0,
        flush_every: Duration::from_secs(10),
        ..Config::default()
    };
    let it = rt.clone();
    let begun = world.now();
    let (checkpoints, left) = world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let quick = PartitionConfig { fsync: false, ..PartitionConfig::default() };
            let (store, _) =
                store::open(&it, &data, CoreId(0), config, move |_| quick).await.unwrap();
            store.create(partition(0), quick);
            let left = Rc::new(Cell::new(60));
            for _ in 0..30 {
                let (store, left) = (store.clone(), Rc::clone(&left));
                it.spawn(async move {
                    for _ in 0..2 {
                        append(&store, partition(0), batch(1, &[1; 500_000])).await;
                        left.set(left.get() - 1);
                    }
                });
            }
            while left.get() > 0 && it.now() < ids::Instant(30_000_000_000) {
                it.sleep(Duration::from_millis(1)).await;
            }
            (store.counters().0.checkpoints, left.get())
        })
        .expect_done();
    assert_eq!((checkpoints, left), (0, 0));
    let took = world.now().since(begun);
    assert!(took < Duration::from_secs(5), "{took:?}");
}

/// A checkpoint of very many partitions has a bounded number of files open at any time, and those that have fallen idle have none.
#[test]
fn files_are_closed_before_there_are_too_many() {
    const KEPT: usize = 16;
    const AT_ONCE: usize = 8;
    let world = World::new(11, SimConfig { memory_limit: 128 << 20, ..SimConfig::default() });
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let thresholds = Thresholds {
        blocks_due: 4096,
        open_files_kept: KEPT,
        partitions_at_once: AT_ONCE,
        ..Thresholds::default()
    };
    let config = Config { ring_bytes: RING, free_bytes_min: 0, thresholds, ..Config::default() };
    let it = rt.clone();
    let store = world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let (store, _) =
                store::open(&it, &data, CoreId(0), config, |_| PartitionConfig::default())
                    .await
                    .unwrap();
            for n in 0..200 {
                store.create(partition(n), PartitionConfig::default());
                append(&store, partition(n), batch(1, &[1; 6_000])).await;
            }
            store.flush().await;
            store
        })
        .expect_done();
    let (ended, most) = (Rc::new(Cell::new(false)), Cell::new(0));
    let (it, tell) = (store.clone(), Rc::clone(&ended));
    rt.spawn(async move {
        it.checkpoint().await;
        // Others than those that the last one has left open.
        for n in 0..40 {
            append(&it, partition(n), batch(1, &[2; 6_000])).await;
        }
        it.checkpoint().await;
        tell.set(true);
    });
    assert!(world.run_until(|| {
        most.set(most.get().max(store.open_segment_files()));
        ended.get()
    }));
    assert!(most.get() > AT_ONCE, "{} files", most.get());
    assert!(most.get() <= KEPT + AT_ONCE + KEPT, "{} files", most.get());
    assert!(store.open_segment_files() <= KEPT, "{} files stay", store.open_segment_files());
    world
        .run(&rt, async move {
            for n in 0..200 {
                let batches = if n < 40 { 2 } else { 1 };
                assert!(read_all(&store, partition(n)).await.len() > batches * 6_000);
            }
            for n in 0..200 {
                store.delete(partition(n)).await.unwrap();
            }
            assert_eq!(store.open_segment_files(), 0, "of what is deleted none is open");
            store.close().await;
        })
        .expect_done();
}

/// Ten thousand partitions, on a disk on which everything is done at once: whatever a checkpoint does for each of them, no more
/// than some tens come in one turn of its task. Counted are turns, not time.
#[test]
fn a_checkpoint_of_ten_thousand_partitions_gives_the_core_away_between_them() {
    const MANY: i32 = 10_000;
    let sim = SimConfig { memory_limit: 256 << 20, ..SimConfig::default() };
    let world = World::new(7, sim);
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    // So small that a later checkpoint writes the manifest anew.
    let thresholds = Thresholds { rewrite_min: 4096, ..Thresholds::default() };
    let config = Config { ring_bytes: RING, free_bytes_min: 0, thresholds, ..Config::default() };
    let (it, again) = (rt.clone(), config.clone());
    world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let (store, _) =
                store::open(&it, &data, CoreId(0), config, |_| PartitionConfig::default())
                    .await
                    .unwrap();
            for n in 0..MANY {
                store.create(partition(n), PartitionConfig::default());
            }
            for round in 0..6 {
                for n in 0..MANY {
                    append(&store, partition(n), batch(1, &[round; 60])).await;
                }
                store.checkpoint().await;
                let counters = store.counters().0;
                let most = counters.checkpoint_slice_max;
                assert!((32..=64).contains(&most), "{most} partitions in one turn, round {round}");
                for n in (0..MANY).step_by(997) {
                    let expected = usize::from(round + 1) * (61 + 60);
                    assert_eq!(read_all(&store, partition(n)).await.len(), expected);
                }
            }
        })
        .expect_done();
    world.power_cut(node);
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let (store, report) =
                store::open(&it, &data, CoreId(0), again, |_| PartitionConfig::default())
                    .await
                    .unwrap();
            assert_eq!(report.incomplete.len(), 0, "{report:?}");
            for n in (0..MANY).step_by(997) {
                assert_eq!(read_all(&store, partition(n)).await.len(), 6 * (61 + 60));
            }
        })
        .expect_done();
}

/// Silent producers are looked for in every partition, and whatever else the core has to do comes in between. Counted are turns.
#[test]
fn the_expiry_of_producers_gives_the_core_away_between_partitions() {
    const MANY: i32 = 2_000;
    let world = World::new(13, SimConfig { memory_limit: 128 << 20, ..SimConfig::default() });
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
    let it = rt.clone();
    let turns = world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let (store, _) =
                store::open(&it, &data, CoreId(0), config, |_| PartitionConfig::default())
                    .await
                    .unwrap();
            for n in 0..MANY {
                store.create(partition(n), PartitionConfig::default());
            }
            let before = it.polls();
            store.expire_producers(it.wall(), 1_000).await;
            it.polls() - before
        })
        .expect_done();
    assert!(turns >= 20, "{turns} turns for {MANY} partitions");
}

/// The rest log is written anew, and the checkpoint gives the core away while half of the partitions have their pieces in the new
/// one and the others in the old: whoever reads then finds all there is.
#[test]
fn readers_find_everything_while_the_rest_log_changes() {
    const MANY: i32 = 600;
    const SIZE: usize = 1_500;
    let sim = SimConfig { memory_limit: 4 << 20, ..SimConfig::default() };
    let world = World::new(8, sim);
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let ring = 4 << 20;
    let thresholds =
        Thresholds { blocks_due: 4096, rewrite_min: 64 << 10, ..Thresholds::default() };
    let config = Config { ring_bytes: ring, free_bytes_min: 0, thresholds, ..Config::default() };
    let it = rt.clone();
    let store = world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, ring).await.unwrap();
            let (store, _) =
                store::open(&it, &data, CoreId(0), config, |_| PartitionConfig::default())
                    .await
                    .unwrap();
            for n in 0..MANY {
                store.create(partition(n), PartitionConfig::default());
            }
            store
        })
        .expect_done();
    let beside = Rc::new(Cell::new(0));
    for round in 1..=6_usize {
        let it = store.clone();
        world
            .run(&rt, async move {
                for n in 0..MANY {
                    append(&it, partition(n), batch(1, &[7; SIZE])).await;
                }
                it.flush().await;
            })
            .expect_done();
        let (ended, taking) = (Rc::new(Cell::new(false)), store.clone());
        let tell = Rc::clone(&ended);
        rt.spawn(async move {
            taking.checkpoint().await;
            tell.set(true);
        });
        // In the turn in which the manifest is written memory begins to say so too: from then on somebody reads beside it.
        let before = store.counters().0;
        let reading = Rc::new(Cell::new(0));
        assert!(world.run_until(|| {
            let now = store.counters().0;
            let written = now.manifest_bytes > before.manifest_bytes;
            if written && reading.get() == 0 && !ended.get() {
                for n in (0..MANY).step_by(5) {
                    reading.set(reading.get() + 1);
                    let (store, left) = (store.clone(), Rc::clone(&reading));
                    let (ended, beside) = (Rc::clone(&ended), Rc::clone(&beside));
                    rt.spawn(async move {
                        let found = read_all(&store, partition(n)).await.len();
                        assert_eq!(found, round * (61 + SIZE), "partition {n}, round {round}");
                        beside.set(beside.get() + u64::from(!ended.get()));
                        left.set(left.get() - 1);
                    });
                }
            }
            ended.get() && reading.get() == 0
        }));
    }
    assert!(store.counters().0.rest_rewrites > 0, "the rest log was never written anew");
    assert!(store.counters().0.rest_reads > 100, "{:?}", store.counters().0);
    assert!(beside.get() > 0, "nobody has read beside a checkpoint");
    world.run(&rt, async move { store.close().await }).expect_done();
}
