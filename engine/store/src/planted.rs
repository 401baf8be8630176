//! Bugs on demand: each a one-line change to the store, chosen at run time, so that a test can show that the crash test finds it.
//!
//! Only with the feature `planted`; without it [`is`] is a constant and nothing is left of them.

/// One bug. The name says what the store does then.
#[cfg_attr(
    not(feature = "planted"),
    expect(unreachable_pub, reason = "a test names them, and it has the feature")
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// A record is told to be durable when its commit is written.
    AckBeforeFlush,
    /// A commit is told to be durable when its flush ends, whatever is before it.
    AckOutOfSequence,
    /// A flush counts for what was written when it ended, not when it began.
    FlushCreditedTooWidely,
    /// A flush that was linked to a write counts although the write was short and the flush was never begun.
    BrokenLinkCredited,
    /// The next commit need not name its predecessor's CRC and sequence.
    BrokenChainAccepted,
    /// A commit's CRC is not checked.
    TornTailTakenForData,
    /// Index entries are counted for bytes that are not in the file.
    IndexNewerThanLog,
    /// Blocks of a segment are written when they are appended, though their commit is not flushed.
    SegmentBeforeItsFlush,
    /// A change of the number of cores takes over nothing of the rings of cores that there are no more.
    RemovedCoreIgnored,
    /// A checkpoint under way lets others write blocks after its commit N, and counts them.
    BlocksAheadOfTheCheckpoint,
    /// A checkpoint does not sync segments.
    SegmentsNotSynced,
    /// A checkpoint does not sync directories.
    DirectoriesNotSynced,
    /// A checkpoint does not sync the rest log.
    RestLogNotSynced,
    /// An entry holds the state of now, not that after commit N.
    LiveStateInAnEntry,
    /// The ring's start moves when the first copy of the manifest is written.
    RingMovedBeforeTheSecondCopy,
    /// A file that was written between two checkpoints is not synced by the later one.
    EarlierFileLeftOut,
    /// The last block of a sealed segment is counted and never written.
    LastBlockForgotten,
    /// A compacted segment counts as synced, and a checkpoint names it.
    CompactedNotSynced,
    /// A pass drops the newest record of a key, now and then.
    NewestOfAKeyDropped,
    /// A pass drops tombstones without waiting for their horizon.
    TombstonesGoAtOnce,
    /// What compaction has replaced goes before a checkpoint has named what took its place.
    ReplacedGoBeforeTheCheckpoint,
    /// Compaction removes the files of a deleted partition before the Delete record is flushed.
    CompactionUnlinksBeforeTheDelete,
    /// A segment is cut that compaction has made and no manifest names.
    CutOfAnUnnamedSegment,
    /// Recovery serves what it found without syncing it first.
    RecoveryWithoutSync,
    /// Files go before the Delete record is flushed.
    UnlinkBeforeTheDelete,
    /// Segments go before the LogStart record is flushed.
    UnlinkBeforeTheLogStart,
    /// The mark of an incomplete partition does not reach the manifest.
    IncompleteMarkLost,
    /// A damaged commit below the flushed mark is taken for the end of the log.
    DamageTakenForTheEnd,
    /// A start numbers its commits right after the chain, whatever else it saw.
    SequencesReused,
    /// The state of producers does not reach the manifest.
    ProducersForgotten,
    /// The first commit after a start does not list the partitions of its predecessor.
    DirectoryLostAtStart,
    /// After a hole, the first commit lists the partitions of the last readable commit as those of the missing one.
    HoleForgottenAtStart,
    /// A partition that is deleted meanwhile is left out of a checkpoint though its Delete is not flushed.
    DeletedLeftOutTooEarly,
    /// A checkpoint takes a state that was kept for the one before, which the disk refused.
    SnapshotOfARefusedCheckpoint,
    /// A segment that is dropped meanwhile is left out of a checkpoint though its LogStart is not flushed.
    DroppedLeftOutTooEarly,
    /// A truncation leaves no record.
    TruncationNotJournalled,
    /// Segments go before the Truncate record is flushed.
    UnlinkBeforeTheTruncate,
    /// A checkpoint closes a file that somebody is about to write, and the next one does not look for it.
    FileClosedUnderItsWriter,
    /// A completion counts for a partition whatever has been truncated meanwhile.
    OlderGenerationCounts,
    /// An entry of the manifest leaves out aborted transactions that no index file holds.
    TransactionIndexBehind,
    /// A start does not note which transactions the ring's markers abort.
    AbortsForgottenAtReplay,
    /// What a damaged transaction index held is taken for nothing.
    TransactionIndexNotRebuilt,
    /// A transaction whose end is cut off stays ended.
    EndedTransactionsStayEnded,
}

#[cfg(feature = "planted")]
mod chosen {
    use super::Planted;
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    /// From now on the stores of this thread have this bug; or none.
    pub fn plant(bug: Option<Planted>) {
        CHOSEN.set(bug);
    }

    /// Whether this bug is planted.
    pub(crate) fn is(bug: Planted) -> bool {
        CHOSEN.get() == Some(bug)
    }
}

#[cfg(feature = "planted")]
pub(crate) use chosen::is;
#[cfg(feature = "planted")]
pub use chosen::plant;

/// Whether this bug is planted: never.
#[cfg(not(feature = "planted"))]
pub(crate) const fn is(_: Planted) -> bool {
    false
}
