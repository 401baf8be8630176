//! A request's bytes, and the memory that holds them.

use crate::connection::room::{Charge, Room};
use runtime::{Memory, Received, Slice};
use std::cell::Cell;
use std::fmt;
use std::ops::{Bound, Deref, RangeBounds};
use std::rc::Rc;

/// A piece of the byte stream as it was received.
pub enum Chunk {
    /// In a receive buffer, which goes back to the kernel when the last frame in it is gone.
    Received(Received),
    /// In memory of its own.
    Bytes(Vec<u8>),
}

impl Deref for Chunk {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Received(r) => r,
            Self::Bytes(b) => b,
        }
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chunk({} bytes)", self.len())
    }
}

impl From<Received> for Chunk {
    fn from(received: Received) -> Self {
        Self::Received(received)
    }
}

impl From<Vec<u8>> for Chunk {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

#[derive(Debug)]
struct PinCount {
    held: Cell<usize>,
    most: usize,
}

/// Counts the receive buffers that are in use on a core.
#[derive(Clone, Debug)]
pub struct Pins(Rc<PinCount>);

impl Pins {
    /// At most `most` receive buffers should be kept.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self(Rc::new(PinCount { held: Cell::new(0), most }))
    }

    /// Receive buffers in use.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.held.get()
    }

    /// Whether more are in use than should be: from here on bytes are copied.
    #[must_use]
    pub fn are_scarce(&self) -> bool {
        self.0.held.get() > self.0.most
    }
}

#[derive(Debug)]
pub(super) struct Pinned {
    chunk: Chunk,
    pins: Pins,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.pins.0.held.set(self.pins.0.held.get() - 1);
    }
}

#[derive(Debug)]
enum Bytes {
    Vec(Vec<u8>),
    Slice(Slice),
}

#[derive(Debug)]
pub(super) struct Owned {
    bytes: Bytes,
    _charge: Charge,
}

#[derive(Clone, Debug)]
pub(super) enum Held {
    Pinned(Rc<Pinned>),
    Owned(Rc<Owned>),
    Free(Rc<[u8]>),
}

impl Held {
    pub(super) fn pin(chunk: Chunk, pins: &Pins) -> Self {
        pins.0.held.set(pins.0.held.get() + 1);
        Self::Pinned(Rc::new(Pinned { chunk, pins: pins.clone() }))
    }

    pub(super) fn own(bytes: Vec<u8>, charge: Charge) -> Self {
        Self::Owned(Rc::new(Owned { bytes: Bytes::Vec(bytes), _charge: charge }))
    }

    pub(super) fn own_slice(bytes: Slice, charge: Charge) -> Self {
        Self::Owned(Rc::new(Owned { bytes: Bytes::Slice(bytes), _charge: charge }))
    }

    pub(super) fn is_pinned(&self) -> bool {
        matches!(self, Self::Pinned(_))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Pinned(p) => &p.chunk,
            Self::Owned(o) => match &o.bytes {
                Bytes::Vec(v) => v,
                Bytes::Slice(s) => s,
            },
            Self::Free(b) => b,
        }
    }
}

/// A request: the bytes after the length prefix, or a part of them. Cheap to clone; the bytes live as long as any clone.
///
/// They lie in the receive buffer, or in a buffer of their own. A handler that keeps a request for long keeps its memory:
/// the core has a fixed number of receive buffers, and the room for other frames is limited, too.
#[derive(Clone)]
pub struct Frame {
    held: Held,
    from: usize,
    len: usize,
}

impl Frame {
    pub(super) fn new(held: Held, from: usize, len: usize) -> Self {
        assert!(from + len <= held.bytes().len(), "a frame ends beyond its memory");
        Self { held, from, len }
    }

    /// A part of it, in the same memory. The range must lie within.
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let from = match range.start_bound() {
            Bound::Included(n) => *n,
            Bound::Excluded(n) => n + 1,
            Bound::Unbounded => 0,
        };
        let to = match range.end_bound() {
            Bound::Included(n) => n + 1,
            Bound::Excluded(n) => *n,
            Bound::Unbounded => self.len,
        };
        assert!(from <= to && to <= self.len, "part {from}..{to} of {} bytes", self.len);
        Self { held: self.held.clone(), from: self.from + from, len: to - from }
    }

    /// Whether the bytes lie in the receive buffer.
    #[must_use]
    pub fn is_in_place(&self) -> bool {
        self.held.is_pinned()
    }
}

/// For tests of handlers: a request that came from nowhere.
impl From<&[u8]> for Frame {
    fn from(bytes: &[u8]) -> Self {
        Self { held: Held::Free(Rc::from(bytes)), from: 0, len: bytes.len() }
    }
}

impl Deref for Frame {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.held.bytes().get(self.from..self.from + self.len).unwrap_or_default()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.len)
    }
}

/// Where frames get their memory: one per core, shared by its connections.
#[derive(Clone, Debug)]
pub struct FrameMemory {
    /// The budget for frames in buffers of their own.
    pub room: Room,
    /// The receive buffers in use.
    pub pins: Pins,
    /// The core's aligned buffers, for large frames that are received without a copy.
    pub memory: Option<Memory>,
    /// Shorter frames are copied rather than left in the receive buffer.
    pub in_place_bytes_min: usize,
    /// Bytes that were copied from where they were received.
    pub copied: Rc<Cell<u64>>,
}

impl FrameMemory {
    /// Counts a copy.
    pub(super) fn on_copy(&self, bytes: usize) {
        self.copied.set(self.copied.get().saturating_add(bytes as u64));
    }
}
