//! Files go behind the answer. Whatever comes between, all of them are gone at last, and nothing else is.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
mod batches;

use batches::{append, batch, partition, read_all, small};
use ids::{CoreId, PartitionId, PartitionIndex, TopicId};
use ringwood_store as store;
use runtime::sim::{NodeId, SimConfig, World};
use runtime::{Open, Runtime};
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use store::{Config, DataDir, Paths, Store, Thresholds};

const ROOT: &str = "/data";
const RING: u64 = 32 << 20;
const PARTITIONS: i32 = 500;
/// What must be free, so that a disk without room is a full one.
const FREE_MIN: u64 = 1 << 20;

/// A partition of another topic.
fn other() -> PartitionId {
    PartitionId { topic: TopicId([8; 16]), index: PartitionIndex(0) }
}

fn partitions() -> Vec<PartitionId> {
    (0..PARTITIONS).map(partition).collect()
}

async fn open(rt: &Runtime) -> Store {
    open_with(rt, Config::default()).await
}

async fn open_with(rt: &Runtime, config: Config) -> Store {
    let data = DataDir::open(rt, Path::new(ROOT), 1, RING).await.unwrap();
    // A checkpoint brings every whole block to its segment.
    let thresholds = Thresholds { blocks_due: 4096, ..Thresholds::default() };
    let config = Config { ring_bytes: RING, free_bytes_min: FREE_MIN, thresholds, ..config };
    let (store, report) = store::open(rt, &data, CoreId(0), config, |_| small()).await.unwrap();
    assert_eq!(report.incomplete, []);
    store
}

/// The names in a directory, if there is one.
async fn names(rt: &Runtime, dir: &Path) -> Vec<String> {
    let listed = rt.disk().read_dir(dir).await;
    listed.map_or_else(|_| Vec::new(), |all| all.into_iter().map(|e| e.name).collect())
}

/// A node, and the process that runs on it.
struct Scene {
    world: World,
    node: NodeId,
    rt: Runtime,
    store: Store,
}

impl Scene {
    /// A process with so many partitions, each of which has a file.
    fn filled(seed: u64, partitions: i32) -> Self {
        let world = World::new(seed, SimConfig::default());
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let store = world
            .run(&rt, async move {
                let store = open(&it).await;
                for n in 0..partitions {
                    store.create(partition(n), small());
                    append(&store, partition(n), batch(1, &[1; 6_000])).await;
                }
                store.checkpoint().await;
                // The search for strays, which follows the first one, is over.
                it.sleep(Duration::from_secs(5)).await;
                store
            })
            .expect_done();
        Self { world, node, rt, store }
    }

    /// The process that comes after this one has ended.
    fn start(&mut self) {
        self.start_with(Config::default());
    }

    fn start_with(&mut self, config: Config) {
        self.rt = self.world.core(self.node, CoreId(0));
        let it = self.rt.clone();
        let opened = self.world.run(&self.rt, async move { open_with(&it, config).await });
        self.store = opened.expect_done();
    }

    fn run<T: 'static, F: Future<Output = T> + 'static>(
        &self,
        f: impl FnOnce(Runtime, Store) -> F,
    ) -> T {
        let future = f(self.rt.clone(), self.store.clone());
        self.world.run(&self.rt, future).expect_done()
    }

    /// How many partitions have a directory.
    fn left(&self) -> i32 {
        let dir = Paths::new(Path::new(ROOT)).topic(partition(0).topic);
        let left = self.run(|rt, _| async move { names(&rt, &dir).await.len() });
        i32::try_from(left).unwrap()
    }

    /// The process ends in the middle of something.
    fn end(&self, ending: Ending) {
        match ending {
            Ending::Kill => self.world.kill(self.node),
            Ending::PowerCut => self.world.power_cut(self.node),
            Ending::Stop => {
                self.run(|_, store| async move { store.close().await });
                let left = self.left();
                self.world.run_for(Duration::from_secs(2));
                assert_eq!(self.left(), left, "it goes on after its end");
                self.world.kill(self.node);
            }
        }
    }

