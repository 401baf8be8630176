//! The records of the internal topics and the metadata of consumers.

use ids::{LeaderEpoch, Offset, PartitionIndex, ProducerId};
use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable};
use wire::internal::Prefixed;
use wire::internal::consumer_group::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupMemberMetadataValue,
};
use wire::internal::consumer_protocol::{
    ConsumerPartitions, ConsumerProtocolAssignment, ConsumerProtocolSubscription,
};
use wire::internal::group_metadata::{GroupMetadataKey, GroupMetadataValue, MemberMetadata};
use wire::internal::offset_commit::{OffsetCommitKey, OffsetCommitValue};
use wire::internal::transaction_log::{TransactionLogKey, TransactionLogValue};
use wire::{Malformed, Message};

#[test]
fn an_offset_commit_is_kafkas_bytes() {
    let key = OffsetCommitKey { group: "g", topic: "tt", partition: PartitionIndex(3) };
    let mut bytes = Vec::new();
    key.encode_prefixed(1, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 1, 0, 1, b'g', 0, 2, b't', b't', 0, 0, 0, 3]);
    assert_eq!(OffsetCommitKey::decode_prefixed(&bytes), Ok((1, key)));

    let value = OffsetCommitValue {
        offset: Offset(258),
        leader_epoch: LeaderEpoch(4),
        metadata: "m",
        commit_timestamp: 5,
        ..Default::default()
    };
    let mut bytes = Vec::new();
    value.encode_prefixed(3, &mut bytes).unwrap();
    let body = [0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 4, 0, 1, b'm', 0, 0, 0, 0, 0, 0, 0, 5];
    assert_eq!(bytes[..2], [0, 3]);
    assert_eq!(bytes[2..], body);
    for version in 3..=4 {
        let mut bytes = Vec::new();
        value.encode_prefixed(version, &mut bytes).unwrap();
        assert_eq!(OffsetCommitValue::decode_prefixed(&bytes), Ok((version, value.clone())));
    }
}

#[test]
fn a_struct_behind_a_tag_may_be_null_as_kafka_writes_it() {
    let mut value = ConsumerGroupMemberMetadataValue {
        client_id: "c",
        client_host: "h",
        subscribed_topic_names: vec!["t"],
        rebalance_timeout: 300,
        ..ConsumerGroupMemberMetadataValue::default()
    };
    // Version, no instance, no rack, client, host, one topic, no pattern, the timeout, no assignor.
    let head = [0, 0, 0, 0, 2, b'c', 2, b'h', 2, 2, b't', 0, 0, 0, 1, 44, 0];
    let none = [&head[..], &[0]].concat();
    let mut bytes = Vec::new();
    value.encode_prefixed(0, &mut bytes).unwrap();
    assert_eq!(bytes, none);
    // One tag, number 0, of one byte: null behind a tag is a varint 0, not -1.
    let null = [&head[..], &[1, 0, 1, 0]].concat();
    let decoded = ConsumerGroupMemberMetadataValue::decode_prefixed(&null);
    assert_eq!(decoded, Ok((0, value.clone())));
    let bad = [&head[..], &[1, 0, 1, 255]].concat();
    assert!(ConsumerGroupMemberMetadataValue::decode_prefixed(&bad).is_err());

    // A member of the classic protocol: there, a session of 10 s, one protocol with one byte; tags of each.
    let protocol = ClassicProtocol { name: "p", metadata: &[9] };
    value.classic_member_metadata = Some(ClassicMemberMetadata {
        session_timeout_ms: 10_000,
        supported_protocols: vec![protocol],
    });
    bytes.clear();
    value.encode_prefixed(0, &mut bytes).unwrap();
    let classic = [1, 0, 12, 1, 0, 0, 39, 16, 2, 2, b'p', 2, 9, 0, 0];
    assert_eq!(bytes, [&head[..], &classic].concat());
    assert_eq!(ConsumerGroupMemberMetadataValue::decode_prefixed(&bytes), Ok((0, value)));
}

