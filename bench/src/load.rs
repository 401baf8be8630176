//! The one client for all servers: plain sockets on one thread, batches encoded once.
//!
//! Closed loop: every connection has a fixed number of requests in flight and sends the next one when an answer comes. That
//! suits a comparison of what a request costs the server. It says nothing about latency under a given rate; `ringwood perf`
//! does.

mod frames;
mod shape;
mod socket;

pub use frames::{Frames, batch_of, fetch_frame, produce_frame};
pub use shape::{Operation, Shape};

use hdrhistogram::Histogram;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use socket::Socket;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// How long nothing may happen before the server counts as stuck.
const STUCK: Duration = Duration::from_secs(20);

/// When a load ends.
#[derive(Clone, Copy, Debug)]
pub enum Until {
    /// After the warm-up, the load goes on for this long.
    Elapsed {
        /// Not measured.
        warm_up: Duration,
        /// Measured.
        measured: Duration,
    },
    /// After so many requests; everything is measured.
    Requests(u64),
}

/// What a load has seen of the server.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Requests answered in the measured time.
    pub requests: u64,
    /// The measured time.
    pub elapsed: Duration,
    /// Nanoseconds from send to answer, of those requests.
    pub latency: Histogram<u64>,
    /// Answered requests of each connection in all, warm-up included.
    pub answered: Vec<u64>,
}

/// An empty histogram: up to a minute, three digits.
///
/// # Errors
/// None with these bounds; the type asks for it.
pub fn latency_histogram() -> io::Result<Histogram<u64>> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).map_err(io::Error::other)
}

/// Loads the server at `address` with `frames`, connection by connection. `mark` is called when the measured time begins and
/// when it ends, to read the server's clocks.
///
/// # Errors
/// The server is gone, stuck, or answers with an error: says which.
pub fn load(
    address: SocketAddr,
    frames: Vec<Frames>,
    in_flight: usize,
    until: Until,
    mut mark: impl FnMut() -> io::Result<()>,
) -> io::Result<Measured> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let mut sockets = Vec::with_capacity(frames.len());
    for (number, frames) in frames.into_iter().enumerate() {
        let socket = Socket::connect(address, frames)?;
        let data = EventData::new_u64(number as u64);
        epoll::add(&epoll, socket.stream(), data, EventFlags::IN)?;
        sockets.push(socket);
    }
    let mut run = Run {
        until,
        begun: Instant::now(),
        measuring: None,
        measured: Measured {
            requests: 0,
            elapsed: Duration::ZERO,
            latency: latency_histogram()?,
            answered: vec![0; sockets.len()],
        },
        sent: 0,
        outstanding: 0,
        ended: false,
    };
    if matches!(until, Until::Requests(_)) {
        run.measure(&mut mark)?;
    }
    for (number, socket) in sockets.iter_mut().enumerate() {
        for _ in 0..in_flight {
            run.send(socket);
        }
        flush(&epoll, number, socket)?;
    }
    let mut events = Vec::with_capacity(sockets.len().max(1));
    while run.outstanding > 0 {
        events.clear();
        let timeout = STUCK.try_into().map_err(io::Error::other)?;
        match epoll::wait(&epoll, spare_capacity(&mut events), Some(&timeout)) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::TimedOut, "the server is stuck")),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        for event in &events {
            let epoll::Event { data, flags } = *event;
            let number = usize::try_from(data.u64()).unwrap_or(usize::MAX);
            let Some(socket) = sockets.get_mut(number) else { continue };
            if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
                let now = Instant::now();
                for _ in 0..socket.receive(|begun| run.on_answer(number, begun, now))? {
                    run.send(socket);
                }
            }
            flush(&epoll, number, socket)?;
        }
        run.turn(&mut mark)?;
    }
    Ok(run.measured)
}

fn flush(epoll: &impl rustix::fd::AsFd, number: usize, socket: &mut Socket) -> io::Result<()> {
    if let Some(wants_room) = socket.flush()? {
        let room = if wants_room { EventFlags::OUT } else { EventFlags::empty() };
        let data = EventData::new_u64(number as u64);
        epoll::modify(epoll, socket.stream(), data, EventFlags::IN | room)?;
    }
    Ok(())
}

struct Run {
    until: Until,
    begun: Instant,
    /// Since when requests count.
    measuring: Option<Instant>,
    measured: Measured,
    sent: u64,
    outstanding: u64,
    ended: bool,
}

impl Run {
    fn send(&mut self, socket: &mut Socket) {
        let enough = matches!(self.until, Until::Requests(n) if self.sent >= n);
        if !self.ended && !enough {
            self.sent += 1;
            self.outstanding += 1;
            socket.send(Instant::now());
        }
    }

    fn on_answer(&mut self, connection: usize, begun: Instant, now: Instant) {
        self.outstanding -= 1;
        self.measured.answered[connection] += 1;
        if self.measuring.is_some() && !self.ended {
            self.measured.requests += 1;
            let ns = u64::try_from((now - begun).as_nanos()).unwrap_or(u64::MAX);
            self.measured.latency.saturating_record(ns.max(1));
        }
    }

    fn measure(&mut self, mark: &mut impl FnMut() -> io::Result<()>) -> io::Result<()> {
        mark()?;
        self.measuring = Some(Instant::now());
        Ok(())
    }

    fn turn(&mut self, mark: &mut impl FnMut() -> io::Result<()>) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        match (self.until, self.measuring) {
            (Until::Elapsed { warm_up, .. }, None) if self.begun.elapsed() >= warm_up => {
                self.measure(mark)
            }
            (Until::Elapsed { measured, .. }, Some(since)) if since.elapsed() >= measured => {
                self.end(since, mark)
            }
            (Until::Requests(_), Some(since)) if self.outstanding == 0 => self.end(since, mark),
            _ => Ok(()),
        }
    }

    fn end(&mut self, since: Instant, mark: &mut impl FnMut() -> io::Result<()>) -> io::Result<()> {
        self.measured.elapsed = since.elapsed();
        self.ended = true;
        mark()
    }
}
