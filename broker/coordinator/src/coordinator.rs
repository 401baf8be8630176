//! The coordinator of the groups of one partition of `__consumer_offsets`: one file per operation.

mod consumer_group_describe;
mod consumer_group_heartbeat;
mod delete_groups;
mod describe_groups;
mod expiry;
mod heartbeat;
mod join_group;
mod leave_group;
mod list_groups;
mod mixed_groups;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod replay;
mod settle;
mod survey;
mod sync_group;
mod transactions;

pub(crate) use delete_groups::delete_metadata;
pub(crate) use join_group::MEMBER_NAME_MAX;

pub use consumer_group_describe::{DescribedConsumer, DescribedConsumerGroup, DescribedPartitions};
pub use consumer_group_heartbeat::{ConsumerGroupHeartbeat, ConsumerGroupHeartbeatResponse};
pub use delete_groups::{DeleteGroupsResponse, DeletedGroup};
pub use describe_groups::{DescribedGroup, DescribedMember};
pub use heartbeat::Heartbeat;
pub use join_group::{JoinGroup, JoinGroupResponse, JoinedMember};
pub use leave_group::{LeaveGroup, LeaveGroupResponse, LeavingMember, LeftMember};
pub use list_groups::{GroupState, ListedGroup};
pub use offset_commit::{
    CommitPartition, CommitTopic, CommittedPartition, CommittedTopic, OffsetCommit,
    OffsetCommitResponse,
};
pub use offset_delete::{OffsetDelete, OffsetDeleteResponse};
pub use offset_fetch::{FetchedPartition, FetchedTopic, OffsetFetch};
pub use replay::{ReplayError, Replayed};
pub use survey::{SurveyedGroup, SurveyedOffset};
pub use sync_group::{SyncGroup, SyncGroupResponse};
pub use transactions::TxnOffsetCommit;

use crate::config::Config;
use crate::group::Group;
use crate::memory::{MemberMemory, Share};
use crate::now::Now;
use crate::outbox::{Append, Outbox};
use crate::response::{Answer, Outcome, Response, Ticket};
use crate::topics::SharedTopics;
use crate::turn::Turn;
use ids::{Instant, ProducerId};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

/// The groups of one partition of `__consumer_offsets`.
///
/// Lives on the partition's core from the moment its broker leads the partition until it does not. What must hold: every
/// ticket that is given out is answered once; an answer that depends on records is given only after they are committed;
/// after [`Coordinator::on_tick`] nothing is due.
#[derive(Debug)]
pub struct Coordinator {
    config: Config,
    topics: SharedTopics,
    groups: BTreeMap<String, Group>,
    /// When to look at which group: exactly the groups' alarms.
    timers: BTreeSet<(Instant, String)>,
    /// The groups in which a producer has an open transaction.
    transactions: BTreeMap<ProducerId, BTreeSet<String>>,
    /// When to look for offsets to expire.
    expiry_at: Option<Instant>,
    /// Topics that were deleted while the log was being read: what it says of offsets in them no longer counts.
    deleted_before_start: BTreeSet<String>,
    /// What its members take in memory.
    memory: Share,
    out: Outbox,
}

