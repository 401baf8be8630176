//! Transactions under compaction: what was aborted goes, what was committed counts, markers go last, and nothing is touched
//! that may still end either way.

use super::{EPOCH, PLENTY, check_files, id, open, partition_config};
use ids::{CoreId, Offset, ProducerEpoch, ProducerId, Timestamp};
use log::{Appended, BatchMeta, Compaction};
use record::{BatchBuilder, BatchView, ControlRecord, EndTxn};
use ringwood_store as store;
use runtime::Runtime;
use runtime::sim::{NodeId, SimConfig, World};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use store::{CompactBudget, CompactReport, EndedEarly, Store};

const KEYS: u64 = 12;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Plain,
    Commit,
    Abort,
    Open,
}

/// What was written: each record with its key, and how it ended; and the markers with their producers.
#[derive(Clone, Default)]
struct Written {
    records: BTreeMap<i64, (Vec<u8>, How)>,
    markers: BTreeMap<i64, ProducerId>,
    owner: BTreeMap<i64, ProducerId>,
}

/// What a reader finds: keys by offset, and markers with whether they have a horizon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Found {
    records: BTreeMap<i64, Vec<u8>>,
    markers: BTreeMap<i64, (ProducerId, bool)>,
    /// Batches of transactions that have no record any more, by their base offset.
    empty: BTreeMap<i64, ProducerId>,
}

struct Writer<'a> {
    store: &'a Store,
    written: Written,
    sequences: BTreeMap<ProducerId, i32>,
    n: u64,
}

impl Writer<'_> {
    async fn put(&mut self, bytes: Vec<u8>, meta: BatchMeta) -> i64 {
        self.store.admit(bytes.len()).await;
        let appended = self.store.append(id(), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
        let Appended::New { base_offset, .. } = appended else { panic!("{appended:?}") };
        base_offset.0
    }

    /// A batch of four records, in a transaction or not; the offsets are noted as `how` it will end.
    async fn data(&mut self, producer: ProducerId, how: How) {
        let sequence = self.sequences.entry(producer).or_default();
        let mut b = BatchBuilder::new().transactional(how != How::Plain).producer(
            producer,
            ProducerEpoch(0),
            *sequence,
        );
        let mut keys = Vec::new();
        for r in 0..4 {
            let x = (self.n * 4 + r).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
            let key = format!("key {}", x % KEYS).into_bytes();
            b.push(Timestamp(1_000), Some(&key), Some(&[7; 150]), &[]);
            keys.push(key);
        }
        self.n += 1;
        let bytes = b.build().unwrap();
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).unwrap(),
            offsets: 4,
            max_timestamp: Timestamp(1_000),
            producer_id: producer,
            producer_epoch: ProducerEpoch(0),
            base_sequence: *sequence,
            transactional: how != How::Plain,
            control: false,
        };
        *sequence += 4;
        let base = self.put(bytes, meta).await;
        for (offset, key) in (base..).zip(keys) {
            self.written.records.insert(offset, (key, how));
            self.written.owner.insert(offset, producer);
        }
    }

    async fn marker(&mut self, producer: ProducerId, end: EndTxn) {
        let epoch = ProducerEpoch(0);
        let bytes = record::end_txn_marker(producer, epoch, end, 1, Timestamp(1_000)).unwrap();
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).unwrap(),
            offsets: 1,
            max_timestamp: Timestamp(1_000),
            producer_id: producer,
            producer_epoch: epoch,
            base_sequence: -1,
            transactional: true,
            control: true,
        };
        let base = self.put(bytes, meta).await;
        self.written.markers.insert(base, producer);
    }

    /// Rounds of two transactions into each other, one aborted, with plain batches between them.
    async fn rounds(&mut self, rounds: i64) {
        for round in 0..rounds {
            let (a, b) = (ProducerId(1 + round % 3), ProducerId(11 + round % 2));
            self.data(a, How::Commit).await;
            self.data(b, How::Abort).await;
            self.data(ProducerId(21), How::Plain).await;
            self.data(a, How::Commit).await;
            self.marker(b, EndTxn::Abort).await;
            self.marker(a, EndTxn::Commit).await;
        }
        self.store.flush().await;
    }
}

fn writer(store: &Store) -> Writer<'_> {
    Writer { store, written: Written::default(), sequences: BTreeMap::new(), n: 0 }
}

