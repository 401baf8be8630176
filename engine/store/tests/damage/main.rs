//! Bits that turn on the disk: what `verify` says, what recovery makes of it, and what a reader gets.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
mod batches;

use batches::{EPOCH, append, batch, batch_of, partition, read_all, small};
use ids::{CoreId, Offset, PartitionId, ProducerId, Timestamp};
use log::Appended;
use ringwood_store as store;
use runtime::Runtime;
use runtime::sim::{DiskOp, Injection, NodeId, SimConfig, World};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use store::inspect::{AcceptError, Finding, Info, Inspector, RingLine, Severity, Verified};
use store::{Config, DataDir, OpenError, ReadError, Refusal, Report, Store};

const ROOT: &str = "/data";
const RING: u64 = 1 << 20;

fn config() -> Config {
    Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() }
}

struct Scene {
    world: World,
    node: NodeId,
}

async fn start(rt: &Runtime) -> Result<(Store, Report), OpenError> {
    let data = DataDir::open(rt, Path::new(ROOT), 1, RING).await?;
    store::open(rt, &data, CoreId(0), config(), |_| small()).await
}

impl Scene {
    fn new(seed: u64) -> Self {
        let world = World::new(seed, SimConfig::default());
        let node = world.add_node();
        Self { world, node }
    }

    /// Runs `body` in a new process, which is killed when it has ended.
    fn run<T: 'static, F>(&self, body: impl FnOnce(Runtime) -> F) -> T
    where
        F: Future<Output = T> + 'static,
    {
        let rt = self.world.core(self.node, CoreId(0));
        let result = self.world.run(&rt, body(rt.clone())).expect_done();
        self.world.kill(self.node);
        result
    }

    /// Three partitions: 1 with several segments, 2 with a little, all checkpointed; 3 too, but only in the rest log.
    fn with_checkpointed_data() -> Self {
        let scene = Self::new(21);
        scene.run(|rt| async move {
            let (store, _) = start(&rt).await.unwrap();
            for n in 1..=3 {
                store.create(partition(n), small());
            }
            for n in 0..250u8 {
                append(&store, partition(1), batch_of(ProducerId(5), i32::from(n), 1, &[n; 900]))
                    .await;
                if n % 10 == 0 {
                    append(&store, partition(2), batch(2, &[n; 2000])).await;
                    append(&store, partition(3), batch(1, &[n; 40])).await;
                }
            }
            store.close().await;
        });
        scene
    }

    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.world.disk_image(self.node)
    }

    fn find(&self, id: PartitionId, ending: &str) -> PathBuf {
        let part = format!("{}/{}/", id.topic, id.index);
        let files = self.files();
        let mut all = files.keys().filter(|p| {
            let p = p.to_str().unwrap();
            p.contains(&part) && p.ends_with(ending)
        });
        all.next().unwrap().clone()
    }

    fn flip(&self, path: &Path, byte: usize) {
        self.world.flip_bit(self.node, path, byte as u64 * 8 + 3).unwrap();
    }

    fn remove(&self, path: &Path) {
        let path = path.to_owned();
        self.run(|rt| async move { rt.disk().remove_file(&path).await.unwrap() });
    }

    /// Leaves only the first `len` bytes.
    fn shorten(&self, path: &Path, len: u64) {
        let path = path.to_owned();
        self.run(|rt| async move {
            let open = runtime::Open { write: true, ..runtime::Open::default() };
            let file = rt.disk().open(&path, open).await.unwrap();
            file.set_len(len).await.unwrap();
            file.sync_data().await.unwrap();
        });
    }

    fn verify(&self) -> (Verified, Vec<Finding>) {
        self.run(|rt| async move {
            let inspector = Inspector::open(&rt, Path::new(ROOT)).await.unwrap();
            let findings = Rc::new(RefCell::new(Vec::new()));
            let found = Rc::clone(&findings);
            let verified = inspector.verify(|_| {}, |f| found.borrow_mut().push(f)).await;
            drop(found);
            (verified, findings.take())
        })
    }

    fn info(&self) -> Info {
        self.run(|rt| async move { Inspector::open(&rt, Path::new(ROOT)).await.unwrap().info() })
    }
}

/// Starts of the batches in a segment's file.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut at = 0;
    let mut all = Vec::new();
    while let Some(head) = bytes.get(at..at + 61) {
        if head[16] != 2 {
            break;
        }
        all.push(at);
        at += 12 + i32::from_be_bytes(head[8..12].try_into().unwrap()) as usize;
    }
    all
}

