//! How a simulated world behaves.

use std::time::Duration;

/// A range of times from which each delay is drawn, evenly.
pub type Delay = (Duration, Duration);

const fn us(from: u64, to: u64) -> Delay {
    (Duration::from_micros(from), Duration::from_micros(to))
}

/// How a simulated world behaves. The default has no faults beyond reordering and what a power cut does.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Budget for buffers of each core, in bytes.
    pub memory_limit: usize,
    /// What the device writes in one piece: 512 or 4096 bytes. A torn write is torn between sectors.
    pub sector: usize,
    /// Whether the file system takes direct I/O. If it does, unaligned direct operations are refused, as in the kernel.
    pub direct: bool,
    /// Bytes of each node's disk.
    pub capacity: u64,
    /// From submission to completion of a write.
    pub write: Delay,
    /// Of a read.
    pub read: Delay,
    /// Of a sync, of a file or a directory.
    pub sync: Delay,
    /// Of creating, renaming, removing, allocating.
    pub names: Delay,
    /// One write in a million is short: `n` of them.
    pub short_writes_per_million: u32,
    /// How long writes of a killed process may take to land or vanish.
    pub afterlife: Duration,
    /// From one node to another, for each piece of bytes.
    pub link: Delay,
    /// Bytes of one direction of a connection that are under way or not received yet; whoever sends more waits.
    pub window: usize,
    /// Bytes that one receive yields at most; each yields a part of that by chance.
    pub receive: usize,
    /// Keep the lines of the trace, not only their hash.
    pub keep_trace: bool,
    /// `World::run` gives up after this much virtual time.
    pub patience: Duration,
}

impl Default for SimConfig {
    fn default() -> Self {
        Self {
            memory_limit: 256 << 20,
            sector: 512,
            direct: true,
            capacity: 1 << 30,
            write: us(20, 2_000),
            read: us(20, 1_000),
            sync: us(100, 5_000),
            names: us(5, 500),
            short_writes_per_million: 0,
            afterlife: Duration::from_secs(8),
            link: us(50, 1_000),
            window: 1 << 20,
            receive: 64 << 10,
            keep_trace: false,
            patience: Duration::from_secs(3600),
        }
    }
}