async fn read(store: &Store) -> Found {
    let (mut at, end) = store.with_log(id(), |l| (l.start(), l.end())).unwrap();
    let mut found = Found::default();
    while at < end {
        let read = store.read(id(), at, end, 20_000, true).await.unwrap();
        let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        for b in record::Batches::new(&bytes) {
            let b: BatchView<'_> = b.unwrap();
            b.check_crc().unwrap();
            let h = *b.header();
            if h.count == 0 && h.attributes.is_transactional() && !h.attributes.is_control() {
                found.empty.insert(h.base_offset.0, h.producer_id);
            }
            for r in b.records().unwrap() {
                let r = r.unwrap();
                let offset = h.base_offset.0 + i64::from(r.offset_delta);
                if h.attributes.is_control() {
                    assert!(matches!(ControlRecord::read(&r), Some(ControlRecord::EndTxn { .. })));
                    let aged = h.attributes.has_delete_horizon();
                    found.markers.insert(offset, (h.producer_id, aged));
                } else {
                    found.records.insert(offset, r.key.unwrap().to_vec());
                }
            }
            at = h.next_offset();
        }
    }
    found
}

/// The records that are left when all below `end` is compacted.
fn records(all: &Written, end: i64) -> BTreeMap<i64, Vec<u8>> {
    let mut newest = BTreeMap::new();
    for (offset, (key, how)) in all.records.range(..end) {
        if *how != How::Abort {
            newest.insert(key, *offset);
        }
    }
    let stays = |o: i64, key: &Vec<u8>, how: How| {
        o >= end || how != How::Abort && newest.get(key) == Some(&o)
    };
    let left = all.records.iter().filter(|(o, (key, how))| stays(**o, key, *how));
    left.map(|(o, (key, _))| (*o, key.clone())).collect()
}

/// The markers whose transaction has a record in `left`, or a batch in `empty`.
fn in_use(
    all: &Written,
    left: &BTreeMap<i64, Vec<u8>>,
    empty: &BTreeMap<i64, ProducerId>,
) -> BTreeSet<i64> {
    let mut open = BTreeSet::new();
    let mut found = BTreeSet::new();
    let last = all.markers.keys().chain(all.records.keys()).max().copied().unwrap_or(0);
    for o in 0..=last {
        if let Some(producer) = all.markers.get(&o) {
            if open.remove(producer) {
                found.insert(o);
            }
        } else if empty.contains_key(&o) || left.contains_key(&o) && all.records[&o].1 != How::Plain
        {
            open.insert(all.owner[&o]);
        }
    }
    found
}

async fn compact(store: &Store, budget: CompactBudget) -> CompactReport {
    let stable = store.progress(id()).unwrap().durable;
    let how = Compaction { delete_retention_ms: 1_000, ..Compaction::default() };
    store.compact(id(), &how, budget, stable).await.unwrap()
}

fn check(all: &Written, found: &Found, end: Offset) {
    let left = records(all, end.0);
    assert_eq!(found.records, left, "below {end}");
    let needed = in_use(all, &left, &found.empty);
    for (offset, producer) in &all.markers {
        let marker = found.markers.get(offset);
        if *offset >= end.0 {
            assert_eq!(marker, Some(&(*producer, false)), "{offset}");
        } else if needed.contains(offset) {
            assert_eq!(marker, Some(&(*producer, false)), "in use: {offset}");
        } else {
            assert!(marker.is_none_or(|m| m.1), "of nothing, without a horizon: {offset}");
        }
    }
}

fn last(store: &Store) -> Offset {
    store.with_log(id(), |l| l.segments().last().unwrap().name.base).unwrap()
}

struct Scene {
    world: World,
    node: NodeId,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let world = World::new(seed, SimConfig { capacity: 64 << 20, ..SimConfig::default() });
        let node = world.add_node();
        Self { world, node }
    }

    fn run<T: 'static, F: Future<Output = T> + 'static>(&self, f: impl FnOnce(Runtime) -> F) -> T {
        let rt = self.world.core(self.node, CoreId(0));
        let result = self.world.run(&rt, f(rt.clone())).expect_done();
        self.world.power_cut(self.node);
        result
    }

    /// With a log of transactions that have all ended.
    fn filled(seed: u64) -> (Self, Rc<Written>) {
        let scene = Self::new(seed);
        let all = scene.run(|rt| async move {
            let store = open(&rt).await;
            store.create(id(), partition_config());
            let mut w = writer(&store);
            w.rounds(30).await;
            w.written
        });
        (scene, Rc::new(all))
    }
}

