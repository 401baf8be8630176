//! Writes whole blocks of segments: each block once, oldest first, only bytes whose commits are flushed.

use crate::format::{BLOCK, blocks};
use crate::partition::{OpenFile, Partition, Shared, floor_block};
use crate::planted::{self, Planted};
use crate::reserve::is_full;
use crate::rest_log;
use crate::store::Inner;
use log::{IndexEntry, SegmentName};
use runtime::{File, Open, Slice};
use std::io;
use std::rc::Rc;

/// A file's allocation doubles from the first to the second.
const ALLOCATE_MIN: u64 = 64 * 1024;
const ALLOCATE_MAX: u64 = 32 * 1024 * 1024;
/// Index entries of one block.
const INDEX_BLOCK: u32 = (BLOCK / IndexEntry::LEN) as u32;

/// Blocks that are put together from the rest log are written in runs of this.
const GATHERED_MAX: u32 = 256 * 1024;

/// How often a directory is made again that another deletion has taken away.
const MAKE_TRIES: u32 = 8;

/// Opens the file of a segment, and makes it and its directories if there are none.
pub(crate) async fn open(inner: &Rc<Inner>, p: &Shared, name: SegmentName) -> io::Result<File> {
    let mut tries = 0;
    loop {
        match open_once(inner, p, name).await {
            // Another partition of the topic was the last to be deleted and took the topic's directory with it.
            Err(e) if e.kind() == io::ErrorKind::NotFound && tries < MAKE_TRIES => {
                tries += 1;
                p.borrow_mut().has_directory = false;
            }
            opened => return opened,
        }
    }
}

async fn open_once(inner: &Rc<Inner>, p: &Shared, name: SegmentName) -> io::Result<File> {
    let (id, has_directory) = {
        let p = p.borrow();
        if let Some(file) = p.files.get(&name).and_then(|f| f.file.as_ref()) {
            return Ok(file.handle());
        }
        (p.id, p.has_directory)
    };
    let disk = inner.rt.disk();
    if !has_directory {
        disk.create_dir_all(&inner.paths.partition(id)).await?;
        inner.unlisted.borrow_mut().extend([
            inner.paths.topic(id.topic),
            inner.paths.topics(),
            inner.paths.root().to_owned(),
        ]);
        p.borrow_mut().has_directory = true;
    }
    let path = inner.paths.segment(id, name, "log");
    let open = Open { read: true, write: true, create: true, direct: true, ..Open::default() };
    let file = disk.open(&path, open).await?;
    inner.unlisted.borrow_mut().insert(inner.paths.partition(id));
    let mut p = p.borrow_mut();
    let f = p.files.get_or_default(name);
    let open = f.file.get_or_insert_with(|| OpenFile::new(file, &inner.segment_files));
    Ok(open.handle())
}

/// Writes blocks of `segment` up to position `to`. With `pad`, the segment ends there and its last block is filled up. The
/// caller holds the partition's `writing`.
pub(crate) async fn write_segment(
    inner: &Rc<Inner>,
    p: &Shared,
    segment: SegmentName,
    to: u32,
    pad: bool,
) -> io::Result<()> {
    let left_out = planted::is(Planted::EarlierFileLeftOut) && !pad && !inner.checkpointing.get();
    loop {
        let from = p.borrow().files.get(&segment).map_or(0, |f| f.submitted);
        if from >= to || p.borrow().log.segment(segment).is_none() {
            return Ok(());
        }
        let file = open(inner, p, segment).await?;
        let in_memory = p.borrow_mut().tail.blocks(segment, from, to, pad);
        let slice = match in_memory {
            Some(slice) => slice,
            None => match gathered(inner, p, segment, (from, to), pad).await {
                Some(slice) => slice,
                None => return Ok(()),
            },
        };
        let end = from + u32::try_from(slice.len()).unwrap_or(u32::MAX);
        allocate(inner, p, &file, segment, u64::from(end)).await?;
        {
            let mut p = p.borrow_mut();
            let Some(f) = p.files.get_mut(&segment) else { return Ok(()) };
            f.submitted = end;
            f.unsynced = !left_out;
        }
        let len = slice.len() as u64;
        if let Err(e) = file.write_at(u64::from(from), slice).await {
            inner.rt.fault(format!("write of segment {segment} of {} failed: {e}", p.borrow().id));
        }
        inner.count(|c| {
            c.segment_bytes += len;
            c.segment_writes += 1;
        });
        if pad && end >= to {
            cut_to(inner, p, &file, segment, end).await?;
        }
        let mut p_mut = p.borrow_mut();
        if let Some(f) = p_mut.files.get_mut(&segment) {
            f.written = end;
            // Again: a sync that ran meanwhile did not cover this write.
            f.unsynced = !left_out;
        }
        let (mut done, all) = (p_mut.tail.ends_within(segment, from, end), p_mut.tail.len());
        // A chunk that was written while it still grew has been mentioned before: never more mentions than chunks.
        done += std::mem::take(&mut p_mut.held_up).min(all - done);
        drop(p_mut);
        let mentions = std::iter::repeat_with(|| Rc::downgrade(p)).take(done);
        inner.evictable.borrow_mut().extend(mentions);
    }
}

