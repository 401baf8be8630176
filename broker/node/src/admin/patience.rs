//! How long a connection of the control thread is waited for.
//!
//! A byte now and then does not make somebody present: only [`PROGRESS_BYTES`] of a request, or of an answer, begin the wait
//! anew, and the whole of either has an end as well. A finished request is progress however small it was, as its answer begins
//! with the next byte that is sent.

use std::time::Duration;
use tokio::time::Instant;

/// So much must move before the wait begins anew.
const PROGRESS_BYTES: usize = 4096;

/// What is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// How long for the next [`PROGRESS_BYTES`], or for a request.
    pub(super) idle: Duration,
    /// How long for the whole of a request, or of an answer.
    pub(super) whole: Duration,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// A request comes.
    In,
    /// An answer goes.
    Out,
}

/// The wait for one connection.
#[derive(Debug)]
pub(super) struct Patience {
    terms: Terms,
    /// What is under way, since when, and how much of it has moved since the wait began anew.
    way: Option<Way>,
    began: Instant,
    moved: usize,
    until: Instant,
}

impl Patience {
    pub(super) fn new(terms: Terms, now: Instant) -> Self {
        Self { terms, way: None, began: now, moved: 0, until: now + terms.idle }
    }

    /// When it ends.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// So many bytes have moved.
    pub(super) fn on_bytes(&mut self, way: Way, bytes: usize, now: Instant) {
        if bytes == 0 {
            return;
        }
        let turns = self.way != Some(way);
        if turns {
            (self.way, self.began) = (Some(way), now);
        }
        self.moved += bytes;
        if turns || self.moved >= PROGRESS_BYTES {
            self.moved = 0;
            self.until = (now + self.terms.idle).min(self.began + self.terms.whole);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { idle: Duration::from_secs(60), whole: Duration::from_secs(300) };

    fn after(seconds: u64, zero: Instant) -> Instant {
        zero + Duration::from_secs(seconds)
    }

    #[test]
    fn a_byte_now_and_then_is_no_progress() {
        let zero = Instant::now();
        for way in [Way::In, Way::Out] {
            let mut patience = Patience::new(TERMS, zero);
            assert_eq!(patience.until(), after(60, zero));
            for second in (10..70).step_by(10) {
                patience.on_bytes(way, 1, after(second, zero));
            }
            assert_eq!(patience.until(), after(70, zero), "{way:?}: a minute from the first byte");
            patience.on_bytes(way, 4096, after(69, zero));
            assert_eq!(patience.until(), after(129, zero), "{way:?}");
        }
    }

    #[test]
    fn the_whole_of_an_answer_has_an_end_however_it_goes_on() {
        let zero = Instant::now();
        let mut patience = Patience::new(TERMS, zero);
        patience.on_bytes(Way::In, 100, zero);
        for second in 1..=400 {
            patience.on_bytes(Way::Out, 5_000, after(second, zero));
            assert!(patience.until() <= after(301, zero), "{second}");
        }
        assert_eq!(patience.until(), after(301, zero));
    }

    #[test]
    fn who_asks_every_now_and_then_stays() {
        let zero = Instant::now();
        let mut patience = Patience::new(TERMS, zero);
        for second in (0..36_000).step_by(50) {
            assert!(after(second, zero) < patience.until(), "{second}");
            patience.on_bytes(Way::In, 80, after(second, zero));
            patience.on_bytes(Way::Out, 120, after(second, zero));
        }
    }
}
