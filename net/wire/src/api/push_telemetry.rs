//! PushTelemetry, key 72.

use crate::message::message;
use ids::TopicId;

message! {
    pub struct PushTelemetryRequest<'a> flexible 0 {
        client_instance_id: TopicId [0..],
        subscription_id: i32 [0..],
        terminating: bool [0..],
        compression_type: i8 [0..],
        metrics: &'a [u8] [0..],
    }

    pub struct PushTelemetryResponse flexible 0 {
        throttle_time_ms: i32 [0..],
        error_code: i16 [0..],
    }
}
