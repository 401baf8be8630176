//! The calm part of the conversation: who is there, who leads, topics, offsets, producer identities, settings.

use super::{Api, Malformed, Reader, Writer};

/// One broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Its number in the cluster.
    pub id: i32,
    /// Host and port as advertised.
    pub address: String,
}

/// One topic of a Metadata answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicMetadata {
    /// Its name.
    pub name: String,
    /// Error code; 0 is none.
    pub error: i16,
    /// (partition, leader, error code); a leader of -1 is none.
    pub partitions: Vec<(i32, i32, i16)>,
}

/// A Metadata answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata {
    /// Every broker.
    pub brokers: Vec<BrokerAddress>,
    /// The cluster's name for itself.
    pub cluster_id: String,
    /// The topics asked for.
    pub topics: Vec<TopicMetadata>,
}

/// Asks which APIs and versions the broker speaks.
#[must_use]
pub fn api_versions(correlation: i32) -> Vec<u8> {
    Writer::request(Api::ApiVersions, correlation).finish(0)
}

/// Reads (key, lowest version, highest version).
///
/// # Errors
/// The answer is cut, or is an error.
pub fn read_api_versions(mut body: Reader<'_>) -> Result<Vec<(i16, i16, i16)>, Malformed> {
    if body.i16()? != 0 {
        return Err(Malformed);
    }
    (0..body.count()?).map(|_| Ok((body.i16()?, body.i16()?, body.i16()?))).collect()
}

/// Asks for the brokers and the leaders of these topics, without creating any.
#[must_use]
pub fn metadata(correlation: i32, topics: &[String]) -> Vec<u8> {
    let mut request = Writer::request(Api::Metadata, correlation);
    request.count(topics.len());
    for topic in topics {
        request.string(topic);
    }
    request.i8(0);
    request.finish(0)
}

/// Reads the brokers and leaders.
///
/// # Errors
/// The answer is cut.
pub fn read_metadata(mut body: Reader<'_>) -> Result<Metadata, Malformed> {
    let _throttle = body.i32()?;
    let mut metadata = Metadata::default();
    for _ in 0..body.count()? {
        let id = body.i32()?;
        let host = body.string()?;
        let port = body.i32()?;
        let _rack = body.nullable_string()?;
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        metadata.brokers.push(BrokerAddress { id, address: format!("{host}:{port}") });
    }
    metadata.cluster_id = body.nullable_string()?.unwrap_or_default().to_owned();
    let _controller = body.i32()?;
    for _ in 0..body.count()? {
        let error = body.i16()?;
        let name = body.string()?.to_owned();
        let _internal = body.i8()?;
        let mut partitions = Vec::new();
        for _ in 0..body.count()? {
            let error = body.i16()?;
            partitions.push((body.i32()?, body.i32()?, error));
            for _ in 0..2 {
                for _ in 0..body.count()? {
                    body.i32()?;
                }
            }
        }
        metadata.topics.push(TopicMetadata { name, error, partitions });
    }
    Ok(metadata)
}

/// Asks for new topics with the same shape. A replication factor of -1 leaves it to the broker.
#[must_use]
pub fn create_topics(
    correlation: i32,
    topics: &[String],
    partitions: i32,
    replication: i16,
    configs: &[(String, String)],
) -> Vec<u8> {
    let mut request = Writer::request(Api::CreateTopics, correlation);
    request.count(topics.len());
    for topic in topics {
        request.string(topic).i32(partitions).i16(replication).count(0).count(configs.len());
        for (name, value) in configs {
            request.string(name).string(value);
        }
    }
    request.i32(30_000).i8(0);
    request.finish(0)
}

/// Reads (topic, error code, message) of each new topic.
///
/// # Errors
/// The answer is cut.
pub fn read_create_topics(mut body: Reader<'_>) -> Result<Vec<(String, i16, String)>, Malformed> {
    let _throttle = body.i32()?;
    (0..body.count()?)
        .map(|_| {
            let name = body.string()?.to_owned();
            let error = body.i16()?;
            Ok((name, error, body.nullable_string()?.unwrap_or_default().to_owned()))
        })
        .collect()
}

