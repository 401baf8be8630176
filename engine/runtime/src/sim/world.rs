//! The world: its nodes, its clock, and what happens next.

use super::config::{Delay, SimConfig};
use super::disk::{Loose, SimDisk};
use super::files::DiskOp;
use super::net::{NetEvent, SimNet};
use super::random::Random;
use crate::buffer::Memory;
use crate::runtime::{Backend, Inner, Runtime};
use ids::{CoreId, Instant};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A node of a simulated world. Its address is 10.0.0.(n + 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u8);

impl NodeId {
    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome<T> {
    /// The future resolved.
    Done(T),
    /// The node lost power, was killed, or faulted.
    Died,
    /// Nothing can happen any more: everybody waits for everybody.
    Stuck,
    /// [`SimConfig::patience`] is used up.
    TimedOut,
}

impl<T> Outcome<T> {
    /// The value; panics with the other outcomes.
    #[track_caller]
    pub fn expect_done(self) -> T {
        match self {
            Self::Done(value) => value,
            Self::Died => panic!("the node died"),
            Self::Stuck => panic!("nothing can happen any more"),
            Self::TimedOut => panic!("it took too long"),
        }
    }

    /// Whether the node died.
    #[must_use]
    pub fn is_died(&self) -> bool {
        matches!(self, Self::Died)
    }
}

/// An error that operations of a node's disk will meet.
#[derive(Clone, Debug)]
pub struct Injection {
    /// Which kind of operation.
    pub op: DiskOp,
    /// On paths that contain this.
    pub path: String,
    /// So many of them are spared first.
    pub after: u64,
    /// So many fail then.
    pub times: u64,
    /// With this errno.
    pub errno: i32,
}

/// The payload of the unwinding by which a simulated process stops in the middle of a task.
pub(crate) struct NodeFault;

/// A value that an event of the world brings.
#[derive(Debug)]
pub(crate) struct Reply<T> {
    value: RefCell<Option<T>>,
    waker: RefCell<Option<Waker>>,
}

impl<T> Reply<T> {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Self { value: RefCell::new(None), waker: RefCell::new(None) })
    }

    pub(crate) fn set(&self, value: T) {
        *self.value.borrow_mut() = Some(value);
        let waker = self.waker.borrow_mut().take();
        if let Some(w) = waker {
            w.wake();
        }
    }

    pub(crate) fn wait(self: &Rc<Self>) -> Answered<T> {
        Answered(Rc::clone(self))
    }
}

pub(crate) struct Answered<T>(Rc<Reply<T>>);

