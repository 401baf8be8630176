//! `__consumer_offsets`, read as people read it: with Kafka's own console consumer and the formatters that Kafka has for this topic.
//!
//! Kafka's own tools also do what is then looked for there: a group reads three of five records and leaves, its offset is moved, and
//! then forgotten. So the commits that must be found are known, each in the partition that the group's name says, and in order. A
//! group of the consumer protocol (KIP-848) keeps its offsets in the same records.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Deserializer, Value, json};

use super::faces::original;
use crate::Fault;
use crate::program;
use crate::tally::Tally;

/// Partitions of the topic, as Kafka's `offsets.topic.num.partitions` has it.
const PARTITIONS: u32 = 50;
const FORMATTERS: &str = "org.apache.kafka.tools.consumer";

/// Java's hash of a string, which is ASCII here.
fn hash(text: &str) -> i32 {
    text.bytes().fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)))
}

/// The partition that holds what is known of a group.
fn partition_of(group: &str) -> u32 {
    // Kafka takes the absolute value, and 0 for the one number that has none in Java.
    hash(group).checked_abs().unwrap_or(0).unsigned_abs() % PARTITIONS
}

struct Book<'a> {
    bootstrap: &'a str,
    topic: String,
}

impl Book<'_> {
    /// Runs one of Kafka's own tools; what it printed.
    fn ask(&self, tool: &str, words: &[&str], input: &str) -> Result<String, Fault> {
        let mut command = original(tool)?;
        command.args(["--bootstrap-server", self.bootstrap]).args(words);
        let outcome =
            program::run(&mut command, Some(input.as_bytes().to_vec()), super::faces::LIMIT)?;
        if outcome.timed_out || !outcome.status.success() {
            return Err(format!("{tool} {}: {}", words.join(" "), outcome.last_words()).into());
        }
        Ok(String::from_utf8(outcome.out)?)
    }

    /// What a formatter prints of a group: its keys and values, oldest first.
    fn records(&self, formatter: &str, group: &str) -> Result<Vec<Value>, Fault> {
        let (class, partition) =
            (format!("{FORMATTERS}.{formatter}"), partition_of(group).to_string());
        let words = ["--topic", "__consumer_offsets", "--partition", &partition];
        let more = ["--offset", "earliest", "--timeout-ms", "3000", "--formatter", &class];
        let text = self.ask("kafka-console-consumer", &[&words[..], &more[..]].concat(), "")?;
        let all = Deserializer::from_str(&text).into_iter::<Value>().collect::<Result<Vec<_>, _>>();
        let all = all.map_err(|error| format!("{formatter} printed {text:?}: {error}"))?;
        Ok(all.into_iter().filter(|one| one["key"]["data"]["group"] == group).collect())
    }

    /// A group reads three records of the topic and leaves.
    fn read_three(&self, group: &str, protocol: &str) -> Result<String, Fault> {
        let protocol = format!("group.protocol={protocol}");
        let words = ["--topic", &self.topic, "--group", group, "--from-beginning"];
        let more = ["--max-messages", "3", "--command-property", &protocol];
        self.ask("kafka-console-consumer", &[&words[..], &more[..]].concat(), "")
    }

    /// The committed offsets of the one partition, oldest first; null where it was forgotten.
    fn commits(&self, group: &str) -> Result<(Vec<Value>, Vec<Value>), Fault> {
        let records = self.records("OffsetsMessageFormatter", group)?;
        let key = json!({"group": group, "topic": self.topic, "partition": 0});
        let own = records.into_iter().filter(|one| one["key"]["data"] == key);
        Ok(own.map(|one| (one["value"]["data"]["offset"].clone(), one)).unzip())
    }
}

/// Does what is then looked for, and looks.
pub(super) fn run(tally: &mut Tally, bootstrap: &str, run: &str) -> Result<(), Fault> {
    let book = Book { bootstrap, topic: format!("{run}-book") };
    if let Err(fault) = play(tally, &book, run) {
        tally.check("tools/__consumer_offsets", Some(&fault.to_string()))?;
    }
    Ok(())
}

