//! What changes something is answered before the next request of its connection begins, so that a client need not wait for
//! the answer before it asks for what it has changed.

use crate::broker::{Broker, fresh};
use crate::line::Line;
use crate::requests::{
    CREATE_TOPICS, FIND_COORDINATOR, METADATA, OFFSET_COMMIT, PRODUCE, batch, commit, committed,
    coordinator, create, created, known, metadata, produce, produced,
};
use ids::{Offset, PartitionIndex};
use std::time::{Duration, Instant};
use wire::ErrorCode;
use wire::api::delete_topics::{DeleteTopicState, DeleteTopicsRequest, DeleteTopicsResponse};
use wire::api::offset_fetch::{OffsetFetchRequest, OffsetFetchRequestTopic, OffsetFetchResponse};

const ROUNDS: i64 = 20;

#[test]
fn a_topic_is_there_and_is_gone_for_the_next_request_of_the_connection() {
    let broker = Broker::serving(&fresh("order-topics"));
    let mut line = Line::to(&broker);
    let record = batch(b"first");
    for round in 0..ROUNDS {
        let name = format!("t{round}");
        line.put(CREATE_TOPICS, &create(&name));
        line.put(METADATA, &metadata(&name));
        line.put(PRODUCE, &produce(&name, &record));
        line.send();
        assert_eq!(created(&line.answer()), ErrorCode::NONE);
        assert_eq!(known(&line.answer()), (ErrorCode::NONE, 1), "round {round}");
        assert_eq!(produced(&line.answer()), ErrorCode::NONE, "round {round}");

        let topic = DeleteTopicState { name: Some(&name), ..DeleteTopicState::default() };
        let delete = DeleteTopicsRequest {
            topics: vec![topic],
            timeout_ms: 60_000,
            ..DeleteTopicsRequest::default()
        };
        line.put(6, &delete);
        line.put(METADATA, &metadata(&name));
        line.send();
        let deleted = line.answer();
        let deleted: DeleteTopicsResponse<'_> = deleted.decode().unwrap();
        assert_eq!(deleted.responses[0].error_code, ErrorCode::NONE);
        let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, 0);
        assert_eq!(known(&line.answer()), unknown, "round {round}");
    }
}

/// `commitAsync` and then `committed`.
#[test]
fn an_offset_is_committed_for_the_next_request_of_the_connection() {
    const OFFSET_FETCH: i16 = 7;
    let broker = Broker::serving(&fresh("order-offsets"));
    broker.command(&["topic", "create", "t"]);
    let mut line = Line::to(&broker);
    line.ask(FIND_COORDINATOR, &coordinator("g"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while committed(&line.ask(OFFSET_COMMIT, &commit("g", "t", 0, ""))) != ErrorCode::NONE {
        assert!(Instant::now() < deadline, "the group has no coordinator");
        std::thread::sleep(Duration::from_millis(20));
    }
    let topic = OffsetFetchRequestTopic { name: "t", partition_indexes: vec![PartitionIndex(0)] };
    let fetch = OffsetFetchRequest {
        group_id: "g",
        topics: Some(vec![topic]),
        ..OffsetFetchRequest::default()
    };
    for round in 1..=ROUNDS {
        line.put(OFFSET_COMMIT, &commit("g", "t", round, ""));
        line.put(OFFSET_FETCH, &fetch);
        line.send();
        assert_eq!(committed(&line.answer()), ErrorCode::NONE);
        let fetched = line.answer();
        let fetched: OffsetFetchResponse<'_> = fetched.decode().unwrap();
        assert_eq!(fetched.topics[0].partitions[0].committed_offset, Offset(round));
    }
}
