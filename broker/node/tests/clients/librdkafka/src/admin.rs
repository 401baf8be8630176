//! Topics: create, describe, grow, trim, delete, and what must be refused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use crate::block_on::block_on;
use crate::member::Place;
use crate::read::Reader;
use crate::report::{Fault, Report, eventually, refused};
use crate::{NAME, write};

/// Partitions that one request may create: Kafka's bound.
const REQUEST_MAX: i32 = 10_000;

/// The library's admin client.
pub(crate) struct Admin {
    client: AdminClient<DefaultClientContext>,
    options: AdminOptions,
}

/// The answer for the one topic that was asked about.
fn only(answers: Vec<Result<String, (String, RDKafkaErrorCode)>>) -> Result<(), Fault> {
    for answer in answers {
        answer.map_err(|(_, code)| KafkaError::AdminOp(code))?;
    }
    Ok(())
}

/// The partitions of an assignment of the consumer protocol, which the binding gives as bytes: version, then for each topic its name
/// and its partitions, then user data.
fn assignment(bytes: &[u8]) -> Result<BTreeSet<Place>, Fault> {
    let mut rest = bytes.get(2..).ok_or("an assignment without a version")?;
    let mut take = |count: usize| -> Result<&[u8], Fault> {
        let (taken, left) = rest.split_at_checked(count).ok_or("the assignment ends")?;
        rest = left;
        Ok(taken)
    };
    let mut found = BTreeSet::new();
    for _ in 0..i32::from_be_bytes(take(4)?.try_into()?) {
        let length = usize::try_from(i16::from_be_bytes(take(2)?.try_into()?))?;
        let topic = String::from_utf8(take(length)?.to_vec())?;
        for _ in 0..i32::from_be_bytes(take(4)?.try_into()?) {
            found.insert((topic.clone(), i32::from_be_bytes(take(4)?.try_into()?)));
        }
    }
    Ok(found)
}

impl Admin {
    pub(crate) fn open(bootstrap: &str) -> Result<Admin, Fault> {
        let client = ClientConfig::new().set("bootstrap.servers", bootstrap).create()?;
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        Ok(Admin { client, options })
    }

    /// Creates a topic with one replica.
    pub(crate) fn create(
        &self,
        topic: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<(), Fault> {
        let mut new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for (key, value) in configs {
            new = new.set(key, value);
        }
        only(block_on(self.client.create_topics([&new], &self.options))?)
    }

    /// The same with any number of partitions: a broker takes so many of one request only.
    pub(crate) fn create_large(
        &self,
        topic: &str,
        partitions: i32,
        configs: &[(&str, &str)],
    ) -> Result<(), Fault> {
        let mut made = partitions.min(REQUEST_MAX);
        self.create(topic, made, configs)?;
        while made < partitions {
            made = partitions.min(made + REQUEST_MAX);
            self.grow(topic, usize::try_from(made)?)?;
        }
        Ok(())
    }

    fn delete(&self, topic: &str) -> Result<(), Fault> {
        only(block_on(self.client.delete_topics(&[topic], &self.options))?)
    }

    fn grow(&self, topic: &str, partitions: usize) -> Result<(), Fault> {
        let new = NewPartitions::new(topic, partitions);
        only(block_on(self.client.create_partitions([&new], &self.options))?)
    }

    fn configs(&self, topic: &str) -> Result<BTreeMap<String, String>, Fault> {
        let asked = [ResourceSpecifier::Topic(topic)];
        let mut found = BTreeMap::new();
        for answer in block_on(self.client.describe_configs(&asked, &self.options))? {
            for entry in answer.map_err(KafkaError::AdminOp)?.entries {
                found.insert(entry.name, entry.value.unwrap_or_default());
            }
        }
        Ok(found)
    }

    fn trim(&self, topic: &str, before: i64) -> Result<(), Fault> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, 0, Offset::Offset(before))?;
        for element in block_on(self.client.delete_records(&list, &self.options))?.elements() {
            element.error()?;
        }
        Ok(())
    }

    /// State of a group, and what each of its members has.
    pub(crate) fn group(&self, group: &str) -> Result<(String, Vec<BTreeSet<Place>>), Fault> {
        let found = self.client.inner().fetch_group_list(Some(group), Duration::from_secs(20))?;
        let one = found.groups().iter().find(|one| one.name() == group).ok_or("no such group")?;
        let members = one.members().iter();
        let assigned = members.map(|member| assignment(member.assignment().unwrap_or_default()));
        Ok((one.state().to_owned(), assigned.collect::<Result<_, _>>()?))
    }

    /// The names of all groups.
    pub(crate) fn group_names(&self) -> Result<BTreeSet<String>, Fault> {
        let found = self.client.inner().fetch_group_list(None, Duration::from_secs(20))?;
        Ok(found.groups().iter().map(|one| one.name().to_owned()).collect())
    }

    /// Deletes a group.
    pub(crate) fn delete_group(&self, group: &str) -> Result<(), Fault> {
        only(block_on(self.client.delete_groups(&[group], &self.options))?)
    }

    fn partitions(&self, topic: &str) -> Result<Option<usize>, Fault> {
        // All topics are asked for, so that looking does not create one.
        let metadata = self.client.inner().fetch_metadata(None, Duration::from_secs(10))?;
        let found = metadata.topics().iter().find(|one| one.name() == topic);
        if let Some(code) = found.and_then(rdkafka::metadata::MetadataTopic::error)
            && code != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR
        {
            return Err(format!("metadata says {code:?}").into());
        }
        Ok(found.map(|one| one.partitions().len()))
    }
}

