//! gzip (RFC 1952), one or more members.

use super::{CompressError, DecompressError};
use crate::Codec;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

const WINDOW_BITS: u8 = 15;
const STEP_BYTES_MIN: usize = 16 << 10;
/// Streams written one after another are a few; each costs a first step of room, however little is in it.
const MEMBERS_MAX: usize = 1024;
const CORRUPT: DecompressError = DecompressError::Corrupt(Codec::Gzip);

pub(super) struct Inflater(Decompress);

impl Inflater {
    pub(super) fn new() -> Self {
        Self(Decompress::new_gzip(WINDOW_BITS))
    }

    /// Room that was filled and not written to is added to `spent`.
    pub(super) fn decompress(
        &mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
        spent: &mut u64,
    ) -> Result<(), DecompressError> {
        // Several members one after another are one stream (RFC 1952, 2.2).
        for _ in 0..MEMBERS_MAX {
            self.0.reset(true);
            input = self.member(input, out, bytes_max, spent)?;
            if input.is_empty() {
                return Ok(());
            }
        }
        Err(CORRUPT)
    }

    fn member<'i>(
        &mut self,
        mut input: &'i [u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
        spent: &mut u64,
    ) -> Result<&'i [u8], DecompressError> {
        let start = out.len();
        loop {
            let before = out.len();
            // At the limit one byte of room is offered all the same: the trailer still has to be read, and a byte that
            // appears there proves the stream too large. Room doubles with what this member has given: it is filled with
            // zeros first, and an empty member must not pay for a large one before it.
            let room = (bytes_max - before).min((before - start).max(STEP_BYTES_MIN)).max(1);
            out.resize(before + room, 0);
            let (read_before, wrote_before) = (self.0.total_in(), self.0.total_out());
            let window = out.get_mut(before..).unwrap_or(&mut []);
            let status = self.0.decompress(input, window, FlushDecompress::None);
            let read = usize::try_from(self.0.total_in() - read_before).map_err(|_| CORRUPT)?;
            let wrote = usize::try_from(self.0.total_out() - wrote_before).map_err(|_| CORRUPT)?;
            out.truncate(before + wrote);
            *spent += (room - wrote.min(room)) as u64;
            if out.len() > bytes_max {
                out.truncate(bytes_max);
                return Err(DecompressError::TooLarge { limit: bytes_max });
            }
            input = input.get(read..).unwrap_or(&[]);
            match status.map_err(|_| CORRUPT)? {
                Status::StreamEnd => return Ok(input),
                Status::Ok | Status::BufError if read > 0 || wrote > 0 => {}
                Status::Ok | Status::BufError => return Err(CORRUPT),
            }
        }
    }
}

pub(super) struct Deflater {
    context: Compress,
    level: u32,
}

impl Deflater {
    /// The kept context, if it has the level; otherwise a new one.
    pub(super) fn at(kept: &mut Option<Self>, level: Option<i32>) -> &mut Self {
        let level = level.map_or(Compression::default().level(), |n| n.clamp(1, 9).cast_unsigned());
        if kept.as_ref().is_some_and(|d| d.level != level) {
            *kept = None;
        }
        kept.get_or_insert_with(|| Self {
            context: Compress::new_gzip(Compression::new(level), WINDOW_BITS),
            level,
        })
    }

    pub(super) fn compress(
        &mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        let failed = CompressError(Codec::Gzip);
        self.context.reset();
        loop {
            out.reserve(input.len() / 2 + 64);
            let (before_in, before_out) = (self.context.total_in(), out.len());
            let status =
                self.context.compress_vec(input, out, FlushCompress::Finish).map_err(|_| failed)?;
            let read = usize::try_from(self.context.total_in() - before_in).map_err(|_| failed)?;
            input = input.get(read..).unwrap_or(&[]);
            match status {
                Status::StreamEnd => return Ok(()),
                Status::Ok | Status::BufError if read > 0 || out.len() > before_out => {}
                Status::Ok | Status::BufError => return Err(failed),
            }
        }
    }
}
