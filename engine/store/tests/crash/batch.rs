//! Record batches as a producer would send them. No two have the same bytes.

use ids::{ProducerEpoch, ProducerId, Timestamp};
use log::BatchMeta;
use record::EndTxn;

/// Bytes of a batch header.
pub(crate) const HEADER: usize = 61;

/// Who sent it, as an idempotent producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sequence {
    pub(crate) producer: i64,
    pub(crate) epoch: i16,
    pub(crate) first: i32,
}

/// One batch, base offset and leader epoch still zero.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) meta: BatchMeta,
    pub(crate) sequence: Option<Sequence>,
    /// Of a marker: whether it aborts.
    pub(crate) aborts: Option<bool>,
}

impl Batch {
    pub(crate) fn count(&self) -> i32 {
        self.meta.offsets
    }

    /// The marker that ends a transaction of `producer`.
    pub(crate) fn marker(number: u64, producer: i64, aborts: bool) -> Self {
        let end = if aborts { EndTxn::Abort } else { EndTxn::Commit };
        let (id, epoch, time) = (ProducerId(producer), ProducerEpoch(0), time(number));
        let bytes = record::end_txn_marker(id, epoch, end, 1, time).unwrap();
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).unwrap(),
            offsets: 1,
            max_timestamp: time,
            producer_id: id,
            producer_epoch: epoch,
            base_sequence: -1,
            transactional: true,
            control: true,
        };
        Self { bytes, meta, sequence: None, aborts: Some(aborts) }
    }

    /// The same as part of a transaction.
    pub(crate) fn in_transaction(mut self) -> Self {
        self.bytes[22] |= 0x10;
        let crc = crc32c::crc32c(&self.bytes[21..]);
        self.bytes[17..21].copy_from_slice(&crc.to_be_bytes());
        self.meta.transactional = true;
        self
    }

    /// Batch number `number` of `count` records; its body has `body` bytes.
    pub(crate) fn build(number: u64, count: i32, body: usize, sequence: Option<Sequence>) -> Self {
        let len = HEADER + body.max(8);
        let mut b = vec![0; len];
        b[8..12].copy_from_slice(&i32::try_from(len - 12).unwrap().to_be_bytes());
        b[16] = 2;
        b[23..27].copy_from_slice(&(count - 1).to_be_bytes());
        let time = time(number);
        b[35..43].copy_from_slice(&time.0.to_be_bytes());
        let s = sequence.unwrap_or(Sequence { producer: -1, epoch: -1, first: -1 });
        b[43..51].copy_from_slice(&s.producer.to_be_bytes());
        b[51..53].copy_from_slice(&s.epoch.to_be_bytes());
        b[53..57].copy_from_slice(&s.first.to_be_bytes());
        b[57..61].copy_from_slice(&count.to_be_bytes());
        b[61..69].copy_from_slice(&number.to_be_bytes());
        for (i, byte) in b[69..].iter_mut().enumerate() {
            *byte = (number.wrapping_mul(131).wrapping_add(i as u64 * 7) >> 3).to_le_bytes()[0];
        }
        let crc = crc32c::crc32c(&b[21..]);
        b[17..21].copy_from_slice(&crc.to_be_bytes());
        let meta = BatchMeta {
            len: u32::try_from(len).unwrap(),
            offsets: count,
            max_timestamp: time,
            producer_id: ProducerId(s.producer),
            producer_epoch: ProducerEpoch(s.epoch),
            base_sequence: s.first,
            transactional: false,
            control: false,
        };
        Self { bytes: b, meta, sequence, aborts: None }
    }

    /// Whether `stored` is this batch at `base` in `epoch`, byte for byte.
    pub(crate) fn is(&self, stored: &[u8], base: i64, epoch: i32) -> bool {
        stored.len() == self.bytes.len()
            && stored[..8] == base.to_be_bytes()
            && stored[8..12] == self.bytes[8..12]
            && stored[12..16] == epoch.to_be_bytes()
            && stored[16..] == self.bytes[16..]
    }
}

fn time(number: u64) -> Timestamp {
    Timestamp(1_700_000_000_000 + i64::try_from(number).unwrap())
}

/// Base offset, end offset, bytes.
pub(crate) type Piece<'a> = (i64, i64, &'a [u8]);

/// Cuts bytes into batches. `Err` where they are none.
pub(crate) fn cut(mut bytes: &[u8]) -> Result<Vec<Piece<'_>>, String> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let Some(head) = bytes.get(..HEADER) else { return Err("half a header".into()) };
        let base = i64::from_be_bytes(head[..8].try_into().unwrap());
        let len = i32::from_be_bytes(head[8..12].try_into().unwrap());
        let delta = i32::from_be_bytes(head[23..27].try_into().unwrap());
        let len = usize::try_from(len).unwrap_or(usize::MAX).saturating_add(12);
        let Some(batch) = bytes.get(..len) else { return Err(format!("half a batch at {base}")) };
        all.push((base, base + i64::from(delta) + 1, batch));
        bytes = &bytes[len..];
    }
    Ok(all)
}
