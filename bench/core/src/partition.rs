//! One partition: the log's decisions, and the last of its batches in memory.

use ids::Offset;
use std::collections::VecDeque;
use std::ops::Deref;

/// Why a fetch gets no records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReadRefusal {
    /// No such partition.
    UnknownPartition,
    /// Below what is still in memory, or above the end.
    OutOfRange,
}

/// What a fetch gets.
#[derive(Clone, Debug)]
pub struct Read<P> {
    /// Whole batches, one after the other.
    pub pieces: Vec<P>,
    /// Their bytes.
    pub bytes: usize,
    /// The first offset that is not durable: Kafka's high watermark.
    pub durable_end: Offset,
    /// The first offset still in memory.
    pub start: Offset,
}

#[derive(Debug)]
struct Kept<P> {
    base: Offset,
    end: Offset,
    piece: P,
}

#[derive(Debug)]
pub(crate) struct Partition<P> {
    pub(crate) log: log::Log,
    tail: VecDeque<Kept<P>>,
    durable_end: Offset,
}

impl<P> Default for Partition<P> {
    fn default() -> Self {
        Self { log: log::Log::default(), tail: VecDeque::new(), durable_end: Offset::ZERO }
    }
}

impl<P: Clone + Deref<Target = [u8]>> Partition<P> {
    pub(crate) fn keep(&mut self, base: Offset, end: Offset, piece: P) {
        self.tail.push_back(Kept { base, end, piece });
    }

    /// Forgets the oldest batch; its bytes.
    pub(crate) fn forget_oldest(&mut self) -> usize {
        let Some(kept) = self.tail.pop_front() else { return 0 };
        self.log.advance_start(kept.end);
        kept.piece.len()
    }

    pub(crate) fn on_durable(&mut self, end: Offset) {
        assert!(end >= self.durable_end, "groups become durable in order");
        self.durable_end = end;
    }

    pub(crate) fn read(&self, from: Offset, bytes_max: usize) -> Result<Read<P>, ReadRefusal> {
        let start = self.tail.front().map_or(self.durable_end, |kept| kept.base);
        if from < start || from > self.durable_end {
            return Err(ReadRefusal::OutOfRange);
        }
        let first = self.tail.partition_point(|kept| kept.end <= from);
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        for kept in self.tail.range(first..) {
            // The first batch comes whole even if it is larger (KIP-74).
            let too_many = !pieces.is_empty() && bytes + kept.piece.len() > bytes_max;
            if kept.end > self.durable_end || too_many {
                break;
            }
            bytes += kept.piece.len();
            pieces.push(kept.piece.clone());
        }
        Ok(Read { pieces, bytes, durable_end: self.durable_end, start })
    }
}
