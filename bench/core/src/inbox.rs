//! Bytes received and not yet used, and the frames among them.

use crate::request::Refused;
use std::ops::Range;
use wire::frame::{self, Frame};

/// The largest frame that is taken, without its length.
pub const FRAME_MAX: usize = 2 << 20;

/// Room that a receive gets at least.
const RECEIVE_BYTES: usize = 64 << 10;

/// One connection's receive buffer.
#[derive(Debug, Default)]
pub struct Inbox {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes that the frame which has begun needs in all.
    need: usize,
}

impl Inbox {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Where the next bytes go: room for the rest of the frame that has begun, and for [`RECEIVE_BYTES`] at least.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let have = self.end - self.start;
        let want = self.need.saturating_sub(have).max(RECEIVE_BYTES);
        if self.bytes.len() - self.end < want {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, have);
            if self.bytes.len() < have + want {
                self.bytes.resize(have + want, 0);
            }
        }
        &mut self.bytes[self.end..]
    }

    /// Counts `n` received bytes.
    pub fn received(&mut self, n: usize) {
        assert!(n <= self.bytes.len() - self.end, "more was received than there was room");
        self.end += n;
    }

    /// Takes bytes that were received elsewhere.
    pub fn append(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let spare = self.spare_mut();
            let n = spare.len().min(bytes.len());
            spare[..n].copy_from_slice(&bytes[..n]);
            self.received(n);
            bytes = &bytes[n..];
        }
    }

    /// Whether no byte waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The next whole frame, if there is one: [`Inbox::contents`] gives its bytes.
    ///
    /// # Errors
    /// A length that no frame has.
    pub fn next_frame(&mut self) -> Result<Option<Range<usize>>, Refused> {
        let found = frame::scan(&self.bytes[self.start..self.end], FRAME_MAX);
        match found.map_err(Refused::Frame)? {
            Frame::Partial { need } => {
                self.need = need;
                Ok(None)
            }
            Frame::Whole { contents } => {
                let range = self.start + contents.start..self.start + contents.end;
                self.start = range.end;
                self.need = 0;
                Ok(Some(range))
            }
        }
    }

    /// The frame that has begun and is not whole: how many bytes it needs in all, and those that are there. Known after
    /// [`Inbox::next_frame`] has found no other.
    #[must_use]
    pub fn begun(&self) -> Option<(usize, &[u8])> {
        let there = &self.bytes[self.start..self.end];
        (self.need > there.len()).then_some((self.need, there))
    }

    /// Forgets the bytes that wait: they have gone on in another way.
    pub fn clear(&mut self) {
        (self.start, self.end, self.need) = (0, 0, 0);
    }

    /// The bytes of a frame, valid until the next receive.
    #[must_use]
    pub fn contents(&self, frame: Range<usize>) -> &[u8] {
        &self.bytes[frame]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_however_the_bytes_come() {
        let mut stream = Vec::new();
        for n in [0usize, 1, 5, 200_000, 3] {
            stream.extend(u32::try_from(n).unwrap().to_be_bytes());
            stream.extend((0..n).map(|i| (i % 251) as u8));
        }
        for step in [1, 7, 4096, stream.len()] {
            let (mut inbox, mut sizes) = (Inbox::new(), Vec::new());
            for bytes in stream.chunks(step) {
                inbox.append(bytes);
                while let Some(frame) = inbox.next_frame().unwrap() {
                    let contents = inbox.contents(frame);
                    assert!(contents.iter().enumerate().all(|(i, b)| *b == (i % 251) as u8));
                    sizes.push(contents.len());
                }
            }
            assert_eq!(sizes, [0, 1, 5, 200_000, 3], "in steps of {step}");
            assert!(inbox.is_empty());
            // The buffer grew with the largest frame, not with the stream.
            assert!(inbox.bytes.len() <= 200_004 + RECEIVE_BYTES + step);
        }
    }

    #[test]
    fn a_frame_that_has_begun_can_be_taken_elsewhere() {
        let mut inbox = Inbox::new();
        inbox.append(&[0, 0, 0, 1, 9, 0, 1, 0, 0, 7, 7]);
        assert!(inbox.next_frame().unwrap().is_some());
        assert_eq!(inbox.next_frame().unwrap(), None);
        assert_eq!(inbox.begun(), Some((65_540, &[0, 1, 0, 0, 7, 7][..])));
        inbox.clear();
        assert!(inbox.is_empty() && inbox.begun().is_none());
        inbox.append(&[0, 0, 0, 0]);
        assert!(inbox.next_frame().unwrap().is_some());
        assert_eq!(inbox.next_frame().unwrap(), None);
    }

    #[test]
    fn a_frame_that_is_too_large_costs_nothing() {
        let mut inbox = Inbox::new();
        inbox.append(&u32::try_from(FRAME_MAX + 1).unwrap().to_be_bytes());
        assert!(matches!(inbox.next_frame(), Err(Refused::Frame(_))));
        assert!(inbox.bytes.len() <= RECEIVE_BYTES);
    }
}
