//! The clients: producers that repeat what was not answered, some of whom repeat what was; somebody who makes and deletes
//! topics while others look; and a group that commits offsets.

use super::caller::Caller;
use super::facts::{Facts, Part, Producer, Sent};
use ids::{LeaderEpoch, Offset, PartitionIndex, ProducerEpoch, ProducerId, Timestamp};
use record::BatchBuilder;
use runtime::Runtime;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use wire::api::create_topics::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, CreateTopicsResponse,
};
use wire::api::delete_topics::{DeleteTopicsRequest, DeleteTopicsResponse};
use wire::api::find_coordinator::{FindCoordinatorRequest, FindCoordinatorResponse};
use wire::api::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use wire::api::metadata::{MetadataRequest, MetadataResponse};
use wire::api::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use wire::api::produce::{PartitionProduceData, ProduceRequest, ProduceResponse, TopicProduceData};
use wire::{ErrorCode, Message, Records};

/// The topics that producers write to, with three partitions each.
pub(super) const TOPICS: [&str; 2] = ["orders", "clicks"];
pub(super) const PARTITIONS: i32 = 3;
/// The group, and the version of its requests.
pub(super) const GROUP: &str = "g";
const PRODUCERS: usize = 4;

pub(super) type Shared = Rc<RefCell<Facts>>;

/// A small generator for one client's choices.
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Starts all clients of one life.
pub(super) fn begin(rt: &Runtime, facts: &Shared, seed: u64) {
    let mut random = Random(seed | 1);
    let kept = std::mem::take(&mut facts.borrow_mut().producers);
    let mut kept = kept.into_iter().map(Some).chain(std::iter::repeat_with(|| None));
    for _ in 0..PRODUCERS {
        let (rt2, facts, seed) = (rt.clone(), Rc::clone(facts), random.below(u64::MAX) | 1);
        let before = kept.next().flatten();
        rt.spawn(async move {
            let _ = produce(&rt2, &facts, before, Random(seed)).await;
        });
    }
    let (rt2, facts2, seed) = (rt.clone(), Rc::clone(facts), random.below(u64::MAX) | 1);
    rt.spawn(async move {
        let _ = administer(&rt2, &facts2, Random(seed)).await;
    });
    let (rt2, facts2) = (rt.clone(), Rc::clone(facts));
    rt.spawn(async move {
        let _ = look(&rt2, &facts2).await;
    });
    let (rt2, facts2) = (rt.clone(), Rc::clone(facts));
    rt.spawn(async move {
        let _ = commit(&rt2, &facts2).await;
    });
}

pub(super) async fn make_topic(
    caller: &mut Caller,
    name: &str,
    partitions: i32,
) -> Option<ErrorCode> {
    make_topic_with(caller, name, partitions, &[]).await
}

/// The same, with these configurations.
pub(super) async fn make_topic_with(
    caller: &mut Caller,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Option<ErrorCode> {
    let topic = CreatableTopic {
        name,
        num_partitions: partitions,
        replication_factor: 1,
        configs: configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name, value: Some(*value) })
            .collect(),
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let body = caller.call(7, &request).await?;
    let answer = CreateTopicsResponse::decode(&body, 7).expect("an answer");
    answer.topics.first().map(|t| t.error_code)
}

/// One producer, over two connections; `None` when the node is gone. It stays known to the facts for the next life.
async fn produce(
    rt: &Runtime,
    facts: &Shared,
    before: Option<Producer>,
    mut random: Random,
) -> Option<()> {
    let (mut caller, mut second) = (Caller::connect(rt).await?, Caller::connect(rt).await?);
    for topic in TOPICS {
        let code = make_topic(&mut caller, topic, PARTITIONS).await?;
        if code != ErrorCode::TOPIC_ALREADY_EXISTS {
            good(facts, &format!("the creation of {topic}"), code)?;
        }
    }
    let mut me = match before {
        Some(me) => me,
        None => {
            let request =
                InitProducerIdRequest { transaction_timeout_ms: -1, ..Default::default() };
            let body = caller.call(4, &request).await?;
            let answer = InitProducerIdResponse::decode(&body, 4).expect("an answer");
            good(facts, "InitProducerId", answer.error_code)?;
            facts.borrow_mut().on_producer_id(answer.producer_id.0);
            Producer { id: answer.producer_id.0, next: BTreeMap::new(), open: BTreeMap::new() }
        }
    };
    let place = {
        let mut facts = facts.borrow_mut();
        facts.producers.push(me.clone());
        facts.producers.len() - 1
    };
    loop {
        let part: Part =
            (TOPICS[usize::try_from(random.below(2)).ok()?], i32::try_from(random.below(3)).ok()?);
        let sent = me.open.get(&part).cloned().unwrap_or_else(|| {
            let mut facts = facts.borrow_mut();
            facts.words += 1;
            let sequence = me.next.entry(part).or_default();
            let sent = Sent {
                part,
                word: facts.words,
                producer: me.id,
                sequence: *sequence,
                offset: None,
            };
            *sequence += 1;
            facts.sent.insert(sent.word, sent.clone());
            sent
        });
        me.open.insert(part, sent.clone());
        facts.borrow_mut().producers[place] = me.clone();
        // Some are sent on both connections at once: whichever is answered first must be true.
        let answer = if random.below(3) == 0 {
            let (a, b) = both(
                send(&mut caller, facts, &sent),
                send(&mut second, facts, &sent),
                facts,
                &sent,
            )
            .await;
            facts.borrow_mut().tally.duplicates += 1;
            a.or(b)
        } else {
            let answer = send(&mut caller, facts, &sent).await;
            if let Some(offset) = answer {
                facts.borrow_mut().on_acked(sent.clone(), offset);
            }
            answer
        };
        answer?;
        me.open.remove(&part);
        facts.borrow_mut().producers[place] = me.clone();
        if random.below(4) == 0 {
            rt.sleep(Duration::from_micros(random.below(4_000))).await;
        }
    }
}

