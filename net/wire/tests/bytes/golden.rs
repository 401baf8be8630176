//! Whole frames, byte by byte, written down from the protocol guide.

use ids::{Offset, PartitionIndex, TopicId};
use wire::api::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use wire::api::consumer_group_heartbeat::{
    self as consumer_heartbeat, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use wire::api::fetch::{
    FetchRequest, FetchResponse, FetchableTopicResponse, NodeEndpoint, PartitionData,
};
use wire::api::join_group::JoinGroupResponse;
use wire::api::metadata::MetadataRequest;
use wire::api::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use wire::{
    ApiKey, Encoder, ErrorCode, Frame, Malformed, Message, Piece, Reader, Records, RequestHeader,
    ResponseHeader, Unencodable, frame,
};

#[test]
fn an_unknown_apiversions_version_is_answered_in_version_0() {
    // A client from the future: ApiVersions 9, correlation 7, client id "new", a header tag, a body nobody knows.
    let request =
        [0, 18, 0, 9, 0, 0, 0, 7, 0, 3, b'n', b'e', b'w', 1, 5, 1, 0xaa, 0xff, 0xff, 0xff];
    let mut r = Reader::new(&request);
    let header = RequestHeader::decode(&mut r).unwrap();
    assert_eq!((header.api(), header.api_version), (Some(ApiKey::ApiVersions), 9));
    assert_eq!((header.client_id, r.remaining()), (Some("new"), 3));

    let known = ApiKey::ApiVersions.entry().versions;
    let mut out = Encoder::new();
    let answer = ApiVersionsResponse::unsupported_version(known);
    out.response(header.correlation_id, 0, &answer).unwrap();
    assert_eq!(out.into_bytes(), [0, 0, 0, 16, 0, 0, 0, 7, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4]);
}

#[test]
fn the_encoder_knows_which_errors_it_has_said() {
    let mut out = Encoder::new();
    out.response(1, 9, &JoinGroupResponse::default()).unwrap();
    assert_eq!(out.errors(), []);
    let refused = |error_code| JoinGroupResponse { error_code, ..JoinGroupResponse::default() };
    out.response(2, 9, &refused(ErrorCode::UNKNOWN_MEMBER_ID)).unwrap();
    out.response(3, 9, &refused(ErrorCode::INVALID_GROUP_ID)).unwrap();
    // What could not be said was not said.
    assert!(out.response(4, 99, &refused(ErrorCode::ILLEGAL_GENERATION)).is_err());
    assert_eq!(out.errors(), [ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::INVALID_GROUP_ID]);
    out.clear();
    assert_eq!(out.errors(), []);
}

#[test]
fn apiversions_keeps_response_header_0() {
    let mut out = Encoder::new();
    out.response(1, 3, &ApiVersionsResponse::default()).unwrap();
    // Length, correlation, error, no APIs, throttle time, no tags: and no tags in the header.
    assert_eq!(out.bytes(), [0, 0, 0, 12, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0]);
}

#[test]
fn a_flexible_request_has_a_short_client_id_and_compact_strings() {
    let body = ApiVersionsRequest { client_software_name: "rw", client_software_version: "1.0" };
    let mut out = Encoder::new();
    out.request(258, Some("me"), 3, &body).unwrap();
    let expected = [
        0, 0, 0, 21, 0, 18, 0, 3, 0, 0, 1, 2, 0, 2, b'm', b'e', 0, 3, b'r', b'w', 4, b'1', b'.',
        b'0', 0,
    ];
    assert_eq!(out.bytes(), expected);
    let scanned = frame::scan(out.bytes(), frame::MAX_DEFAULT).unwrap();
    assert_eq!(scanned, Frame::Whole { contents: 4..25 });
    let mut r = Reader::new(&expected[4..]);
    RequestHeader::decode(&mut r).unwrap();
    assert_eq!(ApiVersionsRequest::decode_from(&mut r, 3), Ok(body));
}

#[test]
fn bytes_after_a_request_are_let_be_for_librdkafka() {
    // Metadata 13 for all topics as librdkafka 2.12 sends it: the place of the list's length is not cut down to one byte.
    let request = [
        0, 3, 0, 13, 0, 0, 0, 4, 0, 7, b'r', b'd', b'k', b'a', b'f', b'k', b'a', 0, 0, 0, 0, 0, 1,
        0, 0,
    ];
    let mut r = Reader::new(&request);
    RequestHeader::decode(&mut r).unwrap();
    let asked = MetadataRequest::decode_leading(&mut r, 13).unwrap();
    assert_eq!((asked.topics, r.remaining()), (None, 3));
    let mut r = Reader::new(&request);
    RequestHeader::decode(&mut r).unwrap();
    let strict = MetadataRequest::decode_from(&mut r, 13).unwrap_err();
    assert_eq!(strict.reason, Malformed::TrailingBytes);
}

#[test]
fn an_api_that_nobody_knows_is_named_so() {
    let error = RequestHeader::decode(&mut Reader::new(&[3, 232, 0, 0, 0, 0, 0, 1, 0, 0]));
    assert_eq!(error.unwrap_err().reason, Malformed::UnknownApi);
}

#[test]
fn trailing_bytes_are_an_error() {
    let mut body = Vec::new();
    MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() }
        .encode(9, &mut body)
        .unwrap();
    assert!(MetadataRequest::decode(&body, 9).is_ok());
    body.push(0);
    let error = MetadataRequest::decode(&body, 9).unwrap_err();
    assert_eq!((error.reason, error.at), (Malformed::TrailingBytes, body.len() - 1));
}

