//! A full disk: what was acknowledged stays, checkpoints go on from the reserve, and writes resume by themselves.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
mod batches;

use batches::{EPOCH, batch, partition, read_all, small};
use ids::{CoreId, Offset, PartitionId, PartitionIndex, Timestamp, TopicId};
use log::Appended;
use ringwood_store as store;
use runtime::sim::{DiskOp, Injection, NodeId, SimConfig, World};
use runtime::{Open, Runtime};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use store::{Config, DataDir, PartitionConfig, Refusal, Store};

const ROOT: &str = "/data";
const RING: u64 = 1 << 20;
const CAPACITY: u64 = 16 << 20;

type Model = BTreeMap<PartitionId, Vec<u8>>;

fn big_segments() -> PartitionConfig {
    PartitionConfig::default()
}

async fn open(rt: &Runtime) -> Store {
    let data = DataDir::open(rt, Path::new(ROOT), 1, RING).await.unwrap();
    let config = Config { ring_bytes: RING, free_bytes_min: 256 << 10, ..Config::default() };
    let (store, report) =
        store::open(rt, &data, CoreId(0), config, |_| big_segments()).await.unwrap();
    assert_eq!(report.incomplete, []);
    store
}

/// Appends until the store refuses, everything flushed; what was acknowledged, and the refusal.
async fn fill(store: &Store, partitions: i32, model: &mut Model) -> Refusal {
    for n in 0..partitions {
        store.create(partition(n), big_segments());
    }
    for round in 0..100_000i32 {
        let id = partition(round % partitions);
        let size = [300, 2_000, 9_000][round as usize % 3];
        let (mut bytes, meta) = batch(1, &vec![u8::try_from(round % 251).unwrap(); size]);
        store.admit(bytes.len()).await;
        match store.append(id, &bytes, &meta, EPOCH, Timestamp(1)) {
            Ok(Appended::New { base_offset, .. }) => {
                bytes[..8].copy_from_slice(&base_offset.0.to_be_bytes());
                bytes[12..16].copy_from_slice(&EPOCH.0.to_be_bytes());
                model.entry(id).or_default().extend(bytes);
            }
            Ok(other) => panic!("{other:?}"),
            Err(refusal) => {
                store.flush().await;
                return refusal;
            }
        }
        if round % 7 == 0 {
            store.flush().await;
        }
    }
    panic!("the disk never filled up");
}

async fn check(store: &Store, model: &Model) {
    for (id, bytes) in model {
        let found = read_all(store, *id).await;
        assert!(found == *bytes, "{id}: {} bytes, not {}", found.len(), bytes.len());
    }
}

async fn until_writable(rt: &Runtime, store: &Store) {
    for _ in 0..100 {
        if store.disk_full().is_none() {
            return;
        }
        // This disk gives up what nobody can reach when some file is closed.
        let how = Open { write: true, create: true, ..Open::default() };
        drop(rt.disk().open(Path::new("/other"), how).await.unwrap());
        rt.sleep(Duration::from_millis(500)).await;
    }
    panic!("writes never resumed");
}

fn world(seed: u64) -> (World, NodeId) {
    let world = World::new(seed, SimConfig { capacity: CAPACITY, ..SimConfig::default() });
    let node = world.add_node();
    (world, node)
}

