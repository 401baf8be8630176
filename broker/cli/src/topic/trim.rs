//! `ringwood topic trim`.

use crate::connect::{partitions, topic};
use crate::failure::{Done, Failure};
use crate::output::{Column, Output};
use crate::several::{JsonError, Several};
use crate::time;
use clap::Args;
use client::{Client, ClientError, Isolation, OffsetQuery};
use ids::{Offset, Timestamp};
use serde::Serialize;

#[derive(Debug, Args)]
pub(super) struct TrimArgs {
    /// The topic
    topic: String,
    /// Delete what is before this offset, before this time (@2026-11-27T10:00:00Z, @-7d), or everything (end)
    #[arg(long, value_name = "OFFSET|@TIME|end", value_parser = before, allow_hyphen_values = true)]
    before: Before,
    /// Only in this partition; may be repeated
    #[arg(short, long = "partition", value_name = "N", value_delimiter = ',')]
    partitions: Vec<i32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Offset(Offset),
    Time(Timestamp),
    End,
}

fn before(text: &str) -> Result<Before, String> {
    if text == "end" {
        return Ok(Before::End);
    }
    if let Some(moment) = text.strip_prefix('@') {
        return time::moment(moment, time::now()).map(Before::Time);
    }
    match text.parse() {
        Ok(n) if n >= 0 => Ok(Before::Offset(Offset(n))),
        Ok(_) | Err(_) => Err(format!("`{text}` is none of an offset from 0 up, @TIME, and end")),
    }
}

#[derive(Serialize)]
struct Trimmed<'a> {
    topic: &'a str,
    partition: i32,
    log_start_offset: Option<i64>,
    #[serde(flatten)]
    error: Option<JsonError>,
}

pub(super) fn run(client: &mut Client, output: Output, args: &TrimArgs) -> Done {
    let name = &args.topic;
    let what = format!("cannot trim topic {name}");
    let view = topic(client, name, &what)?;
    let partitions = partitions(&view, &args.partitions)?;
    let mut several = Several::default();
    let mut rows = Vec::new();
    let mut documents = Vec::new();
    let failed = |e: &ClientError| Failure::client("topic", what.clone(), e);
    let points = points(client, name, &partitions, args.before).map_err(|e| failed(&e))?;
    // -1 is the high watermark, which the broker knows best (KIP-107).
    let trimmed = client.delete_records(name, &points).map_err(|e| failed(&e))?;
    for (partition, result) in trimmed {
        let mut document = Trimmed { topic: name, partition, log_start_offset: None, error: None };
        match result {
            Ok(start) => {
                several.worked();
                document.log_start_offset = Some(start.0);
                rows.push([name.clone(), partition.to_string(), start.0.to_string()]);
            }
            Err(refusal) => {
                let what = format!("cannot trim partition {partition} of topic {name}");
                let failure = Failure::refused("topic", what, &refusal);
                several.failed(&failure);
                document.error = Some(JsonError::from(&failure));
            }
        }
        documents.push(document);
    }
    if output.json {
        output.json(&documents)?;
    } else if !rows.is_empty() {
        let columns = [Column::Left("TOPIC"), Column::Right("PARTITION"), Column::Right("START")];
        output.table(columns, &rows)?;
    }
    several.done()
}

/// Where each partition shall begin. A partition without a record at or after the time is emptied.
fn points(
    client: &mut Client,
    topic: &str,
    partitions: &[i32],
    before: Before,
) -> Result<Vec<(i32, Offset)>, ClientError> {
    let time = match before {
        Before::Offset(offset) => return Ok(partitions.iter().map(|p| (*p, offset)).collect()),
        Before::End => return Ok(partitions.iter().map(|p| (*p, Offset(-1))).collect()),
        Before::Time(time) => time,
    };
    let queries: Vec<_> = partitions.iter().map(|p| (*p, OffsetQuery::At(time))).collect();
    let found = client.list_offsets(topic, &queries, Isolation::default())?;
    found
        .into_iter()
        .map(|(p, found)| match found {
            Ok(found) if found.offset.0 >= 0 => Ok((p, found.offset)),
            Ok(_) => Ok((p, Offset(-1))),
            Err(refusal) => Err(ClientError::Refused(refusal)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_point_is_an_offset_a_time_or_the_end() {
        assert_eq!(before("17"), Ok(Before::Offset(Offset(17))));
        assert_eq!(before("end"), Ok(Before::End));
        assert_eq!(before("@1000"), Ok(Before::Time(Timestamp(1000))));
        assert!(before("-1").is_err() && before("start").is_err() && before("@soon").is_err());
    }
}
