//! DescribeLogDirs: logical bytes of each partition, and the space of the file system.

use super::{Asked, read, reply};
use crate::broker::Broker;
use ids::PartitionId;
use server::Reply;
use wire::api::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use wire::{DecodeError, Reader};

pub(super) fn answer(
    broker: &Broker,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: DescribeLogDirsRequest<'_> = read(reader, asked)?;
    let image = broker.metadata.image();
    let wanted = |name: &str, index| match &request.topics {
        None => true,
        Some(topics) => topics
            .iter()
            .any(|t| t.topic == name && (t.partitions.is_empty() || t.partitions.contains(&index))),
    };
    let mut topics = Vec::new();
    for t in image.topics() {
        let partitions: Vec<DescribeLogDirsPartition> = t
            .partition_ids()
            .filter(|id| wanted(&t.name, id.index))
            .filter_map(|id| describe(broker, id))
            .collect();
        if !partitions.is_empty() {
            topics.push(DescribeLogDirsTopic { name: &t.name, partitions });
        }
    }
    let space = broker.rt.disk().space(std::path::Path::new(&broker.data_dir)).ok();
    let bytes = |n: Option<u64>| n.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1);
    let body = DescribeLogDirsResponse {
        results: vec![DescribeLogDirsResult {
            log_dir: &broker.data_dir,
            topics,
            total_bytes: bytes(space.map(|s| s.total)),
            usable_bytes: bytes(space.map(|s| s.free)),
            ..DescribeLogDirsResult::default()
        }],
        ..DescribeLogDirsResponse::default()
    };
    Ok(reply(asked, &body))
}

fn describe(broker: &Broker, id: PartitionId) -> Option<DescribeLogDirsPartition> {
    let size = broker.shard.store.with_log(id, log::Log::size).ok()?;
    Some(DescribeLogDirsPartition {
        partition_index: id.index,
        partition_size: i64::try_from(size).unwrap_or(i64::MAX),
        offset_lag: 0,
        is_future_key: false,
    })
}
