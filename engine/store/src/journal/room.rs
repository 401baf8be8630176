//! Whether there is room in the ring, and in memory, for what somebody wants to append.

use super::{CONTROL_RESERVE, DATA_RESERVE, Journal, QUEUED_COMMITS_MAX, State};
use crate::format::{BLOCK, blocks, commit, record};
use ids::PartitionId;

impl<A: 'static> Journal<A> {
    /// Whether a batch of `bytes` may be appended now without holding too much in memory or filling the ring's reserve.
    pub(crate) fn has_room(&self, bytes: usize) -> bool {
        let state = self.state.borrow();
        let queued = state.queued_bytes;
        (queued == 0 || queued + bytes <= QUEUED_COMMITS_MAX * self.commit_bytes)
            && self.finds_its_place(&state, bytes, DATA_RESERVE)
    }

    /// Whether the ring takes a batch of `bytes` without a checkpoint, however much waits for the device.
    pub(crate) fn has_room_in_the_ring(&self, bytes: usize) -> bool {
        self.finds_its_place(&self.state.borrow(), bytes, DATA_RESERVE)
    }

    /// Whether a record without a payload, of a deletion or a new log start, may be appended now.
    pub(crate) fn has_control_room(&self) -> bool {
        self.has_control_room_for(0)
    }

    /// Whether a record with a payload of `bytes` may be appended now, if the data cannot do without it.
    pub(crate) fn has_control_room_for(&self, bytes: usize) -> bool {
        self.finds_its_place(&self.state.borrow(), bytes, CONTROL_RESERVE)
    }

    /// Whether everything queued and a record of `bytes` more will find their places without a checkpoint, and leave the
    /// reserve. A checkpoint waits for what is queued, so what is queued must never wait for a checkpoint.
    fn finds_its_place(&self, state: &State<A>, bytes: usize, reserve: (u64, u64)) -> bool {
        let mut ring = state.ring;
        let mut take = |length: usize| {
            let length = blocks(length) as u64;
            let placing = (length <= ring.file_bytes).then(|| ring.place(length)).flatten();
            if let Some(placing) = placing {
                ring.take(placing);
            }
            placing.is_some()
        };
        let size = record::size(bytes);
        let first = |directory: &[PartitionId]| {
            commit::HEADER + record::size(directory.len() * PartitionId::LEN) + size
        };
        let found = state.full.iter().all(|c| take(c.buffer.len()))
            && match &state.pending {
                Some(p) if p.buffer.remaining() >= size => take(p.buffer.len() + size),
                Some(p) => take(p.buffer.len()) && take(first(&p.partitions)),
                None => take(first(&state.directory)),
            };
        let (percent, least) = reserve;
        let reserve = (ring.size() * percent / 100).max(least * BLOCK as u64);
        found && ring.used() + reserve <= ring.size()
    }

    /// How full the ring is, 0 to 1.
    pub(crate) fn fullness(&self) -> f64 {
        let state = self.state.borrow();
        let used = state.ring.used() + state.queued_bytes as u64;
        used as f64 / state.ring.size() as f64
    }

    /// Gives the ring space before `position` back.
    pub(crate) fn release(&self, position: u64) {
        let mut state = self.state.borrow_mut();
        state.ring.release(position);
        while state.ends.len() > 1 && state.ends[1].2 <= position {
            state.ends.pop_front();
        }
        drop(state);
        self.wake.notify();
    }
}
