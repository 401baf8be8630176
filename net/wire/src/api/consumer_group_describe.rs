//! ConsumerGroupDescribe (key 69): state and members of groups with server-side assignment (KIP-848).

use crate::ErrorCode;
use ids::{PartitionIndex, TopicId};

schema! {
    /// What the caller asks.
    request ConsumerGroupDescribeRequest<'a> for ConsumerGroupDescribe {
        /// The groups to describe.
        group_ids: Vec<&'a str>, 0..;
        /// Whether to say what the caller may do.
        include_authorized_operations: bool, 0..;
    }

    /// The answer.
    response ConsumerGroupDescribeResponse<'a> for ConsumerGroupDescribe {
        /// How long the client is throttled because of a quota.
        throttle_time_ms: i32, 0..;
        /// One entry for each group.
        groups: Vec<DescribedGroup<'a>>, 0..;
    }

    /// A group.
    part DescribedGroup<'a> {
        /// What went wrong, or `NONE`.
        error_code: ErrorCode, 0..;
        /// What went wrong, in words.
        error_message: Option<&'a str>, 0..;
        /// The group.
        group_id: &'a str, 0..;
        /// The group's state, as text.
        group_state: &'a str, 0..;
        /// The epoch of the group's metadata.
        group_epoch: i32, 0..;
        /// The epoch of the assignment.
        assignment_epoch: i32, 0..;
        /// The assignor chosen by the group.
        assignor_name: &'a str, 0..;
        /// The members.
        members: Vec<Member<'a>>, 0..;
        /// What the caller may do, one bit an operation; `i32::MIN` when not asked for.
        authorized_operations: i32 = i32::MIN, 0..;
    }

    /// A member of a group.
    part Member<'a> {
        /// The member.
        member_id: &'a str, 0..;
        /// The member's fixed name, of a static member (KIP-345).
        instance_id: Option<&'a str>, 0..;
        /// The client's rack.
        rack_id: Option<&'a str>, 0..;
        /// The member's epoch.
        member_epoch: i32, 0..;
        /// The member's client id.
        client_id: &'a str, 0..;
        /// The member's address.
        client_host: &'a str, 0..;
        /// The topics wanted.
        subscribed_topic_names: Vec<&'a str>, 0..;
        /// The topics wanted, as an RE2J pattern.
        subscribed_topic_regex: Option<&'a str>, 0..;
        /// What is assigned to the member.
        assignment: Assignment<'a>, 0..;
        /// What shall be assigned to the member.
        target_assignment: Assignment<'a>, 0..;
        /// 0 classic, 1 consumer, -1 unknown.
        member_type: i8 = -1, 1..;
    }

    /// Partitions assigned to a member.
    part Assignment<'a> {
        /// The partitions, topic by topic.
        topic_partitions: Vec<TopicPartitions<'a>>, 0..;
    }

    /// A topic and its partitions.
    part TopicPartitions<'a> {
        /// The topic's id.
        topic_id: TopicId, 0..;
        /// The topic.
        topic_name: &'a str, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }
}
