//! Fetch by leader epochs: a reader that lives in another epoch is told so, and one whose log has left the leader's is told
//! where (KIP-320, KIP-595).

use crate::broker::{Broker, fresh};
use crate::line::Line;
use crate::requests::{PRODUCE, batch, produce, produced};
use ids::{LeaderEpoch, Offset, PartitionIndex};
use wire::ErrorCode;
use wire::api::fetch::{FetchPartition, FetchRequest, FetchResponse, FetchTopic};

const FETCH: i16 = 12;
const NONE: LeaderEpoch = LeaderEpoch::UNKNOWN;

/// What a fetch of partition 0 is told: the error, epoch and end where the logs part, bytes of records.
type Told = (ErrorCode, (LeaderEpoch, Offset), usize);

fn fetch(line: &mut Line, offset: i64, current: LeaderEpoch, last: LeaderEpoch) -> Told {
    let partition = FetchPartition {
        partition: PartitionIndex(0),
        current_leader_epoch: current,
        fetch_offset: Offset(offset),
        last_fetched_epoch: last,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic = FetchTopic { topic: "t", partitions: vec![partition], ..FetchTopic::default() };
    let request =
        FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..FetchRequest::default() };
    let reply = line.ask(FETCH, &request);
    let answer: FetchResponse<'_> = reply.decode().unwrap();
    assert_eq!(answer.error_code, ErrorCode::NONE);
    let p = &answer.responses[0].partitions[0];
    let parts = (p.diverging_epoch.epoch, p.diverging_epoch.end_offset);
    (p.error_code, parts, p.records.bytes().map_or(0, <[u8]>::len))
}

#[test]
fn readers_of_other_epochs_are_told_and_read_nothing() {
    let data = fresh("answers-fetching");
    let record = batch(b"value");
    let whole = |told: Told| told.0 == ErrorCode::NONE && told.1 == (NONE, Offset::NONE);
    // Seven records of epoch 0, three of epoch 1.
    for (life, records) in [(0, 7), (1, 3)] {
        let broker = Broker::serving(&data);
        if life == 0 {
            broker.command(&["topic", "create", "t"]);
        }
        let mut line = Line::to(&broker);
        for _ in 0..records {
            assert_eq!(produced(&line.ask(PRODUCE, &produce("t", &record))), ErrorCode::NONE);
        }
        let told = fetch(&mut line, 0, LeaderEpoch(life), NONE);
        assert!(whole(told) && told.2 > 0, "{told:?}");
    }
    // The third life has written nothing yet.
    let broker = Broker::serving(&data);
    let mut line = Line::to(&broker);
    let nothing = (NONE, Offset::NONE);
    for (epoch, code) in [
        (0, ErrorCode::FENCED_LEADER_EPOCH),
        (1, ErrorCode::FENCED_LEADER_EPOCH),
        (3, ErrorCode::UNKNOWN_LEADER_EPOCH),
    ] {
        let told = fetch(&mut line, 0, LeaderEpoch(epoch), NONE);
        assert_eq!(told, (code, nothing, 0), "epoch {epoch}");
    }
    for current in [NONE, LeaderEpoch(2)] {
        let told = fetch(&mut line, 0, current, NONE);
        assert!(whole(told) && told.2 > 0, "{told:?}");
    }

    // Who has records of epoch 0 beyond its end has some that are not ours.
    let parted = (ErrorCode::NONE, (LeaderEpoch(0), Offset(7)), 0);
    for offset in [8, 9, 10] {
        assert_eq!(fetch(&mut line, offset, NONE, LeaderEpoch(0)), parted, "at {offset}");
    }
    let parted = (ErrorCode::NONE, (LeaderEpoch(1), Offset(10)), 0);
    assert_eq!(fetch(&mut line, 11, NONE, LeaderEpoch(1)), parted);
    // Up to there the logs are the same, and the reader goes on.
    for (offset, last) in [(3, 0), (7, 0), (8, 1)] {
        let told = fetch(&mut line, offset, NONE, LeaderEpoch(last));
        assert!(whole(told) && told.2 > 0, "at {offset}: {told:?}");
    }
    let told = fetch(&mut line, 10, NONE, LeaderEpoch(1));
    assert!(whole(told) && told.2 == 0, "at the end: {told:?}");
}
