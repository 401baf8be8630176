//! The device: writing in sequence past the page cache, and how long a flush takes.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{Mode, OFlags};

use super::Bound;
use crate::{failure::Failure, interrupt, latency::Latency};

/// The device's block, to which direct writes are aligned.
const BLOCK: usize = 4096;

/// So many flushes are waited for, as a p99 needs a thousand ...
pub(super) const FLUSHES_MIN: u64 = 2_000;

/// Bytes of the writes that are flushed one by one; each size has its own measurement.
pub(super) const SIZES: [usize; 3] = [BLOCK, 128 << 10, 1 << 20];

/// ... but no longer than this.
const DURATION_MAX: Duration = Duration::from_secs(10);

/// A file without a name: it goes when the measurement ends, however it ends.
struct Scratch {
    path: PathBuf,
    file: File,
    direct: bool,
}

impl Scratch {
    fn open(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(format!("ringwood-ceiling-{}.tmp", std::process::id()));
        let open = |flags: OFlags| {
            let flags = flags | OFlags::CREATE | OFlags::TRUNC | OFlags::RDWR | OFlags::CLOEXEC;
            rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR)
        };
        #[cfg(target_os = "linux")]
        let direct = open(OFlags::DIRECT);
        #[cfg(not(target_os = "linux"))]
        let direct: rustix::io::Result<std::os::fd::OwnedFd> = Err(rustix::io::Errno::INVAL);
        let is_direct = direct.is_ok();
        // Some file systems (a memory disk) have no direct writes.
        let file = direct.or_else(|_| open(OFlags::empty()));
        let file = file.map_err(|e| Failure::file("create", &path, &e.into()))?;
        std::fs::remove_file(&path).map_err(|e| Failure::file("remove", &path, &e))?;
        Ok(Self { file: File::from(file), path, direct: is_direct })
    }
}

/// A buffer that begins at a block's boundary.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn new(len: usize) -> Self {
        // Not zeros: a device that compresses must not gain by it.
        let mut bytes = vec![0; len + BLOCK];
        crate::random::Random::new(1).fill(&mut bytes);
        let start = bytes.as_ptr().align_offset(BLOCK).min(BLOCK);
        Self { bytes, start, len }
    }

    fn slice(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

pub(super) fn measure(
    directory: &Path,
    bytes: u64,
    duration: Duration,
    flushes_min: u64,
) -> Result<Vec<Bound>, Failure> {
    let scratch = Scratch::open(directory)?;
    let wrong = |e: std::io::Error| Failure::file("write", &scratch.path, &e);
    let how = if scratch.direct { "direct" } else { "buffered" };
    let mut bounds = Vec::new();
    let chunk = Aligned::new(1 << 20);
    let chunks = (bytes >> 20).max(1);
    // Twice: the first pass also finds room for the file, the second only writes.
    for pass in ["new file", "overwrite"] {
        let start = Instant::now();
        for number in 0..chunks {
            interrupt::check()?;
            scratch.file.write_all_at(chunk.slice(), number << 20).map_err(wrong)?;
        }
        scratch.file.sync_data().map_err(wrong)?;
        let seconds = start.elapsed().as_secs_f64();
        // One flush at the end: a device with a cache of its own shows what that takes.
        let name = format!("device: sequential write, 1 MiB, {how}, one flush, {pass}");
        bounds.push(Bound::throughput(name, (chunks << 20) as f64, seconds));
    }
    for size in SIZES {
        let buffer = Aligned::new(size);
        let room = (chunks << 20) / size as u64;
        let mut latency = Latency::new();
        let (start, mut number) = (Instant::now(), 0);
        // A p99 needs its records: a device that flushes slowly has more time.
        while start.elapsed() < duration
            || (latency.count() < flushes_min && start.elapsed() < duration.max(DURATION_MAX))
        {
            interrupt::check()?;
            let before = Instant::now();
            let at = number % room * size as u64;
            scratch.file.write_all_at(buffer.slice(), at).map_err(wrong)?;
            scratch.file.sync_data().map_err(wrong)?;
            latency.record(before.elapsed().as_nanos() as u64);
            number += 1;
        }
        let name = format!("device: write {} KiB and fdatasync, in place", size >> 10);
        bounds.push(Bound::latency(name, &latency, size as f64, start.elapsed().as_secs_f64()));
    }
    Ok(bounds)
}