#[test]
fn aborted_records_go_committed_ones_count_and_markers_go_last() {
    let (scene, all) = Scene::filled(41);
    let it = Rc::clone(&all);
    let end = scene.run(|rt| async move {
        let store = open(&rt).await;
        let report = compact(&store, PLENTY).await;
        let end = report.clean_end;
        assert!(report.after < report.before / 2, "{report:?}");
        let found = read(&store).await;
        check(&it, &found, end);
        let aged = |f: &Found| f.markers.values().filter(|m| m.1).count();
        assert!(aged(&found) > 20, "{found:?}");
        // The next pass, behind their horizon, takes those that nothing needs.
        rt.sleep(Duration::from_secs(2)).await;
        let mut w = writer(&store);
        w.written = (*it).clone();
        w.n = 1_000;
        w.sequences = store.with_log(id(), sequences).unwrap();
        w.rounds(12).await;
        let all = w.written;
        let report = compact(&store, PLENTY).await;
        let again = read(&store).await;
        check(&all, &again, report.clean_end);
        let old = again.markers.range(..end.0).filter(|(o, m)| m.1 && found.markers[o].1).count();
        assert_eq!(old, 0, "markers that had a horizon are gone: {again:?}");
        store.settle_compaction().await;
        check_files(&rt, &store).await;
        (all, report.clean_end, again)
    });
    let (all, end, before) = end;
    scene.run(|rt| async move {
        let store = open(&rt).await;
        let found = read(&store).await;
        assert_eq!(found, before);
        check(&all, &found, end);
        assert_eq!(store.with_log(id(), |l| l.producers().first_open_transaction()).unwrap(), None);
    });
}

/// The next sequence of each producer.
fn sequences(log: &log::Log) -> BTreeMap<ProducerId, i32> {
    log.producers().sorted().into_iter().map(|(id, p)| (id, p.last_sequence() + 1)).collect()
}

#[test]
fn nothing_at_or_above_an_open_transaction_is_touched() {
    let scene = Scene::new(42);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        store.create(id(), partition_config());
        let mut w = writer(&store);
        w.rounds(10).await;
        let from = store.with_log(id(), log::Log::end).unwrap();
        w.data(ProducerId(99), How::Open).await;
        w.rounds(20).await;
        let report = compact(&store, PLENTY).await;
        assert!(report.clean_end <= from && report.clean_end > Offset::ZERO, "{report:?}");
        let all = w.written.clone();
        let found = read(&store).await;
        assert_eq!(found.records, records(&all, report.clean_end.0));
        assert!(found.markers.range(from.0..).all(|(_, m)| !m.1));
        // Now it ends, and counts.
        for r in w.written.records.values_mut().filter(|r| r.1 == How::Open) {
            r.1 = How::Commit;
        }
        w.marker(ProducerId(99), EndTxn::Commit).await;
        w.rounds(5).await;
        let all = w.written.clone();
        let report = compact(&store, PLENTY).await;
        // All but a transaction whose marker is in the active segment.
        assert!(report.clean_end + 20 > last(&store), "{report:?}");
        check(&all, &read(&store).await, report.clean_end);
    });
}

#[test]
fn a_transaction_that_ends_in_the_active_segment_waits_for_it_to_be_sealed() {
    let scene = Scene::new(43);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        store.create(id(), partition_config());
        let mut w = writer(&store);
        w.rounds(4).await;
        let from = store.with_log(id(), log::Log::end).unwrap();
        w.data(ProducerId(99), How::Abort).await;
        for _ in 0..40 {
            w.data(ProducerId(21), How::Plain).await;
        }
        w.marker(ProducerId(99), EndTxn::Abort).await;
        store.flush().await;
        assert!(last(&store) > from, "the marker is in another segment");
        let report = compact(&store, PLENTY).await;
        assert_eq!((report.clean_end, report.ended_early), (from, Some(EndedEarly::Transaction)));
        let all = w.written.clone();
        check(&all, &read(&store).await, report.clean_end);
        let again = compact(&store, PLENTY).await;
        assert_eq!((again.clean_end, again.segments), (from, 0), "{again:?}");
        w.rounds(20).await;
        let report = compact(&store, PLENTY).await;
        assert!(report.clean_end + 20 > last(&store), "{report:?}");
        let all = w.written.clone();
        check(&all, &read(&store).await, report.clean_end);
    });
}

