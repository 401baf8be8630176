//! The log changes while a pass is at it: its start moves, it is cut back, it is deleted. The pass ends, or goes on with what
//! is left; nothing is called damaged, and nothing that stays is lost.

use super::{
    BATCHES, EPOCH, KEYS, PLENTY, ROOT, Records, Scene, check_files, compact, compacted, id, open,
    read_all,
};
use ids::{CoreId, Offset, ProducerEpoch, ProducerId, Timestamp};
use log::BatchMeta;
use record::{BatchBuilder, Codec};
use ringwood_store as store;
use runtime::Runtime;
use runtime::sim::{DiskOp, Injection};
use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use store::{CompactFailure, CompactReport, EndedEarly, Paths, Refusal, Store};

type Passed = Result<CompactReport, CompactFailure>;

/// A process with a pass under way, and what came of it.
struct Under {
    scene: Scene,
    rt: Runtime,
    store: Store,
    passed: Rc<RefCell<Option<Passed>>>,
}

impl Under {
    fn begin(scene: Scene) -> Self {
        let rt = scene.world.core(scene.node, CoreId(0));
        let it = rt.clone();
        let store = scene.world.run(&rt, async move { open(&it).await }).expect_done();
        let passed: Rc<RefCell<Option<Passed>>> = Rc::default();
        let (own, result) = (store.clone(), Rc::clone(&passed));
        rt.spawn(async move {
            let told = compact(&own, PLENTY).await;
            *result.borrow_mut() = Some(told);
        });
        Self { scene, rt, store, passed }
    }

    /// Lets the pass go on for so long, or until it has ended.
    fn wait(&self, for_: Duration) {
        let until = self.scene.world.now() + for_;
        let (rt, over) = (self.rt.clone(), Rc::new(Cell::new(false)));
        let tell = Rc::clone(&over);
        rt.clone().spawn(async move {
            rt.sleep_until(until).await;
            tell.set(true);
        });
        self.scene.world.run_until(|| over.get());
    }

    /// Lets it go on until the disk has had so many more effects.
    fn wait_for_effects(&self, n: u64) {
        let world = &self.scene.world;
        let until = world.effects(self.scene.node) + n;
        world.run_until(|| {
            world.effects(self.scene.node) >= until || self.passed.borrow().is_some()
        });
    }

    fn run<T: 'static, F: Future<Output = T> + 'static>(&self, f: impl FnOnce(Store) -> F) -> T {
        let future = f(self.store.clone());
        self.scene.world.run(&self.rt, future).expect_done()
    }

    fn passed(&self) -> Passed {
        self.scene.world.run_until(|| self.passed.borrow().is_some());
        self.passed.borrow_mut().take().unwrap()
    }
}

/// How long a pass takes that nobody disturbs, and how many effects it has.
fn whole_pass(scene: Scene) -> (Duration, u64) {
    let under = Under::begin(scene);
    let world = &under.scene.world;
    let (began, before) = (world.now(), world.effects(under.scene.node));
    under.passed().unwrap();
    (world.now().since(began), world.effects(under.scene.node) - before)
}

/// Runs `disturb` at every effect of a pass, and at many moments between; how often the pass was still under way.
fn at_every_moment(seed: u64, mut disturb: impl FnMut(&Under)) -> u32 {
    const MOMENTS: u32 = 150;
    let (took, effects) = whole_pass(Scene::new(seed));
    assert!(effects > 8 && took > Duration::from_millis(1), "{effects} effects in {took:?}");
    let mut beside = 0;
    for n in 0..MOMENTS + u32::try_from(effects).unwrap() {
        let under = Under::begin(Scene::new(seed));
        match n.checked_sub(MOMENTS) {
            None => under.wait(took * n / MOMENTS),
            Some(effect) => under.wait_for_effects(u64::from(effect) + 1),
        }
        beside += u32::from(under.passed.borrow().is_none());
        disturb(&under);
    }
    beside
}

/// Three records of nobody's that are large enough to roll a segment soon.
pub(super) fn plain(n: u64, from: i64) -> (Vec<u8>, BatchMeta, Records) {
    let mut b = BatchBuilder::new().codec(Codec::None);
    let mut records = Records::new();
    for r in 0..3 {
        let key = format!("key {}", (n + r * 7) % KEYS).into_bytes();
        let value = vec![n.to_le_bytes()[0]; 1_000];
        b.push(Timestamp(5_000), Some(&key), Some(&value), &[]);
        records.insert(from + r.cast_signed(), (key, Some(value)));
    }
    let bytes = b.build().unwrap();
    let meta = BatchMeta {
        len: u32::try_from(bytes.len()).unwrap(),
        offsets: 3,
        max_timestamp: Timestamp(5_000),
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        transactional: false,
        control: false,
    };
    (bytes, meta, records)
}

