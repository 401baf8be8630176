//! One connection as a state machine: bytes and answers go in, requests and bytes to send come out.
//!
//! ```text
//! bytes -> on_received -> step -> request -> handler -> on_reply -> next_batch -> bytes
//! ```
//! A request is not even taken from the received bytes while it could not be started; then nothing is received either, and
//! the client feels it (TCP back-pressure).

mod frame;
mod framer;
mod reply;
mod responses;
mod room;

pub use frame::{Chunk, Frame, FrameMemory, Pins};
pub use framer::{Framer, Next};
pub use reply::Reply;
pub use responses::{Batch, ResponseLimits, Responses, Seq};
pub use room::{Charge, Charging, Room};

use crate::close::CloseReason;
use crate::config::Config;
use ids::Instant;
use runtime::Buffer;
use stages::{Laps, Stage};
use std::time::Duration;

/// Received bytes that count as progress although no frame is complete: a client that sends one byte a minute is idle.
const PROGRESS_BYTES: usize = 4096;
/// What one sendmsg(2) takes.
const BATCH_VECTORS_MAX: usize = 1024;
/// A send is not larger than this, so that a slow reader's progress is seen.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// What the reader has to do next.
#[derive(Debug)]
pub enum Step {
    /// Start this request.
    Request(Seq, Frame),
    /// Receive.
    Receive,
    /// Wait for this much room, then [`Connection::admit`].
    Room(usize),
    /// Wait until an answer has been completed or sent.
    Wait,
    /// Wait until then: the client has been throttled.
    Mute(Instant),
}

/// What the core is short of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shortage {
    /// Somebody waits for room for a frame.
    pub frames: bool,
    /// More answers wait to be sent than should.
    pub answers: bool,
}

/// When a connection is idle or slow.
#[derive(Clone, Copy, Debug)]
struct Patience {
    idle_max: Option<Duration>,
    frame_time_max: Duration,
    slow_grace: Duration,
}

/// One connection. Owned by the core that accepted it.
#[derive(Debug)]
pub struct Connection {
    framer: Framer,
    responses: Responses,
    patience: Patience,
    request_bytes_max: usize,
    /// The last progress in either direction.
    active: Instant,
    /// Bytes received since then.
    trickled: usize,
    /// When the last bytes came, when the first ones of the frame that is being received did, and of the one before it.
    received: Instant,
    began: Instant,
    arrived: Instant,
    /// When memory was taken for the frame that is being collected.
    frame_since: Option<Instant>,
    /// Since when answers wait to be sent without any progress.
    unread_since: Option<Instant>,
    muted_until: Option<Instant>,
}

impl Connection {
    /// A connection that was accepted at `now`.
    #[must_use]
    pub fn new(config: &Config, now: Instant) -> Self {
        let limits = ResponseLimits {
            requests_max: config.requests_in_flight_max,
            request_bytes_max: config.request_bytes_in_flight_max,
            send_bytes_max: config.send_bytes_max,
        };
        Self {
            framer: Framer::new(),
            responses: Responses::new(limits),
            patience: Patience {
                idle_max: config.idle_max,
                frame_time_max: config.frame_time_max,
                slow_grace: config.slow_grace,
            },
            request_bytes_max: config.request_bytes_max,
            active: now,
            trickled: 0,
            received: now,
            began: now,
            arrived: now,
            frame_since: None,
            unread_since: None,
            muted_until: None,
        }
    }

    /// What the reader has to do next. `request_bytes_max` is the handler's limit for the next frame.
    ///
    /// # Errors
    /// Why the connection has to be closed, at once.
    pub fn step(
        &mut self,
        now: Instant,
        request_bytes_max: usize,
        memory: &FrameMemory,
    ) -> Result<Step, CloseReason> {
        if !self.responses.may_start() {
            self.framer.step_aside(memory)?;
            return Ok(Step::Wait);
        }
        if let Some(until) = self.muted_until {
            if now < until {
                self.framer.step_aside(memory)?;
                return Ok(Step::Mute(until));
            }
            self.muted_until = None;
        }
        let bytes_max = request_bytes_max.min(self.request_bytes_max);
        let next = self.framer.next(bytes_max, memory)?;
        if !self.framer.is_collecting() {
            self.frame_since = None;
        } else if self.frame_since.is_none() {
            self.frame_since = Some(now);
        }
        match next {
            Next::Frame(frame) => {
                self.progress(now);
                // What is left of the last bytes received begins the next one.
                self.arrived = std::mem::replace(&mut self.began, self.received);
                let seq = self.responses.start(frame.len());
                Ok(Step::Request(seq, frame))
            }
            Next::More => Ok(Step::Receive),
            Next::Room(bytes) => {
                self.framer.step_aside(memory)?;
                Ok(Step::Room(bytes))
            }
        }
    }

    /// When the first bytes of the last request came.
    #[must_use]
    pub fn arrived(&self) -> Instant {
        self.arrived
    }

