//! GetTelemetrySubscriptions, key 71.

use crate::message::message;
use ids::TopicId;

message! {
    pub struct GetTelemetrySubscriptionsRequest flexible 0 {
        client_instance_id: TopicId [0..],
    }

    pub struct GetTelemetrySubscriptionsResponse<'a> flexible 0 {
        throttle_time_ms: i32 [0..],
        error_code: i16 [0..],
        client_instance_id: TopicId [0..],
        subscription_id: i32 [0..],
        accepted_compression_types: Vec<i8> [0..],
        push_interval_ms: i32 [0..],
        telemetry_max_bytes: i32 [0..],
        delta_temporality: bool [0..],
        requested_metrics: Vec<&'a str> [0..],
    }
}