#[test]
fn an_undamaged_directory_verifies_and_is_left_as_it_was() {
    let scene = Scene::with_checkpointed_data();
    let before = scene.files();
    let (verified, findings) = scene.verify();
    assert_eq!(findings, []);
    assert_eq!((verified.partitions, verified.batches, verified.damaged), (3, 300, 0));
    assert!(verified.segments >= 4, "{verified:?}");
    let info = scene.info();
    let offsets: Vec<_> = info.partitions.iter().map(|p| p.offsets).collect();
    assert_eq!(
        offsets,
        [(Offset(0), Offset(250)), (Offset(0), Offset(50)), (Offset(0), Offset(25))]
    );
    let one = &info.partitions[0];
    assert_eq!((one.producers, one.in_files + one.in_rest, one.segments), (1, one.bytes, 3));
    assert!(info.cores[0].clean);
    assert!(scene.files() == before, "looking changed something");
}

#[test]
fn no_one_looks_while_a_broker_runs_and_nothing_is_made_where_none_was() {
    let scene = Scene::new(3);
    let refused = scene.run(|rt| async move {
        let (store, _) = start(&rt).await.unwrap();
        // The store alone keeps the lock.
        let refused = Inspector::open(&rt, Path::new(ROOT)).await.err();
        store.close().await;
        drop(store);
        assert!(Inspector::open(&rt, Path::new(ROOT)).await.is_ok());
        refused
    });
    assert!(matches!(refused, Some(OpenError::Locked)), "{refused:?}");
    let refused = scene.run(|rt| async move {
        rt.disk().create_dir_all(Path::new("/elsewhere")).await.unwrap();
        Inspector::open(&rt, Path::new("/elsewhere")).await.err()
    });
    assert!(matches!(refused, Some(OpenError::Missing)), "{refused:?}");
    assert!(!scene.files().keys().any(|p| p.starts_with("/elsewhere")));
}

/// One flipped bit of partition 1's first segment, at `byte` of its 40th batch.
fn flipped_segment(byte: usize, expected: &str) {
    let scene = Scene::with_checkpointed_data();
    let path = scene.find(partition(1), ".log");
    let at = starts(&scene.files()[&path])[40];
    scene.flip(&path, at + byte);
    let (verified, findings) = scene.verify();
    assert!(verified.damaged > 0, "byte {byte} is not noticed");
    assert!(findings.iter().all(|f| f.partition == Some(partition(1))), "{findings:?}");
    assert!(findings[0].what.contains(expected), "byte {byte}: {findings:?}");
    assert_eq!(findings[0].position, Some(at as u64), "byte {byte}");
    scene.run(move |rt| async move {
        let (store, report) = start(&rt).await.unwrap();
        assert_eq!(report.incomplete, [], "recovery does not read segments");
        let read = |from: i64| store.read(partition(1), Offset(from), Offset(250), 1, true);
        let refused = read(40).await;
        assert!(matches!(refused, Err(ReadError::Corrupt { .. })), "byte {byte}: {refused:?}");
        // What lies before it, what lies in other segments, and other partitions are served.
        assert!(read(39).await.unwrap().bytes > 0);
        assert!(read(249).await.unwrap().bytes > 0);
        read_all(&store, partition(2)).await;
        read_all(&store, partition(3)).await;
        append(&store, partition(1), batch(1, b"goes on")).await;
    });
}

#[test]
fn a_flipped_bit_in_a_segment_is_never_served() {
    flipped_segment(500, "checksum");
    flipped_segment(30, "checksum");
    flipped_segment(18, "checksum");
}

#[test]
fn neither_is_one_in_the_fields_that_the_checksum_does_not_cover() {
    // Base offset, leader epoch, length, magic.
    flipped_segment(7, "begins with offset");
    flipped_segment(15, "leader epoch");
    flipped_segment(9, "ends behind its segment");
    flipped_segment(16, "no batch header");
}