impl<T> Future for Answered<T> {
    type Output = T;
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        match self.0.value.borrow_mut().take() {
            Some(value) => Poll::Ready(value),
            None => {
                *self.0.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// A write that has been submitted and has not landed.
pub(crate) struct Flying {
    pub(crate) incarnation: u64,
    pub(crate) ino: u64,
    pub(crate) pos: u64,
    pub(crate) data: Vec<u8>,
    pub(crate) path: String,
    pub(crate) reply: Rc<Reply<io::Result<()>>>,
    /// An injected error: it is reported, and the bytes land or not.
    pub(crate) errno: Option<i32>,
    /// After a kill: it never lands, but the lock is held until it is known not to.
    vanishes: bool,
}

impl Flying {
    pub(crate) fn new(incarnation: u64, ino: u64, pos: u64, data: Vec<u8>, path: String) -> Self {
        let reply = Reply::new();
        Self { incarnation, ino, pos, data, path, reply, errno: None, vanishes: false }
    }

    /// The same write in another world, where nobody waits for it.
    fn fork(&self) -> Self {
        let (data, path) = (self.data.clone(), self.path.clone());
        let errno = self.errno;
        let vanishes = self.vanishes;
        let reply = Reply::new();
        Self {
            incarnation: self.incarnation,
            ino: self.ino,
            pos: self.pos,
            data,
            path,
            reply,
            errno,
            vanishes,
        }
    }
}

pub(crate) enum Event {
    Wake(Rc<Reply<()>>),
    Land { node: usize, id: u64 },
    Net(NetEvent),
}

pub(crate) struct SimNode {
    pub(crate) disk: SimDisk,
    pub(crate) incarnation: u64,
    pub(crate) alive: bool,
    cores: Vec<Rc<Inner>>,
    pub(crate) flying: BTreeMap<u64, Flying>,
    effects: u64,
    last_effect: String,
    cut_at: Option<u64>,
    fault: Option<String>,
    injections: Vec<Injection>,
}

impl SimNode {
    fn fork(&self) -> Self {
        let flying = self.flying.iter().map(|(id, f)| (*id, f.fork())).collect();
        Self {
            disk: self.disk.clone(),
            incarnation: self.incarnation,
            alive: self.alive,
            cores: Vec::new(),
            flying,
            effects: self.effects,
            last_effect: self.last_effect.clone(),
            cut_at: None,
            fault: None,
            injections: Vec::new(),
        }
    }
}

pub(crate) struct Shared {
    pub(crate) config: SimConfig,
    pub(crate) random: Random,
    pub(crate) now: u64,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub(crate) next_id: u64,
    pub(crate) nodes: Vec<SimNode>,
    pub(crate) net: SimNet,
    /// Cores of dead processes, whose tasks are still to be dropped.
    graves: Vec<Rc<Inner>>,
    trace_hash: u64,
    trace: Vec<String>,
}

impl Shared {
    pub(crate) fn note(&mut self, line: String) {
        let line = format!("{:>12} {line}", self.now);
        // FNV-1a, so that equal traces have equal hashes on every machine.
        for byte in line.as_bytes() {
            self.trace_hash = (self.trace_hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
        if self.config.keep_trace {
            self.trace.push(line);
        }
    }

    pub(crate) fn draw(&mut self, delay: Delay) -> u64 {
        let nanos = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        self.random.between(nanos(delay.0), nanos(delay.1))
    }

    pub(crate) fn after(&mut self, nanos: u64, event: Event) {
        let at = self.now.saturating_add(nanos);
        self.events.insert((at, self.next_event), event);
        self.next_event += 1;
    }

    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Something has happened to a disk that a crash test wants to cut after.
    pub(crate) fn effect(&mut self, node: usize, what: String) {
        self.nodes[node].effects += 1;
        let n = self.nodes[node].effects;
        self.note(format!("n{node} #{n} {what}"));
        self.nodes[node].last_effect = what;
        if self.nodes[node].cut_at == Some(n) {
            self.power_cut(node);
        }
    }

    pub(crate) fn is_alive(&self, node: usize, incarnation: u64) -> bool {
        self.nodes[node].alive && self.nodes[node].incarnation == incarnation
    }

    /// The errno that an injection has for an operation.
    pub(crate) fn injected(&mut self, node: usize, op: DiskOp, path: &str) -> Option<i32> {
        for i in &mut self.nodes[node].injections {
            if i.op != op || !path.contains(&i.path) {
                continue;
            }
            if i.after > 0 {
                i.after -= 1;
            } else if i.times > 0 {
                i.times -= 1;
                return Some(i.errno);
            }
        }
        None
    }

    fn die(&mut self, node: usize) {
        let n = &mut self.nodes[node];
        n.alive = false;
        n.cut_at = None;
        self.graves.append(&mut n.cores);
    }

    fn power_cut(&mut self, node: usize) {
        self.note(format!("n{node} power cut"));
        self.die(node);
        self.drop_connections(node, true);
        let flying = std::mem::take(&mut self.nodes[node].flying);
        let mut loose: Vec<Loose> = flying
            .into_values()
            .filter(|f| !f.vanishes)
            .map(|f| Loose { ino: f.ino, pos: f.pos, data: f.data })
            .collect();
        // They may have landed in any order.
        for i in (1..loose.len()).rev() {
            loose.swap(i, self.random.index(i + 1));
        }
        let Self { nodes, random, .. } = self;
        nodes[node].disk.power_cut(random, loose);
    }

    fn kill(&mut self, node: usize) {
        if !self.nodes[node].alive {
            return;
        }
        self.note(format!("n{node} killed"));
        self.die(node);
        self.drop_connections(node, false);
        let afterlife = u64::try_from(self.config.afterlife.as_nanos()).unwrap_or(u64::MAX);
        let old: Vec<u64> = self.nodes[node].flying.keys().copied().collect();
        self.events.retain(|_, e| !matches!(e, Event::Land { node: n, .. } if *n == node));
        for id in old {
            let shift = self.random.below(20);
            let delay = self.random.between(0, afterlife) >> shift;
            let vanishes = self.random.below(3) == 0;
            let torn = self.random.below(8) == 0;
            let keep = self.random.next();
            if let Some(f) = self.nodes[node].flying.get_mut(&id) {
                f.vanishes |= vanishes;
                if torn {
                    let sectors = (f.data.len() / 512) as u64 + 1;
                    f.data.truncate(usize::try_from(keep % sectors).unwrap_or(0) * 512);
                }
            }
            self.after(delay, Event::Land { node, id });
        }
        self.nodes[node].disk.close_all();
    }

    fn land(&mut self, node: usize, id: u64) {
        let Some(f) = self.nodes[node].flying.remove(&id) else { return };
        let lands = !f.vanishes && (f.errno.is_none() || self.random.coin());
        let (pos, len) = (f.pos, f.data.len());
        let mut result = Ok(());
        if lands {
            result = self.nodes[node].disk.land(f.ino, f.pos, f.data);
            self.effect(node, format!("landed {} {pos}+{len}", f.path));
        }
        if let Some(errno) = f.errno {
            result = Err(io::Error::from_raw_os_error(errno));
        }
        if self.is_alive(node, f.incarnation) {
            f.reply.set(result);
        }
    }
}

/// One core's end of the world.
pub(crate) struct SimCore {
    pub(crate) shared: Rc<RefCell<Shared>>,
    pub(crate) node: usize,
    pub(crate) incarnation: u64,
}

impl SimCore {
    pub(crate) fn is_alive(&self) -> bool {
        self.shared.borrow().is_alive(self.node, self.incarnation)
    }

    pub(crate) fn now(&self) -> Instant {
        Instant(self.shared.borrow().now)
    }

    /// Waits as long as an operation of this kind takes. In a dead process nothing ever happens again.
    pub(crate) async fn delay(&self, pick: impl FnOnce(&SimConfig) -> Delay) {
        let reply = Reply::new();
        {
            let mut shared = self.shared.borrow_mut();
            if shared.is_alive(self.node, self.incarnation) {
                let delay = pick(&shared.config);
                let nanos = shared.draw(delay);
                shared.after(nanos, Event::Wake(Rc::clone(&reply)));
            }
        }
        reply.wait().await;
    }

    /// A fault: the process stops here.
    pub(crate) fn fault(&self, what: String) -> ! {
        {
            let mut shared = self.shared.borrow_mut();
            if shared.is_alive(self.node, self.incarnation) {
                shared.note(format!("n{} fault: {what}", self.node));
                shared.nodes[self.node].fault = Some(what);
                shared.kill(self.node);
            }
        }
        resume_unwind(Box::new(NodeFault))
    }
}

/// Nodes, their disks, and the network between them. One thread; virtual time; everything by seed.
pub struct World {
    shared: Rc<RefCell<Shared>>,
}

impl World {
    /// A world without nodes.
    #[must_use]
    pub fn new(seed: u64, config: SimConfig) -> Self {
        let shared = Shared {
            config,
            random: Random::new(seed),
            now: 1_000_000_000,
            events: BTreeMap::new(),
            next_event: 0,
            next_id: 0,
            nodes: Vec::new(),
            net: SimNet::default(),
            graves: Vec::new(),
            trace_hash: 0xcbf2_9ce4_8422_2325,
            trace: Vec::new(),
        };
        Self { shared: Rc::new(RefCell::new(shared)) }
    }

    /// A node with an empty disk, switched off.
    pub fn add_node(&self) -> NodeId {
        let mut shared = self.shared.borrow_mut();
        let disk = SimDisk::new(shared.config.capacity, shared.config.sector);
        shared.nodes.push(SimNode {
            disk,
            incarnation: 0,
            alive: false,
            cores: Vec::new(),
            flying: BTreeMap::new(),
            effects: 0,
            last_effect: String::new(),
            cut_at: None,
            fault: None,
            injections: Vec::new(),
        });
        let n = shared.nodes.len() - 1;
        assert!(n < 250, "more nodes than addresses");
        NodeId(u8::try_from(n).unwrap_or(u8::MAX))
    }

    /// A core of `node`. If the node is down this starts a new process on it; further calls add cores to that process.
    #[must_use]
    pub fn core(&self, node: NodeId, core: CoreId) -> Runtime {
        self.reap();
        let mut shared = self.shared.borrow_mut();
        let limit = shared.config.memory_limit;
        let n = &mut shared.nodes[node.index()];
        if !n.alive {
            n.incarnation += 1;
            n.alive = true;
            n.fault = None;
        }
        let sim = SimCore {
            shared: Rc::clone(&self.shared),
            node: node.index(),
            incarnation: n.incarnation,
        };
        let seed = shared.random.next();
        let now = Instant(shared.now);
        shared.note(format!("n{} core {} starts", node.0, core.0));
        let inner = Inner::new(core, Backend::Sim(Rc::new(sim)), Memory::new(limit), now, seed);
        shared.nodes[node.index()].cores.push(Rc::clone(&inner));
        Runtime { inner }
    }

    /// The virtual time.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant(self.shared.borrow().now)
    }

    /// A number from the world's generator, for the test's own choices.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.shared.borrow_mut().random.next()
    }

    /// Runs `future` on a core until it has resolved or cannot any more.
    pub fn run<T: 'static>(
        &self,
        rt: &Runtime,
        future: impl Future<Output = T> + 'static,
    ) -> Outcome<T> {
        let result: Rc<Cell<Option<T>>> = Rc::default();
        let out = Rc::clone(&result);
        rt.spawn(async move { out.set(Some(future.await)) });
        let patience = self.shared.borrow().config.patience;
        let deadline = self.now() + patience;
        loop {
            if let Some(value) = result.take() {
                return Outcome::Done(value);
            }
            if !rt.is_alive() {
                return Outcome::Died;
            }
            if self.now() > deadline {
                return Outcome::TimedOut;
            }
            if !self.step(None) {
                return Outcome::Stuck;
            }
        }
    }

    /// Runs until `done` says so; false if nothing can happen any more, or patience is used up.
    pub fn run_until(&self, mut done: impl FnMut() -> bool) -> bool {
        let patience = self.shared.borrow().config.patience;
        let deadline = self.now() + patience;
        while !done() {
            if self.now() > deadline || !self.step(None) {
                return false;
            }
        }
        true
    }

    /// Runs for a span of virtual time.
    pub fn run_for(&self, span: Duration) {
        let until = self.now() + span;
        while self.step(Some(until)) {}
        self.shared.borrow_mut().now = until.0;
        self.tick();
    }

    /// One step: a task goes on, or the next event happens. False if there is none (before `until`).
    fn step(&self, until: Option<Instant>) -> bool {
        self.reap();
        let cores: Vec<Rc<Inner>> =
            self.shared.borrow().nodes.iter().flat_map(|n| n.cores.iter().cloned()).collect();
        for core in &cores {
            core.check_mail();
        }
        let ready: Vec<&Rc<Inner>> = cores.iter().filter(|c| c.is_ready()).collect();
        if !ready.is_empty() {
            let pick = match ready.len() {
                1 => 0,
                n => self.shared.borrow_mut().random.index(n),
            };
            let core = ready[pick];
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| core.executor.run(1, || false)))
                && !payload.is::<NodeFault>()
            {
                resume_unwind(payload);
            }
            self.reap();
            return true;
        }
        let timer = cores.iter().filter_map(|c| c.executor.next_deadline()).min();
        let event = self.shared.borrow().events.first_key_value().map(|(k, _)| Instant(k.0));
        let next = match (timer, event) {
            (Some(t), Some(e)) => t.min(e),
            (Some(t), None) => t,
            (None, Some(e)) => e,
            (None, None) => return false,
        };
        if until.is_some_and(|u| next > u) {
            return false;
        }
        {
            let mut shared = self.shared.borrow_mut();
            shared.now = shared.now.max(next.0);
        }
        self.tick();
        let due = {
            let mut shared = self.shared.borrow_mut();
            let now = shared.now;
            match shared.events.first_entry() {
                Some(e) if e.key().0 <= now => Some(e.remove()),
                _ => None,
            }
        };
        if let Some(event) = due {
            match event {
                Event::Wake(reply) => reply.set(()),
                Event::Land { node, id } => self.shared.borrow_mut().land(node, id),
                Event::Net(event) => self.shared.borrow_mut().on_net(event),
            }
        }
        for core in &cores {
            core.executor.fire(next);
        }
        self.reap();
        true
    }

