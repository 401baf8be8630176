//! What happens next: tasks that go on, events, and time that passes.

use super::{Event, NodeFault, Outcome, World};
use crate::runtime::{Inner, Runtime};
use ids::Instant;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

impl World {
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
    pub(super) fn reap(&self) {
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
}
