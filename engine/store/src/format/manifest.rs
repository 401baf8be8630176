//! The manifest: the state of every partition after the last checkpoint, and where replay of the ring begins.
//!
//! An append-only chain of batches, block-aligned, each with its own CRC and its predecessor's. A batch is one checkpoint:
//! its entries and the footer (kept in the batch's header) become true together. A batch of kind `Whole` replaces all before.

use super::{BLOCK, blocks, le};
use ids::{Offset, PartitionId};
use log::{Cursor, EntryError, Log, SegmentName};

/// Bytes of a batch's header, footer included.
pub const HEADER: usize = 128;
const MAGIC: u32 = u32::from_le_bytes(*b"RWMF");
const VERSION: u16 = 1;

/// Where replay begins: just after commit N.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Footer {
    /// The sequence of commit N, after which the entries are the state.
    pub sequence: u64,
    /// Its CRC, which the next commit must name.
    pub crc: u32,
    /// The ring position just after it.
    pub position: u64,
    /// The rest log in use.
    pub rest_file: u32,
    /// How many bytes of it count.
    pub rest_len: u64,
    /// If not 0: commits from this one on were damaged, and with them perhaps all there was of a partition that no entry names.
    pub unaccounted: u64,
}

/// One batch's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// All partitions, not only the changed ones.
    pub whole: bool,
    /// Bytes on disk: whole blocks.
    pub length: u32,
    /// Bytes that count.
    pub used: u32,
    /// How many entries.
    pub entries: u32,
    /// The ring that it belongs to.
    pub ring: [u8; 16],
    /// Counts the batches of this manifest; a `whole` batch goes on counting.
    pub number: u64,
    /// The predecessor's CRC; 0 for the first batch in the file.
    pub previous_crc: u32,
    /// Where replay begins.
    pub footer: Footer,
}

/// What a partition's segment file holds for sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurableFile {
    /// Which segment.
    pub name: SegmentName,
    /// How many bytes of it are written and synced: whole blocks, or all of a sealed segment.
    pub bytes: u32,
    /// How many entries of its index file are.
    pub index_entries: u32,
}

/// Bytes of a partition in the rest log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestPiece {
    /// The segment that they belong to.
    pub segment: SegmentName,
    /// Their position in it.
    pub position: u32,
    /// How many.
    pub length: u32,
    /// Which rest log.
    pub file: u32,
    /// Where the bytes begin in it.
    pub at: u64,
    /// Their CRC-32C.
    pub crc: u32,
}

/// One partition's state after commit N.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which partition.
    pub partition: PartitionId,
    /// Its log; `None` if the partition is gone.
    pub state: Option<State>,
}

/// The state of a partition that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The machine.
    pub log: Log,
    /// What its files hold.
    pub files: Vec<DurableFile>,
    /// What the rest log holds above that.
    pub rest: Vec<RestPiece>,
    /// The commit that holds its last record.
    pub last_record: u64,
    /// The data directory that holds its segments; always 0 today.
    pub directory: u32,
    /// Acknowledged records are missing: why. Stays until a person accepts the loss.
    pub incomplete: Option<String>,
    /// No offset from here on was ever given to a record: the log's end, unless records behind it are missing.
    pub unused_from: Offset,
}

impl Header {
    fn to_bytes(self) -> [u8; HEADER] {
        let mut h = [0; HEADER];
        h[..4].copy_from_slice(&MAGIC.to_le_bytes());
        h[8..10].copy_from_slice(&VERSION.to_le_bytes());
        h[10..12].copy_from_slice(&u16::from(self.whole).to_le_bytes());
        h[12..16].copy_from_slice(&self.length.to_le_bytes());
        h[16..20].copy_from_slice(&self.used.to_le_bytes());
        h[20..24].copy_from_slice(&self.entries.to_le_bytes());
        h[24..40].copy_from_slice(&self.ring);
        h[40..48].copy_from_slice(&self.number.to_le_bytes());
        h[48..52].copy_from_slice(&self.previous_crc.to_le_bytes());
        h[56..64].copy_from_slice(&self.footer.sequence.to_le_bytes());
        h[64..72].copy_from_slice(&self.footer.position.to_le_bytes());
        h[72..76].copy_from_slice(&self.footer.crc.to_le_bytes());
        h[76..80].copy_from_slice(&self.footer.rest_file.to_le_bytes());
        h[80..88].copy_from_slice(&self.footer.rest_len.to_le_bytes());
        h[88..96].copy_from_slice(&self.footer.unaccounted.to_le_bytes());
        h
    }

