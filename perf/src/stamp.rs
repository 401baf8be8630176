//! What a record's value says about itself.
//!
//! Every value that has room begins with a stamp. The short one carries the intended time, so that a consumer knows the latency
//! from end to end; the full one (`--verify`) also says which run, producer and partition wrote it and as which number, and holds
//! a CRC-32C over the whole value. Integers are big-endian.
//!
//! ```text
//! short  0 "RWt1"   4 run (4)   8 intended time (8)                                                        16 bytes
//! full   0 "RWv1"   4 run (4)   8 intended time (8)   16 producer (4)   20 partition (4)   24 sequence (8)
//!        32 crc of every other byte of the value (4)                                                        36 bytes
//! ```
//! Times are nanoseconds since 1970; the sequence counts within (producer, partition), from 0.

/// Bytes of the short stamp.
pub const SHORT_BYTES: usize = 16;

/// Bytes of the full stamp.
pub const FULL_BYTES: usize = 36;

const SHORT_MAGIC: &[u8; 4] = b"RWt1";
const FULL_MAGIC: &[u8; 4] = b"RWv1";

/// Who wrote a record, and as which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// Number of the producer within the run.
    pub producer: u32,
    /// Number of the partition within the run: over all of its topics.
    pub partition: u32,
    /// Counts the producer's records in this partition.
    pub sequence: u64,
}

/// What a value turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A value of this run with a short stamp.
    Timed {
        /// The intended time.
        intended: u64,
    },
    /// A value of this run with a full stamp whose CRC is right.
    Verified {
        /// The intended time.
        intended: u64,
        /// Who wrote it.
        origin: Origin,
    },
    /// It claims to be fully stamped and its CRC is wrong.
    Corrupt,
    /// A value of another run with a full stamp whose CRC is right.
    Another {
        /// The number of that run.
        run: u32,
        /// Who wrote it there.
        origin: Origin,
    },
    /// Another run's with a short stamp, or no stamp of ours.
    Foreign,
}

/// Writes what does not change from record to record, so that `time` has less to do. Values without room stay as they are.
pub fn prepare(value: &mut [u8], run: u32) {
    if let Some(head) = value.first_chunk_mut::<8>() {
        head[..4].copy_from_slice(SHORT_MAGIC);
        head[4..].copy_from_slice(&run.to_be_bytes());
    }
}

/// Puts the intended time into a prepared value; does nothing where there is no room.
pub fn time(value: &mut [u8], intended: u64) {
    if let Some(at) = value.get_mut(8..SHORT_BYTES) {
        at.copy_from_slice(&intended.to_be_bytes());
    }
}

/// Puts the full stamp into a prepared value, which has room for it.
pub fn full(value: &mut [u8], intended: u64, origin: Origin) {
    let (head, rest) = value.split_at_mut(FULL_BYTES);
    head[..4].copy_from_slice(FULL_MAGIC);
    head[8..16].copy_from_slice(&intended.to_be_bytes());
    head[16..20].copy_from_slice(&origin.producer.to_be_bytes());
    head[20..24].copy_from_slice(&origin.partition.to_be_bytes());
    head[24..32].copy_from_slice(&origin.sequence.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..32]), rest);
    head[32..36].copy_from_slice(&crc.to_be_bytes());
}

/// Reads a value.
#[must_use]
pub fn read(value: &[u8], run: u32) -> Read {
    let Some((head, _)) = value.split_first_chunk::<SHORT_BYTES>() else { return Read::Foreign };
    let word = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let intended = (u64::from(word(8)) << 32) | u64::from(word(12));
    if &head[..4] == SHORT_MAGIC && word(4) == run {
        return Read::Timed { intended };
    }
    if &head[..4] != FULL_MAGIC {
        return Read::Foreign;
    }
    let Some((stamp, rest)) = value.split_first_chunk::<FULL_BYTES>() else {
        return Read::Corrupt;
    };
    let word =
        |at: usize| u32::from_be_bytes([stamp[at], stamp[at + 1], stamp[at + 2], stamp[at + 3]]);
    if crc32c::crc32c_append(crc32c::crc32c(&stamp[..32]), rest) != word(32) {
        return Read::Corrupt;
    }
    let sequence = (u64::from(word(24)) << 32) | u64::from(word(28));
    let origin = Origin { producer: word(16), partition: word(20), sequence };
    if word(4) != run {
        return Read::Another { run: word(4), origin };
    }
    Read::Verified { intended, origin }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORIGIN: Origin = Origin { producer: 3, partition: 17, sequence: 1 << 40 };

    #[test]
    fn both_stamps_read_back() {
        let mut value = [7_u8; 100];
        prepare(&mut value, 99);
        time(&mut value, 123_456_789_012_345);
        assert_eq!(read(&value, 99), Read::Timed { intended: 123_456_789_012_345 });
        assert_eq!(read(&value, 98), Read::Foreign);
        full(&mut value, 5, ORIGIN);
        assert_eq!(read(&value, 99), Read::Verified { intended: 5, origin: ORIGIN });
        assert_eq!(read(&value, 98), Read::Another { run: 99, origin: ORIGIN });
    }

    #[test]
    fn any_changed_byte_is_seen() {
        let mut value = [7_u8; 60];
        prepare(&mut value, 99);
        full(&mut value, 5, ORIGIN);
        for at in 0..value.len() {
            let mut bad = value;
            bad[at] ^= 0x10;
            assert!(matches!(read(&bad, 99), Read::Corrupt | Read::Foreign), "byte {at}");
        }
        assert_eq!(read(&value[..40], 99), Read::Corrupt);
        assert_eq!(read(&value[..20], 99), Read::Corrupt);
    }

    #[test]
    fn a_value_without_room_is_left_alone() {
        let mut value = [7_u8; 5];
        prepare(&mut value, 1);
        time(&mut value, 1);
        assert_eq!(value, [7; 5]);
        assert_eq!(read(&value, 1), Read::Foreign);
    }
}
