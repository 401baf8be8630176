//! Compaction on the simulated disk: the newest record of each key stays, whenever the power goes and whatever is damaged.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

mod beside;
mod changes;
mod cuts;
mod room;
mod strays;
mod transactions;

use ids::{
    CoreId, LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, Timestamp,
    TopicId,
};
use log::{Appended, BatchMeta, Compaction};
use record::{BatchBuilder, BatchView, Codec, Decompressor};
use ringwood_store as store;
use runtime::Runtime;
use runtime::sim::{NodeId, SimConfig, World};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use store::{
    CompactBudget, CompactFailure, CompactReport, Config, DataDir, EndedEarly, PartitionConfig,
    Paths, Read, Store,
};

const ROOT: &str = "/data";
const RING: u64 = 512 << 10;
const EPOCH: LeaderEpoch = LeaderEpoch(3);
const KEYS: u64 = 20;
const BATCHES: u64 = 48;
const PLENTY: CompactBudget = CompactBudget { map_bytes: 1 << 20, bytes_per_second: f64::MAX };

fn id() -> PartitionId {
    PartitionId { topic: TopicId([9; 16]), index: PartitionIndex(0) }
}

fn partition_config() -> PartitionConfig {
    let log = log::Config { segment_bytes: 9_000, ..log::Config::default() };
    PartitionConfig { log, fsync: true }
}

/// A record: key, and value unless it is a tombstone.
type Kept = (Vec<u8>, Option<Vec<u8>>);
/// What a log holds, by offset.
type Records = BTreeMap<i64, Kept>;

/// Batch `n`: records over a few keys, every codec in turn; now and then a tombstone, and two producers.
fn batch(n: u64, from: i64) -> (Vec<u8>, BatchMeta, Records) {
    let codecs = [Codec::None, Codec::Lz4, Codec::Zstd, Codec::Snappy, Codec::Gzip];
    let producer = ProducerId(100 + i64::from(n % 7 == 3));
    let sequence = if n % 7 == 3 { n / 7 * 10 } else { (n - (n + 3) / 7) * 10 };
    let sequence = i32::try_from(sequence).unwrap();
    let mut b = BatchBuilder::new().codec(codecs[(n % 5) as usize]).producer(
        producer,
        ProducerEpoch(0),
        sequence,
    );
    let mut records = Records::new();
    for r in 0..10 {
        let x = (n * 10 + r).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let key = format!("key {}", x % KEYS).into_bytes();
        // Hard to compress, so that segments roll.
        let noise = (0..60_u64).map(|i| (x.wrapping_mul(2 * i + 3) >> (i % 29)) as u8);
        let value = (!x.is_multiple_of(11)).then(|| noise.collect::<Vec<u8>>());
        b.push(Timestamp(1_000 + n.cast_signed()), Some(&key), value.as_deref(), &[]);
        records.insert(from + r.cast_signed(), (key, value));
    }
    let bytes = b.build().unwrap();
    let meta = BatchMeta {
        len: u32::try_from(bytes.len()).unwrap(),
        offsets: 10,
        max_timestamp: Timestamp(1_000 + n.cast_signed()),
        producer_id: producer,
        producer_epoch: ProducerEpoch(0),
        base_sequence: sequence,
        transactional: false,
        control: false,
    };
    (bytes, meta, records)
}

