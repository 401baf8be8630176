//! What the store reads of the broker's configuration, and what is worth a write.

use std::time::Duration;

/// What the store reads of the broker's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Bytes of the ring of each core; four files, each at least twice the largest batch.
    pub ring_bytes: u64,
    /// How long data of topics that ask for no flush may stay unflushed (`flush.ms` of the broker).
    pub flush_every: Duration,
    /// Below this many free bytes on the file system writes are refused.
    pub free_bytes_min: u64,
    /// After so long the files that a crash has left are looked for, if no checkpoint comes before. Not the operator's.
    pub strays_after: Duration,
    /// What is worth a write.
    pub thresholds: Thresholds,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ring_bytes: 64 << 20,
            flush_every: Duration::from_secs(1),
            free_bytes_min: 1 << 30,
            strays_after: Duration::from_secs(5),
            thresholds: Thresholds::default(),
        }
    }
}

/// From which sizes on a write, or a new file, is worth its price. Not the operator's: tests make them small, so that a small
/// world sees all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A tail of this many flushed bytes is written to its segment without waiting for a checkpoint; whole blocks.
    pub write_bytes: u32,
    /// A checkpoint writes whole blocks to the segment once this many bytes of them are due; less goes to the rest log.
    pub blocks_due: u32,
    /// Manifest and rest log are written anew when they are twice their live size, and at least this large.
    pub rewrite_min: u64,
    /// Manifest and rest log allocate in steps of this.
    pub allocate: u64,
    /// So many partitions write their segments at the same time in a checkpoint: one after the other, each would wait for the
    /// disk's whole queue.
    pub partitions_at_once: usize,
    /// Above this many open segment files they are closed after their sync.
    pub open_files_kept: usize,
    /// The largest range that is read ahead of a reader; 0 for none.
    pub read_ahead: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            write_bytes: 256 * 1024,
            blocks_due: 16 * 1024,
            rewrite_min: 256 * 1024,
            allocate: 1 << 20,
            partitions_at_once: 32,
            open_files_kept: 512,
            read_ahead: crate::reads::READ_BYTES_MAX as u32,
        }
    }
}
