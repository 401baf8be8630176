//! Why a connection ended.

use std::fmt;

/// Why a connection ended; the counters and the log tell it in these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The client has closed.
    PeerClosed,
    /// Receiving or sending failed: mostly a reset by the client.
    PeerLost,
    /// Nothing happened for `connections.max.idle.ms`.
    Idle,
    /// A length prefix below zero.
    FrameNegative,
    /// A length prefix above `socket.request.max.bytes`, or above what the handler allows so early.
    FrameTooLarge,
    /// Memory for frames is short, and this connection's frame came too slowly.
    FrameSlow,
    /// Memory for frames is short, and this client did not read its answers.
    ReaderSlow,
    /// No memory for what this connection has sent.
    Memory,
    /// The handler said so, for this reason.
    Handler(&'static str),
    /// The server stops; everything in progress was answered.
    Drained,
    /// The server stops, and the deadline came before the answers.
    DrainDeadline,
}

impl CloseReason {
    /// Whether the client is thrown out: what it has not taken of its answers by now is not kept for it. `unread`: answers
    /// wait to be sent.
    pub(crate) fn throws_out(self, unread: bool) -> bool {
        match self {
            Self::FrameSlow | Self::ReaderSlow | Self::DrainDeadline => true,
            Self::Idle => unread,
            Self::PeerClosed
            | Self::PeerLost
            | Self::FrameNegative
            | Self::FrameTooLarge
            | Self::Memory
            | Self::Handler(_)
            | Self::Drained => false,
        }
    }

    /// The reason as a label for metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::PeerClosed => "peer-closed",
            Self::PeerLost => "peer-lost",
            Self::Idle => "idle",
            Self::FrameNegative => "frame-negative",
            Self::FrameTooLarge => "frame-too-large",
            Self::FrameSlow => "frame-slow",
            Self::ReaderSlow => "reader-slow",
            Self::Memory => "memory",
            Self::Handler(why) => why,
            Self::Drained => "drained",
            Self::DrainDeadline => "drain-deadline",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}
