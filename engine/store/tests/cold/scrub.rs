//! The scrub: damage is named within one round, at the rate that is set, and others come first.

use super::{BATCH, MEMORY, Scene, body, checked, partitions, read, segments};
use crate::batches::{append, batch, partition};
use ids::Offset;
use ringwood_store as store;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;
use store::{ReadError, ScrubFinding, Store};

const MIB: f64 = 1_048_576.0;

/// One round; what it found.
async fn round(store: &Store, rate: f64) -> Vec<ScrubFinding> {
    let found = RefCell::new(Vec::new());
    store.scrub(|| rate, |f| found.borrow_mut().push(f)).await;
    found.into_inner()
}

/// Three partitions of three segments each; the last segment of each is not sealed.
fn scene() -> Scene {
    Scene::filled(MEMORY, 3, 450)
}

#[test]
fn every_bit_of_a_sealed_segment_is_looked_at() {
    let scene = scene();
    // In the header, in the records, at the end; bits that the checksum covers and, with the offset and the epoch, bits that
    // it does not.
    let hurt = [(0, 0, 7 * 8), (0, 1, (5 * BATCH + 15) * 8), (1, 0, (100 * BATCH + 900) * 8 + 3)];
    let last = segments(&scene, 2).into_iter().nth(1).unwrap();
    let mut expected = Vec::new();
    for (n, segment, bit) in hurt {
        let path = segments(&scene, n).into_keys().nth(segment).unwrap();
        scene.world.flip_bit(scene.node, &path, bit as u64).unwrap();
        expected.push((n, path, bit / 8 / BATCH * BATCH));
    }
    let end = 186 * BATCH;
    assert!(last.1.len() >= end, "{}", last.1.len());
    scene.world.flip_bit(scene.node, &last.0, (end as u64 - 1) * 8).unwrap();
    expected.push((2, last.0, end - BATCH));
    let files = scene.world.disk_image(scene.node);
    let found = scene.run(|rt, store| async move {
        let began = rt.now();
        let found = round(&store, MIB).await;
        let (took, bytes) = (rt.now().since(began).as_secs_f64(), store.counters().0.scrub_bytes);
        assert!(bytes > 4 << 20, "{bytes}");
        assert!(took >= bytes as f64 / MIB * 0.9, "{bytes} bytes in {took} s");
        assert!(took <= bytes as f64 / MIB * 1.2 + 1.0, "{bytes} bytes in {took} s");
        // The tail is where it was, and a second round says the same.
        assert_eq!(round(&store, 1e9).await.len(), found.len());
        found
    });
    assert_eq!(found.len(), expected.len(), "{found:?}");
    for (n, path, position) in expected {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let at = format!("damaged at byte {position}:");
        let named = |f: &ScrubFinding| {
            f.partition == partition(n) && f.segment.to_string() == name && f.why.starts_with(&at)
        };
        assert!(found.iter().any(named), "{name} of {n} at {position}: {found:?}");
    }
    // Nothing was written: the same files, but for what every start leaves in the ring and the manifest, and what its first
    // checkpoint brings from the rest log into the segments that are not sealed.
    let after = scene.world.disk_image(scene.node);
    let active: Vec<_> =
        (0..3).filter_map(|n| segments(&scene, n).into_keys().next_back()).collect();
    let topics = files.iter().filter(|(path, _)| {
        let of_an_active = active.iter().any(|a| a.with_extension("") == path.with_extension(""));
        path.starts_with("/data/topics") && !of_an_active
    });
    let mut compared = 0;
    for (path, bytes) in topics {
        assert!(after.get(path) == Some(bytes), "{}", path.display());
        compared += 1;
    }
    assert!(compared >= 6, "{compared} files");
}

#[test]
fn a_whole_log_has_nothing_to_say_and_damage_stops_no_reader_before_it() {
    let scene = scene();
    scene.run(|_, store| async move {
        assert_eq!(round(&store, 1e9).await, []);
        let sealed = store.counters().0.scrub_bytes;
        // Three partitions, two sealed segments of 186 batches each.
        assert_eq!(sealed, 3 * 2 * 186 * BATCH as u64);
    });
    let path = segments(&scene, 1).into_keys().next().unwrap();
    scene.world.flip_bit(scene.node, &path, (50 * BATCH + 70) as u64 * 8).unwrap();
    scene.run(|_, store| async move {
        assert_eq!(round(&store, 1e9).await.len(), 1);
        let mut at = Offset(0);
        while at < Offset(50) {
            at = checked(&read(&store, 1, at, BATCH).await.unwrap(), 1, at);
        }
        let damaged = read(&store, 1, at, BATCH).await.unwrap_err();
        assert!(matches!(damaged, ReadError::Corrupt { .. }), "{damaged}");
        let behind = Offset(51);
        assert_eq!(checked(&read(&store, 1, behind, BATCH).await.unwrap(), 1, behind), behind + 1);
        append(&store, partition(1), batch(1, &body(1, 450))).await;
        store.flush().await;
    });
}

