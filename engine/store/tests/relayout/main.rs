//! Another number of cores, or rings of another size: nothing that was acknowledged is lost, whenever the power goes.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
mod batches;
#[path = "../scene/scratch.rs"]
mod scratch;

use batches::{EPOCH, append, batch, batch_of, partition, read_all, small};
use ids::{CoreId, Offset, PartitionId, ProducerId, Timestamp};
use log::{AppendError, Appended};
use ringwood_store as store;
use runtime::sim::{SimConfig, World};
use runtime::{Runtime, RuntimeConfig};
use scratch::Scratch;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use store::{Config, DataDir, OpenError, Refusal, Store};

const RING: u64 = 512 << 10;
const PARTITIONS: i32 = 9;

/// What must be found again.
#[derive(Clone, Debug, Default)]
struct Expected {
    start: Offset,
    /// Last offset and bytes of each batch.
    batches: Vec<(Offset, Vec<u8>)>,
    /// The next sequence of its producer.
    sequence: i32,
}

type Model = BTreeMap<PartitionId, Expected>;

fn config(ring_bytes: u64) -> Config {
    Config { ring_bytes, free_bytes_min: 0, ..Config::default() }
}

fn producer(id: PartitionId) -> ProducerId {
    ProducerId(100 + i64::from(id.index.0))
}

/// Appends `rounds` batches to partitions of this core.
async fn fill(
    store: &Store,
    partitions: &[i32],
    cores: u16,
    core: CoreId,
    rounds: u64,
    model: &mut Model,
) {
    let mine: Vec<PartitionId> =
        partitions.iter().map(|n| partition(*n)).filter(|p| p.owner(cores) == core).collect();
    for id in &mine {
        store.create(*id, small());
    }
    for round in 0..rounds {
        for id in &mine {
            // Partition 0 stays empty, the high ones get much.
            let often = u64::try_from(id.index.0).unwrap();
            if often == 0 || round % (10 - often) != 0 {
                continue;
            }
            let expected = model.entry(*id).or_default();
            let count = 1 + i32::try_from(round % 4).unwrap();
            let body = vec![u8::try_from(round % 251).unwrap(); 300 + 900 * (round % 3) as usize];
            let b = batch_of(producer(*id), expected.sequence, count, &body);
            let stored = append(store, *id, b).await;
            expected.sequence += count;
            let end = store.with_log(*id, log::Log::end).unwrap();
            expected.batches.push((Offset(end.0 - 1), stored));
        }
    }
}

async fn check(store: &Store, cores: u16, core: CoreId, model: &Model) {
    for (id, expected) in model.iter().filter(|(id, _)| id.owner(cores) == core) {
        assert_eq!(store.incomplete(*id), None);
        let (start, end) = store.with_log(*id, |l| (l.start(), l.end())).unwrap();
        assert_eq!(start, expected.start, "{id}");
        let last = expected.batches.last().map_or(Offset(-1), |b| b.0);
        assert_eq!(end, last.next(), "{id}");
        let found = read_all(store, *id).await;
        let bytes: Vec<u8> = expected
            .batches
            .iter()
            .filter(|(last, _)| *last >= start)
            .flat_map(|(_, b)| b.clone())
            .collect();
        assert!(found == bytes, "{id}: {} bytes, not {}", found.len(), bytes.len());
        check_producer(store, *id, expected);
    }
    let known: Vec<PartitionId> = store.partitions();
    assert!(known.iter().all(|id| id.owner(cores) == core));
    assert!(!known.contains(&partition(PARTITIONS - 2)), "deleted, and back again");
}

/// A retry of the last batch is known as one, and a gap is noticed.
fn check_producer(store: &Store, id: PartitionId, expected: &Expected) {
    let Some((last, bytes)) = expected.batches.last() else { return };
    if *last < expected.start {
        return;
    }
    let count = i32::from_be_bytes(bytes[23..27].try_into().unwrap()) + 1;
    let (bytes, meta) = batch_of(producer(id), expected.sequence - count, count, &bytes[61..]);
    let again = store.append(id, &bytes, &meta, EPOCH, Timestamp(1));
    assert!(matches!(again, Ok(Appended::Duplicate(o)) if o.last_offset == *last), "{again:?}");
    let (bytes, meta) = batch_of(producer(id), expected.sequence + 7, 1, b"gap");
    let gap = store.append(id, &bytes, &meta, EPOCH, Timestamp(1));
    assert!(matches!(gap, Err(Refusal::Append(AppendError::Sequence(_)))), "{gap:?}");
}

