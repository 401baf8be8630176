//! The four codecs, with contexts that a core keeps and uses again.
//!
//! The broker passes clients' batches through as they are; it decompresses to validate, to search by time and to compact, and
//! compresses only where a topic's `compression.type` asks for it. Clients do both.
//!
//! Input comes from strangers: every decompression has an output limit, and memory is bounded by that limit plus a constant
//! per codec (the largest is the room for a block of an LZ4 frame: 4 MiB).

mod gzip;
mod lz4;
mod snappy;
mod zstandard;

use crate::Codec;
use std::fmt;

/// Buffers larger than this are given back after use: one huge batch must not pin its size on the core for ever.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// Why a records section did not decompress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DecompressError {
    /// The output would exceed the limit.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The input is not what its codec says, or is cut off.
    Corrupt(Codec),
    /// The codec's context could not be had: out of memory.
    NoMemory(Codec),
}

impl fmt::Display for DecompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(f, "the records take more than {limit} bytes"),
            Self::Corrupt(c) => write!(f, "the records are not valid {c}"),
            Self::NoMemory(c) => write!(f, "no memory for a {c} context"),
        }
    }
}

impl std::error::Error for DecompressError {}

/// A codec failed to compress: out of memory, or a level that it does not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CompressError(
    /// The codec.
    pub Codec,
);

impl fmt::Display for CompressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} could not compress", self.0)
    }
}

impl std::error::Error for CompressError {}

/// Decompresses records sections into a buffer of its own, one at a time. One per core, or per client.
#[derive(Default)]
pub struct Decompressor {
    out: Vec<u8>,
    written: u64,
    gzip: Option<gzip::Inflater>,
    snappy: snappy::Reader,
    lz4: lz4::Reader,
    zstd: Option<zstandard::Reader>,
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("kept", &self.out.capacity()).finish_non_exhaustive()
    }
}

impl Decompressor {
    /// A decompressor without contexts yet; each is made at its codec's first use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The decompressed section, at most `bytes_max` bytes, valid until the next call.
    ///
    /// # Errors
    /// [`DecompressError`].
    pub fn decompress(
        &mut self,
        codec: Codec,
        section: &[u8],
        bytes_max: usize,
    ) -> Result<&[u8], DecompressError> {
        if self.out.capacity() > KEPT_BYTES_MAX {
            self.out = Vec::new();
        }
        self.out.clear();
        let result = self.run(codec, section, bytes_max);
        self.written += self.out.len() as u64;
        result?;
        assert!(self.out.len() <= bytes_max, "{codec} wrote past its limit of {bytes_max}");
        Ok(&self.out)
    }

    /// Bytes that all calls together have written, those that failed or had to begin again included: what they have cost,
    /// wherever it is clients that decide how much there is to do.
    #[must_use]
    pub fn bytes_written(&self) -> u64 {
        self.written
    }

    fn run(
        &mut self,
        codec: Codec,
        section: &[u8],
        bytes_max: usize,
    ) -> Result<(), DecompressError> {
        let out = &mut self.out;
        match codec {
            Codec::None => {
                if section.len() > bytes_max {
                    return Err(DecompressError::TooLarge { limit: bytes_max });
                }
                out.extend_from_slice(section);
                Ok(())
            }
            Codec::Gzip => self.gzip.get_or_insert_with(gzip::Inflater::new).decompress(
                section,
                out,
                bytes_max,
                &mut self.written,
            ),
            Codec::Snappy => self.snappy.decompress(section, out, bytes_max),
            Codec::Lz4 => self.lz4.decompress(section, out, bytes_max, &mut self.written),
            Codec::Zstd => {
                let reader = match &mut self.zstd {
                    Some(reader) => reader,
                    none => none.insert(zstandard::Reader::new()?),
                };
                reader.decompress(section, out, bytes_max, &mut self.written)
            }
        }
    }
}

/// Compresses records sections. One per core, or per client.
#[derive(Default)]
pub struct Compressor {
    gzip: Option<gzip::Deflater>,
    snappy: snappy::Writer,
    lz4: lz4::Writer,
    zstd: Option<zstandard::Writer>,
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}

impl Compressor {
    /// A compressor without contexts yet; each is made at its codec's first use.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the compressed form of `section` to `out`. `level` is clamped to what the codec has; `None` is its default.
    ///
    /// # Errors
    /// [`CompressError`]; `out` may then have grown.
    pub fn compress(
        &mut self,
        codec: Codec,
        level: Option<i32>,
        section: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CompressError> {
        match codec {
            Codec::None => {
                out.extend_from_slice(section);
                Ok(())
            }
            Codec::Gzip => gzip::Deflater::at(&mut self.gzip, level).compress(section, out),
            Codec::Snappy => self.snappy.compress(section, out),
            Codec::Lz4 => self.lz4.compress(level, section, out),
            Codec::Zstd => {
                let writer = match &mut self.zstd {
                    Some(writer) => writer,
                    none => none.insert(zstandard::Writer::new()?),
                };
                writer.compress(level, section, out)
            }
        }
    }
}