#[test]
fn a_damaged_index_costs_time_and_no_record() {
    for byte in [0, 3, 5, 16, 20, 23] {
        let scene = Scene::with_checkpointed_data();
        let path = scene.find(partition(1), ".index");
        scene.flip(&path, byte);
        let (verified, findings) = scene.verify();
        assert_eq!(verified.damaged, 1, "byte {byte}: {findings:?}");
        assert!(findings[0].place.starts_with("index"), "{findings:?}");
        scene.run(move |rt| async move {
            let (store, _) = start(&rt).await.unwrap();
            for o in 0..250 {
                let read = store.read(partition(1), Offset(o), Offset(250), 1, true).await.unwrap();
                let base = i64::from_be_bytes(read.slices[0][..8].try_into().unwrap());
                assert_eq!(base, o, "byte {byte}");
            }
        });
    }
}

#[test]
fn a_damaged_copy_of_layout_or_manifest_is_mended_and_two_are_refused() {
    for (name, copy) in
        [("layout", "layout.copy"), ("cores-1/0/manifest-a", "cores-1/0/manifest-b")]
    {
        for damaged in [name, copy] {
            let scene = Scene::with_checkpointed_data();
            let path = Path::new(ROOT).join(damaged);
            scene.flip(&path, 70);
            let (_, findings) = scene.verify();
            assert_eq!(findings.len(), 1, "{damaged}: {findings:?}");
            let base = path.file_name().unwrap().to_str().unwrap();
            assert!(findings[0].place.contains(base), "{findings:?}");
            scene.run(move |rt| async move {
                let (store, report) = start(&rt).await.unwrap();
                assert_eq!(report.incomplete, []);
                for n in 1..=3 {
                    read_all(&store, partition(n)).await;
                }
                store.close().await;
            });
            assert_eq!(scene.verify().1, [], "{damaged} has not been mended");
        }
        let scene = Scene::with_checkpointed_data();
        for damaged in [name, copy] {
            scene.flip(&Path::new(ROOT).join(damaged), 70);
        }
        let before = scene.files();
        let refused = scene.run(|rt| async move { start(&rt).await.err() });
        assert!(matches!(refused, Some(OpenError::Damaged(_))), "{name}: {refused:?}");
        assert!(before == scene.files(), "something was changed");
    }
}

#[test]
fn a_copy_of_the_manifest_that_is_missing_is_made_anew() {
    for missing in ["manifest-a", "manifest-b"] {
        let scene = Scene::with_checkpointed_data();
        let path = Path::new(ROOT).join("cores-1/0").join(missing);
        scene.remove(&path);
        let (_, findings) = scene.verify();
        assert_eq!(findings.len(), 1, "{missing}: {findings:?}");
        assert!(!scene.files().contains_key(&path), "who only looks makes nothing");
        scene.run(|rt| async move {
            let (store, report) = start(&rt).await.unwrap();
            assert_eq!((report.incomplete, report.manifest_mended), (vec![], true));
            for n in 1..=3 {
                read_all(&store, partition(n)).await;
            }
            store.close().await;
        });
        assert_eq!(scene.verify().1, [], "{missing} is not there again");
    }
    let scene = Scene::with_checkpointed_data();
    for missing in ["manifest-a", "manifest-b"] {
        scene.remove(&Path::new(ROOT).join("cores-1/0").join(missing));
    }
    let refused = scene.run(|rt| async move { start(&rt).await.err() });
    assert!(matches!(refused, Some(OpenError::Damaged(_))), "{refused:?}");
}

