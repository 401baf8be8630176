//! What the controller decides, one file per operation; here is what the scenes share.

mod alter_configs;
mod brokers;
mod create_partitions;
mod create_topics;
mod delete_topics;
mod replica;

use super::*;
use crate::record::{BrokerRegistered, DirectoryId, Endpoint, Resource};
use crate::{ErrorCode, Refusal};
use ids::{LeaderEpoch, PartitionId, PartitionIndex, ProducerId, TopicId};

/// The number of topics among the kinds of resources.
const TOPIC: i8 = 2;

fn registration(broker: i32, incarnation: u64) -> BrokerRegistered {
    BrokerRegistered {
        broker: BrokerId(broker),
        incarnation,
        endpoints: vec![Endpoint { listener: "PLAINTEXT".into(), host: "h".into(), port: 9092 }],
        rack: None,
        cores: 4,
        directory: DirectoryId([1; 16]),
    }
}

fn cluster(brokers: i32, file: &str) -> Controller {
    let map = crate::config::parse_properties(file).unwrap();
    let mut controller = Controller::new(BrokerId(1), StaticConfig::load(map).unwrap().0);
    controller.format("test").unwrap();
    for id in 1..=brokers {
        controller.start(registration(id, 1)).unwrap();
    }
    controller
}

fn one() -> Controller {
    cluster(1, "")
}

fn ids_from(n: &mut u8) -> impl FnMut() -> TopicId {
    move || {
        *n += 1;
        TopicId([*n; 16])
    }
}

fn new(name: &str) -> NewTopic {
    NewTopic {
        name: name.into(),
        partitions: -1,
        replication_factor: -1,
        assignments: vec![],
        configs: vec![],
    }
}

fn sized(name: &str, partitions: i32, replication_factor: i16) -> NewTopic {
    NewTopic { partitions, replication_factor, ..new(name) }
}

fn with(name: &str, configs: &[(&str, &str)]) -> NewTopic {
    let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
    NewTopic { configs, ..new(name) }
}

fn assigned(name: &str, assignments: &[(i32, &[i32])]) -> NewTopic {
    let of = |(index, replicas): &(i32, &[i32])| PartitionAssignment {
        index: *index,
        replicas: replicas.iter().copied().map(BrokerId).collect(),
    };
    NewTopic { assignments: assignments.iter().map(of).collect(), ..new(name) }
}

/// Creates topics and returns the code of each result, 0 for success.
fn create(controller: &mut Controller, topics: Vec<NewTopic>) -> Vec<i16> {
    let mut n = u8::try_from(controller.image().topic_count()).unwrap();
    let request = CreateTopics { topics, validate_only: false };
    let decision = controller.create_topics(&request, &mut ids_from(&mut n));
    decision.response.iter().map(|r| code(&r.result)).collect()
}

fn code<T>(result: &Result<T, Refusal>) -> i16 {
    result.as_ref().map_or_else(|refusal| refusal.code.wire(), |_| 0)
}

#[test]
fn codes_are_kafkas_numbers() {
    for (code, number) in [
        (ErrorCode::UnknownServerError, -1),
        (ErrorCode::UnknownTopicOrPartition, 3),
        (ErrorCode::InvalidTopic, 17),
        (ErrorCode::TopicAlreadyExists, 36),
        (ErrorCode::InvalidPartitions, 37),
        (ErrorCode::InvalidReplicationFactor, 38),
        (ErrorCode::InvalidReplicaAssignment, 39),
        (ErrorCode::InvalidConfig, 40),
        (ErrorCode::InvalidRequest, 42),
        (ErrorCode::PolicyViolation, 44),
        (ErrorCode::TopicDeletionDisabled, 73),
        (ErrorCode::UnknownTopicId, 100),
    ] {
        assert_eq!(code.wire(), number);
    }
}
