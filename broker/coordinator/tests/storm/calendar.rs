//! When what happens: events by the millisecond.

use std::collections::VecDeque;

/// Milliseconds that the calendar reaches ahead. A power of two.
const AHEAD: usize = 1 << 18;

/// Events of one moment happen in the order in which they were entered. A storm of thousands has millions of them: each is put
/// into the slot of its millisecond, and never moved.
pub(crate) struct Calendar<E> {
    /// Nothing is entered for a moment before it.
    now: u64,
    slots: Vec<VecDeque<E>>,
    entered: usize,
}

impl<E> Calendar<E> {
    pub(crate) fn new(now: u64) -> Self {
        Self { now, slots: (0..AHEAD).map(|_| VecDeque::new()).collect(), entered: 0 }
    }

    fn slot(&mut self, at: u64) -> &mut VecDeque<E> {
        let place = at % AHEAD as u64;
        &mut self.slots[usize::try_from(place).unwrap()]
    }

    pub(crate) fn enter(&mut self, at: u64, event: E) {
        assert!(at >= self.now && at < self.now + AHEAD as u64, "{at} is not within reach");
        self.slot(at).push_back(event);
        self.entered += 1;
    }

    /// The moment of the next event, if it comes no later than `until`. Time goes on to it, or to `until`.
    pub(crate) fn next(&mut self, until: u64) -> Option<u64> {
        if self.entered == 0 {
            self.now = self.now.max(until);
            return None;
        }
        while self.slot(self.now).is_empty() {
            if self.now >= until {
                return None;
            }
            self.now += 1;
        }
        (self.now <= until).then_some(self.now)
    }

    /// The next event of the present moment.
    pub(crate) fn pop(&mut self) -> Option<E> {
        let slot = self.slot(self.now);
        let event = slot.pop_front()?;
        if slot.is_empty() {
            // Another moment may use its memory, which is still warm.
            *slot = VecDeque::new();
        }
        self.entered -= 1;
        Some(event)
    }
}

#[test]
fn events_come_in_the_order_of_their_moments() {
    let mut calendar = Calendar::new(1_000_000);
    for (at, name) in [(5, 'c'), (0, 'a'), (5, 'd'), (4, 'b'), (100_000, 'e')] {
        calendar.enter(1_000_000 + at, name);
    }
    assert_eq!(calendar.next(1_000_003), Some(1_000_000));
    assert_eq!(calendar.pop(), Some('a'));
    assert_eq!((calendar.next(1_000_003), calendar.pop()), (None, None));
    let mut rest = String::new();
    while calendar.next(2_000_000).is_some() {
        rest.extend(calendar.pop());
    }
    assert_eq!((rest.as_str(), calendar.next(3_000_000)), ("bcde", None));
}