    /// Reads and checks the batch at the start of `b`; `None` if there is none, or not a whole one.
    #[must_use]
    pub fn parse(b: &[u8], ring: &[u8; 16]) -> Option<(Self, u32)> {
        if b.len() < HEADER || le::u32(b, 0) != MAGIC || le::u16(b, 8) != VERSION {
            return None;
        }
        let h = Self {
            whole: le::u16(b, 10) == 1,
            length: le::u32(b, 12),
            used: le::u32(b, 16),
            entries: le::u32(b, 20),
            ring: le::uuid(b, 24),
            number: le::u64(b, 40),
            previous_crc: le::u32(b, 48),
            footer: Footer {
                sequence: le::u64(b, 56),
                position: le::u64(b, 64),
                crc: le::u32(b, 72),
                rest_file: le::u32(b, 76),
                rest_len: le::u64(b, 80),
                unaccounted: le::u64(b, 88),
            },
        };
        let crc = le::u32(b, 4);
        // Whoever follows the chain steps by `length`, and copies as many bytes.
        let (used, length) = (h.used as usize, h.length as usize);
        let intact = h.ring == *ring
            && (HEADER..=length).contains(&used)
            && length == blocks(length)
            && length <= b.len()
            && b.get(8..used).is_some_and(|bytes| crc32c::crc32c(bytes) == crc);
        intact.then_some((h, crc))
    }
}

/// Builds one batch.
#[derive(Debug)]
pub struct BatchBuilder {
    bytes: Vec<u8>,
    entries: u32,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self { bytes: vec![0; HEADER], entries: 0 }
    }
}

impl BatchBuilder {
    /// Adds an entry: a partition, and its state if it is not gone.
    pub fn push(&mut self, partition: PartitionId, state: Option<&State>) {
        let at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&partition.to_bytes());
        self.bytes.push(u8::from(state.is_some()));
        if let Some(state) = state {
            state.encode(&mut self.bytes);
        }
        let len = u32::try_from(self.bytes.len() - at - 4).unwrap_or(u32::MAX);
        self.bytes[at..at + 4].copy_from_slice(&len.to_le_bytes());
        self.entries += 1;
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.entries
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Closes the batch: its bytes, whole blocks, and its CRC. `None` if it is too large for its header to say how large it is:
    /// what would be written could not be read.
    #[must_use]
    pub fn seal(
        mut self,
        whole: bool,
        ring: [u8; 16],
        number: u64,
        previous_crc: u32,
        footer: Footer,
    ) -> Option<(Vec<u8>, u32)> {
        let used = self.bytes.len();
        let (length, counted) = lengths(used)?;
        self.bytes.resize(blocks(used), 0);
        let header = Header {
            whole,
            length,
            used: counted,
            entries: self.entries,
            ring,
            number,
            previous_crc,
            footer,
        };
        self.bytes[..HEADER].copy_from_slice(&header.to_bytes());
        let crc = crc32c::crc32c(&self.bytes[8..used]);
        self.bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        Some((self.bytes, crc))
    }
}

/// What a header says of a batch of so many bytes: those on disk, and those that count.
fn lengths(used: usize) -> Option<(u32, u32)> {
    let length = used.checked_next_multiple_of(BLOCK)?;
    u32::try_from(length).ok().zip(u32::try_from(used).ok())
}

fn put_name(out: &mut Vec<u8>, name: SegmentName) {
    out.extend_from_slice(&name.base.0.to_le_bytes());
    out.extend_from_slice(&name.creation.to_le_bytes());
}

fn take_name(c: &mut Cursor<'_>) -> Result<SegmentName, EntryError> {
    Ok(SegmentName { base: Offset(c.i64()?), creation: c.u32()? })
}

fn put_count(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
}

impl State {
    fn encode(&self, out: &mut Vec<u8>) {
        self.log.encode(out);
        put_count(out, self.files.len());
        for f in &self.files {
            put_name(out, f.name);
            out.extend_from_slice(&f.bytes.to_le_bytes());
            out.extend_from_slice(&f.index_entries.to_le_bytes());
        }
        put_count(out, self.rest.len());
        for r in &self.rest {
            put_name(out, r.segment);
            out.extend_from_slice(&r.position.to_le_bytes());
            out.extend_from_slice(&r.length.to_le_bytes());
            out.extend_from_slice(&r.file.to_le_bytes());
            out.extend_from_slice(&r.at.to_le_bytes());
            out.extend_from_slice(&r.crc.to_le_bytes());
        }
        out.extend_from_slice(&self.last_record.to_le_bytes());
        out.extend_from_slice(&self.directory.to_le_bytes());
        let text = self.incomplete.as_deref().unwrap_or("");
        put_count(out, text.len());
        out.extend_from_slice(text.as_bytes());
        out.extend_from_slice(&self.unused_from.0.to_le_bytes());
    }

