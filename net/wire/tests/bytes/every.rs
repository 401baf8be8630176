//! Every message of the API table, with this codec's and the reference codec's way through it.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages;
use kafka_protocol::protocol::{Decodable, Encodable, Message as Reference};
use wire::schema::Shape;
use wire::{ApiKey, DecodeError, Field, Message, VersionRange, api};

/// One message: a request or a response of an API.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) key: ApiKey,
    pub(crate) shape: Shape,
    /// The versions that the reference knows.
    pub(crate) reference: VersionRange,
    /// Decodes and encodes again.
    pub(crate) again: fn(&[u8], i16) -> Result<Vec<u8>, DecodeError>,
    /// Decodes only.
    pub(crate) decode: fn(&[u8], i16) -> Result<(), DecodeError>,
    /// Decodes only, and prints.
    pub(crate) print: fn(&[u8], i16) -> Result<String, DecodeError>,
    /// Prints the default value.
    pub(crate) print_default: fn() -> String,
    /// The reference's `again`.
    pub(crate) reference_again: fn(&[u8], i16) -> Result<Vec<u8>, String>,
    /// The reference's `default`.
    pub(crate) reference_default: fn(i16) -> Option<Vec<u8>>,
}

fn again<'a, M: Message<'a>>(body: &'a [u8], version: i16) -> Result<Vec<u8>, DecodeError> {
    let message = M::decode(body, version)?;
    let mut out = Vec::new();
    message.encode(version, &mut out).expect("what was decoded can be encoded");
    Ok(out)
}

fn reference_again<M: Decodable + Encodable>(body: &[u8], version: i16) -> Result<Vec<u8>, String> {
    let mut body = Bytes::copy_from_slice(body);
    let message = M::decode(&mut body, version).map_err(|error| format!("decode: {error:#}"))?;
    if !body.is_empty() {
        return Err(format!("{} bytes are left", body.len()));
    }
    let mut out = BytesMut::new();
    message.encode(&mut out, version).map_err(|error| format!("encode: {error:#}"))?;
    Ok(out.to_vec())
}

fn reference_default<M: Encodable + Default>(version: i16) -> Option<Vec<u8>> {
    let mut out = BytesMut::new();
    M::default().encode(&mut out, version).ok()?;
    Some(out.to_vec())
}

macro_rules! cases {
    ($($api:ident $module:ident $($message:ident)*;)*) => {
        vec![$($({
            let known = <messages::$message as Reference>::VERSIONS;
            Case {
                name: stringify!($message),
                key: ApiKey::$api,
                shape: <api::$module::$message as Field>::SHAPE,
                reference: VersionRange { min: known.min, max: known.max },
                again: |body, version| again::<api::$module::$message>(body, version),
                decode: |body, version| {
                    api::$module::$message::decode(body, version).map(|_| ())
                },
                print: |body, version| {
                    api::$module::$message::decode(body, version).map(|m| format!("{m:?}"))
                },
                print_default: || format!("{:?}", <api::$module::$message>::default()),
                reference_again: |body, version| {
                    reference_again::<messages::$message>(body, version)
                },
                reference_default: |version| reference_default::<messages::$message>(version),
            }
        },)*)*]
    };
}

