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

pub(super) struct Reader(DCtx<'static>);

impl Reader {
    pub(super) fn new() -> Result<Self, DecompressError> {
        DCtx::try_create().map(Self).ok_or(DecompressError::NoMemory(Codec::Zstd))
    }

    pub(super) fn decompress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), DecompressError> {
        let too_large = DecompressError::TooLarge { limit: bytes_max };
        if input.is_empty() {
            return Err(CORRUPT);
        }
        // Only the first frame's size; more frames may follow, and then the buffer grows.
        let stated = get_frame_content_size(input).map_err(|_| CORRUPT)?;
        let mut guess = match stated {
            Some(n) => usize::try_from(n).ok().filter(|n| *n <= bytes_max).ok_or(too_large)?,
            None => input.len().saturating_mul(4).max(GUESS_BYTES_MIN).max(out.capacity()),
        };
        loop {
            guess = guess.min(bytes_max);
            let mut buffer = Buffer::new(out, guess);
            match self.0.decompress(buffer.window(), input) {
                Ok(n) => {
                    buffer.keep(n);
                    return Ok(());
                }
                Err(code) => {
                    buffer.keep(0);
                    if !is_error_kind(code, ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall) {
                        return Err(CORRUPT);
                    }
                    if guess == bytes_max {
                        return Err(too_large);
                    }
                    guess = guess.saturating_mul(4).max(GUESS_BYTES_MIN);
                }
            }
        }
    }
}

/// The output vector as a window of exactly the guessed size: a vector's capacity may be more than was asked for, and the
/// limit is a limit.
struct Buffer<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> Buffer<'o> {
    fn new(out: &'o mut Vec<u8>, len: usize) -> Self {
        out.clear();
        out.resize(len, 0);
        Self { out }
    }

    fn window(&mut self) -> &mut [u8] {
        self.out
    }

    fn keep(self, n: usize) {
        self.out.truncate(n);
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
