//! Who of those that wait for room comes next: bytes go round between clients, and each client keeps its order.
//!
//! A client that has had [`QUANTUM`] bytes lets the others come first (deficit round robin, with the deficit taken afterwards:
//! the batch with which it passes its quantum is counted against its next ones). So one that sends little waits for a quantum of
//! each of the others at most, however much they have in line. A pure machine: it neither waits nor wakes.

use std::collections::{BTreeMap, VecDeque};

/// Bytes that a client may append before the next one comes.
pub(crate) const QUANTUM: i64 = 128 << 10;

/// Who appends: a connection, or the node itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Client(pub u64);

/// A place in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) client: Client,
    pub(super) ticket: u64,
}

#[derive(Clone, Copy)]
struct Waiting {
    bytes: usize,
    /// It is being slowed: not yet.
    slowed: bool,
}

struct Queue {
    waiting: BTreeMap<u64, Waiting>,
    /// Bytes that it may still append in this round; below zero if it has had more than its share.
    credit: i64,
    in_round: bool,
}

impl Queue {
    fn is_ready(&self) -> bool {
        self.waiting.first_key_value().is_some_and(|(_, w)| !w.slowed)
    }
}

/// The line. Where nobody waits it holds nothing.
#[derive(Default)]
pub(super) struct Line {
    next: u64,
    waiting: usize,
    clients: BTreeMap<Client, Queue>,
    /// Those whose first may come, and those who owe something to the others.
    round: VecDeque<Client>,
    first: Option<Place>,
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Takes the client's last place.
    pub(super) fn join(&mut self, client: Client, bytes: usize, slowed: bool) -> Place {
        let ticket = self.next;
        self.next += 1;
        self.waiting += 1;
        let new = || Queue { waiting: BTreeMap::new(), credit: QUANTUM, in_round: false };
        let queue = self.clients.entry(client).or_insert_with(new);
        queue.waiting.insert(ticket, Waiting { bytes, slowed });
        self.settle(client);
        Place { client, ticket }
    }

    /// It has been slowed enough.
    pub(super) fn go_on(&mut self, place: Place) {
        let queue = self.clients.get_mut(&place.client);
        if let Some(waiting) = queue.and_then(|q| q.waiting.get_mut(&place.ticket)) {
            waiting.slowed = false;
        }
        self.settle(place.client);
    }