/// Opens the directory and every core's part of it, one core after the other on this one.
async fn stores(rt: &Runtime, root: &Path, cores: u16, ring: u64) -> (DataDir, Vec<Store>) {
    let data = DataDir::open(rt, root, cores, ring).await.unwrap();
    assert_eq!(data.cores(), cores);
    let mut stores = Vec::new();
    for n in 0..cores {
        let (store, report) =
            store::open(rt, &data, CoreId(n), config(ring), |_| small()).await.unwrap();
        assert!(report.incomplete.is_empty(), "{report:?}");
        stores.push(store);
    }
    (data, stores)
}

fn each(stores: &[Store]) -> impl Iterator<Item = (CoreId, &Store)> {
    stores.iter().enumerate().map(|(n, s)| (CoreId(u16::try_from(n).unwrap()), s))
}

async fn life(rt: &Runtime, root: &Path, cores: u16, ring: u64, model: &mut Model, clean: bool) {
    let (_data, stores) = stores(rt, root, cores, ring).await;
    // Once deleted, a partition never comes back.
    let partitions: Vec<i32> =
        (0..PARTITIONS).filter(|n| model.is_empty() || *n != PARTITIONS - 2).collect();
    for (core, store) in each(&stores) {
        check(store, cores, core, model).await;
        fill(store, &partitions, cores, core, 40, model).await;
        if core.0.is_multiple_of(2) {
            store.checkpoint().await;
        }
        fill(store, &partitions, cores, core, 30, model).await;
        for id in store.partitions() {
            if id.index.0 == 3 {
                let batches = &model.get(&id).unwrap().batches;
                let start = batches[batches.len() / 2].0;
                model.get_mut(&id).unwrap().start = store.advance_start(id, start).await.unwrap();
            }
            if id.index.0 == PARTITIONS - 2 {
                store.delete(id).await.unwrap();
                model.remove(&id);
            }
        }
        fill_again(store, cores, core, model).await;
        store.flush().await;
        check(store, cores, core, model).await;
        if clean {
            store.close().await;
        }
    }
}

/// A little more, but nothing for the partition that was deleted.
async fn fill_again(store: &Store, cores: u16, core: CoreId, model: &mut Model) {
    for (id, expected) in model.iter_mut().filter(|(id, _)| id.owner(cores) == core) {
        let stored = append(store, *id, batch_of(producer(*id), expected.sequence, 2, b"x")).await;
        expected.sequence += 2;
        let end = store.with_log(*id, log::Log::end).unwrap();
        expected.batches.push((Offset(end.0 - 1), stored));
    }
}

#[test]
fn the_number_of_cores_may_change_at_every_start() {
    let dir = Scratch::new("relayout");
    let mut model = Model::new();
    let steps = [(1, RING), (4, RING), (2, 2 * RING), (1, RING), (1, RING / 2), (3, RING)];
    for (n, (cores, ring)) in steps.into_iter().enumerate() {
        let runtime = RuntimeConfig { core: CoreId(0), memory_limit: 64 << 20, pin: None };
        let (root, mut before) = (dir.0.clone(), model);
        model = runtime::run(&runtime, move |rt| async move {
            life(&rt, &root, cores, ring, &mut before, n % 2 == 0).await;
            before
        })
        .unwrap();
        let generations: Vec<String> = std::fs::read_dir(&dir.0)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .filter(|n| n.starts_with("cores-"))
            .collect();
        assert_eq!(generations, [format!("cores-{}", n + 1)], "the old layout's files are gone");
    }
    assert!(model.values().any(|e| e.batches.iter().map(|b| b.1.len()).sum::<usize>() > 200_000));
}

struct Scene {
    world: World,
    node: runtime::sim::NodeId,
    model: Rc<Model>,
}

const ROOT: &str = "/data";

/// A node whose process has died with everything flushed, under a layout of `cores`.
fn scene(seed: u64, cores: u16) -> Scene {
    let world = World::new(seed, SimConfig { capacity: 64 << 20, ..SimConfig::default() });
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let model = world
        .run(&rt, async move {
            let mut model = Model::new();
            life(&it, Path::new(ROOT), cores, RING, &mut model, false).await;
            model
        })
        .expect_done();
    world.power_cut(node);
    Scene { world, node, model: Rc::new(model) }
}

