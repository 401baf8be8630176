//! The stages of a request.

/// A stretch of a request's life. No two overlap: together they are all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Stage {
    /// From the arrival of its first bytes to its start: the rest of its bytes, and its turn behind earlier requests of its
    /// connection when too many are in progress.
    Receive,
    /// Parsing, and checking batches (checksum, records).
    Decode,
    /// On its way to the core that owns the partition.
    Queue,
    /// The store has no room: the journal is full or too much waits for it.
    Admit,
    /// Into the log and the commit being filled.
    Append,
    /// Until the commit is handed to the disk: the one before it is under way.
    Commit,
    /// Writing the commit to the journal.
    Write,
    /// Flushing the journal, commits before it included.
    Flush,
    /// Reading batches, from memory or segments.
    Read,
    /// Waiting because it was asked to: a fetch for more bytes, a member for its group. Not part of the total.
    Park,
    /// All that an API does whose stages are not told apart.
    Handle,
    /// From the moment at which it could go on to the moment at which it did.
    Wake,
    /// The answer on its way from the owner to the connection's core.
    Crossing,
    /// Phrasing the answer.
    Encode,
    /// Until all earlier requests of the connection were answered and the socket was free.
    Order,
    /// Until the kernel has taken the answer.
    Send,
    /// All of it but `Park`.
    Total,
}

impl Stage {
    /// How many stages a stopwatch tells apart: all but the total.
    pub const LAPS: usize = 16;
    /// How many there are.
    pub const COUNT: usize = 17;

    /// All of them, in order.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Receive,
        Self::Decode,
        Self::Queue,
        Self::Admit,
        Self::Append,
        Self::Commit,
        Self::Write,
        Self::Flush,
        Self::Read,
        Self::Park,
        Self::Handle,
        Self::Wake,
        Self::Crossing,
        Self::Encode,
        Self::Order,
        Self::Send,
        Self::Total,
    ];

    /// Its name in tables, files and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Receive => "receive",
            Self::Decode => "decode",
            Self::Queue => "queue",
            Self::Admit => "admit",
            Self::Append => "append",
            Self::Commit => "commit",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::Read => "read",
            Self::Park => "park",
            Self::Handle => "handle",
            Self::Wake => "wake",
            Self::Crossing => "crossing",
            Self::Encode => "encode",
            Self::Order => "order",
            Self::Send => "send",
            Self::Total => "total",
        }
    }

    /// The stage of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stage| stage.name() == name)
    }

    /// The stage at this place of [`Stage::ALL`].
    #[must_use]
    pub fn at(place: u8) -> Option<Self> {
        Self::ALL.get(usize::from(place)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_names_lead_back() {
        for (place, stage) in (0..).zip(Stage::ALL) {
            assert_eq!(stage as u8, place);
            assert_eq!(Stage::at(place), Some(stage));
            assert_eq!(Stage::named(stage.name()), Some(stage));
        }
        assert_eq!((Stage::at(17), Stage::named("")), (None, None));
        assert_eq!(Stage::Total as usize, Stage::LAPS);
    }
}
