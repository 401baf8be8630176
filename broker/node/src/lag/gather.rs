//! Asks every core what it knows. Runs on core 0; the others answer its letters.
//!
//! First the groups, then the partitions that they read: so an offset that is committed meanwhile is not past the end that
//! it is compared with. Every walk gives way to requests after [`STEP`] items.

use super::{Board, Found, Gathered, GroupFacts, OffsetFacts, PartitionFacts, moment};
use crate::broker::Broker;
use crate::groups::NoCoordinator;
use crate::latency::progress::{self, InProgress};
use ids::{CoreId, Offset, PartitionId, PartitionIndex, TopicId};
use runtime::{Class, Runtime};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Items after which a core looks whether there is something better to do: some 30 microseconds of work.
const STEP: usize = 128;
/// How often core 0 looks at the board.
const LOOK: Duration = Duration::from_millis(50);
/// A group whose id is longer is not shown: the id stands in every line, several times, and clients may make them 32 KiB long.
/// As long as the name of a topic, which is as long as the name of a file.
const GROUP_ID_MAX: usize = 249;

/// Serves the boards from now on: that of scrapes, on which at most `offsets_max` offsets of groups are put up, and that of what is
/// in progress.
pub(crate) fn watch(
    broker: &Rc<Broker>,
    scrapes: Arc<Board<Gathered>>,
    progress: Arc<Board<InProgress>>,
    offsets_max: usize,
) {
    scrapes.open();
    progress.open();
    let me = Rc::clone(broker);
    broker.rt.spawn(async move {
        loop {
            scrapes.look(&me.rt, || {
                let me = Rc::clone(&me);
                async move { gather(&me, offsets_max).await }
            });
            progress.look(&me.rt, || {
                let me = Rc::clone(&me);
                async move { progress::gather(&me).await }
            });
            me.rt.sleep(LOOK).await;
        }
    });
}

/// Gives way now and then.
struct Pace {
    rt: Runtime,
    done: Cell<usize>,
}

impl Pace {
    fn new(rt: &Runtime) -> Self {
        Self { rt: rt.clone(), done: Cell::new(0) }
    }

    async fn did(&self, items: usize) {
        let done = self.done.get() + items;
        if done < STEP {
            self.done.set(done);
        } else {
            self.done.set(0);
            self.rt.yield_now().await;
        }
    }
}

pub(super) async fn gather(broker: &Rc<Broker>, offsets_max: usize) -> Gathered {
    let begun = broker.rt.now();
    let mut all = Gathered::default();
    let asked: Vec<_> = others(broker)
        .map(|core| {
            let run = move |b: Rc<Broker>| async move { groups(&b, offsets_max).await };
            broker.post.ask(core, Class::Background, false, run)
        })
        .collect();
    let mut found = vec![groups(broker, offsets_max).await];
    for answer in asked {
        found.extend(answer.await);
    }
    for of_core in found {
        all.coordinators_loading += of_core.loading;
        all.groups_left_out += of_core.left_out;
        all.groups.extend(of_core.groups);
    }
    all.groups_left_out += keep(&mut all.groups, offsets_max);
    let questions = questions(broker, &all.groups).await;
    ask_owners(broker, questions, &mut all).await;
    let image = broker.metadata.image();
    all.partitions_known = image.partition_count();
    all.topics_known = image.topic_count();
    all.brokers = image
        .brokers()
        .map(|b| {
            let at = b.endpoints.first();
            (b.id.0, at.map_or_else(String::new, |e| format!("{}:{}", e.host, e.port)))
        })
        .collect();
    let space = broker.rt.disk().space(Path::new(&broker.data_dir));
    all.disk = space.ok().map(|s| (s.free, s.total));
    all.at = broker.rt.wall();
    all.took = broker.rt.now().since(begun);
    all
}

fn others(broker: &Broker) -> impl Iterator<Item = CoreId> {
    (0..broker.metadata.cores).map(CoreId).filter(|core| !broker.is_here(*core))
}

/// What one core has of groups.
#[derive(Default)]
struct Groups {
    groups: Vec<GroupFacts>,
    left_out: u64,
    loading: u64,
}

