//! ShareGroupDescribe, key 77.

use crate::message::message;
use ids::TopicId;

message! {
    pub struct ShareGroupDescribeRequest<'a> flexible 0 {
        group_ids: Vec<&'a str> [0..],
        include_authorized_operations: bool [0..],
    }

    pub struct ShareGroupDescribeResponse<'a> flexible 0 {
        throttle_time_ms: i32 [0..],
        groups: Vec<DescribedGroup<'a>> [0..],
    }
    pub struct DescribedGroup<'a> flexible part {
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
        group_id: &'a str [0..],
        group_state: &'a str [0..],
        group_epoch: i32 [0..],
        assignment_epoch: i32 [0..],
        assignor_name: &'a str [0..],
        members: Vec<Member<'a>> [0..],
        authorized_operations: i32 [0..] = i32::MIN,
    }
    pub struct Member<'a> flexible part {
        member_id: &'a str [0..],
        rack_id: Option<&'a str> [0..],
        member_epoch: i32 [0..],
        client_id: &'a str [0..],
        client_host: &'a str [0..],
        subscribed_topic_names: Vec<&'a str> [0..],
        assignment: Assignment<'a> [0..],
    }
    pub struct TopicPartitions<'a> flexible part {
        topic_id: TopicId [0..],
        topic_name: &'a str [0..],
        partitions: Vec<i32> [0..],
    }
    pub struct Assignment<'a> flexible part {
        topic_partitions: Vec<TopicPartitions<'a>> [0..],
    }
}