fn without_failure(passed: &Passed) {
    match passed {
        Ok(_) | Err(CompactFailure::Refused(Refusal::UnknownPartition)) => {}
        Err(e) => panic!("{e}"),
    }
}

/// All that is left from `start` on is what was written, with the newest record of each key below `end` among it.
fn check_records(found: &Records, all: &Records, start: i64) {
    assert!(found.iter().all(|(o, r)| all.get(o) == Some(r)), "what was never written");
    for (offset, record) in compacted(all, Offset(i64::MAX)).range(start..) {
        assert_eq!(found.get(offset), Some(record), "offset {offset} after a start at {start}");
    }
}

#[test]
fn a_new_start_over_a_segment_interrupts_a_pass_and_is_no_damage() {
    let mut interrupted = 0;
    // Over the first segment, over half of the log, over all that is sealed.
    for share in [1, 4, 8] {
        let beside = at_every_moment(50, |under| {
            let start = under.run(move |store| async move {
                let bases: Vec<Offset> = store
                    .with_log(id(), |l| l.segments().iter().map(|s| s.name.base).collect())
                    .unwrap();
                let nth = (bases.len() - 1) * share / 8;
                store.advance_start(id(), bases[nth.max(1).min(bases.len() - 1)]).await.unwrap()
            });
            let passed = under.passed();
            without_failure(&passed);
            let early = passed.as_ref().is_ok_and(|r| r.ended_early.is_some());
            interrupted += u32::from(early);
            let all = Rc::clone(&under.scene.all);
            under.run(move |store| async move {
                check_records(&read_all(&store).await, &all, start.0);
                // The next pass does what is left.
                let report = compact(&store, PLENTY).await.unwrap();
                assert_eq!(report.ended_early, None);
                let mut below = compacted(&all, report.clean_end);
                below.retain(|o, _| *o >= start.0);
                assert_eq!(read_all(&store).await, below);
            });
        });
        assert!(beside > 100, "{beside}");
    }
    assert!(interrupted > 50, "only {interrupted} passes were interrupted");
}

#[test]
fn a_deletion_interrupts_a_pass_and_leaves_no_file() {
    let beside = at_every_moment(51, |under| {
        let it = under.rt.clone();
        under.run(|store| async move {
            store.delete(id()).await.unwrap();
            store.removed().await;
        });
        without_failure(&under.passed());
        let dir = Paths::new(Path::new(ROOT)).partition(id());
        under.run(|_| async move { assert!(!it.disk().exists(&dir).await.unwrap()) });
    });
    assert!(beside > 100, "{beside}");
}

