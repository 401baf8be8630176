//! Retention by time, by size, and DeleteRecords, as kafka-clients and Kafka's own tools see them.
//!
//! However records go, every API must agree at once on where the log begins now: ListOffsets, the fetch of a consumer, the refusal
//! of what lies below, `kafka-get-offsets`, the size in DescribeLogDirs. Offsets never begin again: not in a partition that was
//! emptied, and not after kill -9.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Findings, tools};
use crate::Fault;

/// How long retention may take; it looks every second.
const LIMIT: Duration = Duration::from_secs(60);

/// What a client is told of a partition.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    earliest: i64,
    latest: i64,
    /// The first record that a consumer is given; -1 if there is none.
    first: i64,
    /// What a consumer is told that wants what lies below.
    below: String,
    size: u64,
}

impl Look {
    fn read(value: &Value) -> Option<Look> {
        Some(Look {
            earliest: value["earliest"].as_i64()?,
            latest: value["latest"].as_i64()?,
            first: value["first"].as_i64()?,
            below: value["below"].as_str()?.to_owned(),
            size: value["size"].as_u64()?,
        })
    }

    /// Whether everything that was told is true of one log that begins at `earliest`.
    fn agrees(&self) -> bool {
        let first = if self.earliest < self.latest { self.earliest } else { -1 };
        self.first == first && self.below == if self.earliest > 0 { "refused" } else { "none" }
    }

    fn is_empty(&self) -> bool {
        self.earliest == self.latest
    }
}

struct Topic<'a> {
    bootstrap: &'a str,
    name: &'static str,
}

impl Topic<'_> {
    /// Asks the client; what it printed.
    fn ask(&self, verb: &str, words: &[&str]) -> Result<Value, Fault> {
        let said = tools::tool("Retention", &[&[self.bootstrap, verb, self.name], words].concat())?;
        Ok(said.lines().last().map_or(Ok(Value::Null), serde_json::from_str)?)
    }

    /// Writes records; the offset of the first.
    fn write(&self, records: u32, bytes: u32) -> Result<i64, Fault> {
        let said = self.ask("write", &[&records.to_string(), &bytes.to_string()])?;
        said["first"].as_i64().ok_or_else(|| format!("no offset in {said}").into())
    }

    fn look(&self) -> Result<Look, Fault> {
        let said = self.ask("look", &[])?;
        Look::read(&said).ok_or_else(|| format!("not all that was asked: {said}").into())
    }

    /// Looks until it holds or the limit has passed.
    fn look_until(&self, holds: impl Fn(&Look) -> bool) -> Result<Look, Fault> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let look = self.look()?;
            if holds(&look) || Instant::now() > deadline {
                return Ok(look);
            }
        }
    }

    /// What `kafka-get-offsets` says.
    fn offset(&self, time: &str) -> Result<i64, Fault> {
        let words = ["--bootstrap-server", self.bootstrap, "--topic", self.name, "--time", time];
        let said = tools::tool("org.apache.kafka.tools.GetOffsetShell", &words)?;
        let offset = said.trim().strip_prefix(&format!("{}:0:", self.name));
        offset
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| format!("kafka-get-offsets said {said:?}").into())
    }

    /// A log that holds what `look` says, from every side.
    fn check(&self, findings: &mut Findings, when: &str, look: &Look) -> Result<(), Fault> {
        let name = self.name;
        findings.check(look.agrees(), || format!("{name} {when}: {look:?}"));
        let told = (self.offset("earliest")?, self.offset("latest")?);
        findings.check(told == (look.earliest, look.latest), || {
            format!("{name} {when}: kafka-get-offsets says {told:?}, and {look:?}")
        });
        Ok(())
    }
}

