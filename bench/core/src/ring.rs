//! The file that groups go to, round and round.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// Makes the file: `bytes` of zeros, written and flushed, so that no later write has to allocate and a flush has no
/// metadata to take along. The same for every edition.
///
/// # Errors
/// As open(2), write(2) and fsync(2).
pub fn create_ring_file(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let zeros = vec![0; 1 << 20];
    let mut left = bytes;
    while left > 0 {
        let n = usize::try_from(left).map_or(zeros.len(), |left| left.min(zeros.len()));
        file.write_all(&zeros[..n])?;
        left -= n as u64;
    }
    file.sync_all()
}