    fn tick(&self) {
        let shared = self.shared.borrow();
        for core in shared.nodes.iter().flat_map(|n| &n.cores) {
            core.set_now(Instant(shared.now));
        }
    }

    /// Drops the tasks of dead processes.
    fn reap(&self) {
        loop {
            let graves = std::mem::take(&mut self.shared.borrow_mut().graves);
            if graves.is_empty() {
                return;
            }
            for core in graves {
                core.executor.close();
            }
        }
    }

    /// Switches a node's power off, now. What its disk has not synced is decided upon.
    pub fn power_cut(&self, node: NodeId) {
        self.shared.borrow_mut().power_cut(node.index());
        self.reap();
    }

    /// Kills a node's process. Completed writes stay; submitted ones land later, or vanish.
    pub fn kill(&self, node: NodeId) {
        self.shared.borrow_mut().kill(node.index());
        self.reap();
    }

    /// Switches the power off right after the node's `n`th effect from now on (1 is the next one).
    pub fn cut_after(&self, node: NodeId, n: u64) {
        let node = &mut self.shared.borrow_mut().nodes[node.index()];
        node.cut_at = Some(node.effects + n);
    }

    /// How many effects the node's disk has seen: writes submitted and landed, syncs, allocations and names changed.
    #[must_use]
    pub fn effects(&self, node: NodeId) -> u64 {
        self.shared.borrow().nodes[node.index()].effects
    }