pub(super) fn play(findings: &mut Findings) -> Result<(), Fault> {
    let times = ["--set", "log.retention.check.interval.ms=1000"];
    let mut broker = tools::broker_with("retention", &times)?;
    let bootstrap = broker.bootstrap();
    let topic = |name| Topic { bootstrap: &bootstrap, name };
    let (by_time, by_size, deleted) = (topic("by-time"), topic("by-size"), topic("deleted"));
    by_time.ask("create", &["retention.ms=3000"])?;
    by_size.ask("create", &["segment.bytes=1048576,retention.bytes=2097152"])?;
    deleted.ask("create", &["retention.ms=-1"])?;

    // By time: everything goes, and the next record has the next offset.
    by_time.write(100, 1_000)?;
    let emptied = by_time.look_until(Look::is_empty)?;
    findings.check((emptied.earliest, emptied.latest) == (100, 100), || {
        format!("by-time was not emptied: {emptied:?}")
    });
    findings.check(emptied.size < 100_000, || format!("by-time keeps its size: {emptied:?}"));
    by_time.check(findings, "emptied", &emptied)?;

    // By size: the oldest go, and no more of them than must.
    by_size.write(6_000, 1_000)?;
    let shorter = by_size.look_until(|look| look.earliest > 0 && look.size < 3_500_000)?;
    findings.check(shorter.latest == 6_000 && (1..=4_000).contains(&shorter.earliest), || {
        format!("by-size begins at a strange place: {shorter:?}")
    });
    findings.check((2_097_152..3_500_000).contains(&shorter.size), || {
        format!("by-size has a strange size: {shorter:?}")
    });
    by_size.check(findings, "shortened", &shorter)?;

    // DeleteRecords: at once, so nobody waits here.
    deleted.write(100, 1_000)?;
    let low = deleted.ask("delete", &["60"])?;
    findings.check(low["low"] == 60, || format!("DeleteRecords answered {low}"));
    let begun = deleted.look()?;
    findings.check((begun.earliest, begun.latest) == (60, 100), || format!("deleted: {begun:?}"));
    deleted.check(findings, "begun later", &begun)?;
    let low = deleted.ask("delete", &["-1"])?;
    findings.check(low["low"] == 100, || format!("DeleteRecords of all answered {low}"));
    let none = deleted.look()?;
    findings.check((none.earliest, none.latest) == (100, 100), || format!("all deleted: {none:?}"));
    deleted.check(findings, "emptied", &none)?;

    for kills in 1..=2 {
        tools::kill(&mut broker)?;
        again(findings, &by_time, &emptied)?;
        again(findings, &by_size, &shorter)?;
        again(findings, &deleted, &none)?;
        findings.count("kills", kills);
    }
    // Offsets go on where they were, in emptied partitions too.
    let next = [by_time.write(1, 10)?, by_size.write(1, 10)?, deleted.write(1, 10)?];
    findings.check(next == [100, 6_000, 100], || format!("offsets go on at {next:?}"));
    let last = deleted.look()?;
    findings.check((last.earliest, last.latest) == (100, 101), || format!("after it: {last:?}"));
    deleted.check(findings, "written again", &last)?;
    broker.must_live()?;
    broker.discard()
}

/// After a kill a partition begins and ends where it did.
fn again(findings: &mut Findings, topic: &Topic<'_>, before: &Look) -> Result<(), Fault> {
    let now = topic.look()?;
    let same =
        (now.earliest, now.latest, now.first) == (before.earliest, before.latest, before.first);
    findings.check(same, || format!("{}: {before:?} was, {now:?} is after kill -9", topic.name));
    topic.check(findings, "after kill -9", &now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_log_begins_in_one_place() {
        let told =
            json!({"earliest": 60, "latest": 100, "first": 60, "below": "refused", "size": 7});
        let look = Look::read(&told).expect("all of it");
        assert!(look.agrees() && !look.is_empty());
        assert!(!Look { below: "served".to_owned(), ..look.clone() }.agrees());
        assert!(!Look { first: 61, ..look.clone() }.agrees());
        let emptied = Look { earliest: 100, first: -1, ..look };
        assert!(emptied.agrees() && emptied.is_empty());
        assert!(!Look { first: 99, ..emptied }.agrees());
        assert_eq!(Look::read(&json!({"earliest": 60})), None);
    }
}
