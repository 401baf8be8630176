//! The commit being filled: records are copied into it until it is closed.

use super::{Entry, Journal, NO_PARTITION, Pending, State};
use crate::format::{blocks, commit, record};
use ids::PartitionId;

impl<A: 'static> Journal<A> {
    /// Copies a record into the commit being filled and returns that commit's sequence. Never waits: who may call it is
    /// decided before, see [`Journal::has_room`].
    pub(crate) fn append(
        &self,
        entry: &Entry,
        payload: [&[u8]; 2],
        fsync: bool,
        advance: Option<A>,
    ) -> u64 {
        let mut state = self.state.borrow_mut();
        let length = payload[0].len() + payload[1].len();
        let size = record::size(length);
        let fits = |p: &Pending<A>| p.buffer.remaining() >= size;
        if !state.pending.as_ref().is_some_and(fits) {
            if let Some(full) = state.pending.take() {
                state.retire(full);
            }
            let new = self.begin(&mut state, size);
            state.pending = Some(new);
        }
        let State { pending: Some(pending), queued_bytes, counters, .. } = &mut *state else {
            return 0;
        };
        let header = record::Header {
            kind: entry.kind,
            length: u32::try_from(length).unwrap_or(u32::MAX),
            partition: entry.partition,
            generation: entry.generation,
            previous: entry.previous,
            offset: entry.offset,
            epoch: entry.epoch,
            place: entry.place,
            at: entry.at,
        };
        pending.buffer.append(&header.to_bytes());
        pending.buffer.append(payload[0]);
        pending.buffer.append(payload[1]);
        pending.buffer.pad_to(8);
        pending.records += 1;
        pending.fsync |= fsync;
        pending.write_awaited |= !fsync && advance.is_some();
        if entry.partition != NO_PARTITION && pending.partitions.last() != Some(&entry.partition) {
            pending.partitions.push(entry.partition);
        }
        pending.advances.extend(advance);
        *queued_bytes += size;
        counters.records += 1;
        let sequence = pending.sequence;
        drop(state);
        self.wake.notify();
        sequence
    }

    /// Begins a commit that has room for a record of `size`; its first record is the directory of its predecessor.
    pub(super) fn begin(&self, state: &mut State<A>, size: usize) -> Pending<A> {
        let sequence = state.next_sequence;
        state.next_sequence += 2;
        let mut directory = std::mem::take(&mut state.directory);
        directory.sort_unstable();
        directory.dedup();
        let listed = record::size(directory.len() * PartitionId::LEN);
        let wanted = commit::HEADER + listed + size;
        let capacity = blocks(wanted).max(self.commit_bytes);
        let mut buffer = self.rt.memory().alloc_beyond(capacity);
        buffer.append(&[0; commit::HEADER]);
        let mut records = 0;
        if !directory.is_empty() {
            let bytes: Vec<u8> = directory.iter().flat_map(|p| p.to_bytes()).collect();
            let entry = Entry::of_the_ring(record::Type::Directory, self.rt.wall());
            let header = record::Header {
                kind: entry.kind,
                length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
                partition: entry.partition,
                generation: 0,
                previous: 0,
                offset: entry.offset,
                epoch: entry.epoch,
                place: entry.place,
                at: entry.at,
            };
            buffer.append(&header.to_bytes());
            buffer.append(&bytes);
            buffer.pad_to(8);
            records = 1;
        }
        Pending {
            sequence,
            buffer,
            records,
            begun_with: records,
            partitions: Vec::new(),
            advances: Vec::new(),
            fsync: false,
            write_awaited: false,
        }
    }

    /// Closes the commit being filled and returns the sequence after which the present state is the state: N of a checkpoint.
    pub(crate) fn seal(&self) -> u64 {
        let mut state = self.state.borrow_mut();
        if let Some(pending) = state.pending.take() {
            state.retire(pending);
        }
        let last = state.full.back().map(|p| p.sequence);
        let last = last.unwrap_or(state.previous.0);
        drop(state);
        self.wake.notify();
        last
    }

    /// The commit that the last record went into, while it is being filled.
    pub(crate) fn filling(&self) -> Option<u64> {
        self.state.borrow().pending.as_ref().map(|p| p.sequence)
    }
}

impl<A> State<A> {
    /// Puts a commit that takes no more records into the queue.
    pub(super) fn retire(&mut self, mut pending: Pending<A>) {
        self.directory = std::mem::take(&mut pending.partitions);
        self.full.push_back(pending);
    }
}
