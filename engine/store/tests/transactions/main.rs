//! Transactions in the store: what is stable, and what was aborted, across restarts, damage, truncation, retention and
//! compaction. What must come out is computed from what was written, by code that knows nothing of segments.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

use ids::{
    CoreId, LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, Timestamp,
    TopicId,
};
use log::{AbortedTxn, Appended, BatchMeta, Compaction};
use record::{BatchBuilder, EndTxn};
use ringwood_store as store;
use runtime::Runtime;
use runtime::sim::{NodeId, SimConfig, World};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use store::inspect::Inspector;
use store::{CompactBudget, Config, DataDir, PartitionConfig, Store, Thresholds};

const ROOT: &str = "/data";
const RING: u64 = 512 << 10;
const EPOCH: LeaderEpoch = LeaderEpoch(3);

fn id() -> PartitionId {
    PartitionId { topic: TopicId([9; 16]), index: PartitionIndex(0) }
}

fn partition_config() -> PartitionConfig {
    let log = log::Config { segment_bytes: 20_000, ..log::Config::default() };
    PartitionConfig { log, fsync: true }
}

async fn open(rt: &Runtime) -> Store {
    let data = DataDir::open(rt, Path::new(ROOT), 1, RING).await.unwrap();
    let thresholds = Thresholds { blocks_due: 4096, ..Thresholds::default() };
    let config = Config { ring_bytes: RING, free_bytes_min: 0, thresholds, ..Config::default() };
    let opened = store::open(rt, &data, CoreId(0), config, |_| partition_config()).await.unwrap();
    opened.0
}

/// A transaction as it was written: whose, its first offset, its marker and whether that aborts.
type Txn = (i64, i64, Option<(i64, bool)>);

/// What was written.
#[derive(Clone, Default)]
struct Written {
    txns: Vec<Txn>,
    sequences: BTreeMap<i64, i32>,
    end: i64,
}

impl Written {
    async fn put(&mut self, store: &Store, bytes: Vec<u8>, meta: BatchMeta) {
        store.admit(bytes.len()).await;
        let appended = store.append(id(), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
        let Appended::New { base_offset, .. } = appended else { panic!("{appended:?}") };
        assert_eq!(base_offset.0, self.end);
        self.end += i64::from(meta.offsets);
    }

    async fn data(&mut self, store: &Store, producer: i64, transactional: bool) {
        let sequence = self.sequences.entry(producer).or_default();
        let mut b = BatchBuilder::new().transactional(transactional).producer(
            ProducerId(producer),
            ProducerEpoch(0),
            *sequence,
        );
        for n in 0..2 {
            b.push(Timestamp(1_000), Some(&[n, producer.to_le_bytes()[0]]), Some(&[7; 100]), &[]);
        }
        let bytes = b.build().unwrap();
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).unwrap(),
            offsets: 2,
            max_timestamp: Timestamp(1_000),
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            base_sequence: *sequence,
            transactional,
            control: false,
        };
        *sequence += 2;
        let open = self.txns.iter().any(|t| t.0 == producer && t.2.is_none());
        if transactional && !open {
            self.txns.push((producer, self.end, None));
        }
        self.put(store, bytes, meta).await;
    }

    async fn end(&mut self, store: &Store, producer: i64, aborts: bool) {
        let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
        let end = if aborts { EndTxn::Abort } else { EndTxn::Commit };
        let bytes = record::end_txn_marker(id, epoch, end, 1, Timestamp(1_000)).unwrap();
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).unwrap(),
            offsets: 1,
            max_timestamp: Timestamp(1_000),
            producer_id: id,
            producer_epoch: epoch,
            base_sequence: -1,
            transactional: true,
            control: true,
        };
        if let Some(open) = self.txns.iter_mut().find(|t| t.0 == producer && t.2.is_none()) {
            open.2 = Some((self.end, aborts));
        }
        self.put(store, bytes, meta).await;
    }

    /// Transactions of four producers into each other, most of them aborted; some are open for long.
    async fn rounds(&mut self, store: &Store, rounds: i64) {
        for n in 0..rounds {
            let producer = 1 + n % 3;
            self.data(store, producer, true).await;
            if n % 40 == 5 {
                self.data(store, 4, true).await;
            }
            if n % 5 == 0 {
                self.data(store, 9, false).await;
            }
            self.end(store, producer, n % 4 != 0).await;
            if n % 40 == 33 {
                self.end(store, 4, n % 80 == 33).await;
            }
        }
        store.flush().await;
    }

    fn cut(&mut self, to: i64) {
        self.txns.retain(|t| t.1 < to);
        for t in &mut self.txns {
            t.2 = t.2.filter(|(marker, _)| *marker < to);
        }
        self.end = to;
    }

    fn stable(&self, start: i64) -> i64 {
        let open = self.txns.iter().filter(|t| t.2.is_none()).map(|t| t.1.max(start)).min();
        open.unwrap_or(self.end)
    }

    /// Producer, first and last offset of what was aborted and overlaps.
    fn aborted(&self, from: i64, to: i64) -> Vec<(i64, i64, i64)> {
        let of = |t: &Txn| t.2.filter(|e| e.1).map(|e| (t.0, t.1, e.0));
        let mut all: Vec<_> = self.txns.iter().filter_map(of).collect();
        all.retain(|t| t.2 >= from && t.1 < to);
        all.sort_unstable_by_key(|t| t.2);
        all
    }

    async fn check(&self, store: &Store) {
        let (start, end) = store.with_log(id(), |l| (l.start().0, l.end())).unwrap();
        assert_eq!(end.0, self.end);
        assert_eq!(store.last_stable(id(), end).unwrap().0, self.stable(start));
        let step = usize::try_from((self.end - start) / 37).unwrap().max(1);
        for from in (start..self.end).step_by(step) {
            for to in [from + 1, from + 7, from + 300, self.end] {
                let to = to.min(self.end);
                let found = store.aborted_transactions(id(), Offset(from), Offset(to)).await;
                let found = found.unwrap();
                assert_eq!(short(&found), self.aborted(from, to), "{from} to {to}");
            }
        }
    }
}

