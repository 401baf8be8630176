//! The table of the APIs that this codec knows, one line each.
//!
//! `versions` is what the codec reads and writes. `advertised` is what a broker that serves the whole API should
//! advertise today: less than the codec knows where behaviour behind a version is still to come, and once more (Produce
//! 0 to 2, which are refused: librdkafka before its fix of 2025 turns compression off without them). Which of the lines a
//! node really advertises is its own list.

use std::fmt;

pub mod add_offsets_to_txn;
pub mod add_partitions_to_txn;
pub mod alter_client_quotas;
pub mod alter_configs;
pub mod alter_partition_reassignments;
pub mod alter_replica_log_dirs;
pub mod alter_user_scram_credentials;
pub mod api_versions;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub mod create_acls;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_acls;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_acls;
pub mod describe_client_quotas;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod describe_transactions;
pub mod describe_user_scram_credentials;
pub mod elect_leaders;
pub mod end_txn;
pub mod fetch;
pub mod find_coordinator;
pub mod heartbeat;
pub mod incremental_alter_configs;
pub mod init_producer_id;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod list_transactions;
pub mod metadata;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
pub mod produce;
pub mod sasl_authenticate;
pub mod sasl_handshake;
pub mod sync_group;
pub mod txn_offset_commit;
pub mod unregister_broker;
pub mod update_features;
pub mod write_txn_markers;

/// A range of versions, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct VersionRange {
    /// The oldest version.
    pub min: i16,
    /// The newest version.
    pub max: i16,
}

impl VersionRange {
    /// Whether `version` is in the range.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max { self.min.fmt(f) } else { write!(f, "{}-{}", self.min, self.max) }
    }
}

/// One line of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Api {
    /// The API.
    pub key: ApiKey,
    /// Its name in Kafka's protocol guide.
    pub name: &'static str,
    /// The versions that the codec reads and writes.
    pub versions: VersionRange,
    /// The versions that a broker which serves the API should advertise.
    pub advertised: VersionRange,
    /// The first version with compact lengths and tagged fields (KIP-482); `None`: never.
    pub flexible_from: Option<i16>,
}

macro_rules! table {
    (@flexible $flexible:literal) => { Some($flexible) };
    (@flexible) => { None };
    ($(
        $name:ident = $code:literal, $module:ident, versions $min:literal to $max:literal,
            advertised $first:literal to $last:literal $(, flexible $flexible:literal)?;
    )*) => {
        /// A Kafka API, by the name and number of the protocol guide.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(i16)]
        pub enum ApiKey {$(
            #[doc = concat!("API ", stringify!($code), ", see [`", stringify!($module), "`].")]
            $name = $code,
        )*}

        impl ApiKey {
            /// The API of this number, if the codec knows it.
            #[must_use]
            pub const fn from_code(code: i16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The API's line in the table.
            #[must_use]
            pub const fn entry(self) -> &'static Api {
                match self {$(
                    Self::$name => &Api {
                        key: Self::$name,
                        name: stringify!($name),
                        versions: VersionRange { min: $min, max: $max },
                        advertised: VersionRange { min: $first, max: $last },
                        flexible_from: table!(@flexible $($flexible)?),
                    },
                )*}
            }
        }

        /// Every API that the codec knows, by number.
        pub static API_TABLE: &[&Api] = &[$(ApiKey::$name.entry(),)*];
    };
}

