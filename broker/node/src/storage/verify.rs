//! `storage verify`.

use super::names::Names;
use super::out::Out;
use crate::say::exit;
use serde_json::json;
use std::cell::RefCell;
use store::inspect::{Finding, Inspector, Severity};

/// 0 if everything that counts is as it was written, 1 if something is damaged.
pub(super) async fn show(inspector: &Inspector, names: &Names, out: Out) -> u8 {
    let out = RefCell::new(out);
    let verified =
        inspector.verify(|_| {}, |f: Finding| line(&f, names, &mut out.borrow_mut())).await;
    let mut out = out.borrow_mut();
    if out.json {
        out.object(&json!({
            "kind": "summary", "partitions": verified.partitions, "segments": verified.segments,
            "batches": verified.batches, "bytes": verified.bytes, "commits": verified.commits,
            "damaged": verified.damaged,
        }));
    } else {
        out.row(&[
            if verified.damaged == 0 { "ok" } else { "damaged" }.into(),
            format!("partitions={}", verified.partitions),
            format!("segments={}", verified.segments),
            format!("batches={}", verified.batches),
            format!("bytes={}", verified.bytes),
            format!("commits={}", verified.commits),
            format!("damaged={}", verified.damaged),
        ]);
    }
    if verified.damaged == 0 { 0 } else { exit::FAILED }
}

fn line(f: &Finding, names: &Names, out: &mut Out) {
    let severity = match f.severity {
        Severity::Damage => "damage",
        Severity::Note => "note",
    };
    if out.json {
        out.object(&json!({
            "kind": severity,
            "topic": f.partition.map(|id| names.of(id.topic)),
            "partition": f.partition.map(|id| id.index.0),
            "place": f.place, "position": f.position, "what": f.what,
        }));
        return;
    }
    out.row(&[
        severity.into(),
        f.partition.map_or_else(|| "-".into(), |id| names.partition(id)),
        f.place.clone(),
        f.position.map_or_else(|| "-".into(), |p| p.to_string()),
        f.what.clone(),
    ]);
}
