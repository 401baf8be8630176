//! What an OffsetFetch request asks: each group, topic and partition once, in the order of their first mention, so that an
//! answer is no larger than what there is to say.

use ids::PartitionIndex;
use std::collections::{BTreeMap, BTreeSet};
use wire::api::offset_fetch::OffsetFetchRequest;

/// One group, and which of its offsets are wanted.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Question {
    pub(super) group: String,
    /// The topics; `None`: all that the group has.
    pub(super) topics: Option<Vec<(String, Vec<PartitionIndex>)>>,
    pub(super) stable: bool,
    /// The member of a consumer group that asks, and its epoch.
    pub(super) member: Option<(String, i32)>,
}

/// Topics and partitions as a request names them.
type Named<'a> = Vec<(&'a str, &'a [PartitionIndex])>;

/// The question of a request that names one group.
pub(super) fn one(request: &OffsetFetchRequest<'_>) -> Question {
    let topics = request.topics.as_ref();
    Question {
        group: request.group_id.to_owned(),
        topics: topics.map(|topics| {
            merged(topics.iter().map(|t| (t.name, &t.partition_indexes[..])).collect())
        }),
        stable: request.require_stable,
        member: None,
    }
}

/// The questions of a request that names several groups. One that is named twice is asked once, for all that is wanted of it.
pub(super) fn several(request: &OffsetFetchRequest<'_>) -> Vec<Question> {
    struct Wanted<'a> {
        group: &'a str,
        topics: Option<Named<'a>>,
        member: Option<(&'a str, i32)>,
    }
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all: Vec<Wanted<'_>> = Vec::new();
    for g in &request.groups {
        let topics = g.topics.as_ref().map(|topics| {
            topics.iter().map(|t| (t.name, &t.partition_indexes[..])).collect::<Named<'_>>()
        });
        let known = places.get(g.group_id).and_then(|place| all.get_mut(*place));
        match (known, topics) {
            (None, topics) => {
                places.insert(g.group_id, all.len());
                let member = g.member_id.map(|id| (id, g.member_epoch));
                all.push(Wanted { group: g.group_id, topics, member });
            }
            (Some(known), None) => known.topics = None,
            (Some(known), Some(more)) => {
                if let Some(topics) = &mut known.topics {
                    topics.extend(more);
                }
            }
        }
    }
    let question = |wanted: Wanted<'_>| Question {
        group: wanted.group.to_owned(),
        topics: wanted.topics.map(merged),
        stable: request.require_stable,
        member: wanted.member.map(|(id, epoch)| (id.to_owned(), epoch)),
    };
    all.into_iter().map(question).collect()
}

fn merged(named: Named<'_>) -> Vec<(String, Vec<PartitionIndex>)> {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let mut seen: BTreeSet<(usize, PartitionIndex)> = BTreeSet::new();
    let mut all: Vec<(String, Vec<PartitionIndex>)> = Vec::new();
    for (name, partitions) in named {
        let place = *places.entry(name).or_insert(all.len());
        if place == all.len() {
            all.push((name.to_owned(), Vec::new()));
        }
        if let Some((_, known)) = all.get_mut(place) {
            known.extend(partitions.iter().copied().filter(|p| seen.insert((place, *p))));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::api::offset_fetch::{
        OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    };

    fn group<'a>(
        group_id: &'a str,
        topics: Option<&[(&'a str, &[i32])]>,
    ) -> OffsetFetchRequestGroup<'a> {
        let topic = |(name, partitions): &(&'a str, &[i32])| OffsetFetchRequestTopics {
            name,
            partition_indexes: partitions.iter().copied().map(PartitionIndex).collect(),
            ..OffsetFetchRequestTopics::default()
        };
        let topics = topics.map(|topics| topics.iter().map(topic).collect());
        OffsetFetchRequestGroup { group_id, topics, ..OffsetFetchRequestGroup::default() }
    }

    fn told(question: &Question) -> String {
        let topic = |(name, partitions): &(String, Vec<PartitionIndex>)| {
            let partitions: Vec<i32> = partitions.iter().map(|p| p.0).collect();
            format!("{name}{partitions:?}")
        };
        let topics = question.topics.as_ref().map_or_else(
            || "all".to_owned(),
            |topics| topics.iter().map(topic).collect::<Vec<_>>().join(" "),
        );
        format!("{}: {topics}", question.group)
    }

    #[test]
    fn each_group_is_asked_once_for_all_that_is_wanted_of_it() {
        let request = OffsetFetchRequest {
            groups: vec![
                group("h", Some(&[("u", &[3])])),
                group("g", Some(&[("t", &[1, 0, 1]), ("u", &[0]), ("t", &[2, 0])])),
                group("h", None),
                group("g", Some(&[("u", &[0, 5])])),
                group("h", Some(&[("t", &[0])])),
                group("i", Some(&[])),
            ],
            ..OffsetFetchRequest::default()
        };
        let questions: Vec<String> = several(&request).iter().map(told).collect();
        assert_eq!(questions, ["h: all", "g: t[1, 0, 2] u[0, 5]", "i: "]);
    }

    #[test]
    fn the_first_mention_says_who_asks() {
        let by = |member_id| OffsetFetchRequestGroup {
            member_id: Some(member_id),
            member_epoch: 7,
            ..group("g", None)
        };
        let groups = vec![by("A"), by("B")];
        let request = OffsetFetchRequest { groups, ..OffsetFetchRequest::default() };
        let [question] = &several(&request)[..] else { panic!("one group is one question") };
        assert_eq!(question.member, Some(("A".to_owned(), 7)));
    }

    #[test]
    fn one_group_is_asked_for_each_partition_once() {
        let indexes = |all: &[i32]| all.iter().copied().map(PartitionIndex).collect();
        let topic = |name, all| OffsetFetchRequestTopic { name, partition_indexes: indexes(all) };
        let topics = Some(vec![topic("t", &[4, 4, 0]), topic("u", &[]), topic("t", &[0, 1])]);
        let request = OffsetFetchRequest { group_id: "g", topics, ..OffsetFetchRequest::default() };
        assert_eq!(told(&one(&request)), "g: t[4, 0, 1] u[]");
        let request = OffsetFetchRequest { topics: None, ..request };
        assert_eq!(told(&one(&request)), "g: all");
    }
}