#[test]
fn null_and_empty_are_told_apart() {
    let all = [0xff, 0xff, 0xff, 0xff];
    assert_eq!(MetadataRequest::decode(&all, 1).unwrap().topics, None);
    assert_eq!(MetadataRequest::decode(&[0; 4], 1).unwrap().topics, Some(Vec::new()));
    let error = MetadataRequest::decode(&all, 0).unwrap_err();
    assert_eq!((error.reason, error.field), (Malformed::UnexpectedNull, "topics"));
    let error = MetadataRequest::default().encode(0, &mut Vec::new()).unwrap_err();
    assert_eq!((error.reason, error.field), (Unencodable::NullNotAllowed, "topics"));
}

#[test]
fn missing_text_is_empty_text_where_there_is_no_null() {
    let refused =
        JoinGroupResponse { error_code: ErrorCode::MEMBER_ID_REQUIRED, ..Default::default() };
    let mut body = Vec::new();
    refused.encode(5, &mut body).unwrap();
    assert_eq!(JoinGroupResponse::decode(&body, 5).unwrap().protocol_name, Some(""));
    body.clear();
    refused.encode(7, &mut body).unwrap();
    assert_eq!(JoinGroupResponse::decode(&body, 7).unwrap().protocol_name, None);
}

#[test]
fn a_member_of_a_consumer_group_joins_and_is_answered() {
    let joins = ConsumerGroupHeartbeatRequest {
        group_id: "g",
        member_id: "m",
        member_epoch: 0,
        rebalance_timeout_ms: 300,
        subscribed_topic_regex: Some("a.*"),
        topic_partitions: Some(Vec::new()),
        ..ConsumerGroupHeartbeatRequest::default()
    };
    let mut body = Vec::new();
    joins.encode(1, &mut body).unwrap();
    // Group, member, epoch; no instance, no rack; the timeout; no names, a pattern, no assignor; no partitions; no tags.
    let expected =
        [2, b'g', 2, b'm', 0, 0, 0, 0, 0, 0, 0, 0, 1, 44, 0, 4, b'a', b'.', b'*', 0, 1, 0];
    assert_eq!(body, expected);
    assert_eq!(ConsumerGroupHeartbeatRequest::decode(&body, 1), Ok(joins.clone()));
    // Version 0 has no patterns.
    body.clear();
    joins.encode(0, &mut body).unwrap();
    let without = ConsumerGroupHeartbeatRequest { subscribed_topic_regex: None, ..joins };
    assert_eq!(ConsumerGroupHeartbeatRequest::decode(&body, 0), Ok(without));

    let partitions = consumer_heartbeat::TopicPartitions {
        topic_id: TopicId([7; 16]),
        partitions: vec![PartitionIndex(2)],
    };
    let mut answer = ConsumerGroupHeartbeatResponse {
        member_id: Some("m"),
        member_epoch: 3,
        heartbeat_interval_ms: 5,
        assignment: Some(consumer_heartbeat::Assignment { topic_partitions: vec![partitions] }),
        ..ConsumerGroupHeartbeatResponse::default()
    };
    body.clear();
    answer.encode(1, &mut body).unwrap();
    // Throttle, error, no message; member, epoch, interval; an assignment of one topic and one partition; tags.
    let head = [0, 0, 0, 0, 0, 0, 0, 2, b'm', 0, 0, 0, 3, 0, 0, 0, 5];
    let mut expected = head.to_vec();
    expected.extend([1, 2]);
    expected.extend([7; 16]);
    expected.extend([2, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!(body, expected);
    assert_eq!(ConsumerGroupHeartbeatResponse::decode(&body, 1), Ok(answer.clone()));

    // An assignment that has not changed is null, and that is not an empty one.
    answer.assignment = None;
    body.clear();
    answer.encode(1, &mut body).unwrap();
    assert_eq!(body, [&head[..], &[255, 0]].concat());
    assert_eq!(ConsumerGroupHeartbeatResponse::decode(&body, 1).unwrap().assignment, None);
    body.clear();
    answer.assignment = Some(consumer_heartbeat::Assignment::default());
    answer.encode(1, &mut body).unwrap();
    assert_eq!(body, [&head[..], &[1, 1, 0, 0]].concat());
}

#[test]
fn produce_records_are_slices_of_the_frame() {
    let records: Vec<u8> = (0..100).collect();
    let partition = |index, records| PartitionProduceData { index: PartitionIndex(index), records };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 1500,
        topic_data: vec![TopicProduceData {
            name: "t",
            partition_data: vec![
                partition(0, Records::Slice(&records)),
                partition(1, Records::Null),
                partition(2, Records::Slice(&[])),
            ],
            ..Default::default()
        }],
        ..Default::default()
    };
    for version in 3..=12 {
        let mut frame = vec![0; 17];
        request.encode(version, &mut frame).unwrap();
        let mut r = Reader::new(&frame);
        r.take(17).unwrap();
        let read = ProduceRequest::decode_from(&mut r, version).unwrap();
        assert_eq!(read, request);
        let range = read.topic_data[0].partition_data[0].records.range_in(&frame).unwrap();
        assert_eq!(frame[range], records);
    }
}

#[test]
fn records_elsewhere_leave_gaps_and_count_in_the_length() {
    let partition = |index: i32, records| PartitionData {
        partition_index: PartitionIndex(index),
        high_watermark: Offset(7),
        records,
        ..Default::default()
    };
    let response = |first, second| FetchResponse {
        responses: vec![FetchableTopicResponse {
            topic: "t",
            partitions: vec![
                partition(0, first),
                partition(1, Records::Null),
                partition(2, second),
            ],
            ..Default::default()
        }],
        node_endpoints: vec![NodeEndpoint { host: "h", port: 9092, ..Default::default() }],
        ..Default::default()
    };
    let (first, second) = (vec![1; 200], vec![2; 70_000]);
    for version in 4..=18 {
        let mut whole = Encoder::new();
        whole
            .response(5, version, &response(Records::Slice(&first), Records::Slice(&second)))
            .unwrap();

        let apart = |index, len| Records::Elsewhere { index, len };
        let parted = response(apart(11, first.len()), apart(22, second.len()));
        let mut out = Encoder::new();
        out.response(5, version, &parted).unwrap();
        out.response(6, version, &FetchResponse::default()).unwrap();
        let mut sent = Vec::new();
        for piece in out.pieces() {
            match piece {
                Piece::Bytes(range) => sent.extend(&out.bytes()[range]),
                Piece::Records { index: 11, len: 200 } => sent.extend(&first),
                Piece::Records { index: 22, len: 70_000 } => sent.extend(&second),
                Piece::Records { .. } => panic!("unknown piece {piece:?}"),
            }
        }
        assert_eq!(sent.len(), out.total_len());
        assert_eq!(sent[..whole.bytes().len()], *whole.bytes(), "version {version}");

        let mut r = Reader::new(&sent[4..whole.bytes().len()]);
        let header_version = ApiKey::Fetch.response_header_version(version);
        assert_eq!(ResponseHeader::decode(&mut r, header_version).unwrap().correlation_id, 5);
        assert!(FetchResponse::decode_from(&mut r, version).is_ok());

        let error = parted.encode(version, &mut Vec::new()).unwrap_err();
        assert_eq!(error.reason, Unencodable::RecordsElsewhere);
    }
}

#[test]
fn a_frame_that_cannot_be_said_leaves_no_trace() {
    let long = "x".repeat(40_000);
    let mut out = Encoder::new();
    out.request(1, None, 12, &FetchRequest::default()).unwrap();
    let before = out.bytes().to_vec();
    let error = out
        .request(2, None, 12, &FetchRequest { rack_id: &long, ..Default::default() })
        .unwrap_err();
    assert_eq!((error.reason, error.field), (Unencodable::TooLong, "rack_id"));
    let error = out.request(2, None, 19, &FetchRequest::default()).unwrap_err();
    assert_eq!(error.reason, Unencodable::UnsupportedVersion);
    assert_eq!(out.bytes(), before);
    assert_eq!(out.pieces().collect::<Vec<_>>(), [Piece::Bytes(0..before.len())]);
}
