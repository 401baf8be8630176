//! Every commit and record of the rings, every batch of the segments.

use super::gap::is_gap;
use super::walk::{Step, Walk};
use super::{Inspector, Looked};
use crate::data_dir::OpenError;
use crate::format::commit::{Header, Kind};
use crate::format::record::Type;
use crate::format::{BLOCK, blocks, commit, record};
use crate::replay::meta_of;
use crate::scan::Link;
use ::record::BatchHeader;
use ids::{CoreId, LeaderEpoch, Offset, PartitionId, Timestamp};
use log::SegmentName;

/// One commit of a ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitLine {
    /// Whose ring.
    pub core: CoreId,
    /// Its number.
    pub sequence: u64,
    /// Where it begins, counted since the ring was made.
    pub position: u64,
    /// Bytes on disk.
    pub bytes: u32,
    /// It only ends a ring file.
    pub skip: bool,
    /// Records in it.
    pub records: u32,
    /// The highest commit that was known to be flushed when it was written.
    pub flushed_through: u64,
    /// When it was written.
    pub at: Timestamp,
}

/// One record of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLine {
    /// The commit that holds it.
    pub commit: u64,
    /// What it is: `start`, `data`, `truncate`, `log-start`, `delete`, `clean-shutdown` or `directory`.
    pub kind: &'static str,
    /// Whose record; none for those of the ring itself.
    pub partition: Option<PartitionId>,
    /// Bytes of its payload.
    pub bytes: u32,
    /// The first offset of a batch, or the new start or end.
    pub offset: Offset,
    /// How many offsets a batch takes; 0 for other records.
    pub offsets: i32,
    /// The leader epoch.
    pub epoch: LeaderEpoch,
    /// Where a batch goes.
    pub segment: SegmentName,
    /// Where in it.
    pub place: u32,
    /// The partition's previous record is in this commit.
    pub previous: u64,
    /// When it was decided.
    pub at: Timestamp,
}

/// What a ring holds, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingLine {
    /// A commit; its records follow.
    Commit(CommitLine),
    /// A record.
    Record(RecordLine),
    /// Commits that were flushed and cannot be read.
    Hole {
        /// Whose ring.
        core: CoreId,
        /// The last readable commit before it.
        after: u64,
        /// The partitions that it held, if that is known.
        partitions: Option<Vec<PartitionId>>,
    },
}

/// One batch of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchLine {
    /// Whose batch.
    pub partition: PartitionId,
    /// In which segment.
    pub segment: SegmentName,
    /// Where in it.
    pub position: u32,
    /// Bytes of the batch; of what cannot be read, for damage.
    pub bytes: u32,
    /// Its header, or why it cannot be read.
    pub batch: Result<BatchHeader, String>,
    /// The checksum matches.
    pub crc_ok: bool,
    /// It holds no record, and stands for some that are lost: the loss was accepted.
    pub gap: bool,
}

impl Inspector {
    /// Goes through every ring from the last checkpoint on. With `only`, records of other partitions are left out.
    ///
    /// # Errors
    /// [`OpenError::Io`] if a ring cannot be read.
    pub async fn dump_rings(
        &self,
        only: impl Fn(PartitionId) -> bool,
        mut tell: impl FnMut(RingLine),
    ) -> Result<(), OpenError> {
        for c in self.looked() {
            for link in &c.chain.links {
                match link {
                    Link::Hole(hole) => tell(RingLine::Hole {
                        core: c.core,
                        after: hole.after,
                        partitions: hole.partitions.clone(),
                    }),
                    Link::Commit { header } => {
                        tell(RingLine::Commit(commit_line(c.core, header)));
                        let bytes = commit_bytes(c, header).await?;
                        let body = bytes.get(commit::HEADER..header.used as usize).unwrap_or(&[]);
                        for (h, payload) in record::records(body, header.records).flatten() {
                            let line = record_line(header.sequence, &h, payload);
                            if line.partition.is_none_or(&only) {
                                tell(RingLine::Record(line));
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Goes through the segments of the partitions that `only` names.
    pub async fn dump_segments(
        &self,
        only: impl Fn(PartitionId) -> bool,
        mut tell: impl FnMut(BatchLine),
    ) {
        for c in self.looked() {
            for id in c.store.partitions().into_iter().filter(|id| only(*id)) {
                let Ok(p) = c.store.partition(id) else { continue };
                let segments: Vec<(SegmentName, u32, bool)> = p
                    .borrow()
                    .log
                    .segments()
                    .iter()
                    .map(|s| (s.name, s.len, s.compacted))
                    .collect();
                for (name, len, compacted) in segments {
                    let mut walk = Walk::new(&c.store, p.clone(), name);
                    loop {
                        let line =
                            |position, bytes, batch: Result<BatchHeader, _>, crc_ok| BatchLine {
                                gap: batch.as_ref().is_ok_and(|h| is_gap(h, compacted)),
                                partition: id,
                                segment: name,
                                position,
                                bytes,
                                batch,
                                crc_ok,
                            };
                        match walk.next().await {
                            Step::Batch(b) => {
                                tell(line(b.position, b.bytes, Ok(b.header), b.crc_ok));
                            }
                            Step::Lost { position, why, .. } => {
                                tell(line(position, len - position, Err(why), false));
                            }
                            Step::End => break,
                        }
                    }
                }
            }
        }
    }
}

fn commit_line(core: CoreId, h: &Header) -> CommitLine {
    CommitLine {
        core,
        sequence: h.sequence,
        position: h.position,
        bytes: h.length,
        skip: h.kind == Kind::Skip,
        records: h.records,
        flushed_through: h.flushed_through,
        at: Timestamp(h.sealed_at),
    }
}

fn record_line(commit: u64, h: &record::Header, payload: &[u8]) -> RecordLine {
    let kind = match h.kind {
        Type::Start => "start",
        Type::Data => "data",
        Type::Truncate => "truncate",
        Type::LogStart => "log-start",
        Type::Delete => "delete",
        Type::CleanShutdown => "clean-shutdown",
        Type::Directory => "directory",
    };
    let of_the_ring = matches!(h.kind, Type::Start | Type::CleanShutdown | Type::Directory);
    let batch = if h.kind == Type::Data { meta_of(payload) } else { None };
    let offsets = batch.map_or(0, |m| m.offsets);
    RecordLine {
        commit,
        kind,
        partition: (!of_the_ring).then_some(h.partition),
        bytes: h.length,
        offset: h.offset,
        offsets,
        epoch: h.epoch,
        segment: h.place.segment,
        place: h.place.position,
        previous: h.previous,
        at: h.at,
    }
}

async fn commit_bytes(c: &Looked, h: &Header) -> Result<Vec<u8>, OpenError> {
    let (file, at) = c.ring.locate(h.position);
    let wanted = blocks(h.used as usize);
    let mut bytes = Vec::with_capacity(wanted);
    while bytes.len() < wanted {
        let from = at + bytes.len() as u64;
        let n = (wanted - bytes.len()).min(256 * BLOCK);
        let part = match c.ring_files.get(file) {
            Some(file) => file.read_at(from, n).await,
            None => Err(std::io::ErrorKind::NotFound.into()),
        };
        let part = part.map_err(crate::data_dir::fail("cannot read the ring"))?;
        if part.is_empty() {
            break;
        }
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}
