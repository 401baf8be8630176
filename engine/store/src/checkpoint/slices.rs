//! A checkpoint of very many partitions gives the core away between them.

use crate::store::Inner;

/// Partitions after which the rest of the core comes first: some tens of microseconds of work.
const SLICE: u64 = 64;

/// Goes through partitions, some at a time.
pub(super) struct Slices<'a> {
    inner: &'a Inner,
    /// The task's poll in which the last partition came, as the executor counts them.
    poll: u64,
    /// How many came in it so far.
    came: u64,
}

impl<'a> Slices<'a> {
    pub(super) fn new(inner: &'a Inner) -> Self {
        Self { inner, poll: 0, came: 0 }
    }

    /// The next partition comes; before it, everything else may have its turn.
    pub(super) async fn next(&mut self) {
        if self.came >= SLICE && self.poll == self.inner.rt.polls() {
            self.inner.rt.yield_now().await;
        }
        let poll = self.inner.rt.polls();
        self.came = if poll == self.poll { self.came + 1 } else { 1 };
        self.poll = poll;
        let came = self.came;
        self.inner.count(|c| c.checkpoint_slice_max = c.checkpoint_slice_max.max(came));
    }
}