    fn decode(c: &mut Cursor<'_>) -> Result<Self, EntryError> {
        let log = Log::decode(c)?;
        let mut files = Vec::new();
        for _ in 0..c.count(20)? {
            files.push(DurableFile {
                name: take_name(c)?,
                bytes: c.u32()?,
                index_entries: c.u32()?,
            });
        }
        let pieces = c.count(36)?;
        let mut rest = Vec::with_capacity(pieces);
        for _ in 0..pieces {
            rest.push(RestPiece {
                segment: take_name(c)?,
                position: c.u32()?,
                length: c.u32()?,
                file: c.u32()?,
                at: c.u64()?,
                crc: c.u32()?,
            });
        }
        let last_record = c.u64()?;
        let directory = c.u32()?;
        let len = c.count(1)?;
        let text = String::from_utf8_lossy(c.take(len)?).into_owned();
        let incomplete = (!text.is_empty()).then_some(text);
        // Entries of the first release end here.
        let unused_from = if c.rest().is_empty() { log.end() } else { Offset(c.i64()?) };
        if unused_from < log.end() {
            return Err(EntryError::Invalid("offsets of the log count as never used"));
        }
        Ok(Self { log, files, rest, last_record, directory, incomplete, unused_from })
    }
}

/// The entries of a batch that [`Header::parse`] has accepted.
///
/// # Errors
/// [`EntryError`] if an entry is not one, though the CRC holds: a newer format, or a defect.
pub fn entries(batch: &[u8], header: &Header) -> Result<Vec<Entry>, EntryError> {
    let bytes = batch.get(HEADER..header.used as usize).ok_or(EntryError::Truncated)?;
    let mut c = Cursor::new(bytes);
    let mut out = Vec::new();
    for _ in 0..header.entries {
        let len = c.u32()? as usize;
        let mut e = Cursor::new(c.take(len)?);
        let mut id = [0; PartitionId::LEN];
        id.copy_from_slice(e.take(PartitionId::LEN)?);
        let partition = PartitionId::from_bytes(&id);
        let state = if e.u8()? == 1 { Some(State::decode(&mut e)?) } else { None };
        out.push(Entry { partition, state });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{PartitionIndex, TopicId};

    #[test]
    fn a_batch_reads_back_and_a_damaged_one_is_no_batch() {
        let partition = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(3) };
        let name = SegmentName { base: Offset(0), creation: 0 };
        let state = State {
            log: Log::default(),
            files: vec![DurableFile { name, bytes: 8192, index_entries: 256 }],
            rest: vec![RestPiece {
                segment: name,
                position: 8192,
                length: 9,
                file: 1,
                at: 64,
                crc: 5,
            }],
            last_record: 8,
            directory: 0,
            incomplete: Some("commit 6 is damaged".into()),
            unused_from: Offset(11),
        };
        let entry = Entry { partition, state: Some(state) };
        let gone = Entry { partition, state: None };
        let mut b = BatchBuilder::default();
        b.push(partition, entry.state.as_ref());
        b.push(partition, None);
        let footer = Footer {
            sequence: 8,
            crc: 3,
            position: 4096,
            rest_file: 1,
            rest_len: 4096,
            unaccounted: 7,
        };
        let (mut bytes, crc) = b.seal(false, [7; 16], 5, 11, footer).unwrap();
        assert_eq!(bytes.len(), 4096);
        let (header, read_crc) = Header::parse(&bytes, &[7; 16]).unwrap();
        assert_eq!((header.footer, header.number, read_crc), (footer, 5, crc));
        let read = entries(&bytes, &header).unwrap();
        assert_eq!(read, vec![entry, gone]);
        let pieces = read[0].state.as_ref().map(|s| s.rest.capacity());
        assert_eq!(pieces, Some(1), "a partition keeps the list as long as it lives");
        bytes[200] ^= 1;
        assert!(Header::parse(&bytes, &[7; 16]).is_none());
    }

    /// All that counts is there, and the zeros behind it are not: whoever steps by the length would step out of the file.
    #[test]
    fn a_batch_that_is_cut_inside_its_padding_is_no_batch() {
        let footer = Footer::default();
        let (bytes, _) = BatchBuilder::default().seal(true, [7; 16], 1, 0, footer).unwrap();
        assert!(Header::parse(&bytes, &[7; 16]).is_some());
        for cut in [HEADER, HEADER + 1, BLOCK - 1] {
            assert!(Header::parse(&bytes[..cut], &[7; 16]).is_none(), "cut at {cut}");
        }
        // A length that is no number of blocks, or less than what counts, under a CRC that is right.
        for length in [0u32, 1, 64, 4095, 4097] {
            let mut wrong = bytes.clone();
            wrong.resize(2 * BLOCK, 0);
            wrong[12..16].copy_from_slice(&length.to_le_bytes());
            let crc = crc32c::crc32c(&wrong[8..HEADER]);
            wrong[4..8].copy_from_slice(&crc.to_le_bytes());
            assert!(Header::parse(&wrong, &[7; 16]).is_none(), "a length of {length}");
        }
    }

    #[test]
    fn a_batch_whose_length_has_no_room_in_the_header_is_not_written() {
        let most = u32::MAX as usize;
        assert_eq!(lengths(HEADER), Some((4096, 128)));
        assert_eq!(lengths(most - 4095), Some((u32::MAX - 4095, u32::MAX - 4095)));
        for too_many in [most - 4094, most, most + 1, 5 << 30, usize::MAX] {
            assert_eq!(lengths(too_many), None, "{too_many}");
        }
    }
}
