//! ConsumerGroupHeartbeat (key 68): the one request of a member of a group with server-side assignment (KIP-848).

use crate::ErrorCode;
use ids::{PartitionIndex, TopicId};

schema! {
    /// What the caller asks.
    request ConsumerGroupHeartbeatRequest<'a> for ConsumerGroupHeartbeat {
        /// The group.
        group_id: &'a str, 0..;
        /// The member.
        member_id: &'a str, 0..;
        /// The member's epoch; 0 joins, -1 leaves, -2 leaves for a while (static member).
        member_epoch: i32, 0..;
        /// The member's fixed name, of a static member (KIP-345).
        instance_id: Option<&'a str>, 0..;
        /// The client's rack.
        rack_id: Option<&'a str>, 0..;
        /// How long the member may take to give up partitions and join again.
        rebalance_timeout_ms: i32 = -1, 0..;
        /// The topics wanted; `None`: unchanged.
        subscribed_topic_names: Option<Vec<&'a str>>, 0..;
        /// The topics wanted, as an RE2J pattern; `None`: unchanged.
        subscribed_topic_regex: Option<&'a str>, 1..;
        /// The assignor wanted; `None`: unchanged, or the broker's choice.
        server_assignor: Option<&'a str>, 0..;
        /// What the member owns; `None`: unchanged.
        topic_partitions: Option<Vec<OwnedPartitions>>, 0..;
    }

    /// A topic and the partitions of it that the member owns.
    part OwnedPartitions {
        /// The topic's id.
        topic_id: TopicId, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }

    /// The answer.
    response ConsumerGroupHeartbeatResponse<'a> for ConsumerGroupHeartbeat {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// The member.
        member_id: Option<&'a str>, 0..;
        /// The member's epoch.
        member_epoch: i32, 0..;
        /// How long to wait until the next heartbeat.
        heartbeat_interval_ms: i32, 0..;
        /// What is assigned to the member; `None`: unchanged.
        assignment: Option<Assignment>, 0..;
    }

    /// Partitions assigned to a member.
    part Assignment {
        /// The partitions, topic by topic.
        topic_partitions: Vec<TopicPartitions>, 0..;
    }

    /// A topic and its partitions.
    part TopicPartitions {
        /// The topic's id.
        topic_id: TopicId, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }
}
