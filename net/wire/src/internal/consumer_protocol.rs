//! What members of a classic group with the protocol type `consumer` say in JoinGroup and SyncGroup (KIP-429, KIP-792,
//! KIP-881).

use crate::internal::Prefixed;
use ids::PartitionIndex;

schema! {
    /// What a member wants: the metadata of JoinGroup.
    message ConsumerProtocolSubscription<'a> versions 0 to 3 {
        /// The topics wanted.
        topics: Vec<&'a str>, 0..;
        /// What the assignor adds.
        user_data: Option<&'a [u8]>, 0..;
        /// What the member owns at the moment.
        owned_partitions: Vec<ConsumerPartitions<'a>>, 1..;
        /// The generation in which it got them, or -1.
        generation_id: i32 = -1, 2..;
        /// The member's rack.
        rack_id: Option<&'a str>, 3..;
    }

    /// What a member gets: the assignment of SyncGroup.
    message ConsumerProtocolAssignment<'a> versions 0 to 3 {
        /// The partitions.
        assigned_partitions: Vec<ConsumerPartitions<'a>>, 0..;
        /// What the assignor adds.
        user_data: Option<&'a [u8]>, 0..;
    }

    /// A topic and partitions of it.
    part ConsumerPartitions<'a> {
        /// The topic.
        topic: &'a str, 0..;
        /// The partitions.
        partitions: Vec<PartitionIndex>, 0..;
    }
}

impl<'a> Prefixed<'a> for ConsumerProtocolSubscription<'a> {}
impl<'a> Prefixed<'a> for ConsumerProtocolAssignment<'a> {}
