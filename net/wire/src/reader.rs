//! Reads Kafka's primitives from one frame.
//!
//! Nothing is copied: strings, bytes and records are slices of the frame. Every length is compared with the bytes that
//! remain, and the memory that arrays take is counted against a budget, before anything is allocated.

use std::fmt;

/// Fixed part of the memory that the arrays of one message may take, in bytes.
pub const BUDGET_BASE: usize = 64 * 1024;
/// Bytes of array elements allowed for each byte of the frame. The densest honest message (short topic names in an old
/// version) needs about 20.
pub const BUDGET_PER_BYTE: usize = 32;
/// The arrays of one message never take more than this, however long the frame.
pub const BUDGET_MAX: usize = 256 * 1024 * 1024;
/// Kafka's longest string, in bytes.
pub const STRING_LEN_MAX: usize = 32_767;

/// What is wrong with the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Malformed {
    /// A value or a length reaches past the end of the frame (or of its tagged field).
    Truncated,
    /// A length below -1.
    NegativeLength,
    /// Null where this version has no null.
    UnexpectedNull,
    /// A nullable struct starts with a byte that is neither -1 nor 1.
    NullMarker,
    /// A variable-length integer of more than 32 bits.
    Varint,
    /// A string that is not UTF-8.
    NotUtf8,
    /// A string of more than 32767 bytes. Kafka keeps strings to that even where the length has room for more.
    StringTooLong,
    /// The arrays would take more memory than the frame's size justifies.
    OverBudget,
    /// The arrays have more elements than whoever reads is ready to answer.
    TooMany,
    /// Bytes are left after the message, or inside a tagged field.
    TrailingBytes,
    /// The codec does not know this version of the message.
    UnsupportedVersion,
    /// The codec does not know this API key.
    UnknownApi,
}

/// Why a frame could not be read, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeError {
    /// What is wrong.
    pub reason: Malformed,
    /// The innermost field that was being read; empty outside any field.
    pub field: &'static str,
    /// The position in the frame, in bytes, at which reading stopped.
    pub at: usize,
}

impl DecodeError {
    /// Names the field, unless a field further in has been named already.
    #[must_use]
    pub fn in_field(self, field: &'static str) -> Self {
        if self.field.is_empty() { Self { field, ..self } } else { self }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.reason {
            Malformed::Truncated => "reaches past the end of the frame",
            Malformed::NegativeLength => "has a negative length",
            Malformed::UnexpectedNull => "is null in a version without null",
            Malformed::NullMarker => "has an unknown null marker",
            Malformed::Varint => "has a variable-length integer of more than 32 bits",
            Malformed::NotUtf8 => "is not UTF-8",
            Malformed::StringTooLong => "is a string of more than 32767 bytes",
            Malformed::OverBudget => "has more elements than a frame of this size may have",
            Malformed::TooMany => "has more elements than are answered",
            Malformed::TrailingBytes => "is followed by bytes that belong to nothing",
            Malformed::UnsupportedVersion => "has a version that is not implemented",
            Malformed::UnknownApi => "has an API key that is not implemented",
        };
        let field = if self.field.is_empty() { "message" } else { self.field };
        write!(f, "{field} {what} (byte {})", self.at)
    }
}

impl std::error::Error for DecodeError {}

/// A cursor over one frame.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    frame: &'a [u8],
    at: usize,
    end: usize,
    budget: usize,
    elements: usize,
}

impl<'a> Reader<'a> {
    /// Starts at the first byte of `frame`, with the default budget for arrays.
    #[must_use]
    pub fn new(frame: &'a [u8]) -> Self {
        let budget = frame.len().saturating_mul(BUDGET_PER_BYTE).saturating_add(BUDGET_BASE);
        Self::with_budget(frame, budget.min(BUDGET_MAX))
    }

    /// Starts at the first byte of `frame`; its arrays may take `budget` bytes of memory in all.
    #[must_use]
    pub fn with_budget(frame: &'a [u8], budget: usize) -> Self {
        Self { frame, at: 0, end: frame.len(), budget, elements: usize::MAX }
    }

    /// The arrays that are read from here on may have so many elements in all. An answer takes many times the memory of what it
    /// answers, which no budget for reading knows.
    pub fn limit_elements(&mut self, elements: usize) {
        self.elements = elements;
    }

    /// The position in the frame, in bytes.
    #[must_use]
    pub fn position(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.end - self.at
    }

