//! One core's end of the world.

use super::{Event, NodeFault, Reply, Shared};
use crate::sim::config::{Delay, SimConfig};
use ids::Instant;
use std::cell::RefCell;
use std::panic::resume_unwind;
use std::rc::Rc;

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
