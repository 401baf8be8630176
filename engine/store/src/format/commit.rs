//! A commit: the unit of the ring, one aligned write.
//!
//! Commits form a chain: each names its predecessor's sequence and CRC, so that an old commit of an earlier lap is never
//! taken for the next one. Sequences step by two; a skip, which ends a ring file, takes the odd number between.

use super::{BLOCK, le};

/// Bytes of the header, before the first record.
pub const HEADER: usize = 128;
const MAGIC: u32 = u32::from_le_bytes(*b"RWCM");
const VERSION: u16 = 1;

/// What a commit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It holds records.
    Records,
    /// It ends a ring file; the chain goes on at the start of the next one.
    Skip,
}

/// The header's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Records or skip.
    pub kind: Kind,
    /// Bytes on disk: whole blocks.
    pub length: u32,
    /// Bytes that count: header and records.
    pub used: u32,
    /// How many records it holds.
    pub records: u32,
    /// The ring it belongs to.
    pub ring: [u8; 16],
    /// Its number, never reused.
    pub sequence: u64,
    /// Where it begins, counted in bytes since the ring was made (not modulo its size).
    pub position: u64,
    /// Where the next commit begins.
    pub next: u64,
    /// The predecessor's number; 0 for the first commit of a ring.
    pub previous_sequence: u64,
    /// The predecessor's CRC.
    pub previous_crc: u32,
    /// The highest sequence that was known to be flushed when this one was written.
    pub flushed_through: u64,
    /// Wall clock when it was sealed, milliseconds.
    pub sealed_at: i64,
}

impl Header {
    /// Writes the header over the first [`HEADER`] bytes of `commit` and returns the CRC of all `used` bytes.
    pub fn seal(&self, commit: &mut [u8]) -> u32 {
        let mut h = self.prefix();
        let used = self.used as usize;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&h[8..]), &commit[HEADER..used]);
        h[4..8].copy_from_slice(&crc.to_le_bytes());
        commit[..HEADER].copy_from_slice(&h);
        crc
    }

    /// The header's bytes and CRC for records that lie elsewhere: `records` are the bytes after the header.
    #[must_use]
    pub fn sealed(&self, records: &[u8]) -> ([u8; HEADER], u32) {
        let mut h = self.prefix();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&h[8..]), records);
        h[4..8].copy_from_slice(&crc.to_le_bytes());
        (h, crc)
    }

    fn prefix(&self) -> [u8; HEADER] {
        let mut h = [0; HEADER];
        h[..4].copy_from_slice(&MAGIC.to_le_bytes());
        h[8..10].copy_from_slice(&VERSION.to_le_bytes());
        let kind: u16 = match self.kind {
            Kind::Records => 0,
            Kind::Skip => 1,
        };
        h[10..12].copy_from_slice(&kind.to_le_bytes());
        h[12..16].copy_from_slice(&self.length.to_le_bytes());
        h[16..20].copy_from_slice(&self.used.to_le_bytes());
        h[20..24].copy_from_slice(&self.records.to_le_bytes());
        h[24..40].copy_from_slice(&self.ring);
        h[40..48].copy_from_slice(&self.sequence.to_le_bytes());
        h[48..56].copy_from_slice(&self.position.to_le_bytes());
        h[56..64].copy_from_slice(&self.next.to_le_bytes());
        h[64..72].copy_from_slice(&self.previous_sequence.to_le_bytes());
        h[72..76].copy_from_slice(&self.previous_crc.to_le_bytes());
        h[80..88].copy_from_slice(&self.flushed_through.to_le_bytes());
        h[88..96].copy_from_slice(&self.sealed_at.to_le_bytes());
        h
    }

    /// Reads a header that claims to begin at ring position `position`. Only its form is checked, not the CRC.
    #[must_use]
    pub fn parse(b: &[u8], ring: &[u8; 16]) -> Option<Self> {
        if b.len() < HEADER || le::u32(b, 0) != MAGIC || le::u16(b, 8) != VERSION {
            return None;
        }
        let kind = match le::u16(b, 10) {
            0 => Kind::Records,
            1 => Kind::Skip,
            _ => return None,
        };
        let h = Self {
            kind,
            length: le::u32(b, 12),
            used: le::u32(b, 16),
            records: le::u32(b, 20),
            ring: le::uuid(b, 24),
            sequence: le::u64(b, 40),
            position: le::u64(b, 48),
            next: le::u64(b, 56),
            previous_sequence: le::u64(b, 64),
            previous_crc: le::u32(b, 72),
            flushed_through: le::u64(b, 80),
            sealed_at: le::i64(b, 88),
        };
        let sane = h.ring == *ring
            && (h.length as usize).is_multiple_of(BLOCK)
            && h.used as usize >= HEADER
            && h.used <= h.length
            && h.position.checked_add(u64::from(h.length)).is_some_and(|end| h.next >= end);
        sane.then_some(h)
    }

    /// Whether a commit begins here, of whatever ring and version.
    #[must_use]
    pub fn is_at(b: &[u8]) -> bool {
        b.len() >= HEADER && le::u32(b, 0) == MAGIC
    }

    /// The CRC that the header at the start of `commit` claims.
    #[must_use]
    pub fn stored_crc(commit: &[u8]) -> u32 {
        le::u32(commit, 4)
    }

    /// Whether all `used` bytes of `commit` are what was sealed.
    #[must_use]
    pub fn is_intact(&self, commit: &[u8]) -> bool {
        commit
            .get(8..self.used as usize)
            .is_some_and(|bytes| crc32c::crc32c(bytes) == Self::stored_crc(commit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Records,
            length: 4096,
            used: 300,
            records: 2,
            ring: [9; 16],
            sequence: 12,
            position: 8192,
            next: 12288,
            previous_sequence: 10,
            previous_crc: 77,
            flushed_through: 8,
            sealed_at: 123,
        }
    }

    #[test]
    fn a_sealed_commit_reads_back_and_any_flipped_bit_shows() {
        let mut bytes = vec![5u8; 4096];
        let crc = header().seal(&mut bytes);
        let read = Header::parse(&bytes, &[9; 16]).unwrap();
        assert_eq!(read, header());
        assert!(read.is_intact(&bytes));
        assert_eq!(crc, Header::stored_crc(&bytes));
        for bit in 64..300 * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let caught = Header::parse(&bytes, &[9; 16])
                .is_none_or(|h| h.used > 4096 || !h.is_intact(&bytes));
            assert!(caught, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_commit_of_another_ring_is_not_ours() {
        let mut bytes = vec![0u8; 4096];
        header().seal(&mut bytes);
        assert_eq!(Header::parse(&bytes, &[8; 16]), None);
    }
}
