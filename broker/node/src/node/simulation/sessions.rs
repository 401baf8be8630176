//! Fetch sessions of a whole node: what has not moved is not told, and nothing that has is missed, wherever it lives.

use super::caller::Caller;
use super::facts::Sent;
use super::load::{make_topic, offer};
use super::machine::Machine;
use ids::{CoreId, Offset, PartitionIndex};
use runtime::Runtime;
use runtime::sim::{SimConfig, World};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use wire::api::delete_records::{
    DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsResponse, DeleteRecordsTopic,
};
use wire::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use wire::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic, ForgottenTopic};
use wire::{ErrorCode, Message};

const TOPIC: &str = "readings";
const PARTITIONS: i32 = 12;
const PART_BYTES: i32 = 1 << 20;

/// What was told of a partition: error, high watermark, start, and whether there were records.
type Told = (ErrorCode, i64, i64, bool);

/// A consumer with a session.
struct Reader {
    caller: Caller,
    session: i32,
    epoch: i32,
    /// Of the next fetch.
    wait_ms: i32,
    max_bytes: i32,
}

impl Reader {
    async fn fetch(&mut self, wanted: &[(i32, i64)], forgotten: &[i32]) -> Vec<(i32, Told)> {
        let partition = |(index, offset): &(i32, i64)| FetchPartition {
            partition: PartitionIndex(*index),
            fetch_offset: Offset(*offset),
            partition_max_bytes: PART_BYTES,
            ..FetchPartition::default()
        };
        let partitions: Vec<FetchPartition> = wanted.iter().map(partition).collect();
        let topic = FetchTopic { topic: TOPIC, partitions, ..FetchTopic::default() };
        let forgotten: Vec<PartitionIndex> = forgotten.iter().map(|p| PartitionIndex(*p)).collect();
        let forgotten =
            ForgottenTopic { topic: TOPIC, partitions: forgotten, ..ForgottenTopic::default() };
        let request = FetchRequest {
            max_wait_ms: self.wait_ms,
            min_bytes: 1,
            max_bytes: self.max_bytes,
            session_id: self.session,
            session_epoch: self.epoch,
            topics: vec![topic],
            forgotten_topics_data: vec![forgotten],
            ..FetchRequest::default()
        };
        let body = self.caller.call(12, &request).await.expect("an answer");
        let answer = FetchResponse::decode(&body, 12).expect("that can be read");
        assert_eq!(answer.error_code, ErrorCode::NONE);
        self.session = answer.session_id;
        self.epoch += 1;
        let partitions = answer.responses.iter().flat_map(|t| &t.partitions);
        partitions
            .map(|p| {
                let records = p.records.bytes().is_some_and(|b| !b.is_empty());
                let told = (p.error_code, p.high_watermark.0, p.log_start_offset.0, records);
                (p.partition_index.0, told)
            })
            .collect()
    }
}

async fn produce(caller: &mut Caller, partition: i32, word: u64) {
    let part = (TOPIC, partition);
    let sent = Sent { part, word, producer: -1, sequence: -1, offset: None };
    let (error, _) = offer(caller, &sent).await.expect("an answer");
    assert_eq!(error, ErrorCode::NONE);
}

async fn drop_before(caller: &mut Caller, partition: i32, offset: i64) {
    let partition = DeleteRecordsPartition {
        partition_index: PartitionIndex(partition),
        offset: Offset(offset),
    };
    let topic = DeleteRecordsTopic { name: TOPIC, partitions: vec![partition] };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: 10_000 };
    let body = caller.call(2, &request).await.expect("an answer");
    let answer = DeleteRecordsResponse::decode(&body, 2).expect("that can be read");
    assert_eq!(answer.topics[0].partitions[0].error_code, ErrorCode::NONE);
}

async fn delete_topic(caller: &mut Caller) {
    let request = DeleteTopicsRequest {
        topic_names: vec![TOPIC],
        timeout_ms: 10_000,
        ..DeleteTopicsRequest::default()
    };
    let body = caller.call(5, &request).await.expect("an answer");
    let answer = DeleteTopicsResponse::decode(&body, 5).expect("that can be read");
    assert_eq!(answer.responses[0].error_code, ErrorCode::NONE);
}

/// Produces after a while, so that a fetch has begun to wait.
fn produce_later(rt: &Runtime, partition: i32, word: u64) {
    let it = rt.clone();
    rt.spawn(async move {
        it.sleep(Duration::from_millis(300)).await;
        let mut caller = Caller::connect(&it).await.expect("a connection");
        produce(&mut caller, partition, word).await;
    });
}

const OK: ErrorCode = ErrorCode::NONE;

