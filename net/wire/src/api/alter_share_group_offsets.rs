//! AlterShareGroupOffsets, key 91.

use crate::message::message;
use ids::TopicId;

message! {
    pub struct AlterShareGroupOffsetsRequest<'a> flexible 0 {
        group_id: &'a str [0..],
        topics: Vec<AlterShareGroupOffsetsRequestTopic<'a>> [0..],
    }
    pub struct AlterShareGroupOffsetsRequestTopic<'a> flexible part {
        topic_name: &'a str [0..],
        partitions: Vec<AlterShareGroupOffsetsRequestPartition> [0..],
    }
    pub struct AlterShareGroupOffsetsRequestPartition flexible part {
        partition_index: i32 [0..],
        start_offset: i64 [0..],
    }

    pub struct AlterShareGroupOffsetsResponse<'a> flexible 0 {
        throttle_time_ms: i32 [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
        responses: Vec<AlterShareGroupOffsetsResponseTopic<'a>> [0..],
    }
    pub struct AlterShareGroupOffsetsResponseTopic<'a> flexible part {
        topic_name: &'a str [0..],
        topic_id: TopicId [0..],
        partitions: Vec<AlterShareGroupOffsetsResponsePartition<'a>> [0..],
    }
    pub struct AlterShareGroupOffsetsResponsePartition<'a> flexible part {
        partition_index: i32 [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
    }
}
