//! The network between simulated nodes: connections that keep the order of their bytes and nothing else.
//!
//! Bytes travel in pieces, each with its own delay, and arrive in order; a receive yields any part of what has arrived. Between
//! partitioned nodes they wait, as they would for retransmission. A killed process resets its connections; one whose power went
//! says nothing, and its peers learn of it seconds later.

use super::random::Random;
use super::world::{Event, Shared, SimCore};
use crate::buffer::{Buffer, Slice};
use crate::net::Listen;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::task::{Poll, Waker};

/// What a connection attempt that nobody answers waits for: 10 s.
const SILENCE: u64 = 10_000_000_000;

pub(crate) enum NetEvent {
    Arrive { conn: u64, to: usize, what: Packet },
    Connected { attempt: Rc<Attempt>, from: (usize, u64), to: SocketAddr, tries: u32 },
}

pub(crate) enum Packet {
    Bytes(Vec<u8>),
    End,
    Reset,
}

/// A connection attempt, and where its outcome goes.
pub(crate) struct Attempt {
    outcome: RefCell<Option<io::Result<u64>>>,
    waker: RefCell<Option<Waker>>,
    local: SocketAddr,
}

#[derive(Debug)]
struct End {
    node: usize,
    addr: SocketAddr,
    inbox: VecDeque<u8>,
    /// Bytes sent to this end that have not arrived.
    under_way: usize,
    /// The latest arrival so far: order is kept.
    last_arrival: u64,
    ended: bool,
    reset: bool,
    /// The process let go of it, or is gone.
    closed: bool,
    /// It has said that it will send nothing more.
    said_end: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl End {
    fn new(node: usize, addr: SocketAddr) -> Self {
        Self {
            node,
            addr,
            inbox: VecDeque::new(),
            under_way: 0,
            last_arrival: 0,
            ended: false,
            reset: false,
            closed: false,
            said_end: false,
            reader: None,
            writer: None,
        }
    }

    fn wake(&mut self) {
        for w in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            w.wake();
        }
    }
}

struct Door {
    node: usize,
    port: u16,
    incarnation: u64,
    waiting: VecDeque<u64>,
    backlog: usize,
    waker: Option<Waker>,
    shared_port: bool,
}

/// What waits for a partition to heal: connection, end, packet.
type Held = Vec<(u64, usize, Packet)>;

#[derive(Default)]
pub(crate) struct SimNet {
    conns: BTreeMap<u64, [End; 2]>,
    doors: BTreeMap<u64, Door>,
    partitions: BTreeSet<(usize, usize)>,
    held: Held,
    next_port: u16,
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

fn pair(a: usize, b: usize) -> (usize, usize) {
    (a.min(b), a.max(b))
}

fn address(node: usize, port: u16) -> SocketAddr {
    let last = u8::try_from(node + 1).unwrap_or(u8::MAX);
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)), port)
}

/// The node that an address means, seen from `me`.
fn node_of(addr: SocketAddr, me: usize) -> Option<usize> {
    match addr.ip() {
        ip if ip.is_loopback() || ip.is_unspecified() => Some(me),
        IpAddr::V4(v4) => match v4.octets() {
            [10, 0, 0, n] if n > 0 => Some(usize::from(n) - 1),
            _ => None,
        },
        IpAddr::V6(_) => None,
    }
}

impl Shared {
    fn free_port(&mut self) -> u16 {
        let port = 32768 + self.net.next_port % 28000;
        self.net.next_port = self.net.next_port.wrapping_add(1);
        port
    }

    fn travel(&mut self, a: usize, b: usize) -> u64 {
        let link = self.config.link;
        let nanos = self.draw(link);
        if a == b { nanos / 10 } else { nanos }
    }

    /// Puts a packet on its way to end `to` of a connection, behind everything before it.
    fn dispatch(&mut self, conn: u64, to: usize, what: Packet) {
        let Some(ends) = self.net.conns.get(&conn) else { return };
        let (a, b) = (ends[0].node, ends[1].node);
        let delay = self.travel(a, b);
        let mut at = self.now + delay;
        if let Some(ends) = self.net.conns.get_mut(&conn) {
            at = at.max(ends[to].last_arrival);
            ends[to].last_arrival = at;
            if let Packet::Bytes(bytes) = &what {
                ends[to].under_way += bytes.len();
            }
        }
        self.after(at - self.now, Event::Net(NetEvent::Arrive { conn, to, what }));
    }

    pub(crate) fn on_net(&mut self, event: NetEvent) {
        match event {
            NetEvent::Arrive { conn, to, what } => self.arrive(conn, to, what),
            NetEvent::Connected { attempt, from, to, tries } => {
                if let Some(outcome) = self.knock(&attempt, from, to, tries) {
                    *attempt.outcome.borrow_mut() = Some(outcome);
                    if let Some(w) = attempt.waker.borrow_mut().take() {
                        w.wake();
                    }
                }
            }
        }
    }

