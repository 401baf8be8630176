//! What a crash during a compaction has left goes; what has its name and belongs to the log stays.

use super::changes::plain;
use super::{EPOCH, Scene, compacted, id, open, partition_config, read_all};
use ids::{Offset, PartitionId, PartitionIndex, Timestamp};
use ringwood_store as store;
use runtime::Open;
use runtime::sim::SimConfig;
use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use store::Paths;

fn other() -> PartitionId {
    PartitionId { index: PartitionIndex(1), ..id() }
}

/// Batches of three records.
const ADDED: u64 = 9;

/// A stray's number may be given out again: numbers that compaction takes are not in the ring. The segment that gets it
/// becomes part of the log while the search for strays waits for a flush.
#[test]
fn a_stray_whose_name_becomes_a_segment_of_the_log_meanwhile_stays() {
    let (mut beside, mut given_out) = (0, 0);
    for step in 0..120_u32 {
        // Names and flushes take their time: what is about to be removed may be written meanwhile.
        let slow = (Duration::from_micros(5), Duration::from_millis(20));
        let sim = SimConfig { names: slow, sync: slow, ..SimConfig::default() };
        let scene = Scene::on(75 + u64::from(step), sim, true);
        let (end, during, taken) = scene.run(move |rt| async move {
            let store = open(&rt).await;
            let end = store.with_log(id(), log::Log::end).unwrap();
            // From here on the log goes on in a new segment.
            let end = store.truncate(id(), Offset(end.0 - 10)).await.unwrap();
            let next = store.with_log(id(), |l| l.segments().iter().map(|s| s.name.creation).max());
            let creation = next.unwrap().unwrap() + 1;
            let name = log::SegmentName { base: end, creation };
            let path = Paths::new(Path::new(super::ROOT)).segment(id(), name, "log");
            let how = Open { write: true, create: true, ..Open::default() };
            drop(rt.disk().open(&path, how).await.unwrap());
            // Something of another partition, so that the flush takes a while.
            store.create(other(), partition_config());
            for n in 0..20 {
                let (bytes, meta, _) = plain(n, 0);
                store.admit(bytes.len()).await;
                store.append(other(), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
            }
            let (own, done) = (store.clone(), Rc::new(Cell::new(None)));
            let told = Rc::clone(&done);
            rt.spawn(async move {
                told.set(Some(own.remove_strays(id()).await.unwrap()));
            });
            rt.sleep(Duration::from_micros(u64::from(step) * 300)).await;
            let during = done.get().is_none();
            // Enough for several segments: what is sealed goes to its file.
            for n in 0..ADDED {
                let (bytes, meta, _) = plain(n, end.0 + 3 * n.cast_signed());
                store.admit(bytes.len()).await;
                store.append(id(), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
            }
            store.checkpoint().await;
            while done.get().is_none() {
                rt.sleep(Duration::from_millis(1)).await;
            }
            let segments = |l: &log::Log| l.segments().iter().any(|s| s.name == name);
            let taken = store.with_log(id(), segments).unwrap();
            let removed = done.get().unwrap();
            assert!(!taken || removed == 0, "step {step}: a segment of the log was removed");
            (end, during, taken)
        });
        beside += u32::from(during);
        given_out += u32::from(taken);
        let all = Rc::clone(&scene.all);
        scene.run(move |rt| async move {
            // Nothing is incomplete, and all of it can be read from its files.
            let store = open(&rt).await;
            let found = read_all(&store).await;
            assert_eq!(found.range(end.0..).count(), 3 * ADDED as usize, "step {step}");
            let below = compacted(&all, Offset::ZERO);
            assert!(below.range(..end.0).all(|(o, r)| found.get(o) == Some(r)), "step {step}");
        });
    }
    // Before it was listed, and beside its removal.
    assert!(given_out > 5 && beside > given_out + 5, "{beside} beside, {given_out} given out");
}
