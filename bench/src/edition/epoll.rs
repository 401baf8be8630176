//! The core as a plain readiness loop: one thread and epoll for the sockets, one more that writes and flushes.
//!
//! What a careful programmer would write first, without io_uring. Groups go to the flusher over a channel and come back over
//! another one; an eventfd wakes the loop.

use super::{ServeConfig, ready};
use bench_core::{Aligned, Connection, GROUP_BYTES, Group, Inbox, Log, Part, Refused};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use std::collections::{BTreeMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

const LISTENER: u64 = u64::MAX;
const FLUSHED: u64 = u64::MAX - 1;

/// Parts of one vectored write.
const VECTORS_MAX: usize = 64;

type Tail = Rc<[u8]>;

struct Talk {
    stream: TcpStream,
    inbox: Inbox,
    connection: Connection<Tail>,
    out: VecDeque<Part<Tail>>,
    /// Bytes of the first part that have been sent.
    sent: usize,
    /// Told when the socket can take more.
    waits_for_room: bool,
}

struct Core {
    epoll: OwnedFd,
    log: Log<Aligned, Tail>,
    talks: BTreeMap<usize, Talk>,
    to_flusher: Sender<Group<Aligned>>,
}

pub(super) fn serve(config: &ServeConfig) -> io::Result<()> {
    let (file, direct) = open(&config.file)?;
    let listener = TcpListener::bind(config.listen)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
    epoll::add(&epoll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    epoll::add(&epoll, &*bell, EventData::new_u64(FLUSHED), EventFlags::IN)?;
    let (to_flusher, groups) = mpsc::channel();
    let (to_loop, flushed) = mpsc::channel();
    let flusher_bell = Arc::clone(&bell);
    thread::Builder::new()
        .name("flush".into())
        .spawn(move || flush(&file, &groups, &to_loop, &flusher_bell))?;
    ready(listener.local_addr()?, if direct { "direct I/O" } else { "page cache" })?;

    let (log, talks) = (Log::new(config.log), BTreeMap::new());
    let mut core = Core { epoll, log, talks, to_flusher };
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        match epoll::wait(&core.epoll, spare_capacity(&mut events), None) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(e) => return Err(e.into()),
        }
        for event in &events {
            match event.data.u64() {
                LISTENER => core.accept(&listener)?,
                FLUSHED => core.on_flushed(&bell, &flushed)?,
                number => core.on_event(usize::try_from(number).unwrap_or(usize::MAX), event.flags),
            }
        }
        if let Some(group) = core.log.next_group() {
            core.to_flusher.send(group).map_err(|_| io::Error::other("the flusher is gone"))?;
        }
    }
}

/// Opens the ring file; whether past the page cache.
fn open(path: &Path) -> io::Result<(File, bool)> {
    let mut options = OpenOptions::new();
    options.write(true);
    let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
    match options.clone().custom_flags(direct).open(path) {
        Ok(file) => Ok((file, true)),
        Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok((options.open(path)?, false)),
        Err(e) => Err(e),
    }
}

/// The other thread: one group after the other.
fn flush(
    file: &File,
    groups: &Receiver<Group<Aligned>>,
    to_loop: &Sender<Group<Aligned>>,
    bell: &OwnedFd,
) {
    for group in groups {
        let written = file
            .write_all_at(group.block().filled(), group.position())
            .and_then(|()| file.sync_data());
        if let Err(e) = written {
            // After a failed flush nobody knows what the disk holds.
            eprintln!("the ring file: {e}; the process stops");
            std::process::abort();
        }
        if to_loop.send(group).is_err() {
            return;
        }
        // The only failure is a counter that is full, and then the loop wakes anyway.
        let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
    }
}

