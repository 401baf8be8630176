//! `ringwood topic offsets`.

use crate::connect::{partitions, topic};
use crate::failure::{Done, Failure, Stop};
use crate::output::{Column, Output};
use crate::several::Several;
use crate::time;
use clap::Args;
use client::{Client, FoundOffset, Isolation, OffsetQuery, Refusal};
use ids::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Args)]
pub(super) struct OffsetsArgs {
    /// The topics
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only this partition; may be repeated
    #[arg(short, long = "partition", value_name = "N", value_delimiter = ',')]
    partitions: Vec<i32>,
    /// The first record at or after this time instead: 2026-11-27T10:00:00Z, 2026-11-27, milliseconds, -1h
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, value_parser = at)]
    at: Option<Timestamp>,
}

fn at(text: &str) -> Result<Timestamp, String> {
    time::moment(text.strip_prefix('@').unwrap_or(text), time::now())
}

#[derive(Serialize)]
struct Range {
    topic: String,
    partition: i32,
    log_start_offset: i64,
    high_watermark: i64,
    last_stable_offset: i64,
    max_timestamp: Option<String>,
}

#[derive(Serialize)]
struct At {
    topic: String,
    partition: i32,
    offset: Option<i64>,
    timestamp: Option<String>,
}

pub(super) fn run(client: &mut Client, output: Output, args: &OffsetsArgs) -> Done {
    let mut several = Several::default();
    let (mut ranges, mut found) = (Vec::new(), Vec::new());
    for name in &args.topics {
        let result = match args.at {
            None => range(client, name, &args.partitions, &mut several, &mut ranges),
            Some(time) => at_time(client, name, &args.partitions, time, &mut several, &mut found),
        };
        match result {
            Ok(()) => {}
            Err(Stop::Failed(failure)) => several.failed(&failure),
            Err(stop) => return Err(stop),
        }
    }
    match (args.at.is_some(), output.json) {
        (false, true) => output.json(&ranges)?,
        (true, true) => output.json(&found)?,
        (false, false) => show_ranges(output, ranges)?,
        (true, false) => show_found(output, found)?,
    }
    several.done()
}

type Found = BTreeMap<i32, Result<FoundOffset, Refusal>>;

fn ask(
    client: &mut Client,
    topic: &str,
    partitions: &[i32],
    query: OffsetQuery,
    isolation: Isolation,
) -> Result<Found, Failure> {
    let queries: Vec<_> = partitions.iter().map(|p| (*p, query)).collect();
    client
        .list_offsets(topic, &queries, isolation)
        .map_err(|e| Failure::client("topic", format!("cannot look up offsets of {topic}"), &e))
}

fn refused(topic: &str, partition: i32, refusal: &Refusal) -> Failure {
    let what = format!("cannot look up offsets of partition {partition} of topic {topic}");
    Failure::refused("topic", what, refusal)
}

fn range(
    client: &mut Client,
    name: &str,
    named: &[i32],
    several: &mut Several,
    out: &mut Vec<Range>,
) -> Done {
    use Isolation::{ReadCommitted, ReadUncommitted};
    let view = topic(client, name, &format!("cannot look up offsets of topic {name}"))?;
    let partitions = partitions(&view, named)?;
    let first = ask(client, name, &partitions, OffsetQuery::Earliest, ReadUncommitted)?;
    let mut last = ask(client, name, &partitions, OffsetQuery::Latest, ReadUncommitted)?;
    let mut stable = ask(client, name, &partitions, OffsetQuery::Latest, ReadCommitted)?;
    // A broker too old for this query still has all the others.
    let mut newest = ask(client, name, &partitions, OffsetQuery::MaxTimestamp, ReadUncommitted)
        .unwrap_or_default();
    for (partition, first) in first {
        let last = last.remove(&partition);
        let (first, last) = match (first, last) {
            (Ok(first), Some(Ok(last))) => (first.offset, last.offset),
            (Err(refusal), _) | (_, Some(Err(refusal))) => {
                several.failed(&refused(name, partition, &refusal));
                continue;
            }
            (Ok(_), None) => continue,
        };
        several.worked();
        let stable = stable.remove(&partition).and_then(Result::ok).map_or(last, |f| f.offset);
        let newest = newest.remove(&partition).and_then(Result::ok);
        out.push(Range {
            topic: name.to_owned(),
            partition,
            log_start_offset: first.0,
            high_watermark: last.0,
            last_stable_offset: stable.0,
            max_timestamp: newest.and_then(|f| time::rfc3339(f.timestamp)),
        });
    }
    Ok(())
}

fn at_time(
    client: &mut Client,
    name: &str,
    named: &[i32],
    time: Timestamp,
    several: &mut Several,
    out: &mut Vec<At>,
) -> Done {
    let view = topic(client, name, &format!("cannot look up offsets of topic {name}"))?;
    let partitions = partitions(&view, named)?;
    let query = OffsetQuery::At(time);
    for (partition, found) in ask(client, name, &partitions, query, Isolation::default())? {
        match found {
            Ok(found) => {
                several.worked();
                let there = found.offset.0 >= 0;
                out.push(At {
                    topic: name.to_owned(),
                    partition,
                    offset: there.then_some(found.offset.0),
                    timestamp: time::rfc3339(found.timestamp),
                });
            }
            Err(refusal) => several.failed(&refused(name, partition, &refusal)),
        }
    }
    Ok(())
}

fn none() -> String {
    "-".to_owned()
}

fn show_ranges(output: Output, ranges: Vec<Range>) -> Done {
    if ranges.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = ranges
        .into_iter()
        .map(|r| {
            let span = r.high_watermark.saturating_sub(r.log_start_offset);
            [
                r.topic,
                r.partition.to_string(),
                r.log_start_offset.to_string(),
                r.high_watermark.to_string(),
                span.to_string(),
                r.max_timestamp.unwrap_or_else(none),
            ]
        })
        .collect();
    output.table(
        [
            Column::Left("TOPIC"),
            Column::Right("PARTITION"),
            Column::Right("START"),
            Column::Right("END"),
            Column::Right("OFFSETS"),
            Column::Left("NEWEST RECORD"),
        ],
        &rows,
    )
}

fn show_found(output: Output, found: Vec<At>) -> Done {
    if found.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = found
        .into_iter()
        .map(|f| {
            [
                f.topic,
                f.partition.to_string(),
                f.offset.map_or_else(none, |o| o.to_string()),
                f.timestamp.unwrap_or_else(none),
            ]
        })
        .collect();
    output.table(
        [
            Column::Left("TOPIC"),
            Column::Right("PARTITION"),
            Column::Right("OFFSET"),
            Column::Left("TIME"),
        ],
        &rows,
    )
}
