//! How long an answer may have lain there before it was read.
//!
//! A client that comes late to its answers makes them look late. When an answer came nobody says; but it came after the client last looked
//! and found nothing. So each look asks first what is there already: that may have come at any time since the look before, while the
//! client was busy. Where nothing is there it sleeps, and what ends the sleep came then, less the time for which the thread stood
//! ready without a core.

use std::{fs::File, os::unix::fs::FileExt};

use rustix::event::{PollFd, Timespec, poll};

use super::clock::Clock;

/// The looks of one thread.
#[derive(Debug)]
pub(super) struct Reading {
    clock: Clock,
    /// Where the kernel counts how long this thread has stood ready without a core; absent where it does not.
    counter: Option<File>,
    /// When it last looked.
    looked: u64,
    /// Nothing that was found by the last look came before this.
    earliest: u64,
}

impl Reading {
    /// Of the thread that calls it.
    pub(super) fn new(clock: Clock) -> Self {
        let now = clock.now();
        let counter = File::open("/proc/thread-self/schedstat").ok();
        Self { clock, counter, looked: now, earliest: now }
    }

    /// The moment before which nothing came that the last look found.
    pub(super) fn earliest(&self) -> u64 {
        self.earliest
    }

    /// Looks, and sleeps for at most so long where nothing is there yet.
    pub(super) fn look(&mut self, fds: &mut [PollFd<'_>], nanos: u64) {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let found = poll(fds, Some(&at_once)).unwrap_or(0);
        let mut now = self.clock.now();
        let mut slept = None;
        if found == 0 && nanos > 0 {
            let before = self.waited();
            let timeout = Timespec {
                tv_sec: (nanos / 1_000_000_000) as i64,
                tv_nsec: (nanos % 1_000_000_000) as _,
            };
            // An interrupted sleep is a short one: the loop looks at the clock again.
            let _ = poll(fds, Some(&timeout));
            let (from, waited) = (now, self.waited().saturating_sub(before));
            now = self.clock.now();
            slept = Some((from, waited));
        }
        self.earliest = earliest(self.looked, slept, now);
        self.looked = now;
    }

    /// Nanoseconds for which this thread has stood ready without a core; 0 where nobody counts them.
    fn waited(&self) -> u64 {
        let mut text = [0; 64];
        let read = self.counter.as_ref().and_then(|file| file.read_at(&mut text, 0).ok());
        let text = text.get(..read.unwrap_or(0)).and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(|text| text.split_ascii_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
    }
}

/// `looked`: when the look before ended. `slept`: from when on, and how much of it the thread stood ready without a core.
fn earliest(looked: u64, slept: Option<(u64, u64)>, now: u64) -> u64 {
    match slept {
        None => looked,
        Some((from, waited)) => now.saturating_sub(waited).max(from),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, net::TcpListener, net::TcpStream, thread, time::Duration};

    use rustix::event::PollFlags;

    use super::*;

    #[test]
    fn what_is_found_at_once_may_have_come_since_the_last_look() {
        assert_eq!(earliest(100, None, 900), 100);
        // Woken at 900, ready since 850.
        assert_eq!(earliest(100, Some((500, 50)), 900), 850);
        // Not before the sleep began, whatever was counted.
        assert_eq!(earliest(100, Some((500, 700)), 900), 500);
    }

    #[test]
    fn a_busy_client_is_found_out_and_a_sleeping_one_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (receiver, _) = listener.accept().unwrap();
        let clock = Clock::start();
        let mut reading = Reading::new(clock);
        let look = |reading: &mut Reading| {
            reading.look(&mut [PollFd::new(&receiver, PollFlags::IN)], 5_000_000_000);
        };
        // The answer comes at once, the client after 100 ms.
        sender.write_all(b"x").unwrap();
        let before = clock.now();
        thread::sleep(Duration::from_millis(100));
        look(&mut reading);
        assert!(clock.now() - reading.earliest() >= 100_000_000);
        assert!(reading.earliest() <= before);
        // The client sleeps, the answer comes after 100 ms.
        let mut one = [0];
        std::io::Read::read_exact(&mut &receiver, &mut one).unwrap();
        let began = clock.now();
        let late = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            sender.write_all(b"x").unwrap();
        });
        look(&mut reading);
        late.join().unwrap();
        // Other work on the machine is in what the thread waited for; the sleep itself is not.
        assert!(reading.earliest() >= began, "{} {began}", reading.earliest());
    }
}