/// The groups of this core, with at most `offsets_max` offsets, and no more groups than that either.
async fn groups(broker: &Rc<Broker>, offsets_max: usize) -> Groups {
    let pace = Pace::new(&broker.rt);
    let mut all = Groups::default();
    let mut offsets = 0;
    let mut seen = 0;
    for part in broker.groups.partitions() {
        let mut last: Option<String> = None;
        loop {
            let next = broker.groups.look(part, |c| c.group_after(last.as_deref()));
            let group = match next {
                Ok(Some(group)) => group,
                Ok(None) | Err(NoCoordinator::NotHere) => break,
                Err(NoCoordinator::Loading) => {
                    all.loading += 1;
                    break;
                }
            };
            if all.groups.len() >= offsets_max {
                all.left_out += broker.groups.count().saturating_sub(seen) as u64;
                return all;
            }
            seen += 1;
            last = Some(group.group_id.clone());
            if !is_shown(&group.group_id) {
                all.left_out += 1;
                pace.did(1).await;
                continue;
            }
            let room = offsets_max - offsets;
            let found = offsets_of(broker, part, &group.group_id, room, &pace).await;
            let left_out = found.is_none();
            let found = found.unwrap_or_default();
            offsets += found.len();
            all.left_out += u64::from(left_out);
            all.groups.push(GroupFacts {
                id: group.group_id,
                state: group.state,
                members: group.members,
                offsets: found,
                left_out,
            });
            pace.did(1).await;
        }
    }
    all
}

fn is_shown(group_id: &str) -> bool {
    group_id.len() <= GROUP_ID_MAX
}

/// Every offset of a group; none if there are more than `most`.
async fn offsets_of(
    broker: &Broker,
    part: PartitionId,
    group: &str,
    most: usize,
    pace: &Pace,
) -> Option<Vec<OffsetFacts>> {
    let mut all: Vec<OffsetFacts> = Vec::new();
    loop {
        let last = all.last().map(|o| (Arc::clone(&o.topic), PartitionIndex(o.partition)));
        let last = last.as_ref().map(|(topic, partition)| (&**topic, *partition));
        // A group that is gone by now has no offsets.
        let page = broker.groups.look(part, |c| c.offsets_after(group, last, STEP));
        let page = page.unwrap_or_default();
        let is_last = page.len() < STEP;
        if page.len() > most - all.len() {
            return None;
        }
        pace.did(page.len()).await;
        for o in page {
            let topic = match all.last() {
                Some(before) if *before.topic == *o.topic => Arc::clone(&before.topic),
                Some(_) | None => o.topic.into(),
            };
            let (partition, committed) = (o.partition.0, o.offset);
            all.push(OffsetFacts { topic, partition, committed, end: None });
        }
        if is_last {
            return Some(all);
        }
    }
}

/// Leaves out the offsets of the groups that are too many when all cores are taken together; how many groups those are.
fn keep(groups: &mut Vec<GroupFacts>, offsets_max: usize) -> u64 {
    let mut left_out = groups.len().saturating_sub(offsets_max) as u64;
    groups.truncate(offsets_max);
    let mut room = offsets_max;
    for group in groups {
        match room.checked_sub(group.offsets.len()) {
            Some(left) => room = left,
            None => {
                group.offsets = Vec::new();
                group.left_out = true;
                left_out += 1;
            }
        }
    }
    left_out
}

/// Where an offset is among the groups.
type Place = (usize, usize);
/// The questions to one core, and their places.
type Questions = BTreeMap<CoreId, (Vec<Place>, Vec<(PartitionId, Offset)>)>;

async fn questions(broker: &Broker, groups: &[GroupFacts]) -> Questions {
    let pace = Pace::new(&broker.rt);
    let mut questions = Questions::new();
    let mut topic: (Arc<str>, Option<TopicId>) = ("".into(), None);
    for (g, group) in groups.iter().enumerate() {
        for (o, offset) in group.offsets.iter().enumerate() {
            if *topic.0 != *offset.topic {
                let id = broker.metadata.image().topic_named(&offset.topic).map(|t| t.id);
                topic = (Arc::clone(&offset.topic), id);
            }
            if let Some(topic) = topic.1 {
                let id = PartitionId { topic, index: PartitionIndex(offset.partition) };
                let (places, asked) = questions.entry(broker.owner(id)).or_default();
                places.push((g, o));
                asked.push((id, offset.committed));
            }
            pace.did(1).await;
        }
    }
    questions
}

