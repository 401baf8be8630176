//! DescribeCluster (key 60): cluster id, controller and brokers (KIP-700, KIP-919).

use crate::ErrorCode;
use ids::BrokerId;

schema! {
    /// What the caller asks.
    request DescribeClusterRequest for DescribeCluster {
        /// Whether to say what the caller may do to the cluster.
        include_cluster_authorized_operations: bool, 0..;
        /// 1 brokers, 2 controllers.
        endpoint_type: i8 = 1, 1..;
        /// Whether to list brokers that are registered but not live.
        include_fenced_brokers: bool, 2..;
    }

    /// The answer.
    response DescribeClusterResponse<'a> for DescribeCluster {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// 1 brokers, 2 controllers.
        endpoint_type: i8 = 1, 1..;
        /// The cluster's id.
        cluster_id: &'a str, 0..;
        /// The controller, or a broker that forwards to it.
        controller_id: BrokerId = BrokerId::NONE, 0..;
        /// The brokers, each with its address on the caller's listener.
        brokers: Vec<DescribeClusterBroker<'a>>, 0..;
        /// What the caller may do to the cluster, one bit an operation; `i32::MIN` when not asked for.
        cluster_authorized_operations: i32 = i32::MIN, 0..;
    }

    /// A broker.
    part DescribeClusterBroker<'a> {
        /// The broker.
        broker_id: BrokerId, 0..;
        /// The host's name or address.
        host: &'a str, 0..;
        /// The port.
        port: i32, 0..;
        /// The broker's rack.
        rack: Option<&'a str>, 0..;
        /// Whether the broker is registered but not live.
        is_fenced: bool, 2..;
    }
}