async fn append(store: &Store, n: u64) -> Records {
    let end = store.with_log(id(), log::Log::end).unwrap();
    let (bytes, meta, records) = batch(n, end.0);
    store.admit(bytes.len()).await;
    let appended = store.append(id(), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
    assert!(matches!(appended, Appended::New { base_offset, .. } if base_offset == end));
    records
}

fn parse(read: &Read, into: &mut Records) -> Offset {
    let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
    let mut next = Offset::ZERO;
    for b in record::Batches::new(&bytes) {
        let b: BatchView<'_> = b.unwrap();
        b.check_crc().unwrap();
        next = b.header().next_offset();
        let mut d = Decompressor::new();
        for r in b.records_with(&mut d, 1 << 20).unwrap() {
            let r = r.unwrap();
            let offset = b.header().base_offset + i64::from(r.offset_delta);
            let own = (r.key.unwrap().to_vec(), r.value.map(<[u8]>::to_vec));
            assert!(into.insert(offset.0, own).is_none(), "offset {offset} twice");
        }
    }
    next
}

/// Everything that a reader sees, from start to end.
async fn read_all(store: &Store) -> Records {
    let (mut at, end) = store.with_log(id(), |l| (l.start(), l.end())).unwrap();
    let mut found = Records::new();
    while at < end {
        let read = store.read(id(), at, end, 20_000, true).await.unwrap();
        assert!(read.bytes > 0, "nothing at {at} of {end}");
        let next = parse(&read, &mut found);
        assert!(next > at);
        at = next;
    }
    assert_eq!(at, end);
    found
}

/// What is left when everything below `end` is compacted. Tombstones stay: none is old enough.
fn compacted(all: &Records, end: Offset) -> Records {
    let mut newest = BTreeMap::new();
    for (offset, (key, _)) in all.range(..end.0) {
        newest.insert(key, *offset);
    }
    let stays = |o: i64, key: &Vec<u8>| o >= end.0 || newest.get(key) == Some(&o);
    all.iter().filter(|(o, r)| stays(**o, &r.0)).map(|(o, r)| (*o, r.clone())).collect()
}

struct Scene {
    world: World,
    node: NodeId,
    all: Rc<Records>,
}

async fn open(rt: &Runtime) -> Store {
    let data = DataDir::open(rt, Path::new(ROOT), 1, RING).await.unwrap();
    let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
    let (store, report) =
        store::open(rt, &data, CoreId(0), config, |_| partition_config()).await.unwrap();
    assert!(report.incomplete.is_empty(), "{report:?}");
    store
}

impl Scene {
    /// A node whose process has died with a log of many segments, all of it in them.
    fn new(seed: u64) -> Self {
        Self::made(seed, true)
    }

    /// The same, but for a checkpoint: the ring alone holds what fills no block.
    fn without_a_checkpoint(seed: u64) -> Self {
        Self::made(seed, false)
    }

    fn made(seed: u64, checkpoint: bool) -> Self {
        Self::on(seed, SimConfig::default(), checkpoint)
    }

    fn on(seed: u64, sim: SimConfig, checkpoint: bool) -> Self {
        let world = World::new(seed, SimConfig { capacity: 256 << 20, ..sim });
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let all = world
            .run(&rt, async move {
                let store = open(&it).await;
                store.create(id(), partition_config());
                let mut all = Records::new();
                for n in 0..BATCHES {
                    all.extend(append(&store, n).await);
                }
                if checkpoint {
                    store.checkpoint().await;
                } else {
                    store.flush().await;
                }
                all
            })
            .expect_done();
        world.power_cut(node);
        Self { world, node, all: Rc::new(all) }
    }

    fn run<T: 'static, F: Future<Output = T> + 'static>(&self, f: impl FnOnce(Runtime) -> F) -> T {
        let rt = self.world.core(self.node, CoreId(0));
        let result = self.world.run(&rt, f(rt.clone())).expect_done();
        self.world.power_cut(self.node);
        result
    }
}

async fn compact(store: &Store, budget: CompactBudget) -> Result<CompactReport, CompactFailure> {
    let stable = store.progress(id()).unwrap().durable;
    store.compact(id(), &Compaction::default(), budget, stable).await
}

/// The files of the partition's directory are those that the log names, and no others.
async fn check_files(rt: &Runtime, store: &Store) {
    let dir = Paths::new(Path::new(ROOT)).partition(id());
    // All of it may be in the ring.
    let listed = match rt.disk().exists(&dir).await.unwrap() {
        true => rt.disk().read_dir(&dir).await.unwrap(),
        false => Vec::new(),
    };
    let listed: BTreeSet<String> =
        listed.iter().filter_map(|e| e.name.strip_suffix(".log").map(str::to_owned)).collect();
    let named = |l: &log::Log| l.segments().iter().map(|s| s.name.to_string()).collect();
    let named: BTreeSet<String> = store.with_log(id(), named).unwrap();
    assert!(listed.is_subset(&named), "{listed:?} beyond {named:?}");
}

#[test]
fn the_newest_record_of_each_key_stays_and_so_it_is_after_a_power_cut() {
    let scene = Scene::new(1);
    let all = Rc::clone(&scene.all);
    let end = scene.run(|rt| async move {
        let store = open(&rt).await;
        let (end, last) =
            store.with_log(id(), |l| (l.end(), l.segments().last().unwrap().name.base)).unwrap();
        assert_eq!(read_all(&store).await, *all);
        let report = compact(&store, PLENTY).await.unwrap();
        assert_eq!((report.clean_end, report.ended_early), (last, None));
        assert!(report.after < report.before / 2, "{report:?}");
        assert!(report.keys <= KEYS && report.segments > 0);
        let expected = compacted(&all, last);
        assert_eq!(read_all(&store).await, expected);
        assert_eq!(report.records_dropped, (all.len() - expected.len()) as u64);
        assert_eq!(store.with_log(id(), log::Log::end).unwrap(), end, "offsets go on");
        store.settle_compaction().await;
        check_files(&rt, &store).await;
        // There is nothing to do now; and a pass over nothing changes nothing.
        assert!(store.compactable(id(), &Compaction::default(), end).is_none());
        assert_eq!(compact(&store, PLENTY).await.unwrap().segments, 0);
        last
    });
    let all = Rc::clone(&scene.all);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        assert_eq!(store.with_log(id(), log::Log::clean_end).unwrap(), end);
        assert_eq!(read_all(&store).await, compacted(&all, end));
        // Every offset can be asked for, also those that are gone.
        for at in 0..end.0 {
            let read = store.read(id(), Offset(at), end, 1, true).await.unwrap();
            let mut found = Records::new();
            assert!(parse(&read, &mut found) > Offset(at), "{at}");
        }
        // A retry of each producer's last batch is known as one, and appends go on.
        for n in [BATCHES - 1, BATCHES - 1 - (BATCHES - 1 + 4) % 7] {
            let (bytes, meta, _) = batch(n, 0);
            let again = store.append(id(), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
            assert!(matches!(again, Appended::Duplicate(_)), "batch {n}: {again:?}");
        }
        append(&store, BATCHES).await;
    });
}

