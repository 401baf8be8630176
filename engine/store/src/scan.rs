//! Reads one ring from end to end and says what its chain of commits is. Pure but for the bytes it is given.
//!
//! F is the largest sequence that any intact commit, or the manifest, knows to be flushed. A break of the chain above F is the
//! end of the log, whatever lies behind it: it was never acknowledged. A break at or below F is damage: commits are missing
//! that were flushed, and perhaps acknowledged.

use crate::format::commit::{Header, Kind};
use crate::format::manifest::Footer;
use crate::format::{BLOCK, record};
use crate::journal::NO_PARTITION;
use crate::planted::{self, Planted};
use crate::ring::Ring;
use ids::PartitionId;
use std::collections::BTreeMap;

/// Commits that were flushed and cannot be read any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hole {
    /// The last readable commit before it.
    pub(crate) after: u64,
    /// The partitions that lost something, if a directory says so; otherwise any may have.
    pub(crate) partitions: Option<Vec<PartitionId>>,
}

/// What a scan found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Chain {
    /// The commits to replay, in order, and the holes between them.
    pub(crate) links: Vec<Link>,
    /// Sequence and CRC of the last one, and the position after it.
    pub(crate) last: (u64, u32),
    pub(crate) head: u64,
    /// The highest sequence seen anywhere, also in commits that do not count.
    pub(crate) highest_seen: u64,
    pub(crate) flushed_through: u64,
    /// It ends in a hole, over which the next commit will be written.
    pub(crate) open: bool,
}

/// One step of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    Commit { header: Header },
    Hole(Hole),
}

/// An intact commit somewhere in the ring.
#[derive(Clone, Copy, Debug)]
struct Found {
    header: Header,
    crc: u32,
}

/// Follows the chain from the manifest's footer. `read(position, length)` gives bytes of the ring.
pub(crate) fn chain(
    ring: &Ring,
    uuid: &[u8; 16],
    footer: &Footer,
    read: impl Fn(u64, usize) -> Option<Vec<u8>>,
) -> Chain {
    let intact = find_all(ring, uuid, &read);
    let highest_seen = intact.keys().last().copied().unwrap_or(0).max(footer.sequence);
    let marks = intact.values().map(|f| f.header.flushed_through);
    let flushed_through = marks.max().unwrap_or(0).max(footer.sequence);
    let by_position: BTreeMap<u64, u64> =
        intact.values().map(|f| (f.header.position, f.header.sequence)).collect();
    let mut links = Vec::new();
    let mut open = false;
    let mut last = (footer.sequence, footer.crc);
    let mut head = footer.position;
    loop {
        let next = by_position.get(&head).and_then(|sequence| intact.get(sequence)).filter(|f| {
            let follows = f.header.previous_sequence == last.0
                && f.header.previous_crc == last.1
                && f.header.sequence > last.0;
            follows || planted::is(Planted::BrokenChainAccepted)
        });
        if let Some(f) = next {
            links.push(Link::Commit { header: f.header });
            last = (f.header.sequence, f.crc);
            head = f.header.next;
            continue;
        }
        if last.0 >= flushed_through || planted::is(Planted::DamageTakenForTheEnd) {
            break;
        }
        // Something flushed is missing here. Go on at the next commit of the living chain that can be read.
        let lives = |f: &&Found| {
            f.header.position >= head && !is_dead(&intact, f.header.sequence, f.header.position)
        };
        let Some(f) = intact.range(last.0 + 1..).map(|(_, f)| f).find(lives) else {
            links.push(Link::Hole(Hole { after: last.0, partitions: None }));
            open = true;
            break;
        };
        let partitions = victims(
            last.0,
            f,
            |position| by_position.get(&position).and_then(|sequence| intact.get(sequence)),
            &read,
        );
        links.push(Link::Hole(Hole { after: last.0, partitions }));
        links.push(Link::Commit { header: f.header });
        last = (f.header.sequence, f.crc);
        head = f.header.next;
    }
    Chain { links, last, head, highest_seen, flushed_through, open }
}

/// A commit that an earlier recovery has dropped: a later one lies before it, where a start began to write anew.
fn is_dead(intact: &BTreeMap<u64, Found>, sequence: u64, position: u64) -> bool {
    intact.range(sequence + 1..).any(|(_, f)| f.header.position <= position)
}

