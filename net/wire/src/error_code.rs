//! Error codes that clients switch on.
//!
//! A number that a newer broker invented stays what it is: this is a number with names, not a closed list.

use std::fmt;

/// A Kafka error code.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

macro_rules! codes {
    ($($code:literal $name:ident $retriable:ident $message:literal;)*) => {
        impl ErrorCode {$(
            #[doc = concat!($message, " (", stringify!($code), ").")]
            pub const $name: Self = Self($code);
        )*
            /// Every code of Kafka 4.3.0, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            const fn facts(self) -> Option<(&'static str, bool, &'static str)> {
                match self.0 {
                    $($code => Some((stringify!($name), codes!(@$retriable), $message)),)*
                    _ => None,
                }
            }
        }
    };
    (@again) => { true };
    (@final) => { false };
}

codes! {
    -1 UNKNOWN_SERVER_ERROR final "an unexpected fault on the broker";
    0 NONE final "no error";
    1 OFFSET_OUT_OF_RANGE final "the offset is outside of what the log holds";
    2 CORRUPT_MESSAGE again "the records fail their checksum or are malformed";
    3 UNKNOWN_TOPIC_OR_PARTITION again "this broker does not host the topic or partition";
    4 INVALID_FETCH_SIZE final "the fetch size is not valid";
    5 LEADER_NOT_AVAILABLE again "the partition has no leader at the moment";
    6 NOT_LEADER_OR_FOLLOWER again "this broker does not lead, or does not hold, the partition";
    7 REQUEST_TIMED_OUT again "the request ran out of time";
    8 BROKER_NOT_AVAILABLE final "the broker is not available";
    9 REPLICA_NOT_AVAILABLE again "the replica is not available on this broker";
    10 MESSAGE_TOO_LARGE final "the batch is larger than the topic accepts";
    11 STALE_CONTROLLER_EPOCH final "the controller has moved to another broker";
    12 OFFSET_METADATA_TOO_LARGE final "the metadata beside the offset is too long";
    13 NETWORK_EXCEPTION again "the connection ended before the response";
    14 COORDINATOR_LOAD_IN_PROGRESS again "the coordinator is still loading its state";
    15 COORDINATOR_NOT_AVAILABLE again "there is no coordinator at the moment";
    16 NOT_COORDINATOR again "this broker is not the coordinator";
    17 INVALID_TOPIC_EXCEPTION final "the topic's name is not valid, or the topic is not open to this operation";
    18 RECORD_LIST_TOO_LARGE final "the batch is larger than a segment";
    19 NOT_ENOUGH_REPLICAS again "fewer replicas are in sync than the topic requires";
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND again "the records were written, but fewer replicas are in sync than the topic requires";
    21 INVALID_REQUIRED_ACKS final "acks is none of -1, 0 and 1";
    22 ILLEGAL_GENERATION final "the group has another generation";
    23 INCONSISTENT_GROUP_PROTOCOL final "the member's protocols do not match those of the group";
    24 INVALID_GROUP_ID final "the group id is not valid";
    25 UNKNOWN_MEMBER_ID final "the group does not know this member";
    26 INVALID_SESSION_TIMEOUT final "the session timeout is outside of the broker's limits";
    27 REBALANCE_IN_PROGRESS final "the group rebalances, the member has to join again";
    28 INVALID_COMMIT_OFFSET_SIZE final "the committed offset is too large to store";
    29 TOPIC_AUTHORIZATION_FAILED final "not authorized for the topic";
    30 GROUP_AUTHORIZATION_FAILED final "not authorized for the group";
    31 CLUSTER_AUTHORIZATION_FAILED final "not authorized for the cluster";
    32 INVALID_TIMESTAMP final "a record's timestamp is outside of the accepted range";
    33 UNSUPPORTED_SASL_MECHANISM final "the SASL mechanism is not enabled";
    34 ILLEGAL_SASL_STATE final "the request does not fit the state of authentication";
    35 UNSUPPORTED_VERSION final "the version of the request is not supported";
    36 TOPIC_ALREADY_EXISTS final "a topic of this name exists";
    37 INVALID_PARTITIONS final "the number of partitions is not valid";
    38 INVALID_REPLICATION_FACTOR final "the replication factor is below 1 or above the number of brokers";
    39 INVALID_REPLICA_ASSIGNMENT final "the assignment of replicas is not valid";
    40 INVALID_CONFIG final "a configuration key or value is not valid";
    41 NOT_CONTROLLER again "this broker is not the controller";
    42 INVALID_REQUEST final "the request contradicts itself or breaks a rule of the protocol";
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT final "the message format does not support the request";
    44 POLICY_VIOLATION final "a policy of the cluster forbids it";
    45 OUT_OF_ORDER_SEQUENCE_NUMBER final "a batch is missing before this one of an idempotent producer";
    46 DUPLICATE_SEQUENCE_NUMBER final "the batch has been written before";
    47 INVALID_PRODUCER_EPOCH final "a newer instance of the producer has taken over";
    48 INVALID_TXN_STATE final "the transaction's state does not allow it";
    49 INVALID_PRODUCER_ID_MAPPING final "the producer id does not belong to the transactional id";
    50 INVALID_TRANSACTION_TIMEOUT final "the transaction timeout is above the broker's limit";
    51 CONCURRENT_TRANSACTIONS again "the previous transaction of this id is still being finished";
    52 TRANSACTION_COORDINATOR_FENCED final "a newer transaction coordinator has taken over";
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED final "not authorized for the transactional id";
    54 SECURITY_DISABLED final "security is not enabled";
    55 OPERATION_NOT_ATTEMPTED final "not tried, because another part of the request failed";
    56 KAFKA_STORAGE_ERROR again "the disk under the log failed";
    57 LOG_DIR_NOT_FOUND final "the broker has no such log directory";
    58 SASL_AUTHENTICATION_FAILED final "authentication failed";
    59 UNKNOWN_PRODUCER_ID final "the broker no longer knows the producer";
    60 REASSIGNMENT_IN_PROGRESS final "the partition is being reassigned";
    61 DELEGATION_TOKEN_AUTH_DISABLED final "delegation tokens are not enabled";
    62 DELEGATION_TOKEN_NOT_FOUND final "there is no such delegation token";
    63 DELEGATION_TOKEN_OWNER_MISMATCH final "the delegation token belongs to someone else";
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED final "delegation tokens cannot be asked for on this channel";
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED final "not authorized for the delegation token";
    66 DELEGATION_TOKEN_EXPIRED final "the delegation token has expired";
    67 INVALID_PRINCIPAL_TYPE final "the principal type is not supported";
    68 NON_EMPTY_GROUP final "the group still has members";
    69 GROUP_ID_NOT_FOUND final "there is no such group";
    70 FETCH_SESSION_ID_NOT_FOUND again "there is no such fetch session";
    71 INVALID_FETCH_SESSION_EPOCH again "the fetch session is at another epoch";
    72 LISTENER_NOT_FOUND again "the leader has no endpoint on this listener";
    73 TOPIC_DELETION_DISABLED final "topics cannot be deleted here";
    74 FENCED_LEADER_EPOCH again "the client knows an older leader epoch than the broker";
    75 UNKNOWN_LEADER_EPOCH again "the client knows a newer leader epoch than the broker";
    76 UNSUPPORTED_COMPRESSION_TYPE final "the compression does not exist in this version of the request";
    77 STALE_BROKER_EPOCH final "the broker has registered again since";
    78 OFFSET_NOT_AVAILABLE again "a new leader cannot vouch for its high watermark yet";
    79 MEMBER_ID_REQUIRED final "the member has to join with the id given here";
    80 PREFERRED_LEADER_NOT_AVAILABLE again "the preferred leader is not available";
    81 GROUP_MAX_SIZE_REACHED final "the group is full";
    82 FENCED_INSTANCE_ID final "another member has taken over this instance id";
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE again "no replica that could lead is available";
    84 ELECTION_NOT_NEEDED again "the partition has the right leader already";
    85 NO_REASSIGNMENT_IN_PROGRESS final "the partition is not being reassigned";
    86 GROUP_SUBSCRIBED_TO_TOPIC final "the group is subscribed to the topic";
    87 INVALID_RECORD final "a record breaks a rule of the topic or of the format";
    88 UNSTABLE_OFFSET_COMMIT again "an open transaction may still change the committed offset";
    89 THROTTLING_QUOTA_EXCEEDED again "a quota is used up";
    90 PRODUCER_FENCED final "a newer producer of the same transactional id has taken over";
    91 RESOURCE_NOT_FOUND final "there is no such resource";
    92 DUPLICATE_RESOURCE final "the resource is named twice";
    93 UNACCEPTABLE_CREDENTIAL final "the credential does not meet the requirements";
    94 INCONSISTENT_VOTER_SET final "the voters of the two sides differ";
    95 INVALID_UPDATE_VERSION final "the version of the update is not valid";
    96 FEATURE_UPDATE_FAILED final "the feature could not be updated";
    97 PRINCIPAL_DESERIALIZATION_FAILURE final "the forwarded principal cannot be read";
    98 SNAPSHOT_NOT_FOUND final "there is no such snapshot";
    99 POSITION_OUT_OF_RANGE final "the position is outside of the snapshot";
    100 UNKNOWN_TOPIC_ID again "this broker does not know the topic id";
    101 DUPLICATE_BROKER_REGISTRATION final "another live broker has this id";
    102 BROKER_ID_NOT_REGISTERED final "no broker of this id is registered";
    103 INCONSISTENT_TOPIC_ID again "the log belongs to another topic id";
    104 INCONSISTENT_CLUSTER_ID final "the request is meant for another cluster";
    105 TRANSACTIONAL_ID_NOT_FOUND final "there is no such transactional id";
    106 FETCH_SESSION_TOPIC_ID_ERROR again "the fetch session mixes topic names and topic ids";
    107 INELIGIBLE_REPLICA final "a replica may not join the in-sync replicas";
    108 NEW_LEADER_ELECTED final "the change made another broker the leader";
    109 OFFSET_MOVED_TO_TIERED_STORAGE final "the offset lives in tiered storage";
    110 FENCED_MEMBER_EPOCH final "the group has another epoch for this member";
    111 UNRELEASED_INSTANCE_ID final "a member that has not left still uses this instance id";
    112 UNSUPPORTED_ASSIGNOR final "the group coordinator has no such assignor";
    113 STALE_MEMBER_EPOCH final "the member's epoch is behind that of the group";
    114 MISMATCHED_ENDPOINT_TYPE final "the request went to the wrong kind of endpoint";
    115 UNSUPPORTED_ENDPOINT_TYPE final "the kind of endpoint is not supported";
    116 UNKNOWN_CONTROLLER_ID final "there is no such controller";
    117 UNKNOWN_SUBSCRIPTION_ID final "the telemetry subscription has changed";
    118 TELEMETRY_TOO_LARGE final "the pushed telemetry is too large";
    119 INVALID_REGISTRATION final "the broker's registration is not valid";
    120 TRANSACTION_ABORTABLE final "the transaction cannot go on and must be aborted";
    121 INVALID_RECORD_STATE final "the record is not in the state that the acknowledgement needs";
    122 SHARE_SESSION_NOT_FOUND again "there is no such share session";
    123 INVALID_SHARE_SESSION_EPOCH again "the share session is at another epoch";
    124 FENCED_STATE_EPOCH final "the share coordinator has a newer state epoch";
    125 INVALID_VOTER_KEY final "the voter's directory id is not that of this node";
    126 DUPLICATE_VOTER final "the voter is part of the set already";
    127 VOTER_NOT_FOUND final "there is no such voter";
    128 INVALID_REGULAR_EXPRESSION final "the regular expression is not valid";
    129 REBOOTSTRAP_REQUIRED final "the client has to start again from its bootstrap servers";
    130 STREAMS_INVALID_TOPOLOGY final "the streams topology is not valid";
    131 STREAMS_INVALID_TOPOLOGY_EPOCH final "the streams topology epoch is not valid";
    132 STREAMS_TOPOLOGY_FENCED final "the streams topology epoch is behind that of the group";
    133 SHARE_SESSION_LIMIT_REACHED again "the broker holds as many share sessions as it may";
}

