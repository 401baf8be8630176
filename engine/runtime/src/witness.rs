//! What kept a core from its work, so that nobody else is blamed for it: turns that took long, and time in which its thread
//! could have run and another ran instead.
//!
//! A request's time is taken when its core looks. While the core is in one long turn, or not on a processor at all, everything
//! that ends meanwhile seems to take as long: the disk, the network, the answer.

use std::cell::{Cell, OnceCell};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// Turns of this length are counted: a flush that has ended has waited as long to be seen.
const LONG: Duration = Duration::from_millis(1);

/// What has kept a core from its work since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Time in which the core's thread could have run and stood in line for a processor: other processes, or other threads of
    /// ours. None where the kernel does not tell, or in a simulation.
    pub waited: Option<Duration>,
    /// Turns of the core's loop that took a millisecond or more.
    pub long_turns: u64,
    /// What these took together.
    pub long_turns_took: Duration,
}

/// One core's.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    long_turns: Cell<u64>,
    long_turns_took: Cell<Duration>,
    longest: Cell<Duration>,
    /// The kernel's statistics of this thread.
    schedule: OnceCell<Option<File>>,
}

impl Witness {
    /// A turn has ended that took so long.
    #[inline]
    pub(crate) fn turn(&self, took: Duration) {
        if took >= LONG {
            self.long_turns.set(self.long_turns.get() + 1);
            self.long_turns_took.set(self.long_turns_took.get() + took);
        }
        if took > self.longest.get() {
            self.longest.set(took);
        }
    }

    /// The longest turn since this was last asked.
    pub(crate) fn take_longest(&self) -> Duration {
        self.longest.take()
    }

    /// Time in line for a processor. On the core's own thread.
    fn waited(&self) -> Option<Duration> {
        let open = || File::open("/proc/thread-self/schedstat").ok();
        let file = self.schedule.get_or_init(open).as_ref()?;
        let mut text = [0; 96];
        let n = file.read_at(&mut text, 0).ok()?;
        waited(std::str::from_utf8(text.get(..n)?).ok()?)
    }

    /// All of it; `real` on a real machine.
    pub(crate) fn read(&self, real: bool) -> Delays {
        Delays {
            waited: if real { self.waited() } else { None },
            long_turns: self.long_turns.get(),
            long_turns_took: self.long_turns_took.get(),
        }
    }
}

/// Nanoseconds on a processor, nanoseconds in line for one, and how often it got one (proc(5)).
fn waited(schedstat: &str) -> Option<Duration> {
    let in_line = schedstat.split_ascii_whitespace().nth(1)?;
    in_line.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_line_is_read_and_nothing_is_made_of_another() {
        assert_eq!(waited("12345 678901 42\n"), Some(Duration::from_nanos(678_901)));
        for other in ["", "1\n", "1 x 2", "1 -5 2"] {
            assert_eq!(waited(other), None, "{other:?}");
        }
    }

    #[test]
    fn only_long_turns_are_counted_and_the_longest_is_told_once() {
        let witness = Witness::default();
        for micros in [10, 999, 1_000, 7_000, 500] {
            witness.turn(Duration::from_micros(micros));
        }
        let delays = witness.read(false);
        assert_eq!((delays.long_turns, delays.long_turns_took), (2, Duration::from_millis(8)));
        assert_eq!(delays.waited, None);
        assert_eq!(witness.take_longest(), Duration::from_millis(7));
        assert_eq!(witness.take_longest(), Duration::ZERO);
    }
}
