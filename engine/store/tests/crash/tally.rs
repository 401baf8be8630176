//! What has been seen, counted.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Counts by name.
#[derive(Debug, Default)]
pub(crate) struct Tally(RefCell<BTreeMap<String, u64>>);

impl Tally {
    pub(crate) fn add(&self, name: &str, n: u64) {
        if n > 0 {
            *self.0.borrow_mut().entry(name.to_owned()).or_insert(0) += n;
        }
    }

    pub(crate) fn one(&self, name: &str) {
        self.add(name, 1);
    }

    pub(crate) fn of(&self, name: &str) -> u64 {
        self.0.borrow().get(name).copied().unwrap_or(0)
    }

    pub(crate) fn all(&self) -> BTreeMap<String, u64> {
        self.0.borrow().clone()
    }
}

/// Moments that come so seldom that a small run relies on a scene of their own, in `directed.rs`.
pub(crate) const BY_SCENES: &[&str] = &["checkpoint: removed rest log"];

/// What the issue asks to be seen; a full run has none of them at zero.
pub(crate) const REQUIRED: &[&str] = &[
    "images",
    "power cut",
    "kill",
    "kill, recover, serve, power cut",
    "kill, then power cut during recovery",
    "cut during recovery",
    "crash loop",
    "late write after a kill",
    "stopped by an I/O error",
    "ring wrapped",
    "ring file changed",
    "flush linked to its write",
    "flush by itself",
    "ring full at start",
    "hole above F",
    "written: acked, lost within flush.ms",
    "checkpoint: submitted segment",
    "checkpoint: synced segment",
    "checkpoint: synced index",
    "checkpoint: submitted rest log",
    "checkpoint: synced rest log",
    "checkpoint: synced directory",
    "checkpoint: submitted manifest a",
    "checkpoint: landed manifest a",
    "checkpoint: submitted manifest b",
    "checkpoint: landed manifest b",
    "checkpoint: synced manifest b",
    "checkpoint: renamed manifest",
    "checkpoint: removed rest log",
    "rest log rewritten",
    "manifest rewritten",
    "manifest copy lagged",
    "reads of the rest log",
    "strays removed",
    "strays removed before a checkpoint",
    "segment sealed",
    "transaction committed",
    "transaction aborted",
    "aborted transactions compared",
    "open transactions compared",
    "transaction index written",
    "transaction index made good from the log",
    "bit flip in a transaction index",
    "deleted and recreated",
    "change of core count",
    "log start moved",
    "retention",
    "compaction: passes finished",
    "compaction: logs looked at behind a pass",
    "compaction: records removed",
    "compaction: cut during a pass",
    "compaction: cut between swap and checkpoint",
    "compaction: deletion during a pass",
    "compaction: truncation during a pass",
    "compaction: log start moved during a pass",
    "truncation",
    "truncation below a roll",
    "truncation into a batch",
    "truncation during a checkpoint",
    "image during a truncation",
    "roll again at the same base",
    "refused: disk full",
    "checkpoint refused by a full disk",
    "bit flip below F",
    "bit flip above F",
    "bit flip in a manifest",
    "bit flip in a segment",
    "bit flip in a rest log",
    "bit flip in a layout",
    "bit flip in a manifest that is ahead of its copy",
    "verified offline",
    "log start moved during a checkpoint",
    "incomplete after a bit flip",
    "incomplete mark kept",
    "duplicate retry across a crash",
    "retry across a crash appended once",
    "gap refused",
    "last record before a cut: Start",
    "last record before a cut: Data",
    "last record before a cut: LogStart",
    "last record before a cut: Truncate",
    "last record before a cut: Delete",
    "last record before a cut: CleanShutdown",
    "last record before a cut: Directory",
];
