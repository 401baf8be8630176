//! A log with gaps is cut back: wherever that is, what is left ends where its last batch does, so that a reader who comes in
//! order gets to the end, and so does the next pass.
//!
//! Every batch has an entry in the index, and the gaps lie before batches that have one: in the middle of segments and at
//! their beginning.

use super::{EPOCH, PLENTY, ROOT, Records, check_files, compact, compacted, id, parse, read_all};
use ids::{CoreId, Offset, ProducerEpoch, ProducerId, Timestamp};
use log::{Appended, BatchMeta};
use record::{BatchBuilder, Codec};
use ringwood_store as store;
use runtime::Runtime;
use runtime::sim::{NodeId, SimConfig, World};
use std::path::Path;
use std::rc::Rc;
use store::{Config, DataDir, PartitionConfig, Store};

const RING: u64 = 512 << 10;
const RECORDS: i64 = 3;
/// One batch in so many has keys of its own; all others have one key between them.
const OWN_ONE_IN: u64 = 5;

fn partition_config() -> PartitionConfig {
    let log =
        log::Config { segment_bytes: 12_000, index_interval_bytes: 1, ..log::Config::default() };
    PartitionConfig { log, fsync: true }
}

async fn open(rt: &Runtime) -> Store {
    let data = DataDir::open(rt, Path::new(ROOT), 1, RING).await.unwrap();
    let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
    let (store, report) =
        store::open(rt, &data, CoreId(0), config, |_| partition_config()).await.unwrap();
    assert!(report.incomplete.is_empty(), "{report:?}");
    store
}