    fn arrive(&mut self, conn: u64, to: usize, what: Packet) {
        let Some(ends) = self.net.conns.get_mut(&conn) else { return };
        let nodes = pair(ends[0].node, ends[1].node);
        let cut = self.net.partitions.contains(&nodes);
        // What came after something that waits waits behind it.
        if cut || self.net.held.iter().any(|(c, t, _)| *c == conn && *t == to) {
            self.net.held.push((conn, to, what));
            return;
        }
        let end = &mut ends[to];
        let mut answer_reset = false;
        let line = match what {
            Packet::Bytes(bytes) => {
                end.under_way -= bytes.len();
                answer_reset = end.closed;
                let line = format!("conn {conn}.{to} got {}", bytes.len());
                if !end.closed {
                    end.inbox.extend(bytes);
                }
                line
            }
            Packet::End => {
                end.ended = true;
                format!("conn {conn}.{to} ended")
            }
            Packet::Reset => {
                end.reset = true;
                end.inbox.clear();
                format!("conn {conn}.{to} reset")
            }
        };
        end.wake();
        self.note(line);
        if answer_reset {
            self.dispatch(conn, 1 - to, Packet::Reset);
        }
    }

    /// A connection attempt reaches the other node; `None` if it has to try again.
    fn knock(
        &mut self,
        attempt: &Rc<Attempt>,
        from: (usize, u64),
        to: SocketAddr,
        tries: u32,
    ) -> Option<io::Result<u64>> {
        let Some(node) = node_of(to, from.0).filter(|n| *n < self.nodes.len()) else {
            return Some(Err(error(libc::EHOSTUNREACH)));
        };
        if !self.is_alive(from.0, from.1) {
            return None;
        }
        if self.net.partitions.contains(&pair(from.0, node)) {
            if tries == 0 {
                return Some(Err(error(libc::ETIMEDOUT)));
            }
            let attempt = Rc::clone(attempt);
            let again = NetEvent::Connected { attempt, from, to, tries: tries - 1 };
            self.after(SILENCE / 10, Event::Net(again));
            return None;
        }
        let incarnation = self.nodes[node].incarnation;
        let doors: Vec<u64> = self
            .net
            .doors
            .iter()
            .filter(|(_, d)| d.node == node && d.port == to.port() && d.incarnation == incarnation)
            .map(|(id, _)| *id)
            .collect();
        if doors.is_empty() || !self.nodes[node].alive {
            return Some(Err(error(libc::ECONNREFUSED)));
        }
        let door = doors[self.random.index(doors.len())];
        let conn = self.id();
        let door = self.net.doors.get_mut(&door)?;
        if door.waiting.len() >= door.backlog {
            return Some(Err(error(libc::ETIMEDOUT)));
        }
        door.waiting.push_back(conn);
        if let Some(w) = door.waker.take() {
            w.wake();
        }
        let ends = [End::new(from.0, attempt.local), End::new(node, address(node, to.port()))];
        self.net.conns.insert(conn, ends);
        self.note(format!("conn {conn} from {} to {to}", attempt.local));
        Some(Ok(conn))
    }

    pub(crate) fn partition(&mut self, a: usize, b: usize) {
        self.net.partitions.insert(pair(a, b));
        self.note(format!("partition {a} {b}"));
    }

    pub(crate) fn heal(&mut self, a: usize, b: usize) {
        self.net.partitions.remove(&pair(a, b));
        self.note(format!("heal {a} {b}"));
        let held = std::mem::take(&mut self.net.held);
        for (conn, to, what) in held {
            let Some(ends) = self.net.conns.get_mut(&conn) else { continue };
            if self.net.partitions.contains(&pair(ends[0].node, ends[1].node)) {
                self.net.held.push((conn, to, what));
                continue;
            }
            if let Packet::Bytes(bytes) = &what {
                // `dispatch` counts them again.
                ends[to].under_way -= bytes.len();
            }
            self.dispatch(conn, to, what);
        }
    }

    pub(crate) fn reset_between(&mut self, a: usize, b: usize) {
        let between: Vec<u64> = self
            .net
            .conns
            .iter()
            .filter(|(_, e)| pair(e[0].node, e[1].node) == pair(a, b))
            .map(|(id, _)| *id)
            .collect();
        for conn in between {
            self.dispatch(conn, 0, Packet::Reset);
            self.dispatch(conn, 1, Packet::Reset);
        }
    }

