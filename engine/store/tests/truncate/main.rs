//! A log is cut back, and after every power cut it is what was left of it.
#![expect(clippy::unwrap_used, reason = "a test stops where something is wrong")]

#[path = "../scene/batches.rs"]
#[expect(dead_code, reason = "other scenes use the rest")]
mod batches;

use batches::{batch, batch_of, partition};
use ids::{CoreId, LeaderEpoch, Offset, ProducerId, Timestamp};
use log::{AppendError, Appended, BatchMeta, SequenceError};
use ringwood_store as store;
use ringwood_store::inspect::Inspector;
use ringwood_store::{Config, DataDir, PartitionConfig, Refusal, Store, Thresholds, TruncateError};
use runtime::sim::{NodeId, SimConfig, World};
use std::path::Path;

const RING: u64 = 1 << 20;
const ROOT: &str = "/data";
const T0: i64 = 1_700_000_000_000;

/// Segments of 20,000 bytes, with an index entry for every batch.
fn small() -> PartitionConfig {
    let log =
        log::Config { segment_bytes: 20_000, index_interval_bytes: 1, ..log::Config::default() };
    PartitionConfig { log, fsync: true }
}

/// One broker on one disk.
struct Node {
    world: World,
    node: NodeId,
}

impl Node {
    fn new(seed: u64) -> Self {
        let world = World::new(seed, SimConfig::default());
        let node = world.add_node();
        Self { world, node }
    }

    /// A life: from the start to a power cut. Nothing may be incomplete.
    fn life<T: 'static>(&self, body: impl AsyncFnOnce(Store) -> T + 'static) -> T {
        let rt = self.world.core(self.node, CoreId(0));
        let it = rt.clone();
        let told = self
            .world
            .run(&rt, async move {
                let data = DataDir::open(&it, Path::new(ROOT), 1, RING).await.unwrap();
                let thresholds = Thresholds { blocks_due: 4096, ..Thresholds::default() };
                let config =
                    Config { ring_bytes: RING, free_bytes_min: 0, thresholds, ..Config::default() };
                let (store, report) =
                    store::open(&it, &data, CoreId(0), config, |_| small()).await.unwrap();
                assert!(report.incomplete.is_empty(), "{report:?}");
                store.create(partition(0), small());
                body(store).await
            })
            .expect_done();
        self.world.power_cut(self.node);
        told
    }

    /// What `storage verify` says of the disk after the cut: nothing is damaged.
    fn verify(&self) {
        let copy = self.world.fork(7);
        let rt = copy.core(self.node, CoreId(0));
        let it = rt.clone();
        copy.run(&rt, async move {
            let inspector = Inspector::open(&it, Path::new(ROOT)).await.unwrap();
            let verified = inspector.verify(|_| {}, |finding| panic!("{finding:?}")).await;
            assert_eq!(verified.damaged, 0);
        })
        .expect_done();
    }
}

