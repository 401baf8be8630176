//! Requests in progress, for who asks while something stands still: what is told when it is over is told too late then.

use crate::handler::Handler;
use crate::serve::Server;
use crate::serve::live::Live;
use ids::Instant;
use stages::{Kind, Laps, Stage, Times};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// A request that is not over: it has no answer, or its answer has not left.
#[derive(Debug)]
pub struct InProgress<S> {
    /// What is remembered of its connection.
    pub session: Rc<S>,
    /// How long ago it was seen to move: since its last lap ([`Laps::since`]).
    pub still: Duration,
    /// How long ago its first bytes came.
    pub age: Duration,
    /// The stage that it is in, as far as its handler says ([`Laps::is_in`]).
    pub stage: Stage,
    /// Its stages before that.
    pub times: Times,
    /// Nobody waits for its answer any more.
    pub client_gone: bool,
}

/// Requests that have stood still for long.
#[derive(Debug)]
pub struct Stuck<S> {
    /// How many there are of each API, by its place among those that are told apart.
    pub counts: BTreeMap<u8, usize>,
    /// Some of each kind, those that have stood still longest first.
    pub longest: Vec<InProgress<S>>,
}

/// Those of one kind that have stood still longest, among those that were looked at.
struct Longest<H: Handler> {
    most: usize,
    found: Vec<Found<H>>,
}

struct Found<H: Handler> {
    since: Instant,
    live: Rc<Live<H>>,
    laps: Laps,
    stage: Stage,
}

impl<H: Handler> Server<H> {
    /// Requests that were not seen to move for `still`, and that are not parked. Of each kind `most` are told: `kind` says which one
    /// the API at a place is.
    #[must_use]
    pub fn in_progress(
        &self,
        still: Duration,
        most: usize,
        kind: impl Fn(u8) -> Kind,
    ) -> Stuck<H::Session> {
        let inner = &self.0;
        let now = inner.rt.clock();
        let mut counts = BTreeMap::<u8, usize>::new();
        let mut kinds: [Longest<H>; 3] = [(); 3].map(|()| Longest { most, found: Vec::new() });
        let mut look = |live: &Rc<Live<H>>, laps: &Laps, stage: Stage| {
            let Some(since) = laps.since() else { return };
            if stage == Stage::Park || now.since(since) < still {
                return;
            }
            *counts.entry(laps.api()).or_default() += 1;
            let laps = laps.clone();
            let found = Found { since, live: Rc::clone(live), laps, stage };
            kinds[kind(found.laps.api()) as usize].add(found);
        };
        let (connections, lingering) = (inner.connections.borrow(), inner.lingering.borrow());
        for live in connections.values().chain(lingering.values()) {
            for pending in live.pending.borrow().values() {
                look(live, &pending.laps, pending.laps.stage());
            }
            for (laps, stage) in live.state.borrow().waiting() {
                look(live, laps, stage);
            }
        }
        let mut longest: Vec<Found<H>> = kinds.into_iter().flat_map(Longest::keep).collect();
        longest.sort_by_key(|found| found.since);
        let told = longest.into_iter().filter_map(|Found { since, live, laps, stage }| {
            Some(InProgress {
                session: Rc::clone(&live.session),
                still: now.since(since),
                age: now.since(laps.began()?),
                stage,
                times: laps.times()?,
                client_gone: live.ended().is_some(),
            })
        });
        Stuck { counts, longest: told.collect() }
    }
}

impl<H: Handler> Longest<H> {
    fn add(&mut self, found: Found<H>) {
        self.found.push(found);
        if self.found.len() > 2 * self.most {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.found.sort_by_key(|found| found.since);
        self.found.truncate(self.most);
    }

    fn keep(mut self) -> Vec<Found<H>> {
        self.cut();
        self.found
    }
}