#[test]
fn without_the_rest_log_those_whose_bytes_it_held_are_incomplete_and_the_others_go_on() {
    let scene = Scene::with_checkpointed_data();
    let rest = scene.files().into_keys().find(|p| p.to_str().unwrap().contains("/rest-")).unwrap();
    scene.remove(&rest);
    scene.run(|rt| async move {
        let (store, report) = start(&rt).await.unwrap();
        let hit: Vec<_> = report.incomplete.iter().map(|(id, _)| *id).collect();
        assert!(hit.contains(&partition(3)), "{:?}", report.incomplete);
        for (n, expected) in [(1, 3), (2, 4)] {
            if !hit.contains(&partition(n)) {
                let (bytes, meta) = batch(1, &[expected; 40]);
                store.append(partition(n), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
            }
        }
        store.close().await;
    });
    scene.run(|rt| async move {
        let (store, report) = start(&rt).await.unwrap();
        assert!(report.incomplete.iter().any(|(id, _)| *id == partition(3)));
        store.close().await;
    });
}

#[test]
fn a_ring_file_that_is_cut_is_refused() {
    let scene = Scene::with_checkpointed_data();
    let ring = scene.files().into_keys().find(|p| p.to_str().unwrap().contains("/ring-")).unwrap();
    scene.shorten(&ring, 4096);
    let refused = scene.run(|rt| async move { start(&rt).await.err() });
    assert!(matches!(refused, Some(OpenError::Damaged(_))), "{refused:?}");
}

#[test]
fn a_damaged_manifest_batch_that_is_not_the_last_is_damage() {
    let scene = Scene::with_checkpointed_data();
    scene.run(|rt| async move {
        let (store, _) = start(&rt).await.unwrap();
        append(&store, partition(1), batch(1, b"more")).await;
        store.close().await;
    });
    scene.flip(&Path::new(ROOT).join("cores-1/0/manifest-b"), 70);
    let (verified, findings) = scene.verify();
    assert_eq!(verified.damaged, 1);
    assert_eq!(findings[0].severity, Severity::Damage);
}

/// A manifest of several batches, the last of them damaged in its second copy: as if a cut had come between the two.
fn with_a_copy_that_lags() -> Scene {
    let scene = Scene::with_checkpointed_data();
    scene.run(|rt| async move {
        let (store, _) = start(&rt).await.unwrap();
        for _ in 0..4 {
            append(&store, partition(1), batch(1, b"more")).await;
            store.checkpoint().await;
        }
    });
    let path = Path::new(ROOT).join("cores-1/0/manifest-b");
    let bytes = scene.world.file(scene.node, &path).unwrap();
    scene.flip(&path, bytes.iter().rposition(|b| *b != 0).unwrap());
    scene
}

#[test]
fn a_cut_while_a_copy_of_the_manifest_is_mended_looks_like_no_damage() {
    let notes = |scene: &Scene| {
        let (verified, findings) = scene.verify();
        assert_eq!(verified.damaged, 0, "{findings:?}");
        assert!(findings.iter().all(|f| f.place.contains("manifest-b")), "{findings:?}");
        findings.len()
    };
    let scene = with_a_copy_that_lags();
    assert_eq!(notes(&scene), 1);
    let before = scene.world.effects(scene.node);
    scene.run(|rt| async move { assert!(start(&rt).await.unwrap().1.manifest_mended) });
    let effects = scene.world.effects(scene.node) - before;
    let (mut lagging, mut mended) = (0, 0);
    for n in 1..=effects {
        let scene = with_a_copy_that_lags();
        let rt = scene.world.core(scene.node, CoreId(0));
        let it = rt.clone();
        scene.world.cut_after(scene.node, n);
        // Also a start that ends before the cut tells something.
        let _ = scene.world.run(&rt, async move { drop(start(&it).await) });
        scene.world.power_cut(scene.node);
        match notes(&scene) {
            0 => mended += 1,
            _ => lagging += 1,
        }
        scene.run(|rt| async move { start(&rt).await.unwrap().0.close().await });
        assert_eq!(scene.verify().1, [], "cut at {n}");
    }
    assert!(lagging > 2 && mended > 2, "{lagging} and {mended} of {effects}");
}

#[test]
fn a_damaged_piece_of_the_rest_log_marks_its_partition_until_the_loss_is_accepted() {
    let scene = Scene::with_checkpointed_data();
    let files = scene.files();
    let (path, rest) = files.iter().find(|(p, _)| p.to_str().unwrap().contains("/rest-")).unwrap();
    // The bytes of partition 3: 40 times the same number, and no other batch has so few.
    let needle = [100u8; 40];
    let at = rest.windows(40).position(|w| w == needle && !rest.is_empty()).unwrap();
    scene.flip(path, at + 7);
    let (verified, findings) = scene.verify();
    assert!(verified.damaged > 0);
    assert!(findings.iter().all(|f| f.partition == Some(partition(3))), "{findings:?}");
    scene.run(|rt| async move {
        let (store, report) = start(&rt).await.unwrap();
        assert_eq!(report.incomplete.len(), 1);
        refuses(&store, partition(3));
        // The others go on, and a checkpoint keeps the mark.
        append(&store, partition(1), batch(1, b"x")).await;
        store.close().await;
    });
    scene.run(|rt| async move {
        let (store, report) = start(&rt).await.unwrap();
        assert_eq!(report.incomplete.len(), 1);
        refuses(&store, partition(3));
        store.close().await;
    });
    let loss = scene.run(|rt| async move {
        let mut inspector = Inspector::open(&rt, Path::new(ROOT)).await.unwrap();
        let loss = inspector.accept_loss(partition(3)).await.unwrap();
        let again = inspector.accept_loss(partition(3)).await;
        assert!(matches!(again, Err(AcceptError::NotIncomplete(_))));
        let other = inspector.accept_loss(partition(77)).await;
        assert!(matches!(other, Err(AcceptError::Unknown(_))));
        loss
    });
    // The piece was one: nothing of it can be believed.
    assert_eq!((loss.lost, loss.next), (Some((Offset(0), Offset(25))), Offset(25)));
    gap_is_told(&scene, partition(3), (0, 24));
    scene.run(|rt| async move {
        let (store, report) = start(&rt).await.unwrap();
        assert_eq!(report.incomplete, []);
        goes_on_at(&store, partition(3), 25).await;
        let first = store.read(partition(3), Offset(0), Offset(26), 1, true).await.unwrap();
        assert_eq!(first.bytes, 61, "the offsets that are lost, in a batch without a record");
    });
}

/// The device refuses one read, as at a path that fails over: what it holds is whole, and is not cut off.
#[test]
fn a_segment_that_cannot_be_read_is_no_loss_to_accept() {
    let scene = Scene::with_checkpointed_data();
    let files = scene.files();
    let (path, rest) = files.iter().find(|(p, _)| p.to_str().unwrap().contains("/rest-")).unwrap();
    // The end of partition 1, behind its segments.
    let at = rest.windows(40).position(|w| w == [249u8; 40]).unwrap();
    scene.flip(path, at + 7);
    let logs = |scene: &Scene| -> BTreeMap<PathBuf, Vec<u8>> {
        let all = scene.files().into_iter();
        all.filter(|(p, _)| p.to_str().unwrap().ends_with(".log")).collect()
    };
    let before = logs(&scene);
    assert!(before.len() > 3, "{:?}", before.keys());
    for errno in [5, 13, 24] {
        let op = if errno == 5 { DiskOp::Read } else { DiskOp::Open };
        let injection = Injection { op, path: ".log".into(), after: 1, times: 1, errno };
        scene.world.inject(scene.node, injection);
        let refused = scene.run(|rt| async move {
            let mut inspector = Inspector::open(&rt, Path::new(ROOT)).await.unwrap();
            inspector.accept_loss(partition(1)).await.unwrap_err()
        });
        assert!(matches!(refused, AcceptError::Unread(_)), "{errno}: {refused}");
        assert!(refused.to_string().contains("may be whole"), "{refused}");
        assert!(logs(&scene) == before, "{errno}: a segment has changed");
        scene.world.heal_disk(scene.node);
    }
    let loss = scene.run(|rt| async move {
        let mut inspector = Inspector::open(&rt, Path::new(ROOT)).await.unwrap();
        inspector.accept_loss(partition(1)).await.unwrap()
    });
    assert_eq!(loss.kept.0, Offset(0));
    assert!(loss.kept.1 > Offset(200), "{:?}", loss.kept);
}

/// Nothing is damaged any more, and both `verify` and `dump` name the offsets that are lost, once.
fn gap_is_told(scene: &Scene, id: PartitionId, (from, to): (i64, i64)) {
    let (verified, findings) = scene.verify();
    assert_eq!((verified.damaged, findings.len()), (0, 1), "{findings:?}");
    assert_eq!((findings[0].severity, findings[0].partition), (Severity::Note, Some(id)));
    let words = format!("offsets {from} to {to} are lost");
    assert!(findings[0].what.contains(&words), "{findings:?}");
    let gaps = scene.run(|rt| async move {
        let inspector = Inspector::open(&rt, Path::new(ROOT)).await.unwrap();
        let gaps = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&gaps);
        inspector
            .dump_segments(
                |_| true,
                move |l| {
                    if l.gap {
                        let h = l.batch.unwrap();
                        told.borrow_mut().push((l.partition, h.base_offset.0, h.last_offset().0));
                    }
                },
            )
            .await;
        gaps.take()
    });
    assert_eq!(gaps, [(id, from, to)]);
}