#[test]
fn segments_that_shrink_become_few_and_only_their_ends_are_empty_batches() {
    let scene = Scene::new(4);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        let before = store.with_log(id(), |l| l.segments().len()).unwrap();
        compact(&store, PLENTY).await.unwrap();
        let lens = |l: &log::Log| l.segments().iter().map(|s| s.len).collect::<Vec<_>>();
        let lens = store.with_log(id(), lens).unwrap();
        assert!(before > 4 && lens.len() <= before / 2, "{before} became {lens:?}");
        let half = partition_config().log.segment_bytes / 2;
        // The last two are the active one and what was left over.
        assert!(lens[..lens.len() - 2].iter().all(|len| *len >= half), "{lens:?}");
        let (mut at, end) = store.with_log(id(), |l| (l.start(), l.end())).unwrap();
        let mut empty = 0;
        while at < end {
            let read = store.read(id(), at, end, 20_000, true).await.unwrap();
            let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
            for b in record::Batches::new(&bytes) {
                let h = *b.unwrap().header();
                empty += usize::from(h.count == 0);
                at = h.next_offset();
            }
        }
        // One for the end of each compacted segment, one for each producer.
        assert!(empty <= lens.len() - 1 + 2, "{empty} empty batches in {lens:?}");
    });
}

#[test]
fn a_small_map_takes_several_passes_to_the_same_end() {
    let scene = Scene::new(2);
    let all = Rc::clone(&scene.all);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        let budget = CompactBudget { map_bytes: 24 * 8, ..PLENTY };
        let mut passes = 0;
        loop {
            let report = compact(&store, budget).await.unwrap();
            passes += 1;
            assert_eq!(read_all(&store).await, compacted(&all, report.clean_end), "pass {passes}");
            if report.ended_early.is_none() {
                break;
            }
            assert_eq!(report.ended_early, Some(EndedEarly::MapFull));
        }
        assert!(passes > 4, "{passes}");
    });
}

