//! Requests that ask for much with few bytes: the answer has each thing once, and what has no room is refused.

use super::full::Scene;
use super::load::make_topic;
use super::machine::Machine;
use ids::PartitionIndex;
use runtime::sim::{SimConfig, World};
use wire::api::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResponse,
};
use wire::api::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsRequest, DescribeLogDirsResponse,
};
use wire::api::describe_producers::{
    DescribeProducersRequest, DescribeProducersResponse, TopicRequest,
};
use wire::api::describe_topic_partitions::{
    self, Cursor, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
};
use wire::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use wire::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use wire::api::metadata::{MetadataRequest, MetadataRequestTopic, MetadataResponse};
use wire::{ErrorCode, Message};

const TOPIC: &str = "orders";
const TIMES: usize = 1_000;

fn scene() -> (Scene, Machine) {
    let world = World::new(5, SimConfig { memory_limit: 64 << 20, ..SimConfig::default() });
    let scene = Scene { here: world.add_node(), there: world.add_node(), world };
    let machine = Machine::start(&scene.world, scene.here, 2).expect("a start");
    (scene, machine)
}

fn end(scene: &Scene) {
    assert_eq!(scene.world.fault_of(scene.here), None);
    scene.world.kill(scene.here);
    scene.world.kill(scene.there);
    scene.world.run_for(std::time::Duration::from_secs(1));
}