/// The partitions that lost something between commit `last` and `next`, the first readable one after it; `None` if that
/// cannot be said. Records have even sequences, which step by two; a skip before them takes the odd one and holds nothing.
fn victims<'a>(
    last: u64,
    next: &'a Found,
    at: impl Fn(u64) -> Option<&'a Found>,
    read: &impl Fn(u64, usize) -> Option<Vec<u8>>,
) -> Option<Vec<PartitionId>> {
    let missing = next.header.previous_sequence;
    if missing <= last {
        return None;
    }
    if missing % 2 == 1 && missing - last == 1 {
        return Some(Vec::new());
    }
    // The last of the missing ones that held records, which must be the only one.
    let records = missing - missing % 2;
    if records <= last || records - last > 2 {
        return None;
    }
    let witness = match next.header.kind {
        Kind::Records => next,
        Kind::Skip => at(next.header.next).filter(|f| {
            f.header.kind == Kind::Records && f.header.previous_sequence == next.header.sequence
        })?,
    };
    directory(&read(witness.header.position, witness.header.used as usize)?, &witness.header)
}

/// Every intact commit of the ring, by sequence. Blocks that only look like one fail their CRC.
fn find_all(
    ring: &Ring,
    uuid: &[u8; 16],
    read: &impl Fn(u64, usize) -> Option<Vec<u8>>,
) -> BTreeMap<u64, Found> {
    let mut all = BTreeMap::new();
    let mut at = 0;
    while at < ring.size() {
        let found = read(at, BLOCK)
            .and_then(|block| Header::parse(&block, uuid))
            .filter(|h| h.position % ring.size() == at)
            .filter(|h| at % ring.file_bytes + u64::from(h.length) <= ring.file_bytes)
            .and_then(|header| {
                let bytes = read(at, header.used as usize)?;
                let crc = Header::stored_crc(&bytes);
                (header.is_intact(&bytes) || planted::is(Planted::TornTailTakenForData))
                    .then_some(Found { header, crc })
            });
        match found {
            Some(f) => {
                all.insert(f.header.sequence, f);
                at += u64::from(f.header.length);
            }
            None => at += BLOCK as u64,
        }
    }
    all
}