/// Whatever the cut has left: a log with nothing but what was written, the newest record of each key among it.
async fn check_after_cut(rt: Runtime, all: Rc<Records>) {
    let store = open(&rt).await;
    let found = read_all(&store).await;
    assert!(found.iter().all(|(o, r)| all.get(o) == Some(r)), "something that was never written");
    for (offset, record) in compacted(&all, Offset(i64::MAX)) {
        assert_eq!(found.get(&offset), Some(&record), "offset {offset}");
    }
    store.remove_strays(id()).await.unwrap();
    check_files(&rt, &store).await;
    let report = compact(&store, PLENTY).await.unwrap();
    let last = store.with_log(id(), |l| l.segments().last().unwrap().name.base).unwrap();
    assert_eq!(report.clean_end, last);
    assert_eq!(read_all(&store).await, compacted(&all, last));
    store.settle_compaction().await;
    check_files(&rt, &store).await;
}

/// Compacts, with a checkpoint of somebody else after `delay`: the first of a life, so that the search for strays runs behind
/// it, beside the compaction. How many effects, and how much time, that took.
fn compact_beside_a_checkpoint(
    scene: &Scene,
    delay: Option<Duration>,
    cut: Option<u64>,
) -> (u64, Duration) {
    let rt = scene.world.core(scene.node, CoreId(0));
    let it = rt.clone();
    let store = scene.world.run(&rt, async move { open(&it).await }).expect_done();
    let (before, began) = (scene.world.effects(scene.node), scene.world.now());
    if let Some(n) = cut {
        scene.world.cut_after(scene.node, n);
    }
    let it = rt.clone();
    let pass = scene.world.run(&rt, async move {
        if let Some(delay) = delay {
            let (other, sleeper) = (store.clone(), it.clone());
            it.spawn(async move {
                sleeper.sleep(delay).await;
                other.checkpoint().await;
            });
        }
        compact(&store, PLENTY).await.unwrap();
        store.settle_compaction().await;
    });
    if cut.is_none() {
        pass.expect_done();
    }
    (scene.world.effects(scene.node) - before, scene.world.now().since(began))
}

#[test]
fn a_power_cut_at_every_effect_of_a_compaction_loses_nothing() {
    for scene in [|| Scene::new(3), || Scene::without_a_checkpoint(3)] {
        let (effects, _) = compact_beside_a_checkpoint(&scene(), None, None);
        assert!(effects > 25, "{effects}");
        for n in 1..=effects {
            let scene = scene();
            compact_beside_a_checkpoint(&scene, None, Some(n));
            scene.world.power_cut(scene.node);
            let all = Rc::clone(&scene.all);
            scene.run(|rt| check_after_cut(rt, all));
        }
    }
}

#[test]
fn nor_does_one_while_strays_are_looked_for() {
    let (effects, took) = compact_beside_a_checkpoint(&Scene::new(26), None, None);
    // The checkpoint comes at thirty moments of the pass, the cut at every eighth effect from the middle on.
    for step in 0..30_u32 {
        for n in (effects / 2 + u64::from(step % 8)..=effects + 20).step_by(8) {
            let scene = Scene::new(26);
            compact_beside_a_checkpoint(&scene, Some(took * step / 30), Some(n));
            scene.world.power_cut(scene.node);
            let all = Rc::clone(&scene.all);
            scene.run(|rt| check_after_cut(rt, all));
        }
    }
}

#[test]
fn a_damaged_segment_stops_the_compaction_and_nothing_is_lost() {
    let paths = Paths::new(Path::new(ROOT));
    let names = {
        let scene = Scene::new(4);
        scene.run(|rt| async move {
            let names =
                |l: &log::Log| l.segments().iter().map(|s| (s.name, s.len)).collect::<Vec<_>>();
            open(&rt).await.with_log(id(), names).unwrap()
        })
    };
    let (_, sealed) = names.split_last().unwrap();
    for (n, (name, len)) in sealed.iter().enumerate() {
        let scene = Scene::new(4);
        let at = u64::from(*len) * 8 * (n as u64 + 1) / (sealed.len() as u64 + 1);
        scene.world.flip_bit(scene.node, &paths.segment(id(), *name, "log"), at).unwrap();
        let name = *name;
        scene.run(move |rt| async move {
            let store = open(&rt).await;
            let segments = |l: &log::Log| l.without_index().segments().to_vec();
            let before = store.with_log(id(), segments).unwrap();
            let result = compact(&store, PLENTY).await;
            let Err(CompactFailure::Damaged { segment, why, .. }) = result else {
                panic!("bit {at} of {name}: {result:?}")
            };
            assert_eq!(segment, name, "{why}");
            assert_eq!(store.with_log(id(), segments).unwrap(), before, "nothing was swapped");
            check_files(&rt, &store).await;
            // The active segment may have no file yet.
            for s in before.iter().rev().skip(1) {
                assert!(
                    rt.disk()
                        .exists(&Paths::new(Path::new(ROOT)).segment(id(), s.name, "log"))
                        .await
                        .unwrap()
                );
            }
        });
    }
}

