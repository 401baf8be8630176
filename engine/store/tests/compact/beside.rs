//! What a pass costs everybody else: syncs, checkpoints, turns of the core, bytes in a second.

use super::{
    BATCHES, EPOCH, PLENTY, Scene, append, batch, check_files, compact, compacted, id, open,
    partition_config, read_all,
};
use ids::{
    CoreId, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, Timestamp, TopicId,
};
use log::{BatchMeta, Compaction};
use record::{BatchBuilder, Codec};
use ringwood_store as store;
use runtime::Open;
use runtime::sim::{DiskOp, Injection, SimConfig, World};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use store::{CompactBudget, CompactFailure, Config, DataDir, EndedEarly, Paths, Store};

fn other(n: i32) -> PartitionId {
    PartitionId { topic: TopicId([8; 16]), index: PartitionIndex(n) }
}

async fn fill(store: &Store, id: PartitionId, batches: u64) {
    store.create(id, partition_config());
    for n in 0..batches {
        let (bytes, meta, _) = batch(n, 0);
        store.admit(bytes.len()).await;
        store.append(id, &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
    }
}

#[test]
fn a_round_of_passes_syncs_nothing_and_one_checkpoint_settles_it() {
    const PARTITIONS: i32 = 5;
    let scene = Scene::new(31);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        for n in 0..PARTITIONS {
            fill(&store, other(n), BATCHES).await;
        }
        store.flush().await;
        // The journal says that it is flushed, and then nobody does anything.
        rt.sleep(Duration::from_secs(5)).await;
        let syncs = || rt.counters().syncs;
        let (before, checkpoints) = (syncs(), store.counters().0.checkpoints);
        let mut written = 0;
        for n in 0..PARTITIONS {
            let stable = store.progress(other(n)).unwrap().durable;
            let report =
                store.compact(other(n), &Compaction::default(), PLENTY, stable).await.unwrap();
            let last = store.with_log(other(n), |l| l.segments().last().unwrap().name.base);
            // Also what no checkpoint has brought to its file yet.
            assert_eq!((report.clean_end, report.ended_early), (last.unwrap(), None));
            assert!(report.segments > 0 && report.after < report.before / 2, "{report:?}");
            written += report.segments;
        }
        assert_eq!(syncs() - before, 0, "syncs of {PARTITIONS} passes");
        assert_eq!(store.counters().0.checkpoints, checkpoints);
        assert!(store.replaced_bytes() > 0);
        store.settle_compaction().await;
        assert_eq!(store.counters().0.checkpoints, checkpoints + 1);
        assert_eq!(store.replaced_bytes(), 0);
        assert!(store.counters().0.compact_unlinked > written, "the files have gone");
        // A log and an index of each new segment; the active segments, rest log, directories and two manifests once.
        let most = 2 * written + 2 * PARTITIONS as u64 + 16;
        assert!(syncs() - before <= most, "{} syncs for {written} segments", syncs() - before);
    });
}

#[test]
fn old_files_go_with_anybodys_checkpoint_and_by_themselves_when_nobody_writes() {
    for somebody in [true, false] {
        let scene = Scene::new(32);
        scene.run(|rt| async move {
            let store = open(&rt).await;
            // The start has written to the journal.
            rt.sleep(Duration::from_secs(2)).await;
            let before = store.counters().0;
            compact(&store, PLENTY).await.unwrap();
            assert_eq!(store.counters().0.checkpoints, before.checkpoints);
            assert_eq!(store.counters().0.compact_unlinked, 0);
            assert!(store.replaced_bytes() > 0);
            if somebody {
                store.checkpoint().await;
                assert!(store.replaced_bytes() > 0, "they are still there");
            }
            rt.sleep(Duration::from_secs(4)).await;
            assert_eq!(store.counters().0.checkpoints, before.checkpoints + 1);
            assert!(store.counters().0.compact_unlinked > 0);
            assert_eq!(store.replaced_bytes(), 0);
            check_files(&rt, &store).await;
        });
    }
}

