//! The topics that consumer groups may read, as the cluster's metadata has them.

use ids::{PartitionIndex, TopicId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What there is to read. Shared by the coordinators of one core; whoever changes it tells them
/// ([`on_topics_changed`](crate::Coordinator::on_topics_changed)).
pub type SharedTopics = Rc<RefCell<Topics>>;

/// Every topic, its id and its partitions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Topics {
    by_name: BTreeMap<String, (TopicId, i32)>,
    names: BTreeMap<TopicId, String>,
}

impl Topics {
    /// A topic is there, with so many partitions. A topic of the same name under another id is gone.
    pub fn set(&mut self, name: &str, id: TopicId, partitions: i32) {
        self.remove(name);
        self.names.insert(id, name.to_owned());
        self.by_name.insert(name.to_owned(), (id, partitions.max(0)));
    }

    /// A topic is gone.
    pub fn remove(&mut self, name: &str) {
        if let Some((id, _)) = self.by_name.remove(name) {
            self.names.remove(&id);
        }
    }

    /// The id of a topic, and how many partitions it has.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(TopicId, i32)> {
        self.by_name.get(name).copied()
    }

    /// The name of a topic.
    #[must_use]
    pub fn name(&self, id: TopicId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// All names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The partitions of a topic.
    pub(crate) fn partitions(count: i32) -> impl Iterator<Item = PartitionIndex> {
        (0..count).map(PartitionIndex)
    }
}
