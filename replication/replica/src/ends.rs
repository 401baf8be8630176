//! How far a replica's log has come.

use ids::Offset;

/// Which end counts for acknowledgements.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AckedAt {
    /// Topic durability `written`: the bytes are handed to the disk.
    Written,
    /// Topic durability `fsync`: the bytes are flushed.
    Durable,
}

/// The ends of a replica's log: the offset after the last record that has come this far.
///
/// Always `durable <= written <= appended`. None of them falls while the replica keeps its role; only a truncation lowers
/// them, and that begins a new role.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ends {
    /// Has an offset.
    pub appended: Offset,
    /// Its write has completed.
    pub written: Offset,
    /// It is flushed.
    pub durable: Offset,
}

impl Ends {
    /// All three at one offset: a log after recovery.
    #[must_use]
    pub fn at(end: Offset) -> Self {
        Self { appended: end, written: end, durable: end }
    }

    /// The end that counts for acknowledgements.
    #[must_use]
    pub fn acked(self, at: AckedAt) -> Offset {
        match at {
            AckedAt::Written => self.written,
            AckedAt::Durable => self.durable,
        }
    }

    /// Takes in an end of the log. Completions may be told late, never wrongly.
    ///
    /// # Panics
    /// If more is written than was appended: then two writers share a log.
    pub(crate) fn on_written(&mut self, end: Offset) {
        let appended = self.appended;
        assert!(end <= appended, "written up to {end}, but appended only up to {appended}");
        self.written = self.written.max(end);
    }

    /// As [`Ends::on_written`]. What is flushed was written first, even if nobody said so.
    pub(crate) fn on_durable(&mut self, end: Offset) {
        self.on_written(end);
        self.durable = self.durable.max(end);
    }

    /// Whether the ends are in their order.
    #[must_use]
    pub fn in_order(self) -> bool {
        self.durable <= self.written && self.written <= self.appended
    }
}
