//! zstandard (RFC 8878; KIP-110).
//!
//! Decompression is one shot into the output buffer, which is then also the window: a frame that asks for a 128 MiB window
//! costs what it decompresses to and no more. Producers write frames without a content size, so the buffer starts from a
//! guess and grows fourfold until the limit; the buffer is kept, so a core soon guesses right.

use super::{CompressError, DecompressError};
use crate::Codec;
use zstd::zstd_safe::{
    CCtx, CParameter, DCtx, compress_bound, get_frame_content_size, is_error_kind, max_c_level,
    min_c_level, zstd_sys::ZSTD_ErrorCode,
};

const CORRUPT: DecompressError = DecompressError::Corrupt(Codec::Zstd);
const GUESS_BYTES_MIN: usize = 64 << 10;
/// A block of 128 KiB of one byte takes 4: no frame grows more than this many times.
const RATIO_MAX: u64 = 32 << 10;

pub(super) struct Reader(DCtx<'static>);

impl Reader {
    pub(super) fn new() -> Result<Self, DecompressError> {
        DCtx::try_create().map(Self).ok_or(DecompressError::NoMemory(Codec::Zstd))
    }

    /// What was written in vain, because the buffer was too small, is added to `spent`.
    pub(super) fn decompress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
        spent: &mut u64,
    ) -> Result<(), DecompressError> {
        let too_large = DecompressError::TooLarge { limit: bytes_max };
        if input.is_empty() {
            return Err(CORRUPT);
        }
        // Only the first frame's size; more frames may follow, and then the buffer grows.
        let stated = get_frame_content_size(input).map_err(|_| CORRUPT)?;
        let mut guess = match stated {
            Some(n) if n > (input.len() as u64).saturating_mul(RATIO_MAX) => return Err(CORRUPT),
            Some(n) => usize::try_from(n).ok().filter(|n| *n <= bytes_max).ok_or(too_large)?,
            None => input.len().saturating_mul(4).max(GUESS_BYTES_MIN),
        };
        if out.capacity() > bytes_max {
            // Room that was kept would be written in full before the limit is seen.
            *out = Vec::new();
        }
        loop {
            // Into room that nobody has filled: zeros in front of every batch would cost more than most batches.
            out.clear();
            out.reserve_exact(guess.min(bytes_max));
            match self.0.decompress(out, input) {
                // A vector may have more room than was asked for, and the limit is a limit.
                Ok(n) if n > bytes_max => {
                    *spent += n as u64;
                    out.clear();
                    return Err(too_large);
                }
                Ok(_) => return Ok(()),
                Err(code) => {
                    let room = out.capacity();
                    *spent += room as u64;
                    out.clear();
                    if !is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall) {
                        return Err(CORRUPT);
                    }
                    if room >= bytes_max {
                        return Err(too_large);
                    }
                    guess = room.saturating_mul(4).max(GUESS_BYTES_MIN);
                }
            }
        }
    }
}

pub(super) struct Writer(CCtx<'static>);

impl Writer {
    pub(super) fn new() -> Result<Self, CompressError> {
        CCtx::try_create().map(Self).ok_or(CompressError(Codec::Zstd))
    }

    pub(super) fn compress(
        &mut self,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        let failed = CompressError(Codec::Zstd);
        let level = level.unwrap_or(zstd::DEFAULT_COMPRESSION_LEVEL);
        let level = level.clamp(min_c_level(), max_c_level());
        self.0.set_parameter(CParameter::CompressionLevel(level)).map_err(|_| failed)?;
        let at = out.len();
        out.resize(at + compress_bound(input.len()), 0);
        let n = self.0.compress2(&mut out[at..], input).map_err(|_| failed)?;
        out.truncate(at + n);
        Ok(())
    }
}
