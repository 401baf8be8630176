//! The world: its nodes, its clock, and what happens next.

mod levers;
mod outcome;
mod reply;
mod run;
mod sim_core;

pub use outcome::Outcome;

pub(crate) use reply::Reply;
pub(crate) use sim_core::SimCore;

use super::config::{Delay, SimConfig};
use super::disk::{Loose, SimDisk};
use super::files::DiskOp;
use super::net::{NetEvent, SimNet};
use super::random::Random;
use crate::buffer::Memory;
use crate::runtime::{Backend, Inner, Runtime};
use ids::{CoreId, Instant};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// A node of a simulated world. Its address is 10.0.0.(n + 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u8);

impl NodeId {
    fn index(self) -> usize {
        usize::from(self.0)
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
