//! A produce that is much work for the processor: others have their turns meanwhile, and what its client has sent behind it stays
//! behind it.

use super::full::Scene;
use super::load::{TO_ALL, make_topic, of_all, to_all};
use super::machine::Machine;
use ids::Timestamp;
use record::{BatchBuilder, Codec};
use runtime::sim::{SimConfig, World};
use std::time::Duration;
use wire::ErrorCode;
use wire::api::ApiKey;

const TOPIC: &str = "orders";
/// What a batch of much work decompresses to.
const MUCH: usize = 1 << 20;

fn scene(cores: u16, partitions: i32) -> (Scene, Machine) {
    let world = World::new(6, SimConfig { memory_limit: 64 << 20, ..SimConfig::default() });
    let scene = Scene { here: world.add_node(), there: world.add_node(), world };
    let machine = Machine::start(&scene.world, scene.here, cores).expect("a start");
    let made = scene.ask(async move |caller| make_topic(caller, TOPIC, partitions).await);
    assert_eq!(made, ErrorCode::NONE);
    (scene, machine)
}

fn end(scene: &Scene) {
    assert_eq!(scene.world.fault_of(scene.here), None);
    scene.world.kill(scene.here);
    scene.world.kill(scene.there);
    scene.world.run_for(Duration::from_secs(1));
}

/// A few bytes that decompress to many.
fn batch(value_bytes: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new().codec(Codec::Zstd);
    builder.push(Timestamp(1), None, Some(&vec![0; value_bytes]), &[]);
    builder.build().expect("a batch")
}

#[test]
fn others_have_a_turn_between_batches_that_are_much_work() {
    const PARTITIONS: i32 = 64;
    let (scene, machine) = scene(1, PARTITIONS);
    let (broker, _) = machine.leader_of(TOPIC).expect("a leader");
    let polls_of = |value_bytes: usize| {
        let before = broker.rt.polls();
        let answers = scene.ask(async move |caller| {
            let batch = batch(value_bytes);
            let body = caller.call(TO_ALL, &to_all(TOPIC, 0..PARTITIONS, &batch)).await?;
            Some(of_all(&body))
        });
        assert!(answers.iter().all(|(code, _)| *code == ErrorCode::NONE), "{answers:?}");
        broker.rt.polls() - before
    };
    let (little, much) = (polls_of(1), polls_of(MUCH));
    // One for each batch but the first, and what the network does by chance.
    assert!(much >= little + 40, "{little} polls for little work, {much} for much");
    drop(broker);
    end(&scene);
    drop(machine);
}

#[test]
fn what_follows_on_the_same_connection_stays_behind_much_work() {
    const PARTITIONS: i32 = 8;
    /// In about half of them the second request is there when the first one begins.
    const ROUNDS: i64 = 16;
    let (scene, machine) = scene(2, PARTITIONS);
    let rounds = scene.ask(async |caller| {
        let (much, little) = (batch(MUCH), batch(1));
        let requests = [&much, &little].map(|batch| to_all(TOPIC, 0..PARTITIONS, batch));
        let mut answers = Vec::new();
        for _ in 0..ROUNDS {
            caller.send(TO_ALL, &requests).await?;
            for _ in &requests {
                answers.push(of_all(&caller.answer(ApiKey::Produce, TO_ALL).await?));
            }
        }
        Some(answers)
    });
    for (offset, answers) in (0..).zip(rounds) {
        for answer in answers {
            assert_eq!(answer, (ErrorCode::NONE, offset));
        }
    }
    end(&scene);
    drop(machine);
}
