//! Files go behind the answer. Whatever comes between, all of them are gone at last, and nothing else is.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
mod batches;

use batches::{append, batch, partition, read_all, small};
use ids::{CoreId, PartitionId, PartitionIndex, TopicId};
use ringwood_store as store;
use runtime::Runtime;
use runtime::sim::{NodeId, SimConfig, World};
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;
use store::{Config, DataDir, Paths, Store, Thresholds};

const ROOT: &str = "/data";
const RING: u64 = 32 << 20;
const PARTITIONS: i32 = 500;

/// A partition of another topic.
fn other() -> PartitionId {
    PartitionId { topic: TopicId([8; 16]), index: PartitionIndex(0) }
}

fn partitions() -> Vec<PartitionId> {
    (0..PARTITIONS).map(partition).collect()
}

async fn open(rt: &Runtime) -> Store {
    let data = DataDir::open(rt, Path::new(ROOT), 1, RING).await.unwrap();
    // A checkpoint brings every whole block to its segment.
    let thresholds = Thresholds { blocks_due: 4096, ..Thresholds::default() };
    let config = Config { ring_bytes: RING, free_bytes_min: 0, thresholds, ..Config::default() };
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
        self.rt = self.world.core(self.node, CoreId(0));
        let it = self.rt.clone();
        self.store = self.world.run(&self.rt, async move { open(&it).await }).expect_done();
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

/// Fifty of five hundred partitions have lost their files when the process ends, however it does.
#[test]
fn what_an_end_leaves_of_them_goes_after_the_next_start() {
    for ending in [Ending::Kill, Ending::PowerCut, Ending::Stop] {
        let mut scene = Scene::filled(2, PARTITIONS);
        scene.run(|_, store| async move { store.delete_all(&partitions()).await });
        while scene.left() > PARTITIONS - 50 {}
        match ending {
            Ending::Kill => scene.world.kill(scene.node),
            Ending::PowerCut => scene.world.power_cut(scene.node),
            Ending::Stop => {
                scene.run(|_, store| async move { store.close().await });
                let left = scene.left();
                scene.world.run_for(Duration::from_secs(2));
                assert_eq!(scene.left(), left, "it goes on after its end");
                scene.world.kill(scene.node);
            }
        }
        scene.start();
        assert!(scene.store.partitions().is_empty(), "{ending:?}");
        let left = scene.left();
        assert!(left > PARTITIONS / 2, "{ending:?}: the start took them along, {left} are left");
        scene.run(|rt, store| async move {
            store.create(other(), small());
            append(&store, other(), batch(1, &[2; 6_000])).await;
            store.checkpoint().await;
            rt.sleep(Duration::from_secs(60)).await;
            assert_eq!(read_all(&store, other()).await.len(), 61 + 6_000);
        });
        assert_eq!(scene.left(), 0, "{ending:?}");
        let (found, left) = (scene.store.counters().0.strays, u64::try_from(left).unwrap());
        assert!(found >= left, "{ending:?}: {found} strays, {left} were left");
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
