//! One batch in a slice, and the batches of a run of bytes.

use crate::header::{CRC_FROM, LENGTH_AT, MAGIC_AT};
use crate::{
    BatchHeader, Codec, DecompressError, Decompressor, HEADER_LEN, LENGTH_PREFIX_LEN, MAGIC,
    RecordIter, UnknownCodec,
};
use std::fmt;

/// Why bytes are not a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BatchError {
    /// The bytes end inside the batch: the tail of a read that stopped at its size limit, or a truncated file.
    Partial {
        /// Bytes that there are.
        have: usize,
        /// Bytes that the batch needs, as far as can be told from what there is.
        need: usize,
    },
    /// The length field names fewer bytes than a header has.
    Length(i32),
    /// Not record batch v2.
    Magic(i8),
    /// The checksum differs.
    Crc {
        /// The checksum in the header.
        stated: u32,
        /// The checksum of the bytes.
        actual: u32,
    },
    /// The attributes name a codec that Kafka does not define.
    Codec(UnknownCodec),
    /// The records section is compressed: ask for [`BatchView::records_with`].
    Compressed(Codec),
    /// The records section does not decompress.
    Decompress(DecompressError),
    /// The count is negative.
    Count(i32),
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partial { have, need } => {
                write!(f, "the batch needs {need} bytes and {have} are there")
            }
            Self::Length(n) => write!(f, "batch length {n} is less than a header"),
            Self::Magic(m) => write!(f, "batch format {m}, only 2 is known"),
            Self::Crc { stated, actual } => {
                write!(f, "checksum {stated:08x} in the header, {actual:08x} of the bytes")
            }
            Self::Codec(e) => e.fmt(f),
            Self::Compressed(c) => write!(f, "the records are compressed with {c}"),
            Self::Decompress(e) => e.fmt(f),
            Self::Count(n) => write!(f, "record count {n}"),
        }
    }
}

impl std::error::Error for BatchError {}

impl From<DecompressError> for BatchError {
    fn from(e: DecompressError) -> Self {
        Self::Decompress(e)
    }
}

/// One whole batch in a slice. Its length and magic hold; its CRC has not been looked at.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    header: BatchHeader,
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// Takes the batch at the front of `bytes`; what follows it is not looked at.
    ///
    /// # Errors
    /// [`BatchError::Partial`], [`BatchError::Length`] or [`BatchError::Magic`].
    pub fn first(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let have = bytes.len();
        // Length and magic are judged as soon as they are there, so that garbage is not mistaken for a short read.
        if let Some(length) = bytes.get(LENGTH_AT..).and_then(<[u8]>::first_chunk) {
            let length = i32::from_be_bytes(*length);
            if usize::try_from(length).is_ok_and(|n| n >= HEADER_LEN - LENGTH_PREFIX_LEN) {
                if let Some(magic) = bytes.get(MAGIC_AT).map(|b| b.cast_signed())
                    && magic != MAGIC
                {
                    return Err(BatchError::Magic(magic));
                }
            } else {
                return Err(BatchError::Length(length));
            }
        }
        let Some(header) = BatchHeader::read(bytes) else {
            return Err(BatchError::Partial { have, need: HEADER_LEN });
        };
        let need = header.batch_bytes().ok_or(BatchError::Length(header.length))?;
        let bytes = bytes.get(..need).ok_or(BatchError::Partial { have, need })?;
        Ok(Self { header, bytes })
    }

    /// The header's fields.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The records section, compressed as the attributes say.
    #[must_use]
    pub fn records_section(&self) -> &'a [u8] {
        self.bytes.get(HEADER_LEN..).unwrap_or(&[])
    }

    /// Compares the checksum.
    ///
    /// # Errors
    /// [`BatchError::Crc`] with both numbers.
    pub fn check_crc(&self) -> Result<(), BatchError> {
        let actual = crc32c::crc32c(self.bytes.get(CRC_FROM..).unwrap_or(&[]));
        if actual == self.header.crc {
            Ok(())
        } else {
            Err(BatchError::Crc { stated: self.header.crc, actual })
        }
    }

    /// The codec of the records section.
    ///
    /// # Errors
    /// [`BatchError::Codec`].
    pub fn codec(&self) -> Result<Codec, BatchError> {
        self.header.attributes.codec().map_err(BatchError::Codec)
    }

    /// The records of an uncompressed batch.
    ///
    /// # Errors
    /// [`BatchError::Compressed`] for any other, [`BatchError::Codec`], [`BatchError::Count`].
    pub fn records(&self) -> Result<RecordIter<'a>, BatchError> {
        let codec = self.codec()?;
        if codec != Codec::None {
            return Err(BatchError::Compressed(codec));
        }
        self.iterate(self.records_section())
    }

    /// The records of any batch; a compressed one is decompressed into the decompressor's buffer, at most `bytes_max`.
    ///
    /// # Errors
    /// [`BatchError::Decompress`], [`BatchError::Codec`], [`BatchError::Count`].
    pub fn records_with<'r>(
        &self,
        decompressor: &'r mut Decompressor,
        bytes_max: usize,
    ) -> Result<RecordIter<'r>, BatchError>
    where
        'a: 'r,
    {
        let codec = self.codec()?;
        let section = self.records_section();
        if codec == Codec::None {
            return self.iterate(section);
        }
        self.iterate(decompressor.decompress(codec, section, bytes_max)?)
    }

    fn iterate<'r>(&self, section: &'r [u8]) -> Result<RecordIter<'r>, BatchError> {
        let count =
            u32::try_from(self.header.count).map_err(|_| BatchError::Count(self.header.count))?;
        Ok(RecordIter::new(section, count))
    }
}

/// The batches of a run of bytes, one after another. Stops after the first error; a batch that the end of the run cuts off is
/// [`BatchError::Partial`], which a reader of fetched bytes may take as the end.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
    at: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Starts at the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0, failed: false }
    }

    /// Bytes of the whole batches yielded so far: where the next one, or what is wrong, begins.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<BatchView<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.rest.is_empty() {
            return None;
        }
        match BatchView::first(self.rest) {
            Ok(batch) => {
                let len = batch.bytes.len();
                self.at += len;
                self.rest = self.rest.get(len..).unwrap_or(&[]);
                Some(Ok(batch))
            }
            Err(e) => {
                self.failed = true;
                Some(Err(e))
            }
        }
    }
}

impl std::iter::FusedIterator for Batches<'_> {}
