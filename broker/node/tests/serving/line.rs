//! One connection of a test: requests that leave together, and their answers in order.

use crate::broker::Broker;
use client::{Pipeline, Reply};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;
use wire::Request;

const FRAME_BYTES_MAX: usize = 16 << 20;
/// An answer that takes longer never comes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has come.
enum Heard {
    Answer(Reply),
    /// Nothing within the time.
    Nothing,
    /// The broker has hung up.
    End,
}

pub(crate) struct Line {
    stream: TcpStream,
    pipeline: Pipeline,
}

impl Line {
    pub(crate) fn to(broker: &Broker) -> Self {
        Self { stream: broker.connect(), pipeline: Pipeline::new("test", FRAME_BYTES_MAX) }
    }

    /// Another request that leaves with the next [`Line::send`].
    pub(crate) fn put<'a, R: Request<'a>>(&mut self, version: i16, request: &R) {
        self.pipeline.submit(version, request).unwrap();
    }

    /// Sends what was put, in one write as far as the kernel takes it.
    pub(crate) fn send(&mut self) {
        self.stream.write_all(self.pipeline.outgoing()).unwrap();
        self.pipeline.on_sent(self.pipeline.outgoing().len());
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Reply {
        self.answer_within(PATIENCE).expect("there is no answer")
    }

    /// The next answer, if it comes within this time.
    pub(crate) fn answer_within(&mut self, time: Duration) -> Option<Reply> {
        match self.hear(time) {
            Heard::Answer(reply) => Some(reply),
            Heard::Nothing => None,
            Heard::End => panic!("the broker has hung up"),
        }
    }

    /// The next answer, unless the broker hangs up.
    #[allow(dead_code, reason = "most brokers go on")]
    pub(crate) fn answer_or_end(&mut self) -> Option<Reply> {
        match self.hear(PATIENCE) {
            Heard::Answer(reply) => Some(reply),
            Heard::Nothing => panic!("there is no answer"),
            Heard::End => None,
        }
    }

    fn hear(&mut self, time: Duration) -> Heard {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let mut buffer = vec![0; 1 << 16];
        loop {
            if let Some(reply) = self.pipeline.poll().unwrap() {
                return Heard::Answer(reply);
            }
            match self.stream.read(&mut buffer) {
                Ok(0) => return Heard::End,
                Ok(n) => self.pipeline.on_received(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Heard::Nothing,
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Heard::End,
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// One request and its answer.
    pub(crate) fn ask<'a, R: Request<'a>>(&mut self, version: i16, request: &R) -> Reply {
        self.put(version, request);
        self.send();
        self.answer()
    }
}
