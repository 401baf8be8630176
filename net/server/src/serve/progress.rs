//! Requests in progress, for who asks while something stands still: what is told when it is over is told too late then.

use crate::handler::Handler;
use crate::serve::Server;
use crate::serve::live::Live;
use ids::Instant;
use stages::{Laps, Stage, Times};
use std::rc::Rc;
use std::time::Duration;

/// A request that is not over: it has no answer, or its answer has not left.
#[derive(Debug)]
pub struct InProgress<S> {
    /// What is remembered of its connection.
    pub session: Rc<S>,
    /// How long ago its first bytes came.
    pub age: Duration,
    /// The stage that it is in, as far as its handler says ([`Laps::is_in`]).
    pub stage: Stage,
    /// Its stages before that.
    pub times: Times,
    /// Nobody waits for its answer any more.
    pub client_gone: bool,
}

/// Requests that have been in progress for long.
#[derive(Debug)]
pub struct Stuck<S> {
    /// How many there are.
    pub count: usize,
    /// Some of them, the oldest first.
    pub oldest: Vec<InProgress<S>>,
}

/// The oldest of those that were looked at.
struct Oldest<H: Handler> {
    now: Instant,
    age: Duration,
    most: usize,
    count: usize,
    found: Vec<(Instant, Rc<Live<H>>, Laps, Stage)>,
}

impl<H: Handler> Server<H> {
    /// Requests whose first bytes came at least `age` ago and that are not parked; `most` of them are told.
    #[must_use]
    pub fn in_progress(&self, age: Duration, most: usize) -> Stuck<H::Session> {
        let inner = &self.0;
        let now = inner.rt.clock();
        let mut oldest = Oldest { now, age, most, count: 0, found: Vec::new() };
        let (connections, lingering) = (inner.connections.borrow(), inner.lingering.borrow());
        for live in connections.values().chain(lingering.values()) {
            for pending in live.pending.borrow().values() {
                oldest.look(live, &pending.laps, pending.laps.stage());
            }
            for (laps, stage) in live.state.borrow().waiting() {
                oldest.look(live, laps, stage);
            }
        }
        oldest.keep();
        let told = oldest.found.into_iter().filter_map(|(began, live, laps, stage)| {
            Some(InProgress {
                session: Rc::clone(&live.session),
                age: now.since(began),
                stage,
                times: laps.times()?,
                client_gone: live.ended().is_some(),
            })
        });
        Stuck { count: oldest.count, oldest: told.collect() }
    }
}

impl<H: Handler> Oldest<H> {
    fn look(&mut self, live: &Rc<Live<H>>, laps: &Laps, stage: Stage) {
        let Some(began) = laps.began() else { return };
        if stage == Stage::Park || self.now.since(began) < self.age {
            return;
        }
        self.count += 1;
        self.found.push((began, Rc::clone(live), laps.clone(), stage));
        if self.found.len() > 2 * self.most {
            self.keep();
        }
    }

    fn keep(&mut self) {
        self.found.sort_by_key(|(began, ..)| *began);
        self.found.truncate(self.most);
    }
}
