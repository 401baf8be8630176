//! Refusals: what the controller answers when it says no.

use std::fmt;

/// Kafka's error codes that this crate can answer. The number is the code on the wire (protocol guide, "Error codes").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(i16)]
pub enum ErrorCode {
    /// UNKNOWN_SERVER_ERROR: a broken invariant on our side that concerns this item only.
    UnknownServerError = -1,
    /// UNKNOWN_TOPIC_OR_PARTITION.
    UnknownTopicOrPartition = 3,
    /// INVALID_TOPIC_EXCEPTION: a name that no topic may have, or one that collides.
    InvalidTopic = 17,
    /// TOPIC_AUTHORIZATION_FAILED.
    TopicAuthorizationFailed = 29,
    /// CLUSTER_AUTHORIZATION_FAILED.
    ClusterAuthorizationFailed = 31,
    /// TOPIC_ALREADY_EXISTS.
    TopicAlreadyExists = 36,
    /// INVALID_PARTITIONS.
    InvalidPartitions = 37,
    /// INVALID_REPLICATION_FACTOR.
    InvalidReplicationFactor = 38,
    /// INVALID_REPLICA_ASSIGNMENT.
    InvalidReplicaAssignment = 39,
    /// INVALID_CONFIG.
    InvalidConfig = 40,
    /// NOT_CONTROLLER.
    NotController = 41,
    /// INVALID_REQUEST.
    InvalidRequest = 42,
    /// POLICY_VIOLATION.
    PolicyViolation = 44,
    /// TOPIC_DELETION_DISABLED.
    TopicDeletionDisabled = 73,
    /// STALE_BROKER_EPOCH: a registration of an incarnation that is not newer than the known one.
    StaleBrokerEpoch = 77,
    /// THROTTLING_QUOTA_EXCEEDED.
    ThrottlingQuotaExceeded = 89,
    /// UNKNOWN_TOPIC_ID.
    UnknownTopicId = 100,
    /// DUPLICATE_BROKER_REGISTRATION.
    DuplicateBrokerRegistration = 101,
    /// INCONSISTENT_CLUSTER_ID.
    InconsistentClusterId = 104,
}

impl ErrorCode {
    /// The number on the wire.
    #[must_use]
    pub fn wire(self) -> i16 {
        self as i16
    }
}

/// No, with the code for the client and the text for the person behind it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// What the client switches on.
    pub code: ErrorCode,
    /// What a person reads: what is wrong and, where it helps, what would be right.
    pub message: String,
}

impl Refusal {
    /// A refusal with its reason.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.code, self.message)
    }
}

impl std::error::Error for Refusal {}