fn short(found: &[AbortedTxn]) -> Vec<(i64, i64, i64)> {
    found.iter().map(|t| (t.producer_id.0, t.first.0, t.last.0)).collect()
}

struct Scene {
    world: World,
    node: NodeId,
    written: Rc<RefCell<Written>>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let world = World::new(seed, SimConfig { capacity: 64 << 20, ..SimConfig::default() });
        let node = world.add_node();
        Self { world, node, written: Rc::default() }
    }

    /// A life of the store, ended by a power cut.
    fn run<T: 'static>(&self, body: impl AsyncFnOnce(Store, &mut Written) -> T + 'static) -> T {
        let rt = self.world.core(self.node, CoreId(0));
        let (it, written) = (rt.clone(), Rc::clone(&self.written));
        let result = self.world.run(&rt, async move {
            let store = open(&it).await;
            store.create(id(), partition_config());
            let mut w = written.borrow().clone();
            let result = body(store, &mut w).await;
            *written.borrow_mut() = w;
            result
        });
        let result = result.expect_done();
        self.world.power_cut(self.node);
        result
    }

    /// How many transaction indexes `verify` finds damaged, and the aborted transactions that `dump` shows.
    fn inspected(&self) -> (usize, Vec<(i64, i64, i64)>) {
        let rt = self.world.core(self.node, CoreId(0));
        let it = rt.clone();
        let inspected = self.world.run(&rt, async move {
            let inspector = Inspector::open(&it, Path::new(ROOT)).await.unwrap();
            let (mut damaged, mut shown) = (0, Vec::new());
            let on_finding = |f: store::inspect::Finding| {
                assert!(f.place.starts_with("transaction index"), "{f:?}");
                damaged += 1;
            };
            inspector.verify(|_| {}, on_finding).await;
            inspector.dump_aborted(|_| true, |line| shown.extend(line.txn)).await;
            (damaged, short(&shown))
        });
        inspected.expect_done()
    }

    fn index_files(&self) -> Vec<PathBuf> {
        let all = self.world.disk_image(self.node).into_keys();
        all.filter(|p| p.extension().is_some_and(|e| e == "txnindex")).collect()
    }

    /// Two lives of transactions; checkpoints have brought most of them to files.
    fn filled(seed: u64) -> Self {
        let scene = Self::new(seed);
        for _ in 0..2 {
            scene.run(async |store, w| {
                w.rounds(&store, 300).await;
                w.check(&store).await;
                store.checkpoint().await;
                w.check(&store).await;
                w.rounds(&store, 60).await;
                w.check(&store).await;
            });
        }
        scene
    }
}

#[test]
fn what_is_stable_and_what_was_aborted_are_known_after_every_start() {
    let scene = Scene::filled(1);
    assert!(scene.index_files().len() > 5, "{:?}", scene.index_files());
    let (damaged, shown) = scene.inspected();
    assert_eq!(damaged, 0);
    assert_eq!(shown, scene.written.borrow().aborted(0, i64::MAX));
    scene.run(async |store, w| {
        w.check(&store).await;
        let in_file = |l: &log::Log| l.segments().iter().map(|s| s.aborted.in_file()).sum::<u32>();
        assert!(store.with_log(id(), in_file).unwrap() > 200);
        assert_eq!(store.counters().0.txn_indexes_rebuilt, 0);
    });
}

#[test]
fn a_marker_counts_when_it_is_committed_and_not_before() {
    let scene = Scene::new(2);
    scene.run(async |store, w| {
        w.data(&store, 1, true).await;
        w.data(&store, 9, false).await;
        w.end(&store, 1, false).await;
        let stable = |high: i64| store.last_stable(id(), Offset(high)).unwrap().0;
        assert_eq!([stable(1), stable(4), stable(5)], [0, 0, 5]);
        store.flush().await;
    });
}