/// Every admin check.
pub(crate) fn all(bootstrap: &str, run: &str, base: i64, report: &mut Report) -> Result<(), Fault> {
    let admin = Admin::open(bootstrap)?;
    let topic = format!("{run}-{NAME}-admin");
    let bad = format!("{topic}-bad");
    let configs = [("max.message.bytes", "2000000"), ("retention.ms", "-1")];
    report.attempt("create topic", || {
        admin.create(&topic, 3, &configs)?;
        eventually(&Some(3), || admin.partitions(&topic))
    })?;
    report.attempt("create it again", || {
        refused(RDKafkaErrorCode::TopicAlreadyExists, admin.create(&topic, 3, &[]))
    })?;
    report.attempt("create with an unknown config", || {
        refused(RDKafkaErrorCode::InvalidConfig, admin.create(&bad, 1, &[("no.such.config", "1")]))
    })?;
    report.attempt("create with 0 partitions", || {
        refused(RDKafkaErrorCode::InvalidPartitions, admin.create(&bad, 0, &[]))
    })?;
    report.attempt("create partitions", || {
        admin.grow(&topic, 5)?;
        eventually(&Some(5), || admin.partitions(&topic))
    })?;
    report.attempt("create fewer partitions", || {
        refused(RDKafkaErrorCode::InvalidPartitions, admin.grow(&topic, 2))
    })?;
    report.attempt("describe configs", || {
        let found = admin.configs(&topic)?;
        for (key, value) in configs {
            if found.get(key).map(String::as_str) != Some(value) {
                return Err(format!("{key}: want {value}, got {:?}", found.get(key)).into());
            }
        }
        Ok(())
    })?;
    report.attempt("delete records", || {
        let records: Vec<_> =
            (0..10).map(|i| corpus::record(9, i, base, corpus::Profile::Filled)).collect();
        write::send(bootstrap, &topic, "none", -1, 1, &records)?;
        admin.trim(&topic, 4)?;
        let reader = Reader::open(bootstrap)?;
        eventually(&(4, 10), || reader.ends(&topic, 0))?;
        let offsets: Vec<i64> = reader.take(&topic, 0, 4, 6)?;
        if offsets == [4, 5, 6, 7, 8, 9] {
            Ok(())
        } else {
            Err(format!("want 4 to 9, got {offsets:?}").into())
        }
    })?;
    report.attempt("delete topic", || {
        admin.delete(&topic)?;
        eventually(&None, || admin.partitions(&topic))
    })?;
    report.attempt("delete it again", || {
        refused(RDKafkaErrorCode::UnknownTopicOrPartition, admin.delete(&topic))
    })
}