/// Asks for these topics to go.
#[must_use]
pub fn delete_topics(correlation: i32, topics: &[String]) -> Vec<u8> {
    let mut request = Writer::request(Api::DeleteTopics, correlation);
    request.count(topics.len());
    for topic in topics {
        request.string(topic);
    }
    request.i32(30_000);
    request.finish(0)
}

/// Asks for the end (-1) or the beginning (-2) of partitions of one topic.
#[must_use]
pub fn list_offsets(correlation: i32, topic: &str, partitions: &[i32], which: i64) -> Vec<u8> {
    let mut request = Writer::request(Api::ListOffsets, correlation);
    request.i32(-1).count(1).string(topic).count(partitions.len());
    for partition in partitions {
        request.i32(*partition).i64(which);
    }
    request.finish(0)
}

/// Reads (partition, error code, offset).
///
/// # Errors
/// The answer is cut.
pub fn read_list_offsets(mut body: Reader<'_>) -> Result<Vec<(i32, i16, i64)>, Malformed> {
    let mut offsets = Vec::new();
    for _ in 0..body.count()? {
        let _topic = body.string()?;
        for _ in 0..body.count()? {
            let (partition, error) = (body.i32()?, body.i16()?);
            let _timestamp = body.i64()?;
            offsets.push((partition, error, body.i64()?));
        }
    }
    Ok(offsets)
}

/// Asks for a producer identity without a transaction.
#[must_use]
pub fn init_producer_id(correlation: i32) -> Vec<u8> {
    let mut request = Writer::request(Api::InitProducerId, correlation);
    request.null_string().i32(60_000);
    request.finish(0)
}

/// Reads (error code, producer id, epoch).
///
/// # Errors
/// The answer is cut.
pub fn read_init_producer_id(mut body: Reader<'_>) -> Result<(i16, i64, i16), Malformed> {
    let _throttle = body.i32()?;
    Ok((body.i16()?, body.i64()?, body.i16()?))
}

/// Asks a broker for settings of its own by name (resource type 4 is a broker).
#[must_use]
pub fn describe_broker(correlation: i32, broker: i32, names: &[&str]) -> Vec<u8> {
    let mut request = Writer::request(Api::DescribeConfigs, correlation);
    request.count(1).i8(4).string(&broker.to_string()).count(names.len());
    for name in names {
        request.string(name);
    }
    request.i8(0);
    request.finish(0)
}

/// Asks where the data is, and of no topic how much (KIP-113).
#[must_use]
pub fn describe_log_dirs(correlation: i32) -> Vec<u8> {
    let mut request = Writer::request(Api::DescribeLogDirs, correlation);
    request.count(0);
    request.finish(0)
}

/// Reads the directories that are sound. Nothing is read of topics: none was asked about.
///
/// # Errors
/// The answer is cut, or tells of topics all the same.
pub fn read_describe_log_dirs(mut body: Reader<'_>) -> Result<Vec<String>, Malformed> {
    let _throttle = body.i32()?;
    let mut directories = Vec::new();
    for _ in 0..body.count()? {
        let error = body.i16()?;
        let directory = body.string()?;
        if error == 0 {
            directories.push(directory.to_owned());
        }
        if body.count()? != 0 {
            return Err(Malformed);
        }
    }
    Ok(directories)
}

/// Reads (name, value) of each setting that has one.
///
/// # Errors
/// The answer is cut.
pub fn read_describe_configs(mut body: Reader<'_>) -> Result<Vec<(String, String)>, Malformed> {
    let _throttle = body.i32()?;
    let mut settings = Vec::new();
    for _ in 0..body.count()? {
        let _error = body.i16()?;
        let _message = body.nullable_string()?;
        let _kind = body.i8()?;
        let _resource = body.string()?;
        for _ in 0..body.count()? {
            let name = body.string()?.to_owned();
            let value = body.nullable_string()?.map(str::to_owned);
            let (_read_only, _source, _sensitive) = (body.i8()?, body.i8()?, body.i8()?);
            for _ in 0..body.count()? {
                let _ = (body.string()?, body.nullable_string()?, body.i8()?);
            }
            settings.extend(value.map(|value| (name, value)));
        }
    }
    Ok(settings)
}
