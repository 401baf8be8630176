//! When the last commits were written and flushed.

use ids::Instant;

/// When a commit was handed to the disk, when its write had ended, and when it and all before it were flushed; zero if not yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitTimes {
    pub(super) sequence: u64,
    /// Its write began.
    pub submitted: Instant,
    /// Its write ended; zero if its flush was linked to it, for then only the end of both is told.
    pub written: Instant,
    /// Its flush, and that of all before it, ended.
    pub flushed: Instant,
}

/// Commits whose times are kept.
pub(super) const TIMES: usize = 64;

/// Where the times of a commit are kept: sequences of commits are even.
pub(super) fn slot(times: &mut [CommitTimes; TIMES], sequence: u64) -> &mut CommitTimes {
    &mut times[(sequence / 2) as usize % TIMES]
}
