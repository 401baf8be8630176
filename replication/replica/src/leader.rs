//! The leader of one partition, in one leader epoch.

use crate::{AckedAt, Ends};
use ids::{BrokerId, LeaderEpoch, Offset};
use std::collections::BTreeMap;

/// What the leader begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderStart {
    /// This broker.
    pub me: BrokerId,
    /// The epoch in which it leads.
    pub epoch: LeaderEpoch,
    /// The ends of its log. After recovery all that was replayed is durable: [`Ends::at`].
    pub ends: Ends,
    /// The high watermark that it knows, at least the log start.
    pub high_watermark: Offset,
    /// Which end counts.
    pub acked_at: AckedAt,
    /// The in-sync replicas of the partition's record, this broker among them.
    pub in_sync: Vec<BrokerId>,
    /// Replicas without those that a reassignment adds.
    pub replication_factor: usize,
    /// The topic's `min.insync.replicas`.
    pub min_in_sync: u32,
}

/// What the leader has to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The high watermark rose to this offset: records below it are committed. Of several rises only the last is told.
    HighWatermark(Offset),
}

/// acks=all is refused: fewer replicas are in sync than the topic demands. NOT_ENOUGH_REPLICAS before an append,
/// NOT_ENOUGH_REPLICAS_AFTER_APPEND after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotEnoughReplicas {
    /// How many are in sync.
    pub in_sync: usize,
    /// How many must be.
    pub needed: usize,
}

/// The leader of one partition. Lives on the partition's core from the moment this broker has replayed the record that
/// makes it leader, until a record says otherwise.
///
/// What must hold: the high watermark never falls, and never passes the end of the log, nor any in-sync replica's
/// acknowledged end at the moment it moves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Leader {
    me: BrokerId,
    epoch: LeaderEpoch,
    /// The end of the log when the epoch began (LESO).
    start: Offset,
    ends: Ends,
    acked_at: AckedAt,
    high_watermark: Offset,
    in_sync: Vec<BrokerId>,
    replication_factor: usize,
    min_in_sync: u32,
    /// What the other replicas last reported.
    followers: BTreeMap<BrokerId, Ends>,
    /// The last high watermark that was told.
    told: Offset,
}

impl Leader {
    /// Begins to lead. The first event, if any, tells how far the high watermark comes at once.
    ///
    /// # Panics
    /// If the ends are out of order, the high watermark is past the end, or this broker is not in sync: the record that
    /// makes a leader always has it in the ISR.
    #[must_use]
    pub fn new(start: LeaderStart) -> Self {
        let LeaderStart { me, epoch, ends, high_watermark, acked_at, .. } = start;
        assert!(ends.in_order(), "ends out of order: {ends:?}");
        assert!(
            high_watermark <= ends.appended,
            "high watermark {high_watermark} is past the end {}",
            ends.appended
        );
        assert!(start.in_sync.contains(&me), "leader {me} is not in sync: {:?}", start.in_sync);
        let mut leader = Self {
            me,
            epoch,
            start: ends.appended,
            ends,
            acked_at,
            high_watermark,
            in_sync: start.in_sync,
            replication_factor: start.replication_factor,
            min_in_sync: start.min_in_sync,
            followers: BTreeMap::new(),
            told: high_watermark,
        };
        leader.advance();
        leader
    }

    /// The log got longer.
    pub fn on_appended(&mut self, end: Offset) {
        self.ends.appended = self.ends.appended.max(end);
    }

    /// Writes up to here have completed.
    ///
    /// # Panics
    /// If the log is not that long.
    pub fn on_written(&mut self, end: Offset) {
        self.ends.on_written(end);
        self.advance();
    }

    /// Records up to here are flushed.
    ///
    /// # Panics
    /// If the log is not that long.
    pub fn on_durable(&mut self, end: Offset) {
        self.ends.on_durable(end);
        self.advance();
    }

    /// A replica reported its ends, in this epoch: its fetch is its acknowledgement. A report that goes back, after that
    /// replica's truncation, counts as it is; the high watermark stays. Ends past the leader's own are cut to it.
    pub fn on_follower(&mut self, broker: BrokerId, ends: Ends) {
        if broker == self.me {
            return;
        }
        let end = self.ends.appended;
        let ends = Ends {
            appended: ends.appended.min(end),
            written: ends.written.min(end),
            durable: ends.durable.min(end),
        };
        self.followers.insert(broker, ends);
        self.advance();
    }

    /// The partition's record changed its in-sync set or its replicas, in this epoch.
    ///
    /// # Panics
    /// If this broker is not in sync: such a record names another leader.
    pub fn on_replicas(&mut self, in_sync: Vec<BrokerId>, replication_factor: usize) {
        assert!(in_sync.contains(&self.me), "leader {} is not in sync: {in_sync:?}", self.me);
        self.in_sync = in_sync;
        self.replication_factor = replication_factor;
        self.advance();
    }

    /// The topic's configs changed. Raised from `written` to `fsync`, the high watermark stays where it is until the
    /// durable ends have passed it.
    pub fn on_config(&mut self, acked_at: AckedAt, min_in_sync: u32) {
        self.acked_at = acked_at;
        self.min_in_sync = min_in_sync;
        self.advance();
    }

    /// The next thing to tell, if there is one.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.told == self.high_watermark {
            return None;
        }
        self.told = self.high_watermark;
        Some(Event::HighWatermark(self.high_watermark))
    }

    /// Whether a produce with acks=all may be taken, or one that was taken may be answered.
    pub fn check_in_sync(&self) -> Result<(), NotEnoughReplicas> {
        let (in_sync, needed) = (self.in_sync.len(), self.in_sync_needed());
        if in_sync < needed { Err(NotEnoughReplicas { in_sync, needed }) } else { Ok(()) }
    }

    /// Whether offsets may be told to clients: not before the high watermark has reached what the log had when the epoch
    /// began, or an answer could be lower than one that the previous leader gave (KIP-207). Otherwise OFFSET_NOT_AVAILABLE.
    #[must_use]
    pub fn knows_offsets(&self) -> bool {
        self.high_watermark >= self.start
    }

    /// The epoch in which this broker leads.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The ends of the leader's log.
    #[must_use]
    pub fn ends(&self) -> Ends {
        self.ends
    }

    /// The leader's own end that counts: acks=1 is answered for records below it.
    #[must_use]
    pub fn acked_end(&self) -> Offset {
        self.ends.acked(self.acked_at)
    }

    /// The high watermark: acks=all is answered for records below it, and consumers read up to it.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// min(`min.insync.replicas`, replication factor), at least one.
    fn in_sync_needed(&self) -> usize {
        let min = usize::try_from(self.min_in_sync).unwrap_or(usize::MAX);
        min.min(self.replication_factor).max(1)
    }

    /// The minimum over the in-sync set of the end that counts; still while too few are in sync; never back.
    fn advance(&mut self) {
        if self.check_in_sync().is_err() {
            return;
        }
        let mut committed = self.acked_end();
        for broker in self.in_sync.iter().filter(|b| **b != self.me) {
            match self.followers.get(broker) {
                Some(ends) => committed = committed.min(ends.acked(self.acked_at)),
                // In sync, but silent in this epoch: nothing is known to be on its disk.
                None => return,
            }
        }
        self.high_watermark = self.high_watermark.max(committed);
        let (high_watermark, end) = (self.high_watermark, self.ends.appended);
        assert!(high_watermark <= end, "high watermark {high_watermark} is past the end {end}");
    }
}

#[cfg(test)]
mod tests;
