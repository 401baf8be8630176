//! Reads everything back and compares: every acknowledged batch once and where it was said to be, none twice, the topics, the
//! group's offset.

use super::caller::Caller;
use super::facts::Part;
use super::load::{GROUP, PARTITIONS, Shared, TOPICS, topics};
use ids::{Offset, PartitionIndex};
use record::Batches;
use runtime::Runtime;
use std::collections::BTreeMap;
use wire::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};
use wire::api::find_coordinator::FindCoordinatorRequest;
use wire::api::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics, OffsetFetchResponse,
};
use wire::{ErrorCode, Message};

/// The whole audit; what is wrong is in the facts afterwards.
pub(super) async fn all(rt: Runtime, facts: Shared) {
    let Some(mut caller) = Caller::connect(&rt).await else {
        facts.borrow_mut().accuse("the node that has started does not answer".to_owned());
        return;
    };
    let done = audit(&rt, &mut caller, &facts).await;
    if done.is_none() {
        facts.borrow_mut().accuse("the node hung up during the audit".to_owned());
    }
}

async fn audit(rt: &Runtime, caller: &mut Caller, facts: &Shared) -> Option<()> {
    let names = topics(caller).await?;
    facts.borrow_mut().on_topics(&names);
    let mut found: BTreeMap<u64, (Part, i64)> = BTreeMap::new();
    for topic in TOPICS {
        for index in 0..PARTITIONS {
            let part = (topic, index);
            for (offset, word) in read(caller, part).await? {
                if let Some(before) = found.insert(word, (part, offset)) {
                    let what = format!("{word} is twice: at {before:?} and {:?}", (part, offset));
                    facts.borrow_mut().accuse(what);
                }
            }
        }
    }
    {
        let mut facts = facts.borrow_mut();
        let acked: Vec<_> = facts.acked.values().cloned().collect();
        for sent in acked {
            let is = found.get(&sent.word);
            if is != Some(&(sent.part, sent.offset.unwrap_or(-1))) {
                facts.accuse(format!("{sent:?} was acknowledged and is {is:?}"));
            }
        }
        for (word, at) in &found {
            if facts.sent.get(word).is_none_or(|sent| sent.part != at.0) {
                facts.accuse(format!("{word} at {at:?} was never sent there"));
            }
        }
    }
    group(rt, caller, facts).await
}

/// Every record's offset and word.
pub(super) async fn read(caller: &mut Caller, part: Part) -> Option<Vec<(i64, u64)>> {
    let (mut all, mut at) = (Vec::new(), 0);
    loop {
        let partition = FetchPartition {
            partition: PartitionIndex(part.1),
            fetch_offset: Offset(at),
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let topic =
            FetchTopic { topic: part.0, partitions: vec![partition], ..FetchTopic::default() };
        let request = FetchRequest {
            max_bytes: 1 << 20,
            min_bytes: 1,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let body = caller.call(12, &request).await?;
        let answer = FetchResponse::decode(&body, 12).expect("an answer");
        let p = &answer.responses[0].partitions[0];
        if p.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
            // No producer got as far as making it.
            return Some(all);
        }
        assert_eq!(p.error_code, ErrorCode::NONE);
        let bytes = p.records.bytes().unwrap_or(&[]);
        let before = at;
        for batch in Batches::new(bytes) {
            let batch = batch.expect("a batch");
            batch.check_crc().expect("its checksum");
            assert_eq!(batch.header().base_offset.0, at, "offsets go on without a gap");
            for record in batch.records().expect("records") {
                let key = record.expect("a record").key.expect("a key");
                all.push((at, u64::from_be_bytes(key.try_into().expect("a word"))));
            }
            at = batch.header().next_offset().0;
        }
        if at == before {
            return Some(all);
        }
    }
}

async fn group(rt: &Runtime, caller: &mut Caller, facts: &Shared) -> Option<()> {
    let (confirmed, asked) = (facts.borrow().confirmed, facts.borrow().asked);
    if confirmed == 0 {
        return Some(());
    }
    for _ in 0..1000 {
        let find = FindCoordinatorRequest { coordinator_keys: vec![GROUP], ..Default::default() };
        caller.call(4, &find).await?;
        let wanted = OffsetFetchRequestTopics {
            name: TOPICS[0],
            partition_indexes: vec![PartitionIndex(0)],
            ..OffsetFetchRequestTopics::default()
        };
        let asks = OffsetFetchRequestGroup {
            group_id: GROUP,
            topics: Some(vec![wanted]),
            ..OffsetFetchRequestGroup::default()
        };
        let request = OffsetFetchRequest { groups: vec![asks], ..OffsetFetchRequest::default() };
        let body = caller.call(8, &request).await?;
        let answer = OffsetFetchResponse::decode(&body, 8).expect("an answer");
        let g = &answer.groups[0];
        if g.error_code != ErrorCode::NONE {
            rt.sleep(std::time::Duration::from_millis(5)).await;
            continue;
        }
        let offset = g.topics[0].partitions[0].committed_offset.0;
        if offset < confirmed || offset > asked {
            let what = format!(
                "the group's offset is {offset}; {confirmed} was confirmed, {asked} asked for"
            );
            facts.borrow_mut().accuse(what);
        }
        return Some(());
    }
    facts.borrow_mut().accuse("the group's coordinator never gets ready".to_owned());
    Some(())
}
