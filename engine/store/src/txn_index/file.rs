//! The file of a segment's transaction index: whole blocks, written once, each entry with its own checksum.

use crate::format::{BLOCK, blocks};
use crate::partition::Shared;
use crate::reads::ReadError;
use crate::store::{Inner, Store};
use ids::{Offset, PartitionId};
use log::{AbortedTxn, Segment, SegmentName};
use runtime::{File, Open};
use std::rc::Rc;
use std::{fmt, io};

/// The ending of its name.
const ENDING: &str = "txnindex";
/// Entries of one block.
const PER_BLOCK: u32 = (BLOCK / AbortedTxn::LEN) as u32;
/// Bytes that a search reads at once.
const WINDOW: usize = 16 * BLOCK;

/// Why a file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// It is not what was written, from this entry on.
    Damaged(u32),
    /// It cannot be read now.
    Io(String),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(n) => write!(f, "entry {n} is missing or not as it was written"),
            Self::Io(e) => write!(f, "it cannot be read: {e}"),
        }
    }
}

impl From<Unusable> for ReadError {
    fn from(e: Unusable) -> Self {
        Self::Io(format!("transaction index: {e}"))
    }
}

/// Brings entries of `s`, a segment as a checkpoint takes it, to its file: whole blocks, or all if it is sealed. How many are
/// there afterwards; they are durable.
pub(crate) async fn write(
    inner: &Rc<Inner>,
    p: &Shared,
    s: &Segment,
    sealed: bool,
) -> io::Result<u32> {
    let from = s.aborted.in_file();
    let all = u32::try_from(s.aborted.len()).unwrap_or(u32::MAX);
    let end = if sealed { all } else { all - all % PER_BLOCK };
    // The first file of a partition makes its directory. A block that is not full is the last one of its segment.
    let possible = p.borrow().files.contains_key(&s.name) && from.is_multiple_of(PER_BLOCK);
    if end <= from || !possible {
        return Ok(from);
    }
    let id = p.borrow().id;
    let path = inner.paths.segment(id, s.name, ENDING);
    let open = Open { read: true, write: true, create: true, direct: true, ..Open::default() };
    let file = inner.rt.disk().open(&path, open).await?;
    inner.unlisted.borrow_mut().insert(inner.paths.partition(id));
    let new = s.aborted.tail().get(..(end - from) as usize).unwrap_or(&[]);
    let mut buffer = inner.rt.memory().alloc_beyond(blocks(new.len() * AbortedTxn::LEN));
    for t in new {
        buffer.append(&t.to_bytes(s.name.base));
    }
    buffer.pad_to(BLOCK);
    let (at, len) = (u64::from(from) * AbortedTxn::LEN as u64, buffer.len());
    file.allocate(at, len as u64).await?;
    let name = s.name;
    if let Err(e) = file.write_at(at, buffer.slice(0..len)).await {
        inner.rt.fault(format!("write of the transaction index of {name} of {id} failed: {e}"));
    }
    if let Err(e) = file.sync_data().await {
        inner.rt.fault(format!("sync of the transaction index of {name} of {id} failed: {e}"));
    }
    inner.count(|c| c.txn_index_entries += u64::from(end - from));
    Ok(end)
}

/// The file of one segment, for a search.
pub(super) struct Reader<'a> {
    store: &'a Store,
    file: File,
    base: Offset,
    entries: u32,
    last: Offset,
}

impl<'a> Reader<'a> {
    /// `entries` of the file were written, and those count whose marker is not above `last`: a truncation may have taken others.
    pub(super) async fn open(
        store: &'a Store,
        id: PartitionId,
        name: SegmentName,
        (entries, last): (u32, Offset),
    ) -> Result<Self, Unusable> {
        let inner = &store.inner;
        let path = inner.paths.segment(id, name, ENDING);
        let open = Open { read: true, direct: true, ..Open::default() };
        match inner.rt.disk().open(&path, open).await {
            Ok(file) => Ok(Self { store, file, base: name.base, entries, last }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Unusable::Damaged(0)),
            Err(e) => Err(Unusable::Io(e.to_string())),
        }
    }

    /// Entries from number `from` on, which begins a block: as many as `bytes` hold, which are whole blocks.
    async fn some(&self, from: u32, bytes: usize) -> Result<Vec<AbortedTxn>, Unusable> {
        let at = u64::from(from) * AbortedTxn::LEN as u64;
        let left = (self.entries - from) as usize * AbortedTxn::LEN;
        let turn = self.store.inner.cold.device().await;
        let memory = self.store.inner.cold.buffers();
        let read = self.file.read_at_into(memory, at, blocks(left.min(bytes))).await;
        drop(turn);
        // The log says the same: what cannot be read is written anew.
        let read = read.map_err(|_| Unusable::Damaged(from))?;
        let wanted = left.min(bytes);
        let mut found = Vec::with_capacity(wanted / AbortedTxn::LEN);
        let whole = read.get(..wanted.min(read.len())).unwrap_or(&[]);
        for b in whole.as_chunks::<{ AbortedTxn::LEN }>().0 {
            let n = from + u32::try_from(found.len()).unwrap_or(u32::MAX);
            let txn = AbortedTxn::from_bytes(b, self.base).ok_or(Unusable::Damaged(n))?;
            if found.last().is_some_and(|before: &AbortedTxn| before.last >= txn.last) {
                return Err(Unusable::Damaged(n));
            }
            found.push(txn);
        }
        if found.len() * AbortedTxn::LEN < wanted {
            let n = from + u32::try_from(found.len()).unwrap_or(u32::MAX);
            return Err(Unusable::Damaged(n));
        }
        Ok(found)
    }

    /// Hands over the entries whose marker is at or above `from`, in order, until `take` wants no more.
    pub(super) async fn each(
        &self,
        from: Offset,
        mut take: impl FnMut(AbortedTxn) -> bool,
    ) -> Result<(), Unusable> {
        // The last block that begins below `from`, or the first.
        let (mut low, mut high) = (0, (self.entries.max(1) - 1) / PER_BLOCK);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            let begins = self.some(middle * PER_BLOCK, BLOCK).await?;
            if begins.first().is_some_and(|t| t.last < from) {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        let mut at = low * PER_BLOCK;
        while at < self.entries {
            let some = self.some(at, WINDOW).await?;
            at += u32::try_from(some.len()).unwrap_or(u32::MAX).max(1);
            for t in some {
                if t.last > self.last {
                    return Ok(());
                }
                if t.last >= from && !take(t) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

/// Hands over all that the file of a segment holds, in order, until `take` wants no more.
pub(crate) async fn each(
    store: &Store,
    p: &Shared,
    name: SegmentName,
    take: impl FnMut(AbortedTxn) -> bool,
) -> Result<(), Unusable> {
    let (id, entries, last) = {
        let p = p.borrow();
        let Some(s) = p.log.segment(name) else { return Ok(()) };
        (p.id, s.aborted.in_file(), s.aborted.file_last())
    };
    if entries == 0 {
        return Ok(());
    }
    Reader::open(store, id, name, (entries, last)).await?.each(Offset::ZERO, take).await
}