/// The next record gets `offset`, and so it is after a restart; whoever reads from the start comes past the gap to it.
async fn goes_on_at(store: &Store, id: PartitionId, offset: i64) {
    let (bytes, meta) = batch(1, b"again");
    let appended = store.append(id, &bytes, &meta, EPOCH, Timestamp(1));
    let expected = Offset(offset);
    assert!(
        matches!(appended, Ok(Appended::New { base_offset, .. }) if base_offset == expected),
        "{appended:?}"
    );
    store.flush().await;
    let all = read_all(store, id).await;
    assert!(all.ends_with(b"again"));
    let last = store.read(id, expected, Offset(offset + 1), 1, true).await.unwrap();
    assert_eq!(last.bytes, bytes.len());
    store.close().await;
}

fn refuses(store: &Store, id: PartitionId) {
    let (bytes, meta) = batch(1, b"no");
    let refused = store.append(id, &bytes, &meta, EPOCH, Timestamp(1));
    assert!(matches!(refused, Err(Refusal::Incomplete(_))), "{refused:?}");
}

/// Nothing is checkpointed: ten commits, each with a batch of one partition, in turns. Returns file and place of the commit
/// that holds offset 2 of partition 1.
fn in_the_ring() -> (Scene, PathBuf, usize) {
    let scene = Scene::new(31);
    scene.run(|rt| async move {
        let (store, _) = start(&rt).await.unwrap();
        for n in 1..=2 {
            store.create(partition(n), small());
        }
        for n in 0..10u8 {
            let id = partition(1 + i32::from(n % 2));
            append(
                &store,
                id,
                batch_of(ProducerId(i64::from(id.index.0)), i32::from(n / 2), 1, &[n; 700]),
            )
            .await;
            store.flush().await;
        }
        // The mark follows when nothing happens for a while.
        rt.sleep(std::time::Duration::from_millis(50)).await;
    });
    let (position, file_bytes) = scene.run(|rt| async move {
        let inspector = Inspector::open(&rt, Path::new(ROOT)).await.unwrap();
        let lines = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&lines);
        inspector.dump_rings(|_| true, move |l| told.borrow_mut().push(l)).await.unwrap();
        let lines = lines.take();
        let commit = lines
            .iter()
            .find_map(|l| match l {
                RingLine::Record(r)
                    if r.partition == Some(partition(1)) && r.offset == Offset(2) =>
                {
                    Some(r.commit)
                }
                RingLine::Record(_) | RingLine::Commit(_) | RingLine::Hole { .. } => None,
            })
            .unwrap();
        let position = lines
            .iter()
            .find_map(|l| match l {
                RingLine::Commit(c) if c.sequence == commit => Some(c.position),
                RingLine::Record(_) | RingLine::Commit(_) | RingLine::Hole { .. } => None,
            })
            .unwrap();
        (usize::try_from(position).unwrap(), usize::try_from(RING / 4).unwrap())
    });
    let path = Path::new(ROOT).join(format!("cores-1/0/ring-{}", position / file_bytes));
    (scene, path, position % file_bytes)
}

