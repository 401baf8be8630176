//! One member of a consumer group, and committed offsets from outside of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use corpus::Record;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::message::Message;
use rdkafka::{ClientContext, Offset, TopicPartitionList};

use crate::read::as_record;
use crate::report::Fault;

const WAIT: Duration = Duration::from_secs(20);

/// Topic and partition.
pub(crate) type Place = (String, i32);

/// A record that a member was given.
#[derive(Clone)]
pub(crate) struct Taken {
    pub(crate) place: Place,
    pub(crate) offset: i64,
    pub(crate) record: Record,
}

/// What a member has, and what it was given since its last assignment.
#[derive(Default)]
struct Share {
    assigned: BTreeSet<Place>,
    assignments: u32,
    taken: Vec<Taken>,
}

#[derive(Default)]
struct Shared(Mutex<Share>);

impl Shared {
    fn get(&self) -> MutexGuard<'_, Share> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Shared {}

impl ConsumerContext for Shared {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let mut share = self.get();
        // Nothing is committed before everything is read, so whoever gets a partition reads it from its start.
        share.taken.clear();
        share.assigned.clear();
        if let Rebalance::Assign(list) = rebalance {
            share.assignments += 1;
            share.assigned = list
                .elements()
                .iter()
                .map(|one| (one.topic().to_owned(), one.partition()))
                .collect();
        }
    }
}

/// A member. Dropping it leaves the group, unless it is a static one.
pub(crate) struct Member(BaseConsumer<Shared>);

fn config(bootstrap: &str, group: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("enable.auto.commit", "false");
    config
}

impl Member {
    pub(crate) fn join(
        bootstrap: &str,
        group: &str,
        topics: &[&str],
        instance: Option<&str>,
    ) -> Result<Member, Fault> {
        let mut config = config(bootstrap, group);
        config
            .set("auto.offset.reset", "earliest")
            .set("partition.assignment.strategy", "range")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "300")
            .set("fetch.message.max.bytes", "10000000");
        if let Some(instance) = instance {
            config.set("group.instance.id", instance);
        }
        let consumer: BaseConsumer<Shared> = config.create_with_context(Shared::default())?;
        consumer.subscribe(topics)?;
        Ok(Member(consumer))
    }

    /// Takes what is there; waits so long for the first record.
    pub(crate) fn poll(&self, wait: Duration) -> Result<(), Fault> {
        let mut wait = wait;
        for _ in 0..100 {
            let Some(message) = self.0.poll(wait) else { return Ok(()) };
            let message = message?;
            let taken = Taken {
                place: (message.topic().to_owned(), message.partition()),
                offset: message.offset(),
                record: as_record(&message),
            };
            self.0.context().get().taken.push(taken);
            wait = Duration::ZERO;
        }
        Ok(())
    }

    pub(crate) fn assigned(&self) -> BTreeSet<Place> {
        self.0.context().get().assigned.clone()
    }

    pub(crate) fn assignments(&self) -> u32 {
        self.0.context().get().assignments
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.0.context().get().taken.clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.context().get().taken.len()
    }

    /// Commits where it stands.
    pub(crate) fn commit(&self) -> Result<(), Fault> {
        Ok(self.0.commit_consumer_state(CommitMode::Sync)?)
    }
}

/// The committed offsets of a group among these partitions.
pub(crate) fn fetch_committed<'a>(
    bootstrap: &str,
    group: &str,
    places: impl Iterator<Item = &'a Place>,
) -> Result<BTreeMap<Place, i64>, Fault> {
    let consumer: BaseConsumer = config(bootstrap, group).create()?;
    let mut list = TopicPartitionList::new();
    for (topic, partition) in places {
        list.add_partition(topic, *partition);
    }
    let mut found = BTreeMap::new();
    for one in consumer.committed_offsets(list, WAIT)?.elements() {
        one.error()?;
        if let Offset::Offset(offset) = one.offset() {
            found.insert((one.topic().to_owned(), one.partition()), offset);
        }
    }
    Ok(found)
}

/// Commits one offset without being a member.
pub(crate) fn set_committed(
    bootstrap: &str,
    group: &str,
    place: &Place,
    offset: i64,
) -> Result<(), Fault> {
    let consumer: BaseConsumer = config(bootstrap, group).create()?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&place.0, place.1, Offset::Offset(offset))?;
    Ok(consumer.commit(&list, CommitMode::Sync)?)
}