async fn scene(rt: Runtime) {
    let mut writer = Caller::connect(&rt).await.expect("a connection");
    assert_eq!(make_topic(&mut writer, TOPIC, PARTITIONS).await, Some(OK));
    let caller = Caller::connect(&rt).await.expect("a connection");
    let mut reader =
        Reader { caller, session: 0, epoch: 0, wait_ms: 200, max_bytes: 10 * PART_BYTES };
    let all: Vec<(i32, i64)> = (0..PARTITIONS).map(|p| (p, 0)).collect();

    // A full fetch tells everything, in order, though there is nothing.
    let told = reader.fetch(&all, &[]).await;
    let expected: Vec<(i32, Told)> = (0..PARTITIONS).map(|p| (p, (OK, 0, 0, false))).collect();
    assert_eq!(told, expected);
    assert!(reader.session > 0);
    assert_eq!(reader.fetch(&[], &[]).await, [], "nothing is new");

    // Something comes while it waits, something while nobody does, and twice the same.
    reader.wait_ms = 5_000;
    for (word, partition) in [(1, 5), (2, 11), (3, 0)] {
        produce_later(&rt, partition, word);
        assert_eq!(reader.fetch(&[], &[]).await, [(partition, (OK, 1, 0, true))]);
        // It was not asked for from elsewhere: it comes again.
        assert_eq!(reader.fetch(&[], &[]).await, [(partition, (OK, 1, 0, true))]);
        produce(&mut writer, 7, word).await;
        let hw = i64::try_from(word).unwrap();
        let told = reader.fetch(&[(partition, 1)], &[]).await;
        assert_eq!(told, [(7, (OK, hw, 0, true))]);
        reader.wait_ms = 200;
        assert_eq!(reader.fetch(&[(7, hw)], &[]).await, []);
        reader.wait_ms = 5_000;
    }

    // What does not fit is told without records, and comes next.
    reader.max_bytes = 1;
    produce(&mut writer, 2, 10).await;
    produce(&mut writer, 3, 11).await;
    let first = reader.fetch(&[], &[]).await;
    let by_number: BTreeMap<i32, Told> = first.iter().copied().collect();
    assert_eq!(by_number.keys().copied().collect::<Vec<i32>>(), [2, 3]);
    assert!(by_number.values().all(|told| (told.0, told.1) == (OK, 1)), "{first:?}");
    assert_eq!(by_number.values().filter(|told| told.3).count(), 1, "{first:?}");
    let (got, _) = first.iter().find(|(_, told)| told.3).expect("one with records");
    let left = 5 - got;
    assert_eq!(reader.fetch(&[(*got, 1)], &[]).await, [(left, (OK, 1, 0, true))]);
    reader.wait_ms = 200;
    assert_eq!(reader.fetch(&[(left, 1)], &[]).await, []);
    reader.max_bytes = 10 * PART_BYTES;

    // A start of a log that moved is told without records.
    drop_before(&mut writer, 7, 2).await;
    assert_eq!(reader.fetch(&[], &[]).await, [(7, (OK, 3, 2, false))]);
    assert_eq!(reader.fetch(&[], &[]).await, []);

    // What is forgotten is not told, and its number serves another.
    assert_eq!(reader.fetch(&[], &[4, 5]).await, []);
    produce(&mut writer, 4, 20).await;
    assert_eq!(reader.fetch(&[], &[]).await, []);
    let told = reader.fetch(&[(4, 1), (5, 0)], &[]).await;
    assert_eq!(told, [(4, (OK, 1, 0, false)), (5, (OK, 1, 0, true))]);
    assert_eq!(reader.fetch(&[(5, 1)], &[]).await, []);
    reader.wait_ms = 5_000;
    produce_later(&rt, 4, 21);
    assert_eq!(reader.fetch(&[], &[]).await, [(4, (OK, 2, 0, true))]);
    assert_eq!(reader.fetch(&[(4, 2)], &[]).await.len(), 0, "it waits for its time");

    // Who got records comes last.
    for partition in [8, 9, 10] {
        produce(&mut writer, partition, 30).await;
    }
    let order: Vec<i32> = reader.fetch(&[], &[]).await.into_iter().map(|(p, _)| p).collect();
    assert_eq!(order, [8, 9, 10]);
    produce(&mut writer, 1, 31).await;
    produce(&mut writer, 9, 31).await;
    let order: Vec<i32> =
        reader.fetch(&[(8, 1), (10, 1)], &[]).await.into_iter().map(|(p, _)| p).collect();
    assert_eq!(order, [1, 9]);

    // A topic that is gone is told, and one of the same name is another one.
    let next = [(1, 1), (9, 2)];
    reader.wait_ms = 200;
    assert_eq!(reader.fetch(&next, &[]).await, []);
    delete_topic(&mut writer).await;
    // One partition after the other goes.
    let mut gone = BTreeSet::new();
    for _ in 0..100 {
        for (partition, told) in reader.fetch(&[], &[]).await {
            assert_ne!(told.0, OK, "{partition}");
            gone.insert(partition);
        }
        rt.sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(gone.len(), usize::try_from(PARTITIONS).unwrap(), "{gone:?}");
    assert_eq!(make_topic(&mut writer, TOPIC, PARTITIONS).await, Some(OK));
    produce(&mut writer, 6, 40).await;
    let told: BTreeMap<i32, Told> = reader.fetch(&all, &[]).await.into_iter().collect();
    assert_eq!(told.len(), usize::try_from(PARTITIONS).unwrap());
    assert_eq!(told[&6], (OK, 1, 0, true));
    assert_eq!(reader.fetch(&[(6, 1)], &[]).await, []);
    reader.wait_ms = 5_000;
    produce_later(&rt, 11, 41);
    assert_eq!(reader.fetch(&[], &[]).await, [(11, (OK, 1, 0, true))]);
}

fn play(seed: u64, cores: u16) {
    let world = World::new(seed, SimConfig { memory_limit: 64 << 20, ..SimConfig::default() });
    let (here, there) = (world.add_node(), world.add_node());
    let machine = Machine::start(&world, here, cores).expect("a start");
    let rt = world.core(there, CoreId(0));
    world.run(&rt, scene(rt.clone())).expect_done();
    assert_eq!(world.fault_of(here), None);
    world.kill(here);
    world.kill(there);
    world.run_for(Duration::from_secs(1));
    drop(machine);
}

#[test]
fn a_session_on_one_core_misses_nothing() {
    (1..6).for_each(|seed| play(seed, 1));
}

#[test]
fn a_session_over_several_cores_misses_nothing() {
    (1..8).for_each(|seed| play(seed, 2));
    (8..14).for_each(|seed| play(seed, 3));
}
