//! The assignors: who shall have which partition.
//!
//! `uniform` gives every member as many partitions as the others, or one more, and lets members keep what they had.
//! `range` gives each member a run of neighbours of each topic, so that topics with equally many partitions are split alike.

use super::Partitions;
use crate::topics::Topics;
use ids::{PartitionId, TopicId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// The uniform assignor's name.
const UNIFORM: &str = "uniform";
/// The range assignor's name.
const RANGE: &str = "range";

/// Rounds in which the uniform assignor evens out members that read different topics. Each round makes it better.
const ROUNDS_MAX: usize = 16;

/// Where Kafka's own assignors are classes.
const CLASSES: &str = "org.apache.kafka.coordinator.group.assignor.";

/// The name of an assignor that is there, from its name or from that of its class in Kafka.
pub(crate) fn named(name: &str) -> Option<&'static str> {
    match name.strip_prefix(CLASSES) {
        Some("UniformAssignor") => Some(UNIFORM),
        Some("RangeAssignor") => Some(RANGE),
        Some(_) => None,
        None => [UNIFORM, RANGE].into_iter().find(|known| *known == name),
    }
}

/// Whether there is an assignor of this name.
pub(crate) fn is_known(name: &str) -> bool {
    name == UNIFORM || name == RANGE
}

/// Topics that somebody wants, and how many partitions each has.
pub(super) type Wanted = BTreeMap<TopicId, i32>;

/// What there is to assign. Members are numbers here, in the order of their ids: names cost more than all the rest where there
/// are thousands.
#[derive(Default)]
pub(super) struct Question<'a> {
    /// What members want. Nearly always all want the same.
    pub(super) wants: Vec<Wanted>,
    /// Which of `wants` each member wants, and what it was to have before.
    pub(super) members: Vec<(usize, &'a Partitions)>,
}

/// What each member shall have, in order.
pub(super) type Targets = Vec<Vec<PartitionId>>;

/// What each member shall have. Every partition that somebody wants goes to one who wants it.
pub(super) fn assign(name: &str, question: &Question<'_>) -> Targets {
    if name == RANGE { range(question) } else { uniform(question) }
}

/// A topic, and who has which of its partitions.
struct Topic {
    count: i32,
    /// Who wants it; in order.
    readers: Vec<usize>,
    owners: Vec<Option<usize>>,
}

fn topics(question: &Question<'_>) -> BTreeMap<TopicId, Topic> {
    let mut readers: Vec<Vec<usize>> = vec![Vec::new(); question.wants.len()];
    for (member, (class, _)) in question.members.iter().enumerate() {
        readers[*class].push(member);
    }
    let mut topics: BTreeMap<TopicId, Topic> = BTreeMap::new();
    for (wanted, readers) in question.wants.iter().zip(readers).filter(|(_, r)| !r.is_empty()) {
        for (id, count) in wanted {
            let topic = topics.entry(*id).or_insert_with(|| Topic {
                count: *count,
                readers: Vec::new(),
                owners: vec![None; usize::try_from(*count).unwrap_or(0)],
            });
            topic.readers.extend(&readers);
        }
    }
    if question.wants.len() > 1 {
        topics.values_mut().for_each(|topic| topic.readers.sort_unstable());
    }
    topics
}

/// The targets of `members` members, when all topics have owners.
fn targets(topics: &BTreeMap<TopicId, Topic>, members: usize) -> Targets {
    let mut targets: Targets = vec![Vec::new(); members];
    for (id, topic) in topics {
        for (owner, index) in topic.owners.iter().zip(Topics::partitions(topic.count)) {
            if let Some(target) = owner.and_then(|owner| targets.get_mut(owner)) {
                target.push(PartitionId { topic: *id, index });
            }
        }
    }
    targets
}

fn range(question: &Question<'_>) -> Targets {
    let mut topics = topics(question);
    for topic in topics.values_mut() {
        let n = topic.readers.len().max(1);
        let (each, more) = (topic.owners.len() / n, topic.owners.len() % n);
        let mut owners = topic.owners.iter_mut();
        for (at, member) in topic.readers.iter().enumerate() {
            let run = each + usize::from(at < more);
            owners.by_ref().take(run).for_each(|owner| *owner = Some(*member));
        }
    }
    targets(&topics, question.members.len())
}

fn uniform(question: &Question<'_>) -> Targets {
    let mut topics = topics(question);
    let everyone = question.members.len();
    let alike = topics.values().all(|topic| topic.readers.len() == everyone);
    let total: usize = topics.values().map(|topic| topic.owners.len()).sum();
    // Where all want the same, nobody keeps more than its share; `more` members have one above `each`.
    let each = total.checked_div(everyone).unwrap_or(0);
    let mut more = total.checked_rem(everyone).unwrap_or(0);
    let mut load = vec![0_usize; everyone];
    for (member, (class, had)) in question.members.iter().enumerate() {
        for p in *had {
            let load = &mut load[member];
            let room = !alike || *load < each || (*load == each && more > 0);
            let wanted = room && question.wants[*class].contains_key(&p.topic);
            let Some(topic) = topics.get_mut(&p.topic).filter(|_| wanted) else { continue };
            let place = usize::try_from(p.index.0).ok().and_then(|at| topic.owners.get_mut(at));
            let Some(place) = place.filter(|place| place.is_none()) else { continue };
            *place = Some(member);
            more -= usize::from(alike && *load == each);
            *load += 1;
        }
    }
    // The one with the least is next; of equals the first.
    let heap = |readers: &mut dyn Iterator<Item = usize>, load: &[usize]| -> BinaryHeap<_> {
        readers.map(|member| Reverse((load[member], member))).collect()
    };
    let mut order = heap(&mut (0..everyone), &load);
    for topic in topics.values_mut() {
        let mut readers = None;
        for place in topic.owners.iter_mut().filter(|place| place.is_none()) {
            let order = if alike {
                &mut order
            } else {
                // Made once for each topic: a look at all members for each partition would take seconds where hundreds of them
                // read thousands of partitions.
                readers.get_or_insert_with(|| heap(&mut topic.readers.iter().copied(), &load))
            };
            let Some(Reverse((n, member))) = order.pop() else { continue };
            order.push(Reverse((n + 1, member)));
            load[member] = n + 1;
            *place = Some(member);
        }
    }
    if !alike {
        even_out(&mut topics, &mut load);
    }
    targets(&topics, everyone)
}

