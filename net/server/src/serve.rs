//! Serves connections: per connection one task that receives and one that sends.

mod bell;
mod live;
mod progress;
mod reader;
mod request;
mod sweep;
mod writer;

pub(crate) use self::bell::Bell;
pub use self::progress::{InProgress, Stuck};

use self::live::Live;
use crate::admission::ConnectionLimits;
use crate::close::CloseReason;
use crate::config::Config;
use crate::connection::{Connection, FrameMemory, Pins, Room, Seq};
use crate::counters::{Counters, Snapshot, add};
use crate::handler::Handler;
use crate::listener;
use runtime::{Listen, Memory, Runtime, Stream};
use stages::{Laps, Stage};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// One core's server: listeners, and the connections that they have accepted. A cheap handle. The tasks go on when the
/// handle is dropped; [`Server::drain`] ends them.
pub struct Server<H: Handler>(Rc<Inner<H>>);

impl<H: Handler> Clone for Server<H> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

pub(crate) struct Inner<H: Handler> {
    pub(crate) rt: Runtime,
    pub(crate) handler: Rc<H>,
    pub(crate) counters: Counters,
    memory: FrameMemory,
    config: Config,
    limits: ConnectionLimits,
    connections: RefCell<BTreeMap<u64, Rc<Live<H>>>>,
    /// Connections that have ended, and have requests in progress.
    lingering: RefCell<BTreeMap<u64, Rc<Live<H>>>>,
    next_id: Cell<u64>,
    /// Rung to stop the listeners.
    listeners: RefCell<Vec<Rc<Bell>>>,
    accepting: Cell<usize>,
    stopping: Cell<bool>,
    /// Heard by whoever drains: nothing is open or in progress any more.
    quiet: Bell,
    sweeping: Cell<bool>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still open at the deadline, and were cut off.
    pub cut_off: usize,
    /// Requests that were still in progress at the deadline.
    pub unfinished: usize,
}

impl<H: Handler> Server<H> {
    /// A server that does not listen yet. `limits` are shared by the node's cores.
    #[must_use]
    pub fn new(rt: &Runtime, handler: Rc<H>, config: Config, limits: ConnectionLimits) -> Self {
        let memory = FrameMemory {
            room: Room::new(config.frame_bytes_max, config.request_bytes_max),
            pins: Pins::new(config.in_place_chunks_max),
            // Of their own: a request that waits for the core's memory must not hold what it waits for. The room has charged
            // them already; what goes beyond this is collected in ordinary memory.
            memory: Some(Memory::new(config.frame_bytes_max / 2)),
            in_place_bytes_min: config.in_place_bytes_min,
            copied: Rc::default(),
        };
        Self(Rc::new(Inner {
            rt: rt.clone(),
            handler,
            counters: Counters::default(),
            memory,
            config,
            limits,
            connections: RefCell::default(),
            lingering: RefCell::default(),
            next_id: Cell::new(0),
            listeners: RefCell::default(),
            accepting: Cell::new(0),
            stopping: Cell::new(false),
            quiet: Bell::default(),
            sweeping: Cell::new(false),
        }))
    }

    /// Listens on one more address; the address that was bound.
    ///
    /// # Errors
    /// As bind(2) and listen(2).
    pub async fn listen(&self, address: SocketAddr, how: Listen) -> io::Result<SocketAddr> {
        let inner = &self.0;
        let listener = inner.rt.net().listen(address, how).await?;
        let local = listener.local_addr();
        let stop = Rc::new(Bell::default());
        inner.listeners.borrow_mut().push(Rc::clone(&stop));
        inner.accepting.set(inner.accepting.get() + 1);
        inner.rt.spawn(listener::accept(Rc::clone(inner), listener, stop));
        if !inner.sweeping.replace(true) {
            let every = sweep::interval(inner.config.idle_max, inner.config.slow_grace);
            inner.rt.spawn(sweep::sweep(inner.rt.clone(), Rc::downgrade(inner), every));
        }
        Ok(local)
    }