/// The pass knows the newest offset of each key. A truncation takes some of them: then an older record is the newest.
#[test]
fn a_truncation_interrupts_a_pass_which_drops_nothing_for_a_record_that_was_cut_off() {
    let mut before_the_first_swap = 0;
    for to in [45, 203, 377] {
        let beside = at_every_moment(52, |under| {
            let swapped = under.run(|store| async move { store.replaced_bytes() > 0 });
            let end = under
                .run(move |store| async move { store.truncate(id(), Offset(to)).await.unwrap() });
            let cut: Records =
                under.scene.all.range(..end.0).map(|(o, r)| (*o, r.clone())).collect();
            let passed = under.passed();
            without_failure(&passed);
            let early = passed.unwrap().ended_early;
            let (after, cut) = under.run(move |store| async move {
                let found = read_all(&store).await;
                assert!(found.iter().all(|(o, r)| cut.get(o) == Some(r)));
                (found, cut)
            });
            if early == Some(EndedEarly::Interrupted) && !swapped {
                before_the_first_swap += u32::from(after == cut);
            }
            // What was there when the truncation was answered is what another pass leaves the newest of.
            let mut all = after;
            let all = under.run(move |store| async move {
                for n in BATCHES..BATCHES + 12 {
                    let end = store.with_log(id(), log::Log::end).unwrap();
                    let (bytes, meta, records) = plain(n, end.0);
                    store.admit(bytes.len()).await;
                    store.append(id(), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
                    all.extend(records);
                }
                store.flush().await;
                assert_eq!(read_all(&store).await, all);
                let report = compact(&store, PLENTY).await.unwrap();
                assert_eq!(read_all(&store).await, compacted(&all, report.clean_end));
                all
            });
            under.scene.world.power_cut(under.scene.node);
            under.scene.run(move |rt| async move {
                let store = open(&rt).await;
                check_records(&read_all(&store).await, &all, 0);
            });
        });
        assert!(beside > 100, "{beside}");
    }
    assert!(before_the_first_swap > 50, "{before_the_first_swap}");
}

#[test]
fn a_truncation_into_a_new_segment_that_no_manifest_names_is_followed_by_a_start() {
    for seed in 53..63 {
        let scene = Scene::new(seed);
        let all = Rc::clone(&scene.all);
        let (end, left) = scene.run(|rt| async move {
            let store = open(&rt).await;
            compact(&store, PLENTY).await.unwrap();
            assert!(store.replaced_bytes() > 0, "a checkpoint has named it already");
            let first = store.with_log(id(), |l| l.segments()[0].without_index()).unwrap();
            assert!(first.compacted);
            let before = read_all(&store).await;
            let inside = Offset(first.end.0 - 15);
            let end = store.truncate(id(), inside).await.unwrap();
            assert!(end <= inside && end > Offset::ZERO, "{end} of {}", first.end);
            let mut left = before;
            left.retain(|o, _| *o < end.0);
            assert_eq!(read_all(&store).await, left);
            (end, left)
        });
        scene.run(|rt| async move {
            // `open` says that nothing is incomplete.
            let store = open(&rt).await;
            assert_eq!(store.with_log(id(), log::Log::end).unwrap(), end);
            assert_eq!(read_all(&store).await, left);
            assert!(left.iter().all(|(o, r)| all.get(o) == Some(r)));
            store.remove_strays(id()).await.unwrap();
            check_files(&rt, &store).await;
        });
    }
}

/// Power goes at every effect of a deletion beside a pass: the partition is gone, or whole.
#[test]
fn no_file_of_a_deleted_partition_goes_before_its_record_is_durable() {
    let (took, _) = whole_pass(Scene::new(64));
    let (mut gone, mut whole) = (0, 0);
    for moment in 0..12 {
        for n in 1.. {
            let under = Under::begin(Scene::new(64));
            under.wait(took * moment / 12);
            let world = &under.scene.world;
            world.cut_after(under.scene.node, n);
            let store = under.store.clone();
            let deleted = Rc::new(Cell::new(false));
            let tell = Rc::clone(&deleted);
            under.rt.spawn(async move {
                store.delete(id()).await.unwrap();
                store.removed().await;
                tell.set(true);
            });
            let over = || deleted.get() && under.passed.borrow().is_some();
            world.run_until(|| over() || !world.is_alive(under.scene.node));
            let ended = over();
            world.power_cut(under.scene.node);
            let all = Rc::clone(&under.scene.all);
            let here = under.scene.run(|rt| async move {
                let store = open(&rt).await;
                let here = store.partitions().contains(&id());
                if here {
                    check_records(&read_all(&store).await, &all, 0);
                }
                here
            });
            assert!(!(here && deleted.get()), "deleted, and there again");
            gone += u32::from(!here);
            whole += u32::from(here);
            if ended {
                break;
            }
        }
    }
    assert!(gone > 20 && whole > 20, "{gone} gone, {whole} whole");
}

#[test]
fn a_new_segment_that_the_disk_has_no_room_for_goes_with_its_deleted_partition() {
    const ENOSPC: i32 = 28;
    let mut failed = 0;
    let (took, _) = whole_pass(Scene::new(65));
    for moment in 0..24 {
        for after in 0..3 {
            let scene = Scene::new(65);
            let path = id().topic.to_string();
            let op = DiskOp::Allocate;
            let injection = Injection { op, path, after, times: 1_000, errno: ENOSPC };
            scene.world.inject(scene.node, injection);
            let under = Under::begin(scene);
            under.wait(took * moment / 24);
            under.run(|store| async move {
                store.delete(id()).await.unwrap();
                store.removed().await;
            });
            let passed = under.passed();
            failed += u32::from(passed == Err(CompactFailure::DiskFull));
            let dir = Paths::new(Path::new(ROOT)).partition(id());
            let it = under.rt.clone();
            under.run(|_| async move { assert!(!it.disk().exists(&dir).await.unwrap()) });
        }
    }
    assert!(failed > 5, "{failed}");
}