    /// A minute, in which no checkpoint is taken: the core is idle, or the disk is full.
    fn wait_without_a_checkpoint(&self, room: Room) {
        self.run(|rt, _| async move { rt.sleep(Duration::from_secs(60)).await });
        assert_eq!(self.store.counters().0.checkpoints, 0, "{room:?}");
        assert_eq!(self.store.disk_full().is_some(), room == Room::None, "{room:?}");
    }
}

#[test]
fn deletions_share_flushes_and_are_answered_before_the_files_go() {
    let scene = Scene::filled(1, PARTITIONS);
    assert_eq!(scene.left(), PARTITIONS);
    let before = scene.store.counters().1.flushes;
    scene.run(|_, store| async move { store.delete_all(&partitions()).await });
    let flushes = scene.store.counters().1.flushes - before;
    assert!(flushes <= 8, "{flushes} flushes for {PARTITIONS} deletions");
    assert!(scene.store.partitions().is_empty());
    let left = scene.left();
    assert!(left > PARTITIONS / 2, "it was answered when {left} were left");
    scene.run(|_, store| async move { store.removed().await });
    assert_eq!(scene.left(), 0);
}

/// How often `future` has a turn.
async fn turns_of(future: impl Future<Output = ()>) -> usize {
    let mut future = pin!(future);
    let mut turns = 0;
    poll_fn(|cx| {
        turns += 1;
        future.as_mut().poll(cx)
    })
    .await;
    turns
}

/// It walks over the partitions twice: they are journalled, and then they give up their memory and descriptors.
#[test]
fn a_large_deletion_gives_the_core_away_between_partitions() {
    let turns = |partitions: i32| {
        let scene = Scene::filled(4, partitions);
        scene.run(move |_, store| async move {
            let ids: Vec<PartitionId> = (0..partitions).map(partition).collect();
            turns_of(store.delete_all(&ids)).await
        })
    };
    let (small, large) = (turns(1), turns(PARTITIONS));
    // Seven slices more in either of them, but for what a flush does by chance.
    assert!(large >= small + 12, "{small} turns for one partition, {large} for {PARTITIONS}");
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Kill,
    PowerCut,
    Stop,
}

/// What the disk has when the next process begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Room {
    None,
    Enough,
}

/// All ways in which a process can end, and what the next one can meet.
fn endings() -> impl Iterator<Item = (Ending, Room)> {
    let endings = [Ending::Kill, Ending::PowerCut, Ending::Stop];
    endings.into_iter().flat_map(|ending| [(ending, Room::Enough), (ending, Room::None)])
}

/// Fifty of five hundred partitions have lost their files when the process ends, however it does. The next one takes no
/// checkpoint: where the disk is full, the files may be what fills it.
#[test]
fn what_an_end_leaves_of_them_goes_after_the_next_start() {
    for (ending, room) in endings() {
        let mut scene = Scene::filled(2, PARTITIONS);
        scene.run(|_, store| async move { store.delete_all(&partitions()).await });
        while scene.left() > PARTITIONS - 50 {}
        scene.end(ending);
        if room == Room::None {
            scene.world.set_capacity(scene.node, 0);
        }
        scene.start();
        assert!(scene.store.partitions().is_empty(), "{ending:?}");
        let left = scene.left();
        assert!(left > PARTITIONS / 2, "{ending:?}: the start took them along, {left} are left");
        scene.wait_without_a_checkpoint(room);
        assert_eq!(scene.left(), 0, "{ending:?}, {room:?}");
        let (found, left) = (scene.store.counters().0.strays, u64::try_from(left).unwrap());
        assert!(found >= left, "{ending:?}: {found} strays, {left} were left");
        // And nothing else has gone, nor come back.
        scene.world.power_cut(scene.node);
        scene.world.set_capacity(scene.node, SimConfig::default().capacity);
        scene.start();
        assert!(scene.store.partitions().is_empty(), "{ending:?}");
        scene.run(|_, store| async move {
            store.create(other(), small());
            append(&store, other(), batch(1, &[2; 6_000])).await;
            store.checkpoint().await;
            assert_eq!(read_all(&store, other()).await.len(), 61 + 6_000);
        });
    }
}

