//! Handing commits to the disk.

use super::times::slot;
use super::{CommitTimes, IN_FLIGHT_MAX, Journal, Pending, State, Submitted, WORTH_A_WRITE};
use crate::format::commit::{self, Header, Kind};
use crate::format::{BLOCK, blocks};
use crate::ring::Placing;
use runtime::{Buffer, Slice};
use std::rc::Rc;

/// What is to follow the write of a commit.
#[derive(Clone, Copy, Debug)]
struct Flush {
    /// A flush, at once.
    fsync: bool,
    /// It may be linked to the write: nobody is told of the write alone.
    link: bool,
}

impl<A: 'static> Journal<A> {
    pub(super) fn submit_what_is_due(self: &Rc<Self>) {
        loop {
            let mut state = self.state.borrow_mut();
            let busy =
                state.submitted.iter().filter(|c| !c.written || (c.fsync && !c.flushed)).count();
            let writes = state.submitted.iter().filter(|c| !c.written).count();
            let waiting = state.full.len() + usize::from(state.pending.is_some());
            let worth_it = !state.full.is_empty()
                || state.pending.as_ref().is_some_and(|p| p.buffer.len() >= WORTH_A_WRITE);
            if waiting == 0 || !(busy == 0 || (worth_it && writes < IN_FLIGHT_MAX)) {
                return;
            }
            if state.full.is_empty()
                && let Some(pending) = state.pending.take()
            {
                state.retire(pending);
            }
            let Some(length) = state.full.front().map(|p| blocks(p.buffer.len()) as u64) else {
                return;
            };
            let Some(placing) = state.ring.place(length) else {
                drop(state);
                if let Some(on_short) = self.on_short.borrow().clone() {
                    on_short();
                }
                return;
            };
            let Some(pending) = state.full.pop_front() else { return };
            if let Some(at) = placing.skip {
                self.submit_skip(&mut state, &pending, at, placing);
            }
            self.submit(&mut state, pending, placing);
        }
    }

    fn submit_skip(
        self: &Rc<Self>,
        state: &mut State<A>,
        before: &Pending<A>,
        at: u64,
        placing: Placing,
    ) {
        let mut buffer = self.rt.memory().alloc_beyond(BLOCK);
        buffer.append(&[0; commit::HEADER]);
        let header = Header {
            kind: Kind::Skip,
            length: BLOCK as u32,
            used: commit::HEADER as u32,
            records: 0,
            ring: self.uuid,
            sequence: before.sequence - 1,
            position: at,
            next: placing.position,
            previous_sequence: state.previous.0,
            previous_crc: state.previous.1,
            flushed_through: state.flushed_through,
            sealed_at: self.rt.wall().0,
        };
        state.counters.skips += 1;
        // Its own flush would only keep that of the commit behind it waiting.
        self.write(state, header, buffer, Vec::new(), Flush { fsync: before.fsync, link: false });
    }

    fn submit(self: &Rc<Self>, state: &mut State<A>, pending: Pending<A>, placing: Placing) {
        let used = pending.buffer.len();
        let header = Header {
            kind: Kind::Records,
            length: u32::try_from(blocks(used)).unwrap_or(u32::MAX),
            used: u32::try_from(used).unwrap_or(u32::MAX),
            records: pending.records,
            ring: self.uuid,
            sequence: pending.sequence,
            position: placing.position,
            next: placing.next,
            previous_sequence: state.previous.0,
            previous_crc: state.previous.1,
            flushed_through: state.flushed_through,
            sealed_at: self.rt.wall().0,
        };
        let lap = |position: u64| position / state.ring.size();
        if lap(placing.position) > lap(state.ring.head.saturating_sub(1)) {
            state.counters.wraps += 1;
        }
        state.ring.take(placing);
        state.queued_bytes = state.queued_bytes.saturating_sub(used);
        if state.full.is_empty() && state.pending.is_none() {
            state.queued_bytes = 0;
        }
        state.counters.commits += 1;
        state.counters.marks += u64::from(pending.records == pending.begun_with);
        let flush = Flush { fsync: pending.fsync, link: !pending.write_awaited };
        self.write(state, header, pending.buffer, pending.advances, flush);
    }

    fn write(
        self: &Rc<Self>,
        state: &mut State<A>,
        header: Header,
        mut buffer: Buffer,
        advances: Vec<A>,
        flush: Flush,
    ) {
        let mut sealed = [0; commit::HEADER];
        let (prefix, crc) = header.sealed(&buffer.filled()[commit::HEADER..]);
        sealed.copy_from_slice(&prefix);
        buffer.patch(0, &sealed);
        buffer.pad_to(BLOCK);
        state.previous = (header.sequence, crc);
        state.recorded_flush = header.flushed_through;
        state.ends.push_back((header.sequence, crc, header.next));
        state.counters.bytes += u64::from(header.length);
        let (file, at) = state.ring.locate(header.position);
        state.submitted.push_back(Submitted {
            sequence: header.sequence,
            file,
            written: false,
            told: false,
            flushed: false,
            linked: false,
            fsync: flush.fsync,
            advances,
        });
        let submitted = stages::read(|| self.rt.clock());
        // Not of a skip, whose sequence is the odd one before its commit's.
        if header.sequence.is_multiple_of(2) {
            *slot(&mut state.times, header.sequence) =
                CommitTimes { sequence: header.sequence, submitted, ..CommitTimes::default() };
        }
        let len = buffer.len();
        let data: Slice = buffer.slice(0..len);
        if flush.link
            && let Some(covered) = state.covered_by_a_link()
        {
            self.write_and_flush(state, header.sequence, (file, at), data, covered);
            return;
        }
        let me = Rc::clone(self);
        self.rt.spawn(async move {
            if let Err(e) = me.files[file].write_at(at, data).await {
                me.rt.fault(format!("write of commit {} to the ring failed: {e}", header.sequence));
            }
            me.on_written(header.sequence);
        });
    }
}
