//! A full disk: the node refuses what it cannot write, and lives. Also when it starts with a journal that is full as well.

use super::audit::read;
use super::caller::Caller;
use super::facts::Sent;
use super::load::{
    TO_ALL, commit_offset, find_coordinator, make_topic, make_topic_with, of_all, offer, to_all,
};
use super::machine::Machine;
use ids::{CoreId, PartitionId, PartitionIndex, Timestamp};
use record::BatchBuilder;
use runtime::sim::{NodeId, SimConfig, World};
use std::time::Duration;
use wire::ErrorCode;

const CAPACITY: u64 = 256 << 20;
const TOPIC: &str = "orders";

pub(super) struct Scene {
    pub(super) world: World,
    pub(super) here: NodeId,
    pub(super) there: NodeId,
}

impl Scene {
    /// Speaks to the node, on a connection of its own.
    pub(super) fn ask<T: 'static>(
        &self,
        what: impl AsyncFnOnce(&mut Caller) -> Option<T> + 'static,
    ) -> T {
        let rt = self.world.core(self.there, CoreId(0));
        let it = rt.clone();
        let answer = self.world.run(&rt, async move {
            let mut caller = Caller::connect(&it).await?;
            what(&mut caller).await
        });
        let fault = self.world.fault_of(self.here);
        answer.expect_done().unwrap_or_else(|| panic!("the node hung up: {fault:?}"))
    }

    fn produce(&self, word: u64) -> ErrorCode {
        let sent = Sent { part: (TOPIC, 0), word, producer: -1, sequence: -1, offset: None };
        self.ask(async move |caller| offer(caller, &sent).await).0
    }

    fn words(&self) -> Vec<u64> {
        self.ask(async |caller| read(caller, (TOPIC, 0)).await).into_iter().map(|r| r.1).collect()
    }

    /// Commits an offset of the group.
    fn commit(&self, offset: i64) -> ErrorCode {
        self.ask(async move |caller| commit_offset(caller, TOPIC, offset).await)
    }

    /// The group's coordinator is there; its topic is made where it is not.
    fn find_coordinator(&self) {
        let rt = self.world.core(self.there, CoreId(0));
        self.ask(async move |caller| find_coordinator(&rt, caller).await);
    }

    fn create(&self, name: &'static str) -> ErrorCode {
        self.ask(async move |caller| make_topic(caller, name, 1).await)
    }
}

#[test]
fn a_start_on_a_full_disk_with_a_full_journal_serves_readers_and_takes_writes_when_there_is_room() {
    let config = SimConfig { memory_limit: 64 << 20, capacity: CAPACITY, ..SimConfig::default() };
    let world = World::new(9, config);
    let scene = Scene { here: world.add_node(), there: world.add_node(), world };
    let Scene { world, here, there } = &scene;
    let mut machine = Machine::start(world, *here, 1).expect("a first start");
    assert!(machine.is_registered());
    // Nothing of it may go to make room.
    let kept = [("retention.ms", "-1")];
    let made = scene.ask(async move |caller| make_topic_with(caller, TOPIC, 1, &kept).await);
    assert_eq!(made, ErrorCode::NONE);
    world.set_capacity(*here, 0);
    let mut acked = Vec::new();
    let refused = (0..10_000).find_map(|n| {
        // Values of almost 3,000 bytes.
        let word = n * 3_000 + 2_990;
        match scene.produce(word) {
            ErrorCode::NONE => {
                acked.push(word);
                None
            }
            refused => Some(refused),
        }
    });
    assert_eq!(refused, Some(ErrorCode::KAFKA_STORAGE_ERROR));
    assert!(acked.len() > 50, "only {} were taken", acked.len());
    // Each start takes a little of what is left of the journal, until there is nothing.
    let starts = (1..200).find(|_| {
        world.kill(*here);
        machine = Machine::start(world, *here, 1).expect("a start on a full disk");
        !machine.is_registered()
    });
    assert!(starts.is_some(), "the journal never gets full");
    for _ in 0..2 {
        assert_eq!(scene.words(), acked);
        assert_eq!(scene.produce(7), ErrorCode::KAFKA_STORAGE_ERROR);
        // What the metadata log would have to hold is refused too, and nobody dies of it.
        assert_eq!(scene.create("another"), ErrorCode::KAFKA_STORAGE_ERROR);
        world.run_for(Duration::from_secs(5));
        assert_eq!(world.fault_of(*here), None);
        assert!(!machine.is_registered());
    }
    world.set_capacity(*here, CAPACITY);
    world.run_for(Duration::from_secs(10));
    assert!(machine.is_registered(), "it has room and does not register");
    assert_eq!(scene.create("another"), ErrorCode::NONE);
    assert_eq!(scene.produce(7), ErrorCode::NONE);
    acked.push(7);
    world.power_cut(*here);
    machine = Machine::start(world, *here, 1).expect("a start when all is well");
    assert!(machine.is_registered());
    assert_eq!(scene.words(), acked);
    world.kill(*here);
    world.kill(*there);
    world.run_for(Duration::from_secs(1));
    drop(machine);
}