/// The partitions of the predecessor, which a commit lists in its first record. No directory means that it had none; one that
/// names no partition says that nobody knew.
fn directory(bytes: &[u8], header: &Header) -> Option<Vec<PartitionId>> {
    let body = bytes.get(crate::format::commit::HEADER..)?;
    let first = record::records(body, header.records).next();
    match first {
        Some(Ok((h, payload))) if h.kind == record::Type::Directory => {
            let ids: Vec<PartitionId> = payload
                .chunks_exact(PartitionId::LEN)
                .filter_map(|id| id.try_into().ok().map(PartitionId::from_bytes))
                .collect();
            (!ids.contains(&NO_PARTITION)).then_some(ids)
        }
        Some(Ok(_)) | None => Some(Vec::new()),
        Some(Err(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::commit;

    const UUID: [u8; 16] = [4; 16];

    struct Disk {
        ring: Ring,
        bytes: Vec<u8>,
        last: (u64, u32),
    }

    impl Disk {
        fn new() -> Self {
            let ring = Ring { files: 2, file_bytes: 5 * 4096, start: 0, head: 0 };
            Self { ring, bytes: vec![0; 10 * 4096], last: (0, 0) }
        }

        fn commit(&mut self, sequence: u64, flushed_through: u64) -> u64 {
            let placing = self.ring.place(4096).unwrap();
            self.ring.take(placing);
            let header = Header {
                kind: Kind::Records,
                length: 4096,
                used: 200,
                records: 0,
                ring: UUID,
                sequence,
                position: placing.position,
                next: placing.next,
                previous_sequence: self.last.0,
                previous_crc: self.last.1,
                flushed_through,
                sealed_at: 0,
            };
            let mut block = vec![u8::try_from(sequence % 251).unwrap(); 4096];
            let crc = header.seal(&mut block);
            let at = usize::try_from(placing.position % self.ring.size()).unwrap();
            self.bytes[at..at + 4096].copy_from_slice(&block);
            self.last = (sequence, crc);
            placing.position
        }

        fn scan(&self) -> Chain {
            chain(&self.ring, &UUID, &Footer::default(), |at, n| {
                let at = usize::try_from(at % self.ring.size()).ok()?;
                self.bytes.get(at..at + n).map(<[u8]>::to_vec)
            })
        }
    }

    fn sequences(chain: &Chain) -> Vec<Option<u64>> {
        chain
            .links
            .iter()
            .map(|l| match l {
                Link::Commit { header } => Some(header.sequence),
                Link::Hole(_) => None,
            })
            .collect()
    }

    #[test]
    fn the_chain_ends_where_it_ends() {
        let mut d = Disk::new();
        for (s, f) in [(2, 0), (4, 2), (6, 4)] {
            d.commit(s, f);
        }
        let c = d.scan();
        assert_eq!(sequences(&c), [Some(2), Some(4), Some(6)]);
        assert_eq!((c.head, c.flushed_through), (3 * 4096, 4));
    }

    #[test]
    fn a_break_above_the_flushed_mark_is_the_end_whatever_lies_behind_it() {
        let mut d = Disk::new();
        d.commit(2, 0);
        let torn = d.commit(4, 2);
        d.commit(6, 2);
        d.bytes[usize::try_from(torn).unwrap() + 150] ^= 1;
        let c = d.scan();
        assert_eq!(sequences(&c), [Some(2)]);
        assert_eq!(c.highest_seen, 6);
    }

    #[test]
    fn a_break_at_or_below_the_flushed_mark_is_damage() {
        let mut d = Disk::new();
        d.commit(2, 0);
        let damaged = d.commit(4, 2);
        d.commit(6, 4);
        d.commit(8, 4);
        d.bytes[usize::try_from(damaged).unwrap() + 150] ^= 1;
        let c = d.scan();
        assert_eq!(sequences(&c), [Some(2), None, Some(6), Some(8)]);
        assert_eq!(c.links[1], Link::Hole(Hole { after: 2, partitions: Some(Vec::new()) }));
    }

    #[test]
    fn behind_a_hole_the_chain_goes_on_with_what_no_start_has_dropped() {
        let mut d = Disk::new();
        d.commit(2, 0);
        let after_two = (d.ring, d.last);
        for s in [4, 6, 8] {
            d.commit(s, 2);
        }
        // A crash has lost 4; a start drops what lay behind it, and writes over 4 and 6, but not over 8.
        (d.ring, d.last) = after_two;
        let damaged = d.commit(12, 2);
        d.commit(14, 12);
        d.bytes[usize::try_from(damaged).unwrap() + 150] ^= 1;
        let c = d.scan();
        assert_eq!(sequences(&c), [Some(2), None, Some(14)]);
        // From 2 to 12 there may have been others: nobody knows whom it hit.
        assert_eq!(c.links[1], Link::Hole(Hole { after: 2, partitions: None }));
        assert!(!c.open);
    }

    #[test]
    fn a_damaged_skip_hits_nobody() {
        let mut d = Disk::new();
        d.commit(2, 0);
        let skip = d.commit(3, 2);
        d.commit(4, 3);
        d.bytes[usize::try_from(skip).unwrap() + 150] ^= 1;
        let c = d.scan();
        assert_eq!(c.links[1], Link::Hole(Hole { after: 2, partitions: Some(Vec::new()) }));
    }

    #[test]
    fn a_commit_of_an_earlier_lap_is_not_the_next_one() {
        let mut d = Disk::new();
        for s in 1..=10 {
            d.commit(2 * s, 2 * (s - 1));
        }
        d.ring.release(4 * 4096);
        d.commit(22, 20);
        let footer = {
            // A checkpoint after commit 8: replay begins behind it.
            let header = Header::parse(&d.bytes[3 * 4096..], &UUID).unwrap();
            Footer {
                sequence: 8,
                crc: Header::stored_crc(&d.bytes[3 * 4096..]),
                position: header.next,
                ..Footer::default()
            }
        };
        let c = chain(&d.ring, &UUID, &footer, |at, n| {
            let at = usize::try_from(at % d.ring.size()).ok()?;
            d.bytes.get(at..at + n).map(<[u8]>::to_vec)
        });
        assert_eq!(sequences(&c).first(), Some(&Some(10)));
        assert_eq!(sequences(&c).last(), Some(&Some(22)));
        assert_eq!(commit::HEADER, 128);
    }
}
