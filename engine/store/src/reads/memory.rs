//! Reads of what is in memory: most of them. They wait for nothing, so they have no state of their own in the request around them.

use super::{BATCH_HEADER, Head, Limits, Read, Target, follows, known_floor, read_tail};
use crate::partition::Shared;
use ids::Offset;
use log::Place;

/// Reads from the batch that holds `from` on; none if that takes a file, or if there is something wrong, which whoever looks more
/// closely tells.
pub(super) fn read(p: &Shared, from: Offset, limits: &Limits) -> Option<Read> {
    let (place, head) = find(p, from)?;
    if head.base >= limits.bound || (head.len as usize > limits.bytes && !limits.at_least_one) {
        return Some(Read::default());
    }
    read_tail(p, place, head, limits.bound, limits.bytes.max(head.len as usize))
}

/// The batch that holds an offset, or the next one where compaction has taken it. The walk begins with the segment's first batch or
/// with that of an index entry, at or below the offset; the others adjoin.
fn find(p: &Shared, offset: Offset) -> Option<(Place, Head)> {
    let p = p.borrow();
    let segment = p.log.segment_of(offset)?;
    let name = segment.name;
    let mut position = known_floor(&p, name, &Target::Offset(offset))?;
    let mut expected = (position == 0).then_some(name.base);
    while position < segment.len {
        let mut header = [0; BATCH_HEADER];
        if p.tail.peek(name, position, &mut header) < BATCH_HEADER {
            return None;
        }
        let head = Head::parse(&header)?;
        let adjoins = match expected {
            Some(expected) => follows(expected, head.base, segment.compacted),
            None => head.base <= offset,
        };
        if !adjoins {
            return None;
        }
        if head.last >= offset {
            return Some((Place { segment: name, position }, head));
        }
        expected = Some(head.last.next());
        position = position.saturating_add(head.len);
    }
    None
}