impl Scene {
    /// Opens with `cores`, and checks everything; what `DataDir::open` alone took, in effects.
    fn start(&self, cores: u16, ring: u64) -> u64 {
        let rt = self.world.core(self.node, CoreId(0));
        let it = rt.clone();
        let before = self.world.effects(self.node);
        let data = self.world.run(&rt, async move {
            DataDir::open(&it, Path::new(ROOT), cores, ring).await.unwrap()
        });
        drop(data.expect_done());
        let effects = self.world.effects(self.node) - before;
        let (it, model) = (rt.clone(), Rc::clone(&self.model));
        self.world
            .run(&rt, async move {
                let (_data, stores) = stores(&it, Path::new(ROOT), cores, ring).await;
                for (core, store) in each(&stores) {
                    check(store, cores, core, &model).await;
                }
            })
            .expect_done();
        effects
    }

    /// Opens with `cores` and loses power after `n` effects.
    fn cut(&self, cores: u16, ring: u64, n: u64) {
        let rt = self.world.core(self.node, CoreId(0));
        let it = rt.clone();
        self.world.cut_after(self.node, n);
        let outcome = self.world.run(&rt, async move {
            DataDir::open(&it, Path::new(ROOT), cores, ring).await.unwrap();
        });
        assert!(outcome.is_died(), "effect {n} never came");
    }
}

fn cut_everywhere(seed: u64, from: u16, to: u16, step: usize) {
    let effects = scene(seed, from).start(to, RING);
    assert!(effects > 40, "{effects}");
    for n in (1..=effects).step_by(step) {
        let s = scene(seed, from);
        s.cut(to, RING, n);
        // The next one may ask for the old number, the new one, or another; and may lose power too.
        let next = [from, to, 3][n as usize % 3];
        if n % 5 == 0 {
            let rt = s.world.core(s.node, CoreId(0));
            let it = rt.clone();
            s.world.cut_after(s.node, 1 + n * 7 % 50);
            let _ = s.world.run(&rt, async move {
                DataDir::open(&it, Path::new(ROOT), next, RING).await.unwrap();
            });
            s.world.power_cut(s.node);
        }
        s.start(next, RING);
        s.world.power_cut(s.node);
        s.start(to, RING);
    }
}

#[test]
fn a_power_cut_anywhere_in_a_change_from_1_to_2_loses_nothing() {
    cut_everywhere(11, 1, 2, 1);
}

#[test]
fn a_power_cut_anywhere_in_a_change_from_4_to_1_loses_nothing() {
    cut_everywhere(12, 4, 1, 1);
}

#[test]
fn a_disk_without_room_for_the_new_rings_keeps_the_old_ones() {
    let s = scene(13, 1);
    let rt = s.world.core(s.node, CoreId(0));
    let it = rt.clone();
    let (refused, before, after) = s
        .world
        .run(&rt, async move {
            let root = Path::new(ROOT);
            let before = it.disk().space(root).unwrap().free;
            let refused = DataDir::open(&it, root, 1, 80 << 20).await.err();
            (refused, before, it.disk().space(root).unwrap().free)
        })
        .expect_done();
    assert!(matches!(refused, Some(OpenError::Io { .. })), "{refused:?}");
    s.world.power_cut(s.node);
    // A removed name that is not synced keeps its space in this world.
    assert!(after <= before);
    s.start(1, RING);
}

#[test]
fn a_ring_larger_than_the_memory_budget_can_be_handed_over() {
    let config = SimConfig { memory_limit: 1 << 20, capacity: 256 << 20, ..SimConfig::default() };
    let world = World::new(14, config);
    let node = world.add_node();
    let large = 16 << 20;
    let id = partition(1);
    {
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        world
            .run(&rt, async move {
                let (_data, stores) = stores(&it, Path::new(ROOT), 1, large).await;
                for n in 0..PARTITIONS {
                    stores[0].create(partition(n), small());
                }
                // Past the admission, which would wait for memory: the ring fills up to 40 %.
                for n in 0..100u8 {
                    let (bytes, meta) = batch(1, &[n; 60_000]);
                    let to = partition(i32::from(n) % PARTITIONS);
                    stores[0].append(to, &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
                }
                stores[0].flush().await;
            })
            .expect_done();
    }
    world.kill(node);
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let (peak, end) = world
        .run(&rt, async move {
            let (data, stores) = stores(&it, Path::new(ROOT), 3, 1 << 20).await;
            let bytes = data.relayout().unwrap().bytes;
            let at = id.owner(3).index();
            assert_eq!(read_all(&stores[at], id).await.len() % (61 + 60_000), 0);
            (bytes, stores[at].with_log(id, log::Log::end).unwrap())
        })
        .expect_done();
    assert!(peak > 5 << 20, "{peak}");
    assert_eq!(end, Offset(11));
}
