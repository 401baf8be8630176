//! Authorized operations (KIP-430): without an authorizer everything that a resource supports is allowed, if it is asked for.
//!
//! A set of operations is one bit for each, at the place of its number in Kafka's list of them.

const READ: i32 = 1 << 3;
const WRITE: i32 = 1 << 4;
const CREATE: i32 = 1 << 5;
const DELETE: i32 = 1 << 6;
const ALTER: i32 = 1 << 7;
const DESCRIBE: i32 = 1 << 8;
const CLUSTER_ACTION: i32 = 1 << 9;
const DESCRIBE_CONFIGS: i32 = 1 << 10;
const ALTER_CONFIGS: i32 = 1 << 11;
const IDEMPOTENT_WRITE: i32 = 1 << 12;

/// The client did not ask.
const NOT_ASKED: i32 = i32::MIN;

/// Of a topic.
pub(in crate::api) fn of_topic(asked: bool) -> i32 {
    let data = READ | WRITE | CREATE | DELETE | ALTER | DESCRIBE;
    if asked { data | DESCRIBE_CONFIGS | ALTER_CONFIGS } else { NOT_ASKED }
}

/// Of the cluster.
pub(in crate::api) fn of_cluster(asked: bool) -> i32 {
    let cluster = CREATE | ALTER | DESCRIBE | CLUSTER_ACTION | IDEMPOTENT_WRITE;
    if asked { cluster | DESCRIBE_CONFIGS | ALTER_CONFIGS } else { NOT_ASKED }
}

/// Of a group.
pub(in crate::api) fn of_group(asked: bool) -> i32 {
    let group = READ | DELETE | DESCRIBE;
    if asked { group | DESCRIBE_CONFIGS | ALTER_CONFIGS } else { NOT_ASKED }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_has_the_operations_that_kafka_names() {
        // What AclEntry.supportedOperations of 4.3.0 lists, as Utils.to32BitField packs it.
        assert_eq!((of_topic(true), of_cluster(true), of_group(true)), (3576, 8096, 3400));
        assert_eq!([of_topic(false), of_cluster(false), of_group(false)], [i32::MIN; 3]);
    }
}
