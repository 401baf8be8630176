//! Readers of committed data (KIP-98) of a whole node. Produce refuses transactions as yet, so their batches and markers are
//! appended from inside; a client reads over the network.

use super::caller::Caller;
use super::load::make_topic;
use super::machine::Machine;
use crate::broker::Broker;
use crate::shard::{Acks, Deadline, Terms};
use ids::{CoreId, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use log::BatchMeta;
use record::{BatchBuilder, EndTxn};
use runtime::Runtime;
use runtime::sim::{SimConfig, World};
use std::rc::Rc;
use std::time::Duration;
use wire::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use wire::api::list_offsets::{
    ListOffsetsPartition, ListOffsetsRequest, ListOffsetsResponse, ListOffsetsTopic,
};
use wire::{ErrorCode, Message};

const TOPIC: &str = "orders";
const COMMITTED: i8 = 1;
const UNCOMMITTED: i8 = 0;
const LATEST: i64 = -1;

/// What a fetch says: last stable offset, high watermark, aborted transactions, and where the records end.
type Told = (i64, i64, Option<Vec<(i64, i64)>>, Option<i64>);

async fn fetch(caller: &mut Caller, isolation_level: i8, from: i64, wait_ms: i32) -> Told {
    let partition = FetchPartition {
        fetch_offset: Offset(from),
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic: TOPIC, partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: 1,
        isolation_level,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let body = caller.call(12, &request).await.expect("an answer");
    let answer = FetchResponse::decode(&body, 12).expect("that can be read");
    let p = &answer.responses[0].partitions[0];
    assert_eq!(p.error_code, ErrorCode::NONE);
    let aborted = p.aborted_transactions.as_ref();
    let aborted = aborted.map(|all| all.iter().map(|t| (t.producer_id.0, t.first_offset.0)));
    let batches = record::Batches::new(p.records.bytes().unwrap_or(&[]));
    let end = batches.last().map(|b| b.expect("a batch").header().next_offset().0);
    (p.last_stable_offset.0, p.high_watermark.0, aborted.map(Iterator::collect), end)
}

async fn latest(caller: &mut Caller, isolation_level: i8) -> i64 {
    let partition = ListOffsetsPartition { timestamp: LATEST, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: TOPIC, partitions: vec![partition] };
    let request = ListOffsetsRequest {
        isolation_level,
        topics: vec![topic],
        ..ListOffsetsRequest::default()
    };
    let body = caller.call(7, &request).await.expect("an answer");
    let answer = ListOffsetsResponse::decode(&body, 7).expect("that can be read");
    let p = &answer.topics[0].partitions[0];
    assert_eq!(p.error_code, ErrorCode::NONE);
    p.offset.0
}

/// The partition from inside.
#[derive(Clone)]
struct Inside {
    broker: Rc<Broker>,
    id: PartitionId,
}

impl Inside {
    async fn append(&self, bytes: Vec<u8>, producer: i64, sequence: i32, control: bool) -> i64 {
        let meta = BatchMeta {
            len: u32::try_from(bytes.len()).expect("a length"),
            offsets: 1,
            max_timestamp: Timestamp(1),
            producer_id: ProducerId(producer),
            producer_epoch: ProducerEpoch(0),
            base_sequence: sequence,
            transactional: true,
            control,
        };
        let deadline = Deadline::after(Duration::from_secs(10));
        let terms = Terms::ours(Acks::All, &deadline);
        let produced = self.broker.shard.produce(self.id, &bytes, &meta, terms, |_| {}).await;
        produced.expect("it is acknowledged").base_offset.0
    }

    async fn data(&self, producer: i64, sequence: i32) -> i64 {
        let mut b = BatchBuilder::new().transactional(true).producer(
            ProducerId(producer),
            ProducerEpoch(0),
            sequence,
        );
        b.push(Timestamp(1), Some(b"key"), Some(b"value"), &[]);
        self.append(b.build().expect("a batch"), producer, sequence, false).await
    }

    async fn end(&self, producer: i64, end: EndTxn) -> i64 {
        let (id, epoch) = (ProducerId(producer), ProducerEpoch(0));
        let bytes = record::end_txn_marker(id, epoch, end, 1, Timestamp(1)).expect("a marker");
        self.append(bytes, producer, -1, true).await
    }
}

/// Two transactions that overlap: 1 is aborted, 2 is open.
async fn fill(inside: Inside) {
    assert_eq!(inside.data(1, 0).await, 0);
    assert_eq!(inside.data(2, 0).await, 1);
    assert_eq!(inside.end(1, EndTxn::Abort).await, 2);
    assert_eq!(inside.data(2, 1).await, 3);
}

async fn read(rt: Runtime, inside: Inside) {
    let mut caller = Caller::connect(&rt).await.expect("a connection");
    assert_eq!(fetch(&mut caller, UNCOMMITTED, 0, 0).await, (1, 4, None, Some(4)));
    let first = fetch(&mut caller, COMMITTED, 0, 0).await;
    assert_eq!(first, (1, 4, Some(vec![(1, 0)]), Some(1)), "nothing beyond the last stable offset");
    assert_eq!(fetch(&mut caller, COMMITTED, 1, 0).await, (1, 4, Some(vec![]), None));
    assert_eq!(fetch(&mut caller, COMMITTED, 3, 0).await, (1, 4, Some(vec![]), None), "between");
    assert_eq!(latest(&mut caller, UNCOMMITTED).await, 4);
    assert_eq!(latest(&mut caller, COMMITTED).await, 1);

    // The high watermark moves, and nobody who waits for committed data gets anything; then the transaction ends.
    let (began, later) = (rt.now(), inside.broker.rt.clone());
    later.clone().spawn(async move {
        later.sleep(Duration::from_millis(300)).await;
        assert_eq!(inside.data(3, 0).await, 4);
        assert_eq!(inside.end(3, EndTxn::Commit).await, 5);
        later.sleep(Duration::from_millis(500)).await;
        assert_eq!(inside.end(2, EndTxn::Abort).await, 6);
    });
    let told = fetch(&mut caller, COMMITTED, 1, 5_000).await;
    assert_eq!(told, (7, 7, Some(vec![(1, 0), (2, 1)]), Some(7)));
    let took = rt.now().since(began);
    let expected = Duration::from_millis(800)..Duration::from_millis(2_000);
    assert!(expected.contains(&took), "{took:?}");
    assert_eq!(latest(&mut caller, COMMITTED).await, 7);
}

/// After a power cut: the same is told.
async fn read_again(rt: Runtime) {
    let mut caller = Caller::connect(&rt).await.expect("a connection");
    let told = fetch(&mut caller, COMMITTED, 0, 0).await;
    assert_eq!(told, (7, 7, Some(vec![(1, 0), (2, 1)]), Some(7)));
}

fn play(seed: u64, cores: u16) {
    let world = World::new(seed, SimConfig { memory_limit: 64 << 20, ..SimConfig::default() });
    let (here, there) = (world.add_node(), world.add_node());
    let machine = Machine::start(&world, here, cores).expect("a start");
    let rt = world.core(there, CoreId(0));
    let it = rt.clone();
    let made = async move {
        let mut caller = Caller::connect(&it).await.expect("a connection");
        make_topic(&mut caller, TOPIC, 1).await
    };
    assert_eq!(world.run(&rt, made).expect_done(), Some(ErrorCode::NONE));
    let (broker, topic) = machine.leader_of(TOPIC).expect("a leader");
    let inside = Inside { id: PartitionId { topic, index: PartitionIndex(0) }, broker };
    world.run(&inside.broker.rt.clone(), fill(inside.clone())).expect_done();
    world.run(&rt, read(rt.clone(), inside)).expect_done();
    assert_eq!(world.fault_of(here), None);
    world.power_cut(here);
    drop(machine);
    let machine = Machine::start(&world, here, cores).expect("another start");
    world.run(&rt, read_again(rt.clone())).expect_done();
    world.kill(here);
    world.kill(there);
    world.run_for(Duration::from_secs(1));
    drop(machine);
}

#[test]
fn a_reader_of_committed_data_gets_nothing_that_may_be_aborted() {
    (1..4).for_each(|seed| play(seed, 1));
    (4..7).for_each(|seed| play(seed, 2));
}
