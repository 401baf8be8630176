//! One connection of the client.

use super::frames::Frames;
use bench_core::Inbox;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

pub(super) struct Socket {
    stream: TcpStream,
    frames: Frames,
    inbox: Inbox,
    out: Vec<u8>,
    sent: usize,
    waits_for_room: bool,
    /// When the unanswered requests were handed to the kernel, and their numbers.
    unanswered: VecDeque<(Instant, i32)>,
    next: i32,
}

impl Socket {
    pub(super) fn connect(address: SocketAddr, frames: Frames) -> io::Result<Self> {
        if frames.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing to send"));
        }
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            frames,
            inbox: Inbox::new(),
            out: Vec::new(),
            sent: 0,
            waits_for_room: false,
            unanswered: VecDeque::new(),
            next: 0,
        })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Queues the next request.
    pub(super) fn send(&mut self, now: Instant) {
        self.frames.next(self.next, &mut self.out);
        self.unanswered.push_back((now, self.next));
        self.next = self.next.wrapping_add(1) & i32::MAX;
    }

    /// Sends what is queued; `Some` if the interest in room has changed.
    pub(super) fn flush(&mut self) -> io::Result<Option<bool>> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        let wants = !self.out.is_empty();
        let changed = wants != self.waits_for_room;
        self.waits_for_room = wants;
        Ok(changed.then_some(wants))
    }

    /// Receives once and checks the answers that are whole; how many there were.
    pub(super) fn receive(&mut self, mut on_answer: impl FnMut(Instant)) -> io::Result<usize> {
        let n = match self.stream.read(self.inbox.spare_mut()) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed")),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(e) => return Err(e),
        };
        self.inbox.received(n);
        let mut answers = 0;
        while let Some(frame) = self.inbox.next_frame().map_err(io::Error::other)? {
            let Some((begun, number)) = self.unanswered.pop_front() else {
                return Err(io::Error::other("an answer to nothing"));
            };
            let checked = self.frames.check(self.inbox.contents(frame), number);
            checked.map_err(io::Error::other)?;
            on_answer(begun);
            answers += 1;
        }
        Ok(answers)
    }
}