/// Every message of every API in the table.
pub(crate) fn cases() -> Vec<Case> {
    cases! {
        Produce produce ProduceRequest ProduceResponse;
        Fetch fetch FetchRequest FetchResponse;
        ListOffsets list_offsets ListOffsetsRequest ListOffsetsResponse;
        Metadata metadata MetadataRequest MetadataResponse;
        OffsetCommit offset_commit OffsetCommitRequest OffsetCommitResponse;
        OffsetFetch offset_fetch OffsetFetchRequest OffsetFetchResponse;
        FindCoordinator find_coordinator FindCoordinatorRequest FindCoordinatorResponse;
        JoinGroup join_group JoinGroupRequest JoinGroupResponse;
        Heartbeat heartbeat HeartbeatRequest HeartbeatResponse;
        LeaveGroup leave_group LeaveGroupRequest LeaveGroupResponse;
        SyncGroup sync_group SyncGroupRequest SyncGroupResponse;
        DescribeGroups describe_groups DescribeGroupsRequest DescribeGroupsResponse;
        ListGroups list_groups ListGroupsRequest ListGroupsResponse;
        SaslHandshake sasl_handshake SaslHandshakeRequest SaslHandshakeResponse;
        ApiVersions api_versions ApiVersionsRequest ApiVersionsResponse;
        CreateTopics create_topics CreateTopicsRequest CreateTopicsResponse;
        DeleteTopics delete_topics DeleteTopicsRequest DeleteTopicsResponse;
        DeleteRecords delete_records DeleteRecordsRequest DeleteRecordsResponse;
        InitProducerId init_producer_id InitProducerIdRequest InitProducerIdResponse;
        OffsetForLeaderEpoch offset_for_leader_epoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse;
        AddPartitionsToTxn add_partitions_to_txn AddPartitionsToTxnRequest AddPartitionsToTxnResponse;
        AddOffsetsToTxn add_offsets_to_txn AddOffsetsToTxnRequest AddOffsetsToTxnResponse;
        EndTxn end_txn EndTxnRequest EndTxnResponse;
        WriteTxnMarkers write_txn_markers WriteTxnMarkersRequest WriteTxnMarkersResponse;
        TxnOffsetCommit txn_offset_commit TxnOffsetCommitRequest TxnOffsetCommitResponse;
        DescribeAcls describe_acls DescribeAclsRequest DescribeAclsResponse;
        CreateAcls create_acls CreateAclsRequest CreateAclsResponse;
        DeleteAcls delete_acls DeleteAclsRequest DeleteAclsResponse;
        DescribeConfigs describe_configs DescribeConfigsRequest DescribeConfigsResponse;
        AlterConfigs alter_configs AlterConfigsRequest AlterConfigsResponse;
        AlterReplicaLogDirs alter_replica_log_dirs AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse;
        DescribeLogDirs describe_log_dirs DescribeLogDirsRequest DescribeLogDirsResponse;
        SaslAuthenticate sasl_authenticate SaslAuthenticateRequest SaslAuthenticateResponse;
        CreatePartitions create_partitions CreatePartitionsRequest CreatePartitionsResponse;
        DeleteGroups delete_groups DeleteGroupsRequest DeleteGroupsResponse;
        ElectLeaders elect_leaders ElectLeadersRequest ElectLeadersResponse;
        IncrementalAlterConfigs incremental_alter_configs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
        AlterPartitionReassignments alter_partition_reassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse;
        ListPartitionReassignments list_partition_reassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse;
        OffsetDelete offset_delete OffsetDeleteRequest OffsetDeleteResponse;
        DescribeClientQuotas describe_client_quotas DescribeClientQuotasRequest DescribeClientQuotasResponse;
        AlterClientQuotas alter_client_quotas AlterClientQuotasRequest AlterClientQuotasResponse;
        DescribeUserScramCredentials describe_user_scram_credentials DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse;
        AlterUserScramCredentials alter_user_scram_credentials AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse;
        DescribeQuorum describe_quorum DescribeQuorumRequest DescribeQuorumResponse;
        UpdateFeatures update_features UpdateFeaturesRequest UpdateFeaturesResponse;
        DescribeCluster describe_cluster DescribeClusterRequest DescribeClusterResponse;
        DescribeProducers describe_producers DescribeProducersRequest DescribeProducersResponse;
        UnregisterBroker unregister_broker UnregisterBrokerRequest UnregisterBrokerResponse;
        DescribeTransactions describe_transactions DescribeTransactionsRequest DescribeTransactionsResponse;
        ListTransactions list_transactions ListTransactionsRequest ListTransactionsResponse;
        ConsumerGroupHeartbeat consumer_group_heartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse;
        ConsumerGroupDescribe consumer_group_describe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse;
        ListConfigResources list_config_resources ListConfigResourcesRequest ListConfigResourcesResponse;
        DescribeTopicPartitions describe_topic_partitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse;
    }
}
