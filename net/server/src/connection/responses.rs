//! The answers of one connection, in the order of its requests.
//!
//! Requests are executed ahead: the next one does not wait for the answer of the one before. The answers leave strictly in
//! request order. How far ahead is bounded by the number of unanswered requests, by their bytes, and by the answers that a
//! slow reader has not taken yet. The bound on the number starts low and grows with every answer, and no more requests are
//! started than answers of the size seen lately fit into the send budget: whoever asks for 128 answers of 50 MiB and reads
//! none gets few of them made.

use crate::close::CloseReason;
use crate::connection::reply::Reply;
use ids::Instant;
use runtime::Slice;
use stages::{Laps, Stage};
use std::collections::VecDeque;

/// A request's place in the order of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seq(pub u64);

/// Unanswered requests that a new connection may have. Java clients have five.
const WINDOW_START: usize = 8;

/// Bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub struct ResponseLimits {
    /// Unanswered requests.
    pub requests_max: usize,
    /// Bytes of requests that are being executed.
    pub request_bytes_max: usize,
    /// Bytes of answers that wait.
    pub send_bytes_max: usize,
}

#[derive(Debug)]
enum State {
    Executing {
        request_bytes: usize,
    },
    /// The parts that have not been handed to the sender.
    Ready(VecDeque<Slice>, Laps),
    Silent,
}

/// Bytes to send, of one or more answers.
#[derive(Debug)]
pub struct Batch {
    /// In order.
    pub parts: Vec<Slice>,
    /// The sum of their lengths.
    pub bytes: usize,
}

/// The answers of one connection.
#[derive(Debug)]
pub struct Responses {
    limits: ResponseLimits,
    window: usize,
    /// The place of the first entry.
    first: u64,
    entries: VecDeque<State>,
    executing: usize,
    request_bytes: usize,
    /// Bytes that wait or are being sent.
    send_bytes: usize,
    sending: bool,
    /// The stopwatches of the answers that end with the bytes being sent.
    leaving: VecDeque<Laps>,
    /// The size of the larger answers lately.
    typical: usize,
    /// Nothing from this place on is sent; then the connection is closed.
    stop: Option<(u64, CloseReason)>,
}

impl Responses {
    /// Of a new connection.
    #[must_use]
    pub fn new(limits: ResponseLimits) -> Self {
        Self {
            limits,
            window: WINDOW_START.min(limits.requests_max).max(1),
            first: 0,
            entries: VecDeque::new(),
            executing: 0,
            request_bytes: 0,
            send_bytes: 0,
            sending: false,
            leaving: VecDeque::new(),
            typical: 0,
            stop: None,
        }
    }

    /// Whether one more request may be started now.
    #[must_use]
    pub fn may_start(&self) -> bool {
        if self.stop.is_some() || self.send_bytes >= self.limits.send_bytes_max {
            return false;
        }
        let expected = (self.executing + 1).saturating_mul(self.typical);
        self.entries.is_empty()
            || (self.entries.len() < self.window
                && self.request_bytes < self.limits.request_bytes_max
                && self.send_bytes.saturating_add(expected) <= self.limits.send_bytes_max)
    }

    /// Gives a request its place.
    pub fn start(&mut self, request_bytes: usize) -> Seq {
        let seq = Seq(self.first + self.entries.len() as u64);
        self.entries.push_back(State::Executing { request_bytes });
        self.executing += 1;
        self.request_bytes += request_bytes;
        seq
    }

    /// Puts an answer in its place. One that is too late, because the connection is closing, is dropped.
    pub fn complete(&mut self, seq: Seq, reply: Reply, laps: Laps) {
        let index = seq.0.checked_sub(self.first).and_then(|i| usize::try_from(i).ok());
        let Some(entry) = index.and_then(|i| self.entries.get_mut(i)) else { return };
        let State::Executing { request_bytes } = *entry else { return };
        *entry = State::Silent;
        self.executing -= 1;
        self.request_bytes -= request_bytes;
        match reply {
            Reply::Send(parts) | Reply::SendThenMute(parts, _) => self.ready(seq.0, parts, laps),
            Reply::SendThenClose(parts, why) => {
                self.ready(seq.0, parts, laps);
                self.stop_at(seq.0 + 1, CloseReason::Handler(why));
            }
            Reply::Nothing => {}
            Reply::Close(why) => self.stop_at(seq.0, CloseReason::Handler(why)),
        }
    }

    fn ready(&mut self, seq: u64, parts: Vec<Slice>, laps: Laps) {
        if self.stop.is_some_and(|(at, _)| seq >= at) {
            return;
        }
        let bytes: usize = parts.iter().map(|p| p.len()).sum();
        self.typical = bytes.max(self.typical - self.typical / 8);
        self.send_bytes += bytes;
        self.window = (self.window + 1).min(self.limits.requests_max).max(1);
        let index = usize::try_from(seq - self.first).ok();
        if let Some(entry) = index.and_then(|i| self.entries.get_mut(i)) {
            let parts = parts.into_iter().filter(|p| !p.is_empty()).collect();
            *entry = State::Ready(parts, laps);
        }
    }

