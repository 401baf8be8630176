//! What a Truncate record carries: what is left of the segment that was cut, and of the producers that wrote above.
//!
//! The record's header says where the log ends now. Everything else follows from the state before it.

use log::{Cursor, EntryError, Producers, Segment};

const VERSION: u8 = 1;
const COMPACTED: u8 = 1;

/// The segment that holds the new end of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// As far as it counts from now on, without its index.
    pub segment: Segment,
    /// How many entries of its index name batches that are left.
    pub index_entries: u32,
}

/// The payload of a Truncate record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    /// `None` if the log ends now where a segment does, or has none any more.
    pub cut: Option<Cut>,
    /// The producers that wrote at or above the new end, as they were there, and those whose transaction ended above it. Who is
    /// not listed and wrote above is forgotten; all others are as they were.
    pub producers: Producers,
}

impl Truncated {
    /// The payload's bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.cut.is_some())];
        if let Some(cut) = &self.cut {
            out.push(if cut.segment.compacted { COMPACTED } else { 0 });
            out.extend_from_slice(&cut.index_entries.to_le_bytes());
            cut.segment.encode(&mut out);
        }
        self.producers.encode(&mut out);
        out
    }

    /// Reads what [`Truncated::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`EntryError`] if the bytes are none.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let mut c = Cursor::new(bytes);
        match c.u8()? {
            VERSION => {}
            other => return Err(EntryError::Version(other)),
        }
        let cut = match c.u8()? {
            0 => None,
            1 => {
                let compacted = c.u8()? & COMPACTED != 0;
                let index_entries = c.u32()?;
                let segment = Segment { compacted, ..Segment::decode(&mut c)? };
                Some(Cut { segment, index_entries })
            }
            _ => return Err(EntryError::Invalid("a segment is cut or it is not")),
        };
        let producers = Producers::decode(&mut c)?;
        if !c.rest().is_empty() {
            return Err(EntryError::Invalid("bytes follow the producers"));
        }
        Ok(Self { cut, producers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{Offset, ProducerEpoch, ProducerId, Timestamp};
    use log::{BatchMeta, SegmentName};

    fn truncated() -> Truncated {
        let name = SegmentName { base: Offset(40), creation: 6 };
        let mut segment = Segment::new(name, Timestamp(9));
        segment.len = 700;
        segment.end = Offset(44);
        segment.compacted = true;
        let mut producers = Producers::default();
        let batch = BatchMeta {
            len: 100,
            offsets: 2,
            max_timestamp: Timestamp(5),
            producer_id: ProducerId(3),
            producer_epoch: ProducerEpoch(1),
            base_sequence: 4,
            transactional: false,
            control: false,
        };
        producers.note(&batch, Offset(42), Timestamp(8));
        Truncated { cut: Some(Cut { segment, index_entries: 77 }), producers }
    }

    #[test]
    fn it_reads_back_and_every_shorter_one_is_an_error() {
        let all = truncated();
        let bytes = all.to_bytes();
        assert_eq!(Truncated::parse(&bytes), Ok(all));
        for n in 0..bytes.len() {
            assert!(Truncated::parse(&bytes[..n]).is_err(), "cut at {n}");
        }
        let none = Truncated::default();
        assert_eq!(Truncated::parse(&none.to_bytes()), Ok(none));
    }

    #[test]
    fn damaged_bytes_are_an_error_or_another_truncation_never_a_panic() {
        let bytes = truncated().to_bytes();
        for at in 0..bytes.len() {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut b = bytes.clone();
                b[at] = byte;
                let _ = Truncated::parse(&b);
            }
        }
    }
}