#[test]
fn a_damaged_commit_marks_the_partitions_that_its_directory_names_and_no_other() {
    let (scene, ring, at) = in_the_ring();
    assert_eq!(scene.verify().0.damaged, 0);
    scene.flip(&ring, at + 400);
    let (verified, findings) = scene.verify();
    assert!(verified.damaged >= 2, "{findings:?}");
    assert!(findings.iter().any(|f| f.place == "ring of core 0"), "{findings:?}");
    for _ in 0..2 {
        scene.run(|rt| async move {
            let (store, report) = start(&rt).await.unwrap();
            assert_eq!(report.incomplete.len(), 1, "{report:?}");
            assert_eq!(report.incomplete[0].0, partition(1));
            assert!(!report.unknown_losses);
            refuses(&store, partition(1));
            // The prefix is served, the other partition is whole and goes on.
            assert_eq!(read_all(&store, partition(1)).await.len(), 2 * (61 + 700));
            let whole = read_all(&store, partition(2)).await.len();
            assert!(whole >= 5 * (61 + 700));
            append(&store, partition(2), batch(1, b"on")).await;
            store.checkpoint().await;
        });
    }
    let loss = scene.run(|rt| async move {
        let mut inspector = Inspector::open(&rt, Path::new(ROOT)).await.unwrap();
        inspector.accept_loss(partition(1)).await.unwrap()
    });
    assert_eq!(loss.kept, (Offset(0), Offset(2)));
    assert!(loss.why.contains("offsets 2 to 5 followed"), "{}", loss.why);
    // Two starts and checkpoints ago offset 4 was seen; the manifest has kept that.
    assert_eq!(loss.next, Offset(5));
    gap_is_told(&scene, partition(1), (2, 4));
    scene.run(|rt| async move {
        let (store, report) = start(&rt).await.unwrap();
        assert_eq!(report.incomplete, []);
        // The retry of a record that is gone is not taken for a duplicate.
        let (bytes, meta) = batch_of(ProducerId(1), 2, 1, b"again");
        let appended = store.append(partition(1), &bytes, &meta, EPOCH, Timestamp(1));
        assert!(
            matches!(appended, Ok(Appended::New { base_offset: Offset(5), .. })),
            "{appended:?}"
        );
        store.close().await;
    });
    scene.run(|rt| async move {
        let (store, _) = start(&rt).await.unwrap();
        goes_on_at(&store, partition(1), 6).await;
    });
    gap_is_told(&scene, partition(1), (2, 4));
}