#[test]
fn a_map_that_fills_up_within_a_transaction_comes_to_the_same_end() {
    let (scene, all) = Scene::filled(44);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        let mut passes = 0;
        loop {
            let budget = CompactBudget { map_bytes: 24 * 5, ..PLENTY };
            let report = compact(&store, budget).await;
            passes += 1;
            check(&all, &read(&store).await, report.clean_end);
            match report.ended_early {
                None | Some(EndedEarly::Transaction) => break,
                Some(EndedEarly::MapFull) => {}
                other @ Some(EndedEarly::Interrupted) => panic!("{other:?}"),
            }
        }
        assert!(passes > 3, "{passes}");
    });
}

#[test]
fn a_power_cut_at_every_effect_leaves_a_log_that_compacts_to_the_same() {
    let pass = |scene: &Scene, cut: Option<u64>| {
        let rt = scene.world.core(scene.node, CoreId(0));
        let it = rt.clone();
        let store = scene.world.run(&rt, async move { open(&it).await }).expect_done();
        let before = scene.world.effects(scene.node);
        if let Some(n) = cut {
            scene.world.cut_after(scene.node, n);
        }
        let ran = scene.world.run(&rt, async move {
            compact(&store, PLENTY).await;
            store.settle_compaction().await;
        });
        if cut.is_none() {
            ran.expect_done();
        }
        let effects = scene.world.effects(scene.node) - before;
        scene.world.power_cut(scene.node);
        effects
    };
    let effects = pass(&Scene::filled(45).0, None);
    assert!(effects > 20, "{effects}");
    for n in (1..=effects).step_by(2) {
        let (scene, all) = Scene::filled(45);
        pass(&scene, Some(n));
        scene.run(|rt| async move {
            let store = open(&rt).await;
            let found = read(&store).await;
            for (offset, key) in records(&all, i64::MAX) {
                assert_eq!(found.records.get(&offset), Some(&key), "cut at {n}: offset {offset}");
            }
            store.remove_strays(id()).await.unwrap();
            let report = compact(&store, PLENTY).await;
            assert_eq!(report.clean_end, last(&store));
            check(&all, &read(&store).await, report.clean_end);
        });
    }
}

/// A producer's last batch stays for its sequence number, without a record. A batch of a transaction that no marker ends would
/// be one that is open for ever, for whoever follows the log.
#[test]
fn a_marker_stays_as_long_as_any_batch_of_its_transaction() {
    let scene = Scene::new(46);
    scene.run(|rt| async move {
        let store = open(&rt).await;
        store.create(id(), partition_config());
        let mut w = writer(&store);
        let (aborted, committed) = (ProducerId(7), ProducerId(8));
        w.data(aborted, How::Abort).await;
        w.data(committed, How::Commit).await;
        w.marker(aborted, EndTxn::Abort).await;
        w.marker(committed, EndTxn::Commit).await;
        for pass in 0..4 {
            // Every key again.
            for _ in 0..60 {
                w.data(ProducerId(21), How::Plain).await;
            }
            store.flush().await;
            let report = compact(&store, PLENTY).await;
            assert!(report.clean_end > Offset(20), "{report:?}");
            let found = read(&store).await;
            let empty: BTreeSet<ProducerId> = found.empty.values().copied().collect();
            assert_eq!(empty, BTreeSet::from([aborted, committed]), "pass {pass}");
            for (base, producer) in &found.empty {
                let ended = found.markers.range(base..).any(|(_, m)| m.0 == *producer);
                assert!(ended, "pass {pass}: nothing ends what {producer:?} has at {base}");
            }
            rt.sleep(Duration::from_secs(2)).await;
        }
        // When it has written again, both go: the batch, then the marker.
        for producer in [aborted, committed] {
            w.data(producer, How::Plain).await;
        }
        for _ in 0..2 {
            for _ in 0..60 {
                w.data(ProducerId(21), How::Plain).await;
            }
            store.flush().await;
            compact(&store, PLENTY).await;
            rt.sleep(Duration::from_secs(2)).await;
        }
        for _ in 0..60 {
            w.data(ProducerId(21), How::Plain).await;
        }
        store.flush().await;
        compact(&store, PLENTY).await;
        let found = read(&store).await;
        assert_eq!((found.empty, found.markers), (BTreeMap::new(), BTreeMap::new()));
    });
}
