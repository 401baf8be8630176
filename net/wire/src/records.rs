//! The records field of Produce and Fetch: bytes that this crate never looks into and never copies on the way out.

use crate::field::{Field, Form};
use crate::reader::{DecodeError, Reader};
use crate::schema::Shape;
use crate::writer::{EncodeError, Writer};
use std::ops::Range;

/// Record batches as they travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Records<'a> {
    /// No records: null on the wire.
    #[default]
    Null,
    /// The bytes themselves. A decoded message holds a slice of its frame; see [`Records::range_in`].
    Slice(&'a [u8]),
    /// Bytes that the sender holds elsewhere, for example in pinned buffers. The encoder writes their length and leaves
    /// a gap, which comes back as [`Piece::Records`](crate::Piece::Records) with the same two numbers.
    Elsewhere {
        /// The sender's own number for these bytes.
        index: usize,
        /// How many bytes they are.
        len: usize,
    },
}

impl<'a> Records<'a> {
    /// How many bytes of records there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Slice(bytes) => bytes.len(),
            Self::Elsewhere { len, .. } => *len,
        }
    }

    /// Whether there is not a single byte of records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, where they are here.
    #[must_use]
    pub fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Slice(bytes) => Some(bytes),
            Self::Null | Self::Elsewhere { .. } => None,
        }
    }

    /// Where the bytes lie in `frame`, the slice that was decoded, so that who keeps the frame alive can keep a range
    /// instead of a borrow. `None` when they do not lie in it.
    #[must_use]
    pub fn range_in(&self, frame: &[u8]) -> Option<Range<usize>> {
        let bytes = self.bytes()?;
        let start = bytes.as_ptr().addr().checked_sub(frame.as_ptr().addr())?;
        let end = start.checked_add(bytes.len())?;
        (end <= frame.len()).then_some(start..end)
    }
}

impl<'a> Field<'a> for Records<'a> {
    const SHAPE: Shape = Shape::Records;

    fn read(r: &mut Reader<'a>, form: Form) -> Result<Self, DecodeError> {
        Ok(r.nullable_bytes(form.flexible)?.map_or(Self::Null, Self::Slice))
    }

    fn write(&self, w: &mut Writer, form: Form) -> Result<(), EncodeError> {
        match *self {
            Self::Null => w.long_len(None, form.flexible),
            Self::Slice(bytes) => w.nullable_bytes(Some(bytes), form.flexible),
            Self::Elsewhere { index, len } => {
                w.long_len(Some(len), form.flexible)?;
                w.gap(index, len);
                Ok(())
            }
        }
    }

    fn min_len(form: Form) -> usize {
        if form.flexible { 1 } else { 4 }
    }

    fn initial() -> Self {
        Self::Null
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_knows_its_place_in_the_frame() {
        let frame = [0u8; 64];
        assert_eq!(Records::Slice(&frame[10..20]).range_in(&frame), Some(10..20));
        assert_eq!(Records::Slice(&frame[64..]).range_in(&frame), Some(64..64));
        assert_eq!(Records::Slice(&frame[10..20]).range_in(&frame[..16]), None);
        assert_eq!(Records::Slice(&frame[..4]).range_in(&frame[8..]), None);
        assert_eq!(Records::Null.range_in(&frame), None);
    }
}