#[test]
fn a_loss_that_is_accepted_before_the_next_start_tells_what_followed() {
    let (scene, ring, at) = in_the_ring();
    scene.flip(&ring, at + 400);
    let loss = scene.run(|rt| async move {
        let mut inspector = Inspector::open(&rt, Path::new(ROOT)).await.unwrap();
        inspector.accept_loss(partition(1)).await.unwrap()
    });
    assert_eq!((loss.lost, loss.next), (Some((Offset(2), Offset(5))), Offset(5)));
    gap_is_told(&scene, partition(1), (2, 4));
}

/// The commit with the last record of partition 1: whoever knows that it is missing does not know how many records it held.
#[test]
fn offsets_that_nobody_can_know_are_passed_over_too() {
    const UNSEEN: i64 = 1 << 30;
    for starts_before in [0, 2] {
        let (scene, ring, at) = in_the_ring();
        scene.flip(&ring, at + 4 * 4096 + 400);
        for _ in 0..starts_before {
            scene.run(|rt| async move {
                let (store, report) = start(&rt).await.unwrap();
                assert_eq!(report.incomplete.len(), 1, "{report:?}");
                refuses(&store, partition(1));
                store.close().await;
            });
        }
        let loss = scene.run(|rt| async move {
            let mut inspector = Inspector::open(&rt, Path::new(ROOT)).await.unwrap();
            inspector.accept_loss(partition(1)).await.unwrap()
        });
        assert_eq!((loss.kept, loss.lost), ((Offset(0), Offset(4)), None));
        assert_eq!(loss.next, Offset(4 + UNSEEN));
        gap_is_told(&scene, partition(1), (4, 3 + UNSEEN));
        scene.run(|rt| async move {
            let (store, _) = start(&rt).await.unwrap();
            goes_on_at(&store, partition(1), 4 + UNSEEN).await;
        });
    }
}

#[test]
fn two_damaged_commits_mark_every_partition_that_cannot_prove_otherwise() {
    let (scene, ring, at) = in_the_ring();
    // This one and its successor, which holds a batch of partition 2.
    scene.flip(&ring, at + 400);
    scene.flip(&ring, at + 4096 + 400);
    scene.run(|rt| async move {
        let (store, report) = start(&rt).await.unwrap();
        assert!(report.unknown_losses);
        let marked: Vec<PartitionId> = report.incomplete.iter().map(|i| i.0).collect();
        assert_eq!(marked, [partition(1), partition(2)]);
        refuses(&store, partition(1));
        refuses(&store, partition(2));
    });
    let refused =
        scene.run(|rt| async move { DataDir::open(&rt, Path::new(ROOT), 2, RING).await.err() });
    assert!(matches!(refused, Some(OpenError::Damaged(_))), "{refused:?}");
}