/// What one core says of its partitions: those that were asked for, and all.
type Owned = (Vec<Option<Found>>, Vec<PartitionFacts>);

async fn ask_owners(broker: &Rc<Broker>, mut questions: Questions, all: &mut Gathered) {
    let here = questions.remove(&broker.rt.core()).unwrap_or_default();
    let asked: Vec<_> = others(broker)
        .map(|core| {
            let (places, asked) = questions.remove(&core).unwrap_or_default();
            let run = move |b: Rc<Broker>| async move { owned(&b, asked).await };
            (places, broker.post.ask(core, Class::Background, false, run))
        })
        .collect();
    let mut answers = vec![(here.0, owned(broker, here.1).await)];
    for (places, answer) in asked {
        answers.extend(answer.await.map(|owned| (places, owned)));
    }
    for (places, (ends, partitions)) in answers {
        for ((g, o), end) in places.into_iter().zip(ends) {
            if let Some(offset) = all.groups.get_mut(g).and_then(|g| g.offsets.get_mut(o)) {
                offset.end = end;
            }
        }
        all.partitions.extend(partitions);
    }
}

async fn owned(broker: &Rc<Broker>, asked: Vec<(PartitionId, Offset)>) -> Owned {
    let pace = Pace::new(&broker.rt);
    let mut ends = Vec::with_capacity(asked.len());
    for (id, committed) in asked {
        let found = broker.shard.replica(id).and_then(|replica| {
            let end = replica.high_watermark();
            let written = broker.shard.store.with_log(id, |log| {
                if committed < end { moment::of(log, committed) } else { None }
            });
            Some(Found { end, written: written.ok()? })
        });
        ends.push(found);
        pace.did(1).await;
    }
    let mut partitions: Vec<PartitionFacts> = Vec::new();
    let mut walk = broker.shard.walk();
    while let Some(replica) = walk.next().await {
        let store = &broker.shard.store;
        let looked = store.with_log(replica.id, |log| (log.start(), log.size()));
        let (false, Ok((start, bytes))) = (replica.id.topic == TopicId::METADATA, looked) else {
            continue;
        };
        let image = broker.metadata.image();
        // One that has been deleted meanwhile is none.
        let Some(state) = image.partition(replica.id) else { continue };
        let topic = match partitions.last() {
            Some(before) if *before.topic == *replica.topic => Arc::clone(&before.topic),
            Some(_) | None => Arc::from(&*replica.topic),
        };
        partitions.push(PartitionFacts {
            topic,
            index: replica.id.index.0,
            start,
            end: replica.high_watermark(),
            bytes,
            leader: state.leader.0,
            is_preferred: state.replicas.first() == Some(&state.leader),
            replicas: state.replication_factor(),
            in_sync: state.isr.len(),
            incomplete: store.incomplete(replica.id).is_some(),
            traffic: replica.traffic(),
        });
    }
    (ends, partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(id: &str, offsets: usize) -> GroupFacts {
        let one = |partition| OffsetFacts {
            topic: "t".into(),
            partition,
            committed: Offset::ZERO,
            end: None,
        };
        let offsets = (0..).map(one).take(offsets).collect();
        GroupFacts { id: id.into(), offsets, ..GroupFacts::default() }
    }

    #[test]
    fn a_group_is_not_shown_if_its_id_alone_would_fill_the_page() {
        assert!(is_shown(&"g".repeat(249)));
        assert!(!is_shown(&"g".repeat(250)));
    }

    #[test]
    fn a_group_is_shown_with_all_its_offsets_or_with_none() {
        let mut groups = vec![group("a", 3), group("b", 3), group("c", 1)];
        assert_eq!(keep(&mut groups, 5), 1);
        let left: Vec<_> =
            groups.iter().map(|g| (g.id.as_str(), g.offsets.len(), g.left_out)).collect();
        assert_eq!(left, [("a", 3, false), ("b", 0, true), ("c", 1, false)]);
        assert_eq!(keep(&mut vec![group("a", 0), group("b", 0)], 1), 1);
    }
}
