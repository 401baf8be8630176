//! The LZ4 frame format.
//!
//! Written with independent blocks, which is what Java clients read; linked blocks are read as well.

use super::{CompressError, DecompressError};
use crate::Codec;
use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use std::io::{self, BufRead, Read, Write};

const MAGIC: [u8; 4] = 0x184D_2204u32.to_le_bytes();
const CORRUPT: DecompressError = DecompressError::Corrupt(Codec::Lz4);

pub(super) fn decompress(
    input: &[u8],
    out: &mut Vec<u8>,
    bytes_max: usize,
) -> Result<(), DecompressError> {
    // Legacy frames, which the library would read as well, have 8 MiB blocks and are nothing that Kafka knows.
    if !input.starts_with(&MAGIC) {
        return Err(CORRUPT);
    }
    let mut frame = FrameDecoder::new(Input { rest: input, ran_dry: false });
    loop {
        let block = frame.fill_buf().map_err(|_| CORRUPT)?;
        let n = block.len();
        if n == 0 {
            break;
        }
        if n > bytes_max - out.len() {
            return Err(DecompressError::TooLarge { limit: bytes_max });
        }
        out.extend_from_slice(block);
        frame.consume(n);
    }
    // Bytes behind the frame are read by some clients and refused by others: nobody may send them.
    let end = frame.into_inner();
    if end.ran_dry || !end.rest.is_empty() { Err(CORRUPT) } else { Ok(()) }
}

/// The input, with a memory of having been asked for more than it has: the library takes a frame that is cut between two blocks
/// for a whole one.
struct Input<'i> {
    rest: &'i [u8],
    ran_dry: bool,
}

impl Read for Input<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.rest.read(buf)?;
        self.ran_dry |= n == 0 && !buf.is_empty();
        Ok(n)
    }
}

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
    let failed = CompressError(Codec::Lz4);
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut frame = FrameEncoder::with_frame_info(info, out);
    frame.write_all(input).map_err(|_| failed)?;
    frame.finish().map_err(|_| failed)?;
    Ok(())
}