/// Between the flush of a record that drops files and their removal a crash may fall.
#[test]
fn files_that_a_crash_has_left_go_after_the_next_checkpoint() {
    let scene = Scene::with_checkpointed_data();
    let paths = ringwood_store::Paths::new(Path::new(ROOT));
    let (gone, kept, later) = scene.run({
        let paths = paths.clone();
        move |rt| async move {
            let (store, _) = start(&rt).await.unwrap();
            let id = partition(1);
            let names = store
                .with_log(id, |l| l.segments().iter().map(|s| s.name).collect::<Vec<_>>())
                .unwrap();
            assert!(names.len() > 1, "{names:?}");
            let to = store.with_log(id, |l| l.segments()[1].name.base).unwrap();
            store.advance_start(id, to).await.unwrap();
            store.checkpoint().await;
            // The segment's files go in the background; they are put back below.
            rt.sleep(std::time::Duration::from_secs(2)).await;
            let other =
                PartitionId { topic: ids::TopicId([77; 16]), index: ids::PartitionIndex(4) };
            let (lost, last) = (names[0], *names.last().unwrap());
            let next = log::SegmentName { base: last.base, creation: last.creation + 50 };
            let gone = vec![
                paths.segment(id, lost, "log"),
                paths.segment(id, lost, "index"),
                paths.segment(other, lost, "log"),
                paths.rest(1, CoreId(0), 99),
            ];
            // What another part of the store is making has a number that was never used.
            let later = paths.segment(id, next, "log");
            rt.disk().create_dir_all(&paths.partition(other)).await.unwrap();
            let how = runtime::Open { write: true, create: true, ..runtime::Open::default() };
            for path in gone.iter().chain([&later]) {
                rt.disk().open(path, how).await.unwrap().sync_data().await.unwrap();
            }
            store.close().await;
            (gone, paths.segment(id, last, "log"), later)
        }
    });
    scene.run(|rt| async move {
        let (store, report) = start(&rt).await.unwrap();
        assert_eq!(report.incomplete, []);
        append(&store, partition(1), batch(1, b"x")).await;
        store.checkpoint().await;
        rt.sleep(std::time::Duration::from_secs(2)).await;
        for path in &gone {
            assert!(!rt.disk().exists(path).await.unwrap(), "{} is still there", path.display());
        }
        assert!(rt.disk().exists(&kept).await.unwrap());
        assert!(rt.disk().exists(&later).await.unwrap());
        assert_eq!(store.counters().0.strays, 2);
        read_all(&store, partition(1)).await;
        store.close().await;
    });
}

/// The first start of all writes zeros over its rings. A power cut there may leave any bytes in what was being written; those
/// are no commits, and the next start begins anew.
#[test]
fn a_power_cut_in_the_first_start_of_all_needs_nobody() {
    let mut odd = 0;
    let root = Path::new(ROOT);
    for seed in 0..8 {
        for n in 1.. {
            let scene = Scene::new(seed);
            let rt = scene.world.core(scene.node, CoreId(0));
            scene.world.cut_after(scene.node, n);
            let it = rt.clone();
            let made =
                scene.world.run(&rt, async move { DataDir::open(&it, root, 1, 64 << 10).await });
            let whole = scene.world.is_alive(scene.node);
            drop(made);
            scene.world.power_cut(scene.node);
            let files = scene.files();
            let ring = root.join("cores-1/0/ring-0");
            let unfinished = !files.contains_key(&root.join("layout"));
            if unfinished && files.get(&ring).is_some_and(|bytes| bytes.len() > 4096) {
                // Garbage in a sector of the first block.
                for bit in 0..300 {
                    scene.world.flip_bit(scene.node, &ring, seed * 4096 + bit * 13).unwrap();
                }
                odd += 1;
            }
            scene.run(move |rt| async move {
                let opened = DataDir::open(&rt, root, 1, 64 << 10).await;
                assert!(opened.is_ok(), "seed {seed}, effect {n}: {:?}", opened.err());
            });
            if whole {
                break;
            }
        }
    }
    assert!(odd > 10, "only {odd} rings had anything but zeros");
}

#[test]
fn a_layout_that_is_lost_is_not_made_anew_over_a_ring_with_commits() {
    let scene = Scene::new(31);
    scene.run(|rt| async move {
        let (store, _) = start(&rt).await.unwrap();
        store.create(partition(1), small());
        append(&store, partition(1), batch(1, b"only here")).await;
        store.flush().await;
    });
    let root = Path::new(ROOT);
    scene.remove(&root.join("layout"));
    scene.remove(&root.join("layout.copy"));
    // No segment has been written: the ring alone has it.
    assert!(scene.files().keys().all(|p| !p.to_str().unwrap().contains("topics/")));
    scene.run(|rt| async move {
        let Err(e) = start(&rt).await else { panic!("made anew over the only copy") };
        assert!(e.to_string().contains("a ring has commits"), "{e}");
    });
}