// 6 of InitProducerId is unstable in Kafka 4.3 (KIP-939). Produce 12, EndTxn 5 and TxnOffsetCommit 5 come together with
// the feature transaction.version=2; OffsetCommit and OffsetFetch 10 with topic ids in groups; AddPartitionsToTxn 4 and 5
// are for brokers.
table! {
    Produce = 0, produce, versions 3 to 13, advertised 0 to 11, flexible 9;
    Fetch = 1, fetch, versions 4 to 18, advertised 4 to 17, flexible 12;
    ListOffsets = 2, list_offsets, versions 1 to 11, advertised 1 to 11, flexible 6;
    Metadata = 3, metadata, versions 0 to 13, advertised 0 to 13, flexible 9;
    OffsetCommit = 8, offset_commit, versions 2 to 10, advertised 2 to 9, flexible 8;
    OffsetFetch = 9, offset_fetch, versions 1 to 10, advertised 1 to 9, flexible 6;
    FindCoordinator = 10, find_coordinator, versions 0 to 6, advertised 0 to 6, flexible 3;
    JoinGroup = 11, join_group, versions 0 to 9, advertised 0 to 9, flexible 6;
    Heartbeat = 12, heartbeat, versions 0 to 4, advertised 0 to 4, flexible 4;
    LeaveGroup = 13, leave_group, versions 0 to 5, advertised 0 to 5, flexible 4;
    SyncGroup = 14, sync_group, versions 0 to 5, advertised 0 to 5, flexible 4;
    DescribeGroups = 15, describe_groups, versions 0 to 6, advertised 0 to 6, flexible 5;
    ListGroups = 16, list_groups, versions 0 to 5, advertised 0 to 5, flexible 3;
    SaslHandshake = 17, sasl_handshake, versions 0 to 1, advertised 0 to 1;
    ApiVersions = 18, api_versions, versions 0 to 4, advertised 0 to 4, flexible 3;
    CreateTopics = 19, create_topics, versions 2 to 7, advertised 2 to 7, flexible 5;
    DeleteTopics = 20, delete_topics, versions 1 to 6, advertised 1 to 6, flexible 4;
    DeleteRecords = 21, delete_records, versions 0 to 2, advertised 0 to 2, flexible 2;
    InitProducerId = 22, init_producer_id, versions 0 to 6, advertised 0 to 5, flexible 2;
    OffsetForLeaderEpoch = 23, offset_for_leader_epoch, versions 2 to 4, advertised 2 to 4, flexible 4;
    AddPartitionsToTxn = 24, add_partitions_to_txn, versions 0 to 5, advertised 0 to 3, flexible 3;
    AddOffsetsToTxn = 25, add_offsets_to_txn, versions 0 to 4, advertised 0 to 4, flexible 3;
    EndTxn = 26, end_txn, versions 0 to 5, advertised 0 to 4, flexible 3;
    WriteTxnMarkers = 27, write_txn_markers, versions 1 to 2, advertised 1 to 2, flexible 1;
    TxnOffsetCommit = 28, txn_offset_commit, versions 0 to 5, advertised 0 to 4, flexible 3;
    DescribeAcls = 29, describe_acls, versions 1 to 3, advertised 1 to 3, flexible 2;
    CreateAcls = 30, create_acls, versions 1 to 3, advertised 1 to 3, flexible 2;
    DeleteAcls = 31, delete_acls, versions 1 to 3, advertised 1 to 3, flexible 2;
    DescribeConfigs = 32, describe_configs, versions 1 to 4, advertised 1 to 4, flexible 4;
    AlterConfigs = 33, alter_configs, versions 0 to 2, advertised 0 to 2, flexible 2;
    AlterReplicaLogDirs = 34, alter_replica_log_dirs, versions 1 to 2, advertised 1 to 2, flexible 2;
    DescribeLogDirs = 35, describe_log_dirs, versions 1 to 5, advertised 1 to 4, flexible 2;
    SaslAuthenticate = 36, sasl_authenticate, versions 0 to 2, advertised 0 to 2, flexible 2;
    CreatePartitions = 37, create_partitions, versions 0 to 3, advertised 0 to 3, flexible 2;
    DeleteGroups = 42, delete_groups, versions 0 to 2, advertised 0 to 2, flexible 2;
    ElectLeaders = 43, elect_leaders, versions 0 to 2, advertised 0 to 2, flexible 2;
    IncrementalAlterConfigs = 44, incremental_alter_configs, versions 0 to 1, advertised 0 to 1, flexible 1;
    AlterPartitionReassignments = 45, alter_partition_reassignments, versions 0 to 1, advertised 0 to 1, flexible 0;
    ListPartitionReassignments = 46, list_partition_reassignments, versions 0 to 0, advertised 0 to 0, flexible 0;
    OffsetDelete = 47, offset_delete, versions 0 to 0, advertised 0 to 0;
    DescribeClientQuotas = 48, describe_client_quotas, versions 0 to 1, advertised 0 to 1, flexible 1;
    AlterClientQuotas = 49, alter_client_quotas, versions 0 to 1, advertised 0 to 1, flexible 1;
    DescribeUserScramCredentials = 50, describe_user_scram_credentials, versions 0 to 0, advertised 0 to 0, flexible 0;
    AlterUserScramCredentials = 51, alter_user_scram_credentials, versions 0 to 0, advertised 0 to 0, flexible 0;
    DescribeQuorum = 55, describe_quorum, versions 0 to 2, advertised 0 to 2, flexible 0;
    UpdateFeatures = 57, update_features, versions 0 to 2, advertised 0 to 2, flexible 0;
    DescribeCluster = 60, describe_cluster, versions 0 to 2, advertised 0 to 2, flexible 0;
    DescribeProducers = 61, describe_producers, versions 0 to 0, advertised 0 to 0, flexible 0;
    UnregisterBroker = 64, unregister_broker, versions 0 to 0, advertised 0 to 0, flexible 0;
    DescribeTransactions = 65, describe_transactions, versions 0 to 0, advertised 0 to 0, flexible 0;
    ListTransactions = 66, list_transactions, versions 0 to 2, advertised 0 to 2, flexible 0;
    ConsumerGroupHeartbeat = 68, consumer_group_heartbeat, versions 0 to 1, advertised 0 to 1, flexible 0;
    ConsumerGroupDescribe = 69, consumer_group_describe, versions 0 to 1, advertised 0 to 1, flexible 0;
    ListConfigResources = 74, list_config_resources, versions 0 to 1, advertised 0 to 1, flexible 0;
    DescribeTopicPartitions = 75, describe_topic_partitions, versions 0 to 0, advertised 0 to 0, flexible 0;
}

impl ApiKey {
    /// The API's number.
    #[must_use]
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// The API's name in Kafka's protocol guide.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.entry().name
    }

    /// Whether `version` uses compact lengths and tagged fields.
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        match self.entry().flexible_from {
            Some(from) => version >= from,
            None => false,
        }
    }

    /// The version of the request header in front of this version of the body: 2 when flexible, else 1.
    #[must_use]
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the response header in front of this version of the body: 1 when flexible, else 0. ApiVersions
    /// keeps 0, so that a client can read the answer before it knows the broker's versions (KIP-511).
    #[must_use]
    pub const fn response_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) && !matches!(self, Self::ApiVersions) { 1 } else { 0 }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