/// Runs both, and notes each answer when it comes.
async fn both(
    a: impl Future<Output = Option<i64>>,
    b: impl Future<Output = Option<i64>>,
    facts: &Shared,
    sent: &Sent,
) -> (Option<i64>, Option<i64>) {
    let noted = |answer: Option<i64>| {
        if let Some(offset) = answer {
            facts.borrow_mut().on_acked(sent.clone(), offset);
        }
        answer
    };
    let (mut a, mut b) = (std::pin::pin!(a), std::pin::pin!(b));
    let (mut got_a, mut got_b) = (None, None);
    std::future::poll_fn(|cx| {
        if got_a.is_none()
            && let std::task::Poll::Ready(answer) = a.as_mut().poll(cx)
        {
            got_a = Some(noted(answer));
        }
        if got_b.is_none()
            && let std::task::Poll::Ready(answer) = b.as_mut().poll(cx)
        {
            got_b = Some(noted(answer));
        }
        if got_a.is_some() && got_b.is_some() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    (got_a.flatten(), got_b.flatten())
}

/// Whether the answer is the one that must come; if not, that is noted.
fn good(facts: &Shared, what: &str, code: ErrorCode) -> Option<()> {
    if code == ErrorCode::NONE {
        return Some(());
    }
    facts.borrow_mut().accuse(format!("{what} was answered {code:?}"));
    None
}

/// The offset that was answered.
async fn send(caller: &mut Caller, facts: &Shared, sent: &Sent) -> Option<i64> {
    let (code, offset) = offer(caller, sent).await?;
    good(facts, &format!("{sent:?}"), code)?;
    Some(offset)
}

/// Sends a batch with one record; the code and the offset that were answered.
pub(super) async fn offer(caller: &mut Caller, sent: &Sent) -> Option<(ErrorCode, i64)> {
    let mut builder =
        BatchBuilder::new().producer(ProducerId(sent.producer), ProducerEpoch(0), sent.sequence);
    let value = vec![
        u8::try_from(sent.word % 251).unwrap_or(0);
        usize::try_from(sent.word % 3000).unwrap_or(0)
    ];
    builder.push(Timestamp(1), Some(&sent.word.to_be_bytes()), Some(&value), &[]);
    let batch = builder.build().expect("a batch");
    let partition = PartitionProduceData {
        index: PartitionIndex(sent.part.1),
        records: Records::Slice(&batch),
    };
    let topic = TopicProduceData {
        name: sent.part.0,
        partition_data: vec![partition],
        ..TopicProduceData::default()
    };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    };
    let body = caller.call(9, &request).await?;
    let answer = ProduceResponse::decode(&body, 9).expect("an answer");
    let p = &answer.responses[0].partition_responses[0];
    Some((p.error_code, p.base_offset.0))
}

/// The version of [`to_all`].
pub(super) const TO_ALL: i16 = 9;

/// A produce of the same batch to each of these partitions of a topic.
pub(super) fn to_all<'a>(
    topic: &'a str,
    partitions: impl IntoIterator<Item = i32>,
    batch: &'a [u8],
) -> ProduceRequest<'a> {
    let data = |index| PartitionProduceData {
        index: PartitionIndex(index),
        records: Records::Slice(batch),
    };
    let topic = TopicProduceData {
        name: topic,
        partition_data: partitions.into_iter().map(data).collect(),
        ..TopicProduceData::default()
    };
    ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    }
}