    /// Ends the connection once everything that has been started is answered.
    pub fn finish(&mut self, reason: CloseReason) {
        self.stop_at(self.first + self.entries.len() as u64, reason);
    }

    /// Nothing from `seq` on is sent, and then the connection is closed. The earliest such place counts.
    fn stop_at(&mut self, seq: u64, reason: CloseReason) {
        if self.stop.is_some_and(|(at, _)| at <= seq) {
            return;
        }
        self.stop = Some((seq, reason));
        let keep = usize::try_from(seq.saturating_sub(self.first)).unwrap_or(usize::MAX);
        while self.entries.len() > keep {
            match self.entries.pop_back() {
                Some(State::Executing { request_bytes }) => {
                    self.executing -= 1;
                    self.request_bytes -= request_bytes;
                }
                Some(State::Ready(parts, _)) => {
                    self.send_bytes -= parts.iter().map(|p| p.len()).sum::<usize>();
                }
                Some(State::Silent) | None => {}
            }
        }
    }

    /// The next bytes to send: as many answers as are ready in order, up to `vectors_max` slices and about `bytes_max`
    /// bytes. One batch at a time: [`Responses::on_sent`] ends it. The clock is read once, for the answers that end here.
    pub fn next_batch(
        &mut self,
        vectors_max: usize,
        bytes_max: usize,
        clock: impl Fn() -> Instant,
    ) -> Option<Batch> {
        if self.sending {
            return None;
        }
        let mut batch = Batch { parts: Vec::new(), bytes: 0 };
        let mut now = None;
        while let Some(entry) = self.entries.front_mut() {
            match entry {
                State::Executing { .. } => break,
                State::Silent => {}
                State::Ready(parts, laps) => {
                    while batch.parts.len() < vectors_max
                        && batch.bytes < bytes_max
                        && let Some(part) = parts.front_mut()
                    {
                        let room = bytes_max - batch.bytes;
                        if part.len() > room {
                            batch.parts.push(part.slice(..room));
                            *part = part.slice(room..);
                            batch.bytes += room;
                        } else if let Some(part) = parts.pop_front() {
                            batch.bytes += part.len();
                            batch.parts.push(part);
                        }
                    }
                    if !parts.is_empty() {
                        break;
                    }
                    if stages::ON {
                        laps.lap_at(Stage::Order, *now.get_or_insert_with(&clock));
                        self.leaving.push_back(std::mem::take(laps));
                    }
                }
            }
            self.entries.pop_front();
            self.first += 1;
        }
        self.sending = batch.bytes > 0;
        self.sending.then_some(batch)
    }

    /// The batch has been sent.
    pub fn on_sent(&mut self, bytes: usize) {
        assert!(self.sending && bytes <= self.send_bytes, "more was sent than there was");
        self.sending = false;
        self.send_bytes -= bytes;
    }

    /// The stopwatch of an answer whose last byte has been sent.
    pub fn pop_sent(&mut self) -> Option<Laps> {
        if self.sending { None } else { self.leaving.pop_front() }
    }

    /// The stopwatch of an answer that was being sent when the connection died.
    pub fn pop_leaving(&mut self) -> Option<Laps> {
        self.leaving.pop_front()
    }

    /// Why the connection is to be closed now: everything before has been sent.
    #[must_use]
    pub fn finished(&self) -> Option<CloseReason> {
        match self.stop {
            Some((at, reason)) if at <= self.first && !self.sending => Some(reason),
            _ => None,
        }
    }

    /// Drops everything: the connection is dead. The stopwatches of the answers that waited to be sent; those that are being sent
    /// stay for [`Responses::pop_sent`] and [`Responses::pop_leaving`].
    pub fn abandon(&mut self, reason: CloseReason) -> Vec<Laps> {
        let sending = self.sending;
        let ready = self.entries.iter_mut().filter_map(|entry| match entry {
            State::Ready(_, laps) => Some(std::mem::take(laps)),
            State::Executing { .. } | State::Silent => None,
        });
        let unread = ready.collect();
        self.stop_at(self.first, reason);
        if !sending {
            self.send_bytes = 0;
        }
        unread
    }

    /// The stopwatches of the answers that are being sent or wait for it, and which of the two.
    pub fn waiting(&self) -> impl Iterator<Item = (&Laps, Stage)> {
        let ready = self.entries.iter().filter_map(|entry| match entry {
            State::Ready(_, laps) => Some((laps, Stage::Order)),
            State::Executing { .. } | State::Silent => None,
        });
        self.leaving.iter().map(|laps| (laps, Stage::Send)).chain(ready)
    }

    /// Requests without an answer yet.
    #[must_use]
    pub fn executing(&self) -> usize {
        self.executing
    }

    /// Requests whose answers have not been handed to the sender in full.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of answers that wait or are being sent.
    #[must_use]
    pub fn send_bytes(&self) -> usize {
        self.send_bytes
    }
}

#[cfg(test)]
mod tests;