    /// What the last of them was, in words: `submitted PATH POSITION+LENGTH`, `landed ..`, `synced PATH`, `renamed ..`.
    #[must_use]
    pub fn last_effect(&self, node: NodeId) -> String {
        self.shared.borrow().nodes[node.index()].last_effect.clone()
    }

    /// A second world that is as this one is now, but for the processes: disks with all that is not synced, and writes under
    /// way. Its nodes run until they are cut or killed, though nothing runs on them; from here on its chance is its own.
    #[must_use]
    pub fn fork(&self, seed: u64) -> Self {
        let shared = self.shared.borrow();
        let nodes = shared.nodes.iter().map(SimNode::fork).collect();
        let events = shared
            .events
            .iter()
            .filter_map(|(at, event)| match event {
                Event::Land { node, id } => Some((*at, Event::Land { node: *node, id: *id })),
                Event::Wake(_) | Event::Net(_) => None,
            })
            .collect();
        let fork = Shared {
            config: shared.config.clone(),
            random: Random::new(seed),
            now: shared.now,
            events,
            next_event: shared.next_event,
            next_id: shared.next_id,
            nodes,
            net: SimNet::default(),
            graves: Vec::new(),
            trace_hash: shared.trace_hash,
            trace: shared.trace.clone(),
        };
        Self { shared: Rc::new(RefCell::new(fork)) }
    }