    /// The bytes not yet read; they stay unread.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.frame.get(self.at..self.end).unwrap_or_default()
    }

    /// An error at this position.
    #[must_use]
    pub fn error(&self, reason: Malformed) -> DecodeError {
        DecodeError { reason, field: "", at: self.at }
    }

    /// The next `len` bytes.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when fewer remain.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let taken = self.rest().get(..len).ok_or_else(|| self.error(Malformed::Truncated))?;
        self.at += len;
        Ok(taken)
    }

    /// The next `N` bytes by value.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when fewer remain.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let taken = *self.rest().first_chunk().ok_or_else(|| self.error(Malformed::Truncated))?;
        self.at += N;
        Ok(taken)
    }

    /// A signed byte.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn i8(&mut self) -> Result<i8, DecodeError> {
        self.array().map(i8::from_be_bytes)
    }

    /// A big-endian 16-bit number.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn i16(&mut self) -> Result<i16, DecodeError> {
        self.array().map(i16::from_be_bytes)
    }

    /// A big-endian 32-bit number.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        self.array().map(i32::from_be_bytes)
    }

    /// A big-endian 64-bit number.
    ///
    /// # Errors
    /// [`Malformed::Truncated`].
    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        self.array().map(i64::from_be_bytes)
    }

    /// An unsigned variable-length integer: 7 bits a byte, low bits first (KIP-482).
    ///
    /// # Errors
    /// [`Malformed::Truncated`], or [`Malformed::Varint`] past 32 bits.
    pub fn unsigned_varint(&mut self) -> Result<u32, DecodeError> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error(Malformed::Varint))
    }

    /// The length of a string: compact, or 16 bits. `None` is null.
    ///
    /// # Errors
    /// [`Malformed::NegativeLength`] and those of the number itself.
    pub fn string_len(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible { self.compact_len() } else { self.i16().and_then(|n| self.len(n.into())) }
    }

    /// The length of bytes or of an array: compact, or 32 bits. `None` is null.
    ///
    /// # Errors
    /// [`Malformed::NegativeLength`] and those of the number itself.
    pub fn long_len(&mut self, flexible: bool) -> Result<Option<usize>, DecodeError> {
        if flexible { self.compact_len() } else { self.i32().and_then(|n| self.len(n)) }
    }

    fn len(&self, n: i32) -> Result<Option<usize>, DecodeError> {
        match usize::try_from(n) {
            Ok(n) => Ok(Some(n)),
            Err(_) if n == -1 => Ok(None),
            Err(_) => Err(self.error(Malformed::NegativeLength)),
        }
    }

    fn compact_len(&mut self) -> Result<Option<usize>, DecodeError> {
        Ok(self.unsigned_varint()?.checked_sub(1).map(|n| n as usize))
    }

    /// A string, or null.
    ///
    /// # Errors
    /// [`Malformed::NotUtf8`], [`Malformed::StringTooLong`], [`Malformed::Truncated`], and those of [`Reader::string_len`].
    pub fn nullable_str(&mut self, flexible: bool) -> Result<Option<&'a str>, DecodeError> {
        let Some(len) = self.string_len(flexible)? else { return Ok(None) };
        if len > STRING_LEN_MAX {
            return Err(self.error(Malformed::StringTooLong));
        }
        let bytes = self.take(len)?;
        std::str::from_utf8(bytes).map(Some).map_err(|_| self.error(Malformed::NotUtf8))
    }

    /// Bytes, or null.
    ///
    /// # Errors
    /// [`Malformed::Truncated`], and those of [`Reader::long_len`].
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<&'a [u8]>, DecodeError> {
        let Some(len) = self.long_len(flexible)? else { return Ok(None) };
        self.take(len).map(Some)
    }

    /// Room for `count` elements that take at least `min_len` bytes each on the wire.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when so many cannot follow, [`Malformed::TooMany`] when they are more than
    /// [`Reader::limit_elements`] allows, [`Malformed::OverBudget`] when they would take too much memory.
    pub fn room_for<T>(&mut self, count: usize, min_len: usize) -> Result<Vec<T>, DecodeError> {
        // An element of no bytes at all does not exist in Kafka's schemas; one byte keeps the count bounded even so.
        if count > self.remaining() / min_len.max(1) {
            return Err(self.error(Malformed::Truncated));
        }
        self.elements =
            self.elements.checked_sub(count).ok_or_else(|| self.error(Malformed::TooMany))?;
        let memory = count.saturating_mul(size_of::<T>());
        self.budget =
            self.budget.checked_sub(memory).ok_or_else(|| self.error(Malformed::OverBudget))?;
        Ok(Vec::with_capacity(count))
    }

    /// Enters a tagged field: reads its size and narrows the reader to it. Returns what [`Reader::leave_tag`] needs.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] when the field reaches past the end, and those of its size.
    pub fn enter_tag(&mut self) -> Result<usize, DecodeError> {
        let len = self.unsigned_varint()? as usize;
        if len > self.remaining() {
            return Err(self.error(Malformed::Truncated));
        }
        let outer = self.end;
        self.end = self.at + len;
        Ok(outer)
    }

    /// Leaves a tagged field. An unknown one is skipped, a known one must have been read to its end.
    ///
    /// # Errors
    /// [`Malformed::TrailingBytes`].
    pub fn leave_tag(&mut self, outer: usize, known: bool) -> Result<(), DecodeError> {
        if known && self.at != self.end {
            return Err(self.error(Malformed::TrailingBytes));
        }
        self.at = self.end;
        self.end = outer;
        Ok(())
    }

    /// Skips a whole section of tagged fields.
    ///
    /// # Errors
    /// [`Malformed::Truncated`] and those of the numbers in it.
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        for _ in 0..self.unsigned_varint()? {
            self.unsigned_varint()?;
            let outer = self.enter_tag()?;
            self.leave_tag(outer, false)?;
        }
        Ok(())
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`Malformed::TrailingBytes`].
    pub fn finish(&self) -> Result<(), DecodeError> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.error(Malformed::TrailingBytes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_ends_at_32_bits() {
        assert_eq!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x0f]).unsigned_varint(), Ok(u32::MAX));
        let long = Reader::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).unsigned_varint().unwrap_err();
        assert_eq!(long.reason, Malformed::Varint);
        let cut = Reader::new(&[0xff, 0xff]).unsigned_varint().unwrap_err();
        assert_eq!(cut.reason, Malformed::Truncated);
    }

    #[test]
    fn a_compact_string_is_no_longer_than_a_plain_one() {
        let mut frame = vec![0x81, 0x80, 0x02];
        frame.extend([b'x'; 32_768]);
        let long = Reader::new(&frame).nullable_str(true).unwrap_err();
        assert_eq!(long.reason, Malformed::StringTooLong);
        frame[0] = 0x80;
        let fits = Reader::new(&frame).nullable_str(true).unwrap();
        assert_eq!(fits.map(str::len), Some(STRING_LEN_MAX));
    }

    #[test]
    fn room_is_refused_before_it_is_allocated() {
        let frame = [0; 100];
        let mut r = Reader::new(&frame);
        assert_eq!(r.room_for::<u64>(26, 4).unwrap_err().reason, Malformed::Truncated);
        assert!(r.room_for::<u64>(25, 4).is_ok());
        let mut tight = Reader::with_budget(&frame, 199);
        assert_eq!(tight.room_for::<u64>(25, 4).unwrap_err().reason, Malformed::OverBudget);
    }

    #[test]
    fn all_arrays_together_have_no_more_elements_than_they_may() {
        let frame = [0; 100];
        let mut r = Reader::new(&frame);
        r.limit_elements(25);
        assert!(r.room_for::<u64>(10, 4).is_ok());
        assert_eq!(r.room_for::<u8>(16, 1).unwrap_err().reason, Malformed::TooMany);
        assert!(r.room_for::<u8>(15, 1).is_ok());
        assert_eq!(r.room_for::<u8>(1, 1).unwrap_err().reason, Malformed::TooMany);
    }

    #[test]
    fn an_unknown_tag_is_skipped_and_a_known_one_must_end() {
        let frame = [2, 9, 3, 1, 2, 3, 7, 0, 42];
        let mut r = Reader::new(&frame);
        r.skip_tags().unwrap();
        assert_eq!(r.i8(), Ok(42));
        let mut r = Reader::new(&[1, 0, 2, 1, 2]);
        r.unsigned_varint().unwrap();
        r.unsigned_varint().unwrap();
        let outer = r.enter_tag().unwrap();
        r.i8().unwrap();
        assert_eq!(r.leave_tag(outer, true).unwrap_err().reason, Malformed::TrailingBytes);
    }
}
