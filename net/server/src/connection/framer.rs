//! Cuts the byte stream into frames: four bytes of length, big-endian, then that many bytes (protocol guide, "Network").
//!
//! A frame that lies within one received chunk is handed out in place. One that spans chunks is collected in one buffer of
//! its size, after its whole size has been charged to the core's [`Room`](super::Room). Nothing is allocated for a frame
//! whose size is refused.

use crate::close::CloseReason;
use crate::connection::frame::{Chunk, Frame, FrameMemory, Held};
use crate::connection::room::Charge;
use runtime::{Buffer, Memory, Slice};

/// Frames of these sizes are collected in the core's aligned buffers, and received there directly.
const ALIGNED_BYTES_MIN: usize = 48 << 10;
/// Larger ones are collected in memory that the system hands out page by page: an aligned buffer would be filled with zeros
/// first, and whoever announces 100 MiB should not get that work done for four bytes.
const ALIGNED_BYTES_MAX: usize = 4 << 20;
/// With less than this missing, another ordinary receive is as good as a direct one.
const DIRECT_BYTES_MIN: usize = 32 << 10;
/// One direct receive takes at most this much, so that progress is seen.
const DIRECT_BYTES_MAX: usize = 256 << 10;

/// What comes next.
#[derive(Debug)]
pub enum Next {
    /// A frame.
    Frame(Frame),
    /// The next bytes are needed.
    More,
    /// So much room is needed for the frame that has begun: [`Framer::admit`] brings it.
    Room(usize),
}

#[derive(Debug)]
enum Collected {
    Vec(Vec<u8>),
    /// `None` while a direct receive has it.
    Aligned(Option<Buffer>),
}

#[derive(Debug)]
struct Collecting {
    into: Collected,
    size: usize,
    have: usize,
    charge: Charge,
}

#[derive(Debug)]
enum State {
    Prefix { bytes: [u8; 4], have: usize },
    Sized(usize),
    Admitted(usize, Charge),
    Collecting(Box<Collecting>),
}

const START: State = State::Prefix { bytes: [0; 4], have: 0 };

/// The bytes that are being cut up, and how far.
#[derive(Debug)]
struct Source {
    held: Held,
    at: usize,
}

impl Source {
    fn rest(&self) -> &[u8] {
        self.held.bytes().get(self.at..).unwrap_or_default()
    }
}

/// Cuts one connection's byte stream into frames.
#[derive(Debug)]
pub struct Framer {
    source: Option<Source>,
    state: State,
}

impl Default for Framer {
    fn default() -> Self {
        Self::new()
    }
}

impl Framer {
    /// At the beginning of a stream.
    #[must_use]
    pub fn new() -> Self {
        Self { source: None, state: START }
    }

    /// Takes the next bytes of the stream. Those before must have been used up: [`Next::More`] says so.
    pub fn receive(&mut self, chunk: Chunk, memory: &FrameMemory) {
        assert!(self.source.is_none(), "bytes were received before the last ones were used up");
        if !chunk.is_empty() {
            self.source = Some(Source { held: Held::pin(chunk, &memory.pins), at: 0 });
        }
    }

    /// The next frame, if its bytes are there. `bytes_max` limits a frame whose prefix has not been judged yet.
    ///
    /// # Errors
    /// A size below zero or above `bytes_max`, or an allocator without memory. The stream is unusable afterwards.
    pub fn next(&mut self, bytes_max: usize, memory: &FrameMemory) -> Result<Next, CloseReason> {
        loop {
            match std::mem::replace(&mut self.state, START) {
                State::Prefix { mut bytes, mut have } => {
                    let rest = self.source.as_ref().map_or(&[][..], Source::rest);
                    let taken = rest.len().min(bytes.len() - have);
                    for (to, from) in bytes.iter_mut().skip(have).zip(rest) {
                        *to = *from;
                    }
                    have += taken;
                    self.consume(taken);
                    if have < bytes.len() {
                        self.state = State::Prefix { bytes, have };
                        return Ok(Next::More);
                    }
                    let size = usize::try_from(i32::from_be_bytes(bytes))
                        .map_err(|_| CloseReason::FrameNegative)?;
                    if size > bytes_max {
                        return Err(CloseReason::FrameTooLarge);
                    }
                    self.state = State::Sized(size);
                }
                State::Sized(size) => {
                    if let Some(frame) = self.in_place(size, memory) {
                        return Ok(Next::Frame(frame));
                    }
                    let wanted = capacity_for(size, memory);
                    let mut charge = memory.room.try_charge(wanted);
                    if charge.is_none() && self.there() >= size {
                        // Its bytes have been received: it does not wait in line behind frames that are half-sent.
                        charge = memory.room.charge_beyond(size);
                    }
                    let Some(charge) = charge else {
                        self.state = State::Sized(size);
                        return Ok(Next::Room(wanted));
                    };
                    self.state = State::Admitted(size, charge);
                }
                State::Admitted(size, charge) => {
                    let into = buffer(size, self.there(), memory)?;
                    let collecting = Collecting { into, size, have: 0, charge };
                    self.state = State::Collecting(Box::new(collecting));
                }
                State::Collecting(mut collecting) => {
                    memory.on_copy(self.collect(&mut collecting));
                    if collecting.have < collecting.size {
                        self.state = State::Collecting(collecting);
                        return Ok(Next::More);
                    }
                    return Ok(Next::Frame(finish(*collecting)));
                }
            }
        }
    }