    /// Stops: accepts nothing more, starts no further request, answers what is in progress, and closes. What is not done
    /// after `deadline` is cut off.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let inner = &self.0;
        inner.stopping.set(true);
        for stop in inner.listeners.borrow_mut().drain(..) {
            stop.ring();
        }
        for live in inner.all() {
            live.state.borrow_mut().drain();
            live.writer.ring();
        }
        let until = inner.rt.now() + deadline;
        while !inner.is_over() && inner.rt.now() < until {
            inner.quiet.or(inner.rt.sleep_until(until)).await;
        }
        let left = inner.all();
        for live in &left {
            inner.end(live, CloseReason::DrainDeadline);
        }
        Drained { cut_off: left.len(), unfinished: inner.counters.in_flight.get() }
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> Snapshot {
        let inner = &self.0;
        let connections = inner.connections.borrow();
        Snapshot {
            open: connections.len(),
            frame_bytes: inner.memory.room.used(),
            frame_bytes_highest: inner.memory.room.highest(),
            receive_buffers: inner.memory.pins.held(),
            copied: inner.memory.copied.get(),
            send_bytes: connections.values().map(|c| c.state.borrow().send_bytes()).sum(),
            ..inner.counters.snapshot()
        }
    }
}

impl<H: Handler> Inner<H> {
    /// Takes a connection that was accepted, if there is a place for it.
    pub(crate) fn admit(self: &Rc<Self>, stream: Stream) {
        let Some(peer) = stream.peer_addr().filter(|_| !self.stopping.get()) else { return };
        let admission = match self.limits.admit(peer.ip()) {
            Ok(admission) => admission,
            Err(why) => return self.counters.refused(why),
        };
        add(&self.counters.accepted, 1);
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let session = self.handler.open(peer, stream.local_addr());
        let stream = Rc::new(stream);
        let state = Connection::new(&self.config, self.rt.now());
        let live = Rc::new(Live::new(id, session, state, Rc::clone(&stream), admission));
        self.connections.borrow_mut().insert(id, Rc::clone(&live));
        let (server, on, socket) = (Rc::clone(self), Rc::clone(&live), Rc::clone(&stream));
        self.rt.spawn(async move {
            let reason = reader::read(&server, &on, &socket).await;
            server.end(&on, reason);
        });
        let server = Rc::clone(self);
        self.rt.spawn(async move {
            let reason = writer::write(&server, &live, &stream).await;
            server.end(&live, reason);
        });
    }

    /// Ends a connection, once.
    pub(crate) fn end(&self, live: &Rc<Live<H>>, reason: CloseReason) {
        let Some(unread) = live.end(reason) else { return };
        for laps in unread {
            self.on_unread(live, laps, Stage::Order);
        }
        self.counters.closed(reason);
        self.connections.borrow_mut().remove(&live.id);
        if live.is_busy() {
            self.lingering.borrow_mut().insert(live.id, Rc::clone(live));
        }
        self.handler.closed(&live.session, reason);
        self.ring_if_quiet();
    }

    /// The client has gone before this answer had left; until now it was in `stage`.
    pub(crate) fn on_unread(&self, live: &Live<H>, mut laps: Laps, stage: Stage) {
        if stages::ON {
            laps.lap(stage, || self.rt.clock());
            laps.goes_unread();
            self.handler.answered(&live.session, &laps);
        }
    }

    /// A request that had to wait is over: the second hand on its stopwatch.
    pub(crate) fn on_over(&self, live: &Live<H>, seq: Seq) -> Option<Laps> {
        let pending = live.pending.borrow_mut().remove(&seq)?;
        if live.ended().is_some() && !live.is_busy() {
            self.lingering.borrow_mut().remove(&live.id);
        }
        Some(pending.laps)
    }

    /// A request goes with its client. If it was parked it has waited for nothing of ours.
    pub(crate) fn on_dropped(&self, live: &Live<H>, mut laps: Laps) {
        if stages::ON && laps.stage() != Stage::Park {
            laps.end(self.rt.clock());
            laps.goes_unread();
            self.handler.answered(&live.session, &laps);
        }
    }

    pub(crate) fn listener_stopped(&self) {
        self.accepting.set(self.accepting.get() - 1);
        self.ring_if_quiet();
    }

    pub(crate) fn ring_if_quiet(&self) {
        if self.is_over() {
            self.quiet.ring();
        }
    }

    fn is_over(&self) -> bool {
        self.stopping.get()
            && self.accepting.get() == 0
            && self.counters.in_flight.get() == 0
            && self.connections.borrow().is_empty()
    }

    fn all(&self) -> Vec<Rc<Live<H>>> {
        self.connections.borrow().values().cloned().collect()
    }
}
