//! Walks one segment from its first batch to its last, in constant memory.

use crate::partition::{Shared, floor_block};
use crate::reads::ReadError;
use crate::store::Store;
use crate::txn_index;
use log::{BatchMeta, SegmentName};
use record::{BatchHeader, HEADER_LEN, MAGIC};
use runtime::Slice;

/// Bytes that are read at once.
const WINDOW: usize = 1 << 20;
/// The CRC of a batch covers what follows here.
const CRC_FROM: u32 = 21;

/// A batch as it lies in a segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) position: u32,
    pub(crate) bytes: u32,
    pub(crate) header: BatchHeader,
    pub(crate) crc_ok: bool,
}

impl Placed {
    /// What the log must know of it.
    pub(crate) fn meta(&self) -> BatchMeta {
        let h = &self.header;
        BatchMeta {
            len: self.bytes,
            offsets: h.offsets(),
            max_timestamp: h.max_timestamp,
            producer_id: h.producer_id,
            producer_epoch: h.producer_epoch,
            base_sequence: h.base_sequence,
            transactional: h.attributes.is_transactional(),
            control: h.attributes.is_control(),
        }
    }
}

/// What the walk came upon.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Batch(Placed),
    /// Nothing behind this position can be told apart.
    Lost {
        position: u32,
        why: String,
        /// The device or the system refused the read: what is there may be whole.
        unread: bool,
    },
    /// Every byte has been read.
    End,
}

/// Why a walk cannot go on.
struct Trouble {
    why: String,
    unread: bool,
}

impl From<&str> for Trouble {
    fn from(why: &str) -> Self {
        Self { why: why.to_owned(), unread: false }
    }
}

/// Where a walk is.
pub(crate) struct Walk<'a> {
    store: &'a Store,
    partition: Shared,
    name: SegmentName,
    position: u32,
    len: u32,
    window: Option<(u32, Slice)>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(store: &'a Store, partition: Shared, name: SegmentName) -> Self {
        let len = partition.borrow().log.segment(name).map_or(0, |s| s.len);
        Self { store, partition, name, position: 0, len, window: None }
    }

    /// From a batch in the middle on, which begins at `position`.
    pub(crate) fn starting_at(self, position: u32) -> Self {
        Self { position, ..self }
    }

    /// The next batch.
    pub(crate) async fn next(&mut self) -> Step {
        if self.position >= self.len {
            return Step::End;
        }
        let at = self.position;
        match self.batch(at).await {
            Ok(placed) => {
                self.position = at.saturating_add(placed.bytes);
                Step::Batch(placed)
            }
            Err(trouble) => {
                self.position = self.len;
                let Trouble { why, unread } = trouble;
                Step::Lost { position: at, why, unread }
            }
        }
    }

    /// Whether this control batch, which was just met, aborts its producer's transaction.
    pub(crate) async fn aborts(&mut self, b: &Placed) -> Result<bool, String> {
        let mut bytes = Vec::with_capacity(b.bytes as usize);
        self.each(b.position, b.position.saturating_add(b.bytes), |some| {
            bytes.extend_from_slice(some);
        })
        .await
        .map_err(|trouble| trouble.why)?;
        Ok(txn_index::aborts(&bytes))
    }

    async fn batch(&mut self, at: u32) -> Result<Placed, Trouble> {
        let mut head = Vec::with_capacity(HEADER_LEN);
        let head_end = at.saturating_add(to_u32(HEADER_LEN));
        self.each(at, head_end, |bytes| head.extend_from_slice(bytes)).await?;
        let header = BatchHeader::read(&head)
            .filter(|h| h.magic == MAGIC && h.last_offset_delta >= 0)
            .ok_or("no batch header")?;
        let bytes = header.batch_bytes().and_then(|n| u32::try_from(n).ok());
        let bytes = bytes.ok_or("a batch of no possible length")?;
        let end = at.checked_add(bytes).filter(|end| *end <= self.len);
        let end = end.ok_or("a batch that ends behind its segment")?;
        let mut crc = 0;
        self.each(at + CRC_FROM, end, |bytes| crc = crc32c::crc32c_append(crc, bytes)).await?;
        Ok(Placed { position: at, bytes, header, crc_ok: crc == header.crc })
    }

    /// Hands over the bytes `from..to`, piece by piece.
    async fn each(
        &mut self,
        from: u32,
        to: u32,
        mut take: impl FnMut(&[u8]),
    ) -> Result<(), Trouble> {
        let to = to.min(self.len);
        let mut at = from;
        while at < to {
            let held = self.window.as_ref().and_then(|(base, bytes)| {
                let skip = at.checked_sub(*base)? as usize;
                bytes.get(skip..).filter(|b| !b.is_empty())
            });
            if let Some(bytes) = held {
                let n = bytes.len().min((to - at) as usize);
                take(&bytes[..n]);
                at += to_u32(n);
                continue;
            }
            self.window = Some(self.load(at).await?);
        }
        Ok(())
    }

    async fn load(&self, at: u32) -> Result<(u32, Slice), Trouble> {
        {
            let p = self.partition.borrow();
            let end = p.tail.run_end(self.name, at, self.len);
            if end > at {
                let slices = p.tail.slices(self.name, at, end).unwrap_or_default();
                if let Some(first) = slices.into_iter().next() {
                    return Ok((at, first));
                }
            }
        }
        let from = floor_block(at);
        let bytes = self.store.read_blocks(&self.partition, self.name, from, WINDOW).await;
        let bytes = bytes
            .map_err(|e| Trouble { why: e.to_string(), unread: matches!(e, ReadError::Io(_)) })?;
        if bytes.len() <= (at - from) as usize {
            return Err("the file ends here".into());
        }
        Ok((from, bytes))
    }
}

/// The next batch, checked; none at the end of the segment.
pub(crate) async fn next_batch(
    walk: &mut Walk<'_>,
    segment: SegmentName,
) -> Result<Option<Placed>, ReadError> {
    let corrupt = |position, why| Err(ReadError::Corrupt { segment, position, why });
    match walk.next().await {
        Step::Batch(b) if b.crc_ok => Ok(Some(b)),
        Step::Batch(b) => corrupt(b.position, "the batch's checksum does not match"),
        Step::Lost { position, .. } => corrupt(position, "no whole batch"),
        Step::End => Ok(None),
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
