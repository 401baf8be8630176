//! One data directory, several cores: each has its ring, all hold the lock.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
mod batches;
#[path = "../scene/scratch.rs"]
mod scratch;

use batches::{append, batch, partition, read_all, small};
use ids::CoreId;
use ringwood_store as store;
use runtime::sim::{SimConfig, World};
use runtime::{Pin, Runtime, StartConfig, Tuning};
use scratch::Scratch;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier, mpsc};
use std::time::Duration;
use store::{Config, DataDir, OpenError, SharedDir, Store};

const RING: u64 = 1 << 20;

async fn open_store(rt: &Runtime, data: &DataDir) -> Store {
    let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
    let (store, report) = store::open(rt, data, rt.core(), config, |_| small()).await.unwrap();
    assert!(report.incomplete.is_empty(), "{report:?}");
    store
}

/// Appends to, and then reads, every partition that this core owns; how many those are.
async fn serve(rt: &Runtime, data: &DataDir, round: usize) -> usize {
    let store = open_store(rt, data).await;
    let mut mine = 0;
    for n in 0..8 {
        let id = partition(n);
        if id.owner(data.cores()) != rt.core() {
            assert!(store.with_log(id, log::Log::end).is_err(), "{id} is on another core");
            continue;
        }
        mine += 1;
        store.create(id, small());
        let expected: Vec<u8> = {
            let before = read_all(&store, id).await;
            assert_eq!(before.len(), round * 10 * (61 + 500));
            before
        };
        for i in 0..10u8 {
            append(&store, id, batch(1, &[i; 500])).await;
        }
        assert!(read_all(&store, id).await.starts_with(&expected));
    }
    store.flush().await;
    if round == 1 {
        store.close().await;
    }
    mine
}

fn round(dir: &Path, round: usize) -> usize {
    let (tell, told) = mpsc::channel::<SharedDir>();
    let (count, counted) = mpsc::channel::<usize>();
    let over = Arc::new(Barrier::new(2));
    let config = StartConfig { memory_limit: 64 << 20, pin: Pin::Never, tuning: Tuning::default() };
    type Main = Box<dyn FnOnce(Runtime) -> std::pin::Pin<Box<dyn Future<Output = ()>>> + Send>;
    let dir = dir.to_owned();
    let (count2, over2) = (count.clone(), Arc::clone(&over));
    let first: Main = Box::new(move |rt| {
        Box::pin(async move {
            let data = DataDir::open(&rt, &dir, 2, RING).await.unwrap();
            assert_eq!(data.cores(), 2);
            tell.send(data.share()).unwrap();
            count2.send(serve(&rt, &data, round).await).unwrap();
            // The owner of the lock goes last.
            over2.wait();
        })
    });
    let second: Main = Box::new(move |rt| {
        Box::pin(async move {
            let data = DataDir::join(&rt, &told.recv().unwrap()).unwrap();
            count.send(serve(&rt, &data, round).await).unwrap();
            over.wait();
        })
    });
    runtime::start(&config, vec![first, second]).unwrap().join().unwrap();
    counted.iter().sum()
}

#[test]
fn two_cores_share_a_directory_and_find_their_own_again() {
    let dir = Scratch::new("cores");
    for n in 0..3 {
        assert_eq!(round(&dir.0, n), 8, "every partition has one owner");
    }
}

#[test]
fn the_lock_of_a_killed_process_waits_for_the_writes_of_every_core() {
    let world = World::new(5, SimConfig::default());
    let node = world.add_node();
    let root = PathBuf::from("/data");
    let (zero, one) = (world.core(node, CoreId(0)), world.core(node, CoreId(1)));
    let (rt, at) = (zero.clone(), root.clone());
    let data = world
        .run(&zero, async move { DataDir::open(&rt, &at, 2, RING).await.unwrap() })
        .expect_done();
    let shared = data.share();
    let rt = one.clone();
    world
        .run(&one, async move {
            let data = DataDir::join(&rt, &shared).unwrap();
            let store = open_store(&rt, &data).await;
            let id = (0..8).map(partition).find(|p| p.owner(2) == CoreId(1)).unwrap();
            store.create(id, small());
            for _ in 0..40 {
                append(&store, id, batch(1, &[7; 3000])).await;
            }
        })
        .expect_done();
    while world.writes_in_flight(node) == 0 {
        world.run_for(Duration::from_micros(20));
    }
    world.kill(node);
    let rt = world.core(node, CoreId(0));
    let again = rt.clone();
    world
        .run(&rt, async move { DataDir::open(&again, &root, 2, RING).await.unwrap() })
        .expect_done();
    assert_eq!(world.writes_in_flight(node), 0);
}

#[test]
fn a_core_that_the_layout_does_not_have_is_refused() {
    let world = World::new(6, SimConfig::default());
    let node = world.add_node();
    let rt = world.core(node, CoreId(3));
    let it = rt.clone();
    let refused = world
        .run(&rt, async move {
            let data = DataDir::open(&it, Path::new("/data"), 2, RING).await.unwrap();
            store::open(&it, &data, CoreId(3), Config::default(), |_| small()).await.err()
        })
        .expect_done();
    assert!(matches!(refused, Some(OpenError::NoSuchCore { core: CoreId(3), cores: 2 })));
}

#[test]
fn a_directory_that_has_lost_its_layout_is_not_made_anew() {
    let world = World::new(7, SimConfig::default());
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let refused = world
        .run(&rt, async move {
            let root = Path::new("/data");
            let data = DataDir::open(&it, root, 1, RING).await.unwrap();
            let store = open_store(&it, &data).await;
            store.create(partition(0), small());
            append(&store, partition(0), batch(1, b"kept")).await;
            store.close().await;
            let layouts = data.paths().layouts();
            drop((store, data));
            for path in layouts {
                it.disk().remove_file(&path).await.unwrap();
            }
            DataDir::open(&it, root, 1, RING).await.err()
        })
        .expect_done();
    assert!(matches!(refused, Some(OpenError::Damaged(_))), "{refused:?}");
}
