//! Bugs on demand, for one test: each a one-line change to the node, chosen at run time, to show that the simulation of the whole
//! node finds it. In every other build [`is`] is a constant and nothing is left of them.

#[cfg(test)]
pub(crate) use choice::{is, plant};

/// One bug. The name says what the node does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Planted {
    /// A repeated batch is acknowledged at once, though its original is not durable.
    DuplicateAckedEarly,
    /// acks=all is answered when the batch is appended.
    AckedAtAppend,
    /// Producer ids are handed out before their block is reserved durably.
    ProducerIdReused,
    /// Topics are shown when they are decided, not when they are committed.
    MetadataShownEarly,
    /// A group's offsets are confirmed before their record is committed.
    OffsetsConfirmedEarly,
}

/// Whether this bug is planted: never.
#[cfg(not(test))]
pub(crate) const fn is(_: Planted) -> bool {
    false
}

#[cfg(test)]
impl Planted {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::DuplicateAckedEarly,
        Self::AckedAtAppend,
        Self::ProducerIdReused,
        Self::MetadataShownEarly,
        Self::OffsetsConfirmedEarly,
    ];
}

#[cfg(test)]
mod choice {
    use super::Planted;
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<Planted>> = const { Cell::new(None) };
    }

    /// From now on the nodes of this thread have this bug; or none.
    pub(crate) fn plant(bug: Option<Planted>) {
        CHOSEN.set(bug);
    }

    /// Whether this bug is planted.
    pub(crate) fn is(bug: Planted) -> bool {
        CHOSEN.get() == Some(bug)
    }
}