    /// Takes received bytes. Only after [`Step::Receive`].
    pub fn on_received(&mut self, chunk: Chunk, now: Instant, memory: &FrameMemory) {
        self.on_trickle(chunk.len(), now);
        if self.framer.progress().is_none() {
            self.began = now;
        }
        self.received = now;
        self.framer.receive(chunk, memory);
    }

    /// Brings the room that [`Step::Room`] asked for.
    pub fn admit(&mut self, charge: Charge) {
        self.framer.admit(charge);
    }

    /// See [`Framer::take_direct`].
    pub fn take_direct(&mut self) -> Option<(Buffer, usize)> {
        self.framer.take_direct()
    }

    /// See [`Framer::return_direct`].
    pub fn return_direct(&mut self, buffer: Buffer, received: usize, now: Instant) {
        self.on_trickle(received, now);
        self.framer.return_direct(buffer);
    }

    /// Takes the answer of a request.
    pub fn on_reply(&mut self, seq: Seq, reply: Reply, laps: Laps, now: Instant) {
        if let Reply::SendThenMute(_, how_long) = &reply {
            let until = now + *how_long;
            self.muted_until = Some(self.muted_until.map_or(until, |u| u.max(until)));
        }
        self.responses.complete(seq, reply, laps);
    }

    /// The next bytes to send, if there are any and none are being sent.
    pub fn next_batch(&mut self, now: Instant, clock: impl Fn() -> Instant) -> Option<Batch> {
        let batch = self.responses.next_batch(BATCH_VECTORS_MAX, BATCH_BYTES_MAX, clock)?;
        self.unread_since.get_or_insert(now);
        Some(batch)
    }

    /// The batch has been sent.
    pub fn on_sent(&mut self, bytes: usize, now: Instant) {
        self.responses.on_sent(bytes);
        self.unread_since = None;
        self.progress(now);
    }

    /// The stopwatch of an answer that has left; to be asked after [`Connection::on_sent`].
    pub fn pop_sent(&mut self) -> Option<Laps> {
        self.responses.pop_sent()
    }

    /// See [`Responses::pop_leaving`].
    pub fn pop_leaving(&mut self) -> Option<Laps> {
        self.responses.pop_leaving()
    }

    /// Why the connection has to go now, if it has: it is idle, or it is slow while memory is `short`.
    #[must_use]
    pub fn on_tick(&self, now: Instant, short: Shortage) -> Option<CloseReason> {
        if self.patience.idle_max.is_some_and(|max| now.since(self.active) >= max) {
            return Some(CloseReason::Idle);
        }
        if short.frames
            && let (Some(since), Some((have, size))) = (self.frame_since, self.framer.progress())
        {
            let (elapsed, max) = (now.since(since), self.patience.frame_time_max);
            let due = size as u128 * elapsed.as_nanos() / max.as_nanos().max(1);
            if self.is_slow(now, since) && (have as u128) < due {
                return Some(CloseReason::FrameSlow);
            }
        }
        match self.unread_since {
            Some(since) if (short.frames || short.answers) && self.is_slow(now, since) => {
                Some(CloseReason::ReaderSlow)
            }
            _ => None,
        }
    }

    /// Whether answers wait to be sent that the client does not take.
    #[must_use]
    pub fn is_unread(&self) -> bool {
        self.unread_since.is_some()
    }

    /// No further request is started; the connection ends when what is in progress has been answered.
    pub fn drain(&mut self) {
        self.responses.finish(CloseReason::Drained);
    }

    /// Why the connection is to be closed now that everything due has been sent.
    #[must_use]
    pub fn finished(&self) -> Option<CloseReason> {
        self.responses.finished()
    }

    /// The connection is dead: all memory goes back. See [`Responses::abandon`].
    pub fn abandon(&mut self, reason: CloseReason) -> Vec<Laps> {
        self.framer = Framer::new();
        self.frame_since = None;
        self.responses.abandon(reason)
    }

    /// See [`Responses::waiting`].
    pub fn waiting(&self) -> impl Iterator<Item = (&Laps, Stage)> {
        self.responses.waiting()
    }

    /// Requests without an answer yet.
    #[must_use]
    pub fn executing(&self) -> usize {
        self.responses.executing()
    }

    /// Bytes of answers that wait or are being sent.
    #[must_use]
    pub fn send_bytes(&self) -> usize {
        self.responses.send_bytes()
    }

    fn is_slow(&self, now: Instant, since: Instant) -> bool {
        now.since(since) >= self.patience.slow_grace
    }

    fn progress(&mut self, now: Instant) {
        self.active = now;
        self.trickled = 0;
    }

    fn on_trickle(&mut self, bytes: usize, now: Instant) {
        self.trickled += bytes;
        if self.trickled >= PROGRESS_BYTES {
            self.progress(now);
        }
    }
}

#[cfg(test)]
mod tests;