#[test]
fn nothing_acknowledged_is_lost_when_the_disk_fills_up_and_deleting_helps() {
    for seed in [1, 2, 3] {
        let (world, node) = world(seed);
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let model = world
            .run(&rt, async move {
                let store = open(&it).await;
                let mut model = Model::new();
                let refusal = fill(&store, 5, &mut model).await;
                let Refusal::DiskFull { free } = refusal else { panic!("{refusal:?}") };
                assert!(refusal.to_string().contains(&free.to_string()));
                assert!(free < 3 << 20, "{free} bytes are free and it refuses");
                check(&store, &model).await;
                // A full disk is no reason not to take a checkpoint.
                store.checkpoint().await;
                check(&store, &model).await;
                model
            })
            .expect_done();
        let written: usize = model.values().map(Vec::len).sum();
        assert!(written > 4 << 20, "only {written} bytes fit");
        if seed == 2 {
            world.kill(node);
        } else {
            world.power_cut(node);
        }
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        world
            .run(&rt, async move {
                let store = open(&it).await;
                check(&store, &model).await;
                store.delete(partition(0)).await.unwrap();
                store.delete(partition(1)).await.unwrap();
                store.delete(partition(4)).await.unwrap();
                until_writable(&it, &store).await;
                let (bytes, meta) = batch(1, b"again");
                store.admit(bytes.len()).await;
                store.append(partition(2), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
                assert!(matches!(fill_others(&store).await, Refusal::DiskFull { .. }));
                store.close().await;
            })
            .expect_done();
    }
}

/// The partitions that are left can be filled up once more.
async fn fill_others(store: &Store) -> Refusal {
    for round in 0..100_000i32 {
        let (bytes, meta) = batch(1, &[3; 5000]);
        store.admit(bytes.len()).await;
        if let Err(refusal) =
            store.append(partition(2 + round % 2), &bytes, &meta, EPOCH, Timestamp(1))
        {
            return refusal;
        }
    }
    panic!("the disk never filled up");
}

#[test]
fn a_checkpoint_on_a_disk_that_others_have_filled_lives_on_the_reserve() {
    let (world, node) = world(7);
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let (store, model) = world
        .run(&rt, async move {
            let store = open(&it).await;
            let mut model = Model::new();
            for n in 0..30 {
                store.create(partition(n), small());
                let (bytes, meta) = batch(1, &[7; 9_000]);
                store.admit(bytes.len()).await;
                store.append(partition(n), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
                let mut stored = bytes;
                stored[12..16].copy_from_slice(&EPOCH.0.to_be_bytes());
                model.insert(partition(n), stored);
            }
            store.flush().await;
            (store, model)
        })
        .expect_done();
    // Nothing is left, from one moment to the next.
    let used = world_used(&world, node, &rt);
    world.set_capacity(node, used);
    let it = rt.clone();
    let s = store.clone();
    let m = model.clone();
    world
        .run(&rt, async move {
            assert_eq!(it.disk().space(Path::new(ROOT)).unwrap().free, 0);
            let (used_before, _) = s.ring_bytes();
            assert!(used_before > 250_000, "{used_before}");
            s.checkpoint().await;
            assert!(s.ring_bytes().0 < 16 << 10, "the ring is not free again");
            check(&s, &m).await;
            assert!(s.disk_full().is_some(), "the reserve is not whole");
            let (bytes, meta) = batch(1, b"no");
            let refused = s.append(partition(0), &bytes, &meta, EPOCH, Timestamp(1));
            assert!(matches!(refused, Err(Refusal::DiskFull { .. })), "{refused:?}");
            // The metadata log goes on, and what the node has named; so do log starts.
            let metadata = PartitionId { topic: TopicId::METADATA, index: PartitionIndex(0) };
            for id in [metadata, partition(3)] {
                s.create(id, small());
                s.exempt(id);
                s.append(id, &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
            }
            assert_eq!(s.advance_start(partition(5), Offset(1)).await, Ok(Offset(1)));
            // Space that is not enough for the whole reserve changes nothing.
            it.sleep(Duration::from_secs(5)).await;
            assert!(s.disk_full().is_some());
        })
        .expect_done();
    world.set_capacity(node, used + (1 << 20));
    world.run_for(Duration::from_secs(5));
    assert!(store.disk_full().is_some(), "resumed with a reserve that is not whole");
    world.set_capacity(node, CAPACITY);
    let it = rt.clone();
    world
        .run(&rt, async move {
            until_writable(&it, &store).await;
            let (bytes, meta) = batch(1, b"yes");
            store.append(partition(0), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
            store.close().await;
        })
        .expect_done();
}

/// A file grows by as much as it has, which is spare: where there is none, all of the reserve must not go to the first few.
#[test]
fn a_checkpoint_of_many_partitions_on_a_full_disk_takes_what_it_needs_and_no_more() {
    const PARTITIONS: i32 = 40;
    let world = World::new(11, SimConfig { capacity: 4 * CAPACITY, ..SimConfig::default() });
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let (store, model) = world
        .run(&rt, async move {
            let store = open(&it).await;
            let mut model = Model::new();
            for n in 0..PARTITIONS {
                store.create(partition(n), big_segments());
                // What it has allocated is used up but for one block.
                for _ in 0..63 {
                    let stored = batches::append(&store, partition(n), batch(1, &[7; 4_000])).await;
                    model.entry(partition(n)).or_default().extend(stored);
                }
                store.flush().await;
            }
            store.checkpoint().await;
            for n in 0..PARTITIONS {
                let stored = batches::append(&store, partition(n), batch(1, &[8; 9_000])).await;
                model.entry(partition(n)).or_default().extend(stored);
            }
            store.flush().await;
            (store, model)
        })
        .expect_done();
    let free = || rt.disk().space(Path::new(ROOT)).unwrap().free;
    world.set_capacity(node, 4 * CAPACITY - free());
    let s = store.clone();
    rt.spawn(async move { s.checkpoint().await });
    world.run_for(Duration::from_secs(120));
    let (used, _) = store.ring_bytes();
    assert!(used < 16 << 10, "the checkpoint does not end: {used} bytes are in the ring");
    let it = rt.clone();
    world.run(&rt, async move { check(&store, &model).await }).expect_done();
    assert!(world.is_alive(node) && it.is_alive());
}

/// Too little room for the reserve is no reason to take all of it: it is what a checkpoint lives on.
#[test]
fn a_start_with_too_little_room_for_the_reserve_leaves_what_there_is() {
    let (world, node) = world(12);
    let rt = world.core(node, CoreId(0));
    // Room for the ring and a mebibyte; the reserve wants more than that.
    world.set_capacity(node, 2 * RING + (1 << 20));
    let it = rt.clone();
    let store = world.run(&rt, async move { open(&it).await }).expect_done();
    let free = rt.disk().space(Path::new(ROOT)).unwrap().free;
    assert!(free > RING, "{free} bytes are left");
    assert!(store.disk_full().is_some(), "it takes writes without a reserve");
    world.set_capacity(node, CAPACITY);
    let it = rt.clone();
    world
        .run(&rt, async move {
            until_writable(&it, &store).await;
            store.close().await;
        })
        .expect_done();
}

fn world_used(world: &World, node: NodeId, rt: &Runtime) -> u64 {
    assert!(world.is_alive(node));
    CAPACITY - rt.disk().space(Path::new(ROOT)).unwrap().free
}

/// The checkpoint that must come first finds no space, and a start must not wait for it: readers are served meanwhile.
#[test]
fn a_start_on_a_full_disk_with_a_full_ring_serves_readers_and_goes_on_when_there_is_room() {
    let world = World::new(5, SimConfig { capacity: CAPACITY, ..SimConfig::default() });
    let node = world.add_node();
    let mut rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let opened = world.run(&rt, async move { open(&it).await }).expect_done();
    let s = opened.clone();
    world.set_capacity(node, 0);
    let mut model = world
        .run(&rt, async move {
            let mut model = Model::new();
            s.exempt(partition(0));
            // Also who is exempt leaves room for what frees the disk.
            let refused = fill(&s, 1, &mut model).await;
            assert!(matches!(refused, Refusal::DiskFull { .. }), "{refused:?}");
            let (used, size) = s.ring_bytes();
            assert!(used > size / 10 * 8 && used <= size / 100 * 96, "{used} of {size}");
            model
        })
        .expect_done();
    drop(opened);
    for start in 0.. {
        assert!(start < 40, "the ring never gets full");
        world.kill(node);
        rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let m = model.clone();
        let (store, report) = world
            .run(&rt, async move {
                let data = DataDir::open(&it, Path::new(ROOT), 1, RING).await.unwrap();
                let config =
                    Config { ring_bytes: RING, free_bytes_min: 256 << 10, ..Config::default() };
                let opened =
                    store::open(&it, &data, CoreId(0), config, |_| big_segments()).await.unwrap();
                check(&opened.0, &m).await;
                opened
            })
            .expect_done();
        assert_eq!(report.incomplete, []);
        if report.start_sequence.is_some() {
            continue;
        }
        let (bytes, meta) = batch(1, b"no");
        store.exempt(partition(0));
        let refused = store.append(partition(0), &bytes, &meta, EPOCH, Timestamp(1));
        assert!(matches!(refused, Err(Refusal::DiskFull { .. })), "{refused:?}");
        world.run_for(Duration::from_secs(3));
        assert!(store.disk_full().is_some());
        world.set_capacity(node, CAPACITY);
        let it = rt.clone();
        let more = world
            .run(&rt, async move {
                until_writable(&it, &store).await;
                let more = batches::append(&store, partition(0), batch(1, b"yes")).await;
                store.close().await;
                more
            })
            .expect_done();
        model.entry(partition(0)).or_default().extend(more);
        break;
    }
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    world.run(&rt, async move { check(&open(&it).await, &model).await }).expect_done();
}

/// Descriptors come back when somebody closes: until then checkpoints wait, and nobody's process stops.
#[test]
fn a_store_that_finds_no_descriptor_tries_again() {
    const EMFILE: i32 = 24;
    for (seed, path) in [(1, ".log"), (2, ".index")] {
        let world = World::new(seed, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let model = world.run(&rt, async move { (open(&it).await, Model::new()) }).expect_done();
        let (store, mut model) = model;
        let times = 7;
        let op = DiskOp::Open;
        world.inject(node, Injection { op, path: path.into(), after: 0, times, errno: EMFILE });
        let model = world
            .run(&rt, async move {
                for n in 0..3 {
                    store.create(partition(n), small());
                }
                for round in 0..600i32 {
                    let id = partition(round % 3);
                    let stored = batches::append(&store, id, batch(1, &vec![7; 3_000])).await;
                    model.entry(id).or_default().extend(stored);
                }
                store.flush().await;
                store.checkpoint().await;
                assert_eq!(store.disk_full(), None, "a disk with room is not full");
                check(&store, &model).await;
                model
            })
            .expect_done();
        assert_eq!(world.fault_of(node), None);
        world.heal_disk(node);
        world.power_cut(node);
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        world.run(&rt, async move { check(&open(&it).await, &model).await }).expect_done();
    }
}
