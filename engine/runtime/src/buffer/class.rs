//! The sizes in which blocks come: four to a doubling, so that at most a fifth of a block is wasted and blocks find a next use.

use super::ALIGN;

/// How many sizes there are.
pub(super) const CLASSES: usize = 40;

/// The largest size; larger blocks are made to measure and never kept.
const MAX: usize = 8 << 20;

/// One of the sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    /// Pages are counted in steps of `1 << shift`.
    shift: u32,
    /// How many such steps.
    steps: usize,
}

impl Class {
    /// The smallest size that holds `bytes`.
    pub(super) fn of(bytes: usize) -> Option<Self> {
        if bytes > MAX {
            return None;
        }
        let last = bytes.max(1).div_ceil(ALIGN) - 1;
        let shift = (usize::BITS - last.leading_zeros()).saturating_sub(3);
        Some(Self { shift, steps: (last >> shift) + 1 })
    }

    pub(super) fn bytes(self) -> usize {
        (self.steps << self.shift) * ALIGN
    }

    /// Below [`CLASSES`].
    pub(super) fn index(self) -> usize {
        // The first eight sizes are one page apart; afterwards each shift has its upper four steps.
        self.steps - 1 + 4 * self.shift as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_has_its_class_which_wastes_at_most_a_fifth() {
        let mut before = None;
        for pages in 1..=MAX / ALIGN {
            let class = Class::of(pages * ALIGN).expect("within the sizes");
            let bytes = class.bytes();
            assert!(bytes >= pages * ALIGN && (bytes - pages * ALIGN) * 5 < bytes.max(5));
            assert_eq!(Class::of(bytes), Some(class), "a size is of its own class");
            let index = class.index();
            assert!(before.is_none_or(|b| index == b || index == b + 1), "no index is left out");
            before = Some(index);
        }
        assert_eq!(before, Some(CLASSES - 1));
        assert_eq!(Class::of(0).map(Class::bytes), Some(ALIGN));
        assert_eq!(Class::of(MAX + 1), None);
        for exact in [4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20] {
            assert_eq!(Class::of(exact).map(Class::bytes), Some(exact));
        }
    }
}
