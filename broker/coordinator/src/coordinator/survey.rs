//! What metrics ask: every group, and every offset that it has committed, in steps that a busy core can afford.

use super::Coordinator;
use ids::{Offset, PartitionIndex};
use std::ops::Bound;

/// A group, as metrics show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurveyedGroup {
    /// The group.
    pub group_id: String,
    /// The name of its state.
    pub state: &'static str,
    /// How many members it has.
    pub members: usize,
}

/// An offset that a group has committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SurveyedOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: PartitionIndex,
    /// The offset of the next record to read.
    pub offset: Offset,
}

impl Coordinator {
    /// The first group whose name comes after `last`, of all groups without it.
    #[must_use]
    pub fn group_after(&self, last: Option<&str>) -> Option<SurveyedGroup> {
        let from = last.map_or(Bound::Unbounded, Bound::Excluded);
        let mut groups = self.groups.range::<str, _>((from, Bound::Unbounded));
        groups.find(|(_, group)| group.exists()).map(|(id, group)| {
            let (state, members) = match group.consumers() {
                Some(consumers) => (consumers.state().name(), consumers.members.len()),
                None => (group.classic.state.name(), group.classic.members.len()),
            };
            SurveyedGroup { group_id: id.clone(), state, members }
        })
    }

    /// At most `most` committed offsets of a group, in the order of topics and partitions: those after `last`.
    #[must_use]
    pub fn offsets_after(
        &self,
        group_id: &str,
        last: Option<(&str, PartitionIndex)>,
        most: usize,
    ) -> Vec<SurveyedOffset> {
        let Some(group) = self.groups.get(group_id) else { return Vec::new() };
        let committed = group.offsets.after(last).filter_map(|(topic, partition, slot)| {
            let offset = slot.committed()?.offset;
            Some(SurveyedOffset { topic: topic.to_owned(), partition, offset })
        });
        committed.take(most).collect()
    }
}