    /// Gives up the place; `served` if the batch is going to be appended.
    pub(super) fn leave(&mut self, place: Place, served: bool) {
        let Some(queue) = self.clients.get_mut(&place.client) else { return };
        let Some(left) = queue.waiting.remove(&place.ticket) else { return };
        self.waiting -= 1;
        if served {
            queue.credit -= i64::try_from(left.bytes).unwrap_or(i64::MAX / 2);
        }
        if self.waiting == 0 {
            // Nobody is there to whom anything could be owed.
            self.clients.clear();
            self.round.clear();
            self.first = None;
            return;
        }
        self.settle(place.client);
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<Place> {
        self.first
    }

    /// Brings `changed` into the round if it belongs there, and finds who is first.
    fn settle(&mut self, changed: Client) {
        if let Some(queue) = self.clients.get_mut(&changed)
            && !queue.in_round
            && queue.is_ready()
        {
            queue.in_round = true;
            self.round.push_back(changed);
        }
        self.first = None;
        while let Some(client) = self.round.front().copied() {
            let Some(queue) = self.clients.get_mut(&client) else {
                self.round.pop_front();
                continue;
            };
            if queue.waiting.is_empty() && queue.credit >= 0 {
                self.clients.remove(&client);
                self.round.pop_front();
                continue;
            }
            if !queue.waiting.is_empty() && !queue.is_ready() {
                // It comes back when it has been slowed enough.
                queue.in_round = false;
                self.round.pop_front();
                continue;
            }
            if queue.credit > 0 {
                let ticket = queue.waiting.first_key_value().map(|(ticket, _)| *ticket);
                self.first = ticket.map(|ticket| Place { client, ticket });
                return;
            }
            queue.credit += QUANTUM;
            self.round.rotate_left(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOUD: Client = Client(1);
    const QUIET: Client = Client(2);

    /// Serves whoever is first; who that was.
    fn serve(line: &mut Line) -> Place {
        let place = line.first().expect("somebody is first");
        line.leave(place, true);
        place
    }

    #[test]
    fn a_quiet_client_waits_for_a_quantum_of_the_others_however_much_they_have() {
        for (others, batch) in [(1u64, 1_000usize), (1, 128 << 10), (1, 1 << 20), (7, 5_000)] {
            let mut line = Line::default();
            for _ in 0..2_000 {
                for other in 0..others {
                    line.join(Client(100 + other), batch, false);
                }
            }
            let mut worst = 0;
            for _ in 0..20 {
                let quiet = line.join(QUIET, 100, false);
                let mut ahead: BTreeMap<Client, usize> = BTreeMap::new();
                loop {
                    let served = serve(&mut line);
                    if served == quiet {
                        break;
                    }
                    *ahead.entry(served.client).or_default() += batch;
                }
                worst = worst.max(ahead.values().copied().max().unwrap_or(0));
            }
            let most = usize::try_from(QUANTUM).unwrap() + batch;
            assert!(worst <= most, "{worst} bytes of one client came first, batches of {batch}");
        }
    }

    #[test]
    fn bytes_are_shared_evenly_whatever_the_size_of_the_batches() {
        let mut line = Line::default();
        let sizes = [(Client(1), 1_000usize), (Client(2), 1 << 20), (Client(3), 40_000)];
        for (client, bytes) in sizes {
            for _ in 0..20_000 {
                line.join(client, bytes, false);
            }
        }
        let mut had: BTreeMap<Client, i64> = BTreeMap::new();
        for _ in 0..15_000 {
            let client = serve(&mut line).client;
            let bytes = sizes.iter().find(|(c, _)| *c == client).map_or(0, |(_, b)| *b);
            *had.entry(client).or_default() += i64::try_from(bytes).unwrap();
        }
        let (least, most) = (had.values().min().unwrap(), had.values().max().unwrap());
        assert!(most - least <= QUANTUM + 2 * (1 << 20), "{had:?}");
    }

    #[test]
    fn who_is_slowed_holds_up_its_own_line_and_no_other() {
        let mut line = Line::default();
        let first = line.join(LOUD, 10, true);
        let second = line.join(LOUD, 10, false);
        assert_eq!(line.first(), None);
        let other = line.join(QUIET, 10, false);
        assert_eq!(line.first(), Some(other));
        line.go_on(first);
        assert_eq!(serve(&mut line), other);
        assert_eq!((serve(&mut line), serve(&mut line)), (first, second));
        assert!(line.is_empty() && line.clients.is_empty() && line.round.is_empty());
    }

    #[test]
    fn a_debt_is_not_forgotten_by_leaving_while_others_wait() {
        let mut line = Line::default();
        for _ in 0..1_000 {
            line.join(QUIET, 10_000, false);
        }
        // One large batch at a time, the next as soon as the last was served.
        let (mut loud, mut served) = (line.join(LOUD, 1 << 20, false), [0i64; 2]);
        while served[1] < 4 << 20 {
            let place = serve(&mut line);
            if place == loud {
                served[0] += 1 << 20;
                loud = line.join(LOUD, 1 << 20, false);
            } else {
                served[1] += 10_000;
            }
        }
        assert!(served[0] <= served[1] + QUANTUM + (2 << 20), "{served:?}");
    }

    /// Random comings and goings: every client keeps its order, somebody is first whenever somebody can be, and all are served.
    #[test]
    fn whatever_happens_order_is_kept_and_nobody_is_forgotten() {
        for seed in 1..300u64 {
            let mut random = seed;
            let mut below = |n: u64| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (random >> 33) % n
            };
            let mut line = Line::default();
            let mut model: BTreeMap<Client, VecDeque<(Place, bool)>> = BTreeMap::new();
            for step in 0..600 {
                let coming = step < 400;
                match below(4) {
                    0 | 1 if coming => {
                        let (client, slowed) = (Client(below(5)), below(4) == 0);
                        let bytes = usize::try_from(below(400_000)).unwrap();
                        let place = line.join(client, bytes, slowed);
                        model.entry(client).or_default().push_back((place, slowed));
                    }
                    2 => {
                        let client = Client(below(5));
                        let queue = model.entry(client).or_default();
                        if let Some(at) = queue.iter().position(|(_, slowed)| *slowed) {
                            queue[at].1 = false;
                            line.go_on(queue[at].0);
                        } else if coming && !queue.is_empty() {
                            // It gives up, wherever it stands.
                            let at = usize::try_from(below(queue.len() as u64)).unwrap();
                            let (place, _) = queue.remove(at).unwrap();
                            line.leave(place, false);
                        }
                    }
                    _ => {
                        if line.first().is_some() {
                            let place = serve(&mut line);
                            let front = model.get_mut(&place.client).unwrap().pop_front();
                            assert_eq!(front, Some((place, false)), "seed {seed}");
                        }
                    }
                }
                let ready = |q: &VecDeque<(Place, bool)>| q.front().is_some_and(|(_, s)| !s);
                assert_eq!(line.first().is_some(), model.values().any(ready), "seed {seed}");
                assert_eq!(line.is_empty(), model.values().all(VecDeque::is_empty));
            }
            for queue in model.values() {
                for (place, _) in queue {
                    line.go_on(*place);
                }
            }
            let left: usize = model.values().map(VecDeque::len).sum();
            for _ in 0..left {
                serve(&mut line);
            }
            assert!(line.is_empty() && line.clients.is_empty() && line.round.is_empty());
        }
    }
}
