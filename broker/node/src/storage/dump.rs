//! `storage dump`.

use super::names::Names;
use super::out::{Out, time};
use super::{Failed, Only};
use crate::say::exit;
use serde_json::json;
use std::cell::RefCell;
use store::inspect::{AbortedLine, BatchLine, CommitLine, Inspector, RecordLine, RingLine};

/// Which part is wanted.
#[derive(Clone, Copy)]
pub(super) struct What {
    pub(super) rings: bool,
    pub(super) segments: bool,
}

pub(super) async fn show(
    inspector: &Inspector,
    names: &Names,
    only: &Only,
    what: What,
    out: Out,
) -> Result<u8, Failed> {
    let out = RefCell::new(out);
    if what.rings {
        let tell = |line: RingLine| ring_line(&line, names, &mut out.borrow_mut());
        inspector.dump_rings(|id| only.has(id), tell).await.map_err(|e| Failed {
            code: exit::FAILED,
            what: "a ring cannot be read".into(),
            cause: e.to_string(),
            remedy: "`ringwood storage verify` says what is damaged".into(),
        })?;
    }
    if what.segments {
        let tell = |line: BatchLine| batch_line(&line, names, &mut out.borrow_mut());
        inspector.dump_segments(|id| only.has(id), tell).await;
        let tell = |line: AbortedLine| aborted_line(&line, names, &mut out.borrow_mut());
        inspector.dump_aborted(|id| only.has(id), tell).await;
    }
    Ok(0)
}

fn ring_line(line: &RingLine, names: &Names, out: &mut Out) {
    match line {
        RingLine::Commit(c) => commit_line(c, out),
        RingLine::Record(r) => record_line(r, names, out),
        RingLine::Hole { core, after, partitions } => {
            let whose: Option<Vec<String>> =
                partitions.as_ref().map(|all| all.iter().map(|id| names.partition(*id)).collect());
            if out.json {
                out.object(&json!({
                    "kind": "damage", "core": core.0, "after": after, "partitions": whose,
                }));
            } else {
                let whose = whose.map_or_else(|| "unknown".into(), |all| all.join(","));
                out.row(&[
                    "damage".into(),
                    format!("core={}", core.0),
                    format!("after={after}"),
                    format!("partitions={whose}"),
                ]);
            }
        }
    }
}

fn commit_line(c: &CommitLine, out: &mut Out) {
    let kind = if c.skip { "skip" } else { "commit" };
    if out.json {
        out.object(&json!({
            "kind": kind, "core": c.core.0, "sequence": c.sequence, "position": c.position,
            "bytes": c.bytes, "records": c.records, "flushed_through": c.flushed_through,
            "at": time(c.at.0),
        }));
        return;
    }
    out.row(&[
        kind.into(),
        format!("core={}", c.core.0),
        format!("sequence={}", c.sequence),
        format!("position={}", c.position),
        format!("bytes={}", c.bytes),
        format!("records={}", c.records),
        format!("flushed={}", c.flushed_through),
        time(c.at.0),
    ]);
}

fn record_line(r: &RecordLine, names: &Names, out: &mut Out) {
    if out.json {
        out.object(&json!({
            "kind": "record", "commit": r.commit, "type": r.kind,
            "topic": r.partition.map(|id| names.of(id.topic)),
            "partition": r.partition.map(|id| id.index.0),
            "offset": r.offset.0, "offsets": r.offsets, "epoch": r.epoch.0, "bytes": r.bytes,
            "segment": r.segment.to_string(), "place": r.place, "previous": r.previous,
            "at": time(r.at.0),
        }));
        return;
    }
    let mut cells = vec!["record".to_owned(), format!("commit={}", r.commit), r.kind.to_owned()];
    if let Some(id) = r.partition {
        cells.extend([
            names.partition(id),
            format!("offset={}", r.offset),
            format!("offsets={}", r.offsets),
            format!("epoch={}", r.epoch.0),
            format!("bytes={}", r.bytes),
            format!("segment={}", r.segment),
            format!("place={}", r.place),
            format!("previous={}", r.previous),
        ]);
    }
    cells.push(time(r.at.0));
    out.row(&cells);
}

