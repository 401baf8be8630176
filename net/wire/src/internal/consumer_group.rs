//! The state of a consumer group with server-side assignment in `__consumer_offsets` (KIP-848). Null values delete.
//!
//! The version of a key is the type of the record: 3 the group, 5 a member, 6 and 7 what shall be assigned, 8 what is.

use crate::internal::Prefixed;
use ids::{PartitionIndex, TopicId};

schema! {
    /// Which group it is.
    message ConsumerGroupMetadataKey<'a> versions 3 to 3 {
        /// The group.
        group: &'a str, 0..;
    }

    /// The group.
    message ConsumerGroupMetadataValue versions 0 to 0 flexible 0 {
        /// The group's epoch.
        epoch: i32, 0..;
        /// A number that changes with the topics that the group reads.
        metadata_hash: i64, 0.., tag 0;
    }

    /// Which member it is.
    message ConsumerGroupMemberMetadataKey<'a> versions 5 to 5 {
        /// The group.
        group: &'a str, 0..;
        /// The member.
        member_id: &'a str, 0..;
    }

    /// What a member said about itself.
    message ConsumerGroupMemberMetadataValue<'a> versions 0 to 0 flexible 0 {
        /// The member's fixed name, of a static member (KIP-345).
        instance_id: Option<&'a str>, 0..;
        /// The member's rack.
        rack_id: Option<&'a str>, 0..;
        /// Its client id.
        client_id: &'a str, 0..;
        /// Its address.
        client_host: &'a str, 0..;
        /// The topics wanted.
        subscribed_topic_names: Vec<&'a str>, 0..;
        /// The topics wanted, as a pattern.
        subscribed_topic_regex: Option<&'a str>, 0..;
        /// How long it may take to give up partitions, in milliseconds.
        rebalance_timeout: i32 = -1, 0..;
        /// The assignor that it prefers.
        server_assignor: Option<&'a str>, 0..;
        /// Of a member that speaks the classic protocol.
        classic_member_metadata: Option<ClassicMemberMetadata<'a>>, 0.., tag 0;
    }

    /// What a member of the classic protocol said about itself.
    part ClassicMemberMetadata<'a> {
        /// How long the coordinator waits for a heartbeat, in milliseconds.
        session_timeout_ms: i32, 0..;
        /// The protocols that it speaks, the best first.
        supported_protocols: Vec<ClassicProtocol<'a>>, 0..;
    }

    /// A protocol of the classic kind.
    part ClassicProtocol<'a> {
        /// Its name.
        name: &'a str, 0..;
        /// What the member says about itself in it.
        metadata: &'a [u8], 0..;
    }

    /// Which group it is.
    message ConsumerGroupTargetAssignmentMetadataKey<'a> versions 6 to 6 {
        /// The group.
        group: &'a str, 0..;
    }

    /// Which epoch the target assignment belongs to.
    message ConsumerGroupTargetAssignmentMetadataValue versions 0 to 0 flexible 0 {
        /// The epoch.
        assignment_epoch: i32, 0..;
    }

    /// Which member it is.
    message ConsumerGroupTargetAssignmentMemberKey<'a> versions 7 to 7 {
        /// The group.
        group: &'a str, 0..;
        /// The member.
        member_id: &'a str, 0..;
    }

    /// What a member shall have.
    message ConsumerGroupTargetAssignmentMemberValue versions 0 to 0 flexible 0 {
        /// The partitions, topic by topic.
        topic_partitions: Vec<TopicPartitions>, 0..;
    }

    /// Which member it is.
    message ConsumerGroupCurrentMemberAssignmentKey<'a> versions 8 to 8 {
        /// The group.
        group: &'a str, 0..;
        /// The member.
        member_id: &'a str, 0..;
    }

    /// What a member has.
    message ConsumerGroupCurrentMemberAssignmentValue versions 0 to 0 flexible 0 {
        /// The member's epoch.
        member_epoch: i32, 0..;
        /// The epoch before.
        previous_member_epoch: i32, 0..;
        /// 0 stable, 1 has to give up partitions, 2 waits for partitions of others.
        state: i8, 0..;
        /// The partitions that it may use.
        assigned_partitions: Vec<TopicPartitions>, 0..;
        /// The partitions that it has to give up.
        partitions_pending_revocation: Vec<TopicPartitions>, 0..;
    }

    /// A topic and partitions of it.
    part TopicPartitions {
        /// The topic's id.
        topic_id: TopicId, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }
}

impl<'a> Prefixed<'a> for ConsumerGroupMetadataKey<'a> {}
impl<'a> Prefixed<'a> for ConsumerGroupMetadataValue {}
impl<'a> Prefixed<'a> for ConsumerGroupMemberMetadataKey<'a> {}
impl<'a> Prefixed<'a> for ConsumerGroupMemberMetadataValue<'a> {}
impl<'a> Prefixed<'a> for ConsumerGroupTargetAssignmentMetadataKey<'a> {}
impl<'a> Prefixed<'a> for ConsumerGroupTargetAssignmentMetadataValue {}
impl<'a> Prefixed<'a> for ConsumerGroupTargetAssignmentMemberKey<'a> {}
impl<'a> Prefixed<'a> for ConsumerGroupTargetAssignmentMemberValue {}
impl<'a> Prefixed<'a> for ConsumerGroupCurrentMemberAssignmentKey<'a> {}
impl<'a> Prefixed<'a> for ConsumerGroupCurrentMemberAssignmentValue {}
