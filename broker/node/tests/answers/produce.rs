//! What Produce refuses, and with which code. What is refused leaves no record behind.

use crate::broker::{Broker, fresh};
use crate::line::Line;
use crate::requests::{PRODUCE, batch, produce, produced};
use ids::{Offset, ProducerEpoch, ProducerId, Timestamp};
use record::{BatchBuilder, Codec};
use wire::ErrorCode;
use wire::api::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use wire::api::produce::{ProduceRequest, ProduceResponse};

/// The first version that knows zstd (KIP-110).
const ZSTD: i16 = 7;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// One record by a builder with these settings.
fn built(mut settings: BatchBuilder) -> Vec<u8> {
    settings.push(Timestamp(1), None, Some(b"value"), &[]);
    settings.build().unwrap()
}

#[test]
fn what_produce_refuses_has_kafkas_codes_and_is_not_there() {
    let broker = Broker::serving(&fresh("answers-produce"));
    broker.command(&["topic", "create", "t"]);
    let mut line = Line::to(&broker);
    let mut code = |version: i16, request: &ProduceRequest<'_>| {
        let reply = line.ask(version, request);
        let answer: ProduceResponse<'_> = reply.decode().unwrap();
        let partition = &answer.responses[0].partition_responses[0];
        // Nothing says that it was appended.
        assert_eq!(partition.base_offset, Offset::NONE);
        partition.error_code
    };
    let plain = batch(b"value");

    let transactional = ProduceRequest { transactional_id: Some("x"), ..produce("t", &plain) };
    assert_eq!(code(PRODUCE, &transactional), ErrorCode::INVALID_TXN_STATE);
    let of_somebody = || BatchBuilder::new().producer(ProducerId(4000), ProducerEpoch(0), 0);
    let part = built(of_somebody().transactional(true));
    assert_eq!(code(PRODUCE, &produce("t", &part)), ErrorCode::INVALID_TXN_STATE);
    let marker = built(of_somebody().transactional(true).control(true));
    assert_eq!(code(PRODUCE, &produce("t", &marker)), ErrorCode::INVALID_RECORD);

    for acks in [2, -2, i16::MAX, i16::MIN] {
        let request = ProduceRequest { acks, ..produce("t", &plain) };
        assert_eq!(code(PRODUCE, &request), ErrorCode::INVALID_REQUIRED_ACKS, "{acks}");
    }

    let zstd = built(BatchBuilder::new().codec(Codec::Zstd));
    for version in 3..ZSTD {
        let refused = code(version, &produce("t", &zstd));
        assert_eq!(refused, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, "version {version}");
    }
    let unknown = code(PRODUCE, &produce("nowhere", &plain));
    assert_eq!(unknown, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let damaged = [&plain[..plain.len() - 1], b"?"].concat();
    assert_eq!(code(PRODUCE, &produce("t", &damaged)), ErrorCode::CORRUPT_MESSAGE);

    // What is taken now is the first record of the log, and the version that knows zstd takes it.
    let reply = line.ask(ZSTD, &produce("t", &zstd));
    assert_eq!(produced(&reply), ErrorCode::NONE);
    let answer: ProduceResponse<'_> = reply.decode().unwrap();
    assert_eq!(answer.responses[0].partition_responses[0].base_offset, Offset(0));
}

#[test]
fn whoever_wants_transactions_is_told_once() {
    let broker = Broker::serving(&fresh("answers-transactions"));
    let mut line = Line::to(&broker);
    for version in 0..=5 {
        let request = InitProducerIdRequest {
            transactional_id: Some("x"),
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        };
        let reply = line.ask(version, &request);
        let answer: InitProducerIdResponse = reply.decode().unwrap();
        let told = (answer.error_code, answer.producer_id, answer.producer_epoch);
        let refused = (ErrorCode::INVALID_REQUEST, ProducerId::NONE, ProducerEpoch::NONE);
        assert_eq!(told, refused, "version {version}");
    }
    for key_type in [TRANSACTION, SHARE, 3, -1] {
        let one = FindCoordinatorRequest { key: "x", key_type, ..Default::default() };
        for version in 1..=3 {
            let reply = line.ask(version, &one);
            let answer: FindCoordinatorResponse<'_> = reply.decode().unwrap();
            assert_eq!(answer.error_code, ErrorCode::INVALID_REQUEST, "{key_type}, {version}");
            assert_eq!((answer.host, answer.port), ("", -1));
        }
        let keys = vec!["x", "y"];
        let some =
            FindCoordinatorRequest { coordinator_keys: keys, key_type, ..Default::default() };
        for version in 4..=6 {
            let reply = line.ask(version, &some);
            let answer: FindCoordinatorResponse<'_> = reply.decode().unwrap();
            let told: Vec<_> = answer.coordinators.iter().map(|c| (c.key, c.error_code)).collect();
            let refused = ErrorCode::INVALID_REQUEST;
            assert_eq!(told, [("x", refused), ("y", refused)], "{key_type}, {version}");
        }
    }
}