    /// Brings the room that [`Next::Room`] asked for.
    pub fn admit(&mut self, charge: Charge) {
        if let State::Sized(size) = self.state {
            self.state = State::Admitted(size, charge);
        }
    }

    /// Bytes of the frame that has begun and is not complete: how many are there, and of how many. A prefix that is not
    /// complete counts as nothing of four.
    #[must_use]
    pub fn progress(&self) -> Option<(usize, usize)> {
        match &self.state {
            State::Prefix { have: 0, .. } => None,
            State::Prefix { .. } => Some((0, 4)),
            State::Sized(size) | State::Admitted(size, _) => Some((0, *size)),
            State::Collecting(c) => Some((c.have, c.size)),
        }
    }

    /// Whether a frame is being collected: its memory is taken.
    #[must_use]
    pub fn is_collecting(&self) -> bool {
        matches!(self.state, State::Admitted(..) | State::Collecting(_))
    }

    /// The buffer of a large frame, and how many bytes should be received straight into it. It has to come back with
    /// [`Framer::return_direct`].
    pub fn take_direct(&mut self) -> Option<(Buffer, usize)> {
        let State::Collecting(collecting) = &mut self.state else { return None };
        let missing = collecting.size - collecting.have;
        if self.source.is_some() || missing < DIRECT_BYTES_MIN {
            return None;
        }
        let Collected::Aligned(buffer) = &mut collecting.into else { return None };
        buffer.take().map(|b| (b, missing.min(DIRECT_BYTES_MAX)))
    }

    /// Takes the buffer back, with what was received.
    pub fn return_direct(&mut self, buffer: Buffer) {
        if let State::Collecting(collecting) = &mut self.state {
            collecting.have = buffer.len();
            assert!(collecting.have <= collecting.size, "a direct receive went beyond its frame");
            collecting.into = Collected::Aligned(Some(buffer));
        }
    }

    /// Moves the bytes that wait to memory of their own if receive buffers are scarce, so that a connection which has to
    /// wait keeps none.
    ///
    /// # Errors
    /// [`CloseReason::Memory`] if there is no room even beyond the limit.
    pub fn step_aside(&mut self, memory: &FrameMemory) -> Result<(), CloseReason> {
        let Some(source) = &mut self.source else { return Ok(()) };
        if !source.held.is_pinned() || !memory.pins.are_scarce() {
            return Ok(());
        }
        let rest = source.rest().to_vec();
        let charge = memory.room.charge_beyond(rest.len()).ok_or(CloseReason::Memory)?;
        memory.on_copy(rest.len());
        *source = Source { held: Held::own(rest, charge), at: 0 };
        Ok(())
    }

    /// Bytes that have been received and not been used.
    fn there(&self) -> usize {
        self.source.as_ref().map_or(0, |s| s.rest().len())
    }

    fn in_place(&mut self, size: usize, memory: &FrameMemory) -> Option<Frame> {
        let source = self.source.as_ref()?;
        let pinned = source.held.is_pinned();
        let stays = !pinned || (size >= memory.in_place_bytes_min && !memory.pins.are_scarce());
        if source.rest().len() < size || !stays {
            return None;
        }
        let frame = Frame::new(source.held.clone(), source.at, size);
        self.consume(size);
        Some(frame)
    }

    /// Moves what is there to the frame's buffer; how many bytes.
    fn collect(&mut self, collecting: &mut Collecting) -> usize {
        let Some(source) = &self.source else { return 0 };
        let rest = source.rest();
        let taken = rest.len().min(collecting.size - collecting.have);
        let bytes = rest.get(..taken).unwrap_or_default();
        match &mut collecting.into {
            Collected::Vec(v) => v.extend_from_slice(bytes),
            Collected::Aligned(Some(b)) => b.append(bytes),
            Collected::Aligned(None) => return 0,
        }
        collecting.have += taken;
        self.consume(taken);
        taken
    }

    fn consume(&mut self, n: usize) {
        if let Some(source) = &mut self.source {
            source.at += n;
            if source.rest().is_empty() {
                self.source = None;
            }
        }
    }
}

/// What a frame of `size` bytes takes in memory.
fn capacity_for(size: usize, memory: &FrameMemory) -> usize {
    match aligned_for(size) {
        Some(capacity) if memory.memory.is_some() => capacity,
        _ => size,
    }
}

/// What the aligned buffer for such a frame takes of the budget.
fn aligned_for(size: usize) -> Option<usize> {
    (ALIGNED_BYTES_MIN..=ALIGNED_BYTES_MAX).contains(&size).then(|| Memory::rounded(size))
}

fn buffer(size: usize, there: usize, memory: &FrameMemory) -> Result<Collected, CloseReason> {
    let aligned = aligned_for(size).filter(|_| there < size);
    if let (Some(capacity), Some(memory)) = (aligned, &memory.memory)
        && let Ok(buffer) = memory.alloc(capacity)
    {
        return Ok(Collected::Aligned(Some(buffer)));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(size).map_err(|_| CloseReason::Memory)?;
    Ok(Collected::Vec(bytes))
}

fn finish(collecting: Collecting) -> Frame {
    let Collecting { into, size, charge, .. } = collecting;
    match into {
        Collected::Vec(v) => Frame::new(Held::own(v, charge), 0, size),
        Collected::Aligned(Some(b)) => Frame::new(Held::own_slice(b.freeze(), charge), 0, size),
        Collected::Aligned(None) => {
            Frame::new(Held::own_slice(Slice::from_static(&[]), charge), 0, 0)
        }
    }
}

#[cfg(test)]
mod tests;
