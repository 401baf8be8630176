//! DescribeLogDirs: logical bytes of each partition, and the space of the file system.

use super::owners::at_owners;
use super::{Asked, read, reply};
use crate::broker::Broker;
use ids::{PartitionId, PartitionIndex};
use server::Reply;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use wire::api::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use wire::{DecodeError, Reader};

pub(super) async fn answer(
    broker: &Rc<Broker>,
    asked: &Asked<'_>,
    reader: &mut Reader<'_>,
) -> Result<Reply, DecodeError> {
    let request: DescribeLogDirsRequest<'_> = read(reader, asked)?;
    // By name: asking for many partitions of many topics must not cost their product.
    let named = request.topics.as_ref().map(|topics| {
        let mut named: BTreeMap<&str, BTreeSet<PartitionIndex>> = BTreeMap::new();
        for t in topics {
            // Without partitions nothing of it is asked.
            named.entry(t.topic).or_default().extend(&t.partitions);
        }
        named
    });
    let wanted = |name: &str, index| match &named {
        None => true,
        Some(named) => named.get(name).is_some_and(|some| some.contains(&index)),
    };
    let listed: Vec<(Box<str>, Vec<PartitionId>)> = broker
        .metadata
        .image()
        .topics()
        .map(|t| {
            let ids = t.partition_ids().filter(|id| wanted(&t.name, id.index)).collect();
            (t.name.clone(), ids)
        })
        .collect();
    let questions = listed.iter().flat_map(|(_, ids)| ids.iter().map(|id| (*id, ()))).collect();
    let mut answers = at_owners(broker, questions, describe).await.into_iter();
    let mut topics = Vec::new();
    for (name, ids) in &listed {
        let partitions: Vec<DescribeLogDirsPartition> =
            ids.iter().zip(&mut answers).filter_map(|(_, a)| a.flatten()).collect();
        if !partitions.is_empty() {
            topics.push(DescribeLogDirsTopic { name, partitions });
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

async fn describe(broker: Rc<Broker>, id: PartitionId, (): ()) -> Option<DescribeLogDirsPartition> {
    let size = broker.shard.store.with_log(id, log::Log::size).ok()?;
    Some(DescribeLogDirsPartition {
        partition_index: id.index,
        partition_size: i64::try_from(size).unwrap_or(i64::MAX),
        offset_lag: 0,
        is_future_key: false,
    })
}
