//! What the store of one core counts. Journal and runtime have counters of their own.

/// What the store counts; all since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Bytes of batches copied into tails.
    pub tail_copied: u64,
    /// Bytes of batches copied into commits.
    pub commit_copied: u64,
    /// Bytes written to segments.
    pub segment_bytes: u64,
    /// Writes to segments.
    pub segment_writes: u64,
    /// Bytes written to rest logs.
    pub rest_bytes: u64,
    /// Bytes written to manifests, both copies.
    pub manifest_bytes: u64,
    /// Checkpoints finished.
    pub checkpoints: u64,
    /// The most partitions that a checkpoint has gone through while nothing else on the core could go on.
    pub checkpoint_slice_max: u64,
    /// Checkpoints that the disk refused: it is full.
    pub checkpoints_refused: u64,
    /// Files synced by checkpoints.
    pub syncs: u64,
    /// Rest logs written anew.
    pub rest_rewrites: u64,
    /// Manifests written anew.
    pub manifest_rewrites: u64,
    /// Bytes read from segments.
    pub cold_bytes: u64,
    /// Bytes of segments' indexes that were read back and are in memory now.
    pub cold_index_bytes: u64,
    /// Reads from segments.
    pub cold_reads: u64,
    /// Ranges read from segments before anybody asked for them, and their bytes; both are part of the two above.
    pub read_aheads: u64,
    /// See `read_aheads`.
    pub read_ahead_bytes: u64,
    /// Reads served from such a range.
    pub read_ahead_hits: u64,
    /// Bytes of such ranges that nobody got.
    pub read_ahead_wasted_bytes: u64,
    /// Segments and partitions whose files a crash had left behind, removed.
    pub strays: u64,
    /// Pieces read from the rest log, after the start.
    pub rest_reads: u64,
    /// Passes of compaction, also those that failed.
    pub compactions: u64,
    /// Bytes that compaction has read.
    pub compact_read_bytes: u64,
    /// Bytes that compaction has written to segments.
    pub compact_written_bytes: u64,
    /// Records that compaction has dropped.
    pub compact_dropped_records: u64,
    /// The longest that compaction has kept the core without a look at its sockets and files, in microseconds.
    pub compact_slice_micros_max: u64,
    /// Bytes of the key map of the pass that runs; 0 while none does.
    pub compact_map_bytes: u64,
    /// Segments that compaction has replaced and whose files have gone.
    pub compact_unlinked: u64,
    /// Bytes of sealed segments that were read again to see whether they are what was written.
    pub scrub_bytes: u64,
    /// Aborted transactions that were written to the files of transaction indexes.
    pub txn_index_entries: u64,
    /// Transaction indexes that were damaged and have been made good from the log.
    pub txn_indexes_rebuilt: u64,
}
