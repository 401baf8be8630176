//! What to do about a broker's no.

use wire::ErrorCode;

/// One line for the person at the terminal.
pub(crate) fn on(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID => {
            "see what there is with `ringwood topic list`, or make it with `ringwood topic create`"
        }
        ErrorCode::TOPIC_ALREADY_EXISTS => {
            "choose another name, look at it with `ringwood topic describe`, or add --if-not-exists"
        }
        ErrorCode::INVALID_TOPIC_EXCEPTION => {
            "use 1 to 249 letters, digits, dots, dashes and underscores"
        }
        ErrorCode::INVALID_PARTITIONS => {
            "ask for at least 1 partition; a topic can only get more of them"
        }
        ErrorCode::INVALID_REPLICATION_FACTOR | ErrorCode::INVALID_REPLICA_ASSIGNMENT => {
            "ask for at most as many replicas as there are brokers; `ringwood cluster brokers` lists them"
        }
        ErrorCode::INVALID_CONFIG => {
            "see the keys and their values with `ringwood config list TYPE/NAME --all`"
        }
        ErrorCode::POLICY_VIOLATION => "ask who runs the cluster: a policy of theirs forbids it",
        ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::RECORD_LIST_TOO_LARGE => {
            "compress with -z zstd, or raise it: `ringwood config set topic/NAME max.message.bytes=BYTES`"
        }
        ErrorCode::INVALID_TIMESTAMP => {
            "check the record's time against message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic"
        }
        ErrorCode::INVALID_RECORD => {
            "check the record against the topic's rules: a compacted topic wants a key"
        }
        ErrorCode::OFFSET_OUT_OF_RANGE => {
            "see the first and last offset with `ringwood topic offsets`"
        }
        ErrorCode::TOPIC_AUTHORIZATION_FAILED
        | ErrorCode::CLUSTER_AUTHORIZATION_FAILED
        | ErrorCode::GROUP_AUTHORIZATION_FAILED => {
            "ask who runs the cluster for an ACL that allows it"
        }
        ErrorCode::SASL_AUTHENTICATION_FAILED | ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
            "use a listener without authentication: SASL is not supported yet"
        }
        ErrorCode::GROUP_ID_NOT_FOUND => "see what there is with `ringwood group list`",
        ErrorCode::NON_EMPTY_GROUP => {
            "stop its members first; `ringwood group describe GROUP --members` names them"
        }
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC => {
            "stop the members that read the topic first; `ringwood group describe GROUP --members` names them"
        }
        ErrorCode::UNKNOWN_MEMBER_ID
        | ErrorCode::ILLEGAL_GENERATION
        | ErrorCode::REBALANCE_IN_PROGRESS => {
            "see who is in the group with `ringwood group describe GROUP --members`, and try again"
        }
        ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::NOT_COORDINATOR => {
            "try again in a moment, with a longer --timeout if the broker has just started"
        }
        ErrorCode::TOPIC_DELETION_DISABLED => "set delete.topic.enable=true on the broker",
        ErrorCode::NOT_ENOUGH_REPLICAS | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND => {
            "bring the missing brokers back, or lower min.insync.replicas"
        }
        ErrorCode::KAFKA_STORAGE_ERROR => {
            "look at the broker's log and at the space on its disk: it may be full"
        }
        ErrorCode::REQUEST_TIMED_OUT => "try again with a longer --timeout",
        ErrorCode::LEADER_NOT_AVAILABLE
        | ErrorCode::NOT_LEADER_OR_FOLLOWER
        | ErrorCode::BROKER_NOT_AVAILABLE
        | ErrorCode::NETWORK_EXCEPTION => {
            "look at the brokers with `ringwood cluster brokers`, and try again when they are back"
        }
        ErrorCode::UNSUPPORTED_VERSION => "use a broker that knows this request",
        ErrorCode::INVALID_REQUEST => "change the request as the cause says",
        ErrorCode::UNSUPPORTED_COMPRESSION_TYPE => "use another codec with -z",
        _ => "look at the broker's log for more",
    }
}
