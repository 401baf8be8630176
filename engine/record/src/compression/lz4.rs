//! The LZ4 frame format.
//!
//! ```text
//!   magic  flags  sizes  [content size]  checksum   { length  block  [checksum] }...   0   [content checksum]
//! ```
//! Written with independent blocks, which is what Java clients read; linked blocks are read as well. A frame's header says how
//! large a block may become, 64 KiB to 4 MiB. That is a stranger's word: room is made for what the bytes of a block can become,
//! once, and used again for all that follow, whatever frame they are in.
//!
//! Strangers' bytes are read in safe Rust. The C library only compresses, where a level is asked for: what it is given has been
//! decompressed and checked, and is at most 64 KiB.

use super::{CompressError, DecompressError};
use crate::Codec;
use lz4_flex::block::{self, decompress_into, decompress_into_with_dict};
use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
use std::io::Write;
use twox_hash::XxHash32;

const MAGIC: [u8; 4] = 0x184D_2204u32.to_le_bytes();
const CORRUPT: DecompressError = DecompressError::Corrupt(Codec::Lz4);
/// A byte more of a match's length says 255 more: no block grows more than this many times.
const RATIO_MAX: usize = 255;
/// Linked blocks refer so far back.
const WINDOW: usize = 64 << 10;
/// Set in a block's length: it is not compressed.
const AS_IT_IS: u32 = 1 << 31;

/// Flags of a frame: bits 7 and 6 are the version, 01; bit 1 means nothing yet.
mod flag {
    pub(super) const VERSION: u8 = 0b1100_0000;
    pub(super) const VERSION_1: u8 = 0b0100_0000;
    pub(super) const INDEPENDENT: u8 = 1 << 5;
    pub(super) const BLOCK_CHECKSUMS: u8 = 1 << 4;
    pub(super) const CONTENT_SIZE: u8 = 1 << 3;
    pub(super) const CONTENT_CHECKSUM: u8 = 1 << 2;
    pub(super) const RESERVED: u8 = 1 << 1;
    pub(super) const DICTIONARY: u8 = 1;
}

/// What a frame's header says.
struct Frame {
    flags: u8,
    block_max: usize,
    content_size: Option<u64>,
}

