//! Readers of what is not in memory: what is read ahead for them, and what it costs the others; and the scrub, which is one.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
#[expect(dead_code, reason = "other scenes use the rest")]
mod batches;
mod scrub;

use batches::{append, batch, partition};
use ids::{CoreId, Offset, PartitionId};
use ringwood_store as store;
use runtime::Runtime;
use runtime::sim::{NodeId, SimConfig, World};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use store::{Config, Counters, DataDir, PartitionConfig, Read, ReadError, Store, Thresholds};

const RING: u64 = 4 << 20;
/// No multiple of a block: ranges end inside batches.
const BATCH: usize = 16_100;
/// What a consumer asks for by default.
const ASKED: usize = 1 << 20;
/// Of the simulated device: every read takes this.
const DEVICE: Duration = Duration::from_millis(2);

struct Scene {
    world: World,
    node: NodeId,
    read_ahead: bool,
}

impl Scene {
    fn new(memory: usize) -> Self {
        let config = SimConfig {
            memory_limit: memory,
            read: (DEVICE, DEVICE),
            capacity: 8 << 30,
            ..SimConfig::default()
        };
        let world = World::new(11, config);
        let node = world.add_node();
        Self { world, node, read_ahead: true }
    }

    /// Runs `body` in a new process with an open store, and kills it.
    fn run<T: 'static, F>(&self, body: impl FnOnce(Runtime, Store) -> F + 'static) -> T
    where
        F: Future<Output = T> + 'static,
    {
        let rt = self.world.core(self.node, CoreId(0));
        let it = rt.clone();
        let mut thresholds = Thresholds::default();
        if !self.read_ahead {
            thresholds.read_ahead = 0;
        }
        let outcome = self.world.run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
            let config =
                Config { ring_bytes: RING, free_bytes_min: 0, thresholds, ..Config::default() };
            let (store, _) =
                store::open(&it, &data, CoreId(0), config, |_| partitions()).await.unwrap();
            body(it, store).await
        });
        let result = outcome.expect_done();
        self.world.kill(self.node);
        result
    }

    /// `batches` of [`BATCH`] bytes in each of `count` partitions, on disk; after it nothing of them is in memory.
    fn filled(memory: usize, count: i32, batches: u32) -> Self {
        let scene = Self::new(memory);
        scene.run(move |_, store| async move {
            for n in 0..count {
                store.create(partition(n), partitions());
            }
            for b in 0..batches {
                for n in 0..count {
                    append(&store, partition(n), batch(1, &body(n, b))).await;
                }
            }
            store.close().await;
        });
        scene
    }
}

fn partitions() -> PartitionConfig {
    let mut config = PartitionConfig::default();
    config.log.segment_bytes = 3_000_000;
    config
}

/// Batch `b` of partition `n`.
fn body(n: i32, b: u32) -> Vec<u8> {
    let seed = b.wrapping_mul(31).wrapping_add(n.unsigned_abs());
    let mut body = vec![(seed % 251) as u8; BATCH - 61];
    body[..4].copy_from_slice(&b.to_be_bytes());
    body
}

/// Checks that a read begins with batch `at` of partition `n` and that its batches are whole and follow each other; the
/// offset after it.
fn checked(read: &Read, n: i32, at: Offset) -> Offset {
    let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
    assert_eq!((bytes.len(), bytes.len() % BATCH), (read.bytes, 0));
    let mut at = at;
    for b in bytes.chunks(BATCH) {
        assert_eq!(i64::from_be_bytes(b[..8].try_into().unwrap()), at.0);
        assert!(b[61..] == body(n, u32::try_from(at.0).unwrap()), "batch {at} of {n}");
        at = at + 1;
    }
    at
}

async fn read(store: &Store, n: i32, at: Offset, asked: usize) -> Result<Read, ReadError> {
    let end = store.with_log(partition(n), log::Log::end).unwrap();
    store.read(partition(n), at, end, asked, true).await
}

/// Reads a partition from the start, each time with a pause; how long that took, and how many reads it were.
async fn consume(
    rt: &Runtime,
    store: &Store,
    n: i32,
    asked: usize,
    work: Duration,
) -> (Duration, u32) {
    let (mut at, end) = store.with_log(partition(n), |l| (l.start(), l.end())).unwrap();
    let began = rt.now();
    let mut reads = 0;
    while at < end {
        let read = read(store, n, at, asked).await.unwrap();
        assert!(read.bytes > 0, "nothing at {at}");
        at = checked(&read, n, at);
        drop(read);
        rt.sleep(work).await;
        reads += 1;
    }
    (rt.now().since(began), reads)
}

