//! How a record is printed: the rules of Kafka's DefaultMessageFormatter.

use super::deserializer::Deserializer;
use crate::faces::end::{End, print};
use crate::faces::grammar::Words;
use crate::faces::properties::{Properties, load};
use client::FetchedRecord;
use record::TimestampType;

/// What is printed of a record, in the order in which it is printed.
#[derive(Clone, Debug)]
pub(super) struct Formatter {
    /// Nothing at all.
    silent: bool,
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: Vec<u8>,
    line_separator: Vec<u8>,
    headers_separator: Vec<u8>,
    null_literal: Vec<u8>,
    key_deserializer: Deserializer,
    value_deserializer: Deserializer,
    headers_deserializer: Deserializer,
}

const KNOWN: &[&str] = &[
    "print.timestamp",
    "print.partition",
    "print.offset",
    "print.delivery",
    "print.epoch",
    "print.headers",
    "print.key",
    "print.value",
    "key.separator",
    "line.separator",
    "headers.separator",
    "null.literal",
    "key.deserializer",
    "value.deserializer",
    "headers.deserializer",
];

impl Formatter {
    pub(super) fn read(line: &Words) -> Result<Self, End> {
        let silent = match line.value("formatter")? {
            None
            | Some(
                "org.apache.kafka.tools.consumer.DefaultMessageFormatter"
                | "kafka.tools.DefaultMessageFormatter",
            ) => false,
            Some("org.apache.kafka.tools.consumer.NoOpMessageFormatter") => true,
            Some(class) => {
                return Err(End::Error(format!("not supported by ringwood: --formatter {class}")));
            }
        };
        if line.has("property") && line.has("formatter-property") {
            return Err(End::Usage(
                "Options --property and --formatter-property cannot be specified together.".into(),
            ));
        }
        if line.has("property") {
            print(
                "Option --property is deprecated and will be removed in a future version. Use --formatter-property instead.",
            )?;
        }
        let path = line.value("formatter-config")?;
        let mut properties = path.map_or_else(|| Ok(Properties::default()), load)?;
        for (flag, key) in
            [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
        {
            if let Some(class) = line.value(flag)?.filter(|c| !c.is_empty()) {
                properties.set(key, class);
            }
        }
        properties.add_pairs(line, "property");
        properties.add_pairs(line, "formatter-property");
        Self::of(&properties, silent)
    }

    fn of(properties: &Properties, silent: bool) -> Result<Self, End> {
        for (key, _) in properties.iter().filter(|(key, _)| !KNOWN.contains(key)) {
            crate::output::say(format_args!("warning: the property {key} has no effect here"));
        }
        let is_true = |key, standard| properties.is_true(key).unwrap_or(standard);
        let bytes =
            |key, standard: &str| properties.get(key).unwrap_or(standard).as_bytes().to_vec();
        let deserializer = |key: &str| {
            properties.get(key).map_or(Ok(Deserializer::Bytes), |c| Deserializer::of(c, key))
        };
        Ok(Self {
            silent,
            timestamp: is_true("print.timestamp", false),
            partition: is_true("print.partition", false),
            offset: is_true("print.offset", false),
            delivery: is_true("print.delivery", false),
            epoch: is_true("print.epoch", false),
            headers: is_true("print.headers", false),
            key: is_true("print.key", false),
            value: is_true("print.value", true),
            key_separator: bytes("key.separator", "\t"),
            line_separator: bytes("line.separator", "\n"),
            headers_separator: bytes("headers.separator", ","),
            null_literal: bytes("null.literal", "null"),
            key_deserializer: deserializer("key.deserializer")?,
            value_deserializer: deserializer("value.deserializer")?,
            headers_deserializer: deserializer("headers.deserializer")?,
        })
    }

    /// Appends a record. Where its bytes are not what its deserializer expects, nothing of it is appended.
    pub(super) fn append(
        &self,
        partition: i32,
        record: &FetchedRecord,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        let start = out.len();
        let done = self.write(partition, record, out);
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    fn write(&self, partition: i32, r: &FetchedRecord, out: &mut Vec<u8>) -> Result<(), String> {
        if self.silent {
            return Ok(());
        }
        // What is printed, and whether something follows.
        let columns = [
            self.timestamp,
            self.partition,
            self.offset,
            self.delivery,
            self.epoch,
            self.headers,
            self.key,
            self.value,
        ];
        for (at, _) in columns.iter().enumerate().filter(|(_, on)| **on) {
            match at {
                0 => {
                    let kind = match r.timestamp_type {
                        TimestampType::CreateTime => "CreateTime",
                        TimestampType::LogAppendTime => "LogAppendTime",
                    };
                    out.extend_from_slice(format!("{kind}:{}", r.timestamp.0).as_bytes());
                }
                1 => out.extend_from_slice(format!("Partition:{partition}").as_bytes()),
                2 => out.extend_from_slice(format!("Offset:{}", r.offset.0).as_bytes()),
                // Deliveries are counted for share groups only.
                3 => out.extend_from_slice(b"Delivery:NOT_PRESENT"),
                // The original does not hand the epoch on to its formatter.
                4 => out.extend_from_slice(b"Epoch:NOT_PRESENT"),
                5 => self.write_headers(r, out)?,
                6 => self.field(self.key_deserializer, r.key.as_deref(), out)?,
                _ => self.field(self.value_deserializer, r.value.as_deref(), out)?,
            }
            let more = columns.iter().skip(at + 1).any(|on| *on);
            let separator = if more { &self.key_separator } else { &self.line_separator };
            out.extend_from_slice(separator);
        }
        Ok(())
    }

    fn write_headers(&self, r: &FetchedRecord, out: &mut Vec<u8>) -> Result<(), String> {
        if r.headers.is_empty() {
            out.extend_from_slice(b"NO_HEADERS");
        }
        for (at, (key, value)) in r.headers.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(&self.headers_separator);
            }
            out.extend_from_slice(key);
            out.push(b':');
            self.field(self.headers_deserializer, value.as_deref(), out)?;
        }
        Ok(())
    }

