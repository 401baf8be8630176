//! snappy: raw blocks, usually in the framing of the xerial library.
//!
//! The framing is a 16-byte header (magic, version, oldest compatible version; the versions big-endian) and then chunks: a
//! big-endian i32 length and a raw block. Java clients write it, librdkafka and others write either; both are read, and the
//! framing is written because every client reads it.

use super::{CompressError, DecompressError};
use crate::Codec;
use snap::raw;

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const HEADER_LEN: usize = 16;
/// Chunks of the xerial library's own default size.
const CHUNK_BYTES: usize = 32 << 10;
/// A copy of 64 bytes takes 3: no block grows more than this many times.
const RATIO_MAX: usize = 22;
const CORRUPT: DecompressError = DecompressError::Corrupt(Codec::Snappy);

pub(super) struct Reader(raw::Decoder);

impl Default for Reader {
    fn default() -> Self {
        Self(raw::Decoder::new())
    }
}

impl Reader {
    pub(super) fn decompress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), DecompressError> {
        if !input.starts_with(&MAGIC) {
            return self.block(input, out, bytes_max);
        }
        let mut rest = input;
        while !rest.is_empty() {
            // Streams written one after another repeat the header.
            if rest.starts_with(&MAGIC) {
                rest = rest.get(HEADER_LEN..).ok_or(CORRUPT)?;
                continue;
            }
            let (len, body) = rest.split_first_chunk().ok_or(CORRUPT)?;
            let len = usize::try_from(i32::from_be_bytes(*len)).map_err(|_| CORRUPT)?;
            let (block, after) = body.split_at_checked(len).ok_or(CORRUPT)?;
            self.block(block, out, bytes_max)?;
            rest = after;
        }
        Ok(())
    }

    fn block(
        &mut self,
        block: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
    ) -> Result<(), DecompressError> {
        let len = raw::decompress_len(block).map_err(|_| CORRUPT)?;
        if len > block.len().saturating_mul(RATIO_MAX) {
            return Err(CORRUPT);
        }
        let start = out.len();
        let end = start.checked_add(len).filter(|end| *end <= bytes_max);
        let end = end.ok_or(DecompressError::TooLarge { limit: bytes_max })?;
        out.resize(end, 0);
        let wrote = self
            .0
            .decompress(block, out.get_mut(start..).unwrap_or(&mut []))
            .map_err(|_| CORRUPT)?;
        if wrote == len { Ok(()) } else { Err(CORRUPT) }
    }
}

pub(super) struct Writer(raw::Encoder);

impl Default for Writer {
    fn default() -> Self {
        Self(raw::Encoder::new())
    }
}

impl Writer {
    pub(super) fn compress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        let failed = CompressError(Codec::Snappy);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&1i32.to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
        for chunk in input.chunks(CHUNK_BYTES) {
            let at = out.len();
            out.resize(at + 4 + raw::max_compress_len(chunk.len()), 0);
            let len = self.0.compress(chunk, &mut out[at + 4..]).map_err(|_| failed)?;
            out.truncate(at + 4 + len);
            let len = i32::try_from(len).map_err(|_| failed)?;
            out[at..at + 4].copy_from_slice(&len.to_be_bytes());
        }
        Ok(())
    }
}