const MEMORY: usize = 64 << 20;

/// 24 MiB in order, 1 MiB at a time: the device works while the reader does.
#[test]
fn who_reads_in_order_does_not_wait_for_the_device() {
    let mut scene = Scene::filled(MEMORY, 1, 1536);
    let total = 1536 * BATCH as u64;
    let mut measured = Vec::new();
    for read_ahead in [false, true] {
        scene.read_ahead = read_ahead;
        let result: (Duration, u32, Counters) = scene.run(|rt, store| async move {
            let (took, reads) = consume(&rt, &store, 0, ASKED, DEVICE).await;
            (took, reads, store.counters().0)
        });
        measured.push(result);
    }
    let [(without, reads, before), (with, _, after)] = measured.as_slice() else { panic!() };
    println!("without: {without:?} {before:?}\nwith: {with:?} {after:?}");
    // Without: what is read, and for each the work. The place is known, so that nothing is searched for but once.
    assert_eq!(before.read_aheads, 0);
    assert!(*without >= (DEVICE * 2) * *reads, "{without:?} for {reads} reads");
    assert!(u64::from(*reads) + 4 > before.cold_reads, "{before:?} for {reads} reads");
    // With: the device and the reader at the same time, but for the first two reads, which show that there is an order.
    assert!(*with < *without * 13 / 20, "{with:?}, not {without:?}");
    assert!(after.read_ahead_hits + 3 >= u64::from(*reads), "{after:?} for {reads} reads");
    // Little is read twice: where a range ends inside a batch.
    for c in [before, after] {
        assert!(c.cold_bytes < total * 103 / 100, "{} bytes for {total}", c.cold_bytes);
    }
    assert!(after.read_ahead_wasted_bytes < total * 2 / 100, "{after:?}");
}

/// Small fetches are served from ranges of 256 KiB.
#[test]
fn small_fetches_share_a_read() {
    let scene = Scene::filled(MEMORY, 1, 384);
    let (reads, counters) = scene.run(|rt, store| async move {
        let (_, reads) = consume(&rt, &store, 0, 2 * BATCH, Duration::from_micros(100)).await;
        (reads, store.counters().0)
    });
    assert!(reads >= 190, "{reads}");
    assert!(counters.cold_reads * 6 < u64::from(reads), "{counters:?} for {reads} reads");
    assert!(counters.cold_bytes < 384 * BATCH as u64 * 108 / 100, "{counters:?}");
}

/// A batch larger than a range, and than what is asked for, comes whole, each time with one read.
#[test]
fn batches_larger_than_what_is_asked_for_are_read_once() {
    let scene = Scene::filled(MEMORY, 1, 384);
    let (reads, counters) = scene.run(|rt, store| async move {
        let (_, reads) = consume(&rt, &store, 0, 100, Duration::from_micros(100)).await;
        (reads, store.counters().0)
    });
    assert_eq!(reads, 384);
    assert!(counters.cold_bytes < 384 * BATCH as u64 * 108 / 100, "{counters:?}");
}

/// Who comes for any offset but the next one causes no read that he did not ask for.
#[test]
fn a_random_reader_pays_for_nothing() {
    let scene = Scene::filled(MEMORY, 1, 768);
    let counters = scene.run(|_, store| async move {
        for n in 0..300 {
            let at = Offset(i64::from(n) * 449 % 384 * 2);
            let read = read(&store, 0, at, BATCH).await.unwrap();
            assert_eq!(checked(&read, 0, at), at + 1);
        }
        store.counters().0
    });
    assert_eq!((counters.read_aheads, counters.read_ahead_bytes), (0, 0));
    // One to find the batch and one to read it, and the index files.
    assert!(counters.cold_reads <= 620, "{counters:?}");
}

/// Ranges begin with what is asked for and grow: what an order that was only chance costs is no more than that.
#[test]
fn ranges_grow_with_the_order() {
    let scene = Scene::filled(MEMORY, 1, 384);
    scene.run(|rt, store| async move {
        let mut at = Offset(0);
        let mut sizes = Vec::new();
        for _ in 0..40 {
            at = checked(&read(&store, 0, at, BATCH).await.unwrap(), 0, at);
            rt.sleep(DEVICE * 2).await;
            sizes.push(store.counters().0.read_ahead_bytes);
        }
        let grown: Vec<u64> = sizes.windows(2).map(|w| w[1] - w[0]).filter(|n| *n > 0).collect();
        // In blocks; the first one holds a batch wherever in a block that begins.
        let [first, rest @ ..] = &grown[..] else { panic!("nothing was read ahead") };
        assert!(*first >= BATCH as u64 && *first <= (BATCH + 2 * 4096) as u64, "{grown:?}");
        let doubled: Vec<u64> = rest.iter().map(|n| n.next_power_of_two() >> 10).collect();
        assert_eq!(doubled[..4], [32, 64, 128, 256], "{grown:?}");
        assert!(doubled[4..].iter().all(|n| *n == 256), "{grown:?}");
    });
}

