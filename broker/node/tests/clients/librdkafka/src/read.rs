//! Reads streams back and compares every byte.

use std::time::{Duration, Instant};

use corpus::Record;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use crate::report::{Fault, Report};

const WAIT: Duration = Duration::from_secs(20);

/// A consumer without a group: partitions are assigned by hand.
pub(crate) struct Reader(BaseConsumer);

impl Reader {
    pub(crate) fn open(bootstrap: &str) -> Result<Reader, Fault> {
        let consumer = ClientConfig::new()
            .set("bootstrap.servers", bootstrap)
            // The library wants a name; nothing is subscribed, so no group is joined.
            .set("group.id", "unused")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "error")
            .set("check.crcs", "true")
            .set("fetch.message.max.bytes", "10000000")
            .create()?;
        Ok(Reader(consumer))
    }

    /// Earliest and latest offset.
    pub(crate) fn ends(&self, topic: &str, partition: i32) -> Result<(i64, i64), Fault> {
        Ok(self.0.fetch_watermarks(topic, partition, WAIT)?)
    }

    /// First offset whose timestamp is at least this one, or -1.
    fn at(&self, topic: &str, partition: i32, timestamp: i64) -> Result<i64, Fault> {
        let mut asked = TopicPartitionList::new();
        asked.add_partition_offset(topic, partition, Offset::Offset(timestamp))?;
        let found = self.0.offsets_for_times(asked, WAIT)?;
        let element =
            found.find_partition(topic, partition).ok_or("the partition is not in the answer")?;
        element.error()?;
        match element.offset() {
            Offset::Offset(offset) => Ok(offset),
            Offset::End => Ok(-1),
            other @ (Offset::Beginning
            | Offset::Stored
            | Offset::Invalid
            | Offset::OffsetTail(_)) => Err(format!("{other:?}").into()),
        }
    }

    /// Gives `count` messages from the assigned partitions to `each`.
    fn messages(
        &self,
        assigned: &TopicPartitionList,
        count: usize,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.0.assign(assigned)?;
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut left = count;
        while left > 0 {
            match self.0.poll(Duration::from_millis(500)) {
                // It connects again by itself: a broker that was killed may keep its old sockets for a moment.
                Some(Err(KafkaError::MessageConsumption(
                    RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::AllBrokersDown,
                ))) if Instant::now() < deadline => {}
                Some(message) => {
                    each(&message?)?;
                    left -= 1;
                }
                None if Instant::now() > deadline => {
                    return Err(format!("{left} records did not come").into());
                }
                None => {}
            }
        }
        Ok(self.0.unassign()?)
    }

    /// The offsets of `count` records of one partition.
    pub(crate) fn take(
        &self,
        topic: &str,
        partition: i32,
        from: i64,
        count: usize,
    ) -> Result<Vec<i64>, Fault> {
        let mut assigned = TopicPartitionList::new();
        assigned.add_partition_offset(topic, partition, Offset::Offset(from))?;
        let mut offsets = Vec::new();
        self.messages(&assigned, count, |message| {
            offsets.push(message.offset());
            Ok(())
        })?;
        Ok(offsets)
    }

    /// Reads a whole topic: record `i` must be in partition `i % parts` at offset `i / parts`.
    pub(crate) fn compare(
        &self,
        topic: &str,
        parts: u32,
        records: u32,
        want: impl Fn(u32) -> Option<Record>,
    ) -> Result<(), Fault> {
        let mut assigned = TopicPartitionList::new();
        for partition in 0..parts {
            let partition = i32::try_from(partition)?;
            let ends = self.ends(topic, partition)?;
            if ends != (0, i64::from(records / parts)) {
                return Err(format!(
                    "partition {partition}: want ends (0, {}), got {ends:?}",
                    records / parts
                )
                .into());
            }
            assigned.add_partition_offset(topic, partition, Offset::Offset(0))?;
        }
        let mut next = vec![0_u32; parts as usize];
        self.messages(&assigned, records as usize, |message| {
            let partition = u32::try_from(message.partition())?;
            let at = next.get_mut(partition as usize).ok_or("a partition that was not assigned")?;
            if message.offset() != i64::from(*at) {
                return Err(format!(
                    "partition {partition}: want offset {at}, got {}",
                    message.offset()
                )
                .into());
            }
            let i = *at * parts + partition;
            let wanted = want(i).ok_or("more records than were written")?;
            if let Some(complaint) = corpus::difference(&wanted, &as_record(message)) {
                return Err(
                    format!("partition {partition} offset {at} (record {i}): {complaint}").into()
                );
            }
            *at += 1;
            Ok(())
        })
    }
}

/// A message as the corpus describes it.
pub(crate) fn as_record(message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
            .collect()
    });
    Record {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers,
        timestamp: message.timestamp().to_millis(),
    }
}

/// Every stream that was asked for, as `WRITER:STREAM,...`.
pub(crate) fn all(
    bootstrap: &str,
    run: &str,
    base: i64,
    writers: &[&str],
    report: &mut Report,
) -> Result<(), Fault> {
    let reader = Reader::open(bootstrap)?;
    for asked in writers {
        let (writer, streams) = asked.split_once(':').ok_or("want WRITER:STREAM,...")?;
        for stream in streams.split(',') {
            let topic = format!("{run}-{writer}-{stream}");
            report.attempt(&format!("read {writer} {stream}"), || {
                reader.compare(&topic, corpus::partitions(stream), corpus::records(stream), |i| {
                    Some(corpus::expected(writer, stream, i, base))
                })
            })?;
            if stream == "none" {
                report.attempt(&format!("offsets by time {writer}"), || {
                    by_time(&reader, writer, &topic, base)
                })?;
            }
        }
    }
    Ok(())
}

fn by_time(reader: &Reader, writer: &str, topic: &str, base: i64) -> Result<(), Fault> {
    // The timestamps of the text profile are the writer's clock: all lie between BASE and now.
    let asked = if corpus::Profile::of(writer) == corpus::Profile::Text { 1 } else { 4 };
    for partition in 0..3 {
        for (timestamp, want) in corpus::times(partition, base).into_iter().take(asked) {
            let got = reader.at(topic, i32::try_from(partition)?, timestamp)?;
            if got != want {
                let at = timestamp - base;
                return Err(format!(
                    "partition {partition} at BASE + {at}: want {want}, got {got}"
                )
                .into());
            }
        }
    }
    Ok(())
}