#[test]
fn behind_damage_it_goes_on_with_the_next_batch_that_the_index_knows() {
    let scene = scene();
    let path = segments(&scene, 1).into_keys().next().unwrap();
    // A length that leads nowhere, a record, and the last batch.
    let hurt = [(20, 9), (90, 200), (185, 300)];
    for (batch, byte) in hurt {
        scene.world.flip_bit(scene.node, &path, (batch * BATCH + byte) as u64 * 8 + 2).unwrap();
    }
    let (found, bytes) = scene.run(|_, store| async move {
        let found = round(&store, 1e9).await;
        (found, store.counters().0.scrub_bytes)
    });
    let at = |f: &ScrubFinding| {
        let words: Vec<&str> = f.why.split([' ', ':']).collect();
        words[3].parse::<usize>().unwrap()
    };
    let places: Vec<usize> = found.iter().map(at).collect();
    assert_eq!(places, hurt.map(|(batch, _)| batch * BATCH), "{found:?}");
    assert_eq!(bytes, (3 * 2 * 186 - 3) * BATCH as u64, "all but the damaged ones were read");
    // A segment of which nothing is left is not told batch by batch.
    for batch in 0..186 {
        scene.world.flip_bit(scene.node, &path, (batch * BATCH + 100) as u64 * 8).unwrap();
    }
    let found = scene.run(|_, store| async move { round(&store, 1e9).await });
    assert_eq!(found.len(), 16);
}

/// While readers are at the device the scrub waits, but not for ever; a rate of nothing stops it.
#[test]
fn others_come_first() {
    let scene = scene();
    scene.run(|rt, store| async move {
        let busy = Rc::new(Cell::new(true));
        for reader in 0..4 {
            let (store, busy) = (store.clone(), Rc::clone(&busy));
            rt.spawn(async move {
                // Always at the device: nothing in order, and no pause.
                let mut n = i64::from(reader);
                while busy.get() {
                    n = (n + 83) % 446;
                    read(&store, reader % 3, Offset(n), BATCH).await.unwrap();
                }
            });
        }
        let rate = Rc::new(Cell::new(MIB * 64.0));
        let (it, of) = (store.clone(), Rc::clone(&rate));
        let ended = Rc::new(Cell::new(false));
        let at_end = Rc::clone(&ended);
        rt.sleep(Duration::from_millis(50)).await;
        rt.spawn(async move {
            it.scrub(|| of.get(), |f| panic!("{f:?}")).await;
            at_end.set(true);
        });
        rt.sleep(Duration::from_secs(9)).await;
        let scrubbed = || store.counters().0.scrub_bytes;
        assert_eq!(scrubbed(), 0, "readers were there all the time");
        rt.sleep(Duration::from_secs(30)).await;
        assert!(scrubbed() > 0, "not for ever");
        assert!(scrubbed() < 5 * (300 << 10), "{}", scrubbed());
        // Nobody is there, and the rate is nothing.
        busy.set(false);
        rate.set(0.0);
        rt.sleep(Duration::from_millis(100)).await;
        let before = scrubbed();
        rt.sleep(Duration::from_secs(60)).await;
        assert!(scrubbed() - before <= 300 << 10, "it stands still");
        rate.set(MIB);
        rt.sleep(Duration::from_secs(30)).await;
        assert!(ended.get(), "and ends when it may");
    });
}

/// Segments that leave the log while they are looked at are not damaged.
#[test]
fn what_has_left_the_log_is_not_damaged() {
    let scene = scene();
    scene.run(|rt, store| async move {
        let it = store.clone();
        rt.spawn(async move { it.scrub(|| MIB, |f| panic!("{f:?}")).await });
        for n in 0..3 {
            rt.sleep(Duration::from_secs(2)).await;
            store.advance_start(partition(n), Offset(400)).await.unwrap();
            store.delete(partition(n)).await.unwrap();
            store.create(partition(n), partitions());
        }
        rt.sleep(Duration::from_secs(60)).await;
    });
}