/// The range of a reader who does not come back, or elsewhere, goes after a second or two; one who is slow has none.
#[test]
fn what_nobody_comes_for_is_given_back() {
    let scene = Scene::filled(MEMORY, 1, 768);
    scene.run(|rt, store| async move {
        let mut at = Offset(0);
        for _ in 0..3 {
            at = checked(&read(&store, 0, at, ASKED).await.unwrap(), 0, at);
        }
        rt.sleep(DEVICE * 2).await;
        assert!(store.cold_memory().0 >= ASKED, "the next range is here");
        // He jumps, and does not come back.
        let jump = Offset(700);
        checked(&read(&store, 0, jump, BATCH).await.unwrap(), 0, jump);
        rt.sleep(Duration::from_millis(2_100)).await;
        assert_eq!(store.cold_memory().0, 0);
        let counters = store.counters().0;
        assert_eq!(counters.read_aheads, 2);
        assert!(counters.read_ahead_wasted_bytes >= ASKED as u64, "{counters:?}");
        // Slower than half a second a read: nothing is read ahead.
        for _ in 0..5 {
            at = checked(&read(&store, 0, at, ASKED).await.unwrap(), 0, at);
            rt.sleep(Duration::from_millis(700)).await;
        }
        assert_eq!(store.counters().0.read_aheads, counters.read_aheads);
        // And faster again: it is.
        for _ in 0..3 {
            at = checked(&read(&store, 0, at, ASKED).await.unwrap(), 0, at);
        }
        assert!(store.counters().0.read_aheads > counters.read_aheads);
    });
}

/// A thousand readers, a budget of 2 MiB for all of them, each holding what it got for a while, and a consumer of the live
/// tail: all get everything, and the tail stays in memory.
#[test]
fn a_thousand_cold_readers_take_nothing_from_the_tail() {
    const READERS: u32 = 1_000;
    const PARTITIONS: i32 = 20;
    const BATCHES: u32 = 60;
    let scene = Scene::filled(16 << 20, PARTITIONS, BATCHES);
    let live = partition(1_000);
    let (most, counters) = scene.run(move |rt, store| async move {
        store.create(live, partitions());
        let finished = Rc::new(Cell::new(0));
        let most = Rc::new(Cell::new(0));
        for reader in 0..READERS {
            let (rt, store) = (rt.clone(), store.clone());
            let (finished, most) = (Rc::clone(&finished), Rc::clone(&most));
            rt.clone().spawn(async move {
                let n = reader as i32 % PARTITIONS;
                rt.sleep(Duration::from_millis(u64::from(reader % 97))).await;
                let mut at = Offset(0);
                while at < Offset(i64::from(BATCHES)) {
                    let read = read(&store, n, at, ASKED).await.unwrap();
                    assert!(read.bytes > 0, "reader {reader} is stuck at {at}");
                    at = checked(&read, n, at);
                    most.set(most.get().max(store.cold_memory().0));
                    // The answer is being sent.
                    rt.sleep(Duration::from_millis(20)).await;
                }
                finished.set(finished.get() + 1);
            });
        }
        let mut n = 0;
        while finished.get() < READERS {
            append(&store, live, batch(1, &body(0, n))).await;
            store.flush().await;
            let read = read_live(&store, live, Offset(i64::from(n))).await;
            assert!(read.from_tail, "batch {n} of the tail came from the disk");
            n += 1;
            rt.sleep(Duration::from_millis(5)).await;
        }
        assert!(n > 50, "the tail moved only {n} times");
        // What is live is still there, from a megabyte ago on.
        let from = Offset(i64::from(n.saturating_sub(64)));
        assert!(read_live(&store, live, from).await.from_tail);
        rt.sleep(Duration::from_millis(2_100)).await;
        assert_eq!(store.cold_memory().0, 0);
        (most.get(), store.counters().0)
    });
    println!("at most {most} bytes; {counters:?}");
    // The budget, and beyond it one batch for each, in whole blocks, and the windows in which 32 of them search.
    let beyond = READERS as usize * (BATCH + 2 * 4096) + 32 * (80 << 10);
    assert!(most <= (2 << 20) + beyond, "{most} bytes");
}

