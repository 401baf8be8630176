//! Which offsets go because nobody needs them any more (KIP-211).
//!
//! | group | counted from |
//! |---|---|
//! | empty, was one with members | the moment it became empty; from the commit where an old record does not say it |
//! | stable consumers | the commit, and only of topics that no member reads |
//! | never had members | the commit |
//! | without members, of the consumer protocol | the later of both |
//! | with members, of the consumer protocol | the commit, and only of topics that no member reads |
//! | anything else | never |
//!
//! A client of old (OffsetCommit 2 to 4) may have given an offset an end of its own: that one counts then. An empty group
//! without offsets is deleted. Offsets that an open transaction will write stay.

use super::Coordinator;
use super::delete_groups::delete_metadata;
use super::offset_delete::delete_offset;
use crate::classic::ClassicState;
use crate::group::Group;
use crate::now::Now;
use crate::offsets::CommittedOffset;
use ids::{PartitionIndex, Timestamp};

impl Coordinator {
    /// Puts the deletion of everything that has expired on its way.
    pub(super) fn expire(&mut self, now: Now) {
        let retention = self.config.offsets_retention_ms;
        let due = |(id, group): (&String, &Group)| {
            let gone = expired(group, now.wall, retention);
            (!gone.is_empty() || is_left_over(group)).then(|| (id.clone(), gone))
        };
        let due: Vec<_> = self.groups.iter().filter_map(due).collect();
        for (id, gone) in due {
            self.with_group(&id, now, |group, turn| {
                for (topic, partition) in &gone {
                    // What has no room in a batch now is looked at again next time.
                    let deleted = delete_offset(group, &id, topic, *partition, turn);
                    debug_assert!(deleted.is_ok(), "a tombstone is a small record");
                }
                if is_left_over(group) {
                    let deleted = delete_metadata(group, &id, turn);
                    if let Some(consumers) = group.consumers_mut() {
                        consumers.delete();
                        // What cannot be written now is written later.
                        consumers.write(turn).ok();
                    }
                    debug_assert!(deleted.is_ok(), "a tombstone is a small record");
                }
            });
        }
    }

    /// Topics were deleted: so are the offsets in them, and those that the log is still to tell of.
    pub fn on_topics_deleted(&mut self, topics: &[&str], now: Now) {
        if self.expiry_at.is_none() {
            self.deleted_before_start.extend(topics.iter().map(|t| (*t).to_owned()));
            return;
        }
        let ids: Vec<String> = self.groups.keys().cloned().collect();
        for id in ids {
            self.with_group(&id, now, |group, turn| {
                for topic in topics {
                    for (topic, partition) in group.offsets.partitions(Some(topic)) {
                        let topic = &topic;
                        let deleted = delete_offset(group, &id, topic, partition, turn);
                        debug_assert!(deleted.is_ok(), "a tombstone is a small record");
                    }
                }
            });
        }
        self.out.finish();
    }
}

impl Coordinator {
    /// Offsets in topics that are not there go: a topic that was deleted just before a crash leaves them in the log, and they
    /// would count for the next topic of its name. The topics must be known; call it once, after [`Coordinator::start`].
    pub fn forget_topics_that_are_gone(&mut self, now: Now) {
        let mut gone = std::collections::BTreeSet::new();
        {
            let topics = self.topics.borrow();
            for group in self.groups.values() {
                let named = group.offsets.topics().filter(|name| topics.named(name).is_none());
                gone.extend(named.map(str::to_owned));
            }
        }
        let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
        if !gone.is_empty() {
            self.on_topics_deleted(&gone, now);
        }
    }
}

/// Whether the group is an empty one without offsets that is still in the log.
fn is_left_over(group: &Group) -> bool {
    let consumers = group.consumers();
    let in_log = group.classic.metadata.latest().is_some() || consumers.is_some();
    group.classic.state == ClassicState::Empty
        && consumers.is_none_or(|c| c.members.is_empty())
        && group.classic.pending_members.is_empty()
        && in_log
        && !group.offsets.will_hold_any()
}

fn expired(group: &Group, now: Timestamp, retention_ms: i64) -> Vec<(String, PartitionIndex)> {
    let classic = &group.classic;
    let is_consumers = classic.state == ClassicState::Stable && classic.subscribed.is_some();
    let since = |value: &CommittedOffset| match (&classic.protocol_type, classic.state) {
        (None, _) => Some(value.committed_at),
        (Some(_), ClassicState::Empty) if classic.since != Timestamp::NONE => Some(classic.since),
        (Some(_), ClassicState::Empty) => Some(value.committed_at),
        (Some(_), ClassicState::Stable) if is_consumers => Some(value.committed_at),
        (Some(_), _) => None,
    };
    let consumers = group.consumers();
    let since = |value: &CommittedOffset| match consumers {
        Some(c) if c.members.is_empty() => Some(value.committed_at.max(c.empty_since)),
        Some(_) => Some(value.committed_at),
        None => since(value),
    };
    let is_expired = |topic: &str, value: &CommittedOffset| {
        if consumers.is_some_and(|c| c.is_subscribed(topic)) {
            return false;
        }
        if is_consumers && classic.is_subscribed(topic) {
            return false;
        }
        since(value).is_some_and(|since| match value.expires_at {
            Some(at) => now >= at,
            None => now - since >= retention_ms,
        })
    };
    group
        .offsets
        .iter()
        // What is being written, or may be by a transaction, is not old.
        .filter(|(topic, p, slot)| !slot.is_pending() && !group.offsets.is_unstable(topic, *p))
        .filter(|(topic, _, slot)| slot.committed().is_some_and(|value| is_expired(topic, value)))
        .map(|(topic, partition, _)| (topic.to_owned(), partition))
        .collect()
}
