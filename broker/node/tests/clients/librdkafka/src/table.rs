//! The reading half of `cargo xtask prove compaction`: a compacted topic from its start to its end, as a table.
//!
//! What is checked on the way: offsets rise, and so do the numbers that a key's values begin with; each value is as long as its writer
//! makes them. What lives at the end goes to a file, in the order of the keys; the counts to standard output.

use std::collections::{BTreeMap, HashMap};
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

/// Its number, and the value unless the key was deleted after it.
type Last = (u64, Option<Box<[u8]>>);

#[derive(Default)]
struct Table {
    /// The last number of each key that ever had a value, and the value if it has one still.
    keys: HashMap<Box<[u8]>, Last>,
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
            if let Some((_, value)) = self.keys.get_mut(key) {
                *value = None;
            }
            return Ok(());
        };
        let number = number(value)
            .ok_or_else(|| format!("partition {partition} {offset}: a value without a number"))?;
        match self.keys.get_mut(key) {
            Some((before, _)) if *before >= number => {
                let complaint = format!("partition {partition} {offset}: {number} after {before}");
                return Err(complaint.into());
            }
            Some(known) => *known = (number, Some(value.into())),
            None => {
                self.keys.insert(key.into(), (number, Some(value.into())));
            }
        }
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
    let mut alive: Vec<(&[u8], &[u8])> = table
        .keys
        .iter()
        .filter_map(|(key, (_, value))| Some((&**key, value.as_deref()?)))
        .collect();
    alive.sort_unstable();
    for (key, value) in &alive {
        out.write_all(key)?;
        out.write_all(b"\t")?;
        out.write_all(value)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    print(&json!({
        "records": table.records,
        "tombstones": table.tombstones,
        "alive": alive.len(),
        "offsets": table.next.values().sum::<i64>(),
    }))
}