    fn field(
        &self,
        deserializer: Deserializer,
        bytes: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<(), String> {
        deserializer.append(bytes.unwrap_or(&self.null_literal), out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ids::{LeaderEpoch, Offset, Timestamp};

    fn printed(pairs: &[(&str, &str)], record: &FetchedRecord) -> Result<String, String> {
        let mut properties = Properties::default();
        for (key, value) in pairs {
            properties.set(key, value);
        }
        let mut out = Vec::new();
        Formatter::of(&properties, false).unwrap().append(3, record, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    fn record() -> FetchedRecord {
        FetchedRecord {
            offset: Offset(7),
            timestamp: Timestamp(1000),
            timestamp_type: TimestampType::CreateTime,
            leader_epoch: LeaderEpoch(2),
            key: Some(b"k".to_vec()),
            value: None,
            headers: vec![(b"h".to_vec(), Some(b"v".to_vec())), (b"n".to_vec(), None)],
        }
    }

    #[test]
    fn columns_stand_in_kafkas_order() {
        let all: Vec<_> =
            KNOWN.iter().filter(|k| k.starts_with("print.")).map(|k| (*k, "true")).collect();
        assert_eq!(
            printed(&all, &record()),
            Ok("CreateTime:1000\tPartition:3\tOffset:7\tDelivery:NOT_PRESENT\tEpoch:NOT_PRESENT\th:v,n:null\tk\tnull\n".into())
        );
        assert_eq!(printed(&[], &record()), Ok("null\n".into()));
        let key = [("print.key", "true"), ("print.value", "false"), ("line.separator", "|")];
        assert_eq!(printed(&key, &record()), Ok("k|".into()));
        let bare = FetchedRecord { headers: Vec::new(), ..record() };
        assert_eq!(printed(&[("print.headers", "true")], &bare), Ok("NO_HEADERS\tnull\n".into()));
    }

    #[test]
    fn a_record_that_cannot_be_printed_leaves_nothing() {
        let long =
            [("value.deserializer", "org.apache.kafka.common.serialization.LongDeserializer")];
        assert!(printed(&long, &record()).is_err());
    }
}
