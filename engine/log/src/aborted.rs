//! Which transactions were aborted (KIP-98): what a reader of committed data needs to leave their records out.
//!
//! A segment knows those whose abort marker it holds, in the order of the markers. The oldest of them are in the file of its
//! transaction index, of which memory only knows how many and how far; the newest are in memory, and in the manifest.

use ids::{Offset, ProducerId};

/// One aborted transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTxn {
    /// Whose it was.
    pub producer_id: ProducerId,
    /// The offset of its first record.
    pub first: Offset,
    /// The offset of its abort marker.
    pub last: Offset,
    /// The last stable offset once it had ended: below it no other transaction was open. Who looks for what overlaps with
    /// offsets below this one need not look behind this entry.
    pub last_stable: Offset,
}

impl AbortedTxn {
    /// Bytes of the form that [`AbortedTxn::to_bytes`] writes.
    pub const LEN: usize = 32;

    /// CRC-32C of what follows, marker relative to the `base` offset of its segment, producer, first offset, last stable
    /// offset; little-endian.
    #[must_use]
    pub fn to_bytes(&self, base: Offset) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        let relative = u32::try_from(self.last - base).unwrap_or(u32::MAX);
        out[4..8].copy_from_slice(&relative.to_le_bytes());
        out[8..16].copy_from_slice(&self.producer_id.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.first.0.to_le_bytes());
        out[24..].copy_from_slice(&self.last_stable.0.to_le_bytes());
        let crc = crc32c::crc32c(&out[4..]);
        out[..4].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads what [`AbortedTxn::to_bytes`] wrote; `None` if these bytes are not what was written.
    #[must_use]
    pub fn from_bytes(b: &[u8; Self::LEN], base: Offset) -> Option<Self> {
        let u32_at = |at: usize| u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
        let i64_at = |at: usize| i64::from_le_bytes(b[at..at + 8].try_into().unwrap_or([0; 8]));
        let txn = Self {
            producer_id: ProducerId(i64_at(8)),
            first: Offset(i64_at(16)),
            last: Offset(base.0.saturating_add(i64::from(u32_at(4)))),
            last_stable: Offset(i64_at(24)),
        };
        (crc32c::crc32c(&b[4..]) == u32_at(0) && txn.is_possible()).then_some(txn)
    }

    pub(crate) fn is_possible(&self) -> bool {
        let behind = self.last.0.saturating_add(1);
        self.first.0 >= 0 && self.first <= self.last && self.last_stable.0 <= behind
    }
}

/// The aborted transactions whose markers one segment holds. Most segments hold none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aborted {
    /// `None` for [`Parts::default`].
    parts: Option<Box<Parts>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    in_file: u32,
    file_last: Offset,
    tail: Vec<AbortedTxn>,
}

impl Aborted {
    fn of(parts: Parts) -> Self {
        let some = parts != Parts::default();
        Self { parts: some.then(|| Box::new(parts)) }
    }

    /// All of them in memory.
    #[must_use]
    pub fn in_memory(all: Vec<AbortedTxn>) -> Self {
        Self::of(Parts { in_file: 0, file_last: Offset::ZERO, tail: all })
    }

    pub(crate) fn from_parts(
        in_file: u32,
        file_last: Offset,
        tail: Vec<AbortedTxn>,
    ) -> Option<Self> {
        let rises = tail.windows(2).all(|w| w[0].last < w[1].last);
        let behind = in_file == 0 || tail.first().is_none_or(|t| t.last > file_last);
        let possible = tail.iter().all(AbortedTxn::is_possible);
        (rises && behind && possible).then(|| Self::of(Parts { in_file, file_last, tail }))
    }

    pub(crate) fn push(&mut self, txn: AbortedTxn) {
        self.parts.get_or_insert_default().tail.push(txn);
    }

    /// How many entries the file has. They come before those in memory.
    #[must_use]
    pub fn in_file(&self) -> u32 {
        self.parts.as_ref().map_or(0, |p| p.in_file)
    }

    /// Of those in the file only the ones count whose marker is not above this offset.
    #[must_use]
    pub fn file_last(&self) -> Offset {
        self.parts.as_ref().map_or(Offset::ZERO, |p| p.file_last)
    }

