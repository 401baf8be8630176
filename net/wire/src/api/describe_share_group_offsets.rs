//! DescribeShareGroupOffsets, key 90.

use crate::message::message;
use ids::TopicId;

message! {
    pub struct DescribeShareGroupOffsetsRequest<'a> flexible 0 {
        groups: Vec<DescribeShareGroupOffsetsRequestGroup<'a>> [0..],
    }
    pub struct DescribeShareGroupOffsetsRequestGroup<'a> flexible part {
        group_id: &'a str [0..],
        topics: Option<Vec<DescribeShareGroupOffsetsRequestTopic<'a>>> [0..] = Some(Vec::new()),
    }
    pub struct DescribeShareGroupOffsetsRequestTopic<'a> flexible part {
        topic_name: &'a str [0..],
        partitions: Vec<i32> [0..],
    }

    pub struct DescribeShareGroupOffsetsResponse<'a> flexible 0 {
        throttle_time_ms: i32 [0..],
        groups: Vec<DescribeShareGroupOffsetsResponseGroup<'a>> [0..],
    }
    pub struct DescribeShareGroupOffsetsResponseGroup<'a> flexible part {
        group_id: &'a str [0..],
        topics: Vec<DescribeShareGroupOffsetsResponseTopic<'a>> [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
    }
    pub struct DescribeShareGroupOffsetsResponseTopic<'a> flexible part {
        topic_name: &'a str [0..],
        topic_id: TopicId [0..],
        partitions: Vec<DescribeShareGroupOffsetsResponsePartition<'a>> [0..],
    }
    pub struct DescribeShareGroupOffsetsResponsePartition<'a> flexible part {
        partition_index: i32 [0..],
        start_offset: i64 [0..],
        leader_epoch: i32 [0..],
        lag: i64 [1..] = -1,
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
    }
}
