//! `storage info`.

use super::Only;
use super::names::Names;
use super::out::{Out, hex};
use serde_json::json;
use store::inspect::{CoreInfo, Info, PartitionInfo};

pub(super) fn show(info: &Info, names: &Names, only: &Only, mut out: Out) {
    let partitions: Vec<&PartitionInfo> =
        info.partitions.iter().filter(|p| only.has(p.id)).collect();
    if out.json {
        let cores: Vec<_> = info.cores.iter().map(core_object).collect();
        let partitions: Vec<_> = partitions.iter().map(|p| partition_object(p, names)).collect();
        out.object(&json!({
            "generation": info.generation,
            "directory": hex(&info.directory),
            "cores": cores,
            "partitions": partitions,
        }));
        return;
    }
    out.table(
        &["DIRECTORY", "GENERATION", "CORES", "PARTITIONS"],
        &[vec![
            hex(&info.directory),
            info.generation.to_string(),
            info.cores.len().to_string(),
            info.partitions.len().to_string(),
        ]],
    );
    let rows: Vec<_> = info.cores.iter().map(core_row).collect();
    out.table(
        &[
            "CORE",
            "RING",
            "USED",
            "COMMITS",
            "REPLAY-AFTER",
            "LAST",
            "FLUSHED",
            "CLEAN",
            "MANIFEST-A",
            "MANIFEST-B",
            "MANIFEST-BYTES",
            "REST",
            "REST-BYTES",
            "REST-LIVE",
            "DAMAGE",
        ],
        &rows,
    );
    let rows: Vec<_> = partitions.iter().map(|p| partition_row(p, names)).collect();
    out.table(
        &[
            "TOPIC",
            "PARTITION",
            "CORE",
            "START",
            "END",
            "SEGMENTS",
            "BYTES",
            "IN-FILES",
            "IN-REST",
            "PRODUCERS",
            "INCOMPLETE",
        ],
        &rows,
    );
}

fn core_row(c: &CoreInfo) -> Vec<String> {
    vec![
        c.core.0.to_string(),
        c.ring_bytes.to_string(),
        c.ring_used.to_string(),
        c.commits.to_string(),
        c.replay_after.to_string(),
        c.last_commit.to_string(),
        c.flushed_through.to_string(),
        if c.clean { "yes" } else { "no" }.to_owned(),
        c.manifests[0].to_string(),
        c.manifests[1].to_string(),
        c.manifest_bytes.to_string(),
        c.rest.0.to_string(),
        c.rest.1.to_string(),
        c.rest_live.to_string(),
        c.damage.clone().unwrap_or_else(|| "-".into()),
    ]
}

fn core_object(c: &CoreInfo) -> serde_json::Value {
    json!({
        "core": c.core.0,
        "ring_bytes": c.ring_bytes,
        "ring_used": c.ring_used,
        "commits": c.commits,
        "replay_after": c.replay_after,
        "last_commit": c.last_commit,
        "flushed_through": c.flushed_through,
        "clean": c.clean,
        "manifests": c.manifests,
        "manifest_bytes": c.manifest_bytes,
        "rest_log": c.rest.0,
        "rest_bytes": c.rest.1,
        "rest_live": c.rest_live,
        "damage": c.damage,
    })
}

fn partition_row(p: &PartitionInfo, names: &Names) -> Vec<String> {
    vec![
        names.of(p.id.topic),
        p.id.index.to_string(),
        p.core.0.to_string(),
        p.offsets.0.to_string(),
        p.offsets.1.to_string(),
        p.segments.to_string(),
        p.bytes.to_string(),
        p.in_files.to_string(),
        p.in_rest.to_string(),
        p.producers.to_string(),
        p.incomplete.clone().unwrap_or_else(|| "-".into()),
    ]
}

fn partition_object(p: &PartitionInfo, names: &Names) -> serde_json::Value {
    json!({
        "topic": names.of(p.id.topic),
        "topic_id": p.id.topic.to_string(),
        "partition": p.id.index.0,
        "core": p.core.0,
        "start": p.offsets.0.0,
        "end": p.offsets.1.0,
        "segments": p.segments,
        "bytes": p.bytes,
        "in_files": p.in_files,
        "in_rest": p.in_rest,
        "producers": p.producers,
        "incomplete": p.incomplete,
    })
}