impl Coordinator {
    /// A coordinator of a partition whose log is still to be replayed; [`Coordinator::start`] ends that.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self::with_topics(config, SharedTopics::default())
    }

    /// The same, with the topics that consumer groups may read.
    #[must_use]
    pub fn with_topics(config: Config, topics: SharedTopics) -> Self {
        let out = Outbox::new(config.batch_bytes_max);
        Self {
            config,
            topics,
            groups: BTreeMap::new(),
            timers: BTreeSet::new(),
            transactions: BTreeMap::new(),
            expiry_at: None,
            deleted_before_start: BTreeSet::new(),
            memory: Share::default(),
            out,
        }
    }

    /// Members may take no more than this memory has, and records on their way as much; others may use it too. Without it there is
    /// no bound.
    #[must_use]
    pub fn within(mut self, memory: Rc<MemberMemory>) -> Self {
        self.memory = Share::of(Rc::clone(&memory));
        self.out.within(memory);
        self
    }

    /// Whether a member of a group may say so many bytes.
    fn has_room(&self, group_id: &str, member_id: &str, bytes: usize) -> bool {
        let group = self.groups.get(group_id);
        let more = group.map_or(bytes, |group| group.more_than_before(member_id, bytes));
        self.memory.has_room(more)
    }

    /// The broker's configuration has changed. What has begun under the old one goes on under it.
    pub fn configure(&mut self, config: Config) {
        self.out.set_bytes_max(config.batch_bytes_max);
        self.config = config;
    }

    /// Topics have come, gone or grown: consumer groups look at them at their next heartbeat.
    pub fn on_topics_changed(&mut self) {
        for group in self.groups.values_mut() {
            if let Some(consumer) = &mut group.consumer {
                consumer.on_topics_changed();
            }
        }
    }

    /// The next batch to append. Ask after every other call, until there is none.
    pub fn poll_append(&mut self) -> Option<Append> {
        self.out.poll_append()
    }

    /// The next answer to a ticket. Ask after every other call, until there is none.
    pub fn poll_answer(&mut self) -> Option<Answer> {
        self.out.poll_answer()
    }

    /// When [`Coordinator::on_tick`] has something to do.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let first = self.timers.first().map(|(at, _)| *at);
        first.into_iter().chain(self.expiry_at).min()
    }

    /// Time has passed: sessions end, rebalances end, offsets expire.
    pub fn on_tick(&mut self, now: Now) {
        while let Some((at, _)) = self.timers.first()
            && *at <= now.instant
        {
            let Some((_, id)) = self.timers.pop_first() else { break };
            let Some(group) = self.groups.get_mut(&id) else { continue };
            group.alarm = None;
            {
                let topics = &self.topics.borrow();
                let turn = &mut Turn { now, config: &self.config, topics, out: &mut self.out };
                group.classic.on_tick(turn);
                if let Some(consumer) = &mut group.consumer {
                    consumer.on_tick(turn);
                    // What cannot be written now is written later.
                    group.settle_consumers(turn).ok();
                }
            }
            self.look_after(&id);
        }
        if self.expiry_at.is_some_and(|at| at <= now.instant) {
            let interval = Duration::from_millis(self.config.offsets_retention_check_interval_ms);
            // Never again at the same moment.
            self.expiry_at = Some(now.instant + interval.max(Duration::from_secs(1)));
            self.expire(now);
        }
        self.out.finish();
    }

    /// Groups in memory.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Batches that are neither committed nor failed.
    #[must_use]
    pub fn batches_in_flight(&self) -> usize {
        self.out.in_flight()
    }

    /// Works on a group, which is made if there is none, and then looks after it.
    fn with_group<R>(
        &mut self,
        id: &str,
        now: Now,
        work: impl FnOnce(&mut Group, &mut Turn<'_>) -> R,
    ) -> R {
        let Self { groups, config, topics, out, .. } = self;
        let group = groups.entry(id.to_owned()).or_insert_with(|| Group::new(id));
        let done = work(group, &mut Turn { now, config, topics: &topics.borrow(), out });
        self.look_after(id);
        done
    }

    /// Sets a group's alarm, or forgets it when there is nothing left of it.
    fn look_after(&mut self, id: &str) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let weight = group.weight();
        self.memory.change(std::mem::replace(&mut group.weighed, weight), weight);
        if group.is_vacant() {
            if let Some(at) = group.alarm {
                self.timers.remove(&(at, id.to_owned()));
            }
            self.groups.remove(id);
            return;
        }
        let wake = group.wake();
        // An alarm that rings too early finds out when the next one is due.
        let sooner = match (wake, group.alarm) {
            (Some(wake), Some(alarm)) => wake < alarm,
            (wake, None) => wake.is_some(),
            (None, Some(_)) => false,
        };
        if sooner && let Some(wake) = wake {
            if let Some(at) = group.alarm.replace(wake) {
                self.timers.remove(&(at, id.to_owned()));
            }
            self.timers.insert((wake, id.to_owned()));
        }
    }

    /// Ends an operation: its answer, if it is there already.
    fn outcome<R: TryFrom<Response>>(&mut self, ticket: Ticket) -> Outcome<R> {
        self.out.finish();
        match self.out.take_answer(ticket).map(R::try_from) {
            Some(Ok(response)) => Outcome::Ready(response),
            Some(Err(_)) | None => Outcome::Parked(ticket),
        }
    }
}
