//! The assignors: who shall have which partition.
//!
//! `uniform` gives every member as many partitions as the others, or one more, and lets members keep what they had.
//! `range` gives each member a run of neighbours of each topic, so that topics with equally many partitions are split alike.

use super::Partitions;
use super::subscription::Wants;
use crate::topics::Topics;
use ids::{PartitionId, PartitionIndex, TopicId};
use std::collections::{BTreeMap, BTreeSet};

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

type Had<'a> = BTreeMap<&'a str, &'a Partitions>;
type Targets = BTreeMap<String, Partitions>;

/// What each member shall have. Every partition that somebody wants goes to one who wants it.
pub(super) fn assign(name: &str, wants: &Wants, had: &Had<'_>) -> Targets {
    if name == RANGE { range(wants) } else { uniform(wants, had) }
}

/// Of each topic: its partitions, and who wants it.
fn by_topic(wants: &Wants) -> BTreeMap<TopicId, (i32, Vec<&str>)> {
    let mut topics: BTreeMap<TopicId, (i32, Vec<&str>)> = BTreeMap::new();
    for (member, wanted) in wants {
        for (topic, count) in wanted {
            topics.entry(*topic).or_insert((*count, Vec::new())).1.push(member);
        }
    }
    topics
}

fn range(wants: &Wants) -> Targets {
    let mut targets: Targets = wants.keys().map(|id| (id.clone(), Partitions::new())).collect();
    for (topic, (count, members)) in by_topic(wants) {
        let n = i32::try_from(members.len()).unwrap_or(i32::MAX).max(1);
        let (each, more) = (count / n, count % n);
        let mut next = 0;
        for (at, member) in (0..n).zip(members) {
            let end = next + each + i32::from(at < more);
            if let Some(target) = targets.get_mut(member) {
                target.extend((next..end).map(|i| PartitionId { topic, index: PartitionIndex(i) }));
            }
            next = end;
        }
    }
    targets
}

fn uniform(wants: &Wants, had: &Had<'_>) -> Targets {
    let topics = by_topic(wants);
    let mut first = wants.values();
    let shared = first.next();
    let alike = first.all(|w| Some(w) == shared);
    let total: usize = topics.values().map(|(n, _)| usize::try_from(*n).unwrap_or(0)).sum();
    // Where all want the same, nobody keeps more than its share; `more` members have one above `each`.
    let each = total.checked_div(wants.len()).unwrap_or(0);
    let mut more = total.checked_rem(wants.len()).unwrap_or(0);
    let mut owner: BTreeMap<PartitionId, &str> = BTreeMap::new();
    let mut load: BTreeMap<&str, usize> = wants.keys().map(|id| (id.as_str(), 0)).collect();
    for (member, wanted) in wants {
        let kept = had.get(member.as_str()).into_iter().flat_map(|had| had.iter());
        for p in kept {
            let exists = wanted.get(&p.topic).is_some_and(|count| p.index.0 < *count);
            let Some(load) = load.get_mut(member.as_str()) else { continue };
            let room = !alike || *load < each || (*load == each && more > 0);
            if exists && room && !owner.contains_key(p) {
                owner.insert(*p, member);
                more -= usize::from(alike && *load == each);
                *load += 1;
            }
        }
    }
    let mut order: BTreeSet<(usize, &str)> = load.iter().map(|(id, n)| (*n, *id)).collect();
    for (topic, (count, members)) in &topics {
        let mut readers: Option<BTreeSet<(usize, &str)>> = None;
        for index in Topics::partitions(*count) {
            let p = PartitionId { topic: *topic, index };
            if owner.contains_key(&p) {
                continue;
            }
            let order = if alike {
                &mut order
            } else {
                readers.get_or_insert_with(|| by_load(members, &load))
            };
            let Some((n, member)) = order.pop_first() else { continue };
            order.insert((n + 1, member));
            load.insert(member, n + 1);
            owner.insert(p, member);
        }
    }
    if !alike {
        even_out(&topics, &mut owner, &mut load);
    }
    let mut targets: Targets = wants.keys().map(|id| (id.clone(), Partitions::new())).collect();
    for (p, member) in owner {
        if let Some(target) = targets.get_mut(member) {
            target.insert(p);
        }
    }
    targets
}

