//! What a write costs the core, from registered and from ordinary buffers.
//!
//! One write at a time, past the page cache, into a file that has its blocks already, without a flush: what is left is the way
//! through the kernel. Registered buffers save pinning and unpinning the pages of each write.

use crate::cross::cpu;
use bench_core::create_ring_file;
use ids::CoreId;
use runtime::{Open, Runtime, RuntimeConfig, Tuning, run_with};
use std::io;
use std::path::Path;

/// Sizes that are measured: bytes of a write.
pub const SIZES: [usize; 3] = [4 << 10, 128 << 10, 1 << 20];

/// Bytes of the file.
const FILE_BYTES: u64 = 64 << 20;

/// Blocks of these sizes are registered; a write comes out of the smallest that holds it, as in the journal.
const BLOCKS: [usize; 3] = [64 << 10, 256 << 10, 1 << 20];

/// What writes of one size cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// CPU microseconds per write.
    pub cpu_us: f64,
    /// Microseconds per write.
    pub elapsed_us: f64,
    /// Bytes of buffers that the kernel had registered.
    pub registered_bytes: usize,
    /// Whether the page cache was passed by.
    pub direct: bool,
}

/// Writes `count` times `bytes` bytes.
///
/// # Errors
/// No runtime, no file, or a write fails.
pub fn measure(directory: &Path, bytes: usize, fixed: bool, count: u32) -> io::Result<Cost> {
    let path = directory.join("ringwood-bench-writes");
    create_ring_file(&path, FILE_BYTES)?;
    let one = RuntimeConfig { core: CoreId(0), memory_limit: 64 << 20, pin: None };
    let tuning = Tuning { fixed_buffers: fixed, ..Tuning::default() };
    let file = path.clone();
    let cost =
        run_with(&one, &tuning, move |rt| async move { write(&rt, &file, bytes, count).await });
    std::fs::remove_file(&path)?;
    cost?
}

async fn write(rt: &Runtime, path: &Path, bytes: usize, count: u32) -> io::Result<Cost> {
    let how = Open { write: true, direct: true, ..Open::default() };
    let file = rt.disk().open(path, how).await?;
    let capacity = BLOCKS.into_iter().find(|block| *block >= bytes).unwrap_or(bytes);
    let mut block = rt.memory().alloc(capacity).map_err(io::Error::other)?;
    block.spare_mut()[..bytes].fill(0x5a);
    block.advance(bytes);
    let slice = block.freeze();
    let mut at = 0;
    let (mut begun, mut used) = (rt.now(), cpu());
    // A tenth more, to warm up.
    for n in 0..count + count / 10 {
        if n == count / 10 {
            rt.yield_now().await;
            (begun, used) = (rt.now(), cpu());
        }
        if at + bytes as u64 > FILE_BYTES {
            at = 0;
        }
        file.write_at(at, slice.clone()).await?;
        at += bytes as u64;
    }
    let per = |d: std::time::Duration| d.as_secs_f64() * 1e6 / f64::from(count.max(1));
    Ok(Cost {
        cpu_us: per(cpu() - used),
        elapsed_us: per(rt.now().since(begun)),
        registered_bytes: rt.fixed_bytes(),
        direct: file.is_direct(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_of_each_kind_is_measured() {
        let directory = std::env::temp_dir();
        for bytes in SIZES {
            for fixed in [true, false] {
                let cost = measure(&directory, bytes, fixed, 10).unwrap();
                assert!(cost.cpu_us > 0.0 && cost.elapsed_us > 0.0, "{cost:?}");
                // Little memory may be locked here, but never is any registered that was not asked for.
                assert!(fixed || cost.registered_bytes == 0, "{cost:?}");
            }
        }
    }
}
