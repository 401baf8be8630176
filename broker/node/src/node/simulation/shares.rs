//! Fetches over several cores: each reads its share of the limit, and what some leave of theirs goes to the others.

use super::full::Scene;
use super::load::{TO_ALL, make_topic, of_all, to_all};
use super::machine::Machine;
use ids::{Offset, PartitionId, PartitionIndex, Timestamp};
use record::{BatchBuilder, Batches};
use runtime::sim::{SimConfig, World};
use std::time::Duration;
use wire::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use wire::{ErrorCode, Message};

const TOPIC: &str = "readings";
const PARTITIONS: i32 = 24;
const CORES: u16 = 3;
const VALUE_BYTES: usize = 10_000;

fn scene() -> (Scene, Machine) {
    let world = World::new(8, SimConfig { memory_limit: 64 << 20, ..SimConfig::default() });
    let scene = Scene { here: world.add_node(), there: world.add_node(), world };
    let machine = Machine::start(&scene.world, scene.here, CORES).expect("a start");
    let made = scene.ask(async |caller| make_topic(caller, TOPIC, PARTITIONS).await);
    assert_eq!(made, ErrorCode::NONE);
    (scene, machine)
}

fn end(scene: &Scene) {
    assert_eq!(scene.world.fault_of(scene.here), None);
    scene.world.kill(scene.here);
    scene.world.kill(scene.there);
    scene.world.run_for(Duration::from_secs(1));
}

/// Two batches for each of these partitions.
fn fill(scene: &Scene, partitions: Vec<i32>) {
    let answers = scene.ask(async move |caller| {
        let mut builder = BatchBuilder::new();
        builder.push(Timestamp(1), None, Some(&[7; VALUE_BYTES]), &[]);
        let batch = builder.build().expect("a batch");
        let request = to_all(TOPIC, partitions, &batch);
        let mut answers = of_all(&caller.call(TO_ALL, &request).await?);
        answers.extend(of_all(&caller.call(TO_ALL, &request).await?));
        Some(answers)
    });
    assert!(answers.iter().all(|(code, _)| *code == ErrorCode::NONE), "{answers:?}");
}

/// What one fetch gets of these partitions: of each the offsets of its batches, and the bytes of all.
fn fetch(scene: &Scene, partitions: Vec<i32>, max_bytes: i32) -> (Vec<Vec<i64>>, usize) {
    scene.ask(async move |caller| {
        let partition = |index: i32| FetchPartition {
            partition: PartitionIndex(index),
            fetch_offset: Offset(0),
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let partitions = partitions.into_iter().map(partition).collect();
        let topic = FetchTopic { topic: TOPIC, partitions, ..FetchTopic::default() };
        let request = FetchRequest {
            min_bytes: 1,
            max_bytes,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let body = caller.call(12, &request).await?;
        let answer = FetchResponse::decode(&body, 12).ok()?;
        let (mut all, mut bytes): (Vec<Vec<i64>>, usize) = (Vec::new(), 0);
        for told in answer.responses.iter().flat_map(|t| &t.partitions) {
            assert_eq!(told.error_code, ErrorCode::NONE);
            let records = told.records.bytes().unwrap_or(&[]);
            let batches = Batches::new(records).map(|batch| batch.expect("a batch"));
            all.push(batches.map(|batch| batch.header().base_offset.0).collect());
            bytes += records.len();
        }
        Some((all, bytes))
    })
}

#[test]
fn cores_read_together_what_one_answer_holds() {
    let (scene, machine) = scene();
    let all: Vec<i32> = (0..PARTITIONS).collect();
    fill(&scene, all.clone());
    // The partitions of each core alone would nearly fill it.
    let (_, bytes) = fetch(&scene, all, 200_000);
    assert!((150_000..=200_000).contains(&bytes), "{bytes}");
    let read = machine.served(TOPIC);
    assert!(read * 5 < bytes as u64 * 6, "{read} bytes were read for an answer of {bytes}");
    end(&scene);
    drop(machine);
}

#[test]
fn what_other_cores_leave_of_their_shares_goes_to_the_one_that_has_more() {
    let (scene, machine) = scene();
    let (broker, topic) = machine.leader_of(TOPIC).expect("a leader");
    let is_there = |index: &i32| {
        let id = PartitionId { topic, index: PartitionIndex(*index) };
        broker.is_here(broker.owner(id))
    };
    let filled: Vec<i32> = (0..PARTITIONS).filter(is_there).collect();
    assert_eq!(filled.len(), 8);
    fill(&scene, filled);
    let (told, bytes) = fetch(&scene, (0..PARTITIONS).collect(), 100_000);
    // Nine batches fit; a share has room for three, the second of which is not all of its partition.
    let batches: Vec<Vec<i64>> = told.into_iter().filter(|offsets| !offsets.is_empty()).collect();
    assert_eq!(batches, [vec![0, 1], vec![0, 1], vec![0, 1], vec![0, 1], vec![0]]);
    assert_eq!(machine.served(TOPIC), bytes as u64);
    drop(broker);
    end(&scene);
    drop(machine);
}