/// Nobody looks for what retention may take until the next check is due, which is minutes away; but a disk that fills up does not
/// wait for it.
#[test]
fn a_disk_that_fills_up_is_made_room_on_by_retention_at_once() {
    let config = SimConfig { memory_limit: 64 << 20, capacity: CAPACITY, ..SimConfig::default() };
    let world = World::new(12, config);
    let scene = Scene { here: world.add_node(), there: world.add_node(), world };
    let Scene { world, here, there } = &scene;
    let machine = Machine::start(world, *here, 1).expect("a start");
    let small = [("retention.bytes", "1048576"), ("segment.bytes", "1048576")];
    let made = scene.ask(async move |caller| make_topic_with(caller, TOPIC, 1, &small).await);
    assert_eq!(made, ErrorCode::NONE);
    // What there is of the store's own files, and room for some segments.
    let (broker, topic) = machine.leader_of(TOPIC).expect("a leader");
    let id = PartitionId { topic, index: PartitionIndex(0) };
    let free = broker.rt.disk().space("/data".as_ref()).expect("a disk").free;
    world.set_capacity(*here, CAPACITY - free + (12 << 20));
    let begun = world.now();
    let refused = (0..20_000).find(|n| scene.produce(n * 3_000 + 2_990).is_error());
    assert!(refused.is_some_and(|n| n > 1_000), "{refused:?}");
    let after = world.now().since(begun);
    assert!(after < Duration::from_secs(200), "retention is due by itself after {after:?}");
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.fault_of(*here), None);
    assert_eq!(scene.produce(7), ErrorCode::NONE, "no room was made");
    let start = broker.shard.store.with_log(id, |l| l.start());
    assert!(start.as_ref().is_ok_and(|start| start.0 > 0), "the log begins at {start:?}");
    drop(broker);
    world.kill(*here);
    world.kill(*there);
    world.run_for(Duration::from_secs(1));
    drop(machine);
}

/// The wait that keeps clients from a storm is one for the request, however many of its partitions live on other cores.
#[test]
fn a_full_disk_is_told_of_within_seconds_however_many_partitions_a_request_has() {
    const PARTITIONS: i32 = 40;
    let config = SimConfig { memory_limit: 64 << 20, capacity: CAPACITY, ..SimConfig::default() };
    let world = World::new(13, config);
    let scene = Scene { here: world.add_node(), there: world.add_node(), world };
    let Scene { world, here, there } = &scene;
    let machine = Machine::start(world, *here, 3).expect("a start");
    let kept = [("retention.ms", "-1")];
    let made =
        scene.ask(async move |caller| make_topic_with(caller, TOPIC, PARTITIONS, &kept).await);
    assert_eq!(made, ErrorCode::NONE);
    let refused_by_all = || {
        let answers = scene.ask(async |caller| {
            let mut builder = BatchBuilder::new();
            builder.push(Timestamp(1), None, Some(&[7; 2_990]), &[]);
            let batch = builder.build().expect("a batch");
            let body = caller.call(TO_ALL, &to_all(TOPIC, 0..PARTITIONS, &batch)).await?;
            Some(of_all(&body))
        });
        answers.iter().all(|(code, _)| *code == ErrorCode::KAFKA_STORAGE_ERROR)
    };
    world.set_capacity(*here, 0);
    assert!((0..200).any(|_| refused_by_all()), "some core never gets full");
    let begun = world.now();
    assert!(refused_by_all());
    let took = world.now().since(begun);
    assert!(took < Duration::from_secs(2), "the answer took {took:?}");
    world.kill(*here);
    world.kill(*there);
    world.run_for(Duration::from_secs(1));
    drop(machine);
}

/// The broker registers while it serves, and leads everything in a new epoch from then on. What groups have appended before is in
/// the log, so nobody may be told that it never will be.
#[test]
fn a_commit_on_its_way_when_the_broker_registers_is_answered_as_it_is_in_the_log() {
    let config = SimConfig { memory_limit: 64 << 20, capacity: CAPACITY, ..SimConfig::default() };
    let world = World::new(11, config);
    let scene = Scene { here: world.add_node(), there: world.add_node(), world };
    let Scene { world, here, there } = &scene;
    let mut machine = Machine::start(world, *here, 1).expect("a first start");
    assert_eq!(scene.create(TOPIC), ErrorCode::NONE);
    scene.find_coordinator();
    assert_eq!(scene.commit(1), ErrorCode::NONE);
    world.set_capacity(*here, 0);
    let full = (0..10_000).any(|n| scene.produce(n * 3_000 + 2_990).is_error());
    assert!(full, "the disk never gets full");
    let starts = (1..200).find(|_| {
        world.kill(*here);
        machine = Machine::start(world, *here, 1).expect("a start on a full disk");
        !machine.is_registered()
    });
    assert!(starts.is_some(), "the journal never gets full");
    world.set_capacity(*here, CAPACITY);
    let mut answers = Vec::new();
    for offset in 2..20_000 {
        answers.push(scene.commit(offset));
        if machine.is_registered() && answers.last() == Some(&ErrorCode::NONE) {
            break;
        }
    }
    assert!(machine.is_registered(), "it has room and does not register");
    assert_eq!(answers.last(), Some(&ErrorCode::NONE), "{answers:?}");
    assert!(!answers.contains(&ErrorCode::NOT_COORDINATOR), "{answers:?}");
    world.kill(*here);
    world.kill(*there);
    world.run_for(Duration::from_secs(1));
    drop(machine);
}