#[test]
fn a_damaged_or_missing_index_is_made_good_from_the_log_and_written_anew() {
    let scene = Scene::filled(3);
    let files = scene.index_files();
    for (n, file) in (0..).zip(&files) {
        if n % 3 == 0 {
            // All over the file.
            let bits = scene.world.file(scene.node, file).unwrap().len() as u64 * 8;
            for bit in (0..bits).step_by(4_099) {
                scene.world.flip_bit(scene.node, file, bit).unwrap();
            }
        } else {
            scene.world.flip_bit(scene.node, file, 77 + n * 8).unwrap();
        }
    }
    let gone = files[files.len() / 2].clone();
    let rt = scene.world.core(scene.node, CoreId(0));
    let (it, path) = (rt.clone(), gone.clone());
    scene.world.run(&rt, async move { it.disk().remove_file(&path).await.unwrap() }).expect_done();
    assert!(scene.inspected().0 > 5, "verify names them, and repairs nothing");
    scene.run(async |store, w| {
        w.check(&store).await;
        assert!(store.counters().0.txn_indexes_rebuilt > 5);
        store.checkpoint().await;
        w.check(&store).await;
    });
    assert!(scene.index_files().contains(&gone));
    scene.run(async |store, w| {
        w.check(&store).await;
        assert_eq!(store.counters().0.txn_indexes_rebuilt, 0, "they are whole again");
    });
}

#[test]
fn a_truncation_below_a_marker_opens_its_transaction_again() {
    for (seed, back) in (10..).zip([1, 2, 3, 5, 9, 40, 333, 900]) {
        let scene = Scene::filled(seed);
        scene.run(async move |store, w| {
            let to = store.truncate(id(), Offset(w.end - back)).await.unwrap();
            w.cut(to.0);
            w.check(&store).await;
        });
        scene.run(async |store, w| {
            w.check(&store).await;
            // What is open again ends, and life goes on. The sequences of before the cut are not known here.
            let open: Vec<i64> = w.txns.iter().filter(|t| t.2.is_none()).map(|t| t.0).collect();
            for producer in open {
                w.end(&store, producer, true).await;
            }
            let log_sequences = |l: &log::Log| {
                let all = l.producers().sorted();
                all.into_iter().map(|(id, p)| (id.0, p.last_sequence() + 1)).collect()
            };
            w.sequences = store.with_log(id(), log_sequences).unwrap();
            store.flush().await;
            w.check(&store).await;
            w.rounds(&store, 50).await;
            store.checkpoint().await;
            w.check(&store).await;
        });
        scene.run(async |store, w| w.check(&store).await);
    }
}

#[test]
fn what_retention_takes_is_not_named_and_an_open_transaction_stays_open() {
    let scene = Scene::filled(4);
    scene.run(async |store, w| {
        w.data(&store, 5, true).await;
        w.rounds(&store, 120).await;
        let before = store.with_log(id(), |l| l.segments().len()).unwrap();
        let to = Offset(w.end - 100);
        store.advance_start(id(), to).await.unwrap();
        assert!(store.with_log(id(), |l| l.segments().len()).unwrap() < before);
        assert_eq!(store.last_stable(id(), Offset(w.end)).unwrap(), to, "5 is open");
        w.check(&store).await;
    });
    let left = scene.run(async |store, w| {
        w.check(&store).await;
        store.checkpoint().await;
        w.end(&store, 5, true).await;
        store.flush().await;
        w.check(&store).await;
        store.with_log(id(), |l| l.segments().len()).unwrap()
    });
    assert!(scene.index_files().len() <= left, "files of segments that are gone");
}

#[test]
fn compaction_keeps_a_name_as_long_as_its_marker() {
    let scene = Scene::filled(5);
    scene.run(async |store, w| {
        for producer in 1..5 {
            w.end(&store, producer, true).await;
        }
        w.rounds(&store, 60).await;
        let how = Compaction { delete_retention_ms: 0, ..Compaction::default() };
        let budget = CompactBudget { map_bytes: 1 << 20, bytes_per_second: f64::MAX };
        for _ in 0..2 {
            let report = store.compact(id(), &how, budget, Offset(w.end)).await.unwrap();
            assert!(report.segments > 0, "{report:?}");
            store.checkpoint().await;
            let markers = markers(&store).await;
            let found =
                store.aborted_transactions(id(), Offset::ZERO, Offset(w.end)).await.unwrap();
            let named = short(&found);
            let expected: Vec<_> = w
                .aborted(0, w.end)
                .into_iter()
                .filter(|t| markers.get(&t.2) == Some(&t.0))
                .collect();
            assert_eq!(named, expected);
            w.data(&store, 9, false).await;
            w.rounds(&store, 200).await;
        }
    });
}

/// The markers that are left: offset and producer.
async fn markers(store: &Store) -> BTreeMap<i64, i64> {
    let (mut at, end) = store.with_log(id(), |l| (l.start(), l.end())).unwrap();
    let mut found = BTreeMap::new();
    while at < end {
        let read = store.read(id(), at, end, 20_000, true).await.unwrap();
        assert_ne!(read.bytes, 0);
        let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        let before = at;
        for b in record::Batches::new(&bytes) {
            let h = *b.unwrap().header();
            if h.attributes.is_control() && h.count > 0 {
                found.insert(h.base_offset.0, h.producer_id.0);
            }
            at = h.next_offset();
        }
        assert_eq!(read.end(), Some(at), "from {before}");
    }
    found
}
