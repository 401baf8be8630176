//! StreamsGroupHeartbeat, key 88.

use crate::message::message;

message! {
    pub struct StreamsGroupHeartbeatRequest<'a> flexible 0 {
        group_id: &'a str [0..],
        member_id: &'a str [0..],
        member_epoch: i32 [0..],
        endpoint_information_epoch: i32 [0..],
        instance_id: Option<&'a str> [0..],
        rack_id: Option<&'a str> [0..],
        rebalance_timeout_ms: i32 [0..] = -1,
        topology: Option<Box<Topology<'a>>> [0..],
        active_tasks: Option<Vec<TaskIds<'a>>> [0..],
        standby_tasks: Option<Vec<TaskIds<'a>>> [0..],
        warmup_tasks: Option<Vec<TaskIds<'a>>> [0..],
        process_id: Option<&'a str> [0..],
        user_endpoint: Option<Box<Endpoint<'a>>> [0..],
        client_tags: Option<Vec<KeyValue<'a>>> [0..],
        task_offsets: Option<Vec<TaskOffset<'a>>> [0..],
        task_end_offsets: Option<Vec<TaskOffset<'a>>> [0..],
        shutdown_application: bool [0..],
    }
    pub struct Topology<'a> flexible part {
        epoch: i32 [0..],
        subtopologies: Vec<Subtopology<'a>> [0..],
    }
    pub struct Subtopology<'a> flexible part {
        subtopology_id: &'a str [0..],
        source_topics: Vec<&'a str> [0..],
        source_topic_regex: Vec<&'a str> [0..],
        state_changelog_topics: Vec<TopicInfo<'a>> [0..],
        repartition_sink_topics: Vec<&'a str> [0..],
        repartition_source_topics: Vec<TopicInfo<'a>> [0..],
        copartition_groups: Vec<CopartitionGroup> [0..],
    }
    pub struct CopartitionGroup flexible part {
        source_topics: Vec<i16> [0..],
        source_topic_regex: Vec<i16> [0..],
        repartition_source_topics: Vec<i16> [0..],
    }
    pub struct KeyValue<'a> flexible part {
        key: &'a str [0..],
        value: &'a str [0..],
    }
    pub struct TopicInfo<'a> flexible part {
        name: &'a str [0..],
        partitions: i32 [0..],
        replication_factor: i16 [0..],
        topic_configs: Vec<KeyValue<'a>> [0..],
    }
    pub struct Endpoint<'a> flexible part {
        host: &'a str [0..],
        port: u16 [0..],
    }
    pub struct TaskOffset<'a> flexible part {
        subtopology_id: &'a str [0..],
        partition: i32 [0..],
        offset: i64 [0..],
    }
    pub struct TaskIds<'a> flexible part {
        subtopology_id: &'a str [0..],
        partitions: Vec<i32> [0..],
    }

    pub struct StreamsGroupHeartbeatResponse<'a> flexible 0 {
        throttle_time_ms: i32 [0..],
        error_code: i16 [0..],
        error_message: Option<&'a str> [0..],
        member_id: &'a str [0..],
        member_epoch: i32 [0..],
        heartbeat_interval_ms: i32 [0..],
        acceptable_recovery_lag: i32 [0..],
        task_offset_interval_ms: i32 [0..],
        status: Option<Vec<Status<'a>>> [0..] = Some(Vec::new()),
        active_tasks: Option<Vec<ResponseTaskIds<'a>>> [0..],
        standby_tasks: Option<Vec<ResponseTaskIds<'a>>> [0..],
        warmup_tasks: Option<Vec<ResponseTaskIds<'a>>> [0..],
        endpoint_information_epoch: i32 [0..],
        partitions_by_user_endpoint: Option<Vec<EndpointToPartitions<'a>>> [0..],
    }
    pub struct EndpointToPartitions<'a> flexible part {
        user_endpoint: ResponseEndpoint<'a> [0..],
        active_partitions: Vec<TopicPartition<'a>> [0..],
        standby_partitions: Vec<TopicPartition<'a>> [0..],
    }
    pub struct Status<'a> flexible part {
        status_code: i8 [0..],
        status_detail: &'a str [0..],
    }
    pub struct TopicPartition<'a> flexible part {
        topic: &'a str [0..],
        partitions: Vec<i32> [0..],
    }
    pub struct ResponseTaskIds<'a> flexible part {
        subtopology_id: &'a str [0..],
        partitions: Vec<i32> [0..],
    }
    pub struct ResponseEndpoint<'a> flexible part {
        host: &'a str [0..],
        port: u16 [0..],
    }
}