fn with_time((mut bytes, mut meta): (Vec<u8>, BatchMeta), time: i64) -> (Vec<u8>, BatchMeta) {
    bytes[35..43].copy_from_slice(&time.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    meta.max_timestamp = Timestamp(time);
    (bytes, meta)
}

/// Appends in epoch `epoch`; the answer.
async fn put(
    store: &Store,
    (bytes, meta): (Vec<u8>, BatchMeta),
    epoch: i32,
) -> Result<Appended, Refusal> {
    store.admit(bytes.len()).await;
    store.append(partition(0), &bytes, &meta, LeaderEpoch(epoch), Timestamp(1))
}

/// Batch `n` has two records and says which one it is.
fn numbered(n: u32, body: usize) -> (Vec<u8>, BatchMeta) {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.resize(body, 7);
    with_time(batch(2, &bytes), T0 + i64::from(n))
}

async fn put_many(store: &Store, numbers: std::ops::Range<u32>, body: usize, epoch: i32) {
    for n in numbers {
        put(store, numbered(n, body), epoch).await.unwrap();
    }
}

/// The numbers of all batches, read in order.
async fn numbers(store: &Store) -> Vec<u32> {
    let bytes = batches::read_all(store, partition(0)).await;
    let mut rest = &bytes[..];
    let mut all = Vec::new();
    while !rest.is_empty() {
        let len = 12 + i32::from_be_bytes(rest[8..12].try_into().unwrap()) as usize;
        all.push(u32::from_be_bytes(rest[61..65].try_into().unwrap()));
        rest = &rest[len..];
    }
    all
}

async fn cut(store: &Store, to: i64) -> i64 {
    store.truncate(partition(0), Offset(to)).await.unwrap().0
}

#[test]
fn a_log_in_memory_is_cut_and_goes_on() {
    let node = Node::new(1);
    node.life(async |store| {
        put_many(&store, 0..10, 500, 1).await;
        assert_eq!(cut(&store, 20).await, 20, "its end");
        assert_eq!(cut(&store, 99).await, 20, "beyond its end");
        // Offset 13 is the second record of batch 6.
        assert_eq!(cut(&store, 13).await, 12);
        let progress = store.progress(partition(0)).unwrap();
        assert_eq!((progress.written, progress.durable), (Offset(12), Offset(12)));
        assert_eq!(numbers(&store).await, [0, 1, 2, 3, 4, 5]);
        put_many(&store, 100..103, 500, 2).await;
        store.flush().await;
    });
    node.verify();
    node.life(async |store| {
        assert_eq!(numbers(&store).await, [0, 1, 2, 3, 4, 5, 100, 101, 102]);
        let names = store
            .with_log(partition(0), |l| {
                l.segments().iter().map(|s| (s.name.base.0, s.name.creation)).collect::<Vec<_>>()
            })
            .unwrap();
        assert_eq!(names, [(0, 0), (12, 1)], "no block is written twice");
        assert_eq!(store.with_log(partition(0), log::Log::generation).unwrap(), 1);
    });
}

#[test]
fn a_truncation_that_nobody_flushed_an_append_behind_is_durable_itself() {
    let node = Node::new(2);
    node.life(async |store| {
        put_many(&store, 0..10, 500, 1).await;
        assert_eq!(cut(&store, 8).await, 8);
    });
    node.life(async |store| assert_eq!(numbers(&store).await, [0, 1, 2, 3]));
}

#[test]
fn rolled_segments_go_and_a_segment_begins_again_at_the_same_offset() {
    let node = Node::new(3);
    let bases = node.life(async |store| {
        put_many(&store, 0..60, 1_000, 1).await;
        store.checkpoint().await;
        let bases = store
            .with_log(partition(0), |l| {
                l.segments().iter().map(|s| s.name.base.0).collect::<Vec<_>>()
            })
            .unwrap();
        assert!(bases.len() >= 4, "{bases:?}");
        // Exactly where the third one began, and again, a little behind.
        assert_eq!(cut(&store, bases[2]).await, bases[2]);
        put_many(&store, 200..204, 1_000, 2).await;
        assert_eq!(cut(&store, bases[2]).await, bases[2]);
        put_many(&store, 300..330, 1_000, 2).await;
        store.flush().await;
        bases
    });
    node.verify();
    let at = u32::try_from(bases[2] / 2).unwrap();
    node.life(async move |store| {
        let expected: Vec<u32> = (0..at).chain(300..330).collect();
        assert_eq!(numbers(&store).await, expected);
        let third = store.with_log(partition(0), |l| l.segments()[2].name).unwrap();
        assert_eq!(third.base.0, bases[2]);
        assert!(third.creation > 3, "{third} had another creation number before");
        store.checkpoint().await;
    });
    node.verify();
}

#[test]
fn a_cut_in_a_cold_segment_keeps_its_index_and_its_times() {
    let node = Node::new(4);
    node.life(async |store| {
        // 81 bytes each: 246 in a segment. The largest time is in front of the cut, and larger ones behind it.
        for n in 0..700_u32 {
            let time = if n == 31 { T0 + 600 } else { T0 + i64::from(n) };
            put(&store, with_time(numbered(n, 20), time), 1).await.unwrap();
        }
        store.checkpoint().await;
        store.close().await;
    });
    let look = async |store: &Store, end: i64| {
        for offset in (0..end).step_by(7) {
            let read = store
                .read(partition(0), Offset(offset), Offset(end), 1, true)
                .await
                .unwrap_or_else(|e| panic!("{offset}: {e}"));
            assert_eq!(read.slices[0][..8], (offset / 2 * 2).to_be_bytes(), "offset {offset}");
        }
        let most = store.batch_of_max_timestamp(partition(0)).await.unwrap().unwrap();
        assert_eq!(most.slices[0][..8], 62_i64.to_be_bytes());
        let at = store.batch_at_time(partition(0), Timestamp(T0 + 90), Offset(0)).await.unwrap();
        assert_eq!(at.unwrap().slices[0][..8], 62_i64.to_be_bytes(), "the first that late");
        let none = store.batch_at_time(partition(0), Timestamp(T0 + 601), Offset(0)).await.unwrap();
        assert!(none.is_none(), "what was cut is not found by its time");
    };
    node.life(async move |store| {
        assert_eq!(cut(&store, 201).await, 200);
        look(&store, 200).await;
        store.checkpoint().await;
        look(&store, 200).await;
    });
    node.verify();
    node.life(async move |store| {
        look(&store, 200).await;
        // Once more, in the segment that was cut.
        assert_eq!(cut(&store, 150).await, 150);
        put_many(&store, 400..402, 20, 3).await;
        store.flush().await;
    });
    node.verify();
    node.life(async |store| {
        let expected: Vec<u32> = (0..75).chain(400..402).collect();
        assert_eq!(numbers(&store).await, expected);
    });
}

#[test]
fn producers_go_on_behind_their_last_batch_that_is_left() {
    let (cut_short, untouched, new) = (ProducerId(5), ProducerId(6), ProducerId(7));
    let check = async move |store: &Store| {
        let of = async |id, sequence| put(store, batch_of(id, sequence, 1, b"again"), 1).await;
        let known = of(cut_short, 2).await;
        assert!(matches!(known, Ok(Appended::Duplicate(b)) if b.last_offset == Offset(3)));
        assert_eq!(
            of(cut_short, 4).await,
            Err(Refusal::Append(AppendError::Sequence(SequenceError::OutOfOrder {
                expected: 3,
                got: 4
            })))
        );
        let other = of(untouched, 0).await;
        assert!(matches!(other, Ok(Appended::Duplicate(b)) if b.last_offset == Offset(0)));
        assert!(store.with_log(partition(0), |l| l.producers().get(new).is_none()).unwrap());
    };
    let node = Node::new(5);
    node.life(async move |store| {
        put(&store, batch_of(untouched, 0, 1, b"once"), 1).await.unwrap();
        // All of its last five are cut: only the log says that 2 was the last.
        for sequence in 0..9 {
            put(&store, batch_of(cut_short, sequence, 1, b"first"), 1).await.unwrap();
        }
        put(&store, batch_of(new, 0, 1, b"new"), 1).await.unwrap();
        assert_eq!(cut(&store, 4).await, 4);
        check(&store).await;
    });
    node.life(async move |store| {
        check(&store).await;
        store.checkpoint().await;
    });
    node.life(async move |store| {
        check(&store).await;
        let next = put(&store, batch_of(cut_short, 3, 1, b"another"), 2).await;
        assert!(matches!(next, Ok(Appended::New { base_offset: Offset(4), .. })));
    });
}

#[test]
fn epochs_end_where_the_log_does() {
    let node = Node::new(6);
    node.life(async |store| {
        put_many(&store, 0..4, 100, 1).await;
        put_many(&store, 4..8, 100, 5).await;
        assert_eq!(cut(&store, 6).await, 6);
        // The leader of epoch 3 never saw what was written in epoch 5.
        put_many(&store, 50..52, 100, 3).await;
        store.flush().await;
    });
    node.life(async |store| {
        let ends = store
            .with_log(partition(0), |l| {
                [1, 3, 5].map(|e| l.end_of_epoch(LeaderEpoch(e))).map(|e| (e.epoch.0, e.end.0))
            })
            .unwrap();
        assert_eq!(ends, [(1, 6), (3, 10), (3, 10)]);
    });
}

#[test]
fn of_a_log_that_is_cut_to_its_start_or_below_nothing_is_left() {
    let node = Node::new(7);
    node.life(async |store| {
        put_many(&store, 0..10, 3_000, 1).await;
        store.advance_start(partition(0), Offset(7)).await.unwrap();
        // Into the batch that the log begins inside of: what is left of it begins at the start.
        assert_eq!(cut(&store, 8).await, 8);
        let bounds = |l: &log::Log| (l.start().0, l.end().0, l.segments().len());
        assert_eq!(store.with_log(partition(0), bounds).unwrap(), (7, 8, 1));
        assert_eq!(cut(&store, 7).await, 7);
        assert_eq!(store.with_log(partition(0), bounds).unwrap(), (7, 7, 0));
        put_many(&store, 20..22, 100, 1).await;
        assert_eq!(cut(&store, 3).await, 3, "the leader's log ends below this one's start");
        assert_eq!(store.with_log(partition(0), bounds).unwrap(), (3, 3, 0));
        put_many(&store, 30..32, 100, 2).await;
        store.checkpoint().await;
    });
    node.verify();
    node.life(async |store| {
        assert_eq!(numbers(&store).await, [30, 31]);
        assert_eq!(store.with_log(partition(0), |l| (l.start().0, l.end().0)).unwrap(), (3, 7));
    });
}

#[test]
fn what_is_not_here_is_not_cut() {
    let node = Node::new(8);
    node.life(async |store| {
        let unknown = store.truncate(partition(9), Offset(1)).await;
        assert_eq!(unknown, Err(TruncateError::Refused(Refusal::UnknownPartition)));
        assert_eq!(cut(&store, 5).await, 0, "an empty log has nothing to cut");
    });
}

#[test]
fn what_a_reader_got_before_stays_what_it_was() {
    let node = Node::new(9);
    node.life(async |store| {
        put_many(&store, 0..4, 100, 1).await;
        let read = store.read(partition(0), Offset(0), Offset(8), 10_000, true).await.unwrap();
        let before: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        assert_eq!(cut(&store, 4).await, 4);
        put_many(&store, 90..92, 100, 1).await;
        let after: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        assert_eq!(before, after);
    });
}