impl Frame {
    /// Reads the header and takes it off `input`.
    fn read(input: &mut &[u8]) -> Option<Self> {
        // Legacy frames have another magic number, 8 MiB blocks, and are nothing that Kafka knows.
        let described = input.strip_prefix(&MAGIC)?;
        let mut rest = described;
        let [flags, sizes] = take(&mut rest)?;
        if flags & flag::VERSION != flag::VERSION_1
            || flags & (flag::RESERVED | flag::DICTIONARY) != 0
        {
            return None;
        }
        let block_max = match sizes {
            0x40 => 64 << 10,
            0x50 => 256 << 10,
            0x60 => 1 << 20,
            0x70 => 4 << 20,
            _ => return None,
        };
        let content_size = match flags & flag::CONTENT_SIZE {
            0 => None,
            _ => Some(u64::from_le_bytes(take(&mut rest)?)),
        };
        let described = described.get(..described.len() - rest.len())?;
        let [checksum] = take(&mut rest)?;
        *input = rest;
        (hash(described).to_le_bytes()[1] == checksum).then_some(Self {
            flags,
            block_max,
            content_size,
        })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// The first bytes of `input`, taken off it.
fn take<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = input.split_first_chunk()?;
    *input = rest;
    Some(*first)
}

fn hash(bytes: &[u8]) -> u32 {
    XxHash32::oneshot(0, bytes)
}

#[derive(Default)]
pub(super) struct Reader {
    /// Where a block is decompressed. Filled with zeros where it has grown, and never again.
    room: Vec<u8>,
}

impl Reader {
    /// Adds to `written` what was filled beside the output.
    pub(super) fn decompress(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        bytes_max: usize,
        written: &mut u64,
    ) -> Result<(), DecompressError> {
        let mut rest = input;
        let frame = Frame::read(&mut rest).ok_or(CORRUPT)?;
        let begin = out.len();
        loop {
            let length = u32::from_le_bytes(take(&mut rest).ok_or(CORRUPT)?);
            if length == 0 {
                break;
            }
            let len = (length & !AS_IT_IS) as usize;
            if len > frame.block_max {
                return Err(CORRUPT);
            }
            let (block, after) = rest.split_at_checked(len).ok_or(CORRUPT)?;
            rest = after;
            if frame.has(flag::BLOCK_CHECKSUMS) {
                let checksum = take(&mut rest).ok_or(CORRUPT)?;
                if hash(block) != u32::from_le_bytes(checksum) {
                    return Err(CORRUPT);
                }
            }
            let left = bytes_max - out.len();
            let content = if length & AS_IT_IS == 0 {
                let most = len.saturating_mul(RATIO_MAX).min(frame.block_max);
                let grown = most.min(left).saturating_sub(self.room.len());
                *written += grown as u64;
                self.room.resize(self.room.len() + grown, 0);
                let window = if frame.has(flag::INDEPENDENT) { 0 } else { WINDOW };
                let before = out.get(begin.max(out.len().saturating_sub(window))..).unwrap_or(&[]);
                let room = self.room.get_mut(..most.min(left)).unwrap_or(&mut []);
                let n = decompress(block, room, before).map_err(|e| {
                    // How far it came is not known.
                    *written += room.len() as u64;
                    let cramped = matches!(e, block::DecompressError::OutputTooSmall { .. });
                    if cramped && left < most {
                        DecompressError::TooLarge { limit: bytes_max }
                    } else {
                        CORRUPT
                    }
                })?;
                self.room.get(..n).unwrap_or(&[])
            } else if len > left {
                return Err(DecompressError::TooLarge { limit: bytes_max });
            } else {
                block
            };
            // Some clients would take it for the end.
            if content.is_empty() {
                return Err(CORRUPT);
            }
            out.extend_from_slice(content);
        }
        let content = out.get(begin..).unwrap_or(&[]);
        if frame.content_size.is_some_and(|size| size != content.len() as u64) {
            return Err(CORRUPT);
        }
        if frame.has(flag::CONTENT_CHECKSUM) {
            let checksum = take(&mut rest).ok_or(CORRUPT)?;
            if hash(content) != u32::from_le_bytes(checksum) {
                return Err(CORRUPT);
            }
        }
        // Bytes behind the frame are read by some clients and refused by others: nobody may send them.
        if rest.is_empty() { Ok(()) } else { Err(CORRUPT) }
    }
}

/// Decompresses a block that may refer to `before`.
fn decompress(
    block: &[u8],
    room: &mut [u8],
    before: &[u8],
) -> Result<usize, block::DecompressError> {
    if before.is_empty() {
        decompress_into(block, room)
    } else {
        decompress_into_with_dict(block, room, before)
    }
}

/// Kafka's default level, which it gives to the fast compressor (KIP-390): the high one is for those that were asked for.
const LEVEL_DEFAULT: i32 = 9;
/// What Kafka takes. The high compressor has twelve levels, and gives those above the twelfth.
const LEVELS: std::ops::RangeInclusive<i32> = 1..=17;
/// The size of a block before compression, and how a frame's header says it.
const BLOCK: usize = 64 << 10;
const BLOCK_64_KIB: u8 = 0x40;

#[derive(Default)]
pub(super) struct Writer {
    /// Where the high compressor writes a block.
    room: Vec<u8>,
}

impl Writer {
    pub(super) fn compress(
        &mut self,
        level: Option<i32>,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        let level = level.map(|n| n.clamp(*LEVELS.start(), *LEVELS.end()));
        match level {
            None | Some(LEVEL_DEFAULT) => fast(input, out),
            Some(level) => self.high(level, input, out),
        }
    }

    /// The same frame as the fast compressor's, its blocks from the C library, whose levels pure Rust does not have.
    fn high(&mut self, level: i32, input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
        let failed = CompressError(Codec::Lz4);
        let described = [flag::VERSION_1 | flag::INDEPENDENT, BLOCK_64_KIB];
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&described);
        out.push(hash(&described).to_le_bytes()[1]);
        self.room.resize(block::get_maximum_output_size(BLOCK), 0);
        for plain in input.chunks(BLOCK) {
            let mode = Some(lz4::block::CompressionMode::HIGHCOMPRESSION(level));
            let n = lz4::block::compress_to_buffer(plain, mode, false, &mut self.room)
                .map_err(|_| failed)?;
            let packed = self.room.get(..n).ok_or(failed)?;
            let (flag, bytes) = if n < plain.len() { (0, packed) } else { (AS_IT_IS, plain) };
            let len = u32::try_from(bytes.len()).map_err(|_| failed)?;
            out.extend_from_slice(&(len | flag).to_le_bytes());
            out.extend_from_slice(bytes);
        }
        out.extend_from_slice(&0_u32.to_le_bytes());
        Ok(())
    }
}

fn fast(input: &[u8], out: &mut Vec<u8>) -> Result<(), CompressError> {
    let failed = CompressError(Codec::Lz4);
    let info = FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let mut frame = FrameEncoder::with_frame_info(info, out);
    frame.write_all(input).map_err(|_| failed)?;
    frame.finish().map_err(|_| failed)?;
    Ok(())
}