/// The same with segments that have left a log. A stop takes longer than they last.
#[test]
fn what_an_end_leaves_of_segments_goes_after_the_next_start() {
    const SEGMENTS: usize = 20;
    for (ending, room) in endings().filter(|(ending, _)| !matches!(ending, Ending::Stop)) {
        let mut scene = Scene::filled(5, 0);
        let (start, all) = scene.run(|_, store| async move {
            let id = partition(0);
            store.create(id, small());
            let segments = || store.with_log(id, |l| l.segments().len()).unwrap();
            let mut stored = Vec::new();
            while segments() <= SEGMENTS {
                stored.push(append(&store, id, batch(1, &[5; 20_000])).await);
            }
            store.checkpoint().await;
            let to = store.with_log(id, |l| l.segments()[SEGMENTS - 1].name.base).unwrap();
            store.advance_start(id, to).await.unwrap();
            // A batch has one record.
            (to, stored[usize::try_from(to.0).unwrap()..].concat())
        });
        scene.end(ending);
        if room == Room::None {
            scene.world.set_capacity(scene.node, 0);
        }
        scene.start();
        let dir = Paths::new(Path::new(ROOT)).partition(partition(0));
        let logs = |scene: &Scene| {
            let dir = dir.clone();
            let names = scene.run(|rt, _| async move { names(&rt, &dir).await });
            names.iter().filter(|n| n.ends_with(".log")).count()
        };
        let left = logs(&scene);
        assert!(left > SEGMENTS / 2, "{ending:?}: {left} are left");
        scene.wait_without_a_checkpoint(room);
        assert!(logs(&scene) <= 2, "{ending:?}, {room:?}: {} are left", logs(&scene));
        // Another start, from the manifest that still names them, finds the log as it was.
        scene.world.power_cut(scene.node);
        scene.world.set_capacity(scene.node, SimConfig::default().capacity);
        scene.start();
        let found = scene.run(move |_, store| async move {
            assert_eq!(store.with_log(partition(0), log::Log::start), Ok(start));
            read_all(&store, partition(0)).await
        });
        assert!(found == all, "{ending:?}, {room:?}: {} bytes, not {}", found.len(), all.len());
    }
}

/// Power goes after every effect of it, and each start goes on from what is left.
#[test]
fn a_search_that_is_cut_at_every_step_goes_on_after_the_next_start() {
    const LEFT: i32 = 12;
    let mut scene = Scene::filled(6, LEFT);
    scene.run(|_, store| async move {
        store.create(other(), small());
        append(&store, other(), batch(1, &[2; 6_000])).await;
        let ids: Vec<PartitionId> = (0..LEFT).map(partition).collect();
        store.delete_all(&ids).await;
    });
    scene.world.power_cut(scene.node);
    let mut cut = 0;
    loop {
        let soon = Config { strays_after: Duration::from_millis(50), ..Config::default() };
        scene.start_with(soon);
        assert_eq!(scene.store.partitions(), [other()]);
        scene.run(|_, store| async move {
            assert_eq!(read_all(&store, other()).await.len(), 61 + 6_000);
        });
        cut += 1;
        scene.world.cut_after(scene.node, cut);
        scene.world.run_for(Duration::from_secs(5));
        if scene.world.is_alive(scene.node) {
            break;
        }
    }
    assert_eq!(scene.left(), 0);
    assert!(cut > 5, "it was cut {cut} times");
}

