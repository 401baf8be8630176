//! Memory that a group is written from: aligned for direct I/O, filled from the front.

/// What direct I/O wants of address, position and length.
pub const BLOCK: usize = 4096;

/// An aligned buffer of one runtime.
pub trait Block {
    /// Bytes filled so far.
    fn len(&self) -> usize;

    /// Whether nothing has been filled.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes behind them.
    fn spare_mut(&mut self) -> &mut [u8];

    /// Counts `n` bytes of the spare part as filled.
    fn advance(&mut self, n: usize);

    /// Overwrites filled bytes.
    fn patch(&mut self, at: usize, bytes: &[u8]);

    /// The block emptied for its next use; `None` where the runtime keeps blocks for reuse by itself.
    fn again(self) -> Option<Self>
    where
        Self: Sized;
}

/// Aligned memory for runtimes that bring none: it may change threads.
#[derive(Debug)]
pub struct Aligned {
    bytes: Vec<u8>,
    /// Where the aligned part begins.
    start: usize,
    len: usize,
}

impl Aligned {
    /// Memory for `capacity` bytes.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let bytes = vec![0; capacity + BLOCK];
        let start = bytes.as_ptr().addr().next_multiple_of(BLOCK) - bytes.as_ptr().addr();
        Self { bytes, start, len: 0 }
    }

    /// The bytes filled so far; their address is a multiple of [`BLOCK`].
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl Block for Aligned {
    fn len(&self) -> usize {
        self.len
    }

    fn spare_mut(&mut self) -> &mut [u8] {
        let end = self.start + self.bytes.len() - BLOCK;
        &mut self.bytes[self.start + self.len..end]
    }

    fn advance(&mut self, n: usize) {
        assert!(n <= self.spare_mut().len(), "advance beyond the capacity");
        self.len += n;
    }

    fn patch(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.len, "a patch beyond the end");
        let from = self.start + at;
        self.bytes[from..from + bytes.len()].copy_from_slice(bytes);
    }

    fn again(mut self) -> Option<Self> {
        self.len = 0;
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_aligned_and_holds_what_it_says() {
        let mut block = Aligned::new(2 * BLOCK);
        assert_eq!(block.spare_mut().len(), 2 * BLOCK);
        block.spare_mut()[..3].copy_from_slice(b"abc");
        block.advance(3);
        block.patch(1, b"x");
        assert_eq!(block.filled(), b"axc");
        assert_eq!(block.filled().as_ptr().addr() % BLOCK, 0);
        block.advance(2 * BLOCK - 3);
        assert!(block.spare_mut().is_empty());
        assert_eq!(block.again().map(|b| b.len()), Some(0));
    }

    #[test]
    #[should_panic(expected = "advance beyond the capacity")]
    fn a_block_does_not_overflow() {
        Aligned::new(BLOCK).advance(BLOCK + 1);
    }
}
