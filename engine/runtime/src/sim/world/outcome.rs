//! How a run ends.

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The future resolved.
    Done(T),
    /// The node lost power, was killed, or faulted.
    Died,
    /// Nothing can happen any more: everybody waits for everybody.
    Stuck,
    /// [`SimConfig::patience`](crate::sim::SimConfig::patience) is used up.
    TimedOut,
}

impl<T> Outcome<T> {
    /// The value; panics with the other outcomes.
    #[track_caller]
    pub fn expect_done(self) -> T {
        match self {
            Self::Done(value) => value,
            Self::Died => panic!("the node died"),
            Self::Stuck => panic!("nothing can happen any more"),
            Self::TimedOut => panic!("it took too long"),
        }
    }

    /// Whether the node died.
    #[must_use]
    pub fn is_died(&self) -> bool {
        matches!(self, Self::Died)
    }
}