    /// The node's process is gone: with its power (peers learn late) or without.
    pub(crate) fn drop_connections(&mut self, node: usize, power: bool) {
        self.net.doors.retain(|_, d| d.node != node);
        let mut peers = Vec::new();
        for (id, ends) in &mut self.net.conns {
            for (side, end) in ends.iter_mut().enumerate() {
                if end.node == node && !end.closed {
                    end.closed = true;
                    end.inbox.clear();
                    peers.push((*id, 1 - side));
                }
            }
        }
        for (conn, to) in peers {
            if power {
                let delay = self.random.between(SILENCE / 10, SILENCE);
                let event = NetEvent::Arrive { conn, to, what: Packet::Reset };
                self.after(delay, Event::Net(event));
            } else {
                self.dispatch(conn, to, Packet::Reset);
            }
        }
        self.forget();
    }

    fn forget(&mut self) {
        self.net.conns.retain(|_, e| !(e[0].closed && e[1].closed));
    }
}

/// A listening socket of a simulated core.
pub(crate) struct SimListener {
    core: Rc<SimCore>,
    door: u64,
    local: SocketAddr,
}

/// One end of a simulated connection.
pub(crate) struct SimStream {
    core: Rc<SimCore>,
    conn: u64,
    side: usize,
    local: SocketAddr,
    peer: SocketAddr,
}

impl SimCore {
    pub(crate) fn listen(
        self: &Rc<Self>,
        addr: SocketAddr,
        how: Listen,
    ) -> io::Result<SimListener> {
        let mut shared = self.shared.borrow_mut();
        let port = if addr.port() == 0 { shared.free_port() } else { addr.port() };
        let taken =
            shared.net.doors.values().any(|d| {
                d.node == self.node && d.port == port && !(d.shared_port && how.reuse_port)
            });
        if taken {
            return Err(error(libc::EADDRINUSE));
        }
        let door = shared.id();
        let backlog = usize::try_from(how.backlog).unwrap_or(1).max(1);
        shared.net.doors.insert(
            door,
            Door {
                node: self.node,
                port,
                incarnation: self.incarnation,
                waiting: VecDeque::new(),
                backlog,
                waker: None,
                shared_port: how.reuse_port,
            },
        );
        drop(shared);
        Ok(SimListener { core: Rc::clone(self), door, local: address(self.node, port) })
    }

    pub(crate) async fn connect(self: &Rc<Self>, addr: SocketAddr) -> io::Result<SimStream> {
        let attempt = {
            let mut shared = self.shared.borrow_mut();
            let local = address(self.node, shared.free_port());
            let (outcome, waker) = (RefCell::new(None), RefCell::new(None));
            let attempt = Rc::new(Attempt { outcome, waker, local });
            let other = node_of(addr, self.node).unwrap_or(self.node);
            let delay = shared.travel(self.node, other);
            let from = (self.node, self.incarnation);
            let event =
                NetEvent::Connected { attempt: Rc::clone(&attempt), from, to: addr, tries: 10 };
            if shared.is_alive(self.node, self.incarnation) {
                shared.after(delay, Event::Net(event));
            }
            attempt
        };
        let conn = poll_fn(|cx| match attempt.outcome.borrow_mut().take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                *attempt.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        })
        .await?;
        Ok(SimStream { core: Rc::clone(self), conn, side: 0, local: attempt.local, peer: addr })
    }
}

