//! Compaction leaves producers their room: a pass that would take the free space below the minimum, and a margin, ends.

use super::{BATCHES, Scene, append, check_files, compact, compacted, partition_config, read_all};
use super::{PLENTY, RING, ROOT};
use ids::{CoreId, Offset};
use ringwood_store as store;
use runtime::{Open, Runtime};
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use store::{CompactFailure, Config, DataDir, Store};

/// Of free space, below which writes are refused.
const MINIMUM: u64 = 96 << 20;
/// A pass leaves so much beyond the minimum: where writes that were refused would be taken again.
const MARGIN: u64 = MINIMUM / 8;
/// A pass takes space in steps of this.
const STEP: u64 = 8 << 20;

async fn open(rt: &Runtime) -> Store {
    let data = DataDir::open(rt, Path::new(ROOT), 1, RING).await.unwrap();
    let config = Config { ring_bytes: RING, free_bytes_min: MINIMUM, ..Config::default() };
    let opened = store::open(rt, &data, CoreId(0), config, |_| partition_config()).await;
    opened.unwrap().0
}

fn free(rt: &Runtime) -> u64 {
    rt.disk().space(Path::new(ROOT)).unwrap().free
}

/// Somebody else's file takes all but `left`.
async fn fill_up_to(rt: &Runtime, left: u64) {
    let how = Open { write: true, create: true, ..Open::default() };
    let file = rt.disk().open(Path::new("/other"), how).await.unwrap();
    if let Some(more) = free(rt).checked_sub(left).filter(|n| *n > 0) {
        file.allocate(file.len().unwrap(), more).await.unwrap();
    }
}

async fn empty(rt: &Runtime) {
    let how = Open { write: true, ..Open::default() };
    let file = rt.disk().open(Path::new("/other"), how).await.unwrap();
    file.set_len(0).await.unwrap();
    file.sync_data().await.unwrap();
}

#[test]
fn a_pass_without_room_beside_the_minimum_does_not_begin() {
    let scene = Scene::new(70);
    let all = Rc::clone(&scene.all);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        fill_up_to(&rt, MINIMUM + MARGIN + STEP - 4096).await;
        let before = free(&rt);
        assert_eq!(compact(&store, PLENTY).await, Err(CompactFailure::DiskFull));
        assert_eq!(free(&rt), before);
        assert_eq!(store.counters().0.compact_read_bytes, 0, "it reads nothing for nothing");
        rt.sleep(Duration::from_secs(3)).await;
        assert_eq!(store.disk_full(), None);
        assert_eq!(read_all(&store).await, *all);
        empty(&rt).await;
        fill_up_to(&rt, MINIMUM + MARGIN + 2 * STEP).await;
        let report = compact(&store, PLENTY).await.unwrap();
        assert_eq!(read_all(&store).await, compacted(&all, report.clean_end));
    });
}

/// The room goes while a pass is at it; how many passes saw that.
#[test]
fn a_pass_ends_when_others_take_the_room_and_no_producer_is_refused() {
    const MOMENTS: u32 = 60;
    let took = {
        let scene = Scene::new(71);
        scene.run(|rt| async move {
            let store = open(&rt).await;
            let began = rt.clock();
            compact(&store, PLENTY).await.unwrap();
            rt.clock().since(began)
        })
    };
    let mut ended = 0;
    for moment in 0..MOMENTS {
        let scene = Scene::new(71);
        let all = Rc::clone(&scene.all);
        let failed = scene.run(move |rt| async move {
            let store = open(&rt).await;
            let passed = Rc::new(Cell::new(None));
            let (own, result) = (store.clone(), Rc::clone(&passed));
            rt.spawn(async move { result.set(Some(compact(&own, PLENTY).await)) });
            rt.sleep(took * moment / MOMENTS).await;
            // What the pass has allocated, or is about to, comes on top.
            fill_up_to(&rt, MINIMUM + MARGIN - 4096).await;
            let mut least = free(&rt);
            let result = loop {
                least = least.min(free(&rt));
                if let Some(result) = passed.take() {
                    break result;
                }
                rt.sleep(Duration::from_micros(20)).await;
            };
            assert!(least >= MINIMUM, "moment {moment}: {least} bytes were left");
            rt.sleep(Duration::from_secs(3)).await;
            assert_eq!(store.disk_full(), None, "moment {moment}");
            append(&store, BATCHES).await;
            store.flush().await;
            let found = read_all(&store).await;
            for (offset, record) in compacted(&all, Offset(i64::MAX)) {
                let newer = offset >= BATCHES.cast_signed() * 10;
                assert!(newer || found.get(&offset) == Some(&record), "offset {offset}");
            }
            store.settle_compaction().await;
            check_files(&rt, &store).await;
            let failed = match result {
                Ok(_) => false,
                Err(e) => {
                    assert_eq!(e, CompactFailure::DiskFull, "moment {moment}");
                    true
                }
            };
            // With room the next pass does what is left.
            empty(&rt).await;
            let report = compact(&store, PLENTY).await.unwrap();
            let below = |r: super::Records| {
                r.into_iter().filter(|(o, _)| *o < report.clean_end.0).collect::<super::Records>()
            };
            let left = below(compacted(&all, report.clean_end));
            assert_eq!(below(read_all(&store).await), left, "moment {moment}");
            failed
        });
        ended += u32::from(failed);
    }
    assert!(ended > 10, "only {ended} passes ended for want of room");
}

/// Writes are refused already: then a pass is what gives room back, and may use some of what is kept.
#[test]
fn on_a_full_disk_a_pass_goes_on_with_half_of_the_minimum() {
    let scene = Scene::new(72);
    let all = Rc::clone(&scene.all);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        fill_up_to(&rt, MINIMUM - 4096).await;
        rt.sleep(Duration::from_secs(2)).await;
        assert!(store.disk_full().is_some());
        // A step would leave less than half of it.
        fill_up_to(&rt, MINIMUM / 2 + STEP - 4096).await;
        assert_eq!(compact(&store, PLENTY).await, Err(CompactFailure::DiskFull));
        assert_eq!(read_all(&store).await, *all);
        empty(&rt).await;
        fill_up_to(&rt, MINIMUM - 8192).await;
        rt.sleep(Duration::from_secs(2)).await;
        assert!(store.disk_full().is_some());
        let before = free(&rt);
        let report = compact(&store, PLENTY).await.unwrap();
        store.settle_compaction().await;
        assert_eq!(read_all(&store).await, compacted(&all, report.clean_end));
        assert!(free(&rt) > before, "{} of {before}", free(&rt));
    });
}