async fn read_live(store: &Store, id: PartitionId, at: Offset) -> Read {
    let end = store.with_log(id, log::Log::end).unwrap();
    store.read(id, at, end, BATCH, true).await.unwrap()
}

/// Readers that take nothing off their connections hold all of the memory: another one still gets further.
#[test]
fn readers_that_stand_still_hold_up_nobody() {
    let scene = Scene::filled(16 << 20, 4, 120);
    scene.run(|_, store| async move {
        let mut held = Vec::new();
        for n in 0..40 {
            held.push(read(&store, n % 3, Offset(0), ASKED).await.unwrap());
        }
        let (used, limit) = store.cold_memory();
        assert!(used > limit - (64 << 10), "{used} of {limit}");
        let mut at = Offset(0);
        let mut reads = 0;
        while at < Offset(120) {
            at = checked(&read(&store, 3, at, ASKED).await.unwrap(), 3, at);
            reads += 1;
        }
        assert!(reads > 60, "a batch or two at a time, not {reads} reads");
        // Second partitions of an answer get nothing meanwhile, and no error.
        let end = store.with_log(partition(3), log::Log::end).unwrap();
        let second = store.read(partition(3), Offset(5), end, ASKED, false).await.unwrap();
        assert_eq!(second.bytes, 0);
        drop(held);
        let read = read(&store, 3, Offset(0), ASKED).await.unwrap();
        assert!(read.bytes > ASKED / 2, "and all of it when memory is back");
    });
}

fn segments(scene: &Scene, n: i32) -> BTreeMap<PathBuf, Vec<u8>> {
    let part = format!("{}/{n}/", partition(n).topic);
    let of_it = |path: &PathBuf| {
        let path = path.to_str().unwrap();
        path.contains(&part) && path.ends_with(".log")
    };
    scene.world.disk_image(scene.node).into_iter().filter(|(path, _)| of_it(path)).collect()
}

/// What was read ahead is checked like everything else: readers get what comes before the damage, then its place.
#[test]
fn damage_in_what_was_read_ahead_is_named() {
    let scene = Scene::filled(MEMORY, 1, 384);
    let (path, bytes) = segments(&scene, 0).into_iter().nth(1).unwrap();
    let base: i64 = path.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap();
    let hurt = 140;
    assert!(bytes.len() > (hurt + 1) * BATCH);
    scene.world.flip_bit(scene.node, &path, (hurt * BATCH + 900) as u64 * 8).unwrap();
    scene.run(move |_, store| async move {
        let mut at = Offset(0);
        let failure = loop {
            match read(&store, 0, at, ASKED).await {
                Ok(read) => at = checked(&read, 0, at),
                Err(e) => break e,
            }
        };
        let ReadError::Corrupt { segment, position, .. } = failure else { panic!("{failure}") };
        assert!(store.counters().0.read_ahead_hits > 0);
        assert!(at <= Offset(base + hurt as i64), "{at}");
        assert_eq!((segment.base.0, position), (base, (hurt * BATCH) as u32));
    });
}

/// The log changes under a reader for whom a range is here: its start moves, it is deleted and made anew.
#[test]
fn a_note_means_nothing_when_the_log_has_changed() {
    let scene = Scene::filled(MEMORY, 1, 384);
    scene.run(|rt, store| async move {
        let id = partition(0);
        let mut at = Offset(0);
        for _ in 0..3 {
            at = checked(&read(&store, 0, at, ASKED).await.unwrap(), 0, at);
        }
        rt.sleep(DEVICE * 2).await;
        let start = store.advance_start(id, at + 10).await.unwrap();
        let below = read(&store, 0, at, ASKED).await.unwrap_err();
        assert!(matches!(below, ReadError::OutOfRange { .. }), "{below}");
        at = start;
        for _ in 0..3 {
            at = checked(&read(&store, 0, at, ASKED).await.unwrap(), 0, at);
        }
        // Again from the start, with other bytes: what was noted of the old one would have the same segment, and a batch of
        // the right checksum there.
        store.delete(id).await.unwrap();
        store.create(id, partitions());
        for n in 0..500_u32 {
            append(&store, id, batch(1, &body(77, n))).await;
        }
        store.flush().await;
        let read = read(&store, 0, at, ASKED).await.unwrap();
        checked(&read, 77, at);
    });
}
