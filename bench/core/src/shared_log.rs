//! The log of one core: all partitions share one sequence of groups.
//!
//! One group is filled while another is written; its number is what an answer waits for. How a group reaches the disk is the
//! edition's part: [`Log::next_group`] gives it out, [`Log::on_durable`] takes it back, strictly one at a time and in order.

use crate::block::Block;
use crate::group::{BATCH_HEADER, GROUP_BYTES, Group, HEADER};
use crate::partition::{Partition, Read, ReadRefusal};
use ids::{LeaderEpoch, Offset, Timestamp};
use record::{Depth, Limits, ValidBatch};
use std::collections::VecDeque;
use std::ops::Deref;
use wire::ErrorCode;

/// The leader epoch of every batch.
const EPOCH: LeaderEpoch = LeaderEpoch(0);

/// What a log is made with.
#[derive(Clone, Copy, Debug)]
pub struct LogConfig {
    /// Partitions of the one topic.
    pub partitions: usize,
    /// Bytes of the ring file: at least two groups.
    pub ring_bytes: u64,
    /// Bytes of batches that stay in memory for readers.
    pub tail_bytes: usize,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { partitions: 64, ring_bytes: 64 << 20, tail_bytes: 128 << 20 }
    }
}

/// Where a batch has gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// The offset of its first record.
    pub base_offset: Offset,
    /// The group that makes it durable.
    pub group: u64,
}

/// See the module. `B` is the runtime's memory for writing, `P` what it sends to readers.
#[derive(Debug)]
pub struct Log<B, P> {
    config: LogConfig,
    decisions: log::Config,
    partitions: Vec<Partition<P>>,
    /// The partition of each batch in memory, oldest first.
    kept: VecDeque<usize>,
    kept_bytes: usize,
    open: Option<Group<B>>,
    full: VecDeque<Group<B>>,
    free: Vec<B>,
    last_number: u64,
    position: u64,
    in_flight: bool,
    durable: u64,
}

impl<B: Block, P: Clone + Deref<Target = [u8]> + for<'a> From<&'a [u8]>> Log<B, P> {
    /// An empty log.
    ///
    /// # Panics
    /// The ring holds fewer than two groups.
    #[must_use]
    pub fn new(config: LogConfig) -> Self {
        assert!(config.ring_bytes >= 2 * GROUP_BYTES as u64, "the ring is too small");
        Self {
            config,
            decisions: log::Config::default(),
            partitions: (0..config.partitions).map(|_| Partition::default()).collect(),
            kept: VecDeque::new(),
            kept_bytes: 0,
            open: None,
            full: VecDeque::new(),
            free: Vec::new(),
            last_number: 0,
            position: 0,
            in_flight: false,
            durable: 0,
        }
    }

    /// What a batch must keep to: its checksum is right, and it fits into a group.
    #[must_use]
    pub fn limits() -> Limits {
        let batch_bytes_max = GROUP_BYTES - HEADER - BATCH_HEADER;
        Limits { batch_bytes_max, depth: Depth::Header, ..Limits::default() }
    }

    /// Gives the batch its place. `block` makes memory of [`GROUP_BYTES`] for a new group.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, or what the log says of the producer's sequence.
    pub fn append(
        &mut self,
        index: i32,
        batch: &ValidBatch<&[u8]>,
        connection: usize,
        block: impl FnOnce() -> B,
    ) -> Result<Appended, ErrorCode> {
        let index = usize::try_from(index).map_err(|_| ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let partition =
            self.partitions.get_mut(index).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let header = batch.header();
        let len = batch.bytes().len();
        let meta = log::BatchMeta {
            len: u32::try_from(len).map_err(|_| ErrorCode::MESSAGE_TOO_LARGE)?,
            offsets: header.offsets(),
            max_timestamp: header.max_timestamp,
            producer_id: header.producer_id,
            producer_epoch: header.producer_epoch,
            base_sequence: header.base_sequence,
            transactional: header.attributes.is_transactional(),
            control: header.attributes.is_control(),
        };
        let now = Timestamp(header.max_timestamp.0.max(0));
        let base_offset = match partition.log.append(&meta, EPOCH, now, &self.decisions) {
            Ok(log::Appended::New { base_offset, .. }) => base_offset,
            // Durable with the last group at the latest.
            Ok(log::Appended::Duplicate(original)) => {
                let base_offset = original.base_offset();
                return Ok(Appended { base_offset, group: self.last_number });
            }
            Err(log::AppendError::LargerThanSegment { .. }) => {
                return Err(ErrorCode::MESSAGE_TOO_LARGE);
            }
            Err(log::AppendError::Sequence(_) | log::AppendError::OpenTransaction) => {
                return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
            }
        };
        if self.open.as_ref().is_some_and(|group| !group.has_room(len)) {
            self.full.extend(self.open.take());
        }
        let group = match &mut self.open {
            Some(group) => group,
            none @ None => {
                self.last_number += 1;
                let block = self.free.pop().unwrap_or_else(block);
                none.insert(Group::new(self.last_number, block))
            }
        };
        let copy: P = group.push(index, batch, base_offset, EPOCH, connection);
        let number = group.number;
        partition.keep(base_offset, base_offset + i64::from(header.offsets()), copy);
        self.kept.push_back(index);
        self.kept_bytes += len;
        // What is forgotten before it is durable is still written and acknowledged; it can only not be read any more.
        while self.kept_bytes > self.config.tail_bytes.max(4 * GROUP_BYTES) {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.kept_bytes -= self.partitions[oldest].forget_oldest();
        }
        Ok(Appended { base_offset, group: number })
    }

    /// The next group to write and flush; `None` if there is nothing, or the one before is still out.
    pub fn next_group(&mut self) -> Option<Group<B>> {
        if self.in_flight {
            return None;
        }
        let mut group = self.full.pop_front().or_else(|| self.open.take())?;
        group.seal();
        let len = group.block().len() as u64;
        if self.position + len > self.config.ring_bytes {
            self.position = 0;
        }
        group.position = self.position;
        self.position += len;
        self.in_flight = true;
        Some(group)
    }

    /// The group is on the disk: readers see its batches, and whoever waits for its number may be told.
    pub fn on_durable(&mut self, group: Group<B>) {
        assert_eq!(group.number, self.durable + 1, "groups become durable in order");
        self.durable = group.number;
        self.in_flight = false;
        for (partition, end) in &group.ends {
            self.partitions[*partition].on_durable(*end);
        }
        self.free.extend(group.into_block().again());
    }

    /// The last group that is durable.
    #[must_use]
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// Durable batches from `from` on.
    ///
    /// # Errors
    /// [`ReadRefusal`].
    pub fn read(&self, index: i32, from: Offset, bytes_max: usize) -> Result<Read<P>, ReadRefusal> {
        let index = usize::try_from(index).map_err(|_| ReadRefusal::UnknownPartition)?;
        self.partitions.get(index).ok_or(ReadRefusal::UnknownPartition)?.read(from, bytes_max)
    }
}
