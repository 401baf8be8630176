//! StreamsGroupDescribe, key 89.

use crate::message::message;

message! {
    pub struct StreamsGroupDescribeRequest<'a> flexible 0 {
        group_ids: Vec<&'a str> [0..],
        include_authorized_operations: bool [0..],
    }

    pub struct StreamsGroupDescribeResponse<'a> flexible 0 {
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
        topology: Option<Box<Topology<'a>>> [0..],
        members: Vec<Member<'a>> [0..],
        authorized_operations: i32 [0..] = i32::MIN,
    }
    pub struct Topology<'a> flexible part {
        epoch: i32 [0..],
        subtopologies: Option<Vec<Subtopology<'a>>> [0..],
    }
    pub struct Subtopology<'a> flexible part {
        subtopology_id: &'a str [0..],
        source_topics: Vec<&'a str> [0..],
        repartition_sink_topics: Vec<&'a str> [0..],
        state_changelog_topics: Vec<TopicInfo<'a>> [0..],
        repartition_source_topics: Vec<TopicInfo<'a>> [0..],
    }
    pub struct Member<'a> flexible part {
        member_id: &'a str [0..],
        member_epoch: i32 [0..],
        instance_id: Option<&'a str> [0..],
        rack_id: Option<&'a str> [0..],
        client_id: &'a str [0..],
        client_host: &'a str [0..],
        topology_epoch: i32 [0..],
        process_id: &'a str [0..],
        user_endpoint: Option<Box<Endpoint<'a>>> [0..],
        client_tags: Vec<KeyValue<'a>> [0..],
        task_offsets: Vec<TaskOffset<'a>> [0..],
        task_end_offsets: Vec<TaskOffset<'a>> [0..],
        assignment: Assignment<'a> [0..],
        target_assignment: Assignment<'a> [0..],
        is_classic: bool [0..],
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
    pub struct Assignment<'a> flexible part {
        active_tasks: Vec<TaskIds<'a>> [0..],
        standby_tasks: Vec<TaskIds<'a>> [0..],
        warmup_tasks: Vec<TaskIds<'a>> [0..],
    }
    pub struct TaskIds<'a> flexible part {
        subtopology_id: &'a str [0..],
        partitions: Vec<i32> [0..],
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
}