    /// Whether a process runs on the node.
    #[must_use]
    pub fn is_alive(&self, node: NodeId) -> bool {
        self.shared.borrow().nodes[node.index()].alive
    }

    /// What the node's last process faulted with, if it did.
    #[must_use]
    pub fn fault_of(&self, node: NodeId) -> Option<String> {
        self.shared.borrow().nodes[node.index()].fault.clone()
    }

    /// Lets operations of the node's disk fail.
    pub fn inject(&self, node: NodeId, injection: Injection) {
        self.shared.borrow_mut().nodes[node.index()].injections.push(injection);
    }

    /// Ends all injections of the node.
    pub fn heal_disk(&self, node: NodeId) {
        self.shared.borrow_mut().nodes[node.index()].injections.clear();
    }

    /// Changes the size of the node's disk, in bytes.
    pub fn set_capacity(&self, node: NodeId, capacity: u64) {
        self.shared.borrow_mut().nodes[node.index()].disk.set_capacity(capacity);
    }

    /// The size of the node's disk, in bytes.
    #[must_use]
    pub fn capacity(&self, node: NodeId) -> u64 {
        self.shared.borrow().nodes[node.index()].disk.total()
    }

    /// One file of the node's disk, as a reader would see it now.
    #[must_use]
    pub fn file(&self, node: NodeId, path: &Path) -> Option<Vec<u8>> {
        let mut shared = self.shared.borrow_mut();
        let disk = &mut shared.nodes[node.index()].disk;
        let ino = disk.find(path).ok()?;
        let len = disk.length(ino).ok()?;
        disk.read(ino, 0, usize::try_from(len).ok()?).ok()
    }

