//! Very many partitions of which hardly any has traffic: a second costs what happened in it, and whoever has to look at all of
//! them gives the core away in between. Counted are partitions that are looked at, not time.

use super::facts::Sent;
use super::full::Scene;
use super::load::{make_topic, offer};
use super::machine::Machine;
use crate::latency::pulse;
use crate::metrics;
use crate::shard::STEP;
use runtime::sim::{SimConfig, World};
use std::rc::Rc;
use std::time::Duration;
use wire::ErrorCode;

const TOPIC: &str = "readings";
const MANY: i32 = 600;

#[test]
fn a_second_costs_what_happened_in_it_however_many_partitions_there_are() {
    let world = World::new(14, SimConfig { memory_limit: 64 << 20, ..SimConfig::default() });
    let scene = Scene { here: world.add_node(), there: world.add_node(), world };
    let Scene { world, here, there } = &scene;
    let machine = Machine::start(world, *here, 1).expect("a start");
    let made = scene.ask(async move |caller| make_topic(caller, TOPIC, MANY).await);
    assert_eq!(made, ErrorCode::NONE);
    let (broker, _) = machine.leader_of(TOPIC).expect("a leader");
    let many = u64::try_from(MANY).unwrap();
    let second = || {
        let before = broker.shard.walked().partitions;
        let (_, pulse) = (metrics::count(&broker), pulse(&broker));
        assert!(pulse.gauges.partitions > many, "{} are led", pulse.gauges.partitions);
        let busy = pulse.busy.into_iter().filter(|b| b.topic == TOPIC);
        let mut busy: Vec<(i32, u64)> = busy.map(|b| (b.partition, b.records_in)).collect();
        busy.sort_unstable();
        (broker.shard.walked().partitions - before, busy)
    };
    // The topic has been written down.
    second();
    assert_eq!(second(), (0, Vec::new()));
    for partition in [3, 400, 3] {
        let part = (TOPIC, partition);
        let sent = Sent { part, word: 7, producer: -1, sequence: -1, offset: None };
        let (error, _) = scene.ask(async move |caller| offer(caller, &sent).await);
        assert_eq!(error, ErrorCode::NONE);
    }
    let (looked_at, busy) = second();
    assert_eq!(busy, [(3, 2), (400, 1)]);
    assert!(looked_at < 10, "{looked_at} partitions were looked at");
    assert_eq!(second(), (0, Vec::new()));

    // The cleaner looks at all of them, and so does retention, twice.
    let looks = broker.cleaner.looks();
    world.run_for(Duration::from_secs(20));
    assert!(broker.cleaner.looks() > looks);
    let before = broker.shard.walked().partitions;
    let it = Rc::clone(&broker);
    world.run(&broker.rt, async move { it.shard.retain(it.rt.wall()).await }).expect_done();
    let walked = broker.shard.walked();
    assert!(walked.partitions - before >= 2 * many, "{walked:?}");
    // What is counted from outside of a task falls into the turn of the last one.
    assert!(walked.at_once < STEP as u64 + 10, "{walked:?}");
    drop(broker);
    world.kill(*here);
    world.kill(*there);
    world.run_for(Duration::from_secs(1));
    drop(machine);
}