/// Blocks of `segment` of which memory has given up the beginning: it is in the rest log. `None` if there is no whole one.
async fn gathered(
    inner: &Rc<Inner>,
    p: &Shared,
    segment: SegmentName,
    (from, to): (u32, u32),
    pad: bool,
) -> Option<Slice> {
    let limit = to.min(from.saturating_add(GATHERED_MAX));
    let limit = if pad && limit == to { to } else { floor_block(limit) };
    if limit <= from || p.borrow().log.segment(segment).is_none() {
        return None;
    }
    let found = rest_log::above(inner, p, segment, from, limit).await;
    rest_log::on_stop(inner, p, segment, &found);
    let whole = if pad && found.end == to { found.end } else { floor_block(found.end) };
    if whole <= from || p.borrow().log.segment(segment).is_none() {
        return None;
    }
    let mut buffer = inner.rt.memory().alloc_beyond(blocks((found.end - from) as usize));
    found.append_to(&mut buffer);
    buffer.pad_to(BLOCK);
    Some(buffer.slice(0..blocks((whole - from) as usize)))
}

/// A sealed segment gives back what was allocated and not used. The checkpoint that sealed it syncs the file afterwards.
async fn cut_to(
    inner: &Rc<Inner>,
    p: &Shared,
    file: &File,
    segment: SegmentName,
    end: u32,
) -> io::Result<()> {
    if file.len()? <= u64::from(end) {
        return Ok(());
    }
    if let Err(e) = file.set_len(u64::from(end)).await {
        inner.rt.fault(format!("segment {segment} of {} cannot be cut: {e}", p.borrow().id));
    }
    if let Some(f) = p.borrow_mut().files.get_mut(&segment) {
        f.allocated = u64::from(end);
    }
    Ok(())
}

/// Disk full is met here and nowhere else: blocks are written only where space is allocated.
async fn allocate(
    inner: &Inner,
    p: &Shared,
    file: &File,
    segment: SegmentName,
    to: u64,
) -> io::Result<()> {
    let allocated = p.borrow().files.get(&segment).map_or(0, |f| f.allocated);
    if to <= allocated {
        return Ok(());
    }
    let limit = u64::from(p.borrow().config.log.segment_bytes).next_multiple_of(4096);
    let step = allocated.clamp(ALLOCATE_MIN, ALLOCATE_MAX);
    let wanted = (allocated + step).min(limit.max(to)).max(to);
    // Near a full disk each takes what it needs: what the first takes beyond it, others would not get.
    let is_spare = inner.full.get().is_none() && inner.has_room_to_spare(wanted - allocated);
    let wanted = if is_spare { wanted } else { to };
    let wanted = match file.allocate(allocated, wanted - allocated).await {
        Ok(()) => wanted,
        // Not as much as would be good, but what is needed now.
        Err(e) if is_full(&e) && wanted > to => {
            file.allocate(allocated, to - allocated).await?;
            to
        }
        Err(e) => return Err(e),
    };
    if let Some(f) = p.borrow_mut().files.get_mut(&segment) {
        f.allocated = wanted;
    }
    Ok(())
}

