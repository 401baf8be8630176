//! The core: CRC-32C and copying, in the cache and out of it.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use super::Bound;
use crate::random::Random;

pub(super) fn measure(duration: Duration) -> Vec<Bound> {
    let mut bounds = Vec::new();
    for size in [16 << 10, 64 << 20] {
        let mut source = vec![0; size];
        Random::new(1).fill(&mut source);
        let mut copy = source.clone();
        let where_ = if size > 1 << 20 { "memory" } else { "cache" };
        let size_kib = size >> 10;
        bounds.push(timed(
            format!("crc32c of {size_kib} KiB ({where_})"),
            size,
            duration / 4,
            || {
                black_box(crc32c::crc32c(black_box(&source)));
            },
        ));
        bounds.push(timed(
            format!("memcpy of {size_kib} KiB ({where_})"),
            size,
            duration / 4,
            || {
                copy.copy_from_slice(black_box(&source));
                black_box(&mut copy);
            },
        ));
    }
    bounds
}

fn timed(name: String, bytes: usize, duration: Duration, mut work: impl FnMut()) -> Bound {
    work();
    let (start, mut rounds) = (Instant::now(), 0_u64);
    while start.elapsed() < duration {
        work();
        rounds += 1;
    }
    Bound::throughput(name, rounds as f64 * bytes as f64, start.elapsed().as_secs_f64())
}
