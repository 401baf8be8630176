//! Batches without records, which compaction leaves where an offset or a sequence number would be lost.

use ids::Offset;
use record::{BatchHeader, HEADER_LEN};
use std::ops::Deref;

/// The offset behind `slices` if they are nothing but empty batches.
pub(super) fn only_empty(slices: &[impl Deref<Target = [u8]>]) -> Option<Offset> {
    let mut next = None;
    for slice in slices {
        let bytes: &[u8] = slice;
        // An empty batch is a header and nothing else: nearly every read is told apart by its length.
        if !bytes.len().is_multiple_of(HEADER_LEN) {
            return None;
        }
        for header in bytes.chunks_exact(HEADER_LEN) {
            let header = BatchHeader::read(header)?;
            if header.count != 0 || header.batch_bytes() != Some(HEADER_LEN) {
                return None;
            }
            next = Some(header.next_offset());
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::Timestamp;
    use record::{BatchBuilder, BatchView};

    fn batch(base: i64, value_len: usize) -> Vec<u8> {
        let mut b = BatchBuilder::new();
        b.push(Timestamp(1), Some(b"k"), Some(&vec![0; value_len]), &[]);
        let mut bytes = b.build().unwrap();
        bytes[..8].copy_from_slice(&base.to_be_bytes());
        bytes
    }

    /// As compaction writes one.
    fn empty(base: i64) -> Vec<u8> {
        let full = batch(base, 1);
        let mut header = *BatchView::first(&full).unwrap().header();
        header.count = 0;
        header.length = i32::try_from(HEADER_LEN).unwrap() - 12;
        header.to_bytes().to_vec()
    }

    #[test]
    fn only_empty_batches_are_told_from_all_else() {
        assert_eq!(only_empty(&[] as &[Vec<u8>]), None);
        assert_eq!(only_empty(&[empty(7)]), Some(Offset(8)));
        assert_eq!(only_empty(&[[empty(7), empty(9)].concat(), empty(20)]), Some(Offset(21)));
        assert_eq!(only_empty(&[[empty(7), batch(8, 10)].concat()]), None);
        // As long as two headers, but a batch with a record.
        let n = (1..200).find(|n| batch(0, *n).len() == 2 * HEADER_LEN).unwrap();
        assert_eq!(only_empty(&[batch(0, n)]), None);
    }
}