#[test]
fn what_is_asked_for_a_thousand_times_is_said_once() {
    let (scene, machine) = scene();
    assert_eq!(scene.ask(async |c| make_topic(c, TOPIC, 4).await), ErrorCode::NONE);

    let topics = scene.ask(async |caller| {
        let one = MetadataRequestTopic { name: Some(TOPIC), ..MetadataRequestTopic::default() };
        let gone = MetadataRequestTopic { name: Some("gone"), ..one.clone() };
        let topics = Some([vec![one; TIMES], vec![gone; TIMES]].concat());
        let request = MetadataRequest { topics, ..MetadataRequest::default() };
        let body = caller.call(4, &request).await?;
        let answer = MetadataResponse::decode(&body, 4).ok()?;
        let said = answer.topics.iter();
        Some(said.map(|t| (t.name.unwrap_or("").to_owned(), t.error_code)).collect::<Vec<_>>())
    });
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(topics, [(TOPIC.to_owned(), ErrorCode::NONE), ("gone".to_owned(), unknown)]);

    // A missing name that stands there twice is created all the same.
    let codes = scene.ask(async |caller| {
        let mut codes = Vec::new();
        for _ in 0..2 {
            let new = MetadataRequestTopic { name: Some("new"), ..MetadataRequestTopic::default() };
            let request = MetadataRequest {
                topics: Some(vec![new; 2]),
                allow_auto_topic_creation: true,
                ..MetadataRequest::default()
            };
            let body = caller.call(4, &request).await?;
            let answer = MetadataResponse::decode(&body, 4).ok()?;
            codes.extend(answer.topics.iter().map(|t| t.error_code));
        }
        Some(codes)
    });
    assert_eq!(codes, [unknown, ErrorCode::NONE]);

    let described = scene.ask(async |caller| {
        let broker = DescribeConfigsResource {
            resource_type: 4,
            resource_name: "1",
            ..DescribeConfigsResource::default()
        };
        let resources = vec![broker; TIMES];
        let request = DescribeConfigsRequest { resources, ..DescribeConfigsRequest::default() };
        let body = caller.call(4, &request).await?;
        DescribeConfigsResponse::decode(&body, 4).ok().map(|d| d.results.len())
    });
    assert_eq!(described, 1);

    let producers = scene.ask(async |caller| {
        let indexes = vec![PartitionIndex(3); TIMES];
        let one = TopicRequest { name: TOPIC, partition_indexes: indexes };
        let topics = vec![one; 3];
        let request = DescribeProducersRequest { topics };
        let body = caller.call(0, &request).await?;
        let answer = DescribeProducersResponse::decode(&body, 0).ok()?;
        Some(answer.topics.iter().map(|t| t.partitions.len()).collect::<Vec<_>>())
    });
    assert_eq!(producers, [1]);

    let sizes = scene.ask(async |caller| {
        let partitions = vec![PartitionIndex(2); TIMES];
        let one = DescribableLogDirTopic { topic: TOPIC, partitions };
        let topics = Some(vec![one; 3]);
        let request = DescribeLogDirsRequest { topics };
        let body = caller.call(4, &request).await?;
        let answer = DescribeLogDirsResponse::decode(&body, 4).ok()?;
        let topics = answer.results.first()?.topics.iter();
        Some(topics.flat_map(|t| &t.partitions).map(|p| p.partition_index.0).collect::<Vec<_>>())
    });
    assert_eq!(sizes, [2]);

    // A partition stands there as often, and waits for one moment; its last mention counts.
    let fetched = scene.ask(async |caller| {
        let one = |offset: i64| FetchPartition {
            partition: PartitionIndex(1),
            fetch_offset: ids::Offset(offset),
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let mut partitions = vec![one(77); TIMES];
        partitions.push(one(0));
        let topic = FetchTopic { topic: TOPIC, partitions, ..FetchTopic::default() };
        let request = FetchRequest {
            max_wait_ms: 100,
            min_bytes: 1,
            max_bytes: 1 << 20,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let body = caller.call(12, &request).await?;
        let answer = FetchResponse::decode(&body, 12).ok()?;
        let said = answer.responses.iter().flat_map(|t| &t.partitions);
        Some(said.map(|p| (p.partition_index.0, p.error_code)).collect::<Vec<_>>())
    });
    assert_eq!(fetched, [(1, ErrorCode::NONE)]);
    end(&scene);
    drop(machine);
}

#[test]
fn a_request_that_names_much_more_than_there_is_ends_its_connection() {
    let (scene, machine) = scene();
    assert_eq!(scene.ask(async |c| make_topic(c, TOPIC, 4).await), ErrorCode::NONE);
    // How many partitions the answer tells of.
    let answered = |count: i32| {
        scene.ask(async move |caller| {
            let partition = |index| ListOffsetsPartition {
                partition_index: PartitionIndex(index),
                timestamp: -1,
                ..ListOffsetsPartition::default()
            };
            let partitions = (0..count).map(partition).collect();
            let topics = vec![ListOffsetsTopic { name: TOPIC, partitions }];
            let request = ListOffsetsRequest { topics, ..ListOffsetsRequest::default() };
            let Some(body) = caller.call(2, &request).await else { return Some(0) };
            let answer = ListOffsetsResponse::decode(&body, 2).ok()?;
            answer.topics.first().map(|t| t.partitions.len())
        })
    };
    // The topic counts, too.
    assert_eq!(answered(19_999), 19_999);
    assert_eq!(answered(20_000), 0);
    end(&scene);
    drop(machine);
}

#[test]
fn a_cursor_below_zero_does_not_go_round_in_circles() {
    let (scene, machine) = scene();
    assert_eq!(scene.ask(async |c| make_topic(c, TOPIC, 5).await), ErrorCode::NONE);
    let (codes, next) = scene.ask(async |caller| {
        let partition_index = PartitionIndex(i32::MIN);
        let request = DescribeTopicPartitionsRequest {
            topics: vec![describe_topic_partitions::TopicRequest { name: TOPIC }],
            response_partition_limit: 3,
            cursor: Some(Cursor { topic_name: TOPIC, partition_index }),
        };
        let body = caller.call(0, &request).await?;
        let answer = DescribeTopicPartitionsResponse::decode(&body, 0).ok()?;
        let codes: Vec<_> = answer.topics.iter().map(|t| t.error_code).collect();
        Some((codes, answer.next_cursor.is_some()))
    });
    assert_eq!((codes, next), (vec![ErrorCode::INVALID_REQUEST], false));
    end(&scene);
    drop(machine);
}

#[test]
fn a_decision_that_the_journal_cannot_take_is_refused_and_forgotten() {
    // A ring of 1 MiB takes batches of 252 KiB; 9,000 partitions need more.
    let (scene, machine) = scene();
    let refused = scene.ask(async |c| make_topic(c, "large", 9_000).await);
    assert_eq!(refused, ErrorCode::POLICY_VIOLATION);
    // Nothing of it is left: its name is free, and what comes later is taken.
    assert_eq!(scene.ask(async |c| make_topic(c, "large", 3).await), ErrorCode::NONE);
    assert_eq!(scene.ask(async |c| make_topic(c, TOPIC, 3).await), ErrorCode::NONE);
    end(&scene);
    drop(machine);
}