    /// Turns one bit of a file, for good; `bit` counts from the file's beginning.
    ///
    /// # Errors
    /// There is no such file, or it is shorter.
    pub fn flip_bit(&self, node: NodeId, path: &Path, bit: u64) -> io::Result<()> {
        self.shared.borrow_mut().nodes[node.index()].disk.flip_bit(path, bit)
    }

    /// Every file of the node's disk by path, as a reader would see it now.
    #[must_use]
    pub fn disk_image(&self, node: NodeId) -> BTreeMap<PathBuf, Vec<u8>> {
        self.shared.borrow().nodes[node.index()].disk.image(false)
    }

    /// Every file of the node's disk by path, as it is certain to be after a power cut at this moment.
    #[must_use]
    pub fn stable_image(&self, node: NodeId) -> BTreeMap<PathBuf, Vec<u8>> {
        self.shared.borrow().nodes[node.index()].disk.image(true)
    }

    /// How many writes of the node, of dead processes too, have been submitted and have not landed or vanished.
    #[must_use]
    pub fn writes_in_flight(&self, node: NodeId) -> usize {
        self.shared.borrow().nodes[node.index()].flying.len()
    }

    /// Cuts the network between two nodes: bytes wait, new connections are not answered.
    pub fn partition(&self, a: NodeId, b: NodeId) {
        self.shared.borrow_mut().partition(a.index(), b.index());
    }

    /// Mends the network between two nodes.
    pub fn heal(&self, a: NodeId, b: NodeId) {
        self.shared.borrow_mut().heal(a.index(), b.index());
    }

    /// Resets every connection between two nodes.
    pub fn reset_connections(&self, a: NodeId, b: NodeId) {
        self.shared.borrow_mut().reset_between(a.index(), b.index());
    }

    /// A hash over everything that has happened: equal for equal seeds and equal programs.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.shared.borrow().trace_hash
    }

    /// The lines of the trace, with [`SimConfig::keep_trace`].
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.shared.borrow().trace.clone()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Tasks hold runtimes, which hold the world: the circle is opened here.
        let n = self.shared.borrow().nodes.len();
        for node in 0..n {
            self.shared.borrow_mut().die(node);
        }
        self.reap();
    }
}