    /// Those in memory, in the order of their markers.
    #[must_use]
    pub fn tail(&self) -> &[AbortedTxn] {
        self.parts.as_ref().map_or(&[], |p| p.tail.as_slice())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.in_file() as usize + self.tail().len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first `n` of all are in the file now; memory gives them up. Fewer if there are not so many.
    pub fn moved_to_file(&mut self, n: u32) {
        let Some(p) = &mut self.parts else { return };
        let moved = (n.saturating_sub(p.in_file) as usize).min(p.tail.len());
        if let Some(last) = moved.checked_sub(1).and_then(|i| p.tail.get(i)) {
            p.file_last = last.last;
            p.tail.drain(..moved);
            p.in_file += u32::try_from(moved).unwrap_or(0);
        }
    }

    /// What is in the file has been found again in the log, and is in memory from now on.
    pub fn taken_from_file(&mut self, found: Vec<AbortedTxn>) {
        let mut all = found;
        all.extend_from_slice(self.tail());
        *self = Self::in_memory(all);
    }

    /// Forgets those whose marker lies at or above `end`. Those of them that are in the file stay there, above what counts.
    #[must_use]
    pub fn cut(&self, end: Offset) -> Self {
        let below = self.tail().partition_point(|t| t.last < end);
        Self::of(Parts {
            in_file: self.in_file(),
            file_last: self.file_last().min(Offset(end.0.saturating_sub(1))),
            tail: self.tail()[..below].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn txn(producer: i64, first: i64, last: i64) -> AbortedTxn {
        AbortedTxn {
            producer_id: ProducerId(producer),
            first: Offset(first),
            last: Offset(last),
            last_stable: Offset(last + 1),
        }
    }

    #[test]
    fn an_entry_survives_its_bytes_and_no_flipped_bit() {
        let base = Offset(1 << 40);
        let written = AbortedTxn { last_stable: Offset(7), ..txn(5, 3, (1 << 40) + 77) };
        let bytes = written.to_bytes(base);
        assert_eq!(AbortedTxn::from_bytes(&bytes, base), Some(written));
        for bit in 0..8 * AbortedTxn::LEN {
            let mut b = bytes;
            b[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(AbortedTxn::from_bytes(&b, base), None, "bit {bit}");
        }
        assert_eq!(AbortedTxn::from_bytes(&[0; 32], base), None, "zeros");
    }

    #[test]
    fn none_take_no_memory_and_are_equal_to_none() {
        assert_eq!(size_of::<Aborted>(), size_of::<usize>());
        let none = [
            Aborted::in_memory(Vec::with_capacity(4)),
            Aborted::from_parts(0, Offset::ZERO, Vec::new()).unwrap(),
            Aborted::in_memory(vec![txn(1, 3, 5)]).cut(Offset(5)),
        ];
        assert_eq!(none, [const { Aborted { parts: None } }; 3]);
    }

    #[test]
    fn what_goes_to_the_file_leaves_memory_and_comes_back_from_the_log() {
        let all: Vec<_> = (0..5).map(|i| txn(i, 10 * i, 10 * i + 5)).collect();
        let mut a = Aborted::in_memory(all.clone());
        a.moved_to_file(3);
        assert_eq!((a.in_file(), a.file_last(), a.tail()), (3, Offset(25), &all[3..]));
        a.moved_to_file(2);
        assert_eq!((a.in_file(), a.len()), (3, 5), "never fewer");
        a.moved_to_file(9);
        assert_eq!((a.in_file(), a.len()), (5, 5), "never more than there are");
        a.push(txn(9, 50, 60));
        a.taken_from_file(all.clone());
        assert_eq!((a.in_file(), a.len(), a.tail()[5]), (0, 6, txn(9, 50, 60)));
    }

    #[test]
    fn a_cut_takes_what_lies_above() {
        let all: Vec<_> = (0..5).map(|i| txn(i, 10 * i, 10 * i + 5)).collect();
        let mut a = Aborted::in_memory(all.clone());
        a.moved_to_file(3);
        let cut = a.cut(Offset(36));
        assert_eq!((cut.file_last(), cut.tail()), (Offset(25), &all[3..4]));
        let cut = a.cut(Offset(15));
        assert_eq!((cut.in_file(), cut.file_last(), cut.tail()), (3, Offset(14), &all[..0]));
    }
}
