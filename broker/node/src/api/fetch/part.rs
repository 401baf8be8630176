//! A reader's partitions on one of the cores that own them.
//!
//! It remembers what was asked of each, so that those that have moved are read without being named again. A session has a part
//! on every core that owns some of its partitions, from its first fetch to its end; a fetch without a session has them only
//! while it waits. A part has the core of the connection and a key that is never used twice there as its name.

use super::super::fetch_sessions::From;
use crate::shard::Watch;
use ids::{CoreId, PartitionId};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What is read, and when its turn is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Want {
    /// The partition's number among those of its reader.
    pub(super) number: u32,
    pub(super) turn: u64,
    pub(super) id: PartitionId,
    pub(super) from: From,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Part {
    pub(super) watch: Rc<Watch>,
    held: RefCell<Vec<Option<Held>>>,
}

struct Held {
    want: Want,
    /// Is among those that are being put together.
    named: bool,
}

impl Part {
    /// What has to be read now, in turn: `named`, and what has moved. `forgotten` is read no more.
    pub(super) fn wants(&self, named: Vec<Want>, forgotten: &[u32]) -> Vec<Want> {
        let mut held = self.held.borrow_mut();
        for number in forgotten {
            self.watch.forget(*number);
            if let Some(place) = held.get_mut(*number as usize) {
                *place = None;
            }
        }
        let last = named.iter().map(|w| w.number as usize + 1).max().unwrap_or(0);
        if held.len() < last {
            held.resize_with(last, || None);
        }
        for want in &named {
            held[want.number as usize] = Some(Held { want: *want, named: true });
        }
        let mut wants = named;
        for number in self.watch.take_moved() {
            if let Some(Some(held)) = held.get_mut(number as usize)
                && !std::mem::replace(&mut held.named, true)
            {
                wants.push(held.want);
            }
        }
        for want in &wants {
            if let Some(Some(held)) = held.get_mut(want.number as usize) {
                held.named = false;
            }
        }
        wants.sort_by_key(|w| (w.turn, w.number));
        wants
    }
}

/// The parts that are on this core, and the keys of those that readers of this core have.
#[derive(Default)]
pub(crate) struct Parts {
    parts: RefCell<BTreeMap<(CoreId, u64), Rc<Part>>>,
    next: Cell<u64>,
}

impl Parts {
    /// A key that no reader of this core has had.
    pub(crate) fn fresh_key(&self) -> u64 {
        self.next.set(self.next.get() + 1);
        self.next.get()
    }

    pub(super) fn of(&self, home: CoreId, key: u64) -> Rc<Part> {
        Rc::clone(self.parts.borrow_mut().entry((home, key)).or_default())
    }

    pub(crate) fn remove(&self, home: CoreId, key: u64) {
        self.parts.borrow_mut().remove(&(home, key));
    }
}
