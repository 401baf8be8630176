//! Everything that a reader may do with bytes that it has not made: never a panic, never an unbounded loop or allocation. The
//! fuzz target does this with each input, and the tests with theirs.

use ids::{Offset, Timestamp};
use ringwood_record::{
    Batches, Decompressor, Depth, Limits, first_at_or_after, of_max_timestamp, validate,
};

pub(crate) const OUT_MAX: usize = 1 << 20;

pub(crate) fn limits() -> Limits {
    Limits { batch_bytes_max: 1 << 20, decompressed_bytes_max: OUT_MAX, ..Limits::default() }
}

/// How many whole batches there were at the front, and of how many all records could be read.
pub(crate) fn exercise(bytes: &[u8], d: &mut Decompressor) -> (usize, usize) {
    for depth in [Depth::Header, Depth::Records] {
        let _ = validate(bytes, &Limits { depth, ..limits() }, d);
    }
    let (mut covered, mut whole, mut readable) = (0, 0, 0);
    let mut batches = Batches::new(bytes);
    while let Some(batch) = batches.next() {
        let Ok(batch) = batch else { break };
        covered += batch.bytes().len();
        whole += 1;
        assert_eq!(batches.position(), covered);
        let _ = batch.check_crc();
        if let Ok(records) = batch.records_with(d, OUT_MAX) {
            let mut good = true;
            for record in records {
                let Ok(record) = record else {
                    good = false;
                    break;
                };
                assert_eq!(record.headers.len(), record.headers.clone().count());
            }
            readable += usize::from(good);
        }
        let _ = first_at_or_after(&batch, Timestamp(5), Offset(0), d, OUT_MAX);
        let _ = of_max_timestamp(&batch, d, OUT_MAX);
    }
    assert!(covered <= bytes.len());
    (whole, readable)
}