impl SimListener {
    pub(crate) async fn accept(&mut self) -> io::Result<SimStream> {
        let conn = poll_fn(|cx| {
            let mut shared = self.core.shared.borrow_mut();
            let Some(door) = shared.net.doors.get_mut(&self.door) else { return Poll::Pending };
            match door.waiting.pop_front() {
                Some(conn) => Poll::Ready(conn),
                None => {
                    door.waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        let shared = self.core.shared.borrow();
        let Some(ends) = shared.net.conns.get(&conn) else {
            return Err(error(libc::ECONNABORTED));
        };
        let (local, peer) = (ends[1].addr, ends[0].addr);
        Ok(SimStream { core: Rc::clone(&self.core), conn, side: 1, local, peer })
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut shared = self.core.shared.borrow_mut();
        let Some(door) = shared.net.doors.remove(&self.door) else { return };
        for conn in door.waiting {
            if let Some(ends) = shared.net.conns.get_mut(&conn) {
                ends[1].closed = true;
            }
            shared.dispatch(conn, 0, Packet::Reset);
        }
        shared.forget();
    }
}

impl SimStream {
    /// Asks this end for something until it has it.
    async fn until<T>(
        &self,
        reading: bool,
        mut ask: impl FnMut(&mut End, &mut Random) -> Option<io::Result<T>>,
    ) -> io::Result<T> {
        poll_fn(|cx| {
            let mut shared = self.core.shared.borrow_mut();
            if !shared.is_alive(self.core.node, self.core.incarnation) {
                return Poll::Pending;
            }
            let Shared { net, random, .. } = &mut *shared;
            let Some(ends) = net.conns.get_mut(&self.conn) else {
                return Poll::Ready(Err(error(libc::ECONNRESET)));
            };
            let end = &mut ends[self.side];
            if end.reset {
                return Poll::Ready(Err(error(libc::ECONNRESET)));
            }
            match ask(end, random) {
                Some(answer) => Poll::Ready(answer),
                None => {
                    let waker = if reading { &mut end.reader } else { &mut end.writer };
                    *waker = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    fn make_room(&self) {
        let mut shared = self.core.shared.borrow_mut();
        if let Some(ends) = shared.net.conns.get_mut(&self.conn)
            && let Some(w) = ends[1 - self.side].writer.take()
        {
            w.wake();
        }
    }

    async fn take(&self, most: usize, all: bool) -> io::Result<Option<Vec<u8>>> {
        let bytes = self
            .until(true, |end, random| {
                if end.inbox.is_empty() {
                    return end.ended.then_some(Ok(None));
                }
                let here = end.inbox.len().min(most);
                // A receive may yield any part of what is there; mostly it yields all.
                let n = if all || random.coin() { here } else { 1 + random.index(here) };
                Some(Ok(Some(end.inbox.drain(..n).collect::<Vec<u8>>())))
            })
            .await?;
        self.make_room();
        Ok(bytes)
    }

    pub(crate) async fn recv(&self) -> io::Result<Option<Vec<u8>>> {
        let most = self.core.shared.borrow().config.receive;
        self.take(most, false).await
    }

    pub(crate) async fn recv_exact_into(&self, buffer: &mut Buffer, n: usize) -> io::Result<bool> {
        let mut left = n;
        while left > 0 {
            let Some(bytes) = self.take(left, true).await? else { return Ok(false) };
            buffer.append(&bytes);
            left -= bytes.len();
        }
        Ok(true)
    }

    pub(crate) async fn send(&self, parts: &[Slice]) -> io::Result<()> {
        for part in parts {
            let mut done = 0;
            while done < part.len() {
                let room = poll_fn(|cx| {
                    let mut shared = self.core.shared.borrow_mut();
                    if !shared.is_alive(self.core.node, self.core.incarnation) {
                        return Poll::Pending;
                    }
                    let window = shared.config.window;
                    let Some(ends) = shared.net.conns.get_mut(&self.conn) else {
                        return Poll::Ready(Err(error(libc::EPIPE)));
                    };
                    let (mine, theirs) = (self.side, 1 - self.side);
                    if ends[mine].reset || ends[mine].said_end {
                        return Poll::Ready(Err(error(libc::EPIPE)));
                    }
                    let used = ends[theirs].inbox.len() + ends[theirs].under_way;
                    if used < window {
                        return Poll::Ready(Ok(window - used));
                    }
                    ends[mine].writer = Some(cx.waker().clone());
                    Poll::Pending
                })
                .await?;
                let most = room.min(part.len() - done);
                let mut shared = self.core.shared.borrow_mut();
                let n = if shared.random.coin() { most } else { 1 + shared.random.index(most) };
                let bytes = part[done..done + n].to_vec();
                shared.dispatch(self.conn, 1 - self.side, Packet::Bytes(bytes));
                done += n;
            }
        }
        Ok(())
    }

    fn end(&self, close: bool) {
        let mut shared = self.core.shared.borrow_mut();
        if !shared.is_alive(self.core.node, self.core.incarnation) {
            return;
        }
        let Some(ends) = shared.net.conns.get_mut(&self.conn) else { return };
        let end = &mut ends[self.side];
        let first = !std::mem::replace(&mut end.said_end, true);
        end.ended = true;
        end.closed |= close;
        end.wake();
        if first {
            shared.dispatch(self.conn, 1 - self.side, Packet::End);
        }
        shared.forget();
    }

    pub(crate) fn shutdown(&self) {
        self.end(false);
    }

    pub(crate) fn abort(&self) {
        let mut shared = self.core.shared.borrow_mut();
        if !shared.is_alive(self.core.node, self.core.incarnation) {
            return;
        }
        let Some(ends) = shared.net.conns.get_mut(&self.conn) else { return };
        let end = &mut ends[self.side];
        // In place of the farewell.
        end.said_end = true;
        end.ended = true;
        end.wake();
        shared.dispatch(self.conn, 1 - self.side, Packet::Reset);
    }

    pub(crate) fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }
}

impl Drop for SimStream {
    fn drop(&mut self) {
        self.end(true);
    }
}
