//! The records of a batch, uncompressed, one after the other.

use crate::varint;
use std::fmt;

/// Why a records section is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordError {
    /// The bytes end inside a record, or a length does not fit.
    Truncated,
    /// Bytes are left behind the last record.
    TrailingBytes,
    /// A header without a key.
    NullHeaderKey,
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a record is cut short",
            Self::TrailingBytes => "bytes are left behind the last record",
            Self::NullHeaderKey => "a record header has no key",
        })
    }
}

impl std::error::Error for RecordError {}

/// One record, as it lies in its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Relative to the batch's base timestamp, milliseconds.
    pub timestamp_delta: i64,
    /// Relative to the batch's base offset.
    pub offset_delta: i32,
    /// The key, if there is one.
    pub key: Option<&'a [u8]>,
    /// The value; none is a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// How many headers, and their bytes.
    header_count: i32,
    headers: &'a [u8],
}

impl<'a> Record<'a> {
    /// The headers, in order; keys may repeat.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        Headers { left: self.header_count, rest: self.headers }
    }
}

/// One record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its key; UTF-8 by convention, not checked.
    pub key: &'a [u8],
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    left: i32,
    rest: &'a [u8],
}

impl<'a> Iterator for Headers<'a> {
    type Item = Result<Header<'a>, RecordError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.left <= 0 {
            return None;
        }
        self.left -= 1;
        let header = header(&mut self.rest);
        if header.is_err() {
            self.left = 0;
        }
        Some(header)
    }
}

fn header<'a>(b: &mut &'a [u8]) -> Result<Header<'a>, RecordError> {
    let key = bytes(b)?.ok_or(RecordError::NullHeaderKey)?;
    Ok(Header { key, value: bytes(b)? })
}

fn take<'a>(b: &mut &'a [u8], n: usize) -> Result<&'a [u8], RecordError> {
    let (head, rest) = b.split_at_checked(n).ok_or(RecordError::Truncated)?;
    *b = rest;
    Ok(head)
}

fn bytes<'a>(b: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    match varint::read(b).ok_or(RecordError::Truncated)? {
        -1 => Ok(None),
        n => take(b, usize::try_from(n).map_err(|_| RecordError::Truncated)?).map(Some),
    }
}

/// Walks a records section.
#[derive(Clone, Debug)]
pub struct RecordIter<'a> {
    left: i32,
    rest: &'a [u8],
}

impl<'a> RecordIter<'a> {
    /// `count` records in `section`, uncompressed.
    #[must_use]
    pub fn new(section: &'a [u8], count: i32) -> Self {
        Self { left: count, rest: section }
    }
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Result<Record<'a>, RecordError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.left < 0 {
            return None;
        }
        if self.left == 0 {
            self.left = -1;
            return (!self.rest.is_empty()).then_some(Err(RecordError::TrailingBytes));
        }
        self.left -= 1;
        let record = record(&mut self.rest);
        if record.is_err() {
            self.left = -1;
        }
        Some(record)
    }
}

fn record<'a>(b: &mut &'a [u8]) -> Result<Record<'a>, RecordError> {
    let len = varint::read(b).ok_or(RecordError::Truncated)?;
    let mut body = take(b, usize::try_from(len).map_err(|_| RecordError::Truncated)?)?;
    take(&mut body, 1)?;
    let timestamp_delta = varint::read_long(&mut body).ok_or(RecordError::Truncated)?;
    let offset_delta = varint::read(&mut body).ok_or(RecordError::Truncated)?;
    let key = bytes(&mut body)?;
    let value = bytes(&mut body)?;
    let header_count = varint::read(&mut body).ok_or(RecordError::Truncated)?;
    let headers = body;
    // Looked through once here, so that whoever holds a record has whole headers.
    for _ in 0..header_count {
        header(&mut body)?;
    }
    if header_count < 0 {
        return Err(RecordError::Truncated);
    }
    if !body.is_empty() {
        return Err(RecordError::TrailingBytes);
    }
    Ok(Record { timestamp_delta, offset_delta, key, value, header_count, headers })
}
