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
    by_name: BTreeMap<String, Topic>,
    names: BTreeMap<TopicId, String>,
    by_number: BTreeMap<u64, String>,
    next_number: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Topic {
    id: TopicId,
    partitions: i32,
    /// Names are numbered as they come, so that whoever has looked at some finds those that are new.
    number: u64,
}

impl Topics {
    /// A topic is there, with so many partitions. A topic of the same name under another id is gone.
    pub fn set(&mut self, name: &str, id: TopicId, partitions: i32) {
        let number = match self.by_name.get(name) {
            Some(known) => {
                self.names.remove(&known.id);
                known.number
            }
            None => {
                let number = self.next_number;
                self.next_number += 1;
                self.by_number.insert(number, name.to_owned());
                number
            }
        };
        self.names.insert(id, name.to_owned());
        self.by_name.insert(name.to_owned(), Topic { id, partitions: partitions.max(0), number });
    }

    /// A topic is gone.
    pub fn remove(&mut self, name: &str) {
        if let Some(topic) = self.by_name.remove(name) {
            self.names.remove(&topic.id);
            self.by_number.remove(&topic.number);
        }
    }

    /// The id of a topic, and how many partitions it has.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<(TopicId, i32)> {
        self.by_name.get(name).map(|topic| (topic.id, topic.partitions))
    }

    /// The name of a topic.
    #[must_use]
    pub fn name(&self, id: TopicId) -> Option<&str> {
        self.names.get(&id).map(String::as_str)
    }

    /// The names that have come since there were `seen` of them ([`Topics::count_of_names`]) and are there.
    pub(crate) fn names_since(&self, seen: u64) -> impl Iterator<Item = &str> {
        self.by_number.range(seen..).map(|(_, name)| name.as_str())
    }

    /// How many names have come so far, those that are gone included.
    pub(crate) fn count_of_names(&self) -> u64 {
        self.next_number
    }

    /// The partitions of a topic.
    pub(crate) fn partitions(count: i32) -> impl Iterator<Item = PartitionIndex> {
        (0..count).map(PartitionIndex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_came_are_new() {
        let mut topics = Topics::default();
        let new = |topics: &Topics, seen| {
            topics.names_since(seen).map(str::to_owned).collect::<Vec<String>>()
        };
        topics.set("b", TopicId([1; 16]), 1);
        topics.set("a", TopicId([2; 16]), 1);
        assert_eq!(new(&topics, 0), ["b", "a"]);
        let seen = topics.count_of_names();
        topics.set("a", TopicId([2; 16]), 5);
        topics.set("b", TopicId([3; 16]), 1);
        assert!(new(&topics, seen).is_empty(), "they were there");
        topics.remove("a");
        topics.set("c", TopicId([4; 16]), 1);
        topics.set("a", TopicId([5; 16]), 1);
        assert_eq!(new(&topics, seen), ["c", "a"]);
        assert_eq!(new(&topics, 0), ["b", "c", "a"], "nothing is left of what is gone");
        assert_eq!(topics.named("a"), Some((TopicId([5; 16]), 1)));
        assert_eq!(topics.name(TopicId([2; 16])), None);
    }
}
