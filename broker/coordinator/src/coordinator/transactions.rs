//! TxnOffsetCommit 0 to 5: offsets that count when the producer's transaction is committed (KIP-98, KIP-447).
//!
//! The offsets go into the log at once, as a part of the transaction; a marker in the same log decides. Until then
//! OffsetFetch says UNSTABLE_OFFSET_COMMIT to whoever asks for stable offsets, and nothing of it expires.

use super::Coordinator;
use super::join_group::STRING_MAX;
use super::offset_commit::{OffsetCommit, OffsetCommitResponse, answer, push_in_transaction};
use crate::classic::Asker;
use crate::now::Now;
use crate::response::Outcome;
use ids::{Offset, ProducerEpoch, ProducerId};
use wire::ErrorCode;

/// What the caller asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TxnOffsetCommit<'a> {
    /// The group, the member (version 3 and up; generation -1 and no member before) and the offsets.
    pub commit: OffsetCommit<'a>,
    /// The producer. The caller has checked that its transaction is open and includes this partition of
    /// `__consumer_offsets`.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub producer_epoch: ProducerEpoch,
}

impl Coordinator {
    /// TxnOffsetCommit. Answered when the offsets are in the log. The group's state is not looked at: a transaction that
    /// began before a rebalance may end during it.
    pub fn txn_offset_commit(
        &mut self,
        request: &TxnOffsetCommit<'_>,
        now: Now,
    ) -> Outcome<OffsetCommitResponse> {
        let commit = &request.commit;
        if let Err(code) = self.check_txn_commit(commit).and_then(|()| self.check_room(commit)) {
            let topics = commit.topics.iter().map(|t| answer(t, |_| code)).collect();
            return Outcome::Ready(OffsetCommitResponse { topics });
        }
        let ticket = self.out.ticket();
        let producer = request.producer_id;
        self.out.in_transaction_of((producer, request.producer_epoch));
        let topics = self.with_group(commit.group_id, now, |group, turn| {
            let mut push = |topic: &super::CommitTopic<'_>| {
                answer(topic, |p| push_in_transaction(producer, group, topic.name, p, commit, turn))
            };
            commit.topics.iter().map(&mut push).collect()
        });
        self.note_transaction(producer, commit.group_id);
        self.out.answer_when_committed(ticket, OffsetCommitResponse { topics });
        self.outcome(ticket)
    }

    fn check_txn_commit(&self, commit: &OffsetCommit<'_>) -> Result<(), ErrorCode> {
        if commit.group_id.len() > STRING_MAX {
            return Err(ErrorCode::INVALID_GROUP_ID);
        }
        let asker =
            Asker { member_id: commit.member_id, group_instance_id: commit.group_instance_id };
        let generation = commit.generation_id;
        match self.groups.get(commit.group_id).filter(|group| group.exists()) {
            None if generation < 0 => Ok(()),
            None => Err(ErrorCode::ILLEGAL_GENERATION),
            Some(group) => match group.consumers() {
                // Whoever is no member may, as with classic groups.
                Some(_) if generation < 0 && commit.member_id.is_empty() => Ok(()),
                Some(consumers) => consumers.check_commit(asker, generation),
                None => group.classic.check_txn_commit(asker, generation),
            },
        }
    }

    /// A marker is committed: the transaction of `producer` ended at `marker`, for good or for nothing. Report the high
    /// watermark first. Also while the log is replayed, in its order.
    pub fn on_transaction_end(&mut self, producer: ProducerId, marker: Offset, committed: bool) {
        for id in self.transactions.remove(&producer).unwrap_or_default() {
            if let Some(group) = self.groups.get_mut(&id) {
                group.offsets.on_transaction_end(producer, marker, committed);
            }
            self.note_transaction(producer, &id);
            self.look_after(&id);
        }
    }

    /// Keeps in mind in which groups a producer has a transaction.
    pub(super) fn note_transaction(&mut self, producer: ProducerId, group_id: &str) {
        let open = |group: &crate::group::Group| group.offsets.has_transaction_of(producer);
        if self.groups.get(group_id).is_some_and(open) {
            self.transactions.entry(producer).or_default().insert(group_id.to_owned());
        } else if let Some(groups) = self.transactions.get_mut(&producer) {
            groups.remove(group_id);
            if groups.is_empty() {
                self.transactions.remove(&producer);
            }
        }
    }
}
