//! A world from a seed: how large, how slow, how many.

use crate::random::Random;
use ringwood_store::{Config, PartitionConfig, Thresholds};
use runtime::sim::SimConfig;
use std::time::Duration;

/// What a seed decides.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) seed: u64,
    pub(crate) sim: SimConfig,
    pub(crate) cores: u16,
    pub(crate) store: Config,
    pub(crate) log: log::Config,
    /// Partitions of each topic, and whether an ack waits for the flush.
    pub(crate) topics: Vec<(i32, bool)>,
    pub(crate) clients: u64,
    /// Requests of the first life, per round, and how many rounds it has.
    pub(crate) requests: u64,
    pub(crate) rounds: u64,
    /// An image is taken about once in so many effects of the disk.
    pub(crate) gap: u64,
    /// The largest body of a batch, and how often one of that size comes.
    pub(crate) body_max: u64,
    pub(crate) large_one_in: u64,
    pub(crate) body_usual: u64,
    /// The mean pause between two requests of a client, in microseconds.
    pub(crate) pause: u64,
    /// The disk is full for a while.
    pub(crate) fills_up: bool,
    /// A write or a sync fails once.
    pub(crate) breaks: bool,
    /// Segments are dropped again and again while checkpoints are under way.
    pub(crate) drops: bool,
    /// So are logs cut back.
    pub(crate) cuts: bool,
    /// Some topics are compacted.
    pub(crate) compacts: bool,
}

const MS: fn(u64) -> Duration = Duration::from_millis;

impl Settings {
    pub(crate) fn draw(seed: u64, images: u64) -> Self {
        let mut r = Random::new(seed ^ 0x5e77_1265);
        // So many clients in such a hurry that the ring is nearly full most of the time: what a checkpoint gives back is
        // written over at once.
        let mut own = Random::new(seed ^ 0xa7_0ce);
        let (at_once, crowded, drops) = (own.pick(&[1, 3, 32]), own.one_in(6), own.one_in(4));
        let mut files = Random::new(seed ^ 0xf1_1e5);
        let kept = files.pick(&[0, 1, 512]);
        let strays_after = MS(Random::new(seed ^ 0x57_4a5).pick(&[1, 20, 5_000]));
        let compacts = Random::new(seed ^ 0xc0_4ac7).one_in(3);
        let ring =
            r.pick(&[64 << 10, 64 << 10, 128 << 10, 128 << 10, 256 << 10, 512 << 10, 1 << 20]);
        let ring = if crowded { 64 << 10 } else { ring };
        let cores = r.pick(&[1, 1, 2, 3]);
        let largest = ring / 8 - 4096;
        let segment = r.pick(&[8 << 10, 16 << 10, 64 << 10, 256 << 10]).max(largest);
        // Very many very small batches: whole blocks of the index.
        let tiny = r.one_in(8) && !crowded;
        let segment = if tiny { 256 << 10 } else { segment };
        let log = log::Config {
            segment_bytes: u32::try_from(segment).unwrap(),
            index_interval_bytes: if tiny { 1 } else { r.pick(&[1, 512, 4096]) },
            ..log::Config::default()
        };
        let (partitions, hot) = (r.between(1, 50), r.one_in(4));
        let partitions = if hot || tiny { r.between(1, 3) } else { partitions };
        let mut topics = Vec::new();
        let mut left = i32::try_from(partitions).unwrap();
        while left > 0 {
            let n = i32::try_from(r.between(1, 6)).unwrap().min(left);
            topics.push((n, !r.one_in(if tiny { 2 } else { 4 })));
            left -= n;
        }
        let us = Duration::from_micros;
        let slow = r.pick(&[1, 1, 3]);
        // So little that tails have to go.
        let scarce = r.one_in(2);
        let memory_limit =
            if scarce { usize::try_from(ring).unwrap() * 3 + (2 << 20) } else { 64 << 20 };
        let sim = SimConfig {
            memory_limit,
            sector: r.pick(&[512, 4096]),
            capacity: 256 << 20,
            write: (us(20), us(2_000 * slow)),
            read: (us(1), us(50)),
            sync: (us(50), us(4_000 * slow)),
            names: (us(5), us(300 * slow)),
            short_writes_per_million: r.pick(&[0, 0, 300]),
            patience: Duration::from_secs(600),
            ..SimConfig::default()
        };
        let thresholds = Thresholds {
            write_bytes: r.pick(&[8 << 10, 32 << 10, 256 << 10]),
            blocks_due: r.pick(&[4 << 10, 16 << 10]),
            rewrite_min: r.pick(&[8 << 10, 24 << 10, 256 << 10]),
            allocate: r.pick(&[8 << 10, 64 << 10, 1 << 20]),
            partitions_at_once: at_once,
            open_files_kept: kept,
            ..Thresholds::default()
        };
        let mut log = log;
        if compacts {
            // Few logs of many segments.
            log.segment_bytes = 8 << 10;
            topics.truncate(2);
            for (n, _) in &mut topics {
                *n = (*n).min(2);
            }
        }
        let store = Config {
            ring_bytes: ring,
            flush_every: MS(if tiny { 30 } else { r.pick(&[5, 30]) }),
            free_bytes_min: 0,
            strays_after,
            thresholds,
        };
        let body_usual = if tiny { 16 } else { r.pick(&[60, 300, 1500]).min(largest - 100) };
        // About so many effects come of one request; the whole is divided so that each world yields its share of images.
        let (requests, rounds) = (r.between(120, 400) * if tiny { 5 } else { 1 }, r.between(1, 3));
        let body_usual = if compacts { 1_500 } else { body_usual };
        let gap = (requests * rounds * 3 / images.max(1) / if tiny { 5 } else { 1 }).max(1);
        Self {
            seed,
            sim,
            cores,
            store,
            log,
            topics,
            clients: if crowded { 10 } else { r.between(1, 5) },
            requests: if compacts { requests * 2 } else { requests },
            rounds,
            gap,
            body_max: if compacts { (largest - 100).min(3_000) } else { largest - 100 },
            large_one_in: if tiny { 10_000 } else { r.pick(&[10, 40, 200]) },
            body_usual: if crowded { 3_000 } else { body_usual },
            pause: if tiny || crowded { 30 } else { r.pick(&[50, 300, 1500]) },
            fills_up: r.one_in(5),
            breaks: r.one_in(5),
            drops,
            cuts: own.one_in(4),
            compacts,
        }
    }

    pub(crate) fn partition(&self, fsync: bool) -> PartitionConfig {
        PartitionConfig { log: self.log, fsync }
    }
}
