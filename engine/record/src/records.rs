//! The records of an uncompressed records section.
//!
//! ```text
//! record  = length varint, attributes i8, timestamp delta varlong, offset delta varint,
//!           key length varint (-1: null), key, value length varint (-1: null), value, header count varint, headers
//! header  = key length varint, key, value length varint (-1: null), value
//! ```

use crate::varint;
use std::fmt;

/// Why a record could not be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordError {
    /// The section ends inside a record, or a record ends inside a field.
    Truncated,
    /// A length is negative where it may not be, or a varint is not one.
    Malformed,
    /// A record's length differs from what its fields take.
    Length {
        /// Bytes that the record states.
        stated: usize,
        /// Bytes that its fields take.
        actual: usize,
    },
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("a record ends early"),
            Self::Malformed => f.write_str("a record's field has an impossible length"),
            Self::Length { stated, actual } => {
                write!(f, "a record states {stated} bytes and its fields take {actual}")
            }
        }
    }
}

impl std::error::Error for RecordError {}

/// A header of a record. Keys may repeat; the order counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header<'a> {
    /// Its key: UTF-8 by the protocol, not checked.
    pub key: &'a [u8],
    /// Its value; null is not empty.
    pub value: Option<&'a [u8]>,
}

/// One record, borrowed from the records section.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// Attribute bits; Kafka defines none.
    pub attributes: i8,
    /// Milliseconds after the batch's base timestamp.
    pub timestamp_delta: i64,
    /// Offset minus the batch's base offset.
    pub offset_delta: i32,
    /// The key; null is not empty.
    pub key: Option<&'a [u8]>,
    /// The value; null is a tombstone on a compacted topic.
    pub value: Option<&'a [u8]>,
    /// The headers, which have been read once already: iterating them cannot fail.
    pub headers: Headers<'a>,
}

/// The records of a section. Stops after the first error and after the batch's count.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    cursor: Cursor<'a>,
    left: u32,
}

impl<'a> RecordIter<'a> {
    /// The `count` records of an uncompressed section.
    #[must_use]
    pub fn new(section: &'a [u8], count: u32) -> Self {
        Self { cursor: Cursor { rest: section }, left: count }
    }

    /// Bytes not read yet. Once the iterator has ended well, a valid batch leaves none.
    #[must_use]
    pub fn bytes_left(&self) -> usize {
        self.cursor.rest.len()
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let record = self.cursor.record();
        if record.is_err() {
            self.left = 0;
        }
        Some(record)
    }
}

impl std::iter::FusedIterator for RecordIter<'_> {}

/// The headers of one record.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    cursor: Cursor<'a>,
    left: u32,
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.cursor.header().ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let n = self.left as usize;
        (n, Some(n))
    }
}

impl ExactSizeIterator for Headers<'_> {}

impl std::iter::FusedIterator for Headers<'_> {}

#[derive(Clone, Debug)]
struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], RecordError> {
        let (taken, rest) = self.rest.split_at_checked(n).ok_or(RecordError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<i32, RecordError> {
        let (v, n) = varint::read_i32(self.rest).ok_or_else(|| bad_varint(self.rest, 5))?;
        self.rest = self.rest.get(n..).unwrap_or(&[]);
        Ok(v)
    }

    fn varlong(&mut self) -> Result<i64, RecordError> {
        let (v, n) = varint::read_i64(self.rest).ok_or_else(|| bad_varint(self.rest, 10))?;
        self.rest = self.rest.get(n..).unwrap_or(&[]);
        Ok(v)
    }

    fn length(&mut self) -> Result<usize, RecordError> {
        usize::try_from(self.varint()?).map_err(|_| RecordError::Malformed)
    }

    /// Bytes behind a length; any negative length but -1 is malformed.
    fn nullable(&mut self) -> Result<Option<&'a [u8]>, RecordError> {
        match self.varint()? {
            -1 => Ok(None),
            n => {
                let n = usize::try_from(n).map_err(|_| RecordError::Malformed)?;
                self.take(n).map(Some)
            }
        }
    }

    fn header(&mut self) -> Result<Header<'a>, RecordError> {
        let n = self.length()?;
        Ok(Header { key: self.take(n)?, value: self.nullable()? })
    }

    fn record(&mut self) -> Result<Record<'a>, RecordError> {
        let stated = self.length()?;
        let mut body = Cursor { rest: self.take(stated)? };
        let attributes =
            body.take(1)?.first().map(|b| b.cast_signed()).ok_or(RecordError::Truncated)?;
        let timestamp_delta = body.varlong()?;
        let offset_delta = body.varint()?;
        let key = body.nullable()?;
        let value = body.nullable()?;
        let count = u32::try_from(body.varint()?).map_err(|_| RecordError::Malformed)?;
        let headers = Headers { cursor: body.clone(), left: count };
        for _ in 0..count {
            // A header takes two bytes at least, so a lying count ends here as soon as the bytes do.
            body.header()?;
        }
        if !body.rest.is_empty() {
            return Err(RecordError::Length { stated, actual: stated - body.rest.len() });
        }
        Ok(Record { attributes, timestamp_delta, offset_delta, key, value, headers })
    }
}

fn bad_varint(rest: &[u8], longest: usize) -> RecordError {
    if rest.len() < longest && rest.iter().all(|b| b & 0x80 != 0) {
        RecordError::Truncated
    } else {
        RecordError::Malformed
    }
}