#[test]
fn damage_in_the_compacted_part_stops_the_next_compaction() {
    let scene = Scene::new(27);
    let name = scene.run(|rt| async move {
        let store = open(&rt).await;
        compact(&store, PLENTY).await.unwrap();
        for n in BATCHES..2 * BATCHES {
            append(&store, n).await;
        }
        store.checkpoint().await;
        let first = store.with_log(id(), |l| l.segments().first().cloned()).unwrap().unwrap();
        assert!(first.compacted);
        first.name
    });
    let path = Paths::new(Path::new(ROOT)).segment(id(), name, "log");
    scene.world.flip_bit(scene.node, &path, 8 * 40).unwrap();
    scene.run(move |rt| async move {
        let store = open(&rt).await;
        let segments = |l: &log::Log| l.without_index().segments().to_vec();
        let before = store.with_log(id(), segments).unwrap();
        let result = compact(&store, PLENTY).await;
        assert!(
            matches!(&result, Err(CompactFailure::Damaged { segment, .. }) if *segment == name),
            "{result:?}"
        );
        assert_eq!(store.with_log(id(), segments).unwrap(), before);
        assert!(rt.disk().exists(&path).await.unwrap());
    });
}

#[test]
fn readers_and_writers_and_a_new_log_start_are_not_disturbed() {
    for seed in 5..25 {
        let scene = Scene::new(seed);
        let all = Rc::clone(&scene.all);
        let expected = scene.run(|rt| async move {
            let store = open(&rt).await;
            let done = Rc::new(Cell::new(false));
            let reads = Rc::new(Cell::new(0));
            let (reader, over, count) = (store.clone(), Rc::clone(&done), Rc::clone(&reads));
            rt.spawn(async move {
                while !over.get() {
                    let (mut at, end) = reader.with_log(id(), |l| (l.start(), l.end())).unwrap();
                    while at < end {
                        let read = match reader.read(id(), at, end, 3_000, true).await {
                            Ok(read) => read,
                            Err(store::ReadError::OutOfRange { start, .. }) => {
                                assert!(start > at);
                                at = start;
                                continue;
                            }
                            Err(e) => panic!("{e}"),
                        };
                        assert!(read.bytes > 0, "nothing at {at} of {end}");
                        at = parse(&read, &mut Records::new());
                        count.set(count.get() + 1);
                    }
                }
            });
            let (writer, mut added) = (store.clone(), Records::new());
            let compacting = store.clone();
            let finished = Rc::new(Cell::new(None));
            let result = Rc::clone(&finished);
            rt.spawn(async move {
                result.set(Some(compact(&compacting, PLENTY).await));
            });
            for n in BATCHES..BATCHES + 30 {
                added.extend(append(&writer, n).await);
                writer.flush().await;
                if n == BATCHES + 3 + seed % 20 {
                    writer.advance_start(id(), Offset(55)).await.unwrap();
                }
            }
            let report = loop {
                match finished.take() {
                    Some(report) => break report.unwrap(),
                    None => rt.yield_now().await,
                }
                rt.sleep(Duration::from_millis(1)).await;
            };
            done.set(true);
            assert!(reads.get() > 10);
            store.settle_compaction().await;
            let mut everything = (*all).clone();
            everything.extend(added);
            let found = read_all(&store).await;
            for (offset, record) in compacted(&everything, Offset(i64::MAX)).range(55..) {
                assert_eq!(found.get(offset), Some(record));
            }
            assert!(found.iter().all(|(o, r)| everything.get(o) == Some(r)));
            if report.ended_early.is_none() {
                let want = compacted(&everything, report.clean_end);
                let above =
                    |r: &Records| r.range(55..).map(|(o, r)| (*o, r.clone())).collect::<Records>();
                assert_eq!(above(&found), above(&want));
            }
            found
        });
        scene.run(|rt| async move {
            let store = open(&rt).await;
            assert_eq!(read_all(&store).await, expected);
        });
    }
}