/// The code and the offset of each partition, from the answer to [`to_all`].
pub(super) fn of_all(body: &[u8]) -> Vec<(ErrorCode, i64)> {
    let answer = ProduceResponse::decode(body, TO_ALL).expect("an answer");
    let answered = answer.responses.iter().flat_map(|t| &t.partition_responses);
    answered.map(|p| (p.error_code, p.base_offset.0)).collect()
}

/// Makes topics, and deletes some of them.
async fn administer(rt: &Runtime, facts: &Shared, mut random: Random) -> Option<()> {
    let mut caller = Caller::connect(rt).await?;
    loop {
        let mine: Vec<String> = facts.borrow().shown.iter().cloned().collect();
        if !mine.is_empty() && random.below(3) == 0 {
            let name = mine[usize::try_from(random.below(mine.len() as u64)).ok()?].clone();
            facts.borrow_mut().end(&name);
            let request = DeleteTopicsRequest {
                topic_names: vec![&name],
                timeout_ms: 10_000,
                ..DeleteTopicsRequest::default()
            };
            let body = caller.call(5, &request).await?;
            let answer = DeleteTopicsResponse::decode(&body, 5).expect("an answer");
            good(facts, &format!("the deletion of {name}"), answer.responses[0].error_code)?;
            let mut facts = facts.borrow_mut();
            facts.gone.insert(name);
            facts.tally.topics_deleted += 1;
        } else {
            let name = {
                let mut facts = facts.borrow_mut();
                facts.topics += 1;
                format!("made-{}", facts.topics)
            };
            let code =
                make_topic(&mut caller, &name, 1 + i32::try_from(random.below(3)).ok()?).await?;
            good(facts, &format!("the creation of {name}"), code)?;
            let mut facts = facts.borrow_mut();
            facts.on_shown(name);
            facts.tally.topics_made += 1;
        }
        rt.sleep(Duration::from_micros(random.below(8_000))).await;
    }
}

/// The names of all topics that the administrator makes.
pub(super) async fn topics(caller: &mut Caller) -> Option<BTreeSet<String>> {
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let body = caller.call(9, &request).await?;
    let answer = MetadataResponse::decode(&body, 9).expect("an answer");
    let names = answer.topics.iter().filter_map(|t| t.name);
    Some(names.filter(|n| n.starts_with("made-")).map(str::to_owned).collect())
}

/// Looks at the metadata again and again: what it saw once must stay, unless somebody asks for its end.
async fn look(rt: &Runtime, facts: &Shared) -> Option<()> {
    let mut caller = Caller::connect(rt).await?;
    loop {
        for name in topics(&mut caller).await? {
            facts.borrow_mut().on_shown(name);
        }
        rt.sleep(Duration::from_micros(300)).await;
    }
}

/// Asks for the coordinator of the group until there is one.
pub(super) async fn find_coordinator(rt: &Runtime, caller: &mut Caller) -> Option<()> {
    loop {
        let request = FindCoordinatorRequest {
            coordinator_keys: vec![GROUP],
            ..FindCoordinatorRequest::default()
        };
        let body = caller.call(4, &request).await?;
        let answer = FindCoordinatorResponse::decode(&body, 4).expect("an answer");
        if answer.coordinators.first().is_some_and(|c| c.error_code == ErrorCode::NONE) {
            return Some(());
        }
        rt.sleep(Duration::from_millis(1)).await;
    }
}

/// Commits an offset of the first partition of a topic; what was answered.
pub(super) async fn commit_offset(
    caller: &mut Caller,
    topic: &str,
    offset: i64,
) -> Option<ErrorCode> {
    let partition = OffsetCommitRequestPartition {
        partition_index: PartitionIndex(0),
        committed_offset: Offset(offset),
        committed_leader_epoch: LeaderEpoch::UNKNOWN,
        committed_metadata: None,
    };
    let topic = OffsetCommitRequestTopic {
        name: topic,
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: GROUP,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    let body = caller.call(8, &request).await?;
    let answer = OffsetCommitResponse::decode(&body, 8).expect("an answer");
    Some(answer.topics[0].partitions[0].error_code)
}

/// Commits a rising offset.
async fn commit(rt: &Runtime, facts: &Shared) -> Option<()> {
    let mut caller = Caller::connect(rt).await?;
    find_coordinator(rt, &mut caller).await?;
    loop {
        let asked = {
            let mut facts = facts.borrow_mut();
            facts.asked += 1;
            facts.asked
        };
        match commit_offset(&mut caller, TOPICS[0], asked).await? {
            ErrorCode::NONE => {
                let mut facts = facts.borrow_mut();
                facts.confirmed = asked;
                facts.tally.commits += 1;
            }
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
            | ErrorCode::NOT_COORDINATOR
            | ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => {}
            other => good(facts, "a group's commit", other)?,
        }
        rt.sleep(Duration::from_millis(2)).await;
    }
}
