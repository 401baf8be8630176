//! Requests of the scenes, and what their answers say.

use client::Reply;
use ids::{Offset, PartitionIndex, Timestamp};
use record::BatchBuilder;
use wire::api::create_topics::{CreatableTopic, CreateTopicsRequest, CreateTopicsResponse};
use wire::api::find_coordinator::FindCoordinatorRequest;
use wire::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use wire::api::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use wire::{ErrorCode, Records};

pub(crate) const CREATE_TOPICS: i16 = 7;
pub(crate) const FIND_COORDINATOR: i16 = 3;
pub(crate) const METADATA: i16 = 12;
pub(crate) const OFFSET_COMMIT: i16 = 8;
pub(crate) const PRODUCE: i16 = 9;

/// Who coordinates a group: the first to ask makes `__consumer_offsets`.
pub(crate) fn coordinator(group: &str) -> FindCoordinatorRequest<'_> {
    FindCoordinatorRequest { key: group, ..FindCoordinatorRequest::default() }
}

/// A topic of one partition.
pub(crate) fn create(topic: &str) -> CreateTopicsRequest<'_> {
    let topic = CreatableTopic {
        name: topic,
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() }
}

pub(crate) fn created(reply: &Reply) -> ErrorCode {
    reply.decode::<CreateTopicsResponse<'_>>().unwrap().topics[0].error_code
}

/// What is known of a topic, which is not created.
pub(crate) fn metadata(topic: &str) -> MetadataRequest<'_> {
    let topic = MetadataRequestTopic { name: Some(topic), ..MetadataRequestTopic::default() };
    MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

/// The error, and how many partitions there are.
pub(crate) fn known(reply: &Reply) -> (ErrorCode, usize) {
    let metadata: MetadataResponse<'_> = reply.decode().unwrap();
    (metadata.topics[0].error_code, metadata.topics[0].partitions.len())
}

/// A batch of one record.
pub(crate) fn batch(value: &[u8]) -> Vec<u8> {
    let mut batch = BatchBuilder::new();
    batch.push(Timestamp(1), None, Some(value), &[]);
    batch.build().unwrap()
}

/// To partition 0, with acks all.
pub(crate) fn produce<'a>(topic: &'a str, batch: &'a [u8]) -> ProduceRequest<'a> {
    let partition =
        PartitionProduceData { index: PartitionIndex(0), records: Records::Slice(batch) };
    let topic = TopicProduceData {
        name: topic,
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    ProduceRequest { acks: -1, timeout_ms: 60_000, topic_data: vec![topic], ..Default::default() }
}

pub(crate) fn produced(reply: &Reply) -> ErrorCode {
    let response: ProduceResponse<'_> = reply.decode().unwrap();
    response.responses[0].partition_responses[0].error_code
}

/// An offset of partition 0, of nobody in particular.
pub(crate) fn commit<'a>(
    group: &'a str,
    topic: &'a str,
    offset: i64,
    text: &'a str,
) -> OffsetCommitRequest<'a> {
    let partition = OffsetCommitRequestPartition {
        partition_index: PartitionIndex(0),
        committed_offset: Offset(offset),
        committed_metadata: Some(text),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: topic,
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    OffsetCommitRequest { group_id: group, topics: vec![topic], ..OffsetCommitRequest::default() }
}

pub(crate) fn committed(reply: &Reply) -> ErrorCode {
    let response: OffsetCommitResponse<'_> = reply.decode().unwrap();
    response.topics[0].partitions[0].error_code
}
