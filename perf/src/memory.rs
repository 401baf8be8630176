//! Memory that has been touched before anything is measured.
//!
//! A virtual machine's host gives a page its memory when the page is written for the first time since the machine started. That takes
//! several times as long as the guest's own fault for a page, and whoever comes first pays for it: the first measurement after
//! the start would be of the host. So the commands that start a broker first write to as much memory as a broker may come to use,
//! and give it back: the kernel hands out again what it got back last.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{interrupt, machine, spec::format_bytes};

/// Memory is touched in pieces of this size.
const PIECE: u64 = 64 << 20;

/// How much memory is touched, and for how long, at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) bytes: u64,
    /// However much is left then.
    pub(crate) time: Duration,
}

/// Enough for a broker and its page cache.
pub(crate) const USUAL: Limits = Limits { bytes: 8 << 30, time: Duration::from_secs(10) };

/// Enough for a quarter of a minute: what a broker takes for its buffers, the rings and the client. And no more time than it has to give.
pub(crate) const QUICK: Limits = Limits { bytes: 2 << 30, time: Duration::from_secs(2) };

/// A share of what is free, so that nobody is pushed out.
const FREE_SHARE: u64 = 2;

/// Options of the commands that start a broker.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct MemoryArgs {
    /// Do not write to 8 GiB of memory (at most half of what is free, at most 10 s; `quick`: 2 GiB, at most 2 s) before the broker starts: then the
    /// first run on a virtual machine may measure how its host finds memory
    #[arg(long)]
    cold_memory: bool,
}

/// What was touched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Touched {
    bytes: u64,
    wanted: u64,
    seconds: f64,
}

impl MemoryArgs {
    /// Touches memory, so much at most, where that was not forbidden, and says in words what was done. To be called before the process keeps
    /// to the client's cores.
    pub(crate) fn touch(self, most: Limits) -> String {
        if self.cold_memory {
            return "memory as it was found (--cold-memory)".to_owned();
        }
        let wanted = wanted(machine::memory_available().unwrap_or(0), most.bytes);
        touch(wanted, thread::available_parallelism().map_or(1, usize::from), most.time).to_string()
    }
}

/// How much is to be touched, in whole pieces, where so much is free.
fn wanted(available: u64, most: u64) -> u64 {
    (available / FREE_SHARE).min(most) / PIECE * PIECE
}

fn touch(wanted: u64, threads: usize, limit: Duration) -> Touched {
    let (began, left) = (Instant::now(), AtomicU64::new(wanted / PIECE));
    let take = || {
        let less = |left: u64| left.checked_sub(1);
        left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    };
    let work = || {
        let mut held: Vec<Vec<u8>> = Vec::new();
        while began.elapsed() < limit && !interrupt::came() && take() {
            let mut piece = Vec::new();
            // What the system does not give is not touched.
            if piece.try_reserve_exact(PIECE as usize).is_err() {
                break;
            }
            piece.resize(PIECE as usize, 1_u8);
            held.push(std::hint::black_box(piece));
        }
        held
    };
    // All of it is held until the last piece is there, or the same pages would be touched again.
    let held: Vec<Vec<u8>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads.clamp(1, 16)).map(|_| scope.spawn(work)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    let bytes = held.len() as u64 * PIECE;
    Touched { bytes, wanted, seconds: began.elapsed().as_secs_f64() }
}

impl std::fmt::Display for Touched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { bytes, wanted, seconds } = *self;
        let amount = format_bytes(bytes as f64);
        write!(f, "{amount} of memory touched first, in {seconds:.1} s")?;
        if bytes < wanted {
            write!(f, ", of {} that were to be", format_bytes(wanted as f64))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_half_of_what_is_free_and_eight_gib() {
        assert_eq!(wanted(0, USUAL.bytes), 0);
        assert_eq!(wanted(3 << 30, USUAL.bytes), 3 << 29);
        assert_eq!(wanted(PIECE * 3, USUAL.bytes), PIECE);
        assert_eq!(wanted(u64::MAX, USUAL.bytes), 8 << 30);
        assert_eq!(wanted(u64::MAX, QUICK.bytes), 2 << 30);
    }

    #[test]
    fn pages_are_written_and_given_back() {
        let faults = || {
            let text = std::fs::read_to_string("/proc/self/stat").unwrap();
            // Behind the name in brackets: the eighth is the count of faults without input.
            let rest = text.rsplit_once(") ").unwrap().1;
            rest.split(' ').nth(7).unwrap().parse::<u64>().unwrap()
        };
        let before = faults();
        let touched = touch(2 * PIECE, 2, USUAL.time);
        assert_eq!((touched.bytes, touched.wanted), (2 * PIECE, 2 * PIECE));
        // A fault for each 2 MiB at the least, where the kernel has pages so large.
        assert!(faults() - before >= 2 * PIECE / (2 << 20), "{}", faults() - before);
        assert!(touched.to_string().starts_with("128.0 MiB of memory touched first, in "));
    }

    #[test]
    fn the_time_is_bounded_and_the_rest_is_told() {
        let touched = touch(USUAL.bytes, 1, Duration::ZERO);
        assert_eq!((touched.bytes, touched.wanted), (0, USUAL.bytes));
        assert!(touched.to_string().ends_with(", of 8.0 GiB that were to be"), "{touched}");
        let args = MemoryArgs { cold_memory: true };
        assert!(args.touch(QUICK).contains("--cold-memory"));
    }
}
