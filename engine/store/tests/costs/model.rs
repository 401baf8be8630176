//! The design's model of what is written and synced, beside what the store counts under the same load.
//!
//! The model has a ring of 128 MiB, a commit each 2 ms, records of 170 B and partitions that are drawn evenly: all bytes written
//! over those of the batches, and files that checkpoints sync a minute. The store runs on the simulated disk, whose time is its
//! own, so the figures are the same on every machine. What is counted is all that the core writes: ring, segments and their
//! indexes, rest log, both copies of the manifest.
//!
//! With 10,000 partitions and few records the store once wrote a fifth more than the model: a checkpoint under way asked for another, and
//! the timer of empty commits did not look whether other commits had come.
//!
//! `cargo test -p ringwood-store --test costs model -- --include-ignored --nocapture` prints the whole table.

use crate::batches::{EPOCH, batch, partition};
use ids::{CoreId, Timestamp};
use ringwood_store::{Config, DataDir, PartitionConfig};
use runtime::sim::{SimConfig, World};
use std::path::Path;
use std::time::Duration;

const RING: u64 = 128 << 20;
const TICK: Duration = Duration::from_millis(2);
/// Of a batch with one record of 170 B, and of one of 16 KiB.
const SMALL: usize = 170;
const LARGE: usize = 16 << 10;

/// A row of the model.
#[derive(Clone, Copy)]
struct Row {
    partitions: i32,
    batches_per_second: u64,
    bytes: usize,
    seconds: u64,
    amplification: f64,
    files_per_minute: f64,
}

/// What the store counts.
#[derive(Debug)]
struct Counted {
    amplification: f64,
    files_per_minute: f64,
    checkpoints: u64,
    commits_per_second: f64,
    /// Of the commits.
    marks_per_second: f64,
    /// Parts of the amplification: ring, segments with their indexes, rest log, both copies of the manifest.
    parts: [f64; 4],
}

fn play(row: Row) -> Counted {
    let us = Duration::from_micros;
    let sim = SimConfig {
        memory_limit: 2 << 30,
        capacity: 64 << 30,
        write: (us(100), us(300)),
        sync: (us(300), us(700)),
        ..SimConfig::default()
    };
    let world = World::new(7, sim);
    let node = world.add_node();
    let rt = world.core(node, CoreId(0));
    let it = rt.clone();
    let body = async move {
        let data = DataDir::open(&it, Path::new("/data"), 1, RING).await.unwrap();
        let config = Config { ring_bytes: RING, free_bytes_min: 0, ..Config::default() };
        let usual = |_| PartitionConfig::default();
        let (store, _) = ringwood_store::open(&it, &data, CoreId(0), config, usual).await.unwrap();
        for n in 0..row.partitions {
            store.create(partition(n), PartitionConfig::default());
        }
        let (bytes, meta) = batch(1, &vec![1; row.bytes - 61]);
        let (mut random, mut sent, mut due) = (1u64, 0u64, 0u64);
        let ticks = row.seconds * 1000 / u64::try_from(TICK.as_millis()).unwrap();
        let (began, wrote) = (it.now(), it.counters().writes.bytes);
        for tick in 1..=ticks {
            due += row.batches_per_second * u64::try_from(TICK.as_millis()).unwrap();
            while sent * 1000 < due {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let to = i32::try_from((random >> 33) % u64::try_from(row.partitions).unwrap());
                store.admit(bytes.len()).await;
                store.append(partition(to.unwrap()), &bytes, &meta, EPOCH, Timestamp(1)).unwrap();
                sent += 1;
            }
            let next = began + TICK * u32::try_from(tick).unwrap();
            it.sleep(next.since(it.now())).await;
        }
        let minutes = it.now().since(began).as_secs_f64() / 60.0;
        let (counters, journal) = store.counters();
        let wrote = it.counters().writes.bytes - wrote;
        let of = |bytes: u64| bytes as f64 / (sent * row.bytes as u64) as f64;
        let known = journal.bytes + counters.rest_bytes + counters.manifest_bytes;
        let segments = of(wrote.saturating_sub(known));
        Counted {
            amplification: of(wrote),
            parts: [
                of(journal.bytes),
                segments,
                of(counters.rest_bytes),
                of(counters.manifest_bytes),
            ],
            files_per_minute: counters.syncs as f64 / minutes,
            checkpoints: counters.checkpoints,
            commits_per_second: journal.commits as f64 / minutes / 60.0,
            marks_per_second: journal.marks as f64 / minutes / 60.0,
        }
    };
    let counted = world.run(&rt, body).expect_done();
    world.kill(node);
    counted
}

/// Prints the row, and complains where the store is worse than the model by more than `room` times.
#[expect(clippy::print_stdout, reason = "it shows its figures")]
fn compare(row: Row, room: f64) {
    let c = play(row);
    println!(
        "{} partitions, {} batches/s of {} B: {:.2} times the bytes (model {:.1}): ring {:.2}, segments {:.2}, \
         rest log {:.2}, manifest {:.2}; {:.0} files/min (model {:.0}), {} checkpoints, {:.0} commits/s, {:.0} of them empty",
        row.partitions,
        row.batches_per_second,
        row.bytes,
        c.amplification,
        row.amplification,
        c.parts[0],
        c.parts[1],
        c.parts[2],
        c.parts[3],
        c.files_per_minute,
        row.files_per_minute,
        c.checkpoints,
        c.commits_per_second,
        c.marks_per_second
    );
    assert!(c.checkpoints >= 2, "too short to show anything: {c:?}");
    // Ring and segment or rest log: less than twice is a store that has not written something.
    assert!(c.amplification > 1.9, "{c:?}");
    // Commits come all the time: none is needed only to say that one was flushed.
    assert!(c.marks_per_second < 1.0, "{c:?}");
    assert!(c.amplification < row.amplification * room, "{c:?}");
    assert!(c.files_per_minute < row.files_per_minute * room, "{c:?}");
}

const FEW_RECORDS: Row = Row {
    partitions: 10_000,
    batches_per_second: 1_000,
    bytes: SMALL,
    seconds: 90,
    amplification: 13.5,
    files_per_minute: 2_200.0,
};

#[test]
fn the_store_writes_what_the_model_says_for_few_records_to_many_partitions() {
    compare(FEW_RECORDS, 1.1);
}

#[test]
fn the_store_writes_everything_twice_for_large_batches() {
    let row = Row {
        partitions: 16,
        batches_per_second: 4_000,
        bytes: LARGE,
        seconds: 5,
        amplification: 2.0,
        files_per_minute: 5_000.0,
    };
    compare(row, 1.25);
}

/// The rest of the table, for whoever changes what a checkpoint writes.
#[test]
#[ignore = "minutes"]
fn the_whole_model() {
    let many = |partitions, batches_per_second, seconds, amplification, files_per_minute| Row {
        partitions,
        batches_per_second,
        bytes: SMALL,
        seconds,
        amplification,
        files_per_minute,
    };
    for row in [
        FEW_RECORDS,
        many(10_000, 50_000, 30, 2.9, 102_000.0),
        many(100_000, 10_000, 60, 5.7, 23_000.0),
        many(100_000, 50_000, 30, 5.0, 122_000.0),
    ] {
        compare(row, 1.25);
    }
}