async fn append(store: &Store, n: u64) -> Records {
    let from = store.with_log(id(), log::Log::end).unwrap();
    let mut b = BatchBuilder::new().codec(Codec::None);
    let mut records = Records::new();
    for r in 0..RECORDS {
        let own = n.is_multiple_of(OWN_ONE_IN);
        let key = if own { format!("own {n} {r}") } else { "all".to_owned() }.into_bytes();
        let value = vec![n.to_le_bytes()[0]; 500];
        b.push(Timestamp(1_000 + n.cast_signed()), Some(&key), Some(&value), &[]);
        records.insert(from.0 + r, (key, Some(value)));
    }
    let bytes = b.build().unwrap();
    let meta = BatchMeta {
        len: u32::try_from(bytes.len()).unwrap(),
        offsets: i32::try_from(RECORDS).unwrap(),
        max_timestamp: Timestamp(1_000 + n.cast_signed()),
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        transactional: false,
        control: false,
    };
    store.admit(bytes.len()).await;
    let appended = store.append(id(), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
    assert!(matches!(appended, Appended::New { base_offset, .. } if base_offset == from));
    records
}

/// A node with a log that has been compacted: what was written, and where its active segment begins.
struct Gapped {
    world: World,
    node: NodeId,
    all: Rc<Records>,
    last: Offset,
}

impl Gapped {
    /// The log's start may lie in the middle of it.
    fn new(start: i64) -> Self {
        let world = World::new(1, SimConfig { capacity: 64 << 20, ..SimConfig::default() });
        let node = world.add_node();
        let rt = world.core(node, CoreId(0));
        let it = rt.clone();
        let run = world.run(&rt, async move {
            let store = open(&it).await;
            store.create(id(), partition_config());
            let mut all = Records::new();
            for n in 1..60 {
                all.extend(append(&store, n).await);
            }
            store.checkpoint().await;
            let report = compact(&store, PLENTY).await.unwrap();
            store.settle_compaction().await;
            if start > 0 {
                store.advance_start(id(), Offset(start)).await.unwrap();
            }
            (all, report.clean_end)
        });
        let (all, last) = run.expect_done();
        world.power_cut(node);
        Self { world, node, all: Rc::new(all), last }
    }

    fn run<T: 'static, F: Future<Output = T> + 'static>(&self, f: impl FnOnce(Runtime) -> F) -> T {
        let rt = self.world.core(self.node, CoreId(0));
        let result = self.world.run(&rt, f(rt.clone())).expect_done();
        self.world.power_cut(self.node);
        result
    }
}

/// From every offset on a read comes to a batch that ends behind it.
async fn read_from_everywhere(store: &Store, why: &str) {
    let (start, end) = store.with_log(id(), |l| (l.start(), l.end())).unwrap();
    for at in start.0..end.0 {
        let read = store.read(id(), Offset(at), end, 1, true).await;
        let read = read.unwrap_or_else(|e| panic!("{why}: at {at} of {end}: {e}"));
        assert!(parse(&read, &mut Records::new()) > Offset(at), "{why}: at {at} of {end}");
    }
}

/// Cuts the log back to `to`, writes on, compacts again, and starts again.
fn cut_back_to(to: i64, start: i64) {
    let why = format!("cut back to {to}, from {start}");
    let scene = Gapped::new(start);
    let (all, last) = (Rc::clone(&scene.all), scene.last);
    let told = why.clone();
    let (end, left) = scene.run(move |rt| async move {
        let store = open(&rt).await;
        let before = read_all(&store).await;
        let end = store.truncate(id(), Offset(to)).await;
        let end = end.unwrap_or_else(|e| panic!("{told}: {e}"));
        assert_eq!(store.with_log(id(), log::Log::end).unwrap(), end);
        // In front of the batch that holds it, and behind the last one that is left.
        let floor = before.range(..end.0.max(0)).next_back().map_or(start, |(o, _)| *o);
        let held = Offset(to - (to % RECORDS)).max(Offset(start));
        assert!(end <= Offset(to).max(Offset(start)) && end.0 >= floor, "{told}: {end}");
        assert!(before.range(end.0..held.0).next().is_none(), "{told}: more than asked, to {end}");
        let mut left = before;
        left.retain(|o, _| *o < end.0);
        if !left.is_empty() {
            assert_eq!(read_all(&store).await, left, "{told}");
        }
        read_from_everywhere(&store, &told).await;
        for n in 100..130 {
            left.extend(append(&store, n).await);
        }
        store.flush().await;
        read_from_everywhere(&store, &told).await;
        assert_eq!(read_all(&store).await, left, "{told}");
        let report = compact(&store, PLENTY).await.unwrap_or_else(|e| panic!("{told}: {e}"));
        assert_eq!(report.ended_early, None, "{told}");
        let expected = compacted(&left, report.clean_end);
        assert_eq!(read_all(&store).await, expected, "{told}");
        read_from_everywhere(&store, &told).await;
        store.settle_compaction().await;
        store.remove_strays(id()).await.unwrap();
        check_files(&rt, &store).await;
        (report.clean_end, expected)
    });
    assert!(end.0 > to.min(last.0), "{why}: compacted to {end}");
    assert!(left.len() < all.len());
    scene.run(move |rt| async move {
        let store = open(&rt).await;
        assert_eq!(read_all(&store).await, left, "{why}, after a start");
        read_from_everywhere(&store, &why).await;
    });
}

#[test]
fn a_log_with_gaps_can_be_cut_back_to_every_offset() {
    let scene = Gapped::new(0);
    let gaps = scene.run(|rt| async move {
        let store = open(&rt).await;
        let found = read_all(&store).await;
        let offsets: Vec<i64> = found.keys().copied().collect();
        let inside = offsets.windows(2).filter(|w| w[1] - w[0] > 1).count();
        let firsts = |l: &log::Log| {
            l.segments().iter().filter(|s| s.compacted).map(|s| s.name.base.0).collect::<Vec<_>>()
        };
        let bases = store.with_log(id(), firsts).unwrap();
        let at_the_front = bases.iter().filter(|b| !found.contains_key(b)).count();
        (inside, at_the_front, bases.len())
    });
    assert!(gaps.0 > 5 && gaps.1 > 0 && gaps.2 > 1, "{gaps:?}");
    for to in 1..scene.last.0 + 2 * RECORDS {
        cut_back_to(to, 0);
    }
}

#[test]
fn so_can_one_that_begins_in_a_gap() {
    for start in [7, 40] {
        for to in start + 1..start + 40 {
            cut_back_to(to, start);
        }
    }
}
