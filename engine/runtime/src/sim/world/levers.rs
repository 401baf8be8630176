//! What a test does to the nodes of a world, and what it may look at.

use super::{Event, Injection, NodeId, Shared, SimNode, World};
use crate::sim::net::SimNet;
use crate::sim::random::Random;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

impl World {
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

    /// From now on so many writes in a million are short, on all disks: see [`SimConfig::short_writes_per_million`].
    pub fn set_short_writes(&self, per_million: u32) {
        self.shared.borrow_mut().config.short_writes_per_million = per_million;
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

    /// The lines of the trace, with [`SimConfig::keep_trace`](crate::sim::SimConfig::keep_trace).
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.shared.borrow().trace.clone()
    }
}
