//! The batches of a sealed segment, each checked before it is believed.

use super::CompactFailure;
use crate::partition::{Shared, floor_block};
use crate::store::Store;
use ids::Offset;
use log::SegmentName;
use record::{BatchHeader, BatchView, HEADER_LEN, MAGIC};
use runtime::Slice;

/// Bytes that are read at once.
const WINDOW: usize = 256 * 1024;

pub(crate) struct Source<'a> {
    store: &'a Store,
    p: Shared,
    name: SegmentName,
    compacted: bool,
    len: u32,
    end: Offset,
    /// Where the next batch begins, and where the one handed out last did.
    position: u32,
    last: u32,
    /// The lowest offset that the next batch may begin with; unknown if the walk began in the middle.
    expected: Option<Offset>,
    window: Option<(u32, Slice)>,
    /// The device has been waited for since somebody asked.
    waited: bool,
}

impl<'a> Source<'a> {
    /// The batches from the one that holds `from` on, or a little before it; `None` if the segment has left the log.
    pub(crate) fn open(
        store: &'a Store,
        p: &Shared,
        name: SegmentName,
        from: Offset,
    ) -> Option<Self> {
        let (compacted, len, end, position) = {
            let p = p.borrow();
            let s = p.log.segment(name)?;
            let relative = u32::try_from(from - name.base).unwrap_or(0);
            (s.compacted, s.len, s.end, s.index.floor(relative))
        };
        let expected = (position == 0).then_some(name.base);
        let p = p.clone();
        Some(Self {
            store,
            p,
            name,
            compacted,
            len,
            end,
            position,
            last: 0,
            expected,
            window: None,
            waited: false,
        })
    }

    /// The next batch, whole and checked; `None` at the end of the segment.
    pub(crate) async fn next(&mut self) -> Result<Option<Slice>, CompactFailure> {
        self.last = self.position;
        if self.position >= self.len {
            return match self.expected {
                Some(e) if e != self.end => Err(self.damaged("the last batch is not the last")),
                Some(_) | None => Ok(None),
            };
        }
        let head = self.bytes(HEADER_LEN).await?;
        let header = BatchHeader::read(&head).filter(|h| h.magic == MAGIC);
        let header = header.ok_or_else(|| self.damaged("no batch header"))?;
        let left = (self.len - self.position) as usize;
        let bytes = header.batch_bytes().filter(|n| *n <= left && header.last_offset_delta >= 0);
        let bytes = bytes.ok_or_else(|| self.damaged("a batch of no possible length"))?;
        self.check_place(&header)?;
        let batch = self.bytes(bytes).await?;
        self.view(&batch)?.check_crc().map_err(|e| self.damaged(e.to_string()))?;
        self.expected = Some(header.next_offset());
        self.position += u32::try_from(bytes).unwrap_or(u32::MAX);
        Ok(Some(batch))
    }

    /// Whether the segment has left the log, or was cut back: then what was read says nothing about it.
    pub(crate) fn is_gone(&self) -> bool {
        let p = self.p.borrow();
        p.deleted || p.log.segment(self.name).is_none_or(|s| s.len < self.len)
    }

    /// The batch that [`Source::next`] has handed out.
    pub(crate) fn view<'b>(&self, bytes: &'b [u8]) -> Result<BatchView<'b>, CompactFailure> {
        BatchView::first(bytes).map_err(|e| self.damaged(e.to_string()))
    }

    /// Where the batch begins that was looked at last.
    pub(crate) fn last_position(&self) -> u32 {
        self.last
    }

    /// Goes on at `position`, where a batch begins whose predecessor is not known; false if that is behind the end.
    pub(crate) fn go_to(&mut self, position: u32) -> bool {
        self.position = position;
        self.expected = None;
        position < self.len
    }

    /// Whether the device has been waited for since this was asked last.
    pub(crate) fn take_waited(&mut self) -> bool {
        std::mem::take(&mut self.waited)
    }

    /// What is wrong with the batch that was handed out last.
    pub(crate) fn damaged(&self, why: impl Into<String>) -> CompactFailure {
        CompactFailure::Damaged { segment: self.name, position: self.last, why: why.into() }
    }

    /// Offsets and epoch, which the checksum does not cover.
    fn check_place(&self, h: &BatchHeader) -> Result<(), CompactFailure> {
        let continues = self
            .expected
            .is_none_or(|e| if self.compacted { h.base_offset >= e } else { h.base_offset == e });
        if !continues || h.base_offset < self.name.base || h.last_offset() >= self.end {
            return Err(self.damaged("offsets do not continue"));
        }
        let p = self.p.borrow();
        if h.base_offset >= p.log.start()
            && p.log.epochs().at(h.base_offset) != Some(h.leader_epoch)
        {
            return Err(self.damaged("the leader epoch is not the one of this offset"));
        }
        Ok(())
    }

    /// `n` bytes from the position on.
    async fn bytes(&mut self, n: usize) -> Result<Slice, CompactFailure> {
        let held = |window: &Option<(u32, Slice)>, position: u32| {
            let (at, bytes) = window.as_ref()?;
            let skip = position.checked_sub(*at)? as usize;
            (skip + n <= bytes.len()).then(|| bytes.slice(skip..skip + n))
        };
        if let Some(bytes) = held(&self.window, self.position) {
            return Ok(bytes);
        }
        let from = floor_block(self.position);
        let skip = (self.position - from) as usize;
        self.window = None;
        self.waited = true;
        let read = self.store.read_blocks(&self.p, self.name, from, (skip + n).max(WINDOW)).await;
        let read = read.map_err(|e| match e {
            crate::ReadError::Io(e) => CompactFailure::Io(e),
            other @ (crate::ReadError::UnknownPartition
            | crate::ReadError::OutOfRange { .. }
            | crate::ReadError::Corrupt { .. }) => self.damaged(other.to_string()),
        })?;
        self.window = Some((from, read));
        held(&self.window, self.position)
            .ok_or_else(|| self.damaged("the file ends inside a batch"))
    }
}