/// Blocks of a partition may be in its file, and nothing of it in the journal, when power goes. The metadata names it, and it is
/// made when the search for strays has found that file.
#[test]
fn a_partition_that_is_made_while_strays_of_its_name_go_keeps_its_files() {
    for step in 0..30 {
        let mut scene = Scene::filled(100 + step, 1);
        scene.run(|rt, store| async move {
            // They come before the file of its segment.
            let dir = Paths::new(Path::new(ROOT)).partition(partition(0));
            for n in 0..100 {
                let path = dir.join(format!("00000000000000000000-0.a{n:02}"));
                let how = Open { write: true, create: true, ..Open::default() };
                drop(rt.disk().open(&path, how).await.unwrap());
            }
            store.delete_all(&[partition(0)]).await;
        });
        scene.world.kill(scene.node);
        let soon = Config { strays_after: Duration::from_millis(1), ..Config::default() };
        scene.start_with(soon);
        assert_eq!(scene.left(), 1);
        scene.run(move |rt, store| async move {
            rt.sleep(Duration::from_micros(500 * step)).await;
            let id = partition(0);
            store.create(id, small());
            append(&store, id, batch(1, &[3; 6_000])).await;
            store.checkpoint().await;
            rt.sleep(Duration::from_secs(1)).await;
            let name = store.with_log(id, |l| l.segments()[0].name).unwrap();
            let path = Paths::new(Path::new(ROOT)).segment(id, name, "log");
            assert!(rt.disk().exists(&path).await.unwrap(), "step {step}: its file is gone");
            store.close().await;
        });
    }
}

/// The files of a new one would have the names of those that are going.
#[test]
fn a_partition_that_is_made_again_meanwhile_keeps_its_files() {
    const MADE: i32 = 40;
    for seed in 0..10 {
        let scene = Scene::filled(10 + seed, MADE);
        scene.run(|rt, store| async move {
            let ids: Vec<PartitionId> = (0..MADE).map(partition).collect();
            store.delete_all(&ids).await;
            for id in &ids {
                store.create(*id, small());
                append(&store, *id, batch(1, &[3; 6_000])).await;
                if id.index.0 % 3 == 0 {
                    store.delete(*id).await.unwrap();
                    store.create(*id, small());
                    append(&store, *id, batch(1, &[4; 6_000])).await;
                }
            }
            store.checkpoint().await;
            store.removed().await;
            store.checkpoint().await;
            let paths = Paths::new(Path::new(ROOT));
            for id in ids {
                let named = |l: &log::Log| l.segments().iter().map(|s| s.name).collect::<Vec<_>>();
                let files: Vec<PathBuf> = store
                    .with_log(id, named)
                    .unwrap()
                    .into_iter()
                    .map(|name| paths.segment(id, name, "log"))
                    .collect();
                assert_eq!(files.len(), 1);
                assert!(rt.disk().exists(&files[0]).await.unwrap(), "seed {seed}: {id}");
            }
            store.close().await;
        });
    }
}

/// Twenty segments leave a log.
#[test]
fn a_new_start_is_answered_before_the_files_go() {
    const SEGMENTS: usize = 20;
    let scene = Scene::filled(3, 0);
    scene.run(|rt, store| async move {
        let id = partition(0);
        store.create(id, small());
        let segments = || store.with_log(id, |l| l.segments().len()).unwrap();
        while segments() <= SEGMENTS {
            append(&store, id, batch(1, &[5; 20_000])).await;
        }
        store.checkpoint().await;
        let dir = Paths::new(Path::new(ROOT)).partition(id);
        let logs = async || names(&rt, &dir).await.iter().filter(|n| n.ends_with(".log")).count();
        assert!(logs().await >= SEGMENTS);
        let to = store.with_log(id, |l| l.segments()[SEGMENTS].name.base).unwrap();
        assert_eq!(store.advance_start(id, to).await, Ok(to));
        let left = logs().await;
        assert!(left > SEGMENTS / 2, "it was answered when {left} were left");
        store.removed().await;
        assert!(logs().await <= 1);
        store.close().await;
    });
}
