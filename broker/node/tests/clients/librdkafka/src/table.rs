//! The reading half of `cargo xtask prove compaction`: a compacted topic from its start to its end, as a table.
//!
//! What is checked on the way: offsets rise, and so do the numbers that a key's values begin with; each value is as long as its writer
//! makes them. What lives at the end goes to a file, in the order of the keys; the counts to standard output.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::json;

use crate::report::{Fault, print};

/// Nothing came for so long: the broker is stuck.
const SILENCE: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Table {
    alive: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The last number of each key, deleted or not.
    numbers: BTreeMap<Vec<u8>, u64>,
    next: BTreeMap<i32, i64>,
    records: u64,
    tombstones: u64,
}

fn number(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value.get(..10)?).ok()?.parse().ok()
}

impl Table {
    fn take(&mut self, m: &impl Message) -> Result<(), Fault> {
        let (partition, offset) = (m.partition(), m.offset());
        let next = self.next.entry(partition).or_insert(0);
        if offset < *next {
            return Err(format!("partition {partition}: offset {offset} after {next}").into());
        }
        *next = offset + 1;
        self.records += 1;
        let key = m.key().ok_or_else(|| format!("partition {partition} {offset}: no key"))?;
        let Some(value) = m.payload() else {
            self.tombstones += 1;
            self.alive.remove(key);
            return Ok(());
        };
        let number = number(value)
            .ok_or_else(|| format!("partition {partition} {offset}: a value without a number"))?;
        let before = self.numbers.insert(key.to_vec(), number);
        if before.is_some_and(|before| before >= number) {
            let before = before.unwrap_or(0);
            return Err(format!("partition {partition} {offset}: {number} after {before}").into());
        }
        self.alive.insert(key.to_vec(), value.to_vec());
        Ok(())
    }
}

/// Reads all partitions to the ends that they have when asked.
pub(crate) fn read(bootstrap: &str, topic: &str, partitions: i32, file: &str) -> Result<(), Fault> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", "unused")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .create()?;
    let mut assigned = TopicPartitionList::new();
    for partition in 0..partitions {
        assigned.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&assigned)?;
    let mut table = Table::default();
    let mut at_end = 0;
    let mut heard = Instant::now();
    while at_end < partitions {
        match consumer.poll(Duration::from_millis(500)) {
            Some(Ok(m)) => {
                heard = Instant::now();
                table.take(&m)?;
            }
            Some(Err(KafkaError::PartitionEOF(_))) => at_end += 1,
            Some(Err(e)) => return Err(e.into()),
            None if heard.elapsed() > SILENCE => return Err("nothing came for a minute".into()),
            None => {}
        }
    }
    let mut out = BufWriter::new(File::create(file)?);
    for (key, value) in &table.alive {
        out.write_all(key)?;
        out.write_all(b"\t")?;
        out.write_all(value)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    print(&json!({
        "records": table.records,
        "tombstones": table.tombstones,
        "alive": table.alive.len(),
        "offsets": table.next.values().sum::<i64>(),
    }))
}
