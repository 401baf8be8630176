//! DeleteShareGroupOffsets, key 92.

use crate::message::message;
use ids::TopicId;

message! {
    pub struct DeleteShareGroupOffsetsRequest<'a> flexible 0 {
        group_id: &'a str [0..],
        topics: Vec<DeleteShareGroupOffsetsRequestTopic<'a>> [0..],
    }
    pub struct DeleteShareGroupOffsetsRequestTopic<'a> flexible part {
        topic_name: &'a str [0..],
    }

    pub struct DeleteShareGroupOffsetsResponse<'a> flexible 0 {
        throttle_time_ms: i32 [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
        responses: Vec<DeleteShareGroupOffsetsResponseTopic<'a>> [0..],
    }
    pub struct DeleteShareGroupOffsetsResponseTopic<'a> flexible part {
        topic_name: &'a str [0..],
        topic_id: TopicId [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
    }
}