impl ErrorCode {
    /// Whether this is [`ErrorCode::NONE`].
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether this is anything but [`ErrorCode::NONE`].
    #[must_use]
    pub const fn is_error(self) -> bool {
        self.0 != 0
    }

    /// Whether clients ask again after this error without being told to by the application.
    #[must_use]
    pub const fn is_retriable(self) -> bool {
        matches!(self.facts(), Some((_, true, _)))
    }

    /// Kafka's name for the code, such as `NOT_COORDINATOR`; `UNKNOWN` for a number that Kafka 4.3.0 does not have.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self.facts() {
            Some((name, ..)) => name,
            None => "UNKNOWN",
        }
    }

    /// One short sentence about the error, for an `error_message` that has nothing better to say.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self.facts() {
            Some((_, _, message)) => message,
            None => "an error that this version does not know",
        }
    }
}

impl Default for ErrorCode {
    fn default() -> Self {
        Self::NONE
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_dense_from_unknown_server_error() {
        let numbers: Vec<i16> = ErrorCode::ALL.iter().map(|code| code.0).collect();
        assert_eq!(numbers, (-1..=133).collect::<Vec<_>>());
    }

    #[test]
    fn a_code_knows_its_name_and_its_nature() {
        assert_eq!(ErrorCode::NOT_LEADER_OR_FOLLOWER.to_string(), "NOT_LEADER_OR_FOLLOWER(6)");
        assert!(ErrorCode::NOT_LEADER_OR_FOLLOWER.is_retriable());
        assert!(!ErrorCode::MESSAGE_TOO_LARGE.is_retriable());
        assert_eq!(ErrorCode(999).name(), "UNKNOWN");
        assert!(!ErrorCode(999).is_retriable());
    }
}
