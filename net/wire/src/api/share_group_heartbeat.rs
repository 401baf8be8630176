//! ShareGroupHeartbeat, key 76.

use crate::message::message;
use ids::TopicId;

message! {
    pub struct ShareGroupHeartbeatRequest<'a> flexible 0 {
        group_id: &'a str [0..],
        member_id: &'a str [0..],
        member_epoch: i32 [0..],
        rack_id: Option<&'a str> [0..],
        subscribed_topic_names: Option<Vec<&'a str>> [0..],
    }

    pub struct ShareGroupHeartbeatResponse<'a> flexible 0 {
        throttle_time_ms: i32 [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
        member_id: Option<&'a str> [0..],
        member_epoch: i32 [0..],
        heartbeat_interval_ms: i32 [0..],
        assignment: Option<Box<Assignment>> [0..],
    }
    pub struct Assignment flexible part {
        topic_partitions: Vec<TopicPartitions> [0..],
    }
    pub struct TopicPartitions flexible part {
        topic_id: TopicId [0..],
        partitions: Vec<i32> [0..],
    }
}