impl Core {
    fn accept(&mut self, listener: &TcpListener) -> io::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) => return Err(e),
            };
            stream.set_nonblocking(true)?;
            stream.set_nodelay(true)?;
            let number = (0..).find(|n| !self.talks.contains_key(n)).unwrap_or(0);
            let data = EventData::new_u64(number as u64);
            epoll::add(&self.epoll, &stream, data, EventFlags::IN)?;
            let talk = Talk {
                stream,
                inbox: Inbox::new(),
                connection: Connection::new(number),
                out: VecDeque::new(),
                sent: 0,
                waits_for_room: false,
            };
            self.talks.insert(number, talk);
        }
    }

    fn on_flushed(&mut self, bell: &OwnedFd, flushed: &Receiver<Group<Aligned>>) -> io::Result<()> {
        let mut count = [0; 8];
        rustix::io::read(bell, &mut count)?;
        for group in flushed.try_iter() {
            let waiting = group.connections().to_vec();
            self.log.on_durable(group);
            for number in waiting {
                self.answer(number);
            }
        }
        Ok(())
    }

    fn on_event(&mut self, number: usize, flags: EventFlags) {
        if flags.contains(EventFlags::OUT) {
            self.answer(number);
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            let Some(talk) = self.talks.get_mut(&number) else { return };
            match talk.receive(&mut self.log) {
                Ok(true) => self.answer(number),
                Ok(false) => self.close(number),
                Err(e) => {
                    if e.get_ref().is_some_and(|e| e.is::<Refused>()) {
                        eprintln!("a connection was closed: {e}");
                    }
                    self.close(number);
                }
            }
        }
    }

    /// Sends what may leave.
    fn answer(&mut self, number: usize) {
        let Some(talk) = self.talks.get_mut(&number) else { return };
        if !talk.out.is_empty() || talk.connection.is_releasable(self.log.durable()) {
            match talk.send(self.log.durable()) {
                Ok(all) if all == talk.waits_for_room => {
                    talk.waits_for_room = !all;
                    let room = if all { EventFlags::empty() } else { EventFlags::OUT };
                    let data = EventData::new_u64(number as u64);
                    let interest = EventFlags::IN | room;
                    if epoll::modify(&self.epoll, &talk.stream, data, interest).is_err() {
                        self.close(number);
                    }
                }
                Ok(_) => {}
                Err(_) => self.close(number),
            }
        }
    }

    fn close(&mut self, number: usize) {
        // Closing the descriptor takes it out of the epoll set.
        self.talks.remove(&number);
    }
}

impl Talk {
    /// Receives once and executes what is whole; whether the peer is still there.
    fn receive(&mut self, log: &mut Log<Aligned, Tail>) -> io::Result<bool> {
        let n = match self.stream.read(self.inbox.spare_mut()) {
            Ok(0) => return Ok(false),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(e) => return Err(e),
        };
        self.inbox.received(n);
        while let Some(frame) = self.inbox.next_frame().map_err(refused)? {
            let frame = self.inbox.contents(frame);
            let block = || Aligned::new(GROUP_BYTES);
            self.connection.execute(frame, log, block).map_err(refused)?;
        }
        Ok(true)
    }

    /// Sends as much as the socket takes; whether that was everything.
    fn send(&mut self, durable: u64) -> io::Result<bool> {
        loop {
            if self.out.is_empty() {
                let mut parts = Vec::new();
                self.connection.release(durable, &mut parts);
                self.out.extend(parts);
            }
            if self.out.is_empty() {
                return Ok(true);
            }
            let mut skip = self.sent;
            let slices: Vec<IoSlice<'_>> = self
                .out
                .iter()
                .take(VECTORS_MAX)
                .map(|part| IoSlice::new(&bytes(part)[std::mem::take(&mut skip)..]))
                .collect();
            match self.stream.write_vectored(&slices) {
                Ok(n) => self.on_sent(n),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn on_sent(&mut self, n: usize) {
        self.sent += n;
        while let Some(first) = self.out.front().map(|part| bytes(part).len())
            && self.sent >= first
        {
            self.sent -= first;
            self.out.pop_front();
        }
    }
}

fn bytes(part: &Part<Tail>) -> &[u8] {
    match part {
        Part::Bytes(bytes) => bytes,
        Part::Records(tail) => tail,
    }
}

fn refused(why: Refused) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
