//! `Store::append` as a whole: the log's decision, the copy to the tail, the copy to the commit.
//!
//! Only the calls themselves are timed; writes, flushes and checkpoints go on between them on the same core, as in a broker.

use super::{meta, valid};
use crate::load::batch_of;
use ids::{CoreId, LeaderEpoch, PartitionId, PartitionIndex, Timestamp, TopicId};
use runtime::{RuntimeConfig, run};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};
use store::{Config, DataDir, PartitionConfig};

/// Appends between two flushes.
const RUN: u64 = 64;

/// The time that `count` appends of one batch of `bytes` bytes take, to a fresh store in `directory`.
///
/// # Errors
/// The store cannot be opened, or refuses.
pub fn store_append(directory: &Path, bytes: usize, count: u64) -> io::Result<Duration> {
    let batch = batch_of(bytes, 3).map_err(io::Error::other)?;
    let meta = meta(valid(&batch)?.header());
    let data = directory.join(format!("ringwood-bench-store-{}", std::process::id()));
    let config = RuntimeConfig { core: CoreId(0), memory_limit: 256 << 20, pin: None };
    let path = data.clone();
    let timed = run(&config, move |rt| async move {
        let ring_bytes = 64 << 20;
        let log = log::Config::default();
        let partition = PartitionConfig { log, fsync: true };
        let data = DataDir::open(&rt, &path, 1, ring_bytes).await.map_err(other)?;
        let config = Config { ring_bytes, free_bytes_min: 0, ..Config::default() };
        let opened = store::open(&rt, &data, CoreId(0), config, |_| partition).await;
        let (store, _) = opened.map_err(other)?;
        let id = PartitionId { topic: TopicId([9; 16]), index: PartitionIndex(0) };
        store.create(id, partition);
        let (mut timed, mut done) = (Duration::ZERO, 0);
        while done < count {
            let run = RUN.min(count - done);
            for _ in 0..run {
                store.admit(batch.len()).await;
                let begun = Instant::now();
                let appended = store.append(id, &batch, &meta, LeaderEpoch(0), Timestamp(1));
                timed += begun.elapsed();
                appended.map_err(other)?;
            }
            store.flush().await;
            done += run;
        }
        store.close().await;
        Ok(timed)
    });
    std::fs::remove_dir_all(&data)?;
    timed?
}

fn other(e: impl std::fmt::Display) -> io::Error {
    io::Error::other(e.to_string())
}