#[test]
fn beside_a_load_old_files_wait_longer_but_not_for_ever() {
    // A ring that the load does not fill by half.
    const RING: u64 = 8 << 20;
    let world = World::new(38, SimConfig { capacity: 128 << 20, ..SimConfig::default() });
    let node = world.add_node();
    let it = world.core(node, CoreId(0));
    let rt = it.clone();
    let done = world.run(&it, async move {
        let data = DataDir::open(&rt, Path::new(super::ROOT), 1, RING).await.unwrap();
        let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
        let opened = store::open(&rt, &data, CoreId(0), config, |_| partition_config()).await;
        let store = opened.unwrap().0;
        store.create(id(), partition_config());
        for n in 0..BATCHES {
            append(&store, n).await;
        }
        store.checkpoint().await;
        store.create(other(0), partition_config());
        let before = store.counters().0;
        compact(&store, PLENTY).await.unwrap();
        let began = rt.now();
        let (mut n, mut most) = (0, 0);
        let went = loop {
            // 100 KiB in a second, which is somebody's load and needs no checkpoint for a while.
            for _ in 0..5 {
                let (bytes, meta, _) = batch(n, 0);
                store.admit(bytes.len()).await;
                store.append(other(0), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
                store.flush().await;
                n += 1;
            }
            most = store.ring_bytes().0.max(most);
            rt.sleep(Duration::from_millis(200)).await;
            let waited = rt.now().since(began);
            match store.counters().0.checkpoints - before.checkpoints {
                0 => assert!(waited < Duration::from_secs(13), "{waited:?}"),
                _ => break waited,
            }
        };
        assert!(went > Duration::from_secs(8), "it stood in the way after {went:?}");
        let size = store.ring_bytes().1;
        assert!(most < size / 2, "the ring was no reason: {most} of {size}");
        rt.sleep(Duration::from_secs(2)).await;
        assert_eq!(store.replaced_bytes(), 0);
        check_files(&rt, &store).await;
    });
    done.expect_done();
}

#[test]
fn passes_upon_each_other_need_no_checkpoint_between_them() {
    let scene = Scene::new(33);
    let all = Rc::clone(&scene.all);
    let everything = scene.run(|rt| async move {
        let store = open(&rt).await;
        let before = store.counters().0.checkpoints;
        let mut all = (*all).clone();
        for round in 1..=4 {
            compact(&store, PLENTY).await.unwrap();
            for n in BATCHES * round..BATCHES * (round + 1) {
                all.extend(append(&store, n).await);
            }
            store.flush().await;
        }
        let report = compact(&store, PLENTY).await.unwrap();
        assert_eq!(read_all(&store).await, compacted(&all, report.clean_end));
        assert_eq!(store.counters().0.checkpoints, before);
        all
    });
    // And then the power goes: all of it was never true.
    scene.run(|rt| super::check_after_cut(rt, Rc::new(everything)));
}

#[test]
fn no_slice_is_longer_than_a_few_batches() {
    let scene = Scene::new(34);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        fill(&store, other(0), 600).await;
        store.flush().await;
        let stable = store.progress(other(0)).unwrap().durable;
        let report = store.compact(other(0), &Compaction::default(), PLENTY, stable).await.unwrap();
        assert!(report.bytes_read > 500_000, "{report:?}");
        let largest = batch(0, 0).0.len().max(1_000) as u64;
        assert!(report.slice_bytes_max <= 64 * 1024 + largest, "{report:?}");
    });
}

#[test]
fn the_operators_rate_is_kept() {
    let scene = Scene::new(35);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        let began = rt.now();
        let budget = CompactBudget { bytes_per_second: 10_000.0, ..PLENTY };
        let report = compact(&store, budget).await.unwrap();
        let took = rt.now().since(began).as_secs_f64();
        let moved = (report.bytes_read + report.bytes_written) as f64;
        assert!(took > moved / 10_000.0 - 1.0, "{moved} bytes in {took} s");
        assert!(took < moved / 10_000.0 * 1.2 + 1.0, "{moved} bytes in {took} s");
        assert!(report.clean_end > Offset::ZERO);
    });
}

