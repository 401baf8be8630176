//! Consumer groups and committed offsets: request in, (records, response) out.
//!
//! One [`Coordinator`] serves the groups of one partition of `__consumer_offsets`. An operation changes the state in
//! memory at once and writes records in Kafka's own schemas; the caller takes them with
//! [`poll_append`](Coordinator::poll_append), appends each batch to the partition in the ordinary way, and reports where
//! it ended ([`on_appended`](Coordinator::on_appended)) and how far the high watermark has come
//! ([`on_committed`](Coordinator::on_committed)). An answer that depends on records comes only then, from
//! [`poll_answer`](Coordinator::poll_answer), under the ticket that the operation gave back.
//!
//! What is shown before it is committed? Members, generations and timers are live. Offsets, and whether a group exists in
//! the log, are read as they are committed. A group becomes Stable when its assignment is committed, not before.
//!
//! What happens when an append fails? The batch's own values vanish as if they had never been; answers of its operation
//! become errors. An assignment that was not written begins another rebalance; a static member that could not be replaced
//! is put back. Members that left stay away: nothing can bring them back but their own joining. When the partition is lost
//! to another broker, [`abandon`](Coordinator::abandon) answers everyone, and the coordinator is dropped.
//!
//! After a restart [`replay`](Coordinator::replay) rebuilds the state from the log, record by record, and
//! [`start`](Coordinator::start) begins the sessions anew. Requests wait until then: answer them with
//! COORDINATOR_LOAD_IN_PROGRESS, heartbeats with NONE and SyncGroup with REBALANCE_IN_PROGRESS, so that no member leaves
//! because of it.
//!
//! Offsets of a transaction are in the log at once and count when the caller reports a committed marker
//! ([`on_transaction_end`](Coordinator::on_transaction_end)).
//!
//! What the caller checks before it asks: that the topic-partitions of a commit exist (UNKNOWN_TOPIC_OR_PARTITION), and
//! what the client may do.
//!
//! This crate is pure: no I/O, no clock, no randomness. Moments and fresh member ids are handed in.
#![forbid(unsafe_code)]

mod classic;
mod config;
mod consumer;
mod coordinator;
mod group;
mod memory;
mod migration;
mod now;
mod offsets;
mod outbox;
mod records;
mod response;
mod slot;
mod topics;
mod turn;

pub use classic::ClassicState;
pub use config::{Config, ConsumerTimes};
pub use consumer::ConsumerState;
pub use coordinator::{
    CommitPartition, CommitTopic, CommittedPartition, CommittedTopic, ConsumerGroupHeartbeat,
    ConsumerGroupHeartbeatResponse, Coordinator, DeleteGroupsResponse, DeletedGroup,
    DescribedConsumer, DescribedConsumerGroup, DescribedGroup, DescribedMember,
    DescribedPartitions, FetchedPartition, FetchedTopic, GroupState, Heartbeat, JoinGroup,
    JoinGroupResponse, JoinedMember, LeaveGroup, LeaveGroupResponse, LeavingMember, LeftMember,
    ListedGroup, OffsetCommit, OffsetCommitResponse, OffsetDelete, OffsetDeleteResponse,
    OffsetFetch, ReplayError, Replayed, SurveyedGroup, SurveyedOffset, SyncGroup,
    SyncGroupResponse, TxnOffsetCommit,
};
pub use memory::MemberMemory;
pub use migration::MigrationPolicy;
pub use now::Now;
pub use outbox::{Append, AppendFailure, BatchId};
pub use records::Record;
pub use response::{Answer, Outcome, Response, Ticket};
pub use topics::{SharedTopics, Topics};