/// Appends whole blocks of the index, or all that is left of a sealed segment's. Entries beyond the count in the manifest
/// mean nothing, so a block is never written twice while it counts.
pub(crate) async fn write_index(
    inner: &Rc<Inner>,
    p: &Shared,
    segment: SegmentName,
    bytes: u32,
    sealed: bool,
) -> io::Result<()> {
    let (id, from, block) = {
        let p = p.borrow();
        let Some(f) = p.files.get(&segment) else { return Ok(()) };
        let Some(s) = p.log.segment(segment) else { return Ok(()) };
        let entries = s.index.entries();
        let newer = planted::is(Planted::IndexNewerThanLog);
        let durable = entries.partition_point(|e| e.position < bytes || newer);
        let end = f.index_base + u32::try_from(durable).unwrap_or(u32::MAX);
        // Of a sealed segment, too, more may follow: one that was cut while it was written has its last block in the rest log.
        let all = sealed && durable == entries.len();
        let end = if all { end } else { end - end % INDEX_BLOCK };
        if end <= f.index_written {
            return Ok(());
        }
        let skip = (f.index_written - f.index_base) as usize;
        let take = (end - f.index_written) as usize;
        let mut block = Vec::with_capacity(take * IndexEntry::LEN);
        for e in &entries[skip..skip + take] {
            block.extend_from_slice(&e.to_bytes());
        }
        (p.id, f.index_written, (block, end))
    };
    let (bytes, end) = block;
    let path = inner.paths.segment(id, segment, "index");
    let open = Open { read: true, write: true, create: true, direct: true, ..Open::default() };
    let file = inner.rt.disk().open(&path, open).await?;
    inner.unlisted.borrow_mut().insert(inner.paths.partition(id));
    let at = u64::from(from) * IndexEntry::LEN as u64;
    let mut buffer = inner.rt.memory().alloc_beyond(blocks(bytes.len()));
    buffer.append(&bytes);
    buffer.pad_to(BLOCK);
    let len = buffer.len();
    file.allocate(at, len as u64).await?;
    if let Err(e) = file.write_at(at, buffer.slice(0..len)).await {
        inner.rt.fault(format!("write of the index of segment {segment} of {id} failed: {e}"));
    }
    if let Err(e) = file.sync_data().await {
        inner.rt.fault(format!("sync of the index of segment {segment} of {id} failed: {e}"));
    }
    let mut p = p.borrow_mut();
    let Partition { files, log, .. } = &mut *p;
    if let (Some(f), Some(s)) = (files.get_mut(&segment), log.segment(segment)) {
        // A truncation meanwhile has taken the entries behind the new end.
        let left = f.index_base + u32::try_from(s.index.entries().len()).unwrap_or(u32::MAX);
        f.index_written = end.min(left);
    }
    Ok(())
}

/// Starts a task that writes what is worth writing, if none runs. A checkpoint under way writes for itself first.
pub(crate) fn kick(inner: &Rc<Inner>, p: &Shared) {
    {
        let mut p_mut = p.borrow_mut();
        let held = is_held(inner, &p_mut);
        let worth = p_mut.log.segments().iter().rev().take(2).any(|s| {
            let submitted = p_mut.files.get(&s.name).map_or(0, |f| f.submitted);
            floor_block(p_mut.durable_bytes(s.name)).saturating_sub(submitted)
                >= inner.config.thresholds.write_bytes
        });
        if p_mut.writing || held || !worth || p_mut.deleted {
            return;
        }
        p_mut.writing = true;
    }
    let (inner, p) = (Rc::clone(inner), Rc::clone(p));
    inner.rt.clone().spawn(async move {
        let _turn = inner.writers.acquire().await;
        let result = write_what_is_worth(&inner, &p).await;
        p.borrow_mut().writing = false;
        inner.writing_done.notify_all();
        match result {
            Ok(()) => {}
            Err(e) => inner.on_refused(&e),
        }
    });
}

/// A checkpoint under way has not come to this partition yet: blocks after commit N must wait, so that what the checkpoint
/// counts is the state after N.
pub(crate) fn is_held(inner: &Inner, p: &Partition) -> bool {
    let ahead = planted::is(Planted::BlocksAheadOfTheCheckpoint);
    !ahead && inner.checkpointing.get() && p.dirty && p.processed < inner.checkpoint.get()
}

async fn write_what_is_worth(inner: &Rc<Inner>, p: &Shared) -> io::Result<()> {
    loop {
        let next = {
            let p = p.borrow();
            if is_held(inner, &p) {
                return Ok(());
            }
            p.log.segments().iter().map(|s| (s.name, floor_block(p.durable_bytes(s.name)))).find(
                |(name, to)| {
                    let submitted = p.files.get(name).map_or(0, |f| f.submitted);
                    to.saturating_sub(submitted) >= inner.config.thresholds.write_bytes
                },
            )
        };
        let Some((segment, to)) = next else { return Ok(()) };
        let from = p.borrow().files.get(&segment).map_or(0, |f| f.submitted);
        let whole = to - (to - from) % inner.config.thresholds.write_bytes;
        write_segment(inner, p, segment, whole, false).await?;
        let reached = p.borrow().files.get(&segment).map_or(0, |f| f.submitted);
        if reached == from {
            return Ok(());
        }
    }
}