/// Only what is needed for many small records.
fn many_keys(from: u64, keys: u64) -> (Vec<u8>, BatchMeta) {
    let mut b = BatchBuilder::new().codec(Codec::None);
    for key in from..from + keys {
        b.push(Timestamp(1_000), Some(&key.to_be_bytes()), Some(b"v"), &[]);
    }
    let bytes = b.build().unwrap();
    let meta = BatchMeta {
        len: u32::try_from(bytes.len()).unwrap(),
        offsets: i32::try_from(keys).unwrap(),
        max_timestamp: Timestamp(1_000),
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        transactional: false,
        control: false,
    };
    (bytes, meta)
}

/// 50 million keys and a map of 64 MiB are 18 keys for each slot; here the same with a map of 12,000 bytes.
#[test]
fn eighteen_times_more_keys_than_the_map_holds_take_as_many_passes() {
    const MAP: usize = 24 * 500;
    const HELD: u64 = 450;
    let scene = Scene::new(36);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        store.create(other(0), partition_config());
        // Every key twice, so that there is something to drop in each pass of the second half.
        for n in 0..2 * 18 * HELD / 50 {
            let (bytes, meta) = many_keys(n * 50 % (18 * HELD), 50);
            store.admit(bytes.len()).await;
            store.append(other(0), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
        }
        store.flush().await;
        let stable = store.progress(other(0)).unwrap().durable;
        let last = store.with_log(other(0), |l| l.segments().last().unwrap().name.base).unwrap();
        let budget = CompactBudget { map_bytes: MAP, ..PLENTY };
        let (mut passes, mut dropped, mut at) = (0, 0, Offset::ZERO);
        loop {
            let how = Compaction::default();
            let report = store.compact(other(0), &how, budget, stable).await.unwrap();
            passes += 1;
            dropped += report.records_dropped;
            assert!(report.clean_end > at, "every pass gets further");
            assert!(report.keys <= HELD);
            at = report.clean_end;
            match report.ended_early {
                None => break,
                Some(EndedEarly::MapFull) => assert_eq!(report.keys, HELD),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(at, last);
        let mapped = u64::try_from(last.0).unwrap();
        assert_eq!(passes, mapped.div_ceil(HELD), "{mapped} records");
        assert_eq!(dropped, mapped - 18 * HELD, "of every key one record is left");
    });
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_pass_costs_the_pass_alone() {
    const ENOSPC: i32 = 28;
    let mut failed = 0;
    for after in 0..12 {
        let scene = Scene::new(37);
        let all = Rc::clone(&scene.all);
        let rt = scene.world.core(scene.node, CoreId(0));
        let it = rt.clone();
        let store = scene.world.run(&rt, async move { open(&it).await }).expect_done();
        let injection = Injection {
            op: DiskOp::Allocate,
            path: id().topic.to_string(),
            after,
            times: 1,
            errno: ENOSPC,
        };
        scene.world.inject(scene.node, injection);
        let it = rt.clone();
        let hit = scene.world.run(&rt, async move {
            let last = store.with_log(id(), |l| l.segments().last().unwrap().name.base).unwrap();
            let result = compact(&store, PLENTY).await;
            let hit = match result {
                Ok(report) => {
                    assert_eq!(report.clean_end, last);
                    false
                }
                Err(e) => {
                    assert_eq!(e, CompactFailure::DiskFull);
                    true
                }
            };
            let found = read_all(&store).await;
            for (offset, record) in compacted(&all, Offset(i64::MAX)) {
                assert_eq!(found.get(&offset), Some(&record), "offset {offset}");
            }
            // What the pass had begun to write is gone, and what it had finished counts.
            store.settle_compaction().await;
            check_files(&it, &store).await;
            assert_eq!(read_all(&store).await, found);
            // The store takes writes, and another pass does it all.
            append(&store, BATCHES).await;
            store.flush().await;
            let report = compact(&store, PLENTY).await.unwrap();
            assert_eq!(report.clean_end, last);
            let mut all = (*all).clone();
            all.retain(|o, _| *o < last.0);
            let below: super::Records =
                read_all(&store).await.into_iter().filter(|(o, _)| *o < last.0).collect();
            assert_eq!(below, compacted(&all, last));
            hit
        });
        failed += u32::from(hit.expect_done());
    }
    // Space for the log, its length at the end, and space for the index.
    assert!(failed >= 3, "only {failed} passes met the full disk");
}

/// Descriptors come back when somebody closes. A new segment waits for one, a pass that cannot read is given up, and nobody's
/// process stops.
#[test]
fn a_pass_that_finds_no_descriptor_loses_nothing_and_faults_nobody() {
    const EMFILE: i32 = 24;
    let (mut whole, mut given_up) = (0, 0);
    for after in 0..40 {
        let scene = Scene::new(39);
        let all = Rc::clone(&scene.all);
        let rt = scene.world.core(scene.node, CoreId(0));
        let it = rt.clone();
        let store = scene.world.run(&rt, async move { open(&it).await }).expect_done();
        let path = id().topic.to_string();
        let injection = Injection { op: DiskOp::Open, path, after, times: 3, errno: EMFILE };
        scene.world.inject(scene.node, injection);
        let it = rt.clone();
        let first = store.clone();
        let ended = scene.world.run(&rt, async move {
            let last = first.with_log(id(), |l| l.segments().last().unwrap().name.base).unwrap();
            match compact(&first, PLENTY).await {
                Ok(report) => Some(report.clean_end == last),
                Err(CompactFailure::Io(_)) => None,
                Err(e) => panic!("{e}"),
            }
        });
        match ended.expect_done() {
            Some(all) => {
                assert!(all, "after {after}");
                whole += 1;
            }
            None => given_up += 1,
        }
        scene.world.heal_disk(scene.node);
        scene
            .world
            .run(&rt, async move {
                let report = compact(&store, PLENTY).await.unwrap();
                let last =
                    store.with_log(id(), |l| l.segments().last().unwrap().name.base).unwrap();
                assert_eq!(report.clean_end, last);
                assert_eq!(read_all(&store).await, compacted(&all, last));
                store.settle_compaction().await;
                check_files(&it, &store).await;
            })
            .expect_done();
        assert_eq!(scene.world.fault_of(scene.node), None, "after {after}");
    }
    assert!(whole > 4 && given_up > 0, "{whole} whole, {given_up} given up");
}

#[test]
fn a_directory_is_synced_when_there_is_a_descriptor_for_it() {
    for errno in [23, 24] {
        let scene = Scene::new(40);
        let rt = scene.world.core(scene.node, CoreId(0));
        let it = rt.clone();
        let dir = Paths::new(Path::new(super::ROOT)).partition(id());
        let store = scene.world.run(&rt, async move { open(&it).await }).expect_done();
        // What a pass that was cut off has left.
        let (it, stray) = (rt.clone(), dir.join("00000000000000000000-4000000000.log"));
        scene
            .world
            .run(&rt, async move {
                let how = Open { read: true, write: true, create: true, ..Open::default() };
                drop(it.disk().open(&stray, how).await.unwrap());
            })
            .expect_done();
        let path = dir.to_str().unwrap().to_owned();
        let injection = Injection { op: DiskOp::Sync, path, after: 0, times: 5, errno };
        scene.world.inject(scene.node, injection);
        let it = rt.clone();
        let took = scene
            .world
            .run(&rt, async move {
                let began = it.now();
                assert_eq!(store.remove_strays(id()).await.unwrap(), 1);
                check_files(&it, &store).await;
                it.now().since(began)
            })
            .expect_done();
        assert_eq!(scene.world.fault_of(scene.node), None);
        assert!(took >= Duration::from_secs(1), "five times no descriptor, and {took:?}");
    }
}