fn batch_line(b: &BatchLine, names: &Names, out: &mut Out) {
    let (topic, partition) = (names.of(b.partition.topic), b.partition.index.0);
    let h = match &b.batch {
        Ok(h) => h,
        Err(why) => {
            if out.json {
                out.object(&json!({
                    "kind": "damage", "topic": topic, "partition": partition,
                    "segment": b.segment.to_string(), "position": b.position, "bytes": b.bytes,
                    "why": why,
                }));
            } else {
                out.row(&[
                    "damage".into(),
                    names.partition(b.partition),
                    format!("segment={}", b.segment),
                    format!("position={}", b.position),
                    format!("bytes={}", b.bytes),
                    why.clone(),
                ]);
            }
            return;
        }
    };
    let codec = h.attributes.codec().map_or_else(|e| format!("{e:?}"), |c| c.to_string());
    let control = h.attributes.is_control();
    let transactional = h.attributes.is_transactional();
    if out.json {
        out.object(&json!({
            "kind": "batch", "topic": topic, "partition": partition,
            "segment": b.segment.to_string(), "position": b.position, "bytes": b.bytes,
            "base_offset": h.base_offset.0, "last_offset": h.last_offset().0, "records": h.count,
            "epoch": h.leader_epoch.0, "codec": codec, "producer_id": h.producer_id.0,
            "producer_epoch": h.producer_epoch.0, "base_sequence": h.base_sequence,
            "base_timestamp": h.base_timestamp.0, "max_timestamp": h.max_timestamp.0,
            "transactional": transactional, "control": control, "crc_ok": b.crc_ok, "gap": b.gap,
        }));
        return;
    }
    out.row(&[
        if b.gap { "gap" } else { "batch" }.into(),
        names.partition(b.partition),
        format!("offsets={}..{}", h.base_offset, h.last_offset()),
        format!("records={}", h.count),
        format!("bytes={}", b.bytes),
        format!("epoch={}", h.leader_epoch.0),
        format!("codec={codec}"),
        format!("producer={}/{}/{}", h.producer_id.0, h.producer_epoch.0, h.base_sequence),
        format!("time={}..{}", time(h.base_timestamp.0), time(h.max_timestamp.0)),
        format!(
            "flags={}{}",
            if transactional { "t" } else { "-" },
            if control { "c" } else { "-" }
        ),
        format!("segment={}", b.segment),
        format!("position={}", b.position),
        if b.crc_ok { "crc=ok" } else { "crc=WRONG" }.into(),
    ]);
}

fn aborted_line(a: &AbortedLine, names: &Names, out: &mut Out) {
    let (topic, partition) = (names.of(a.partition.topic), a.partition.index.0);
    let t = match &a.txn {
        Ok(t) => t,
        Err(why) => {
            let why = format!("transaction index: {why}");
            if out.json {
                out.object(&json!({
                    "kind": "damage", "topic": topic, "partition": partition,
                    "segment": a.segment.to_string(), "why": why,
                }));
            } else {
                out.row(&[
                    "damage".into(),
                    names.partition(a.partition),
                    format!("segment={}", a.segment),
                    why,
                ]);
            }
            return;
        }
    };
    if out.json {
        out.object(&json!({
            "kind": "aborted", "topic": topic, "partition": partition,
            "segment": a.segment.to_string(), "producer_id": t.producer_id.0,
            "first_offset": t.first.0, "last_offset": t.last.0,
            "last_stable_offset": t.last_stable.0, "in_file": a.in_file,
        }));
        return;
    }
    out.row(&[
        "aborted".into(),
        names.partition(a.partition),
        format!("offsets={}..{}", t.first, t.last),
        format!("producer={}", t.producer_id.0),
        format!("stable={}", t.last_stable),
        format!("segment={}", a.segment),
        if a.in_file { "index=file" } else { "index=memory" }.into(),
    ]);
}