fn play(tally: &mut Tally, book: &Book<'_>, run: &str) -> Result<(), Fault> {
    let (classic, consumer) = (format!("{run}-book-classic"), format!("{run}-book-consumer"));
    let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    book.ask("kafka-topics", &["--create", "--topic", &book.topic, "--partitions", "1"], "")?;
    book.ask("kafka-console-producer", &["--topic", &book.topic], "a\nb\nc\nd\ne\n")?;
    for (group, protocol) in [(&classic, "classic"), (&consumer, "consumer")] {
        let read = book.read_three(group, protocol)?;
        let complaint = (read != "a\nb\nc\n").then(|| format!("it read {read:?}"));
        tally
            .check(&format!("tools/__consumer_offsets: {protocol} reads"), complaint.as_deref())?;
    }
    let own = ["--group", &classic, "--topic", &book.topic];
    let to_one = ["--reset-offsets", "--to-offset", "1", "--execute"];
    book.ask("kafka-consumer-groups", &[&own[..], &to_one[..]].concat(), "")?;
    book.ask("kafka-consumer-groups", &[&own[..], &["--delete-offsets"]].concat(), "")?;

    let (offsets, records) = book.commits(&classic)?;
    let wanted = [json!(3), json!(1), Value::Null];
    let complaint = (offsets != wanted).then(|| format!("not 3, 1 and none: {records:?}"));
    tally.check("tools/OffsetsMessageFormatter: commits, a reset, none", complaint.as_deref())?;
    let ended = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as u64;
    let strange = records.iter().find(|one| !is_commit(one, began..=ended));
    let complaint = strange.map(|one| format!("a strange commit: {one}"));
    tally.check("tools/OffsetsMessageFormatter: what a commit holds", complaint.as_deref())?;

    let (offsets, records) = book.commits(&consumer)?;
    let complaint = (offsets.last() != Some(&json!(3))).then(|| format!("not 3: {records:?}"));
    tally.check("tools/OffsetsMessageFormatter: a consumer group", complaint.as_deref())?;

    let records = book.records("GroupMetadataMessageFormatter", &classic)?;
    let complaint = group_complaint(&records);
    tally.check("tools/GroupMetadataMessageFormatter: a group's life", complaint.as_deref())
}

/// A tombstone, or a commit of Kafka's newest shape that was made in this time.
fn is_commit(record: &Value, between: std::ops::RangeInclusive<u64>) -> bool {
    let data = &record["value"]["data"];
    record["key"]["type"] == 1
        && (record["value"].is_null()
            || (data["metadata"] == ""
                && data["commitTimestamp"].as_u64().is_some_and(|at| between.contains(&at))))
}

/// What is wrong with the life of a group that had one member of the console consumer, and then none.
fn group_complaint(records: &[Value]) -> Option<String> {
    let data = |record: &Value| record["value"]["data"].clone();
    let had_member = records.iter().map(data).any(|data| {
        let member = &data["members"][0];
        data["protocolType"] == "consumer"
            && data["protocol"] == "range"
            && data["generation"] == 1
            && data["leader"] == member["memberId"]
            && member["clientId"] == "console-consumer"
            && member["sessionTimeout"] == 45_000
            && member["assignment"].as_str().is_some_and(|bytes| !bytes.is_empty())
    });
    let last = records.last().map(data);
    let is_empty = last.as_ref().is_some_and(|data| data["members"] == json!([]));
    if !had_member {
        Some(format!("no generation with its member: {records:?}"))
    } else if !is_empty {
        Some(format!("it does not end without members: {last:?}"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_where_java_has_it() {
        assert_eq!((hash("g"), partition_of("g")), (103, 3));
        assert_eq!((hash("zzzzzz"), partition_of("zzzzzz")), (-685_785_664, 14));
        // The one hash that has no absolute value.
        assert_eq!((hash("polygenelubricants"), partition_of("polygenelubricants")), (i32::MIN, 0));
    }

    #[test]
    fn a_commit_is_of_this_time_and_a_group_ends_without_members() {
        let commit = json!({"key": {"type": 1}, "value": {"version": 3, "data":
            {"offset": 3, "metadata": "", "commitTimestamp": 17}}});
        assert!(is_commit(&commit, 10..=20) && !is_commit(&commit, 18..=20));
        assert!(is_commit(&json!({"key": {"type": 1}, "value": null}), 10..=20));
        assert!(!is_commit(&json!({"key": {"type": 2}, "value": null}), 10..=20));
        let member = json!({"memberId": "m", "clientId": "console-consumer",
            "sessionTimeout": 45_000, "assignment": "AAM="});
        let one = json!({"value": {"data": {"protocolType": "consumer", "protocol": "range",
            "generation": 1, "leader": "m", "members": [member]}}});
        let none = json!({"value": {"data": {"protocolType": "consumer", "generation": 2, "members": []}}});
        assert_eq!(group_complaint(&[one.clone(), none.clone()]), None);
        assert!(group_complaint(&[one]).is_some() && group_complaint(&[none]).is_some());
        assert!(group_complaint(&[]).is_some());
    }
}