/// Moves partitions from members that have many to members that have few, where these want the topic.
fn even_out(topics: &mut BTreeMap<TopicId, Topic>, load: &mut [usize]) {
    for _ in 0..ROUNDS_MAX {
        let mut moved = false;
        for topic in topics.values_mut() {
            let mut order: BTreeSet<(usize, usize)> =
                topic.readers.iter().map(|member| (load[*member], *member)).collect();
            for owner in topic.owners.iter_mut().flatten() {
                let Some((few, to)) = order.first().copied() else { continue };
                let many = load[*owner];
                if many > few + 1 {
                    order.remove(&(few, to));
                    order.remove(&(many, *owner));
                    order.insert((few + 1, to));
                    order.insert((many - 1, *owner));
                    load[*owner] = many - 1;
                    load[to] = few + 1;
                    *owner = to;
                    moved = true;
                }
            }
        }
        if !moved {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: TopicId = TopicId([1; 16]);
    const B: TopicId = TopicId([2; 16]);

    type Wants = BTreeMap<String, Wanted>;
    type Has = BTreeMap<String, Partitions>;

    fn wants(of: &[(&str, &[(TopicId, i32)])]) -> Wants {
        of.iter().map(|(id, w)| ((*id).to_owned(), w.iter().copied().collect())).collect()
    }

    fn counts(targets: &Has) -> Vec<usize> {
        targets.values().map(Partitions::len).collect()
    }

    fn first(name: &str, wants: &Wants) -> Has {
        again(name, wants, &Has::new())
    }

    fn again(name: &str, wants: &Wants, before: &Has) -> Has {
        let none = Partitions::new();
        let mut question = Question::default();
        for (at, (id, wanted)) in wants.iter().enumerate() {
            question.wants.push(wanted.clone());
            question.members.push((at, before.get(id).unwrap_or(&none)));
        }
        let targets = assign(name, &question).into_iter().map(|t| t.into_iter().collect());
        wants.keys().cloned().zip(targets).collect()
    }

    fn moved(before: &Has, after: &Has) -> usize {
        let gone = |(id, p): (&String, &Partitions)| {
            p.difference(after.get(id).unwrap_or(&Partitions::new())).count()
        };
        before.iter().map(gone).sum()
    }

    #[test]
    fn range_splits_topics_alike() {
        let both: &[(TopicId, i32)] = &[(A, 3), (B, 3)];
        let targets = first("range", &wants(&[("m", both), ("n", both)]));
        assert_eq!(counts(&targets), [4, 2]);
        let of = |m: &str, t| -> Vec<i32> {
            targets[m].iter().filter(|p| p.topic == t).map(|p| p.index.0).collect()
        };
        assert_eq!((of("m", A), of("m", B)), (vec![0, 1], vec![0, 1]));
    }

    #[test]
    fn uniform_is_even_and_moves_only_what_it_must() {
        let all: &[(TopicId, i32)] = &[(A, 7), (B, 3)];
        let two = first("uniform", &wants(&[("m", all), ("n", all)]));
        assert_eq!(counts(&two), [5, 5]);
        let three = again("uniform", &wants(&[("m", all), ("n", all), ("o", all)]), &two);
        assert_eq!(three.values().map(Partitions::len).sum::<usize>(), 10);
        assert_eq!(counts(&three), [4, 3, 3]);
        assert_eq!(moved(&two, &three), 3);
        let back = again("uniform", &wants(&[("m", all), ("n", all)]), &three);
        assert_eq!((counts(&back), moved(&three, &back)), (vec![5, 5], 3));
    }

    #[test]
    fn uniform_evens_out_a_crowd_in_the_middle_of_a_change() {
        // Half of the members read one topic more than the others. A look at every member for every partition would take minutes here.
        let (old, new): (&[_], &[_]) = (&[(A, 10_000)], &[(A, 10_000), (B, 200)]);
        let names: Vec<String> =
            (0..300).map(|n| format!("consumer-of-the-group-{n:03}")).collect();
        let of = |(n, name): (usize, &String)| {
            (name.clone(), if n % 2 == 0 { old } else { new }.iter().copied().collect())
        };
        let w: Wants = names.iter().enumerate().map(of).collect();
        let counts = counts(&first("uniform", &w));
        assert_eq!(counts.iter().sum::<usize>(), 10_200);
        assert!(counts.iter().all(|n| *n == 34), "{counts:?}");
    }

    #[test]
    fn uniform_evens_out_members_that_read_different_topics() {
        let w = wants(&[("m", &[(A, 6), (B, 2)]), ("n", &[(A, 6)]), ("o", &[(B, 2)])]);
        let targets = first("uniform", &w);
        assert_eq!(counts(&targets), [3, 3, 2]);
        assert!(targets["n"].iter().all(|p| p.topic == A));
        // A deleted topic and a member without topics.
        let w = wants(&[("m", &[(B, 2)]), ("n", &[]), ("o", &[(B, 2)])]);
        assert_eq!(counts(&again("uniform", &w, &targets)), [1, 0, 1]);
    }
}
