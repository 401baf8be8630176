//! What a journal counts.

/// What the journal counts; all since the start of the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JournalCounters {
    /// Commits written.
    pub commits: u64,
    /// Skips written at the ends of ring files.
    pub skips: u64,
    /// Empty commits that recorded a flush.
    pub marks: u64,
    /// Bytes written to the ring.
    pub bytes: u64,
    /// Flushes of ring files.
    pub flushes: u64,
    /// Those among them that the kernel began behind their commit's write.
    pub linked_flushes: u64,
    /// Records.
    pub records: u64,
    /// How often the ring began again at its first file.
    pub wraps: u64,
}
