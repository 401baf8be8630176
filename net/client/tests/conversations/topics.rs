//! Topics, their configuration, and the cluster.

use crate::client;
use crate::fake::Fake;
use ids::Offset;
use ringwood_client::{ConfigResource, ConfigSource, Isolation, NewTopic, OffsetQuery};
use wire::ErrorCode;

#[test]
fn topics_are_made_described_and_deleted() {
    let fake = Fake::start();
    let mut client = client(&fake);
    let new = NewTopic {
        name: "t".to_owned(),
        partitions: Some(3),
        replication_factor: None,
        configs: vec![("retention.ms".to_owned(), "5".to_owned())],
    };
    let made = client.create_topics(std::slice::from_ref(&new), false).unwrap();
    assert_eq!(made[0].result.as_ref().unwrap().partitions, 3);
    let again = client.create_topics(std::slice::from_ref(&new), false).unwrap();
    let refusal = again[0].result.as_ref().unwrap_err();
    assert_eq!(refusal.code, ErrorCode::TOPIC_ALREADY_EXISTS);
    assert_eq!(refusal.message.as_deref(), Some("it is there"));

    assert_eq!(client.refresh_all().unwrap().topics["t"].partitions.len(), 3);
    let config = client.describe_config(&ConfigResource::topic("t"), None).unwrap();
    assert_eq!(config[1].value.as_deref(), Some("5"));
    assert_eq!(config[1].source, ConfigSource::Topic);
    let queries = [(0, OffsetQuery::Earliest), (2, OffsetQuery::Latest)];
    let offsets = client.list_offsets("t", &queries, Isolation::default()).unwrap();
    assert!(offsets.values().all(|o| o.as_ref().unwrap().offset == Offset(0)));

    let gone = client.delete_topics(&["t", "t2"]).unwrap();
    assert!(gone[0].result.is_ok() && gone[1].result.is_err());
    let error = client.list_offsets("t", &queries, Isolation::default()).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
}

#[test]
fn an_api_that_the_broker_lacks_is_named() {
    let fake = Fake::start();
    let mut client = client(&fake);
    let error = client.alter_config(&ConfigResource::topic("t"), &[], false).unwrap_err();
    assert!(error.to_string().contains("IncrementalAlterConfigs"), "{error}");
    // The cluster is described from the metadata then.
    let cluster = client.describe_cluster().unwrap();
    assert_eq!(cluster.brokers.len(), 1);
}