/// Members by what they have, the one with the least first. Made once for each topic: a look at all members for each partition
/// would take seconds where hundreds of them read thousands of partitions.
fn by_load<'a>(members: &[&'a str], load: &BTreeMap<&'a str, usize>) -> BTreeSet<(usize, &'a str)> {
    members.iter().filter_map(|m| load.get(m).map(|n| (*n, *m))).collect()
}

/// Moves partitions from members that have many to members that have few, where these want the topic.
fn even_out<'a>(
    topics: &BTreeMap<TopicId, (i32, Vec<&'a str>)>,
    owner: &mut BTreeMap<PartitionId, &'a str>,
    load: &mut BTreeMap<&'a str, usize>,
) {
    for _ in 0..ROUNDS_MAX {
        let mut moved = false;
        let (mut of, mut order) = (None, BTreeSet::new());
        for (p, member) in owner.iter_mut() {
            let Some((_, wanting)) = topics.get(&p.topic) else { continue };
            if of != Some(p.topic) {
                (of, order) = (Some(p.topic), by_load(wanting, load));
            }
            let Some((few, to)) = order.first().copied() else { continue };
            let many = load.get(member).copied().unwrap_or(0);
            if many > few + 1 {
                order.remove(&(few, to));
                order.remove(&(many, *member));
                order.insert((few + 1, to));
                order.insert((many - 1, *member));
                load.insert(*member, many - 1);
                load.insert(to, few + 1);
                *member = to;
                moved = true;
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

    fn wants(of: &[(&str, &[(TopicId, i32)])]) -> Wants {
        of.iter().map(|(id, w)| ((*id).to_owned(), w.iter().copied().collect())).collect()
    }

    fn counts(targets: &Targets) -> Vec<usize> {
        targets.values().map(Partitions::len).collect()
    }

    fn again(name: &str, wants: &Wants, before: &Targets) -> Targets {
        assign(name, wants, &before.iter().map(|(id, p)| (id.as_str(), p)).collect())
    }

    fn moved(before: &Targets, after: &Targets) -> usize {
        let gone = |(id, p): (&String, &Partitions)| {
            p.difference(after.get(id).unwrap_or(&Partitions::new())).count()
        };
        before.iter().map(gone).sum()
    }

    #[test]
    fn range_splits_topics_alike() {
        let both: &[(TopicId, i32)] = &[(A, 3), (B, 3)];
        let targets = assign("range", &wants(&[("m", both), ("n", both)]), &Had::new());
        assert_eq!(counts(&targets), [4, 2]);
        let of = |m: &str, t| -> Vec<i32> {
            targets[m].iter().filter(|p| p.topic == t).map(|p| p.index.0).collect()
        };
        assert_eq!((of("m", A), of("m", B)), (vec![0, 1], vec![0, 1]));
    }

    #[test]
    fn uniform_is_even_and_moves_only_what_it_must() {
        let all: &[(TopicId, i32)] = &[(A, 7), (B, 3)];
        let two = assign("uniform", &wants(&[("m", all), ("n", all)]), &Had::new());
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
        let counts = counts(&assign("uniform", &w, &Had::new()));
        assert_eq!(counts.iter().sum::<usize>(), 10_200);
        assert!(counts.iter().all(|n| *n == 34), "{counts:?}");
    }

    #[test]
    fn uniform_evens_out_members_that_read_different_topics() {
        let w = wants(&[("m", &[(A, 6), (B, 2)]), ("n", &[(A, 6)]), ("o", &[(B, 2)])]);
        let targets = assign("uniform", &w, &Had::new());
        assert_eq!(counts(&targets), [3, 3, 2]);
        assert!(targets["n"].iter().all(|p| p.topic == A));
        // A deleted topic and a member without topics.
        let w = wants(&[("m", &[(B, 2)]), ("n", &[]), ("o", &[(B, 2)])]);
        assert_eq!(counts(&again("uniform", &w, &targets)), [1, 0, 1]);
    }
}