#[test]
fn group_and_transaction_state_survive_every_version() {
    let key = GroupMetadataKey { group: "g" };
    let mut bytes = Vec::new();
    key.encode_prefixed(2, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 2, 0, 1, b'g']);
    let member = MemberMetadata {
        member_id: "m-1",
        group_instance_id: Some("i"),
        client_id: "c",
        client_host: "/127.0.0.1",
        rebalance_timeout: 60_000,
        session_timeout: 10_000,
        subscription: &[1, 2],
        assignment: &[3],
    };
    let value = GroupMetadataValue {
        protocol_type: "consumer",
        generation: 7,
        protocol: Some("range"),
        leader: None,
        current_state_timestamp: 99,
        members: vec![member],
    };
    for version in 3..=4 {
        let mut bytes = Vec::new();
        value.encode_prefixed(version, &mut bytes).unwrap();
        assert_eq!(GroupMetadataValue::decode_prefixed(&bytes), Ok((version, value.clone())));
    }

    let value = TransactionLogValue {
        producer_id: ProducerId(5),
        next_producer_id: ProducerId(6),
        client_transaction_version: 2,
        ..Default::default()
    };
    let mut bytes = Vec::new();
    value.encode_prefixed(1, &mut bytes).unwrap();
    assert_eq!(TransactionLogValue::decode_prefixed(&bytes), Ok((1, value.clone())));
    // Version 0 has no tagged fields, so it forgets them.
    bytes.clear();
    value.encode_prefixed(0, &mut bytes).unwrap();
    let (_, old) = TransactionLogValue::decode_prefixed(&bytes).unwrap();
    assert_eq!((old.producer_id, old.next_producer_id), (ProducerId(5), ProducerId::NONE));
    let mut key = Vec::new();
    TransactionLogKey { transactional_id: "x" }.encode_prefixed(0, &mut key).unwrap();
    assert_eq!(key, [0, 0, 0, 1, b'x']);
}

#[test]
fn consumer_metadata_is_the_references() {
    let partitions = [PartitionIndex(0), PartitionIndex(4)];
    let owned = ConsumerPartitions { topic: "t", partitions: partitions.to_vec() };
    let subscription = ConsumerProtocolSubscription {
        topics: vec!["t", "u"],
        user_data: Some(&[9]),
        owned_partitions: vec![owned.clone()],
        generation_id: 8,
        rack_id: Some("r"),
    };
    let assignment =
        ConsumerProtocolAssignment { assigned_partitions: vec![owned], user_data: None };
    for version in 0..=3 {
        let mut ours = Vec::new();
        subscription.encode(version, &mut ours).unwrap();
        let mut bytes = bytes::Bytes::from(ours.clone());
        let theirs = messages::ConsumerProtocolSubscription::decode(&mut bytes, version).unwrap();
        assert_eq!((bytes.len(), theirs.topics.len()), (0, 2));
        let mut again = bytes::BytesMut::new();
        theirs.encode(&mut again, version).unwrap();
        assert_eq!(again, ours);

        let mut ours = Vec::new();
        assignment.encode(version, &mut ours).unwrap();
        let mut bytes = bytes::Bytes::from(ours.clone());
        let theirs = messages::ConsumerProtocolAssignment::decode(&mut bytes, version).unwrap();
        assert_eq!((bytes.len(), theirs.assigned_partitions.len()), (0, 1));
        let mut again = bytes::BytesMut::new();
        theirs.encode(&mut again, version).unwrap();
        assert_eq!(again, ours);
    }
}

#[test]
fn consumer_metadata_from_the_future_is_read_as_the_newest_known() {
    let subscription = ConsumerProtocolSubscription { topics: vec!["t"], ..Default::default() };
    let mut bytes = Vec::new();
    subscription.encode_prefixed(3, &mut bytes).unwrap();
    bytes[1] = 9;
    bytes.extend([1, 2, 3]);
    let read = ConsumerProtocolSubscription::decode_lenient(&bytes);
    assert_eq!(read, Ok((9, subscription)));
    let strict = ConsumerProtocolSubscription::decode_prefixed(&bytes).unwrap_err();
    assert_eq!(strict.reason, Malformed::UnsupportedVersion);
}
