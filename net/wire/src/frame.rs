//! Finds whole frames in a stream of bytes: a 32-bit length, then as many bytes.

use std::fmt;
use std::ops::Range;

/// Bytes of the length in front of every frame.
pub const PREFIX_LEN: usize = 4;
/// Kafka's default for `socket.request.max.bytes`.
pub const MAX_DEFAULT: usize = 100 * 1024 * 1024;

/// What the received bytes hold so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// A frame that is not all here: `need` bytes in all, its length included, make it whole (or make its length known).
    Partial {
        /// Bytes from the start of the stream's unread part.
        need: usize,
    },
    /// A frame: its contents are this range of the received bytes, and the next frame starts where the range ends.
    Whole {
        /// Header and body.
        contents: Range<usize>,
    },
}

/// A length that no frame has. The stream cannot be followed any further: close the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FrameError {
    /// A length below zero.
    Negative {
        /// The length read.
        len: i32,
    },
    /// A length above the limit.
    TooLarge {
        /// The length read.
        len: usize,
        /// The limit.
        max: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Negative { len } => write!(f, "frame length {len} is negative"),
            Self::TooLarge { len, max } => write!(f, "frame of {len} bytes, the limit is {max}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// Looks at the bytes received so far, which start with a frame, for a frame of at most `max` bytes (its length not
/// counted).
///
/// # Errors
/// A length that is negative or above `max`, as soon as the length is here.
pub fn scan(received: &[u8], max: usize) -> Result<Frame, FrameError> {
    let Some(prefix) = received.first_chunk::<PREFIX_LEN>() else {
        return Ok(Frame::Partial { need: PREFIX_LEN });
    };
    let len = i32::from_be_bytes(*prefix);
    let contents = usize::try_from(len).map_err(|_| FrameError::Negative { len })?;
    if contents > max {
        return Err(FrameError::TooLarge { len: contents, max });
    }
    let end = PREFIX_LEN + contents;
    if received.len() < end {
        return Ok(Frame::Partial { need: end });
    }
    Ok(Frame::Whole { contents: PREFIX_LEN..end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_found_when_its_last_byte_is_here() {
        let stream = [0, 0, 0, 3, 1, 2, 3, 0];
        assert_eq!(scan(&stream[..3], 10), Ok(Frame::Partial { need: 4 }));
        assert_eq!(scan(&stream[..4], 10), Ok(Frame::Partial { need: 7 }));
        assert_eq!(scan(&stream[..6], 10), Ok(Frame::Partial { need: 7 }));
        assert_eq!(scan(&stream, 10), Ok(Frame::Whole { contents: 4..7 }));
    }

    #[test]
    fn a_bad_length_is_refused_at_once() {
        assert_eq!(scan(&[0, 0, 0, 11], 10), Err(FrameError::TooLarge { len: 11, max: 10 }));
        assert_eq!(scan(&[0xff; 4], 10), Err(FrameError::Negative { len: -1 }));
    }
}
