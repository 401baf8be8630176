//! What was durable before a process ended without a word is there, byte for byte, when the next one starts.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use ids::{
    CoreId, LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, Timestamp,
    TopicId,
};
use log::{Appended, BatchMeta};
use ringwood_store as store;
use ringwood_store::{Config, DataDir, PartitionConfig, Report, Store};
use runtime::{RuntimeConfig, run};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;

const EPOCH: LeaderEpoch = LeaderEpoch(3);

/// A batch of `count` records whose body is `body`; its CRC is right.
fn batch(count: i32, body: &[u8]) -> (Vec<u8>, BatchMeta) {
    let len = 61 + body.len();
    let mut b = vec![0; len];
    b[8..12].copy_from_slice(&i32::try_from(len - 12).unwrap().to_be_bytes());
    b[16] = 2;
    b[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    b[35..43].copy_from_slice(&1_700_000_000_000i64.to_be_bytes());
    b[43..51].copy_from_slice(&(-1i64).to_be_bytes());
    b[51..53].copy_from_slice(&(-1i16).to_be_bytes());
    b[53..57].copy_from_slice(&(-1i32).to_be_bytes());
    b[57..61].copy_from_slice(&count.to_be_bytes());
    b[61..].copy_from_slice(body);
    let crc = crc32c::crc32c(&b[21..]);
    b[17..21].copy_from_slice(&crc.to_be_bytes());
    let meta = BatchMeta {
        len: u32::try_from(len).unwrap(),
        offsets: count,
        max_timestamp: Timestamp(1_700_000_000_000),
        producer_id: ProducerId::NONE,
        producer_epoch: ProducerEpoch::NONE,
        base_sequence: -1,
        transactional: false,
        control: false,
    };
    (b, meta)
}

fn partition(n: i32) -> PartitionId {
    PartitionId { topic: TopicId([9; 16]), index: PartitionIndex(n) }
}

fn small() -> PartitionConfig {
    let log = log::Config { segment_bytes: 100_000, ..log::Config::default() };
    PartitionConfig { log, fsync: true }
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let dir =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        Self(dir)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn with_store<T: 'static, F>(dir: &Path, body: impl FnOnce(Store, Report) -> F + 'static) -> T
where
    F: Future<Output = T> + 'static,
{
    let dir = dir.to_owned();
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 64 << 20, pin: None };
    run(&config, move |rt| async move {
        let ring = 512 << 10;
        let data = DataDir::open(&rt, &dir, 1, ring).await.unwrap();
        let config = Config { ring_bytes: ring, free_bytes_min: 0, ..Config::default() };
        let (store, report) =
            store::open(&rt, &data, CoreId(0), config, |_| small()).await.unwrap();
        body(store, report).await
    })
    .unwrap()
}

async fn read_all(store: &Store, id: PartitionId) -> Vec<u8> {
    let (mut at, end) = store.with_log(id, |l| (l.start(), l.end())).unwrap();
    let mut all = Vec::new();
    while at < end {
        let read = store.read(id, at, end, 30_000, true).await.unwrap();
        assert!(read.bytes > 0, "nothing at {at} of {end}");
        let bytes: Vec<u8> = read.slices.iter().flat_map(|s| s.to_vec()).collect();
        assert_eq!(bytes.len(), read.bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let base = i64::from_be_bytes(rest[..8].try_into().unwrap());
            let len = 12 + i32::from_be_bytes(rest[8..12].try_into().unwrap()) as usize;
            let delta = i32::from_be_bytes(rest[23..27].try_into().unwrap());
            assert_eq!(Offset(base), at, "offsets continue");
            at = Offset(base + i64::from(delta) + 1);
            rest = &rest[len..];
        }
        all.extend(bytes);
    }
    all
}

type Model = BTreeMap<PartitionId, Vec<u8>>;

/// Appends for a while; what has become durable goes into the model.
async fn load(store: &Store, rounds: u64, seed: u64, model: &Rc<RefCell<Model>>) {
    let mut x = seed;
    let mut next = move || {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        x
    };
    for n in 0..7 {
        store.create(partition(n), small());
    }
    let mut pending: BTreeMap<PartitionId, Vec<u8>> = BTreeMap::new();
    for round in 0..rounds {
        let id = partition(i32::try_from(next() % 7).unwrap());
        let size = if next() % 40 == 0 { 40_000 } else { usize::try_from(next() % 900).unwrap() };
        let count = 1 + i32::try_from(next() % 9).unwrap();
        let body: Vec<u8> = (0..size).map(|i| (i as u64 * 31 + round) as u8).collect();
        let (bytes, meta) = batch(count, &body);
        store.admit(bytes.len()).await;
        let appended = store.append(id, &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
        let Appended::New { base_offset, .. } = appended else { panic!("a duplicate") };
        let mut stored = bytes;
        stored[..8].copy_from_slice(&base_offset.0.to_be_bytes());
        stored[12..16].copy_from_slice(&EPOCH.0.to_be_bytes());
        pending.entry(id).or_default().extend(stored);
        if next() % 5 == 0 {
            store.flush().await;
            for (id, bytes) in std::mem::take(&mut pending) {
                model.borrow_mut().entry(id).or_default().extend(bytes);
            }
        }
    }
}

#[test]
fn what_was_durable_is_there_after_every_restart() {
    let dir = Scratch::new("reopen");
    let mut model = Model::new();
    let mut checkpoints = 0;
    for seed in 1..12u64 {
        let before = model.clone();
        let (after, counters, wraps) = with_store(&dir.0, move |store, report| async move {
            assert!(report.incomplete.is_empty(), "{report:?}");
            let mut start = Model::new();
            for (id, durable) in &before {
                let found = read_all(&store, *id).await;
                assert!(
                    found.starts_with(durable),
                    "{id} lost something: {} < {}",
                    found.len(),
                    durable.len()
                );
                start.insert(*id, found);
            }
            let model = Rc::new(RefCell::new(start));
            load(&store, 700, seed * 7919, &model).await;
            let (counters, journal) = store.counters();
            if seed % 4 == 0 {
                store.close().await;
            }
            (model.borrow().clone(), counters, journal.wraps)
        });
        checkpoints += counters.checkpoints;
        assert!(wraps > 0, "the ring never wrapped");
        model = after;
    }
    assert!(checkpoints > 10, "only {checkpoints} checkpoints");
    assert!(model.values().all(|b| b.len() > 300_000), "segments never rolled");
}

#[test]
fn retention_and_deletion_survive_a_restart() {
    let dir = Scratch::new("retention");
    let model = Rc::new(RefCell::new(Model::new()));
    with_store(&dir.0, |store, _| async move {
        load(&store, 900, 42, &model).await;
        store.flush().await;
        let end = store.with_log(partition(1), log::Log::end).unwrap();
        assert_eq!(store.advance_start(partition(1), end).await, Ok(end));
        assert_eq!(store.advance_start(partition(2), Offset(50)).await, Ok(Offset(50)));
        store.delete(partition(3)).await.unwrap();
    });
    with_store(&dir.0, |store, _| async move {
        let (start, end) = store.with_log(partition(1), |l| (l.start(), l.end())).unwrap();
        assert_eq!(start, end);
        assert!(end > Offset(0), "offsets never restart");
        assert_eq!(store.with_log(partition(2), log::Log::start), Ok(Offset(50)));
        assert!(store.with_log(partition(3), log::Log::end).is_err());
        let (bytes, meta) = batch(1, b"next");
        let appended = store.append(partition(1), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
        assert!(matches!(appended, Appended::New { base_offset, .. } if base_offset == end));
    });
}
